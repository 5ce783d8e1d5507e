"""A real vision transformer, and the spatial structure of its positional encodings.

timm's ``VisionTransformer`` with learned encodings p_1 … p_P, one for each patch of a square grid,
is trained from scratch to tell photographs apart.  Nothing tells it which patches are neighbours:
if ⟨p_i, p_j⟩/(‖p_i‖‖p_j‖) falls with the distance of i and j on the grid, as in Figure 1a of the
paper, training has put that there.  The cosine is that of the encodings as they stand in the
network; their mean is not subtracted.

In: a network, trained by :func:`numerics.engine.fit`.  Out: its encodings, and three numbers that
say how spatial they are (:class:`SpatialStructure`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from theory.inputs import integer, real

__all__ = [
    "SpatialStructure",
    "build_vit",
    "cosine_similarity",
    "distance_bins",
    "encodings",
    "grid_distance",
    "rounded",
    "shuffle_patches",
    "similarity_by_distance",
    "spatial_structure",
]


def build_vit(
    crop: int,
    patch: int,
    classes: int,
    *,
    width: int = 64,
    depth: int = 3,
    heads: int = 4,
    encoding_std: float = 0.002,
    seed: int = 0,
    channels: int = 1,
    mlp_ratio: float = 2.0,
    class_token: bool = True,
    kind: type[VisionTransformer] = VisionTransformer,
) -> VisionTransformer:
    """Return a small ViT with one learned encoding per patch.

    Parameters
    ----------
    crop, patch : int
        Sides of an image and of a patch in pixels; ``patch`` divides ``crop``.
    classes : int
        Number of labels.
    width, depth, heads : int
        Dimension of a token, number of blocks, attention heads in each; ``heads`` divides
        ``width``.
    encoding_std : float
        Standard deviation of the initial encodings.  timm's own 0.02 is about as large as what
        training adds, and stays in the cosine as noise; at a tenth of it one sees what was learned.
    seed : int
        Of every initial weight; the global generator is left as it was.
    channels : int
        Colours of an image; grey ones have 1.
    mlp_ratio : float
        Hidden width of a block's perceptron, in units of ``width``.
    class_token : bool
        Read the answer off a class token, which has no encoding; else off the mean of the patches.
    kind : type
        ``VisionTransformer``, or a class built like it, such as
        :class:`~numerics.positional.vit.PositionalVisionTransformer`.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> model = build_vit(crop=32, patch=4, classes=16)
    >>> model.pos_embed.shape
    torch.Size([1, 64, 64])
    """
    crop = integer("build_vit.crop", crop, least=1)
    patch = integer("build_vit.patch", patch, least=1)
    classes = integer("build_vit.classes", classes, least=2)
    width = integer("build_vit.width", width, least=1)
    depth = integer("build_vit.depth", depth, least=1)
    heads = integer("build_vit.heads", heads, least=1)
    channels = integer("build_vit.channels", channels, least=1)
    seed = integer("build_vit.seed", seed, least=0)
    encoding_std = float(real("build_vit.encoding_std", encoding_std, above=0))
    mlp_ratio = float(real("build_vit.mlp_ratio", mlp_ratio, above=0))
    if crop % patch or crop == patch:
        raise ValueError(
            f"build_vit.patch = {patch}: patch must divide crop = {crop} and be smaller"
        )
    if width % heads:
        raise ValueError(f"build_vit.heads = {heads}: heads must divide width = {width}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(
            img_size=crop,
            patch_size=patch,
            in_chans=channels,
            num_classes=classes,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            mlp_ratio=mlp_ratio,
            no_embed_class=True,
            class_token=class_token,
            global_pool="token" if class_token else "avg",
        )
        nn.init.normal_(_positions(model), std=encoding_std)
    return model


def _positions(model: VisionTransformer) -> nn.Parameter:
    assert model.pos_embed is not None, "this ViT has no learned positional encodings"
    return model.pos_embed


def encodings(model: VisionTransformer) -> Tensor:
    """Return a copy of the positional encodings: shape (P, width), patches row by row.

    Examples
    --------
    >>> encodings(build_vit(crop=8, patch=4, classes=2)).shape
    torch.Size([4, 64])
    """
    return _positions(model).detach()[0].cpu().clone()


def cosine_similarity(P: Tensor) -> Tensor:
    """⟨p_i, p_j⟩ / (‖p_i‖ ‖p_j‖) for every pair of rows of ``P`` (P, width): shape (P, P).

    Examples
    --------
    >>> cosine_similarity(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]))[0]
    tensor([1., 0., 1.])
    """
    unit = nn.functional.normalize(P, dim=1)
    return unit @ unit.T


def rounded(matrix: Tensor, digits: int) -> list[list[float]]:
    """A matrix as a record keeps it.

    Examples
    --------
    >>> rounded(torch.tensor([[1.0, 1 / 3]]), 2)
    [[1.0, 0.33]]
    """
    return [[round(entry, digits) for entry in row] for row in matrix.tolist()]


def grid_distance(side: int) -> Tensor:
    """Euclidean distance of every two patches of a side × side grid, in patches: (side², side²).

    Examples
    --------
    >>> grid_distance(2)[0]
    tensor([0.0000, 1.0000, 1.0000, 1.4142], dtype=torch.float64)
    """
    line = torch.arange(integer("side", side, least=1), dtype=torch.float64)
    place = torch.cartesian_prod(line, line)
    return torch.linalg.vector_norm(place[:, None] - place[None], dim=-1)


@dataclass(frozen=True)
class SpatialStructure:
    """How the cosine similarity of encodings goes with distance on the grid.

    Parameters
    ----------
    neighbour : float
        Mean similarity of patches at distance 1.
    distant : float
        Mean similarity of patches at least half the grid's side apart.
    correlation : float
        Pearson correlation of similarity and distance over all pairs i ≠ j.
    """

    neighbour: float
    distant: float
    correlation: float


def spatial_structure(P: Tensor) -> SpatialStructure:
    """Measure encodings ``P`` of shape (side², width), patches row by row.

    Raises
    ------
    ValueError
        If the number of rows is not the square of a side ≥ 2, or an entry is not finite.

    Examples
    --------
    On a circle's arc, similarity falls with the distance between columns and rows:

    >>> angle = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0)) / 4
    >>> found = spatial_structure(torch.cat([angle.cos(), angle.sin()], dim=1))
    >>> found.neighbour > found.distant, found.correlation < -0.9
    (True, True)
    """
    side = math.isqrt(len(P))
    if P.ndim != 2 or side**2 != len(P) or side < 2:
        raise ValueError(
            f"encodings of shape {tuple(P.shape)}: they must be (side², width) with side >= 2"
        )
    if not bool(torch.isfinite(P).all()):
        raise ValueError("encodings contain nan or inf: they must be finite numbers")
    similarity, distance = cosine_similarity(P.double()), grid_distance(side)
    pairs = ~torch.eye(len(P), dtype=torch.bool)
    both = torch.stack([similarity[pairs], distance[pairs]])
    return SpatialStructure(
        neighbour=similarity[distance == 1].mean().item(),
        distant=similarity[distance >= side / 2].mean().item(),
        correlation=torch.corrcoef(both)[0, 1].item(),
    )


def distance_bins(side: int) -> list[int]:
    """Distances of two different places of a side × side grid, rounded to whole steps.

    Examples
    --------
    >>> distance_bins(4)
    [1, 2, 3, 4]
    """
    side = integer("side", side, least=1)
    return list(range(1, round(math.hypot(side - 1, side - 1)) + 1))


def similarity_by_distance(P: Tensor) -> list[float]:
    """Mean cosine similarity of encodings (side², width) at each of :func:`distance_bins`.

    Examples
    --------
    The four rows are the corners of a square, equal above and below:

    >>> similarity_by_distance(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    [0.3333333333333333]
    """
    side = math.isqrt(len(P))
    similarity, distance = cosine_similarity(P.double()), grid_distance(side).round()
    pairs = ~torch.eye(len(P), dtype=torch.bool)
    return [similarity[pairs & (distance == r)].mean().item() for r in distance_bins(side)]


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
