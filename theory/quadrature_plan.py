"""Where to integrate: lines, periods, nodes and radii, chosen from bounds on E[e^{−θF}; T].

For one total T, F is a sum over sets, so E[e^{−θF}; T] is a coefficient of a power of a polynomial
with positive coefficients, and every radius e^t bounds it (Chernoff):

    E[e^{−θF}; T] ≤ e^{K_T(θ)},   K_T(θ) = (L−1) log Σ_types p e^{ts − θf} − tR − θ f_signal.

K_T is convex; the line of integration passes where it is least in [0, 1], and its values elsewhere
say how long a period and how many nodes are needed.  Nothing here has to be exact.
In: a setting and a state.  Out: a :class:`QuadraturePlan`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from theory.distribution import set_types, spurious_law
from theory.reduction import SetTerms, attention_levels, set_terms
from theory.setting import Coefficients, Setting

__all__ = [
    "ABSCISSAE",
    "NAMES",
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
NAMES = ("F", "alpha", "gamma", "rho")


@dataclass(frozen=True)
class Samples:
    """Everything about samples of label +1, for every type of set and every total that matters."""

    log_probability: np.ndarray  # (types,)
    set_sum: np.ndarray  # (types,), in ascending order
    first: np.ndarray  # (sums,), where each run of equal sums begins
    spurious: np.ndarray  # (totals,), R = T − C, for the totals T kept
    terms: SetTerms  # of the spurious sets, arrays (types, totals)
    signal: SetTerms  # of the signal set, arrays (totals,)


def _samples(setting: Setting, state: Coefficients) -> Samples:
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
    alpha = float(state.alpha)
    with np.errstate(over="ignore", invalid="ignore"):
        terms = set_terms(setting, alpha, levels, n_plus, n_minus, total, number=float)
        signal = set_terms(setting, alpha, levels, float(setting.C), 0.0, total, number=float)
    return Samples(
        log_probability=np.log(probability),
        set_sum=set_sum,
        first=first,
        spurious=spurious[kept],
        terms=terms,
        signal=signal,
    )


@dataclass(frozen=True)
class Bounds:
    """Bounds on E[e^{−θF} |G|; T] and the saddle points they come from, on the grid of θ."""

    log_coefficients: np.ndarray  # (abscissae, sums, totals): log Σ_types p e^{−θf}, by set sum
    tilt: np.ndarray  # (abscissae, totals): log radius of the circle
    log_mass: np.ndarray  # (abscissae, totals): K_T(θ)
    spread: np.ndarray  # (abscissae, totals): standard deviation of R under the tilted law
    size: np.ndarray  # (4, abscissae, totals): mean of |G| under the tilted law, loss first
    range: np.ndarray  # (abscissae, totals): the same for |F|


def log_sum(exponent: np.ndarray, axis: int) -> np.ndarray:
    return np.logaddexp.reduce(exponent, axis=axis)


def _bounds(samples: Samples, others: int) -> Bounds:
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

    log_power = others * log_sum(log_coefficients + tilt[:, None, :] * sums[:, None], axis=1)
    log_mass = log_power - tilt * samples.spurious - theta[:, 0] * samples.signal.F

    exponent += tilt[:, None, :] * samples.set_sum[:, None]
    exponent -= log_power[:, None, :] / others
    # Negative up to rounding, which matters only when F is too large for this method anyway.
    law = np.exp(np.minimum(exponent, 0.0))
    size = np.empty((4, *tilt.shape))
    for row, name in enumerate(NAMES):
        of_sets = np.einsum("akt,kt->at", law, np.abs(getattr(samples.terms, name)))
        size[row] = np.abs(getattr(samples.signal, name)) + others * of_sets
    F_range = size[0].copy()
    # The loss has no factor G; log(1+e^{−y}) ≤ e^{−θy}/θ for 0 < θ ≤ 1, and ≤ 1 + |y|.
    size[0] = 1 / np.where(ABSCISSAE == 0, 1, np.abs(ABSCISSAE))[:, None]
    size[0, ZERO] += F_range[ZERO]
    spread = np.sqrt(others * np.maximum(variance, 0.0))
    return Bounds(log_coefficients, tilt, log_mass, spread, size, F_range)


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
    tilt: float,
    spurious: int,
    sums: np.ndarray,
    others: int,
    digits: float,
) -> tuple[int, float, float]:
    """Points on the circle such that what aliases onto the coefficient is below e^{−digits}.

    Also returns the shifts of the tilt, negative and positive, whose Chernoff bounds say so.
    """
    full = 2 * others * int(max(sums.max(), -sums.min())) + 1
    shift = np.geomspace(0.02, 20.0, 24)
    tilts = tilt + np.concatenate([-shift, shift, [0.0]])
    log_power = others * log_sum(log_coefficients[:, None] + sums[:, None] * tilts, axis=0)
    rise = (log_power[:-1] - log_power[-1]).reshape(2, -1) + np.outer([1, -1], shift * spurious)
    needed = (rise + digits) / shift
    left, right = needed.argmin(axis=1)
    window = int(np.ceil(max(needed[0, left], needed[1, right], 1.0))) + 1
    return min(full, window), -float(shift[left]), float(shift[right])


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
    parts = (samples.terms, samples.signal)
    if not all(np.isfinite(getattr(part, name)).all() for part in parts for name in NAMES):
        raise ArithmeticError(
            f"F overflows float64 at alpha = {float(state.alpha):.3g}: reduce alpha"
        )
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
