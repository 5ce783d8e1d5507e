"""The three values in a row of softmax(A/τ), in floats, balls or any other arithmetic.

In: a setting and a state.  Out: the levels Λ, Γ, Ξ of :mod:`theory.symmetry.reduction`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from numbers import Rational
from typing import Any

import flint
import sympy as sp

from theory.inputs import Number
from theory.setting import Coefficients, Setting
from theory.symmetry import symbols
from theory.symmetry.reduction import symbolic_levels

__all__ = ["AttentionLevels", "attention_levels"]


@lru_cache(maxsize=1)
def _generated_levels() -> Any:
    """Numeric code for Λ, Γ, Ξ from the three exponentials e^{σ_A/τ}, e^{γ/τ}, e^{ρ/τ}."""
    weights = sp.symbols("a g r", positive=True)
    exponentials = [sp.exp(x / symbols.tau) for x in (symbols.sigma_A, symbols.gamma, symbols.rho)]
    named = dict(zip(exponentials, weights, strict=True))
    levels = [level.subs(named) for level in symbolic_levels().values()]
    return sp.lambdify((*weights, symbols.L, symbols.C), levels, "math", cse=True)


@dataclass(frozen=True)
class AttentionLevels:
    """The three values in a row of softmax(A/τ): own patch, own set, other sets.

    ``own`` = Λ − Γ and ``inside`` = Γ − Ξ are what a patch weighs beyond its set, and its set
    beyond the others.  In floats they have digits that the difference of two levels has lost.
    """

    Lambda: Any
    Gamma: Any
    Xi: Any
    own: Any = None
    inside: Any = None

    def __post_init__(self) -> None:
        if self.own is None:
            object.__setattr__(self, "own", self.Lambda - self.Gamma)
        if self.inside is None:
            object.__setattr__(self, "inside", self.Gamma - self.Xi)


def _exact(value: Number) -> flint.fmpq:
    number = Fraction(value if isinstance(value, Rational) else float(value))
    return flint.fmpq(int(number.numerator), int(number.denominator))


def _nearest(ball: flint.arb) -> float:
    """The float next to a narrow ball; 0 for 0 only."""
    return float(ball.mid()) or (0.0 if ball == 0 else math.copysign(math.ulp(0.0), ball.sgn()))


def _float_levels(setting: Setting, logits: list[Number]) -> AttentionLevels:
    """Levels and their differences, each rounded once: the exponentials are taken in balls."""
    sigma_A, gamma, rho = (_exact(x) / _exact(setting.temperature) for x in logits)

    def above(high: flint.fmpq, low: flint.fmpq) -> flint.arb:
        """(e^high − e^low) / e^max(high, low)."""
        gap = high - low
        return -flint.arb(-gap).expm1() if gap > 0 else flint.arb(gap).expm1()

    with flint.ctx.workprec(128):
        top = max(sigma_A, gamma, rho)
        weights = [flint.arb(x - top).exp() for x in (sigma_A, gamma, rho)]
        Lambda, Gamma, Xi = _generated_levels()(*weights, setting.L, setting.C)
        own = above(sigma_A, gamma) * (Lambda if sigma_A > gamma else Gamma)
        inside = above(gamma, rho) * (Gamma if gamma > rho else Xi)
        return AttentionLevels(*map(_nearest, (Lambda, Gamma, Xi, own, inside)))


def attention_levels(
    setting: Setting,
    state: Coefficients,
    *,
    number: Callable[[Any], Any] = float,
    exp: Callable[[Any], Any] = math.exp,
) -> AttentionLevels:
    """Attention levels Λ, Γ, Ξ at a state.

    Parameters
    ----------
    setting : Setting
    state : Coefficients
    number, exp : callable
        The arithmetic: how a parameter becomes a number, and the exponential of such numbers.
        Unless told, float64: the levels of the exact parameters, rounded once.

    Examples
    --------
    >>> setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.0, sigma_A=0.0)
    >>> attention_levels(setting, Coefficients(alpha=1.0, gamma=0.0, rho=0.0)).Lambda
    0.16666666666666666
    """
    # With C = 1 no pair holds γ and F is the same for all its values: ρ is the one that never
    # sets the scale of a row in which it does not occur.
    gamma = state.gamma if setting.C > 1 else state.rho
    logits = [setting.sigma_A, gamma, state.rho]
    if number is float:
        return _float_levels(setting, logits)
    logits = [number(x) for x in logits]
    # A row shift leaves softmax as it is and keeps every exponential at most 1.
    shift = number(max(float(x) for x in logits))
    weights = [exp((x - shift) / number(setting.temperature)) for x in logits]
    return AttentionLevels(*_generated_levels()(*weights, setting.L, setting.C))
