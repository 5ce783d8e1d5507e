"""The full network in exact arithmetic, for checks: F and all its derivatives at rational weights.

The code is generated from :class:`theory.model.vit.SimplifiedViT`, with w_ij = e^{A_ij/τ} rational
and τ = 1.  The factor sig(−yF) of the gradient is not rational, so checks put a rational function
of yF in its place (:func:`rational_sigmoid`): whatever follows from symmetry holds for every
factor.  In: sizes, rational weights and images.  Out: Fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

import sympy as sp

from theory.data.partition import Partition
from theory.model.vit import SimplifiedViT, polynomial_activation

__all__ = ["Derivatives", "mean_gradient", "network", "rational_sigmoid", "symmetric_weights"]

E = TypeVar("E")  # Fraction, or a ball: the generated code serves both
Rows = Sequence[Sequence[E]]


class Derivatives(NamedTuple, Generic[E]):
    """F, ∂F/∂A (rows) and ∂F/∂v at one image."""

    F: E
    in_A: list[list[E]]
    in_v: list[E]


@lru_cache
def _code(D: int, d: int, p: int) -> Callable[..., list]:
    # ν is a symbol: a ratio of integers in generated code would be a float.
    nu = sp.Symbol("nu")
    vit = SimplifiedViT(D, d, polynomial_activation(p, nu), tau=sp.S.One)
    in_A, in_v = vit.gradient(vit.output)
    return vit.function([vit.output, *in_A, *in_v], nu)


def network(weights: Rows[E], v: Sequence[E], X: Rows[E], p: int, nu: E) -> Derivatives[E]:
    """F and its derivatives; ``weights`` (D, D) are e^{A_ij}, ``v`` (d,), ``X`` (D, d)."""
    D, d = len(X), len(v)
    F, *rest = _code(D, d, p)(weights, v, X, nu)
    return Derivatives(F, [rest[D * i : D * (i + 1)] for i in range(D)], rest[D * D :])


def rational_sigmoid(margin: Fraction) -> Fraction:
    """A rational function of yF that decreases, and is no more special than the sigmoid."""
    return Fraction(1, 2) - margin / (2 * (1 + abs(margin)))


def symmetric_weights(partition: Partition, own: E, inside: E, across: E) -> list[list[E]]:
    """Weights that are ``own`` on the diagonal, ``inside`` in sets and ``across`` sets."""
    same = partition.same_set
    return [
        [own if i == j else inside if same[i, j] else across for j in range(partition.D)]
        for i in range(partition.D)
    ]


def mean_gradient(
    images: Iterable[tuple[Fraction, int, Rows[Fraction]]],
    weights: Rows[Fraction],
    v: Sequence[Fraction],
    p: int = 3,
    nu: Fraction = Fraction(1, 3),
) -> Derivatives[Fraction]:
    """E[y φ(yF) ∂F] over images (probability, y, X), with φ the rational sigmoid; F is E[φ]."""
    D, d = len(weights), len(v)
    F, in_A, in_v = Fraction(0), [[Fraction(0)] * D for _ in range(D)], [Fraction(0)] * d
    for chance, y, X in images:
        at = network(weights, v, X, p, nu)
        factor = chance * y * rational_sigmoid(y * at.F)
        F += chance * rational_sigmoid(y * at.F)
        in_A = [[s + factor * g for s, g in zip(*rows, strict=True)]
                for rows in zip(in_A, at.in_A, strict=True)]  # fmt: skip
        in_v = [s + factor * g for s, g in zip(in_v, at.in_v, strict=True)]
    return Derivatives(F, in_A, in_v)
