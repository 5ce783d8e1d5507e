"""Certified trajectories: balls that contain exact gradient descent, step after step.

From rational coefficients and with rational steps, the balls of step k are proved to contain the
exact state x_k, and the image of the balls under

    x ↦ x − η ∂L(x)

computed by :mod:`theory.expectation.certified` is proved to lie in the balls of step k + 1.  So
what the last balls satisfy is a theorem about gradient descent on the population at that size:
association when the margin min(σ_A, γ) − ρ is positive, none when it is negative, and Pr[yF ≤ 0] ≤
loss / log 2.

Balls grow by a factor from step to step, because ball arithmetic forgets how errors cancel; one
starts with digits enough.  A :class:`Certificate` stores the balls as decimal strings, and these
strings are what is proved: the image of the interval [m − r, m + r] that one pair of them stands
for must lie, end by end, in that of the next.  A certificate is checked step by step, in any order,
with no trust in how it was made.
In: a setting, a first state, step sizes, all exact.  Out: a certificate.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from flint import arb, ctx

from theory.expectation.certified import (
    MOST_DIGITS,
    CertifiedExpectation,
    ball,
    certified_expectation,
)
from theory.inputs import real
from theory.setting import Coefficients, Setting

__all__ = [
    "Certificate",
    "certify_descent",
    "check_step",
    "decimal_above",
    "read_certificate",
    "write_certificate",
]


def _exact(name: str, value: object) -> Fraction:
    """An exact number; floats are refused, for a decimal such as 0.1 is not what it looks like."""
    if isinstance(value, bool) or not isinstance(value, int | Fraction | str):
        raise ValueError(f"{name} = {value!r}: {name} must be an int, a Fraction or a string")
    try:
        return Fraction(value)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{name} = {value!r}: {name} must be a rational number") from error


def _integer(name: str, value: object) -> int:
    exact = _exact(name, value)
    if exact.denominator != 1:
        raise ValueError(f"{name} = {value!r}: {name} must be an integer")
    return int(exact)


def _ends(pair: list[str]) -> tuple[Fraction, Fraction]:
    """The interval that stored decimals stand for."""
    middle, radius = (Fraction(text) for text in pair)
    return middle - radius, middle + radius


def _enclosure(pair: list[str]) -> arb:
    """A ball that contains that interval, at the precision in force."""
    low, high = (ball(end) for end in _ends(pair))
    return low.union(high)


def _fraction(number: arb) -> Fraction:
    """The exact dyadic value of a midpoint or of a radius."""
    mantissa, exponent = number.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _inside(image: arb, pair: list[str]) -> bool:
    """Whether a ball lies in the interval of stored decimals, decided in rationals."""
    if not image.is_finite():
        return False
    (low, high), middle, radius = _ends(pair), _fraction(image.mid()), _fraction(image.rad())
    return low <= middle - radius and middle + radius <= high


def _decimals(number: arb) -> list[str]:
    """Midpoint and radius, as decimals, of a slightly larger ball."""
    middle, radius = _fraction(number.mid()), _fraction(number.rad())
    # Four or five digits of the radius, or forty places; by lengths, for no float holds e^{−800}.
    size = len(str(radius.denominator)) - len(str(radius.numerator))
    places = 40 if radius == 0 else max(0, 5 + size)
    scaled = round(middle * 10**places)
    radius += abs(middle - Fraction(scaled, 10**places))
    # A little wider, so that a check with another rounding, on another machine, still fits inside.
    radius *= Fraction(11, 10)
    return [f"{scaled}e-{places}", f"{math.ceil(radius * 10 ** (places + 6))}e-{places + 6}"]


def decimal_above(number: arb, digits: int) -> str:
    """The least decimal of so many digits that is above a whole (finite) ball.

    Examples
    --------
    >>> decimal_above(arb(1) / 3, 4), decimal_above(arb(-12345), 2), decimal_above(arb(0), 2)
    ('0.3334', '-1.2E+4', '0')
    """
    bound = _fraction(number.mid()) + _fraction(number.rad())
    if bound == 0:
        return "0"
    shift = digits - Decimal(float(bound)).adjusted() - 1
    return str(Decimal(math.ceil(bound * Fraction(10) ** shift)).scaleb(-shift))


@dataclass(frozen=True)
class Certificate:
    """A trajectory of balls.

    Attributes
    ----------
    setting : dict
        The fields of :class:`theory.setting.Setting`; rationals as strings such as "1/10".
    eta_v, eta_A : str
        Rational step sizes.
    digits : list of float
        What each step was computed with, as in
        :func:`theory.expectation.certified.certified_expectation`.
    states : list of [[str, str], [str, str], [str, str]]
        Midpoint and radius of α, γ, ρ at each step, in decimals; one more than there are steps.
    loss : [str, str]
        Midpoint and radius of the loss at the last state.

    Raises
    ------
    ValueError
        Naming the field that is not of this form.
    """

    setting: dict[str, Any]
    eta_v: str
    eta_A: str
    digits: list[float]
    states: list[list[list[str]]]
    loss: list[str]

    def __post_init__(self) -> None:
        self.exact_setting()
        for name in ("eta_v", "eta_A"):
            _exact(name, getattr(self, name))
        if len(self.states) < 1 or len(self.digits) != len(self.states):
            raise ValueError(
                f"{len(self.digits)} digits and {len(self.states)} states: there must be as many "
                "of the one as of the other"
            )
        for digits in self.digits:
            if not isinstance(digits, float) or not 0 < digits <= MOST_DIGITS:
                raise ValueError(
                    f"digits = {digits!r}: digits must be floats > 0 and <= {MOST_DIGITS}"
                )
        for step, state in enumerate(self.states):
            if len(state) != 3:
                raise ValueError(f"states[{step}] = {state!r}: it must hold α, γ and ρ")
        for pair in (*(pair for state in self.states for pair in state), self.loss):
            if len(pair) != 2 or not all(isinstance(text, str) for text in pair):
                raise ValueError(f"{pair!r} must be a midpoint and a radius, both strings")
            _exact("a midpoint", pair[0])
            if _exact("a radius", pair[1]) < 0:
                raise ValueError(f"{pair!r} has a negative radius")

    @property
    def steps(self) -> int:
        """Number of steps of gradient descent."""
        return len(self.states) - 1

    def exact_setting(self) -> Setting:
        """The setting, with rational parameters."""
        whole = ("L", "C", "p")
        values: dict[str, Any] = {
            name: (_integer if name in whole else _exact)(name, text)
            for name, text in self.setting.items()
        }
        return Setting(**values)

    def state(self, step: int) -> Coefficients[arb]:
        """Balls of α, γ, ρ at a step, at the precision in force."""
        return Coefficients(*(_enclosure(pair) for pair in self.states[step]))

    def margin(self, step: int = -1) -> arb:
        """A ball that contains min(σ_A, γ) − ρ at a step, whichever of the two is less.

        If it is positive, every patch attends to its own set.  With C = 1 there is no γ.
        """
        setting, state = self.exact_setting(), self.state(step)
        own = ball(setting.sigma_A)
        return (own if setting.C == 1 else own.min(state.gamma)) - state.rho

    def final_loss(self) -> arb:
        """A ball that contains the population loss at the last state."""
        return _enclosure(self.loss)

    def error_bound(self) -> arb:
        """An upper bound on Pr[yF ≤ 0] at the last state: there log(1 + e^{−yF}) ≥ log 2."""
        return (self.final_loss() / arb(2).log()).upper()


def _bits(digits: float) -> int:
    """Precision whose rounding is well below e^{−digits}."""
    return int(digits * 1.5) + 64


def _image(
    setting: Setting, state: Coefficients, eta_v: Fraction, eta_A: Fraction, digits: float
) -> tuple[list[arb], CertifiedExpectation]:
    """One step from the balls of a state, and the expectation there."""
    found = certified_expectation(setting, state, precision=_bits(digits), digits=digits)
    v, A = ball(eta_v), ball(eta_A)
    gradient = found.gradient
    moved = [
        state.alpha - v * gradient.alpha,
        state.gamma - A * gradient.gamma,
        state.rho - A * gradient.rho,
    ]
    return moved, found


def certify_descent(
    setting: Setting,
    state: Coefficients,
    *,
    eta_v: int | Fraction | str,
    eta_A: int | Fraction | str,
    steps: int,
    digits: float,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Certificate:
    """Enclose exact gradient descent on the population in balls.

    Parameters
    ----------
    setting : Setting
        With rational parameters; floats are refused.
    state : Coefficients
        Rational, where it starts.
    eta_v, eta_A : int, Fraction or str
        Step sizes, exact.
    steps : int
    digits : float
        Natural logarithm of the accuracy of the first step; balls grow by a factor of three to
        several thousand a step.  Later steps use as many digits as their balls deserve.
    progress : callable
        Wraps the range of steps.

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError
        If a number is not exact, ``steps`` negative, or ``digits`` not in (0, 10⁴].
    ArithmeticError
        If the balls grow too wide to go on; the message says at which step.

    Examples
    --------
    >>> setting = Setting(L=3, C=2, q=Fraction(1, 2), p=3, nu=Fraction(1, 20), sigma_A=2)
    >>> start = Coefficients(Fraction(1, 5), 0, 0)
    >>> found = certify_descent(setting, start, eta_v="1/100", eta_A=2, steps=2, digits=40.0)
    >>> bool(found.margin() > 0), check_step(found, 0), check_step(found, 1)
    (True, True, True)
    """
    kept = {field.name: getattr(setting, field.name) for field in fields(Setting)}
    exact = {name: str(_exact(name, value)) for name, value in kept.items()}
    start = [str(_exact(name, getattr(state, name))) for name in ("alpha", "gamma", "rho")]
    v, A = _exact("eta_v", eta_v), _exact("eta_A", eta_A)
    if _integer("steps", steps) < 0:
        raise ValueError(f"steps = {steps!r}: steps must be an integer >= 0")
    states: list[list[list[str]]] = [[[text, "0"] for text in start]]
    used: list[float] = []
    loss: list[str] = []
    digits = float(real("digits", digits, above=0, most=MOST_DIGITS))
    for step in progress(range(steps + 1)):
        with ctx.workprec(_bits(digits)):
            now = Coefficients(*(_enclosure(pair) for pair in states[step]))
            radius = max(float(x.rad()) for x in (now.alpha, now.gamma, now.rho))
            if radius > 1e-6:
                raise ArithmeticError(
                    f"the balls have radius {radius:.1e} after {step} of {steps} steps: start with "
                    "more digits"
                )
            if radius > 0:
                # A dozen more than the balls themselves have; the rest would be wasted.
                digits = min(digits, round(12 - math.log(radius), 3))
            moved, found = _image(setting, now, v, A, digits)
            used.append(digits)
            if step < steps:
                states.append([_decimals(x) for x in moved])
            else:
                loss = _decimals(found.loss)
    return Certificate(exact, str(v), str(A), used, states, loss)


def check_step(certificate: Certificate, step: int) -> bool:
    """Whether one step of a certificate is proved again.

    Parameters
    ----------
    certificate : Certificate
    step : int
        From 0 to ``certificate.steps``; the last one checks the loss.

    Returns
    -------
    bool
        True if the image of the balls of the step is proved to lie in those of the next one (for
        the last step, the loss in its ball).  False means "not proved".

    Raises
    ------
    ValueError
        If there is no such step.
    """
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= certificate.steps:
        raise ValueError(f"step = {step!r}: step must be an integer from 0 to {certificate.steps}")
    digits = certificate.digits[step]
    with ctx.workprec(_bits(digits)):
        v, A = _exact("eta_v", certificate.eta_v), _exact("eta_A", certificate.eta_A)
        now = certificate.state(step)
        moved, found = _image(certificate.exact_setting(), now, v, A, digits)
    if step == certificate.steps:
        return _inside(found.loss, certificate.loss)
    return all(_inside(x, y) for x, y in zip(moved, certificate.states[step + 1], strict=True))


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_certificate(certificate: Certificate, file: Path) -> None:
    """Write a certificate as JSON, whole or not at all, with a digest of its content."""
    content = asdict(certificate)
    text = json.dumps({**content, "sha256": _digest(content)}, indent=1)
    partial = file.with_suffix(".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(file)


def read_certificate(file: Path) -> Certificate:
    """Read a certificate back.

    Raises
    ------
    ValueError
        If the file is not a certificate, or not what was written: one digit changed anywhere is
        enough, also where no step that is checked again would show it.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        digest = content.pop("sha256")
        found = Certificate(**content)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{file.name} is not a certificate: {error}") from error
    if digest != _digest(content):
        raise ValueError(f"{file.name} is not the certificate that was written: its digest differs")
    return found
