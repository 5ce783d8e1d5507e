"""Statements of the chapter on the dynamics: start, plateau, drive, descent and flow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations_with_replacement, pairwise, permutations, product
from typing import Any

import numpy as np
import sympy as sp
from flint import arb, ctx

from theory.certificates import TABLE, certificate
from theory.certified import ball, certified_expectation
from theory.certified_descent import check_step
from theory.distribution import invariant_error, spurious_law
from theory.dynamics import acts, gradient_descent, gradient_flow
from theory.enumeration import rational_slope
from theory.model import SimplifiedViT, enumerate_samples, polynomial_activation
from theory.partition import Partition
from theory.reduction import (
    SYMBOLS,
    AttentionLevels,
    pair_counts,
    set_derivatives,
    set_terms,
)
from theory.setting import Coefficients, Setting
from theory.start import EXCESS, start_rates
from theory.statements.network import rational_sigmoid
from theory.statements.statement import (
    Check,
    Statement,
    certified,
    property_,
    require,
    symbolic,
)

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, object]]

_s, _b = SYMBOLS, EXCESS


@symbolic("α' and the two gap rates of the code are those of all ordered pairs at (2, 2), p = 3")
def descent_of_the_code() -> Claims:
    setting = Setting(L=2, C=2, q=Fraction(1, 3), p=3, nu=Fraction(1, 5), sigma_A=1)
    for L, C in product((2, 3, 5), (1, 2, 4)):
        at = {_s.L: L, _s.C: C}
        partition = Partition.contiguous(L, C)
        inside = int(partition.same_set.sum()) - partition.D
        yield f"in-set pairs at {L, C}", int(pair_counts()[_s.gamma].subs(at)), inside
        across = int((~partition.same_set).sum())
        yield f"cross pairs at {L, C}", int(pair_counts()[_s.rho].subs(at)), across
    levels = AttentionLevels(Fraction(1, 2), Fraction(1, 4), Fraction(1, 8))
    half = rational_slope(setting, Fraction(1, 3), levels, lambda F: Fraction(1, 2))
    third = rational_slope(setting, Fraction(1, 3), levels, lambda F: Fraction(1, 3))
    for name in ("alpha", "gamma", "rho"):
        yield f"linear in the factor: {name}", getattr(half, name) * 2, getattr(third, name) * 3


@symbolic("every ordered pair, all images, α, b, ν, τ, at (L, C) = (2, 2), p = 3, 5")
def equal_logits() -> Claims:
    alpha, b, nu = sp.symbols("alpha b nu", positive=True)
    for p in (3, 5):
        vit = SimplifiedViT(4, 1, polynomial_activation(p, nu))
        state = {w: sp.S.One for w in vit.weights} | {vit.weights[i, i]: 1 + b for i in range(4)}
        state[vit.v[0]] = alpha
        in_A, _ = vit.gradient(vit.output)
        x, Z = list(vit.X), 4 + b
        kappa, T = 4 * alpha / Z, sum(x)
        for i in range(4):
            O = (4 * vit.attention.row(i) * vit.X * vit.v)[0].xreplace(state)
            yield f"O of patch {i}", sp.cancel(O - kappa * (b * x[i] + T)), sp.S.Zero
        for i, j in ((0, 1), (0, 2), (3, 1)):  # the others are these with other names
            O = kappa * (b * x[i] + T)
            slope = p * O ** (p - 1) + nu
            formula = kappa / vit.tau * slope * (x[j] - (b * x[i] + T) / Z)
            yield f"∂F/∂A[{i}, {j}], p = {p}", sp.cancel(in_A[i, j].xreplace(state) - formula), 0


def _start_formulas() -> dict[str, sp.Expr]:
    L, C, q, nu, tau, alpha = _s.L, _s.C, _s.q, _s.nu, _s.tau, _s.alpha
    D = L * C
    n, Z = D - C, D + _b
    V, K = q * n, 3 * alpha**3 * D**2 * C / (2 * tau * Z**4)
    braces = (D + 3 * _b) * (C**2 + 3 * V) + 3 * _b**2 * (C + V) + _b**3
    return {
        "alpha": (nu * D * C + 3 * alpha**2 * D**3 * C / Z**3 * braces) / 2,
        "gamma": K * _b * n * (2 * C - 6 * q + _b * (1 - 3 * q)),
        "gap": K * Z * _b * (_b * (1 - q) + 2 * (C - 2 * q)),
    }


@symbolic("all L, C, q, ν, τ, α and b")
def rates_at_the_start() -> Claims:
    rates, formulas = start_rates(3), _start_formulas()
    yield "α'", rates[_s.alpha], formulas["alpha"]
    yield "γ'", rates[_s.gamma], formulas["gamma"]
    yield "γ' − ρ'", rates[_s.gamma] - rates[_s.rho], formulas["gap"]
    yield "ν in γ'", rates[_s.gamma].diff(_s.nu), sp.S.Zero
    yield "ν in ρ'", rates[_s.rho].diff(_s.nu), sp.S.Zero


@symbolic("the same by enumeration in rationals at (L, C) = (3, 2), (2, 3), three b, two q")
def rates_by_enumeration() -> Claims:
    formulas = _start_formulas()
    for (L, C), b, q in product(
        ((3, 2), (2, 3)), map(Fraction, ("-1/2", "1", "19")), map(Fraction, ("1/2", "1"))
    ):
        setting = Setting(L=L, C=C, q=q, p=3, nu=Fraction(1, 5), sigma_A=0)
        Z = setting.D + b
        levels = AttentionLevels((1 + b) / Z, 1 / Z, 1 / Z)
        rate = rational_slope(setting, Fraction(1, 3), levels, lambda F: Fraction(1, 2))
        names = {_s.L: L, _s.C: C, _s.q: q, _s.nu: setting.nu, _s.tau: 1, _s.alpha: Fraction(1, 3)}
        at = {x: sp.Rational(v) for x, v in (names | {_b: b}).items()}
        found = {"alpha": rate.alpha, "gamma": rate.gamma, "gap": rate.gamma - rate.rho}
        for name, value in found.items():
            yield f"{name} at {L, C, b, q}", Fraction(str(formulas[name].subs(at))), value


@symbolic("every image at (L, C) = (2, 2), (3, 2), (2, 3), all q; the algebra for all sizes")
def moments_of_the_start() -> Claims:
    q, b = sp.symbols("q b")
    for L, C in ((2, 2), (3, 2), (2, 3)):
        D, n = L * C, (L - 1) * C
        V = q * n
        partition = Partition.contiguous(L, C)
        pairs = list(permutations(range(D), 2))
        means = {name: [sp.S.Zero] * 2 for name in ("x²x", "Txx", "x")}
        cubes = total = third = nonzero = mixed = sp.S.Zero
        for s in enumerate_samples(partition, q):
            if s.y == 1:
                chance, x, R = 2 * s.probability, s.delta, sum(s.delta) - C
                for kind in (0, 1):
                    chosen = [p for p in pairs if bool(partition.same_set[p]) == (kind == 0)]
                    for name, f in (
                        ("x²x", lambda i, j, x=x: x[i] ** 2 * x[j]),
                        ("Txx", lambda i, j, x=x, T=C + R: T * x[i] * x[j]),
                        ("x", lambda i, j, x=x: x[j]),
                    ):
                        mean = sp.Rational(sum(f(i, j) for i, j in chosen), len(chosen))
                        means[name][kind] += chance * mean
                cubes += chance * sum((b * f + C + R) ** 3 for f in x) / D
                total, third = total + chance * (C + R), third + chance * (C + R) ** 3
                N = sum(map(abs, x)) - C
                nonzero, mixed = nonzero + chance * N, mixed + chance * N * R
        expected = {
            "x²x": (sp.Rational(1, L), q / L),
            "Txx": (sp.Rational(C, L), 2 * q / L),
            "x": (sp.Rational(C, D), sp.Rational(C, D)),
        }
        for name, (inside, across) in expected.items():
            yield f"E {name} inside at {L, C}", means[name][0], inside
            yield f"E {name} across at {L, C}", means[name][1], across
        yield f"E T at {L, C}", total, sp.Integer(C)
        yield f"E T³ at {L, C}", third, C**3 + 3 * C * V
        yield f"E N and E NR at {L, C}", nonzero + 7 * mixed, V
        right = b**3 * C + 3 * b**2 * C * (C + V) + (3 * b + D) * (C**3 + 3 * C * V)
        yield f"mean of M³ at {L, C}", cubes, right / D
    # From the moments to the three rates, for all sizes.
    L, C = sp.symbols("L C", positive=True)
    kappa, tau = sp.symbols("kappa tau", positive=True)
    D, n = L * C, L * C - C
    V, Z = q * n, D + b
    slope = 3 * kappa**3 / (2 * tau)
    gap = slope / L * (b**2 * (1 - q) + 2 * b * (C - 2 * q))
    cubes = (b**3 * C + 3 * b**2 * C * (C + V) + (3 * b + D) * (C**3 + 3 * C * V)) / D
    inside = (b**2 + 2 * b * C) / L + (C**3 + 3 * C * V) / D
    gamma = slope * (inside - cubes / Z)
    factor = 3 * kappa**3 * C / (2 * tau * D * Z)
    braces = (D + b) * (b**2 + 2 * b * C) - b**3 - 3 * b**2 * (C + V) - 2 * b * (C**2 + 3 * V)
    yield "γ' by the first line", sp.cancel(gamma - factor * braces), sp.S.Zero
    last = factor * b * (b * (D - C - 3 * V) + 2 * C * (D - C) - 6 * V)
    yield "γ' by the second line", sp.cancel(gamma - last), sp.S.Zero
    names = {_s.L: L, _s.C: C, _s.q: q, _s.tau: tau, _b: b}
    formulas = _start_formulas()
    for name, value in (("gamma", gamma), ("gap", gap)):
        right = formulas[name].subs(names).subs(_s.alpha, kappa * Z / D)
        yield f"{name} with α for κ", sp.cancel(value - right), sp.S.Zero
    weight = kappa * Z / D  # α
    of_alpha = (3 * kappa**3 * D * cubes / weight + _s.nu * kappa * Z * C / weight) / 2
    right = formulas["alpha"].subs(names).subs(_s.alpha, weight)
    yield "α'", sp.cancel(of_alpha - right), sp.S.Zero


@symbolic("all L, all C ≥ 2, q ≤ 1, σ_A: as a sum of products of factors ≥ 0")
def sign_at_the_start() -> Claims:
    weight, more, rest = sp.symbols("a c u", nonnegative=True)  # e^{σ_A/τ}, C − 2, 1 − q
    gap = _start_formulas()["gap"]
    bracket = sp.cancel(gap / (3 * _s.alpha**3 * (_s.L * _s.C) ** 2 * _s.C * _b)
                        * 2 * _s.tau * (_s.L * _s.C + _b) ** 3)  # fmt: skip
    changed = bracket.subs({_b: weight - 1, _s.C: 2 + more, _s.q: 1 - rest})
    # Zero only if c = 0 and u = 0, that is C = 2 and q = 1.
    yield "bracket", changed, rest * (weight + 3) + 2 * more
    yield "at (C, q) = (2, 1)", gap.subs({_s.C: 2, _s.q: 1}), sp.S.Zero


@symbolic("the slope of sig, and powers of α in F and in the mean derivatives of any image, p = 3")
def orders_at_the_start() -> Claims:
    z = sp.Symbol("z")
    sig = 1 / (1 + sp.exp(-z))
    square = (sig - sp.Rational(1, 2)) ** 2
    yield "sig' = ¼ − (sig − ½)²", sig.diff(z), sp.Rational(1, 4) - square
    # One image at equal logits: n± counts over the sets; ∂F sums over sets of any types.
    u = sp.Symbol("u", positive=True)
    equal = {_s.p: 3, _s.Lambda: (1 + _b) * u, _s.Gamma: u, _s.Xi: u, _s.tau: 1}
    m = sp.symbols("m_plus m_minus")
    for x in pair_counts():
        per_set = sp.expand(set_derivatives()[x].subs(equal))
        linear = per_set.coeff(_s.alpha, 1)
        # The part of order α is ν times a linear function of (n₊, n₋) and T: at the whole image,
        # of T = n₊ − n₋ + m₊ − m₋ over L sets, it vanishes with u = 1/(D + b).
        other = {_s.n_plus: m[0] / (_s.L - 1), _s.n_minus: m[1] / (_s.L - 1)}
        whole = linear + (_s.L - 1) * linear.subs(other, simultaneous=True)
        T = _s.n_plus - _s.n_minus + m[0] - m[1]
        whole = whole.subs(_s.T, T).subs(u, 1 / (_s.L * _s.C + _b))
        yield f"order α of the derivative in {x}", sp.cancel(sp.together(whole)), sp.S.Zero
        yield f"order α² in {x}", per_set.coeff(_s.alpha, 2), sp.S.Zero


@symbolic("all counts and b, p = 3, 5, 7: F at T = k ≥ 1 as a sum of positive products")
def sign_of_the_output() -> Claims:
    k, m, zero, b, kappa = sp.symbols("k m n_0 b kappa", positive=True)
    for p in (3, 5, 7):
        sigma = polynomial_activation(p, _s.nu)
        F = (m + k) * sigma(kappa * (k + b)) + zero * sigma(kappa * k)
        F += m * sigma(kappa * (k - b))  # n₋ = m patches see T − b
        pairs = sum(sp.binomial(p, 2 * j) * k ** (p - 2 * j) * b ** (2 * j)
                    for j in range((p + 1) // 2))  # fmt: skip
        positive = k * sigma(kappa * (k + b)) + zero * sigma(kappa * k)
        # Even powers of b alone: positive for b < 0 too; and k + b > 0 as b > −1.
        positive += 2 * m * (kappa**p * pairs + _s.nu * kappa * k)
        yield f"F at T = k, p = {p}", F, positive
        tie = m * sigma(kappa * b) + m * sigma(-kappa * b)
        yield f"F at T = 0, p = {p}", tie, sp.S.Zero


def _outputs(setting: Setting, levels: AttentionLevels, alpha: Fraction) -> Iterator[tuple]:
    """(probability, T, F) of every image of label +1, over all signal sets."""
    partition = Partition.contiguous(setting.L, setting.C)
    for s in enumerate_samples(partition, setting.q):
        if s.y == 1 and s.probability:
            features = [[s.delta[j] for j in members] for members in partition.sets]
            T = sum(s.delta)
            terms = [
                set_terms(setting, alpha, levels, x.count(1), x.count(-1), T, number=Fraction)
                for x in features
            ]
            yield 2 * s.probability, T, sum(t.F for t in terms)


@symbolic("exact error at (3, 2), (2, 3), p = 3, 5, three b, and at 1 + 10⁻⁶ times equal logits")
def frozen_error() -> Claims:
    for (L, C), p, b in product(((2, 2), (2, 3)), (3, 5), map(Fraction, ("-1/2", "1", "6"))):
        setting = Setting(L=L, C=C, q=Fraction(3, 5), p=p, nu=Fraction(1, 4), sigma_A=0)
        law, Z = spurious_law(setting), setting.D + b
        equal = AttentionLevels((1 + b) / Z, 1 / Z, 1 / Z)
        error = sum(w for w, _, F in _outputs(setting, equal, Fraction(2)) if F <= 0)
        yield f"error at {L, C, p, b}", error, law.total(law.value <= -C)
        fair = error - sum(w for w, _, F in _outputs(setting, equal, Fraction(2)) if F == 0) / 2
        yield f"fair ties at {L, C, p, b}", fair, invariant_error(setting)
        for nudge in (Fraction(1, 10**6), Fraction(-1, 10**6)):
            rho = 1 + nudge
            Z = 1 + b + (C - 1) + (setting.D - C) * rho
            near = AttentionLevels((1 + b) / Z, 1 / Z, rho / Z)
            wrong = sum(w for w, _, F in _outputs(setting, near, Fraction(2)) if F <= 0)
            between = law.total(law.value < -C) <= wrong <= law.total(law.value <= -C)
            yield f"near {L, C, p, b}", between, True


@certified("the velocity of α in balls, at three settings, near 0 and far out")
def plateau_changes_sign() -> Margins:
    for L, C, q, nu, low, high in (
        (3, 2, "1/2", "1/2", "1/100", "1"),
        (4, 1, "1/4", "1/20", "1/100", "2"),
        (3, 3, "4/5", "1", "1/200", "1"),
    ):
        setting = Setting(L=L, C=C, q=Fraction(q), p=3, nu=Fraction(nu), sigma_A=1)
        rises = certified_expectation(setting, Coefficients(Fraction(low), 0, 0)).gradient.alpha
        falls = certified_expectation(setting, Coefficients(Fraction(high), 0, 0)).gradient.alpha
        yield f"rises at {L, C, q}", -rises
        yield f"falls at {L, C, q}", falls


@symbolic("a rational factor for the sigmoid; (L, C) = (2, 2), (3, 2), (2, 3), p = 3, 5, three b")
def drive_by_enumeration() -> Claims:
    for (L, C), p, b in product(
        ((2, 2), (3, 2), (2, 3)), (3, 5), map(Fraction, ("-1/3", "2", "7"))
    ):
        q, nu, alpha = Fraction(3, 5), Fraction(1, 4), Fraction(1, 2)
        setting = Setting(L=L, C=C, q=q, p=p, nu=nu, sigma_A=0)
        D, n = setting.D, setting.n
        Z = D + b
        levels, kappa = AttentionLevels((1 + b) / Z, 1 / Z, 1 / Z), alpha * D / Z
        found = rational_slope(setting, alpha, levels, rational_sigmoid)
        drive = Fraction(0)
        for plus in range(n + 1):
            for minus in range(n + 1 - plus):
                zero, T = n - plus - minus, C + plus - minus
                ways = math.comb(n, plus) * math.comb(n - plus, minus)
                chance = ways * (q / 2) ** (plus + minus) * (1 - q) ** zero
                value = {x: kappa * (T + b * x) for x in (1, 0, -1)}
                in_image = {1: C + plus, 0: zero, -1: minus}
                F = Fraction(sum(k * (value[x] ** p + nu * value[x]) for x, k in in_image.items()))
                g = {x: p * v ** (p - 1) + nu for x, v in value.items()}
                count = {1: plus, 0: zero, -1: minus}
                pairs = sum(
                    count[x] * (count[z] - (x == z)) * (g[1] - g[x]) * (1 - z)
                    for x, z in product(count, count)
                )
                drive += chance * rational_sigmoid(F) * pairs / (n * (n - 1))
        yield f"at {L, C, p, b}", found.gamma - found.rho, kappa * C / D * drive


@symbolic("all T and b, p = 3, 5, 7, 9: each term as a product of factors of known sign")
def sign_of_the_drive() -> Claims:
    t, b = sp.symbols("t b", nonnegative=True)  # |T|, and b ≥ 0
    slack = sp.Symbol("s", nonnegative=True)  # 2 − b
    for p in (3, 5, 7, 9):
        k = (p - 1) // 2

        def ladder(x: sp.Expr, y: sp.Expr, k: int = k) -> sp.Expr:
            """x^{2k} − y^{2k} = (x² − y²) times this sum of squares."""
            return sum(x ** (2 * i) * y ** (2 * (k - 1 - i)) for i in range(k))

        for x, difference in ((0, b * (2 * t + b)), (-1, 4 * t * b)):
            far, near = t + b, t + b * x
            yield (
                f"T ≥ 0, x = {x}, p = {p}",
                far ** (p - 1) - near ** (p - 1),
                (difference * ladder(far, near)),
            )
        more = sp.Symbol("r", nonnegative=True)  # |T| − 1
        T = -(1 + more)
        # For T ≤ −1 and b = 2 − s the differences are −b(2r + s) and −4b(1 + r), both ≤ 0.
        for x, difference in ((0, -b * (2 * more + slack)), (-1, -4 * b * (1 + more))):
            left = (T + b) ** (p - 1) - (T + b * x) ** (p - 1)
            right = difference * ladder(T + b, T + b * x)
            yield f"T < 0, x = {x}, p = {p}", (left - right).subs(slack, 2 - b), sp.S.Zero


@symbolic("all T and b, p = 3, 5, 7, 9: the parts, and their powers of T and b; counts for n ≤ 6")
def parts_of_the_increment() -> Claims:
    T, b = sp.symbols("T b")
    for p in (3, 5, 7, 9):
        odd = ((T + b) ** (p - 1) - (T - b) ** (p - 1)) / 2
        even = ((T + b) ** (p - 1) + (T - b) ** (p - 1)) / 2 - T ** (p - 1)
        for value in (1, 0, -1):
            left = (T + b) ** (p - 1) - (T + b * value) ** (p - 1)
            yield (
                f"increment at x = {value}, p = {p}",
                left,
                odd * (1 - value) + even * (1 - value**2),
            )
        # Every term of O has odd powers, every term of E even ones, with positive coefficients.
        for part, parity in ((odd, 1), (even, 0)):
            for (in_T, in_b), coefficient in sp.Poly(part, T, b).terms():
                right = (in_T % 2, in_b % 2, in_b > 0, bool(coefficient > 0))
                yield f"term T^{in_T} b^{in_b}, p = {p}", right, (parity, parity, True, True)
    for n in range(2, 7):
        for row in combinations_with_replacement((-1, 0, 1), n):
            pairs = list(permutations(row, 2))
            R, zero, minus = sum(row), row.count(0), row.count(-1)
            one = Fraction(sum((1 - x) * (1 - z) for x, z in pairs), len(pairs))
            two = Fraction(sum((1 - x * x) * (1 - z) for x, z in pairs), len(pairs))
            yield f"m₁ of {row}", one, Fraction((n - R) ** 2 - zero - 4 * minus, n * (n - 1))
            yield f"m₂ of {row}", two, Fraction(zero * (n - R - 1), n * (n - 1))


Counts = Iterator[tuple[int, int, int, int]]


def _counts(setting: Setting) -> Counts:
    """(orders, n₊, n₀, n₋) of the n random patches."""
    n = setting.n
    for plus in range(n + 1):
        for minus in range(n + 1 - plus):
            orders = math.comb(n, plus) * math.comb(n - plus, minus)
            yield orders, plus, n - plus - minus, minus


def _two_velocities(setting: Setting, alpha: Any, b: Any, number: Any, sig: Any) -> tuple:
    """α' and γ' − ρ' at γ = ρ, as sums over the counts: the formulas, and no code of the model."""
    D, C, n, p = setting.D, setting.C, setting.n, setting.p
    q, nu, tau = (number(x) for x in (setting.q, setting.nu, setting.temperature))
    kappa, one = alpha * D / (D + b), number(1)
    value = {(T, x): kappa * (T + b * x) for T in range(C - n, C + n + 1) for x in (1, 0, -1)}
    output = {key: v**p + nu * v for key, v in value.items()}
    slope = {key: (p * v ** (p - 1) + nu) * v for key, v in value.items()}
    parts = {
        T: (
            ((T + b) ** (p - 1) - (T - b) ** (p - 1)) / 2,
            ((T + b) ** (p - 1) + (T - b) ** (p - 1)) / 2 - T ** (p - 1) * one,
        )
        for T in range(C - n, C + n + 1)
    }
    half, none = ([x**k for k in range(n + 1)] for x in (q / 2, one - q))
    rise = gap = number(0)
    for orders, plus, zero, minus in _counts(setting):
        R = plus - minus
        T, in_image = C + R, {1: C + plus, 0: zero, -1: minus}
        F = sum((k * output[T, x] for x, k in in_image.items()), number(0))
        weight = orders * half[plus + minus] * none[zero] * sig(F)
        rise += weight * sum((k * slope[T, x] for x, k in in_image.items()), number(0)) / alpha
        odd, even = parts[T]
        gap += weight * (odd * ((n - R) ** 2 - zero - 4 * minus) + even * (zero * (n - R - 1)))
    return rise, p * kappa**p * C / (tau * D * n * (n - 1)) * gap


@symbolic("the formula against all images; (L, C) = (2, 2), (3, 2), (2, 3), p = 3, 5, three b")
def parts_by_enumeration() -> Claims:
    for (L, C), p, b in product(
        ((2, 2), (3, 2), (2, 3)), (3, 5), map(Fraction, ("-1/3", "2", "7"))
    ):
        alpha = Fraction(1, 2)
        setting = Setting(L=L, C=C, q=Fraction(3, 5), p=p, nu=Fraction(1, 4), sigma_A=0)
        Z = setting.D + b
        levels = AttentionLevels((1 + b) / Z, 1 / Z, 1 / Z)
        found = rational_slope(setting, alpha, levels, rational_sigmoid)
        rise, gap = _two_velocities(setting, alpha, b, Fraction, rational_sigmoid)
        yield f"α' at {L, C, p, b}", found.alpha, rise
        yield f"γ' − ρ' at {L, C, p, b}", found.gamma - found.rho, gap


# (setting, ends of an interval of α that holds a root of α'): two plateaus with a negative drive.
_NEGATIVE = (
    (("5", "2", "4/5", "1", "3/10"), "59301/1000000", "59421/1000000"),
    (("16", "4", "1/2", "1/20", "1/2"), "324583/10000000", "324649/10000000"),
)


@certified("α' at both ends and the drive on the whole interval, in balls, at the two settings")
def drive_is_negative_on_the_plateau() -> Margins:
    def sig(F: arb) -> arb:
        return 1 / (1 + F.exp())

    with ctx.workprec(128):
        for (L, C, q, nu, sigma_A), low, high in _NEGATIVE:
            setting = Setting(L=int(L), C=int(C), q=Fraction(q), p=3, nu=Fraction(nu),
                              sigma_A=Fraction(sigma_A))  # fmt: skip
            b = ball(setting.sigma_A).exp() - 1
            ends = [ball(low), ball(high)]
            rise, fall = (_two_velocities(setting, x, b, ball, sig)[0] for x in ends)
            yield f"α' > 0 at {low}", rise
            yield f"α' < 0 at {high}", -fall
            _, gap = _two_velocities(setting, ends[0].union(ends[1]), b, ball, sig)
            yield f"γ' < ρ' between, {L, C, q}", -gap


@symbolic("the formulas and all images at (3, 2, 1/2), e^{σ_A/τ} = 20, α = τ = 1, factor ½")
def gamma_falls_at_the_start() -> Claims:
    names = {_s.L: 3, _s.C: 2, _s.q: sp.Rational(1, 2), _s.alpha: 1, _s.tau: 1, _b: 19}
    at = {name: sp.Rational(value) for name, value in names.items()}
    formulas = _start_formulas()
    gamma = formulas["gamma"].subs(at)
    gap = formulas["gap"].subs(at)
    setting = Setting(L=3, C=2, q=Fraction(1, 2), p=3, nu=Fraction(1, 5), sigma_A=0)
    levels = AttentionLevels(Fraction(20, 25), Fraction(1, 25), Fraction(1, 25))
    rate = rational_slope(setting, Fraction(1), levels, lambda F: Fraction(1, 2))
    yield "γ'", Fraction(str(gamma)), rate.gamma
    yield "γ' − ρ'", Fraction(str(gap)), rate.gamma - rate.rho
    yield "γ' by hand", rate.gamma, Fraction(-69768, 390625)
    yield "ρ' by hand", rate.rho, Fraction(-659718, 390625)
    yield "both fall, ρ faster", rate.rho < rate.gamma < 0, True


@property_("one succeeding path, (L, C, q) = (4, 3, 0.3), σ_A = 2: the times are in order")
def acts_of_the_code() -> None:
    setting = Setting(L=4, C=3, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    path = gradient_descent(setting, Coefficients(0.05, 0, 0), eta_v=0.002, eta_A=5.0, steps=40)
    found = acts(path)
    if found.half_rise is None or found.learnt is None:
        require(False, "the acts end")
        return
    gap, half, learnt = path.gamma - path.rho, int(found.half_rise), int(found.learnt)
    require(gap[half] >= gap.max() / 2 > gap[half - 1], "act II ends at half of the way")
    require(path.loss[learnt] < 0.1 <= path.loss[learnt - 1], "act III ends below 0.1")


@certified("the exact error by enumeration against the loss in balls, at twelve states")
def loss_bounds_the_error() -> Margins:
    setting = Setting(L=3, C=2, q=Fraction(1, 2), p=3, nu=Fraction(1, 20), sigma_A=2)
    with ctx.workprec(128):
        for alpha, gamma, rho in product(("1/50", "1/4"), ("-1", "0", "2"), ("0", "-1/2")):
            state = Coefficients(*map(Fraction, (alpha, gamma, rho)))
            own, inside, across = (ball(x).exp() for x in (2, state.gamma, state.rho))
            Z = own + inside + 4 * across
            levels = AttentionLevels(own / Z, inside / Z, across / Z)
            error = Fraction(0)
            for s in enumerate_samples(Partition.contiguous(3, 2), setting.q):
                if s.y == 1 and s.probability:
                    T, F = sum(s.delta), arb(0)
                    for k in range(3):
                        x = s.delta[2 * k : 2 * k + 2]
                        F += set_terms(
                            setting,
                            ball(state.alpha),
                            levels,
                            x.count(1),
                            x.count(-1),
                            T,
                            number=ball,
                        ).F
                    # A ball around 0 counts as an error: the bound is then the harder one.
                    error += 0 if F > 0 else 2 * s.probability
            loss = certified_expectation(setting, state).loss
            yield f"at {alpha, gamma, rho}", loss / arb(2).log() - ball(error)


@symbolic("e^{−x} = 1 + s with s ≥ 0 where x ≤ 0")
def loss_of_an_error() -> Claims:
    s = sp.Symbol("s", nonnegative=True)
    yield "(1 + e^{−x})/2 ≥ 1 there", (1 + (1 + s)) / 2 - 1, s / 2


@property_("one flow at (L, C, q) = (3, 2, 0.4) to t = 20: gaps at four halvings of the step")
def euler_is_of_first_order() -> float:
    setting = Setting(L=3, C=2, q=0.4, p=3, nu=0.05, sigma_A=2.0)
    start, time = Coefficients(0.05, 0.1, 0.0), np.linspace(0, 20, 11)
    flow = gradient_flow(setting, start, eta_v=0.02, eta_A=8.0, time=time, method="enumeration")
    gaps = []
    for k in (1, 2, 4, 8):
        path = gradient_descent(
            setting, start, eta_v=0.02 / k, eta_A=8.0 / k, steps=20 * k, method="enumeration"
        )
        gaps.append(
            max(
                np.abs(getattr(path, x)[:: 2 * k] - getattr(flow, x)).max()
                for x in ("alpha", "gamma", "rho")
            )
        )
    ratios = [a / b for a, b in pairwise(gaps)]
    require(all(abs(r - 2) < 0.25 for r in ratios), f"the gap changes by {ratios} at halvings")
    return abs(ratios[-1] - 2)


@symbolic("the recursion of the proof: e_k ≤ ½ ε m (e^{λt} − 1)")
def euler_recursion() -> Claims:
    eps, lam, m, k = sp.symbols("epsilon lambda m k", positive=True)
    # The solution of e_{k+1} = (1 + ελ) e_k + ½ ε² λ m with e_0 = 0.
    solution = eps * m / 2 * ((1 + eps * lam) ** k - 1)
    step = (1 + eps * lam) * solution + eps**2 * lam * m / 2
    yield "solves the recursion", sp.expand(step - solution.subs(k, k + 1), power_exp=True), 0
    yield "starts at 0", solution.subs(k, 0), sp.S.Zero


def _row(name: str) -> Check:
    """One row of the certified table: random steps again, its margin and its error."""
    case = TABLE[name].setting
    again = 3 if case.D <= 12 else 2 if case.D <= 64 else 1

    @certified(f"{name}: its start, margin and error, and {again} of its steps again, at random")
    def row() -> Margins:
        found = certificate(name)  # raises if it is of another run, or absent
        steps = np.arange(found.steps + 1)
        for step in np.random.default_rng(0).choice(steps, again, replace=False):
            # False means "not proved", so it must not read as a refutation.
            proved = arb(1) if check_step(found, int(step)) else arb(0, 1)
            yield f"{name}, step {step}", proved
        sign = -1 if name == "failure" else 1
        yield f"margin of {name}", sign * found.margin()
        if name.endswith("patches"):
            yield f"error of {name}", ball("1/20") - found.error_bound()

    return row


@certified("the last balls of the rows failure and success, whose settings differ in σ_A alone")
def one_task_two_ends() -> Margins:
    failure, success = (TABLE[name] for name in ("failure", "success"))
    alike = replace(failure, setting=replace(failure.setting, sigma_A=success.setting.sigma_A))
    if alike != success:
        raise ValueError("the two runs differ in more than their diagonal")
    yield "failure", -certificate("failure").margin()
    yield "success", certificate("success").margin()
    yield "a positive diagonal fails", failure.setting.sigma_A


@property_(
    "two paths at (5, 2, 0.8), ν = 1: σ_A = 0.3 turns away from the sets, σ_A = 3 finds them"
)
def seen_on_paths() -> None:
    start, time = Coefficients(0.01, 0, 0), np.array([0.0, 1e2, 1e3, 1e4])
    for sigma, found in ((0.3, False), (3.0, True)):
        setting = Setting(L=5, C=2, q=0.8, p=3, nu=1.0, sigma_A=sigma)
        path = gradient_flow(
            setting, start, eta_v=0.01, eta_A=1.0, time=time, method="enumeration", rtol=1e-6
        )
        require((path.margin[-1] > 0) == found, f"σ_A = {sigma} ends at margin {path.margin[-1]}")


STATEMENTS = (
    Statement(
        id="def-descent",
        kind="definition",
        title="Velocities, descent, flow",
        text=r"""$\alpha'$, $\gamma'$, $\rho'$ are minus the gradient of the loss in one entry;
            descent moves by $\eta$ times them, flow follows them.""",
        depends=("prop-reduced",),
        checks=(descent_of_the_code,),
    ),
    Statement(
        id="lem-equal-logits",
        kind="lemma",
        title="Attention that does not distinguish sets",
        text=r"""At $\gamma=\rho$: $O_i=\kappa(bx_i+T)$ and $\partial F/\partial A_{ij}=
            \frac\kappa\tau\sigma'(O_i)(x_j-(bx_i+T)/Z)$.""",
        hypotheses=(r"$\gamma=\rho$",),
        depends=("def-vit", "def-descent"),
        checks=(equal_logits,),
    ),
    Statement(
        id="thm-start",
        kind="theorem",
        title="Rates at the start",
        text=r"""$\gamma'=Kbn[2C-6q+b(1-3q)]$, $\gamma'-\rho'=KZb[b(1-q)+2(C-2q)]$, and $\alpha'$ in
            closed form.""",
        hypotheses=(
            "$p=3$",
            r"$C\ge2$",
            r"$\alpha>0$",
            r"$\gamma=\rho$",
            r"$\sig(-F)$ is $\frac12$",
        ),
        depends=("def-descent", "lem-equal-logits", "lem-laws"),
        paper="Theorem 4.1",
        relation="finite-size form",
        checks=(rates_at_the_start, rates_by_enumeration, moments_of_the_start),
    ),
    Statement(
        id="cor-start",
        kind="corollary",
        title=r"Association starts exactly if $\sigma_A>0$",
        text=r"$\gamma'-\rho'$ has the sign of $\sigma_A$; at $(C,q)=(2,1)$ it is zero.",
        hypotheses=("$p=3$", r"$C\ge2$", r"$\gamma=\rho=0$", r"$(C,q)\ne(2,1)$"),
        depends=("thm-start",),
        checks=(sign_at_the_start,),
    ),
    Statement(
        id="ex-gamma-falls",
        kind="example",
        title="Both logits may fall",
        text=r"""At $(L,C,q)=(3,2,\frac12)$, $e^{\sigma_A/\tau}=20$ and $\alpha=\tau=1$ the formulas
            give $\gamma'=-69768/390625$ and $\rho'=-659718/390625$.""",
        depends=("thm-start",),
        checks=(gamma_falls_at_the_start,),
    ),
    Statement(
        id="prop-small",
        kind="proposition",
        title="How small is small",
        text=r"""Putting $\frac12$ for $\sig(-F)$ changes each velocity by at most
            $\frac14\E[|F||\partial F|]$: of relative order $\alpha$, or $\alpha^3$ if $\nu=0$.""",
        depends=("thm-start", "lem-equal-logits"),
        checks=(orders_at_the_start,),
    ),
    Statement(
        id="lem-sign",
        kind="lemma",
        title="The sign of the output",
        text=r"$F$ and $T$ have the same sign, $0$ included.",
        hypotheses=(r"$\gamma=\rho$", r"$\alpha>0$"),
        depends=("lem-equal-logits",),
        checks=(sign_of_the_output,),
    ),
    Statement(
        id="cor-frozen",
        kind="corollary",
        title="The frozen error",
        text=r"At $\gamma=\rho$ the error is $\Pr(R\le-C)$, and $e_{\mathrm{inv}}$ with fair ties.",
        hypotheses=(r"$\gamma=\rho$", r"$\alpha>0$"),
        depends=("lem-sign", "lem-einv"),
        checks=(frozen_error,),
    ),
    Statement(
        id="prop-plateau",
        kind="proposition",
        title="The plateau",
        text=r"$\alpha'$ is positive for small $\alpha$, negative for large $\alpha$, with a root.",
        hypotheses=(r"$\gamma=\rho$", r"$\nu>0$", "$q>0$", r"$L\ge3$"),
        depends=("lem-sign", "def-descent"),
        checks=(plateau_changes_sign,),
    ),
    Statement(
        id="thm-drive",
        kind="theorem",
        title="The drive",
        text=r"""$\gamma'-\rho'=\frac{\kappa C}{\tau D}\E[\sig(-F)
            \langle(g(1)-g(x_i))(1-x_j)\rangle]$.""",
        hypotheses=(r"$\gamma=\rho$", r"$C\ge2$", r"$L\ge2$"),
        depends=("lem-equal-logits",),
        paper="Theorem 4.1",
        relation="finite-size form",
        checks=(drive_by_enumeration,),
    ),
    Statement(
        id="cor-drive",
        kind="corollary",
        title="Right images pull, wrong images push",
        text=r"Every image adds to the drive a term of the sign of $T$, or zero.",
        hypotheses=(r"$0<b\le2$, or $T\ge0$",),
        depends=("thm-drive", "lem-sign"),
        checks=(sign_of_the_drive,),
    ),
    Statement(
        id="cor-drive-parts",
        kind="corollary",
        title="The odd and the even part",
        text=r"""$\gamma'-\rho'=\frac{p\kappa^pC}{\tau D}\E[\sig(-F)(\Delta_{\text{odd}}m_1+
            \Delta_{\text{even}}m_2)]$, the odd and the even part of $(T+b)^{p-1}-T^{p-1}$ in $b$;
            $\Delta_{\text{even}}>0$, and $\Delta_{\text{odd}}$ has the sign of $bT$.""",
        hypotheses=(r"$\gamma=\rho$", r"$C\ge2$", r"$L\ge2$"),
        depends=("thm-drive",),
        paper="Theorem 4.1",
        relation="finite-size form",
        checks=(parts_of_the_increment, parts_by_enumeration),
    ),
    Statement(
        id="prop-drive-negative",
        kind="proposition",
        title="The drive can be negative on the plateau",
        text=r"""At $(5,2,\frac45)$, $\nu=1$, $\sigma_A=\frac3{10}$ and at $(16,4,\frac12)$,
            $\nu=\frac1{20}$, $\sigma_A=\frac12$ there is a root of $\alpha'$ at which
            $\gamma'<\rho'$.""",
        hypotheses=(r"$\gamma=\rho=0$", "$p=3$", r"$\tau=1$"),
        depends=("cor-drive-parts", "prop-plateau"),
        checks=(drive_is_negative_on_the_plateau,),
    ),
    Statement(
        id="def-acts",
        kind="definition",
        title="The acts",
        text=r"Times at which $\alpha$ has settled, $\gamma-\rho$ has half risen, the loss is low.",
        depends=("def-descent",),
        checks=(acts_of_the_code,),
    ),
    Statement(
        id="lem-loss-error",
        kind="lemma",
        title="The loss bounds the error",
        text=r"$\Pr(yF\le0)\le\E\log(1+e^{-yF})/\log2$.",
        checks=(loss_of_an_error, loss_bounds_the_error),
    ),
    Statement(
        id="prop-euler",
        kind="proposition",
        title="The gap is linear in the step",
        text=r"Descent with steps $\epsilon\eta$ stays within $c\,\epsilon$ of the flow.",
        hypotheses=(r"the flow exists on $[0,t_1]$", r"$\epsilon\le\epsilon_0$"),
        depends=("def-descent",),
        checks=(euler_recursion, euler_is_of_first_order),
    ),
    Statement(
        id="thm-certified",
        kind="theorem",
        title="Certified descent",
        text=r"""After the steps of each row of the table gradient descent has the margin, the loss
            and the error of that row: association at 12, 64 and 196 patches, and at 10 patches a
            failure though $\sigma_A>0$ beside a success at a larger $\sigma_A$.""",
        hypotheses=("a row of the table", r"$\gamma^0=\rho^0=0$", r"$\tau=1$", "$p=3$"),
        depends=("def-descent", "prop-margin", "lem-loss-error", "prop-pieces"),
        paper="Theorem 4.1",
        relation="finite-size form",
        checks=tuple(_row(name) for name in TABLE),
    ),
    Statement(
        id="rem-proved",
        kind="remark",
        title="What is proved and what is seen",
        text="Which claims of the chapter are theorems, and which are read off exact paths.",
        depends=(
            *("thm-start", "cor-frozen", "prop-plateau", "thm-drive", "prop-euler", "def-acts"),
            "thm-certified",
        ),
        checks=(one_task_two_ends, seen_on_paths),
    ),
)
