"""Statements of the chapter on Theorem 5.1: a new feature with the sets, and without.

Upper bounds are set beside the exact error of the algorithm, lower bounds beside the least error of
all algorithms, both listed at small sizes in rational arithmetic.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations_with_replacement, permutations, product
from math import comb

import flint
import numpy as np
import sympy as sp

from theory.bounds.encodings import hard_attention_error, power_tolerance
from theory.bounds.invariant import all_partitions
from theory.bounds.transfer import averaging_failure, box_bound, empty_boxes
from theory.data.law import invariant_error
from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.model.exact import symmetric_weights
from theory.model.vit import SimplifiedViT, polynomial_activation
from theory.setting import Setting
from theory.statements.statement import Statement, certified, simulated, symbolic

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, object]]
Estimates = Iterator[tuple[str, float, float, float]]

_HALF = Fraction(1, 2)


def _setting(L: int, C: int, q: Fraction, p: int = 3) -> Setting:
    return Setting(L=L, C=C, q=q, p=p, nu=0, sigma_A=1)


def _ball(x: Fraction) -> flint.arb:
    return flint.arb(x.numerator) / x.denominator


@symbolic("all weights of the three-coefficient form and all images at D = 2, 4, both labels")
def first_step_is_an_average() -> Claims:
    nu = sp.Symbol("nu")
    own, inside, across = sp.symbols("a g r", positive=True)
    for (L, C), d in (((2, 1), 2), ((2, 2), 1)):
        vit = SimplifiedViT(L * C, d, polynomial_activation(3, nu))
        rows = symmetric_weights(Partition.contiguous(L, C), own, inside, across)
        start = {vit.weights[i, j]: rows[i][j] for i, j in product(range(L * C), repeat=2)}
        start |= dict.fromkeys(vit.v, sp.S.Zero)
        for y, k in product((1, -1), range(d)):
            # The logistic loss at F = 0 has the derivative −y/2 in F, and X is linear in the rest.
            slope = vit.loss(y).diff(vit.v[k]).subs(start)
            column = sum(vit.X[j, k] for j in range(L * C))
            where = f"∂loss/∂v_{k} at {L, C}, y = {y}"
            yield where, sp.cancel(slope), sp.expand(-sp.Rational(y, 2) * nu * L * C * column)


@symbolic("all images at (2, 2), (3, 2), (3, 1): y Σ x_j = C + R, R the total of the others")
def average_along_the_feature() -> Claims:
    for L, C in ((2, 2), (3, 2), (3, 1)):
        partition = Partition.contiguous(L, C)
        for s in enumerate_samples(partition, _HALF):
            hidden = partition.sets[s.signal]
            R = s.y * sum(x for j, x in enumerate(s.delta) if j not in hidden)
            yield f"{s.y, s.delta}", s.y * sum(s.delta), C + R


def _totals(setting: Setting, N: int) -> dict[int, Fraction]:
    """Law of Σ_n y_n Σ_j x_{n,j} over N images, from the list of all images."""
    one: dict[int, Fraction] = defaultdict(Fraction)
    for s in enumerate_samples(Partition.contiguous(setting.L, setting.C), setting.q):
        one[s.y * sum(s.delta)] += s.probability
    law = {0: Fraction(1)}
    for _ in range(N):
        longer: dict[int, Fraction] = defaultdict(Fraction)
        for (total, a), (k, b) in product(law.items(), one.items()):
            longer[total + k] += a * b
        law = longer
    return law


@symbolic("all N ≤ 6 images at (2, 2), (3, 1), (3, 2), q = 1/4, 1/2, 1; the exponent")
def failures_by_listing() -> Claims:
    for (L, C), q in product(((2, 2), (3, 1), (3, 2)), (Fraction(1, 4), _HALF, Fraction(1))):
        setting = _setting(L, C, q)
        for N in range(1, 7):
            law = _totals(setting, N)
            listed = sum(p for total, p in law.items() if 2 * total <= N * C)
            yield f"at {L, C, q}, N = {N}", averaging_failure(setting, N), listed
    N, n, q, C = sp.symbols("N n q C", positive=True)
    t = N * C / 2
    exponent = t**2 / (2 * (N * n * q + t / 3))
    yield "exponent", sp.cancel(exponent - N * C**2 / (8 * (q * n + C / 6))), sp.S.Zero


@certified("N ≤ 40 at six settings: the bound less the exact probability")
def average_bound_holds() -> Margins:
    for L, C, q in (
        *((2, 2, _HALF), (3, 1, Fraction(1)), (3, 2, Fraction(1, 4))),
        *((16, 4, Fraction(1, 4)), (49, 4, Fraction(1, 10)), (5, 10, Fraction(1))),
    ):
        setting = _setting(L, C, q)
        for N in (1, 2, 3, 5, 10, 20, 40):
            exponent = N * C * C / (8 * (q * setting.n + Fraction(C, 6)))
            gap = (-_ball(exponent)).exp() - _ball(Fraction(averaging_failure(setting, N)))
            yield f"at {L, C, q}, N = {N}", gap


def _first_step_error(setting: Setting, N: int, step: Fraction, noise: Fraction) -> Fraction:
    """Exact error after the first step on N images, attention uniform on the own set.

    The noise of a patch is ±``noise`` in one direction orthogonal to the feature, so that
    tr(Σ²) = noise⁴, and v = (step · ν D / 2)(κ w* + ξ̄).
    """
    L, C, D = setting.L, setting.C, setting.D
    signs = [(2 * k - N * D, Fraction(comb(N * D, k), 2 ** (N * D))) for k in range(N * D + 1)]
    patch = Fraction(1, 2**C)
    of_set = [(2 * k - C, comb(C, k) * patch) for k in range(C + 1)]
    # For y = 1, by the label flip, and the first set the signal one: sums of features by listing.
    images: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    partition = Partition.contiguous(L, C)
    for s in enumerate_samples(partition, setting.q):
        if s.y == 1 and s.signal == 0:
            sums = tuple(sum(s.delta[j] for j in members) for members in partition.sets)
            images[sums] += s.probability * 2 * L
    nu = Fraction(setting.nu)
    scale = step * nu * D * D / (2 * C)
    error = Fraction(0)
    for total, a in _totals(setting, N).items():
        for imbalance, b in signs if noise else [(0, Fraction(1))]:
            mean = noise * noise * Fraction(imbalance, N)
            for sums, c in images.items():
                for seen in product(of_set if noise else [(0, Fraction(1))], repeat=L):
                    chance, F = a * b * c, Fraction(0)
                    for s_l, (k, weight) in zip(sums, seen, strict=True):
                        O = scale * (Fraction(total, N) * s_l + mean * k)
                        F += C * (O**setting.p + nu * O)
                        chance *= weight
                    error += chance * (F <= 0)
    return error


@certified(
    "the exact error of the algorithm at (2, 1), N = 12 with noise; at (2, 2), (3, 2) without"
)
def transfer_bound_holds() -> Margins:
    for (L, C), q, N, noise in (
        ((2, 1), _HALF, 12, Fraction(1, 20)),
        ((2, 1), Fraction(1, 4), 12, Fraction(1, 30)),
        ((2, 2), _HALF, 8, Fraction(0)),
        ((3, 2), Fraction(1, 4), 8, Fraction(0)),
    ):
        setting = Setting(L=L, C=C, q=q, p=3, nu=_HALF, sigma_A=1)
        D, theta = setting.D, power_tolerance(setting)
        step = Fraction(4 * D)  # (step ν D²/4)² = D⁶/4, at least 4 ν D from D = 2 on
        yield "the step is long enough", (step * _HALF * D * D / 4) ** 2 - 4 * _HALF * D
        exponent = N * C * C / (8 * (q * setting.n + Fraction(C, 6)))
        rest = hard_attention_error(setting) + 4 * L * L * noise**4 / (N * theta**2)
        bound = _ball(Fraction(rest)) + (-_ball(exponent)).exp()
        where = f"at {L, C, q}, N = {N}, noise {noise}"
        yield f"the bound says something {where}", _ball(_HALF) - bound
        yield where, bound - _ball(_first_step_error(setting, N, step, noise))


@certified("all sums s and the ends of the box |u − s| ≤ θ at L ≤ 3, C ≤ 3, p = 3, 5")
def sign_on_the_good_event() -> Margins:
    for L, C, p in product((2, 3), (1, 2, 3), (3, 5)):
        theta, D = power_tolerance(_setting(L, C, _HALF, p)), L * C
        for s in combinations_with_replacement(range(-C, C + 1), L):
            exact = sum(x**p for x in s)
            if exact:
                # At (βκ)^(p−1) = 4νD, divided by ν; it grows with u, and with βκ in size.
                sign = 1 if exact > 0 else -1
                u = [sign * x - theta for x in s]
                yield f"s = {s}, p = {p}", 4 * D * sum(x**p for x in u) + sum(u)


@symbolic("the algebra of the proof, all sizes; E ζ² over all signs of the noise at (2, 1), (2, 2)")
def noise_of_the_first_step() -> Claims:
    L, C, N, eta, nu, theta, trace, kappa = sp.symbols("L C N eta nu theta t kappa", positive=True)
    D = L * C
    spread = C * D / N * trace
    left = L * spread * 4 / (theta**2 * C**2)
    yield "Chebyshev", sp.expand(left), 4 * L**2 * trace / (N * theta**2)
    beta = eta * nu * D**2 / (2 * C)
    yield "βC/2", sp.expand(beta * C / 2), eta * nu * D**2 / 4
    s, zeta = sp.symbols("s zeta", real=True)
    O = eta * nu * D / 2 * D * (kappa * s + zeta) / C
    yield "O = βκu", sp.expand(O), sp.expand(beta * kappa * (s + zeta / kappa))
    for p in (3, 5):
        u, b = sp.symbols("u_1:4"), sp.Symbol("b")  # b = βκ
        F = sum(C * ((b * x) ** p + nu * b * x) for x in u)
        right = C * b * (b ** (p - 1) * sum(x**p for x in u) + nu * sum(u))
        yield f"F, p = {p}", sp.expand(F - right), sp.S.Zero
    for (sets, size), images in product(((2, 1), (2, 2)), (1, 2)):
        total, count = 0, 0
        for old in product((1, -1), repeat=images * sets * size):
            for new in product((1, -1), repeat=size):
                total += (sum(old) * sum(new)) ** 2
                count += 1
        # tr(Σ²) = 1 for the noise ±1 in one direction.
        expected = spread.subs({L: sets, C: size, N: images, trace: 1})
        yield f"E ζ² at {sets, size, images}", sp.Rational(total, count * images**2), expected


@symbolic("all weights and images at (D, d) = (2, 2), (3, 2), (4, 1), every permutation; p = 3")
def frozen_attention_is_invariant() -> Claims:
    own, other = sp.symbols("a g", positive=True)
    for D, d in ((2, 2), (3, 2), (4, 1)):
        vit = SimplifiedViT(D, d, polynomial_activation(3, sp.Symbol("nu")))
        equal = {vit.weights[i, j]: own if i == j else other
                 for i, j in product(range(D), repeat=2)}  # fmt: skip
        F = vit.output.xreplace(equal)
        for pi in permutations(range(D)):
            moved = {vit.X[i, k]: vit.X[pi[i], k] for i, k in product(range(D), range(d))}
            yield f"π = {pi}", F.xreplace(moved), F


@symbolic("every image and noise ±1 in the second of two pixels at (2, 2), q = 1/2; nine v and S")
def frozen_attention_errs() -> Claims:
    setting, partition = _setting(2, 2, _HALF), Partition.contiguous(2, 2)
    least = invariant_error(setting)
    noises = list(product((1, -1), repeat=4))
    for own, v in product((Fraction(1, 3), Fraction(2), Fraction(9)), ((1, 0), (2, 1), (-1, 3))):
        error = Fraction(0)
        for s in enumerate_samples(partition, _HALF):
            for noise in noises:
                z = [v[0] * x + v[1] * e for x, e in zip(s.delta, noise, strict=True)]
                O = [4 * ((own - 1) * t + sum(z)) / (own + 3) for t in z]
                F = sum(o**3 + o / 20 for o in O)
                error += s.probability / len(noises) * (s.y * F <= 0)
        yield f"a = {own}, v = {v}", error >= least, True


def _least_error(L: int, C: int, images: int) -> Fraction:
    """Least error of all algorithms that see ``images`` images and w*, by Bayes, at q = ½.

    Weights of features are integers: 1 for ±1 and 2 for 0, in units of 1/4.
    """
    D = L * C
    rows = {x: k for k, x in enumerate(product((1, 0, -1), repeat=D))}
    law = np.zeros((2, sum(1 for _ in all_partitions(L, C)), len(rows)), dtype=np.int64)
    for index, partition in enumerate(all_partitions(L, C)):
        for s in enumerate_samples(partition, _HALF):
            weight = s.probability * 2 * L * 4 ** (D - C)
            law[int(s.y < 0), index, rows[s.delta]] += int(weight)
    # A training image of label −1 says what its mirror image says.
    seen = np.ones((law.shape[1], 1), dtype=np.int64)
    for _ in range(images):
        seen = (seen[:, :, None] * law[0][:, None, :]).reshape(law.shape[1], -1)
    joint = [seen.T @ law[y] for y in (0, 1)]
    unit = (L * 4 ** (D - C)) ** images * 2 * L * 4 ** (D - C) * law.shape[1]
    return Fraction(int(np.minimum(*joint).sum()), unit)


@certified("the least error of all algorithms at q = 1/2: (3, 2) with N = 1, (3, 1) with N ≤ 3")
def least_error_of_all_algorithms() -> Margins:
    for L, C, N in ((3, 2, 1), (3, 1, 1), (3, 1, 2), (3, 1, 3), (4, 1, 2)):
        bound = box_bound(_setting(L, C, _HALF), N)
        yield f"the bound at {L, C, N}", bound
        yield f"at {L, C, N}", _least_error(L, C, N) - bound


@symbolic("the same with no image: e_inv at (2, 2), (3, 2), (3, 1)")
def boxes_without_images() -> Claims:
    for L, C in ((2, 2), (3, 2), (3, 1)):
        setting = _setting(L, C, _HALF)
        yield f"least error at {L, C}", _least_error(L, C, 0), invariant_error(setting)
        yield f"bound at {L, C}", box_bound(setting, 0), invariant_error(setting)


@symbolic("all throws of N ≤ 5 balls into L ≤ 5 boxes")
def boxes_by_listing() -> Claims:
    for L, N in product(range(1, 6), range(6)):
        empty = Counter(L - len(set(throw)) for throw in product(range(L), repeat=N))
        listed = [Fraction(empty[k], L**N) for k in range(L + 1)]
        yield f"L = {L}, N = {N}", empty_boxes(L, N), listed


@simulated("20 000 partitions, signals and images each at L = 16, C = 4, q = 1/4, N = 0, 8, 16")
def oracle_pays_the_bound() -> Estimates:
    rng, (L, C, q), trials = np.random.default_rng(3), (16, 4, 0.25), 20_000
    for N in (0, 8, 16):
        used = np.zeros((trials, L), dtype=bool)
        for _ in range(N):
            used[np.arange(trials), rng.integers(0, L, trials)] = True
        signal = rng.integers(0, L, trials)
        x = rng.choice([-1, 0, 1], size=(trials, L, C), p=[q / 2, 1 - q, q / 2])
        x[np.arange(trials), signal] = 1
        hidden = ~used
        total = (x.sum(axis=2) * hidden).sum(axis=1)
        guesses = hidden[np.arange(trials), signal] & (hidden.sum(axis=1) > 1)
        # A rule told whether the signal is hidden: then the sign of the hidden total, fair ties.
        wrong = np.where(guesses, (1 - np.sign(total)) / 2, 0.0)
        expected = float(box_bound(_setting(L, C, Fraction(1, 4)), N))
        yield f"N = {N}", wrong.mean(), wrong.std(ddof=1) / np.sqrt(trials), expected


STATEMENTS = (
    Statement(
        id="prop-5-1-step",
        kind="proposition",
        title="The first step is an average",
        text=r"""From $v=0$ one step of gradient descent gives $v=\frac{\eta\nu D}2\hat v$
            with $\hat v$ the average of $y_n\sum_jX_{n,j}$, whatever $S$ is, and $\langle
            w^\star,\hat v\rangle=C+\bar R$.""",
        hypotheses=(r"the columns of $S$ sum to one",),
        depends=("asm-data", "def-loss", "thm-three-coefficients"),
        checks=(first_step_is_an_average, average_along_the_feature),
    ),
    Statement(
        id="prop-5-1-average",
        kind="proposition",
        title="The average finds the feature",
        text=r"$\Pr(C+\bar R\le\frac C2)\le\exp(-NC^2/(8(qn+C/6)))$.",
        depends=("asm-data", "lem-laws"),
        checks=(failures_by_listing, average_bound_holds),
    ),
    Statement(
        id="thm-5-1-upper",
        kind="theorem",
        title="Transfer with association",
        text=r"""After the first step, with attention uniform on the own set,
            $\Pr[yF\le0]\le
            e_{\mathrm{hard}}+\exp(-NC^2/(8(qn+C/6)))+4L^2\operatorname{tr}(\Sigma^2)/(N\theta^2)$.""",
        hypotheses=(r"$\nu>0$", r"$(\eta\nu D^2/4)^{p-1}\ge4\nu D$"),
        depends=(
            *("asm-data", "def-vit", "prop-5-1-step", "prop-5-1-average", "lem-power", "thm-3-2"),
        ),
        paper="Theorem 5.1",
        relation="finite-size form",
        checks=(transfer_bound_holds, sign_on_the_good_event, noise_of_the_first_step),
    ),
    Statement(
        id="thm-5-1-frozen",
        kind="theorem",
        title="Frozen attention",
        text=r"""At equal logits off the diagonal $\Pr[yF_{A,v}\le0]\ge e_{\mathrm{inv}}$
            for every $v$, chosen from any number of images.""",
        hypotheses=(r"$A_{ij}=\gamma$ for all $i\ne j$",),
        depends=("def-vit", "def-invariant-rule", "thm-3-1-a"),
        paper="Theorem 5.1",
        relation="finite-size form",
        checks=(frozen_attention_is_invariant, frozen_attention_errs),
    ),
    Statement(
        id="thm-5-1-boxes",
        kind="theorem",
        title="Empty boxes",
        text=r"""Every algorithm that sees $N$ labelled images errs on a new one with
            probability at least $\mathbb E[\frac KL\,e_{\mathrm{inv}}(K,C,q)]$, $K$ the empty
            ones of $L$ boxes after $N$ throws.""",
        hypotheses=(r"the partition is uniformly random",),
        depends=("asm-data", "thm-3-1-a", "lem-einv"),
        checks=(
            *(least_error_of_all_algorithms, boxes_without_images),
            *(boxes_by_listing, oracle_pays_the_bound),
        ),
    ),
)
