"""Real vision transformers on the structured law, and whether their encodings know its sets.

A patch X_j ∈ R^d is one pixel with d channels, so timm's patch embedding is a linear map of R^d.
The D = LC patches fill an L × C grid, whose shape no layer sees; the answer is read off the mean of
the tokens.  Association is read off the Gram matrix of the learned encodings, ⟨p_i, p_j⟩, as in
Definition 2.2 of the paper, and where attention is a function of the positions alone, off the
attention itself.

In: a law.  Out: images and labels, a network, and numbers in [0, 1].
"""

from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from numerics.data import Batch, StructuredData
from numerics.positional import PositionalVisionTransformer
from numerics.vision import encodings
from theory.inputs import integer, real
from theory.partition import Partition, association_score, margin

__all__ = [
    "attention_between_patches",
    "build_structured_vit",
    "patches_as_pixels",
    "read_association",
]


def patches_as_pixels(batch: Batch, L: int) -> tuple[Tensor, Tensor]:
    """Patches (N, D, d) as images (N, d, L, D/L), and labels ±1 as 0 and 1.

    Examples
    --------
    >>> images, labels = patches_as_pixels(Batch(torch.zeros(5, 6, 4), torch.ones(5)), L=3)
    >>> images.shape, labels[0]
    (torch.Size([5, 4, 3, 2]), tensor(1))
    """
    L = integer("L", L, least=1)
    return batch.X.transpose(1, 2).unflatten(2, (L, -1)), (batch.y > 0).long()


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


def attention_between_patches(model: VisionTransformer) -> Tensor | None:
    """Attention of each block, mean over heads: shape (depth, D, D).

    None for a model whose attention depends on the image.
    """
    if not isinstance(model, PositionalVisionTransformer):
        return None
    with torch.no_grad():
        return model.attention_maps().mean(dim=1).cpu()


def read_association(model: VisionTransformer, partition: Partition) -> dict[str, float]:
    """Association score and margin of the Gram matrix of the encodings, and score of attention.

    Parameters
    ----------
    model : VisionTransformer
        With learned encodings of the D patches.
    partition : Partition

    Returns
    -------
    dict
        ``association``; ``margin``; and for positional attention ``attention_1``, …, the score of
        each block's map.  Chance is about :func:`~numerics.association.chance_association` where
        p_i is in its own Top_C, as it is if all encodings have one norm, and C/D where nothing
        favours i.

    Examples
    --------
    >>> from theory.setting import Setting
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    >>> data = StructuredData(setting, Partition.contiguous(2, 2), torch.tensor([1.0, 0.0]))
    >>> model = build_structured_vit(data, width=4, depth=1, heads=1)
    >>> _ = model.pos_embed.data.copy_(torch.eye(4)[[0, 0, 1, 1]])
    >>> read_association(model, data.partition)
    {'association': 1.0, 'margin': 1.0}
    """
    P = encodings(model).double()
    gram = (P @ P.T).numpy()
    row = {"association": association_score(gram, partition), "margin": margin(gram, partition)}
    maps = attention_between_patches(model)
    for block, S in enumerate([] if maps is None else maps.double().numpy(), start=1):
        row[f"attention_{block}"] = association_score(S, partition)
    return row
