"""Theorem 3.2: obstruction, derangement, minimal encodings, error of attention on the own set."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import attention_logits, partitions, rational_settings, settings

from numerics.data.structured import StructuredData
from numerics.models.simplified import SimplifiedViT, logistic_loss
from theory.bounds.encodings import (
    derange,
    encodings,
    hard_attention_error,
    minimal_gram,
    power_tolerance,
    set_derangement,
    value_map,
)
from theory.data.law import bayes_error, f_star_error
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.model.association import association_score, is_associated, top_c, top_c_is_unique
from theory.setting import Setting


def integers_matrix(D: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.int64, (D, D), elements=st.integers(-8, 8))


# --- obstruction ----------------------------------------------------------------------------------


@given(st.integers(2, 6), st.integers(1, 5), st.data())
def test_the_longest_encoding_is_in_its_own_top_c(D: int, d: int, data: st.DataObject) -> None:
    P = data.draw(hnp.arrays(np.int64, (d, D), elements=st.integers(-8, 8)))
    gram = P.T @ P
    longest = int(np.argmax(np.diagonal(gram)))
    for C in range(1, D + 1):
        if top_c_is_unique(gram, C)[longest]:
            assert longest in top_c(gram, C)[longest]


def test_a_matrix_that_is_no_gram_matrix_can_avoid_every_set() -> None:
    partition = Partition.contiguous(2, 2)
    A = np.where(partition.same_set, 0.0, 1.0)
    assert association_score(A, partition) == 0


# --- derangement ----------------------------------------------------------------------------------


@given(partitions(max_D=12), st.data())
def test_a_deranged_model_is_the_same_function(partition: Partition, data: st.DataObject) -> None:
    D = partition.D
    setting = Setting(
        L=partition.L, C=D // partition.L, q=0.5, p=3, nu=0.25, sigma_A=1.0, temperature=0.5
    )
    A = torch.tensor(data.draw(attention_logits(D, diagonal=1.0)))
    moved = derange(A.numpy(), set_derangement(partition), diagonal=1.0)
    assert (np.diagonal(moved) == 1.0).all()
    images = StructuredData(setting, partition, torch.tensor([0.6, 0.8]), dtype=torch.float64)
    batch = images.sample(8, torch.Generator().manual_seed(data.draw(st.integers(0, 9))))
    v = torch.tensor([0.05, -0.02], dtype=torch.float64)
    outputs, slopes = [], []
    for logits in (A, torch.tensor(moved)):
        model = SimplifiedViT(setting, v, logits)
        F = model(batch.X)
        (slope,) = torch.autograd.grad(logistic_loss(F, batch.y), (model.v,))
        outputs.append(F.detach())
        slopes.append(slope)
    assert torch.allclose(*outputs, rtol=1e-12, atol=1e-12)
    assert torch.allclose(*slopes, rtol=1e-12, atol=1e-12)


@given(partitions(max_D=16), st.integers(1, 4), st.data())
def test_a_derangement_takes_association_from_one_to_zero(
    partition: Partition, shift: int, data: st.DataObject
) -> None:
    shift = 1 + shift % (partition.L - 1) if partition.L > 2 else 1
    noise = data.draw(attention_logits(partition.D))
    A = noise / 16 + partition.same_set
    pi = set_derangement(partition, shift)
    assert sorted(pi) == list(range(partition.D))
    assert is_associated(A, partition)
    assert association_score(derange(A, pi), partition) == 0
    assert association_score(derange(A, pi, diagonal=2.0), partition) == 0


def test_a_shift_by_all_sets_moves_nothing_and_is_refused() -> None:
    with pytest.raises(ValueError, match="no multiple of L = 3"):
        set_derangement(Partition.contiguous(3, 2), 3)
    with pytest.raises(ValueError, match="one size"):
        set_derangement(Partition((0, 0, 1)))


# --- minimal encodings ----------------------------------------------------------------------------


@given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 9), st.data())
def test_minimal_encodings(C: int, more: int, seed: int, data: st.DataObject) -> None:
    L = max(2, C + more)
    partition = Partition.scattered(L, C, seed)
    exact = minimal_gram(partition)
    gram = exact.astype(float)
    assert (exact == exact.T).all()
    assert (np.diagonal(exact) == 1).all()
    assert (abs(exact).sum(axis=1) < 2).all()  # diagonal dominance
    assert top_c_is_unique(gram, C).all()
    for i, row in enumerate(top_c(gram, C)):
        assert set(row) & set(partition.sets[partition.labels[i]]) == {i}
    P = encodings(gram, partition.D + 2)
    assert P.shape == (partition.D + 2, partition.D)
    assert np.abs(P.T @ P - gram).max() < 1e-14
    A = data.draw(integers_matrix(partition.D)).astype(object)
    middle = value_map(A, exact)
    assert (exact @ middle @ exact == A).all()
    assert np.abs(P.T @ (P @ middle.astype(float) @ P.T) @ P - A.astype(float)).max() < 1e-10


def test_what_no_encoding_can_do_is_refused() -> None:
    with pytest.raises(ValueError, match="L must be at least C"):
        minimal_gram(Partition.contiguous(2, 3))
    with pytest.raises(ValueError, match="d must be at least D"):
        encodings(np.eye(3), 2)
    with pytest.raises(ValueError, match="not positive definite"):
        encodings(np.array([[1.0, 2.0], [2.0, 1.0]]), 2)
    with pytest.raises(ValueError, match="singular"):
        value_map([[1]], [[0]])
    with pytest.raises(ValueError, match="rational"):
        value_map([[0.5]], [[1]])


# --- the error ------------------------------------------------------------------------------------


@given(rational_settings(max_D=8))
def test_hard_attention_error_is_that_of_listed_outcomes(setting: Setting) -> None:
    partition = Partition.contiguous(setting.L, setting.C)
    listed = Fraction(0)
    for sample in enumerate_samples(partition, setting.q):
        power = sum(sum(sample.delta[j] for j in s) ** setting.p for s in partition.sets)
        listed += sample.probability * (sample.y * power <= 0)
    assert hard_attention_error(setting) == listed >= bayes_error(setting)


@pytest.mark.parametrize("q", [Fraction(1, 2), 0.5])
def test_a_law_that_does_not_fit_is_refused_with_the_estimate(q) -> None:
    setting = Setting(L=3, C=4, q=q, p=21, nu=0, sigma_A=1)
    with pytest.raises(ArithmeticError, match=r"C = 4, p = 21.* needs .* GiB .*: reduce p, C or"):
        hard_attention_error(setting)


@given(settings(max_D=24, max_C=4))
def test_float_and_exact_error_agree(setting: Setting) -> None:
    exact = Setting(L=setting.L, C=setting.C, q=Fraction(setting.q), p=setting.p, nu=0, sigma_A=1)
    assert hard_attention_error(setting) == pytest.approx(
        float(hard_attention_error(exact)), rel=1e-12, abs=1e-300
    )


@given(st.integers(2, 5), st.integers(1, 3), st.sampled_from([Fraction(1, 4), Fraction(1)]))
def test_a_large_power_lies_between_the_errors_of_f_star(L: int, C: int, q: Fraction) -> None:
    p = 3
    while (L - 1) * (C - 1) ** p >= C**p:
        p += 2
    setting = Setting(L=L, C=C, q=q, p=p, nu=0, sigma_A=1)
    error = f_star_error(setting)
    assert error.negative <= hard_attention_error(setting) <= error.nonpositive


@given(settings(max_D=12, max_C=3), st.data())
def test_a_power_forgives_small_errors(setting: Setting, data: st.DataObject) -> None:
    L, C, p, theta = setting.L, setting.C, setting.p, power_tolerance(setting)
    assert L * p * theta * (C + theta) ** (p - 1) < Fraction(1, 2)
    sums = data.draw(st.lists(st.integers(-C, C), min_size=L, max_size=L))
    signs = data.draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=L, max_size=L))
    total = sum(s**p for s in sums)
    near = sum((s + e * theta) ** p for s, e in zip(sums, signs, strict=True))
    assert abs(near - total) < Fraction(1, 2)
