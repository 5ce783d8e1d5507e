"""Statements of the chapter on Theorem 3.1: rules that do not see places, and linear ones.

The checks list all images of a small network and compare exact rationals; a lower bound for all
rules is compared with the least error over all of them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations_with_replacement, pairwise, product

import flint
import sympy as sp
from hypothesis import strategies as st

from theory.bounds.invariant import (
    average_feature_law,
    count_law,
    invariant_minimum,
    least_average_error,
)
from theory.bounds.linear import (
    any_rule_error,
    decoding_disagreement,
    largest_window,
    monotone_bound,
    monotone_error,
    sum_disagreement,
    window_probabilities,
)
from theory.data.law import bayes_error, f_star_error, invariant_error
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.expectation.certified import ball
from theory.inputs import Number
from theory.setting import Setting
from theory.statements.statement import Statement, certified, property_, require, symbolic

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, object]]

_HALF = Fraction(1, 2)
_RATES = (Fraction(1, 4), _HALF, Fraction(1))


def _setting(L: int, C: int, q: Fraction) -> Setting:
    return Setting(L=L, C=C, q=q, p=3, nu=0, sigma_A=1)


def _digits(U: int, D: int) -> tuple[int, ...]:
    """The balanced ternary digits of U, lowest first, as the proof reads them off."""
    found = []
    for _ in range(D):
        digit = (U + 1) % 3 - 1
        found.append(digit)
        U = (U - digit) // 3
    return tuple(found)


@symbolic("the code 3^j at D ≤ 7, all features; least errors over all images at four sizes")
def decoding_leaves_the_ties() -> Claims:
    for D in range(1, 8):
        read = all(
            _digits(sum(3**j * x for j, x in enumerate(row)), D) == row
            for row in product((-1, 0, 1), repeat=D)
        )
        yield f"U tells all features, D = {D}", read, True
    for (L, C), q in product(((2, 2), (3, 1), (3, 2), (2, 3)), _RATES):
        partition, setting = Partition.contiguous(L, C), _setting(L, C, q)
        error = f_star_error(setting)
        P_1 = error.nonpositive - error.negative
        yield f"f* = 0 at {L, C, q}", decoding_disagreement(partition, q), P_1
        powers = [3**j for j in range(L * C)]
        yield f"y at {L, C, q}", any_rule_error(powers, partition, q), bayes_error(setting)
    three = Partition.contiguous(3, 2)
    yield "at (3, 2, 1/2)", decoding_disagreement(three, _HALF), Fraction(7, 64)
    least = any_rule_error([3**j for j in range(6)], three, _HALF)
    yield "against y at (3, 2, 1/2)", least, Fraction(15, 256)


@symbolic("the plain sum over all images at (2, 2, 1/2) and at (L, 1, 1), L = 3, 5, 7")
def the_plain_sum() -> Claims:
    two = Partition.contiguous(2, 2)
    yield "f* g ≤ 0", sum_disagreement(two, _HALF), Fraction(1, 16)
    against_y = sum(s.probability for s in enumerate_samples(two, _HALF) if s.y * sum(s.delta) <= 0)
    yield "y g ≤ 0", against_y, Fraction(1, 16)
    # g = 1 against labels that are −1 with probability 1/10: each image of a label keeps its share.
    rare = {1: Fraction(9, 10), -1: Fraction(1, 10)}
    constant = sum(2 * s.probability * rare[s.y] * (s.y < 0) for s in enumerate_samples(two, _HALF))
    yield "g = 1, unbalanced labels", constant, rare[-1]
    for L in (3, 5, 7):
        partition = Partition.contiguous(L, 1)
        yield f"C = q = 1, L = {L}", sum_disagreement(partition, Fraction(1)), Fraction(0)


@certified("the three errors")
def less_than_one_eighth() -> Margins:
    eighth = Fraction(1, 8)
    yield "decoding", eighth - decoding_disagreement(Partition.contiguous(3, 2), _HALF)
    yield "plain sum", eighth - sum_disagreement(Partition.contiguous(2, 2), _HALF)
    yield "one patch", eighth - sum_disagreement(Partition.contiguous(3, 1), Fraction(1))


@symbolic("all signs of y, f*, g: the events, hence every law")
def events_of_the_label() -> Claims:
    lost = 0
    for y, f, g in product((1, -1), (1, 0, -1), (1, 0, -1)):
        covered = (y * g > 0 or f * g <= 0) or y * f < 0
        yield f"y, f*, g = {y, f, g}", covered, True
        lost += y * g <= 0 < f * g
    yield "the last term is needed", lost > 0, True


@symbolic("all images at twelve settings, D ≤ 8: least error over all functions of (n₊, n₋)")
def best_invariant_rule() -> Claims:
    for (L, C), q in product(((2, 2), (3, 2), (2, 3), (5, 1)), _RATES):
        setting, partition = _setting(L, C, q), Partition.contiguous(L, C)
        least = invariant_minimum(partition, q)
        yield f"least at {L, C, q}", least, invariant_error(setting)
        error = Fraction(0)
        for s in enumerate_samples(partition, q):
            answer = 1 if sum(s.delta) >= 0 else -1
            error += s.probability * (s.y * answer < 0)
        yield f"attained at {L, C, q}", error, least


@symbolic("every feature row and all partitions at (2, 2), (3, 2), (2, 3), three rates")
def best_rule_on_average() -> Claims:
    for (L, C), q in product(((2, 2), (3, 2), (2, 3)), _RATES):
        for x, mass in average_feature_law(L, C, q).items():
            plus, minus = x.count(1), x.count(-1)
            ways = Fraction(math.comb(plus, C) * (q / 2) ** (plus + minus - C))
            ways *= (1 - q) ** (L * C - plus - minus) / Fraction(2 * math.comb(L * C, C))
            yield f"mixture at {x}, q = {q}", mass.plus, ways
        setting = _setting(L, C, q)
        least = least_average_error(L, C, q)
        yield f"least average at {L, C, q}", least, invariant_error(setting)


@symbolic("all counts of all images at (3, 2), (2, 3); binom(k, C) for C ≤ 6, k ≤ 20")
def posterior_of_the_counts() -> Claims:
    for L, C in ((3, 2), (2, 3)):
        for (plus, minus), mass in count_law(Partition.contiguous(L, C), _HALF).items():
            up, down = math.comb(plus, C), math.comb(minus, C)
            posterior = mass.plus / (mass.plus + mass.minus)
            yield f"posterior at {plus, minus}", posterior, Fraction(up, up + down)
    for C in range(1, 7):
        grows = all(math.comb(k, C) < math.comb(k + 1, C) for k in range(C - 1, 20))
        yield f"binom(k, {C}) grows", grows, True


@symbolic("all images at (3, 2, 1/2) and every threshold")
def tuned_weights() -> Claims:
    weights, partition = (2, 2, 3, 3, 3, 3), Partition.contiguous(3, 2)
    law: dict[int, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    for s in enumerate_samples(partition, _HALF):
        U = sum(c * x for c, x in zip(weights, s.delta, strict=True))
        law[U][s.y < 0] += s.probability
    errors = [
        sum(minus if theta <= U else plus for U, (plus, minus) in law.items()) for theta in law
    ]
    yield "by listing", min(errors), Fraction(61, 768)
    yield "of the code", monotone_error(weights, partition, _HALF), Fraction(61, 768)
    yield "the total", invariant_error(_setting(3, 2, _HALF)), Fraction(69, 768)


@certified("the gap at (3, 2, 1/2)")
def tuned_beat_invariant() -> Margins:
    tuned = monotone_error((2, 2, 3, 3, 3, 3), Partition.contiguous(3, 2), _HALF)
    yield "e_inv − tuned", invariant_minimum(Partition.contiguous(3, 2), _HALF) - tuned


def _central(K: int) -> Fraction:
    return Fraction(math.comb(K, K // 2), 2**K)


@symbolic("all coefficients 1, …, 4 up to five of them, three rates; closed windows")
def windows_of_sums() -> Claims:
    for q in _RATES:
        bound = window_probabilities(q, 5)
        for m in range(1, 6):
            for sizes in combinations_with_replacement(range(1, 5), m):
                fullest = largest_window(sizes, q, 2 * sizes[0])
                yield f"{sizes}, q = {q}", fullest <= bound[m], True
            equal = largest_window([1] * m, q, 2)
            yield f"equal coefficients, m = {m}, q = {q}", equal, bound[m]
            closed = largest_window([1] * m, q, Fraction(5, 2))
            yield f"a closed window can hold more, m = {m}", closed > bound[m], True


@property_(
    "random integer coefficients of both signs beside smaller ones, random rational rates",
    large=st.lists(st.integers(5, 12), min_size=1, max_size=5),
    signs=st.integers(0, 31),
    small=st.lists(st.integers(-4, 4), max_size=2),
    rate=st.integers(1, 12),
)
def windows_beside_others(large: list[int], signs: int, small: list[int], rate: int) -> float:
    q = Fraction(rate, 12)
    signed = [-c if signs >> k & 1 else c for k, c in enumerate(large)]
    fullest = largest_window([*signed, *small], q, 2 * min(large))
    bound = window_probabilities(q, len(large))[-1]
    require(fullest <= bound, f"{fullest} > {bound}")
    return float(fullest / bound)


@symbolic("m ≤ 12, all q: two polynomials of degree m at m + 1 rates; b_K for K ≤ 60")
def window_is_a_mixture() -> Claims:
    for m in range(13):
        for step in range(m + 1):
            q = Fraction(step, 12)
            value = window_probabilities(q, m)[m]
            mixture = sum(
                math.comb(m, K) * q**K * (1 - q) ** (m - K) * _central(K) for K in range(m + 1)
            )
            yield f"E b_K, m = {m}, q = {q}", value, Fraction(mixture)
            # (2/π) ∫ cos²u (1 − 2q sin²u)^m over [−π/2, π/2]; the mean of sin^2k is b_2k.
            integral = 2 * sum(
                math.comb(m, k) * (-2 * q) ** k * (_central(2 * k) - _central(2 * k + 2))
                for k in range(m + 1)
            )
            yield f"integral, m = {m}, q = {q}", value, Fraction(integral)
    for k in range(30):
        down = _central(2 * k + 1) / _central(2 * k)
        yield f"b_{2 * k + 1}/b_{2 * k}", down, Fraction(2 * k + 1, 2 * k + 2)
        yield f"b_{2 * k + 2} = b_{2 * k + 1}", _central(2 * k + 2), _central(2 * k + 1)


@symbolic("m ≤ 40 at q = 0, 1/12, …, 1")
def window_falls() -> Claims:
    rows = [window_probabilities(Fraction(k, 12), 40) for k in range(13)]
    for k, row in enumerate(rows):
        yield f"in m at q = {k}/12", all(a >= b for a, b in pairwise(row)), True
    for m in range(41):
        column = [row[m] for row in rows]
        yield f"in q at m = {m}", all(a >= b for a, b in pairwise(column)), True


@certified("m ≤ 60 at q = 1/20, 1/5, 2/5, 1/2")
def window_below_the_gauss_bound() -> Margins:
    for q in (Fraction(1, 20), Fraction(1, 5), Fraction(2, 5), _HALF):
        values = window_probabilities(q, 60)
        for m in range(1, 61):
            rate = flint.arb(q.numerator * m) / q.denominator
            bound = (2 / (flint.arb.pi() * rate)).sqrt()
            yield f"m = {m}, q = {q}", bound - ball(values[m])


@certified(
    "all weights ≥ 0 of a grid at five settings with C = 1, up to order, and four at (14, 2, 1)"
)
def monotone_models_err() -> Margins:
    for L, q, top in (
        (4, Fraction(1), 4),
        (5, Fraction(4, 5), 2),
        (5, Fraction(1), 3),
        (6, _HALF, 2),
        (6, Fraction(1), 2),
    ):
        bound, partition = monotone_bound(_setting(L, 1, q)), Partition.contiguous(L, 1)
        yield f"the bound says something at {L, q}", bound
        for weights in combinations_with_replacement(range(top + 1), L):
            yield f"{weights}, q = {q}", monotone_error(weights, partition, q) - bound
    bound, partition = monotone_bound(_setting(14, 2, Fraction(1))), Partition.contiguous(14, 2)
    yield "the bound says something at (14, 2, 1)", bound
    for row in ([1] * 28, [1, 2] * 14, [1] * 14 + [2] * 14, [3, 1, 0, 1] * 7):
        yield f"{row[:4]} …", monotone_error(row, partition, Fraction(1)) - bound


@property_(
    "random integer weights at (3, 2), (4, 2), (3, 3), (5, 1), random rates: the steps",
    examples=40,
    size=st.sampled_from(((3, 2), (4, 2), (3, 3), (5, 1))),
    data=st.data(),
    rate=st.integers(1, 12),
)
def steps_of_theorem_b(size: tuple[int, int], data: st.DataObject, rate: int) -> None:
    (L, C), q = size, Fraction(rate, 12)
    D = L * C
    weights = data.draw(st.lists(st.integers(-3, 5), min_size=D, max_size=D))
    partition, lam = Partition.contiguous(L, C), window_probabilities(q, D)
    fullest: Number = 0
    covered: Number = 0
    for members in partition.sets:
        others = [weights[i] for i in range(D) if i not in members]
        pieces = [
            lam[sum(abs(c) >= abs(weights[j]) for c in others)] for j in members if weights[j] != 0
        ]
        covered += sum(pieces)
        b = sum(weights[j] for j in members)
        if b > 0:
            window = largest_window(others, q, 2 * b)
            require(window <= sum(pieces), f"set {members}: {window} > {sum(pieces)}")
            fullest += window
    require(covered <= C + sum(lam[1 : D - C + 1]), "ranking")
    gained = 1 - 2 * monotone_error(weights, partition, q)
    require(gained * L <= fullest, f"Δ = {gained} > {fullest}/{L}")


@certified("the constants; the bound at the least L of the condition, C ≤ 4, three rates")
def one_eighth() -> Margins:
    two_thirds = flint.arb(2) / 3
    yield "√(8/6π) < 2/3", two_thirds - (8 / (6 * flint.arb.pi())).sqrt()
    for n in range(1, 200):
        total = sum((1 / flint.arb(m).sqrt() for m in range(1, n + 1)), flint.arb(0))
        yield f"Σ m^(−1/2) < 2√{n}", 2 * flint.arb(n).sqrt() - total
    for C, q in product((1, 2, 3, 4), _RATES):
        L = math.ceil(6 * C / min(q, _HALF))
        yield f"at {L, C, q}", monotone_bound(_setting(L, C, q)) - Fraction(1, 8)


@symbolic("the algebra of the proof, all q, L, C")
def constants_of_one_eighth() -> Claims:
    q, L, C = sp.symbols("q L C", positive=True)
    left = sp.sqrt(2 / (sp.pi * q)) * 2 * sp.sqrt(L * C)
    yield "the sum", sp.simplify(left**2 - L**2 * 8 / sp.pi * C / (q * L)), sp.S.Zero
    worst = sp.Rational(1, 2) * (1 - sp.Rational(1, 12) - sp.Rational(2, 3))
    yield "½ of the bracket", worst, sp.Rational(1, 8)


STATEMENTS = (
    Statement(
        id="def-glm",
        kind="definition",
        title="Generalized linear model",
        text=r"""$g(X)=\varphi(\sum_j\langle w_j,X_j\rangle)$; monotone if $\varphi$ is. We write
            $c_j=\langle w_j,w^\star\rangle$ and $U=\sum_jc_jx_j$.""",
        depends=("asm-data",),
        paper="Theorem 3.1",
        relation="as stated",
    ),
    Statement(
        id="prop-3-1-literal",
        kind="proposition",
        title="Three counterexamples to the literal wording",
        text=r"""With any $\varphi$ the weights $3^jw^\star$ give $g=f^\star$, with error
            $\frac7{64}$ at $(3,2,\frac12)$; the plain sum has $\frac1{16}$ at $(2,2,\frac12)$,
            and $0$ against $f^\star$ if $C=q=1$ and $L$ is odd.""",
        depends=("asm-data", "def-glm", "prop-f-star", "prop-bayes"),
        checks=(decoding_leaves_the_ties, the_plain_sum, less_than_one_eighth),
    ),
    Statement(
        id="lem-label-f-star",
        kind="lemma",
        title="The label and the labelling function",
        text=r"$\Pr[f^\star g\le0]\ge\Pr[yg\le0]-\Pr[yf^\star<0]$.",
        depends=("def-f-star",),
        checks=(events_of_the_label,),
    ),
    Statement(
        id="def-invariant-rule",
        kind="definition",
        title="Invariant rule",
        text=r"$g(X_{\pi(1)},\dots,X_{\pi(D)})=g(X)$ for every permutation $\pi$ of $[D]$.",
    ),
    Statement(
        id="thm-3-1-a",
        kind="theorem",
        title="Theorem A",
        text=r"""An invariant rule errs with probability at least $e_{\mathrm{inv}}$, the
            sign of $T$ attains it, and every rule errs at least so often on average over the
            partitions.""",
        depends=("asm-data", "def-einv", "lem-einv", "def-invariant-rule"),
        paper="Theorem 3.1",
        relation="finite-size form",
        checks=(best_invariant_rule, best_rule_on_average, posterior_of_the_counts),
    ),
    Statement(
        id="prop-tuned-weights",
        kind="proposition",
        title="Tuned weights beat every invariant rule",
        text=r"""At $(3,2,\frac12)$ weights $2$ on one set, $3$ on the others err with probability
            $\frac{61}{768}<\frac{69}{768}=e_{\mathrm{inv}}$.""",
        depends=("asm-data", "def-glm", "lem-einv"),
        checks=(tuned_weights, tuned_beat_invariant),
    ),
    Statement(
        id="lem-window",
        kind="lemma",
        title="Lazy Littlewood–Offord",
        text=r"""$\Pr(W+\sum_{i=1}^mc_i\delta_i\in I)\le\lambda_q(m)=\Pr(Y_m\in\{0,1\})$ for every
            half-open $I$ of length $2a$.""",
        hypotheses=(r"$|c_i|\ge a>0$", r"$W$ independent of the features"),
        checks=(windows_of_sums, windows_beside_others),
    ),
    Statement(
        id="lem-lambda",
        kind="lemma",
        title="The window probability",
        text=r"""$\lambda_q(m)$ falls in $m$ and in $q$, and $\lambda_q(m)\le\sqrt{2/(\pi qm)}$ if
            $q\le\frac12$.""",
        checks=(window_is_a_mixture, window_falls, window_below_the_gauss_bound),
    ),
    Statement(
        id="thm-3-1-b",
        kind="theorem",
        title="Theorem B",
        text=r"""Every monotone generalized linear model has
            $\Pr[yg\le0]\ge\frac12[1-\frac1L(C+\sum_{m=1}^n\lambda_q(m))]$.""",
        hypotheses=(r"$\varphi$ monotone",),
        depends=("asm-data", "def-glm", "lem-window", "lem-lambda"),
        paper="Theorem 3.1",
        relation="corrected",
        checks=(monotone_models_err, steps_of_theorem_b),
    ),
    Statement(
        id="cor-3-1-eighth",
        kind="corollary",
        title="One eighth",
        text=r"""Every monotone generalized linear model has $\Pr[yg\le0]\ge\frac18$ and
            $\Pr[f^\star g\le0]\ge\frac18-\Pr[yf^\star<0]$.""",
        hypotheses=(r"$\varphi$ monotone", r"$\min(q,\frac12)L\ge6C$"),
        depends=("thm-3-1-b", "lem-lambda", "lem-label-f-star"),
        paper="Theorem 3.1",
        relation="corrected",
        checks=(one_eighth, constants_of_one_eighth),
    ),
)
