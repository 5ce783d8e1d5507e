"""Statements on the Hessian across the invariant subspace: where rounding grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from itertools import permutations, product
from typing import Any

import flint
import numpy as np
import sympy as sp

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.expectation.certified import ball
from theory.model.exact import rational_sigmoid, symmetric_weights
from theory.model.vit import SimplifiedViT, polynomial_activation
from theory.statements.statement import Statement, certified, symbolic

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]
Margins = Iterator[tuple[str, object]]

_nu = sp.Symbol("nu", nonnegative=True)


_PAIRS = list(permutations(range(4), 2))


@cache
def _second_derivatives() -> tuple[Any, list[tuple[int, int]]]:
    """Code for F and its first and second derivatives in all A_ij, i ≠ j, at (2, 2), p = 3."""
    vit = SimplifiedViT(4, 1, polynomial_activation(3, _nu), tau=sp.S.One)
    first = [vit.weights[i, j] * vit.output.diff(vit.weights[i, j]) for i, j in _PAIRS]
    # Row i of A enters O_i alone, so second derivatives mix entries of one row only.
    second = {
        (a, b): vit.weights[_PAIRS[b]] * first[a].diff(vit.weights[_PAIRS[b]])
        for a, b in product(range(12), repeat=2)
        if _PAIRS[a][0] == _PAIRS[b][0]
    }
    return vit.function([vit.output, *first, *second.values()], _nu), list(second)


def _hessian(
    weights: list[list[Fraction]],
    alpha: Fraction,
    q: Fraction,
    nu: Fraction,
    slope: Callable[[Fraction], Any],
    curvature: Callable[[Fraction], Any],
    number: Callable[[Fraction], Any] = Fraction,
) -> list[list[Any]]:
    """E[φ″(yF) ∂F ∂Fᵀ + φ′(yF) y ∂²F] at (2, 2), in the arithmetic of φ′ and φ″."""
    code, places = _second_derivatives()
    H: list[list[Any]] = [[number(Fraction(0))] * 12 for _ in range(12)]
    for s in enumerate_samples(Partition.contiguous(2, 2), q):
        chance, y = s.probability, s.y
        F, *found = code(weights, [alpha], [[Fraction(x)] for x in s.delta], nu)
        slopes, second = found[:12], dict(zip(places, found[12:], strict=True))
        down, up = slope(y * F) * number(chance * y), curvature(y * F) * number(chance)
        for a, b in product(range(12), repeat=2):
            H[a][b] += up * number(slopes[a] * slopes[b])
            H[a][b] += down * number(second.get((a, b), Fraction(0)))
    return H


@symbolic("the exact Hessian in all A_ij, i ≠ j, at (2, 2) and one rational state")
def hessian_commutes() -> Claims:
    partition = Partition.contiguous(2, 2)
    weights = symmetric_weights(partition, Fraction(3), Fraction(2), Fraction(1, 2))
    # φ′ = −φ and φ″ = φ² in place of the loss's: any functions of yF would do.
    H = _hessian(
        weights,
        Fraction(1, 4),
        Fraction(1, 3),
        Fraction(1, 7),
        lambda F: -rational_sigmoid(F),
        lambda F: rational_sigmoid(F) ** 2,
    )
    place = {pair: k for k, pair in enumerate(_PAIRS)}
    for generator in partition.generators():
        g = generator.array_form
        moved = [place[g[i], g[j]] for i, j in _PAIRS]
        for a, b in product(range(12), repeat=2):
            yield f"H[{a}, {b}] under {g}", H[moved[a]][moved[b]], H[a][b]
    inside = [k for k, (i, j) in enumerate(_PAIRS) if partition.same_set[i, j]]
    for a, b in product(range(12), repeat=2):
        yield f"H[{a}, {b}] is symmetric", H[a][b], H[b][a]
    sums = [sum(H[a][b] for b in inside) for a in range(12)]
    yield "subspace to subspace", len({sums[a] for a in inside}), 1


def _pivots(M: list[list[Any]]) -> Iterator[Any]:
    """The pivots of a symmetric matrix: all positive exactly if it is positive definite."""
    M = [list(row) for row in M]
    while M:
        pivot, *row = M[0]
        yield pivot
        M = [[x - a * b / pivot for x, b in zip(line[1:], row, strict=True)]
             for line, a in zip(M[1:], row, strict=True)]  # fmt: skip


# e^{σ_A}, e^γ, e^ρ and α of the instance, and rational bounds on its largest eigenvalue.
_INSTANCE = (*map(Fraction, ("8/3", "4/3", "4/7")), Fraction(9, 16))
_LEAST, _MOST = Fraction(52, 100), Fraction(53, 100)
_BELOW, _NEGATIVE = Fraction(1, 5000), Fraction(1, 6000)


def _transverse_hessian() -> list[list[flint.arb]]:
    """The Hessian of the logistic loss at the instance, restricted to the complement."""
    own, inside, across, alpha = _INSTANCE
    partition = Partition.contiguous(2, 2)

    def sig(F: Fraction) -> flint.arb:
        return 1 / (1 + (-ball(F)).exp())

    H = _hessian(
        symmetric_weights(partition, own, inside, across),
        alpha,
        Fraction(1, 2),
        Fraction(1, 20),
        lambda F: -sig(-F),
        lambda F: sig(F) * sig(-F),
        ball,
    )
    kinds = [bool(partition.same_set[pair]) for pair in _PAIRS]
    # The projection takes off the mean over each orbital: 4 pairs inside, 8 across.
    P = [[Fraction(a == b) - (Fraction(1, kinds.count(kinds[a])) if kinds[a] == kinds[b] else 0)
          for b in range(12)] for a in range(12)]  # fmt: skip
    half = [[sum((H[a][c] * ball(P[c][b]) for c in range(12)), flint.arb(0)) for b in range(12)]
            for a in range(12)]  # fmt: skip
    return [[sum((ball(P[a][c]) * half[c][b] for c in range(12)), flint.arb(0)) for b in range(12)]
            for a in range(12)]  # fmt: skip


def _quotient(M: list[list[flint.arb]], vector: np.ndarray) -> flint.arb:
    """⟨u, Mu⟩/‖u‖² at a rational vector near ``vector``."""
    u = [ball(Fraction(round(float(x) * 10**6), 10**6)) for x in vector]
    size = sum((x * x for x in u), flint.arb(0))
    image = [sum((x * y for x, y in zip(row, u, strict=True)), flint.arb(0)) for row in M]
    return sum((x * y for x, y in zip(image, u, strict=True)), flint.arb(0)) / size


@certified("the Hessian in balls at the instance: bounds of both ends, and η_Aλ for two steps")
def transverse_eigenvalue() -> Margins:
    with flint.ctx.workprec(128):
        M = _transverse_hessian()
        # One end of each by one vector, an eigenvector in floats.
        _, vectors = np.linalg.eigh(np.array([[float(x.mid()) for x in row] for row in M]))
        yield "λ from below", _quotient(M, vectors[:, -1]) - ball(_LEAST)
        yield "the least is negative", -_quotient(M, vectors[:, 0]) - ball(_NEGATIVE)
        # From above: λ_most − M is positive definite.
        above = [[(ball(_MOST) if a == b else 0) - x for b, x in enumerate(row)]
                 for a, row in enumerate(M)]  # fmt: skip
        for k, pivot in enumerate(_pivots(above)):
            yield f"pivot {k}", pivot
        least = [[(ball(_BELOW) if a == b else 0) + x for b, x in enumerate(row)]
                 for a, row in enumerate(M)]  # fmt: skip
        for k, pivot in enumerate(_pivots(least)):
            yield f"pivot {k} of the other end", pivot
        yield "growth at η_A = 5", 5 * _LEAST - 1 - Fraction(159, 100)
        # At 5/2 every factor |1 − η_Aλ| is below 1.001.
        yield "from above at 5/2", Fraction(1001, 1000) - (Fraction(5, 2) * _MOST - 1)
        yield "from below at 5/2", Fraction(1, 1000) - Fraction(5, 2) * _BELOW


def _across(S: list[list[Any]], alpha: Any, q: Fraction, nu: Any, number: Any, slope: Any,
            curvature: Any) -> Any:  # fmt: skip
    """The factor h of the statement at (2, 2), p = 3, for φ′ and φ″ in place of the loss's."""
    SS = [[sum((x * y for x, y in zip(a, b, strict=True)), number(0)) for b in S] for a in S]
    h = number(0)
    for s in enumerate_samples(Partition.contiguous(2, 2), q):
        if s.y == 1:
            O = [4 * alpha * sum((w * x for w, x in zip(row, s.delta, strict=True)), number(0))
                 for row in S]  # fmt: skip
            F = sum((o * o * o + nu * o for o in O), number(0))
            first = [3 * o * o + nu for o in O]
            square = sum(
                (first[i] * SS[i][k] * first[k] for i, k in product(range(4), repeat=2)), number(0)
            )
            trace = sum((6 * o * SS[i][i] for i, o in enumerate(O)), number(0))
            chance = number(2 * s.probability)
            h += chance * (curvature(F) * square + slope(F) * trace)
    return 16 * h


@symbolic("∂²/∂u² and ∂²/∂u∂A over all images and noise ±1 at (2, 2), p = 3, d = 2, any A there")
def across_the_line() -> Claims:
    vit = SimplifiedViT(4, 2, polynomial_activation(3, _nu), tau=sp.S.One)
    off = vit.v[1]
    in_A = [vit.weights[i, j] * vit.output.diff(vit.weights[i, j]) for i, j in ((0, 1), (0, 2))]
    in_u = vit.output.diff(off)
    wanted = [vit.output, in_u, in_u.diff(off), *in_A, *(f.diff(off) for f in in_A)]
    code = vit.function(wanted, _nu)
    q, nu, alpha = Fraction(1, 3), Fraction(1, 7), Fraction(1, 4)
    rng = np.random.default_rng(1)
    weights = [[Fraction(int(x)) for x in row] for row in rng.integers(1, 9, (4, 4))]
    second, mixed = Fraction(0), [Fraction(0)] * 2
    for s in enumerate_samples(Partition.contiguous(2, 2), q):
        for noise in product((1, -1), repeat=4):  # of variance 1, and Gaussian in nothing
            X = [[Fraction(x), Fraction(z)] for x, z in zip(s.delta, noise, strict=True)]
            F, F_u, F_uu, *rest = code(weights, [alpha, Fraction(0)], X, nu)
            # φ′ = −φ and φ″ = φ² in place of the loss's.
            down, up = -rational_sigmoid(s.y * F), rational_sigmoid(s.y * F) ** 2
            chance = s.probability / 16
            second += chance * (up * F_u**2 + down * s.y * F_uu)
            for k in range(2):
                mixed[k] += chance * (up * F_u * rest[k] + down * s.y * rest[2 + k])
    S = [[w / sum(row) for w in row] for row in weights]
    found = _across(S, alpha, q, nu, Fraction, lambda F: -rational_sigmoid(F),
                    lambda F: rational_sigmoid(F) ** 2)  # fmt: skip
    yield "h", second, found
    yield "mixed with two entries of A", mixed, [0, 0]


@certified("h in balls at the two states")
def line_is_left() -> Margins:
    def sig(F: flint.arb) -> flint.arb:
        return 1 / (1 + (-F).exp())

    own, inside, across, alpha = (ball(x) for x in _INSTANCE)
    one = ball(1)
    states = ((ball(Fraction(1, 10)), one.exp(), one, one), (alpha, own, inside, across))
    with flint.ctx.workprec(128):
        found = []
        for size, a, g, r in states:
            Z = a + g + 2 * r
            S = [[w / Z for w in row] for row in
                 symmetric_weights(Partition.contiguous(2, 2), a, g, r)]  # fmt: skip
            found.append(_across(S, size, Fraction(1, 2), ball(Fraction(1, 20)), ball,
                                 lambda F: -sig(-F), lambda F: sig(F) * sig(-F)))  # fmt: skip
        yield "h < −10.3 at α = 1/10", -found[0] - ball(Fraction(103, 10))
        yield "h > −10.4 at α = 1/10", found[0] + ball(Fraction(104, 10))
        yield "h > 0 at the instance", found[1]


STATEMENTS = (
    Statement(
        id="rem-stability",
        kind="remark",
        title="Rounding can leave the subspace",
        text=r"""The Hessian in $A$ commutes with the group, so it splits; a transverse deviation
            grows along an eigenvector with $|1-\eta_A\lambda|>1$. Across $w^\star$ the second
            derivative in $v$ is $h\Sigma$, and does not mix with $A$.""",
        depends=("prop-gradient-equivariant", "thm-three-coefficients"),
        checks=(hessian_commutes, across_the_line),
    ),
    Statement(
        id="ex-transverse",
        kind="example",
        title="An instance",
        text=r"""At $(L,C,q,\nu)=(2,2,\frac12,\frac1{20})$, $\alpha=\frac9{16}$ and
            $(e^{\sigma_A},e^\gamma,e^\rho)=(\frac83,\frac43,\frac47)$ the largest transverse
            eigenvalue is between $0.52$ and $0.53$, the least between $-\frac1{5000}$ and
            $-\frac1{6000}$: at $\eta_A=5$ a deviation grows $1.59$ times a step, at $\frac52$ none
            $1.001$ times. $h$ is positive there, and between $-10.4$ and $-10.3$ at
            $\alpha=\frac1{10}$, $\gamma=\rho=0$, $\sigma_A=1$.""",
        depends=("rem-stability",),
        checks=(transverse_eigenvalue, line_is_left),
    ),
)
