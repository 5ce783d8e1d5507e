"""Coefficients read off weights: what is put in comes out, whatever the labels and the group."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import attention_logits, partitions, permutations

from numerics.measure.coefficients import estimate, orbital_estimates, read_coefficients
from theory.data.partition import Partition
from theory.symmetry.orbitals import grid_shift_generators, orbitals

values = st.integers(-64, 64).map(lambda k: k / 16)
w_star = np.array([0.6, 0.8, 0.0])
v = np.array([0.3, 0.9, 0.7])


def symmetric(partition, diagonal, gamma, rho):
    A = np.where(partition.same_set, gamma, rho)
    np.fill_diagonal(A, diagonal)
    return A


def readable(max_D=24):
    """Partitions that have a γ and a ρ."""
    shapes = [s for s in itertools.product(range(2, 7), repeat=2) if math.prod(s) <= max_D]
    return st.sampled_from(shapes).flatmap(
        lambda shape: st.permutations(range(math.prod(shape))).map(
            lambda g: Partition.scattered(*shape, g)
        )
    )


@given(partition=readable(), diagonal=values, gamma=values, rho=values, alpha=values)
def test_a_symmetric_state_is_read_exactly(partition, diagonal, gamma, rho, alpha):
    A = symmetric(partition, diagonal, gamma, rho)
    reading = read_coefficients(A, alpha * w_star, partition, w_star)
    assert reading.alpha == pytest.approx(alpha, abs=1e-14)
    assert reading.off_axis < 1e-14
    assert (reading.gamma.mean, reading.rho.mean) == (gamma, rho)
    assert (reading.gamma.spread, reading.rho.standard_error) == (0.0, 0.0)
    C, D = partition.C, partition.D
    assert (reading.gamma.n, reading.rho.n) == (D * (C - 1), D * (D - C))
    # In reduced form, association is uniquely the partition iff min(σ_A, γ) > ρ.
    assert (reading.margin > 0) == (min(diagonal, gamma) > rho)
    if reading.margin > 0:
        assert reading.association == 1.0


@given(partition=readable(16), data=st.data())
def test_reading_does_not_depend_on_labels(partition, data):
    """Moving A and the partition by any permutation leaves every number where it was."""
    A = data.draw(attention_logits(partition.D))
    g = data.draw(permutations(partition.D))
    gA = np.empty_like(A)
    gA[np.ix_(g, g)] = A
    here = read_coefficients(A, v, partition, w_star)
    there = read_coefficients(gA, v, partition.relabelled(g.tolist()), w_star)
    assert there.association == pytest.approx(here.association, abs=1e-14)
    assert there.margin == here.margin
    for name in ("gamma", "rho"):
        one, other = getattr(here, name), getattr(there, name)
        assert one.n == other.n
        assert other.mean == pytest.approx(one.mean, abs=1e-13)
        assert other.spread == pytest.approx(one.spread, abs=1e-13)


@given(partition=readable(16), data=st.data())
def test_estimates_are_those_of_the_entries_one_by_one(partition, data):
    A = data.draw(attention_logits(partition.D))
    reading = read_coefficients(A, v, partition, w_star)
    pairs = [(i, j) for i in range(partition.D) for j in range(partition.D) if i != j]
    labels = partition.labels
    for name, inside in (("gamma", True), ("rho", False)):
        entries = [A[i, j] for i, j in pairs if (labels[i] == labels[j]) is inside]
        mean = math.fsum(entries) / len(entries)
        variance = math.fsum((a - mean) ** 2 for a in entries) / (len(entries) - 1)
        read = getattr(reading, name)
        assert read.mean == pytest.approx(mean, abs=1e-13)
        assert read.spread == pytest.approx(math.sqrt(variance), abs=1e-13)
        assert read.standard_error == pytest.approx(math.sqrt(variance / len(entries)), abs=1e-13)


def test_part_of_v_off_the_axis():
    A = np.eye(4)
    reading = read_coefficients(A, v, Partition.contiguous(2, 2), w_star)
    assert reading.alpha == pytest.approx(0.9)
    assert reading.off_axis == pytest.approx(math.sqrt(v @ v - 0.81))


@given(partition=partitions(), data=st.data())
def test_orbital_means_of_the_own_group_keep_the_total(partition, data):
    A = data.draw(attention_logits(partition.D))
    parts = orbital_estimates(A, orbitals(partition.generators()))
    assert sum(e.n for e in parts) == partition.D**2
    assert sum(e.n * e.mean for e in parts) == pytest.approx(A.sum(), abs=1e-10)


def test_another_group_has_its_own_coefficients():
    """A convolution on the torus is constant on each displacement, not on sets."""
    height, width = 3, 4
    kernel = np.arange(12.0).reshape(height, width)
    cells = [(a, b) for a in range(height) for b in range(width)]
    A = np.array([[kernel[(c - a) % height, (e - b) % width] for c, e in cells] for a, b in cells])
    parts = orbital_estimates(A, orbitals(grid_shift_generators(height, width)))
    assert sorted(e.mean for e in parts) == kernel.flatten().tolist()
    assert {(e.n, e.spread) for e in parts} == {(12, 0.0)}
    # Rows of the torus taken for sets, the entries inside are 1, 2 and 3 in equal numbers.
    by_sets = read_coefficients(A, v, Partition.contiguous(height, width), w_star)
    assert by_sets.gamma.mean == pytest.approx(2.0)
    assert by_sets.gamma.spread == pytest.approx(math.sqrt(24 / 35))


def test_standard_error_covers_as_often_as_it_should():
    """Over many samples (mean − truth) / error has the Student law, so 2 errors hold 93 %."""
    samples = np.random.default_rng(0).normal(3.0, 2.0, size=(2000, 12))
    scores = [(e.mean - 3.0) / e.standard_error for e in map(estimate, samples)]
    assert np.mean(np.abs(scores) < 2) == pytest.approx(0.9292, abs=0.02)


def test_one_value_says_nothing_about_scatter():
    assert estimate([2.0]).standard_error is None
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])


def test_tensors_are_read_as_arrays_are():
    partition = Partition.scattered(2, 3, 1)
    A = np.random.default_rng(0).normal(size=(6, 6))
    tensor = torch.tensor(A, requires_grad=True)
    by_tensor = read_coefficients(tensor, torch.tensor(v), partition, torch.tensor(w_star))
    assert by_tensor == read_coefficients(A, v, partition, w_star)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="C >= 2"):
        read_coefficients(np.eye(3), v, Partition.contiguous(3, 1), w_star)
    with pytest.raises(ValueError, match="L >= 2"):
        read_coefficients(np.eye(3), v, Partition.contiguous(1, 3), w_star)
    with pytest.raises(ValueError, match="v has shape"):
        read_coefficients(np.eye(4), v[:2], Partition.contiguous(2, 2), w_star)
    with pytest.raises(ValueError, match="A has shape"):
        read_coefficients(np.eye(5), v, Partition.contiguous(2, 2), w_star)
