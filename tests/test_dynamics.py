"""Trajectories: the reduced path is the full network's, the loss falls, descent tends to flow."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import coefficients, small_settings

from theory.dynamics.descent import Trajectory, acts, gradient_descent, gradient_flow, plateau
from theory.expectation.population import evaluate, population_gradient
from theory.setting import Coefficients, Setting

SETTING = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
START = Coefficients(0.05, 0.0, 0.0)


def full_network_descent(
    setting: Setting, state: Coefficients, eta_v: float, eta_A: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient descent of all of A (off the diagonal) and of v, on every labelled pattern.

    Nothing here knows of types, levels or coefficients: patches are scattered, labels are both,
    the signal set is each set in turn, and autograd differentiates the network.
    """
    L, C, D = setting.L, setting.C, setting.D
    labels = np.random.default_rng(3).permutation(np.repeat(np.arange(L), C))
    q = float(setting.q)
    probability = {1: q / 2, -1: q / 2, 0: 1 - q}
    patterns, targets, weights = [], [], []
    for signal, y in itertools.product(range(L), (-1, 1)):
        for x in itertools.product((-1, 0, 1), repeat=setting.n):
            pattern = np.empty(D)
            pattern[labels == signal] = y
            pattern[labels != signal] = x
            patterns.append(pattern)
            targets.append(y)
            weights.append(math.prod(probability[value] for value in x) / (2 * L))
    X, y, weight = (
        torch.tensor(np.array(a), dtype=torch.float64) for a in (patterns, targets, weights)
    )

    same = labels[:, None] == labels
    A = torch.tensor(np.where(same, float(state.gamma), float(state.rho))).requires_grad_()
    v = torch.tensor(float(state.alpha), dtype=torch.float64, requires_grad=True)
    diagonal = torch.eye(D, dtype=torch.bool)
    history = []
    for _ in range(steps + 1):
        logits = torch.where(diagonal, float(setting.sigma_A), A) / float(setting.temperature)
        O = D * v * X @ torch.softmax(logits, dim=1).T
        F = (O**setting.p + float(setting.nu) * O).sum(dim=1)
        loss = (weight * torch.nn.functional.softplus(-y * F)).sum()
        off = A.detach().numpy()
        inside = off[same & ~diagonal.numpy()]
        history.append([v.item(), inside.mean() if C > 1 else 0.0, off[~same].mean(), loss.item()])
        spread = max(np.ptp(inside) if C > 1 else 0.0, np.ptp(off[~same]))
        assert spread < 1e-9, "the full network left the invariant subspace"
        grad_A, grad_v = torch.autograd.grad(loss, (A, v))
        with torch.no_grad():
            A -= eta_A * grad_A
            v -= eta_v * grad_v
    return np.array(history)


@pytest.mark.parametrize(
    "setting",
    [
        Setting(L=3, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0),
        Setting(L=2, C=3, q=0.3, p=5, nu=0.2, sigma_A=1.0, temperature=2.0),
        Setting(L=4, C=1, q=0.4, p=3, nu=0.1, sigma_A=0.5),
    ],
)
def test_reduced_path_is_the_full_networks_path(setting):
    eta_v, eta_A, steps = 0.01, 1.0, 25
    path = gradient_descent(
        setting, Coefficients(0.1, 0.0, 0.0), eta_v=eta_v, eta_A=eta_A, steps=steps
    )
    full = full_network_descent(setting, path.state(0), eta_v, eta_A, steps)
    reduced = np.column_stack([path.alpha, path.gamma, path.rho, path.loss])
    assert np.abs(reduced[-1, :3] - reduced[0, :3]).max() > 1e-2, "nothing moved"
    np.testing.assert_allclose(reduced, full, rtol=1e-9, atol=1e-11)


@st.composite
def starts(draw):
    setting = draw(small_settings(max_D=12))
    return setting, draw(coefficients(setting, bound=6.0))


@given(starts())
def test_loss_falls_along_small_steps(problem):
    setting, state = problem
    g = population_gradient(setting, state)
    if abs(g.alpha) + abs(g.gamma) + abs(g.rho) == 0:
        return
    # A millionth of what the first-order fall would need to use up the loss.  Where the loss is
    # flat but of high degree (ν = 0, small α) that is no small step: no coefficient moves by more
    # than a part of its scale either.
    pairs_in, pairs_out = setting.D * (setting.C - 1), setting.D * (setting.D - setting.C)
    fall = g.alpha**2 + pairs_in * g.gamma**2 + pairs_out * g.rho**2
    result = evaluate(setting, state)
    eta = 1e-6 * result.loss / fall if fall > 0 else 1.0
    tau = float(setting.temperature)
    scale = {"alpha": abs(state.alpha) or 1 / setting.D**2, "gamma": tau, "rho": tau}
    for name, length in scale.items():
        if getattr(g, name) != 0:
            eta = min(eta, 1e-4 * length / abs(getattr(g, name)))
    path = gradient_descent(setting, state, eta_v=eta, eta_A=eta, steps=3)
    slack = 4 * result.loss_error
    assert (np.diff(path.loss) <= slack).all()


@pytest.mark.slow
def test_descent_tends_to_flow_linearly_in_the_step():
    eta_v, eta_A, end = 0.002, 5.0, 3
    flow = gradient_flow(SETTING, START, eta_v=eta_v, eta_A=eta_A, time=[end])
    gaps, shares = [], [1, 2, 4, 8]
    for share in shares:
        path = gradient_descent(
            SETTING, START, eta_v=eta_v / share, eta_A=eta_A / share, steps=end * share
        )
        gaps.append(abs(path.alpha[-1] - flow.alpha[-1]))
    slope = np.polyfit(np.log(shares), np.log(gaps), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.08)


@pytest.mark.slow
def test_three_acts_come_in_order():
    setting = Setting(L=16, C=4, q=0.25, p=3, nu=0.05, sigma_A=2.0)
    path = gradient_descent(
        setting, Coefficients(0.005, 0.0, 0.0), eta_v=1e-4, eta_A=80.0, steps=160
    )
    found = acts(path)
    assert 0 < found.plateau < found.half_rise < found.learnt
    level = path.alpha[int(found.plateau)]
    assert level == pytest.approx(plateau(setting), rel=0.1)
    assert path.margin[0] <= 0 < path.margin[-1]


def test_acts_that_have_not_ended_are_none():
    time = np.arange(5.0)
    rising = Trajectory(SETTING, time, time**2, -time, time, 1 + time)
    assert acts(rising).plateau is acts(rising).half_rise is acts(rising).learnt is None


def test_a_fall_is_not_taken_for_a_rise():
    time, still = np.arange(8.0), np.zeros(8)
    falling = Trajectory(SETTING, time, 1 - time / 10, -time, still, 1 + time)
    assert acts(falling).plateau is acts(falling).half_rise is None
    # A rise to a plateau at time 3, and a faster fall that stops at time 6.
    alpha = np.array([0, 1, 2, 2, 2, -1.9, -1.9, -1.9])
    # A gap that rises first and ends below its start.
    gamma = np.array([0, 0.1, 0.2, 0, -1, -2, -3, -4.0])
    found = acts(Trajectory(SETTING, time, alpha, gamma, still, 1 + time))
    assert found.plateau == 3
    assert found.half_rise is None


def test_weak_diagonal_fails_to_associate_and_a_strong_one_succeeds():
    """(5, 2, 0.8): with σ_A = 0.3 attention turns away from the own set."""
    start, steps = Coefficients(0.05, 0.0, 0.0), {"eta_v": 2e-3, "eta_A": 1e3, "steps": 100}
    weak, strong = (
        gradient_descent(Setting(L=5, C=2, q=0.8, p=3, nu=1.0, sigma_A=s), start, **steps)
        for s in (0.3, 3.0)
    )
    assert weak.gamma[-1] < -1
    assert weak.margin[-1] < 0
    assert strong.margin[-1] > 0.5


def test_plateau_is_the_first_root():
    level = plateau(SETTING)
    below = [population_gradient(SETTING, Coefficients(a, 0.0, 0.0)).alpha for a in
             np.linspace(0.02, 0.98, 12) * level]  # fmt: skip
    assert max(below) < 0 < population_gradient(SETTING, Coefficients(1.02 * level, 0, 0)).alpha


@pytest.mark.parametrize("field", ["eta_v", "eta_A"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "1"])
def test_bad_step_sizes_are_named(field, value):
    steps = {"eta_v": 0.1, "eta_A": 0.1, field: value}
    with pytest.raises(ValueError, match=f"{field} = {value!r}: {field} must be a finite number"):
        gradient_descent(SETTING, START, steps=1, **steps)
    with pytest.raises(ValueError, match=f"{field} = "):
        gradient_flow(SETTING, START, time=[1.0], **steps)


@pytest.mark.parametrize("steps", [-1, 1.5, True, "3"])
def test_bad_number_of_steps_is_named(steps):
    with pytest.raises(ValueError, match="steps must be an integer >= 0"):
        gradient_descent(SETTING, START, eta_v=0.1, eta_A=0.1, steps=steps)


@pytest.mark.parametrize("time", [[], [-1.0, 1.0], [1.0, 1.0], [[1.0]], [math.nan, 2.0]])
def test_bad_times_are_refused(time):
    with pytest.raises(ValueError, match="ascending"):
        gradient_flow(SETTING, START, eta_v=0.1, eta_A=0.1, time=time)


def test_divergence_names_its_step():
    with pytest.raises(ArithmeticError) as caught:
        gradient_descent(SETTING, START, eta_v=1e6, eta_A=1.0, steps=50)
    assert any("of gradient descent, at (alpha, gamma, rho)" in n for n in caught.value.__notes__)


def test_zero_steps_and_time_zero_return_the_start():
    assert len(gradient_descent(SETTING, START, eta_v=1.0, eta_A=1.0, steps=0)) == 1
    flow = gradient_flow(SETTING, START, eta_v=1.0, eta_A=1.0, time=[0.0])
    assert flow.state(0) == START
