"""What a rule can know that does not see where patches are: Theorem A, decided by listing.

A rule g is *invariant* if g(X) does not change when the patches are permuted, by any of the D!
permutations.  It sees of the features x_j = ⟨w*, X_j⟩ the counts (n₊, n₋) alone.  Theorem A (a
finite-size form of Theorem 3.1 of the paper) says that among all invariant rules the least
Pr[y g ≤ 0] is

    e_inv = ½(1 − Pr(−C < R ≤ C)) = :func:`theory.data.law.invariant_error`,

because the likelihood ratio of the labels given the counts is binom(n₊, C) / binom(n₋, C); and that
no rule at all does better on average over random partitions.  Nothing here uses these formulas:
outcomes of Assumption 1 are listed and counted, in exact rationals where q is rational.

In: a partition (small: 2L·3^(D−C) outcomes) and q.  Out: joint laws and least errors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from typing import NamedTuple, TypeVar

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.inputs import Number, integer

__all__ = [
    "LabelMass",
    "all_partitions",
    "average_feature_law",
    "count_law",
    "invariant_minimum",
    "least_average_error",
]


K = TypeVar("K")


class LabelMass(NamedTuple):
    """Probability of an outcome together with the label +1, and with the label −1."""

    plus: Number
    minus: Number


def _joint(mass: dict[K, list[Number]]) -> dict[K, LabelMass]:
    return {outcome: LabelMass(*pair) for outcome, pair in mass.items()}


def _least_error(joint: dict[K, LabelMass]) -> Number:
    """A rule answers once for each outcome; the best answer errs on the rarer label."""
    return sum((min(mass) for mass in joint.values()), Fraction(0))


def count_law(partition: Partition, q: Number) -> dict[tuple[int, int], LabelMass]:
    """Joint law of the counts (n₊, n₋) of all features and of the label, by listing outcomes.

    Parameters
    ----------
    partition : Partition
        L sets of C patches.
    q : Fraction, int or float
        Spurious rate.

    Examples
    --------
    The likelihood ratio at (n₊, n₋) = (3, 2) is binom(3, 2) / binom(2, 2).

    >>> law = count_law(Partition.contiguous(L=3, C=2), Fraction(1, 2))
    >>> law[3, 2].plus / law[3, 2].minus
    Fraction(3, 1)
    """
    mass: dict[tuple[int, int], list[Number]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    for sample in enumerate_samples(partition, q):
        counts = sample.delta.count(1), sample.delta.count(-1)
        mass[counts][sample.y < 0] += sample.probability
    return _joint(mass)


def invariant_minimum(partition: Partition, q: Number) -> Number:
    """The least Pr[y g ≤ 0] of all rules that see the counts (n₊, n₋) alone.

    The minimum over all sign patterns on the pairs of counts, hence over all invariant rules.
    Theorem A: it is e_inv.  Parameters as in :func:`count_law`.

    Examples
    --------
    >>> print(invariant_minimum(Partition.contiguous(L=3, C=2), Fraction(1, 2)))
    23/256
    """
    return _least_error(count_law(partition, q))


def all_partitions(L: int, C: int) -> Iterator[Partition]:
    """Every partition of [LC] into L sets of C patches, (LC)! / ((C!)^L L!) of them.

    Examples
    --------
    >>> len(list(all_partitions(3, 2)))
    15
    """
    L, C = integer("L", L, least=1), integer("C", C, least=1)

    def split(free: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
        if not free:
            yield ()
            return
        # The first free patch is in some set: its companions tell partitions apart.
        for companions in combinations(free[1:], C - 1):
            members = (free[0], *companions)
            for others in split(tuple(j for j in free if j not in members)):
                yield (members, *others)

    for sets in split(tuple(range(L * C))):
        labels = [0] * (L * C)
        for index, members in enumerate(sets):
            for j in members:
                labels[j] = index
        yield Partition(tuple(labels))


def average_feature_law(L: int, C: int, q: Number) -> dict[tuple[int, ...], LabelMass]:
    """Joint law of all features, in place, and the label when the partition is uniformly random."""
    partitions = list(all_partitions(L, C))
    mass: dict[tuple[int, ...], list[Number]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    for partition in partitions:
        for sample in enumerate_samples(partition, q):
            mass[sample.delta][sample.y < 0] += sample.probability / len(partitions)
    return _joint(mass)


def least_average_error(L: int, C: int, q: Number) -> Number:
    """The least average, over all partitions, of Pr[y g ≤ 0] for one rule g, invariant or not.

    Theorem A: it is e_inv again, so being right for one partition is paid for with others.

    Examples
    --------
    >>> print(least_average_error(2, 2, Fraction(1, 2)))
    1/32
    """
    return _least_error(average_feature_law(L, C, q))
