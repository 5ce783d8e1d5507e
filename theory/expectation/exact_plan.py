"""The float plan as exact numbers: the one place where floats enter a computation in balls.

:mod:`theory.expectation.plan` chooses in float64; any choice will do, but what a proof multiplies
must be the number that was chosen, not a rounded product of it.  So each choice becomes here the
dyadic number that it is (``arb``), an ``int``, or another of the classes below.  Their constructors
refuse all else, a float above all, and every choice for which the bounds of
:mod:`theory.expectation.certified` would not hold.  In: a setting and a state.  Out: a
:class:`TotalPlan` for each total.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_type_hints

from flint import arb

from theory.expectation.plan import (
    ABSCISSAE,
    ONE,
    ZERO,
    LinePlan,
    QuadraturePlan,
    quadrature_plan,
    window_size,
)
from theory.setting import Coefficients, Setting

__all__ = ["Circle", "Line", "Point", "TotalPlan", "exact_plan"]


class _Exact:
    """A dataclass whose fields have exactly the types that it declares."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise TypeError(
                    f"{type(self).__name__}.{name} = {value!r}: {name} must be of type {kind}, "
                    f"not {type(value).__name__}"
                )

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"{self}: {what}")


@dataclass(frozen=True)
class Point(_Exact):
    """Where a bound M_T(θ) is taken.

    Attributes
    ----------
    theta, tilt : flint.arb
        The abscissa θ, and the logarithm t of the radius.

    Examples
    --------
    >>> Point(arb(0), arb(1) / 2).tilt
    0.500000000000000
    >>> Point(arb(0), 0.5)
    Traceback (most recent call last):
        ...
    TypeError: Point.tilt = 0.5: tilt must be of type <class 'flint.types.arb.arb'>, not float
    """

    theta: arb
    tilt: arb


@dataclass(frozen=True)
class Circle(_Exact):
    """Where a coefficient is read off, and the radii whose bounds say what aliases onto it.

    Attributes
    ----------
    at : Point
    window : int
        Points on the circle.
    inward, outward : flint.arb
        What is added to the tilt: negative and positive.
    """

    at: Point
    window: int
    inward: arb
    outward: arb

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.window >= 1, "window must be positive")
        self._require(self.inward < 0 < self.outward, "inward must be < 0 and outward > 0")


@dataclass(frozen=True)
class Line(_Exact):
    """The sum over one line.

    Attributes
    ----------
    circle : Circle
        On the line itself, 0 ≤ c ≤ 1.
    below, above : Point
        Where what is left of the rule is bounded, on either side.
    at_zero, at_one : Circle or None
        Where the term of the pole at 0, or at 1, is added back.
    period : flint.arb
    nodes : int
    """

    circle: Circle
    below: Point
    above: Point
    at_zero: Circle | None
    at_one: Circle | None
    period: arb
    nodes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        c, below, above = self.circle.at.theta, self.below.theta, self.above.theta
        self._require(0 <= c <= 1 and below < c < above, "c must be in [0, 1], between its points")
        self._require(self.period > 0 and self.nodes >= 1, "period and nodes must be positive")
        # What is left of log(1+e^{−x}) and sig(−x) is bounded by e^{−θx} for these θ only.
        self._require(
            -1 <= below <= 0 if self.at_zero else below == 0, "below must be in [−1, 0], or 0"
        )
        self._require(
            1 <= above <= 2 if self.at_one else above <= 1, "above must be in [1, 2], or (c, 1]"
        )
        for pole, circle in enumerate((self.at_zero, self.at_one)):
            self._require(circle is None or circle.at.theta == pole, f"pole {pole} is elsewhere")


@dataclass(frozen=True)
class TotalPlan(_Exact):
    """What is done at one total.

    Attributes
    ----------
    least : Point
        In [0, 1], where the bound on the whole contribution is least.
    line : Line or None
        ``None`` where that bound is all that is wanted.
    """

    least: Point
    line: Line | None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.least.theta <= 1, "least must be in [0, 1]")


class _Boundary:
    """Reads the arrays of a float plan at one total."""

    def __init__(self, plan: QuadraturePlan, index: int, others: int, digits: float) -> None:
        self.plan, self.index, self.others, self.digits = plan, index, others, digits

    def point(self, abscissa: int) -> Point:
        tilt = float(self.plan.bounds.tilt[abscissa, self.index])
        return Point(arb(float(ABSCISSAE[abscissa])), arb(tilt))

    def circle(self, abscissa: int) -> Circle:
        samples, bounds = self.plan.samples, self.plan.bounds
        window, inward, outward = window_size(
            bounds.log_coefficients[abscissa, :, self.index],
            float(bounds.tilt[abscissa, self.index]),
            int(samples.spurious[self.index]),
            samples.set_sum[samples.first].astype(float),
            self.others,
            self.digits,
        )
        return Circle(self.point(abscissa), int(window), arb(float(inward)), arb(float(outward)))

    def line(self, line: LinePlan) -> Line:
        return Line(
            circle=self.circle(line.line),
            # Without its term the pole at 0 remains whole, and the one at 1 bounds θ.
            below=self.point(line.below if line.at_zero else ZERO),
            above=self.point(line.above if line.at_one else min(line.above, ONE)),
            at_zero=self.circle(ZERO) if line.at_zero else None,
            at_one=self.circle(ONE) if line.at_one else None,
            period=arb(float(line.period)),
            nodes=int(line.nodes),
        )

    def total(self) -> TotalPlan:
        line = self.plan.lines[self.index]
        least = self.point(int(self.plan.least[self.index]))
        return TotalPlan(least, None if line is None else self.line(line))


def exact_plan(setting: Setting, state: Coefficients, *, digits: float) -> dict[int, TotalPlan]:
    """What to do at each total, by the sum R of its spurious features.

    Parameters
    ----------
    setting : Setting
    state : Coefficients
        Floats, near the state that is meant.
    digits : float
        As in :func:`theory.expectation.plan.quadrature_plan`.

    Raises
    ------
    ArithmeticError
        If F overflows float64.

    Examples
    --------
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.0, sigma_A=1.0)
    >>> sorted(exact_plan(setting, Coefficients(0.1, 0.0, 0.0), digits=40.0))
    [-2, -1, 0, 1, 2]
    """
    plan = quadrature_plan(setting, state, digits=digits)
    return {
        int(spurious): _Boundary(plan, index, setting.L - 1, digits).total()
        for index, spurious in enumerate(plan.samples.spurious)
    }
