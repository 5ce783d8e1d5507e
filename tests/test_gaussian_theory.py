"""The theory of Gaussian patches: moments by quadrature, and the drive against full training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from numerics.data.gaussian import GaussianConvolution
from numerics.data.structured import random_direction
from numerics.models.simplified import SimplifiedViT, logistic_loss
from theory.data import gaussian
from theory.data.gaussian import critical_b, cubic_moments, set_drive, set_moments
from theory.data.partition import Partition
from theory.setting import Setting


@pytest.mark.parametrize("L", [2, 3, 9, 200])
def test_moments_do_not_depend_on_the_step(L, monkeypatch):
    coarse = set_moments(L)
    for cached in (gaussian._transforms, gaussian.set_moments):
        cached.cache_clear()
    monkeypatch.setattr(gaussian, "_STEP", 0.04)
    fine = set_moments(L)
    for cached in (gaussian._transforms, gaussian.set_moments):
        cached.cache_clear()
    assert coarse == pytest.approx(fine, rel=1e-9, abs=1e-12)


def test_two_sets_in_closed_form():
    # y = sign(g₁ + g₂): E[y Hₐ(g₁) H_b(g₂)] is that of a half-space along (1, 1)/√2.
    h3, h21, _ = set_moments(2)
    exact = -math.sqrt(2 / math.pi) / 2**1.5
    assert (h3, h21) == pytest.approx((exact, exact), rel=1e-12)
    assert set_drive(2, 4, b=3.0, kappa=0.2) == pytest.approx(0, abs=1e-12)


def test_the_threshold_falls_to_two_fifths():
    gaps = [critical_b(L, 5) - 2 for L in (3, 10, 100, 1000, 10_000)]
    assert gaps == sorted(gaps, reverse=True)
    assert 0 < gaps[-1] < 1e-3


def test_one_patch_is_perfect_alone_and_no_better_than_the_sum_far_away():
    def correlation(D: int, kappa: float) -> float:
        covariance, of_G, of_V = cubic_moments(D, kappa)
        return covariance / math.sqrt(of_G * of_V)

    assert correlation(36, 0.0) == 1
    values = [correlation(36, kappa) for kappa in (0, 0.01, 0.05, 0.2, 1.0)]
    assert values == sorted(values, reverse=True)
    # Σ (x_i + κT)³ tends to D κ³T³, and corr(T³, V) is below corr(T, V) = √(3/5).
    assert correlation(36, 1e6) < math.sqrt(3 / 5)


@pytest.mark.parametrize("sigma_A", [0.5, 3.0])
@pytest.mark.parametrize("kernel", [1, 4])
def test_the_full_gradient_of_the_trained_model_obeys_the_formula(kernel, sigma_A):
    setting = Setting(L=5, C=4, q=0.5, p=3, nu=0.1, sigma_A=sigma_A, temperature=1.5)
    generator = torch.Generator().manual_seed(7)
    partition = Partition.scattered(5, 4, 2)
    data = GaussianConvolution(partition, random_direction(3, generator), kernel)
    alpha, D = 0.02, setting.D
    same = torch.tensor(partition.same_set) & ~torch.eye(D, dtype=torch.bool)
    across = ~torch.tensor(partition.same_set)
    values = []
    for _ in range(60):
        model = SimplifiedViT.idealized(setting, data.w_star, alpha=alpha)
        batch = data.sample(4000, generator)
        logistic_loss(model(batch.X), batch.y).backward()
        gradient = model.A.grad
        values.append(float(gradient[across].mean() - gradient[same].mean()))
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    b = math.exp(sigma_A / 1.5) - 1
    expected = 0.0 if kernel == 1 else set_drive(5, 4, b, alpha * D / (b + D), tau=1.5)
    assert abs(np.mean(values) - expected) < 4 * error
    if kernel == 4:
        assert abs(expected) > 6 * error  # so that zero, or the other sign, would be seen


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: set_moments(1), "L = 1: L must be an integer >= 2"),
        (lambda: set_drive(3, 0, 1.0, 1.0), "C = 0: C must be an integer >= 1"),
        (lambda: critical_b(2, 4), "L = 2: L must be an integer >= 3"),
        (lambda: set_moments(2.5), "L = 2.5"),
    ],
)
def test_bad_sizes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
