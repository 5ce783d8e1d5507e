"""Loss, climb and drive where attention does not distinguish sets, as a sum over two counts.

At γ = ρ every patch weighs all others alike, and F sees only the numbers n₊, n₋ of spurious
features.  With b = e^{(σ_A−γ)/τ} − 1, κ = αD/(D+b), T = C + n₊ − n₋ and value v_x = κ(T + bx),

    F = Σ_x c_x σ(v_x),    α' = E[sig(−F) ∂F/∂α],    γ' − ρ' = (κC/τD) E[sig(−F) ⟨…⟩],

c_x counting the patches of feature x and ⟨…⟩ being the mean of (g(1) − g(x_i))(1 − x_j),
g(x) = σ'(v_x), over ordered pairs of spurious patches.  About n²/2 terms: milliseconds in floats,
a second in balls at D = 196.  In: a setting, α, γ.  Out: floats, or balls if α is a ball.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from flint import arb, fmpq
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, gammaln

from theory.setting import Setting

__all__ = [
    "EqualLogits",
    "climb_floor",
    "drive_sign",
    "equal_logits",
    "plateau_at_equal_logits",
]

# Counts of smaller probability are left out: ignored in floats, enclosed in balls.
_NEGLIGIBLE = 1e-30


class EqualLogits(NamedTuple):
    """Population loss (nats), velocity α', and drive γ' − ρ' at γ = ρ."""

    loss: Any
    climb: Any
    drive: Any


class _Counts(NamedTuple):
    """All pairs of counts with their probability: float64, or object arrays of balls."""

    probability: np.ndarray
    plus: np.ndarray
    minus: np.ndarray
    total: NDArray[np.intp]
    dropped: Fraction  # in balls: the probability of all that is left out


def _exactly(value: Any) -> arb:
    if isinstance(value, arb):
        return value
    value = Fraction(value)
    return arb(fmpq(value.numerator, value.denominator))


def _in_floats(values: np.ndarray) -> np.ndarray:
    return values.astype(float)


def _in_balls(values: np.ndarray) -> np.ndarray:
    return _balls(values.astype(object))


_balls = np.frompyfunc(_exactly, 1, 1)
_exp = np.frompyfunc(lambda x: x.exp(), 1, 1)
_least = np.frompyfunc(lambda x, y: x.min(y), 2, 1)
_log1p = np.frompyfunc(lambda x: x.log1p(), 1, 1)


def _power(base: Any, exponent: int) -> Any:
    # A product: x**k of a ball around 0 is nan in flint.
    return math.prod([base] * exponent)


@lru_cache(maxsize=4)
def _counts(setting: Setting, balls: bool) -> _Counts:
    n, rate = setting.n, float(setting.q)
    plus, minus = (x.ravel() for x in np.indices((n + 1, n + 1)))
    inside = plus + minus <= n
    plus, minus = plus[inside], minus[inside]
    zero = n - plus - minus
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0 log 0 = 0 where q is 0 or 1.
        features = np.where(plus + minus > 0, (plus + minus) * np.log(rate / 2), 0.0)
        empty = np.where(zero > 0, zero * np.log1p(-rate), 0.0)
    ways = gammaln(n + 1) - gammaln(plus + 1) - gammaln(minus + 1) - gammaln(zero + 1)
    chances: np.ndarray = np.exp(ways + features + empty)
    kept = chances > _NEGLIGIBLE
    dropped = Fraction(0)
    chances, plus, minus = chances[kept], plus[kept], minus[kept]
    if balls:
        half, rest = Fraction(setting.q) / 2, 1 - Fraction(setting.q)
        powers = [half**k * rest ** (n - k) for k in range(n + 1)]
        exact = [
            math.comb(n, a) * math.comb(n - a, b) * powers[a + b]
            for a, b in zip(plus.tolist(), minus.tolist(), strict=True)
        ]
        # Floats chose what is left out; what it weighs is exact.
        dropped = 1 - sum(exact, Fraction(0))
        chances = _in_balls(np.array(exact, dtype=object))
    return _Counts(chances, plus, minus, setting.C + plus - minus, dropped)


class _Outputs(NamedTuple):
    F: Any
    slope: Any  # ∂F/∂α
    value: dict[int, Any]
    kappa: Any


def _outputs(setting: Setting, alpha: Any, gamma: Any, counts: _Counts) -> _Outputs:
    D, C, n, p = setting.D, setting.C, setting.n, setting.p
    number, numbers = (_exactly, _in_balls) if isinstance(alpha, arb) else (float, _in_floats)
    logit = (number(setting.sigma_A) - number(gamma)) / number(setting.temperature)
    excess = logit.exp() - 1 if isinstance(logit, arb) else math.expm1(logit)
    zero = n - counts.plus - counts.minus
    in_image = {1: numbers(C + counts.plus), 0: numbers(zero), -1: numbers(counts.minus)}
    nu, T = number(setting.nu), numbers(counts.total)
    kappa = alpha * D / (D + excess)
    value = {x: kappa * (T + excess * x) for x in (1, 0, -1)}
    F = sum(in_image[x] * (_power(v, p) + nu * v) for x, v in value.items())
    slope = sum(in_image[x] * (p * _power(v, p) + nu * v) for x, v in value.items()) / alpha
    return _Outputs(F, slope, value, kappa)


def _bound(setting: Setting, alpha: Any, out: _Outputs, counts: _Counts) -> EqualLogits:
    """Zeros in floats; in balls, balls of what the counts left out add to loss, climb, drive."""
    if not isinstance(alpha, arb):
        return EqualLogits(0.0, 0.0, 0.0)
    D, C, p = setting.D, setting.C, setting.p
    # |T + bx| ≤ D + |b| and κ = αD/(D + b), where b > −1; Σ_x c_x = D.
    largest = abs(out.kappa) * D + abs(alpha * D - out.kappa * D)
    nu, tau = _exactly(setting.nu), _exactly(setting.temperature)
    steep = p * _power(largest, p - 1)
    ends = (
        1 + D * (_power(largest, p) + nu * largest),
        D * (steep + nu) * largest / abs(alpha),
        abs(out.kappa) * C / (tau * D) * 2 * steep,
    )
    radii = [end * _exactly(counts.dropped) for end in ends]
    return EqualLogits(*(arb(0, radius.abs_upper()) for radius in radii))


def _sigmoid(F: np.ndarray, balls: bool) -> np.ndarray:
    """sig(−F)."""
    return 1 / (1 + _exp(F)) if balls else expit(-F)


def _pairs(setting: Setting, value: dict[int, Any], plus: Any, minus: Any) -> Any:
    """The mean of (g(1) − g(x_i))(1 − x_j) over ordered pairs; ν cancels in the differences."""
    n, p = setting.n, setting.p
    zero = n - plus - minus
    g = {x: p * _power(v, p - 1) for x, v in value.items()}
    # Σ over ordered pairs = (Σ_i (g(1) − g(x_i))) (Σ_j (1 − x_j)) − Σ_i of the product.
    of_one = minus * (g[1] - g[-1]) + zero * (g[1] - g[0])
    of_same = 2 * minus * (g[1] - g[-1]) + zero * (g[1] - g[0])
    return (of_one * (n - plus + minus) - of_same) / (n * (n - 1))


def equal_logits(setting: Setting, alpha: Any, gamma: Any = 0) -> EqualLogits:
    """Population loss, α' and γ' − ρ' at ρ = γ.

    Parameters
    ----------
    setting : Setting
        With C ≥ 2 and n ≥ 2 (there are no pairs to compare otherwise).  For balls q, ν, σ_A and τ
        are taken as the exact numbers that they are.
    alpha : float > 0, or flint.arb
    gamma : real
        The common logit.

    Raises
    ------
    ValueError
        If C = 1.

    Examples
    --------
    The drive is negative on the plateau of the failing run, and positive at the start.

    >>> setting = Setting(L=5, C=2, q=0.8, p=3, nu=1.0, sigma_A=0.3)
    >>> start, there = (equal_logits(setting, alpha).drive for alpha in (0.01, 0.0594))
    >>> print(f"{start:+.2e} {there:+.2e}")
    +3.25e-08 -3.04e-05
    """
    C, D = setting.C, setting.D
    if C < 2:
        raise ValueError(f"Setting.C = {C}: sets of one patch have no pair inside")
    balls = isinstance(alpha, arb)
    number, numbers = (_exactly, _in_balls) if balls else (float, _in_floats)
    counts = _counts(setting, balls)
    out = _outputs(setting, alpha, gamma, counts)
    F, slope, value, kappa = out
    loss = _log1p(_exp(-F)) if balls else np.logaddexp(0.0, -F)
    tau, plus, minus = number(setting.temperature), numbers(counts.plus), numbers(counts.minus)
    pairs = _pairs(setting, value, plus, minus)
    weight = counts.probability * _sigmoid(F, balls)
    rest = _bound(setting, alpha, out, counts)
    return EqualLogits(
        (counts.probability * loss).sum() + rest.loss,
        (weight * slope).sum() + rest.climb,
        kappa * C / (tau * D) * (weight * pairs).sum() + rest.drive,
    )


def climb_floor(setting: Setting, low: Any, high: Any, gamma: Any = 0) -> Any:
    """A lower bound of α' for all α in [low, high] at ρ = γ, σ_A whatever it is.

    Where T > 0, F and ∂F/∂α are positive and grow with α; where T < 0 they are negative and −F,
    −∂F/∂α grow.  So α' ≥ E[sig(−F(high)) ∂F(low); T > 0] − E[sig(−F(high)) |∂F(high)|; T < 0].

    Parameters
    ----------
    setting : Setting
    low, high : float, or flint.arb
        0 < low ≤ high.
    gamma : real

    Examples
    --------
    >>> setting = Setting(L=5, C=2, q=0.8, p=3, nu=1.0, sigma_A=0.3)
    >>> float(climb_floor(setting, 0.02, 0.03)) > 0
    True
    """
    balls = isinstance(low, arb)
    counts = _counts(setting, balls)
    at_low, at_high = (_outputs(setting, alpha, gamma, counts) for alpha in (low, high))
    weight = counts.probability * _sigmoid(at_high.F, balls)
    right, wrong = counts.total > 0, counts.total < 0
    floor = (weight * at_low.slope)[right].sum() + (weight * at_high.slope)[wrong].sum()
    return floor + _bound(setting, high, at_high, counts).climb


def drive_sign(setting: Setting, low: Any, high: Any, gamma: Any = 0) -> tuple[Any, Any]:
    """Bounds, from below and above, of the drive divided by α^p, for all α in [low, high].

    The drive is α^p E[sig(−F) W] with W free of α, and F is monotone in α for each image; so
    sig(−F) lies between its values at the ends.  Parameters as in :func:`climb_floor`.

    Examples
    --------
    >>> setting = Setting(L=5, C=2, q=0.8, p=3, nu=1.0, sigma_A=0.3)
    >>> below, above = drive_sign(setting, 0.058, 0.060)
    >>> bool(below < above < 0)
    True
    """
    balls = isinstance(low, arb)
    number, numbers = (_exactly, _in_balls) if balls else (float, _in_floats)
    counts = _counts(setting, balls)
    ends = [_outputs(setting, alpha, gamma, counts) for alpha in (low, high)]
    weight = [counts.probability * _sigmoid(end.F, balls) for end in ends]
    kappa = ends[1].kappa / high
    value = {x: v / high for x, v in ends[1].value.items()}
    pairs = _pairs(setting, value, numbers(counts.plus), numbers(counts.minus))
    scale = kappa * setting.C / (number(setting.temperature) * setting.D)
    least = _least if balls else np.minimum
    below = least(weight[0] * pairs, weight[1] * pairs).sum()
    above = -least(-weight[0] * pairs, -weight[1] * pairs).sum()
    # What is left out, divided by α^p as well.
    rest = _bound(setting, high, ends[1], counts).drive / _power(high, setting.p)
    return scale * below + rest, scale * above + rest


def plateau_at_equal_logits(setting: Setting, gamma: float = 0.0) -> float:
    """The least α > 0 with α' = 0 at ρ = γ, in milliseconds.

    The root is that of :func:`theory.dynamics.descent.plateau`.

    Raises
    ------
    ArithmeticError
        If α' keeps its sign up to α = 1000.

    Examples
    --------
    >>> setting = Setting(L=16, C=4, q=0.25, p=3, nu=0.05, sigma_A=2.0)
    >>> round(plateau_at_equal_logits(setting), 6)
    0.046869
    """
    counts = _counts(setting, balls=False)

    def climb(alpha: float) -> float:
        out = _outputs(setting, alpha, gamma, counts)
        return float((counts.probability * expit(-out.F) * out.slope).sum())

    high = 1e-3 / setting.D
    while climb(high) > 0:
        high *= 1.5
        if high > 1e3:
            raise ArithmeticError("the velocity of alpha is positive up to alpha = 1000")
    return float(brentq(climb, high / 1.5, high, xtol=1e-300, rtol=1e-13))
