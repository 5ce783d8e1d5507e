"""The data law against enumeration of every image, and against the closed forms of the theory."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import partitions, permutations, rational_settings, settings

from theory.data.law import (
    Law,
    bayes_error,
    f_star,
    f_star_error,
    invariant_error,
    log_loss_floor,
    posterior,
    set_law,
    set_types,
    spurious_law,
)
from theory.data.partition import Partition
from theory.setting import Setting


def data_law(L: int, C: int, q: object) -> Setting:
    return Setting(L=L, C=C, q=q, p=3, nu=0, sigma_A=1)


def feature_rows(n: int, q: Fraction) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Every configuration of n spurious features that has positive probability."""
    weight = {0: 1 - q, 1: q / 2, -1: q / 2}
    support = [x for x, w in weight.items() if w]
    for row in itertools.product(support, repeat=n):
        yield row, math.prod((weight[x] for x in row), start=Fraction(1))


def images(setting: Setting) -> dict[tuple[int, ...], dict[int, Fraction]]:
    """Joint law of the features and the label, by running over signal sets, labels and patches."""
    L, C = setting.L, setting.C
    joint: dict[tuple[int, ...], dict[int, Fraction]] = {}
    for row, probability in feature_rows(setting.n, Fraction(setting.q)):
        for signal, y in itertools.product(range(L), (1, -1)):
            x = (*row[: signal * C], *(y,) * C, *row[signal * C :])
            labels = joint.setdefault(x, {1: Fraction(0), -1: Fraction(0)})
            labels[y] += probability / (2 * L)
    return joint


small = rational_settings(max_D=8)


# --- the law of a set and of the total ------------------------------------------------------------


@given(small)
def test_types_are_those_of_the_enumerated_set(setting: Setting) -> None:
    expected: Counter[tuple[int, int]] = Counter()
    for row, probability in feature_rows(setting.C, setting.q):
        expected[row.count(1), row.count(-1)] += probability
    types = set_types(setting)
    found = zip(types.n_plus.tolist(), types.n_minus.tolist(), types.probability, strict=True)
    assert {(a, b): probability for a, b, probability in found if probability} == expected


@given(st.one_of(settings(), rational_settings()))
def test_types_are_complete_ordered_and_grouped_by_sum(setting: Setting) -> None:
    C, types = setting.C, set_types(setting)
    pairs = list(zip(types.n_plus.tolist(), types.n_minus.tolist(), strict=True))
    assert sorted(pairs) == [(a, b) for a in range(C + 1) for b in range(C + 1 - a)]
    assert pairs == sorted(pairs, key=lambda pair: (pair[0] - pair[1], pair[0]))
    assert types.sums[types.group_starts].tolist() == list(range(-C, C + 1))
    grouped = np.add.reduceat(types.probability, types.group_starts)
    law = set_law(setting)
    if isinstance(setting.q, Fraction):
        assert (grouped == law.probability).all()
    else:
        np.testing.assert_allclose(grouped, law.probability, rtol=1e-14, atol=0)


@given(rational_settings(max_D=60, max_C=12))
def test_laws_sum_to_one_with_exact_moments(setting: Setting) -> None:
    q = setting.q
    types = set_types(setting)
    assert sum(types.probability) == 1
    assert sum(types.probability * types.n_plus) == setting.C * q / 2
    assert sum(types.probability * types.n_plus * types.n_minus) == (
        setting.C * (setting.C - 1) * q**2 / 4
    )
    for law, patches in ((set_law(setting), setting.C), (spurious_law(setting), setting.n)):
        assert law.value.tolist() == list(range(-patches, patches + 1))
        assert sum(law.probability) == 1
        assert all(isinstance(probability, Fraction) for probability in law.probability)
        assert (law.probability == law.probability[::-1]).all()
        x = law.value.astype(object)
        assert sum(law.probability * x**2) == patches * q
        assert sum(law.probability * x**4) == patches * q + 3 * patches * (patches - 1) * q**2


@given(small)
def test_the_spurious_law_is_that_of_the_enumerated_patches(setting: Setting) -> None:
    expected: Counter[int] = Counter()
    for row, probability in feature_rows(setting.n, setting.q):
        expected[sum(row)] += probability
    law = spurious_law(setting)
    found = zip(law.value.tolist(), law.probability, strict=True)
    assert {r: probability for r, probability in found if probability} == expected


def as_float(setting: Setting) -> Setting:
    return data_law(setting.L, setting.C, float(setting.q))


def exact(setting: Setting) -> Setting:
    return data_law(setting.L, setting.C, Fraction(setting.q))


# Each probability is a sum of products of at most 2n rounded positive numbers.
@given(settings(max_D=60, max_C=12))
def test_floats_are_relatively_accurate_into_the_tail(setting: Setting) -> None:
    rounding = 8 * setting.n * np.finfo(float).eps
    pairs = [
        (set_types(setting).probability, set_types(exact(setting)).probability),
        (set_law(setting).probability, set_law(exact(setting)).probability),
        (spurious_law(setting).probability, spurious_law(exact(setting)).probability),
        (f_star_error(setting), f_star_error(exact(setting))),
        ([bayes_error(setting)], [bayes_error(exact(setting))]),
        ([invariant_error(setting)], [invariant_error(exact(setting))]),
    ]
    for found, expected in pairs:
        np.testing.assert_allclose(
            np.asarray(found), np.asarray(expected, dtype=float), rtol=rounding, atol=0
        )


def test_a_float_type_probability_is_the_exact_one_rounded_once() -> None:
    types = set_types(data_law(2, 14, 0.1)).probability
    expected = [float(value) for value in set_types(data_law(2, 14, Fraction(0.1))).probability]
    assert types.dtype == float
    assert types.tolist() == expected


@pytest.mark.parametrize("q", [0, 1, np.int64(1), np.int64(0), Fraction(1, 3)])
def test_a_rational_q_gives_fractions_everywhere(q: object) -> None:
    setting = data_law(12, 12, q)
    numbers = [*f_star_error(setting), bayes_error(setting), invariant_error(setting)]
    numbers += [*set_types(setting).probability, *spurious_law(setting).probability]
    assert all(isinstance(number, Fraction) for number in numbers)
    # A total over no value at all is a Fraction too.
    law = spurious_law(setting)
    assert isinstance(law.total(law.value > setting.n), Fraction)


def test_a_total_of_floats_is_a_float() -> None:
    law = Law(np.array([0, 1]), np.array([0.25, 0.75]))
    assert law.total(law.value > 0) == 0.75
    assert law.total(law.value > 1) == 0.0


# --- f*, Bayes and symmetric functions, against every image ---------------------------------------


@given(small)
def test_every_error_is_that_of_the_enumerated_images(setting: Setting) -> None:
    partition = Partition.contiguous(setting.L, setting.C)
    joint = images(setting)
    assert sum(sum(labels.values()) for labels in joint.values()) == 1
    rows = np.array(list(joint))
    nonpositive = negative = bayes = Fraction(0)
    entropy = 0.0
    orbits: dict[tuple[int, int], Counter[int]] = {}
    values, beliefs = f_star(rows, partition), posterior(rows, partition)
    for x, value, belief in zip(joint, values.tolist(), beliefs.tolist(), strict=True):
        labels = joint[x]
        for y, probability in labels.items():
            nonpositive += probability * (y * value <= 0)
            negative += probability * (y * value < 0)
            if probability:
                entropy -= float(probability) * math.log(float(probability / sum(labels.values())))
        bayes += min(labels.values())
        assert belief == float(labels[1] / sum(labels.values()))
        orbits.setdefault((x.count(1), x.count(-1)), Counter()).update(labels)
    assert f_star_error(setting) == (nonpositive, negative)
    assert bayes_error(setting) == bayes
    assert log_loss_floor(setting) == pytest.approx(entropy, rel=1e-13, abs=0)
    # A function symmetric in the D patches has one sign on each orbit of S_D, free to choose.
    assert invariant_error(setting) == sum(min(c[1], c[-1]) for c in orbits.values())


def thresholded_error(setting: Setting) -> tuple[Fraction, Fraction]:
    """Errors of f* by enumerating the sums of the random sets, thresholded in rationals."""
    law = set_law(setting)
    nonpositive = negative = Fraction(0)
    for sums in itertools.product(range(-setting.C, setting.C + 1), repeat=setting.L - 1):
        probability = math.prod((law.probability[s + setting.C] for s in sums), start=Fraction(1))
        margin = setting.C + sum(s for s in sums if abs(s) > Fraction(9, 10) * setting.C)
        nonpositive += probability * (margin <= 0)
        negative += probability * (margin < 0)
    return nonpositive, negative


@pytest.mark.parametrize("C", [1, 9, 10, 11, 12, 20, 21, 22])
@pytest.mark.parametrize("q", [Fraction(9, 10), Fraction(1)])
def test_f_star_error_where_nearly_pure_sets_pass_the_threshold(C: int, q: Fraction) -> None:
    setting = data_law(3, C, q)
    assert f_star_error(setting) == thresholded_error(setting)


def central_terms(L: int, eta: Fraction) -> list[Fraction]:
    """P_k = [z^k](1 − 2η + ηz + η/z)^(L−1) for k = 0, 1, from the trinomial formula."""

    def term(k: int) -> Fraction:
        return sum(
            math.comb(L - 1, m + k)
            * math.comb(L - 1 - m - k, m)
            * eta ** (2 * m + k)
            * (1 - 2 * eta) ** (L - 1 - 2 * m - k)
            for m in range((L - 1 - k) // 2 + 1)
        )

    return [term(0), term(1)]


@given(rational_settings(max_D=80, max_C=16))
def test_closed_forms_in_the_central_terms(setting: Setting) -> None:
    p_0, p_1 = central_terms(setting.L, (setting.q / 2) ** setting.C)
    assert bayes_error(setting) == (1 - p_0 - p_1) / 2
    if setting.C <= 10:
        assert f_star_error(setting) == ((1 - p_0) / 2, (1 - p_0 - 2 * p_1) / 2)


@given(rational_settings(max_D=80, max_C=16))
def test_theorem_a_in_its_stated_form(setting: Setting) -> None:
    law = spurious_law(setting)
    C = setting.C
    inside = law.total((law.value > -C) & (law.value <= C))
    assert invariant_error(setting) == (1 - inside) / 2


@given(rational_settings(max_D=60, max_C=12))
def test_no_rule_beats_bayes(setting: Setting) -> None:
    floor = bayes_error(setting)
    assert 0 <= floor <= invariant_error(setting) <= Fraction(1, 2)
    assert floor <= (f_star_error(setting).nonpositive + f_star_error(setting).negative) / 2
    # Fano's inequality for two labels, and its converse 2 log 2 * error <= log-loss.
    error = float(floor)
    entropy = -(error * math.log(error) + (1 - error) * math.log1p(-error)) if error else 0.0
    assert 2 * math.log(2) * error <= log_loss_floor(setting) * (1 + 1e-12)
    assert log_loss_floor(setting) <= entropy * (1 + 1e-12)


def nonpositive_error(setting: Setting) -> Fraction:
    return f_star_error(setting).nonpositive


@pytest.mark.parametrize(
    ("function", "shape", "expected", "digits"),
    [
        (nonpositive_error, (3, 2, Fraction(1, 2)), Fraction(29, 256), None),
        (nonpositive_error, (16, 4, Fraction(1, 4)), Fraction("0.003643"), 6),
        (bayes_error, (3, 2, Fraction(1, 2)), Fraction(15, 256), None),
        (bayes_error, (16, 4, Fraction(1, 4)), Fraction("0.001825"), 6),
        (bayes_error, (5, 2, Fraction(1, 4)), Fraction("0.0298"), 4),
        (invariant_error, (4, 2, 1), Fraction(29, 128), None),
        (invariant_error, (16, 4, Fraction(1, 4)), Fraction("0.1519"), 4),
        (invariant_error, (49, 4, Fraction(1, 10)), Fraction("0.1809"), 4),
    ],
)
def test_worked_examples(function: object, shape: tuple, expected: Fraction, digits: int) -> None:
    value = function(data_law(*shape))
    assert (value if digits is None else round(value, digits)) == expected


@pytest.mark.parametrize("C", [1, 2, 4, 11])
@pytest.mark.parametrize("q", [0, 0.0])
def test_without_spurious_features_nothing_errs(C: int, q: float) -> None:
    setting = data_law(5, C, q)
    assert f_star_error(setting) == (0, 0)
    assert bayes_error(setting) == invariant_error(setting) == log_loss_floor(setting) == 0
    types = set_types(setting)
    assert types.probability[(types.n_plus == 0) & (types.n_minus == 0)].tolist() == [1]
    assert sum(types.probability) == 1


@pytest.mark.parametrize("q", [Fraction(1, 3), 1])
def test_sets_of_one_patch_carry_no_structure(q: object) -> None:
    # Every feature is then a pure set: sign T is the Bayes rule.
    setting = data_law(6, 1, q)
    assert bayes_error(setting) == invariant_error(setting)


# --- f* and the posterior as functions ------------------------------------------------------------


@given(st.data())
def test_f_star_and_posterior_under_relabelling_and_flip(data: st.DataObject) -> None:
    partition = data.draw(partitions(max_D=24, max_C=12))
    x = np.array(
        data.draw(st.lists(st.integers(-1, 1), min_size=partition.D, max_size=partition.D))
    )
    x[list(partition.sets[0])] = 1
    g = data.draw(permutations(partition.D))
    image = np.empty_like(x)
    image[g] = x
    assert f_star(image, partition.relabelled(g)) == f_star(x, partition)
    assert posterior(image, partition.relabelled(g)) == posterior(x, partition)
    assert f_star(-x, partition) == -f_star(x, partition)
    assert posterior(-x, partition) == pytest.approx(1 - posterior(x, partition), abs=1e-15)


def test_f_star_counts_sets_above_nine_tenths() -> None:
    x = np.zeros((3, 40), dtype=int)
    x[0, :18], x[1, :19], x[2, :18] = 1, 1, 1
    x[2, 20:] = -1
    assert f_star(x, Partition.contiguous(2, 20)).tolist() == [0, 19, -20]
    assert f_star(x[None], Partition.contiguous(2, 20)).shape == (1, 3)


@pytest.mark.parametrize("function", [f_star, posterior])
@pytest.mark.parametrize(
    "features", [[1, 1, 1], 1, [[1, 1], [0, 0]], [1, 1, 0, 2], [1, 1, 0.5, 0], [1, 1, math.nan, 0]]
)
def test_bad_features_are_refused(function: object, features: object) -> None:
    with pytest.raises(ValueError, match="features must be -1, 0 or 1, 4 in a row"):
        function(features, Partition.contiguous(2, 2))


def test_features_that_are_no_image_have_no_posterior() -> None:
    with pytest.raises(ValueError, match="without any set that is all"):
        posterior([1, 0, -1, 0], Partition.contiguous(2, 2))


def test_sets_must_be_of_equal_size() -> None:
    for function in (f_star, posterior):
        with pytest.raises(ValueError, match="no common size"):
            function([1, 1, 1], Partition((0, 0, 1)))
