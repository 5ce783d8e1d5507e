"""Theorem B: the window lemma, λ_q, the bound, and the ways in which less careful wording fails."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rational_settings

from theory.bounds.linear import (
    any_rule_error,
    decoding_disagreement,
    largest_window,
    linear_law,
    monotone_bound,
    monotone_error,
    sum_disagreement,
    window_probabilities,
)
from theory.data.law import bayes_error, f_star_error, invariant_error
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.setting import Setting

rates = st.sampled_from([Fraction(k, 10) for k in range(11)])
HALF = Fraction(1, 2)


def data_law(L: int, C: int, q: object) -> Setting:
    return Setting(L=L, C=C, q=q, p=3, nu=0, sigma_A=1)


# --- λ_q and the window lemma ---------------------------------------------------------------------


@given(rates, st.integers(0, 6))
def test_window_probability_is_that_of_listed_features(q: Fraction, m: int) -> None:
    weight = {0: 1 - q, 1: q / 2, -1: q / 2}
    listed = sum(
        math.prod((weight[x] for x in row), start=Fraction(1))
        for row in product(weight, repeat=m)
        if sum(row) in (0, 1)
    )
    assert window_probabilities(q, m)[m] == listed


@given(rates, st.integers(1, 20))
def test_window_probabilities_fall_in_m_and_q(q: Fraction, n: int) -> None:
    values = window_probabilities(q, n)
    assert values[0] == 1
    assert all(a >= b for a, b in pairwise(values))
    if q < 1:
        higher = window_probabilities(q + Fraction(1, 10), n)
        assert all(a >= b for a, b in zip(values, higher, strict=True))


@given(st.fractions(Fraction(1, 50), HALF), st.integers(1, 60))
def test_gaussian_bound_of_window_probabilities(q: Fraction, n: int) -> None:
    # λ² ≤ 2/(π q m), with π replaced by a number above it so that the comparison stays exact.
    pi = Fraction(355, 113)
    for m, value in enumerate(window_probabilities(q, n)[1:], start=1):
        assert value**2 <= 2 / (pi * q * m)


def test_the_gaussian_bound_is_sharp_in_the_limit() -> None:
    value = window_probabilities(0.5, 2000)[-1]
    assert 0.999 < value / math.sqrt(2 / (math.pi * 0.5 * 2000)) <= 1


@given(rates, st.lists(st.integers(2, 9), max_size=7), st.integers(0, 3))
def test_no_window_holds_more_than_the_lemma_says(
    q: Fraction, sizes: list[int], others: int
) -> None:
    bound = window_probabilities(q, len(sizes))[-1]
    smallest = min(sizes, default=1)
    # Further features of any size cannot help.
    assert largest_window([*sizes, *range(1, others + 1)], q, 2 * smallest) <= bound
    assert largest_window([1] * len(sizes), q, 2) == bound


def test_a_wider_window_breaks_the_lemma() -> None:
    assert largest_window([1, 1, 1], 1, Fraction(5, 2)) > window_probabilities(1, 3)[-1]


# --- Theorem B ------------------------------------------------------------------------------------


def searched(L: int, C: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(-1, 4), min_size=L * C, max_size=L * C)


@pytest.mark.parametrize(("L", "C", "q"), [(6, 1, "1"), (5, 1, "4/5"), (12, 2, "1"), (8, 1, "1/2")])
@given(data=st.data())
def test_monotone_rules_obey_theorem_b(L: int, C: int, q: str, data: st.DataObject) -> None:
    setting = data_law(L, C, Fraction(q))
    bound = monotone_bound(setting)
    assert bound > 0
    weights = data.draw(searched(L, C))
    assert monotone_error(weights, Partition.contiguous(L, C), setting.q) >= bound


@given(rational_settings(max_D=7), st.data())
def test_thresholds_are_those_of_listed_outcomes(setting: Setting, data: st.DataObject) -> None:
    partition = Partition.scattered(setting.L, setting.C, 3)
    weights = data.draw(searched(setting.L, setting.C))
    listed = [
        (sum(c * x for c, x in zip(weights, s.delta, strict=True)), s.y, s.probability)
        for s in enumerate_samples(partition, setting.q)
    ]
    thresholds = {u for u, _, _ in listed} | {max(u for u, _, _ in listed) + 1}
    errors = [sum(p for u, y, p in listed if (u >= t) != (y > 0)) for t in thresholds]
    assert monotone_error(weights, partition, setting.q) == min(errors)
    assert sum(sum(m) for m in linear_law(weights, partition, setting.q).values()) == 1


def test_an_eighth_where_the_condition_holds() -> None:
    for C in (1, 2, 3, 4):
        for q in (Fraction(1, 4), HALF, Fraction(1)):
            L = math.ceil(6 * C / min(q, HALF))
            assert monotone_bound(data_law(L, C, float(q))) >= 1 / 8


def test_the_condition_is_used() -> None:
    # Far below it not even the plain sum errs so often.
    setting = data_law(2, 2, HALF)
    assert min(setting.q, HALF) * setting.L < 6 * setting.C
    assert invariant_error(setting) == Fraction(1, 32)


@given(rational_settings(max_D=6, max_C=3))
def test_equal_weights_leave_the_error_of_the_total(setting: Setting) -> None:
    partition = Partition.contiguous(setting.L, setting.C)
    assert monotone_error([1] * setting.D, partition, setting.q) == invariant_error(setting)


def test_a_linear_rule_can_beat_every_invariant_rule() -> None:
    setting = data_law(3, 2, HALF)
    found = monotone_error([2, 2, 3, 3, 3, 3], Partition.contiguous(3, 2), HALF)
    assert found == Fraction(61, 768) < invariant_error(setting) == Fraction(69, 768)


# --- floats are the rationals that they are ------------------------------------------------------

floats = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.7, -0.1]), min_size=6, max_size=6)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (0, 3, 1, 4, 2, 5), (5, 0, 4, 1, 3, 2)])
def test_rounding_splits_no_tie(order: tuple[int, ...]) -> None:
    # Summed in floats, .3 + .3 + .4 depends on the order: 67/768 in the first.
    row = [0.3, 0.3, 0.3, 0.4, 0.4, 0.4]
    labels = (0, 0, 1, 1, 2, 2)
    moved = Partition(tuple(labels[k] for k in order))
    assert monotone_error([row[k] for k in order], moved, HALF) == Fraction(69, 768)


@given(floats, rates, st.sampled_from([1e-30, 0.1, 0.3, 0.6]))
def test_float_weights_are_exact_rationals(row: list[float], q: Fraction, width: float) -> None:
    exact, sets = [Fraction(c) for c in row], Partition.contiguous(3, 2)
    assert linear_law(row, sets, q) == linear_law(exact, sets, q)
    for error in (monotone_error, any_rule_error):
        assert error(row, sets, q) == error(exact, sets, q) == error(row[::-1], sets, q)
    assert largest_window(row, q, width) == largest_window(exact, q, Fraction(width))
    assert largest_window(row, q, width) == largest_window(sorted(row), q, width)


@given(floats, st.data())
def test_float_thresholds_are_those_of_listed_outcomes(
    row: list[float], data: st.DataObject
) -> None:
    partition = Partition.scattered(2, 3, data.draw(st.permutations(range(6))))
    samples = list(enumerate_samples(partition, HALF))
    value = [
        sum((Fraction(c) * x for c, x in zip(row, s.delta, strict=True)), Fraction(0))
        for s in samples
    ]
    errors = [
        sum(s.probability for u, s in zip(value, samples, strict=True) if (u >= t) != (s.y > 0))
        for t in {*value, max(value) + 1}
    ]
    assert monotone_error(row, partition, HALF) == min(errors)


@pytest.mark.parametrize("weight", [math.nan, math.inf, "1", True])
def test_a_weight_that_is_no_finite_number_is_refused(weight: object) -> None:
    with pytest.raises(ValueError, match="weight must be a finite number"):
        monotone_error([weight, 1, 1, 1], Partition.contiguous(2, 2), HALF)
    with pytest.raises(ValueError, match="weight must be a finite number"):
        largest_window([1, weight], HALF, 1)
    with pytest.raises(ValueError, match="width must be a finite number > 0"):
        largest_window([1, 2], HALF, 0)


# --- the literal wording --------------------------------------------------------------------------


@given(rational_settings(max_D=6, max_C=3))
def test_powers_of_three_decode_everything(setting: Setting) -> None:
    partition = Partition.contiguous(setting.L, setting.C)
    error = f_star_error(setting)
    assert decoding_disagreement(partition, setting.q) == error.nonpositive - error.negative
    weights = [3**j for j in range(setting.D)]
    assert any_rule_error(weights, partition, setting.q) == bayes_error(setting)


def test_the_counterexamples_of_the_chapter() -> None:
    assert decoding_disagreement(Partition.contiguous(3, 2), HALF) == Fraction(7, 64) < HALF**3
    assert sum_disagreement(Partition.contiguous(2, 2), HALF) == Fraction(1, 16)
    # For C = 1 the labelling function is the sum itself, never 0 if q = 1 and L is odd.
    assert sum_disagreement(Partition.contiguous(5, 1), Fraction(1)) == 0


def test_weights_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="weights must be 4"):
        linear_law([1, 2, 3], Partition.contiguous(2, 2), HALF)
