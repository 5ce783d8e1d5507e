"""Orbitals of a permutation group: the entries of A that gradient descent cannot tell apart.

The group acts on ordered pairs of patches, and the orbits of that action are its *orbitals*.
In: generators.  Out: an integer matrix of orbitals.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sympy.combinatorics import Permutation

from theory.data.partition import as_permutation
from theory.inputs import integer

__all__ = ["grid_shift_generators", "orbitals", "product_generators"]


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
    >>> from theory.data.partition import Partition
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
