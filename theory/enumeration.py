"""The exact expectation by listing every configuration: the slow method that cannot be wrong.

Given its type, the order of a set's patches does not matter, and neither does the order of the
sets: a sample of label +1 is a multiset of L − 1 types, with its multinomial probability.  There
are binom(L − 2 + K, K − 1) of them for K types.  In floating point this checks the quadrature; in
rational arithmetic it gives exact values wherever the factor of F is rational.
In: a setting and a state (or rational levels).  Out: an expectation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain, combinations
from typing import Any

import numpy as np
from scipy.special import expit

from theory.distribution import set_types
from theory.expectation import Expectation
from theory.reduction import AttentionLevels, attention_levels, relative_rounding, set_terms
from theory.setting import Coefficients, Setting

__all__ = [
    "configuration_count",
    "configurations",
    "expectation_by_enumeration",
    "rational_slope",
]

MOST_CONFIGURATIONS = 2_000_000
_NAMES = ("F", "alpha", "gamma", "rho")


def configuration_count(setting: Setting) -> int:
    """Number of multisets of L − 1 types that have positive probability.

    Examples
    --------
    >>> configuration_count(Setting(L=3, C=2, q=0.5, p=3, nu=0.0, sigma_A=1.0))
    21
    """
    possible = int(np.count_nonzero(set_types(setting).probability))
    return math.comb(setting.L - 2 + possible, possible - 1)


def configurations(setting: Setting) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every multiset of types of the L − 1 random sets, with its probability.

    Returns
    -------
    n_plus, n_minus : ndarray of int, shape (K,)
        The types of positive probability.
    count : ndarray of int, shape (M, K)
        How many sets have each type; rows sum to L − 1.
    probability : ndarray, shape (M,)
        Fractions if q is rational (``int`` or ``Fraction``), floats otherwise.

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
    weight = types.probability[possible]
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


def _by_total(setting: Setting) -> Iterator[tuple[int, np.ndarray, np.ndarray, Any, Any]]:
    """Configurations grouped by T: (T, counts, probabilities, n₊, n₋)."""
    n_plus, n_minus, count, probability = configurations(setting)
    total = setting.C + count @ (n_plus - n_minus)
    for T in np.unique(total):
        chosen = total == T
        yield int(T), count[chosen], probability[chosen], n_plus, n_minus


def expectation_by_enumeration(setting: Setting, state: Coefficients) -> Expectation:
    """Loss and gradient by summing over every configuration, in float64.

    Parameters
    ----------
    setting : Setting
    state : Coefficients

    Returns
    -------
    Expectation
        Its errors are estimates of rounding; nothing else is approximated.

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
    in_floats = replace(setting, q=float(setting.q))
    levels, alpha = attention_levels(setting, state), float(state.alpha)
    value, error = np.zeros(7), np.zeros(4)
    for T, count, probability, n_plus, n_minus in _by_total(in_floats):
        with np.errstate(over="ignore", invalid="ignore"):
            # As float64 of numpy, which overflows to infinity where a Python float would raise.
            total, C = np.float64(T), np.float64(setting.C)
            of_set = set_terms(
                setting, alpha, levels, n_plus * 1.0, n_minus * 1.0, total, number=float
            )
            of_signal = set_terms(setting, alpha, levels, C, 0.0, total, number=float)
        sets = np.array([getattr(of_set, name) for name in _NAMES])
        signal = np.array([getattr(of_signal, name) for name in _NAMES])
        if not (np.isfinite(sets).all() and np.isfinite(signal).all()):
            raise ArithmeticError(f"F overflows float64 at alpha = {alpha:.3g}: reduce alpha")
        sums = sets @ count.T + signal[:, None]
        sizes = np.abs(sets) @ count.T + np.abs(signal)[:, None]
        F, slope, weight = sums[0], expit(-sums[0]), probability * expit(-sums[0])
        loss = probability * np.logaddexp(0, -F)
        value[0] += loss.sum()
        value[1:4] += sums[1:] @ weight
        value[4:] += sizes[1:] @ weight
        # Each F carries the rounding of its summands, which moves sig(−F) by sig(F) of itself.
        unsure = setting.L + sizes[0] * (1 - slope)
        error[0] += (loss * setting.L + weight * sizes[0]).sum()
        error[1:] += sizes[1:] @ (weight * unsure)
    error *= relative_rounding(setting, state)

    loss, *slope = value[:4].tolist()
    return Expectation(
        loss=loss,
        gradient=Coefficients(*(-x for x in slope)),
        scale=Coefficients(*value[4:].tolist()),
        loss_error=float(error[0]),
        gradient_error=Coefficients(*error[1:].tolist()),
    )


def rational_slope(
    setting: Setting,
    alpha: Fraction,
    levels: AttentionLevels,
    factor: Callable[[Fraction], Fraction],
) -> Coefficients:
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
    for T, count, probability, n_plus, n_minus in _by_total(setting):
        of_signal = set_terms(setting, alpha, levels, setting.C, 0, T, number=Fraction)
        types = (n_plus.astype(object), n_minus.astype(object))
        of_set = set_terms(setting, alpha, levels, *types, T, number=Fraction)
        F = count.astype(object) @ of_set.F + of_signal.F
        weight = probability * np.array([factor(x) for x in F], dtype=object)
        for row, name in enumerate(_NAMES[1:]):
            each = count.astype(object) @ getattr(of_set, name) + getattr(of_signal, name)
            sums[row] += (weight * each).sum()
    return Coefficients(*sums)
