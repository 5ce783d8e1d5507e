"""Parameters of the problem and the three numbers that describe its state.

A :class:`Setting` fixes the data law (Assumption 1 of the paper: ``L`` sets of ``C`` patches,
spurious rate ``q``) and the model (activation ``x**p + nu*x``, fixed diagonal ``sigma_A``, softmax
temperature).  :class:`Coefficients` holds (α, γ, ρ), for the state and for its gradient alike.
Parameters are checked and cast here (:mod:`theory.inputs`): whatever holds a ``Setting`` holds a
valid one, of Python's own numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

import flint

from theory.inputs import Number, integer, real, refuse

__all__ = ["Coefficients", "N", "Setting"]

# The arithmetic of a state or a gradient.
N = TypeVar("N", bound=float | Fraction | flint.arb, covariant=True)


@dataclass(frozen=True)
class Setting:
    """A valid choice of every parameter of the data law and of the model.

    Parameters
    ----------
    L, C : int
        Number of hidden sets (``L >= 2``) and patches in each (``C >= 1``).
    q : real
        Probability that a patch outside the signal set carries a feature, +w* and −w* with
        probability q/2 each (0 ≤ q ≤ 1).  A ``fractions.Fraction`` keeps the law exact; reals are
        cast by :func:`theory.inputs.real`, which says what else is taken.
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
        exact = {
            "L": integer("Setting.L", self.L, least=2),
            "C": integer("Setting.C", self.C, least=1),
            "q": real("Setting.q", self.q, least=0, most=1),
            "p": integer("Setting.p", self.p, least=3, odd=True),
            "nu": real("Setting.nu", self.nu, least=0),
            "sigma_A": real("Setting.sigma_A", self.sigma_A),
            "temperature": real("Setting.temperature", self.temperature, above=0),
        }
        for field, value in exact.items():
            object.__setattr__(self, field, value)

    @property
    def D(self) -> int:
        """Number of patches, ``L * C``."""
        return self.L * self.C

    @property
    def n(self) -> int:
        """Number of patches outside the signal set, ``D - C``."""
        return self.D - self.C


@dataclass(frozen=True)
class Coefficients(Generic[N]):
    """The three coefficients of the symmetric subspace: a state, or a gradient on it.

    ``Coefficients[float]``, ``Coefficients[Fraction]`` and ``Coefficients[flint.arb]`` say to type
    checkers which numbers they are; at run time nothing changes.

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

    alpha: N
    gamma: N
    rho: N

    def __post_init__(self) -> None:
        for field in ("alpha", "gamma", "rho"):
            name, value = f"Coefficients.{field}", getattr(self, field)
            if not isinstance(value, flint.arb):
                object.__setattr__(self, field, real(name, value))
            elif not value.is_finite():
                refuse(name, value, "a finite number")
