"""The exact expectation: quadrature against enumeration, against itself, and where it refuses."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import coefficients, rational_settings, small_settings

from theory.data.law import set_types
from theory.dynamics.descent import gradient_descent
from theory.expectation.enumeration import (
    configuration_count,
    configurations,
    expectation_by_enumeration,
    rational_slope,
)
from theory.expectation.moments import _power
from theory.expectation.population import evaluate, population_gradient, population_loss
from theory.expectation.quadrature import expectation_by_quadrature, exponential_sum
from theory.expectation.result import Expectation
from theory.setting import Coefficients, Setting
from theory.statements.expectation import ADVERSARIAL, adversarial_problem, excess, true_values
from theory.symmetry.levels import AttentionLevels
from theory.symmetry.terms import set_terms

VIT = Setting(L=49, C=4, q=0.1, p=3, nu=0.05, sigma_A=3.0)
# Along a run from α = 0.001 with steps (1e-5, 50): in act I, before, inside and after the rise.
VIT_STATES = [
    Coefficients(0.0073, 0.0012, -0.0003),
    Coefficients(0.0198, 0.8478, -0.022),
    Coefficients(0.0175, 2.2, -0.06),
    Coefficients(0.012, 3.5, -0.12),
]


def values(result: Expectation) -> np.ndarray:
    g = result.gradient
    return np.array([result.loss, g.alpha, g.gamma, g.rho])


def errors(result: Expectation) -> np.ndarray:
    e = result.gradient_error
    return np.array([result.loss_error, e.alpha, e.gamma, e.rho])


def scales(result: Expectation) -> np.ndarray:
    s = result.scale
    return np.array([result.loss, s.alpha, s.gamma, s.rho])


def assert_agree(a: Expectation, b: Expectation, relative: float) -> None:
    """Each number within its own errors, and within ``relative`` of its scale."""
    gap = np.abs(values(a) - values(b))
    tiny = np.finfo(float).tiny
    assert (gap <= errors(a) + errors(b) + tiny).all(), (gap, errors(a), errors(b))
    assert (gap <= relative * scales(b) + tiny).all(), (gap, scales(b))


@st.composite
def small_problems(draw):
    setting = draw(small_settings(max_D=12, max_C=4))
    return setting, draw(coefficients(setting))


@given(small_problems())
def test_quadrature_is_enumeration(problem):
    assert_agree(expectation_by_quadrature(*problem), expectation_by_enumeration(*problem), 1e-12)


@given(small_problems(), st.sampled_from([1, 10, 100]))
def test_quadrature_is_enumeration_where_F_is_large(problem, factor):
    """F up to ±6000, so that single totals carry both signs of F far from zero."""
    setting, state = problem
    large = replace(state, alpha=state.alpha * factor ** (1 / setting.p))
    assert_agree(
        expectation_by_quadrature(setting, large), expectation_by_enumeration(setting, large), 1e-11
    )


@pytest.mark.parametrize("state", VIT_STATES)
def test_vit_size_does_not_move_under_refinement(state):
    """Twice the period, twice the window: nothing changes beyond the error that was returned."""
    once, twice = (expectation_by_quadrature(VIT, state, refinement=r) for r in (1, 2))
    assert once.relative_error < 1e-10
    assert_agree(once, twice, 1e-11)


def test_heavy_tails_do_not_move_under_refinement():
    """F reaches −1000 at (14, 14, 0.3): types of negligible probability must not decide."""
    setting = Setting(L=14, C=14, q=0.3, p=3, nu=0.05, sigma_A=3.0)
    state = Coefficients(0.02, 0.1, -0.01)
    once, twice = (expectation_by_quadrature(setting, state, refinement=r) for r in (1, 2))
    assert once.relative_error < 1e-8
    assert_agree(once, twice, 1e-8)


def test_error_stays_small_along_a_whole_trajectory():
    path = gradient_descent(
        VIT, Coefficients(0.001, 0.0, 0.0), eta_v=1e-4, eta_A=2000.0, steps=40, tolerance=1e-10
    )
    assert path.loss[-1] < 0.1 < 0.6 < path.loss[0]


@given(small_problems())
def test_monte_carlo_agrees(problem):
    """Images drawn patch by patch, the network evaluated on them: no types, no levels."""
    setting, state = problem
    rng = np.random.default_rng(0)
    samples, D, C = 4000, setting.D, setting.C
    q = float(setting.q)
    x = rng.choice([-1.0, 0.0, 1.0], size=(samples, D), p=[q / 2, 1 - q, q / 2])
    x[:, :C] = 1.0
    same = np.arange(D)[:, None] // C == np.arange(D) // C
    A = np.where(same, float(state.gamma), float(state.rho))
    np.fill_diagonal(A, float(setting.sigma_A))
    S = np.exp((A - A.max(axis=1, keepdims=True)) / float(setting.temperature))
    S /= S.sum(axis=1, keepdims=True)
    O = D * state.alpha * x @ S.T
    loss = np.logaddexp(0, -(O**setting.p + float(setting.nu) * O).sum(axis=1))
    gap = abs(loss.mean() - population_loss(setting, state))
    # Bernstein: with range b and variance s², 12 deviations are exceeded with e^{−70}.
    spread = loss.std() / math.sqrt(samples) + np.ptp(loss) / samples
    assert gap <= 12 * spread + 1e-9


@given(small_problems())
def test_gradient_is_the_derivative_of_the_loss(problem):
    """Central differences in each coefficient; one entry of A is one of many that γ moves."""
    setting, state = problem
    gradient = population_gradient(setting, state)
    pairs = {
        "alpha": 1,
        "gamma": setting.D * (setting.C - 1),
        "rho": setting.D * (setting.D - setting.C),
    }
    for name, count in pairs.items():
        h = 1e-4 * (1.0 if name != "alpha" else max(abs(state.alpha), 1e-3))
        up, down = (
            population_loss(setting, replace(state, **{name: getattr(state, name) + sign * h}))
            for sign in (1, -1)
        )
        expected = (up - down) / (2 * h)
        scale = getattr(evaluate(setting, state).scale, name) * max(count, 1)
        assert getattr(gradient, name) * count == pytest.approx(
            expected, rel=1e-5, abs=1e-5 * scale + 1e-11 / h
        )


@given(rational_settings(max_D=6))
def test_configurations_have_total_probability_one(setting):
    _, _, count, probability = configurations(setting)
    assert len(count) == configuration_count(setting)
    assert (count.sum(axis=1) == setting.L - 1).all()
    assert len({tuple(row) for row in count.tolist()}) == len(count)
    assert sum(probability) == 1


@given(rational_settings(max_D=6), st.fractions(-2, 2, max_denominator=4))
def test_rational_slope_is_the_mean_over_patches(setting, alpha):
    """Exactly: against every pattern of every patch, for a rational factor that depends on F."""
    levels = AttentionLevels(Fraction(1, 3), Fraction(1, 5), Fraction(1, 7))
    setting = replace(setting, nu=Fraction(setting.nu), temperature=Fraction(setting.temperature))

    def factor(F: Fraction) -> Fraction:
        return 1 / (1 + F**2)

    q = Fraction(setting.q)
    probability = {1: q / 2, -1: q / 2, 0: 1 - q}
    expected = [Fraction(0)] * 3
    for x in itertools.product((-1, 0, 1), repeat=setting.n):
        weight = math.prod((probability[value] for value in x), start=Fraction(1))
        if not weight:
            continue
        sets = [x[i : i + setting.C] for i in range(0, setting.n, setting.C)]
        total = setting.C + sum(x)
        terms = [set_terms(setting, alpha, levels, setting.C, 0, total)]
        terms += [set_terms(setting, alpha, levels, s.count(1), s.count(-1), total) for s in sets]
        weight *= factor(sum(t.F for t in terms))
        for row, name in enumerate(("alpha", "gamma", "rho")):
            expected[row] += weight * sum(getattr(t, name) for t in terms)
    slope = rational_slope(setting, alpha, levels, factor)
    assert [slope.alpha, slope.gamma, slope.rho] == expected


@pytest.mark.parametrize("c", [0.0, 0.125, 0.5, 0.875, 1.0])
@pytest.mark.parametrize("period", [20.0, 60.0])
def test_exponential_sum_has_the_stated_remainder(c, period):
    """Against the exact alternating series, in 50 digits; x beyond the period included."""
    nodes = int(40 * period / (2 * math.pi**2)) + 1
    s, weight = exponential_sum(c, period, nodes)
    with mpmath.workdps(50):
        u, w = mpmath.exp(-c * period), mpmath.exp(-(1 - c) * period)
        for x in (-1.3 * period, -4.0, 0.0, 0.7, 9.0, 1.2 * period):
            found = sum(
                (mpmath.mpc(a) * mpmath.exp(-mpmath.mpc(b) * x)).real
                for a, b in zip(weight, s, strict=True)
            )

            def sig(y):
                return 1 / (1 + mpmath.exp(-y))

            remainder = sum(
                (-1) ** k
                * (u**k * sig(x - k * period) + w**k * mpmath.exp(-x) * sig(-x - k * period))
                for k in range(1, 40)
            )
            exact = sig(-x) - u / (1 + u) - mpmath.exp(-x) * w / (1 + w) - remainder
            cut = (
                mpmath.exp(-c * x)
                / mpmath.pi
                * mpmath.log(mpmath.coth(mpmath.pi**2 * nodes / period))
            )
            rounding = 1e-14 * float(mpmath.exp(-c * x)) * (1 + abs(x))
            assert abs(found - exact) <= cut + rounding


def test_error_of_the_midpoint_rule_falls_exponentially_in_the_period():
    x, gaps, periods = 2.0, [], [8.0, 12.0, 16.0, 20.0]
    for period in periods:
        s, weight = exponential_sum(0.0, period, 60)
        found = 0.5 + (weight * np.exp(-s * x)).sum().real
        gaps.append(abs(found - 1 / (1 + math.exp(x))))
    rate = np.polyfit(periods, np.log(gaps), 1)[0]
    # At c = 0 the remainder is of order e^{|x| − P}.
    assert rate == pytest.approx(-1.0, abs=0.02)


# --- Against the truth: the full network on every image, in balls

METHODS = {"enumeration": expectation_by_enumeration, "quadrature": expectation_by_quadrature}
both = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@both
@given(**ADVERSARIAL)
def test_the_true_error_is_below_the_returned_one(method, **drawn):
    setting, state = adversarial_problem(**drawn)
    try:
        result = method(setting, state)
    except ArithmeticError:
        return
    assert excess(result, true_values(setting, state)) <= 1


@both
def test_honesty_is_not_bought_by_refusals(method):
    """Of 100 adversarial states few are refused at 1e-10, and bounds are not idle."""
    rng, accepted, ratios = np.random.default_rng(0), 0, []
    for _ in range(100):
        setting, state = adversarial_problem(
            size=[(2, 2), (3, 2), (3, 1), (2, 3)][rng.integers(4)],
            p=int(rng.choice([3, 5, 7, 11, 21])),
            q=float(rng.choice([1e-9, 0.001, 0.5, 0.999, 1])),
            nu=float(rng.choice([0, 0.05, 1, 10])),
            tau=math.exp(rng.uniform(-3, 3)),
            sigma_A=rng.uniform(-20, 40),
            alpha=10 ** rng.uniform(-7, 0),
            gamma=(bool(rng.integers(2)), rng.uniform(-10, 20)),
            rho=(bool(rng.integers(2)), rng.uniform(-10, 10)),
        )
        try:
            result = method(setting, state)
        except ArithmeticError:
            continue
        if result.relative_error <= 1e-10:
            accepted += 1
            ratios.append(excess(result, true_values(setting, state)))
    assert accepted >= 90
    assert 1e-4 < np.median(ratios) < 1


TRUTHS = [
    # (L, C, q, p, ν, σ_A, τ), (α, γ, ρ): σ'(O)∂O cancels inside sets, to −3.33e-31 in the first.
    ((3, 2, 0.5, 3, 1.0, 20.0, 1.0), (1e-6, 0.0, 0.0)),
    ((5, 2, 0.25, 3, 0.05, 3.0, 0.1), (1e-5, 0.0, 0.0)),
    ((3, 2, 0.999, 3, 1.0, 8.0, 1.0), (1e-3, 0.0, 0.0)),
    ((3, 2, 1.0, 5, 10.0, 15.0, 1.0), (0.01, 1.0, 1.0)),
    ((2, 3, 0.5, 21, 1.0, 2.0, 1.0), (0.05, 0.5, -0.1)),
    ((3, 2, 0.3, 21, 0.05, 2.7, 0.3), (0.15, 5.0, 3.4)),
    # Logits that nearly agree.
    ((3, 2, 0.5, 3, 1.0, 1.0, 1.0), (0.1, 1.0 - 1e-12, 1.0 - 3e-12)),
]


@both
@pytest.mark.parametrize(("numbers", "state"), TRUTHS)
def test_what_cancels_inside_sets_is_no_error(method, numbers, state):
    L, C, q, p, nu, sigma_A, tau = numbers
    setting = Setting(L=L, C=C, q=q, p=p, nu=nu, sigma_A=sigma_A, temperature=tau)
    state = Coefficients(*state)
    result, balls = method(setting, state), true_values(setting, state)
    assert excess(result, balls) <= 1
    assert result.relative_error < 1e-10
    # The scale is that of the gradient, not of what cancels.
    for name, ball in zip(("alpha", "gamma", "rho"), balls[1:], strict=True):
        assert getattr(result.scale, name) < 1e9 * abs(float(ball))


@both
def test_the_first_wrong_number_is_right(method):
    setting = Setting(L=3, C=2, q=0.5, p=3, nu=1.0, sigma_A=20.0)
    gradient = method(setting, Coefficients(1e-6, 0.0, 0.0)).gradient
    assert gradient.gamma == pytest.approx(-3.32989e-31, rel=1e-5)


@pytest.mark.parametrize("exponent", [7, 12, 18, 30, 45, 60])
@pytest.mark.parametrize("shape", [(3, 2), (5, 3), (9, 4)])
def test_rare_features_are_no_reason_to_refuse(exponent, shape):
    setting = Setting(L=shape[0], C=shape[1], q=3.7 * 10.0**-exponent, p=3, nu=0.05, sigma_A=2.0)
    state = Coefficients(0.6 / setting.D, 1.5, -0.2)
    result = evaluate(setting, state, tolerance=1e-11)
    if setting.D <= 6:
        assert excess(result, true_values(setting, state)) <= 1


def test_rounding_does_not_grow_with_the_number_of_sets():
    """Over more than a decade in L at one mean number of features, digits are not lost like L."""
    errors = []
    for L in (64, 1024):
        setting = Setting(L=L, C=4, q=20 / (4 * L), p=3, nu=0.05, sigma_A=3.0)
        state = Coefficients(0.5 / setting.D, 0.8478, -0.022)
        errors.append(expectation_by_quadrature(setting, state).relative_error)
    assert errors[1] < 4 * errors[0] < 1e-10


def test_sixteen_thousand_patches_are_accepted():
    setting = Setting(L=4096, C=4, q=20 / 4096, p=3, nu=0.05, sigma_A=3.0)
    result = evaluate(setting, Coefficients(0.0045, 0.8478, -0.022))
    # A run with twice the periods and windows, and another radius-free route to the first two.
    assert result.loss == pytest.approx(7.4533745059261, rel=1e-12)
    assert result.gradient.alpha == pytest.approx(1811.0638971341, rel=1e-12)


@pytest.mark.parametrize("exponent", [0, 1, 2, 7, 8, 9, 47, 48, 4094])
def test_powers_near_one_keep_their_digits(exponent):
    """(1 + x)^n against 60 digits: off by a few roundings of n x, not of n."""
    x = np.array([1e-6 - 3e-5j, -1e-9 + 1e-7j, -0.4 + 0.3j, -1.0, -1.9, 1e-3j, 0.0])
    found = _power(x, exponent)
    with mpmath.workdps(60):
        for value, power in zip(x.tolist(), found.tolist(), strict=True):
            exact = (1 + mpmath.mpc(value)) ** exponent if exponent else mpmath.mpf(1)
            # The last three squarings take the rounding of an (n/8)-th power to at most 1e-120.
            allowed = 1e-15 * (20 + 6 * exponent * abs(value)) * abs(exact)
            assert abs(power - exact) <= allowed + 1e-120


@both
def test_an_underflow_of_the_loss_shows(method):
    """q = 0: F is one number, 4600, and no float64 holds e^{−4600}."""
    setting = Setting(L=3, C=2, q=0, p=3, nu=0.1, sigma_A=1.0)
    state = Coefficients(2.0, 2.0, 0.0)
    result = method(setting, state)
    assert result.loss == 0 < result.loss_error
    assert excess(result, true_values(setting, state, bits=9000)) <= 1
    name = next(x for x, f in METHODS.items() if f is method)
    with pytest.raises(ArithmeticError, match="nothing is known of the loss.*certified"):
        population_loss(setting, state, name)


@both
@pytest.mark.parametrize("alpha", [1e-3, 0.1, 0.2, 0.5, 5.0])
def test_large_powers_are_right_or_refused(method, alpha):
    setting = Setting(L=2, C=2, q=0.5, p=301, nu=0.1, sigma_A=1.0)
    state = Coefficients(alpha, 0.5, -0.1)
    try:
        result, advice = method(setting, state), ""
    except ArithmeticError as error:
        result, advice = None, str(error)
    if result is None:
        assert alpha > 0.2
        assert "reduce alpha" in advice
    else:
        assert excess(result, true_values(setting, state, bits=2000)) <= 1


def test_powers_beyond_float64_are_refused_by_name():
    setting = Setting(L=2, C=2, q=0.5, p=1301, nu=0.1, sigma_A=1.0)
    with pytest.raises(ArithmeticError, match="p = 1301 is too large for float64: reduce p"):
        population_loss(setting, Coefficients(1e-3, 0.5, -0.1))


def test_equal_logits_and_silent_networks_have_no_error_in_what_vanishes():
    setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.5, sigma_A=0.7)
    for method in METHODS.values():
        equal = method(setting, Coefficients(0.3, 0.7, 0.7))
        silent = method(setting, Coefficients(0.0, 0.5, -0.1))
        for result in (equal, silent):
            assert result.gradient.gamma == result.gradient.rho == 0
            assert result.relative_error < 1e-11


@pytest.mark.parametrize("q", [Fraction(1, 3), 1 - Fraction(1, 10**9)])
@both
def test_rational_rates_are_not_rounded(method, q):
    """1 − float(q) has lost seven digits at 1 − q = 1e-9."""
    setting = Setting(L=3, C=2, q=q, p=3, nu=Fraction(1, 3), sigma_A=Fraction(20, 3))
    state = Coefficients(Fraction(1, 50), Fraction(1, 7), Fraction(-1, 9))
    result = method(setting, state)
    assert excess(result, true_values(setting, state)) <= 1
    assert result.relative_error < 1e-9


def test_deterministic_data_keep_relative_accuracy():
    """q = 0: F is one number, near 50, and the loss e^{−50} keeps its digits."""
    setting = Setting(L=3, C=2, q=0.0, p=3, nu=0.1, sigma_A=1.0)
    state = Coefficients(0.6, 2.0, -0.5)
    result = expectation_by_quadrature(setting, state)
    assert 0 < result.loss < 1e-20
    assert_agree(result, expectation_by_enumeration(setting, state), 1e-13)


def test_silent_network_has_loss_log_two():
    assert population_loss(VIT, Coefficients(0.0, 1.0, -1.0)) == pytest.approx(math.log(2), 1e-14)


def test_one_patch_sets_have_no_inside_gradient():
    setting = Setting(L=5, C=1, q=0.4, p=3, nu=0.2, sigma_A=1.0)
    assert population_gradient(setting, Coefficients(0.3, 0.7, -0.1)).gamma == 0


def test_rational_settings_are_accepted_by_every_method():
    setting = Setting(
        L=3, C=2, q=Fraction(1, 3), p=3, nu=Fraction(1, 7), sigma_A=Fraction(3, 2),
        temperature=Fraction(1, 2),
    )  # fmt: skip
    state = Coefficients(Fraction(1, 5), Fraction(1, 3), Fraction(-1, 9))
    assert_agree(
        expectation_by_quadrature(setting, state), expectation_by_enumeration(setting, state), 1e-13
    )


@pytest.mark.parametrize("method", ["quadrature", "enumeration"])
def test_overflow_is_refused(method):
    setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.1, sigma_A=1.0)
    with pytest.raises(ArithmeticError, match="overflows float64.*reduce alpha"):
        population_gradient(setting, Coefficients(1e120, 0.0, 0.0), method=method)


def test_range_beyond_quadrature_is_refused():
    setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.1, sigma_A=1.0)
    with pytest.raises(ArithmeticError, match="nodes.*enumeration"):
        population_gradient(setting, Coefficients(30.0, 0.0, 0.0))
    listed = evaluate(setting, Coefficients(30.0, 0.0, 0.0), method="enumeration", tolerance=1e-9)
    assert math.isfinite(listed.gradient.alpha)


def test_too_many_configurations_are_refused():
    assert configuration_count(VIT) > 10**12
    with pytest.raises(ArithmeticError, match="too many to enumerate.*quadrature"):
        population_gradient(VIT, VIT_STATES[0], method="enumeration")


def test_tolerance_that_cannot_be_met_is_refused():
    with pytest.raises(ArithmeticError, match="above the tolerance 1.0e-18"):
        population_loss(VIT, VIT_STATES[1], tolerance=1e-18)


def test_unknown_method_is_named():
    with pytest.raises(ValueError, match="method = 'magic'.*enumeration.*quadrature"):
        population_loss(VIT, VIT_STATES[0], method="magic")


def test_types_of_probability_zero_are_left_out():
    setting = Setting(L=3, C=2, q=1.0, p=3, nu=0.1, sigma_A=1.0)
    assert (set_types(setting).probability == 0).any()
    state = Coefficients(0.3, 0.5, -0.1)
    assert_agree(
        expectation_by_quadrature(setting, state), expectation_by_enumeration(setting, state), 1e-13
    )


@pytest.mark.parametrize("method", [expectation_by_quadrature, expectation_by_enumeration])
def test_what_is_too_small_for_a_float_is_not_taken_for_zero(method):
    """At α = 0 the slope is −(ν/2)DC; at ν = 0 it is −(3/2)α² times E[Σ (D(Sx)_i)³]."""
    tiny = Fraction(1, 10**400)
    linear = Setting(L=2, C=2, q=Fraction(1, 3), p=3, nu=tiny, sigma_A=1)
    assert method(linear, Coefficients(0, 0, 0)).gradient_error.alpha > 0
    cubic = replace(linear, nu=0)
    assert method(cubic, Coefficients(tiny, 0, 0)).gradient_error.alpha > 0
    assert method(cubic, Coefficients(0, 0, 0)).gradient_error.alpha == 0


@pytest.mark.parametrize("method", [expectation_by_quadrature, expectation_by_enumeration])
def test_refusals_say_what_overflows(method):
    setting = Setting(L=2, C=2, q=0.25, p=3, nu=0.05, sigma_A=1)
    state = Coefficients(0.2, 0.5, -0.1)
    for temperature in (1e308, Fraction(1, 10**400)):
        with pytest.raises(ArithmeticError, match="take a temperature nearer to 1"):
            method(replace(setting, temperature=temperature), state)
    with pytest.raises(ArithmeticError, match="reduce alpha"):
        method(setting, Coefficients(1e200, 0.5, -0.1))


def test_an_overflow_inside_the_quadrature_is_refused():
    setting = Setting(L=2, C=2, q=0.25, p=3, nu=0.05, sigma_A=1)
    with pytest.raises(ArithmeticError, match="overflow float64 at alpha = 1e[+]90"):
        expectation_by_quadrature(setting, Coefficients(1e90, 0.0, 0.0))


@pytest.mark.parametrize("method", [expectation_by_quadrature, expectation_by_enumeration])
@pytest.mark.parametrize("name", ["alpha", "gamma", "rho"])
def test_balls_are_no_floats(method, name):
    """The returned errors would cover neither a radius nor digits beyond float64."""
    setting = Setting(L=2, C=2, q=0.25, p=3, nu=0.05, sigma_A=1)
    state = Coefficients(0.25, 0.5, -0.125)
    with flint.ctx.workprec(200):
        exact = replace(state, **{name: flint.arb(getattr(state, name))})
        assert method(setting, exact) == method(setting, state)
        for ball in (flint.arb(0.5, 1e-3), flint.arb(1) + flint.arb(2) ** -70):
            with pytest.raises(ValueError, match=f"{name} must be no ball in floats"):
                method(setting, replace(state, **{name: ball}))


@both
def test_a_component_that_vanishes_on_every_image_is_no_reason_to_refuse(method):
    """(2,1), q = 1: T is 2 or 0, and F does not depend on ρ; its error is that of types that the
    totals leave no room for."""
    setting = Setting(L=2, C=1, q=1.0, p=3, nu=0.0, sigma_A=0.0)
    found = method(setting, Coefficients(1.0000000000000001e-07, 0.0, 0.0625))
    assert found.gradient.rho == found.scale.rho == 0 <= found.gradient_error.rho < 1e-50
    assert found.relative_error < 1e-11


def test_each_error_is_held_against_its_own_scale():
    def relative(scale: Coefficients, error: Coefficients, loss_error: float = 0.0) -> float:
        zero = Coefficients(0.0, 0.0, 0.0)
        return Expectation(0.5, zero, scale, loss_error, error).relative_error

    scale = Coefficients(1.0, 1e-6, 0.0)
    assert relative(scale, Coefficients(0.0, 1e-9, 0.0)) == pytest.approx(1e-3)
    # No scale of its own: the largest serves; and where there is none, nothing is accurate.
    assert relative(scale, Coefficients(0.0, 0.0, 1e-9)) == pytest.approx(1e-9)
    assert relative(Coefficients(0.0, 0.0, 0.0), Coefficients(1e-9, 0.0, 0.0)) > 1
    assert relative(scale, Coefficients(0.0, 0.0, 0.0), loss_error=1e-4) == pytest.approx(2e-4)
