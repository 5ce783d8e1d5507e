"""Positional encodings of a trained vision transformer, from a checkpoint given by file or name.

A file is a state dict as timm and torch write it (``.pth``, ``.pt``, ``.bin``, ``.safetensors``),
bare or under one of the keys of a training script; a name is that of a pretrained timm model,
fetched from the Hugging Face hub unless it has been before.  ``pos_embed`` has a row for each
patch, and before those one for each class token that is encoded too; these are left out.

In: a file or a name.  Out: the encodings of the patches, shape (side², width).
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from torch import Tensor

__all__ = ["MOST_PREFIX_TOKENS", "patch_encodings", "pretrained_encodings"]

#: Class, distillation and register tokens that may stand before the patches.
MOST_PREFIX_TOKENS = 5
_SUFFIXES = (".pth", ".pt", ".bin", ".tar", ".safetensors")


def patch_encodings(state: Mapping[str, Tensor]) -> Tensor:
    """The encodings of the patches in a state dict, shape (side², width), patches row by row.

    Raises
    ------
    ValueError
        If there is no ``pos_embed``, or its patches fill no square grid.

    Examples
    --------
    >>> patch_encodings({"pos_embed": torch.zeros(1, 197, 768)}).shape  # ViT-B/16 at 224 pixels
    torch.Size([196, 768])
    """
    table = state.get("pos_embed")
    if not isinstance(table, Tensor) or table.ndim != 3 or table.shape[0] != 1:
        shape = "none" if table is None else f"one of shape {tuple(getattr(table, 'shape', ()))}"
        raise ValueError(
            f"pos_embed must be a tensor of shape (1, tokens, width), and there is {shape}: "
            "the model must be a vision transformer with learned absolute positional encodings"
        )
    tokens = table.shape[1]
    prefix = tokens - math.isqrt(tokens) ** 2
    if prefix > MOST_PREFIX_TOKENS:
        raise ValueError(
            f"pos_embed has {tokens} rows: they must be a square number of patches after at most "
            f"{MOST_PREFIX_TOKENS} other tokens"
        )
    return table[0, prefix:].detach().float().cpu().clone()


def _from_file(path: Path) -> Mapping[str, Tensor]:
    try:
        return timm.models.load_state_dict(str(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is not a checkpoint that timm can read: {reason}") from error
    except Exception as error:  # safetensors has an error class of its own, of no common base
        raise ValueError(f"{path} is not a checkpoint that timm can read: {error}") from error


def _from_name(name: str) -> Mapping[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        try:
            return timm.create_model(name, pretrained=True).state_dict()
        except (OSError, RuntimeError, ValueError) as error:
            raise ConnectionError(
                f"the pretrained weights of {name!r} are not on this machine and could not be "
                f"fetched ({str(error).splitlines()[0]}). Where there is a network,\n"
                f"    python -c \"import timm; timm.create_model('{name}', pretrained=True)\"\n"
                "fetches them into the cache of the Hugging Face hub; or give the path of a "
                "checkpoint file (.pth, .safetensors) instead of a name"
            ) from error


def pretrained_encodings(checkpoint: str | Path) -> Tensor:
    """Read the encodings of the patches from a file, or from a pretrained timm model by name.

    Parameters
    ----------
    checkpoint : str or path
        Such as ``vit_base_patch16_224.augreg_in21k`` or ``weights.safetensors``.

    Returns
    -------
    Tensor, shape (side², width)

    Raises
    ------
    FileNotFoundError
        If it looks like a file, and there is none.
    ValueError
        If it is no timm model either, or holds no encodings of a square grid.
    ConnectionError
        If the weights of a named model are not there and cannot be fetched; it says what to do.
    """
    path = Path(checkpoint)
    if path.is_file():
        return patch_encodings(_from_file(path))
    name = str(checkpoint)
    if path.suffix in _SUFFIXES or len(path.parts) > 1:
        raise FileNotFoundError(f"there is no checkpoint file {name}")
    if not timm.is_model(name):
        raise ValueError(
            f"checkpoint = {name!r}: checkpoint must be a file, or a timm model such as "
            "vit_base_patch16_224.augreg_in21k"
        )
    return patch_encodings(_from_name(name))
