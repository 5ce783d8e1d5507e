"""Patch association, Definition 2.2 of the paper, read on rows of attention logits A.

Patch association is learned when Top_C(A_i1, …, A_iD) is the set S(i) of patch i, for every i.
In: a matrix (D, D) and a partition.  Out: whether it is so, and by how much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.data.partition import Partition
from theory.inputs import integer

__all__ = ["association_score", "is_associated", "margin", "top_c", "top_c_is_unique"]


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
