"""A real vision transformer: timm's, with a learned encoding for each patch of a square grid.

In: sizes and a seed.  Out: a network, untrained; and the encodings of one.
"""

from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from theory.inputs import integer, real

__all__ = ["build_vit", "encodings"]


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
