"""Statements of the chapter on the model: the network, its invariances, patch association."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from theory.data.law import invariant_error, spurious_law
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.dynamics.certificates import certificate
from theory.dynamics.descent import gradient_descent
from theory.expectation.certified import ball
from theory.model.association import (
    association_score,
    is_associated,
    margin,
    top_c,
    top_c_is_unique,
)
from theory.model.vit import SimplifiedViT, polynomial_activation
from theory.setting import Coefficients, Setting
from theory.statements.statement import Statement, certified, property_, require, symbolic
from theory.symmetry.levels import AttentionLevels
from theory.symmetry.terms import set_terms

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]

_nu = sp.Symbol("nu", nonnegative=True)


def _vit(D: int, d: int, p: int = 3) -> SimplifiedViT:
    return SimplifiedViT(D, d, polynomial_activation(p, _nu))


@symbolic("all weights and images at (D, d) = (2, 2), (3, 1); p = 3")
def loss_gradient_by_chain_rule() -> Claims:
    for D, d in ((2, 2), (3, 1)):
        vit = _vit(D, d)
        of_F = [entry for part in vit.gradient(vit.output) for entry in part]
        for y in (1, -1):
            of_loss = [entry for part in vit.gradient(vit.loss(y)) for entry in part]
            sig = 1 / (1 + sp.exp(y * vit.output))
            # E in place of the exponential: both sides are rational in it.
            E = sp.Symbol("E", positive=True)
            named = {sp.exp(-y * vit.output): 1 / E, sp.exp(y * vit.output): E}
            for k, (left, right) in enumerate(zip(of_loss, of_F, strict=True)):
                factor = sp.cancel((left / right).xreplace(named) if right != 0 else 0)
                yield f"entry {k}, y = {y}", factor, -y * sig.xreplace(named)


def _totals(setting: Setting, excess: Fraction, alpha: Fraction) -> Iterator[tuple]:
    """(probability, y T, y F) of every image at γ = ρ, where e^{(σ_A−γ)/τ} = 1 + excess."""
    Z = setting.D + excess
    levels = AttentionLevels((1 + excess) / Z, 1 / Z, 1 / Z)
    partition = Partition.contiguous(setting.L, setting.C)
    for sample in enumerate_samples(partition, setting.q):
        features = [[sample.y * sample.delta[j] for j in part] for part in partition.sets]
        T = sum(map(sum, features))
        F = sum(
            set_terms(setting, alpha, levels, x.count(1), x.count(-1), T, number=Fraction).F
            for x in features
        )
        yield sample.probability, T, F


@symbolic("all images at (L, C) = (2, 2), (2, 3), (3, 1), p = 3, 5 and four values of e^{σ_A/τ}")
def only_the_total_counts() -> Claims:
    for (L, C), p in product(((2, 2), (2, 3), (3, 1)), (3, 5)):
        for excess in (Fraction(-2, 3), Fraction(0), Fraction(1, 2), Fraction(19)):
            setting = Setting(L=L, C=C, q=Fraction(2, 5), p=p, nu=Fraction(1, 20), sigma_A=0)
            error = Fraction(0)
            for probability, T, F in _totals(setting, excess, Fraction(3, 10)):
                yield f"sign at T = {T}", (F > 0) - (F < 0), (T > 0) - (T < 0)
                error += probability * (F <= 0)
            law = spurious_law(setting)
            tie = law.total(law.value == -C)
            yield f"error at {L, C, p, excess}", error, invariant_error(setting) + tie / 2


@symbolic("all weights at D = 2, 3, 4")
def shift_of_rows() -> Claims:
    for D in (2, 3, 4):
        vit = _vit(D, 1)
        scales = sp.symbols(f"c0:{D}", positive=True)  # e^{c_i/τ}
        scaled = {vit.weights[i, j]: scales[i] * vit.weights[i, j]
                  for i, j in product(range(D), repeat=2)}  # fmt: skip
        for i, j in product(range(D), repeat=2):
            S = vit.attention[i, j]
            yield f"S[{i}, {j}] at D = {D}", S.xreplace(scaled), S


@symbolic("every entry of S as a function of A, all A at D = 2, 3, 4; F itself at D = 3")
def row_sums_of_the_gradient() -> Claims:
    for D in (2, 3, 4):
        vit = _vit(D, 1)
        functions = [*vit.attention, *([vit.output] if D == 3 else [])]
        for number, function in enumerate(functions):
            gradient, _ = vit.gradient(function)
            for i in range(D):
                yield f"function {number}, row {i}", sp.cancel(sum(gradient.row(i))), sp.S.Zero


@symbolic("all weights and images at (D, d) = (2, 2), (3, 1), p = 3, 5; p = 2 is not odd")
def label_flip() -> Claims:
    for (D, d), p in product(((2, 2), (3, 1)), (3, 5)):
        vit = _vit(D, d, p)
        flipped = {x: -x for x in vit.X}
        yield f"at {D, d, p}", sp.expand(vit.output.xreplace(flipped) + vit.output), sp.S.Zero
    even = _vit(2, 1, 2)
    both = even.output.xreplace({x: -x for x in even.X}) + even.output
    yield "p = 2 breaks it", sp.expand(both) == 0, False


@symbolic("the law of yF over all images at (2, 2) and three random attention matrices")
def same_law_for_both_labels() -> Claims:
    partition, code = Partition.contiguous(2, 2), _vit(4, 1)
    run = code.function([code.output], code.tau, _nu)
    rng = np.random.default_rng(0)
    for trial in range(3):
        weights = [[Fraction(int(x)) for x in row] for row in rng.integers(1, 9, (4, 4))]
        laws: dict[int, dict] = {1: {}, -1: {}}
        for s in enumerate_samples(partition, Fraction(1, 3)):
            X = [[Fraction(x)] for x in s.delta]
            (F,) = run(weights, [Fraction(1, 2)], X, Fraction(1), Fraction(1, 7))
            law = laws[s.y]
            law[s.y * F] = law.get(s.y * F, 0) + s.probability
        yield f"matrix {trial}", laws[1], laws[-1]


def _all_top(row: tuple, C: int) -> list[tuple[int, ...]]:
    """Every top-C set of a row, straight from the definition."""
    found = []
    for K in combinations(range(len(row)), C):
        rest = [row[j] for j in range(len(row)) if j not in K]
        if not rest or min(row[j] for j in K) >= max(rest):
            found.append(K)
    return found


@symbolic("every order of four entries, ties included, C = 1, 2, 3, 4")
def top_c_of_the_code() -> Claims:
    for row in product(range(4), repeat=4):
        A = np.tile(np.array(row, dtype=float), (4, 1))
        for C in (1, 2, 3, 4):
            every = _all_top(row, C)
            yield f"unique, {row}, {C}", bool(top_c_is_unique(A, C)[0]), len(every) == 1
            yield f"lowest, {row}, {C}", tuple(top_c(A, C)[0].tolist()), min(every)


@symbolic("every order of the entries of a row, ties included, at (L, C) = (2, 2)")
def score_of_the_code() -> Claims:
    partition = Partition.contiguous(2, 2)
    good = ((9, 8, 0, 0), (8, 9, 0, 0), (0, 0, 9, 8), (0, 0, 8, 9))
    for row in product(range(4), repeat=4):
        every = _all_top(row, 2)
        hits = sum(Fraction(len({0, 1} & set(K)), 2) for K in every) / len(every)
        A = np.array([row, *good[1:]], dtype=float)
        yield f"associated, {row}", is_associated(A, partition), every == [(0, 1)]
        # The other rows score 1, and the mean of four is exact in float64.
        close = abs(Fraction(association_score(A, partition)) - (3 + hits) / 4)
        yield f"score, {row}", close < Fraction(1, 10**15), True


@symbolic(
    "claim 1: every order of a row, (L, C) = (2, 2); claim 3: every order of σ_A, γ, ρ, C ≤ 3"
)
def margin_and_association() -> Claims:
    partition = Partition.contiguous(2, 2)
    good = ((9, 8, 0, 0), (8, 9, 0, 0), (0, 0, 9, 8), (0, 0, 8, 9))
    for row in product(range(4), repeat=4):
        A = np.array([row, *good[1:]], dtype=float)
        yield f"row {row}", _all_top(row, 2) == [(0, 1)], margin(A, partition) > 0
    for sigma, gamma, rho in product(range(3), repeat=3):
        for C in (1, 2, 3):
            sets = Partition.contiguous(3, C)
            A = np.where(sets.same_set, float(gamma), float(rho))
            np.fill_diagonal(A, float(sigma))
            own = sigma if C == 1 else min(sigma, gamma)
            yield f"m at {sigma, gamma, rho}, C = {C}", int(margin(A, sets)), own - rho
            associated = all(
                _all_top(tuple(row), C) == [sets.sets[sets.labels[i]]]
                for i, row in enumerate(A.tolist())
            )
            yield f"associated at {sigma, gamma, rho}, C = {C}", associated, own > rho
    # A change of m/2 can tie: A = I, Δ = ½ towards one other patch.
    tie = np.array([[0.5, 0.5], [0.0, 1.0]])
    yield "½ is the largest constant", is_associated(tie, Partition((0, 1))), False


@property_(
    "claim 2: random integer matrices of up to 3 sets of 3 and random changes below m/2",
    L=st.integers(2, 3),
    C=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def margin_is_stable(L: int, C: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    partition = Partition.scattered(L, C, seed)
    A = rng.integers(-4, 5, (L * C, L * C)) + 8.0 * partition.same_set
    # Integers and multiples of 1/16 below m/2: float64 is exact.
    room = margin(A, partition)
    if room > 0:
        largest = int(8 * room) - 1
        change = rng.integers(-largest, largest + 1, A.shape) / 16
        require(is_associated(A + change, partition), f"margin {room}")
    require(is_associated(A, partition) == (room > 0), f"margin {room}")


@symbolic("all vectors in dimension 3 and all row shifts")
def gram_identity() -> Claims:
    p, q = (sp.Matrix(sp.symbols(f"{name}0:3", real=True)) for name in "pq")
    c, d = sp.symbols("c d", real=True)
    cross = p.dot(q)
    left = (p.dot(p) + c) + (q.dot(q) + d) - (cross + c) - (cross + d)
    yield "A_ii + A_jj − A_ij − A_ji", sp.expand(left), sp.expand((p - q).dot(p - q))


@symbolic("all σ_A, γ, ρ and all row shifts, at (L, C) = (2, 2), (3, 2), (2, 3)")
def gram_eigenspaces() -> Claims:
    own, inside, across = sp.symbols("sigma gamma rho", real=True)
    for L, C in ((2, 2), (3, 2), (2, 3)):
        D, partition = L * C, Partition.contiguous(L, C)
        A = sp.Matrix(D, D, lambda i, j, same=partition.same_set:
                      own if i == j else inside if same[i, j] else across)  # fmt: skip
        shifted = A + sp.Matrix(sp.symbols(f"c0:{D}", real=True)) * sp.ones(1, D)
        in_set = [sp.eye(D).col(i) - sp.eye(D).col(i + 1) for i in range(D) if (i + 1) % C]
        of_sets = [
            sp.Matrix(D, 1, lambda i, _, k=k, C=C: (i // C == k) - (i // C == k + 1))
            for k in range(L - 1)
        ]
        values = (own - inside, own + (C - 1) * inside - C * across)
        for vectors, value, square in ((in_set, values[0], 2), (of_sets, values[1], 2 * C)):
            for u in vectors:
                yield f"A u at {L, C}", (A * u - value * u).expand(), sp.zeros(D, 1)
                yield f"uᵀAu, shifted, at {L, C}", sp.expand((u.T * shifted * u)[0]), square * value
        one = sp.ones(D, 1)
        together = sp.Matrix.hstack(one, *in_set, *of_sets)
        yield f"they span at {L, C}", together.rank(), D
        for u in (*in_set, *of_sets):
            yield f"11ᵀ moves no other at {L, C}", one.T * u, sp.zeros(1, 1)


@certified("γ − σ_A in the last balls of the certificates at 64 and 196 patches")
def gamma_is_proved_to_pass() -> Iterator[tuple[str, object]]:
    for name in ("64-patches", "196-patches"):
        found = certificate(name)
        gap = found.state(-1).gamma - ball(found.exact_setting().sigma_A)
        yield f"{name}, after {found.steps} steps", gap


@property_("the path of gradient descent at (L, C, q) = (3, 2, 2/5), σ_A = 2: γ passes σ_A")
def gamma_passes_the_diagonal() -> None:
    setting = Setting(L=3, C=2, q=0.4, p=3, nu=0.05, sigma_A=2.0)
    path = gradient_descent(
        setting, Coefficients(0.05, 0, 0), eta_v=0.005, eta_A=20.0, steps=150, method="enumeration"
    )
    require(path.gamma.max() > 2.0, f"the largest γ is {path.gamma.max()}, not above σ_A = 2")


STATEMENTS = (
    Statement(
        id="def-vit",
        kind="definition",
        title="Simplified vision transformer",
        text=r"$F_{A,v}(X)=\sum_i\sigma(D\sum_jS_{ij}\langle v,X_j\rangle)$, $S$ the softmax of "
        r"the rows of $A/\tau$, $\sigma(x)=x^p+\nu x$, the diagonal of $A$ held at $\sigma_A$.",
        hypotheses=(r"$p\ge3$ odd", r"$\nu\ge0$", r"$\tau>0$"),
    ),
    Statement(
        id="def-loss",
        kind="definition",
        title="Loss and gradient descent",
        text=r"""$\mathcal L=\E\log(1+e^{-yF})$, with gradient $-\E[y\,\sig(-yF)\,\partial F]$; a
            step moves $v$ and the entries of $A$ off the diagonal.""",
        depends=("asm-data", "def-vit"),
        checks=(loss_gradient_by_chain_rule,),
    ),
    Statement(
        id="prop-total",
        kind="proposition",
        title="Without association only the total counts",
        text=r"""At equal logits off the diagonal $F$ has the sign of $T$, and
            $\Pr[yF\le0]=e_{\mathrm{inv}}+\frac12\Pr(R=-C)$.""",
        hypotheses=(
            r"$A_{ij}=\gamma$ for all $i\ne j$",
            r"$v=\alpha w^\star$, $\alpha>0$",
            r"all $x_j\in\{-1,0,1\}$",
        ),
        depends=("asm-data", "def-vit", "lem-einv"),
        checks=(only_the_total_counts,),
    ),
    Statement(
        id="lem-shift",
        kind="lemma",
        title="Shift",
        text=r"$A$ and $A+c\mathbf 1^\top$ have the same attention matrix.",
        depends=("def-vit",),
        checks=(shift_of_rows,),
    ),
    Statement(
        id="prop-row-sums",
        kind="proposition",
        title="Row sums",
        text=r"""$\sum_j\partial\ell/\partial A_{ij}=0$ for every differentiable function $\ell$ of
            $S$: a trained diagonal conserves the row sums of $A$.""",
        depends=("lem-shift",),
        checks=(row_sums_of_the_gradient,),
    ),
    Statement(
        id="prop-flip",
        kind="proposition",
        title="Label flip",
        text=r"$F(-X)=-F(X)$, and $yF$ has the same law given $y=1$ and given $y=-1$.",
        hypotheses=(r"$\sigma$ odd", r"the noise is symmetric, or $v=\alpha w^\star$"),
        depends=("asm-data", "def-vit"),
        checks=(label_flip, same_law_for_both_labels),
    ),
    Statement(
        id="def-top-c",
        kind="definition",
        title="Top-$C$ sets",
        text=r"A set $K$ of $C$ positions with $\min_Ka\ge\max_{[D]\setminus K}a$.",
        paper="Definition 2.2",
        relation="corrected",
        checks=(top_c_of_the_code,),
    ),
    Statement(
        id="def-association",
        kind="definition",
        title="Patch association",
        text=r"For every $i$ the set $S(i)$ is the only top-$C$ set of row $i$ of $A$.",
        depends=("def-top-c",),
        paper="Definition 2.2",
        relation="corrected",
        checks=(score_of_the_code,),
    ),
    Statement(
        id="prop-margin",
        kind="proposition",
        title="Margin, stability, reduced form",
        text=r"""$A$ is associated iff $m(A)>0$, and so is $A+\Delta$ if
            $\max|\Delta_{ij}|<m(A)/2$; on the subspace $m=\min(\sigma_A,\gamma)-\rho$.""",
        depends=("def-top-c", "def-association"),
        checks=(margin_and_association, margin_is_stable),
    ),
    Statement(
        id="rem-gram",
        kind="remark",
        title="A trained $A$ need not be a Gram matrix",
        text=r"""$A_{ij}=\langle p_i,p_j\rangle+c_i$ is possible exactly if $\gamma\le\sigma_A$ and
            $C\rho\le\sigma_A+(C-1)\gamma$; training can pass the first. With a matrix $W$ between
            the encodings every $A$ is possible.""",
        hypotheses=("the three-coefficient form", r"$C\ge2$", r"$d\ge D$"),
        depends=("def-association", "prop-margin", "thm-certified"),
        checks=(
            *(gram_identity, gram_eigenspaces),
            *(gamma_is_proved_to_pass, gamma_passes_the_diagonal),
        ),
    ),
)
