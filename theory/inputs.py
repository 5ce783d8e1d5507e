"""Arguments as exact Python numbers: one check of integers, and one of real numbers.

A number may come from numpy or sympy.  Kept as it is, a scalar of numpy would wrap around where
Python's integers grow, and the law of the data would hold probabilities below 0.  Whatever takes a
number casts it here first and goes on with what comes back.

In: the name of an argument, its value, its range.  Out: an int, float or Fraction equal to the
value; or a ``ValueError`` that names the argument, the value and what is allowed.
"""

from __future__ import annotations

import math
import operator
from contextlib import suppress
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import NoReturn

__all__ = ["Number", "integer", "real", "refuse"]

# What a parameter may be; a Fraction keeps the law of the data exact.
Number = int | float | Fraction


def refuse(name: str, value: object, allowed: str) -> NoReturn:
    """Raise the ``ValueError`` of a bad argument; ``name`` may have an owner, as in ``Setting.L``.

    Examples
    --------
    >>> refuse("Setting.L", 1, "an integer >= 2")
    Traceback (most recent call last):
        ...
    ValueError: Setting.L = 1: L must be an integer >= 2
    """
    raise ValueError(f"{name} = {value!r}: {name.rpartition('.')[2]} must be {allowed}")


def _index(value: object) -> int | None:
    """The int equal to an integer, None for anything else."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        with suppress(TypeError):  # a time difference of numpy is registered as Integral
            return operator.index(value)
    return None


def integer(
    name: str,
    value: object,
    *,
    least: int | None = None,
    most: int | None = None,
    odd: bool = False,
) -> int:
    """The value as an ``int``, within bounds that are allowed themselves.

    Integers of Python, numpy and sympy are taken; truth values and floats such as 2.0 are refused.

    Examples
    --------
    >>> import numpy as np
    >>> integer("C", np.int8(100), least=1) ** 2
    10000
    """
    kind = "an odd integer" if odd else "an integer"
    if most is not None:
        allowed = f"{kind} in {least}..{most}"
    else:
        allowed = kind if least is None else f"{kind} >= {least}"
    number = _index(value)
    if (
        number is None
        or (least is not None and number < least)
        or (most is not None and number > most)
        or (odd and number % 2 == 0)
    ):
        refuse(name, value, allowed)
    return number


def _equal_number(value: object) -> Number | None:
    """The int, Fraction or float equal to a real number, None for anything else."""
    if isinstance(value, Integral):
        return _index(value)
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, Real):
        number = float(value)
        return number if number == value or math.isnan(number) else None
    return None


def _is_finite(number: Number) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer or a fraction beyond the range of float64
        return False


def real(
    name: str,
    value: object,
    *,
    least: Number | None = None,
    above: Number | None = None,
    most: Number | None = None,
    below: Number | None = None,
) -> Number:
    """The value as an ``int``, ``Fraction`` or ``float``, finite in float64 and within bounds.

    Integers and rationals stay exact; a float of another width is taken if float64 holds it.  A
    ``Decimal`` is refused, as it is no ``numbers.Real``: ``Fraction`` of it says what is meant.

    Parameters
    ----------
    name : str
    value : object
    least, above, most, below : real, optional
        Bounds: value ≥ least, > above, ≤ most, < below.

    Examples
    --------
    >>> import numpy as np
    >>> real("q", np.float32(0.25), least=0, most=1), real("q", Fraction(1, 3), least=0, most=1)
    (0.25, Fraction(1, 3))
    """
    bounds = [
        (sign, bound, holds)
        for sign, bound, holds in (
            (">=", least, operator.ge),
            (">", above, operator.gt),
            ("<=", most, operator.le),
            ("<", below, operator.lt),
        )
        if bound is not None
    ]
    limits = " and ".join(f"{sign} {bound}" for sign, bound, _ in bounds)
    allowed = f"a finite number {limits}".rstrip()
    number = _equal_number(value)
    if number is None:
        refuse(name, value, f"{allowed}, as an int, float or Fraction")
    if not _is_finite(number) or not all(holds(number, bound) for _, bound, holds in bounds):
        refuse(name, value, allowed)
    return number
