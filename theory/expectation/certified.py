"""The exact expectation in balls: every digit proved, every discarded piece bounded.

The midpoint rule of :mod:`theory.expectation.quadrature` runs once more in ball arithmetic (Arb,
through python-flint).  The float plan chooses lines, periods, nodes and windows;
:mod:`theory.expectation.exact_plan` makes exact numbers of them, and nothing is trusted of it,
because each remainder below is an upper bound for whatever the plan chose:

* totals left out:      E[sig(−F)|G|; T] ≤ M_T(θ) for θ in [0, 1];
* the midpoint rule:    Σ_k e^{−(c−θ)kP} M_T(θ) on the left, Σ_k e^{−(θ−c)kP} M_T(θ) on the right;
* nodes beyond the K-th: (1/π) log coth(πω/2) M_T(c) with ω = 2πK/P;
* aliases on the circle: Σ_j e^{−|t'−t|jN} M_T(c) taken at the radius e^{t'},

where M_T(θ), a sum of positive terms, bounds E[e^{−θF}|G|; T].
In: a setting and a state of exact numbers or balls.  Out: balls that contain loss and gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Rational

from flint import acb, acb_mat, arb, ctx, fmpq

from theory.data.law import set_types, spurious_law
from theory.expectation.exact_plan import Circle, Line, Point, exact_plan
from theory.inputs import integer, real
from theory.setting import Coefficients, Setting
from theory.symmetry.levels import AttentionLevels, attention_levels
from theory.symmetry.terms import SetTerms, set_terms

__all__ = ["CertifiedExpectation", "MOST_DIGITS", "ball", "certified_expectation"]

# The nodes of a line grow like the square of the digits.
MOST_DIGITS = 10_000
# Nodes, over all totals, beyond which a state is refused rather than waited for.
MOST_NODES = 3_000_000


def ball(value: arb | Rational | float | str) -> arb:
    """An exact number (int, Fraction, decimal string, or the dyadic number a float is) as a ball.

    Raises
    ------
    TypeError
        If it is none of these, nor a ball.

    Examples
    --------
    >>> ball(Fraction(1, 4)), ball("0.1").contains(ball(Fraction(1, 10)))
    (0.250000000000000, True)
    """
    if isinstance(value, arb):
        return value
    if isinstance(value, bool) or not isinstance(value, Rational | float | str):
        raise TypeError(f"{value!r} is neither an exact number nor a ball")
    exact = Fraction(value)
    return arb(fmpq(int(exact.numerator), int(exact.denominator)))


@dataclass(frozen=True)
class CertifiedExpectation:
    """Balls that contain the population loss and its gradient.

    Attributes
    ----------
    loss : flint.arb
    gradient : Coefficients
        Of flint.arb; components as in :class:`theory.expectation.result.Expectation`.
    """

    loss: arb
    gradient: Coefficients[arb]

    @property
    def loss_error(self) -> float:
        """Radius of the loss."""
        return float(self.loss.rad())

    @property
    def gradient_error(self) -> Coefficients[float]:
        """Radii of the gradient."""
        components = (self.gradient.alpha, self.gradient.gamma, self.gradient.rho)
        return Coefficients(*(float(component.rad()) for component in components))


def _around(radius: arb) -> arb:
    """The ball of all numbers of modulus at most ``radius``."""
    return arb(0, radius.abs_upper())


def _tail(exponent: arb) -> arb:
    """Σ_{k≥1} e^{−k exponent}, for a positive exponent."""
    return 1 / exponent.expm1()


class _Total:
    """One total T in balls: types, their terms, and everything that is summed or bounded."""

    def __init__(
        self,
        setting: Setting,
        alpha: arb,
        levels: AttentionLevels,
        types: list[tuple[int, int, arb]],
        spurious: int,
    ) -> None:
        self.others, self.spurious = setting.L - 1, spurious
        total = spurious + setting.C

        def terms(n_plus: int, n_minus: int) -> SetTerms[arb]:
            return set_terms(setting, alpha, levels, n_plus, n_minus, total, number=ball)

        self.sums = [plus - minus for plus, minus, _ in types]
        self.probability = [probability for *_, probability in types]
        self.terms = [terms(plus, minus) for plus, minus, _ in types]
        self.signal = terms(setting.C, 0)

    def _weights(self, at: Point) -> list[arb]:
        """p e^{ts − θf}, type by type."""
        return [
            p * (at.tilt * s - at.theta * f.F).exp()
            for p, s, f in zip(self.probability, self.sums, self.terms, strict=True)
        ]

    def _outside(self, at: Point) -> arb:
        """e^{−tR − θ f_signal}."""
        return (-at.theta * self.signal.F - at.tilt * self.spurious).exp()

    def mass(self, at: Point) -> list[arb]:
        """Upper bounds M_T(θ) on E[e^{−θF}|G|; T] for G = 1, F, ∂F/∂α, ∂F/∂γ, ∂F/∂ρ.

        |G| is at most a sum over sets, so one set in L − 1 carries it: every term is positive, and
        the coefficient of z^R in a power series p with positive coefficients is at most
        e^{−tR} p(e^t).
        """
        weights, outside = self._weights(at), self._outside(at)
        whole = sum(weights, arb(0))
        rest = whole ** (self.others - 1)
        bounds = [outside * rest * whole]
        for signal, *of_sets in zip(self.signal, *self.terms, strict=True):
            inside = sum((w * abs(f) for w, f in zip(weights, of_sets, strict=True)), arb(0))
            bounds.append(outside * rest * (abs(signal) * whole + self.others * inside))
        return bounds

    def bounds(self, at: Point) -> list[arb]:
        """Bounds on E[log(1+e^{−F}); T] and E[sig(−F)|∂F|; T], for 0 ≤ θ ≤ 1."""
        mass, F, *slopes = self.mass(at)
        # log(1+e^{−y}) is at most e^{−θy}/θ for θ in (0, 1], and at most log 2 + |y|.
        loss = mass / at.theta if at.theta > 0 else mass * arb(2).log() + F
        return [loss, *slopes]

    def largest(self) -> list[arb]:
        """Bounds on log(1+e^{−F}) and on |∂F| over all samples of this total."""
        F, *slopes = (
            abs(signal) + self.others * sum(map(abs, of_sets), arb(0))
            for signal, *of_sets in zip(self.signal, *self.terms, strict=True)
        )
        return [arb(2).log() + F, *slopes]

    def moments(self, circle: Circle, omega: list[arb]) -> list[list[acb]]:
        """E[e^{−sF} G; T] at s = θ + i omega, up to aliases, for G = 1, F, ∂F; by node."""
        others, kinds, window = self.others, len(self.sums), circle.window
        sizes = self._weights(circle.at)
        scale = sum(sizes, arb(0))
        modulus = [size / scale for size in sizes]
        weights = [
            [m * acb(0, -w * f.F).exp() for m, f in zip(modulus, self.terms, strict=True)]
            for w in omega
        ]
        turn = [acb(arb(0), 2 * arb.pi() * j / window).exp() for j in range(window)]
        distinct = sorted(set(self.sums))
        column = {s: i for i, s in enumerate(distinct)}

        def root(power: int) -> acb:
            return turn[power % window]

        grouped = []
        for row in weights:
            entries = [acb(0)] * len(distinct)
            for w, s in zip(row, self.sums, strict=True):
                entries[column[s]] += w
            grouped.append(entries)
        powers = acb_mat([[root(s * j) for j in range(window)] for s in distinct])
        polynomial = (acb_mat(grouped) * powers).tolist()
        power = acb_mat([[z ** (others - 1) for z in row] for row in polynomial])
        extract = acb_mat(
            [[root((s - self.spurious) * j) / window for s in distinct] for j in range(window)]
        )
        rest = (power * extract).tolist()

        outside = scale**others * self._outside(circle.at)
        found = []
        for frequency, row, coefficients in zip(omega, weights, rest, strict=True):
            each = [row[k] * coefficients[column[self.sums[k]]] for k in range(kinds)]
            mass = sum(each, acb(0))
            phase = outside * acb(0, -frequency * self.signal.F).exp()
            moments = [phase * mass]
            for signal, *of_sets in zip(self.signal, *self.terms, strict=True):
                inside = sum((e * f for e, f in zip(each, of_sets, strict=True)), acb(0))
                moments.append(phase * (signal * mass + others * inside))
            found.append(moments)
        return found


class _Evaluation:
    """The sum over one line, with all its remainders, at one total."""

    def __init__(self, total: _Total, line: Line) -> None:
        self.total, self.line = total, line
        self.c, self.period = line.circle.at.theta, line.period

    def _aliases(self, circle: Circle) -> list[arb]:
        """What aliases onto E[e^{−sF}G; T] for Re s = θ, for G = 1, F, ∂F."""
        found = [arb(0)] * 5
        # A window that holds every power of z has no aliases.
        if circle.window > 2 * self.total.others * max(abs(s) for s in self.total.sums):
            return found
        for shift in (circle.inward, circle.outward):
            mass = self.total.mass(Point(circle.at.theta, circle.at.tilt + shift))
            share = _tail(abs(shift) * circle.window)
            found = [f + share * m for f, m in zip(found, mass, strict=True)]
        return found

    def _pole(self, circle: Circle) -> list[arb]:
        """E[e^{−θF} G; T] at θ = 0 or 1, aliases included."""
        (moments,) = self.total.moments(circle, [arb(0)])
        return [m.real + _around(a) for m, a in zip(moments, self._aliases(circle), strict=True)]

    def expectations(self) -> list[arb]:
        """Balls for E[log(1+e^{−F}); T] and E[sig(−F) ∂F; T]."""
        pi, circle = arb.pi(), self.line.circle
        omega = [(2 * k + 1) * pi / self.period for k in range(self.line.nodes)]
        moments = self.total.moments(circle, omega)

        value, kernel_size, loss_size = [arb(0)] * 4, arb(0), arb(0)
        for w, at_node in zip(omega, moments, strict=True):
            s = acb(self.c, w)
            kernel = 2 / self.period * pi / (pi * s).sin()
            kernel_size += abs(kernel)
            loss_size += abs(kernel / s)
            one, _, *slopes = at_node
            found = [kernel / s * one, *(kernel * slope for slope in slopes)]
            value = [v + x.real for v, x in zip(value, found, strict=True)]
        value = self._add_poles(value)

        alias, _, *aliases = self._aliases(circle)
        missing = [loss_size * alias, *(kernel_size * x for x in aliases)]
        for piece in (self._cut(), self._left(), self._right()):
            missing = [m + x for m, x in zip(missing, piece, strict=True)]
        return [v + _around(m) for v, m in zip(value, missing, strict=True)]

    def _cut(self) -> list[arb]:
        """What the nodes beyond the last would have added."""
        last = 2 * arb.pi() * self.line.nodes / self.period
        tail = (arb.pi() * last / 2).coth().log() / arb.pi()
        mass, _, *slopes = self.total.mass(self.line.circle.at)
        return [tail / last * mass, *(tail * x for x in slopes)]

    def _add_poles(self, value: list[arb]) -> list[arb]:
        if self.line.at_zero:
            u = (-self.c * self.period).exp()
            share = u / (1 + u)
            mass, F, *slopes = self._pole(self.line.at_zero)
            terms = [self.period * u / (1 + u) ** 2 * mass - share * F]
            value = [v + t for v, t in zip(value, terms + [share * x for x in slopes], strict=True)]
        if self.line.at_one:
            w = (-(1 - self.c) * self.period).exp()
            share = w / (1 + w)
            mass, _, *slopes = self._pole(self.line.at_one)
            value = [v + share * x for v, x in zip(value, [mass, *slopes], strict=True)]
        return value

    def _left(self) -> list[arb]:
        """What the terms e^{−ckP} f(F − kP) of the rule leave."""
        theta, (mass, F, *slopes) = self.line.below.theta, self.total.mass(self.line.below)
        tail = _tail((self.c - theta) * self.period)
        loss = mass / abs(theta) if theta < 0 else arb(2).log() * mass + F
        loss = tail * loss
        if not self.line.at_zero:  # then θ = 0, and the terms of the pole at 0 remain whole
            # Σ k u^k = u/(1−u)² = tail (1 + tail)
            loss += self.period * tail * (1 + tail) * mass
        return [loss, *(tail * x for x in slopes)]

    def _right(self) -> list[arb]:
        """What the terms e^{ckP} f(F + kP) of the rule leave."""
        theta, (mass, _, *slopes) = self.line.above.theta, self.total.mass(self.line.above)
        tail = _tail((theta - self.c) * self.period)
        loss = mass / theta if theta <= 1 else mass
        return [tail * loss, *(tail * x for x in slopes)]


def certified_expectation(
    setting: Setting, state: Coefficients, *, precision: int = 128, digits: float = 60.0
) -> CertifiedExpectation:
    """Balls for the population loss and gradient.

    Parameters
    ----------
    setting : Setting
        A float parameter stands for the dyadic rational it is; give a Fraction for 1/10.
    state : Coefficients
        Exact numbers or balls; a ball in gives a ball that contains every value on it.
    precision : int
        Bits of the arithmetic.
    digits : float
        Discarded pieces are aimed below e^{−digits} of the whole; they are bounded whatever it is.

    Returns
    -------
    CertifiedExpectation

    Raises
    ------
    ValueError
        If the precision is below two bits, or ``digits`` not in (0, 10⁴].
    ArithmeticError
        If F overflows float64 (the plan is made in floats), needs too many nodes, or a ball has
        grown without bound.

    Examples
    --------
    >>> setting = Setting(L=4, C=2, q=Fraction(1, 4), p=3, nu=Fraction(1, 20), sigma_A=2)
    >>> state = Coefficients(Fraction(1, 5), Fraction(1, 2), Fraction(-1, 10))
    >>> result = certified_expectation(setting, state)
    >>> bool(result.loss.rad() < 1e-20)
    True
    """
    precision = integer("precision", precision, least=2)
    digits = float(real("digits", digits, above=0, most=MOST_DIGITS))
    with ctx.workprec(precision):
        exact = replace(setting, q=Fraction(setting.q))
        alpha, gamma, rho = (ball(x) for x in (state.alpha, state.gamma, state.rho))
        levels = attention_levels(
            exact, Coefficients(alpha, gamma, rho), number=ball, exp=lambda x: x.exp()
        )
        kinds = set_types(exact)
        types = [
            (int(plus), int(minus), ball(p))
            for plus, minus, p in zip(kinds.n_plus, kinds.n_minus, kinds.probability, strict=True)
            if p > 0
        ]
        middle = Coefficients(*(float(x.mid()) for x in (alpha, gamma, rho)))
        plans = exact_plan(setting, middle, digits=digits)
        number = sum(plan.line.nodes for plan in plans.values() if plan.line)
        if number > MOST_NODES:
            raise ArithmeticError(
                f"the values of F that matter need {number} nodes (at most {MOST_NODES}): reduce "
                "alpha, or ask for fewer digits"
            )
        law = spurious_law(exact)
        sums = [arb(0)] * 4
        for spurious, probability in zip(law.value.tolist(), law.probability, strict=True):
            if not probability:
                continue
            total, plan = _Total(exact, alpha, levels, types, spurious), plans.get(spurious)
            if plan is None:  # rarer than any float64
                parts = [_around(ball(probability) * b) for b in total.largest()]
            elif plan.line is None:
                parts = [_around(b) for b in total.bounds(plan.least)]
            else:
                parts = _Evaluation(total, plan.line).expectations()
            sums = [x + y for x, y in zip(sums, parts, strict=True)]
        loss, *slope = sums
        if not all(x.is_finite() for x in sums):
            raise ArithmeticError("the balls have grown without bound: raise the precision")
        return CertifiedExpectation(loss, Coefficients(*(-x for x in slope)))
