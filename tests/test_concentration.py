"""Theorem 4.2 at finite size: moments against all images, bounds against samples and each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import coefficients, small_settings

from numerics.data.structured import StructuredData, random_direction
from numerics.models.simplified import SimplifiedViT, logistic_loss
from numerics.training.descent import full_batch, train
from theory import Coefficients, Setting, gradient_descent, population_gradient
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.finite_sample.concentration import (
    association_slack,
    bernstein_radius,
    chi_radius,
    event_count,
    gap_bound,
    images_for_association,
)
from theory.finite_sample.image_law import GradientLaw, ImageLaw, Moments, gradient_law
from theory.finite_sample.perturbation import (
    lipschitz_matrix,
    patch_length,
    path_bound,
    small_start_bound,
    start_distance,
)
from theory.ledger import passed, run_ledger
from theory.model.association import association_score
from theory.statements import concentration, perturbation
from theory.statements.statement import Verdict

SETTING = Setting(L=3, C=2, q=0.4, p=3, nu=0.2, sigma_A=1.0)
STATE = Coefficients(alpha=0.2, gamma=0.3, rho=-0.1)


def every_gradient(setting: Setting, state: Coefficients) -> dict[str, tuple]:
    """Probabilities and values of g_α, an entry of each kind, and W, by autograd on all images."""
    partition = Partition.contiguous(setting.L, setting.C)
    D, same = setting.D, partition.same_set
    samples = list(enumerate_samples(partition, float(setting.q)))
    delta = torch.tensor([s.delta for s in samples], dtype=torch.float64)
    # One more pixel for each patch: the gradient there is a patch's share of ∂ℓ/∂v.
    X = torch.cat([delta[:, :, None], torch.eye(D).double().expand(len(samples), D, D)], dim=2)
    y = torch.tensor([float(s.y) for s in samples], dtype=torch.float64)
    v = torch.zeros(D + 1, dtype=torch.float64)
    v[0] = state.alpha
    A = torch.tensor(np.where(same, state.gamma, state.rho), dtype=torch.float64)
    model = SimplifiedViT(setting, v, A)
    weights = np.array([s.probability for s in samples])
    in_A, in_v = [], []
    for image, label in zip(X, y, strict=True):
        loss = logistic_loss(model(image[None]), label[None])
        a, b = torch.autograd.grad(loss, (model.A, model.v))
        in_A.append(a.numpy())
        in_v.append(b.numpy())
    in_A, in_v = np.array(in_A), np.array(in_v)
    return {
        "alpha": (weights, in_v[:, 0]),
        "gamma": (weights, in_A[:, 0, 1]),
        "rho": (weights, in_A[:, 0, setting.C]),
        "noise": (weights, (in_v[:, 1:] ** 2).sum(axis=1)),
    }


@pytest.mark.parametrize(
    ("setting", "state"),
    [
        (Setting(2, 2, 0.5, 3, 0.2, 1.0), Coefficients(0.3, 0.4, -0.2)),
        (Setting(2, 2, 1, 5, 0.0, -1.0, 2.0), Coefficients(-0.2, 1.5, 0.5)),
        (Setting(2, 3, 0.3, 3, 0.1, 2.0), Coefficients(0.1, 0.0, 0.0)),
        (Setting(3, 2, 0.4, 3, 0.2, 1.0), Coefficients(0.1, -0.5, 0.25)),
        (Setting(2, 2, 0, 3, 0.2, 1.0), Coefficients(0.3, 0.4, -0.2)),
    ],
)
def test_moments_are_those_of_all_images(setting: Setting, state: Coefficients) -> None:
    moments = gradient_law(setting, state).moments()
    for name, (weight, values) in every_gradient(setting, state).items():
        found: Moments = getattr(moments, name)
        mean = weight @ values
        scale = np.abs(values).max()
        assert found.mean == pytest.approx(mean, rel=1e-10, abs=1e-13 * scale)
        variance = weight @ (values - mean) ** 2
        assert found.variance == pytest.approx(variance, rel=1e-9, abs=1e-12 * scale**2)
        # The entries of one orbital are one another's images: the range is that of any of them.
        largest = np.abs(values - mean)[weight > 0].max()
        assert found.largest == pytest.approx(largest, rel=1e-9, abs=1e-12 * scale)


@given(st.data())
def test_the_mean_is_the_population_gradient(data: st.DataObject) -> None:
    setting = data.draw(small_settings().filter(lambda s: s.C > 1))
    state = data.draw(coefficients(setting))
    moments = gradient_law(setting, state).moments()
    exact = population_gradient(setting, state)
    for name in ("alpha", "gamma", "rho"):
        found = getattr(moments, name)
        assert found.mean == pytest.approx(getattr(exact, name), abs=1e-9 * (found.largest + 1))
        # Popoviciu: no variance exceeds the square of a range.
        assert 0 <= found.variance <= found.largest**2 * (1 + 1e-9) + 1e-300


def test_known_moments_at_vanishing_weights() -> None:
    """At α → 0: g_α = −½ν Σ_j y x_j, of mean −½νDC… and W = ¼ν²D³ S-columns of one."""
    setting = Setting(3, 2, 0.4, 3, 0.2, 1.0)
    moments = gradient_law(setting, Coefficients(0.0, 0.5, -0.5)).moments()
    half = 0.5 * setting.nu * setting.D
    assert moments.alpha.mean == pytest.approx(-half * setting.C)
    assert moments.alpha.variance == pytest.approx(half**2 * setting.q * setting.n)
    assert moments.alpha.largest == pytest.approx(half * setting.n)
    assert moments.noise == Moments(
        pytest.approx(half**2 * setting.D), pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12)
    )
    assert moments.gamma.variance == moments.rho.variance == 0


@given(
    st.floats(0, 10), st.floats(0, 10), st.integers(1, 10**6), st.floats(0.1, 30), st.integers(1, 9)
)
def test_the_radius_falls_with_N_and_grows_with_s(
    variance: float, largest: float, N: int, s: float, times: int
) -> None:
    moments = Moments(0.0, variance, largest)
    radius = bernstein_radius(moments, N, s)
    # Between the rates 1/√N and 1/N.
    more = bernstein_radius(moments, N * times, s)
    assert radius / times * (1 - 1e-12) <= more <= radius / times**0.5 * (1 + 1e-12)
    assert bernstein_radius(moments, N, 2 * s) >= radius


@pytest.mark.parametrize("s", [0.5, 1.0, 2.0, 4.0])
def test_the_radius_is_above_the_measured_quantile(s: float) -> None:
    """Means of N gradients, drawn from the exact law of all images."""
    rng = np.random.default_rng(1)
    moments = gradient_law(SETTING, STATE).moments()
    for name, (weight, values) in every_gradient(SETTING, STATE).items():
        found = getattr(moments, name)
        for N in (3, 30):
            means = rng.choice(values, (20_000, N), p=weight / weight.sum()).mean(axis=1)
            radius = bernstein_radius(found, N, s)
            for sign in (1, -1):
                share = np.mean(sign * (means - found.mean) > radius)
                assert share <= np.exp(-s) + 3 * np.sqrt(np.exp(-s) / 20_000)


@given(st.data())
def test_cutting_off_rare_images(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    weight = rng.dirichlet(np.full(size, 0.5))
    value = rng.standard_normal(size) ** 3
    law = ImageLaw(weight, value, value**2, value, value)
    whole = law.moments()
    assert whole.shift == 0
    assert whole.variance == pytest.approx(weight @ (value - weight @ value) ** 2, abs=1e-12)
    rare = data.draw(st.floats(1e-6, 0.5))
    if weight.max() > rare:
        cut = law.moments(rare)
        by_size = np.argsort(-np.abs(value))
        gone = by_size[: np.searchsorted(np.cumsum(weight[by_size]), rare, side="right")]
        kept = value.copy()
        kept[gone] = 0.0
        assert weight[gone].sum() <= rare
        centre = weight @ kept
        assert cut.mean == whole.mean
        assert cut.shift == pytest.approx(abs(whole.mean - centre), abs=1e-12)
        assert cut.variance == pytest.approx(weight @ (kept - centre) ** 2, abs=1e-12)
        assert cut.largest == pytest.approx(np.abs(kept - centre).max(), abs=1e-12)


def test_the_length_of_a_gaussian_vector() -> None:
    rng = np.random.default_rng(2)
    for k, s in product((1, 5, 200), (0.5, 2.0)):
        lengths = np.linalg.norm(rng.standard_normal((20_000, k)), axis=1)
        assert np.mean(lengths > chi_radius(k, s)) <= np.exp(-s)
        assert chi_radius(k, s) < np.quantile(lengths, 0.999) + np.sqrt(2 * s)


@given(st.integers(1, 10**6), st.integers(2, 2000), st.sampled_from([0.5, 0.05, 1e-6]))
def test_the_dimension_enters_through_the_noise_alone(N: int, d: int, failure: float) -> None:
    law = law_of_setting()
    bound = gap_bound(SETTING, STATE, N, d, failure, law=law)
    plane = gap_bound(SETTING, STATE, N, 2, failure, noise_std=1 / d**0.5, law=law)
    assert (bound.alpha, bound.A) == (plane.alpha, plane.A)
    s = np.log(2 * event_count(SETTING) / failure)
    ratio = bound.off_axis / plane.off_axis
    assert ratio == pytest.approx(chi_radius(d - 1, s) / chi_radius(1, s))
    line = gap_bound(SETTING, STATE, N, 1, failure, law=law)
    assert line.off_axis == 0
    assert line.v == line.alpha


@cache
def law_of_setting() -> GradientLaw:
    return gradient_law(SETTING, STATE)


def test_samples_of_the_full_model_keep_the_bound() -> None:
    """Autograd in torch, noise and all: 40 samples at each of four sizes, δ = 0.01."""
    exact, misses, ratios = population_gradient(SETTING, STATE), 0, []
    for seed, (N, d) in product(range(40), ((50, 3), (400, 3), (400, 40), (3000, 8))):
        source = torch.Generator().manual_seed(1000 * d + seed)
        partition = Partition.scattered(3, 2, seed)
        data = StructuredData(SETTING, partition, random_direction(d, source), dtype=torch.float64)
        same = partition.same_set
        A = torch.tensor(np.where(same, STATE.gamma, STATE.rho))
        model = SimplifiedViT(SETTING, STATE.alpha * data.w_star, A)
        batch = data.sample(N, source)
        loss = logistic_loss(model(batch.X), batch.y)
        in_A, in_v = (g.numpy() for g in torch.autograd.grad(loss, (model.A, model.v)))
        w_star = data.w_star.numpy()
        inside = same & ~np.eye(6, dtype=bool)
        bound = gap_bound(SETTING, STATE, N, d, 0.01, law=law_of_setting())
        along = in_v @ w_star
        gaps = {
            "alpha": abs(along - exact.alpha),
            "off_axis": np.linalg.norm(in_v - along * w_star),
            "gamma": np.abs(in_A[inside] - exact.gamma).max(),
            "rho": np.abs(in_A[~same] - exact.rho).max(),
        }
        ratios.append([gaps[name] / getattr(bound, name) for name in gaps])
        misses += max(ratios[-1]) > 1
    assert misses <= 5  # of 160, each a miss with probability at most 0.01
    # The bound is not idle: the typical gap is within a small factor of it.
    assert (np.median(ratios, axis=0) > (0.05, 0.2, 0.2, 0.2)).all()


# ---------------------------------------------------------------- one step


def test_the_number_of_images_is_enough_and_one_fewer_is_not() -> None:
    setting, state = Setting(4, 3, 0.3, 3, 0.05, 2.0), Coefficients(0.05, 0.0, 0.0)
    law = gradient_law(setting, state)
    N = images_for_association(setting, state, 0.05, law=law)
    assert (
        association_slack(setting, law, N, 0.05) > 0 >= association_slack(setting, law, N - 1, 0.05)
    )
    assert all(association_slack(setting, law, N + k, 0.05) > 0 for k in (1, 10, 100, 10_000))
    assert images_for_association(setting, state, 1e-6, law=law) > N


def test_no_number_of_images_helps_against_the_population() -> None:
    with pytest.raises(ArithmeticError, match="does not favour"):
        images_for_association(SETTING, Coefficients(0.5, 0.0, 0.0), 0.05)


def test_one_step_on_that_many_images_associates() -> None:
    setting, state = Setting(4, 3, 0.3, 3, 0.05, 2.0), Coefficients(0.05, 0.0, 0.0)
    N = images_for_association(setting, state, 0.05)
    few = []
    for seed in range(20):
        for number in (N, 5):
            source = torch.Generator().manual_seed(seed)
            partition = Partition.scattered(4, 3, seed)
            data = StructuredData(setting, partition, random_direction(4, source))
            model = SimplifiedViT.idealized(setting, data.w_star, state.alpha)
            train(model, full_batch(data, number, source), eta_v=1e-4, eta_A=10.0, steps=1)
            score = association_score(model.A.detach().numpy(), partition)
            if number == N:
                assert score == 1.0
            else:
                few.append(score)
    assert np.mean(few) < 0.9


# ---------------------------------------------------------------- off the symmetric states

PAIRS = Partition.contiguous(3, 2)


def sample_gradient(A: np.ndarray, v: np.ndarray, X: np.ndarray, y: np.ndarray) -> tuple:
    model = SimplifiedViT(SETTING, torch.tensor(v), torch.tensor(A))
    loss = logistic_loss(model(torch.tensor(X)), torch.tensor(y))
    in_A, in_v = torch.autograd.grad(loss, (model.A, model.v))
    return in_A.numpy(), in_v.numpy()


@given(
    seed=st.integers(0, 2**31),
    a=st.sampled_from([0.0, 1e-3, 0.3]),
    w=st.sampled_from([0.0, 1e-3, 0.2]),
    alpha=st.sampled_from([0.0, 0.05, -0.3]),
)
def test_a_change_of_the_weights_moves_the_gradient_no_further(
    seed: int, a: float, w: float, alpha: float
) -> None:
    assume(a or w)
    rng = np.random.default_rng(seed)
    N, d, state = 3, 4, Coefficients(alpha, *rng.uniform(-1, 1, 2))
    y = rng.choice([-1.0, 1.0], N)
    X = np.zeros((N, 6, d))
    X[..., 0] = rng.integers(-1, 2, (N, 6))
    X[..., 1:] = rng.standard_normal((N, 6, d - 1))
    first = np.where(PAIRS.same_set, state.gamma, state.rho)
    v = alpha * np.eye(d)[0]
    turn = rng.standard_normal(d)
    A = first + a * rng.uniform(-1, 1, (6, 6))
    old = sample_gradient(first, v, X, y)
    new = sample_gradient(A, v + w * turn / np.linalg.norm(turn), X, y)
    length = float(np.linalg.norm(X, axis=2).max())
    by_A, by_v = lipschitz_matrix(SETTING, state, length, a, w) @ (a, w)
    assert np.abs(new[0] - old[0]).max() <= by_A * (1 + 1e-9)
    assert np.linalg.norm(new[1] - old[1]) <= by_v * (1 + 1e-9)


@given(a=st.floats(0, 2), w=st.floats(0, 2), more=st.floats(0, 1))
def test_the_matrix_grows_with_the_distance(a: float, w: float, more: float) -> None:
    near = lipschitz_matrix(SETTING, STATE, 1.5, a, w)
    assert (near >= 0).all()
    assert (lipschitz_matrix(SETTING, STATE, 1.5, a + more, w + more) >= near).all()
    assert (lipschitz_matrix(SETTING, STATE, 1.5 + more, a, w) >= near).all()


def test_the_matrix_overflows_to_infinity() -> None:
    assert np.isinf(lipschitz_matrix(SETTING, STATE, 2.0, 0.1, 1e200)).all()


def test_runs_on_one_sample_stay_within_the_bound() -> None:
    """Full gradient descent on the same images, from Gaussian starts, against the exact path."""
    setting, start = Setting(3, 2, 0.4, 3, 0.05, 2.0), Coefficients(0.05, 0.0, 0.0)
    d, N, eta = 5, 2000, {"eta_v": 1e-5, "eta_A": 0.2}
    path = gradient_descent(setting, start, steps=8, **eta)
    for seed, omega in product(range(5), (0.0, 1e-3)):
        bound = path_bound(path, N=N, d=d, omega=omega, failure=0.01, **eta)
        source = torch.Generator().manual_seed(seed)
        partition = Partition.scattered(3, 2, seed)
        data = StructuredData(setting, partition, random_direction(d, source), dtype=torch.float64)
        off = torch.randn(d, generator=source, dtype=torch.float64)
        off = off - (off @ data.w_star) * data.w_star
        tilt = torch.randn(6, 6, generator=source, dtype=torch.float64)
        model = SimplifiedViT(setting, start.alpha * data.w_star + omega * off, omega * tilt)
        batches = full_batch(data, N, source)
        for step in range(9):
            state = path.state(step)
            symmetric = np.where(partition.same_set, state.gamma, state.rho)
            gap = np.abs(model.A.detach().numpy() - symmetric)[~np.eye(6, dtype=bool)].max()
            assert gap <= bound.A[step]
            along = state.alpha * data.w_star
            assert float((model.v.detach() - along).norm()) <= bound.v[step]
            train(model, batches, steps=1, **eta)
        assert np.isfinite(bound.A).all()


def test_the_bound_along_a_path_is_monotone_and_may_overflow() -> None:
    setting, eta = Setting(3, 2, 0.4, 3, 0.05, 2.0), {"eta_v": 1e-3, "eta_A": 2.0}
    path = gradient_descent(setting, Coefficients(0.05, 0.0, 0.0), steps=8, **eta)

    def bound(N: int, omega: float, failure: float = 0.05) -> np.ndarray:
        return path_bound(path, N=N, d=5, omega=omega, failure=failure, **eta).A

    base = bound(10**6, 1e-4)
    assert np.isinf(base[-1])
    for larger in (bound(10**6, 1e-3), bound(10**6, 1e-4, 1e-6)):
        assert (larger >= base).all()
        assert larger[1] > base[1]
    # A tenth of the gap at step 1 from a hundred times the images.
    few, many = bound(10**6, 0.0), bound(10**8, 0.0)
    assert few[1] / many[1] == pytest.approx(10, rel=0.3)
    assert start_distance(setting, 5, 0.0, 3.0).tolist() == [0.0, 0.0]


def test_patches_are_shorter_than_their_bound() -> None:
    rng = np.random.default_rng(3)
    for d, noise_std in ((2, 0.7), (64, 0.125)):
        noise = noise_std * rng.standard_normal((50_000, d - 1))
        lengths = np.sqrt(1 + (noise**2).sum(axis=1))
        assert np.mean(lengths > patch_length(d, noise_std, 2.0)) < np.exp(-2)


# ---------------------------------------------------------------- small starts


@given(
    seed=st.integers(0, 2**31),
    size=st.sampled_from([1e-4, 1e-2, 0.1]),
    spread=st.sampled_from([0.1, 1.0, 3.0]),
)
def test_small_starts_are_within_their_bound(seed: int, size: float, spread: float) -> None:
    """Every image of (2, 2) with every sign of a noise ±κ: its moments are below Gaussian ones."""
    rng = np.random.default_rng(seed)
    setting, kappa = Setting(2, 2, 0.5, 3, 0.2, 1.0), 0.3
    partition = Partition((0, 1, 1, 0))
    A = spread * rng.standard_normal((4, 4))
    np.fill_diagonal(A, 1.0)
    alpha, off = size * rng.uniform(-1, 1, 2)
    samples = [s for s in enumerate_samples(partition, 0.5) if s.y == 1]
    signs = np.array(list(product((kappa, -kappa), repeat=4)))
    X = np.array([np.stack([np.broadcast_to(s.delta, signs.shape), signs], -1) for s in samples])
    weight = np.repeat([2 * s.probability / 16 for s in samples], 16)
    model = SimplifiedViT(setting, torch.tensor([alpha, off]), torch.tensor(A))
    F = model(torch.tensor(X.reshape(-1, 4, 2), dtype=torch.float64))
    loss = (torch.tensor(weight) * torch.nn.functional.softplus(-F)).sum()
    in_A, in_v = (g.numpy() for g in torch.autograd.grad(loss, (model.A, model.v)))
    bound = small_start_bound(setting, A, partition, alpha=alpha, off_axis=off, noise_std=kappa)
    assert abs(in_v[0] + 0.5 * setting.nu * setting.D * setting.C) <= bound.alpha + 1e-12
    assert abs(in_v[1]) <= bound.off_axis + 1e-12
    assert (np.abs(in_A) <= bound.A + 1e-14)[~np.eye(4, dtype=bool)].all()


# ---------------------------------------------------------------- bad input, false statements


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"N": 0}, "N = 0: N must be an integer >= 1"),
        ({"N": 2.5}, "N = 2.5"),
        ({"d": 0}, "d = 0: d must be an integer >= 1"),
        ({"failure": 0.0}, "failure = 0.0: failure must be a finite number > 0 and < 1"),
        ({"failure": 1}, "failure = 1"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"N": 10, "d": 3, "failure": 0.1} | change
    with pytest.raises(ValueError, match=message):
        gap_bound(SETTING, STATE, **arguments)


def test_sets_of_one_and_large_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="C must be >= 2"):
        gradient_law(Setting(4, 1, 0.5, 3, 0.0, 1.0), STATE)
    with pytest.raises(ArithmeticError, match="too many to enumerate"):
        gradient_law(Setting(49, 4, 0.1, 3, 0.0, 1.0), STATE)


def without_two(variance: Any, largest: Any, N: int, s: Any) -> Any:
    return radius(Fraction(variance) / 2, largest, N, s)


def without_range(variance: Any, largest: Any, N: int, s: Any) -> Any:
    return radius(variance, 0, N, s)


def halved_squares(*arguments: Any, **options: Any) -> GradientLaw:
    found = law_of(*arguments, **options)
    return replace(found, gamma=replace(found.gamma, second=found.gamma.second / 2))


def quartered_noise(*arguments: Any, **options: Any) -> GradientLaw:
    found = law_of(*arguments, **options)
    return replace(found, noise=replace(found.noise, first=found.noise.first / 4))


def scaled(function: Callable[..., Any], factor: float) -> Callable[..., Any]:
    return lambda *arguments, **options: factor * function(*arguments, **options)


def scaled_small(**options: float) -> Callable[..., Any]:
    def wrong(*arguments: Any, **keywords: Any) -> Any:
        found = small(*arguments, **keywords)
        return replace(found, **{name: getattr(found, name) * x for name, x in options.items()})

    return wrong


radius, law_of = concentration._radius, concentration.listed_gradients
float_law, images = concentration.gradient_law, concentration.images_for_association
matrix, small, tail = lipschitz_matrix, small_start_bound, perturbation._tail_constant


def few_images(*arguments: Any, **options: Any) -> int:
    return max(1, images(*arguments, **options) // 100)


def float_quarter(*arguments: Any) -> GradientLaw:
    found = float_law(*arguments)
    return replace(found, noise=replace(found.noise, first=found.noise.first / 4))


REFUTED, CONTRADICTED = Verdict.REFUTED.value, Verdict.CONTRADICTED.value
PLANTED = [
    ("lem-bernstein", "_radius", without_two, REFUTED),
    ("lem-bernstein", "_radius", without_range, REFUTED),
    ("lem-image-moments", "listed_gradients", halved_squares, REFUTED),
    ("lem-image-moments", "listed_gradients", quartered_noise, REFUTED),
    ("thm-4-2", "gradient_law", float_quarter, CONTRADICTED),
    ("cor-4-2-step", "images_for_association", few_images, REFUTED),
    ("prop-heavy-tails", "_tail_constant", scaled(tail, 100.0), REFUTED),
    ("lem-lipschitz", "lipschitz_matrix", scaled(matrix, 0.1), REFUTED),
    ("thm-4-2-path", "lipschitz_matrix", scaled(matrix, 0.0), REFUTED),
    ("prop-small-start", "small_start_bound", scaled_small(alpha=0.001), REFUTED),
    ("prop-small-start", "small_start_bound", scaled_small(A=0.001), REFUTED),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "name", "wrong", "status"), PLANTED, ids=[f"{p[0]}-{p[1]}" for p in PLANTED]
)
def test_a_wrong_formula_is_rejected(
    label: str, name: str, wrong: Any, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((module, statement),) = (
        (module, s)
        for module in (concentration, perturbation)
        for s in module.STATEMENTS
        if s.id == label
    )
    monkeypatch.setattr(module, name, wrong)
    (entry,) = run_ledger([replace(statement, depends=())])
    assert entry.status == status
    assert not passed([entry])
