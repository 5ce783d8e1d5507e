"""Partitions of the patches, their symmetry group, its orbitals, and patch association.

A labelled partition [D] = S_1 ∪ … ∪ S_L is the spatial structure hidden in the data.  Its symmetry
group (for L sets of C patches the wreath product S_C ≀ S_L) acts on ordered pairs of patches, and
the orbits of that action, the *orbitals*, are the entries of A that gradient descent cannot tell
apart.  Definition 2.2 of the paper, read on rows of attention logits A: patch association is
learned when Top_C(A_i1, …, A_iD) is the set S(i) of patch i, for every i.

In: labels, permutations, matrices (D, D).  Out: generators, an integer matrix of orbitals, scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sympy.combinatorics import Permutation

from theory.inputs import integer

__all__ = [
    "as_permutation",
    "Partition",
    "association_score",
    "grid_shift_generators",
    "is_associated",
    "margin",
    "orbitals",
    "product_generators",
    "top_c",
    "top_c_is_unique",
]


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


def _swap_and_cycle(k: int) -> list[list[int]]:
    """Generators of the symmetric group on 0..k-1, as lists of images."""
    return [[1, 0, *range(2, k)], [*range(1, k), 0]] if k > 1 else [[0]]


def product_generators(L: int, C: int) -> list[Permutation]:
    """Generators of S_L × S_C on an L × C grid: all rows permuted alike, all columns alike.

    Patch l*C + c sits in row l, column c, so that rows are the sets of the contiguous partition.
    The group is smaller than S_C ≀ S_L and has four orbitals where L, C >= 2: same patch, same row,
    same column, neither.
    """
    L, C = integer("L", L, least=1), integer("C", C, least=1)
    grid = np.arange(L * C).reshape(L, C)
    moves = [grid[order] for order in _swap_and_cycle(L)]
    moves += [grid[:, order] for order in _swap_and_cycle(C)]
    return [Permutation(move.ravel().tolist()) for move in moves]


def grid_shift_generators(height: int, width: int) -> list[Permutation]:
    """Generators of the cyclic shifts of a height × width grid (patch i is row-major).

    The orbitals are the displacements between patches on the torus: height * width of them, all
    of the same size, which is the symmetry of a convolution.
    """
    height, width = integer("height", height, least=1), integer("width", width, least=1)
    grid = np.arange(height * width).reshape(height, width)
    return [Permutation(np.roll(grid, -1, axis=axis).ravel().tolist()) for axis in (0, 1)]


def orbitals(generators: Iterable[Permutation | ArrayLike]) -> NDArray[np.intp]:
    """Orbits of a permutation group on ordered pairs of patches, computed from any generators.

    Parameters
    ----------
    generators : iterable of Permutation or integer array (D,)
        At least one permutation, all of the same D patches; g moves pair (i, j) to (g[i], g[j]).

    Returns
    -------
    ndarray of int, shape (D, D)
        The orbital of each pair.  Orbitals are numbered from 0: those on the diagonal first, then
        by number of pairs, then by first appearance row by row.  For a partition into L >= 2 equal
        sets that is always 0 diagonal, 1 in-set, 2 cross-set (for C = 1: 0 diagonal, 1 cross-set).

    Raises
    ------
    ValueError
        If there is no generator, or one is not a permutation of 0..D-1.

    Notes
    -----
    In a finite group every inverse is a power, so orbits are the connected components of the graph
    that joins each pair to its image under each generator.

    Examples
    --------
    >>> print(orbitals(Partition.contiguous(L=2, C=2).generators()))
    [[0 1 2 2]
     [1 0 2 2]
     [2 2 0 1]
     [2 2 1 0]]
    """
    generators = list(generators)
    if not generators:
        raise ValueError("generators = []: at least one permutation is needed, to know D")
    first = generators[0]
    D = first.size if isinstance(first, Permutation) else np.size(first)
    moves = [as_permutation("generator", g, D) for g in generators]
    targets = np.concatenate([(g[:, None] * D + g[None, :]).ravel() for g in moves])
    sources = np.tile(np.arange(D * D), len(moves))
    graph = coo_array((np.ones(len(targets), dtype=bool), (sources, targets)), shape=(D * D,) * 2)
    _, component = connected_components(graph, directed=False)
    _, first_pair, raw, size = np.unique(
        component, return_index=True, return_inverse=True, return_counts=True
    )
    # The first pair of an orbital is on the diagonal iff all of its pairs are.
    off_diagonal = first_pair // D != first_pair % D
    rank = np.empty(len(size), dtype=np.intp)
    rank[np.lexsort((first_pair, size, off_diagonal))] = np.arange(len(size))
    return rank[raw].reshape(D, D)


def _as_logits(A: ArrayLike, D: int | None = None) -> NDArray[np.float64]:
    try:
        matrix = np.asarray(A, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    D = len(matrix) if D is None else D
    if matrix.shape != (D, D) or not matrix.size:
        size = f"({D}, {D})" if matrix.ndim == 2 else "(D, D)"
        raise ValueError(f"A of shape {np.shape(A)}: A must be a real matrix of shape {size}")
    if not np.isfinite(matrix).all():
        i, j = np.argwhere(~np.isfinite(matrix))[0]
        raise ValueError(f"A[{i}, {j}] = {matrix[i, j]}: entries of A must be finite")
    return matrix


def top_c(A: ArrayLike, C: int) -> NDArray[np.intp]:
    """Top_C of Definition 2.2: the C indices of largest value in each row, ties to lower indices.

    Parameters
    ----------
    A : array (D, D)
    C : int

    Returns
    -------
    ndarray of int, shape (D, C)
        Indices in increasing order.  Where the C-th and the next largest value of a row are equal
        Top_C is not one set; this function takes the lowest of the tied indices, and
        :func:`top_c_is_unique` says where it had to.

    Raises
    ------
    ValueError
        If A is not a finite square matrix or C is not in 1..D.

    Examples
    --------
    >>> print(top_c([[3, 1, 2], [0, 5, 5], [1, 1, 1]], C=2))
    [[0 2]
     [1 2]
     [0 1]]
    """
    matrix = _as_logits(A)
    C = integer("C", C, least=1, most=len(matrix))
    return np.sort(np.argsort(-matrix, axis=1, kind="stable")[:, :C], axis=1)


def top_c_is_unique(A: ArrayLike, C: int) -> NDArray[np.bool_]:
    """Whether Top_C of each row is one set, shape (D,): no tie between ranks C and C + 1."""
    matrix = _as_logits(A)
    C = integer("C", C, least=1, most=len(matrix))
    descending = np.pad(-np.sort(-matrix, axis=1), ((0, 0), (0, 1)), constant_values=-np.inf)
    return descending[:, C - 1] > descending[:, C]


def is_associated(A: ArrayLike, partition: Partition) -> bool:
    """Definition 2.2, literally: whether Top_C of row i is S(i), and only that, for every patch i.

    A row with a tie across its boundary has more than one Top_C and does not count.  For sets of
    unequal size C is that of S(i).  Parameters and errors as in :func:`association_score`.
    """
    A = _as_logits(A, partition.D)
    for members in partition.sets:
        rows, size = list(members), len(members)
        if not top_c_is_unique(A, size)[rows].all():
            return False
        if not (top_c(A, size)[rows] == members).all():
            return False
    return True


def association_score(A: ArrayLike, partition: Partition) -> float:
    """Mean over patches i of |Top_C(row i) ∩ S(i)| / C, a number in [0, 1].

    Parameters
    ----------
    A : array (D, D)
        Attention logits; row i ranks the patches for patch i.
    partition : Partition
        Of the same D patches.

    Returns
    -------
    float
        1 iff every row ranks its own set on top.  Where Top_C is not unique the mean is over all
        its choices, so that the score never depends on the order of the patches: a constant matrix
        scores C / D, which is chance.

    Raises
    ------
    ValueError
        If A is not a finite square matrix of the partition's size.

    Examples
    --------
    >>> partition = Partition.contiguous(L=2, C=2)
    >>> association_score([[9, 8, 0, 0], [8, 9, 0, 0], [0, 8, 9, 0], [0, 0, 8, 9]], partition)
    0.875
    """
    A = _as_logits(A, partition.D)
    same_set = partition.same_set
    size = same_set.sum(axis=1, keepdims=True)
    cut = np.take_along_axis(-np.sort(-A, axis=1), size - 1, axis=1)
    above, tied = cut < A, cut == A
    share = (size - above.sum(axis=1, keepdims=True)) / tied.sum(axis=1, keepdims=True)
    found = ((above + tied * share) * same_set).sum(axis=1, keepdims=True)
    return float((found / size).mean())


def margin(A: ArrayLike, partition: Partition) -> float:
    """m = min_i (min_{j∈S(i)} A_ij − max_{j∉S(i)} A_ij), the room that association has.

    m > 0 iff A is associated in the sense of Definition 2.2; then so is every A + ΔA with
    max |ΔA_ij| < m / 2.  With one set only there is no j∉S(i), and m is +inf.  Parameters and
    errors as in :func:`association_score`.

    Examples
    --------
    >>> margin([[9, 7, 2, 0], [8, 9, 0, 1], [0, 0, 9, 8], [3, 0, 5, 9]], Partition((0, 0, 1, 1)))
    2.0
    """
    A = _as_logits(A, partition.D)
    same_set = partition.same_set
    inside = np.where(same_set, A, np.inf).min(axis=1)
    outside = np.where(same_set, -np.inf, A).max(axis=1)
    return float((inside - outside).min())
