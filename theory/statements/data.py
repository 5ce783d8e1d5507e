"""Statements of the chapter on the data: the law of the images and what it says of any classifier.

Every check enumerates all images of a small network (Assumption 1 as a list of samples) and
compares exact rationals, or polynomials in q, with the closed forms.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import sympy as sp

from theory.data.law import (
    bayes_error,
    f_star,
    f_star_error,
    invariant_error,
    set_types,
    spurious_law,
)
from theory.data.partition import Partition
from theory.data.samples import Sample, enumerate_samples
from theory.setting import Setting
from theory.statements.statement import Statement, certified, symbolic

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]

_SIZES = ((2, 1), (3, 1), (2, 2), (3, 2), (2, 3))
_RATES = (Fraction(1, 4), Fraction(1, 2), Fraction(2, 3), Fraction(1))


def _setting(L: int, C: int, q: Fraction) -> Setting:
    return Setting(L=L, C=C, q=q, p=3, nu=0, sigma_A=1)


def _cases() -> Iterator[tuple[Setting, Partition, list[Sample]]]:
    for (L, C), q in product(_SIZES, _RATES):
        partition = Partition.contiguous(L, C)
        yield _setting(L, C, q), partition, list(enumerate_samples(partition, q))


def _pure(setting: Setting) -> dict[int, Fraction]:
    """P_k = [z^k](1 − 2η + ηz + η/z)^{L−1}, by counting."""
    eta, others = (Fraction(setting.q) / 2) ** setting.C, setting.L - 1
    law: dict[int, Fraction] = defaultdict(Fraction)
    for plus in range(others + 1):
        for minus in range(others + 1 - plus):
            ways = math.comb(others, plus) * math.comb(others - plus, minus)
            rest = (1 - 2 * eta) ** (others - plus - minus)
            law[plus - minus] += ways * eta ** (plus + minus) * rest
    return law


@symbolic("all q, for (L, C) = (2, 2), (3, 1), (2, 3)")
def probabilities_add_up() -> Claims:
    q = sp.Symbol("q")
    for L, C in ((2, 2), (3, 1), (2, 3)):
        samples = list(enumerate_samples(Partition.contiguous(L, C), q))
        yield f"total at {L, C}", sum(s.probability for s in samples), sp.Integer(1)
        signed = sum(s.y * s.probability for s in samples)
        yield f"balanced labels at {L, C}", signed, sp.Integer(0)


@symbolic("all q, for (L, C) = (3, 1), (2, 2), (3, 2): all images; variance for n up to 8")
def laws_by_enumeration() -> Claims:
    q, z = sp.symbols("q z")
    for L, C in ((3, 1), (2, 2), (3, 2)):
        samples = [s for s in enumerate_samples(Partition.contiguous(L, C), q) if s.y == 1]
        given = [s for s in samples if s.signal == 0]
        types: dict[tuple, sp.Expr] = defaultdict(lambda: sp.S.Zero)
        totals: dict[int, sp.Expr] = defaultdict(lambda: sp.S.Zero)
        for s in given:
            parts = [s.delta[C * k : C * (k + 1)] for k in range(1, L)]
            types[tuple((part.count(1), part.count(-1)) for part in parts)] += s.probability
            totals[sum(map(sum, parts))] += s.probability
        chance = sum(s.probability for s in given)
        for kinds, probability in types.items():
            formula = sp.S.One
            for plus, minus in kinds:
                ways = math.comb(C, plus) * math.comb(C - plus, minus)
                formula *= ways * (q / 2) ** (plus + minus) * (1 - q) ** (C - plus - minus)
            yield f"types {kinds} at {L, C}", probability, chance * formula
        n = C * (L - 1)
        power = sp.Poly(sp.expand(z**n * (1 - q + q / 2 * z + q / (2 * z)) ** n), z)
        for k, probability in totals.items():
            yield f"R = {k} at {L, C}", probability, chance * power.coeff_monomial(z ** (k + n))
    for n in range(1, 9):
        power = sp.expand((1 - q + q / 2 * z + q / (2 * z)) ** n)
        spread = sp.diff(z * sp.diff(power, z), z).subs(z, 1)
        yield f"variance at n = {n}", spread, q * n


@symbolic("the code's laws at 20 rational settings")
def laws_of_the_code() -> Claims:
    for setting, partition, samples in _cases():
        C, chance = setting.C, Fraction(1, 2 * setting.L)
        sets: Counter = Counter()
        totals: Counter = Counter()
        for s in (s for s in samples if s.y == 1 and s.signal == 0):
            last = [s.delta[j] for j in partition.sets[-1]]
            sets[last.count(1), last.count(-1)] += s.probability
            totals[sum(s.delta) - C] += s.probability
        law, total = set_types(setting), spurious_law(setting)
        for plus, minus, p in zip(law.n_plus, law.n_minus, law.probability, strict=True):
            yield f"type {plus, minus}", sets[plus, minus], chance * p
        for value, p in zip(total.value.tolist(), total.probability, strict=True):
            yield f"R = {value}", totals[value], chance * p


@symbolic("exact error of f* over all images at 20 settings, and C = 11, 21 over all types")
def error_of_f_star() -> Claims:
    for setting, partition, samples in _cases():
        answers = f_star([s.delta for s in samples], partition)
        P, found = _pure(setting), f_star_error(setting)
        signed = [(s.probability, s.y * f) for s, f in zip(samples, answers.tolist(), strict=True)]
        nonpositive = sum(p for p, answer in signed if answer <= 0)
        negative = sum(p for p, answer in signed if answer < 0)
        yield "yf* ≤ 0", nonpositive, (1 - P[0]) / 2
        yield "yf* < 0", negative, (1 - P[0] - 2 * P[1]) / 2
        yield "of the code", (nonpositive, negative), (found.nonpositive, found.negative)
    for C in (11, 21):  # where sums below C pass the threshold too
        setting = _setting(3, C, Fraction(2, 3))
        kinds = set_types(setting)
        law: dict[int, Fraction] = defaultdict(Fraction)
        for total, p in zip(kinds.sums.tolist(), kinds.probability, strict=True):
            law[total if Fraction(abs(total)) > Fraction(9, 10) * C else 0] += p
        error = sum(a * b for (x, a), (y, b) in product(law.items(), law.items()) if C + x + y <= 0)
        yield f"C = {C}", f_star_error(setting).nonpositive, error


def _posteriors(setting: Setting, samples: list[Sample]) -> dict[tuple, tuple[Fraction, Fraction]]:
    """Pr(δ, y = 1) and Pr(δ, y = −1) for each δ."""
    joint: dict[tuple, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    for s in samples:
        joint[s.delta][s.y < 0] += s.probability
    return {delta: (a, b) for delta, (a, b) in joint.items() if a + b > 0}


def _pure_counts(delta: tuple, partition: Partition) -> tuple[int, int]:
    sums = [sum(delta[j] for j in members) for members in partition.sets]
    return sums.count(partition.C), sums.count(-partition.C)


@symbolic("posterior and Bayes error over all images at 20 settings")
def bayes_by_enumeration() -> Claims:
    for setting, partition, samples in _cases():
        least, P = Fraction(0), _pure(setting)
        for delta, (plus, minus) in _posteriors(setting, samples).items():
            n_plus, n_minus = _pure_counts(delta, partition)
            yield f"posterior at {delta}", plus / (plus + minus), Fraction(n_plus, n_plus + n_minus)
            least += min(plus, minus)
        yield "Bayes error", least, (1 - P[0] - P[1]) / 2
        yield "of the code", least, bayes_error(setting)


def _add_log(sums: dict[int, Fraction], weight: Fraction, ratio: Fraction) -> None:
    """Add weight · log(ratio), as coefficients of the logarithms of primes."""
    for number, sign in ((ratio.numerator, 1), (ratio.denominator, -1)):
        for prime, power in sp.factorint(number).items():
            sums[prime] += sign * power * weight


@symbolic("the log-loss of the posterior is the floor, as logarithms of primes, at 20 settings")
def log_loss_floor_by_enumeration() -> Claims:
    for setting, partition, samples in _cases():
        of_posterior: dict[int, Fraction] = defaultdict(Fraction)
        for plus, minus in _posteriors(setting, samples).values():
            for chance in (plus, minus):
                if chance:
                    _add_log(of_posterior, -chance, chance / (plus + minus))
        floor: dict[int, Fraction] = defaultdict(Fraction)
        for s in samples:
            y_delta = tuple(s.y * x for x in s.delta)
            n_plus, n_minus = _pure_counts(y_delta, partition)
            # The signal set is one of the n_plus: N₊ = n_plus − 1.
            _add_log(floor, s.probability, 1 + Fraction(n_minus, n_plus))
        for prime in sorted({*of_posterior, *floor}):
            where = f"log {prime} at {setting.L, setting.C, setting.q}"
            yield where, of_posterior[prime], floor[prime]


@symbolic("all p, t in (0, 1): −p log t − (1−p) log(1−t) is convex in t, and least at t = p")
def posterior_is_the_best_guess() -> Claims:
    p, t = sp.symbols("p t", positive=True)
    loss = -p * sp.log(t) - (1 - p) * sp.log(1 - t)
    yield "stationary at t = p", sp.simplify(loss.diff(t).subs(t, p)), sp.S.Zero
    yield "curvature", loss.diff(t, 2), p / t**2 + (1 - p) / (1 - t) ** 2


@symbolic("all images at 20 settings with C ≤ 10")
def f_star_is_bayes() -> Claims:
    for setting, partition, samples in _cases():
        answers = f_star([s.delta for s in samples], partition)
        error = Fraction(0)
        for s, answer in zip(samples, answers.tolist(), strict=True):
            n_plus, n_minus = _pure_counts(s.delta, partition)
            yield f"f* at {s.delta}", answer, setting.C * (n_plus - n_minus)
            error += s.probability * (Fraction(s.y * answer < 0) + Fraction(answer == 0, 2))
        yield "with fair ties", error, bayes_error(setting)


@certified("3 ≤ L ≤ 8, C ≤ 3 and three rates (for L = 2 the two are equal)")
def f_star_within_twice_bayes() -> Iterator[tuple[str, object]]:
    for L, C, q in product(range(3, 9), (1, 2, 3), _RATES[:3]):
        setting = _setting(L, C, q)
        yield f"at {L, C, q}", 2 * bayes_error(setting) - f_star_error(setting).nonpositive


@symbolic("exact error of the sign of the total over all images at 20 settings")
def error_of_the_total() -> Claims:
    for setting, _, samples in _cases():
        error = sum(
            s.probability * (Fraction(s.y * sum(s.delta) < 0) + Fraction(sum(s.delta) == 0, 2))
            for s in samples
        )
        law = spurious_law(setting)
        inside = law.total((law.value > -setting.C) & (law.value <= setting.C))
        yield f"at {setting.L, setting.C, setting.q}", error, (1 - inside) / 2
        yield "of the code", error, invariant_error(setting)


@symbolic("2 ≤ L ≤ 6, C ≤ 6, five rates: exact errors, equal exactly where the statement says")
def where_the_sets_pay() -> Claims:
    for L, C, q in product(range(2, 7), range(1, 7), (Fraction(0), *_RATES)):
        setting = _setting(L, C, q)
        gain = invariant_error(setting) - bayes_error(setting)
        equal = L == 2 or C == 1 or q == 0 or (C, q) == (2, 1) or (L, C, q) == (3, 3, 1)
        yield f"sign of the gain at {L, C, q}", (gain > 0) - (gain < 0), int(not equal)


@symbolic("all images at (4, 1), (6, 1), (4, 2), three rates: f*, and f* of sets merged in pairs")
def structure_of_the_data() -> Claims:
    for (L, C), q in product(((4, 1), (6, 1), (4, 2)), _RATES[1:]):
        partition = Partition.contiguous(L, C)
        samples = list(enumerate_samples(partition, q))
        merged = [(*partition.sets[k], *partition.sets[k + 1]) for k in range(0, L, 2)]
        images = {s.delta for s in samples}
        answers = dict(
            zip(images, np.asarray(f_star(list(images), partition)).tolist(), strict=True)
        )

        def share(x: tuple[int, ...], C: int = C) -> int:
            """φ of a set of C patches."""
            return sum(x) if 10 * abs(sum(x)) > 9 * C else 0

        def share_of_two(x: tuple[int, ...], C: int = C) -> int:
            """φ of a merged set: of each half, in the order of positions."""
            return share(x[:C]) + share(x[C:])

        wrong = Fraction(0)
        for x in images:
            by_set = sum(share(tuple(x[j] for j in members)) for members in partition.sets)
            by_pair = sum(share_of_two(tuple(x[j] for j in members)) for members in merged)
            yield f"f* by sets at {x}", by_set, answers[x]
            yield f"f* by merged sets at {x}", by_pair, answers[x]
        for s in samples:
            wrong += s.probability * (s.y * answers[s.delta] <= 0)
        setting = _setting(L, C, q)
        yield f"ε at {L, C, q}", wrong, f_star_error(setting).nonpositive
        yield f"at least the Bayes error at {L, C, q}", wrong >= bayes_error(setting), True


# (L, C, q): errors of f*, of the Bayes rule and of the total, to the digits the book gives.
_TABLE = {
    (3, 2, Fraction(1, 2)): ("0.11328125", "0.05859375", "0.08984375"),
    (4, 2, Fraction(1)): ("0.34375", "0.2265625", "0.2265625"),
    (16, 4, Fraction(1, 4)): ("0.00364340", "0.00182481", "0.15186818"),
    (49, 4, Fraction(1, 10)): ("0.00029987", "0.00014996", "0.18091082"),
}


@certified("the digits of the table: exact rationals within half a unit of the eighth place")
def digits_of_the_table() -> Iterator[tuple[str, object]]:
    for (L, C, q), row in _TABLE.items():
        setting = _setting(L, C, q)
        exact = (f_star_error(setting).nonpositive, bayes_error(setting), invariant_error(setting))
        for name, value, digits in zip(("f*", "Bayes", "total"), exact, row, strict=True):
            unit = Fraction(5, 10**9)
            yield f"{name} at {L, C, q}", unit - abs(Fraction(value) - Fraction(digits))


@symbolic("the fractions at (3, 2, 1/2) and (4, 2, 1), from the list of all images")
def fractions_of_the_table() -> Claims:
    for (L, C, q), row in list(_TABLE.items())[:2]:
        partition = Partition.contiguous(L, C)
        samples = list(enumerate_samples(partition, q))
        answers = np.asarray(f_star([s.delta for s in samples], partition)).tolist()
        of_f = sum(s.probability for s, f in zip(samples, answers, strict=True) if s.y * f <= 0)
        best = sum(min(pair) for pair in _posteriors(_setting(L, C, q), samples).values())
        total = sum(
            s.probability * Fraction(1 - int(np.sign(s.y * sum(s.delta))), 2) for s in samples
        )
        for name, value, digits in zip(("f*", "Bayes", "T"), (of_f, best, total), row, strict=True):
            yield f"{name} at {L, C, q}", value, Fraction(digits)


@symbolic("f* on every image of two sets of two patches, by its definition")
def f_star_of_the_code() -> Claims:
    partition = Partition.contiguous(2, 2)
    images = list(product((-1, 0, 1), repeat=4))
    for x, answer in zip(images, np.asarray(f_star(images, partition)).tolist(), strict=True):
        sums = (x[0] + x[1], x[2] + x[3])
        yield f"f* at {x}", answer, sum(s for s in sums if 10 * abs(s) > 18)


STATEMENTS = (
    Statement(
        id="def-structured",
        kind="definition",
        title="Spatially structured distribution",
        text=r"""With error $\epsilon$: $\Pr[yf(X)>0]\ge1-\epsilon$ for some
            $f(X)=\sum_l\phi((X_j)_{j\in S_l})$ over a partition into sets of $C$ patches.""",
        hypotheses=(r"$0\le\epsilon<\frac12$",),
        paper="Definition 2.1",
        relation="finite-size form",
    ),
    Statement(
        id="asm-data",
        kind="assumption",
        title="Structured data",
        text=r"""A balanced label $y$, a uniform signal set whose $C$ features equal $y$, spurious
            features $\pm1$ with probability $q/2$ each elsewhere, centred noise orthogonal to
            $w^\star$, all independent.""",
        hypotheses=(r"$0\le q\le1$",),
        paper="Assumption 1",
        relation="finite-size form",
        checks=(probabilities_add_up,),
    ),
    Statement(
        id="def-type",
        kind="definition",
        title="Type",
        text=r"The type of a set is $(n_+,n_-,n_0)$, its numbers of features $+1$, $-1$ and $0$.",
    ),
    Statement(
        id="lem-laws",
        kind="lemma",
        title="Laws of a random set and of the total",
        text=r"""The random sets have independent multinomial types, and
            $\Pr(R=k)=[z^k](1-q+\frac q2z+\frac q2z^{-1})^n$, symmetric with variance $qn$.""",
        depends=("asm-data", "def-type"),
        checks=(laws_by_enumeration, laws_of_the_code),
    ),
    Statement(
        id="def-f-star",
        kind="definition",
        title="The labelling function",
        text=r"$f^\star(X)=\sum_l s_l\,\mathbf 1\{|s_l|>0.9\,C\}$, $s_l$ the sum of set $l$.",
        depends=("asm-data",),
        paper="Assumption 1",
        relation="as stated",
        checks=(f_star_of_the_code,),
    ),
    Statement(
        id="prop-f-star",
        kind="proposition",
        title="The error of the labelling function",
        text=r"""$\Pr[yf^\star\le0]=\frac12(1-P_0)$ and $\Pr[yf^\star<0]=\frac12(1-P_0-2P_1)$ with
            $P_k=[z^k](1-2\eta+\eta z+\eta/z)^{L-1}$; in general a convolution power.""",
        hypotheses=(r"$C\le10$ for the closed form",),
        depends=("asm-data", "lem-laws", "def-f-star"),
        checks=(error_of_f_star,),
    ),
    Statement(
        id="prop-bayes",
        kind="proposition",
        title="Posterior, Bayes error and log-loss floor",
        text=r"""$\Pr(y=1\mid X)=n_+/(n_++n_-)$; no rule errs less than $\frac12(1-P_0-P_1)$, and no
            function has a smaller log-loss than $\E\log(1+N_-/(1+N_+))$.""",
        depends=("asm-data", "prop-f-star"),
        checks=(
            *(bayes_by_enumeration, log_loss_floor_by_enumeration),
            posterior_is_the_best_guess,
        ),
    ),
    Statement(
        id="cor-f-star-bayes",
        kind="corollary",
        title="The labelling function is the Bayes rule up to ties",
        text=r"""$f^\star=C(n_+-n_-)$; with fair ties it attains the Bayes error, and with ties
            counted as errors it errs at most twice as often.""",
        hypotheses=(r"$C\le10$",),
        depends=("prop-f-star", "prop-bayes"),
        checks=(f_star_is_bayes, f_star_within_twice_bayes),
    ),
    Statement(
        id="prop-structured",
        kind="proposition",
        title="The data is spatially structured",
        text=r"""With $f^\star$ the error is $\Pr[yf^\star\le0]$; no $\phi$ gives less than the
            Bayes error; and contiguous sets merged in pairs serve for $f^\star$ as well.""",
        hypotheses=(
            r"the errors in question are below $\frac12$",
            r"$L\ge4$ even for the merged sets",
        ),
        depends=("asm-data", "def-structured", "def-f-star", "prop-f-star", "prop-bayes"),
        checks=(structure_of_the_data,),
    ),
    Statement(
        id="def-einv",
        kind="definition",
        title="The error of the plain total",
        text=r"$e_{\mathrm{inv}}$ is the error of the sign of $T=\sum_jx_j$ with fair ties.",
        depends=("asm-data",),
    ),
    Statement(
        id="lem-einv",
        kind="lemma",
        title="Its value",
        text=r"$e_{\mathrm{inv}}=\frac12(1-\Pr(-C<R\le C))$.",
        depends=("asm-data", "def-einv", "lem-laws"),
        checks=(error_of_the_total,),
    ),
    Statement(
        id="prop-sets-pay",
        kind="proposition",
        title="Where the sets pay",
        text=r"""$e_{\mathrm{inv}}$ is at least the Bayes error, with equality exactly if $L=2$,
            $C=1$, $q=0$, $(C,q)=(2,1)$ or $(L,C,q)=(3,3,1)$.""",
        depends=("asm-data", "prop-bayes", "lem-einv"),
        checks=(where_the_sets_pay,),
    ),
    Statement(
        id="ex-errors",
        kind="example",
        title="Four sizes",
        text=r"""The errors of $f^\star$, of the Bayes rule and of the total at $(3,2,\frac12)$,
            $(4,2,1)$, $(16,4,\frac14)$ and $(49,4,\frac1{10})$.""",
        depends=("prop-f-star", "prop-bayes", "lem-einv"),
        checks=(fractions_of_the_table, digits_of_the_table),
    ),
)
