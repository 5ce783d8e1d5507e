"""Partitions, their groups and orbitals, and the score and margin of patch association."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import attention_logits, group_elements, partitions, permutations
from sympy.combinatorics import Permutation, PermutationGroup

from theory.data.partition import Partition
from theory.model.association import (
    association_score,
    is_associated,
    margin,
    top_c,
    top_c_is_unique,
)
from theory.symmetry.orbitals import grid_shift_generators, orbitals, product_generators

UNEQUAL = Partition((0, 1, 1, 2, 2, 2, 3, 3, 3, 4))


def moved(A: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The same logits after relabelling: entry (g[i], g[j]) is A_ij."""
    image = np.empty_like(A)
    image[np.ix_(g, g)] = A
    return image


def integer_logits(D: int, low: int = -2, high: int = 2) -> st.SearchStrategy[np.ndarray]:
    """Logits with few values, so that ties are the rule."""
    return attention_logits(D).map(lambda A: np.clip(np.round(A), low, high))


# --- partitions ---------------------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(1, 6))
def test_contiguous_sets_are_intervals(L: int, C: int) -> None:
    partition = Partition.contiguous(L, C)
    assert (partition.D, partition.L, partition.C) == (L * C, L, C)
    assert partition.sets == tuple(tuple(range(k * C, (k + 1) * C)) for k in range(L))


@given(partitions())
def test_sets_labels_and_same_set_say_the_same(partition: Partition) -> None:
    assert sorted(itertools.chain(*partition.sets)) == list(range(partition.D))
    for i, j in itertools.product(range(partition.D), repeat=2):
        together = any(i in members and j in members for members in partition.sets)
        assert partition.same_set[i, j] == together
    assert all(partition.labels[i] == k for k, s in enumerate(partition.sets) for i in s)
    assert Partition(np.array(partition.labels)) == partition
    assert hash(Partition(list(partition.labels))) == hash(partition)


@given(partitions(), st.data())
def test_relabelling_is_an_action(partition: Partition, data: st.DataObject) -> None:
    g, h = data.draw(permutations(partition.D)), data.draw(permutations(partition.D))
    assert partition.relabelled(g).relabelled(h) == partition.relabelled(h[g])
    images = {frozenset(g[list(members)].tolist()) for members in partition.sets}
    assert {frozenset(members) for members in partition.relabelled(g).sets} == images


def test_a_seed_names_one_scattered_partition() -> None:
    partition = Partition.scattered(5, 4, 7)
    assert partition == Partition.scattered(5, 4, np.int64(7)) != Partition.scattered(5, 4, 8)
    assert partition != Partition.contiguous(5, 4)
    assert Partition.scattered(5, 4, range(20)) == Partition.contiguous(5, 4)


@pytest.mark.parametrize(
    "labels", [(), 5, None, "01", (0, 2), (1, 2), (-1, 0), (0.0, 1.0), (True, 0), ((0,), (1,))]
)
def test_bad_labels_are_refused(labels: object) -> None:
    with pytest.raises(ValueError, match=r"Partition\.labels = .*each of 0\.\.L-1"):
        Partition(labels)


@pytest.mark.parametrize(
    "permutation", [[0, 1, 2], [0, 1, 2, 2], [1, 2, 3, 4], [0.0, 1, 2, 3], [3, 2, 0, True]]
)
def test_a_bad_permutation_is_refused(permutation: list) -> None:
    with pytest.raises(ValueError, match=r"permutation = .*must be a permutation of 0\.\.3"):
        Partition.scattered(2, 2, permutation)
    with pytest.raises(ValueError, match=r"permutation = .*must be a permutation of 0\.\.3"):
        Partition.contiguous(2, 2).relabelled(permutation)


@pytest.mark.parametrize("seed", [-1, True])
def test_a_bad_seed_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="permutation must be an integer >= 0"):
        Partition.scattered(2, 2, seed)


@pytest.mark.parametrize(
    ("L", "C", "name"), [(0, 2, "L"), (2, 0, "C"), (2.0, 2, "L"), (2, True, "C")]
)
def test_a_bad_size_is_refused(L: int, C: int, name: str) -> None:
    for build in (Partition.contiguous, product_generators):
        with pytest.raises(ValueError, match=f"{name} = .*: {name} must be an integer >= 1"):
            build(L, C)


def test_sets_of_unequal_size_have_no_common_size() -> None:
    with pytest.raises(ValueError, match=r"sizes \[1, 2, 3\] have no common size"):
        _ = UNEQUAL.C


# --- groups and orbitals ------------------------------------------------------------------------


@given(partitions(max_D=12))
def test_the_generators_generate_the_wreath_product(partition: Partition) -> None:
    L, C = partition.L, partition.C
    group = PermutationGroup(partition.generators())
    assert group.order() == math.factorial(C) ** L * math.factorial(L)


def test_the_generators_respect_sets_of_unequal_size() -> None:
    # Two sets of 1, one of 2, two of 3.
    order = PermutationGroup(UNEQUAL.generators()).order()
    assert order == math.factorial(2) * 2 * math.factorial(3) ** 2 * math.factorial(2)


@given(partitions(), st.data())
def test_group_elements_map_sets_to_sets(partition: Partition, data: st.DataObject) -> None:
    g = data.draw(group_elements(partition))
    assert {frozenset(g[list(s)].tolist()) for s in partition.sets} == set(
        map(frozenset, partition.sets)
    )


@given(partitions(max_D=8), st.data())
def test_group_elements_belong_to_the_generated_group(
    partition: Partition, data: st.DataObject
) -> None:
    g = data.draw(group_elements(partition))
    assert PermutationGroup(partition.generators()).contains(Permutation(g.tolist()))


@given(partitions())
def test_the_wreath_product_has_three_orbitals_and_two_for_single_patches(
    partition: Partition,
) -> None:
    found = orbitals(partition.generators())
    in_set, cross_set = (1, 2) if partition.C > 1 else (0, 1)
    expected = np.where(partition.same_set, in_set, cross_set)
    np.fill_diagonal(expected, 0)
    assert np.array_equal(found, expected)


@given(st.data())
def test_orbitals_are_the_orbits_of_the_enumerated_group(data: st.DataObject) -> None:
    D = data.draw(st.integers(1, 5))
    generators = data.draw(st.lists(permutations(D), min_size=1, max_size=3))
    found = orbitals(generators)
    elements = PermutationGroup([Permutation(g.tolist()) for g in generators]).elements
    for i, j in itertools.product(range(D), repeat=2):
        orbit = {(h.array_form[i], h.array_form[j]) for h in elements}
        assert orbit == set(map(tuple, np.argwhere(found == found[i, j]).tolist()))
    # Numbering: 0, 1, …, diagonal first, then by size.
    labels, sizes = np.unique(found, return_counts=True)
    assert labels.tolist() == list(range(len(labels)))
    diagonal = set(found.diagonal().tolist())
    keys = [
        (label not in diagonal, size) for label, size in zip(labels.tolist(), sizes, strict=True)
    ]
    assert keys == sorted(keys)


@given(st.data())
def test_relabelling_moves_orbitals_and_keeps_their_sizes(data: st.DataObject) -> None:
    D = data.draw(st.integers(2, 9))
    generators = data.draw(st.lists(permutations(D), min_size=1, max_size=2))
    g = data.draw(permutations(D))
    inverse = np.argsort(g)
    found = orbitals(generators)
    image = orbitals([g[h[inverse]] for h in generators])
    # The same partition of the pairs: the two labels determine each other.
    pairs = set(zip(moved(found, g).ravel().tolist(), image.ravel().tolist(), strict=True))
    assert len(pairs) == found.max() + 1 == image.max() + 1
    assert np.array_equal(np.bincount(found.ravel()), np.bincount(image.ravel()))


@pytest.mark.parametrize(("L", "C"), [(2, 2), (2, 3), (3, 2), (4, 5), (49, 4)])
def test_the_direct_product_has_four_orbitals(L: int, C: int) -> None:
    found = orbitals(product_generators(L, C))
    row, column = np.divmod(np.arange(L * C), C)
    same_row, same_column = row[:, None] == row, column[:, None] == column
    kinds = 2 * same_row + same_column
    assert found.max() + 1 == 4
    assert len(set(zip(found.ravel().tolist(), kinds.ravel().tolist(), strict=True))) == 4
    if L * C < 30:
        order = PermutationGroup(product_generators(L, C)).order()
        assert order == math.factorial(L) * math.factorial(C)


@pytest.mark.parametrize(("L", "C", "count"), [(1, 1, 1), (1, 4, 2), (4, 1, 2)])
def test_a_product_with_one_row_or_column_is_the_symmetric_group(
    L: int, C: int, count: int
) -> None:
    assert orbitals(product_generators(L, C)).max() + 1 == count


@given(st.integers(1, 6), st.integers(1, 6))
def test_the_orbitals_of_shifts_are_displacements_on_the_torus(height: int, width: int) -> None:
    found = orbitals(grid_shift_generators(height, width))
    row, column = np.divmod(np.arange(height * width), width)
    displacement = (row - row[:, None]) % height * width + (column - column[:, None]) % width
    assert found.max() + 1 == height * width
    pairs = set(zip(found.ravel().tolist(), displacement.ravel().tolist(), strict=True))
    assert len(pairs) == height * width


@pytest.mark.parametrize(
    ("generators", "message"),
    [
        ([], "at least one permutation"),
        ([[0, 0]], r"permutation of 0\.\.1"),
        ([[1, 0], [0, 1, 2]], r"permutation of 0\.\.1"),
        ([[0.0, 1.0]], r"permutation of 0\.\.1"),
        ([Permutation([1, 0]), Permutation([0, 2, 1])], r"permutation of 0\.\.1"),
    ],
)
def test_bad_generators_are_refused(generators: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        orbitals(generators)


# --- association --------------------------------------------------------------------------------


@given(st.data())
def test_top_c_holds_the_largest_and_breaks_ties_by_index(data: st.DataObject) -> None:
    D = data.draw(st.integers(1, 7))
    C = data.draw(st.integers(1, D))
    A = data.draw(integer_logits(D))
    unique = top_c_is_unique(A, C)
    for i, row in enumerate(top_c(A, C)):
        ranked = sorted(range(D), key=lambda j: (-A[i, j], j))
        assert row.tolist() == sorted(ranked[:C])
        best = [
            subset
            for subset in itertools.combinations(range(D), C)
            if sum(A[i, list(subset)]) == sum(A[i, row])
        ]
        assert unique[i] == (len(best) == 1)


@given(st.data())
def test_the_score_is_the_mean_over_every_choice_of_top_c(data: st.DataObject) -> None:
    partition = data.draw(partitions(max_D=8, max_C=3))
    A, C = data.draw(integer_logits(partition.D)), partition.C
    expected = 0.0
    for i, row in enumerate(A):
        totals = {s: sum(row[list(s)]) for s in itertools.combinations(range(partition.D), C)}
        choices = [s for s, total in totals.items() if total == max(totals.values())]
        own = set(partition.sets[partition.labels[i]])
        expected += sum(len(own.intersection(s)) for s in choices) / len(choices) / C
    assert association_score(A, partition) == pytest.approx(expected / partition.D, rel=1e-14)


@given(st.data())
def test_score_and_margin_do_not_depend_on_labels(data: st.DataObject) -> None:
    partition = data.draw(partitions(max_D=10))
    A = data.draw(integer_logits(partition.D))
    g = data.draw(permutations(partition.D))
    image = moved(A, g), partition.relabelled(g)
    assert association_score(*image) == pytest.approx(association_score(A, partition), rel=1e-14)
    assert margin(*image) == margin(A, partition)
    assert is_associated(*image) == is_associated(A, partition)


@given(st.data())
def test_the_group_of_the_partition_keeps_the_score(data: st.DataObject) -> None:
    partition = data.draw(partitions(max_D=10))
    A = data.draw(attention_logits(partition.D))
    g = data.draw(group_elements(partition))
    score = association_score(A, partition)
    assert association_score(moved(A, g), partition) == pytest.approx(score, rel=1e-14)
    assert margin(moved(A, g), partition) == margin(A, partition)


@given(st.data())
def test_association_means_positive_margin_means_score_one(data: st.DataObject) -> None:
    partition = data.draw(partitions(max_D=10, max_C=4))
    noise = data.draw(integer_logits(partition.D))
    A = noise + data.draw(st.integers(0, 5)) * partition.same_set
    associated = is_associated(A, partition)
    assert associated == (margin(A, partition) > 0)
    score = association_score(A, partition)
    assert 0 <= score <= 1
    assert associated == (score == 1)


@given(st.data())
def test_association_is_stable_within_half_the_margin(data: st.DataObject) -> None:
    partition = data.draw(partitions(max_D=10, max_C=4))
    A = data.draw(attention_logits(partition.D)) + 5.0 * partition.same_set
    m = margin(A, partition)
    assert m > 0
    # All numbers are dyadic, so that no sum below is rounded across the boundary.
    change = data.draw(attention_logits(partition.D)) / 2 * (m / 2)
    assert is_associated(A + change * (1 - 2**-20), partition)
    # The bound is sharp: moving one critical pair by m/2 each way closes the gap.
    same = partition.same_set
    gaps = np.where(same, A, np.inf).min(axis=1) - np.where(same, -np.inf, A).max(axis=1)
    i = int(np.argmin(gaps))
    worst = np.zeros_like(A)
    worst[i, np.argmin(np.where(same[i], A[i], np.inf))] = -m / 2
    worst[i, np.argmax(np.where(same[i], -np.inf, A[i]))] = m / 2
    assert not is_associated(A + worst, partition)


@given(
    st.integers(2, 5),
    st.integers(1, 5),
    *[st.integers(-3, 3)] * 3,
)
def test_association_of_the_reduced_form(
    L: int, C: int, sigma_A: int, gamma: int, rho: int
) -> None:
    # Top_C of every row is its set alone iff min(sigma_A, gamma) > rho; at C = 1 no gamma exists.
    partition = Partition.contiguous(L, C)
    A = np.where(partition.same_set, float(gamma), float(rho))
    np.fill_diagonal(A, sigma_A)
    smallest = min(sigma_A, gamma) if C > 1 else sigma_A
    assert margin(A, partition) == smallest - rho
    assert is_associated(A, partition) == (smallest > rho)


@given(partitions())
def test_a_constant_matrix_scores_chance(partition: Partition) -> None:
    D = partition.D
    assert association_score(np.zeros((D, D)), partition) == pytest.approx(partition.C / D)
    assert association_score(-1.0 * partition.same_set, partition) < partition.C / D


def test_sets_of_unequal_size_are_scored_by_their_own_size() -> None:
    A = 1.0 * UNEQUAL.same_set
    assert association_score(A, UNEQUAL) == 1
    assert is_associated(A, UNEQUAL)
    A[0] = A[0, ::-1]
    assert association_score(A, UNEQUAL) == pytest.approx(0.9)
    assert not is_associated(A, UNEQUAL)


def test_one_set_has_nothing_to_be_confused_with() -> None:
    assert margin(np.eye(3), Partition((0, 0, 0))) == math.inf
    assert association_score(np.eye(3), Partition((0, 0, 0))) == 1


@pytest.mark.parametrize("measure", [association_score, margin, is_associated])
@pytest.mark.parametrize(
    ("A", "message"),
    [
        (np.zeros((3, 3)), r"shape \(3, 3\): A must be a real matrix of shape \(4, 4\)"),
        (np.zeros((4, 3)), r"shape \(4, 3\)"),
        (np.zeros(4), r"shape \(4,\)"),
        ("logits", "must be a real matrix"),
        (np.diag([0, math.nan, 0, 0]), r"A\[1, 1\] = nan: entries of A must be finite"),
        (np.diag([0, 0, math.inf, 0]), r"A\[2, 2\] = inf: entries of A must be finite"),
    ],
)
def test_bad_logits_are_refused(measure: object, A: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(A, Partition.contiguous(2, 2))


@pytest.mark.parametrize("C", [0, 4, -1, 2.0, True])
def test_a_bad_rank_is_refused(C: int) -> None:
    for measure in (top_c, top_c_is_unique):
        with pytest.raises(ValueError, match="C must be an integer in 1..3"):
            measure(np.eye(3), C)
