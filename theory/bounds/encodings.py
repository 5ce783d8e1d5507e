"""Generalizing without learning the sets: the constructions behind Theorem 3.2.

Three facts.  *Obstruction*: a patch i whose encoding p_i has the largest norm has
⟨p_i, p_j⟩ ≤ ‖p_i‖², so it is in its own Top_C, and encodings cannot avoid all sets.
*Derangement*: F sums over the rows of S, so A → ΠA leaves F as it is, while a Π that moves every
set to another one takes the score of an associated A from 1 to 0.  *Encodings say nothing of the
logits*: for L ≥ C the Gram matrix of unit diagonal with

    G_(l,c),(l',c') = (1 + (l + l' mod L)) / L²  if l ≠ l' and c = c',  else 0

is positive definite, Top_C of each row meets the row's own set in the row's patch alone, and P with
PᵀP = G realizes any logits A as PᵀWP, W = P G⁻¹AG⁻¹Pᵀ.

In: a partition, logits.  Out: matrices, and the exact error of attention that is uniform on the own
set (:func:`hard_attention_error`): Pr(Σ s_m^p ≤ −C^p) over the L − 1 random sets.
"""

from __future__ import annotations

from fractions import Fraction
from numbers import Rational

import flint
import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.data.law import set_law
from theory.data.partition import Partition, as_permutation
from theory.inputs import Number, integer, refuse
from theory.setting import Setting

__all__ = [
    "derange",
    "encodings",
    "hard_attention_error",
    "minimal_gram",
    "power_tolerance",
    "set_derangement",
    "value_map",
]

_MOST_BYTES = 1 << 32


def _sets_of_one_size(partition: Partition) -> tuple[int, int]:
    sizes = {len(members) for members in partition.sets}
    if len(sizes) > 1:
        raise ValueError(f"sets of sizes {sorted(sizes)}: the sets must be of one size")
    return partition.L, sizes.pop()


def set_derangement(partition: Partition, shift: int = 1) -> NDArray[np.intp]:
    """A permutation π of the patches that moves every set onto the ``shift``-th next one.

    Returns
    -------
    ndarray of int, shape (D,)
        π[i], in a set other than that of i.

    Raises
    ------
    ValueError
        If the sets differ in size, or ``shift`` is a multiple of L: then sets stay in place.

    Examples
    --------
    >>> print(set_derangement(Partition.contiguous(L=3, C=2)))
    [2 3 4 5 0 1]
    """
    L, _ = _sets_of_one_size(partition)
    shift = integer("shift", shift)
    if shift % L == 0:
        refuse("shift", shift, f"no multiple of L = {L}")
    images = np.empty(partition.D, dtype=np.intp)
    for index, members in enumerate(partition.sets):
        images[list(members)] = partition.sets[(index + shift) % L]
    return images


def derange(A: ArrayLike, permutation: ArrayLike, diagonal: ArrayLike | None = None) -> np.ndarray:
    """ΠA: row i of the result is row π(i) of A.

    Parameters
    ----------
    A : array (D, D)
    permutation : array of int, shape (D,)
        π, for instance :func:`set_derangement`.
    diagonal : scalar, optional
        Then each row is shifted by a constant to have this diagonal, as the model holds σ_A there.
        Softmax and Top_C do not see the shift.

    Examples
    --------
    >>> print(derange([[3, 1], [0, 3]], [1, 0]))
    [[0 3]
     [3 1]]
    >>> print(derange([[3, 1], [0, 3]], [1, 0], diagonal=3))
    [[3 6]
     [5 3]]
    """
    A = np.asarray(A)
    moved = A[as_permutation("permutation", permutation, len(A))]
    if diagonal is None:
        return moved
    return moved + (diagonal - np.diagonal(moved))[:, None]


def minimal_gram(partition: Partition) -> np.ndarray:
    """A positive definite matrix of unit diagonal with the least association that this allows.

    Top_C of row i is unique and meets the set of i in {i} alone.  Patches of one place c in
    different sets l, l' have entry (1 + (l + l' mod L))/L², so that the entries of a row differ;
    their sum is below 1, hence the matrix is diagonally dominant.

    Returns
    -------
    ndarray of Fraction, shape (D, D)

    Raises
    ------
    ValueError
        If the sets differ in size or L < C: a row needs C − 1 other sets.

    Examples
    --------
    >>> print(minimal_gram(Partition.contiguous(L=2, C=2)).astype(float))
    [[1.  0.  0.5 0. ]
     [0.  1.  0.  0.5]
     [0.5 0.  1.  0. ]
     [0.  0.5 0.  1. ]]
    """
    L, C = _sets_of_one_size(partition)
    if L < C:
        raise ValueError(f"L = {L} sets of C = {C} patches: L must be at least C")
    gram = np.full((partition.D, partition.D), Fraction(0), dtype=object)
    for l, row in enumerate(partition.sets):
        for m, column in enumerate(partition.sets):
            for i, j in zip(row, column, strict=True):
                gram[i, j] = Fraction(1 + (l + m) % L, L * L) if l != m else Fraction(1)
    return gram


def encodings(gram: ArrayLike, d: int) -> NDArray[np.float64]:
    """Positional encodings P, shape (d, D), with PᵀP = gram, in float64.

    Columns p_i from the Cholesky factor, filled with zeros for d > D.  ``ValueError`` if d < D or
    the matrix is not positive definite.
    """
    G = np.asarray(gram, dtype=np.float64)
    d = integer("d", d)
    if d < len(G):
        refuse("d", d, f"at least D = {len(G)}")
    try:
        factor = np.linalg.cholesky(G)
    except np.linalg.LinAlgError:
        raise ValueError("gram is not positive definite") from None
    return np.vstack([factor.T, np.zeros((d - len(G), len(G)))])


def value_map(A: ArrayLike, gram: ArrayLike) -> np.ndarray:
    """M = G⁻¹AG⁻¹ in exact rationals, so that W = P M Pᵀ has PᵀWP = GMG = A for every PᵀP = G.

    Entries must be rational; ``ValueError`` otherwise, or if the Gram matrix is singular.

    Examples
    --------
    >>> print(value_map([[2, 0], [0, 2]], [[1, 0], [0, 2]]).astype(float))
    [[2.  0. ]
     [0.  0.5]]
    """

    def exact(matrix: ArrayLike) -> flint.fmpq_mat:
        rows = np.asarray(matrix, dtype=object)
        if not all(isinstance(x, Rational) for x in rows.ravel()):
            raise ValueError("entries must be rational numbers")
        entries = [flint.fmpq(int(x.numerator), int(x.denominator)) for x in rows.ravel()]
        return flint.fmpq_mat(rows.shape[0], rows.shape[1], entries)

    try:
        inverse = exact(gram).inv()
    except ZeroDivisionError:
        raise ValueError("gram is singular") from None
    product = inverse * exact(A) * inverse
    entries = [Fraction(int(x.p), int(x.q)) for x in product.entries()]
    return np.array(entries, dtype=object).reshape(product.nrows(), product.ncols())


def hard_attention_error(setting: Setting) -> Number:
    """Pr[yF ≤ 0] at S_ij = 1/C inside sets and 0 across, ν = 0, v = αw* with α > 0.

    Every patch of a set sees its sum, so F is a positive multiple of Σ_l s_l^p, and for y = 1 the
    model errs when Σ s_m^p ≤ −C^p over the random sets.  Exact for rational q, as a power of an
    integer polynomial; float64 sums of positive products for a float.

    Raises
    ------
    ArithmeticError
        If the law of Σ s_m^p, on −(L−1)C^p, …, (L−1)C^p, would need more than 4 GiB.

    Examples
    --------
    >>> print(hard_attention_error(Setting(L=3, C=2, q=Fraction(1, 2), p=3, nu=0, sigma_A=1)))
    21/256
    """
    top, times, law = setting.C**setting.p, setting.L - 1, set_law(setting)
    bits = 64
    if isinstance(setting.q, Rational):
        bits = times * setting.C * (2 * setting.q.denominator).bit_length()
    # Two polynomials at a time, a power and the next.
    memory = 2 * (2 * times * top + 1) * (8 + bits // 8)
    if memory > _MOST_BYTES:
        raise ArithmeticError(
            f"C = {setting.C}, p = {setting.p}, L = {setting.L}: the law of the sum of p-th powers "
            f"needs {memory / 2**30:.3g} GiB (at most {_MOST_BYTES / 2**30:g}): reduce p, C or L"
        )
    # The value s^p of a set stands at s^p + C^p, so a total of −C^p or less at `last` or before.
    places = [s**setting.p + top for s in law.value.tolist()]
    last = (times - 1) * top
    if isinstance(setting.q, float):
        power = np.ones(1)
        for _ in range(times):
            longer = np.zeros(len(power) + 2 * top)
            for place, probability in zip(places, law.probability, strict=True):
                longer[place : place + len(power)] += probability * power
            power = longer
        return float(power[: last + 1].sum())
    unit = (2 * setting.q.denominator) ** setting.C
    base = [0] * (2 * top + 1)
    for place, probability in zip(places, law.probability, strict=True):
        base[place] = int(probability * unit)
    exact = flint.fmpz_poly(base) ** times
    return Fraction(sum(int(exact[k]) for k in range(last + 1)), unit**times)


def power_tolerance(setting: Setting) -> Fraction:
    """A θ with L p θ (C + θ)^(p−1) < ½: how much error per set the power p forgives, exactly.

    Sums u_l with |u_l − s_l| ≤ θ change Σ_l s_l^p by at most L p θ (C + θ)^(p−1), less than half of
    its smallest nonzero value 1.  This is θ = 1 / (2^p L p C^(p−1)), since then θ ≤ C.

    Examples
    --------
    >>> print(power_tolerance(Setting(L=3, C=2, q=1, p=3, nu=0, sigma_A=1)))
    1/288
    """
    L, C, p = setting.L, setting.C, setting.p
    return Fraction(1, 2**p * L * p * C ** (p - 1))
