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
bounds on E[e^{−θF}; T].  The error that is returned adds up what those choices discard, what the
rounding of F and ∂F amounts to, and the rounding of the sums themselves.
In: a setting and a state.  Out: an :class:`~theory.expectation.Expectation`.
"""

from __future__ import annotations

import math

import numpy as np

from theory.expectation import Expectation
from theory.quadrature_plan import (
    ABSCISSAE,
    ONE,
    ZERO,
    LinePlan,
    QuadraturePlan,
    log_sum,
    quadrature_plan,
    window_size,
)
from theory.reduction import NAMES, SetTerms
from theory.setting import Coefficients, Setting

__all__ = ["expectation_by_quadrature", "exponential_sum"]

# Each discarded piece (tails of the nodes, aliases, rare totals) is below e^{−DIGITS} of the scale.
DIGITS = 42.0
EPS = float(np.finfo(float).eps)
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
    sine = np.sin(np.pi * min(c, 1 - c)) * (1 + np.exp(-2 * np.pi * omega))
    sine = sine - 1j * np.cos(np.pi * c) * np.expm1(-2 * np.pi * omega)
    weight = (2 / period) * np.pi * 2 * np.exp(-np.pi * omega) / sine
    return s, weight


def _power(less_one: np.ndarray, exponent: int) -> np.ndarray:
    """(1 + x)^exponent with an error relative to x, however large the exponent.

    Squarings carry (1 + x)^m − 1, except for the last three, after which a power far from 1 has
    digits of its own.
    """
    base, result, leading = 1 + less_one, np.ones_like(less_one), exponent >> 3
    if leading:
        x = less_one
        for bit in f"{leading:b}"[1:]:
            x = x * (2 + x)
            if bit == "1":
                x = x + less_one + x * less_one
        result = 1 + x
    for place in (2, 1, 0):
        result = result * result
        if exponent >> place & 1:
            result = result * base
    return result


def _turn(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """e^{i·angle}, and the same less 1, with digits of its own where the angle is small."""
    half = np.exp(0.5j * angle)
    return half * half, 2j * half.imag * half


class _Line:
    """E[e^{−sF} G; T] at one total T on one line Re s = c, for G = 1, F, ∂F and Σ_sets |∂F_set|.

    Everything is in units of ``e^{scale}``, the largest value on the circle at s = c; errors are
    in units of float64's spacing at 1 until they are returned.
    """

    def __init__(
        self, plan: QuadraturePlan, others: int, index: int, line: int, refinement: int
    ) -> None:
        samples, c = plan.samples, float(ABSCISSAE[line])
        tilt, spurious = float(plan.bounds.tilt[line, index]), int(samples.spurious[index])

        def table(of_set: SetTerms, of_signal: SetTerms) -> tuple[np.ndarray, np.ndarray]:
            return tuple(
                np.array([getattr(terms, name)[..., index] for name in NAMES])
                for terms in (of_set, of_signal)
            )

        self.others, self.first = others, samples.first
        self.of_set, self.of_signal = table(samples.terms, samples.signal)
        self.set_errors, self.signal_errors = table(samples.errors, samples.signal_errors)
        self.F = self.of_set[0]

        sums = samples.set_sum[samples.first]
        window, *_ = window_size(
            plan.bounds.log_coefficients[line, :, index], tilt, spurious, sums, others, DIGITS
        )
        angle = 2 * np.pi / (window * refinement) * np.arange(window * refinement)
        self.circle_less_one = _turn(np.outer(sums, angle))[1]
        self.extract = _turn(np.outer(angle, sums - spurious))[0] / len(angle)

        # The law of types tilted to the line and the circle.  Probabilities add up to 1, so its
        # norm less 1 is a sum of small terms: its power keeps its digits for large L.
        log_p, p = samples.log_probability, samples.probability
        exponent = tilt * samples.set_sum - c * self.F
        moved = p * np.expm1(np.minimum(exponent, 30.0))
        small = float(np.abs(moved).sum())
        rare = np.where(p > 0, 0.0, np.abs(log_p))
        if small < 0.5 and exponent.max() < 30:
            log_norm = float(np.log1p(moved.sum()))
        else:
            log_norm, small, rare = float(log_sum(log_p + exponent, axis=0)), 1.0, np.abs(log_p)
        with np.errstate(under="ignore"):
            self.law = np.where(
                rare > 0,
                np.exp(log_p + exponent - log_norm),
                p * np.exp(np.minimum(exponent - log_norm, 700.0)),
            )
        self.of_law = np.abs(exponent) + rare + abs(log_norm) + 4
        self.scale = others * log_norm - tilt * spurious - c * self.of_signal[0]
        self.of_scale = 16 + others * (small + self.law @ self.of_law + abs(log_norm))
        self.of_scale += abs(tilt * spurious) + c * abs(self.of_signal[0]) + abs(self.scale)

    def _power(self, omega: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """At s = c + iω: weights of the types, the power on the circle, its root mean square."""
        phase, less_one = _turn(-np.outer(omega, self.F))
        weight = self.law * phase
        grouped = np.add.reduceat(weight, self.first, axis=1)
        less_one = grouped @ self.circle_less_one + (less_one @ self.law)[:, None]
        power = _power(less_one, self.others - 1)
        return weight, power, np.sqrt((power.real**2 + power.imag**2).mean(axis=1))

    def _lift(self, mean: np.ndarray) -> np.ndarray:
        """How much larger |a|^{k−1} may be in the mean than |a|^k, k = L − 2, |a| ≤ 1 (Jensen)."""
        if self.others == 1:
            return np.ones_like(mean)
        return np.maximum(mean, 1e-300) ** (-1 / (self.others - 1))

    def moments(self, omega: np.ndarray, log_unit: float) -> tuple[np.ndarray, np.ndarray]:
        """Arrays (8, len(omega)) and (5, len(omega)), in units of e^{log_unit}.

        The second bounds the rounding of the first five.
        """
        weight, power, mean = self._power(omega)
        # [z^{R−k}] of the power, for each possible sum k of the remaining set.
        rest = power @ self.extract
        run_length = np.diff(self.first, append=len(self.law))
        weight = weight * np.repeat(rest, run_length, axis=1)
        rows = np.concatenate([self.of_set, np.abs(self.of_set[1:])])
        signal = np.append(self.of_signal, np.abs(self.of_signal[1:]))
        moments = np.outer(np.append(1.0, signal), weight.sum(axis=1))
        moments[1:] += self.others * (rows @ weight.T)
        moments *= np.exp(self.scale - log_unit - 1j * omega * self.of_signal[0])
        rounding = self._rounding(omega, power, mean)
        return moments, EPS * math.exp(self.scale - log_unit) * rounding

    def _rounding(self, omega: np.ndarray, power: np.ndarray, mean: np.ndarray) -> np.ndarray:
        others, law, F = self.others, self.law, np.abs(self.F)
        turned = np.add.reduceat(law, self.first) @ np.abs(self.circle_less_one)
        turned = np.sqrt(((power.real**2 + power.imag**2) * turned**2).mean(axis=1))
        phase = omega * (law @ F)
        steps = 6 + 2 * math.log2(others)  # roundings per squaring, and squarings
        of_power = steps * (others - 1) * self._lift(mean) * (phase * mean + turned)
        whole = of_power + mean * (32 + self.of_scale + omega * abs(self.of_signal[0]))
        # Rows 1, F, ∂F: the error of the weight of each type, and of everything else.
        of_set, of_signal = np.abs(self.of_set), np.abs(self.of_signal)
        size = np.append(1.0, of_signal + others * (of_set @ law))
        own = law * self.of_law, law * F
        row, row_F = (
            np.append(x.sum(), of_signal * x.sum() + others * (of_set @ x)) for x in own
        )
        return np.outer(size, whole) + (np.outer(row, np.ones_like(omega)) + np.outer(row_F, omega)) * mean

    def of_terms(self, log_unit: float) -> tuple[np.ndarray, np.ndarray]:
        """Bounds on E[e^{−cF}|dG|; T] and E[e^{−cF}|dF|e^{|dF|}|G|; T], for G = F, ∂F.

        dF and dG are what the rounding of the terms has moved F and G by; G = 1 in the second for F.
        """
        others, law = self.others, self.law
        _, _, mean = self._power(np.zeros(1))
        local = min(1.0, float((mean * self._lift(mean))[0]))
        of_set, of_signal = np.abs(self.of_set), np.abs(self.of_signal)
        direct = self.signal_errors + others * (self.set_errors @ law)
        size = of_signal + others * (of_set @ law)
        # E[ΣdΣ|g|] over independent sets, from above.
        both = direct[0] * size + others * (of_set @ (law * self.set_errors[0]))
        both[0] = direct[0]
        largest = self.signal_errors[0] + others * self.set_errors[0].max()
        unit = local * math.exp(self.scale - log_unit)
        return unit * direct, unit * math.exp(min(largest, 700.0)) * both


class _Total:
    """Loss and gradient at one total T."""

    def __init__(self, plan: QuadraturePlan, others: int, index: int, refinement: int) -> None:
        self._arguments = plan, others, index, refinement

    def _line(self, line: int) -> _Line:
        plan, others, index, refinement = self._arguments
        return _Line(plan, others, index, line, refinement)

    def expectations(self, line: LinePlan, log_unit: float) -> tuple[np.ndarray, np.ndarray]:
        """E[log(1+e^{−F}); T], E[sig(−F) ∂F; T] and E[sig(−F) Σ|∂F_set|; T]; errors of four."""
        c, on_line = float(ABSCISSAE[line.line]), self._line(line.line)
        value, error = np.zeros(7), self._of_terms(line.line, on_line, log_unit)
        s, weight = exponential_sum(c, line.period, line.nodes)
        for begin in range(0, line.nodes, BLOCK):
            block = slice(begin, begin + BLOCK)
            kernel, omega = weight[block], s[block].imag
            moments, rounding = on_line.moments(omega, log_unit)
            value[0] += (moments[0] @ (kernel / s[block])).real
            value[1:] += (moments[2:] @ kernel).real
            # The kernel is rounded too, more so where it is small.
            rounding += EPS * (32 + 8 * omega) * np.abs(moments[:5])
            error[0] += rounding[0] @ np.abs(kernel / s[block])
            error[1:] += rounding[2:] @ np.abs(kernel)
        # u and w are carried in the exponent: they are tiny just where the moments are huge.
        if line.at_zero:
            log_u = -c * line.period
            share = 1 / (1 + math.exp(log_u))
            pole, rounding = self._pole(ZERO, log_unit - log_u)
            value[0] += line.period * share**2 * pole[0] - share * pole[1]
            error[0] += line.period * rounding[0] + rounding[1]
            value[1:] += share * pole[2:]
            error[1:] += rounding[2:]
        if line.at_one:
            log_w = -(1 - c) * line.period
            share = 1 / (1 + math.exp(log_w))
            pole, rounding = self._pole(ONE, log_unit - log_w)
            value[0] += share * pole[0]
            value[1:] += share * pole[2:]
            error += np.delete(rounding, 1)
        return value, error

    def _of_terms(self, line: int, on_line: _Line, log_unit: float) -> np.ndarray:
        """What the rounding of F and ∂F amounts to in loss and gradient, array (4,)."""
        direct, moved = on_line.of_terms(log_unit)
        # The slope sig(F)sig(−F) of the sigmoid is at most e^{−θF} for −1 ≤ θ ≤ 1, that of the
        # loss for 0 ≤ θ ≤ 1.
        plan, _, index, _ = self._arguments
        least = int(plan.bounds.log_mass[: ONE + 1, index].argmin())
        of_slope = moved if least == line else self._line(least).of_terms(log_unit)[1]
        return np.append(moved[0], direct[1:] + of_slope[1:])

    def _pole(self, line: int, log_unit: float) -> tuple[np.ndarray, np.ndarray]:
        moments, rounding = self._line(line).moments(np.zeros(1), log_unit)
        # The unit is off by a rounding of its logarithm.
        rounding += EPS * (16 + abs(log_unit)) * np.abs(moments[:5])
        return moments[:, 0].real, rounding[:, 0]


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
    value = np.zeros(7)
    for index, line in lines:
        parts, rounding = _Total(plan, setting.L - 1, index, refinement).expectations(
            line, log_unit
        )
        value += parts
        error += rounding

    unit = np.exp(log_unit)
    # An underflow of the unit costs less than the smallest normal number, and nothing where a
    # component vanishes identically.
    lost = plan.samples.underflow * np.isfinite(plan.log_size)
    loss, *slope = (value[:4] * unit).tolist()
    loss_error, *slope_error = (error * unit + lost).tolist()
    return Expectation(
        loss=loss,
        gradient=Coefficients(*(-x for x in slope)),
        scale=Coefficients(*(value[4:] * unit).tolist()),
        loss_error=loss_error,
        gradient_error=Coefficients(*slope_error),
    )
