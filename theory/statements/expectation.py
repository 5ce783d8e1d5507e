"""Statements of the chapter on the exact expectation: enumeration, transforms, quadrature.

Analytic identities are enclosed in balls at rational points: the two sides, each with a bound on
what its sum leaves out, differ by less than a tolerance that any wrong sign or factor exceeds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from flint import acb, arb, ctx, fmpq_mpoly_ctx
from hypothesis import strategies as st

from theory.data.law import set_types
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.dynamics.certificates import independent
from theory.expectation.certified import ball
from theory.expectation.enumeration import (
    configuration_count,
    configurations,
    expectation_by_enumeration,
)
from theory.expectation.quadrature import expectation_by_quadrature
from theory.expectation.result import Expectation
from theory.setting import Coefficients, Setting
from theory.statements.statement import Statement, certified, property_, require, symbolic
from theory.symmetry import symbols
from theory.symmetry.levels import AttentionLevels
from theory.symmetry.reduction import set_derivatives, set_output
from theory.symmetry.shares import stable_terms

__all__ = ["ADVERSARIAL", "STATEMENTS", "adversarial_problem", "excess", "true_values"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, arb | Fraction]]

_BITS = 160
_TINY = Fraction(1, 10**25)


def _setting(L: int, C: int, q: Fraction) -> Setting:
    return Setting(L=L, C=C, q=q, p=3, nu=0, sigma_A=1)


@symbolic("all images at (L, C) = (2, 2), (3, 2), (4, 1), q = 1/3, and q = 0, 1 at (3, 2)")
def multisets_by_enumeration() -> Claims:
    for L, C, q in ((2, 2, "1/3"), (3, 2, "1/3"), (4, 1, "1/3"), (3, 2, "0"), (3, 2, "1")):
        setting = _setting(L, C, Fraction(q))
        by_image: dict = defaultdict(Fraction)
        for s in enumerate_samples(Partition.contiguous(L, C), setting.q):
            if s.y == 1 and s.signal == 0 and s.probability:
                sets = [s.delta[C * k : C * (k + 1)] for k in range(1, L)]
                by_image[tuple(sorted((x.count(1), x.count(-1)) for x in sets))] += s.probability
        by_image = {key: p * 2 * L for key, p in by_image.items()}
        plus, minus, count, probability = configurations(setting)
        listed = {}
        for row, chance in zip(count, probability, strict=True):
            kinds = zip(plus.tolist(), minus.tolist(), row.tolist(), strict=True)
            listed[tuple(sorted((a, b) for a, b, m in kinds for _ in range(m)))] = chance
        yield f"laws at {L, C, q}", listed, by_image
        K = len(plus)
        yield f"number at {L, C, q}", len(by_image), math.comb(L - 2 + K, K - 1)
        yield f"of the code at {L, C, q}", configuration_count(setting), len(by_image)
        if 0 < setting.q < 1:
            yield f"K at {L, C, q}", K, math.comb(C + 2, 2)


def _share_gaps(
    L: int, C: int, p: int, crowded: bool, variant: int
) -> Iterator[tuple[str, object, object]]:
    """CT times the gap between a share and the definition, and what makes it vanish in sums."""
    names = ["alpha", "Gamma", "Xi", "nu", "plus", "minus", "T"]
    alpha, Gamma, Xi, nu, plus, minus, T = fmpq_mpoly_ctx.get(names, "lex").gens()
    # Rows of the attention matrix sum to 1.
    levels = AttentionLevels(1 - (C - 1) * Gamma - (L * C - C) * Xi, Gamma, Xi)
    setting = Setting(L=L, C=C, q=0, p=p, nu=0, sigma_A=0)
    formulas = [set_output(), *set_derivatives().values()]
    weights = [symbols.alpha, symbols.Lambda, symbols.Gamma, symbols.Xi, symbols.nu]
    code = sp.lambdify(
        [*weights, symbols.n_plus, symbols.n_minus, symbols.T],
        [e.subs(symbols.at(L=L, C=C, p=p, tau=1)) for e in formulas],
        "math",
    )

    def gaps(plus: object, minus: object) -> list:
        shares = stable_terms(
            *(setting, alpha, levels, plus, minus, T),
            nu=nu,
            crowded=crowded,
            choose=lambda *forms: forms[variant],
        )
        definition = code(alpha, levels.Lambda, Gamma, Xi, nu, plus, minus, T)
        return [x - y for x, y in zip(shares, definition, strict=True)]

    lean = C * T - L * C * (plus - minus)
    for name, gap, at_none in zip("Fαγρ", gaps(plus, minus), gaps(0, 0), strict=True):
        # A multiple of CT − Ds that depends on T alone: the L sets add it up to 0.
        yield f"{name} at {L, C, p}, {crowded}, {variant}", C * T * gap, lean * at_none


@symbolic("all α, Γ, Ξ, ν, types and T at five (L, C), p = 3, 5, both forms and their variants")
def shares_by_polynomials() -> Claims:
    sizes = ((2, 1), (2, 2), (4, 1), (3, 2), (2, 4))
    for (L, C), p, crowded, variant in product(sizes, (3, 5), (False, True), (0, -1)):
        yield from _share_gaps(L, C, p, crowded, variant)


ADVERSARIAL: dict[str, Any] = {
    "size": st.sampled_from([(2, 1), (3, 1), (2, 2), (4, 1), (3, 2), (2, 3), (2, 4), (4, 2)]),
    "p": st.sampled_from([3, 5, 7, 11, 21]),
    "q": st.sampled_from([0.5, 1e-9, 0.001, 0.999, 1]),
    "nu": st.sampled_from([0, 0.05, 1, 10]),
    "tau": st.integers(-30, 30).map(lambda k: math.exp(k / 10)),
    "sigma_A": st.integers(-40, 80).map(lambda k: k / 2),
    "alpha": st.integers(-35, 0).map(lambda k: 10 ** (k / 5)),
    # γ near σ_A, ρ near γ, or anywhere.
    "gamma": st.tuples(st.booleans(), st.integers(-40, 80).map(lambda k: k / 4)),
    "rho": st.tuples(st.booleans(), st.integers(-40, 40).map(lambda k: k / 4)),
}


def adversarial_problem(
    size: tuple[int, int], p: int, q: float, nu: float, tau: float, sigma_A: float,
    alpha: float, gamma: tuple[bool, float], rho: tuple[bool, float],
) -> tuple[Setting, Coefficients]:  # fmt: skip
    """A state that has little mercy with floats, from what ``ADVERSARIAL`` draws."""
    L, C = size
    values = [sigma_A]
    for near, logit in (gamma, rho):
        values.append(values[-1] * (1 + 1e-9 * round(logit)) if near else logit)
    setting = Setting(L=L, C=C, q=q, p=p, nu=nu, sigma_A=sigma_A, temperature=tau)
    return setting, Coefficients(alpha, *values[1:])


def true_values(setting: Setting, state: Coefficients, bits: int = 1200) -> tuple[arb, ...]:
    """Loss and gradient by the full network on every image: nothing of the reduction is used.

    The precision lies beyond the range of float64, so that no float is right by a wide ball.
    """
    with ctx.workprec(bits):
        alpha, gamma, rho = (ball(x) for x in (state.alpha, state.gamma, state.rho))
        return independent.expectation(asdict(setting), alpha, gamma, rho, bits)


def excess(result: Expectation, balls: Sequence[arb]) -> float:
    """The largest true error over the returned error, of loss and gradient."""
    g, e = result.gradient, result.gradient_error
    numbers = [(result.loss, result.loss_error)]
    numbers += [(getattr(g, x), getattr(e, x)) for x in ("alpha", "gamma", "rho")]
    ratios = []
    for (value, error), ball_ in zip(numbers, balls, strict=True):
        gap = float(abs(arb(value) - ball_).abs_lower())
        ratios.append(gap / error if error > 0 else math.inf if gap > 0 else 0.0)
    return max(ratios)


def _is_honest(method: Callable[..., Expectation], **drawn: Any) -> float:
    setting, state = adversarial_problem(**drawn)
    try:
        result = method(setting, state)
    except ArithmeticError:
        return 0.0
    ratio = excess(result, true_values(setting, state))
    require(ratio <= 1, f"the true error is {ratio:.3g} times the returned one")
    return ratio


_SCOPE = "random states with q near 0 and 1, p up to 21, σ_A/τ up to 800, α from 1e-7 to 1"


@property_(_SCOPE, examples=150, **ADVERSARIAL)
def enumeration_is_honest(**drawn: Any) -> float:
    return _is_honest(expectation_by_enumeration, **drawn)


@property_(_SCOPE, examples=150, **ADVERSARIAL)
def quadrature_is_honest(**drawn: Any) -> float:
    return _is_honest(expectation_by_quadrature, **drawn)


def _sig(x: arb) -> arb:
    return 1 / (1 + (-x).exp())


def _ell(x: arb) -> arb:
    return (1 + (-x).exp()).log()


@certified("both integrals at five complex s, to 10⁻²⁵")
def transforms_by_integration() -> Margins:
    # log(1 + e^{−x}) keeps few digits where e^{−x} is small, and e^{sx} makes them count.
    with ctx.workprec(4 * _BITS):
        for re, im in (("1/2", "0"), ("1/3", "0"), ("2/3", "1"), ("3/4", "-1/2"), ("1/4", "2")):
            s, low, high = acb(ball(re), ball(im)), ball(re), 1 - ball(re)
            sine = acb.pi() / (acb.pi() * s).sin()
            # What lies beyond ±cut: e^{c·x} on the left, e^{−(1−c)x} on the right.
            cut = 70 / min(low, high)
            tail = (-low * cut).exp() / low + (-high * cut).exp() / high

            def of_sig(x: acb, _: bool, s: acb = s) -> acb:
                return (s * x).exp() / (1 + x.exp())

            def of_ell(x: acb, analytic: bool, s: acb = s) -> acb:
                # Folded at 0: ℓ(−x) = x + ℓ(x).
                small = (1 + (-x).exp()).log(analytic=analytic)
                return (s * x).exp() * small + (-s * x).exp() * (x + small)

            value = acb.integral(of_sig, -cut, cut)
            yield f"sig at {re}+{im}i", ball(_TINY) - abs(value - sine) - tail
            # ℓ(x) ≤ e^{−x}, and ≤ log 2 + |x| on the left.
            tail = (-low * cut).exp() * (1 + cut / low + 1 / low**2) + (-high * cut).exp() / high
            value = acb.integral(of_ell, 0, cut)
            yield f"ℓ at {re}+{im}i", ball(_TINY) - abs(value - sine / s) - tail


@symbolic("the residue and the last two lines of the proof")
def transforms_by_residue() -> Claims:
    z = sp.Symbol("z")
    residue = sp.residue(1 / (1 + z), z, -1)  # of e^{sz}/(1+e^z) in the variable e^z
    yield "residue of 1/(1+w) at w = −1", residue, sp.Integer(1)
    E = sp.Symbol("E")  # e^{iπs}; at iπ the residue is e^{iπs}/e^{iπ} = −E
    J = 2 * sp.pi * sp.I * (-E) / (1 - E**2)
    sine = (E - 1 / E) / (2 * sp.I)
    yield "J = π / sin πs", J, sp.pi / sine


@certified("f = e^{−x²/2} and f = 1/cosh x, at 3 periods and 3 points each, to 10⁻²⁵")
def poisson_of_two_functions() -> Margins:
    with ctx.workprec(_BITS):
        pi, pairs = arb.pi(), []
        for name, f, transform in (
            ("Gauss", lambda x: (-x * x / 2).exp(),
             lambda w: (2 * arb.pi()).sqrt() * (-w * w / 2).exp()),
            ("1/cosh", lambda x: 1 / x.cosh(), lambda w: arb.pi() / (arb.pi() * w / 2).cosh()),
        ):  # fmt: skip
            pairs.append((name, f, transform))
        for (name, f, transform), P, x in product(pairs, ("1", "5/2", "4"), ("0", "1/3", "-7/5")):
            P_, x_ = ball(P), ball(x)
            left = sum((-1) ** abs(m) * f(x_ + m * P_) for m in range(-120, 121))
            omega = [(2 * k + 1) * pi / P_ for k in range(120)]
            right = 2 / P_ * sum(transform(w) * (w * x_).cos() for w in omega)
            # Beyond 118 periods f ≤ 2e^{−|x|+1}, and beyond ω = 80 transforms are ≤ 8e^{−ω}.
            rest = 20 * (-118 * P_).exp() + 20 * (-omega[-1]).exp() if name == "Gauss" else (
                20 * (-118 * P_ + 3).exp() + 40 * (-omega[-1]).exp() / (1 - (-2 * pi / P_).exp())
            )  # fmt: skip
            yield f"{name}, P = {P}, x = {x}", ball(_TINY) - abs(left - right) - rest


def _beyond(K: int, P: arb) -> arb:
    """The bound on the nodes from K on, over e^{−cx}: (1/π) log coth(π²K/P)."""
    return (arb.pi() ** 2 * K / P).coth().log() / arb.pi()


def _sums(x: arb, c: arb, P: arb, nodes: int) -> tuple[arb, arb]:
    """S(x) and S_ℓ(x), cut after ``nodes`` nodes."""
    S = S_ell = arb(0)
    for k in range(nodes):
        s = acb(c, (2 * k + 1) * arb.pi() / P)
        term = 2 / P * acb.pi() / (acb.pi() * s).sin() * (-s * x).exp()
        S, S_ell = S + term.real, S_ell + (term / s).real
    return S, S_ell


@certified("both identities and all bounds at twelve (c, x, P), c = 0 and 1 included, to 10⁻²⁵")
def midpoint_identities() -> Margins:
    cases = product(("0", "1/3", "3/4", "1"), (("-5", "6"), ("1/2", "8"), ("7", "10")))
    with ctx.workprec(_BITS):
        for c_, (x_, P_) in cases:
            c, x, P, where = ball(c_), ball(x_), ball(P_), f"at c = {c_}, x = {x_}, P = {P_}"
            nodes = 10 * int(Fraction(P_))
            S, S_ell = _sums(x, c, P, nodes)
            u, w = (-c * P).exp(), (-(1 - c) * P).exp()
            eps = eps_ell = arb(0)
            for k in range(1, 30):
                y = x + k * P
                sign = (-1) ** (k - 1)
                eps += sign * (u**k * _sig(x - k * P) + w**k * (-x).exp() * _sig(-y))
                # r(y) = e^{−y} − log(1 + e^{−y}), where the two nearly cancel.
                r = (-y).exp() - (-y).exp().log1p()
                eps_ell += sign * (-(u**k) * _ell(k * P - x) + (c * k * P).exp() * r)
            rest = 4 * (abs(x) * 2 - 30 * P).exp()  # of the remainders, from k = 30 on
            cut = (-c * x).exp() * _beyond(nodes, P)
            pole = (-x).exp() * w / (1 + w)
            gap = _sig(-x) - (S + u / (1 + u) + pole - eps)
            yield f"sig {where}", ball(_TINY) - abs(gap) - cut - rest
            gap = _ell(x) - (S_ell + P * u / (1 + u) ** 2 - x * u / (1 + u) + pole - eps_ell)
            yield f"ℓ {where}", ball(_TINY) - abs(gap) - cut - rest
            first = u * _sig(x - P) + w * (-x).exp() * _sig(-x - P)
            yield f"ε ≥ 0 {where}", eps - rest
            yield f"ε ≤ first {where}", first - eps - rest
            r = (-x - P).exp() - (-x - P).exp().log1p()
            yield f"ε_ℓ from below {where}", eps_ell + u * _ell(P - x) - rest
            yield f"ε_ℓ from above {where}", (c * P).exp() * r - eps_ell - rest


@certified("the terms beyond K added up in absolute value, at 40 (c, P, K)")
def truncation_bound() -> Margins:
    with ctx.workprec(_BITS):
        for c_, P_, K in product(("0", "1/8", "1/2", "1"), ("5", "20"), (1, 2, 5, 9, 14)):
            c, P = ball(c_), ball(P_)
            nodes = [acb(c, (2 * k + 1) * arb.pi() / P) for k in range(K, K + 200)]
            sizes = [abs(2 / P * acb.pi() / (acb.pi() * s).sin()) for s in nodes]
            # 1/sinh ω decays at least like e^{−ω}.
            ratio = (-2 * arb.pi() ** 2 / P).exp()
            whole = sum(sizes, arb(0)) + sizes[-1] * ratio / (1 - ratio) * 2
            bound = _beyond(K, P)
            yield f"S at {c_, P_, K}", 1 - whole / bound
            of_loss = sum((z / abs(s) for z, s in zip(sizes, nodes, strict=True)), arb(0))
            of_loss += sizes[-1] * ratio / (1 - ratio) * 2
            yield f"S_ℓ at {c_, P_, K}", 1 - of_loss * abs(nodes[0]) / bound


@certified("the sum over c + 2πik/P without signs, at nine (c, x, P), to 10⁻²⁵")
def integer_nodes() -> Margins:
    with ctx.workprec(_BITS):
        for c_, (x_, P_) in product(("1/4", "1/2", "5/6"), (("-3", "6"), ("0", "7"), ("4", "9"))):
            c, x, P = ball(c_), ball(x_), ball(P_)
            count = 10 * int(P_)
            value = (arb.pi() / (arb.pi() * c).sin() * (-c * x).exp()) / P
            for k in range(1, count):
                s = acb(c, 2 * k * arb.pi() / P)
                value += (2 / P * acb.pi() / (acb.pi() * s).sin() * (-s * x).exp()).real
            images = sum(((c * m * P).exp() * _sig(-x - m * P) for m in range(-90, 91)), arb(0))
            rest = (-c * x).exp() * _beyond(count - 1, P)
            rest += (-90 * c * P).exp() + (-90 * (1 - c) * P - x).exp()
            yield f"at {c_, x_, P_}", ball(_TINY) - abs(value - images) - 4 * rest
            u, w = (-c * P).exp(), (-(1 - c) * P).exp()
            # The geometric series without signs: what is left of S − sig is as small as for them.
            left = abs(value - _sig(-x) - u / (1 - u) - (-x).exp() * w / (1 - w))
            first = u * _sig(x - P) / (1 - u) + w * (-x).exp() * _sig(-x - P) / (1 - w)
            yield f"remainder at {c_, x_, P_}", first - left - 4 * rest


@symbolic("all c, ω, u, z: |sin πs|², the sums of the poles, and ρ as a mean")
def algebra_of_the_midpoint_rule() -> Claims:
    x, y, u, z, t, P = sp.symbols("x y u z t P", positive=True)  # x = πc, y = πω
    sine = sp.sin(x) * sp.cosh(y), sp.cos(x) * sp.sinh(y)
    square = sum(part**2 for part in sine) - sp.sin(x) ** 2 - sp.sinh(y) ** 2
    yield "sin(x + iy)", sp.expand(sp.sin(x + sp.I * y), complex=True), sine[0] + sp.I * sine[1]
    yield "|sin πs|²", sp.simplify(square.rewrite(sp.exp)), sp.S.Zero
    # Σ_{k ≥ 1} (−u)^k and Σ k (−u)^k, as the fixed points of their shifts.
    one = -u / (1 + u)
    yield "Σ(−u)^k", sp.simplify(-u + (-u) * one - one), sp.S.Zero
    two = -u / (1 + u) ** 2
    yield "Σk(−u)^k", sp.simplify(-u * (1 + one + two) - two), sp.S.Zero
    poles = P * two - x * one
    yield "poles of the loss", sp.simplify(poles + P * u / (1 + u) ** 2 - x * u / (1 + u)), 0
    mean = sp.integrate(1 / (1 + t), (t, 0, z)) / z
    yield "log(1 + z)/z is a mean", sp.simplify(mean - sp.log(1 + z) / z), sp.S.Zero


@symbolic("all ω: the antiderivative, and the second derivative of 1/sinh")
def algebra_of_the_truncation() -> Claims:
    w = sp.Symbol("omega", positive=True)
    antiderivative = sp.log(sp.tanh(sp.pi * w / 2))
    gap = antiderivative.diff(w) - sp.pi / sp.sinh(sp.pi * w)
    yield "d log tanh(πω/2)", sp.simplify(gap.rewrite(sp.exp)), sp.S.Zero
    h = 1 / sp.sinh(w)
    # Convex: (cosh² + 1)/sinh³ > 0.
    bend = h.diff(w, 2) - (sp.cosh(w) ** 2 + 1) / sp.sinh(w) ** 3
    yield "h''", sp.simplify(bend.rewrite(sp.exp)), sp.S.Zero


@certified("six (B, ε) and nine x ≥ −B each, at the least number of nodes; B = 50: 228 nodes")
def enough_nodes() -> Margins:
    with ctx.workprec(_BITS):
        pi = arb.pi()
        for B_, eps_ in (
            *(("0", "1/2"), ("0", "1/1000"), ("5", "1/1000000")),
            *(("20", "1/100"), ("20", "1/10000000000"), ("50", "1/1000000000000")),
        ):
            B, eps = ball(B_), ball(eps_)
            P = 2 * (3 / eps).log() + B
            c = (3 / eps).log() / P
            need = P / (2 * pi**2) * (c * B + (7 / (pi * eps)).log())
            K = math.ceil(float(need.upper()))
            if B_ == "50":
                yield "228 nodes at B = 50", 228 - need
            for k in range(9):
                x = -B + (B + 60) * k / 8
                S, _ = _sums(x, c, P, K)
                yield f"B = {B_}, ε = {eps_}, x = {x.str(4, radius=False)}", eps - abs(S - _sig(-x))
        yield "the constant 7", ball("1/3") - 2 / (7 * (1 - (pi / 14) ** 2))


# An element of the group ring of exponents: {(power of z, exponent f of e^{−sf}): coefficient}.
Ring = dict[tuple[int, Fraction], Fraction]


def _times(one: Ring, other: Ring) -> Ring:
    found: Ring = defaultdict(Fraction)
    for (k, f), a in one.items():
        for (m, g), b in other.items():
            found[k + m, f + g] += a * b
    return {key: value for key, value in found.items() if value}


def _power(base: Ring, times: int) -> Ring:
    result: Ring = {(0, Fraction(0)): Fraction(1)}
    for _ in range(times):
        result = _times(result, base)
    return result


@symbolic("every s at once, as exponents, (L, C) = (3, 1), (2, 2), (3, 2), random rational f and g")
def factorization_in_the_group_ring() -> Claims:
    for L, C in ((3, 1), (2, 2), (3, 2)):
        setting = _setting(L, C, Fraction(1, 3))
        kinds = set_types(setting)
        types = list(zip(kinds.sums.tolist(), kinds.probability, strict=True))
        f = [Fraction(7 * t * t % 11, 3) for t in range(len(types))]
        g = [Fraction(5 * t % 7 - 3, 2) for t in range(len(types))]
        f_s, g_s = Fraction(2, 5), Fraction(-3, 4)
        a: Ring = defaultdict(Fraction)
        b: Ring = defaultdict(Fraction)
        for t, (total, p) in enumerate(types):
            a[total, f[t]] += p
            b[total, f[t]] += p * g[t]
        whole = _power(a, L - 1)
        inner = _times(b, _power(a, L - 2))
        plain: Ring = defaultdict(Fraction)
        weighted: Ring = defaultdict(Fraction)
        for chosen in product(range(len(types)), repeat=L - 1):
            chance = math.prod(types[t][1] for t in chosen)
            R, F = sum(types[t][0] for t in chosen), f_s + sum(f[t] for t in chosen)
            plain[R, F] += chance
            weighted[R, F] += chance * (g_s + sum(g[t] for t in chosen))
        keys = {*plain, *weighted, *((k, x + f_s) for k, x in (*whole, *inner))}
        for R, F in sorted(keys):
            rest = (R, F - f_s)
            yield f"1 at {R, F}", plain.get((R, F), 0), whole.get(rest, 0)
            right = g_s * whole.get(rest, 0) + (L - 1) * inner.get(rest, 0)
            yield f"G at {R, F}", weighted.get((R, F), 0), right


@certified("a random Laurent polynomial at 60 (t, R, N): identity to 10⁻²⁵, and three bounds")
def coefficients_on_a_circle() -> Margins:
    h = {m: Fraction((7 * m * m + 3 * m) % 13 - 6, 5) for m in range(-9, 10)}
    with ctx.workprec(_BITS):

        def B(t: arb, R: int) -> arb:
            return sum((ball(abs(x)) * (t * (m - R)).exp() for m, x in h.items()), arb(0))

        cases = product(("-1/2", "0", "2/3"), (-7, 0, 4, 9), (1, 2, 5, 12, 20))
        for t_, R, N in cases:
            t, where = ball(t_), f"at {t_, R, N}"
            circle = acb(0)
            for j in range(N):
                angle = acb(t, 2 * arb.pi() * j / N)
                circle += sum((ball(x) * (angle * (m - R)).exp() for m, x in h.items()), acb(0))
            aliases = {k: ball(h[R + k * N]) * (t * k * N).exp()
                       for k in range(-20, 21) if k and R + k * N in h}  # fmt: skip
            gap = abs(circle / N - ball(h[R]) - sum(aliases.values(), arb(0)))
            yield f"aliases {where}", ball(_TINY) - gap
            yield f"coefficient {where}", B(t, R) - abs(ball(h[R]))
            eta = ball("3/10")
            share = (-eta * N).exp() / (1 - (-eta * N).exp())
            for sign in (1, -1):
                part = sum((x for k, x in aliases.items() if k * sign > 0), arb(0))
                yield f"bound {where}", B(t + sign * eta, R) * share - abs(part)


@symbolic("the Hessian of a log-sum-exp of three terms in (c, t) is a sum of squares")
def log_sum_exp_is_convex() -> Claims:
    c, t, h, k = sp.symbols("c t h k", real=True)
    w = sp.symbols("w0:3", positive=True)
    f, s = sp.symbols("f0:3", real=True), sp.symbols("s0:3", real=True)
    # e^{log p − cf + tς}, whose derivatives in (c, t) are those of a product with (−f, ς).
    terms = [w[i] * sp.exp(-c * f[i] + t * s[i]) for i in range(3)]
    total = sp.log(sum(terms))
    at = {c: 0, t: 0}
    hessian = sum(
        x * y * total.diff(a).diff(b).subs(at)
        for (a, x), (b, y) in product(((c, h), (t, k)), repeat=2)
    )
    slopes = [-h * f[i] + k * s[i] for i in range(3)]
    squares = sum(w[i] * w[j] * (slopes[i] - slopes[j]) ** 2 for i in range(3) for j in range(i))
    yield "second derivative along (h, k)", hessian * sum(w) ** 2, squares


@symbolic(
    "every sequence of length ≤ 12: those with peak 1 at κ are means of the intervals around κ"
)
def alternating_sums_of_intervals() -> Claims:
    # Rising and then falling sequences with a_κ = 1 are convex combinations of indicators of
    # intervals that contain κ, and the sum is linear: the intervals decide.
    for length in range(1, 13):
        for first in range(1, length + 1):
            for last in range(first, length + 1):
                value = sum((-1) ** k for k in range(first, last + 1))
                yield f"[{first}, {last}]", abs(value) <= 1, True


@certified("F constant, G = 1: 180 (x, c, P, K), with and without the pole terms")
def discarded_pieces() -> Margins:
    with ctx.workprec(_BITS):
        lines, periods = ("0", "1/8", "1/2", "1"), ("4", "15/2", "16")
        cases = product(lines, periods, (1, 3, 8), ("-20", "-5/2", "1/3", "6", "18"))
        for number, (c_, P_, K, x_) in enumerate(cases):
            c, P, x = ball(c_), ball(P_), ball(x_)
            S, _ = _sums(x, c, P, K)
            u, w = (-c * P).exp(), (-(1 - c) * P).exp()
            zero, one = c_ == "0" or number % 2 == 0, c_ == "1" or number % 3 == 0
            value = S + (u / (1 + u) if zero else 0) + ((-x).exp() * w / (1 + w) if one else 0)
            below = ball(Fraction(-(number % 5), 4))
            above = 1 + ball(Fraction(number % 4, 3)) if one else c + (1 - c) * ball("2/3")
            left = (-(c - below) * P - below * x).exp() if zero else u
            right = (-(above - c) * P - above * x).exp()
            nodes = _beyond(K, P) * (-c * x).exp()
            error = abs(value - _sig(-x))
            whole = left + right + nodes
            yield f"at c = {c_}, P = {P_}, K = {K}, x = {x_}", 1 - error / whole
            yield "left out", (-c * x).exp() - _sig(-x)


STATEMENTS = (
    Statement(
        id="def-sum-over-sets",
        kind="definition",
        title="The sum over sets",
        text=r"$F=f_{\mathrm s}(T)+\sum_lf(t_l,T)$, with $T=C+\sum_l\varsigma(t_l)$.",
        depends=("def-type", "prop-reduced"),
    ),
    Statement(
        id="prop-shares",
        kind="proposition",
        title="Shares without what cancels",
        text=r"""Sums over sets of $F$ and $\partial F$ do not change if each set takes the share
            $\nu\alpha CT$ of the linear part, $\nu$ is dropped from $\partial_\gamma F$ and
            $\partial_\rho F$, and multiples of $CT-Ds_l$ by functions of $T$ are taken off.""",
        depends=("def-sum-over-sets", "lem-shift"),
        checks=(shares_by_polynomials, enumeration_is_honest, quadrature_is_honest),
    ),
    Statement(
        id="prop-enumeration",
        kind="proposition",
        title="Enumeration of multisets",
        text=r"""The random sets form one of $\binom{L-2+K}{K-1}$ multisets of types, of
            probability $(L-1)!\prod_tp_t^{m_t}/m_t!$.""",
        depends=("def-sum-over-sets", "lem-laws"),
        checks=(multisets_by_enumeration,),
    ),
    Statement(
        id="lem-transforms",
        kind="lemma",
        title="Two transforms",
        text=r"""$\int e^{sx}\sig(-x)dx=\pi/\sin\pi s$ and
            $\int e^{sx}\log(1+e^{-x})dx=\pi/(s\sin\pi s)$.""",
        hypotheses=(r"$0<\operatorname{Re}s<1$",),
        checks=(transforms_by_residue, transforms_by_integration),
    ),
    Statement(
        id="lem-poisson",
        kind="lemma",
        title="Poisson summation with a half step",
        text=r"""$\sum_m(-1)^mf(x+mP)=\frac1P\sum_k\hat f(\omega_k)e^{-i\omega_kx}$ with
            $\omega_k=(k+\frac12)2\pi/P$.""",
        hypotheses=("$f$ continuous and exponentially small", r"$\hat f(\omega_k)$ summable"),
        checks=(poisson_of_two_functions,),
    ),
    Statement(
        id="thm-midpoint",
        kind="theorem",
        title="The midpoint rule on a closed strip",
        text=r"""The midpoint sums of both kernels, with their pole terms, are exact up to
            alternating remainders between $0$ and their first terms.""",
        hypotheses=(r"$0\le c\le1$", r"$P>0$"),
        depends=("lem-transforms", "lem-poisson"),
        checks=(algebra_of_the_midpoint_rule, midpoint_identities),
    ),
    Statement(
        id="prop-truncation",
        kind="proposition",
        title="Truncation",
        text=r"The terms $k\ge K$ add up to at most $\frac{e^{-cx}}\pi\log\coth\frac{\pi^2K}P$.",
        hypotheses=(r"$0\le c\le1$", r"$K\ge1$"),
        checks=(algebra_of_the_truncation, truncation_bound),
    ),
    Statement(
        id="rem-integer-nodes",
        kind="remark",
        title="Why half-integer nodes",
        text=r"""Integer nodes give $\sum_me^{cmP}\sig(-x-mP)$ without signs, whose pole terms
            $u/(1-u)$ and $w/(1-w)$ are infinite on the edges.""",
        depends=("lem-transforms",),
        checks=(integer_nodes,),
    ),
    Statement(
        id="prop-factorization",
        kind="proposition",
        title="An expectation as a coefficient",
        text=r"""$\E[e^{-sF}G;T]=e^{-sf_{\mathrm s}}[z^{R}]
            \{g_{\mathrm s}a^{L-1}+(L-1)\,b\,a^{L-2}\}$.""",
        depends=("def-sum-over-sets",),
        checks=(factorization_in_the_group_ring,),
    ),
    Statement(
        id="prop-circle",
        kind="proposition",
        title="Reading a coefficient",
        text=r"""A discrete Fourier sum on the circle of radius $e^t$ gives $h_R$ plus aliases
            $h_{R+jN}e^{tjN}$, all bounded by $B(t)=e^{-tR}H(e^t)$.""",
        checks=(coefficients_on_a_circle,),
    ),
    Statement(
        id="lem-convex",
        kind="lemma",
        title="The bound is convex",
        text=r"The bound $K_T(c)$, an infimum over $t$ of log-sum-exps, is convex in $c$.",
        depends=("prop-circle",),
        checks=(log_sum_exp_is_convex,),
    ),
    Statement(
        id="lem-alternating",
        kind="lemma",
        title="Alternating sums that rise and fall",
        text=r"$|\sum_k(-1)^ka_k|\le\max_ka_k$.",
        hypotheses=("$a_k\\ge0$ rises, then falls to $0$",),
        checks=(alternating_sums_of_intervals,),
    ),
    Statement(
        id="prop-pieces",
        kind="proposition",
        title="The four discarded pieces",
        text=r"""What the midpoint rule leaves out of $\E[\sig(-F)G;T]$ is at most a left, a right,
            a nodes and an alias piece, each a multiple of some $E(\theta)$.""",
        depends=("thm-midpoint", "prop-truncation", "prop-factorization", "prop-circle",
                 "lem-alternating"),
        checks=(discarded_pieces,),
    ),
    Statement(
        id="cor-nodes",
        kind="corollary",
        title="How many nodes",
        text=r"""For $x\ge-B$ the midpoint sum without pole terms is within $\epsilon$ of
            $\sig(-x)$, with $P=2\log\frac3\epsilon+B$, $cP=\log\frac3\epsilon$ and
            $K\ge\frac P{2\pi^2}(cB+\log\frac7{\pi\epsilon})$ nodes.""",
        hypotheses=(r"$B\ge0$", r"$0<\epsilon\le\frac12$"),
        depends=("prop-pieces",),
        checks=(enough_nodes,),
    ),
)  # fmt: skip
