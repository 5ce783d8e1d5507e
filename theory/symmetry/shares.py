"""A form of F and ∂F, set by set, from which what adds up to 0 over the sets has been taken out.

:func:`stable_terms` has the sums of :func:`~theory.symmetry.reduction.set_output` and
:func:`~theory.symmetry.reduction.set_derivatives`: tests and the ledger prove it.
In: a size, α, levels and types, in any ring.  Out: what is left of each set's share.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from theory.rounding import Rounded, least_error, rounded
from theory.setting import Setting
from theory.symmetry.levels import AttentionLevels

__all__ = ["stable_terms"]


def _power(base: Any, exponent: int) -> Any:
    """A product: flint's x**k is nan for a ball around 0, and numpy's is slow."""
    result = 1
    while exponent:
        if exponent & 1:
            result = result * base
        exponent >>= 1
        if exponent:
            base = base * base
    return result


def stable_terms(
    setting: Setting,
    alpha: Any,
    levels: AttentionLevels,
    n_plus: Any,
    n_minus: Any,
    total: Any,
    *,
    nu: Any,
    crowded: bool = False,
    choose: Callable[..., Any] = least_error,
) -> list[Any]:
    """F, ∂F/∂α, τ∂F/∂γ, τ∂F/∂ρ of one set, without what vanishes in the sum over the L sets.

    With A = Λ − Γ, H = Γ − Ξ, a set of sum s and B = Hs + ΞT, a patch has O_δ = αD(Aδ + B).  Since
    rows of S sum to 1,

    * the linear part of F is ναD·T, whatever γ and ρ: every set takes its share ναCT, and ν drops
      out of ∂F/∂γ and ∂F/∂ρ;
    * what remains of them is Σ_δ n_δ w_δ O_δ^{p−1}, with w_δ a sum of levels times integers
      i − jδ.  The even power is O_0^{p−1} + δ·odd + δ²·even, where ``odd`` and ``even`` are sums
      of terms of one sign: what cancels among the patches of a set now cancels between integers;
    * O_0^{p−1} is multiplied by CT − Ds, which the sets sum to 0, so its value at B = ΞT is taken
      off, which leaves a product with H.  In a ``crowded`` law, where sets without a 0 are common,
      ``even`` is almost multiplied by CT − Ds as well, and loses its value at ΞT too.

    Parameters
    ----------
    setting : Setting
        Only L, C and p are read.
    alpha, levels, n_plus, n_minus, total
        As in :func:`~theory.symmetry.terms.set_terms`, of any ring: polynomials and
        :class:`~theory.rounding.Rounded` included.
    nu : number
    crowded : bool
        Which of two forms, which have the same sum over the sets.
    choose : callable
        Picks one of several expressions of one number.
    """
    L, C, p = setting.L, setting.C, setting.p
    D, s, m, T = L * C, n_plus - n_minus, n_plus + n_minus, total
    far, lean = T - s, C * T - D * s
    counts = {1: n_plus, -1: n_minus, 0: C - m}

    rise, base = levels.inside * s, levels.Xi * T
    seen = {
        x: choose(
            levels.own * x + (rise + base),
            levels.Lambda * x + levels.Gamma * (s - x) + levels.Xi * far,
        )
        for x in counts
    }
    scale = alpha * D
    powers = {x: _power(scale * O, p - 1) for x, O in seen.items()}
    a, b, b0, h = (scale * x for x in (levels.own, seen[0], base, rise))
    u, v, v0 = a * a, b * b, b0 * b0

    odd = even = mean = change = 0 * v
    reference, u_power, v0_power = int(crowded), 1, 1
    for j in range(1, (p + 1) // 2):
        # By Horner's rule, N = (p−1)/2: Σ_j binom(2N, 2j−1) u^{j−1} v^{N−j}, the same with 2j,
        # and, in crowded laws over all j, else for j = N, binom(2N, 2j) u^{N−j} times v₀^j or
        # (v^j − v₀^j)/(v − v₀).
        binomial = _binomial(p - 1, 2 * j, alpha)
        odd = odd * v + _binomial(p - 1, 2 * j - 1, alpha) * u_power
        even = even * v + binomial * u_power
        mean, v0_power = mean * v + v0_power, v0_power * v0
        change, reference, u_power = change * u, reference * u, u_power * u
        if crowded or 2 * j == p - 1:
            change, reference = change + binomial * mean, reference + binomial * v0_power
    odd, even, change = a * b * odd, u * even, h * (h + 2 * b0) * change

    def weighted(*forms: list[tuple[Any, Any, Any]]) -> Any:
        """Σ_δ n_δ w_δ O_δ^{p−1} less its reference; forms of w_δ as Σ level·(i − jδ)."""

        def coefficient(of: Callable[[Any, Any], Any]) -> Any:
            return choose(*(sum(level * of(i, j) for level, i, j in form) for form in forms))

        at_zero = coefficient(lambda i, j: C * i - s * j)  # a multiple of CT − Ds
        split = at_zero * change + coefficient(lambda i, j: s * i - m * j) * odd
        split = split + even * coefficient(lambda i, j: (m - C) * i if crowded else m * i - s * j)
        of_kind = {
            1: coefficient(lambda i, j: i - j),
            -1: coefficient(lambda i, j: i + j),
            0: coefficient(lambda i, j: i),
        }
        each = sum(count * of_kind[x] * powers[x] for x, count in counts.items())
        return choose(split, each + -1 * at_zero * reference)

    A, Lambda, Gamma, Xi, rest = levels.own, levels.Lambda, levels.Gamma, levels.Xi, D - C
    in_gamma = weighted([(Lambda, s, C), (Xi, rest * s - (C - 1) * far, rest)])
    in_rho = weighted(
        [(A, far, rest), (Gamma, lean, 0)],
        [(Lambda, far, rest), (Gamma, (C - 1) * far - rest * s, -rest)],
    )
    summed = sum(count * powers[x] * seen[x] for x, count in counts.items())
    linear = nu * (C * T)
    return [
        scale * summed + alpha * linear,
        p * D * summed + linear,
        p * scale * Gamma * in_gamma,
        p * scale * Xi * in_rho,
    ]


def _binomial(n: int, k: int, like: Any) -> Any:
    """A binomial coefficient in the arithmetic of ``like``."""
    try:
        return rounded(math.comb(n, k)) if isinstance(like, Rounded) else math.comb(n, k)
    except OverflowError:
        raise ArithmeticError(f"p = {n + 1} is too large for float64: reduce p") from None
