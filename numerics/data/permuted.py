"""The permuted twin of a data set: one new order of the patches, drawn once, for every image.

Patch k of a twin image shows patch order[k] of the original; with patches of one pixel this is a
permutation of pixels.  The twin says as much about the label as the original does; which patches
were neighbours can no longer be seen from where they are.  A position of the twin has a place in
*two* grids: in the one that is shown it is k, in the original one it is order[k].

Beside it, as a control, an order of its own for every image, drawn anew every time.

In: images, and a permutation.  Out: their twins; and rows that belong to the positions of the
twin, such as its positional encodings, back at their places in the original grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from numerics.data.sets import ImageSet
from theory.inputs import integer

__all__ = ["PatchPermutation", "shuffle_patches"]


@dataclass(frozen=True, eq=False)
class PatchPermutation:
    """One order of the grid² patches of a square image.

    Parameters
    ----------
    order : Tensor of int64, shape (grid²,)
        Patch k of the twin, row by row, shows patch ``order[k]`` of the original.
    patch : int
        Side of a patch in pixels; pixels inside a patch keep their places.

    Raises
    ------
    ValueError
        If ``order`` is no permutation of 0 … grid² − 1, or ``patch`` no integer ≥ 1.

    Examples
    --------
    >>> turned = PatchPermutation(torch.tensor([3, 2, 1, 0]))
    >>> turned.apply(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
    [[[[4.0, 3.0], [2.0, 1.0]]]]
    """

    order: Tensor
    patch: int = 1

    def __post_init__(self) -> None:
        n = self.order.numel()
        if self.order.ndim != 1 or n < 1 or math.isqrt(n) ** 2 != n:
            raise ValueError(
                f"PatchPermutation.order of shape {tuple(self.order.shape)}: order must have "
                "shape (grid²,)"
            )
        every = torch.arange(n, device=self.order.device)
        if self.order.dtype != torch.int64 or not torch.equal(self.order.sort().values, every):
            raise ValueError(
                f"PatchPermutation.order: order must hold each of 0 … {n - 1} once, as int64"
            )
        patch = integer("PatchPermutation.patch", self.patch, least=1)
        object.__setattr__(self, "patch", patch)

    @classmethod
    def random(cls, grid: int, seed: int, *, patch: int = 1) -> PatchPermutation:
        """A uniformly random order of grid × grid patches.

        Examples
        --------
        >>> sorted(PatchPermutation.random(2, seed=0).order.tolist())
        [0, 1, 2, 3]
        """
        grid = integer("PatchPermutation.grid", grid, least=1)
        seed = integer("PatchPermutation.seed", seed, least=0)
        return cls(torch.randperm(grid**2, generator=torch.Generator().manual_seed(seed)), patch)

    @property
    def grid(self) -> int:
        """Patches along one side of an image."""
        return math.isqrt(len(self.order))

    @property
    def inverse(self) -> PatchPermutation:
        """The permutation that undoes this one.

        Examples
        --------
        >>> cycle = PatchPermutation(torch.tensor([1, 2, 3, 0]))
        >>> cycle.inverse.order.tolist()
        [3, 0, 1, 2]
        """
        return PatchPermutation(self.order.argsort(), self.patch)

    def apply(self, images: Tensor) -> Tensor:
        """Twins of images (…, side, side); the colours of a pixel stay together.

        Raises
        ------
        ValueError
            If the images are of another size.
        """
        side, g, p = self.grid * self.patch, self.grid, self.patch
        if images.shape[-2:] != (side, side):
            raise ValueError(
                f"images of shape {tuple(images.shape)}: they must be (…, {side}, {side}), "
                f"{g} × {g} patches of {p} × {p} pixels"
            )
        lead = images.shape[:-2]
        patches = images.reshape(*lead, g, p, g, p).transpose(-3, -2).reshape(*lead, g * g, p, p)
        moved = patches[..., self.order.to(images.device), :, :]
        return moved.reshape(*lead, g, g, p, p).transpose(-3, -2).reshape(images.shape)

    def apply_to(self, images: ImageSet) -> ImageSet:
        """The twin of a data set: the same labels, and every image permuted alike."""
        return ImageSet(self.apply(images.pixels), images.labels, images.mean, images.std)

    def in_original_grid(self, rows: Tensor) -> Tensor:
        """Rows (grid², …), one for each position of the twin, in the order of the original.

        Raises
        ------
        ValueError
            If there is not one row for each patch.

        Examples
        --------
        >>> cycle = PatchPermutation(torch.tensor([1, 2, 3, 0]))
        >>> cycle.in_original_grid(torch.tensor([10, 20, 30, 0])).tolist()
        [0, 10, 20, 30]
        """
        if len(rows) != len(self.order):
            raise ValueError(
                f"rows of shape {tuple(rows.shape)}: there must be {len(self.order)}, one for "
                "each patch"
            )
        return rows[self.inverse.order.to(rows.device)]


def shuffle_patches(images: Tensor, patch: int, generator: torch.Generator) -> Tensor:
    """Put the patches of each image (n, 1, s, s) in an order of its own, drawn anew every time.

    The content of the patches stays; which of them were neighbours is lost.  A network trained on
    such images is the control: no structure is there to be learned.

    Examples
    --------
    >>> image = torch.arange(16.0).reshape(1, 1, 4, 4)
    >>> shuffled = shuffle_patches(image, 2, torch.Generator().manual_seed(1))
    >>> sorted(shuffled.flatten().tolist()) == image.flatten().tolist()
    True
    """
    patch = integer("patch", patch, least=1)
    columns = nn.functional.unfold(images, patch, stride=patch)
    n, pixels, P = columns.shape
    order = torch.rand((n, P), generator=generator, device=images.device).argsort(dim=1)
    moved = columns.gather(2, order[:, None].expand(n, pixels, P))
    return nn.functional.fold(moved, images.shape[-2:], patch, stride=patch)
