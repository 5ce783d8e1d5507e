"""Sets of images by name, each with its training and its test part.

``structured`` and ``gaussian-convolution`` are drawn from the two laws of the book, a patch of R^d
laid out as a square of pixels; they know their hidden sets (``Splits.law``).
``digits`` (scikit-learn) and ``photos`` (crops of bundled photographs, the default) need no file
beyond the installation.  ``cifar10``, ``cifar100`` and ``svhn`` are read by torchvision from a
folder, and fetched into it on request:

    python -m numerics.data cifar10 --root data --download

``imagenet`` is a folder of your own with ``train`` and ``val``, one folder of pictures a class.

In: a name and a folder.  Out: :class:`Splits`, whose parts give (image, label), images float32 of
shape (channels, side, side), standardized by the mean and deviation of the training part, for
``imagenet`` by those that timm has for it.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sized
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from timm.data import create_transform
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset
from torchvision import datasets as tv

from numerics.data.gaussian import GaussianConvolution
from numerics.data.photos import PHOTOS, train_and_test
from numerics.data.structured import StructuredData, random_direction
from theory.data.partition import Partition
from theory.inputs import integer
from theory.setting import Setting

__all__ = [
    "ImageSet",
    "NAMES",
    "Splits",
    "as_images",
    "as_patches",
    "describe",
    "load_dataset",
    "shrink",
    "some_images",
]

#: Side of an ImageNet picture as the model sees it, in pixels.
IMAGENET_SIDE = 224
#: Crops of 32 × 32 drawn of each part of the photographs, in all.
PHOTO_CROPS = {"train": 20_000, "test": 4_000}
#: Images drawn of each part of a synthetic set.
DRAWN = {"train": 20_000, "test": 4_000}
#: Size of the synthetic sets: 6 × 6 patches of 4 × 4 pixels in 9 scattered sets of 4.
DRAWN_SETTING = Setting(L=9, C=4, q=0.3, p=3, nu=0.05, sigma_A=2.0)
DRAWN_PIXELS = 16


@dataclass(frozen=True, eq=False)
class ImageSet(Dataset):
    """Images in memory, as they are stored, standardized as they are taken out.

    Parameters
    ----------
    pixels : Tensor, shape (n, channels, side, side)
        Of any type, on any device.
    labels : Tensor of int64, shape (n,)
    mean, std : Tensor, shape (channels,)
        In the units of ``pixels``.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> pixels = torch.tensor([[[[0, 255]]], [[[255, 255]]]], dtype=torch.uint8)
    >>> half = torch.tensor([127.5])
    >>> images = ImageSet(pixels, labels=torch.tensor([1, 0]), mean=half, std=half)
    >>> images.batch(torch.tensor([1, 0]))[0].flatten().tolist()
    [1.0, 1.0, -1.0, 1.0]
    """

    pixels: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    def __post_init__(self) -> None:
        n, channels = self.pixels.shape[:2]
        if self.pixels.ndim != 4 or self.labels.shape != (n,) or self.mean.shape != (channels,):
            raise ValueError(
                f"ImageSet.pixels of shape {tuple(self.pixels.shape)}: it must be (n, channels, "
                f"side, side) with n = {len(self.labels)} labels and {len(self.mean)} means"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Standardized images (k, channels, side, side) and labels (k,) at k indices."""
        mean, std = self.mean[:, None, None], self.std[:, None, None]
        return (self.pixels[index].float() - mean) / std, self.labels[index]

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        images, labels = self.batch(torch.tensor([i]))
        return images[0], int(labels[0])

    def to(self, device: torch.device | str) -> ImageSet:
        """The same images on another device."""
        fields = (self.pixels, self.labels, self.mean, self.std)
        return ImageSet(*(tensor.to(device) for tensor in fields))


@dataclass(frozen=True)
class Splits:
    """The two parts of a data set, and what a model must be built for.

    Attributes
    ----------
    train, test : Dataset
        :class:`ImageSet`, or for ``imagenet`` torchvision's ``ImageFolder``.
    classes, channels, side : int
        Number of labels and of colour channels, and height and width in pixels.
    law : StructuredData or GaussianConvolution, optional
        What a synthetic set was drawn from, with its ``partition``, ``w_star`` and ``d``, the
        number of pixels of a patch.
    name : str
        By which :func:`load_dataset` knows the set.
    """

    train: Dataset
    test: Dataset
    classes: int
    channels: int
    side: int
    law: StructuredData | GaussianConvolution | None = None
    name: str = ""


def as_images(X: Tensor) -> Tensor:
    """Lay patches out as grey images: (N, D, d) to (N, 1, side, side), D and d being squares.

    Patch i is the square of √d × √d pixels in row i // √D, column i % √D of the grid of patches.

    Raises
    ------
    ValueError
        If D or d is not a square.

    Examples
    --------
    >>> as_images(torch.arange(16).reshape(1, 4, 4))[0, 0]
    tensor([[ 0,  1,  4,  5],
            [ 2,  3,  6,  7],
            [ 8,  9, 12, 13],
            [10, 11, 14, 15]])
    """
    N, D, d = X.shape
    grid, patch = math.isqrt(D), math.isqrt(d)
    if grid**2 != D or patch**2 != d:
        raise ValueError(f"patches of shape {tuple(X.shape)}: D and d must be squares")
    tiles = X.reshape(N, grid, grid, patch, patch).transpose(2, 3)
    return tiles.reshape(N, 1, grid * patch, grid * patch)


def as_patches(images: Tensor, patch: int) -> Tensor:
    """Cut images (N, channels, side, side) into patches (N, D, channels · patch²), row by row.

    Examples
    --------
    >>> X = torch.arange(16).reshape(1, 4, 4)
    >>> torch.equal(as_patches(as_images(X), 2), X)
    True
    """
    N, channels, side, _ = images.shape
    patch = integer("patch", patch, least=1)
    grid = side // patch
    if grid * patch != side:
        raise ValueError(f"patch = {patch}: patch must divide the side {side} of the images")
    tiles = images.reshape(N, channels, grid, patch, grid, patch).permute(0, 2, 4, 1, 3, 5)
    return tiles.reshape(N, grid**2, channels * patch**2)


def _in_memory(parts: dict[str, tuple[Any, Any]], classes: int) -> Splits:
    """Splits from arrays (n, channels, side, side) and labels of each part."""
    pixels = {part: torch.as_tensor(np.ascontiguousarray(X)) for part, (X, _) in parts.items()}
    # Channel by channel, as a float64 copy of all of CIFAR would take over a gigabyte.
    channels = [pixels["train"][:, c].double() for c in range(pixels["train"].shape[1])]
    mean = torch.tensor([float(channel.mean()) for channel in channels])
    std = torch.tensor([float(channel.std()) for channel in channels]).clamp(min=1e-6)
    sets = {
        part: ImageSet(pixels[part], torch.as_tensor(y, dtype=torch.int64), mean, std)
        for part, (_, y) in parts.items()
    }
    return Splits(sets["train"], sets["test"], classes, len(mean), pixels["train"].shape[-1])


def shrink(splits: Splits, side: int) -> Splits:
    """Average the images of a set down to side × side pixels, and standardize them anew.

    Raises
    ------
    ValueError
        If ``side`` is no integer from 1 to the side of the images, or they are not in memory.

    Examples
    --------
    >>> shrink(load_dataset("digits"), 4).train[0][0].shape
    torch.Size([1, 4, 4])
    """
    side = integer("shrink.side", side, least=1, most=splits.side)
    if side == splits.side:
        return splits
    parts = {}
    for part, images in (("train", splits.train), ("test", splits.test)):
        if not isinstance(images, ImageSet):
            raise ValueError(f"shrink.splits.{part} is not in memory: it must be an ImageSet")
        pixels = nn.functional.adaptive_avg_pool2d(images.pixels.float(), side)
        parts[part] = (pixels.numpy(), images.labels)
    return replace(_in_memory(parts, splits.classes), law=splits.law, name=splits.name)


def _drawn(law: StructuredData | GaussianConvolution) -> Splits:
    """Splits of images drawn from a law: class 1 is y = 1."""
    parts = {}
    for seed, (part, count) in enumerate(DRAWN.items()):
        X, y, *_ = law.sample(count, torch.Generator().manual_seed(seed))
        parts[part] = (as_images(X).numpy(), (y > 0).numpy())
    return replace(_in_memory(parts, 2), law=law)


def _hidden() -> tuple[Partition, Tensor]:
    """The hidden sets and the feature that both synthetic sets share."""
    partition = Partition.scattered(DRAWN_SETTING.L, DRAWN_SETTING.C, 0)
    return partition, random_direction(DRAWN_PIXELS, torch.Generator().manual_seed(0))


def _structured(root: Path, download: bool) -> Splits:
    return _drawn(StructuredData(DRAWN_SETTING, *_hidden()))


def _gaussian_convolution(root: Path, download: bool) -> Splits:
    return _drawn(GaussianConvolution(*_hidden()))


def _digits(root: Path, download: bool) -> Splits:
    # Imported here: scikit-learn takes seconds, and the other sets do without it.
    from sklearn.datasets import load_digits

    digits = load_digits()
    X, y = digits.images[:, None].astype(np.float32), digits.target
    # The file goes from writer to writer, so the last fifth is written by other hands.
    cut = len(y) * 4 // 5
    return _in_memory({"train": (X[:cut], y[:cut]), "test": (X[cut:], y[cut:])}, 10)


def _photos(root: Path, download: bool) -> Splits:
    crops = dict(zip(PHOTO_CROPS, train_and_test(list(PHOTOS), crop=32, count=4), strict=True))
    drawn = {
        part: crops[part].sample(count, torch.Generator().manual_seed(seed))
        for seed, (part, count) in enumerate(PHOTO_CROPS.items())
    }
    return _in_memory({part: (X.numpy(), y) for part, (X, y) in drawn.items()}, len(PHOTOS))


def _cifar(kind: type[tv.CIFAR10], root: Path, download: bool) -> Splits:
    parts = {"train": kind(root, True, download=download), "test": kind(root, False)}
    arrays = {part: (s.data.transpose(0, 3, 1, 2), s.targets) for part, s in parts.items()}
    return _in_memory(arrays, len(parts["train"].classes))


def _svhn(root: Path, download: bool) -> Splits:
    parts = {part: tv.SVHN(root, part, download=download) for part in ("train", "test")}
    return _in_memory({part: (s.data, s.labels) for part, s in parts.items()}, 10)


def _imagenet(root: Path, download: bool) -> Splits:
    folder = root / "imagenet"
    missing = [part for part in ("train", "val") if not (folder / part).is_dir()]
    if missing:
        raise FileNotFoundError(
            f"data set 'imagenet' has no folder {folder / missing[0]}: ImageNet cannot be "
            f"downloaded without an account; put its pictures in {folder}/train and {folder}/val, "
            "one folder a class"
        )
    train, test = (
        tv.ImageFolder(
            str(folder / part), create_transform(IMAGENET_SIDE, is_training=part == "train")
        )
        for part in ("train", "val")
    )
    if train.classes != test.classes:
        raise ValueError(
            f"data set 'imagenet' has {len(train.classes)} classes in {folder}/train and "
            f"{len(test.classes)} in {folder}/val, or differently named ones: they must be equal"
        )
    return Splits(train, test, len(train.classes), 3, IMAGENET_SIDE)


def _cifar10(root: Path, download: bool) -> Splits:
    return _cifar(tv.CIFAR10, root, download)


def _cifar100(root: Path, download: bool) -> Splits:
    return _cifar(tv.CIFAR100, root, download)


_LOADERS: dict[str, Callable[[Path, bool], Splits]] = {
    "structured": _structured,
    "gaussian-convolution": _gaussian_convolution,
    "digits": _digits,
    "photos": _photos,
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "svhn": _svhn,
    "imagenet": _imagenet,
}

#: Names that :func:`load_dataset` knows.
NAMES = tuple(_LOADERS)


def load_dataset(name: str, root: Path | str = "data", *, download: bool = False) -> Splits:
    """Read a data set by name.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`.
    root : path
        Folder of the sets that do not come with the installation.
    download : bool
        Fetch ``cifar10``, ``cifar100`` or ``svhn`` into ``root`` if it is not there.

    Raises
    ------
    ValueError
        If the name is unknown.
    FileNotFoundError
        If the files are not there, or are not what they should be; it says the command that
        fetches them.
    ConnectionError
        If they cannot be fetched.

    Examples
    --------
    >>> digits = load_dataset("digits")
    >>> len(digits.train), len(digits.test), digits.classes, digits.side
    (1437, 360, 10, 8)
    """
    if name not in _LOADERS:
        raise ValueError(f"dataset = {name!r}: dataset must be one of {', '.join(NAMES)}")
    try:
        return replace(_LOADERS[name](Path(root), download), name=name)
    except FileNotFoundError:
        raise
    except OSError as error:  # urllib's errors are OSErrors
        raise ConnectionError(
            f"data set {name!r} could not be downloaded to {root}: {error}"
        ) from error
    except RuntimeError as error:  # torchvision's word for missing, and for a wrong checksum
        raise FileNotFoundError(
            f"data set {name!r} is not in {root}, or its files are damaged; fetch it with\n"
            f"    python -m numerics.data {name} --root {shlex.quote(str(root))} --download"
        ) from error


def some_images(images: Dataset, count: int) -> Dataset:
    """``count`` images of a set, always the same ones: a fair sample of it.

    They are the first of an :class:`ImageSet`, whose images come in no order of their classes, and
    a random choice from any other set: a folder lists one class after another.

    Raises
    ------
    ValueError
        If the set has fewer, or ``count`` is no integer >= 1.

    Examples
    --------
    >>> by_class = [(torch.zeros(1), label) for label in range(5) for _ in range(100)]
    >>> len({label for _, label in some_images(by_class, 50)})
    5
    """
    size = len(cast(Sized, images))
    count = integer("some_images.count", count, least=1, most=size)
    if isinstance(images, ImageSet):
        return ImageSet(images.pixels[:count], images.labels[:count], images.mean, images.std)
    if count == size:
        return images
    order = torch.randperm(size, generator=torch.Generator().manual_seed(0))
    return Subset(images, order[:count].tolist())


def describe(name: str) -> dict[str, Any]:
    """What a set made here was made with, in plain values; nothing of a set that is read.

    Examples
    --------
    >>> describe("photos")
    {'train': 20000, 'test': 4000}
    >>> describe("digits")
    {}
    """
    if name == "photos":
        return dict(PHOTO_CROPS)
    if name in ("structured", "gaussian-convolution"):
        return {**DRAWN, "pixels": DRAWN_PIXELS, "setting": asdict(DRAWN_SETTING)}
    return {}
