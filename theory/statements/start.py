"""Statements on the start of the dynamics: velocities at equal logits, in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations, product

import sympy as sp

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.dynamics.start import start_rates
from theory.expectation.enumeration import rational_slope
from theory.model.exact import mean_gradient, rational_sigmoid, symmetric_weights
from theory.model.vit import SimplifiedViT, polynomial_activation
from theory.setting import Setting
from theory.statements.statement import Statement, symbolic
from theory.symmetry import symbols
from theory.symmetry.levels import AttentionLevels
from theory.symmetry.reduction import pair_counts, set_derivatives

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]


@symbolic("α' and the two gap rates of the code are those of all ordered pairs at (2, 2), p = 3")
def descent_of_the_code() -> Claims:
    setting = Setting(L=2, C=2, q=Fraction(1, 3), p=3, nu=Fraction(1, 5), sigma_A=1)
    for L, C in product((2, 3, 5), (1, 2, 4)):
        at = symbols.at(L=L, C=C)
        partition = Partition.contiguous(L, C)
        inside = int(partition.same_set.sum()) - partition.D
        yield f"in-set pairs at {L, C}", int(pair_counts()[symbols.gamma].subs(at)), inside
        across = int((~partition.same_set).sum())
        yield f"cross pairs at {L, C}", int(pair_counts()[symbols.rho].subs(at)), across
    levels = AttentionLevels(Fraction(1, 2), Fraction(1, 4), Fraction(1, 8))
    half = rational_slope(setting, Fraction(1, 3), levels, lambda F: Fraction(1, 2))
    third = rational_slope(setting, Fraction(1, 3), levels, lambda F: Fraction(1, 3))
    for name in ("alpha", "gamma", "rho"):
        yield f"linear in the factor: {name}", getattr(half, name) * 2, getattr(third, name) * 3
    # Every entry of the full gradient, by the chain rule of the network, with no use of symmetry.
    partition = Partition.contiguous(2, 2)
    images = [
        (s.probability, s.y, [[Fraction(x)] for x in s.delta])
        for s in enumerate_samples(partition, setting.q)
    ]
    weights = symmetric_weights(partition, Fraction(4), Fraction(2), Fraction(1))
    full = mean_gradient(images, weights, [Fraction(1, 3)], setting.p, Fraction(setting.nu))
    found = rational_slope(setting, Fraction(1, 3), levels, rational_sigmoid)
    yield "α'", found.alpha, full.in_v[0]
    for i, j in permutations(range(4), 2):
        expected = found.gamma if partition.same_set[i, j] else found.rho
        yield f"A[{i}, {j}]", full.in_A[i][j], expected


@symbolic("three ordered pairs, all images, α, b, ν, τ, at (L, C) = (2, 2), p = 3, 5")
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
    L, C, q, nu = symbols.L, symbols.C, symbols.q, symbols.nu
    tau, alpha, b = symbols.tau, symbols.alpha, symbols.b
    D = L * C
    n, Z = D - C, D + b
    V, K = q * n, 3 * alpha**3 * D**2 * C / (2 * tau * Z**4)
    braces = (D + 3 * b) * (C**2 + 3 * V) + 3 * b**2 * (C + V) + b**3
    return {
        "alpha": (nu * D * C + 3 * alpha**2 * D**3 * C / Z**3 * braces) / 2,
        "gamma": K * b * n * (2 * C - 6 * q + b * (1 - 3 * q)),
        "gap": K * Z * b * (b * (1 - q) + 2 * (C - 2 * q)),
    }


@symbolic("all L, C, q, ν, τ, α and b")
def rates_at_the_start() -> Claims:
    rates, formulas = start_rates(3), _start_formulas()
    yield "α'", rates[symbols.alpha], formulas["alpha"]
    yield "γ'", rates[symbols.gamma], formulas["gamma"]
    yield "γ' − ρ'", rates[symbols.gamma] - rates[symbols.rho], formulas["gap"]
    yield "ν in γ'", rates[symbols.gamma].diff(symbols.nu), sp.S.Zero
    yield "ν in ρ'", rates[symbols.rho].diff(symbols.nu), sp.S.Zero


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
        names = symbols.at(L=L, C=C, q=q, nu=setting.nu, tau=1, alpha=Fraction(1, 3))
        at = {x: sp.Rational(v) for x, v in (names | symbols.at(b=b)).items()}
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
    names = symbols.at(L=L, C=C, q=q, tau=tau, b=b)
    formulas = _start_formulas()
    for name, value in (("gamma", gamma), ("gap", gap)):
        right = formulas[name].subs(names).subs(symbols.alpha, kappa * Z / D)
        yield f"{name} with α for κ", sp.cancel(value - right), sp.S.Zero
    weight = kappa * Z / D  # α
    of_alpha = (3 * kappa**3 * D * cubes / weight + symbols.nu * kappa * Z * C / weight) / 2
    right = formulas["alpha"].subs(names).subs(symbols.alpha, weight)
    yield "α'", sp.cancel(of_alpha - right), sp.S.Zero


@symbolic("all L, all C ≥ 2, q ≤ 1, σ_A: as a sum of products of factors ≥ 0")
def sign_at_the_start() -> Claims:
    weight, more, rest = sp.symbols("a c u", nonnegative=True)  # e^{σ_A/τ}, C − 2, 1 − q
    gap = _start_formulas()["gap"]
    C, D, tau, alpha, b = symbols.C, symbols.D, symbols.tau, symbols.alpha, symbols.b
    bracket = sp.cancel(gap / (3 * alpha**3 * D**2 * C * b) * 2 * tau * (D + b) ** 3)
    changed = bracket.subs(symbols.at(b=weight - 1, C=2 + more, q=1 - rest))
    # Zero only if c = 0 and u = 0, that is C = 2 and q = 1.
    yield "bracket", changed, rest * (weight + 3) + 2 * more
    yield "at (C, q) = (2, 1)", gap.subs(symbols.at(C=2, q=1)), sp.S.Zero


@symbolic("the slope of sig, and powers of α in F and in the mean derivatives of any image, p = 3")
def orders_at_the_start() -> Claims:
    z = sp.Symbol("z")
    sig = 1 / (1 + sp.exp(-z))
    square = (sig - sp.Rational(1, 2)) ** 2
    yield "sig' = ¼ − (sig − ½)²", sig.diff(z), sp.Rational(1, 4) - square
    # One image at equal logits: n± counts over the sets; ∂F sums over sets of any types.
    u = sp.Symbol("u", positive=True)
    equal = symbols.at(p=3, Lambda=(1 + symbols.b) * u, Gamma=u, Xi=u, tau=1)
    m = sp.symbols("m_plus m_minus")
    for x in pair_counts():
        per_set = sp.expand(set_derivatives()[x].subs(equal))
        linear = per_set.coeff(symbols.alpha, 1)
        # The part of order α is ν times a linear function of (n₊, n₋) and T: at the whole image,
        # of T = n₊ − n₋ + m₊ − m₋ over L sets, it vanishes with u = 1/(D + b).
        other = symbols.at(n_plus=m[0] / (symbols.L - 1), n_minus=m[1] / (symbols.L - 1))
        whole = linear + (symbols.L - 1) * linear.subs(other, simultaneous=True)
        T = symbols.n_plus - symbols.n_minus + m[0] - m[1]
        whole = whole.subs(symbols.T, T).subs(u, 1 / (symbols.D + symbols.b))
        yield f"order α of the derivative in {x}", sp.cancel(sp.together(whole)), sp.S.Zero
        yield f"order α² in {x}", per_set.coeff(symbols.alpha, 2), sp.S.Zero


@symbolic("the formulas and all images at (3, 2, 1/2), e^{σ_A/τ} = 20, α = τ = 1, factor ½")
def gamma_falls_at_the_start() -> Claims:
    names = symbols.at(L=3, C=2, q=sp.Rational(1, 2), alpha=1, tau=1, b=19)
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
    for name, value, digits in (("γ'", rate.gamma, "-0.18"), ("ρ'", rate.rho, "-1.69")):
        yield f"{name} to two places", abs(value - Fraction(digits)) < Fraction(1, 200), True


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
        hypotheses=(r"$C\ge2$", r"$\gamma=\rho$"),
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
        checks=(rates_at_the_start, rates_by_enumeration, moments_of_the_start),
    ),
    Statement(
        id="cor-start",
        kind="corollary",
        title=r"Association starts exactly if $\sigma_A>0$",
        text=r"$\gamma'-\rho'$ has the sign of $\sigma_A$; at $(C,q)=(2,1)$ it is zero.",
        hypotheses=(
            *("$p=3$", r"$C\ge2$", r"$\alpha>0$", r"$\gamma=\rho=0$"),
            r"$(C,q)\ne(2,1)$",
            r"$\sig(-F)$ is $\frac12$",
        ),
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
)
