"""Gradient descent on full weights: the symmetric form it keeps, the loss, seeds and errors."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import coefficients
from sympy.combinatorics import PermutationGroup

from numerics.data.structured import Batch, StructuredData, random_direction
from numerics.experiment import Options
from numerics.experiments import realistic
from numerics.measure.coefficients import estimate, read_coefficients
from numerics.measure.history import History
from numerics.models.simplified import SimplifiedViT
from numerics.training.descent import fresh_batches, full_batch, train
from theory import gradient_descent
from theory.data.partition import Partition
from theory.setting import Coefficients, Setting

SETTING = Setting(L=2, C=2, q=0.5, p=3, nu=0.25, sigma_A=1.0)
PARTITION = Partition((0, 1, 1, 0))
GROUP = [g.array_form for g in PermutationGroup(PARTITION.generators()).elements]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def structured(setting=SETTING, partition=PARTITION, d=3, **options):
    options.setdefault("dtype", torch.float64)
    return StructuredData(setting, partition, random_direction(d, generator(99)), **options)


def symmetric_model(data, state):
    A = np.where(data.partition.same_set, state.gamma, state.rho)
    return SimplifiedViT(data.setting, state.alpha * data.w_star, torch.tensor(A))


def departure(model, data):
    """How far the weights are from the (α, γ, ρ) form."""
    reading = read_coefficients(model.A, model.v, data.partition, data.w_star)
    return max(reading.off_axis, reading.gamma.spread, reading.rho.spread)


def closure(batch, group, reflect, w_star):
    """All images of a sample under the permutations and, if asked, the reflection in w*."""
    X = torch.cat([batch.X[:, g] for g in group])
    y = batch.y.repeat(len(group))
    if reflect:
        mirror = 2 * torch.outer(w_star, w_star) - torch.eye(len(w_star), dtype=w_star.dtype)
        X, y = torch.cat([X, X @ mirror]), y.repeat(2)
    return Batch(X, y)


def one_step(data, state, batch):
    model = symmetric_model(data, state)
    train(model, lambda: batch, eta_v=0.05, eta_A=0.5, steps=1)
    return model


@given(state=coefficients(SETTING, bound=40), seed=st.integers(0, 2**31))
def test_a_step_keeps_the_form_on_a_closed_sample(state, seed):
    data = structured()
    batch = closure(data.sample(2, generator(seed)), GROUP, True, data.w_star)
    assert departure(one_step(data, state, batch), data) < 1e-12


@pytest.mark.parametrize(
    ("group", "reflect"),
    [
        (GROUP, False),  # the noise no longer cancels
        ([g for g in GROUP if g[0] in (0, 3)], True),  # sets never exchange
        ([[0, 1, 2, 3], [1, 0, 3, 2]], True),  # patches inside a set never do on their own
    ],
)
def test_a_sample_that_is_not_closed_breaks_the_form(group, reflect):
    data = structured()
    batch = closure(data.sample(3, generator(0)), group, reflect, data.w_star)
    state = Coefficients(alpha=0.3, gamma=0.4, rho=-0.2)
    assert departure(one_step(data, state, batch), data) > 1e-4


def every_image(data):
    """At q = 2/3 features are uniform, so that a list of all images is the law, exactly."""
    setting = data.setting
    labels = torch.tensor(data.partition.labels)
    deltas, ys = [], []
    for y, s in itertools.product((-1.0, 1.0), range(setting.L)):
        spurious = itertools.product((-1.0, 0.0, 1.0), repeat=setting.n)
        delta = torch.empty(3**setting.n, setting.D, dtype=torch.float64)
        delta[:, labels != s] = torch.tensor(list(spurious), dtype=torch.float64)
        delta[:, labels == s] = y
        deltas.append(delta)
        ys.append(torch.full((len(delta),), y, dtype=torch.float64))
    return Batch(torch.cat(deltas).unsqueeze(-1) * data.w_star, torch.cat(ys))


UNIFORM = Setting(L=3, C=2, q=2 / 3, p=3, nu=0.1, sigma_A=1.5)
START = Coefficients(alpha=0.05, gamma=0.0, rho=0.0)
STEPS = {"eta_v": 0.02, "eta_A": 4.0, "steps": 16}


def observe(data):
    return lambda model: read_coefficients(model.A, model.v, data.partition, data.w_star).row()


def exhaustive_history():
    data = structured(UNIFORM, Partition.scattered(3, 2, 5), noise_std=0.0)
    batch = every_image(data)
    assert len(batch.y) == 2 * 3 * 3**4
    return train(symmetric_model(data, START), lambda: batch, observe=observe(data), **STEPS)


def test_training_on_every_image_follows_the_exact_path():
    """Full A and v by autograd on the whole law, against the three coefficients of the theory."""
    history = exhaustive_history()
    path = gradient_descent(UNIFORM, START, **STEPS)
    for name in ("alpha", "gamma", "rho", "loss"):
        np.testing.assert_allclose(history[name], getattr(path, name), rtol=1e-10, atol=1e-13)
    assert max(history["gamma_spread"] + history["rho_spread"] + history["off_axis"]) < 1e-13
    assert history["gamma"][-1] - history["rho"][-1] > 0.05, "nothing moved: a vacuous comparison"


def test_fresh_samples_follow_training_on_every_image():
    """Independent runs on noisy samples: the mean is on the path, the scatter is that of 1/√N."""
    exact = exhaustive_history()

    def scores_and_errors(N):
        runs = []
        for seed in range(16):
            data = structured(UNIFORM, Partition.scattered(3, 2, seed))
            batches = fresh_batches(data, N, generator(seed))
            model = symmetric_model(data, START)
            runs.append(
                train(model, batches, observe=observe(data), record_at=[4, 10, 16], **STEPS)
            )
        scores, errors = [], []
        for name in ("alpha", "gamma", "rho", "loss"):
            for k, step in enumerate(runs[0].steps):
                e = estimate([run[name][k] for run in runs])
                scores.append((e.mean - exact[name][step]) / e.standard_error)
                errors.append(e.standard_error)
        return np.array(scores), np.array(errors)

    scores, fine = scores_and_errors(8000)
    assert np.abs(scores).max() < 4
    assert np.abs(scores).max() > 0.1
    _, coarse = scores_and_errors(500)
    assert np.exp(np.log(coarse / fine).mean()) == pytest.approx(4, rel=0.3)


def test_small_steps_never_raise_the_loss():
    data = structured(UNIFORM, Partition.scattered(3, 2, 5))
    batches = full_batch(data, 300, generator(0))
    model = symmetric_model(data, START)
    loss = train(model, batches, eta_v=0.002, eta_A=0.2, steps=100)["loss"]
    assert np.diff(loss).max() < 0
    assert loss[-1] < 0.7 * loss[0]


def test_first_order_change_of_the_loss_is_minus_the_squared_gradient():
    data = structured(UNIFORM, Partition.scattered(3, 2, 5))
    batches = full_batch(data, 300, generator(0))
    gaps = []
    for scale in (1e-2, 1e-3):
        model = symmetric_model(data, START)
        loss = train(model, batches, eta_v=scale * 0.02, eta_A=scale, steps=1)["loss"]
        predicted = -scale * float(0.02 * model.v.grad.square().sum() + model.A.grad.square().sum())
        gaps.append(abs((loss[1] - loss[0]) / predicted - 1))
    assert gaps[0] < 0.1
    assert gaps[1] == pytest.approx(gaps[0] / 10, rel=0.1)


def short_run(seed, fresh):
    data = structured(dtype=torch.float32)
    source = generator(seed)
    model = SimplifiedViT.realistic(SETTING, 3, 0.1, source)
    batches = (fresh_batches if fresh else full_batch)(data, 50, source)
    return train(model, batches, eta_v=0.05, eta_A=0.5, steps=15, observe=observe(data)), model


@pytest.mark.parametrize("fresh", [True, False])
def test_a_seed_decides_everything(fresh):
    (one, model), (same, twin), (other, _) = (short_run(s, fresh) for s in (1, 1, 2))
    assert one == same
    assert torch.equal(model.A, twin.A)
    assert torch.equal(model.v, twin.v)
    assert one != other


def test_the_diagonal_stays_and_a_step_of_zero_freezes():
    data = structured()
    batches = full_batch(data, 50, generator(0))
    model = symmetric_model(data, START)
    train(model, batches, eta_v=0.05, eta_A=0.5, steps=10)
    assert torch.equal(model.A.diagonal(), torch.full((4,), 1.0, dtype=torch.float64))
    frozen = symmetric_model(data, START)
    train(frozen, batches, eta_v=0.05, eta_A=0.0, steps=10)
    assert torch.equal(frozen.A, symmetric_model(data, START).A)
    assert not torch.equal(frozen.v, symmetric_model(data, START).v)


def test_a_trained_diagonal_conserves_row_sums():
    data = structured()
    A = torch.randn(4, 4, generator=generator(1), dtype=torch.float64)
    model = SimplifiedViT(SETTING, 0.3 * data.w_star, A, train_diagonal=True)
    before = model.A.detach().clone()
    train(model, full_batch(data, 50, generator(0)), eta_v=0.05, eta_A=1.0, steps=50)
    assert (model.A - before).abs().max() > 0.1
    torch.testing.assert_close(model.A.sum(dim=1), before.sum(dim=1), rtol=0, atol=1e-12)


def test_recorded_steps_are_those_asked_for():
    data = structured()
    batches = full_batch(data, 50, generator(0))
    history = train(symmetric_model(data, START), batches, eta_v=0.05, eta_A=0.5, steps=9)
    some = train(
        symmetric_model(data, START), batches, eta_v=0.05, eta_A=0.5, steps=9, record_at=(9, 0, 4)
    )
    assert history.steps == list(range(10))
    assert some.steps == [0, 4, 9]
    assert some["loss"] == [history["loss"][k] for k in some.steps]
    assert History().steps is not History().steps


def test_progress_is_shown_and_changes_nothing(capsys):
    data = structured()
    batches = full_batch(data, 50, generator(0))
    arguments = {"eta_v": 0.05, "eta_A": 0.5, "steps": 3}
    silent = train(symmetric_model(data, START), batches, **arguments)
    assert capsys.readouterr().out == ""
    shown = train(symmetric_model(data, START), batches, progress=True, label="run", **arguments)
    assert silent == shown


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("eta_v", -1.0, "eta_v must be a finite number >= 0"),
        ("eta_v", math.nan, "eta_v must be a finite number >= 0"),
        ("eta_A", math.inf, "eta_A must be a finite number >= 0"),
        ("steps", -1, "steps must be an integer >= 0"),
        ("steps", 2.5, "steps must be an integer >= 0"),
        ("steps", True, "steps must be an integer >= 0"),
        ("record_at", [3, 11], r"contains \[11\]: recorded steps must lie in 0..5"),
    ],
)
def test_bad_arguments_are_named(field, value, message):
    data = structured()
    arguments = {"eta_v": 0.1, "eta_A": 0.1, "steps": 5} | {field: value}
    with pytest.raises(ValueError, match=message):
        train(symmetric_model(data, START), full_batch(data, 5, generator(0)), **arguments)


def test_a_loss_that_is_no_number_stops_the_training():
    data = structured()
    model = symmetric_model(data, START)
    with pytest.raises(ArithmeticError, match=r"after \d+ steps: lower eta_v = 1e\+150"):
        train(model, full_batch(data, 50, generator(0)), eta_v=1e150, eta_A=0.1, steps=20)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_cuda_lowers_the_loss():
    result = realistic.run(realistic.LIGHT, Options(device="cuda"))
    assert result["metrics"]["test_error"]["mean"] < 0.02


def test_gaussian_weights_find_scattered_sets():
    """The realistic case, live: association 1.0 and a test error below one in a hundred."""
    metrics = realistic.run(realistic.LIGHT)["metrics"]
    assert metrics["association"]["mean"] == 1.0
    assert metrics["margin"]["mean"] > 0
    assert metrics["test_error"]["mean"] < 0.01
