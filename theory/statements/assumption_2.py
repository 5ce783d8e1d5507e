"""Statements of the chapter on Assumption 2: where the data is hard, readable, and associated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import sympy as sp
from flint import arb

from theory.bounds.linear import monotone_bound, window_probabilities
from theory.data.law import bayes_error, f_star_error, invariant_error, spurious_law
from theory.dynamics.descent import gradient_flow
from theory.dynamics.slow_attention import slow_attention
from theory.expectation.certified import ball
from theory.expectation.equal_logits import (
    climb_floor,
    drive_sign,
    equal_logits,
    plateau_at_equal_logits,
)
from theory.expectation.population import evaluate_in_floats
from theory.setting import Coefficients, Setting
from theory.statements.statement import Statement, certified, property_, require, symbolic
from theory.symmetry.levels import AttentionLevels
from theory.symmetry.terms import set_terms

__all__ = ["REGION", "STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, object]]

HARD, READABLE = Fraction(1, 8), Fraction(1, 100)

# At D = 196: e_inv reaches 1/8 and the error of f* reaches 1/100 in these intervals of q.
REGION = {
    2: (("0.01532", "0.01533"), ("0.02045", "0.02046")),
    4: (("0.06268", "0.06269"), ("0.24117", "0.24118")),
    7: (("0.19533", "0.19534"), ("0.64824", "0.64825")),
    14: (("0.81179", "0.81180"), None),
}


def _setting(L: int, C: int, q: Fraction) -> Setting:
    return Setting(L=L, C=C, q=q, p=3, nu=0, sigma_A=1)


def _at_196(C: int, q: Fraction | str) -> Setting:
    return _setting(196 // C, C, Fraction(q))


@certified("(49, 4, 1/10) satisfies both with floor 1/8, tolerance 1/100; each can fail alone")
def sizes_can_be_met_and_missed() -> Margins:
    for C, q, hard, readable in (
        (4, "1/10", 1, 1),
        (4, "1/2", 1, -1),
        (14, "1/2", -1, 1),
        (2, "1/56", 1, 1),
    ):
        setting = _at_196(C, q)
        yield f"hard at {C, q}", hard * (invariant_error(setting) - HARD)
        error = f_star_error(setting).nonpositive
        yield f"readable at {C, q}", readable * (READABLE - error)


def _walk(K: int) -> dict[int, Fraction]:
    """The law of a sum of K fair signs."""
    return {2 * k - K: Fraction(math.comb(K, k), 2**K) for k in range(K + 1)}


@symbolic("one more sign, K ≤ 14, C ≤ 6; the Bayes error as a window, 27 settings")
def steps_of_monotonicity() -> Claims:
    for K, C in product(range(15), range(1, 7)):
        now, then = _walk(K), _walk(K + 1)
        inside = [sum(p for s, p in law.items() if -C < s <= C) for law in (now, then)]
        change = (now.get(C + 1, Fraction(0)) - now.get(C - 1, Fraction(0))) / 2
        yield f"K = {K}, C = {C}", Fraction(inside[1] - inside[0]), change
        yield f"it is ≤ 0 at K = {K}, C = {C}", change <= 0, True
    for L, C, k in product((3, 6, 8), (1, 2, 3), (1, 2, 4)):
        q = Fraction(k, 4)
        window = window_probabilities(2 * (q / 2) ** C, L - 1)[L - 1]
        yield f"Bayes at {L, C, q}", bayes_error(_setting(L, C, q)), (1 - window) / 2


@symbolic("q = 0, 1/12, …, 1 at ten sizes; all C that divide 36; f* at (3, 1)")
def errors_move() -> Claims:
    rates = [Fraction(k, 12) for k in range(13)]
    for L, C in (
        (2, 1),
        (5, 1),
        (3, 2),
        (12, 2),
        (5, 3),
        (9, 4),
        (4, 7),
        (3, 10),
        (2, 11),
        (3, 14),
    ):
        rows = [_setting(L, C, q) for q in rates]
        for name, error in (("e_inv", invariant_error), ("Bayes", bayes_error)):
            values = [error(row) for row in rows]
            yield f"{name} grows at {L, C}", all(a <= b for a, b in pairwise(values)), True
            yield f"{name} is 0 at q = 0, {L, C}", values[0], Fraction(0)
        if 2 <= C <= 10:
            values = [f_star_error(row).nonpositive for row in rows]
            yield f"f* grows at {L, C}", all(a <= b for a, b in pairwise(values)), True
    for q in rates[1:]:
        values = [invariant_error(_setting(36 // C, C, q)) for C in (1, 2, 3, 4, 6, 9, 12, 18)]
        yield f"e_inv falls in C, q = {q}", all(a >= b for a, b in pairwise(values)), True
    late = [f_star_error(_setting(3, 1, q)).nonpositive for q in (Fraction(2, 3), Fraction(1))]
    yield "f* falls with C = 1", tuple(late), (Fraction(1, 3), Fraction(1, 4))


@certified("the constants of the proof")
def constants_of_the_scale() -> Margins:
    two, rate = arb(2).sqrt(), ball(Fraction(9, 20))
    yield "s = arsinh 1", (1 + two).log() - (two - 1) - rate
    yield "s ≤ 1", 1 - (arb(1).cosh() - 1) - rate
    yield "C λ ≤ 3/4", ball(Fraction(3, 4)) - (7 / (4 * arb.pi())).sqrt()
    yield "C = 5", ball(HARD) - (-5 * rate).exp()
    yield "C²/5", rate / arb(8).log() - ball(Fraction(1, 5))


@certified("both bounds at 45 settings, and 1/8 at the least q of the condition")
def both_sides_of_the_scale() -> Margins:
    for L, C, k in product((5, 12, 30), (2, 3, 5), (1, 3, 6, 10, 12)):
        setting = _setting(L, C, Fraction(k, 12))
        law, V = spurious_law(setting), setting.q * setting.n
        error = invariant_error(setting)
        least = min(Fraction(C), Fraction(C * C) / V)
        tail = law.total(law.value <= -C)
        yield f"from above at {L, C, k}", (ball(Fraction(-9, 20) * least)).exp() - ball(tail)
        below = (1 - C * window_probabilities(setting.q, setting.n)[-1]) / 2
        yield f"from below at {L, C, k}", error - below
    for C in (1, 2, 3, 4, 5, 7):
        L = math.ceil(Fraction(16 * C, 7)) + 1
        q = Fraction(8 * C * C, 7 * (L * C - C))
        if q <= Fraction(1, 2):
            yield f"1/8 at C = {C}", invariant_error(_setting(L, C, q)) - HARD


@symbolic("C = 1: the lower bound is the value; union bound at 24 settings")
def ends_of_the_scale() -> Claims:
    for L, k in product((3, 8), (1, 4, 12)):
        setting = _setting(L, 1, Fraction(k, 12))
        below = (1 - window_probabilities(setting.q, setting.n)[-1]) / 2
        yield f"C = 1 at {L, k}", invariant_error(setting), below
    for L, C, k in product((3, 9), (2, 4, 11), (1, 4, 8, 12)):
        setting = _setting(L, C, Fraction(k, 12))
        half, rest = setting.q / 2, 1 - setting.q
        # Sums above 0.9 C in size: all ±1, and from C = 11 on one feature 0.
        passing = half**C + (C * half ** (C - 1) * rest if C == 11 else 0)
        error = f_star_error(setting).nonpositive
        yield f"union bound at {L, C, k}", error <= (L - 1) * passing, True


@certified("Pr(R ≤ −C) at degree one, q n = C, for C = 5, …, 12 and two L; e_inv at q n = C²/5")
def degree_one_is_easy() -> Margins:
    for L, C in product((9, 17), range(5, 13)):
        law = spurious_law(_setting(L, C, Fraction(C, L * C - C)))
        yield f"T at {L, C}", ball(Fraction(-9 * C, 20)).exp() - ball(law.total(law.value <= -C))
    for L, C in ((20, 5), (20, 6)):
        # Where e_inv is 1/8 or more, q n is above C²/5.
        q = Fraction(C * C, 5 * (L * C - C))
        yield f"C²/5 at {L, C}", HARD - invariant_error(_setting(L, C, q))


@certified("exact errors at the ends of the intervals, and at q = 1 for C = 28, 49, 98")
def region_at_196() -> Margins:
    for C, (hard, readable) in REGION.items():
        low, high = (invariant_error(_at_196(C, q)) for q in hard)
        yield f"e_inv below, C = {C}", HARD - low
        yield f"e_inv above, C = {C}", high - HARD
        if readable:
            low, high = (f_star_error(_at_196(C, q)).nonpositive for q in readable)
            yield f"f* below, C = {C}", READABLE - low
            yield f"f* above, C = {C}", high - READABLE
            # Beyond the region Theorem B may say 1/8; inside it does not.
            yield f"Theorem B, C = {C}", HARD - monotone_bound(_at_196(C, readable[1]))
        else:
            # 13 random sets, each with −13 or less: q^13 (14 − 27q/2)/2^13 is largest at q = 26/27.
            q = Fraction(26, 27)
            yield f"f* for all q, C = {C}", READABLE - 13 * q**13 * (14 - 27 * q / 2) / 2**13
    for C in (7, 14):
        yield f"Theorem B, C = {C}", HARD - monotone_bound(_at_196(C, "1"))
    for C in (28, 49, 98):
        yield f"e_inv at q = 1, C = {C}", HARD - invariant_error(_at_196(C, "1"))


@symbolic("C = 1: f* is the sign of T, so it errs at least as often as the best invariant rule")
def single_patches() -> Claims:
    q = sp.Symbol("q")
    top = (q / 2) ** 14 + 14 * (q / 2) ** 13 * (1 - q)
    yield "tail at C = 14", sp.expand(top - q**13 * (14 - sp.Rational(27, 2) * q) / 2**13), 0
    for k in (1, 5, 12):
        setting = _at_196(1, Fraction(k, 12))
        law = spurious_law(setting)
        yield f"q = {k}/12", f_star_error(setting).nonpositive, law.total(law.value <= -1)


def _equal_levels(setting: Setting, b: Fraction) -> AttentionLevels:
    Z = setting.D + b
    return AttentionLevels((1 + b) / Z, 1 / Z, 1 / Z)


@symbolic("F and ∂F/∂α of all counts at (3, 2), (2, 3): monotone in α, and homogeneous pairs")
def bounds_over_an_interval() -> Claims:
    for (L, C), b in product(((3, 2), (2, 3)), map(Fraction, ("-1/2", "1", "6"))):
        setting = Setting(L=L, C=C, q=Fraction(1, 2), p=3, nu=Fraction(1, 4), sigma_A=0)
        levels, n = _equal_levels(setting, b), setting.n
        for plus, minus in product(range(n + 1), range(n + 1)):
            if plus + minus > n:
                continue
            T = C + plus - minus
            members = [*([1] * (C + plus)), *([-1] * minus), *([0] * (n - plus - minus))]
            sets = [members[k : k + C] for k in range(0, L * C, C)]
            found = []
            for alpha in (Fraction(1, 3), Fraction(1, 2)):
                terms = [
                    set_terms(setting, alpha, levels, s.count(1), s.count(-1), T, number=Fraction)
                    for s in sets
                ]
                found.append((sum(t.F for t in terms), sum(t.alpha for t in terms)))
            sign = (T > 0) - (T < 0)
            grows = all(sign * b >= sign * a for a, b in zip(*found, strict=True))
            same = all(sign * value > 0 for pair in found for value in pair) or sign == 0
            yield f"{plus, minus} at {L, C, b}", (grows, same), (True, True)


@certified("floor and range against 9 points inside, six intervals, in balls")
def enclosures_hold() -> Margins:
    for L, C, q, sigma_A in ((5, 2, "4/5", "3/10"), (4, 3, "1/2", "-1"), (3, 2, "1", "2")):
        setting = Setting(
            L=L, C=C, q=Fraction(q), p=3, nu=Fraction(1, 4), sigma_A=Fraction(sigma_A)
        )
        for low, width in ((Fraction(1, 30), Fraction(1, 10)), (Fraction(1, 8), Fraction(1, 50))):
            high = low * (1 + width)
            floor = climb_floor(setting, ball(low), ball(high))
            below, above = drive_sign(setting, ball(low), ball(high))
            for k in range(1, 10):
                alpha = ball(low + (high - low) * Fraction(k, 10))
                inside = equal_logits(setting, alpha)
                yield f"floor, {L, C, q}", inside.climb - floor
                yield f"below, {L, C, q}", inside.drive / alpha**3 - below
                yield f"above, {L, C, q}", above - inside.drive / alpha**3


def _hypotheses(setting: Setting, start: Fraction, sign: int) -> Margins:
    """The hypotheses of the theorem on slow attention, planned in floats and proved in balls.

    α± lie 2 % beside the root, and [start, α₋] is cut so that the floor is positive on each piece.
    """
    root = Fraction(plateau_at_equal_logits(setting)).limit_denominator(10**6)
    low, high = root * Fraction(49, 50), root * Fraction(51, 50)
    yield "starts before", low - start
    yield "falls beyond", -equal_logits(setting, ball(high)).climb
    below, above = drive_sign(setting, ball(low), ball(high))
    yield "drive", below if sign > 0 else -above
    left = start
    while left < low:
        factor = Fraction(3, 2)
        while climb_floor(setting, float(left), float(min(left * factor, low))) <= 0:
            factor = 1 + (factor - 1) / 2
            if factor < 1 + Fraction(1, 10**4):
                raise ArithmeticError(f"the climb is not positive near alpha = {float(left)}")
        right = min(left * factor, low)
        yield f"climbs from {float(left):.4g}", climb_floor(setting, ball(left), ball(right))
        left = right


def _example(L: int, C: int, q: str, nu: str, sigma_A: str) -> Setting:
    return Setting(
        L=L, C=C, q=Fraction(q), p=3, nu=Fraction(nu), sigma_A=Fraction(sigma_A), temperature=1
    )


# (setting, α⁰, sign of the first move)
SMALL_FATES = (
    (_example(5, 2, "4/5", "1", "3/10"), Fraction(1, 100), -1),
    (_example(5, 2, "4/5", "1", "3"), Fraction(1, 100), 1),
    (_example(6, 4, "3/10", "1/20", "3/10"), Fraction(1, 100), 1),
    (_example(6, 4, "9/10", "1/20", "3/10"), Fraction(1, 100), -1),
)
LARGE_FATES = (
    (_example(49, 4, "1/10", "1/20", "1/2"), Fraction(1, 500), 1),
    (_example(28, 7, "1/2", "1/20", "1/2"), Fraction(1, 500), -1),
    (_example(28, 7, "1/2", "1/20", "2"), Fraction(1, 500), 1),
)


@certified("the hypotheses alone, at (5, 2, 4/5) and at 24 patches, for both signs")
def hypotheses_at_small_size() -> Margins:
    for setting, start, sign in SMALL_FATES:
        for where, margin in _hypotheses(setting, start, sign):
            yield f"{where}, {setting.L, setting.C, setting.q, setting.sigma_A}", margin


@certified("the hypotheses at three settings with D = 196")
def hypotheses_at_196() -> Margins:
    for setting, start, sign in LARGE_FATES:
        for where, margin in _hypotheses(setting, start, sign):
            yield f"{where}, {setting.L, setting.C, setting.q, setting.sigma_A}", margin
        hard, error = invariant_error(setting), f_star_error(setting).nonpositive
        yield "hard", hard - HARD
        yield "readable", READABLE - error


@symbolic("the last line of the proof, for all positive ε, μ, M, r, t₀")
def last_line_of_slow() -> Claims:
    epsilon, mu, M, r, t_0 = sp.symbols("epsilon mu M r t_0", positive=True)
    t_1 = r / (epsilon * M)
    grown = epsilon * mu * (t_1 - t_0) - 2 * epsilon * M * t_0
    yield "s(γ − ρ) at t₁", sp.expand(grown), sp.expand(mu * r / M - epsilon * t_0 * (mu + 2 * M))
    enough = mu * r / (2 * M * t_0 * (mu + 2 * M))
    yield "c at the largest ε", sp.simplify(grown.subs(epsilon, enough)), mu * r / (2 * M)


@property_("gradient flow at (5, 2, 4/5), ν = 1, two σ_A, η_A/η_v = 1, beside the slow path")
def flow_obeys() -> float:
    gap = 0.0
    for setting, start, sign in SMALL_FATES[:2]:
        path = slow_attention(setting, step=0.05, stop=0.3, method="enumeration")
        flow = gradient_flow(
            setting,
            Coefficients(float(start), 0.0, 0.0),
            eta_v=1.0,
            eta_A=1.0,
            time=path.time[[0, -1]],
            method="enumeration",
            rtol=1e-5,
        )
        moved = flow.gamma[-1] - flow.rho[-1]
        require(sign * moved > 0.1, f"σ_A = {setting.sigma_A}: γ − ρ = {moved}")
        gap = max(gap, abs(moved - (path.gamma[-1] - path.rho[-1])))
    require(gap < 0.02, f"the flow is {gap} from the slow path")
    return gap


@property_("the path of the code at (5, 2, 4/5), σ_A = 0.3: its start, plateau, direction and time")
def slow_path_of_the_code() -> float:
    setting = SMALL_FATES[0][0]
    path = slow_attention(setting, step=0.02, stop=0.1, method="enumeration")
    require(path.gamma[0] == path.rho[0] == 0, "it starts at γ = ρ = 0")
    error = 0.0
    for k in range(1, len(path) - 1):
        found = evaluate_in_floats(setting, path.state(k), method="enumeration")
        error = max(error, abs(found.gradient.alpha / found.scale.alpha))
        velocity = -np.array([found.gradient.gamma, found.gradient.rho])
        chord = np.array([path.gamma[k + 1] - path.gamma[k - 1], path.rho[k + 1] - path.rho[k - 1]])
        elapsed = path.time[k + 1] - path.time[k - 1]
        gap = np.abs(chord / elapsed / velocity - 1).max()
        require(gap < 0.05, f"step {k} moves with a velocity {gap} off")
    require(error < 1e-4, f"α is off its plateau by {error} of the scale")
    return error


STATEMENTS = (
    Statement(
        id="asm-sizes",
        kind="assumption",
        title="Sizes",
        text=r"""Hard with floor $h$: $e_{\mathrm{inv}}\ge h$. Readable with tolerance $r$:
            $\Pr[yf^\star\le0]\le r$. Started: $v^0=\alpha^0w^\star$, $A^0_{ij}=0$ off the
            diagonal, $\sigma_A>0$, $\nu>0$.""",
        hypotheses=(r"$0<r<h<\frac12$", r"$\alpha^0>0$", r"$C\ge2$"),
        depends=("asm-data", "def-f-star", "def-einv", "def-vit"),
        paper="Assumption 2",
        relation="finite-size form",
        checks=(sizes_can_be_met_and_missed,),
    ),
    Statement(
        id="lem-errors-move",
        kind="lemma",
        title="How the errors move",
        text=r"""$e_{\mathrm{inv}}$ does not fall in $q$, and at fixed $D$ does not grow in $C$; the
            Bayes error does not fall in $q$, nor $\Pr[yf^\star\le0]$ if $2\le C\le10$. All are
            $0$ at $q=0$.""",
        depends=("lem-einv", "prop-f-star", "prop-bayes", "lem-lambda"),
        checks=(steps_of_monotonicity, errors_move),
    ),
    Statement(
        id="prop-hard-scale",
        kind="proposition",
        title="Hard at the scale of the squared set size",
        text=r"""With $V=qn$: $\frac12(1-C\lambda_q(n))\le e_{\mathrm{inv}}\le
            \exp(-\frac9{20}\min(C,C^2/V))$; so $\min(q,\frac12)n\ge\frac87C^2$ gives
            $e_{\mathrm{inv}}\ge\frac18$. And $\Pr[yf^\star\le0]\le(L-1)\Pr(s>0.9C)$.""",
        hypotheses=("$q>0$",),
        depends=("lem-einv", "lem-lambda", "lem-window", "prop-f-star"),
        checks=(constants_of_the_scale, both_sides_of_the_scale, ends_of_the_scale),
    ),
    Statement(
        id="cor-degree-two",
        kind="corollary",
        title="The degree must be two",
        text=r"""$e_{\mathrm{inv}}\ge\frac18$ needs $qn\ge\frac15C^2$. If $qn\le C$ the sign of
            $T$ errs with probability at most $e^{-9C/20}<\frac18$.""",
        hypotheses=(r"$C\ge5$",),
        depends=("prop-hard-scale",),
        paper="Assumption 2",
        relation="finite-size form",
        checks=(degree_one_is_easy, constants_of_the_scale),
    ),
    Statement(
        id="thm-196-region",
        kind="theorem",
        title="The region at 196 patches",
        text=r"""With $h=\frac18$, $r=\frac1{100}$ the rates that are hard and readable are an
            interval for $C=2,4,7,14$, with ends known to $10^{-5}$, and none for $C=1,28,49,98$.
            Theorem B says $\frac18$ nowhere in it.""",
        hypotheses=("$D=196$",),
        depends=("asm-sizes", "lem-errors-move", "prop-hard-scale", "thm-3-1-b"),
        paper="Assumption 2",
        relation="finite-size form",
        checks=(region_at_196, single_patches),
    ),
    Statement(
        id="def-slow",
        kind="definition",
        title="Slow attention",
        text=r"""The path of $(\gamma,\rho)$ along $(\gamma',\rho')$ from $0$ with $\alpha$ on its
            plateau.""",
        hypotheses=(r"the root of $\alpha'$ is simple and continues",),
        depends=("def-descent", "prop-plateau"),
        checks=(slow_path_of_the_code,),
    ),
    Statement(
        id="lem-interval",
        kind="lemma",
        title="Bounds over an interval",
        text=r"""On $[\alpha_1,\alpha_2]$ the climb is at least $\E[\sig(-F_2)\partial F_1;T>0]+
            \E[\sig(-F_2)\partial F_2;T<0]$, and the drive is $\alpha^p\E[\sig(-F)W]$ with
            $\sig(-F)$ between its values at the ends.""",
        hypotheses=(r"$\gamma=\rho$", r"$0<\alpha_1<\alpha_2$"),
        depends=("lem-sign", "thm-drive"),
        checks=(bounds_over_an_interval, enclosures_hold),
    ),
    Statement(
        id="thm-slow",
        kind="theorem",
        title="The drive on the plateau decides the first move",
        text=r"""If $\alpha'>0$ on $[\alpha^0,\alpha_-]$, $\alpha'<0$ at $\alpha_+$ and the drive
            has the sign $s$ on $[\alpha_-,\alpha_+]$, all at $\gamma=\rho=0$, then there are
            $c,\epsilon_0>0$ such that the flow with $\eta_A/\eta_v\le\epsilon_0$ reaches
            $s(\gamma-\rho)\ge c$.""",
        hypotheses=(r"$0<\alpha^0\le\alpha_-<\alpha_+$", r"$\gamma^0=\rho^0=0$"),
        depends=("def-descent", "prop-margin"),
        checks=(hypotheses_at_small_size, last_line_of_slow, flow_obeys),
    ),
    Statement(
        id="prop-196-fates",
        kind="proposition",
        title="Both fates inside the region",
        text=r"""At $D=196$, $p=3$, $\nu=\frac1{20}$, inside the region of hard and readable rates:
            slow attention moves towards the sets at $(49,4,\frac1{10})$, $\sigma_A=\frac12$ and at
            $(28,7,\frac12)$, $\sigma_A=2$, and away from them at $(28,7,\frac12)$,
            $\sigma_A=\frac12$.""",
        hypotheses=(r"$\tau=1$", r"$\alpha^0=\frac1{500}$"),
        depends=("thm-slow", "lem-interval", "thm-196-region"),
        paper="Theorem 4.1",
        relation="finite-size form",
        checks=(hypotheses_at_196,),
    ),
)
