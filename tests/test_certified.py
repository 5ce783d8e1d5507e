"""Balls: they hold the exact value, they are narrow, and they grow only as they must."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction

import flint
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import coefficients, rational_settings

from theory.data.law import set_types
from theory.expectation import certified, exact_plan
from theory.expectation.certified import CertifiedExpectation, ball, certified_expectation
from theory.expectation.enumeration import expectation_by_enumeration
from theory.expectation.plan import QuadraturePlan
from theory.expectation.population import population_gradient, population_loss
from theory.expectation.quadrature import expectation_by_quadrature
from theory.expectation.result import Expectation
from theory.setting import Coefficients, Setting
from theory.symmetry import levels, shares, terms

VIT = Setting(L=49, C=4, q=0.1, p=3, nu=0.05, sigma_A=3.0)


def components(result: CertifiedExpectation | Expectation) -> list:
    g = result.gradient
    return [result.loss, g.alpha, g.gamma, g.rho]


def allowed(result: Expectation) -> list[float]:
    e = result.gradient_error
    return [result.loss_error, e.alpha, e.gamma, e.rho]


@st.composite
def problems(draw):
    setting = draw(rational_settings(max_D=8))
    return setting, draw(coefficients(setting, bound=30.0))


def assert_holds(balls: CertifiedExpectation, floats: Expectation) -> None:
    """Each ball contains a number within the stated error of the float."""
    with flint.ctx.workprec(200):
        for x, value, error in zip(
            components(balls), components(floats), allowed(floats), strict=True
        ):
            assert x.overlaps(flint.arb(value, error + 1e-300)), (x, value, error)


# Set sums ±3 occur: tilts are multiplied by them.
SMALLEST = Setting(L=2, C=4, q=Fraction(1, 2), p=3, nu=1, sigma_A=1)
AT = Coefficients(Fraction(1, 8), 0, 0)
# By enumeration with 160 bits, and what came of products rounded to float64.
TRUE_LOSS = Fraction("0.03059076254194966137121443285140373"), Fraction("1e-35")
FALSE_LOSS = Fraction("0.030590762541949663386921"), Fraction("1e-24")


def around(middle: Fraction, radius: Fraction) -> flint.arb:
    return flint.arb(ball(middle), ball(radius))


def test_sets_of_more_than_two():
    loss = certified_expectation(SMALLEST, AT).loss
    with flint.ctx.workprec(200):
        assert loss.contains(around(*TRUE_LOSS))
        assert not loss.overlaps(around(*FALSE_LOSS))


def test_a_rounded_product_would_be_noticed(monkeypatch):
    def rounded(self, at):
        return [
            p * (float(at.tilt) * s - at.theta * f.F).exp()
            for p, s, f in zip(self.probability, self.sums, self.terms, strict=True)
        ]

    monkeypatch.setattr(certified._Total, "_weights", rounded)
    loss = certified_expectation(SMALLEST, AT).loss
    with flint.ctx.workprec(200):
        assert not loss.overlaps(around(*TRUE_LOSS))
        assert abs(loss - around(*TRUE_LOSS)) < 1e-15


def inside(value: object) -> Iterator[object]:
    """All that a nested dataclass holds."""
    if is_dataclass(value):
        for field in fields(value):
            yield from inside(getattr(value, field.name))
    else:
        yield value


def test_no_float_crosses_the_boundary():
    floats = Coefficients(*map(float, (AT.alpha, AT.gamma, AT.rho)))
    plans = exact_plan.exact_plan(SMALLEST, floats, digits=60.0)
    kinds = {type(x) for plan in plans.values() for x in inside(plan)}
    assert any(plan.line for plan in plans.values())
    assert kinds <= {flint.arb, int, type(None)}
    # As dyadic numbers, not through decimals or a lower precision.
    assert all(x.is_exact() for plan in plans.values() for x in inside(plan)
               if isinstance(x, flint.arb))  # fmt: skip


POINT = exact_plan.Point(flint.arb(1) / 2, flint.arb(0))
ZERO = exact_plan.Point(flint.arb(0), flint.arb(0))
ONE = exact_plan.Point(flint.arb(1), flint.arb(0))
CIRCLE = exact_plan.Circle(POINT, 5, flint.arb(-1), flint.arb(1))
LINE = exact_plan.Line(CIRCLE, ZERO, ONE, None, None, flint.arb(20), 9)
TOTAL = exact_plan.TotalPlan(POINT, LINE)


@pytest.mark.parametrize(
    ("made", "field"),
    [(x, field.name) for x in (POINT, CIRCLE, LINE, TOTAL) for field in fields(x)],
)
def test_what_is_not_exact_is_refused(made, field):
    wrong = [0.5, np.float64(0.5), np.float32(0.5), 0.5j, np.int64(1), True, Fraction(1, 2), "1"]
    for value in (*wrong, *([] if isinstance(getattr(made, field), int) else [1])):
        name = f"{type(made).__name__}.{field}"
        with pytest.raises(TypeError, match=name):
            replace(made, **{field: value})


@pytest.mark.parametrize(
    ("made", "changes", "message"),
    [
        (CIRCLE, {"window": 0}, "window must be positive"),
        (CIRCLE, {"inward": flint.arb(1)}, "inward must be < 0"),
        (CIRCLE, {"outward": flint.arb(0)}, "outward > 0"),
        (LINE, {"period": flint.arb(0)}, "period and nodes must be positive"),
        (LINE, {"nodes": 0}, "period and nodes must be positive"),
        (LINE, {"below": POINT}, "between its points"),
        (LINE, {"above": ZERO}, "between its points"),
        (LINE, {"below": replace(ZERO, theta=flint.arb(-1))}, "below must be"),
        (LINE, {"at_zero": CIRCLE}, "pole 0 is elsewhere"),
        (LINE, {"above": replace(ONE, theta=flint.arb(2))}, "above must be"),
        (TOTAL, {"least": replace(ONE, theta=flint.arb(2))}, "least must be in"),
        (TOTAL, {"least": replace(ONE, theta=flint.arb("nan"))}, "least must be in"),
    ],
)
def test_choices_without_a_bound_are_refused(made, changes, message):
    with pytest.raises(ValueError, match=message):
        replace(made, **changes)


def test_a_float_product_of_the_plan_is_refused(monkeypatch):
    def rounded(self, abscissa):
        return exact_plan.Point(flint.arb(0), 3 * float(self.plan.bounds.tilt[abscissa, 0]))

    monkeypatch.setattr(exact_plan._Boundary, "point", rounded)
    with pytest.raises(TypeError, match="Point.tilt"):
        certified_expectation(SMALLEST, AT)


def test_formulas_hold_no_number_but_integers():
    """With balls in, their code must not divide integers: 1/3 would be a float."""
    generated = levels._generated_levels(), terms._generated_pair_counts()
    for formula in (*generated, shares.stable_terms):
        tree = ast.parse(inspect.getsource(formula))
        assert not any(
            isinstance(node.value, float | complex)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
        )
        for node in ast.walk(tree):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                names = {x.id for x in ast.walk(node.right) if isinstance(x, ast.Name)}
                # The sum of the three exponentials, which are balls.
                assert names >= {"a", "g", "r"}


@pytest.mark.parametrize("value", [True, 1j, np.float32(0.5), None, np.array(1)])
def test_only_exact_numbers_become_balls(value):
    with pytest.raises(TypeError, match="neither an exact number nor a ball"):
        ball(value)


@pytest.mark.slow
@settings(max_examples=40)
@given(problems())
def test_balls_hold_what_the_floats_find(problem):
    balls = certified_expectation(*problem)
    assert_holds(balls, expectation_by_enumeration(*problem))
    assert_holds(balls, expectation_by_quadrature(*problem))
    assert all(x.rad() <= 1e-18 * (1 + abs(x)) for x in components(balls))


def test_levels_of_very_different_size_keep_their_digits():
    """σ_A = −20: the own patch has weight e^{−20}, which must not cancel against the others."""
    setting = Setting(L=2, C=1, q=0, p=3, nu=0, sigma_A=-20)
    state = Coefficients(0.5, 0.0, 0.0)
    floats = expectation_by_quadrature(setting, state)
    assert floats.relative_error < 1e-11
    assert_holds(certified_expectation(setting, state), floats)


@pytest.mark.slow
@pytest.mark.parametrize(
    "state",
    [
        Coefficients(0.0073, 0.0012, -0.0003),
        Coefficients(0.0198, 0.8478, -0.022),
        Coefficients(0.012, 3.5, -0.12),
    ],
)
def test_quadrature_at_vit_size_against_balls(state):
    """The reference of the float quadrature: within its stated error, and within 1e-10 of scale."""
    balls, floats = certified_expectation(VIT, state), expectation_by_quadrature(VIT, state)
    assert_holds(balls, floats)
    scales = [floats.loss, floats.scale.alpha, floats.scale.gamma, floats.scale.rho]
    for x, value, scale in zip(components(balls), components(floats), scales, strict=True):
        assert x.rad() <= 1e-20
        assert abs(x - value) <= 1e-10 * scale


@pytest.mark.slow
def test_heavy_tails_against_balls():
    setting = Setting(L=14, C=14, q=0.3, p=3, nu=0.05, sigma_A=3.0)
    state = Coefficients(0.01, 0.0, 0.0)
    balls = certified_expectation(setting, state, digits=36.0)
    assert_holds(balls, expectation_by_quadrature(setting, state))
    assert all(x.rad() <= 1e-9 for x in components(balls))


def test_a_wide_ball_contains_its_points():
    setting = Setting(L=4, C=2, q=Fraction(1, 4), p=3, nu=Fraction(1, 20), sigma_A=2)
    middle = Coefficients(Fraction(1, 5), Fraction(1, 2), Fraction(-1, 10))
    wide = Coefficients(
        *(ball(x) + flint.arb(0, 1e-6) for x in (middle.alpha, middle.gamma, middle.rho))
    )
    outer = certified_expectation(setting, wide)
    for shift in (-1, 0, 1):
        inside = replace(middle, gamma=middle.gamma + Fraction(shift, 1_100_000))
        inner = certified_expectation(setting, inside)
        assert all(x.contains(y) for x, y in zip(components(outer), components(inner), strict=True))


@pytest.mark.parametrize("digits", [12.0, 25.0])
def test_few_digits_widen_the_balls_and_stay_true(digits):
    """Coarse plans make the remainders visible: the value must still be inside."""
    setting = Setting(L=6, C=2, q=Fraction(3, 10), p=3, nu=Fraction(1, 10), sigma_A=2)
    state = Coefficients(Fraction(1, 10), Fraction(1, 2), 0)
    fine = certified_expectation(setting, state)
    coarse = certified_expectation(setting, state, digits=digits)
    for x, y in zip(components(coarse), components(fine), strict=True):
        assert y.rad() < x.rad() < 1
        assert x.contains(y)


def shorter_period(plan: QuadraturePlan) -> QuadraturePlan:
    """Periods cut to a third with as many nodes: the remainder of the rule dominates."""
    lines = [
        line and replace(line, period=line.period / 3, at_zero=True, at_one=line.line >= 12)
        for line in plan.lines
    ]
    return replace(plan, lines=lines)


def fewer_nodes(plan: QuadraturePlan) -> QuadraturePlan:
    lines = [line and replace(line, nodes=max(2, line.nodes // 4)) for line in plan.lines]
    return replace(plan, lines=lines)


def fewer_lines(plan: QuadraturePlan) -> QuadraturePlan:
    """Every second total is left out whole."""
    lines = [line if index % 2 else None for index, line in enumerate(plan.lines)]
    return replace(plan, lines=lines)


SPOILT = {"period": shorter_period, "nodes": fewer_nodes, "totals": fewer_lines}
PROBLEMS = [
    (Setting(L=6, C=2, q=Fraction(3, 10), p=3, nu=Fraction(1, 10), sigma_A=2), state)
    for state in (
        Coefficients(Fraction(1, 10), Fraction(1, 2), 0),
        Coefficients(Fraction(1, 50), 0, 0),
        Coefficients(Fraction(1, 4), 2, -1),
    )
]
# Sums of three, which tilts multiply.
PROBLEMS.append(
    (
        Setting(L=4, C=3, q=Fraction(3, 10), p=3, nu=Fraction(1, 10), sigma_A=1),
        Coefficients(Fraction(1, 12), Fraction(1, 3), 0),
    )
)


def spoil(monkeypatch, spoilt: str) -> None:
    if spoilt == "window":
        honest = exact_plan.window_size

        def smaller(*args):
            window, *shifts = honest(*args)
            return max(3, window // 2), *shifts

        monkeypatch.setattr(exact_plan, "window_size", smaller)
    else:
        plan = exact_plan.quadrature_plan
        monkeypatch.setattr(
            exact_plan, "quadrature_plan", lambda *a, **k: SPOILT[spoilt](plan(*a, **k))
        )


@pytest.mark.parametrize("spoilt", [*SPOILT, "window"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_spoilt_plan_widens_the_balls_and_they_stay_true(monkeypatch, spoilt, problem):
    """Nothing of the plan is trusted: whatever it says, the true value is inside."""
    truth = components(certified_expectation(*problem))
    spoil(monkeypatch, spoilt)
    found = components(certified_expectation(*problem))
    assert max(x.rad() for x in found) > 1e-12
    assert all(x.contains(y) for x, y in zip(found, truth, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoilt", "remainders"),
    [
        ("period", ["_left", "_right"]),
        ("nodes", ["_cut"]),
        ("totals", ["bounds"]),
        ("window", ["_aliases"]),
    ],
)
def test_a_remainder_left_out_is_noticed(monkeypatch, spoilt, remainders):
    """Each bound carries weight: without it the ball of a spoilt plan misses the true value."""
    truths = [components(certified_expectation(*problem)) for problem in PROBLEMS]
    spoil(monkeypatch, spoilt)
    for remainder in remainders:
        owner = certified._Total if remainder == "bounds" else certified._Evaluation
        honest = getattr(owner, remainder)
        monkeypatch.setattr(
            owner,
            remainder,
            lambda self, *a, honest=honest: [0 * x for x in honest(self, *a)],
        )
    missed = 0
    for problem, truth in zip(PROBLEMS, truths, strict=True):
        found = components(certified_expectation(*problem))
        missed += sum(not x.overlaps(y) for x, y in zip(found, truth, strict=True))
    assert missed > 0


def test_totals_rarer_than_any_float_are_bounded():
    """q = 10^{−400} in the tails: R = ±2 has probability below 1e−308 and still enters."""
    setting = Setting(L=2, C=2, q=Fraction(1, 10**200), p=3, nu=0, sigma_A=1)
    result = certified_expectation(setting, Coefficients(0.1, 0, 0))
    assert all(x.rad() < 1e-20 for x in components(result))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"digits": 0.0}, "digits must be a finite number > 0 and <= 10000"),
        ({"digits": float("nan")}, "digits must be a finite number > 0"),
        ({"digits": 1e308}, "digits must be a finite number > 0 and <= 10000"),
        ({"precision": 1}, "precision must be an integer >= 2"),
    ],
)
def test_digits_and_precision_out_of_range_are_named(choice, message):
    with pytest.raises(ValueError, match=message):
        certified_expectation(SMALLEST, AT, **choice)


def test_more_nodes_than_can_be_summed_are_refused():
    """F reaches 10²⁰ here: the sum would fill the memory, not end."""
    setting = replace(SMALLEST, L=3, C=3, p=21)
    with pytest.raises(ArithmeticError, match=r"nodes \(at most 3000000\): reduce alpha"):
        certified_expectation(setting, Coefficients(1, 4, 0))


def test_public_entry_returns_balls():
    setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    state = Coefficients(0.3, 0.5, -0.1)
    loss = population_loss(setting, state, method="certified")
    assert isinstance(loss, flint.arb)
    assert abs(loss - population_loss(setting, state)) < 1e-13
    assert isinstance(population_gradient(setting, state, method="certified").rho, flint.arb)


def test_precision_is_left_as_it_was():
    before = flint.ctx.prec
    certified_expectation(
        Setting(L=2, C=1, q=0.5, p=3, nu=0, sigma_A=1), Coefficients(0.1, 0, 0), precision=200
    )
    assert flint.ctx.prec == before


def only_total(
    q: Fraction, L: int = 2, alpha: Fraction = Fraction(1, 1000), spurious: int = 0
) -> certified._Total:
    """Everything at one R for a small setting; at the state given F is some 0.01."""
    setting = Setting(L=L, C=2, q=q, p=3, nu=1, sigma_A=1)
    state = Coefficients(ball(alpha), ball(Fraction(1, 2)), ball(Fraction(-1, 4)))
    at = levels.attention_levels(setting, state, number=ball, exp=lambda x: x.exp())
    kinds = zip(*set_types(setting), strict=True)
    types = [(int(plus), int(minus), ball(p)) for plus, minus, p in kinds if p > 0]
    return certified._Total(setting, state.alpha, at, types, spurious)


def listed(total: certified._Total) -> list[flint.arb]:
    """E[log(1+e^{−F}); T] and E[sig(−F) ∂F; T] of two sets, type by type."""
    sums = [flint.arb(0)] * 4
    for p, s, f in zip(total.probability, total.sums, total.terms, strict=True):
        if s == total.spurious:
            F, *slope = [x + y for x, y in zip(f, total.signal, strict=True)]
            values = [(-F).exp().log1p(), *(x / (1 + F.exp()) for x in slope)]
            sums = [x + p * value for x, value in zip(sums, values, strict=True)]
    return sums


def line(c, below, above, *, zero=True, one=True, period=16, nodes=200, window=9, poles=9):
    def circle(theta, window=poles):
        point = exact_plan.Point(ball(Fraction(theta)), flint.arb(0))
        return exact_plan.Circle(point, window, flint.arb(-30), flint.arb(30))

    return exact_plan.Line(
        circle=circle(c, window),
        below=circle(below).at,
        above=circle(above).at,
        at_zero=circle(0) if zero else None,
        at_one=circle(1) if one else None,
        period=flint.arb(period),
        nodes=nodes,
    )


HALF, LOSS, SLOPES = Fraction(1, 2), [0], [1, 2, 3]
# With F ≈ 0 of one sample each bound is the first term of what it bounds, up to some percent.
ATTAINED = {
    "left, pole at 0 whole": (0, 0, line(HALF / 2, 0, 1, zero=False, one=False), LOSS + SLOPES),
    "right, pole at 1 whole": (0, 0, line(3 * HALF / 2, -1, 1, one=False), LOSS + SLOPES),
    "left": (0, 0, line(0, -1, 2), LOSS + SLOPES),
    "right": (0, 0, line(1, -1, 2), SLOPES),
    "nodes, loss": (0, 0, line(0, -1, 2, period=120, nodes=14), LOSS),
    "nodes": (0, 0, line(HALF, -1, 2, period=80, nodes=14), SLOPES),
    "aliases": (HALF / 5, 0, line(HALF, -1, 2, period=100, nodes=600, window=2), LOSS + SLOPES),
    # The last power of z aliases onto the first in every window but a full one, of 5.
    "an alias": (HALF / 5, 2, line(HALF, -1, 2, period=100, nodes=600, window=4), LOSS + SLOPES),
    "aliases at 0": (HALF / 5, 0, line(0, -1, 2, period=100, nodes=600, poles=2), LOSS + SLOPES),
    "aliases at 1": (HALF / 5, 0, line(1, -1, 2, period=100, nodes=600, poles=2), LOSS + SLOPES),
}


@pytest.mark.parametrize("remainder", ATTAINED)
def test_each_remainder_is_all_but_attained(remainder):
    """The true value lies near the edge of the ball: a bound by a third smaller would miss it."""
    q, spurious, plan, rows = ATTAINED[remainder]
    with flint.ctx.workprec(200):
        total = only_total(Fraction(q), spurious=spurious)
        found = certified._Evaluation(total, plan).expectations()
        for row, (x, true) in enumerate(zip(found, listed(total), strict=True)):
            assert x.contains(true)
            if row in rows:
                assert 0.7 < abs(x.mid() - true) / x.rad().mid() <= 1


@pytest.mark.parametrize(
    ("alpha", "F", "plan", "left"),
    [
        # e^{−8} log(1+e^8), which is above e^{−8} e^{8/8}.
        (Fraction(59, 100), 16, line(1, Fraction(-1, 8), 2, period=8), 2e-3),
        # e^{−4} log(1+e^{16+8}), which is above e^{−4} (log 2 + 16).
        (Fraction(-46, 100), -8, line(Fraction(1, 4), 0, 1, zero=False, one=False), 0.4),
        # log(1+e^8) − log 2, which is above e^{16/8} / (e^{8/8} − 1).
        (Fraction(-58, 100), -16, line(0, -1, Fraction(1, 8), one=False, period=8), 6.5),
    ],
)
def test_a_large_loss_that_the_rule_leaves_is_bounded(alpha, F, plan, left):
    with flint.ctx.workprec(200):
        total = only_total(Fraction(0), alpha=alpha)
        assert abs(total.signal[0] + total.terms[0][0] - F) < 1
        found = certified._Evaluation(total, plan).expectations()
        for x, true in zip(found, listed(total), strict=True):
            assert x.contains(true)
        assert abs(found[0].mid() - listed(total)[0]) > left


@pytest.mark.parametrize("L", [2, 5])
@pytest.mark.parametrize("theta", [-1, 0, HALF, 1, 2])
def test_the_mass_of_one_sample_is_its_own(L, theta):
    """At q = 0: e^{−θF} and e^{−θF}|∂F/∂α|, and the bounds on whole totals are of their kind."""
    with flint.ctx.workprec(200):
        total = only_total(Fraction(0), L)
        F, slope = (total.signal[g] + (L - 1) * total.terms[0][g] for g in (0, 1))
        at = exact_plan.Point(ball(Fraction(theta)), flint.arb(3))
        mass = total.mass(at)
        size = (-at.theta * F).exp()
        for x, true in zip(mass, (size, size * F, size * slope), strict=False):
            assert x.overlaps(true)
        assert total.largest()[1].overlaps(slope)
        loss = (-F).exp().log1p()
        assert 0 < total.largest()[0] - loss < 3 * F
        if 0 <= theta <= 1:
            found = total.bounds(at)
            assert found[1].overlaps(size * slope)
            assert loss < found[0]
            if theta == 0:
                assert found[0] - loss < 3 * F


@pytest.mark.parametrize("theta", [0, Fraction(1, 8)])
def test_the_loss_of_a_very_wrong_sample_is_bounded(theta):
    """At F = −8 the loss is above e^{−θF} for a small θ, and above log 2."""
    with flint.ctx.workprec(200):
        total = only_total(Fraction(0), alpha=Fraction(-46, 100))
        F = total.signal[0] + total.terms[0][0]
        assert -9 < F < -7
        at, loss = exact_plan.Point(ball(Fraction(theta)), flint.arb(0)), (-F).exp().log1p()
        assert loss < total.bounds(at)[0] < 3 * loss
        assert loss < total.largest()[0]


@pytest.mark.parametrize("what", ["plan", "line"])
def test_a_total_left_out_is_bounded_by_no_more_than_its_largest_loss(monkeypatch, what):
    """At α = 1/1000 every loss is near log 2, which bounds what is left out whole."""
    setting = Setting(L=2, C=2, q=Fraction(1, 5), p=3, nu=1, sigma_A=1)
    state = Coefficients(Fraction(1, 1000), Fraction(1, 2), Fraction(-1, 4))
    truth, honest = certified_expectation(setting, state).loss, certified.exact_plan

    def shorter(*args, **choices):
        plans = honest(*args, **choices)
        if what == "plan":
            del plans[2]
        else:
            # On so large a circle the one image with R = 2 outweighs all others.
            least = exact_plan.Point(flint.arb(0), flint.arb(30))
            plans[2] = exact_plan.TotalPlan(least, None)
        return plans

    monkeypatch.setattr(certified, "exact_plan", shorter)
    loss = certified_expectation(setting, state).loss
    assert loss.contains(truth)
    assert 0.9 < abs(loss.mid() - truth) / loss.rad().mid() <= 1


def test_a_remainder_is_as_large_as_its_bound_may_be():
    found = certified._around(flint.arb(1, 0.5))
    assert found.contains(1.5)
    assert found.contains(-1.5)
    assert not found.contains(1.51)
