"""The weights that a state of three coefficients stands for, and the state nearest to weights.

In: a state, or A and v, with a partition and w*.  Out: the other.
"""

from __future__ import annotations

import numpy as np

from theory.data.partition import Partition
from theory.setting import Coefficients, Setting

__all__ = ["coefficients_of", "weights_of"]


def weights_of(
    setting: Setting, state: Coefficients, partition: Partition, w_star: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The weights (A, v) that a state stands for: A of shape (D, D), v of shape (d,).

    ``ValueError`` unless the partition has the L sets of C patches of the setting.

    Examples
    --------
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.0, sigma_A=3.0)
    >>> A, v = weights_of(setting, Coefficients(alpha=0.5, gamma=1.0, rho=-1.0),
    ...                   Partition.contiguous(2, 2), np.array([0.0, 1.0]))
    >>> A[0].tolist(), v.tolist()
    ([3.0, 1.0, -1.0, -1.0], [0.0, 0.5])
    """
    partition.require(setting.L, setting.C)
    A = np.where(partition.same_set, float(state.gamma), float(state.rho))
    np.fill_diagonal(A, float(setting.sigma_A))
    return A, float(state.alpha) * _vector("w_star", w_star)


def _vector(name: str, value: np.ndarray) -> np.ndarray:
    vector = np.asarray(value, dtype=float)
    if vector.ndim != 1:
        raise ValueError(f"{name} of shape {vector.shape}: {name} must be a vector (d,)")
    return vector


def coefficients_of(
    A: np.ndarray, v: np.ndarray, partition: Partition, w_star: np.ndarray
) -> Coefficients[float]:
    """The state nearest to weights (A, v): means of A over ordered pairs, and v·w*.

    On the invariant subspace this inverts :func:`weights_of`; with C = 1 no pair lies inside a set
    and γ is returned as 0.  ``ValueError`` if a shape does not fit, or there is one set only.
    """
    A, v, w_star = np.asarray(A, dtype=float), _vector("v", v), _vector("w_star", w_star)
    D = partition.D
    if A.shape != (D, D):
        raise ValueError(f"A of shape {A.shape}: A must have shape ({D}, {D}), as the partition")
    if v.shape != w_star.shape:
        raise ValueError(f"v of shape {v.shape}: v must have the shape {w_star.shape} of w_star")
    if partition.L < 2:
        raise ValueError("partition has one set: it must have two, or no pair lies across sets")
    same = partition.same_set
    inside = same & ~np.eye(D, dtype=bool)
    gamma = float(A[inside].mean()) if inside.any() else 0.0
    return Coefficients(float(v @ w_star), gamma, float(A[~same].mean()))
