"""Images drawn from the structured law of Assumption 1, on the device that will use them.

An image has D = LC patches in R^d.  One hidden set S is the signal, uniform among the L sets of
the partition; the label y is ±1 with equal probability.  Patch j is X_j = δ_j w* + ξ_j with
δ_j = y on S; elsewhere δ_j = +1 or −1 with probability q/2 each, else 0.  The noise ξ_j is
Gaussian with covariance σ²(I − w*w*ᵀ).

In: a setting, any partition, a unit vector w* and a ``torch.Generator``, whose device (CPU or
CUDA) is where the batch is made.  Out: patches X of shape (N, D, d) and labels y of shape (N,).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from theory.data.partition import Partition
from theory.inputs import integer, real
from theory.setting import Setting

__all__ = ["Batch", "Law", "StructuredData", "patches_as_pixels", "random_direction", "unit_vector"]


class Batch(NamedTuple):
    """Images and labels; the hidden variables are there only when asked for.

    Attributes
    ----------
    X : Tensor, shape (N, D, d)
    y : Tensor, shape (N,)
        Labels ±1, in the dtype of ``X``.
    signal_set : Tensor of int64, shape (N,), or None
        Index of the signal set of each image.
    delta : Tensor, shape (N, D), or None
        The features δ ∈ {−1, 0, 1}.
    """

    X: Tensor
    y: Tensor
    signal_set: Tensor | None = None
    delta: Tensor | None = None


class Law(Protocol):
    """What training needs of a law of labelled images: independent ones, drawn on request."""

    def sample(self, N: int, generator: torch.Generator) -> Batch:
        """N images and their labels."""


def random_direction(d: int, generator: torch.Generator) -> Tensor:
    """Draw a unit vector of R^d, uniform on the sphere, in float64, on the generator's device.

    Examples
    --------
    >>> w_star = random_direction(5, torch.Generator().manual_seed(0))
    >>> round(float(w_star.norm()), 12)
    1.0
    """
    d = integer("d", d, least=1)
    direction = torch.randn(d, generator=generator, device=generator.device, dtype=torch.float64)
    return direction / direction.norm()


def unit_vector(w_star: Tensor, dtype: torch.dtype, *, owner: str) -> Tensor:
    """Return ``w_star`` (d,) with norm exactly 1, in ``dtype``, for the law called ``owner``.

    Raises
    ------
    ValueError
        If ``dtype`` is no floating-point type, or ``w_star`` is no unit vector (to 1e-6).

    Examples
    --------
    >>> unit_vector(torch.tensor([0.6, 0.8]), torch.float32, owner="Law")
    tensor([0.6000, 0.8000])
    """
    if not dtype.is_floating_point:
        raise ValueError(f"{owner}.dtype = {dtype}: dtype must be a floating-point type")
    direction = torch.as_tensor(w_star, dtype=torch.float64)
    norm = float(direction.norm())
    if direction.ndim != 1 or not abs(norm - 1.0) <= 1e-6:
        raise ValueError(
            f"{owner}.w_star of shape {tuple(direction.shape)} has norm {norm:.6g}: "
            "w_star must be a unit vector of shape (d,)"
        )
    return (direction / norm).to(dtype)


@dataclass(frozen=True, eq=False)
class StructuredData:
    """The law of Assumption 1, ready to be sampled.

    Parameters
    ----------
    setting : Setting
        Gives L, C and q; the other fields are not used.
    partition : Partition
        The L hidden sets of C patches, contiguous or scattered.
    w_star : Tensor, shape (d,)
        The feature direction, a unit vector (to 1e-6; it is then normalized exactly).
    noise_std : float, optional
        σ, the standard deviation of the noise along each direction of w*⊥; 1/√d by default, so
        that a patch of noise has norm about 1, as a feature has.
    dtype : torch.dtype
        Floating-point type of the batches.

    Raises
    ------
    ValueError
        Naming the field, its value and what is allowed.

    Examples
    --------
    >>> setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    >>> data = StructuredData(setting, Partition.contiguous(3, 2), torch.tensor([1.0, 0.0, 0.0]))
    >>> batch = data.sample(4, torch.Generator().manual_seed(0), latents=True)
    >>> batch.X.shape, batch.y.shape, batch.delta.shape
    (torch.Size([4, 6, 3]), torch.Size([4]), torch.Size([4, 6]))
    >>> torch.allclose(batch.X @ data.w_star, batch.delta, atol=1e-6)
    True
    """

    setting: Setting
    partition: Partition
    w_star: Tensor
    noise_std: float | None = None
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        self.partition.require(self.setting.L, self.setting.C)
        w_star = unit_vector(self.w_star, self.dtype, owner="StructuredData")
        noise_std = 1.0 / math.sqrt(len(w_star)) if self.noise_std is None else self.noise_std
        noise_std = float(real("StructuredData.noise_std", noise_std, least=0))
        object.__setattr__(self, "w_star", w_star)
        object.__setattr__(self, "noise_std", noise_std)

    @property
    def d(self) -> int:
        """Dimension of a patch."""
        return len(self.w_star)

    def sample(self, N: int, generator: torch.Generator, *, latents: bool = False) -> Batch:
        """Draw N independent images in one vectorized pass.

        Parameters
        ----------
        N : int
            Number of images, at least 1.
        generator : torch.Generator
            Source of all randomness; the batch is made on its device.
        latents : bool
            Also return the signal set and the features.

        Raises
        ------
        ValueError
            If ``N`` is not a positive integer.
        """
        N = integer("sample.N", N, least=1)
        assert self.noise_std is not None  # the default is filled in at construction
        device, setting = generator.device, self.setting
        draw: dict[str, Any] = {"generator": generator, "device": device}

        labels = torch.tensor(self.partition.labels, device=device)
        w_star = self.w_star.to(device)
        y = torch.randint(0, 2, (N,), **draw).mul_(2).sub_(1).to(self.dtype)
        signal_set = torch.randint(0, setting.L, (N,), **draw)

        # One uniform number per patch decides its spurious feature: the lowest q/2 of [0, 1)
        # gives +1 and the highest q/2 gives −1.
        uniform = torch.rand((N, setting.D), **draw)
        half_rate = float(setting.q) / 2
        spurious = (uniform < half_rate).to(self.dtype) - (uniform >= 1 - half_rate).to(self.dtype)
        delta = torch.where(labels == signal_set[:, None], y[:, None], spurious)

        # Subtracting the component along w* and adding the feature is one rank-one update.
        noise = torch.randn((N, setting.D, self.d), dtype=self.dtype, **draw).mul_(self.noise_std)
        X = noise.addcmul_((delta - noise @ w_star).unsqueeze(-1), w_star)
        return Batch(X, y, signal_set, delta) if latents else Batch(X, y)


def patches_as_pixels(batch: Batch, L: int) -> tuple[Tensor, Tensor]:
    """Patches (N, D, d) as images (N, d, L, D/L), and labels ±1 as 0 and 1.

    Examples
    --------
    >>> images, labels = patches_as_pixels(Batch(torch.zeros(5, 6, 4), torch.ones(5)), L=3)
    >>> images.shape, labels[0]
    (torch.Size([5, 4, 3, 2]), tensor(1))
    """
    L = integer("L", L, least=1)
    return batch.X.transpose(1, 2).unflatten(2, (L, -1)), (batch.y > 0).long()
