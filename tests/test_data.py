"""The sampler against the exact law of Assumption 1, and its noise, shapes and errors."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import settings

from numerics.data.structured import StructuredData, random_direction
from theory.data.partition import Partition
from theory.setting import Setting


def make(L=3, C=2, q=0.4, d=5, seed=0, **options):
    setting = Setting(L=L, C=C, q=q, p=3, nu=0.05, sigma_A=2.0)
    w_star = random_direction(d, torch.Generator().manual_seed(seed))
    return StructuredData(setting, Partition.scattered(L, C, seed), w_star, **options)


def draw(data, N, seed=0):
    return data.sample(N, torch.Generator().manual_seed(seed), latents=True)


def p_value(observed, probabilities):
    """Chi-square test of counts against a law given as {outcome: probability}."""
    outcomes = list(probabilities)
    assert set(observed) <= set(outcomes), "an outcome of probability 0 was drawn"
    total = sum(observed.values())
    counts = [observed.get(outcome, 0) for outcome in outcomes]
    return stats.chisquare(counts, [total * probabilities[o] for o in outcomes]).pvalue


def counted(rows):
    values, counts = np.unique(np.asarray(rows), axis=0, return_counts=True)
    return {tuple(v.tolist()): int(c) for v, c in zip(values, counts, strict=True)}


def feature_law(q):
    return {-1: q / 2, 0: 1 - q, 1: q / 2}


def test_every_configuration_has_its_probability():
    """The whole joint law of (y, signal set, δ) at L = 3, C = 1: 54 outcomes, no summary."""
    q = 0.4
    data = make(L=3, C=1, q=q)
    batch = draw(data, 200_000)
    law = {}
    for y, s in itertools.product((-1, 1), range(3)):
        for spurious in itertools.product((-1, 0, 1), repeat=2):
            delta = [*spurious]
            delta.insert(data.partition.labels.index(s), y)
            law[y, s, *delta] = math.prod(feature_law(q)[x] for x in spurious) / 6
    assert sum(law.values()) == pytest.approx(1)
    rows = torch.column_stack([batch.y, batch.signal_set.to(batch.y.dtype), batch.delta])
    assert p_value(counted(rows.int()), law) > 1e-3


def random_set_types(batch, data):
    labels = torch.tensor(data.partition.labels)
    types = []
    for k in range(data.setting.L):
        patches = batch.delta[batch.signal_set != k][:, labels == k]
        types.append(torch.stack([(patches == 1).sum(1), (patches == -1).sum(1)], dim=1))
    return torch.cat(types)


def type_law(C, q):
    law = {}
    for patches in itertools.product((-1, 0, 1), repeat=C):
        key = (patches.count(1), patches.count(-1))
        law[key] = law.get(key, 0) + math.prod(feature_law(q)[x] for x in patches)
    return law


def test_types_of_random_sets_are_multinomial():
    data = make(L=4, C=3, q=0.3)
    types = counted(random_set_types(draw(data, 50_000), data))
    assert p_value(types, type_law(3, 0.3)) > 1e-3
    # The test has the power to tell a spurious rate that is off by two hundredths.
    assert p_value(types, type_law(3, 0.32)) < 1e-6


def test_spurious_total_has_the_convolved_law():
    data = make(L=4, C=3, q=0.3)
    batch = draw(data, 50_000)
    total = (batch.delta.sum(dim=1) - data.setting.C * batch.y).int()
    law = np.array([1.0])
    for _ in range(data.setting.n):
        law = np.convolve(law, [0.15, 0.7, 0.15])
    # Totals beyond ±5 are too rare for a chi-square test: one outcome for all of them.
    n = data.setting.n
    grouped = {(k,): law[n + k] for k in range(-5, 6)} | {(6,): 1 - law[n - 5 : n + 6].sum()}
    clipped = torch.where(total.abs() <= 5, total, 6)
    assert p_value(counted(clipped[:, None]), grouped) > 1e-3


def test_labels_and_signal_sets_are_balanced_and_independent():
    data = make(L=5, C=2)
    batch = draw(data, 50_000)
    pairs = torch.column_stack([batch.y.int(), batch.signal_set])
    assert p_value(counted(pairs), dict.fromkeys(itertools.product((-1, 1), range(5)), 0.1)) > 1e-3


@given(setting=settings(max_D=24), seed=st.integers(0, 2**31), d=st.integers(1, 5))
def test_a_patch_is_its_feature_plus_noise_orthogonal_to_the_direction(setting, seed, d):
    generator = torch.Generator().manual_seed(seed)
    partition = Partition.scattered(setting.L, setting.C, seed)
    data = StructuredData(
        setting, partition, random_direction(d, generator), noise_std=3.0, dtype=torch.float64
    )
    batch = data.sample(7, generator, latents=True)
    assert batch.X.shape == (7, setting.D, d)
    torch.testing.assert_close(batch.X @ data.w_star, batch.delta, atol=1e-13, rtol=0)
    assert set(batch.y.tolist()) <= {-1.0, 1.0}
    assert set(batch.delta.unique().tolist()) <= {-1.0, 0.0, 1.0}
    in_signal = torch.tensor(partition.labels) == batch.signal_set[:, None]
    assert (in_signal.sum(dim=1) == setting.C).all()
    assert (torch.where(in_signal, batch.delta, batch.y[:, None]) == batch.y[:, None]).all()


@pytest.mark.parametrize(
    ("q", "values"), [(0, {0.0}), (1, {-1.0, 1.0}), (Fraction(1), {-1.0, 1.0})]
)
def test_extreme_rates(q, values):
    data = make(q=q)
    batch = draw(data, 2000)
    elsewhere = torch.tensor(data.partition.labels) != batch.signal_set[:, None]
    assert set(batch.delta[elsewhere].unique().tolist()) == values


def test_noise_is_gaussian_isotropic_in_the_orthogonal_space_and_ignores_features():
    data = make(d=4, noise_std=0.7, dtype=torch.float64)
    batch = draw(data, 20_000)
    noise = (batch.X - batch.delta.unsqueeze(-1) * data.w_star).reshape(-1, data.d)
    n = len(noise)
    expected = 0.7**2 * (torch.eye(4, dtype=torch.float64) - torch.outer(data.w_star, data.w_star))
    # An entry of a sample covariance has variance at most 2σ⁴/n.
    bound = 4.5 * 0.7**2 * math.sqrt(2 / n)
    assert ((noise.T @ noise / n - expected).abs() < bound).all()
    assert (noise.mean(dim=0).abs() < 4.5 * 0.7 / math.sqrt(n)).all()

    basis = torch.linalg.eigh(expected).eigenvectors[:, 1:]
    coordinates = noise @ basis / 0.7
    assert stats.kstest(coordinates.flatten().numpy(), "norm").pvalue > 1e-3
    # Uncorrelated with the feature, in value and in square.
    delta = batch.delta.flatten()
    for power in (1, 2):
        correlation = np.corrcoef(delta, (coordinates**power).sum(dim=1))[0, 1]
        assert abs(correlation) < 4.5 / math.sqrt(n)


def test_default_noise_gives_a_patch_norm_of_about_one():
    data = make(d=64, q=0.0)
    X = draw(data, 500).X
    norms = X[draw(data, 500).delta == 0].norm(dim=-1)
    assert float(norms.mean()) == pytest.approx(math.sqrt(63 / 64), abs=0.01)


def test_same_seed_same_images_and_no_global_randomness():
    data = make()
    assert torch.equal(draw(data, 50, seed=3).X, draw(data, 50, seed=3).X)
    assert not torch.equal(draw(data, 50, seed=3).X, draw(data, 50, seed=4).X)
    assert data.sample(5, torch.Generator()).signal_set is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_are_made_on_the_device_of_the_generator():
    batch = make().sample(100, torch.Generator("cuda").manual_seed(0), latents=True)
    assert {part.device.type for part in batch} == {"cuda"}
    noise_free = batch.X @ make().w_star.to("cuda") - batch.delta
    assert float(noise_free.abs().max()) < 1e-5


@pytest.mark.parametrize("N", [0, -3, 2.5, True, None])
def test_bad_sample_size(N):
    with pytest.raises(ValueError, match="N must be an integer >= 1"):
        make().sample(N, torch.Generator())


@pytest.mark.parametrize("w_star", [[2.0, 0.0], [[1.0, 0.0]], [float("nan"), 1.0], [], [0.0]])
def test_direction_must_be_a_unit_vector(w_star):
    setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.0, sigma_A=1.0)
    with pytest.raises(ValueError, match="w_star must be a unit vector"):
        StructuredData(setting, Partition.contiguous(2, 2), torch.tensor(w_star))


@pytest.mark.parametrize("noise_std", [-1.0, float("nan"), float("inf")])
def test_noise_must_be_finite(noise_std):
    with pytest.raises(ValueError, match="noise_std must be a finite number >= 0"):
        make(noise_std=noise_std)


def test_partition_and_type_must_fit():
    setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.0, sigma_A=1.0)
    for partition in (
        Partition.contiguous(2, 3),
        Partition.contiguous(4, 1),
        Partition((0, 0, 0, 1)),
    ):
        with pytest.raises(ValueError, match="partition must have"):
            StructuredData(setting, partition, torch.tensor([1.0]))
    with pytest.raises(ValueError, match="must be a floating-point type"):
        make(dtype=torch.int64)
