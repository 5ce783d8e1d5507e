"""Statements of the chapter on Gaussian patches: what the plain sum knows, and who associates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product

import flint
import numpy as np
import sympy as sp

from theory.data.gaussian import SetMoments, cubic_moments, drive_bracket, set_drive, set_moments
from theory.data.partition import Partition
from theory.model.exact import mean_gradient, network, symmetric_weights
from theory.statements.statement import Statement, certified, simulated, symbolic

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, flint.arb]]
Estimates = Iterator[tuple[str, float, float, float]]
Images = list[tuple[Fraction, int, list[list[Fraction]]]]


def _expectation(polynomial: sp.Expr, variables: list[sp.Symbol]) -> sp.Expr:
    """E of a polynomial in independent standard Gaussians: E g^{2m} = (2m − 1)!!, odd powers 0."""
    return sp.Add(
        *(
            coefficient * sp.Mul(*(sp.factorial2(e - 1) for e in powers))
            for powers, coefficient in sp.Poly(polynomial, *variables).terms()
            if all(e % 2 == 0 for e in powers)
        )
    )


# ---------------------------------------------------------------- the plain sum, the patch filter


@symbolic("the correlation with M groups of k patches for (M, k) up to (3, 3), patch by patch")
def plain_correlation() -> Claims:
    for M, k in product((1, 2, 3), (1, 2, 3)):
        x = sp.symbols(f"x:{M * k}")
        T, V = sum(x), sum(sum(x[k * m : k * m + k]) ** 3 for m in range(M))
        covariance, of_T, of_V = (_expectation(f, list(x)) for f in (T * V, T**2, V**2))
        yield f"corr² at {M, k}", covariance**2 / (of_T * of_V), sp.Rational(3, 5)


@certified("arccos √(3/5) / π in balls")
def plain_limit() -> Margins:
    error = (flint.arb(3) / 5).sqrt().acos() / flint.arb.pi()
    yield "above 0.2179", error - flint.arb(2179) / 10000
    yield "below 0.2180", flint.arb(218) / 1000 - error


@symbolic("κ symbolic, D = 1, 2, 3, 4, patch by patch; and the limit κ → 0")
def cubic_correlation() -> Claims:
    kappa = sp.Symbol("kappa")
    for D in (1, 2, 3, 4):
        x = sp.symbols(f"x:{D}")
        G, V = (sum((xi + c * sum(x)) ** 3 for xi in x) for c in (kappa, 0))
        for name, value, formula in zip(
            ("cov", "var G", "var V"), (G * V, G**2, V**2), cubic_moments(D, kappa), strict=True
        ):
            yield f"{name} at D = {D}", _expectation(sp.expand(value), list(x)), formula
    covariance, of_G, of_V = cubic_moments(sp.Symbol("D"), 0)
    yield "corr² at κ = 0", covariance**2 / (of_G * of_V), 1


def patch_teacher(x: tuple[int, ...], sets: tuple[tuple[int, ...], ...]) -> int:
    """Σ_j x_j³, whatever the sets."""
    return sum(value**3 for value in x)


def set_teacher(x: tuple[int, ...], sets: tuple[tuple[int, ...], ...]) -> int:
    """Σ_ℓ (Σ_{j∈S_ℓ} x_j)³."""
    return sum(sum(x[j] for j in members) ** 3 for members in sets)


def _images(
    teacher: Callable[[tuple[int, ...], tuple[tuple[int, ...], ...]], int],
    partition: Partition,
    noise: tuple[int, ...],
) -> Images:
    """Every image of independent patches (x, ξ), x uniform on {−1, 2}, ξ on ``noise``."""
    features = list(product((-1, 2), repeat=partition.D))
    backgrounds = list(product(noise, repeat=partition.D))
    chance = Fraction(1, len(features) * len(backgrounds))
    found = []
    for x, xi in product(features, backgrounds):
        value = teacher(x, partition.sets)
        assert value != 0
        pairs = zip(x, xi, strict=True)
        rows = [[Fraction(a), *([Fraction(b)] if len(noise) > 1 else [])] for a, b in pairs]
        found.append((chance, 1 if value > 0 else -1, rows))
    return found


@symbolic("(2, 2) with noise and (3, 2) without, a finite law, a rational sigmoid, γ = ρ")
def patch_filter_is_blind() -> Claims:
    for L, noise in ((2, (-1, 1)), (3, (0,))):
        partition = Partition.contiguous(L, 2)
        images = _images(patch_teacher, partition, noise)
        weights = symmetric_weights(partition, Fraction(5), Fraction(2), Fraction(2))
        v = [Fraction(1, 4), Fraction(0)][: len(noise)]
        gradient = mean_gradient(images, weights, v)
        pairs = [(i, j) for i, j in product(range(2 * L), repeat=2) if i != j]
        for i, j in pairs:
            yield f"{i, j} at L = {L}", gradient.in_A[i][j], gradient.in_A[0][1]
        yield f"it moves at L = {L}", gradient.in_A[0][1] != 0, True
        if len(noise) > 1:
            yield "off the feature line", gradient.in_v[1], Fraction(0)


# ---------------------------------------------------------------- the filter of a whole set


def _reduced(polynomial: sp.Poly, h: SetMoments, h1: sp.Symbol) -> sp.Expr:
    """E[y Q] for a polynomial Q of degree 3 in the g_ℓ, odd, in terms of the moments of y."""
    value = {
        (1,): h1,
        (3,): h.h3 + 3 * h1,
        (1, 2): h.h21 + h1,
        (1, 1, 1): h.h111,
    }
    return sp.Add(
        *(
            coefficient * value[tuple(sorted(e for e in powers if e))]
            for powers, coefficient in polynomial.terms()
        )
    )


def _given_sums(L: int, C: int, b: sp.Symbol) -> tuple[sp.Expr, list[sp.Symbol]]:
    """E[(b x_i + T)² (x_j − x_m) | g], i, j in set 0 and m in set 1, as a polynomial in the g."""
    g = list(sp.symbols(f"g:{L}"))
    root = sp.sqrt(C)
    T = root * sum(g)
    # Given its sum, a set is Gaussian about g/√C with covariance 1 − 1/C, and −1/C between patches.
    mean, other = g[0] / root, g[1] / root
    own, between = 1 - sp.Rational(1, C), -sp.Rational(1, C)
    in_square = (mean**2 + own) * mean + 2 * mean * between  # E[x_i² x_j]
    return sp.expand(
        b**2 * (in_square - (mean**2 + own) * other)
        + 2 * b * T * (mean**2 + between - mean * other)
        + T**2 * (mean - other)
    ), g


def _monomial(values: list[sp.Expr], powers: tuple[int, ...]) -> sp.Expr:
    return sp.Mul(*(value**power for value, power in zip(values, powers, strict=True)))


@symbolic(
    "the conditional mean against all monomials of degree 1 and 3, (L, C) = (2, 2), (3, 2), (2, 3)"
)
def conditional_mean() -> Claims:
    b = sp.Symbol("b")
    for L, C in ((2, 2), (3, 2), (2, 3)):
        Q, g = _given_sums(L, C, b)
        x = sp.symbols(f"x:{L * C}")
        exact = sp.Poly(sp.expand((b * x[0] + sum(x)) ** 2 * (x[1] - x[C])), *x)
        sums = [sum(x[C * m : C * m + C]) for m in range(L)]
        for powers in product(range(4), repeat=L):
            if sum(powers) in (1, 3):  # the others have mean 0 on both sides
                test = sp.Poly(_monomial(sums, powers), *x)
                left = _expectation((exact * test).as_expr(), list(x))
                scale = sp.sqrt(C) ** sum(powers)
                right = scale * _expectation(Q * _monomial(g, powers), g)
                yield f"{powers} at {L, C}", left, right


@symbolic("the bracket for L = 2, …, 6 and C = 2, 3, 5, b and the moments free")
def bracket_of_moments() -> Claims:
    b, h1, *h = sp.symbols("b h1 h3 h21 h111")
    moments = SetMoments(*h)
    for L, C in product(range(2, 7), (2, 3, 5)):
        Q, g = _given_sums(L, C, b)
        left = _reduced(sp.Poly(Q, *g), moments, h1)
        right = b * drive_bracket(moments, L, C, b) / sp.sqrt(C) ** 3
        yield f"at {L, C}", left, right


@symbolic("(2, 2) and (3, 2), a finite law, a rational sigmoid: with it, and with the constant ½")
def sigmoid_plays_no_part() -> Claims:
    for L in (2, 3):
        partition = Partition.contiguous(L, 2)
        images = _images(set_teacher, partition, (0,))
        weights = symmetric_weights(partition, Fraction(5), Fraction(2), Fraction(2))
        v, nu = [Fraction(1, 4)], Fraction(1, 3)
        whole = mean_gradient(images, weights, v, 3, nu).in_A
        half = Fraction(0)
        for chance, y, X in images:
            in_A = network(weights, v, X, 3, nu).in_A
            half += chance * y * Fraction(1, 2) * (in_A[0][1] - in_A[0][2])
        yield f"in-set less cross-set at L = {L}", whole[0][1] - whole[0][2], half
        yield f"it moves at L = {L}", half != 0, L > 2


@simulated("200 000 labels each at L = 3, 4, 9: the three moments")
def moments_of_labels() -> Estimates:
    rng = np.random.default_rng(3)
    for L in (3, 4, 9):
        g = rng.standard_normal((200_000, L))
        y = np.sign((g**3).sum(axis=1))
        first, second, third = g[:, 0], g[:, 1], g[:, 2]
        values = (
            y * (first**3 - 3 * first),
            y * (first**2 - 1) * second,
            y * first * second * third,
        )
        for name, value, exact in zip(SetMoments._fields, values, set_moments(L), strict=True):
            yield f"{name} at L = {L}", value.mean(), value.std() / len(y) ** 0.5, exact


@simulated("100 000 images at three states, the true sigmoid and all of A: in-set less cross-set")
def drive_of_images() -> Estimates:
    rng = np.random.default_rng(4)
    for L, C, b, kappa in ((3, 2, 3.0, 0.3), (9, 4, 0.6, 0.1), (9, 4, 19.0, 0.02)):
        x = rng.standard_normal((100_000, L, C))
        T, s = x.sum(axis=(1, 2)), x.sum(axis=2)
        y = np.sign((s**3).sum(axis=1))
        O = kappa * (b * x + T[:, None, None])
        F = (O**3 + 0.05 * O).sum(axis=(1, 2))
        sigmoid = np.exp(-np.logaddexp(0, y * F))
        slope = (y * sigmoid)[:, None, None] * (3 * O**2 + 0.05)
        # −∂ℓ/∂A_ij is slope_i κ (x_j − mean), averaged over ordered pairs in and across sets.
        at_set, of_set = slope.sum(axis=2), s
        inside = (at_set * of_set).sum(axis=1) - (slope * x).sum(axis=(1, 2))
        across = at_set.sum(axis=1) * T - (at_set * of_set).sum(axis=1)
        value = kappa * (inside / (L * C * (C - 1)) - across / (L * C * C * (L - 1)))
        error = value.std() / len(value) ** 0.5
        yield f"at {L, C, b}", value.mean(), error, set_drive(L, C, b, kappa)


def taylor_coefficients() -> tuple[sp.Expr, ...]:
    """Of E cos tg³ − 1 (t²), E g sin tg³ (t), E (g²−1) cos tg³ (t²), E (g³−3g) sin tg³ (t)."""
    g = sp.Symbol("g")

    def mean(polynomial: sp.Expr) -> sp.Expr:
        return _expectation(sp.expand(polynomial), [g])

    return (
        -mean(g**6) / 2,
        mean(g * g**3),
        -mean((g**2 - 1) * g**6) / 2,
        mean((g**3 - 3 * g) * g**3),
    )


@symbolic("the leading coefficients, the three limits, and the limit of the bracket, L symbolic")
def many_sets() -> Claims:
    u = sp.Symbol("u", positive=True)
    c0, c1, c2, c3 = taylor_coefficients()
    for k, (found, value) in enumerate(((c0, -sp.Rational(15, 2)), (c1, 3), (c2, -45), (c3, 6))):
        yield f"coefficient {k}", found, value
    bell = sp.exp(c0 * u**2)
    flat, square = (2 / sp.pi * sp.integrate(f * bell, (u, 0, sp.oo)) for f in (1, u**2))
    L, C, b = sp.symbols("L C b", positive=True)
    power = L ** sp.Rational(3, 2)
    leading = SetMoments(
        c3 * flat / sp.sqrt(L), c2 * c1 * square / power, -(c1**3) * square / power
    )
    bracket = sp.limit(sp.expand(sp.sqrt(L) * drive_bracket(leading, L, C, b)), L, sp.oo)
    yield "limit", bracket, 6 * sp.sqrt(2 / (15 * sp.pi)) * (b - 2 * C / 5)


STATEMENTS = (
    Statement(
        id="def-gaussian",
        kind="definition",
        title="Gaussian patches and the cubic teacher",
        text=r"""Independent standard Gaussian patches;
            $y=\operatorname{sign}\sum_B\big(\sum_{j\in B}x_j\big)^3$ over groups $B$ of $k$ patches
            of one hidden set.""",
        hypotheses=(r"$k$ divides $C$",),
        paper="Figure 2",
        relation="ours",
    ),
    Statement(
        id="prop-gaussian-plain",
        kind="proposition",
        title="The plain sum errs on a fifth",
        text=r"""$\operatorname{corr}(T,V)=\sqrt{3/5}$ for every $k$, and
            $\Pr[yT\le0]\to\arccos\sqrt{3/5}/\pi=0.2179…$ as the number of groups grows.""",
        hypotheses=("any $D$, $C$ and $k$",),
        depends=("def-gaussian",),
        checks=(plain_correlation, plain_limit),
    ),
    Statement(
        id="prop-gaussian-patch",
        kind="proposition",
        title="A filter of one patch forgets the sets",
        text=r"""For $k=1$ gradient descent keeps $v$ on the feature line and all off-diagonal
            entries of $A$ equal: no association at any time. At $\nu=0$, $p=3$, $\alpha>0$ and
            $\gamma=\rho<\sigma_A$ the error tends to $0$ as $\gamma\to-\infty$, where
            $\operatorname{corr}(F,V)\to1$.""",
        hypotheses=("$k=1$, $C\\ge2$", "population loss", r"$v^0=\alpha^0w^\star$, $A^0_{ij}=0$"),
        depends=(
            *("def-gaussian", "lem-commutant", "def-association"),
            "prop-gradient-equivariant",
        ),
        checks=(patch_filter_is_blind, cubic_correlation),
    ),
    Statement(
        id="thm-gaussian-set",
        kind="theorem",
        title="A filter of a whole set, at equal logits",
        text=r"""For $k=C$, $p=3$, at $\gamma=\rho$:
            $\gamma'-\rho'=\frac{3\kappa^3b}{2\tau C^{3/2}}\{b(h_3-h_{21})
            +2C(h_3+(L-3)h_{21}-(L-2)h_{111})\}$, for every $\alpha$ and $\nu$.""",
        hypotheses=("$k=C$, $p=3$", "population loss", r"$v=\alpha w^\star$, $\gamma=\rho$"),
        depends=("def-gaussian", "lem-equal-logits"),
        checks=(
            *(conditional_mean, bracket_of_moments, sigmoid_plays_no_part),
            *(moments_of_labels, drive_of_images),
        ),
    ),
    Statement(
        id="cor-gaussian-limit",
        kind="corollary",
        title="With many sets the threshold is two fifths of C",
        text=r"""$\sqrt L\,\{…\}\to6\sqrt{2/(15\pi)}\,(b-\tfrac25C)$ as $L\to\infty$: association
            starts if $e^{(\sigma_A-\gamma)/\tau}-1>\tfrac25C$; below, $\gamma-\rho$ falls.""",
        hypotheses=("$C$ and $b>0$ fixed", r"$L\to\infty$", r"$\alpha>0$"),
        depends=("thm-gaussian-set",),
        checks=(many_sets,),
    ),
)
