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

Every choice (c, P, number of nodes, radius, window) is made in :mod:`theory.expectation.plan` from
bounds on E[e^{−θF}; T].  The error that is returned adds up what those choices discard, what the
rounding of F and ∂F amounts to, and the rounding of the sums themselves.
In: a setting and a state.  Out: an :class:`~theory.expectation.result.Expectation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from theory.expectation.moments import EPS, TiltedSamples
from theory.expectation.plan import ABSCISSAE, ONE, ZERO, LinePlan, quadrature_plan
from theory.expectation.result import Expectation
from theory.expectation.rows import Moment, Part
from theory.setting import Coefficients, Setting

__all__ = ["expectation_by_quadrature", "exponential_sum"]

# Each discarded piece (tails of the nodes, aliases, rare totals) is below e^{−DIGITS} of the scale.
DIGITS = 38.0
# Nodes, over all totals, beyond which a state is refused rather than waited for.
MOST_NODES = 3_000_000


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
    return c + 1j * omega, _kernel(c, omega, period)


def _kernel(c: np.ndarray | float, omega: np.ndarray, period: np.ndarray | float) -> np.ndarray:
    # sin π(c + iω) = sin πc cosh πω + i cos πc sinh πω, scaled by e^{−πω} against overflow.
    sine = np.sin(np.pi * np.minimum(c, 1 - c)) * (1 + np.exp(-2 * np.pi * omega))
    sine = sine - 1j * np.cos(np.pi * c) * np.expm1(-2 * np.pi * omega)
    return (2 / period) * np.pi * 2 * np.exp(-np.pi * omega) / sine


@dataclass(frozen=True)
class _Nodes:
    """A sum over nodes: Σ of_mass E[e^{−sF}; T] + of_F E[e^{−sF}F; T] for the loss, and for ∂F
    Σ of_slope E[e^{−sF}∂F; T], each times e^{shift}; one entry of a :class:`TiltedSamples` each.
    """

    entry: np.ndarray
    omega: np.ndarray
    of_mass: np.ndarray
    of_F: np.ndarray
    of_slope: np.ndarray
    shift: np.ndarray

    def sums(self, samples: TiltedSamples, log_unit: float) -> tuple[np.ndarray, np.ndarray]:
        """Sums, array (7,), and errors of four (:class:`Part`), in units of e^{log_unit}."""
        value, error = np.zeros(7), np.zeros(4)
        for block in samples.blocks(self.entry):
            entry, omega = self.entry[block], self.omega[block]
            moments, rounding, _ = samples.moments(entry, omega)
            unit = np.exp(samples.scale[entry] + self.shift[block] - log_unit)
            # The coefficients are rounded too, more so where they are small.
            coefficient = EPS * (32 + 8 * omega + np.abs(self.shift[block]))
            rounding = unit * (rounding + coefficient * np.abs(moments[Moment.CHECKED]))
            moments = unit * moments
            mass, F, slope = (x[block] for x in (self.of_mass, self.of_F, self.of_slope))
            value[Part.LOSS] += (moments[Moment.ONE] @ mass + moments[Moment.F] @ F).real
            value[Part.SLOPES] += (moments[Moment.SLOPES] @ slope).real
            value[Part.SIZES] += (moments[Moment.SIZES] @ slope).real
            error[Part.LOSS] += rounding[Moment.ONE] @ np.abs(mass) + rounding[Moment.F] @ np.abs(F)
            error[Part.SLOPES] += rounding[Moment.SLOPES] @ np.abs(slope)
        return value, error


def _nodes(lines: list[LinePlan]) -> tuple[_Nodes, np.ndarray, np.ndarray]:
    """The nodes of all lines, then the poles; and total and abscissa of each entry.

    Entry k is line k; an entry for each pole that is added back follows.
    """
    every = np.arange(len(lines))
    where = np.array([x.line for x in lines])
    c, period = ABSCISSAE[where], np.array([x.period for x in lines])
    entry = np.repeat(every, [x.nodes for x in lines])
    omega = np.concatenate([(np.arange(x.nodes) + 0.5) * (2 * np.pi / x.period) for x in lines])
    weight = _kernel(c[entry], omega, period[entry])
    line = (entry, omega, weight / (c[entry] + 1j * omega), 0 * omega, weight, 0 * omega)

    # u and w are carried in the exponent: they are tiny just where the moments are huge.
    zero = every[[x.at_zero for x in lines]]
    one = every[[x.at_one for x in lines]]
    poles = len(lines) + np.arange(len(zero) + len(one))
    log_u, log_w = -c[zero] * period[zero], -(1 - c[one]) * period[one]
    u, w = 1 / (1 + np.exp(log_u)), 1 / (1 + np.exp(log_w))
    at_zero = (poles[: len(zero)], 0 * u, period[zero] * u**2, -u, u, log_u)
    at_one = (poles[len(zero) :], 0 * w, w, 0 * w, w, log_w)
    nodes = _Nodes(*(np.concatenate(parts) for parts in zip(line, at_zero, at_one, strict=True)))
    abscissa = np.concatenate([where, np.full(len(zero), ZERO), np.full(len(one), ONE)])
    return nodes, np.concatenate([every, zero, one]), abscissa


# What overflows shows in the results, which are then refused.
@np.errstate(over="ignore", invalid="ignore")
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
        Its errors add the bounds on discretization, truncation, aliases and totals left out to
        bounds on rounding, to first order.

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
    index = np.array([k for k, line in enumerate(plan.lines) if line is not None])
    lines = [line for line in plan.lines if line is not None]
    number = sum(line.nodes for line in lines)
    if number > MOST_NODES:
        raise ArithmeticError(
            f"the values of F that matter spread over {max(x.period for x in lines):.3g}, which "
            f"needs {number} nodes (at most {MOST_NODES}): reduce alpha, or use "
            "method='enumeration' if L and C are small"
        )
    log_unit = plan.log_size[np.isfinite(plan.log_size)].max(initial=-np.inf)
    nodes, place, where = _nodes(lines)
    given = partial(TiltedSamples, plan, setting.L - 1, digits=DIGITS, refinement=refinement)
    samples = given(index[place], where)
    value, error = nodes.sums(samples, log_unit)
    # Four discarded pieces at each total, each below e^{−DIGITS} of the largest contribution.
    error += 4 * len(plan.lines) * np.exp(plan.log_size - log_unit - DIGITS)
    # What rounding of F and ∂F amounts to: |sig(−F)| ≤ e^{−cF} bounds the slope of the loss, and
    # that of the sigmoid, sig(F)sig(−F), is at most e^{−θF} for −1 ≤ θ ≤ 1.
    direct, moved = samples.of_terms(np.arange(len(lines)), log_unit)
    error[Part.LOSS] += moved[Part.F]
    error[Part.SLOPES] += direct[Part.SLOPES]
    least = plan.bounds.log_mass[: ONE + 1, index].argmin(axis=0)
    _, moved = given(index, least).of_terms(np.arange(len(lines)), log_unit)
    error[Part.SLOPES] += moved[Part.SLOPES]

    unit = np.exp(log_unit)
    if not (np.isfinite(value * unit).all() and np.isfinite(error * unit).all()):
        raise ArithmeticError(
            f"products with F overflow float64 at alpha = {float(state.alpha):.3g}, "
            f"p = {setting.p}: reduce alpha"
        )
    # An underflow of the unit costs less than the smallest normal number, and nothing where a
    # component vanishes identically.
    lost = plan.samples.underflow * np.isfinite(plan.log_size)
    return Expectation.of_sums(value * unit, error * unit + lost)
