"""The exact expectation by listing every configuration: the slow method that cannot be wrong.

Given its type, the order of a set's patches does not matter, and neither does the order of the
sets: a sample of label +1 is a multiset of L − 1 types, with its multinomial probability.  There
are binom(L − 2 + K, K − 1) of them for K types.  In floating point this checks the quadrature; in
rational arithmetic it gives exact values wherever the factor of F is rational.
In: a setting and a state (or rational levels).  Out: an expectation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import chain, combinations

import numpy as np
from scipy.special import expit

from theory.data.law import set_types
from theory.expectation.result import Expectation
from theory.expectation.rows import Part
from theory.setting import Coefficients, Setting
from theory.symmetry.levels import AttentionLevels
from theory.symmetry.terms import float_terms, set_terms

__all__ = [
    "configuration_count",
    "configurations",
    "expectation_by_enumeration",
    "rational_slope",
]

MOST_CONFIGURATIONS = 2_000_000
_EPS, _TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)


def configuration_count(setting: Setting) -> int:
    """Number of multisets of L − 1 types that have positive probability.

    Examples
    --------
    >>> configuration_count(Setting(L=3, C=2, q=0.5, p=3, nu=0.0, sigma_A=1.0))
    21
    """
    possible = int(np.count_nonzero(set_types(setting).probability))
    return math.comb(setting.L - 2 + possible, possible - 1)


def configurations(
    setting: Setting, *, floats: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every multiset of types of the L − 1 random sets, with its probability.

    Parameters
    ----------
    setting : Setting
    floats : bool
        Whether probabilities are float64 even if q is rational.

    Returns
    -------
    n_plus, n_minus : ndarray of int, shape (K,)
        The types of positive probability.
    count : ndarray of int, shape (M, K)
        How many sets have each type; rows sum to L − 1.
    probability : ndarray, shape (M,)
        Fractions if q is rational (``int`` or ``Fraction``) and ``floats`` is not set, else
        floats.

    Raises
    ------
    ArithmeticError
        If there are more than two million configurations.
    """
    number = configuration_count(setting)
    if number > MOST_CONFIGURATIONS:
        raise ArithmeticError(
            f"L = {setting.L}, C = {setting.C} has {number} configurations, too many to enumerate "
            f"(at most {MOST_CONFIGURATIONS}): use method='quadrature'"
        )
    types = set_types(setting)
    possible = types.probability > 0
    weight = types.probability[possible].astype(float if floats else types.probability.dtype)
    others, kinds = setting.L - 1, len(weight)

    # Stars and bars: kinds − 1 bars among others + kinds − 1 places, the gaps are the counts.
    places = others + kinds - 1
    bars = np.fromiter(
        chain.from_iterable(combinations(range(places), kinds - 1)), dtype=np.intp
    ).reshape(number, kinds - 1)
    edge = np.ones((number, 1), dtype=np.intp)
    count: np.ndarray = np.diff(np.hstack([-edge, bars, places * edge])) - 1

    exact = weight.dtype == object
    one = Fraction(1) if exact else 1.0
    probability = np.full(number, one, dtype=object if exact else float)
    placed = np.zeros(number, dtype=np.intp)
    for kind in range(kinds):
        placed += count[:, kind]
        # A table over (placed, count): binom(placed, count) weight^count, exact when q is.
        table = np.array(
            [
                [math.comb(m, k) * weight[kind] ** k for k in range(others + 1)]
                for m in range(others + 1)
            ],
            dtype=probability.dtype,
        )
        probability = probability * table[placed, count[:, kind]]
    return types.n_plus[possible], types.n_minus[possible], count, probability


def expectation_by_enumeration(setting: Setting, state: Coefficients) -> Expectation:
    """Loss and gradient by summing over every configuration, in float64.

    Parameters
    ----------
    setting : Setting
    state : Coefficients

    Returns
    -------
    Expectation
        Its errors bound the rounding; nothing else is approximated.

    Raises
    ------
    ArithmeticError
        If there are too many configurations, or F overflows float64.

    Examples
    --------
    >>> setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    >>> round(expectation_by_enumeration(setting, Coefficients(0.3, 0.5, -0.1)).loss, 12)
    0.19624203485
    """
    value, error = np.zeros(7), np.zeros(4)
    n_plus, n_minus, counts, chance = configurations(setting, floats=True)
    total = setting.C + counts @ (n_plus - n_minus)
    totals, place = np.unique(total, return_inverse=True)
    # The signal set is one more type, of which there is one set.
    kinds = np.append(n_plus, setting.C)[:, None], np.append(n_minus, 0)[:, None]
    tables = [np.array(terms) for terms in float_terms(setting, state, *kinds, totals)]
    # Relative rounding of products of L probabilities, and of sums over configurations.
    adding = _EPS * (64 + 4 * (setting.L + len(n_plus)))
    for k in range(len(totals)):
        sets, errors = (table[:, :, k] for table in tables)
        count, probability = counts[place == k], chance[place == k]
        count = np.pad(count, ((0, 0), (0, 1)), constant_values=1)
        sums, sizes = sets @ count.T, np.abs(sets) @ count.T
        unsure = errors @ count.T + _EPS * (2 + len(n_plus)) * sizes
        F, unsure_F, slope = sums[Part.F], unsure[Part.F], expit(-sums[Part.F])
        loss = np.logaddexp(0, -F)
        # An error d of F moves log sig(−F) by less than d sig(F) e^d, and sig(−F) by less than 1.
        d = np.minimum(unsure_F, 1.0)
        moved = np.where(d < 1, slope * np.expm1(d * np.minimum(1, expit(F) * np.exp(d))), 1.0)

        slopes, steepness, unsure_slopes = (x[Part.SLOPES] for x in (sums, sizes, unsure))
        value[Part.LOSS] += (probability * loss).sum()
        value[Part.SLOPES] += (probability * slope * slopes).sum(axis=1)
        value[Part.SIZES] += (probability * slope * steepness).sum(axis=1)
        error[Part.LOSS] += (probability * (adding * loss + unsure_F * (slope + moved))).sum()
        each = slope * (unsure_slopes + adding * steepness)
        error[Part.SLOPES] += (probability * each).sum(axis=1)
        error[Part.SLOPES] += (probability * moved * steepness).sum(axis=1)
        # What underflows in a sigmoid, or in its product with a probability.
        error[Part.LOSS] += _TINY * (1 + sizes[Part.F].max())
        error[Part.SLOPES] += _TINY * steepness.max(axis=1)

    return Expectation.of_sums(value, error)


def rational_slope(
    setting: Setting,
    alpha: Fraction,
    levels: AttentionLevels,
    factor: Callable[[Fraction], Fraction],
) -> Coefficients[Fraction]:
    """E[factor(F) ∂F] exactly, in rational arithmetic.

    With ``factor`` = 1/2 this is −(population gradient) at the start of training, where the sigmoid
    is ½; with another rational function of F it is the gradient of another loss of the margin.

    Parameters
    ----------
    setting : Setting
        Its q, ν and temperature are taken as the rationals they are, floats included.
    alpha : Fraction
    levels : AttentionLevels
        Rational Λ, Γ, Ξ.
    factor : callable
        Takes and returns a Fraction.

    Returns
    -------
    Coefficients
        Of Fractions.

    Examples
    --------
    >>> setting = Setting(L=2, C=1, q=Fraction(1, 2), p=3, nu=0, sigma_A=0)
    >>> uniform = AttentionLevels(*[Fraction(1, 2)] * 3)
    >>> rational_slope(setting, Fraction(1), uniform, lambda F: Fraction(1, 2)).alpha
    Fraction(15, 2)
    """
    setting = replace(setting, q=Fraction(setting.q))
    sums = [Fraction(0)] * 3
    n_plus, n_minus, counts, chance = configurations(setting)
    types = (n_plus.astype(object), n_minus.astype(object))
    total = setting.C + counts @ (n_plus - n_minus)
    for T in np.unique(total).tolist():
        count, probability = counts[total == T], chance[total == T]
        of_signal = set_terms(setting, alpha, levels, setting.C, 0, T, number=Fraction)
        of_set = set_terms(setting, alpha, levels, *types, T, number=Fraction)
        F, *slopes = (count.astype(object) @ x + y for x, y in zip(of_set, of_signal, strict=True))
        weight = probability * np.array([factor(x) for x in F], dtype=object)
        sums = [x + (weight * slope).sum() for x, slope in zip(sums, slopes, strict=True)]
    return Coefficients(*sums)
