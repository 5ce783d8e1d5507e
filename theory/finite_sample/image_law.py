"""The gradient of one image at a symmetric state: its exact law.

At v = αw* and A in the three-coefficient form the network does not see the noise, so that g_ij
(for A_ij), g_α (along w*) and W, the factor of the noise in the rest of ∂ℓ/∂v, are functions of the
features alone, of finitely many values.  Each configuration of set types gives a row: probability,
mean and mean square of the numbers of a kind, the least and the largest of them.  Moments are sums
over rows; images whose numbers are large and rare can be cut off.

In: a small setting (its configurations are listed) and a state.  Out: a :class:`GradientLaw`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit

from theory.expectation.enumeration import configurations
from theory.inputs import Number
from theory.setting import Coefficients, Setting
from theory.symmetry.levels import AttentionLevels, attention_levels
from theory.symmetry.terms import set_terms

__all__ = [
    "GradientLaw",
    "GradientMoments",
    "ImageLaw",
    "Moments",
    "gradient_law",
    "listed_gradients",
]


@dataclass(frozen=True)
class Moments:
    """Mean of a number that an image gives, and variance and range of the number cut off at 0.

    Attributes
    ----------
    mean : float or Fraction
        Of the number itself.
    variance, largest : float or Fraction
        Of the number put to 0 on the rare images: its variance, and the largest distance from its
        mean.
    shift : float or Fraction
        How far that mean is from ``mean``: 0 where nothing is cut off.
    """

    mean: Number
    variance: Number
    largest: Number
    shift: Number = 0


@dataclass(frozen=True, eq=False)
class ImageLaw:
    """Law over images of one number, or of the numbers of one kind: a row for each configuration.

    Attributes
    ----------
    weight : ndarray, shape (M,)
        Probabilities.
    first, second : ndarray, shape (M,)
        Mean and mean square of the numbers of the kind.
    low, high : ndarray, shape (M,)
        The least and the largest of them.
    """

    weight: np.ndarray
    first: np.ndarray
    second: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @cached_property
    def _cut(self) -> tuple[np.ndarray, ...]:
        """What is lost, and what range is left, by how many of the largest are cut off."""
        order = np.argsort(-np.maximum(np.abs(self.low), np.abs(self.high)), kind="stable")
        weight = self.weight[order]
        lost = (np.cumsum(weight * x) for x in (1, self.first[order], self.second[order]))
        least = np.minimum.accumulate(self.low[order][::-1])[::-1]
        most = np.maximum.accumulate(self.high[order][::-1])[::-1]
        return *lost, least, most

    def moments(self, rare: float = 0.0) -> Moments:
        """Moments with images of probability at most ``rare`` cut off, those of largest numbers."""
        mean, square = self.weight @ self.first, self.weight @ self.second
        low, high, shift = self.low.min(), self.high.max(), 0 * mean
        if rare > 0:
            lost, lost_first, lost_second, least, most = self._cut
            number = int(np.searchsorted(lost, rare, side="right"))
            if number == len(lost):
                raise ArithmeticError(
                    f"rare = {rare}: images of that probability are all there are"
                )
            if number:
                shift, square = lost_first[number - 1], square - lost_second[number - 1]
                low, high = min(least[number], 0.0), max(most[number], 0.0)
        centre = mean - shift
        variance = max(square - centre**2, 0 * mean)
        return Moments(mean, variance, max(high - centre, centre - low), abs(shift))


@dataclass(frozen=True)
class GradientMoments:
    """Moments of the gradient of one image; fields as in :class:`GradientLaw`."""

    alpha: Moments
    gamma: Moments
    rho: Moments
    noise: Moments


@dataclass(frozen=True, eq=False)
class GradientLaw:
    """Law of the gradient of one image at a symmetric state.

    Attributes
    ----------
    alpha : ImageLaw
        Of ∂ℓ/∂v·w*.
    gamma, rho : ImageLaw
        Of the entries ∂ℓ/∂A_ij of ordered pairs inside a set, and across sets.
    noise : ImageLaw
        Of W = sig(−yF)² D² Σ_j h_j², h_j = Σ_i σ'(O_i) S_ij: given the features, the part of ∂ℓ/∂v
        orthogonal to w* has covariance W times that of the noise of one patch.
    """

    alpha: ImageLaw
    gamma: ImageLaw
    rho: ImageLaw
    noise: ImageLaw

    def moments(self, rare: float = 0.0) -> GradientMoments:
        """As :meth:`ImageLaw.moments`, for each kind."""
        names = ("alpha", "gamma", "rho", "noise")
        return GradientMoments(**{name: getattr(self, name).moments(rare) for name in names})


class _Rows:
    """The rows of an :class:`ImageLaw`, gathered piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[tuple[Any, ...]] = []

    def add(self, weight: Any, first: Any, second: Any, low: Any = None, high: Any = None) -> None:
        alone = low is None
        self.pieces.append((weight, first, second, *((first, first) if alone else (low, high))))

    def law(self) -> ImageLaw:
        return ImageLaw(*(np.concatenate(column) for column in zip(*self.pieces, strict=True)))


def listed_gradients(
    setting: Setting,
    alpha: Any,
    levels: AttentionLevels,
    factor: Callable[[Any], Any],
    *,
    number: Callable[[Any], Any] = float,
) -> GradientLaw:
    """Law of −factor(F) ∂F and of W over the configurations of a small setting, label +1.

    Parameters
    ----------
    setting : Setting
        With C ≥ 2, so that there are entries inside sets.
    alpha : float or Fraction
    levels : AttentionLevels
    factor : callable
        In place of sig(−F); takes and returns an array.
    number : callable
        ``float``, or ``Fraction`` for the exact law with a rational ``factor``.

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
    rows = {name: _Rows() for name in ("alpha", "gamma", "rho", "noise")}
    for T in np.unique(total):
        here, T = total == T, number(int(T))
        sets, weight = count[here].astype(kind), probability[here]
        terms = set_terms(setting, alpha, levels, plus, minus, T, number=number)
        sig = factor(sets @ terms.F)
        slope_alpha = -sig * (sets @ terms.alpha)
        rows["alpha"].add(weight, slope_alpha, slope_alpha**2)

        O, slope = {}, {}
        for x in kinds:
            near = levels.Lambda * x + levels.Gamma * (set_sum - x)
            O[x] = c * (near + levels.Xi * (T - set_sum))
            slope[x] = p * O[x] ** (p - 1) + nu

        # g_ij of a patch i with feature x: sums over j of c x_j − O_i and of its square.
        size = (sets @ set_size)[:, None]
        for name, level, inside in (("gamma", levels.Gamma, True), ("rho", levels.Xi, False)):
            first, second, low, high = 0, 0, np.full(len(sig), np.inf), np.full(len(sig), -np.inf)
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
                    values = np.broadcast_to(slope[x] * (O[x] - c * z), there.shape)
                    low = np.minimum(low, np.where(there, values, np.inf).min(axis=1))
                    high = np.maximum(high, np.where(there, values, -np.inf).max(axis=1))
            unit = level / tau
            first, second = -sig * first * unit / pairs, sig**2 * second * unit**2 / pairs
            rows[name].add(weight, first, second, sig * low * unit, sig * high * unit)

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
        rows["noise"].add(weight, W, W**2)
    return GradientLaw(**{name: found.law() for name, found in rows.items()})


def gradient_law(setting: Setting, state: Coefficients) -> GradientLaw:
    """Law of the gradient of one image at a state, in float64, by listing a small setting.

    The means of ``alpha``, ``gamma`` and ``rho`` are the population gradient.  Raises as
    :func:`listed_gradients`.

    Examples
    --------
    >>> setting = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    >>> law = gradient_law(setting, Coefficients(alpha=0.05, gamma=0.5, rho=0.0))
    >>> whole, cut = law.moments(), law.moments(rare=1e-3)
    >>> from theory.expectation.population import population_gradient
    >>> exact = population_gradient(setting, Coefficients(alpha=0.05, gamma=0.5, rho=0.0))
    >>> bool(abs(whole.gamma.mean - exact.gamma) < 1e-14)
    True
    >>> bool(cut.alpha.largest < whole.alpha.largest)
    True
    """
    levels = attention_levels(setting, state)
    return listed_gradients(setting, float(state.alpha), levels, lambda F: expit(-F))
