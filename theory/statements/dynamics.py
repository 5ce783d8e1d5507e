"""Statements of the chapter on the dynamics: start, plateau, drive, descent and flow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, product

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
from theory.statements.statement import Statement, certified, property_, require, symbolic

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


@certified("each row: its start, margin, error, and random steps again: three if D ≤ 12, else one")
def certified_rows() -> Margins:
    rng = np.random.default_rng(0)
    for name, run in TABLE.items():
        found = certificate(name)  # raises if it is of another run, or absent
        steps = np.arange(found.steps + 1)
        for step in rng.choice(steps, 3 if run.setting.D <= 12 else 1, replace=False):
            # False means "not proved", so it must not read as a refutation.
            again = arb(1) if check_step(found, int(step)) else arb(0, 1)
            yield f"{name}, step {step}", again
        sign = -1 if name == "failure" else 1
        yield f"margin of {name}", sign * found.margin()
        if sign > 0:
            yield f"error of {name}", ball("1/20") - found.error_bound()


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
        checks=(rates_at_the_start, rates_by_enumeration),
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
            and the error of that row: association at 12, 64 and 196 patches, and a failure though
            $\sigma_A>0$.""",
        hypotheses=("a row of the table", r"$\gamma^0=\rho^0=0$", r"$\tau=1$", "$p=3$"),
        depends=("def-descent", "prop-margin", "lem-loss-error", "prop-pieces"),
        paper="Theorem 4.1",
        relation="finite-size form",
        checks=(certified_rows,),
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
        checks=(seen_on_paths,),
    ),
)
