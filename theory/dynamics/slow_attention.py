"""The path of (γ, ρ) when the value vector is fast: gradient flow as η_A/η_v → 0.

One step size for all weights moves v fast and the logits slowly, for the gradients of the logits
are smaller by orders of magnitude.  In the limit α rests on its plateau,

    E[sig(−F) ∂F/∂α] = 0  at  α = α(γ, ρ),    d(γ, ρ)/ds = (γ', ρ') / |(γ', ρ')|,

α(γ, ρ) the continuation of the first root, simple as long as α' falls through it, and s the length
of the path, in logits; the time ∫ ds / |(γ', ρ')| is in units of 1/η_A.
In: a setting.  Out: the path, by the midpoint rule, from γ = ρ = 0 until γ − ρ reaches ±stop.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from theory.dynamics.descent import Trajectory
from theory.expectation.equal_logits import plateau_at_equal_logits
from theory.expectation.population import evaluate_in_floats
from theory.expectation.result import Expectation
from theory.inputs import integer, real
from theory.setting import Coefficients, Setting

__all__ = ["slow_attention"]

# Relative accuracy of α on its plateau: the path feels it far less than a step of 0.1 logit.
_ROOT = 1e-4


class _Settled(NamedTuple):
    alpha: float
    slope: float  # of α' over its scale against log α, for the next guess
    found: Expectation


def _settle(
    setting: Setting, guess: float, slope: float, logits: np.ndarray, method: str
) -> _Settled:
    """α on its plateau near a guess, by secants in log α, and the expectation next to it."""

    def climb(alpha: float) -> tuple[float, Expectation]:
        state = Coefficients(alpha, *map(float, logits))
        found = evaluate_in_floats(setting, state, method=method, tolerance=1e-7)
        return -found.gradient.alpha / found.scale.alpha, found

    alpha, (value, found) = guess, climb(guess)
    for _ in range(50):
        # Far from the root a secant may point anywhere: a step changes α by a half at most.
        move = float(np.clip(-value / slope, -0.4, 0.4))
        if abs(move) < _ROOT:
            if not slope < 0:
                where = f"alpha = {alpha:.3g}, logits {tuple(logits)}"
                raise ArithmeticError(f"the plateau of alpha ends: α' does not fall at {where}")
            return _Settled(alpha, slope, found)
        old, alpha = value, alpha * math.exp(move)
        value, found = climb(alpha)
        if value != old:
            slope = (value - old) / move
    raise ArithmeticError(f"no plateau of alpha found near {guess:.3g} at logits {tuple(logits)}")


def _velocity(now: _Settled) -> np.ndarray:
    return -np.array([now.found.gradient.gamma, now.found.gradient.rho])


def slow_attention(
    setting: Setting,
    *,
    step: float = 0.1,
    stop: float = 2.0,
    steps: int = 100,
    method: str = "quadrature",
) -> Trajectory:
    """The slow path from γ = ρ = 0 until |γ − ρ| ≥ stop, or for so many steps.

    Parameters
    ----------
    setting : Setting
        C ≥ 2.
    step : float
        Length of one step of the midpoint rule, in logits, > 0.
    stop : float
        Size of γ − ρ at which the path ends, > 0.
    steps : int
        Most steps.
    method : {"quadrature", "enumeration"}
        As in :func:`theory.expectation.population.evaluate_in_floats`.

    Returns
    -------
    Trajectory
        ``time`` in units of 1/η_A; one row for each step.

    Raises
    ------
    ValueError
        If C = 1, a step or stop that is not positive.
    ArithmeticError
        If α has no plateau that can be followed, or one at which its velocity does not fall with
        α (the path is not defined beyond it), or an expectation fails.

    Examples
    --------
    >>> failing = Setting(L=5, C=2, q=0.8, p=3, nu=1.0, sigma_A=0.3)
    >>> bool(slow_attention(failing, method="enumeration").margin[-1] <= -2)
    True
    >>> finding = Setting(L=5, C=2, q=0.8, p=3, nu=1.0, sigma_A=3.0)
    >>> bool(slow_attention(finding, method="enumeration").margin[-1] >= 2)
    True
    """
    step, stop = float(real("step", step, above=0)), float(real("stop", stop, above=0))
    steps = integer("steps", steps, least=0)
    logits, time = np.zeros(2), 0.0
    # Any slope < 0 will do to begin with: secants correct it.
    alpha, slope = plateau_at_equal_logits(setting), -1.0
    rows: list[tuple[float, ...]] = []
    while True:
        now = _settle(setting, alpha, slope, logits, method)
        rows.append((time, now.alpha, *map(float, logits), now.found.loss))
        if abs(logits[0] - logits[1]) >= stop or len(rows) > steps:
            break
        velocity = _velocity(now)
        middle = logits + step / 2 * velocity / np.hypot(*velocity)
        now = _settle(setting, now.alpha, now.slope, middle, method)
        alpha, slope, velocity = now.alpha, now.slope, _velocity(now)
        speed = float(np.hypot(*velocity))
        logits, time = logits + step * velocity / speed, time + step / speed
    clock, alphas, gammas, rhos, losses = np.array(rows).T
    return Trajectory(setting, clock, alphas, gammas, rhos, losses)
