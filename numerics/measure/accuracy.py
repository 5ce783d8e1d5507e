"""The accuracy of a network.

In: a network, and images with their labels.  Out: the fraction that it gets right.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from numerics.data.sets import ImageSet, some_images
from theory.inputs import integer

__all__ = ["accuracy", "dataset_accuracy"]

#: Images in a batch of an evaluation; it changes nothing but speed and memory.
EVALUATION_BATCH = 256


@torch.no_grad()
def _count_right(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> int:
    """How often the largest output is at the label; the model is left in the mode it had."""
    weight = next(model.parameters(), torch.empty(0))
    was_training, right = model.training, 0
    model.eval()
    try:
        for x, y in batches:
            right += int((model(x.to(weight.device)).argmax(dim=1) == y.to(weight.device)).sum())
    finally:
        model.train(was_training)
    return right


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Fraction of images (n, channels, side, side) whose largest output is at their label (n,).

    Examples
    --------
    >>> accuracy(nn.Flatten(), torch.eye(4).reshape(4, 1, 2, 2), torch.tensor([0, 1, 2, 0]))
    0.75
    """
    batches = zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True)
    return _count_right(model, batches) / len(labels)


def dataset_accuracy(
    model: nn.Module, images: Dataset, *, limit: int | None = None, workers: int = 0
) -> float:
    """Fraction of a data set whose largest output is at the label.

    Parameters
    ----------
    model : nn.Module
        Measured on the device of its parameters, in evaluation mode, and left in the mode it had.
    images : Dataset
        An :class:`~numerics.data.sets.ImageSet`, or any set of (image, label).
    limit : int, optional
        Measure on this many images at most; see :func:`~numerics.data.sets.some_images`.
    workers : int
        Processes that read images which are not in memory.

    Raises
    ------
    ValueError
        If there is no image to measure on.

    Examples
    --------
    >>> pixels, labels = torch.eye(4).reshape(4, 1, 2, 2), torch.tensor([0, 1, 2, 0])
    >>> images = ImageSet(pixels, labels, torch.zeros(1), torch.ones(1))
    >>> dataset_accuracy(nn.Flatten(), images)
    0.75
    """
    held = len(images)  # type: ignore[arg-type]
    limit = held if limit is None else integer("dataset_accuracy.limit", limit)
    count = min(held, limit)
    if count < 1:
        raise ValueError("dataset_accuracy.images is empty: at least one image is needed")
    images = some_images(images, count)
    batches: Iterable[tuple[Tensor, Tensor]]
    if isinstance(images, ImageSet):
        index = torch.arange(count, device=images.labels.device)
        batches = map(images.batch, index.split(EVALUATION_BATCH))
    else:
        # With a generator of its own: else it draws from the global one.
        batches = DataLoader(
            images, EVALUATION_BATCH, num_workers=workers, generator=torch.Generator()
        )
    return _count_right(model, batches) / count
