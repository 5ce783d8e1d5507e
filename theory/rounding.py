"""Float64 numbers that know how far rounding may have taken them: running error analysis.

A :class:`Rounded` is a value with a bound on its error in units of u = 2⁻⁵³, half the spacing of
float64 at 1.  Sums and products carry the errors of their parts and add their own, to first order
in u; what underflows costs more than the spacing there, but the number 0 stays exact.
A formula written for numbers of any ring thereby says how well float64 computes it.
In: values and errors.  Out: the same for results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb

__all__ = ["UNIT", "Rounded", "least_error", "rounded"]

UNIT = 2.0**-53
# More than what underflows by, the spacing of subnormal numbers, in units of 2⁻⁵³.
_SMALL = 2.0**-1000


@dataclass(frozen=True)
class Rounded:
    """Arrays of values with arrays of errors, in units of 2⁻⁵³; other operands are exact integers.

    Examples
    --------
    A difference keeps the errors of its parts, however small it is.

    >>> difference = 3 * rounded(1 / 3) + -1
    >>> float(difference.value), float(difference.error)
    (0.0, 2.0)
    """

    value: Any
    error: Any
    # numpy's operators leave products with arrays to __rmul__.
    __array_ufunc__ = None

    def __add__(self, other: Any) -> Rounded:
        if not isinstance(other, Rounded):
            value = self.value + other
            return Rounded(value, self.error + np.abs(value))
        value = self.value + other.value
        return Rounded(value, self.error + other.error + np.abs(value))

    def __mul__(self, other: Any) -> Rounded:
        if self.is_zero:
            return self
        if not isinstance(other, Rounded):  # nothing below 1, so nothing underflows
            value = self.value * other
            return Rounded(value, np.abs(other) * self.error + np.abs(value))
        if other.is_zero:
            return other
        value = self.value * other.value
        error = np.abs(value) + _SMALL
        error += np.abs(self.value) * other.error
        error += np.abs(other.value) * self.error
        return Rounded(value, error)

    def __truediv__(self, other: Rounded) -> Rounded:
        if self.is_zero:
            return self
        value, below = self.value / other.value, np.abs(other.value)
        error = self.error / below + np.abs(value) * (other.error / below + 1) + _SMALL
        return Rounded(value, error)

    @property
    def is_zero(self) -> bool:
        """Whether this is the number 0, without error: so is every product with it."""
        return type(self.value) is float and self.value == 0 == self.error

    __radd__, __rmul__ = __add__, __mul__


def rounded(number: Any) -> Rounded:
    """A number rounded to float64; 0 is taken to be exact, but not what becomes 0 by rounding.

    Examples
    --------
    >>> from fractions import Fraction
    >>> rounded(0.0).error, rounded(3.0).error, rounded(Fraction(1, 10**400)).error > 0
    (0.0, 3.0, True)
    """
    value = float(number)
    return Rounded(value, max(abs(value), _SMALL) if number else 0.0)


def least_error(first: Any, *others: Any) -> Any:
    """Of several ways to compute one number, the one with least error; for arrays, each element's.

    Of balls the narrowest, of numbers of other rings, which do not differ, the first.
    """
    if isinstance(first, arb):
        return min((first, *others), key=lambda ball: ball.rad())
    for other in others:
        if isinstance(first, Rounded) and not first.is_zero:
            worse = other.error < first.error
            first = Rounded(
                np.where(worse, other.value, first.value), np.where(worse, other.error, first.error)
            )
    return first
