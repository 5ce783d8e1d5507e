"""What stands beside a vision transformer in a comparison, and how both are measured.

The residual network of He et al. (2016, Section 4.2) for small images has 6n + 2 layers: a 3 × 3
convolution, three stages of n blocks with w, 2w and 4w channels, each stage but the first halving
the image, then the mean over places and a linear map.  Its blocks are timm's.

In: the shape of a data set, and a number of parameters to come close to.  Out: a network; and for
any network its size and its accuracy on a data set.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from timm.models.resnet import BasicBlock
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from numerics.datasets import ImageSet, some_images
from theory.inputs import integer

__all__ = [
    "accuracy",
    "build_cnn",
    "build_cnn_of_size",
    "dataset_accuracy",
    "parameter_count",
]

#: Images in a batch of an evaluation; it changes nothing but speed and memory.
EVALUATION_BATCH = 256


def build_cnn(
    classes: int, *, width: int, channels: int = 1, blocks: int = 1, seed: int = 0
) -> nn.Sequential:
    """Return a residual network for images of at least 4 × 4 pixels.

    Parameters
    ----------
    classes : int
        Number of labels.
    width : int
        Channels of the first stage.
    channels : int
        Colours of an image; grey ones have 1.
    blocks : int
        n, the blocks of each stage.
    seed : int
        Of every initial weight; the global generator is left as it was.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> build_cnn(10, width=4)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    classes = integer("build_cnn.classes", classes, least=2)
    width = integer("build_cnn.width", width, least=1)
    channels = integer("build_cnn.channels", channels, least=1)
    blocks = integer("build_cnn.blocks", blocks, least=1)
    seed = integer("build_cnn.seed", seed, least=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        before = width
        for stage in range(3):
            after = width * 2**stage
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                skip = None
                if stride != 1:
                    skip = nn.Sequential(
                        nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
                    )
                layers.append(BasicBlock(before, after, stride=stride, downsample=skip))
                before = after
        pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, *pool, nn.Linear(before, classes))


def build_cnn_of_size(
    parameters: int, classes: int, *, channels: int = 1, blocks: int = 1, seed: int = 0
) -> nn.Sequential:
    """Return the residual network whose number of parameters is nearest to ``parameters``.

    Raises
    ------
    ValueError
        If even the narrowest network has more than twice as many.

    Examples
    --------
    >>> model = build_cnn_of_size(105_000, classes=10)
    >>> parameter_count(model)
    109317
    """
    parameters = integer("build_cnn_of_size.parameters", parameters, least=1)
    width, size = 1, parameter_count(build_cnn(classes, width=1, channels=channels, blocks=blocks))
    if size > 2 * parameters:
        raise ValueError(
            f"build_cnn_of_size.parameters = {parameters}: the narrowest network has {size}; "
            "ask for at least half of that"
        )
    while True:
        wider = build_cnn(classes, width=width + 1, channels=channels, blocks=blocks)
        if abs(parameter_count(wider) - parameters) >= abs(size - parameters):
            return build_cnn(classes, width=width, channels=channels, blocks=blocks, seed=seed)
        width, size = width + 1, parameter_count(wider)


def parameter_count(model: nn.Module) -> int:
    """Number of trained parameters.

    Examples
    --------
    >>> parameter_count(nn.Linear(3, 2))
    8
    """
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


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
        An :class:`~numerics.datasets.ImageSet`, or any set of (image, label).
    limit : int, optional
        Measure on this many images at most; see :func:`~numerics.datasets.some_images`.
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
