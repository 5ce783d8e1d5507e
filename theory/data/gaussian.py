"""Gaussian patches under a cubic convolutional teacher: correlations, and the drive to associate.

The features x_j = ⟨w*, X_j⟩ of D = LC patches are independent standard Gaussians, and the label is
y = sign Σ_B (Σ_{j∈B} x_j)³ over groups B of k patches inside the hidden sets.  At γ = ρ a patch of
the simplified ViT (p = 3) has the pre-activation O_i = κ(b x_i + T) with T = Σ_j x_j,
b = e^{(σ_A − γ)/τ} − 1 and κ = αDΓ.

For k = C let g_1, …, g_L be the set sums over √C, so that y = sign Σ_ℓ g_ℓ³, and

    h₃ = E[y (g₁³ − 3g₁)],  h₂₁ = E[y (g₁² − 1) g₂],  h₁₁₁ = E[y g₁ g₂ g₃]   (:func:`set_moments`).

In: L, C, b.  Out: these moments by quadrature, and the velocity of γ − ρ that they give.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from theory.inputs import integer

__all__ = ["SetMoments", "critical_b", "cubic_moments", "drive_bracket", "set_drive", "set_moments"]

#: Of the trapezoid rule in log t.
_STEP = 0.1


class SetMoments(NamedTuple):
    """h₃, h₂₁ and h₁₁₁: how the label goes with cubic functions of the set sums."""

    h3: Any
    h21: Any
    h111: Any


def cubic_moments(D: Any, kappa: Any) -> tuple[Any, Any, Any]:
    """Covariance of G = Σ_i (x_i + κT)³ and V = Σ_i x_i³, and the variances of G and of V.

    For independent standard Gaussians x_i and T = Σ_i x_i.  Numbers or symbols.

    Examples
    --------
    >>> cubic_moments(5, 0)
    (75, 75, 75)
    """
    variance = 1 + 2 * kappa + kappa**2 * D  # of x_i + κT; its covariance with x_k + κT is less 1
    linear = 3 * variance * (1 + kappa * D)  # G is linear T plus Hermite cubes, and V is 3T plus
    covariance = 3 * linear * D + 6 * D * ((1 + kappa) ** 3 + (D - 1) * kappa**3)
    of_G = linear**2 * D + 6 * D * (variance**3 + (D - 1) * (variance - 1) ** 3)
    return covariance, of_G, 15 * D


@lru_cache(maxsize=1)
def _transforms() -> tuple[np.ndarray, ...]:
    """t, and E[cos tg³], E[g sin tg³], E[(g² − 1) cos tg³], E[(g³ − 3g) sin tg³] at each t.

    On the ray arg x = π/8, midway between the directions in which e^{itx³} and e^{−x²/2} stop
    decaying, both decay whatever t is, and the trapezoid rule in log |x| converges fastest.
    """
    t = np.exp(np.arange(-40.0, 45.0, _STEP))
    x = np.exp(np.arange(-45.0, 2.7, 0.05) + 1j * np.pi / 8)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) * x * 0.05  # dx = x d log|x|
    weights = np.exp(1j * np.multiply.outer(t, x**3)) * density
    half = [weights @ f for f in (np.ones_like(x), x, x**2 - 1, x**3 - 3 * x)]
    return (t, *(2 * (h.real if k % 2 == 0 else h.imag) for k, h in enumerate(half)))


@lru_cache
def set_moments(L: int) -> SetMoments:
    """h₃, h₂₁ and h₁₁₁ for L ≥ 2 sets, to about 1e-12; h₁₁₁ has no use for L = 2 and is 0.

    By sign V = (2/π) ∫ sin(tV) dt/t the three are single integrals of products of transforms of one
    g³, taken here by the trapezoid rule in log t.

    Raises
    ------
    ValueError
        If L is not an integer >= 2.

    Examples
    --------
    For two sets y = sign(g₁ + g₂), and h₃ = h₂₁ = −1/(2√π):

    >>> round(set_moments(2).h3 * np.pi**0.5, 12), round(set_moments(2).h21 * np.pi**0.5, 12)
    (-0.5, -0.5)
    """
    L = integer("L", L, least=2)
    _, f0, f1, f2, f3 = _transforms()
    step = 2 / np.pi * _STEP
    return SetMoments(
        float(step * np.sum(f3 * f0 ** (L - 1))),
        float(step * np.sum(f2 * f1 * f0 ** (L - 2))),
        float(-step * np.sum(f1**3 * f0 ** (L - 3))) if L > 2 else 0.0,
    )


def drive_bracket(moments: SetMoments, L: Any, C: Any, b: Any) -> Any:
    """B = b (h₃ − h₂₁) + 2C (h₃ + (L−3) h₂₁ − (L−2) h₁₁₁); its sign is that of γ' − ρ' for b > 0.

    Numbers or symbols.
    """
    h3, h21, h111 = moments
    return b * (h3 - h21) + 2 * C * (h3 + (L - 3) * h21 - (L - 2) * h111)


def set_drive(L: int, C: int, b: float, kappa: float, tau: float = 1.0) -> float:
    """γ' − ρ' under gradient flow at γ = ρ, for k = C and p = 3, on the logistic population loss.

    (3κ³b / 2τC^{3/2}) B with B of :func:`drive_bracket`; exact for every α and ν.

    Parameters
    ----------
    L, C : int
    b, kappa, tau : float
        b = e^{(σ_A−γ)/τ} − 1, κ = αDΓ, and the temperature.

    Examples
    --------
    >>> set_drive(9, 4, b=19.0, kappa=0.1) > 0 > set_drive(9, 4, b=0.6, kappa=0.1)
    True
    """
    L, C = integer("L", L, least=2), integer("C", C, least=1)
    bracket = drive_bracket(set_moments(L), L, C, b)
    return float(3 * kappa**3 * b / (2 * tau * C**1.5) * bracket)


def critical_b(L: int, C: int) -> float:
    """The b above which association starts and below which the sets are driven apart, for k = C.

    L ≥ 3: for two sets the label is sign T, and nothing drives γ − ρ at any b.

    Examples
    --------
    >>> round(critical_b(10**6, 5), 3)  # tends to 2C/5
    2.0
    """
    L, C = integer("L", L, least=3), integer("C", C, least=1)
    moments = set_moments(L)
    return -drive_bracket(moments, L, C, 0.0) / (moments.h3 - moments.h21)
