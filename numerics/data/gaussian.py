"""Images of Gaussian patches, labelled by a convolutional teacher with a cubic activation.

All D = LC patches X_j are independent and Gaussian with covariance s²I.  A filter of w* covers k
patches of one hidden set, and each set is covered by C/k filters side by side:

    y = sign Σ_B (Σ_{j∈B} ⟨w*, X_j⟩)³,  the sum running over the D/k groups B that filters cover.

k = 1 is the teacher Σ_j ⟨w*, X_j⟩³, a convolutional layer whose filter is one patch: the hidden
sets play no part in it.  k = C sums every hidden set before the cube.

In: a partition, a unit vector w*, k, and a ``torch.Generator``, whose device is where the batch is
made.  Out: patches X of shape (N, D, d) and labels y of shape (N,).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from numerics.data.structured import Batch, unit_vector
from theory.data.partition import Partition
from theory.inputs import integer, real, refuse

__all__ = ["GaussianConvolution"]


@dataclass(frozen=True, eq=False)
class GaussianConvolution:
    """The law of Gaussian patches under the cubic teacher, ready to be sampled.

    Parameters
    ----------
    partition : Partition
        The L hidden sets of C patches.
    w_star : Tensor, shape (d,)
        The filter, a unit vector (to 1e-6; it is then normalized exactly).
    kernel : int
        k, the number of patches that a filter covers; it divides C.
    std : float
        s, the standard deviation of every entry of a patch.
    dtype : torch.dtype
        Floating-point type of the batches.

    Raises
    ------
    ValueError
        Naming the field, its value and what is allowed.

    Examples
    --------
    >>> sets = Partition.contiguous(3, 2)
    >>> data = GaussianConvolution(sets, torch.tensor([0.0, 1.0]), kernel=2)
    >>> data.groups.tolist()
    [0, 0, 1, 1, 2, 2]
    >>> batch = data.sample(4, torch.Generator().manual_seed(0))
    >>> sums = batch.X[:, :, 1].reshape(4, 3, 2).sum(dim=-1)
    >>> torch.equal(batch.y, (sums**3).sum(dim=1).sign())
    True
    """

    partition: Partition
    w_star: Tensor
    kernel: int = 1
    std: float = 1.0
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        kernel = integer("GaussianConvolution.kernel", self.kernel, least=1)
        if self.partition.C % kernel:
            refuse("GaussianConvolution.kernel", kernel, f"a divisor of C = {self.partition.C}")
        std = float(real("GaussianConvolution.std", self.std, above=0))
        w_star = unit_vector(self.w_star, self.dtype, owner="GaussianConvolution")
        for name, value in (("kernel", kernel), ("std", std), ("w_star", w_star)):
            object.__setattr__(self, name, value)

    @property
    def d(self) -> int:
        """Dimension of a patch."""
        return len(self.w_star)

    @property
    def groups(self) -> Tensor:
        """Index of the group B of each patch, shape (D,): a set's patches in order, k at a time."""
        groups = torch.empty(self.partition.D, dtype=torch.int64)
        in_order = torch.tensor(self.partition.sets).flatten()
        groups[in_order] = torch.arange(self.partition.D) // self.kernel
        return groups

    def teacher(self, X: Tensor) -> Tensor:
        """Value of the teacher before its sign, shape (N,), for patches X of shape (N, D, d).

        The sum is taken in float64, so that its sign is that of the stored patches even where
        terms nearly cancel.
        """
        x = (X @ self.w_star.to(X)).double()
        sums = x.new_zeros(len(x), self.partition.D // self.kernel)
        return (sums.index_add_(1, self.groups.to(X.device), x) ** 3).sum(dim=1)

    def sample(self, N: int, generator: torch.Generator) -> Batch:
        """Draw N independent images; their labels are ±1.

        Raises
        ------
        ValueError
            If ``N`` is not a positive integer.
        """
        N = integer("sample.N", N, least=1)
        shape = (N, self.partition.D, self.d)
        X = torch.randn(shape, generator=generator, device=generator.device, dtype=self.dtype)
        X *= self.std
        # A sum that is exactly zero, of probability zero but for rounding, counts as positive.
        return Batch(X, torch.where(self.teacher(X) >= 0, 1.0, -1.0).to(self.dtype))
