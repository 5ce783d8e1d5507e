"""Partitions of the patches, and the permutations that keep them.

A labelled partition [D] = S_1 ∪ … ∪ S_L is the spatial structure hidden in the data.  The
permutations that map sets to sets (for L sets of C patches the wreath product S_C ≀ S_L) are its
symmetry group.

In: labels, permutations.  Out: the sets, and generators of the group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy.combinatorics import Permutation

from theory.inputs import integer

__all__ = ["Partition", "as_permutation"]


def as_permutation(name: str, permutation: Permutation | ArrayLike, D: int) -> NDArray[np.intp]:
    """The images of 0, …, D − 1 as an array; ``ValueError`` if it is no permutation of them.

    Examples
    --------
    >>> print(as_permutation("g", [2, 0, 1], D=3))
    [2 0 1]
    """
    images = permutation.array_form if isinstance(permutation, Permutation) else permutation
    try:
        # As objects: an array of numbers would take the True in [True, 0] for a 1.
        whole = [integer("image", k) for k in np.asarray(images, dtype=object).tolist()]
    except (TypeError, ValueError):  # not a list, or something else than an integer in it
        whole = []
    if sorted(whole) != list(range(D)):
        raise ValueError(f"{name} = {permutation!r}: {name} must be a permutation of 0..{D - 1}")
    return np.array(whole, dtype=np.intp)


@dataclass(frozen=True)
class Partition:
    """A labelled partition of the D patches into sets, equal in size unless stated otherwise.

    Parameters
    ----------
    labels : sequence of int, length D
        ``labels[i]`` is the index of the set that patch i belongs to; the indices in use are
        0, …, L−1.  Stored as a tuple.

    Raises
    ------
    ValueError
        If a label is no integer, or the indices in use are not 0, …, L−1.

    Examples
    --------
    >>> partition = Partition.scattered(L=2, C=3, permutation=[0, 2, 4, 1, 3, 5])
    >>> partition.labels, partition.sets
    ((0, 1, 0, 1, 0, 1), ((0, 2, 4), (1, 3, 5)))
    """

    labels: tuple[int, ...]

    def __post_init__(self) -> None:
        try:
            labels = tuple(integer("label", k) for k in self.labels)
        except (TypeError, ValueError):  # not iterable, or something else than an integer in it
            labels = ()
        if not labels or set(labels) != set(range(len(set(labels)))):
            raise ValueError(
                f"Partition.labels = {self.labels!r}: labels must be integers that use each of "
                "0..L-1 for some L >= 1"
            )
        object.__setattr__(self, "labels", labels)

    @classmethod
    def contiguous(cls, L: int, C: int) -> Partition:
        """L sets of C consecutive patches: patch i belongs to set i // C."""
        L, C = integer("L", L, least=1), integer("C", C, least=1)
        return cls(tuple(i // C for i in range(L * C)))

    @classmethod
    def scattered(
        cls, L: int, C: int, permutation: Sequence[int] | NDArray[np.integer] | int
    ) -> Partition:
        """The contiguous partition moved by a permutation, or by a random one from a seed.

        Patch ``permutation[i]`` belongs to set i // C; an integer seeds ``numpy``'s default
        generator, so a seed names one partition for good.
        """
        partition = cls.contiguous(L, C)
        if isinstance(permutation, Integral):
            seed = integer("permutation", permutation, least=0)
            permutation = np.random.default_rng(seed).permutation(partition.D)
        return partition.relabelled(permutation)

    @property
    def D(self) -> int:
        """Number of patches."""
        return len(self.labels)

    @property
    def L(self) -> int:
        """Number of sets."""
        return max(self.labels) + 1

    @property
    def C(self) -> int:
        """Common number of patches in a set; ``ValueError`` if the sets differ in size."""
        sizes = {len(members) for members in self.sets}
        if len(sizes) > 1:
            raise ValueError(f"sets of sizes {sorted(sizes)} have no common size C")
        return sizes.pop()

    def require(self, L: int, C: int) -> None:
        """``ValueError`` unless these are L sets of C patches.

        Examples
        --------
        >>> Partition.contiguous(3, 2).require(L=2, C=3)
        Traceback (most recent call last):
            ...
        ValueError: sets of sizes [2, 2, 2]: partition must have L = 2 sets of C = 3 patches
        """
        sizes = np.bincount(self.labels).tolist()
        if sizes != [C] * L:
            raise ValueError(
                f"sets of sizes {sizes}: partition must have L = {L} sets of C = {C} patches"
            )

    @property
    def sets(self) -> tuple[tuple[int, ...], ...]:
        """The sets by index, each as its patches in increasing order."""
        members: list[list[int]] = [[] for _ in range(self.L)]
        for i, label in enumerate(self.labels):
            members[label].append(i)
        return tuple(map(tuple, members))

    @property
    def same_set(self) -> NDArray[np.bool_]:
        """Shape (D, D): whether i and j share a set (the diagonal included)."""
        labels = np.array(self.labels)
        return labels[:, None] == labels[None, :]

    def relabelled(self, permutation: Permutation | ArrayLike) -> Partition:
        """The image of the partition: patch ``permutation[i]`` takes the set of patch i."""
        labels = np.empty(self.D, dtype=int)
        labels[as_permutation("permutation", permutation, self.D)] = self.labels
        return Partition(tuple(labels))

    def generators(self) -> list[Permutation]:
        """Generators of the group of all permutations that map sets to sets.

        For L sets of C patches that is the wreath product S_C ≀ S_L, of order (C!)^L L!.  Sets of
        different sizes never exchange: then it is the direct product of one wreath product for
        each size.

        Examples
        --------
        >>> from sympy.combinatorics import PermutationGroup
        >>> int(PermutationGroup(Partition.contiguous(L=2, C=3).generators()).order())
        72
        """
        by_size: dict[int, list[tuple[int, ...]]] = {}
        for members in self.sets:
            by_size.setdefault(len(members), []).append(members)
        # A transposition and a full cycle generate the symmetric group, of the patches of one set
        # and of the sets; conjugation by the latter carries the former to every set.
        cycle_lists: list[list[tuple[int, ...]]] = []
        for size, sets in by_size.items():
            if size > 1:
                cycle_lists += [[sets[0][:2]], [sets[0]]]
            if len(sets) > 1:
                cycle_lists += [list(zip(*sets[:2], strict=True)), list(zip(*sets, strict=True))]
        distinct = dict.fromkeys(tuple(cycles) for cycles in cycle_lists)
        return [Permutation([list(c) for c in cycles], size=self.D) for cycles in distinct or [()]]
