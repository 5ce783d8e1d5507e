"""Statements of the chapter on Theorem 3.2: what encodings cannot avoid, and what logits can.

The checks list encodings, images and row orders at small sizes in rational arithmetic; identities
of the network hold for all weights as symbols.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations_with_replacement, permutations, product
from math import prod
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from theory.bounds.encodings import (
    derange,
    hard_attention_error,
    minimal_gram,
    power_tolerance,
    set_derangement,
    value_map,
)
from theory.data.law import bayes_error, f_star_error
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.model.association import is_associated, top_c, top_c_is_unique
from theory.model.exact import symmetric_weights
from theory.model.vit import SimplifiedViT, polynomial_activation
from theory.setting import Setting
from theory.statements.statement import Statement, certified, symbolic
from theory.symmetry.levels import AttentionLevels

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, object]]
Matrix = NDArray[np.object_]


def _setting(L: int, C: int, q: Fraction, p: int = 3) -> Setting:
    return Setting(L=L, C=C, q=q, p=p, nu=0, sigma_A=1)


def _score(matrix: Matrix, partition: Partition) -> Fraction:
    """The mean of |Top_C ∩ S(i)| / C over the rows, exactly; the top sets must be unique."""
    C, rows = partition.C, top_c(matrix.astype(float), partition.C)
    hits = sum(len({*rows[i]} & {*partition.sets[l]}) for i, l in enumerate(partition.labels))
    return Fraction(hits, C * partition.D)


@symbolic("all vectors in dimension 4: the identity behind the inequality of Cauchy and Schwarz")
def lagrange_identity() -> Claims:
    p, q = (sp.symbols(f"{name}0:4", real=True) for name in "pq")
    inner = sum(a * b for a, b in zip(p, q, strict=True))
    left = sum(a**2 for a in p) * sum(b**2 for b in q) - inner**2
    minors = sum((p[i] * q[j] - p[j] * q[i]) ** 2 for i in range(4) for j in range(i))
    yield "|p|²|q|² − ⟨p, q⟩²", sp.expand(left), sp.expand(minors)


@symbolic("all encodings with entries −1, 0, 1 in the plane and −2, …, 2 on the line, D = 2, 4")
def longest_is_in_its_top_set() -> Claims:
    scored = 0
    for d, (L, C), entries in (
        (2, (2, 1), range(-2, 3)),
        (1, (2, 2), range(-2, 3)),
        (2, (2, 2), range(-1, 2)),
    ):
        partition = Partition.contiguous(L, C)
        for flat in product(entries, repeat=d * L * C):
            P = np.array(flat).reshape(d, L * C)
            G, norms = P.T @ P, (P**2).sum(axis=0)
            unique = top_c_is_unique(G.astype(float), C)
            rows = top_c(G.astype(float), C)
            longest = norms == norms.max()
            kept = all(i in rows[i] for i in np.flatnonzero(unique & longest))
            yield f"longest of {P.tolist()}", kept, True
            if unique.all():
                meets = any(
                    {*rows[i]} & {*partition.sets[l]} for i, l in enumerate(partition.labels)
                )
                yield f"a row meets its set, {P.tolist()}", meets, True
                if longest.all():
                    scored += 1
                    score = _score(G.astype(object), partition)
                    yield f"score of {P.tolist()}", score >= Fraction(1, C), True
    yield "some have equal norms and unique top sets", scored > 0, True


@symbolic("(L, C) = (2, 1), (3, 2), (4, 2), (5, 3), the longest in every choice of places")
def unequal_norms() -> Claims:
    for L, C in ((2, 1), (3, 2), (4, 2), (5, 3)):
        partition = Partition.scattered(L, C, 5)
        for first in permutations(range(L), C):
            longest = [partition.sets[l][k] for k, l in enumerate(first)]
            order = [*longest, *(j for j in range(L * C) if j not in longest)]
            radii = np.zeros(L * C, dtype=object)
            radii[order] = range(L * C, 0, -1)
            P = np.outer([Fraction(3, 5), Fraction(4, 5)], radii)
            G = P.T @ P
            yield f"unique at {L, C}", bool(top_c_is_unique(G.astype(float), C).all()), True
            for row in top_c(G.astype(float), C):
                yield f"top set at {L, C}, {first}", {*row.tolist()}, set(longest)
            yield f"score at {L, C}, {first}", _score(G, partition), Fraction(1, L)


@symbolic("all weights, images and permutations at (D, d) = (2, 2), (3, 2), (4, 1)")
def moved_rows_same_function() -> Claims:
    for D, d in ((2, 2), (3, 2), (4, 1)):
        vit = SimplifiedViT(D, d, polynomial_activation(3, sp.Symbol("nu")))
        w, S = vit.weights, vit.attention
        for pi in permutations(range(D)):
            moved = {w[i, j]: w[pi[i], j] for i, j in product(range(D), repeat=2)}
            yield f"F, π = {pi}", vit.output.xreplace(moved), vit.output
            # A row shift c_i = σ_A − A_π(i)i multiplies the weights of the row.
            own = sp.Symbol("a", positive=True)  # e^{σ_A/τ}
            shifted = {w[i, j]: w[pi[i], j] * own / w[pi[i], i]
                       for i, j in product(range(D), repeat=2)}  # fmt: skip
            for i in range(D):
                yield f"diagonal {i}, π = {pi}", w[i, i].xreplace(shifted), own
                for j in range(D):
                    left = sp.cancel(S[i, j].xreplace(shifted))
                    yield f"S'[{i}, {j}], π = {pi}", left, S[pi[i], j]


@symbolic("random associated integer matrices at five sizes, every shift of the sets")
def moved_rows_have_score_zero() -> Claims:
    rng = np.random.default_rng(0)
    for L, C in ((2, 1), (2, 2), (3, 2), (3, 3), (5, 4)):
        partition = Partition.scattered(L, C, L)
        A = rng.integers(-9, 10, (L * C, L * C)) + 20 * partition.same_set
        np.fill_diagonal(A, 11)
        yield f"A is associated at {L, C}", is_associated(A, partition), True
        for shift in range(1, L):
            pi = set_derangement(partition, shift)
            yield f"π permutes at {L, C}", sorted(pi.tolist()), list(range(L * C))
            for matrix in (derange(A, pi), derange(A, pi, diagonal=11)):
                yield f"unique at {L, C}", bool(top_c_is_unique(matrix, C).all()), True
                for i, row in enumerate(top_c(matrix, C).tolist()):
                    target = partition.sets[partition.labels[pi[i]]]
                    yield f"row {i} at {L, C}, shift {shift}", tuple(sorted(row)), target
                yield f"score at {L, C}", _score(matrix.astype(object), partition), Fraction(0)
            kept = derange(A, pi, diagonal=11).diagonal().tolist()
            yield f"diagonal at {L, C}", kept, [11] * (L * C)


_GRAMS = ((2, 1), (2, 2), (3, 2), (3, 3), (5, 4), (7, 4))


@certified("every row at six sizes up to D = 28, and ½ + 1/(2L) < 1 for 2 ≤ L ≤ 400")
def gram_is_dominant() -> Margins:
    for L, C in _GRAMS:
        G = minimal_gram(Partition.scattered(L, C, L))
        for i, row in enumerate(G):
            yield f"row {i} at {L, C}", row[i] - sum(abs(x) for j, x in enumerate(row) if j != i)
    for L in range(2, 401):
        yield f"L = {L}", 1 - Fraction(L + 1, 2 * L)


@symbolic("six sizes up to D = 28: entries, symmetry, top sets, and A = GMG for an integer A")
def gram_realizes_all() -> Claims:
    rng = np.random.default_rng(1)
    L_, k = sp.symbols("L k", positive=True, integer=True)
    total = sp.summation(k / L_**2, (k, 1, L_))
    yield "sum of a row", sp.simplify(total - sp.Rational(1, 2) - 1 / (2 * L_)), sp.S.Zero
    for L, C in _GRAMS:
        partition = Partition.scattered(L, C, L)
        G = minimal_gram(partition)
        places = {j: (l, c) for l, row in enumerate(partition.sets) for c, j in enumerate(row)}
        for i, j in product(range(L * C), repeat=2):
            (l, c), (m, e) = places[i], places[j]
            entry = Fraction(1 + (l + m) % L, L * L) if c == e else Fraction(0)
            yield f"G[{i}, {j}] at {L, C}", G[i, j], Fraction(1) if i == j else entry
        yield f"symmetric at {L, C}", bool((G.T == G).all()), True
        # Integers L² G: no rounding can tie or part two entries.
        scaled = (G * L * L).astype(float)
        yield f"unique at {L, C}", bool(top_c_is_unique(scaled, C).all()), True
        for i, row in enumerate(top_c(scaled, C).tolist()):
            own = {*row} & {*partition.sets[partition.labels[i]]}
            yield f"row {i} at {L, C}", own, {i}
        yield f"score at {L, C}", _score(G * L * L, partition), Fraction(1, C)
        A = rng.integers(-9, 10, G.shape).astype(object)
        yield f"GMG at {L, C}", bool((G @ value_map(A, G) @ G == A).all()), True


@certified("L ≤ 3, C ≤ 4, p = 3, 5 and (6, 3, 3): every s, and every u of the box by monotonicity")
def power_forgives() -> Margins:
    for (L, C), p in (*product(product((2, 3), (1, 2, 3, 4)), (3, 5)), ((6, 3), 3)):
        theta = power_tolerance(_setting(L, C, Fraction(1), p))
        for s in combinations_with_replacement(range(-C, C + 1), L):
            exact = sum(x**p for x in s)
            if exact:
                # Each u^p grows with u, so the ends of the box bound the sum.
                sign = 1 if exact > 0 else -1
                least = sum((sign * x - theta) ** p for x in s)
                yield f"s = {s}, p = {p}", least - Fraction(1, 2)


@symbolic("all L and C, for p = 3, 5, 7, 9")
def tolerance_of_the_power() -> Claims:
    L, C = sp.symbols("L C", positive=True)
    for p in (3, 5, 7, 9):
        theta = 1 / (2**p * L * p * C ** (p - 1))
        change = sp.simplify(L * p * theta * (2 * C) ** (p - 1))
        yield f"p = {p}", change, sp.Rational(1, 2)
        code = power_tolerance(_setting(7, 3, Fraction(1), p))
        yield f"of the code, p = {p}", code, theta.subs({L: 7, C: 3})


_SIZES = ((2, 1), (3, 1), (2, 2), (3, 2), (2, 3))


def _pre_activations(weights: Sequence[Sequence[Any]], x: Sequence[int]) -> list[Any]:
    """O_i of the network at v = w*, from the weights e^{A_ij/τ}."""
    D = len(x)
    return [D * sum(w * t for w, t in zip(row, x, strict=True)) / sum(row) for row in weights]


@symbolic("all images at five sizes, q = 1/4, 1/2, 1, p = 3, 5: the network by its definition")
def error_of_hard_attention() -> Claims:
    for (L, C), p in product(_SIZES, (3, 5)):
        partition = Partition.contiguous(L, C)
        hard = symmetric_weights(partition, Fraction(1), Fraction(1), Fraction(0))
        F: dict[tuple[int, ...], Fraction] = {}
        for q in (Fraction(1, 4), Fraction(1, 2), Fraction(1)):
            error = Fraction(0)
            for s in enumerate_samples(partition, q):
                if s.delta not in F:
                    F[s.delta] = sum(o**p for o in _pre_activations(hard, s.delta))
                error += s.probability * (s.y * F[s.delta] <= 0)
            yield f"at {L, C, q}, p = {p}", error, hard_attention_error(_setting(L, C, q, p))


@symbolic("all images at five sizes, p = 3, t = log(D/θ): e^(−t) is rational")
def error_of_soft_attention() -> Claims:
    for L, C in _SIZES:
        partition, q = Partition.contiguous(L, C), Fraction(1, 2)
        setting = _setting(L, C, q)
        across = power_tolerance(setting) / setting.D
        soft = symmetric_weights(partition, Fraction(1), Fraction(1), across)
        pi = set_derangement(partition)
        # The diagonal of the moved matrix is brought back to e^{σ_A/τ} = 1 by a factor.
        moved = [[w / soft[pi[i]][i] for w in soft[pi[i]]] for i in range(setting.D)]
        logits = np.array([[float(w) for w in row] for row in moved])  # ranks as the logits do
        yield f"score 0 at {L, C}", _score(logits.astype(object), partition), Fraction(0)
        yield f"diagonal at {L, C}", [moved[i][i] for i in range(setting.D)], [1] * setting.D
        error = Fraction(0)
        for s in enumerate_samples(partition, q):
            F = sum(o**3 for o in _pre_activations(soft, s.delta))
            if s.y == 1:  # the other label mirrors it
                other = sum(o**3 for o in _pre_activations(moved, s.delta))
                yield f"F' at {s.delta}", other, F
            hard = sum(sum(s.delta[j] for j in members) ** 3 for members in partition.sets)
            if hard:
                yield f"sign at {s.delta}", (F > 0) - (F < 0), (hard > 0) - (hard < 0)
            error += s.probability * (s.y * F <= 0)
        yield f"error at {L, C}", error <= hard_attention_error(setting), True


@symbolic("C ≤ 4, L ≤ 6, p = 3, 5, 7 and three rates wherever (L−1)(C−1)^p < C^p")
def between_the_errors_of_f_star() -> Claims:
    for C, L, p in product((1, 2, 3, 4), range(2, 7), (3, 5, 7)):
        if (L - 1) * (C - 1) ** p < C**p:
            for q in (Fraction(1, 4), Fraction(1, 2), Fraction(1)):
                setting = _setting(L, C, q, p)
                f, hard = f_star_error(setting), hard_attention_error(setting)
                where = f"at {L, C, q}, p = {p}"
                yield where, f.negative <= hard <= f.nonpositive, True


@symbolic("every sum of the sets at the same sizes with C ≤ 3, L ≤ 5, p = 3: the proof of part 3")
def pure_sets_outweigh() -> Claims:
    for C, L in product((1, 2, 3), range(2, 6)):
        if (L - 1) * (C - 1) ** 3 < C**3:
            for sums in combinations_with_replacement(range(-C, C + 1), L - 1):
                pure = 1 + sums.count(C) - sums.count(-C)
                total = C**3 + sum(s**3 for s in sums)
                # The same sign, where f* is not 0.
                yield f"s = {sums}, C = {C}", pure == 0 or pure * total > 0, True


@symbolic("the levels, F of part 1 and O of part 2, all α, D, C, sums; p = 3, 5")
def algebra_of_hard_attention() -> Claims:
    alpha, D, C, own = sp.symbols("alpha D C Lambda", positive=True)
    delta, s, T, w = sp.symbols("delta s T w")  # w is e^{−t}
    levels = AttentionLevels(own, own, w * own)
    # Λδ + Γ(s − δ) + Ξ(T − s), the reduced pre-activation.
    O = alpha * D * (levels.Lambda * delta + levels.Gamma * (s - delta) + levels.Xi * (T - s))
    yield "O = αDΛu", sp.expand(O), sp.expand(alpha * D * own * (s + w * (T - s)))
    for p in (3, 5):
        sums = sp.symbols("s_1:4")
        F = sum(C * (alpha * D / C * x) ** p for x in sums)
        right = C * (alpha * D / C) ** p * sum(x**p for x in sums)
        yield f"F, p = {p}", sp.expand(F), sp.expand(right)


@symbolic("the law of (Σ s³, all +, all −) over the types of four random sets, (5, 2, 1/4), p = 3")
def hard_attention_above_bayes() -> Claims:
    setting, q = _setting(5, 2, Fraction(1, 4)), Fraction(1, 4)
    one: dict[int, Fraction] = {}
    for x in product((-1, 0, 1), repeat=2):
        chance = prod(q / 2 if f else 1 - q for f in x)
        one[sum(x)] = one.get(sum(x), Fraction(0)) + chance
    hard = best = Fraction(0)
    for sums in product(one, repeat=4):
        chance = prod((one[s] for s in sums), start=Fraction(1))
        hard += chance * (8 + sum(s**3 for s in sums) <= 0)
        votes = 1 + sums.count(2) - sums.count(-2)
        best += chance * Fraction(1 - (votes > 0) + (votes < 0), 2)
    yield "e_hard by listing", hard, Fraction(675981, 2**24)
    yield "e_hard of the code", hard_attention_error(setting), hard
    yield "Bayes by listing", best, Fraction(500345, 2**24)
    yield "Bayes of the code", bayes_error(setting), best
    yield "above", hard > best, True


STATEMENTS = (
    Statement(
        id="def-transformer",
        kind="definition",
        title="Attention from encodings",
        text=r"""$A_{ij}=p_i^\top Wp_j$ with encodings $p_1,\dots,p_D$, the columns of $P$;
            association of encodings is association of their Gram matrix $P^\top P$.""",
        depends=("def-vit", "def-association"),
        paper="Definitions 3.1, 3.2",
        relation="finite-size form",
    ),
    Statement(
        id="prop-3-2-obstruction",
        kind="proposition",
        title="Obstruction",
        text=r"""The patch with the longest encoding is in its own unique top-$C$ set:
            encodings cannot avoid every $S(i)$, and at equal norms the score is at least
            $1/C$.""",
        hypotheses=(r"$G=P^\top P$ with unique top-$C$ sets",),
        depends=("def-top-c", "def-association", "def-transformer"),
        checks=(lagrange_identity, longest_is_in_its_top_set),
    ),
    Statement(
        id="ex-3-2-norms",
        kind="example",
        title="Unequal norms",
        text=r"""With $p_i=r_iu$, the $C$ largest $r_i$ in $C$ different sets, every row has those
            patches for its top-$C$ set, and the score is $1/L<1/C$.""",
        hypotheses=(r"$L>C$", r"$r_i>0$ distinct"),
        depends=("def-association",),
        checks=(unequal_norms,),
    ),
    Statement(
        id="thm-3-2-derangement",
        kind="theorem",
        title="The same function without association",
        text=r"""$F_{\Pi A,v}=F_{A,v}=F_{A',v}$ with $A'$ of diagonal $\sigma_A$, and both
            have score $0$ if $A$ is associated and $\pi$ moves every set to another one.""",
        depends=("def-vit", "def-association", "lem-shift"),
        paper="Theorem 3.2",
        relation="corrected",
        checks=(moved_rows_same_function, moved_rows_have_score_zero),
    ),
    Statement(
        id="thm-3-2-minimal",
        kind="theorem",
        title="Minimal association realizes every $A$",
        text=r"""A positive definite $G=P^\top P$ of unit diagonal has score $1/C$, and every $A$ is
            $P^\top WP$ with $W=PG^{-1}AG^{-1}P^\top$.""",
        hypotheses=(r"$L\ge C$", r"$d\ge D$"),
        depends=("def-association", "def-transformer", "prop-3-2-obstruction"),
        paper="Theorem 3.2",
        relation="corrected",
        checks=(gram_is_dominant, gram_realizes_all),
    ),
    Statement(
        id="lem-power",
        kind="lemma",
        title="What a power forgives",
        text=r"""If $|u_l-s_l|\le\theta=1/(2^pLpC^{p-1})$ and $\sum_ls_l^p\ne0$, then
            $\sum_lu_l^p$ has its sign and exceeds $\frac12$ in size.""",
        hypotheses=(r"$s_l$ integers, $|s_l|\le C$",),
        checks=(power_forgives, tolerance_of_the_power),
    ),
    Statement(
        id="thm-3-2",
        kind="theorem",
        title="Error with association, and without",
        text=r"""Attention uniform on the own set errs with probability
            $e_{\mathrm{hard}}=\Pr(\sum_ms_m^p\le-C^p)$; an associated $A$ of gap
            $\tau\log(D/\theta)$ and an $A'$ of score $0$ err no more; if $(L-1)(C-1)^p<C^p$,
            $e_{\mathrm{hard}}$ lies between the errors of $f^\star$.""",
        hypotheses=(r"$\nu=0$", r"$v=\alpha w^\star$, $\alpha>0$", r"$C\le10$ in part 3"),
        depends=(
            *("asm-data", "def-vit", "prop-flip", "prop-margin", "prop-reduced", "lem-power"),
            *("thm-3-2-derangement", "prop-f-star"),
        ),
        paper="Theorem 3.2",
        relation="finite-size form",
        checks=(
            *(error_of_hard_attention, error_of_soft_attention),
            *(between_the_errors_of_f_star, pure_sets_outweigh, algebra_of_hard_attention),
        ),
    ),
    Statement(
        id="ex-hard-bayes",
        kind="example",
        title="Above the Bayes error",
        text=r"""At $(L,C,q)=(5,2,\frac14)$ and $p=3$, $e_{\mathrm{hard}}=675981/2^{24}=0.0403$,
            and the Bayes error is $500345/2^{24}=0.0298$.""",
        depends=("thm-3-2", "prop-bayes"),
        checks=(hard_attention_above_bayes,),
    ),
)
