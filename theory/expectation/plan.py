"""Where to integrate: lines, periods, nodes and radii, chosen from bounds on E[e^{−θF}; T].

For one total T, F is a sum over sets, so E[e^{−θF}; T] is a coefficient of a power of a polynomial
with positive coefficients, and every radius e^t bounds it (Chernoff):

    E[e^{−θF}; T] ≤ e^{K_T(θ)},   K_T(θ) = (L−1) log Σ_types p e^{ts − θf} − tR − θ f_signal.

K_T is convex; the line of integration passes where it is least in [0, 1], and its values elsewhere
say how long a period and how many nodes are needed.  Nothing here has to be exact.
In: a setting and a state.  Out: a :class:`QuadraturePlan`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from theory.data.law import set_types, spurious_law
from theory.expectation.rows import Part
from theory.setting import Coefficients, Setting
from theory.symmetry.terms import SetTerms, float_terms

__all__ = [
    "ABSCISSAE",
    "Bounds",
    "LinePlan",
    "ONE",
    "QuadraturePlan",
    "Samples",
    "ZERO",
    "log_sum",
    "quadrature_plan",
    "window_size",
]

# Abscissae at which the bound K_T(θ) is tabulated; the line is at one of those in [0, 1].
ABSCISSAE = np.arange(-8, 17) / 8
ZERO, _HALF, ONE = 8, 12, 16

_TINY = float(np.finfo(float).tiny)
_MOST_STEPS = 200


@dataclass(frozen=True)
class Samples:
    """Everything about samples of label +1, for every type of set and every total that matters."""

    probability: np.ndarray  # (types,), 0 where it underflows
    log_probability: np.ndarray  # (types,)
    set_sum: np.ndarray  # (types,), in ascending order
    first: np.ndarray  # (sums,), where each run of equal sums begins
    spurious: np.ndarray  # (totals,), R = T − C, for the totals T kept
    terms: SetTerms[np.ndarray]  # of the spurious sets, arrays (types, totals)
    signal: SetTerms[np.ndarray]  # of the signal set, arrays (totals,)
    errors: SetTerms[np.ndarray]  # bounds on the rounding of the terms
    signal_errors: SetTerms[np.ndarray]
    underflow: float  # bound on what totals rarer than any float64 add to the loss and gradient


def _log(probability: Fraction) -> float:
    """Its logarithm, even below the range of float64."""
    value = float(probability)
    if value >= _TINY:
        return math.log(value)
    return math.log(probability.numerator) - math.log(probability.denominator)


def _samples(setting: Setting, state: Coefficients) -> Samples:
    # Exact, so that no type of set underflows: only its logarithm matters.
    types = set_types(replace(setting, q=Fraction(setting.q)))
    possible = types.probability > 0
    probability, set_sum = types.probability[possible], types.sums[possible]
    first = np.flatnonzero(np.diff(set_sum, prepend=set_sum[0] - 1))

    law = spurious_law(setting)
    kept = law.probability.astype(float) > 0
    spurious = law.value[kept]
    # The signal set is one more type, the last.
    n_plus = np.append(types.n_plus[possible], setting.C)[:, None]
    n_minus = np.append(types.n_minus[possible], 0)[:, None]
    terms, errors = float_terms(setting, state, n_plus, n_minus, spurious + setting.C)

    def parted(terms: SetTerms[np.ndarray], rows: int | slice) -> SetTerms[np.ndarray]:
        return SetTerms(*(part[rows] for part in terms))

    reach = 0.0
    if 0 < setting.q < 1 and not kept.all():
        with np.errstate(over="ignore"):
            power = np.float64(max(1.0, abs(float(state.alpha)) * setting.D)) ** setting.p
        reach = float(power) * setting.p * setting.D**2 * (1 + float(setting.nu))
    return Samples(
        probability=probability.astype(float),
        log_probability=np.array([_log(p) for p in probability]),
        set_sum=set_sum,
        first=first,
        spurious=spurious,
        terms=parted(terms, np.s_[:-1]),
        signal=parted(terms, -1),
        errors=parted(errors, np.s_[:-1]),
        signal_errors=parted(errors, -1),
        underflow=_TINY * (1 + reach / min(1.0, float(setting.temperature))),
    )


@dataclass(frozen=True)
class Bounds:
    """Bounds on E[e^{−θF} |G|; T] and the saddle points they come from, on the grid of θ."""

    log_coefficients: np.ndarray  # (abscissae, sums, totals): log Σ_types p e^{−θf}, by set sum
    tilt: np.ndarray  # (abscissae, totals): log radius of the circle
    log_mass: np.ndarray  # (abscissae, totals): K_T(θ)
    size: np.ndarray  # (4, abscissae, totals): mean of |G| under the tilted law, loss first


def log_sum(exponent: np.ndarray, axis: int) -> np.ndarray:
    return np.logaddexp.reduce(exponent, axis=axis)


def _saddle_points(
    log_coefficients: np.ndarray, sums: np.ndarray, mean: np.ndarray, others: int
) -> np.ndarray:
    """The tilt at which a set has the wanted mean sum, array (abscissae, totals).

    Newton's method between bounds that hold the root, by halves where it does not converge.
    """
    shape = log_coefficients.shape[0], log_coefficients.shape[2]
    rows = np.moveaxis(log_coefficients, 1, 2).reshape(-1, len(sums))
    wanted = np.broadcast_to(mean, shape).ravel()
    # Beyond this one sum has all but e^{−40} of the weight: the extreme totals end here.
    high = np.ptp(rows, axis=1) + 40.0
    low, tilt = -high, np.zeros(len(rows))
    last, left = 2 * high, np.arange(len(rows))
    for _ in range(_MOST_STEPS):
        tilted = rows[left] + tilt[left, None] * sums
        weight = np.exp(tilted - tilted.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        at = weight @ sums
        # The sum of squares around the mean: a difference would lose a small variance.
        spread = np.einsum("rs,rs->r", weight, (sums - at[:, None]) ** 2)
        gap = wanted[left] - at
        high[left] = np.where(gap > 0, high[left], tilt[left])
        low[left] = np.where(gap > 0, tilt[left], low[left])
        # Half of this is what K_T could still fall by.
        open_ = others * gap**2 > 1e-10 * spread
        left, gap, spread = left[open_], gap[open_], spread[open_]
        if not len(left):
            break
        with np.errstate(over="ignore", divide="ignore"):
            step = gap / spread
            newton = tilt[left] + step
            converges = 2 * np.abs(step) < np.abs(last[left])
        converges &= (low[left] < newton) & (newton < high[left])
        step = np.where(converges, step, low[left] / 2 + high[left] / 2 - tilt[left])
        last[left], tilt[left] = step, tilt[left] + step
    return tilt.reshape(shape)


def _bounds(samples: Samples, others: int) -> Bounds:
    """Chernoff bounds: [z^R] p(z)^others ≤ e^{−tR} p(e^t)^others for every t, t near the best."""
    theta = ABSCISSAE[:, None, None]
    exponent = samples.log_probability[:, None] - theta * samples.terms.F
    log_coefficients = np.logaddexp.reduceat(exponent, samples.first, axis=1)
    sums = samples.set_sum[samples.first].astype(float)

    tilt = _saddle_points(log_coefficients, sums, samples.spurious / others, others)
    log_power = others * log_sum(log_coefficients + tilt[:, None, :] * sums[:, None], axis=1)
    log_mass = log_power - tilt * samples.spurious - theta[:, 0] * samples.signal.F

    exponent += tilt[:, None, :] * samples.set_sum[:, None]
    exponent -= log_power[:, None, :] / others
    # Negative up to rounding, which matters only when F is too large for this method anyway.
    law = np.exp(np.minimum(exponent, 0.0))
    size = np.empty((4, *tilt.shape))
    for row, (of_set, of_signal) in enumerate(zip(samples.terms, samples.signal, strict=True)):
        size[row] = np.abs(of_signal) + others * np.einsum("akt,kt->at", law, np.abs(of_set))
    # The loss has no factor G; log(1+e^{−y}) ≤ e^{−θy}/θ for 0 < θ ≤ 1, and ≤ 1 + |y|.
    of_F = size[Part.F, ZERO].copy()
    size[Part.LOSS] = 1 / np.where(ABSCISSAE == 0, 1, np.abs(ABSCISSAE))[:, None]
    size[Part.LOSS, ZERO] += of_F
    return Bounds(log_coefficients, tilt, log_mass, size)


@dataclass(frozen=True)
class LinePlan:
    """What is evaluated at one total; abscissae are given by their index in ABSCISSAE."""

    line: int  # c
    below: int  # θ < c whose bound limits the remainder e^{−(c−θ)P} M_T(θ) of the rule
    above: int  # θ > c, the same on the right
    period: float
    nodes: int
    at_zero: bool  # whether what the pole at 0 leaves is added back
    at_one: bool  # the same for the pole at 1


def window_size(
    log_coefficients: np.ndarray,
    tilt: np.ndarray | float,
    spurious: np.ndarray | int,
    sums: np.ndarray,
    others: int,
    digits: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points on the circle such that what aliases onto the coefficient is below e^{−digits}.

    Also returns the shifts of the tilt, negative and positive, whose Chernoff bounds say so.
    ``log_coefficients`` has shape (sums, …), and ``tilt`` and ``spurious`` the rest of it.
    """
    full = 2 * others * int(max(sums.max(), -sums.min())) + 1
    shift = np.geomspace(0.02, 20.0, 24)
    tilts = np.asarray(tilt)[..., None] + np.concatenate([-shift, shift, [0.0]])
    exponent = np.expand_dims(log_coefficients, -1) + np.multiply.outer(sums, tilts)
    log_power = others * log_sum(exponent, axis=0)
    left, right = log_power[..., :24], log_power[..., 24:48]
    back = np.multiply.outer(spurious, shift)
    need_left = (left - log_power[..., 48:] + back + digits) / shift
    need_right = (right - log_power[..., 48:] - back + digits) / shift
    needed = np.maximum(need_left.min(axis=-1), need_right.min(axis=-1))
    window = np.ceil(np.maximum(needed, 1.0)).astype(int) + 1
    left, right = need_left.argmin(axis=-1), need_right.argmin(axis=-1)
    return np.minimum(full, window), -shift[left], shift[right]


def _line_plan(here: np.ndarray, c: int, digits: float, refinement: int) -> LinePlan:
    """Period and nodes on the line c, from the bounds ``here`` at one total, relative to its scale.

    The pole at 1 is added back only on lines in its half of the strip: elsewhere its term, of the
    size of E[e^{−F}; T], may be huge.
    """
    near_one = c >= _HALF
    above = np.arange(max(c + 1, ONE), len(ABSCISSAE)) if near_one else np.arange(c + 1, ONE + 1)
    below = np.arange(0, min(c, ZERO + 1))
    from_above = (here[above] + digits) / (ABSCISSAE[above] - ABSCISSAE[c])
    from_below = (here[below] + digits) / (ABSCISSAE[c] - ABSCISSAE[below])
    periods = [2.0, from_above.min(), from_below.min()]
    # What is added back must not outweigh the sum: its rounding would.
    if c > ZERO:
        periods.append(here[ZERO] / ABSCISSAE[c])
    if _HALF <= c < ONE:
        periods.append(here[ONE] / (1 - ABSCISSAE[c]))
    period = refinement * float(max(periods))
    return LinePlan(
        line=c,
        below=int(below[from_below.argmin()]),
        above=int(above[from_above.argmin()]),
        period=period,
        nodes=int(np.ceil((digits + here[c]) / np.pi * period / (2 * np.pi))) + 1,
        # The loss grows like its period below zero, whence the logarithm.
        at_zero=bool(here[ZERO] - ABSCISSAE[c] * period + np.log(period) > -digits),
        at_one=bool(near_one and here[ONE] - (1 - ABSCISSAE[c]) * period > -digits),
    )


@dataclass(frozen=True)
class QuadraturePlan:
    """All choices at one state.

    Attributes
    ----------
    samples : Samples
    bounds : Bounds
    least : ndarray of int, shape (totals,)
        For every total, the index of the abscissa c in [0, 1] where K_T is least.
    lines : list of LinePlan or None
        ``None`` where the whole contribution of the total is negligible.
    log_size : ndarray, shape (4,)
        Logarithm of the largest bound on one total's contribution, for loss, α, γ, ρ.
    """

    samples: Samples
    bounds: Bounds
    least: np.ndarray
    lines: list[LinePlan | None]
    log_size: np.ndarray


def quadrature_plan(
    setting: Setting, state: Coefficients, *, digits: float, refinement: int = 1
) -> QuadraturePlan:
    """Choose, for every total, the line, the period and the nodes.

    Parameters
    ----------
    setting : Setting
    state : Coefficients
    digits : float
        Each discarded piece is to be below e^{−digits} of the largest contribution.
    refinement : int
        Multiplies every period.

    Raises
    ------
    ArithmeticError
        If F overflows float64.
    """
    samples = _samples(setting, state)
    bounds = _bounds(samples, setting.L - 1)
    least = bounds.log_mass[ZERO : ONE + 1].argmin(axis=0) + ZERO
    every = np.arange(len(least))
    with np.errstate(divide="ignore"):
        log_size = np.log(bounds.size)
    top = (bounds.log_mass[least, every] + log_size[:, least, every]).max(axis=1)
    seen = np.isfinite(top)
    # The largest of the four bounds, each relative to its own scale.
    relative = bounds.log_mass + (log_size[seen] - top[seen, None, None]).max(axis=0)
    lines = [
        _line_plan(here, int(c), digits, refinement) if here[c] >= -digits else None
        for c, here in zip(least, relative.T, strict=True)
    ]
    return QuadraturePlan(samples, bounds, least, lines, top)
