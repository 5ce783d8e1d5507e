"""Training on the population: gradient descent and gradient flow of (α, γ, ρ), and its acts.

One step moves every entry of v and of A off the diagonal, so on the invariant subspace

    α ← α − η_v ∂L/∂v·w*,    γ ← γ − η_A ∂L/∂A_in,    ρ ← ρ − η_A ∂L/∂A_across,

with the exact gradients of :mod:`theory.expectation.population`.  Gradient flow runs in the same
units: one unit of time is one step of size (η_v, η_A).  In: a setting, a first state, step sizes.
Out: a :class:`Trajectory`, and where its three acts end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from theory.expectation.population import evaluate_in_floats
from theory.expectation.result import Expectation
from theory.inputs import integer, real
from theory.setting import Coefficients, Setting

__all__ = [
    "Acts",
    "Trajectory",
    "acts",
    "gradient_descent",
    "gradient_flow",
    "plateau",
]


@dataclass(frozen=True)
class Trajectory:
    """States and losses over time.

    Attributes
    ----------
    setting : Setting
    time : ndarray, shape (n,)
        In steps of size (η_v, η_A).
    alpha, gamma, rho, loss : ndarray, shape (n,)
    """

    setting: Setting
    time: np.ndarray
    alpha: np.ndarray
    gamma: np.ndarray
    rho: np.ndarray
    loss: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    def state(self, index: int) -> Coefficients[float]:
        """The state at one recorded time."""
        return Coefficients(*(float(x[index]) for x in (self.alpha, self.gamma, self.rho)))

    @property
    def margin(self) -> np.ndarray:
        """min(σ_A, γ) − ρ: positive exactly when attention has learnt every set (C ≥ 2)."""
        own = np.minimum(float(self.setting.sigma_A), self.gamma)
        return (own if self.setting.C > 1 else float(self.setting.sigma_A)) - self.rho


def _evaluate(
    setting: Setting, state: np.ndarray, when: str, method: str, tolerance: float
) -> Expectation:
    try:
        return evaluate_in_floats(setting, Coefficients(*state), method=method, tolerance=tolerance)
    except ArithmeticError as error:
        error.add_note(f"{when}, at (alpha, gamma, rho) = {tuple(state)}")
        raise


def _velocity(result: Expectation, eta_v: float, eta_A: float) -> np.ndarray:
    gradient = result.gradient
    return -np.array([eta_v * gradient.alpha, eta_A * gradient.gamma, eta_A * gradient.rho])


def gradient_descent(
    setting: Setting,
    state: Coefficients,
    *,
    eta_v: float,
    eta_A: float,
    steps: int,
    method: str = "quadrature",
    tolerance: float = 1e-10,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Trajectory:
    """Exact gradient descent on the population loss.

    Parameters
    ----------
    setting : Setting
    state : Coefficients
        Where it starts.
    eta_v, eta_A : float
        Step sizes of v and of the entries of A, > 0.
    steps : int
        Number of steps, ≥ 0.
    method, tolerance
        As in :func:`theory.expectation.population.evaluate_in_floats`.
    progress : callable
        Wraps the range of steps, for instance with ``rich.progress.track``.

    Returns
    -------
    Trajectory
        Arrays of length ``steps + 1``.

    Raises
    ------
    ValueError
        If a step size or the number of steps is not allowed.
    ArithmeticError
        If a state is reached whose gradient cannot be computed to the tolerance (steps too large
        make α overflow); a note names the step.

    Examples
    --------
    >>> setting = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    >>> start = Coefficients(alpha=0.05, gamma=0.0, rho=0.0)
    >>> path = gradient_descent(setting, start, eta_v=0.002, eta_A=5.0, steps=40)
    >>> len(path.loss), bool(path.loss[-1] < path.loss[0])
    (41, True)
    """
    eta_v = float(real("eta_v", eta_v, above=0))
    eta_A = float(real("eta_A", eta_A, above=0))
    steps = integer("steps", steps, least=0)
    states, loss = np.empty((steps + 1, 3)), np.empty(steps + 1)
    now = np.array([float(state.alpha), float(state.gamma), float(state.rho)])
    for step in progress(range(steps + 1)):
        result = _evaluate(setting, now, f"step {step} of gradient descent", method, tolerance)
        states[step], loss[step] = now, result.loss
        now = now + _velocity(result, eta_v, eta_A)
    alpha, gamma, rho = states.T
    return Trajectory(setting, np.arange(steps + 1.0), alpha, gamma, rho, loss)


def gradient_flow(
    setting: Setting,
    state: Coefficients,
    *,
    eta_v: float,
    eta_A: float,
    time: np.ndarray,
    method: str = "quadrature",
    rtol: float = 1e-8,
) -> Trajectory:
    """The limit of small steps: dα/dt = −η_v ∂L/∂v·w*, dγ/dt = −η_A ∂L/∂A_in, and so for ρ.

    Parameters
    ----------
    setting : Setting
    state : Coefficients
        Where it starts, at time 0.
    eta_v, eta_A : float
        Speeds, > 0.  Gradient descent with steps (ε η_v, ε η_A) stays within O(ε) of the flow.
    time : array_like, shape (n,)
        Times to record, ascending and ≥ 0.
    method : str
        As in :func:`theory.expectation.population.evaluate_in_floats`.
    rtol : float
        Relative tolerance of the solver (Radau: the flow is stiff once α is on its plateau).

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError, ArithmeticError
        As in :func:`gradient_descent`.
    """
    eta_v = float(real("eta_v", eta_v, above=0))
    eta_A = float(real("eta_A", eta_A, above=0))
    time = np.asarray(time, dtype=float)
    ascending = time.ndim == 1 and time.size > 0 and (np.diff(time) > 0).all()
    if not ascending or time[0] < 0 or not np.isfinite(time[-1]):
        raise ValueError("time must be a non-empty ascending array of numbers >= 0")

    def velocity(t: float, now: np.ndarray) -> np.ndarray:
        # The error control needs gradients finer than the solver's tolerance, no more.
        result = _evaluate(setting, now, f"time {t:g} of gradient flow", method, rtol * 1e-2)
        return _velocity(result, eta_v, eta_A)

    start = np.array([float(state.alpha), float(state.gamma), float(state.rho)])
    end = float(time[-1])
    if end == 0:
        states = start[:, None]
    else:
        solution = solve_ivp(
            velocity, (0.0, end), start, "Radau", t_eval=time, rtol=rtol, atol=rtol * 1e-3
        )
        if not solution.success:
            raise ArithmeticError(f"gradient flow stopped: {solution.message}")
        states = solution.y
    loss = [_evaluate(setting, now, "gradient flow", method, rtol * 1e-2).loss for now in states.T]
    alpha, gamma, rho = states
    return Trajectory(setting, time, alpha, gamma, rho, np.array(loss))


def plateau(setting: Setting, *, gamma: float = 0.0, rho: float = 0.0) -> float:
    """Where act I ends: the least α > 0 with E[sig(−F) ∂F/∂α] = 0 at fixed attention.

    Raises
    ------
    ArithmeticError
        If the gradient keeps its sign until F leaves the range of float64 quadrature.

    Examples
    --------
    >>> setting = Setting(L=16, C=4, q=0.25, p=3, nu=0.05, sigma_A=2.0)
    >>> alpha = plateau(setting)
    >>> abs(evaluate_in_floats(setting, Coefficients(alpha, 0.0, 0.0)).gradient.alpha) < 1e-9
    True
    """

    def slope(alpha: float) -> float:
        result = evaluate_in_floats(setting, Coefficients(alpha, gamma, rho), tolerance=1e-8)
        return float(result.gradient.alpha / result.scale.alpha)

    high = 1e-3 / setting.D
    while slope(high) < 0:
        high *= 1.5
    return float(brentq(slope, high / 1.5, high, xtol=1e-15, rtol=1e-13))


@dataclass(frozen=True)
class Acts:
    """Times at which the acts of training end; ``None`` for one that has not ended.

    Attributes
    ----------
    plateau : float or None
        First time, after its fastest rise, that |α| moves at 5 % of the speed of that rise or less.
    half_rise : float or None
        First time γ − ρ has made half of its way from its first to its largest value; ``None`` too
        if its last value is not above its first.
    learnt : float or None
        First time the loss is below the threshold.
    """

    plateau: float | None
    half_rise: float | None
    learnt: float | None


def acts(trajectory: Trajectory, *, loss: float = 0.1) -> Acts:
    """Locate the three acts on a trajectory.

    Parameters
    ----------
    trajectory : Trajectory
        With at least two recorded times.
    loss : float
        The threshold below which the task counts as learnt.

    Examples
    --------
    >>> setting = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    >>> start = Coefficients(alpha=0.05, gamma=0.0, rho=0.0)
    >>> path = gradient_descent(setting, start, eta_v=0.002, eta_A=5.0, steps=40)
    >>> acts(path).learnt
    16.0
    """
    if len(trajectory) < 2:
        raise ValueError("acts need a trajectory of at least two recorded times")

    def first(reached: np.ndarray) -> float | None:
        return float(trajectory.time[reached.argmax()]) if reached.any() else None

    climb = np.gradient(np.abs(trajectory.alpha), trajectory.time)
    after_peak = np.arange(len(trajectory)) >= climb.argmax()
    gap = trajectory.gamma - trajectory.rho
    halfway = (gap[0] + gap.max()) / 2
    return Acts(
        plateau=first(after_peak & (np.abs(climb) <= 0.05 * climb.max())),
        half_rise=first((gap >= halfway) & (gap[-1] > gap[0])),
        learnt=first(trajectory.loss < loss),
    )
