"""Real vision transformers for the structured law.

A patch X_j ∈ R^d is one pixel with d channels, so timm's patch embedding is a linear map of R^d.
The D = LC patches fill an L × C grid, whose shape no layer sees; the answer is read off the mean of
the tokens.

In: a law.  Out: a network for its images.
"""

from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from numerics.data.structured import StructuredData
from theory.inputs import integer, real

__all__ = ["build_structured_vit"]


def build_structured_vit(
    data: StructuredData,
    *,
    kind: type[VisionTransformer] = VisionTransformer,
    width: int = 32,
    depth: int = 2,
    heads: int = 4,
    encoding_std: float = 0.3,
    seed: int = 0,
) -> VisionTransformer:
    """Return a small ViT with one learned encoding for each of the D patches, and no class token.

    Parameters
    ----------
    data : StructuredData
        The law of its images.
    kind : type
        ``VisionTransformer`` or ``PositionalVisionTransformer``.
    width, depth, heads : int
        Dimension of a token, number of blocks, attention heads in each; ``heads`` divides
        ``width``.
    encoding_std : float
        Standard deviation of the initial encodings.
    seed : int
        Of every initial weight; the global generator is left as it was.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> from numerics.data.structured import patches_as_pixels
    >>> from theory.data.partition import Partition
    >>> from theory.setting import Setting
    >>> setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    >>> data = StructuredData(setting, Partition.contiguous(3, 2), torch.tensor([1.0, 0.0]))
    >>> model = build_structured_vit(data, width=8, depth=1, heads=2)
    >>> model(patches_as_pixels(data.sample(5, torch.Generator()), L=3)[0]).shape
    torch.Size([5, 2])
    """
    width = integer("build_structured_vit.width", width, least=1)
    depth = integer("build_structured_vit.depth", depth, least=1)
    heads = integer("build_structured_vit.heads", heads, least=1)
    seed = integer("build_structured_vit.seed", seed, least=0)
    encoding_std = float(real("build_structured_vit.encoding_std", encoding_std, above=0))
    if width % heads:
        raise ValueError(f"build_structured_vit.heads = {heads}: heads must divide width = {width}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(
            img_size=(data.setting.L, data.setting.C),
            patch_size=1,
            in_chans=data.d,
            num_classes=2,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            mlp_ratio=2.0,
            class_token=False,
            global_pool="avg",
        )
        assert model.pos_embed is not None
        nn.init.normal_(model.pos_embed, std=encoding_std)
    return model
