"""Parameters of the problem and the three numbers that describe its state.

A :class:`Setting` fixes the data law (Assumption 1 of the paper: ``L`` sets of ``C`` patches,
spurious rate ``q``) and the model (activation ``x**p + nu*x``, fixed diagonal ``sigma_A``, softmax
temperature).  :class:`Coefficients` holds (α, γ, ρ), for the state and for its gradient alike.
This is the only module that checks parameters: whatever holds a ``Setting`` holds a valid one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Real
from typing import Any, NoReturn

import flint

__all__ = ["Coefficients", "Number", "Setting"]

# What a parameter may be; a Fraction keeps the law of the data exact.
Number = int | float | Fraction


def _reject(owner: str, field: str, value: object, allowed: str) -> NoReturn:
    raise ValueError(f"{owner}.{field} = {value!r}: {field} must be {allowed}")


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_finite_real(value: object) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer or a fraction beyond the range of float64
        return False


@dataclass(frozen=True)
class Setting:
    """A valid choice of every parameter of the data law and of the model.

    Parameters
    ----------
    L, C : int
        Number of hidden sets (``L >= 2``) and patches in each (``C >= 1``).
    q : real
        Probability that a patch outside the signal set carries a feature, +w* and −w* with
        probability q/2 each (0 ≤ q ≤ 1).  A ``fractions.Fraction`` keeps the law exact.
    p : int
        Degree of the activation ``x**p + nu*x``, odd and at least 3.
    nu : real
        Slope of its linear part, ``nu >= 0``.
    sigma_A : real
        The fixed diagonal of the attention logits A.
    temperature : real
        τ > 0 in S = softmax(A / τ), taken by rows.

    Raises
    ------
    ValueError
        Naming the field, its value and what is allowed.

    Examples
    --------
    >>> setting = Setting(L=49, C=4, q=0.1, p=3, nu=0.05, sigma_A=3.0)
    >>> setting.D, setting.n
    (196, 192)
    >>> Setting(L=1, C=4, q=0.1, p=3, nu=0.05, sigma_A=3.0)
    Traceback (most recent call last):
        ...
    ValueError: Setting.L = 1: L must be an integer >= 2
    """

    L: int
    C: int
    q: Number
    p: int
    nu: Number
    sigma_A: Number
    temperature: Number = 1

    def __post_init__(self) -> None:
        if not _is_integer(self.L) or self.L < 2:
            _reject("Setting", "L", self.L, "an integer >= 2")
        if not _is_integer(self.C) or self.C < 1:
            _reject("Setting", "C", self.C, "an integer >= 1")
        if not _is_finite_real(self.q) or not 0 <= self.q <= 1:
            _reject("Setting", "q", self.q, "a number with 0 <= q <= 1")
        if not _is_integer(self.p) or self.p < 3 or self.p % 2 == 0:
            _reject("Setting", "p", self.p, "an odd integer >= 3")
        if not _is_finite_real(self.nu) or self.nu < 0:
            _reject("Setting", "nu", self.nu, "a finite number >= 0")
        if not _is_finite_real(self.sigma_A):
            _reject("Setting", "sigma_A", self.sigma_A, "a finite number")
        if not _is_finite_real(self.temperature) or self.temperature <= 0:
            _reject("Setting", "temperature", self.temperature, "a finite number > 0")

    @property
    def D(self) -> int:
        """Number of patches, ``L * C``."""
        return self.L * self.C

    @property
    def n(self) -> int:
        """Number of patches outside the signal set, ``D - C``."""
        return self.D - self.C


@dataclass(frozen=True)
class Coefficients:
    """The three coefficients of the symmetric subspace: a state, or a gradient on it.

    Parameters
    ----------
    alpha : real or flint.arb
        The value vector is v = α w*.
    gamma, rho : real or flint.arb
        Attention logit A_ij of an ordered pair i ≠ j inside a set, and of a pair across sets.

    Raises
    ------
    ValueError
        If a field is not a finite number (or a finite ball).

    Examples
    --------
    >>> Coefficients(alpha=0.1, gamma=0.0, rho=0.0).alpha
    0.1
    >>> Coefficients(alpha=float("nan"), gamma=0.0, rho=0.0)
    Traceback (most recent call last):
        ...
    ValueError: Coefficients.alpha = nan: alpha must be a finite number
    """

    alpha: Any
    gamma: Any
    rho: Any

    def __post_init__(self) -> None:
        for field in ("alpha", "gamma", "rho"):
            value = getattr(self, field)
            finite = value.is_finite() if isinstance(value, flint.arb) else _is_finite_real(value)
            if not finite:
                _reject("Coefficients", field, value, "a finite number")
