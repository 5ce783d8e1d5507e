"""timm's vision transformer with positional attention in every block.

The encodings P are those of the model itself, one set for all blocks: row i of P is what token i
is for an image that is blank (its positional encoding; for a class or register token its own
vector as well), normalized over channels.  Normalization has no weights, W_Q and W_K would absorb
them; without it initial encodings of size 0.02 would leave the logits, quadratic in P, at zero.
Like any layer norm it leaves a row small whose deviation is far below √ε = 0.001, so that its
gradient stays bounded: a class token without an encoding starts so in timm, at 1e-6.
Each block has its own W_Q and W_K.

In: images (B, channels, H, W).  Out: what timm's ``VisionTransformer`` gives; the parameters have
its names and shapes.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from timm.models import (
    build_model_with_cfg,
    checkpoint,
    generate_default_cfgs,
    register_model,
)
from timm.models.vision_transformer import Block, VisionTransformer, checkpoint_filter_fn
from torch import Tensor
from torch.nn import functional as F

from numerics.positional.attention import PositionalAttention

__all__ = ["PositionalBlock", "PositionalVisionTransformer"]

#: Width and number of heads of each size; all have 12 blocks.
SIZES = {"tiny": (192, 3), "small": (384, 6), "base": (768, 12)}
#: Sides of a patch in pixels at which timm has the stock model of that size.
PATCHES = {"tiny": (16,), "small": (8, 16, 32), "base": (8, 16, 32)}


class PositionalBlock(Block):
    """timm's ``Block`` with positional attention, to which it hands the encodings.

    Parameters
    ----------
    *args, **kwargs
        As timm's ``Block``, with ``attn_layer``
        :class:`~numerics.positional.attention.PositionalAttention` or a subclass.

    Examples
    --------
    >>> block = PositionalBlock(dim=8, num_heads=2, attn_layer=PositionalAttention)
    >>> block(torch.randn(5, 3, 8), positions=torch.randn(3, 8)).shape
    torch.Size([5, 3, 8])
    """

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:  # type: ignore[override]
        """Tokens (B, N, dim) after attention and perceptron, with encodings (N, dim)."""
        x = x + self.drop_path1(self.ls1(self.attn(self.norm1(x), positions=positions)))
        return x + self.drop_path2(self.ls2(self.mlp(self.norm2(x))))


class PositionalVisionTransformer(VisionTransformer):
    """A ``VisionTransformer`` whose attention depends on positions alone.

    Parameters
    ----------
    *args, **kwargs
        As timm's ``VisionTransformer``: class token or pooling, registers, ``dynamic_img_size``…
        ``block_fn`` must be the default, :class:`PositionalBlock`, or a subclass, and
        ``attn_layer`` :class:`~numerics.positional.attention.PositionalAttention`, or a subclass.

    Raises
    ------
    ValueError
        If the model has no learned encodings, drops patches (a position could then hold any of
        them), or has other blocks or another attention.

    Examples
    --------
    >>> model = PositionalVisionTransformer(
    ...     img_size=8, patch_size=4, embed_dim=8, depth=2, num_heads=2, num_classes=3
    ... )
    >>> model(torch.zeros(5, 3, 8, 8)).shape
    torch.Size([5, 3])
    >>> model.attention_maps().shape  # blocks, heads, tokens, tokens
    torch.Size([2, 2, 5, 5])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("pos_embed", "learn") != "learn":
            raise ValueError(
                f"PositionalVisionTransformer.pos_embed = {kwargs['pos_embed']!r}: pos_embed must "
                "be 'learn', for attention is made from the encodings"
            )
        if kwargs.get("patch_drop_rate", 0):
            raise ValueError(
                f"PositionalVisionTransformer.patch_drop_rate = {kwargs['patch_drop_rate']}: "
                "patch_drop_rate must be 0, for all images share one attention map"
            )
        parts = {"block_fn": PositionalBlock, "attn_layer": PositionalAttention}
        for name, part in parts.items():
            given = kwargs.setdefault(name, part)
            if not (isinstance(given, type) and issubclass(given, part)):
                raise ValueError(
                    f"PositionalVisionTransformer.{name} = {given!r}: {name} must be "
                    f"{part.__name__} or a subclass"
                )
        super().__init__(*args, **kwargs)

    def positions(self, image_size: tuple[int, int] | None = None) -> Tensor:
        """The encodings P that attention is made from, for the token grid of an image.

        Parameters
        ----------
        image_size : (int, int), optional
            Height and width in pixels, for a model with ``dynamic_img_size``, which resamples its
            encodings; by default the size that the model was built for.

        Returns
        -------
        Tensor, shape (N, width)
            N counts class and register tokens, which come first.  In training ``pos_drop_rate``
            drops entries of P as well, the same ones for all images.
        """
        assert self.pos_embed is not None
        grid = self.patch_embed.grid_size
        if self.dynamic_img_size and image_size is not None:
            grid = self.patch_embed.dynamic_feat_size(image_size)
        blank = self.pos_embed.new_zeros(1, *grid, self.embed_dim)
        # timm leaves the grid unflattened only where encodings may have to be resampled.
        tokens = self._pos_embed(blank if self.dynamic_img_size else blank.flatten(1, 2))
        return F.layer_norm(tokens[0], (self.embed_dim,), eps=1e-6)

    def attention_maps(self, image_size: tuple[int, int] | None = None) -> Tensor:
        """What every block attends to, whatever the image: shape (blocks, heads, N, N).

        Parameters
        ----------
        image_size : (int, int), optional
            As for :meth:`positions`.

        Examples
        --------
        >>> model = PositionalVisionTransformer(
        ...     img_size=8, patch_size=4, embed_dim=8, depth=1, num_heads=2, dynamic_img_size=True
        ... )
        >>> model.attention_maps((8, 16)).shape
        torch.Size([1, 2, 9, 9])
        """
        positions = self.positions(image_size)
        layers: list[Any] = [block.attn for block in self.blocks]
        return torch.stack([layer.attention_map(positions) for layer in layers])

    def _given(self, x: Tensor, attn_mask: Tensor | None, is_causal: bool) -> list[Any]:
        """The blocks, given the encodings for a batch of images."""
        if attn_mask is not None or is_causal:
            raise ValueError(
                "PositionalVisionTransformer takes no attn_mask and no is_causal: its attention "
                "is the same for all images"
            )
        positions = self.positions((x.shape[-2], x.shape[-1]))
        return [partial(block, positions=positions) for block in self.blocks]

    def forward_features(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """Tokens after the last block and its norm: shape (B, N, width)."""
        blocks = self._given(x, attn_mask, is_causal)
        x = self.norm_pre(self._pos_embed(self.patch_embed(x)))
        for block in blocks:
            x = checkpoint(block, x) if self.grad_checkpointing else block(x)
        return self.norm(x)

    def forward_intermediates(  # type: ignore[override]
        self,
        x: Tensor,
        *args: Any,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Tokens after chosen blocks, as timm's method of this name returns them."""
        # timm's loop has no place for an argument of its blocks: it runs over blocks that have it.
        given: Any = {"blocks": self._given(x, attn_mask, is_causal)}
        bound = copy.copy(self)
        bound._modules = self._modules | given
        return super(PositionalVisionTransformer, bound).forward_intermediates(x, *args, **kwargs)


def _register(size: str, patch: int) -> None:
    """Make ``vit_{size}_patch{patch}_224_positional`` known to timm."""
    stock = f"vit_{size}_patch{patch}_224"
    name = f"{stock}_positional"
    width, heads = SIZES[size]

    def build(pretrained: bool = False, **kwargs: Any) -> PositionalVisionTransformer:
        if pretrained and not kwargs.get("pretrained_cfg_overlay"):
            raise ValueError(
                f"{name} has no pretrained weights: pretrained must be False (weights of your own "
                "load with checkpoint_path=FILE)"
            )
        sizes = {"patch_size": patch, "embed_dim": width, "depth": 12, "num_heads": heads}
        return build_model_with_cfg(
            PositionalVisionTransformer,
            name,
            pretrained,
            pretrained_filter_fn=checkpoint_filter_fn,
            feature_cfg={"out_indices": kwargs.pop("out_indices", 3), "feature_cls": "getter"},
            **(sizes | kwargs),
        )

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"``{stock}`` of timm with positional attention."
    globals()[name] = build
    register_model(build)


# timm looks a model's configuration up under this name, in the module that registers it.
default_cfgs = generate_default_cfgs(
    {
        f"vit_{size}_patch{patch}_224_positional": {
            "input_size": (3, 224, 224),
            "fixed_input_size": True,
            "crop_pct": 0.9,
            "interpolation": "bicubic",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        }
        for size, patches in PATCHES.items()
        for patch in patches
    }
)
for _size, _patches in PATCHES.items():
    for _patch in _patches:
        _register(_size, _patch)
