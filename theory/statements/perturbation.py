"""Statements on moved weights in the chapter on Theorem 4.2: off the axis, a run, a small start.

Gradients are those of the full network with the true sigmoid, in balls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import reduce
from itertools import product
from typing import Any

import flint
import numpy as np

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.expectation.certified import ball, certified_expectation
from theory.finite_sample.perturbation import lipschitz_matrix, small_start_bound
from theory.setting import Coefficients, Setting
from theory.statements.concentration import (
    _HALF,
    _SMALL,
    _attention_weights,
    _gradient,
    _mean,
    _off_diagonal,
    _symmetric_logits,
)
from theory.statements.statement import Statement, certified

__all__ = ["STATEMENTS"]

Margins = Iterator[tuple[str, object]]


def _length(vector: Any) -> flint.arb:
    return sum((x * x for x in vector), flint.arb(0)).sqrt()


# ---------------------------------------------------------------- off the axis


def _tail_constant(S: list[list[flint.arb]], i: int, j: int, p: int) -> flint.arb:
    """c₁ with |g_ij| ≥ c₁ r^p (τ = 1)."""
    D = len(S)
    return ball(p) / 2 * S[i][j] * (D * S[i][i] / 2) ** p


@certified("40 random weights and images of the event at (2, 1) and (2, 2), p = 3, 5, r ≥ 4/s")
def large_noise_makes_large_gradients() -> Margins:
    rng = np.random.default_rng(5)
    for trial in range(40):
        L, C, p = 2, 1 + trial % 2, 3 + 2 * (trial // 2 % 2)
        D, setting = L * C, Setting(L=L, C=C, q=_HALF, p=p, nu=Fraction(1, 5), sigma_A=1)
        A = [[Fraction(int(rng.integers(-8, 9)), 8) for _ in range(D)] for _ in range(D)]
        rows = _attention_weights(A)
        S = [[w / sum(row, flint.arb(0)) for w in row] for row in rows]
        i, j = (int(k) for k in rng.permutation(D)[:2])
        least = reduce(flint.arb.min, (S[k][i] for k in range(D)))
        # One float above it, for the conversion rounds.
        r = Fraction(math.nextafter(float((4 / least).upper()), math.inf)) * (1 + trial % 5)
        # ⟨v, X_k⟩ is what F sees: one pixel, v = 1.
        X = [[Fraction(int(rng.integers(-8, 9)), 8)] for _ in range(D)]
        X[i] = [-r - Fraction(int(rng.integers(0, 9)), 8)]
        in_A, _ = _gradient(A, [1], X, 1, setting)
        bound = _tail_constant(S, i, j, p) * ball(r) ** p
        yield f"A_{i}{j} at r = {float(r):.3g}, p = {p}", abs(in_A[i][j]) - bound


def _random_rational(rng: np.random.Generator, size: Fraction) -> Fraction:
    return size * Fraction(int(rng.integers(-16, 17)), 16)


@certified("60 random changes of the weights at (2, 2), d = 2, p = 3, 5: all entries, the length")
def changes_are_below() -> Margins:
    rng = np.random.default_rng(7)
    partition = Partition.contiguous(2, 2)
    # Dyadic, so that the bounds in floats are of the sizes that are meant.
    sizes = ((Fraction(1, 1024), Fraction(0)), (Fraction(0), Fraction(1, 1024)),
             (Fraction(1, 4), Fraction(1, 8)))  # fmt: skip
    for trial in range(60):
        a, w = sizes[trial % 3]
        setting = Setting(L=2, C=2, q=_HALF, p=3 + 2 * (trial % 2), nu=Fraction(1, 5), sigma_A=1)
        state = Coefficients(*(Fraction(int(k), 16) for k in rng.integers(-4, 5, 3)))
        first = _symmetric_logits(partition, setting, state)
        A = [[x + _random_rational(rng, a) * (k != i) for k, x in enumerate(row)]
             for i, row in enumerate(first)]  # fmt: skip
        v = [state.alpha + w * Fraction(3, 5), w * Fraction(-4, 5)]
        X = [[Fraction(int(x)), _random_rational(rng, Fraction(1))]
             for x in rng.integers(-1, 2, 4)]  # fmt: skip
        y, length = int(rng.choice([-1, 1])), 2**0.5
        old = _gradient(first, [state.alpha, 0], X, y, setting)
        new = _gradient(A, v, X, y, setting)
        M = lipschitz_matrix(setting, state, length, float(a), float(w))
        by_A, by_v = (ball(float(row[0])) * ball(a) + ball(float(row[1])) * ball(w) for row in M)
        changed = np.array(new[0], dtype=object) - np.array(old[0], dtype=object)
        for k, change in enumerate(_off_diagonal(changed)):
            yield f"entry {k}, trial {trial}", by_A - abs(change)
        yield (
            f"v, trial {trial}",
            by_v - _length(x - z for x, z in zip(new[1], old[1], strict=True)),
        )


@certified(
    "the recursion for B with the measured gap for ε, 3 steps on samples of 1, 2 and 4 images at "
    "(2, 2), d = 2, from two starts, in balls; nothing of the probabilities"
)
def runs_stay_within() -> Margins:
    rng = np.random.default_rng(11)
    partition, eta_A, eta_v = Partition.contiguous(2, 2), ball(_HALF), ball(Fraction(1, 200))
    eta = np.array([0.5, 0.005])
    for number, offset in product((1, 2, 4), (Fraction(0), Fraction(1, 100))):
        images = []
        for _ in range(number):
            y, signal = int(rng.choice([-1, 1])), int(rng.integers(2))
            x = [y if j // 2 == signal else int(rng.integers(-1, 2)) for j in range(4)]
            images.append(([[Fraction(k), _random_rational(rng, Fraction(1))] for k in x], y))
        state = Coefficients(ball(Fraction(1, 20)), ball(0), ball(0))
        off = ball(offset)
        A = np.array(_symmetric_logits(partition, _SMALL, state), dtype=object)
        A = A + np.array([[off * (i != j) * (-1) ** j for j in range(4)] for i in range(4)])
        v = np.array([state.alpha, off], dtype=object)
        bound = np.array([float(offset), float(offset)])
        for step in range(4):
            base = np.array(_symmetric_logits(partition, _SMALL, state), dtype=object)
            where = f"{number} images, start {offset}, step {step}"
            if step or offset:
                gaps = [abs(x) for x in _off_diagonal(A - base)]
                yield (
                    f"A, {where}",
                    ball(bound[0]) * (1 + ball(Fraction(1, 10**12))) - reduce(flint.arb.max, gaps),
                )
                tilt = _length([v[0] - state.alpha, v[1]])
                yield f"v, {where}", ball(bound[1]) * (1 + ball(Fraction(1, 10**12))) - tilt
            exact = certified_expectation(_SMALL, state).gradient
            share = ball(Fraction(1, number))
            at_path = _mean(
                (share, _gradient(base, [state.alpha, 0], X, y, _SMALL)) for X, y in images
            )
            here = _mean((share, _gradient(A, v, X, y, _SMALL)) for X, y in images)
            entries = np.array([exact.rho, exact.gamma], dtype=object)
            population = entries[partition.same_set.astype(int)]
            gap = [
                max(float(abs(x).upper()) for x in _off_diagonal(at_path[0] - population)),
                float(_length([at_path[1][0] - exact.alpha, at_path[1][1]]).upper()),
            ]
            floats = Coefficients(*(float(x) for x in (state.alpha, state.gamma, state.rho)))
            M = lipschitz_matrix(_SMALL, floats, 2**0.5, *bound)
            bound = bound + eta * (M @ bound + np.array(gap))
            A = A - eta_A * here[0] * (1 - np.eye(4, dtype=int))
            v = v - eta_v * here[1]
            state = Coefficients(
                state.alpha - eta_v * exact.alpha,
                state.gamma - eta_A * exact.gamma,
                state.rho - eta_A * exact.rho,
            )


# ---------------------------------------------------------------- small starts


@certified("all images and signs of a noise ±κ at (2, 2), d = 2, three random A, three sizes of v")
def small_starts_are_within() -> Margins:
    rng = np.random.default_rng(13)
    partition, kappa = Partition((0, 1, 1, 0)), Fraction(1, 4)
    images = list(enumerate_samples(partition, _SMALL.q))
    nu, D, C = Fraction(_SMALL.nu), _SMALL.D, _SMALL.C
    for size in map(Fraction, ("1/8192", "1/256", "1/16")):
        A = [[Fraction(int(k), 8) for k in row] for row in rng.integers(-8, 9, (D, D))]
        v = [size, size * Fraction(3, 2)]
        in_A, in_v = _mean(
            (
                ball(image.probability / 2**D),
                _gradient(A, v, list(zip(map(Fraction, image.delta), signs, strict=True)),
                          image.y, _SMALL),
            )
            for image in images
            if image.y == 1
            for signs in product((kappa, -kappa), repeat=D)
        )  # fmt: skip
        bound = small_start_bound(
            _SMALL, np.array(A, dtype=float), partition,
            alpha=float(size), off_axis=float(v[1]), noise_std=float(kappa),
        )  # fmt: skip
        # Half of the images, those of label +1, have half of the gradient.
        where = f"v of size {size}"
        yield f"α, {where}", ball(bound.alpha) - abs(2 * in_v[0] + ball(nu * D * C / 2))
        yield f"⊥, {where}", ball(bound.off_axis) - abs(2 * in_v[1])
        for i, j in product(range(D), repeat=2):
            yield f"A_{i}{j}, {where}", ball(float(bound.A[i, j])) - abs(2 * in_A[i, j])


STATEMENTS = (
    Statement(
        id="prop-heavy-tails",
        kind="proposition",
        title="Off the axis there is no exponential moment",
        text=r"""If $v$ is not on the line of $w^\star$, then for all $N$, $\lambda>0$, $i\ne j$
            $\mathbb E e^{\lambda|\hat g_{ij}-g_{ij}|}=\infty$.""",
        hypotheses=(r"Gaussian noise, $\langle v,\xi_j\rangle$ of positive variance",),
        depends=("asm-data", "def-vit", "def-loss"),
        checks=(large_noise_makes_large_gradients,),
    ),
    Statement(
        id="lem-lipschitz",
        kind="lemma",
        title="Moving the weights",
        text=r"""On patches of length at most $K$ the gradients at $\theta$ and at a symmetric
            $\bar\theta$ differ by at most $M(a,w)^\top$, $M$ explicit.""",
        hypotheses=(r"$|A_{ij}-\bar A_{ij}|\le a$, $\|v-\bar v\|\le w$, equal diagonals",),
        depends=("def-vit", "def-loss"),
        checks=(changes_are_below,),
    ),
    Statement(
        id="thm-4-2-path",
        kind="theorem",
        title="A run on one sample",
        text=r"""With probability at least $1-\delta$, for all $t\le T$ the run is within $B_t$ of
            the population path, $B_{t+1}=B_t+\eta(M_tB_t+\varepsilon_t)$; where $2B_t^A$ is less
            than the path's margin the run has associated.""",
        hypotheses=(
            r"the same $N$ images at each step",
            r"start: a symmetric state plus Gaussian noise of standard deviation $\omega$",
            "isotropic Gaussian noise",
        ),
        depends=(
            "thm-4-2",
            "lem-lipschitz",
            "lem-bernstein",
            "thm-three-coefficients",
            "prop-margin",
        ),
        paper="Theorem 4.2",
        relation="finite-size form",
        checks=(runs_stay_within,),
    ),
    Statement(
        id="prop-small-start",
        kind="proposition",
        title="A small start hides the attention",
        text=r"""For every $A$: $\partial_v\mathcal L=-\frac12\nu DC\,w^\star$ and
            $\partial_{A_{ij}}\mathcal L=0$ up to explicit terms that vanish with $v$.""",
        hypotheses=(r"noise symmetric with moments at most Gaussian up to $2p$",),
        depends=("asm-data", "def-vit", "def-loss"),
        checks=(small_starts_are_within,),
    ),
)
