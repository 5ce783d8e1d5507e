"""What one set adds to F and ∂F, in numbers: exact, in balls, or in floats with their errors.

The formulas are those of :mod:`theory.symmetry.reduction`, as :mod:`theory.symmetry.shares` writes
them.  In: a setting, a state, types.  Out: F and its derivatives, set by set.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

import flint
import numpy as np
import sympy as sp

from theory.inputs import refuse
from theory.rounding import UNIT, rounded
from theory.setting import Coefficients, Setting
from theory.symmetry import symbols
from theory.symmetry.levels import AttentionLevels, attention_levels
from theory.symmetry.reduction import pair_counts
from theory.symmetry.shares import stable_terms

__all__ = ["SetTerms", "float_terms", "set_terms"]

T = TypeVar("T")


class SetTerms(NamedTuple, Generic[T]):
    """What one set adds to F and to ∂F (label +1): the summands of the exact expectation.

    ``alpha`` is ∂F/∂v·w*; ``gamma`` and ``rho`` are ∂F/∂A_ij averaged over the ordered pairs
    inside a set and across sets.  Arrays of the broadcast shape of the types and totals.
    """

    F: T
    alpha: T
    gamma: T
    rho: T


@lru_cache(maxsize=1)
def _generated_pair_counts() -> Any:
    return sp.lambdify((symbols.L, symbols.C), list(pair_counts().values()), "math")


def _terms(setting: Setting, values: list[Any], tau: Any) -> SetTerms:
    F, alpha, gamma, rho = values
    inside, across = _generated_pair_counts()(setting.L, setting.C)
    # With C = 1 no pair lies inside a set: γ moves nothing and its gradient is zero.
    return SetTerms(F, alpha, gamma / (inside * tau) if inside else 0 * gamma, rho / (across * tau))


def _float_terms(
    setting: Setting, alpha: Any, levels: AttentionLevels, n_plus: Any, n_minus: Any, total: Any
) -> tuple[SetTerms[np.ndarray], SetTerms[np.ndarray]]:
    """Values and absolute errors."""
    parts = (levels.Lambda, levels.Gamma, levels.Xi, levels.own, levels.inside)
    # As numpy's float64, which overflows to infinity where a Python float would raise.
    kinds = [np.asarray(x, float) for x in (n_plus, n_minus, total)]
    values = stable_terms(
        setting,
        rounded(alpha),
        AttentionLevels(*map(rounded, parts)),
        *kinds,
        nu=rounded(setting.nu),
        crowded=_is_crowded(setting),
    )
    terms = _terms(setting, values, rounded(setting.temperature))
    shape = np.broadcast(*kinds).shape
    return (
        SetTerms(*(np.broadcast_to(x.value, shape) for x in terms)),
        # Twice the error to first order: what that leaves out is smaller by p roundings.
        SetTerms(*(np.broadcast_to(2 * UNIT * x.error, shape) for x in terms)),
    )


def _is_crowded(setting: Setting) -> bool:
    return 2 * setting.q > 1


def set_terms(
    setting: Setting,
    alpha: Any,
    levels: AttentionLevels,
    n_plus: Any,
    n_minus: Any,
    total: Any,
    *,
    number: Callable[[Any], Any] = lambda value: value,
) -> SetTerms:
    """F and its derivatives for sets of type (n₊, n₋) in samples of label +1 and total T.

    Only sums over the L sets of a sample have a meaning: what adds up to 0 over the sets, whatever
    their types, is left out of each (:func:`~theory.symmetry.shares.stable_terms`).

    Parameters
    ----------
    setting : Setting
    alpha : float, Fraction or flint.arb
        Value coefficient; the arithmetic of the result follows it and ``levels``.
    levels : AttentionLevels
        They fill a row: Λ + (C−1)Γ + (D−C)Ξ = 1.
    n_plus, n_minus, total : array_like of int
        Types of the sets and totals T of the samples; they broadcast.
    number : callable
        How ν and τ enter that arithmetic; as they are unless told.

    Returns
    -------
    SetTerms

    Raises
    ------
    ArithmeticError
        If p is so large that a binomial coefficient overflows float64.

    Examples
    --------
    With uniform attention every patch sees T/D, so F = D (αT)^3 over the D patches.

    >>> from fractions import Fraction
    >>> setting = Setting(L=2, C=2, q=0, p=3, nu=0, sigma_A=0)
    >>> uniform = AttentionLevels(*[Fraction(1, 4)] * 3)
    >>> set_terms(setting, Fraction(1), uniform, 2, 0, 2).F
    Fraction(16, 1)
    """
    if isinstance(alpha, float):
        return _float_terms(setting, alpha, levels, n_plus, n_minus, total)[0]
    nu, crowded = number(setting.nu), _is_crowded(setting)
    values = stable_terms(setting, alpha, levels, n_plus, n_minus, total, nu=nu, crowded=crowded)
    return _terms(setting, values, number(setting.temperature))


def float_terms(
    setting: Setting, state: Coefficients, n_plus: Any, n_minus: Any, total: Any
) -> tuple[SetTerms[np.ndarray], SetTerms[np.ndarray]]:
    """:func:`set_terms` in float64 at a state, and bounds on the absolute errors.

    Raises
    ------
    ValueError
        If the state holds a ball that is no float.
    ArithmeticError
        If F or a derivative overflows float64.

    Examples
    --------
    >>> setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.0, sigma_A=1.0)
    >>> terms, errors = float_terms(setting, Coefficients(0.3, 0.0, 0.0), 2, 0, 2)
    >>> bool(0 < errors.F < 1e-14 * terms.F)
    True
    """
    for name, value in vars(state).items():
        # Errors of floats cover no radius, and no digits beyond theirs.
        exact = not isinstance(value, flint.arb) or (value.is_exact() and value == float(value))
        if not exact:
            refuse(f"Coefficients.{name}", value, "no ball in floats (use method='certified')")
    levels = attention_levels(setting, state)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        terms, errors = _float_terms(setting, state.alpha, levels, n_plus, n_minus, total)
    finite = [np.isfinite(error).all() for error in errors]
    if not all(finite):
        alpha, tau = float(state.alpha), float(setting.temperature)
        if all(finite[:2]):
            raise ArithmeticError(
                f"the derivatives in gamma and rho overflow float64 at temperature = {tau:.3g}, "
                f"alpha = {alpha:.3g}, p = {setting.p}: take a temperature nearer to 1, or reduce "
                "alpha"
            )
        raise ArithmeticError(
            f"F overflows float64 at alpha = {alpha:.3g}, p = {setting.p}: reduce alpha"
        )
    return terms, errors
