"""Statements of the chapter on symmetry: from all of (A, v) to three coefficients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import permutations, product

import flint
import numpy as np
import sympy as sp
from hypothesis import strategies as st
from sympy.combinatorics import Permutation, PermutationGroup

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.model.exact import mean_gradient, network, symmetric_weights
from theory.model.vit import SimplifiedViT, polynomial_activation
from theory.setting import Setting
from theory.statements.statement import Statement, property_, require, symbolic
from theory.symmetry.levels import AttentionLevels
from theory.symmetry.orbitals import grid_shift_generators, orbitals, product_generators
from theory.symmetry.proof import Refuted, prove_reduction
from theory.symmetry.terms import set_terms

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, object]]
Image = tuple[Fraction, int, list[list[Fraction]]]

_nu = sp.Symbol("nu", nonnegative=True)


def _images(partition: Partition, q: Fraction, pixels: int = 1) -> list[Image]:
    """All images without noise, as (probability, y, X); w* is the first pixel."""
    rest = [Fraction(0)] * (pixels - 1)
    return [
        (s.probability, s.y, [[Fraction(x), *rest] for x in s.delta])
        for s in enumerate_samples(partition, q)
    ]


def _moved(matrix: Sequence[Sequence], g: Sequence[int]) -> list[list]:
    """ΠMΠᵀ: the entry (i, j) goes to (g[i], g[j])."""
    size = range(len(g))
    moved = [[matrix[0][0]] * len(g) for _ in size]
    for i, j in product(size, size):
        moved[g[i]][g[j]] = matrix[i][j]
    return moved


@symbolic("all weights, features and noise at D = 3, d = 2, p = 3, 5")
def noise_is_not_seen() -> Claims:
    alpha = sp.Symbol("alpha", real=True)
    for p in (3, 5):
        vit = SimplifiedViT(3, 2, polynomial_activation(p, _nu))
        in_A, in_v = vit.gradient(vit.output)
        on_line = {vit.v[0]: alpha, vit.v[1]: sp.S.Zero}
        noise, features = list(vit.X.col(1)), vit.X.col(0)
        for number, expression in enumerate([vit.output, *in_A, in_v[0]]):
            seen = expression.xreplace(on_line).free_symbols & set(noise)
            yield f"noise in derivative {number}, p = {p}", len(seen), 0
        O = 3 * vit.attention * features * alpha
        slope = [p * x ** (p - 1) + _nu for x in O]
        for column, name in ((0, "along"), (1, "across")):
            pixels = vit.X.col(column)
            formula = 3 * sum(slope[i] * (vit.attention * pixels)[i] for i in range(3))
            yield f"∂F/∂v {name} w*, p = {p}", in_v[column].xreplace(on_line), formula
        # Across w* it is linear in the noise with coefficients free of it: its mean is zero.
        across = in_v[1].xreplace(on_line)
        yield f"no constant, p = {p}", across.xreplace(dict.fromkeys(noise, sp.S.Zero)), sp.S.Zero
        for xi in noise:
            left = across.diff(xi).free_symbols & set(noise)
            yield f"linear in the noise, p = {p}", len(left), 0


@symbolic("all weights and images at (D, d) = (3, 2), (4, 1), every permutation, p = 3")
def equivariance_of_the_network() -> Claims:
    for D, d in ((3, 2), (4, 1)):
        vit = SimplifiedViT(D, d, polynomial_activation(3, _nu))
        for g in permutations(range(D)):
            moved = {vit.weights[g[i], g[j]]: vit.weights[i, j]
                     for i, j in product(range(D), repeat=2)}  # fmt: skip
            moved |= {vit.X[g[i], k]: vit.X[i, k] for i in range(D) for k in range(d)}
            yield f"F under {g}", vit.output.xreplace(moved), vit.output


def _table(partition: Partition, q: object) -> dict:
    law: dict = defaultdict(lambda: sp.S.Zero)
    for s in enumerate_samples(partition, q):
        law[s.y, s.delta] += s.probability
    return {key: sp.expand(value) for key, value in law.items()}


@symbolic("all q, all images, at (L, C) = (2, 2), (3, 1), (2, 3), the last scattered")
def law_is_symmetric() -> Claims:
    q = sp.Symbol("q")
    partitions = (
        *(Partition.contiguous(2, 2), Partition.contiguous(3, 1)),
        Partition.scattered(2, 3, permutation=[0, 2, 4, 1, 3, 5]),
    )
    for partition in partitions:
        law = _table(partition, q)
        for generator in partition.generators():
            g = generator.array_form
            for (y, delta), probability in law.items():
                moved = [0] * len(g)
                for i, x in enumerate(delta):
                    moved[g[i]] = x
                yield f"{delta} under {g}", law[y, tuple(moved)], probability
    # A permutation that tears a set apart is no symmetry.
    law = _table(Partition.contiguous(2, 2), q)
    torn = law.get((1, (0, 1, 1, 0)), sp.S.Zero)
    yield "(0 2) tears sets apart", law[1, (1, 1, 0, 0)] == torn, False


def _random_weights(seed: int, D: int) -> list[list[Fraction]]:
    rng = np.random.default_rng(seed)
    return [[Fraction(int(x), 4) for x in row] for row in rng.integers(1, 13, (D, D))]


@symbolic("the law of yF, for all A and v at (L, C) = (2, 2), d = 1, p = 3, and all q")
def loss_is_invariant() -> Claims:
    q = sp.Symbol("q")
    partition = Partition.contiguous(2, 2)
    vit = SimplifiedViT(4, 1, polynomial_activation(3, _nu))

    def law(F: sp.Expr) -> dict:
        found: dict = defaultdict(lambda: sp.S.Zero)
        for s in enumerate_samples(partition, q):
            found[s.y, F.xreplace(dict(zip(vit.X, map(sp.Integer, s.delta), strict=True)))] += (
                s.probability
            )
        return {key: sp.expand(value) for key, value in found.items()}

    here = law(vit.output)
    for generator in partition.generators():
        g = generator.array_form
        moved = {vit.weights[g[i], g[j]]: vit.weights[i, j]
                 for i, j in product(range(4), repeat=2)}  # fmt: skip
        yield f"under {g}", law(vit.output.xreplace(moved)), here


@property_(
    "exact gradients at random rational A and v, (L, C) = (2, 2), d = 2, all eight permutations",
    examples=8,
    seed=st.integers(0, 2**32 - 1),
)
def gradient_is_equivariant(seed: int) -> None:
    partition = Partition.contiguous(2, 2)
    images = _images(partition, Fraction(1, 3), pixels=2)
    weights = _random_weights(seed, 4)
    v = [Fraction(int(x), 6) for x in np.random.default_rng([seed, 1]).integers(-6, 7, 2)]
    here = mean_gradient(images, weights, v)
    for element in PermutationGroup(partition.generators()).elements:
        g = element.array_form
        there = mean_gradient(images, _moved(weights, g), v)
        require(there.F == here.F, f"the mean of φ(yF) under {g}")
        require(there.in_A == _moved(here.in_A, g), f"the gradient in A under {g}")
        require(there.in_v == here.in_v, f"the gradient in v under {g}")


def _groups() -> Iterator[tuple[str, list[Permutation]]]:
    for L, C in ((2, 2), (3, 2), (2, 3), (4, 1)):
        yield f"S_{C} wr S_{L}", Partition.contiguous(L, C).generators()
    yield "shifts of a 2 × 3 grid", grid_shift_generators(2, 3)
    yield "S_2 × S_3", product_generators(2, 3)
    yield "the identity of 3", [Permutation([0, 1, 2])]


@symbolic("orbits under every element of seven groups, and the rank of ΠM = MΠ over the rationals")
def commutant_has_the_orbital_basis() -> Claims:
    for name, generators in _groups():
        D, found = generators[0].size, orbitals(generators)
        number = int(found.max()) + 1
        elements = [g.array_form for g in PermutationGroup(generators).elements]
        for i, j in product(range(D), repeat=2):
            orbit = {(g[i], g[j]) for g in elements}
            same = set(zip(*map(list, np.nonzero(found == found[i, j])), strict=True))
            yield f"orbital of {i, j} under {name}", orbit, same
        rows = []
        for generator in generators:
            g = generator.array_form
            for i, j in product(range(D), repeat=2):
                row = [0] * (D * D)
                row[D * i + j] += 1
                row[D * g[i] + g[j]] -= 1
                rows.append(row)
        rank = flint.fmpz_mat(rows).rank()
        yield f"dimension of the invariant matrices under {name}", D * D - rank, number


@symbolic("L = 2, 3, 4, 5 and C = 1, 2, 3, 4")
def wreath_orbitals() -> Claims:
    for L, C in product((2, 3, 4, 5), (1, 2, 3, 4)):
        partition = Partition.contiguous(L, C)
        found, same = orbitals(partition.generators()), partition.same_set
        kinds = np.where(same, 1, 2)
        np.fill_diagonal(kinds, 0)
        classes = {(int(a), int(b)) for a, b in zip(kinds.flat, found.flat, strict=True)}
        # As many pairs of names as names on either side: the two partitions are the same.
        yield f"names at {L, C}", len(classes), len(set(kinds.flat))
        yield f"number at {L, C}", int(found.max()) + 1, 3 if C > 1 else 2


@symbolic("all q, ν, τ, σ_A, α, γ, ρ and every loss of the margin, (L, C, p) in five cases")
def reduced_gradient_is_the_full_one() -> Claims:
    for L, C, p in ((2, 2, 3), (2, 2, 5), (3, 1, 3), (2, 3, 3), (3, 2, 3)):
        try:
            pairs = prove_reduction(L, C, p).pairs
        except Refuted as refutation:
            yield f"at {L, C, p}: {refutation}", False, True
        else:
            yield f"pairs at {L, C, p}", pairs, L * C * (L * C - 1)


# Weights e^{A_ij} of the diagonal, inside a set, across sets.
_STATES = [[Fraction(x) for x in levels.split()] for levels in ("5 1 1", "3 2 1/2", "1 4 3")]


def _constant_on(matrix: Sequence[Sequence], classes: np.ndarray) -> bool:
    """Whether a matrix is constant on each class off the diagonal."""
    values: dict[int, set] = defaultdict(set)
    for i, j in permutations(range(len(matrix)), 2):
        values[int(classes[i, j])].add(matrix[i][j])
    return all(len(found) == 1 for found in values.values())


@symbolic("exact gradients at (2, 2) and three rational states, also for the group of grid shifts")
def gradient_stays_on_the_subspace() -> Claims:
    partition = Partition.contiguous(2, 2)
    classes = orbitals(partition.generators())
    images = _images(partition, Fraction(2, 5))
    for levels in _STATES:
        weights = symmetric_weights(partition, *levels)
        gradient = mean_gradient(images, weights, [Fraction(1, 4)])
        yield f"at {levels}", _constant_on(gradient.in_A, classes), True
    # With one set in each row the shifts of a 2 × 2 torus preserve the law, with four orbitals.
    shifts = orbitals(grid_shift_generators(2, 2))
    weights = [[Fraction(2 + 3 * int(k)) for k in row] for row in shifts]
    gradient = mean_gradient(images, weights, [Fraction(1, 4)])
    yield "shifts", _constant_on(gradient.in_A, shifts), True
    weights[0][1] += 1
    gradient = mean_gradient(images, weights, [Fraction(1, 4)])
    yield "off the subspace", _constant_on(gradient.in_A, shifts), False


@symbolic("F and the sums over pairs at every image of (2, 2) and (3, 1), rational states")
def reduced_model_by_hand() -> Claims:
    for L, C in ((2, 2), (3, 1)):
        partition, D = Partition.contiguous(L, C), L * C
        nu = Fraction(1, 7)
        setting = Setting(L=L, C=C, q=Fraction(1, 2), p=3, nu=nu, sigma_A=0)
        own, inside, across = Fraction(5), Fraction(2), Fraction(2, 3)
        Z = own + (C - 1) * inside + (D - C) * across
        alpha, levels = Fraction(1, 4), AttentionLevels(own / Z, inside / Z, across / Z)
        weights = symmetric_weights(partition, own, inside, across)
        counts = [D * (C - 1), D * (D - C)]
        for s in enumerate_samples(partition, setting.q):
            full = network(weights, [alpha], [[Fraction(x)] for x in s.delta], 3, nu)
            T = sum(s.delta)
            by_hand = Fraction(0)
            for i, delta in enumerate(s.delta):
                own_set = sum(s.delta[j] for j in partition.sets[partition.labels[i]])
                seen = (levels.Lambda - levels.Gamma) * delta
                seen += (levels.Gamma - levels.Xi) * own_set + levels.Xi * T
                O = alpha * D * seen
                by_hand += O**3 + nu * O
            yield f"F at {s.delta}", full.F, by_hand
            terms = [
                set_terms(setting, alpha, levels, x.count(1), x.count(-1), T, number=Fraction)
                for x in ([s.delta[j] for j in members] for members in partition.sets)
            ]
            sums = [Fraction(0), Fraction(0)]
            for i, j in permutations(range(D), 2):
                sums[not partition.same_set[i, j]] += full.in_A[i][j]
            yield f"α at {s.delta}", full.in_v[0], sum(t.alpha for t in terms)
            for name, pairs, total in zip(("gamma", "rho"), counts, sums, strict=True):
                if pairs:
                    mean = sum(getattr(t, name) for t in terms)
                    yield f"{name} at {s.delta}", pairs * mean, total


def _closure(reflect: bool, permute: bool) -> list[Image]:
    """A sample of one image, closed under the group, the reflection, or both."""
    partition = Partition.contiguous(2, 2)
    rows = [[Fraction(x) for x in row] for row in ((1, 2), (1, -1), (-1, 3), (2, 1))]
    moves = PermutationGroup(partition.generators()).elements if permute else [Permutation(3)]
    sample = []
    for g in moves:
        moved = [rows[0]] * 4
        for i in range(4):
            moved[g(i)] = rows[i]
        sample.append(moved)
        if reflect:
            sample.append([[x, -noise] for x, noise in moved])
    return [(Fraction(1, len(sample)), 1, X) for X in sample]


@symbolic("exact gradients of a closed sample of one random image at (2, 2), d = 2, three states")
def closed_samples() -> Claims:
    partition = Partition.contiguous(2, 2)
    classes, v = orbitals(partition.generators()), [Fraction(1, 4), Fraction(0)]
    for levels in _STATES:
        weights = symmetric_weights(partition, *levels)
        both = mean_gradient(_closure(True, True), weights, v)
        yield f"A at {levels}", _constant_on(both.in_A, classes), True
        yield f"v at {levels}", both.in_v[1], Fraction(0)
        unreflected = mean_gradient(_closure(False, True), weights, v)
        yield "the reflection is needed", unreflected.in_v[1] == 0, False
        unmoved = mean_gradient(_closure(True, False), weights, v)
        yield "the permutations are needed", _constant_on(unmoved.in_A, classes), False


@symbolic("exact gradients at (2, 2), (3, 1) and three rational states")
def rows_balance_the_diagonal() -> Claims:
    for L, C in ((2, 2), (3, 1)):
        partition, D = Partition.contiguous(L, C), L * C
        images = _images(partition, Fraction(2, 5))
        for levels in _STATES:
            weights = symmetric_weights(partition, *levels)
            in_A = mean_gradient(images, weights, [Fraction(1, 4)]).in_A
            # Row 0; its own set comes first.
            inside = in_A[0][1] if C > 1 else Fraction(0)
            total = (C - 1) * inside + (D - C) * in_A[0][D - 1]
            yield f"at {L, C, levels}", total, -in_A[0][0]


STATEMENTS = (
    Statement(
        id="thm-feature-line",
        kind="theorem",
        title="The feature line",
        text=r"""At $v=\alpha w^\star$, for every $A$: $F$ and $\nabla_AF$ do not see the noise, and
            $\nabla_v\mathcal L$ is along $w^\star$.""",
        hypotheses=(r"noise centred, independent of $(\delta,y)$ and orthogonal to $w^\star$",),
        depends=("asm-data", "def-vit", "def-loss"),
        checks=(noise_is_not_seen,),
    ),
    Statement(
        id="lem-equivariance",
        kind="lemma",
        title="Equivariance of the network",
        text=r"$F_{\Pi A\Pi^\top,v}(\Pi X)=F_{A,v}(X)$ for every permutation.",
        depends=("def-vit",),
        checks=(equivariance_of_the_network,),
    ),
    Statement(
        id="lem-law-symmetric",
        kind="lemma",
        title="Symmetries of the data",
        text=r"If $\pi$ maps sets of the partition to sets, $(\Pi X,y)$ has the law of $(X,y)$.",
        depends=("asm-data",),
        checks=(law_is_symmetric,),
    ),
    Statement(
        id="prop-gradient-equivariant",
        kind="proposition",
        title="The gradient follows the symmetry",
        text=r"""$\mathcal L(\Pi A\Pi^\top,v)=\mathcal L(A,v)$ and
            $\nabla_A\mathcal L(\Pi A\Pi^\top,v)=\Pi\nabla_A\mathcal L(A,v)\Pi^\top$.""",
        hypotheses=(r"$(\Pi X,y)$ has the law of $(X,y)$ for every $\pi\in G$",),
        depends=("lem-equivariance", "def-loss"),
        checks=(loss_is_invariant, gradient_is_equivariant),
    ),
    Statement(
        id="def-orbital",
        kind="definition",
        title="Orbitals",
        text=r"The classes of ordered pairs $(i,j)$ that a group of permutations exchanges.",
    ),
    Statement(
        id="lem-commutant",
        kind="lemma",
        title="Invariant matrices",
        text=r"$\Pi M\Pi^\top=M$ on $G$ iff $M$ is constant on orbitals, a basis.",
        depends=("def-orbital",),
        checks=(commutant_has_the_orbital_basis,),
    ),
    Statement(
        id="prop-three",
        kind="proposition",
        title="The wreath product has three orbitals",
        text=r"The diagonal, the pairs inside a set (none if $C=1$), the pairs across sets.",
        hypotheses=(r"$L\ge2$",),
        depends=("def-orbital",),
        checks=(wreath_orbitals,),
    ),
    Statement(
        id="thm-three-coefficients",
        kind="theorem",
        title="Invariant subspace",
        text=r"""Gradient descent on the population loss from a start of the form
            $(\alpha,\gamma,\rho)$ keeps that form for all $t$; so does gradient flow, and likewise
            for the orbitals of any group of symmetries of the data.""",
        hypotheses=(r"$L\ge2$", r"$v^0=\alpha_0w^\star$", r"$A^0$ constant on orbitals"),
        depends=(
            *("asm-data", "def-loss", "lem-commutant", "lem-law-symmetric"),
            *("prop-gradient-equivariant", "prop-three", "thm-feature-line"),
        ),
        checks=(reduced_gradient_is_the_full_one, gradient_stays_on_the_subspace),
    ),
    Statement(
        id="prop-reduced",
        kind="proposition",
        title="Reduced model",
        text=r"""$O=\alpha D[(\Lambda-\Gamma)\delta+(\Gamma-\Xi)s+\Xi T]$; the partial derivatives
            of the loss in $(\alpha,\gamma,\rho)$ are those of the full model, times the number of
            pairs ($\gamma$ if $C\ge2$).""",
        depends=("def-vit", "thm-three-coefficients"),
        checks=(reduced_model_by_hand,),
    ),
    Statement(
        id="cor-conservation",
        kind="corollary",
        title="The diagonal balances the rest",
        text=r"""$(C-1)\partial\mathcal L/\partial A_{ij}+(D-C)\partial\mathcal L/\partial A_{ik}=
            -\partial\mathcal L/\partial A_{ii}$ on the invariant subspace.""",
        depends=("prop-row-sums", "thm-three-coefficients"),
        checks=(rows_balance_the_diagonal,),
    ),
    Statement(
        id="prop-closed-sample",
        kind="proposition",
        title="Closed samples",
        text=r"""The invariant subspace is kept by the loss of any sample that is closed under the
            wreath product and the reflection $2w^\star{w^\star}^\top-I$.""",
        hypotheses=("finite support, preserved by both",),
        depends=("prop-gradient-equivariant", "thm-three-coefficients"),
        checks=(closed_samples,),
    ),
)
