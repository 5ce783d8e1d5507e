"""How far the gradient on N images is from the population's, at a symmetric state.

At v = αw* and A in the three-coefficient form the gradient of one image has components g_ij (for
A_ij), g_α (along w*) and, given the features, a Gaussian part orthogonal to w*.  The first two are
bounded, with exact variances V and ranges b, so a mean of N has a gap above

    √(2Vs/N) + bs/(3N)

with probability at most e^{−s} to each side (Bernstein's inequality, solved for the gap); the third
has exactly E‖·‖² = σ²(d−1)E W/N, where σ² is the variance of the noise along a direction.  With
s = log(K/δ), K = 2D(D−1) + 4, all hold at once but for a probability δ.

In: a setting, a state, N, d, σ, δ.  Out: exact moments of one image, bounds on the four gaps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.special import expit

from theory.enumeration import configurations
from theory.reduction import AttentionLevels, attention_levels, set_terms
from theory.setting import Coefficients, Setting

__all__ = [
    "GapBound",
    "GradientMoments",
    "Moments",
    "bernstein_radius",
    "chi_radius",
    "event_count",
    "gap_at",
    "gap_bound",
    "gradient_moments",
    "images_for_association",
    "listed_moments",
]


def _count(name: str, value: object, least: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} = {value!r}: {name} must be an integer >= {least}")
    return int(value)


def _probability(name: str, value: object) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < 1:
        raise ValueError(f"{name} = {value!r}: {name} must be a probability, 0 < {name} < 1")
    return float(value)


@dataclass(frozen=True)
class Moments:
    """Mean, variance and range of one number that an image gives.

    ``largest`` bounds |value − mean| over all images.  Floats, or Fractions where exact.
    """

    mean: Any
    variance: Any
    largest: Any


@dataclass(frozen=True)
class GradientMoments:
    """Moments of the gradient of one image at a symmetric state.

    Attributes
    ----------
    alpha : Moments
        ∂ℓ/∂v·w*.
    gamma, rho : Moments
        ∂ℓ/∂A_ij of one ordered pair inside a set, and across sets.
    noise : Moments
        W = sig(−yF)² D² Σ_j h_j², h_j = Σ_i σ'(O_i) S_ij: given the features, the part of ∂ℓ/∂v
        orthogonal to w* has covariance W times that of the noise of one patch.
    """

    alpha: Moments
    gamma: Moments
    rho: Moments
    noise: Moments


class _Sums:
    """Σ probability × value and × value², and the extremes, gathered piece by piece."""

    def __init__(self) -> None:
        self.mean: Any = 0
        self.square: Any = 0
        self.ends: list[Any] = []

    def add(self, weight: Any, mean: Any, square: Any, values: Any = None) -> None:
        """Conditional means of a value and of its square; ``values``: all it takes, if not one."""
        self.mean += weight @ mean
        self.square += weight @ square
        values = mean if values is None else values
        self.ends += [values.min(), values.max()]

    def moments(self) -> Moments:
        variance = max(self.square - self.mean**2, 0 * self.mean)
        largest = max(max(self.ends) - self.mean, self.mean - min(self.ends))
        return Moments(self.mean, variance, largest)


def listed_moments(
    setting: Setting,
    alpha: Any,
    levels: AttentionLevels,
    factor: Callable[[Any], Any],
    *,
    number: Callable[[Any], Any] = float,
) -> GradientMoments:
    """Moments of −factor(F) ∂F and of W over the configurations of a small setting, label +1.

    Parameters
    ----------
    setting : Setting
        With C ≥ 2, so that there are entries inside sets.
    alpha : float or Fraction
    levels : AttentionLevels
    factor : callable
        In place of sig(−F); takes and returns an array.
    number : callable
        ``float``, or ``Fraction`` for exact moments of a rational ``factor``.

    Raises
    ------
    ValueError
        If C = 1.
    ArithmeticError
        If there are too many configurations to list.
    """
    C, D, p = setting.C, setting.D, setting.p
    if C < 2:
        raise ValueError(f"Setting.C = {C}: C must be >= 2, or no entry of A is inside a set")
    kind = float if number is float else object
    nu, tau, c = number(setting.nu), number(setting.temperature), alpha * D
    n_plus, n_minus, count, probability = configurations(replace(setting, q=number(setting.q)))
    # The signal set is one more type, of which there is one set.
    plus, minus = (np.append(n, x).astype(kind) for n, x in ((n_plus, C), (n_minus, 0)))
    kinds = {1: plus, -1: minus, 0: C - plus - minus}
    set_sum, set_size = plus - minus, plus + minus
    count = np.hstack([count, np.ones((len(count), 1), dtype=count.dtype)])
    total = count @ np.append(n_plus - n_minus, C)
    sums = {name: _Sums() for name in ("alpha", "gamma", "rho", "noise")}
    for T in np.unique(total):
        here, T = total == T, number(int(T))
        sets, weight = count[here].astype(kind), probability[here]
        terms = set_terms(setting, alpha, levels, plus, minus, T, number=number)
        sig = factor(sets @ terms.F)
        slope_alpha = -sig * (sets @ terms.alpha)
        sums["alpha"].add(weight, slope_alpha, slope_alpha**2)

        O, slope = {}, {}
        for x in kinds:
            near = levels.Lambda * x + levels.Gamma * (set_sum - x)
            O[x] = c * (near + levels.Xi * (T - set_sum))
            slope[x] = p * O[x] ** (p - 1) + nu

        # g_ij of a patch i with feature x: sums over j of c x_j − O_i and of its square.
        size = (sets @ set_size)[:, None]
        for name, level, inside in (("gamma", levels.Gamma, True), ("rho", levels.Xi, False)):
            first, second, values = 0, 0, []
            pairs = D * (C - 1) if inside else D * (D - C)
            for x, own in kinds.items():
                if inside:
                    others, sum_, nonzero = C - 1, set_sum - x, set_size - abs(x)
                else:
                    others, sum_, nonzero = D - C, T - set_sum, size - set_size
                first = first + sets @ (own * slope[x] * (c * sum_ - others * O[x]))
                square = c * c * nonzero - 2 * c * sum_ * O[x] + others * O[x] ** 2
                second = second + (sets * (own * slope[x] ** 2 * square)).sum(axis=1)
                for z, of_kind in kinds.items():
                    # The values at pairs that there are: i in a set at hand, and j beside it.
                    seen = of_kind - (x == z) if inside else (sets @ of_kind)[:, None] - of_kind
                    there = (sets > 0) & (own > 0) & (seen > 0)
                    values.append((sig[:, None] * (slope[x] * (O[x] - c * z)))[there])
            unit = level / tau
            sums[name].add(
                weight,
                -sig * first * unit / pairs,
                sig**2 * second * unit**2 / pairs,
                np.concatenate(values) * unit,
            )

        # h_j = near_j + Ξ U: what patch j has of its own set, and its share of all σ'(O_i).
        of_set = sum(own * slope[x] for x, own in kinds.items())
        near = {
            x: (levels.Lambda - levels.Gamma) * slope[x] + (levels.Gamma - levels.Xi) * of_set
            for x in kinds
        }
        U = levels.Xi * (sets @ of_set)
        line = sets @ sum(own * near[x] for x, own in kinds.items())
        square = sets @ sum(own * near[x] ** 2 for x, own in kinds.items())
        W = sig**2 * D**2 * (square + 2 * U * line + D * U**2)
        sums["noise"].add(weight, W, W**2)
    return GradientMoments(**{name: s.moments() for name, s in sums.items()})


def gradient_moments(setting: Setting, state: Coefficients) -> GradientMoments:
    """Moments of the gradient of one image at a state, in float64, by listing a small setting.

    The means of ``alpha``, ``gamma`` and ``rho`` are the population gradient.  Raises as
    :func:`listed_moments`.

    Examples
    --------
    >>> setting = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    >>> moments = gradient_moments(setting, Coefficients(alpha=0.05, gamma=0.5, rho=0.0))
    >>> from theory.population import population_gradient
    >>> exact = population_gradient(setting, Coefficients(alpha=0.05, gamma=0.5, rho=0.0))
    >>> abs(moments.gamma.mean - exact.gamma) < 1e-14, moments.gamma.variance > 0
    (True, True)
    """
    levels = attention_levels(setting, state)
    return listed_moments(setting, float(state.alpha), levels, lambda F: expit(-F))


def bernstein_radius(moments: Moments, N: int, s: float) -> float:
    """√(2Vs/N) + bs/(3N): a mean of N exceeds its expectation by more with probability ≤ e^{−s}.

    Examples
    --------
    >>> bernstein_radius(Moments(mean=0.0, variance=1.0, largest=3.0), N=100, s=2.0)
    0.22
    """
    return math.sqrt(2 * float(moments.variance) * s / N) + float(moments.largest) * s / (3 * N)


def chi_radius(dimension: int, s: float) -> float:
    """√k + √(2s): a standard Gaussian vector of R^k is longer with probability at most e^{−s}."""
    return math.sqrt(dimension) + math.sqrt(2 * s)


def event_count(setting: Setting) -> int:
    """K = 2D(D−1) + 4: two sides for g_α and each entry of A, one for W and one for the length."""
    return 2 * setting.D * (setting.D - 1) + 4


@dataclass(frozen=True)
class GapBound:
    """Bounds on |ĝ_α − g_α|, on max|ĝ_ij − g_ij| inside sets and across, and on ‖ĝ_⊥‖."""

    alpha: float
    gamma: float
    rho: float
    off_axis: float

    @property
    def A(self) -> float:
        """Of the largest gap over all entries of A off the diagonal."""
        return max(self.gamma, self.rho)

    @property
    def v(self) -> float:
        """Of the length of the gap in v."""
        return math.hypot(self.alpha, self.off_axis)


def gap_at(moments: GradientMoments, N: int, d: int, noise_std: float, s: float) -> GapBound:
    """Bounds of which each of K events (:func:`event_count`) fails with probability ≤ e^{−s}."""
    W = moments.noise.mean + bernstein_radius(moments.noise, N, s)
    return GapBound(
        alpha=bernstein_radius(moments.alpha, N, s),
        gamma=bernstein_radius(moments.gamma, N, s),
        rho=bernstein_radius(moments.rho, N, s),
        # In one dimension the patches have no noise.
        off_axis=noise_std * math.sqrt(W / N) * chi_radius(d - 1, s) if d > 1 else 0.0,
    )


def gap_bound(
    setting: Setting,
    state: Coefficients,
    N: int,
    d: int,
    failure: float,
    *,
    noise_std: float | None = None,
    moments: GradientMoments | None = None,
) -> GapBound:
    """Bounds on the gap of the gradient of N images that fail together with probability ≤ failure.

    Parameters
    ----------
    setting : Setting
    state : Coefficients
    N, d : int
        Number of images, dimension of a patch.
    failure : float
        δ, the probability allowed for any of the four bounds to fail.
    noise_std : float, optional
        Standard deviation of the Gaussian noise along each direction of w*⊥; 1/√d by default.
    moments : GradientMoments, optional
        Of this state, where they are known already.

    Raises
    ------
    ValueError, ArithmeticError
        If an argument is not allowed, or as in :func:`gradient_moments`.

    Examples
    --------
    >>> setting = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    >>> state = Coefficients(alpha=0.05, gamma=0.5, rho=0.0)
    >>> bound = gap_bound(setting, state, N=10_000, d=16, failure=0.05)
    >>> bound.rho < bound.gamma, bound.alpha < 1
    (True, True)
    """
    N, d = _count("N", N, 1), _count("d", d, 1)
    noise_std = 1 / math.sqrt(d) if noise_std is None else float(noise_std)
    s = math.log(event_count(setting) / _probability("failure", failure))
    return gap_at(moments or gradient_moments(setting, state), N, d, noise_std, s)


def images_for_association(
    setting: Setting, state: Coefficients, failure: float, *, moments: GradientMoments | None = None
) -> int:
    """Number of images whose gradient tells every set apart, but for a probability ``failure``.

    The least N with ε_γ + ε_ρ < g_ρ − g_γ, where ε = √(2Vs/N) + bs/(3N), s = log(2D(D−1)/δ): then
    every −ĝ_ij inside a set exceeds every one across, and a step from γ = ρ associates.

    Raises
    ------
    ArithmeticError
        If the population gradient does not favour the own set: no number of images will do.
    """
    moments = moments or gradient_moments(setting, state)
    s = math.log(2 * setting.D * (setting.D - 1) / _probability("failure", failure))
    gap = moments.rho.mean - moments.gamma.mean
    if gap <= 0:
        raise ArithmeticError(
            f"g_rho - g_gamma = {gap:.3g}: the population gradient does not favour the own set"
        )
    # With z = √(s/N): z √2 (√V_γ + √V_ρ) + z² (b_γ + b_ρ)/3 = gap.
    line = math.sqrt(2 * moments.gamma.variance) + math.sqrt(2 * moments.rho.variance)
    curve = (moments.gamma.largest + moments.rho.largest) / 3
    z = 2 * gap / (line + math.sqrt(line * line + 4 * curve * gap))
    return math.floor(s / z**2) + 1
