"""Balls: they hold the exact value, they are narrow, and they grow only as they must."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import flint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import coefficients, rational_settings

import theory.certified as certified
from theory.certified import CertifiedExpectation, ball, certified_expectation
from theory.enumeration import expectation_by_enumeration
from theory.expectation import Expectation
from theory.population import population_gradient, population_loss
from theory.quadrature import expectation_by_quadrature
from theory.quadrature_plan import QuadraturePlan
from theory.setting import Coefficients, Setting

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


def spoil(monkeypatch, spoilt: str) -> None:
    if spoilt == "window":
        honest = certified.window_size

        def smaller(*args):
            window, *shifts = honest(*args)
            return max(3, window // 2), *shifts

        monkeypatch.setattr(certified, "window_size", smaller)
    else:
        plan = certified.quadrature_plan
        monkeypatch.setattr(
            certified, "quadrature_plan", lambda *a, **k: SPOILT[spoilt](plan(*a, **k))
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


@pytest.mark.parametrize(
    ("spoilt", "remainders"),
    [
        ("period", ["_left", "_right"]),
        ("nodes", ["_cut"]),
        ("totals", ["_whole"]),
        ("window", ["_aliases"]),
    ],
)
def test_a_remainder_left_out_is_noticed(monkeypatch, spoilt, remainders):
    """Each bound carries weight: without it the ball of a spoilt plan misses the true value."""
    truths = [components(certified_expectation(*problem)) for problem in PROBLEMS]
    spoil(monkeypatch, spoilt)
    for remainder in remainders:
        honest = getattr(certified._Evaluation, remainder)
        monkeypatch.setattr(
            certified._Evaluation,
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
