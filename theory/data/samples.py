"""Assumption 1 as the list of all its samples, with their probabilities.

In: a partition (small: 2L·3^(D−C) samples) and q.  Out: samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from numbers import Real
from typing import Any

import sympy as sp

from theory.data.partition import Partition
from theory.inputs import real

__all__ = ["Sample", "enumerate_samples"]


@dataclass(frozen=True)
class Sample:
    """One outcome of Assumption 1 without its noise: patch j holds δ_j w* (plus noise ⟂ w*)."""

    y: int
    signal: int
    delta: tuple[int, ...]
    probability: Any


def enumerate_samples(partition: Partition, q: Any) -> Iterator[Sample]:
    """All (y, signal set, δ) of Assumption 1 with their probabilities: 2 L 3^{D−C} samples.

    The label y = ±1 and the signal set are uniform; δ_j = y in the signal set; every other δ_j is
    +1, −1 or 0 with probabilities q/2, q/2 and 1 − q, all independent.

    Parameters
    ----------
    partition : Partition
        The sets, any partition of the patches.
    q : Fraction, int, float or sympy expression
        The probabilities follow its arithmetic; rational q gives ``Fraction``.

    Examples
    --------
    >>> samples = list(enumerate_samples(Partition.contiguous(L=2, C=2), Fraction(1, 3)))
    >>> len(samples), samples[0]
    (36, Sample(y=1, signal=0, delta=(1, 1, 1, 1), probability=Fraction(1, 144)))
    >>> sum(sample.probability for sample in samples)
    Fraction(1, 1)
    """
    if isinstance(q, Real) or not isinstance(q, sp.Expr):
        q = real("q", q, least=0, most=1)
        q = Fraction(q) if isinstance(q, int) else q
    for signal, members in enumerate(partition.sets):
        free = [j for j in range(partition.D) if j not in members]
        for spurious in product((1, -1, 0), repeat=len(free)):
            zeros = spurious.count(0)
            chance = (q / 2) ** (len(free) - zeros) * (1 - q) ** zeros / (2 * partition.L)
            features = dict(zip(free, spurious, strict=True))
            for y in (1, -1):
                delta = tuple(features.get(j, y) for j in range(partition.D))
                yield Sample(y, signal, delta, chance)
