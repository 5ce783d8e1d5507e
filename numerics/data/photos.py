"""Real photographs as a data set: small crops, labelled by the photograph they were cut from.

The photographs are those that come inside the scikit-image and scikit-learn wheels, so nothing is
ever downloaded.  Each is cut into vertical bands, alternately for training and for testing, with
a strip of one crop's width thrown away between them: no test crop shares a pixel with, or
touches, a training crop.

A crop is turned to grey and standardized on its own (mean 0, variance 1), so that neither colour
nor brightness nor contrast tells the photographs apart.  There are no mirror images: a flip would
make a patch and its mirror patch alike, which is not the structure looked for here.

In: names of photographs, side of a crop, number of bands.  Out: batches of crops (n, 1, s, s) and
labels (n,), drawn in one vectorized pass on any device.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from skimage.color import rgb2gray
from skimage.io import imread
from skimage.util import img_as_float32

from theory.inputs import integer

__all__ = ["PHOTOS", "Crops", "Region", "bands", "load_photo", "train_and_test"]

#: Photograph → the package that carries it, and the file inside that package.
PHOTOS: dict[str, tuple[str, str]] = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "brick": ("skimage", "data/brick.png"),
    "camera": ("skimage", "data/camera.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "coffee": ("skimage", "data/coffee.png"),
    "coins": ("skimage", "data/coins.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "grass": ("skimage", "data/grass.png"),
    "gravel": ("skimage", "data/gravel.png"),
    "hubble": ("skimage", "data/hubble_deep_field.jpg"),
    "ihc": ("skimage", "data/ihc.png"),
    "moon": ("skimage", "data/moon.png"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "retina": ("skimage", "data/retina.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
}

#: Standard deviation below which a crop counts as flat and is not blown up to unit contrast
#: (grey values run from 0 to 1, so this is about the step of an 8-bit photograph).
FLAT = 1 / 255


@dataclass(frozen=True)
class Region:
    """A rectangle of one photograph, in pixels: rows top … top+height−1, and columns alike.

    Examples
    --------
    >>> Region(photo=0, top=0, left=8, height=32, width=24).right
    32
    """

    photo: int
    top: int
    left: int
    height: int
    width: int

    @property
    def right(self) -> int:
        """First column to the right of the rectangle."""
        return self.left + self.width


def load_photo(name: str) -> torch.Tensor:
    """One bundled photograph in grey.

    Parameters
    ----------
    name : str
        A key of :data:`PHOTOS`.

    Returns
    -------
    torch.Tensor
        Shape (height, width), float32, luminance from 0 (black) to 1 (white).

    Raises
    ------
    ValueError
        If the name is not one of :data:`PHOTOS`.
    FileNotFoundError
        If the installed package does not carry the file.

    Examples
    --------
    >>> load_photo("camera").shape
    torch.Size([512, 512])
    """
    if name not in PHOTOS:
        raise ValueError(f"photo = {name!r}: photo must be one of {', '.join(PHOTOS)}")
    package, file = PHOTOS[name]
    # The package is located, not imported: scikit-learn takes seconds, and only its files matter.
    spec = find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else Path(file)
    if not path.is_file():
        raise FileNotFoundError(
            f"photo {name!r}: the installed {package} has no {file}; "
            f"reinstall the pinned version of the package that provides {package}"
        )
    image = img_as_float32(imread(str(path)))
    grey = rgb2gray(image[..., :3]) if image.ndim == 3 else image
    return torch.from_numpy(np.ascontiguousarray(grey, dtype=np.float32))


def bands(photo: int, shape: tuple[int, int], crop: int, count: int) -> tuple[Region, ...]:
    """Cut one photograph into vertical bands with a strip of ``crop`` pixels between them.

    Parameters
    ----------
    photo : int
        Index of the photograph, copied into each region.
    shape : (int, int)
        Its height and width in pixels.
    crop : int
        Side of a crop in pixels.
    count : int
        Number of bands, left to right, all of the same width.

    Raises
    ------
    ValueError
        If fewer than two bands are asked for, or a band could not hold one crop.

    Examples
    --------
    >>> [(region.left, region.right) for region in bands(0, (64, 100), crop=10, count=2)]
    [(0, 45), (55, 100)]
    """
    height, width = shape
    crop = integer("crop", crop, least=1)
    count = integer("count", count, least=2)  # train and test
    span = (width - (count - 1) * crop) // count
    if span < crop or height < crop:
        raise ValueError(
            f"crop = {crop}: {count} bands of a {height} x {width} photograph, with {crop} pixels "
            f"between them, cannot hold a crop; take a smaller crop or fewer bands"
        )
    return tuple(
        Region(photo, top=0, left=k * (span + crop), height=height, width=span)
        for k in range(count)
    )


class Crops:
    """Crops drawn uniformly from given regions, each photograph being one class.

    Parameters
    ----------
    photos : sequence of torch.Tensor
        Grey photographs, shapes (height, width), on one device.
    regions : sequence of Region
        Where crops may lie; the same number of regions for every photograph, so that drawing
        a region uniformly draws the classes uniformly.
    crop : int
        Side of a crop in pixels.

    Examples
    --------
    >>> photo = torch.arange(12.0 * 12).reshape(12, 12)
    >>> crops = Crops([photo], [Region(0, 0, 0, 12, 12)], crop=4)
    >>> images, labels = crops.sample(5, torch.Generator().manual_seed(0))
    >>> images.shape, labels.tolist()
    (torch.Size([5, 1, 4, 4]), [0, 0, 0, 0, 0])
    """

    def __init__(
        self, photos: list[torch.Tensor], regions: list[Region] | tuple[Region, ...], crop: int
    ) -> None:
        counts = np.bincount([region.photo for region in regions], minlength=len(photos))
        if len(set(counts.tolist())) != 1:
            raise ValueError(f"regions per photo = {counts.tolist()}: they must be equal")
        self.crop = crop = integer("crop", crop, least=1)
        self.regions = tuple(regions)
        self.device = photos[0].device
        # All photographs lie end to end in one vector: a crop is then a table of indices, and a
        # batch of crops from photographs of different sizes is a single gather.
        self._pixels = torch.cat([photo.reshape(-1) for photo in photos])
        starts = np.cumsum([0] + [photo.numel() for photo in photos])

        def table(values: list[int]) -> torch.Tensor:
            return torch.tensor(values, device=self.device)

        self._label = table([r.photo for r in regions])
        self._stride = table([photos[r.photo].shape[1] for r in regions])
        self._origin = table(
            [int(starts[r.photo]) + r.top * photos[r.photo].shape[1] + r.left for r in regions]
        )
        self._rows = table([r.height - crop + 1 for r in regions])
        self._columns = table([r.width - crop + 1 for r in regions])

    def sample(self, n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw n standardized crops and their labels.

        Parameters
        ----------
        n : int
            Number of crops.
        generator : torch.Generator
            Source of randomness, on the device of the photographs.

        Returns
        -------
        images : torch.Tensor
            Shape (n, 1, crop, crop), each with mean 0 and variance 1 (less where it is flat).
        labels : torch.Tensor
            Shape (n,), the index of the photograph.
        """
        n = integer("n", n, least=1)
        region = torch.randint(len(self.regions), (n,), generator=generator, device=self.device)
        u = torch.rand((2, n), generator=generator, device=self.device, dtype=torch.float64)
        top = (u[0] * self._rows[region]).long()
        left = (u[1] * self._columns[region]).long()
        stride = self._stride[region]
        corner = self._origin[region] + top * stride + left
        step = torch.arange(self.crop, device=self.device)
        index = corner[:, None, None] + step[:, None] * stride[:, None, None] + step
        images = self._pixels[index][:, None]
        centred = images - images.mean(dim=(-2, -1), keepdim=True)
        spread = centred.square().mean(dim=(-2, -1), keepdim=True).sqrt()
        return centred / (spread + FLAT), self._label[region]


def train_and_test(
    names: list[str] | tuple[str, ...], crop: int, count: int, device: str = "cpu"
) -> tuple[Crops, Crops]:
    """Training and test crops of the named photographs, from bands that alternate.

    Parameters
    ----------
    names : sequence of str
        Photographs (keys of :data:`PHOTOS`); the k-th is class k.
    crop : int
        Side of a crop in pixels.
    count : int
        Bands per photograph (:func:`bands`); the first, third, … are for training.
    device : str
        Where the pixels live and crops are drawn.

    Raises
    ------
    ValueError
        For fewer than two photographs, a repeated or unknown one, or bands too narrow for a crop.

    Examples
    --------
    >>> train, test = train_and_test(["camera", "moon"], crop=32, count=4)
    >>> [(r.left, r.right) for r in train.regions if r.photo == 0]
    [(0, 104), (272, 376)]
    >>> [(r.left, r.right) for r in test.regions if r.photo == 0]
    [(136, 240), (408, 512)]
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"photos = {list(names)}: photos must be at least two, all different")
    if count % 2:
        raise ValueError(f"bands = {count}: bands must be even, as many for training as for test")
    photos = [load_photo(name).to(device) for name in names]
    sizes = [(photo.shape[0], photo.shape[1]) for photo in photos]
    regions = [bands(k, size, crop, count) for k, size in enumerate(sizes)]
    train = [region for cut in regions for region in cut[0::2]]
    test = [region for cut in regions for region in cut[1::2]]
    return Crops(photos, train, crop), Crops(photos, test, crop)
