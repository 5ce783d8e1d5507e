"""Theorem 5.1 at finite size: the average against its bound, and the boxes against listing."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rational_settings, settings

from theory.bounds.invariant import all_partitions
from theory.bounds.transfer import averaging_bound, averaging_failure, box_bound, empty_boxes
from theory.data.law import invariant_error
from theory.data.samples import enumerate_samples
from theory.setting import Setting


def data_law(L: int, C: int, q: object) -> Setting:
    return Setting(L=L, C=C, q=q, p=3, nu=0, sigma_A=1)


@given(rational_settings(max_D=9), st.integers(1, 8))
def test_bernstein_bounds_the_exact_failure(setting: Setting, N: int) -> None:
    assert float(averaging_failure(setting, N)) <= averaging_bound(setting, N)


@given(rational_settings(max_D=5, max_C=2), st.integers(1, 2))
def test_failure_is_that_of_listed_features(setting: Setting, N: int) -> None:
    q = setting.q
    law = Counter({0: Fraction(1)})
    for _ in range(N * setting.n):
        longer: Counter[int] = Counter()
        for k, p in law.items():
            longer.update({k: p * (1 - q), k + 1: p * q / 2, k - 1: p * q / 2})
        law = Counter()
        for k, p in longer.items():
            law[k] += p
    listed = sum(p for k, p in law.items() if setting.C + Fraction(k, N) <= Fraction(setting.C, 2))
    assert averaging_failure(setting, N) == listed


@given(settings(max_D=20, max_C=4), st.integers(1, 12))
def test_float_and_exact_failure_agree(setting: Setting, N: int) -> None:
    exact = averaging_failure(data_law(setting.L, setting.C, Fraction(setting.q)), N)
    assert averaging_failure(setting, N) == pytest.approx(float(exact), rel=1e-9, abs=1e-14)


@given(st.integers(1, 5), st.integers(0, 4))
def test_empty_boxes_are_those_of_listed_throws(L: int, N: int) -> None:
    found = Counter(L - len(set(throws)) for throws in product(range(L), repeat=N))
    assert empty_boxes(L, N) == [Fraction(found[k], L**N) for k in range(L + 1)]


@given(rational_settings(max_D=9), st.integers(0, 6))
def test_the_box_bound_falls_from_that_of_invariant_rules(setting: Setting, N: int) -> None:
    assert box_bound(setting, 0) == invariant_error(setting)
    assert 0 <= box_bound(setting, N + 1) <= box_bound(setting, N)


@pytest.mark.slow
@pytest.mark.parametrize(("L", "C", "q"), [(3, 1, "1/2"), (4, 1, "1"), (3, 2, "1")])
def test_no_algorithm_beats_the_box_bound_after_one_image(L: int, C: int, q: str) -> None:
    """The best algorithm, by listing partition, training image and test image, and its error."""
    rate = Fraction(q)
    unit = 2 * L * (2 * rate.denominator) ** (L * C - C)  # all probabilities are counts of 1/unit
    joint: dict[object, list[int]] = {}
    partitions = list(all_partitions(L, C))
    for partition in partitions:
        images: Counter[tuple[tuple[int, ...], int]] = Counter()
        for s in enumerate_samples(partition, rate):
            images[s.delta, s.y] += int(s.probability * unit)
        for (seen, label), p in images.items():
            for (x, y), r in images.items():
                joint.setdefault((seen, label, x), [0, 0])[y > 0] += p * r
    best = Fraction(sum(map(min, joint.values())), unit**2 * len(partitions))
    setting = data_law(L, C, rate)
    assert 0 < box_bound(setting, 1) <= best <= invariant_error(setting)


def test_numbers_of_images_are_checked() -> None:
    for wrong in (-1, 1.5, True):
        with pytest.raises(ValueError, match="must be an integer >= "):
            empty_boxes(3, wrong)
    with pytest.raises(ValueError, match="N = 0"):
        averaging_bound(data_law(3, 2, 0.5), 0)


def test_the_boxes_agree_with_throws() -> None:
    dice = np.random.default_rng(0)
    throws = dice.integers(0, 8, (20_000, 10))
    empty = 8 - np.array([len(set(row)) for row in throws.tolist()])
    law = np.array([float(p) for p in empty_boxes(8, 10)])
    mean = law @ np.arange(9)
    spread = np.sqrt(law @ (np.arange(9) - mean) ** 2 / len(empty))
    assert abs(empty.mean() - mean) < 5 * spread
