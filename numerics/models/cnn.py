"""The convolutional network that stands beside a vision transformer in a comparison.

The residual network of He et al. (2016, Section 4.2) for small images has 6n + 2 layers: a 3 × 3
convolution, three stages of n blocks with w, 2w and 4w channels, each stage but the first halving
the image, then the mean over places and a linear map.  Its blocks are timm's.

In: the shape of a data set, and a number of parameters to come close to.  Out: a network.
"""

from __future__ import annotations

import torch
from timm.models.resnet import BasicBlock
from torch import nn

from theory.inputs import integer

__all__ = ["build_cnn", "build_cnn_of_size", "parameter_count"]


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
