"""The three coefficients, read off trained weights.

Theory says that v stays along w* and that A is constant on each orbital of the symmetry group.
Here nothing of that is assumed: A and v are measured.  α = ⟨v, w*⟩, γ and ρ are means over the
entries of an orbital, with the standard error that the scatter of those entries gives, and
whatever leaves the symmetric form shows: the scatter, and the part of v orthogonal to w*.

In: weights (A, v), a partition, w*.  Out: a :class:`Reading`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from theory.data.partition import Partition
from theory.inputs import integer
from theory.model.association import association_score, margin
from theory.symmetry.orbitals import orbitals

__all__ = [
    "Estimate",
    "Reading",
    "chance_association",
    "estimate",
    "orbital_estimates",
    "read_coefficients",
]


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` values, their standard deviation, and the standard error of the mean.

    ``spread`` and ``standard_error`` are None where one value says nothing about scatter.
    """

    n: int
    mean: float
    spread: float | None
    standard_error: float | None


def estimate(values: Iterable[float]) -> Estimate:
    """Mean, sample standard deviation and standard error of some values.

    Raises
    ------
    ValueError
        If there are none.

    Examples
    --------
    >>> estimate([1.0, 2.0, 3.0, 2.0])  # doctest: +ELLIPSIS
    Estimate(n=4, mean=2.0, spread=0.816..., standard_error=0.408...)
    """
    values = np.asarray(list(values), dtype=np.float64)
    n = len(values)
    if n == 0:
        raise ValueError("estimate.values is empty: at least one value is needed")
    if n == 1:
        return Estimate(1, float(values[0]), None, None)
    spread = float(values.std(ddof=1))
    return Estimate(n, float(values.mean()), spread, spread / math.sqrt(n))


def orbital_estimates(A: ArrayLike, orbital: NDArray[np.intp]) -> list[Estimate]:
    """Estimate the common value of A on each orbital, of any group.

    Parameters
    ----------
    A : array, shape (D, D)
    orbital : ndarray of int, shape (D, D)
        Number of the orbital of each pair, from :func:`theory.symmetry.orbitals.orbitals`.

    Returns
    -------
    list of Estimate
        One for each orbital, by number.

    Examples
    --------
    >>> orbital = orbitals(Partition.contiguous(L=2, C=2).generators())
    >>> A = [[9, 1, 0, 0], [3, 9, 0, 0], [0, 0, 9, 2], [0, 0, 2, 9]]
    >>> [e.mean for e in orbital_estimates(A, orbital)]
    [9.0, 2.0, 0.0]
    """
    A = np.asarray(A, dtype=np.float64)
    if A.shape != orbital.shape:
        raise ValueError(f"A has shape {A.shape}: A must have the orbitals' shape {orbital.shape}")
    return [estimate(A[orbital == k]) for k in range(orbital.max() + 1)]


def chance_association(L: int, C: int) -> float:
    """Expected association score of logits that rank the other patches at random.

    With σ_A on top, patch i is in its own Top_C, and each other patch is with probability
    (C − 1)/(D − 1).

    Examples
    --------
    >>> round(chance_association(9, 4), 4)
    0.3143
    """
    L, C = integer("L", L, least=1), integer("C", C, least=1)
    return (1 + (C - 1) ** 2 / (L * C - 1)) / C


@lru_cache(maxsize=16)
def _orbitals_of(partition: Partition) -> NDArray[np.intp]:
    orbital = orbitals(partition.generators())
    orbital.flags.writeable = False
    return orbital


@dataclass(frozen=True)
class Reading:
    """What the weights say at one moment.

    Attributes
    ----------
    alpha : float
        ⟨v, w*⟩.
    off_axis : float
        ‖v − αw*‖, zero on the symmetric subspace.
    gamma, rho : Estimate
        Entries of A inside sets (off the diagonal) and across sets.
    association : float
        Association score of the rows of A, in [0, 1].
    margin : float
        Positive iff every row ranks its own set on top.
    """

    alpha: float
    off_axis: float
    gamma: Estimate
    rho: Estimate
    association: float
    margin: float

    def row(self) -> dict[str, float]:
        """The reading as flat named numbers, for a history."""
        # An orbital off the diagonal holds (j, i) with (i, j), so its entries have a scatter.
        assert self.gamma.spread is not None
        assert self.rho.spread is not None
        return {
            "alpha": self.alpha,
            "off_axis": self.off_axis,
            "gamma": self.gamma.mean,
            "gamma_spread": self.gamma.spread,
            "rho": self.rho.mean,
            "rho_spread": self.rho.spread,
            "association": self.association,
            "margin": self.margin,
        }


def _as_array(weights: Tensor | ArrayLike) -> NDArray[np.float64]:
    if isinstance(weights, Tensor):
        weights = weights.detach().to("cpu", torch.float64).numpy()
    return np.asarray(weights, dtype=np.float64)


def read_coefficients(
    A: Tensor | ArrayLike, v: Tensor | ArrayLike, partition: Partition, w_star: Tensor | ArrayLike
) -> Reading:
    """Read (α, γ, ρ) off full weights.

    Parameters
    ----------
    A : array or Tensor, shape (D, D)
    v, w_star : array or Tensor, shape (d,)
    partition : Partition
        L ≥ 2 sets of one size C ≥ 2: with C = 1 no entry of A is inside a set.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the partition has no γ or no ρ.

    Examples
    --------
    >>> A = [[9, 1, 0, 0], [3, 9, 0, 0], [0, 0, 9, 2], [0, 0, 2, 9]]
    >>> reading = read_coefficients(A, [0.3, 0.4], Partition.contiguous(2, 2), [1.0, 0.0])
    >>> reading.alpha, reading.off_axis, reading.gamma.mean, reading.rho.mean
    (0.3, 0.4, 2.0, 0.0)
    """
    A, v, w_star = _as_array(A), _as_array(v), _as_array(w_star)
    if partition.L < 2 or partition.C < 2:
        raise ValueError(
            f"partition has L = {partition.L} sets of C = {partition.C}: "
            "gamma and rho can be read off for L >= 2 and C >= 2 only"
        )
    if v.shape != w_star.shape or v.ndim != 1:
        raise ValueError(f"v has shape {v.shape}: v must have the shape of w*, {w_star.shape}")
    # Equal sets have exactly three orbitals, numbered diagonal, in-set, cross-set.
    _, gamma, rho = orbital_estimates(A, _orbitals_of(partition))
    alpha = float(v @ w_star)
    return Reading(
        alpha=alpha,
        off_axis=float(np.linalg.norm(v - alpha * w_star)),
        gamma=gamma,
        rho=rho,
        association=association_score(A, partition),
        margin=margin(A, partition),
    )
