"""Statements of the chapter on Theorem 4.2: the gradient on N images and the population's.

Tails are listed exactly at small sizes and compared with their bounds in balls; gradients are those
of the full network, with the true sigmoid in balls or a rational one in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import reduce
from itertools import combinations_with_replacement, product
from math import comb, factorial

import flint
import numpy as np
import sympy as sp
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.expectation.certified import ball
from theory.finite_sample.concentration import gap_bound, images_for_association
from theory.finite_sample.image_law import GradientMoments, gradient_law, listed_gradients
from theory.inputs import Number
from theory.model.association import is_associated, margin
from theory.model.exact import network, rational_sigmoid, symmetric_weights
from theory.setting import Coefficients, Setting
from theory.statements.comparison import _SETTING, _draw, _gradients
from theory.statements.statement import (
    Statement,
    certified,
    property_,
    require,
    simulated,
    symbolic,
)
from theory.symmetry.levels import AttentionLevels

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, object]]
Ball = Number | flint.arb
Balls = Sequence[Sequence[Ball]] | np.ndarray
Estimates = Iterator[tuple[str, float, float, float]]

_HALF = Fraction(1, 2)


def _radius(variance: Ball, largest: Ball, N: int, s: Ball) -> flint.arb:
    """√(2Vs/N) + bs/(3N) as a ball."""
    variance, largest, s = ball(variance), ball(largest), ball(s)
    return (2 * variance * s / N).sqrt() + largest * s / (3 * N)


# ---------------------------------------------------------------- tails


@symbolic("the exponent at the chosen λ, for all v, c, s > 0")
def exponent_is_s() -> Claims:
    v, c, s = sp.symbols("v c s", positive=True)
    r = sp.sqrt(2 * s / v)
    chosen = r / (1 + c * r)
    exponent = chosen**2 * v / (2 * (1 - c * chosen)) - chosen * (sp.sqrt(2 * v * s) + c * s)
    yield "log of the tail", sp.simplify(exponent), -s
    x, k = sp.symbols("x k", positive=True)
    series = sp.series(-sp.log(1 - 2 * x) / 2 - x, x, 0, 9).removeO()
    for power in range(2, 9):
        # Of −½log(1 − 2λ) − λ, against λ²/(1 − 2λ) = Σ 2^{k−2} λ^k.
        share = series.coeff(x, power) / sp.Integer(2) ** (power - 2)
        yield f"coefficient {power}", share, sp.Rational(2, power)
    whole = (sp.sqrt(k) + sp.sqrt(2 * s)) ** 2 - (k + 2 * sp.sqrt(k * s) + 2 * s)
    yield "the square", sp.expand(whole), (2 * sp.sqrt(2) - 2) * sp.sqrt(k * s)


@certified("binomial means at 5 rates, N ≤ 400, 7 values of s; χ² of 2, 6, 64 degrees: exact tails")
def tails_are_below() -> Margins:
    levels = [Fraction(1, 2), *map(Fraction, (1, 2, 4, 5, 6, 8))]
    rates = (Fraction(1, 400), Fraction(1, 20), Fraction(1, 4), _HALF, Fraction(9, 10))
    for rate, N in product(rates, (1, 10, 100, 400)):
        a, b = rate.numerator, rate.denominator
        mass = [comb(N, k) * a**k * (b - a) ** (N - k) for k in range(N + 1)]
        for s in levels:
            reached = N * (ball(rate) + _radius(rate * (1 - rate), 1 - rate, N, s))
            # Counts that are not certainly below.
            tail = sum(m for k, m in enumerate(mass) if not flint.arb(k) < reached)
            where = f"binomial {rate}, N = {N}, s = {s}"
            yield where, (-ball(s)).exp() - ball(Fraction(tail, b**N))
    for degrees, s in product((2, 6, 64), levels):
        half = (ball(degrees).sqrt() + (2 * ball(s)).sqrt()) ** 2 / 2
        terms = (half**i / factorial(i) for i in range(degrees // 2))
        tail = (-half).exp() * sum(terms, flint.arb(0))
        yield f"χ² of {degrees}, s = {s}", (-ball(s)).exp() - tail


# ---------------------------------------------------------------- one image

# Rational weights e^{σ_A}, e^γ, e^ρ, and α, of the listings; τ = 1.
_WEIGHTS = (Fraction(3), Fraction(2), Fraction(1, 2))
_ALPHA = Fraction(1, 5)


def _levels(L: int, C: int) -> AttentionLevels:
    own, inside, across = _WEIGHTS
    Z = own + (C - 1) * inside + (L - 1) * C * across
    return AttentionLevels(own / Z, inside / Z, across / Z)


def _rational_moments(setting: Setting) -> GradientMoments:
    phi = np.frompyfunc(rational_sigmoid, 1, 1)
    levels = _levels(setting.L, setting.C)
    return listed_gradients(setting, _ALPHA, levels, phi, number=Fraction).moments()


@symbolic("means, second moments, ranges and W, over all images at (2, 2), q = 1/3 and 1, p = 3")
def moments_by_listing() -> Claims:
    partition = Partition((0, 1, 1, 0))
    D, same = 4, partition.same_set
    weights = symmetric_weights(partition, *_WEIGHTS)
    # One more pixel for each patch: ∂F/∂v there is D h_j.
    v = [_ALPHA, *[Fraction(0)] * D]
    for q, p in ((Fraction(1, 3), 3), (Fraction(1), 3)):
        found: dict[str, list[tuple[Fraction, Fraction]]] = {}
        for image in enumerate_samples(partition, q):
            X = [[Fraction(x), *(Fraction(j == k) for k in range(D))]
                 for j, x in enumerate(image.delta)]  # fmt: skip
            at = network(weights, v, X, p, Fraction(1, 3))
            factor = -image.y * rational_sigmoid(image.y * at.F)
            pairs: dict[str, list[Fraction]] = {"gamma": [], "rho": []}
            for i, j in product(range(D), repeat=2):
                if i != j:
                    pairs["gamma" if same[i, j] else "rho"].append(factor * at.in_A[i][j])
            pairs["alpha"] = [factor * at.in_v[0]]
            pairs["noise"] = [factor**2 * sum(h * h for h in at.in_v[1:])]
            for name, values in pairs.items():
                share = image.probability / len(values)
                found.setdefault(name, []).extend((share, x) for x in values)
        setting = Setting(L=2, C=2, q=q, p=p, nu=Fraction(1, 3), sigma_A=0)
        moments = _rational_moments(setting)
        for name, law in found.items():
            mean = sum(w * x for w, x in law)
            largest = max(abs(x - mean) for w, x in law if w)
            listed = getattr(moments, name)
            where = f"{name} at q = {q}, p = {p}"
            yield f"mean of {where}", listed.mean, mean
            yield f"variance of {where}", listed.variance, sum(w * (x - mean) ** 2 for w, x in law)
            yield f"range of {where}", listed.largest, largest


@symbolic("all images and all signs of a noise ±κ at (2, 2): E‖g⊥‖² = κ² E W, E g⊥ = 0")
def off_axis_by_listing() -> Claims:
    partition, q, kappa = Partition.contiguous(2, 2), Fraction(1, 3), Fraction(1, 7)
    weights, v = symmetric_weights(partition, *_WEIGHTS), [_ALPHA, Fraction(0)]
    mean, square = Fraction(0), Fraction(0)
    for image in enumerate_samples(partition, q):
        for signs in product((1, -1), repeat=4):
            X = [[Fraction(x), e * kappa] for x, e in zip(image.delta, signs, strict=True)]
            at = network(weights, v, X, 3, Fraction(1, 3))
            g = -image.y * rational_sigmoid(image.y * at.F) * at.in_v[1]
            mean += image.probability / 16 * g
            square += image.probability / 16 * g * g
    setting = Setting(L=2, C=2, q=q, p=3, nu=Fraction(1, 3), sigma_A=0)
    yield "E g⊥", mean, Fraction(0)
    yield "E‖g⊥‖²", square, kappa**2 * _rational_moments(setting).noise.mean


# ---------------------------------------------------------------- the full network in balls


def _attention_weights(A: Balls) -> list[list[flint.arb]]:
    return [[ball(x).exp() for x in row] for row in A]


def _gradient(
    A: Balls, v: Sequence[Ball] | np.ndarray, X: Balls, y: int, setting: Setting
) -> tuple[list, list]:
    """∂ℓ/∂A and ∂ℓ/∂v of one image, in balls, with the true sigmoid; τ = 1."""
    rows = [[ball(x) for x in row] for row in X]
    values, nu = [ball(x) for x in v], ball(setting.nu)
    at = network(_attention_weights(A), values, rows, setting.p, nu)
    factor = -y / (1 + (y * at.F).exp())
    return [[factor * g for g in row] for row in at.in_A], [factor * g for g in at.in_v]


def _mean(parts: Iterator[tuple[flint.arb, tuple[list, list]]]) -> tuple[np.ndarray, np.ndarray]:
    """Weighted sum of gradients in A and v."""
    in_A = in_v = np.array(0, dtype=object)
    for weight, (of_A, of_v) in parts:
        in_A = in_A + np.array(of_A, dtype=object) * weight
        in_v = in_v + np.array(of_v, dtype=object) * weight
    return in_A, in_v


def _off_diagonal(matrix: ArrayLike) -> list:
    return [x for (i, j), x in np.ndenumerate(np.asarray(matrix, dtype=object)) if i != j]


_SMALL = Setting(L=2, C=2, q=_HALF, p=3, nu=Fraction(1, 5), sigma_A=1)
_STATE = Coefficients(Fraction(3, 10), Fraction(2, 5), Fraction(-1, 5))


def _symmetric_logits(partition: Partition, setting: Setting, state: Coefficients) -> list:
    return symmetric_weights(partition, setting.sigma_A, state.gamma, state.rho)


@certified("(2, 2), N = 1, 2, 5, all images and without the rarest: the exact law of each gap")
def gaps_are_below() -> Margins:
    partition = Partition.contiguous(2, 2)
    A = _symmetric_logits(partition, _SMALL, _STATE)
    laws: dict[str, dict[str, tuple[Fraction, flint.arb]]] = {"α": {}, "in": {}, "across": {}}
    for image in enumerate_samples(partition, _SMALL.q):
        in_A, in_v = _gradient(A, [_STATE.alpha], [[x] for x in image.delta], image.y, _SMALL)
        for name, value in (("α", in_v[0]), ("in", in_A[0][1]), ("across", in_A[0][2])):
            # Values that print alike to 12 digits are one atom; the union of their balls holds it.
            atom = value.str(12, radius=False)
            chance, hull = laws[name].get(atom, (Fraction(0), value))
            laws[name][atom] = chance + image.probability, hull.union(value)
    levels = [Fraction(k, 4) for k in (3, 4, 5, 6, 8, 10, 12, 16)]
    for (name, law), rare in product(laws.items(), (Fraction(0), Fraction(1, 20))):
        atoms = sorted(law.values(), key=lambda atom: -abs(float(atom[1])))
        mean = sum((ball(w) * x for w, x in atoms), flint.arb(0))
        lost = Fraction(0)
        cut = []
        for w, x in atoms:
            lost += w
            cut.append((w, x if lost > rare else flint.arb(0)))
        left_out = sum((w for (w, x), (_, z) in zip(atoms, cut, strict=True) if z is not x),
                       Fraction(0))  # fmt: skip
        centre = sum((ball(w) * x for w, x in cut), flint.arb(0))
        variance = sum((ball(w) * (x - centre) ** 2 for w, x in cut), flint.arb(0))
        largest = reduce(flint.arb.max, (abs(x - centre) for _, x in cut))
        shift = abs(mean - centre)
        for N in (1, 2, 5):
            sums = []
            for chosen in combinations_with_replacement(range(len(atoms)), N):
                ways, chance, total = factorial(N), Fraction(1), flint.arb(0)
                for k in set(chosen):
                    ways //= factorial(chosen.count(k))
                for k in chosen:
                    chance, total = chance * atoms[k][0], total + atoms[k][1]
                sums.append((ways * chance, abs(total / N - mean)))
            for s in levels:
                reach = _radius(variance, largest, N, s) + shift
                tail = sum((w for w, gap in sums if not gap < reach), Fraction(0))
                where = f"{name}, N = {N}, s = {s}, left out {left_out}"
                yield where, 2 * (-ball(s)).exp() + ball(N * left_out - tail)


@simulated("20 000 samples of N = 20 images at (2, 2), d = 6: E‖ĝ⊥‖² against σ²(d−1) E W/N")
def off_axis_by_sampling() -> Estimates:
    rng = np.random.default_rng(0)
    setting, state = Setting(2, 2, 0.5, 3, 0.2, 1.0), Coefficients(0.3, 0.4, -0.2)
    images = list(enumerate_samples(Partition.contiguous(2, 2), 0.5))
    S = np.exp(np.array(_symmetric_logits(Partition.contiguous(2, 2), setting, state), dtype=float))
    S /= S.sum(axis=1, keepdims=True)
    x = np.array([image.delta for image in images], dtype=float)
    O = 4 * state.alpha * x @ S.T
    margins = np.array([image.y for image in images]) * (O**3 + setting.nu * O).sum(axis=1)
    h = 4 * (3 * O**2 + setting.nu) @ S / (1 + np.exp(margins))[:, None]
    samples, N, d, noise_std = 20_000, 20, 6, 0.4
    chosen = rng.choice(
        len(images), (samples, N), p=np.array([image.probability for image in images])
    )
    noise = noise_std * rng.standard_normal((samples, N, 4, d - 1))
    squares = ((np.einsum("snj,snjk->sk", h[chosen], noise) / N) ** 2).sum(axis=1)
    expected = noise_std**2 * (d - 1) * gradient_law(setting, state).noise.moments().mean / N
    yield "E‖ĝ⊥‖²", squares.mean(), squares.std(ddof=1) / np.sqrt(samples), expected


def _sample_gradient(seed: int, N: int, state: Coefficients) -> tuple[np.ndarray, np.ndarray]:
    """Gradients in A and v of N images of (3, 2), d = 2, noise 0.3, at a symmetric state."""
    X, y = _draw(np.random.default_rng(seed), (N,))
    partition = Partition.contiguous(_SETTING.L, _SETTING.C)
    A = np.array(_symmetric_logits(partition, _SETTING, state), dtype=float)
    in_A, in_v = _gradients(A, np.array([float(state.alpha), 0.0]), X, y)
    return in_A.mean(axis=0), in_v.mean(axis=0)


_RUN = Coefficients(0.3, 0.4, -0.2)


@property_(
    "100 samples of 10 to 2000 images of (3, 2), d = 2: all four gaps at once, for δ = 0.01",
    examples=100,
    seed=st.integers(0, 2**31),
    N=st.integers(10, 2000),
)
def samples_keep_the_bounds(seed: int, N: int) -> float:
    law = gradient_law(_SETTING, _RUN)
    moments = law.moments()
    bound = gap_bound(_SETTING, _RUN, N, 2, 0.01, noise_std=0.3, law=law)
    in_A, in_v = _sample_gradient(seed, N, _RUN)
    same = Partition.contiguous(_SETTING.L, _SETTING.C).same_set
    inside = same & ~np.eye(_SETTING.D, dtype=bool)
    found = {
        "alpha": (abs(in_v[0] - moments.alpha.mean), bound.alpha),
        "off_axis": (abs(in_v[1]), bound.off_axis),
        "gamma": (np.abs(in_A[inside] - moments.gamma.mean).max(), bound.gamma),
        "rho": (np.abs(in_A[~same] - moments.rho.mean).max(), bound.rho),
    }
    for name, (gap, most) in found.items():
        require(gap <= most, f"the gap of {name} is {gap:.3g}, its bound {most:.3g}")
    return max(gap / most for gap, most in found.values())


# ---------------------------------------------------------------- one step


@symbolic(
    "the worst corner of the gaps ±ε at (2, 2) and its opposite, random rational ε, g, σ_A, η"
)
def corners_are_associated() -> Claims:
    rng = np.random.default_rng(17)
    partition = Partition((0, 1, 1, 0))
    same = partition.same_set
    for trial in range(20):
        e_in, e_across, spare = (Fraction(int(k), 7) for k in rng.integers(1, 9, 3))
        g_in, eta = Fraction(int(rng.integers(-9, 9)), 5), Fraction(int(rng.integers(1, 9)), 3)
        g_across = g_in + e_in + e_across + spare
        sigma_A = eta * (e_across - g_across) + Fraction(1, 9)
        for corner in (1, -1):
            A = np.array([
                [sigma_A if i == j else
                 -eta * (g_in + e_in if same[i, j] else g_across - e_across) if corner > 0 else
                 -eta * (g_in - e_in if same[i, j] else g_across + e_across)
                 for j in range(4)] for i in range(4)
            ], dtype=object)  # fmt: skip
            yield f"associated, trial {trial}", bool(margin(A, partition) > 0), True
            yield f"by ranks, trial {trial}", is_associated(A.astype(float), partition), True


_ONE_STEP = Coefficients(0.2, 0.0, 0.0)


@property_(
    "40 samples of (3, 2), as large as the bound for δ = 0.01 asks: one step associates",
    examples=40,
    seed=st.integers(0, 2**31),
)
def one_step_associates(seed: int) -> None:
    N = images_for_association(_SETTING, _ONE_STEP, 0.01)
    in_A, _ = _sample_gradient(seed, N, _ONE_STEP)
    partition = Partition.contiguous(_SETTING.L, _SETTING.C)
    A = -in_A
    np.fill_diagonal(A, float(_SETTING.sigma_A))
    require(is_associated(A, partition), f"{N} images did not associate")


@certified("N at six starts, for the moments of the code: ε_γ + ε_ρ < g_ρ − g_γ, not at N − 1")
def least_number_of_images() -> Margins:
    for L, C, q, alpha in (
        *((2, 2, 0.5, 0.1), (2, 2, 0.5, 0.3), (3, 2, 0.4, 0.2), (3, 2, 0.4, 0.05)),
        *((4, 3, 0.3, 0.05), (4, 3, 0.3, 0.1)),
    ):
        setting, state = Setting(L, C, q, 3, 0.05, 1.0), Coefficients(alpha, 0.0, 0.0)
        law = gradient_law(setting, state)
        N = images_for_association(setting, state, 0.05, law=law)
        s = (4 * setting.D * (setting.D - 1) / ball(Fraction(1, 20))).log()
        for number, sign in ((N, 1), (N - 1, -1)):
            kinds = [kind.moments(0.05 / (4 * number)) for kind in (law.gamma, law.rho)]
            gap = ball(float(kinds[1].mean)) - ball(float(kinds[0].mean))
            for m in kinds:
                radius = _radius(float(m.variance), float(m.largest), number, s)
                gap = gap - radius - ball(float(m.shift))
            yield f"(L, C) = {L, C}, N = {number}", sign * gap


STATEMENTS = (
    Statement(
        id="lem-bernstein",
        kind="lemma",
        title="From exponential moments to quantiles",
        text=r"""If $\log\mathbb E e^{\lambda Z}\le\lambda^2v/(2(1-c\lambda))$ then
            $\Pr(Z\ge\sqrt{2vs}+cs)\le e^{-s}$; so for means of bounded variables and for
            the length of a Gaussian vector.""",
        hypotheses=(r"$0\le\lambda<1/c$", r"$v,c\ge0$, not both $0$"),
        checks=(exponent_is_s, tails_are_below),
    ),
    Statement(
        id="lem-image-moments",
        kind="lemma",
        title="One image at a symmetric state",
        text=r"""$g_\alpha$ and $g_{ij}$ are bounded functions of the features; given these,
            $g_\perp$ is Gaussian with covariance $W\sigma_\xi^2(I-w^\star w^{\star\top})$; all
            moments are finite sums over types.""",
        hypotheses=(
            r"$v=\alpha w^\star$, $A$ in three-coefficient form",
            "isotropic Gaussian noise",
        ),
        depends=("asm-data", "def-vit", "def-loss", "prop-flip", "prop-reduced"),
        checks=(moments_by_listing, off_axis_by_listing),
    ),
    Statement(
        id="thm-4-2",
        kind="theorem",
        title="The gap at a symmetric state",
        text=r"""With probability at least $1-\delta$ at once: $|\hat g_\alpha-g_\alpha|$ and every
            $|\hat g_{ij}-g_{ij}|$ are at most $r=\beta+\sqrt{2Vs/N}+bs/(3N)$ of their kind, and
            $\|\hat g_\perp\|\le\sigma_\xi\sqrt{(\bar W+r_W)/N}(\sqrt{d-1}+\sqrt{2s})$, with
            $s=\log(2K/\delta)$ and $V$, $b$, $\beta$ of one image with rare ones cut off; and
            $\mathbb E\|\hat g_\perp\|^2=\sigma_\xi^2(d-1)\bar W/N$.""",
        hypotheses=(
            r"$v=\alpha w^\star$, $A$ in three-coefficient form",
            *("isotropic Gaussian noise", "$N$ independent images"),
        ),
        depends=("asm-data", "def-loss", "lem-bernstein", "lem-image-moments"),
        paper="Theorem 4.2",
        relation="finite-size form",
        checks=(gaps_are_below, off_axis_by_sampling, samples_keep_the_bounds),
    ),
    Statement(
        id="cor-4-2-step",
        kind="corollary",
        title="How many images one step needs",
        text=r"""If $\varepsilon_\gamma+\varepsilon_\rho<g_\rho-g_\gamma$ then one step on $N$
            images from $\gamma=\rho$ associates with probability at least $1-\delta$.""",
        hypotheses=(
            r"$C\ge2$, $\gamma=\rho$ at the start",
            r"$\sigma_A-\rho>\eta_A(\varepsilon_\rho-g_\rho)$",
        ),
        depends=("def-association", "lem-bernstein", "lem-image-moments", "thm-4-2"),
        paper="Theorem 4.2",
        relation="finite-size form",
        checks=(corners_are_associated, least_number_of_images, one_step_associates),
    ),
)
