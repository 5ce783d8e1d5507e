"""What the simplified ViT and its gradient are invariant under, and what breaks it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import attention_logits, group_elements, settings, value_vectors, weights

from numerics.data.structured import StructuredData, random_direction
from numerics.models.simplified import (
    AttentionMatrix,
    SimplifiedViT,
    error_rate,
    logistic_loss,
    positional_attention,
)
from theory.data.partition import Partition
from theory.setting import Setting

N, d = 5, 3
seeds = st.integers(0, 2**31)
small = settings(max_D=12)
close = {"rtol": 1e-9, "atol": 1e-11}


def generator(seed):
    return torch.Generator().manual_seed(seed)


def images(setting, seed, d=d):
    """N random images, of no particular law."""
    X = torch.randn(N, setting.D, d, generator=generator(seed), dtype=torch.float64)
    y = torch.randint(0, 2, (N,), generator=generator(seed + 1)).double() * 2 - 1
    return X, y


def build(setting, A, v, **options):
    return SimplifiedViT(setting, torch.tensor(v), torch.tensor(A), **options)


def gradients(model, X, y):
    return torch.autograd.grad(logistic_loss(model(X), y), (model.A, model.v))


@st.composite
def models(draw):
    """A setting and random full weights for it."""
    setting = draw(small)
    A, v = draw(weights(setting, d))
    return setting, A, v


@given(model=models(), seed=seeds)
def test_forward_is_the_definition(model, seed):
    """Against the double sum of the paper, patch by patch, in numpy."""
    setting, A, v = model
    X, _ = images(setting, seed)
    expected = np.zeros(N)
    for k, image in enumerate(X.numpy()):
        for i in range(setting.D):
            exponentials = [math.exp(A[i, j] / setting.temperature) for j in range(setting.D)]
            attended = sum(e * (image[j] @ v) for j, e in enumerate(exponentials))
            O = setting.D * attended / sum(exponentials)
            expected[k] += O**setting.p + setting.nu * O
    F, S = build(setting, A, v)(X, return_attention=True)
    np.testing.assert_allclose(F.detach(), expected, rtol=1e-9, atol=1e-9)
    assert S.shape == (setting.D, setting.D)
    torch.testing.assert_close(S.sum(dim=1), torch.ones(setting.D, dtype=torch.float64))


def test_gradient_is_that_of_finite_differences():
    setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.3, sigma_A=1.0, temperature=2.0)
    X, y = images(setting, 0)
    A = torch.randn(4, 4, generator=generator(2), dtype=torch.float64, requires_grad=True)
    v = (0.3 * torch.randn(d, generator=generator(3), dtype=torch.float64)).requires_grad_()
    model = SimplifiedViT(setting, v, A, train_diagonal=True)

    def loss(A, v):
        F = torch.func.functional_call(model, {"attention.A": A, "v": v}, (X,))
        return logistic_loss(F, y)

    assert torch.autograd.gradcheck(loss, (A, v))


@st.composite
def models_with_group_element(draw):
    setting = draw(small)
    partition = Partition.scattered(setting.L, setting.C, draw(st.permutations(range(setting.D))))
    A, v = draw(weights(setting, d))
    return setting, partition, A, v, draw(group_elements(partition))


def moved(A, g):
    """gA, with (gA)_{g(i) g(j)} = A_ij."""
    result = np.empty_like(A)
    result[np.ix_(g, g)] = A
    return result


@given(case=models_with_group_element(), seed=seeds)
def test_equivariance_of_F_and_of_its_gradient(case, seed):
    """Moving patches and weights alike changes nothing, and moves the gradient alike."""
    setting, _, A, v, g = case
    X, y = images(setting, seed)
    gX = torch.empty_like(X)
    gX[:, g] = X
    here, there = build(setting, A, v), build(setting, moved(A, g), v)
    torch.testing.assert_close(there(gX), here(X), **close)
    (A_here, v_here), (A_there, v_there) = gradients(here, X, y), gradients(there, gX, y)
    torch.testing.assert_close(A_there, torch.tensor(moved(A_here.numpy(), g)), **close)
    torch.testing.assert_close(v_there, v_here, **close)


def symmetric_logits(partition, gamma, rho):
    return np.where(partition.same_set, gamma, rho)


@given(case=models_with_group_element(), seed=seeds)
def test_symmetric_weights_make_F_invariant_under_the_group(case, seed):
    setting, partition, _, v, g = case
    model = build(setting, symmetric_logits(partition, 0.7, -0.4), v)
    X, _ = images(setting, seed)
    torch.testing.assert_close(model(X[:, g]), model(X), **close)


def test_a_permutation_that_splits_a_set_changes_F():
    setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.3, sigma_A=1.0)
    A = symmetric_logits(Partition.contiguous(2, 2), 0.7, -0.4)
    model = build(setting, A, np.array([0.3, -0.2, 0.5]))
    X, _ = images(setting, 0)
    assert (model(X[:, [0, 2, 1, 3]]) - model(X)).abs().min() > 1e-3


@given(model=models(), seed=seeds)
def test_rotations_that_fix_the_direction_are_not_seen(model, seed):
    """F_{A,v}(UX) = F_{A,Uᵀv}(X); at v = αw*, with Uw* = w*, F and ∇_A stay and ∇_v turns."""
    setting, A, v = model
    X, y = images(setting, seed)
    w_star = random_direction(d, generator(seed + 2))
    frame = torch.randn(d, d, generator=generator(seed + 3), dtype=torch.float64)
    frame[:, 0] = w_star
    basis = torch.linalg.qr(frame).Q
    angle = torch.tensor(1.1, dtype=torch.float64)
    turn = torch.eye(3, dtype=torch.float64)
    turn[1:, 1:] = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
    U = basis @ turn @ basis.T
    torch.testing.assert_close(U @ w_star, w_star, rtol=0, atol=1e-12)

    UX = X @ U.T
    turned = (U.T @ torch.tensor(v)).numpy()
    torch.testing.assert_close(build(setting, A, v)(UX), build(setting, A, turned)(X), **close)
    aligned = build(setting, A, (0.3 * w_star).numpy())
    torch.testing.assert_close(aligned(UX), aligned(X), **close)
    (A_grad, v_grad), (A_turned, v_turned) = gradients(aligned, X, y), gradients(aligned, UX, y)
    torch.testing.assert_close(A_turned, A_grad, **close)
    torch.testing.assert_close(v_turned, U @ v_grad, **close)


@given(model=models(), seed=seeds)
def test_label_flip_for_odd_powers(model, seed):
    """Negating images and labels changes neither the loss nor, so, its gradient."""
    setting, A, v = model
    X, y = images(setting, seed)
    network = build(setting, A, v)
    assert torch.equal(network(-X), -network(X))
    for flipped, straight in zip(gradients(network, -X, -y), gradients(network, X, y), strict=True):
        torch.testing.assert_close(flipped, straight, rtol=1e-12, atol=1e-14)


@given(model=models(), seed=seeds)
def test_an_even_power_breaks_the_label_flip(model, seed):
    """σ(x) = x² + νx has F(−X) + F(X) = 2 Σ_i O_i², positive unless v = 0."""
    setting, A, v = model
    v = v + 1 / 64  # entries of v are multiples of 1/32: none is zero now
    X, y = images(setting, seed)
    network = build(setting, A, v, activation=lambda x: x**2 + float(setting.nu) * x)
    F, S = network(X, return_attention=True)
    O = setting.D * torch.einsum("ij,njk,k->ni", S, X, network.v)
    torch.testing.assert_close(network(-X) + F, 2 * (O**2).sum(dim=1), **close)
    assert logistic_loss(network(-X), -y) != logistic_loss(F, y)


@given(setting=small, data=st.data(), seed=seeds)
def test_softmax_does_not_see_row_shifts(setting, data, seed):
    A, v = data.draw(weights(setting, d))
    shift = torch.tensor(data.draw(value_vectors(setting.D))) * 20
    X, y = images(setting, seed)
    model = build(setting, A, v, train_diagonal=True)
    F, (A_grad, v_grad) = model(X).detach(), gradients(model, X, y)
    with torch.no_grad():
        model.A.add_(shift[:, None])
    torch.testing.assert_close(model(X), F, **close)
    for after, before in zip(gradients(model, X, y), (A_grad, v_grad), strict=True):
        torch.testing.assert_close(after, before, **close)


@given(model=models(), seed=seeds)
def test_row_sums_of_the_gradient(model, seed):
    """With a trained diagonal they vanish; fixing it leaves minus what the diagonal had."""
    setting, A, v = model
    X, y = images(setting, seed)
    trained, _ = gradients(build(setting, A, v, train_diagonal=True), X, y)
    fixed, _ = gradients(build(setting, A, v), X, y)
    zero = torch.zeros(setting.D, dtype=torch.float64)
    scale = float(trained.abs().max())
    torch.testing.assert_close(trained.sum(dim=1), zero, rtol=0, atol=1e-13 * (1 + scale))
    assert torch.equal(fixed.diagonal(), zero)
    off_diagonal = ~torch.eye(setting.D, dtype=torch.bool)
    assert torch.equal(fixed[off_diagonal], trained[off_diagonal])
    torch.testing.assert_close(fixed.sum(dim=1), -trained.diagonal(), **close)


@given(A=attention_logits(6), temperature=st.sampled_from([0.5, 1.0, 3.0]))
def test_temperature_divides_the_logits(A, temperature):
    S = positional_attention(torch.tensor(A), temperature)
    log_ratio = (S[:, :1] / S).log() * temperature
    torch.testing.assert_close(log_ratio, torch.tensor(A[:, :1] - A), **close)


def test_idealized_start():
    setting = Setting(L=2, C=3, q=0.5, p=3, nu=0.1, sigma_A=1.5)
    w_star = random_direction(4, generator(0))
    model = SimplifiedViT.idealized(setting, w_star, alpha=0.25)
    assert torch.equal(model.v, 0.25 * w_star)
    assert torch.equal(model.A, 1.5 * torch.eye(6, dtype=torch.float64))


def test_realistic_start_is_gaussian_of_standard_deviation_omega():
    setting = Setting(L=16, C=4, q=0.5, p=3, nu=0.1, sigma_A=1.5)
    model = SimplifiedViT.realistic(setting, 500, 0.2, generator(0))
    again = SimplifiedViT.realistic(setting, 500, 0.2, generator(0))
    assert torch.equal(model.A, again.A)
    assert torch.equal(model.v, again.v)
    assert torch.equal(model.A.diagonal(), torch.full((64,), 1.5))
    off_diagonal = model.A.detach()[~torch.eye(64, dtype=torch.bool)]
    for entries in (off_diagonal, model.v.detach()):
        n = len(entries)
        assert abs(float(entries.mean())) < 4 * 0.2 / math.sqrt(n)
        assert abs(float(entries.std()) - 0.2) < 4 * 0.2 / math.sqrt(2 * n)


def test_single_precision_follows_double():
    setting = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    w_star = random_direction(4, generator(0))
    data = StructuredData(setting, Partition.contiguous(4, 3), w_star, dtype=torch.float64)
    batch = data.sample(200, generator(1))
    X, y = batch.X, batch.y
    double = SimplifiedViT.idealized(setting, w_star, 0.15)
    single = SimplifiedViT.idealized(setting, w_star.float(), 0.15)
    exact = gradients(double, X, y)
    for rounded, reference in zip(gradients(single, X.float(), y.float()), exact, strict=True):
        error = (rounded.double() - reference).abs().max()
        assert error < 1e-5 * reference.abs().max()


def test_loss_does_not_overflow_and_ties_are_errors():
    F = torch.tensor([1e4, -1e4, 0.0])
    y = torch.tensor([1.0, 1.0, -1.0])
    assert float(logistic_loss(F, y)) == pytest.approx((1e4 + math.log(2)) / 3)
    assert float(error_rate(F, y)) == pytest.approx(2 / 3)


def test_bad_shapes_and_values_are_named():
    setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.3, sigma_A=1.0)
    v, A = torch.ones(3), torch.zeros(4, 4)
    with pytest.raises(ValueError, match=r"v must be a finite vector"):
        SimplifiedViT(setting, torch.ones(3, 1), A)
    with pytest.raises(ValueError, match=r"v must be a finite vector"):
        SimplifiedViT(setting, torch.tensor([1.0, math.nan]), A)
    with pytest.raises(ValueError, match=r"A has shape \(3, 3\).*D = 4"):
        SimplifiedViT(setting, v, torch.zeros(3, 3))
    with pytest.raises(ValueError, match="not finite"):
        SimplifiedViT(setting, v, torch.full((4, 4), math.inf))
    with pytest.raises(ValueError, match="must be square"):
        AttentionMatrix(torch.zeros(2, 3), 1.0)
    with pytest.raises(ValueError, match=r"X must be \(N, D, d\) = \(N, 4, 3\)"):
        SimplifiedViT(setting, v, A)(torch.zeros(5, 4, 2))
    for omega in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="omega must be a finite number >= 0"):
            SimplifiedViT.realistic(setting, 3, omega, generator(0))
