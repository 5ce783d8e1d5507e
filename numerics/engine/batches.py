"""Batches that are a function of seed and step, so that resuming needs no state of the data.

In: a data set.  Out: a source of batches for :func:`numerics.engine.fit`; on several devices each
loads its own part of every batch.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sized
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from numerics.data.photos import Crops
from numerics.data.sets import ImageSet
from numerics.seeds import seed_of
from theory.inputs import integer

__all__ = ["Batches", "DatasetBatches", "crop_batches", "dataset_batches"]


class Batches(Protocol):
    """A source of batches.

    It is handed the number of updates done and a generator, on the device of the training, that is
    seeded from the seed of the training and that number; it returns images (batch, channels, side,
    side) and labels (batch,), and takes whatever is random from the generator.
    """

    def __call__(self, step: int, generator: torch.Generator, /) -> tuple[Tensor, Tensor]: ...


def crop_batches(
    crops: Crops,
    batch: int,
    transform: Callable[[Tensor, torch.Generator], Tensor] | None = None,
) -> Batches:
    """Fresh random crops of photographs at every step, on the device of the photographs.

    Parameters
    ----------
    crops : Crops
    batch : int
        Crops in one update.
    transform : callable, optional
        Applied to the images, with the generator they were drawn from.

    Examples
    --------
    >>> from numerics.data.photos import train_and_test
    >>> train, _ = train_and_test(["camera", "moon"], crop=16, count=4)
    >>> crop_batches(train, 5)(0, torch.Generator())[0].shape
    torch.Size([5, 1, 16, 16])
    """

    def batches(step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images, labels = crops.sample(batch, generator)
        return (images if transform is None else transform(images, generator)), labels

    return batches


def usual_workers() -> int:
    """Processes that read images: the cores of this process, at most 8, shared by all processes
    of the training."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(8, (cores or 1) // int(os.environ.get("WORLD_SIZE", "1"))))


class _Seeded(Dataset):
    """Items of another data set, each loaded with the global generators seeded for its place."""

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __getitem__(self, place: tuple[int, int]) -> Any:
        position, index = place
        seed = seed_of("item", self.seed, position)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  (what transforms of others draw from)
        torch.manual_seed(seed)
        return self.dataset[index]


class DatasetBatches:
    """Batches of a data set in a new random order each epoch; see :func:`dataset_batches`."""

    def __init__(self, dataset: Dataset, batch: int, workers: int) -> None:
        self.dataset, self.batch, self.workers = dataset, batch, workers
        self.images = len(cast(Sized, dataset))
        self.seed, self.rank, self.ranks = -1, 0, 1  # not bound yet
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)
        self._next = -1
        self._loaded: Iterator[Any] | None = None

    def bind(self, seed: int, rank: int = 0, ranks: int = 1) -> DatasetBatches:
        """The part of each batch that falls to one of ``ranks`` devices, in the order of a seed."""
        if self.batch % ranks:
            raise ValueError(f"batch = {self.batch}: batch must be a multiple of {ranks} devices")
        bound = DatasetBatches(self.dataset, self.batch, self.workers)
        bound.seed, bound.rank, bound.ranks = seed, rank, ranks
        return bound

    def _places(self, step: int) -> range:
        """Positions of this device's images in the endless sequence of permutations."""
        part = self.batch // self.ranks
        first = step * self.batch + self.rank * part
        return range(first, first + part)

    def _indices(self, places: range) -> Tensor:
        """Indices in the set of the images at some positions."""
        found, position = [], places.start
        while position < places.stop:
            epoch, place = divmod(position, self.images)
            if epoch != self._epoch:
                generator = torch.Generator().manual_seed(seed_of("order", self.seed, epoch))
                self._order = torch.randperm(self.images, generator=generator)
                self._epoch = epoch
            found.append(self._order[place : place + places.stop - position])
            position += len(found[-1])
        return torch.cat(found)

    def close(self) -> None:
        """Stop the processes that read; a later call starts them again."""
        # The iterator and its sampler hold each other, so it would not go by itself.
        loaded, self._loaded, self._next = self._loaded, None, -1
        if loaded is not None and self.workers:
            loaded._shutdown_workers()  # type: ignore[attr-defined]

    def _from(self, step: int) -> Iterator[list[tuple[int, int]]]:
        while True:
            places = self._places(step)
            yield list(zip(places, self._indices(places).tolist(), strict=True))
            step += 1

    def __call__(self, step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if self.seed < 0:
            raise ValueError("these batches have no seed yet: call bind(seed), as fit does")
        if isinstance(self.dataset, ImageSet):
            index = self._indices(self._places(step))
            return self.dataset.batch(index.to(self.dataset.pixels.device))
        if step != self._next or self._loaded is None:
            self.close()
            self._loaded = iter(
                DataLoader(
                    _Seeded(self.dataset, self.seed),
                    batch_sampler=self._from(step),  # type: ignore[arg-type]
                    num_workers=self.workers,
                    pin_memory=generator.device.type == "cuda",
                    # Else its workers' base seed is drawn from the global generator.
                    generator=torch.Generator(),
                )
            )
        self._next = step + 1
        images, labels = next(self._loaded)
        return images, labels


def dataset_batches(dataset: Dataset, batch: int, *, workers: int | None = None) -> DatasetBatches:
    """Batches of a data set: a new random order of it each epoch, drawn from (seed, epoch).

    The seed is that of the training, which :func:`numerics.engine.fit` gives to the result by its
    ``bind``; whoever wraps the result in another function binds it first.  A batch may reach from
    one epoch into the next, so every image is seen once an epoch and no batch is short.

    Parameters
    ----------
    dataset : Dataset
        Of (image, label).  An :class:`~numerics.data.sets.ImageSet` is indexed where it is; any
        other set is read by worker processes, and whatever its transforms draw from the global
        generators is a function of (seed, position).
    batch : int
        Images in one update, over all devices together.
    workers : int, optional
        Processes that read, 0 for none; by default one a core, at most 8.

    Raises
    ------
    ValueError
        If ``batch`` is no integer ≥ 1 or the set is empty.

    Examples
    --------
    >>> from numerics.data.sets import load_dataset
    >>> batches = dataset_batches(load_dataset("digits").train, 64).bind(seed=0)
    >>> images, labels = batches(0, torch.Generator())
    >>> images.shape, labels.shape
    (torch.Size([64, 1, 8, 8]), torch.Size([64]))
    """
    batch = integer("dataset_batches.batch", batch, least=1)
    if not len(cast(Sized, dataset)):
        raise ValueError("dataset_batches.dataset has no images")
    if workers is None:
        workers = usual_workers()
    workers = integer("dataset_batches.workers", workers, least=0)
    return DatasetBatches(dataset, batch, workers)
