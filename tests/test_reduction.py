"""The reduced model against the full one: exact sums, autograd, finite differences, code."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import permutations as ordered

import flint
import mpmath
import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    coefficients,
    group_elements,
    partitions,
    rational_settings,
    settings,
)

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.expectation.certified import ball
from theory.setting import Coefficients, Setting
from theory.symmetry import symbols
from theory.symmetry.levels import AttentionLevels, attention_levels
from theory.symmetry.reduction import pair_counts, set_derivatives, set_output, symbolic_levels
from theory.symmetry.shares import stable_terms
from theory.symmetry.terms import float_terms, set_terms
from theory.symmetry.weights import coefficients_of, weights_of


def types_of(delta, partition: Partition) -> list[tuple[int, int]]:
    """(n₊, n₋) of every set."""
    features = [[delta[j] for j in members] for members in partition.sets]
    return [(values.count(1), values.count(-1)) for values in features]


def reduced(setting: Setting, alpha, levels: AttentionLevels, types) -> list:
    """F, ∂F/∂v·w*, ∂F/∂A_in, ∂F/∂A_across of one sample of label +1, summed over its sets."""
    total = sum(plus - minus for plus, minus in types)
    terms = [set_terms(setting, alpha, levels, *kind, total) for kind in types]
    return [sum(getattr(t, name) for t in terms) for name in ("F", "alpha", "gamma", "rho")]


# --- Against autograd and finite differences on the full weights


def torch_loss(setting: Setting, partition: Partition, A: torch.Tensor, v: torch.Tensor):
    """E log(1 + e^{−yF}) of the full model at w* = (1, 0), noise (0, ±1): all samples at once."""
    samples = list(enumerate_samples(partition, setting.q))
    delta = torch.tensor([x.delta for x in samples], dtype=torch.float64)
    y = torch.tensor([x.y for x in samples], dtype=torch.float64)
    chance = torch.tensor([float(x.probability) for x in samples], dtype=torch.float64)
    # One noise sign per sample and its opposite: centred and independent of (δ, y).
    loss = 0
    S = torch.softmax(A / float(setting.temperature), dim=1)
    for sign in (1.0, -1.0):
        X = torch.stack([delta, torch.full_like(delta, sign)], dim=-1)
        O = setting.D * torch.einsum("ij,nj->ni", S, X @ v)
        F = (O**setting.p + float(setting.nu) * O).sum(dim=1)
        loss = loss + (chance * torch.nn.functional.softplus(-y * F)).sum() / 2
    return loss


@st.composite
def states(draw: st.DrawFn, max_D: int = 6) -> tuple[Setting, Partition, Coefficients]:
    partition = draw(partitions(max_D=max_D, max_C=3))
    base = draw(settings(max_D=max_D))
    setting = replace(base, L=partition.L, C=partition.C)
    return setting, partition, draw(coefficients(setting, bound=20.0))


def reduced_population_gradient(
    setting: Setting, partition: Partition, state: Coefficients
) -> Coefficients:
    """−E sig(−F) ∂F by the reduced terms, summed over every sample of label +1."""
    levels, gradient = attention_levels(setting, state), np.zeros(3)
    chances: Counter = Counter()
    for sample in enumerate_samples(partition, setting.q):
        if sample.y == 1:
            types = tuple(sorted(types_of(sample.delta, partition)))
            chances[types] += 2 * float(sample.probability)
    for types, chance in chances.items():
        F, *terms = reduced(setting, state.alpha, levels, types)
        gradient -= chance / (1 + math.exp(F)) * np.array(terms, dtype=float)
    return Coefficients(*gradient.tolist())


@given(states(), st.data())
def test_reduced_gradient_is_autograd_and_finite_differences_on_all_weights(
    state: tuple, data: st.DataObject
) -> None:
    setting, partition, at = state
    A, v = weights_of(setting, at, partition, np.array([1.0, 0.0]))
    tensors = [torch.tensor(x, requires_grad=True) for x in (A, v)]
    in_A, in_v = (
        x.numpy() for x in torch.autograd.grad(torch_loss(setting, partition, *tensors), tensors)
    )
    expected = reduced_population_gradient(setting, partition, at)

    off_diagonal = ~np.eye(setting.D, dtype=bool)
    inside, across = partition.same_set & off_diagonal, ~partition.same_set
    # Entries are sums of terms up to |O|^p; |F| <= 20 keeps those below 1e3.
    close = dict(rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(in_A[inside], expected.gamma, **close)
    np.testing.assert_allclose(in_A[across], expected.rho, **close)
    np.testing.assert_allclose(in_v, [expected.alpha, 0.0], **close)
    # With the diagonal fixed, the rest of a row moves by what the diagonal would have moved.
    row_sum = (setting.C - 1) * expected.gamma + (setting.D - setting.C) * expected.rho
    np.testing.assert_allclose(np.diag(in_A), -row_sum, **close)

    h = 1e-5
    i, j = data.draw(st.sampled_from(list(ordered(range(setting.D), 2))))
    step = np.zeros_like(A)
    step[i, j] = h
    up, down = (
        torch_loss(setting, partition, *map(torch.tensor, (B, v))) for B in (A + step, A - step)
    )
    entry = expected.gamma if partition.same_set[i, j] else expected.rho
    assert float(up - down) / (2 * h) == pytest.approx(entry, rel=1e-4, abs=1e-7)


# --- The formulas and the code generated from them


@pytest.mark.slow
@pytest.mark.parametrize("coefficient", [symbols.alpha, symbols.gamma, symbols.rho])
@pytest.mark.parametrize("p", [3, 5])
def test_derivatives_are_those_of_the_exponentials(coefficient: sp.Symbol, p: int) -> None:
    """∂/∂γ and ∂/∂ρ written in Λ, Γ, Ξ against sympy's derivative of the softmax, for all L, C."""
    in_exponentials = symbolic_levels()
    direct = set_output().subs(symbols.p, p).subs(in_exponentials).diff(coefficient)
    claimed = set_derivatives()[coefficient].subs(symbols.p, p).subs(in_exponentials)
    # e^{x/τ} and Z become free positive symbols; equality is then one of polynomials.
    a, g, r, Z, theta = sp.symbols("a g r Z theta", positive=True)
    names = {
        sp.exp(x / symbols.tau): y
        for x, y in ((symbols.sigma_A, a), (symbols.gamma, g), (symbols.rho, r))
    }
    total = a + (symbols.C - 1) * g + (symbols.D - symbols.C) * r

    def polynomial(expression: sp.Expr) -> sp.Expr:
        return expression.subs(names).subs(total, Z).subs(symbols.tau, 1 / theta)

    difference = polynomial(direct) - polynomial(claimed)
    assert not difference.has(sp.exp)
    # O is degree 1 in 1/Z and its slope 2, so Z^(p+1) clears every denominator.
    cleared = sp.expand(difference * Z ** (p + 1)).subs(Z, total)
    assert sp.expand(cleared) == 0


def test_formulas_ignore_a_shift_of_all_logits() -> None:
    """So ∂F/∂σ_A + ∂F/∂γ + ∂F/∂ρ = 0, which the fixed diagonal turns into a law for the others."""
    levels = symbolic_levels()
    shift = sp.Symbol("c", real=True)
    moved = {x: x + shift for x in (symbols.sigma_A, symbols.gamma, symbols.rho)}
    for level in levels.values():
        assert sp.simplify(level.subs(moved, simultaneous=True) - level) == 0


def test_levels_fill_a_row() -> None:
    levels = symbolic_levels()
    row = (
        levels[symbols.Lambda]
        + (symbols.C - 1) * levels[symbols.Gamma]
        + (symbols.D - symbols.C) * levels[symbols.Xi]
    )
    assert sp.simplify(row) == 1


@st.composite
def rational_points(draw: st.DrawFn) -> tuple:
    """(setting, α, levels, types of all L sets) in Fractions; the levels fill a row."""
    setting = draw(rational_settings(max_D=24, max_C=6))
    a, g, r = (Fraction(draw(st.integers(1, 12)), 4) for _ in range(3))
    Z = a + (setting.C - 1) * g + (setting.D - setting.C) * r
    kinds = []
    for _ in range(setting.L):
        plus = draw(st.integers(0, setting.C))
        kinds.append((plus, draw(st.integers(0, setting.C - plus))))
    alpha = draw(st.fractions(-1, 1, max_denominator=8))
    return setting, alpha, AttentionLevels(a / Z, g / Z, r / Z), kinds


def symbolic_terms(setting, alpha, levels, kinds) -> list[sp.Rational]:
    """The printed formulas at a point, by substitution, summed over the sets."""
    size = symbols.at(L=setting.L, C=setting.C, p=setting.p)
    point = symbols.at(
        nu=setting.nu,
        tau=setting.temperature,
        alpha=alpha,
        Lambda=levels.Lambda,
        Gamma=levels.Gamma,
        Xi=levels.Xi,
        T=sum(plus - minus for plus, minus in kinds),
    )
    formulas = [e.subs(size).subs(point) for e in (set_output(), *set_derivatives().values())]
    values = [
        sum(e.subs(symbols.at(n_plus=plus, n_minus=minus)) for plus, minus in kinds)
        for e in formulas
    ]
    inside, across = (count.subs(size) for count in pair_counts().values())
    return [values[0], values[1], values[2] / inside if inside else 0, values[3] / across]


@given(rational_points())
def test_terms_add_up_to_the_symbolic_expression(point: tuple) -> None:
    computed = reduced(*point)
    assert all(isinstance(x, Fraction) for x in computed)
    assert [sp.Rational(x) for x in computed] == symbolic_terms(*point)


def first(*forms: object) -> object:
    return forms[0]


def last(*forms: object) -> object:
    return forms[-1]


@pytest.mark.parametrize("p", [3, 5, 7])
@pytest.mark.parametrize("crowded", [False, True])
@pytest.mark.parametrize("choose", [first, last])
@pytest.mark.parametrize(("L", "C"), [(2, 1), (2, 3), (3, 2), (5, 4)])
def test_stable_terms_add_up_to_the_definition(p, crowded, choose, L, C) -> None:
    """As polynomials in α, Γ, Ξ, ν, n₊, n₋ and T: per set they differ by a multiple of CT − Ds.

    That multiple depends on T alone, so the L sets of a sample add it up to 0.
    """
    names = ["alpha", "Gamma", "Xi", "nu", "plus", "minus", "T"]
    alpha, Gamma, Xi, nu, plus, minus, T = flint.fmpq_mpoly_ctx.get(names, "lex").gens()
    levels = AttentionLevels(1 - (C - 1) * Gamma - (L * C - C) * Xi, Gamma, Xi)
    setting = Setting(L=L, C=C, q=0, p=p, nu=0, sigma_A=0)
    size = symbols.at(L=L, C=C, p=p, tau=1)
    weights = [symbols.alpha, symbols.Lambda, symbols.Gamma, symbols.Xi, symbols.nu]
    code = sp.lambdify(
        [*weights, symbols.n_plus, symbols.n_minus, symbols.T],
        [e.subs(size) for e in (set_output(), *set_derivatives().values())],
        "math",
    )

    def gaps(plus, minus) -> list:
        definition = code(alpha, levels.Lambda, Gamma, Xi, nu, plus, minus, T)
        terms = stable_terms(
            setting, alpha, levels, plus, minus, T, nu=nu, crowded=crowded, choose=choose
        )
        return [x - y for x, y in zip(terms, definition, strict=True)]

    lean = C * T - L * C * (plus - minus)
    for gap, at_none in zip(gaps(plus, minus), gaps(0, 0), strict=True):
        assert C * T * gap == lean * at_none


def test_another_stable_form_would_be_noticed() -> None:
    """The reference of the even power belongs to crowded laws only: per set the two differ."""
    setting = Setting(L=3, C=2, q=0, p=3, nu=0, sigma_A=0)
    levels = AttentionLevels(Fraction(1, 2), Fraction(1, 10), Fraction(1, 10))
    one, other = (
        stable_terms(setting, Fraction(1), levels, 1, 0, 2, nu=0, crowded=crowded)
        for crowded in (False, True)
    )
    assert one[:2] == other[:2]
    assert one[2] != other[2]


@given(rational_points())
def test_generated_code_encloses_the_exact_value_in_balls(point: tuple) -> None:
    setting, alpha, levels, kinds = point
    kind = (*kinds[0], sum(plus - minus for plus, minus in kinds))
    # An integer temperature other than 1, so that a rounded 1/τ would show.
    setting = replace(setting, nu=int(setting.nu), temperature=3)
    with flint.ctx.workprec(200):
        as_balls = AttentionLevels(*map(ball, (levels.Lambda, levels.Gamma, levels.Xi)))
        in_balls = set_terms(setting, ball(alpha), as_balls, *kind)
    exact = set_terms(setting, alpha, levels, *kind)
    for name in ("F", "alpha", "gamma", "rho"):
        enclosure, value = getattr(in_balls, name), getattr(exact, name)
        assert isinstance(value, Fraction)
        assert isinstance(enclosure, flint.arb)
        with flint.ctx.workprec(400):
            assert enclosure.overlaps(ball(value))
        # Nothing here exceeds 1e25: 200 bits leave a radius far below this, rounded input not.
        assert enclosure.rad() < 1e-30


@given(settings(max_D=24), st.data())
def test_float_terms_are_within_their_errors(setting: Setting, data: st.DataObject) -> None:
    """Against balls at the exact parameters, for every type and every total."""
    state = data.draw(coefficients(setting))
    kinds = [(a, b) for a in range(setting.C + 1) for b in range(setting.C + 1 - a)]
    plus, minus = np.array(kinds).T[:, :, None]
    total = np.arange(-setting.n, setting.D + 1)
    terms, errors = float_terms(setting, state, plus, minus, total)
    with flint.ctx.workprec(300):
        exact = Coefficients(*(ball(Fraction(x)) for x in (state.alpha, state.gamma, state.rho)))
        levels = attention_levels(
            setting, exact, number=lambda x: x if isinstance(x, flint.arb) else ball(Fraction(x)),
            exp=lambda x: x.exp(),
        )  # fmt: skip
        for k, (a, b) in enumerate(kinds):
            for j in range(0, len(total), 5):
                truth = set_terms(
                    setting, exact.alpha, levels, a, b, int(total[j]),
                    number=lambda x: ball(Fraction(x)),
                )  # fmt: skip
                for name in ("F", "alpha", "gamma", "rho"):
                    exact_value = getattr(truth, name)
                    gap = abs(exact_value - ball(Fraction(getattr(terms, name)[k, j])))
                    assert not gap > getattr(errors, name)[k, j], (name, a, b, total[j])
                    assert exact_value.rad() < 1e-60


@given(settings(max_D=24), st.data())
def test_generated_code_broadcasts_over_arrays(setting: Setting, data: st.DataObject) -> None:
    state = data.draw(coefficients(setting))
    levels = attention_levels(setting, state)
    plus = np.arange(setting.C + 1)
    minus = setting.C - plus
    total = np.arange(-setting.n, setting.D + 1)[:, None]
    terms = set_terms(setting, state.alpha, levels, plus, minus, total)
    assert terms.F.shape == (setting.n + setting.D + 1, setting.C + 1)
    one = set_terms(setting, state.alpha, levels, setting.C, 0, int(total[3, 0]))
    for name in ("F", "alpha", "gamma", "rho"):
        assert getattr(terms, name)[3, -1] == pytest.approx(getattr(one, name), rel=1e-12)


# --- Levels in floating point


@given(
    settings(max_D=36),
    *[st.sampled_from([0.0, 1.0, -3.0, 40.0, 800.0, 1e4, -800.0, -1e4])] * 3,
)
def test_levels_are_stable_at_large_logits(setting: Setting, sigma_A, gamma, rho) -> None:
    setting = replace(setting, sigma_A=sigma_A)
    levels = attention_levels(setting, Coefficients(alpha=0.0, gamma=gamma, rho=rho))
    inside, across = setting.C - 1, setting.D - setting.C
    assert math.isclose(
        levels.Lambda + inside * levels.Gamma + across * levels.Xi, 1.0, rel_tol=1e-12
    )
    with mpmath.workdps(40):
        tau = mpmath.mpf(setting.temperature)
        weights = [mpmath.exp(mpmath.mpf(x) / tau) for x in (sigma_A, gamma, rho)]
        Z = weights[0] + inside * weights[1] + across * weights[2]
        exact = [float(w / Z) for w in weights]
    computed = [levels.Lambda, levels.Gamma, levels.Xi]
    if setting.C == 1:
        # No pair holds γ: Γ is not in any row, and must not spoil the others.
        del exact[1], computed[1]
    assert computed == pytest.approx(exact, rel=1e-12, abs=1e-300)


@given(settings(max_D=36), st.data())
def test_levels_ignore_a_shift_of_all_logits(setting: Setting, data: st.DataObject) -> None:
    state = data.draw(coefficients(setting))
    shift = data.draw(st.integers(-64, 64)) / 8
    moved = attention_levels(
        replace(setting, sigma_A=setting.sigma_A + shift),
        replace(state, gamma=state.gamma + shift, rho=state.rho + shift),
    )
    assert moved == attention_levels(setting, state)


# --- Weights and coefficients


@given(states(max_D=24), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_coefficients_of_inverts_weights_of(state: tuple, d: int, seed: int) -> None:
    setting, partition, at = state
    w_star = np.random.default_rng(seed).normal(size=d)
    w_star /= np.linalg.norm(w_star)
    A, v = weights_of(setting, at, partition, w_star)
    assert A.shape == (setting.D, setting.D)
    assert (np.diag(A) == setting.sigma_A).all()
    back = coefficients_of(A, v, partition, w_star)
    expected = at if setting.C > 1 else replace(at, gamma=0.0)
    for name in ("alpha", "gamma", "rho"):
        assert getattr(back, name) == pytest.approx(getattr(expected, name), rel=1e-12, abs=1e-15)


@given(states(max_D=12), st.data())
def test_weights_follow_the_partition(state: tuple, data: st.DataObject) -> None:
    setting, partition, at = state
    g = data.draw(group_elements(partition))
    A, _ = weights_of(setting, at, partition, np.array([1.0]))
    assert (A[np.ix_(g, g)] == A).all()


@pytest.mark.parametrize(
    ("labels", "sizes"),
    [((0, 0, 1, 1), "2, 2"), ((0, 0, 0, 1, 1, 1), "3, 3"), ((0, 0, 1, 1, 2, 1), "2, 3, 1")],
)
def test_weights_need_the_partition_of_the_setting(labels: tuple[int, ...], sizes: str) -> None:
    # The second and third have the D = 6 patches of the setting, but not its sets.
    setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.0, sigma_A=1.0)
    said = rf"sets of sizes \[{sizes}\]: partition must have L = 3 sets of C = 2 patches"
    with pytest.raises(ValueError, match=said):
        weights_of(setting, Coefficients(0.1, 0.0, 0.0), Partition(labels), np.ones(1))


@pytest.mark.parametrize(
    ("A", "v", "w_star", "labels", "said"),
    [
        ((3, 3), (2,), (2,), (0, 0, 1, 1), r"A of shape \(3, 3\): A must have shape \(4, 4\)"),
        ((4,), (2,), (2,), (0, 0, 1, 1), r"A of shape \(4,\)"),
        ((4, 4), (2,), (3,), (0, 0, 1, 1), r"v of shape \(2,\): v must have the shape \(3,\)"),
        ((4, 4), (2, 1), (2,), (0, 0, 1, 1), r"v of shape \(2, 1\): v must be a vector"),
        ((4, 4), (2,), (), (0, 0, 1, 1), r"w_star of shape \(\): w_star must be a vector"),
        ((4, 4), (2,), (2,), (0, 0, 0, 0), "one set"),
    ],
)
def test_coefficients_need_weights_of_one_shape(
    A: tuple, v: tuple, w_star: tuple, labels: tuple, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        coefficients_of(np.ones(A), np.ones(v), Partition(labels), np.ones(w_star))
