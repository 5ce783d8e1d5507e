"""Statements of the chapter that sets training beside the exact path: reading, noise, gaps.

The simulated checks draw images and differentiate the full network by hand, in numpy, and share no
formula with the exact path that they are compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from math import prod

import numpy as np
import sympy as sp
from sympy.combinatorics import PermutationGroup

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.dynamics.descent import gradient_descent
from theory.expectation.population import population_gradient
from theory.model.exact import network, rational_sigmoid, symmetric_weights
from theory.setting import Coefficients, Setting
from theory.statements.statement import Statement, simulated, symbolic
from theory.symmetry.orbitals import orbitals

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Estimates = Iterator[tuple[str, float, float, float]]


@symbolic(
    "one matrix of random integers each at (L, C) = (2, 2), (3, 2), (2, 3): averages over the group"
)
def reading_is_projecting() -> Claims:
    rng = np.random.default_rng(0)
    for L, C in ((2, 2), (3, 2), (2, 3)):
        partition = Partition.contiguous(L, C)
        D, elements = L * C, list(PermutationGroup(partition.generators()).elements)
        classes, same = orbitals(partition.generators()), partition.same_set
        M = rng.integers(-9, 10, (D, D)).astype(object)
        np.fill_diagonal(M, 3)
        P = np.zeros((D, D), dtype=object)
        for g in elements:
            moves = g.array_form
            P[np.ix_(moves, moves)] += M
        P = P * Fraction(1, len(elements))
        inside = same & ~np.eye(D, dtype=bool)
        for i, j in product(range(D), repeat=2):
            orbit = M[classes == classes[i, j]]
            yield f"PM at {i, j}", P[i, j], Fraction(int(orbit.sum()), orbit.size)
        for k in range(classes.max() + 1):
            # The residue is orthogonal to every orbital matrix, so PM is the nearest.
            yield f"residue ⟂ orbital {k}", sum((M - P)[classes == k]), Fraction(0)
        spread = Fraction(0)
        for kind in (inside, ~same):
            entries = M[kind]
            mean = Fraction(int(entries.sum()), entries.size)
            s_squared = sum((x - mean) ** 2 for x in entries) / (entries.size - 1)
            spread += (entries.size - 1) * s_squared
        yield f"‖A − PA‖² at {L, C}", sum(((M - P) ** 2).flat), spread


# The setting of the simulations, small enough for many runs: D = 6, two pixels a patch.
_SETTING = Setting(L=3, C=2, q=0.4, p=3, nu=0.2, sigma_A=1.0)
_ALPHA, _GAMMA, _RHO = 0.3, 0.4, -0.2


def _draw(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Images (…, D, 2) of Assumption 1 with noise in the second pixel, and labels (…)."""
    L, C, q = _SETTING.L, _SETTING.C, float(_SETTING.q)
    y = rng.choice([-1, 1], shape)
    delta = rng.choice([-1, 0, 1], (*shape, L, C), p=[q / 2, 1 - q, q / 2])
    signal = rng.integers(0, L, shape)[..., None] == np.arange(L)
    delta = np.where(signal[..., None], y[..., None, None], delta).reshape(*shape, L * C)
    return np.stack([delta, rng.normal(0, 0.3, delta.shape)], axis=-1), y


def _gradients(A: np.ndarray, v: np.ndarray, X: np.ndarray, y: np.ndarray) -> tuple:
    """∂ℓ/∂A and ∂ℓ/∂v of each image: A (…, D, D), v (…, 2), X (…, N, D, 2), y (…, N)."""
    D, p, nu = _SETTING.D, _SETTING.p, _SETTING.nu
    S = np.exp(A - A.max(axis=-1, keepdims=True))
    S = (S / S.sum(axis=-1, keepdims=True))[..., None, :, :]
    seen = np.einsum("...njk,...k->...nj", X, v)
    O = D * np.einsum("...nij,...nj->...ni", np.broadcast_to(S, (*X.shape[:-1], D)), seen)
    F = (O**p + nu * O).sum(axis=-1)
    factor = -y / (1 + np.exp(y * F))
    slope = factor[..., None] * (p * O ** (p - 1) + nu)
    in_A = slope[..., None] * S * (D * seen[..., None, :] - O[..., None])
    in_v = D * np.einsum("...ni,...nij,...njk->...nk", slope, np.broadcast_to(
        S, (*X.shape[:-1], D)), X)  # fmt: skip
    return in_A, in_v


def _weights() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    same = Partition.contiguous(_SETTING.L, _SETTING.C).same_set
    A = np.where(same, _GAMMA, _RHO)
    np.fill_diagonal(A, float(_SETTING.sigma_A))
    return A, np.array([_ALPHA, 0.0]), same & ~np.eye(_SETTING.D, dtype=bool), ~same


@simulated("40 000 images at one state of (3, 2): mean gradients, and the variance against N")
def gradient_of_a_sample() -> Estimates:
    rng = np.random.default_rng(1)
    A, v, inside, across = _weights()
    X, y = _draw(rng, (40_000,))
    in_A, in_v = _gradients(A, v, X, y)
    exact = population_gradient(_SETTING, Coefficients(_ALPHA, _GAMMA, _RHO), "enumeration")
    orbit_means = {"γ": (in_A[:, inside], exact.gamma), "ρ": (in_A[:, across], exact.rho)}
    values = {name: (x.mean(axis=1), truth) for name, (x, truth) in orbit_means.items()}
    values |= {"α": (in_v[:, 0], exact.alpha), "off the feature": (in_v[:, 1], 0.0)}
    for name, (value, truth) in values.items():
        yield f"mean of {name}", value.mean(), value.std(ddof=1) / np.sqrt(len(value)), float(truth)
    # The variance of a mean of N is that of one image over N: 50 batches of 16 against 1.
    for N in (4, 16):
        batches = in_v[: 32_000 // N * N, 0].reshape(-1, N).mean(axis=1)
        ratio = N * batches.var(ddof=1) / in_v[:, 0].var(ddof=1)
        kurtosis = ((batches - batches.mean()) ** 4).mean() / batches.var() ** 2
        whole = ((in_v[:, 0] - in_v[:, 0].mean()) ** 4).mean() / in_v[:, 0].var() ** 2
        error = np.sqrt((kurtosis - 1) / len(batches) + (whole - 1) / len(in_v))
        yield f"N times the variance at N = {N}", ratio, error, 1.0


@symbolic("exact variances over all images of (2, 2) at one rational state: entries of an orbital")
def variances_on_an_orbital() -> Claims:
    partition = Partition.contiguous(2, 2)
    classes = orbitals(partition.generators())
    weights = symmetric_weights(partition, Fraction(3), Fraction(2), Fraction(1, 2))
    entries = [(i, j) for i, j in product(range(4), repeat=2) if i != j]
    first = dict.fromkeys(entries, Fraction(0))
    second = dict.fromkeys(entries, Fraction(0))
    mean_square = dict.fromkeys((1, 2), Fraction(0))
    for s in enumerate_samples(partition, Fraction(1, 3)):
        at = network(weights, [Fraction(1, 4)], [[Fraction(x)] for x in s.delta], 3, Fraction(1, 3))
        factor = s.y * rational_sigmoid(s.y * at.F)
        for i, j in entries:
            first[i, j] += s.probability * factor * at.in_A[i][j]
            second[i, j] += s.probability * (factor * at.in_A[i][j]) ** 2
        for kind in (1, 2):
            chosen = [at.in_A[i][j] for i, j in entries if classes[i, j] == kind]
            mean_square[kind] += s.probability * (factor * sum(chosen) / len(chosen)) ** 2
    for kind in (1, 2):
        pairs = [pair for pair in entries if classes[pair] == kind]
        variances = {second[pair] - first[pair] ** 2 for pair in pairs}
        yield f"one variance on orbital {kind}", len(variances), 1
        of_mean = mean_square[kind] - first[pairs[0]] ** 2
        yield f"that of the mean is at most it, orbital {kind}", of_mean <= min(variances), True


def _sample_gradients(weights: list[list[Fraction]], v: list[Fraction]) -> list[tuple]:
    """(probability, gradient in v and in the entries of A off the diagonal) of each image."""
    partition, found = Partition.contiguous(2, 1), []
    for s in enumerate_samples(partition, Fraction(1, 3)):
        at = network(weights, v, [[Fraction(x)] for x in s.delta], 3, Fraction(1, 3))
        factor = -s.y * rational_sigmoid(s.y * at.F)
        gradient = (at.in_v[0], at.in_A[0][1], at.in_A[1][0])
        found.append((s.probability, tuple(factor * x for x in gradient)))
    return found


@symbolic("every sample of N = 1, 2, 3 images of (2, 1), two states, a rational factor: one step")
def mean_square_of_one_step() -> Claims:
    eta = (Fraction(1, 20), Fraction(3), Fraction(3))  # η_v, and η_A for both entries
    for own, across, alpha in (("3", "1/2", "1/4"), ("1", "2", "-2/3")):
        rows = symmetric_weights(Partition.contiguous(2, 1), *map(Fraction, (own, "1", across)))
        images = _sample_gradients(rows, [Fraction(alpha)])
        mean = [sum(c * g[k] for c, g in images) for k in range(3)]
        V = [sum(c * (g[k] - mean[k]) ** 2 for c, g in images) for k in range(3)]
        for N in (1, 2, 3):
            square, first = Fraction(0), [Fraction(0)] * 3
            for sample in product(images, repeat=N):
                chance = prod((c for c, _ in sample), start=Fraction(1))
                found = [sum(g[k] for _, g in sample) / N for k in range(3)]
                first = [x + chance * y for x, y in zip(first, found, strict=True)]
                square += chance * sum(
                    (e * (x - m)) ** 2 for e, x, m in zip(eta, found, mean, strict=True)
                )
            where = f"at {own, across, alpha}, N = {N}"
            yield f"unbiased {where}", first, mean
            right = sum(e * e * variance for e, variance in zip(eta, V, strict=True)) / N
            yield f"E‖θ₁ − θ̄₁‖² {where}", square, right


@symbolic("the algebra of the induction, all constants")
def induction_of_the_gap() -> Claims:
    K, N, eta, lam, V, eps = sp.symbols("K N eta Lambda V epsilon", positive=True)
    before, noise = K / sp.sqrt(N), sp.sqrt(2 * V / (eps * N))
    after = (1 + eta * lam) * K + eta * sp.sqrt(2 * V / eps)
    gap = (1 + eta * lam) * before + eta * noise - after / sp.sqrt(N)
    yield "K'", sp.simplify(gap), sp.S.Zero
    yield "Chebyshev", sp.simplify(V / N / noise**2), eps / 2
    # One step of a run, less one of the population, as the three parts that are bounded.
    theta, mean, g, G, G_0 = sp.symbols("theta theta_0 g G G_0")
    parts = (theta - mean) - eta * (G - G_0) - eta * (g - G)
    yield "one step", sp.expand((theta - eta * g) - (mean - eta * G_0) - parts), sp.S.Zero


@simulated("200 runs of four steps at (3, 2): the gap at N = 400 against N = 100, twice as large")
def gap_against_sample_size() -> Estimates:
    rng, steps, runs = np.random.default_rng(2), 4, 200
    eta_v, eta_A = 0.01, 2.0
    exact = gradient_descent(
        _SETTING, Coefficients(_ALPHA, _GAMMA, _RHO),
        eta_v=eta_v, eta_A=eta_A, steps=steps, method="enumeration",
    )  # fmt: skip
    A_0, v_0, inside, across = _weights()
    A_end = np.where(inside, exact.gamma[-1], np.where(across, exact.rho[-1], A_0))
    v_end = np.array([exact.alpha[-1], 0.0])
    squares = {}
    for N in (100, 400):
        A, v = np.tile(A_0, (runs, 1, 1)), np.tile(v_0, (runs, 1))
        for _ in range(steps):
            in_A, in_v = (g.mean(axis=1) for g in _gradients(A, v, *_draw(rng, (runs, N))))
            A, v = A - eta_A * in_A * (inside | across), v - eta_v * in_v
        squares[N] = ((A - A_end) ** 2).sum(axis=(1, 2)) + ((v - v_end) ** 2).sum(axis=1)
    low, high = squares[400], squares[100]
    ratio = np.sqrt(high.mean() / low.mean())
    relative = [x.std(ddof=1) / x.mean() / np.sqrt(runs) for x in (low, high)]
    yield "ratio of the gaps", ratio, ratio / 2 * np.hypot(*relative), 2.0


STATEMENTS = (
    Statement(
        id="prop-reading",
        kind="proposition",
        title="Reading is projecting",
        text=r"""The mean over the group replaces each entry by the mean over its orbital, the
            nearest such matrix; $\|A-PA\|_F^2=(N_{\text{in}}-1)s_\gamma^2+
            (N_{\text{cross}}-1)s_\rho^2$.""",
        depends=("def-orbital", "prop-three"),
        checks=(reading_is_projecting,),
    ),
    Statement(
        id="prop-minibatch",
        kind="proposition",
        title="The gradient of a sample",
        text=r"""Unbiased, with variance $V(\theta)/N$; entries of one orbital have one variance,
            and their mean has at most that.""",
        hypotheses=("independent images", r"part 2: $A$ constant on orbitals"),
        depends=("asm-data", "def-loss", "lem-equivariance", "lem-law-symmetric"),
        checks=(variances_on_an_orbital, gradient_of_a_sample),
    ),
    Statement(
        id="prop-root-n",
        kind="proposition",
        title="The gap is of order $N^{-1/2}$",
        text=r"""$\E\|\theta_1-\bar\theta_1\|^2=(\eta_v^2V_v+\eta_A^2V_A)/N$ after one step, and
            at every fixed step the gap of a run to the exact path is $O(N^{-1/2})$ in
            probability.""",
        hypotheses=("fresh independent images at each step",),
        depends=("prop-minibatch",),
        checks=(mean_square_of_one_step, induction_of_the_gap, gap_against_sample_size),
    ),
)
