r"""The exact expectation by quadrature: E[φ(F) G] to near machine precision at any size.

Two identities turn an expectation over 3^n configurations into a short sum of small matrix
products.  First, on a vertical line Re s = c with 0 ≤ c ≤ 1,

              sig(−x) = (1/2πi) ∫ (π / sin πs) e^{−sx} ds,
    log(1 + e^{−x}) = (1/2πi) ∫ (π / (s sin πs)) e^{−sx} ds,

and the *midpoint* rule of step 2π/P is a sum of exponentials whose error is an alternating series
in e^{−cP} and e^{−(1−c)P}.  No node lies on the real axis, so the line may pass through the poles
s = 0 and s = 1: half of the residue remains, and it is added back exactly.  Hence c may be chosen,
for each total T, where E[e^{−cF}; T] is least, and no digit is lost to the size of F.  Second, once
T is fixed, F is a sum over sets, so E[e^{−sF}; T] is one coefficient of the (L−1)-th power of a
polynomial; it is read off by a discrete Fourier sum on the circle of least modulus.

Every choice (c, P, number of nodes, radius, window) follows from the bound
K_T(θ) ≥ log E[e^{−θF}; T], and the same bounds give the error that is returned.
In: a setting and a state.  Out: an :class:`~theory.expectation.Expectation`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from theory.distribution import set_types, spurious_law
from theory.expectation import Expectation
from theory.reduction import SetTerms, attention_levels, set_terms
from theory.setting import Coefficients, Setting

__all__ = ["expectation_by_quadrature", "exponential_sum"]

# Each discarded piece (tails of the nodes, aliases, rare totals) is below e^{-DIGITS} of the scale.
DIGITS = 42.0
# Relative error of one evaluation of exp, power and sum, in units of the float64 rounding.
ROUNDING = 8 * np.finfo(float).eps
# Nodes, over all totals, beyond which a state is refused rather than waited for.
MOST_NODES = 3_000_000
# Nodes handled at once, which bounds the memory.
BLOCK = 2048

# Abscissae at which the bound K_T(θ) is tabulated; the line is at one of those in [0, 1].
ABSCISSAE = np.arange(-8, 17) / 8
_ZERO, _HALF, _ONE = 8, 12, 16
_NAMES = ("F", "alpha", "gamma", "rho")


def exponential_sum(c: float, period: float, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights with sig(−x) ≈ Re Σ_k w_k e^{−s_k x} + (terms of the poles at 0 and 1).

    Parameters
    ----------
    c : float
        Abscissa of the line, 0 ≤ c ≤ 1.
    period : float
        P = 2π/step.  For |x| < P the sum is sig(−x) − u/(1+u) − e^{−x} w/(1+w) with u = e^{−cP} and
        w = e^{−(1−c)P}, up to terms of order e^{|x|−P}.
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


@dataclass(frozen=True)
class _Samples:
    """Everything about samples of label +1, for every type of set and every total that matters."""

    log_probability: np.ndarray  # (types,)
    set_sum: np.ndarray  # (types,), in ascending order
    first: np.ndarray  # (sums,), where each run of equal sums begins
    spurious: np.ndarray  # (totals,), R = T − C, for the totals T kept
    terms: SetTerms  # of the spurious sets, arrays (types, totals)
    signal: SetTerms  # of the signal set, arrays (totals,)


def _samples(setting: Setting, state: Coefficients) -> _Samples:
    types = set_types(setting)
    probability = types.probability.astype(float)
    possible = probability > 0
    probability, set_sum = probability[possible], types.sums[possible]
    # As floats: products of fourth powers of integers would leave int64.
    n_plus, n_minus = (n[possible, None].astype(float) for n in (types.n_plus, types.n_minus))
    first = np.flatnonzero(np.diff(set_sum, prepend=set_sum[0] - 1))

    law = spurious_law(setting)
    spurious, weight = law.value, law.probability.astype(float)
    kept = weight > 0
    total = spurious[kept] + float(setting.C)
    levels = attention_levels(setting, state)
    in_floats = replace(setting, nu=float(setting.nu), temperature=float(setting.temperature))
    alpha = float(state.alpha)
    with np.errstate(over="ignore", invalid="ignore"):
        terms = set_terms(in_floats, alpha, levels, n_plus, n_minus, total)
        signal = set_terms(in_floats, alpha, levels, float(setting.C), 0.0, total)
    return _Samples(
        log_probability=np.log(probability),
        set_sum=set_sum,
        first=first,
        spurious=spurious[kept],
        terms=terms,
        signal=signal,
    )


@dataclass(frozen=True)
class _Bounds:
    """Bounds on E[e^{−θF} |G|; T] and the saddle points they come from, on the grid of θ."""

    log_coefficients: np.ndarray  # (abscissae, sums, totals): log Σ_types p e^{−θf}, by set sum
    tilt: np.ndarray  # (abscissae, totals): log radius of the circle
    log_mass: np.ndarray  # (abscissae, totals): K_T(θ)
    spread: np.ndarray  # (abscissae, totals): standard deviation of R under the tilted law
    size: np.ndarray  # (4, abscissae, totals): mean of |G| under the tilted law, loss first
    range: np.ndarray  # (abscissae, totals): the same for |F|


def _log_sum(exponent: np.ndarray, axis: int) -> np.ndarray:
    return np.logaddexp.reduce(exponent, axis=axis)


def _bounds(samples: _Samples, others: int) -> _Bounds:
    """Chernoff bounds: [z^R] p(z)^others ≤ e^{−tR} p(e^t)^others for every t, t near the best."""
    theta = ABSCISSAE[:, None, None]
    exponent = samples.log_probability[:, None] - theta * samples.terms.F
    log_coefficients = np.logaddexp.reduceat(exponent, samples.first, axis=1)
    sums = samples.set_sum[samples.first].astype(float)

    tilt = np.zeros((len(ABSCISSAE), len(samples.spurious)))
    for _ in range(16):
        tilted = log_coefficients + tilt[:, None, :] * sums[:, None]
        weight = np.exp(tilted - tilted.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        mean = np.einsum("s,ast->at", sums, weight)
        variance = np.einsum("s,ast->at", sums**2, weight) - mean**2
        step = (samples.spurious / others - mean) / np.maximum(variance, 1e-3)
        tilt = np.clip(tilt + np.clip(step, -1.0, 1.0), -30.0, 30.0)

    log_power = others * _log_sum(log_coefficients + tilt[:, None, :] * sums[:, None], axis=1)
    log_mass = log_power - tilt * samples.spurious - theta[:, 0] * samples.signal.F

    exponent += tilt[:, None, :] * samples.set_sum[:, None]
    exponent -= log_power[:, None, :] / others
    # Negative up to rounding, which matters only when F is too large for this method anyway.
    law = np.exp(np.minimum(exponent, 0.0))
    size = np.empty((4, *tilt.shape))
    for row, name in enumerate(_NAMES):
        of_sets = np.einsum("akt,kt->at", law, np.abs(getattr(samples.terms, name)))
        size[row] = np.abs(getattr(samples.signal, name)) + others * of_sets
    F_range = size[0].copy()
    # The loss has no factor G; log(1+e^{−y}) ≤ e^{−θy}/θ for 0 < θ ≤ 1, and ≤ 1 + |y|.
    size[0] = 1 / np.where(ABSCISSAE == 0, 1, np.abs(ABSCISSAE))[:, None]
    size[0, _ZERO] += F_range[_ZERO]
    spread = np.sqrt(others * np.maximum(variance, 0.0))
    return _Bounds(log_coefficients, tilt, log_mass, spread, size, F_range)


@dataclass(frozen=True)
class _Plan:
    """What is evaluated at one total."""

    index: int  # of the total
    line: int  # index of the abscissa c
    period: float
    nodes: int
    at_zero: bool  # whether the pole at 0 leaves a term worth adding back
    at_one: bool  # the same for the pole at 1


def _window(
    log_coefficients: np.ndarray, tilt: float, spurious: int, sums: np.ndarray, others: int
) -> int:
    """Points on the circle such that what aliases onto the coefficient is below e^{−DIGITS}."""
    full = 2 * others * int(max(sums.max(), -sums.min())) + 1
    shift = np.geomspace(0.02, 20.0, 24)
    shift = np.concatenate([-shift[::-1], shift])
    log_power = others * _log_sum(
        log_coefficients[:, None] + sums[:, None] * (tilt + np.append(shift, 0.0)), axis=0
    )
    rise = log_power[:-1] - log_power[-1] - shift * spurious + DIGITS
    left, right = (rise / np.abs(shift)).reshape(2, -1).min(axis=1)
    return min(full, int(np.ceil(max(left, right, 1.0))) + 1)


def _plan(
    samples: _Samples, bounds: _Bounds, others: int, refinement: int
) -> tuple[list[_Plan], np.ndarray]:
    """Choose, for every total that matters, the line, the period, the nodes and the window.

    Also returns, per expectation, the logarithm of the largest bound on one total's contribution.
    """
    line = bounds.log_mass[_ZERO : _ONE + 1].argmin(axis=0) + _ZERO
    every = range(len(samples.spurious))
    with np.errstate(divide="ignore"):
        log_size = np.log(bounds.size)
    top = (bounds.log_mass[line, every] + log_size[:, line, every]).max(axis=1)
    seen = np.isfinite(top)
    # The largest of the four bounds, each relative to its own scale.
    relative = bounds.log_mass + (log_size[seen] - top[seen, None, None]).max(axis=0)

    plans = []
    for index in every:
        c, here = int(line[index]), relative[:, index]
        if here[c] < -DIGITS:
            continue
        above = (
            np.arange(max(c + 1, _ONE), len(ABSCISSAE))
            if c >= _HALF
            else np.arange(c + 1, _ONE + 1)
        )
        below = np.arange(0, min(c, _ZERO + 1))
        periods = [
            2.0,
            ((here[above] + DIGITS) / (ABSCISSAE[above] - ABSCISSAE[c])).min(),
            ((here[below] + DIGITS) / (ABSCISSAE[c] - ABSCISSAE[below])).min(),
        ]
        # The pole terms, added back, must not outweigh the sum: their rounding would.
        if c > _ZERO:
            periods.append(here[_ZERO] / ABSCISSAE[c])
        if _HALF <= c < _ONE:
            periods.append(here[_ONE] / (1 - ABSCISSAE[c]))
        period = refinement * max(periods)
        nodes = int(np.ceil((DIGITS + here[c]) / np.pi * period / (2 * np.pi))) + 1
        # The loss grows like its period below zero, whence the logarithm.
        at_zero = here[_ZERO] - ABSCISSAE[c] * period + np.log(period) > -DIGITS
        at_one = c >= _HALF and here[_ONE] - (1 - ABSCISSAE[c]) * period > -DIGITS
        plans.append(_Plan(index, c, period, nodes, at_zero, at_one))
    return plans, top


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

    def __init__(
        self, samples: _Samples, bounds: _Bounds, others: int, index: int, refinement: int
    ) -> None:
        self.samples, self.bounds, self.others, self.index = samples, bounds, others, index
        self.refinement = refinement
        of_set = np.array([getattr(samples.terms, name)[:, index] for name in _NAMES])
        of_signal = np.array([getattr(samples.signal, name)[index] for name in _NAMES])
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
        log_norm = _log_sum(log_coefficients + tilt * sums, axis=0)
        window = self.refinement * _window(log_coefficients, tilt, spurious, sums, others)

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

    def expectations(self, plan: _Plan, log_unit: float) -> np.ndarray:
        """E[log(1+e^{−F}); T], E[sig(−F) ∂F; T] and E[sig(−F) Σ|∂F_set|; T]: array (7,)."""
        c, total = ABSCISSAE[plan.line], np.zeros(7)
        s, weight = exponential_sum(c, plan.period, plan.nodes)
        for begin in range(0, plan.nodes, BLOCK):
            block = slice(begin, begin + BLOCK)
            moments = self.moments(s[block], plan.line, log_unit)
            total[0] += (moments[0] @ (weight[block] / s[block])).real
            total[1:] += (moments[2:] @ weight[block]).real
        # u and w are carried in the exponent: they are tiny just where the moments are huge.
        if plan.at_zero:
            log_u = -c * plan.period
            share = 1 / (1 + np.exp(log_u))
            mass, F, *rest = self.moments(np.zeros(1), _ZERO, log_unit - log_u)[:, 0].real
            total[0] += plan.period * share**2 * mass - share * F
            total[1:] += share * np.array(rest)
        if plan.at_one:
            log_w = -(1 - c) * plan.period
            share = 1 / (1 + np.exp(log_w))
            mass, F, *rest = self.moments(np.ones(1), _ONE, log_unit - log_w)[:, 0].real
            total[0] += share * mass
            total[1:] += share * np.array(rest)
        return total

    def rounding(self, plan: _Plan, log_unit: float) -> np.ndarray:
        """Estimated rounding of :meth:`expectations`, array (4,).

        At a node s the power of the polynomial and the phase sF are each rounded on their own, so
        the errors of different nodes add in quadrature.
        """
        bounds, at = self.bounds, (plan.line, self.index)
        s, weight = exponential_sum(ABSCISSAE[plan.line], plan.period, plan.nodes)
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
    samples = _samples(setting, state)
    if not all(
        np.isfinite(getattr(x, n)).all() for x in (samples.terms, samples.signal) for n in _NAMES
    ):
        raise ArithmeticError(
            f"F overflows float64 at alpha = {float(state.alpha):.3g}: reduce alpha"
        )
    others = setting.L - 1
    bounds = _bounds(samples, others)
    plans, log_size = _plan(samples, bounds, others, refinement)
    nodes = sum(plan.nodes for plan in plans)
    if nodes > MOST_NODES:
        raise ArithmeticError(
            f"the values of F that matter spread over {max(p.period for p in plans):.3g}, which "
            f"needs {nodes} nodes (at most {MOST_NODES}): reduce alpha, or use "
            "method='enumeration' if L and C are small"
        )
    log_unit = log_size[np.isfinite(log_size)].max(initial=-np.inf)
    # Four discarded pieces at each total, each below e^{−DIGITS} of the largest contribution.
    error = 4 * len(samples.spurious) * np.exp(log_size - log_unit - DIGITS)
    value = np.zeros(7)
    for plan in plans:
        total = _Total(samples, bounds, others, plan.index, refinement)
        value += total.expectations(plan, log_unit)
        error += total.rounding(plan, log_unit)

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
