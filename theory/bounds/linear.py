"""Generalized linear models g(X) = φ(Σ_j ⟨w_j, X_j⟩) and Theorem B, with exact errors.

Of the weights only c_j = ⟨w_j, w*⟩ multiplies features, and U = Σ_j c_j x_j.  Theorem B (a
finite-size form of Theorem 3.1 of the paper): for monotone φ and any weights

    Pr[y g ≤ 0] ≥ ½ [1 − (C + Σ_{m=1}^n λ_q(m)) / L],    λ_q(m) = Pr(Y_m ∈ {0, 1}),

Y_m a sum of m independent features.  λ_q(m) is the largest probability that m lazy signs with
coefficients at least a in size can put on a half-open window of length 2a (after Erdős, Littlewood
and Offord).  For other φ this fails: c_j = 3^j makes U spell out all features.

In: a setting, or weights with a partition and q.  Out: λ_q and the bound; the exact least error of
given weights over all monotone, or over all, φ.  Exact rationals where q and the weights are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from theory.bounds.invariant import LabelMass
from theory.data.law import f_star
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.inputs import Number, integer, real
from theory.setting import Setting

__all__ = [
    "any_rule_error",
    "decoding_disagreement",
    "largest_window",
    "linear_law",
    "monotone_bound",
    "monotone_error",
    "sum_disagreement",
    "window_probabilities",
]


def _exact_or_float(q: Number) -> Fraction | float:
    rate = real("q", q, least=0, most=1)
    return rate if isinstance(rate, float) else Fraction(rate)


def _in_common_units(numbers: Sequence[Number]) -> tuple[list[int], int]:
    """Integers k and a unit u with k/u the numbers, floats as the rationals that they are.

    Sums of integers do not depend on their order: rounding neither splits a tie nor makes one.
    """
    exact = [Fraction(real("weight", number)) for number in numbers]
    unit = math.lcm(*(number.denominator for number in exact))
    return [int(number * unit) for number in exact], unit


def window_probabilities(q: Number, n: int) -> list[Number]:
    """λ_q(m) = Pr(Y_m ∈ {0, 1}) for m = 0, …, n, where Y_m is a sum of m independent features.

    Parameters
    ----------
    q : Fraction, int or float
        A feature is +1 or −1 with probability q/2 each, else 0.
    n : int

    Returns
    -------
    list of Fraction or of float, length n + 1
        Nonincreasing in m and in q; at most √(2/(π q m)) where q ≤ ½.

    Examples
    --------
    >>> print(*window_probabilities(1, 5))
    1 1/2 1/2 3/8 3/8 5/16
    """
    rate, n = _exact_or_float(q), integer("n", n, least=0)
    if isinstance(rate, Fraction):
        a, unit = rate.numerator, 2 * rate.denominator
        step: np.ndarray = np.array([a, unit - 2 * a, a], dtype=object)
        law: np.ndarray = np.array([1], dtype=object)
    else:
        unit, step, law = 1, np.array([rate / 2, 1 - rate, rate / 2]), np.ones(1)
    values: list[Number] = []
    for m in range(n + 1):
        near = law[m : m + 2].sum()  # index m holds the value 0
        values.append(Fraction(near, unit**m) if isinstance(rate, Fraction) else float(near))
        law = np.convolve(law, step)
    return values


def monotone_bound(setting: Setting) -> Number:
    """½[1 − (C + Σ_{m=1}^n λ_q(m))/L], the lower bound of Theorem B; says nothing if negative.

    Examples
    --------
    >>> print(monotone_bound(Setting(L=3, C=1, q=1, p=3, nu=0, sigma_A=1)))
    1/6
    """
    total = setting.C + sum(window_probabilities(setting.q, setting.n)[1:])
    return (1 - total / Fraction(setting.L)) / 2


def _sum_law(coefficients: Sequence[int], q: Fraction | float) -> dict[int, Number]:
    """Law of Σ c_j δ_j for independent features δ_j."""
    law: dict[int, Number] = {0: 1 + 0 * q}
    for c in coefficients:
        longer: dict[int, Number] = defaultdict(int)
        for u, probability in law.items():
            for step, weight in ((c, q / 2), (-c, q / 2), (0, 1 - q)):
                if weight:
                    longer[u + step] += probability * weight
        law = longer
    return dict(law)


def largest_window(coefficients: Sequence[Number], q: Number, width: Number) -> Number:
    """sup over t of Pr(t ≤ Σ c_j δ_j < t + width): the largest mass of a half-open window.

    Examples
    --------
    Three signs of size at least 1, a window of length 2: at most λ_1(3) = 3/8.

    >>> print(largest_window([1, 1, 1], 1, 2), largest_window([1, 2, 4], 1, 2))
    3/8 1/8
    """
    (*whole, length), _ = _in_common_units([*coefficients, real("width", width, above=0)])
    law = _sum_law(whole, _exact_or_float(q))
    return max(sum(p for u, p in law.items() if t <= u < t + length) for t in law)


def linear_law(
    weights: Sequence[Number], partition: Partition, q: Number
) -> dict[Fraction, LabelMass]:
    """Joint law of U = Σ_j c_j x_j and the label, by the exact values of U.

    Parameters
    ----------
    weights : sequence of int, Fraction or float, length D
        c_j = ⟨w_j, w*⟩; a float is the rational that it is, so that equal sums stay one value.
    partition : Partition
    q : Fraction, int or float

    Raises
    ------
    ValueError
        If there are not D weights, or one is not a finite number.
    """
    if len(weights) != partition.D:
        raise ValueError(f"{len(weights)} weights: weights must be {partition.D}, one for a patch")
    rate, (whole, unit) = _exact_or_float(q), _in_common_units(weights)
    mass: dict[int, list[Number]] = defaultdict(lambda: [0 * rate, 0 * rate])
    for members in partition.sets:
        signal = sum(whole[j] for j in members)
        others = [whole[j] for j in range(partition.D) if j not in members]
        for u, probability in _sum_law(others, rate).items():
            mass[u + signal][0] += probability / (2 * partition.L)
            mass[u - signal][1] += probability / (2 * partition.L)
    return {Fraction(u, unit): LabelMass(*pair) for u, pair in mass.items()}


def monotone_error(weights: Sequence[Number], partition: Partition, q: Number) -> Number:
    """The least Pr[y g ≤ 0] over all nondecreasing φ, for given weights.

    A monotone φ is positive exactly above a threshold; all thresholds are tried.

    Examples
    --------
    >>> print(monotone_error([1, 1, 1, 1, 1, 1], Partition.contiguous(3, 2), Fraction(1, 2)))
    23/256
    """
    law = linear_law(weights, partition, q)
    # With no u answered +1 the error is ½; u joins from the top, right on + and wrong on −.
    error: Number = Fraction(1, 2)
    least = error
    for u in sorted(law, reverse=True):
        error = error - law[u].plus + law[u].minus
        least = min(least, error)
    return least


def any_rule_error(weights: Sequence[Number], partition: Partition, q: Number) -> Number:
    """The least Pr[y g ≤ 0] over all functions φ, monotone or not, for given weights.

    Examples
    --------
    Powers of 3 spell out every feature, and leave the Bayes error.

    >>> weights = [3**j for j in range(6)]
    >>> print(any_rule_error(weights, Partition.contiguous(3, 2), Fraction(1, 2)))
    15/256
    """
    return sum(min(mass) for mass in linear_law(weights, partition, q).values())


def _disagreement(partition: Partition, q: Number, rule: dict[tuple[int, ...], int]) -> Number:
    total = Fraction(0)
    features = list(rule)
    labels = dict(zip(features, f_star(features, partition).tolist(), strict=True))
    for sample in enumerate_samples(partition, q):
        if labels[sample.delta] * rule[sample.delta] <= 0:
            total += sample.probability
    return total


def _support(partition: Partition, q: Number) -> list[tuple[int, ...]]:
    return list({sample.delta for sample in enumerate_samples(partition, q)})


def decoding_disagreement(partition: Partition, q: Number) -> Number:
    """Pr[f* g ≤ 0] for the generalized linear model with w_j = 3^j w* and a decoding φ.

    U = Σ_j 3^j x_j determines all features (balanced ternary), and φ(U) is f* of them: g = f*, and
    only its ties count.

    Examples
    --------
    >>> print(decoding_disagreement(Partition.contiguous(3, 2), Fraction(1, 2)))
    7/64
    """
    rows = _support(partition, q)
    codes = {sum(3**j * x for j, x in enumerate(row)): row for row in rows}
    assert len(codes) == len(rows), "two images of one code: not a function of U"
    values = f_star(list(codes.values()), partition).tolist()
    phi = dict(zip(codes, values, strict=True))
    rule = {row: phi[sum(3**j * x for j, x in enumerate(row))] for row in rows}
    return _disagreement(partition, q, rule)


def sum_disagreement(partition: Partition, q: Number) -> Number:
    """Pr[f* g ≤ 0] for the plain sum g = Σ_j ⟨w*, X_j⟩: all w_j = w*, φ the identity.

    Examples
    --------
    >>> print(sum_disagreement(Partition.contiguous(2, 2), Fraction(1, 2)))
    1/16
    """
    rule = {row: sum(row) for row in _support(partition, q)}
    return _disagreement(partition, q, rule)
