"""Patch association, read off a real ViT.

Off the Gram matrix of the learned encodings, ⟨p_i, p_j⟩, as in Definition 2.2 of the paper, and,
where attention is a function of the positions alone, off the attention itself.
In: a ViT and a partition.  Out: numbers in [0, 1].
"""

from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from numerics.models.vit import encodings
from numerics.positional import PositionalVisionTransformer
from theory.data.partition import Partition
from theory.model.association import association_score, margin

__all__ = ["attention_between_patches", "read_association"]


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
        each block's map.  Chance is about :func:`~numerics.measure.coefficients.chance_association`
        where p_i is in its own Top_C, as it is if all encodings have one norm, and C/D where
        nothing favours i.

    Examples
    --------
    >>> from numerics.data.structured import StructuredData
    >>> from numerics.models.structured_vit import build_structured_vit
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
