r"""The exact expectation by quadrature: E[φ(F) G] to near machine precision at any size.

Two identities turn an expectation over 3^n configurations into a short sum of small matrix
products.  First, on a vertical line Re s = c with 0 < c < 1,

              sig(−x) = (1/2πi) ∫ (π / sin πs) e^{−sx} ds,
    log(1 + e^{−x}) = (1/2πi) ∫ (π / (s sin πs)) e^{−sx} ds,

and the *midpoint* rule of step 2π/P is a sum of exponentials whose error is an alternating series
in e^{−cP} and e^{−(1−c)P}.  No node lies on the real axis, so in that form the line may also pass
through the poles s = 0 and s = 1, where half of the residue is added back.  Hence c may be chosen,
for each total T, where E[e^{−cF}; T] is least, and no digit is lost to the size of F.  Second, once
T is fixed, F is a sum over sets, so E[e^{−sF}; T] is one coefficient of the (L−1)-th power of a
polynomial; it is read off by a discrete Fourier sum on the circle of least modulus.

Every choice (c, P, number of nodes, radius, window) is made in :mod:`theory.quadrature_plan` from
bounds on E[e^{−θF}; T]; the same bounds give the error that is returned.
In: a setting and a state.  Out: an :class:`~theory.expectation.Expectation`.
"""

from __future__ import annotations

import numpy as np

from theory.expectation import Expectation
from theory.quadrature_plan import (
    ABSCISSAE,
    NAMES,
    ONE,
    ZERO,
    LinePlan,
    QuadraturePlan,
    log_sum,
    quadrature_plan,
    window_size,
)
from theory.reduction import relative_rounding
from theory.setting import Coefficients, Setting

__all__ = ["expectation_by_quadrature", "exponential_sum"]

# Each discarded piece (tails of the nodes, aliases, rare totals) is below e^{−DIGITS} of the scale.
DIGITS = 42.0
# Relative error of one evaluation of exp, power and sum, in units of the float64 rounding.
ROUNDING = 8 * float(np.finfo(float).eps)
# Nodes, over all totals, beyond which a state is refused rather than waited for.
MOST_NODES = 3_000_000
# Nodes handled at once, which bounds the memory.
BLOCK = 2048


def exponential_sum(c: float, period: float, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights with sig(−x) ≈ Re Σ_k w_k e^{−s_k x} + (terms of the poles at 0 and 1).

    Parameters
    ----------
    c : float
        Abscissa of the line, 0 ≤ c ≤ 1.
    period : float
        P = 2π/step.  With u = e^{−cP} and w = e^{−(1−c)P}, the sum over all nodes differs from
        sig(−x) − u/(1+u) − e^{−x} w/(1+w) by at most u sig(x−P) + w e^{−x} sig(−x−P).
    nodes : int
        Number of nodes in the upper half plane; what is cut off is at most
        (e^{−cx}/π) log coth(π² nodes/P).

    Returns
    -------
    s, w : ndarray of complex, shape (nodes,)

    Examples
    --------
    On the line Re s = 0 half of the residue of the pole at 0 is missing from the sum.

    >>> s, w = exponential_sum(c=0.0, period=60.0, nodes=120)
    >>> x = 1.5
    >>> value = 0.5 + (w * np.exp(-s * x)).sum().real
    >>> float(value), float(1 / (1 + np.exp(x)))
    (0.1824255238063564, 0.18242552380635635)
    """
    omega = (np.arange(nodes) + 0.5) * (2 * np.pi / period)
    s = c + 1j * omega
    # sin π(c + iω) = sin πc cosh πω + i cos πc sinh πω, scaled by e^{−πω} against overflow.
    decay = np.exp(-2 * np.pi * omega)
    sine = np.sin(np.pi * c) * (1 + decay) + 1j * np.cos(np.pi * c) * (1 - decay)
    weight = (2 / period) * np.pi * 2 * np.exp(-np.pi * omega) / sine
    return s, weight


def _power(base: np.ndarray, exponent: int) -> np.ndarray:
    result = np.ones_like(base)
    while exponent:
        if exponent & 1:
            result = result * base
        exponent >>= 1
        if exponent:
            base = base * base
    return result


class _Total:
    """E[e^{−sF} G; T] at one total T, for G = 1, F, ∂F and Σ_sets |∂F_set|."""

    def __init__(self, plan: QuadraturePlan, others: int, index: int, refinement: int) -> None:
        self.samples, self.bounds, self.others, self.index = (
            plan.samples,
            plan.bounds,
            others,
            index,
        )
        self.refinement = refinement
        of_set = np.array([getattr(self.samples.terms, name)[:, index] for name in NAMES])
        of_signal = np.array([getattr(self.samples.signal, name)[index] for name in NAMES])
        self.F_set, self.F_signal = of_set[0], of_signal[0]
        self.of_set = np.concatenate([of_set, np.abs(of_set[1:])])
        self.of_signal = np.concatenate([of_signal, np.abs(of_signal[1:])])

    def moments(self, s: np.ndarray, line: int, log_unit: float) -> np.ndarray:
        """Array (8, len(s)) in units of e^{log_unit}; Re s is the abscissa of ``line``."""
        samples, others = self.samples, self.others
        tilt = self.bounds.tilt[line, self.index]
        spurious = samples.spurious[self.index]
        sums = samples.set_sum[samples.first]
        log_coefficients = self.bounds.log_coefficients[line, :, self.index]
        log_norm = log_sum(log_coefficients + tilt * sums, axis=0)
        window, *_ = window_size(log_coefficients, tilt, spurious, sums, others, DIGITS)
        window *= self.refinement

        # Coefficients of the polynomial on the circle e^{tilt}, in units of its largest value.
        exponent = samples.log_probability + tilt * samples.set_sum - log_norm
        weight = np.exp(exponent - np.outer(s, self.F_set))
        angle = 2 * np.pi / window * np.arange(window)
        circle = np.exp(1j * np.outer(sums, angle))
        polynomial = np.add.reduceat(weight, samples.first, axis=1) @ circle
        # [z^{R−k}] of its (others − 1)-th power, for each possible sum k of the remaining set.
        extract = np.exp(-1j * np.outer(angle, spurious - sums)) / window
        rest = _power(polynomial, others - 1) @ extract
        run_length = np.diff(samples.first, append=len(samples.set_sum))
        weight = weight * np.repeat(rest, run_length, axis=1)

        mass = weight.sum(axis=1)
        moments = np.outer(np.append(1.0, self.of_signal), mass)
        moments[1:] += others * (self.of_set @ weight.T)
        log_scale = others * log_norm - tilt * spurious - log_unit
        return moments * np.exp(log_scale - s * self.F_signal)

    def expectations(self, line: LinePlan, log_unit: float) -> np.ndarray:
        """E[log(1+e^{−F}); T], E[sig(−F) ∂F; T] and E[sig(−F) Σ|∂F_set|; T]: array (7,)."""
        c, total = ABSCISSAE[line.line], np.zeros(7)
        s, weight = exponential_sum(c, line.period, line.nodes)
        for begin in range(0, line.nodes, BLOCK):
            block = slice(begin, begin + BLOCK)
            moments = self.moments(s[block], line.line, log_unit)
            total[0] += (moments[0] @ (weight[block] / s[block])).real
            total[1:] += (moments[2:] @ weight[block]).real
        # u and w are carried in the exponent: they are tiny just where the moments are huge.
        if line.at_zero:
            log_u = -c * line.period
            share = 1 / (1 + np.exp(log_u))
            mass, F, *rest = self.moments(np.zeros(1), ZERO, log_unit - log_u)[:, 0].real
            total[0] += line.period * share**2 * mass - share * F
            total[1:] += share * np.array(rest)
        if line.at_one:
            log_w = -(1 - c) * line.period
            share = 1 / (1 + np.exp(log_w))
            mass, F, *rest = self.moments(np.ones(1), ONE, log_unit - log_w)[:, 0].real
            total[0] += share * mass
            total[1:] += share * np.array(rest)
        return total

    def rounding(self, line: LinePlan, log_unit: float) -> np.ndarray:
        """Estimated rounding of :meth:`expectations`, array (4,).

        At a node s the power of the polynomial and the phase sF are each rounded on their own, so
        the errors of different nodes add in quadrature.
        """
        bounds, at = self.bounds, (line.line, self.index)
        s, weight = exponential_sum(ABSCISSAE[line.line], line.period, line.nodes)
        each = np.abs(weight) * (self.others + np.abs(s) * bounds.range[at])
        # By the local limit theorem the coefficient is this much below the bound K_T.
        local = min(1.0, 1 / (2.5 * bounds.spread[at] + 1e-300))
        mass = local * np.exp(bounds.log_mass[at] - log_unit) * bounds.size[:, *at]
        mass[0] *= np.linalg.norm(each / s)
        mass[1:] *= np.linalg.norm(each)
        return ROUNDING * mass


def expectation_by_quadrature(
    setting: Setting, state: Coefficients, *, refinement: int = 1
) -> Expectation:
    """Loss and gradient with their errors, by the midpoint rule on vertical lines.

    Parameters
    ----------
    setting : Setting
    state : Coefficients
    refinement : int
        Multiplies every period and every window beyond what the bounds ask for; a result that
        changes by more than its error would refute the bounds.

    Returns
    -------
    Expectation
        Its errors add the bounds on discretization, truncation, aliases and totals left out to an
        estimate of rounding.

    Raises
    ------
    ArithmeticError
        If F overflows float64, or if its range would need too many nodes.

    Examples
    --------
    >>> setting = Setting(L=49, C=4, q=0.1, p=3, nu=0.05, sigma_A=3.0)
    >>> result = expectation_by_quadrature(setting, Coefficients(0.0198, 0.8478, -0.022))
    >>> round(result.loss, 9), result.relative_error < 1e-11
    (0.374277928, True)
    """
    plan = quadrature_plan(setting, state, digits=DIGITS, refinement=refinement)
    lines = [(index, line) for index, line in enumerate(plan.lines) if line is not None]
    nodes = sum(line.nodes for _, line in lines)
    if nodes > MOST_NODES:
        raise ArithmeticError(
            f"the values of F that matter spread over {max(x.period for _, x in lines):.3g}, which "
            f"needs {nodes} nodes (at most {MOST_NODES}): reduce alpha, or use "
            "method='enumeration' if L and C are small"
        )
    log_unit = plan.log_size[np.isfinite(plan.log_size)].max(initial=-np.inf)
    # Four discarded pieces at each total, each below e^{−DIGITS} of the largest contribution.
    error = 4 * len(plan.lines) * np.exp(plan.log_size - log_unit - DIGITS)
    value, shared = np.zeros(7), relative_rounding(setting, state)
    for index, line in lines:
        total = _Total(plan, setting.L - 1, index, refinement)
        parts = total.expectations(line, log_unit)
        value += parts
        # What the terms themselves are off by is common to all nodes: it moves G, and F by as much.
        common = shared * (1 + plan.bounds.range[line.line, index])
        error += total.rounding(line, log_unit) + common * np.abs(parts[[0, 4, 5, 6]])

    unit = np.exp(log_unit)
    loss, *slope = (value[:4] * unit).tolist()
    loss_error, *slope_error = (error * unit).tolist()
    return Expectation(
        loss=loss,
        gradient=Coefficients(*(-x for x in slope)),
        scale=Coefficients(*(value[4:] * unit).tolist()),
        loss_error=loss_error,
        gradient_error=Coefficients(*slope_error),
    )
