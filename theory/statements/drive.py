"""Statements on acts I and II: sign of the output, plateau, and what drives attention."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations_with_replacement, permutations, product
from typing import Any

import sympy as sp
from flint import arb, ctx

from theory.data.law import invariant_error, spurious_law
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.expectation.certified import ball, certified_expectation
from theory.expectation.enumeration import rational_slope
from theory.model.exact import rational_sigmoid
from theory.model.vit import polynomial_activation
from theory.setting import Coefficients, Setting
from theory.statements.statement import Statement, certified, symbolic
from theory.symmetry import symbols
from theory.symmetry.levels import AttentionLevels
from theory.symmetry.terms import set_terms

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, object]]


@symbolic("all counts and b, p = 3, 5, 7: F at T = k ≥ 1 as a sum of positive products")
def sign_of_the_output() -> Claims:
    k, m, zero, b, kappa = sp.symbols("k m n_0 b kappa", positive=True)
    for p in (3, 5, 7):
        sigma = polynomial_activation(p, symbols.nu)
        F = (m + k) * sigma(kappa * (k + b)) + zero * sigma(kappa * k)
        F += m * sigma(kappa * (k - b))  # n₋ = m patches see T − b
        pairs = sum(sp.binomial(p, 2 * j) * k ** (p - 2 * j) * b ** (2 * j)
                    for j in range((p + 1) // 2))  # fmt: skip
        positive = k * sigma(kappa * (k + b)) + zero * sigma(kappa * k)
        # Even powers of b alone: positive for b < 0 too; and k + b > 0 as b > −1.
        positive += 2 * m * (kappa**p * pairs + symbols.nu * kappa * k)
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
    for (L, C), p, b in product(((3, 2), (2, 3)), (3, 5), map(Fraction, ("-1/2", "1", "6"))):
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


@symbolic("the pairs counted one by one for L, C ≤ 4; their difference for all L, C and φ")
def pairs_of_the_drive() -> Claims:
    def claimed(C: Any, n: Any) -> dict[tuple[bool, bool, bool], Any]:
        """Ordered pairs by (inside, i in the signal set, j in the signal set)."""
        inside = {(True, True, True): C * (C - 1), (True, False, False): n * (C - 1)}
        across = {(False, True, False): C * n, (False, False, True): C * n}
        return inside | across | {(False, False, False): n * (n - C)}

    for L, C in product((2, 3, 4), repeat=2):
        sets = Partition.contiguous(L, C).labels
        counted = {key: 0 for key in claimed(C, (L - 1) * C)}
        for i, j in permutations(range(L * C), 2):
            counted[sets[i] == sets[j], sets[i] == 0, sets[j] == 0] += 1
        yield f"pairs at {L, C}", counted, claimed(C, (L - 1) * C)
    L, C = sp.symbols("L C", positive=True)
    D, n = L * C, (L - 1) * C
    # φ(1, 1) and the means of φ(1, x_j), φ(x_i, 1), φ(x_i, x_j), as unknown numbers.
    f_11, f_1x, f_x1, f_xx = sp.symbols("f_11 f_1x f_x1 f_xx")
    mean = {(True, True): f_11, (True, False): f_1x, (False, True): f_x1, (False, False): f_xx}
    pairs = claimed(C, n)
    inside = sum(k * mean[i, j] for (within, i, j), k in pairs.items() if within) / (D * (C - 1))
    across = sum(k * mean[i, j] for (within, i, j), k in pairs.items() if not within) / (D * n)
    yield "inside", inside, (C * f_11 + n * f_xx) / D
    yield "across", across, (C * f_1x + C * f_x1 + (n - C) * f_xx) / D
    yield "difference", inside - across, C / D * (f_11 - f_1x - f_x1 + f_xx)
    g_1, g_x, x = sp.symbols("g_1 g_x x_j")
    bracket = g_1 - g_1 * x - g_x + g_x * x  # φ(x, x') = g(x) x'
    yield "as a product", bracket, (g_1 - g_x) * (1 - x)


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
    (("5", "2", "4/5", "1", "3/10"), "0.059301", "0.059421"),
    (("16", "4", "1/2", "1/20", "1/2"), "0.0324583", "0.0324649"),
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


STATEMENTS = (
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
        checks=(pairs_of_the_drive, drive_by_enumeration),
    ),
    Statement(
        id="cor-drive",
        kind="corollary",
        title="Who pulls and who pushes",
        text=r"""An image with $T\ge0$ adds to the drive a term $\ge0$; if $b\le2$, one with $T<0$
            a term $\le0$.""",
        hypotheses=(r"$\alpha>0$", r"$b>0$"),
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
)
