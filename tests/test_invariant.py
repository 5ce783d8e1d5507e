"""Theorem A against listing: counts, labels, random partitions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rational_settings

from theory.bounds.invariant import (
    all_partitions,
    average_feature_law,
    count_law,
    invariant_minimum,
    least_average_error,
)
from theory.data.law import bayes_error, invariant_error
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.setting import Setting

small = rational_settings(max_D=8)
SHAPES = [(2, 1), (4, 1), (2, 2), (3, 2), (2, 3)]
rates = st.sampled_from([Fraction(k, 6) for k in range(7)])


def data_law(L: int, C: int, q: object) -> Setting:
    return Setting(L=L, C=C, q=q, p=3, nu=0, sigma_A=1)


@given(small)
def test_no_invariant_rule_beats_the_total(setting: Setting) -> None:
    partition = Partition.scattered(setting.L, setting.C, 1)
    assert invariant_minimum(partition, setting.q) == invariant_error(setting)


@given(small)
def test_the_counts_tell_the_label_by_a_ratio_of_binomials(setting: Setting) -> None:
    law = count_law(Partition.contiguous(setting.L, setting.C), setting.q)
    assert sum(sum(mass) for mass in law.values()) == 1
    for (plus, minus), mass in law.items():
        C = setting.C
        assert mass.plus * math.comb(minus, C) == mass.minus * math.comb(plus, C)


@given(st.sampled_from(SHAPES), rates)
def test_no_rule_beats_it_on_average_over_partitions(shape: tuple[int, int], q: Fraction) -> None:
    assert least_average_error(*shape, q) == invariant_error(data_law(*shape, q))


@given(st.sampled_from(SHAPES), rates, st.randoms(use_true_random=False))
def test_a_fixed_rule_pays_on_average(shape: tuple[int, int], q: Fraction, dice) -> None:
    rule: dict[tuple[int, ...], int] = {}
    errors = []
    for partition in all_partitions(*shape):
        wrong = Fraction(0)
        for sample in enumerate_samples(partition, q):
            answer = rule.setdefault(sample.delta, dice.choice((-1, 0, 1)))
            wrong += sample.probability * (sample.y * answer <= 0)
        errors.append(wrong)
    assert sum(errors) / len(errors) >= invariant_error(data_law(*shape, q))


def test_knowing_the_partition_does_beat_it() -> None:
    # Else the theorem would be about all rules, and the tests above about nothing.
    setting = data_law(3, 2, Fraction(1, 2))
    assert bayes_error(setting) == Fraction(15, 256) < invariant_error(setting) == Fraction(23, 256)


@pytest.mark.parametrize(("L", "C"), [(2, 1), (2, 2), (3, 2), (2, 3), (4, 2)])
def test_all_partitions_are_listed_once(L: int, C: int) -> None:
    found = list(all_partitions(L, C))
    expected = math.factorial(L * C) // (math.factorial(C) ** L * math.factorial(L))
    assert len({frozenset(map(frozenset, p.sets)) for p in found}) == len(found) == expected


def test_the_average_law_does_not_see_places() -> None:
    law = average_feature_law(3, 2, Fraction(2, 3))
    dice = np.random.default_rng(0)
    for row, mass in law.items():
        moved = tuple(row[k] for k in dice.permutation(6))
        assert law[moved] == mass
