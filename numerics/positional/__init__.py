"""Positional attention for real vision transformers, as timm builds them.

In each head S = softmax(Q Kᵀ/√d_h) with Q = P W_Q and K = P W_K taken from the encodings P of the
positions alone, where self-attention takes them from the tokens; values still come from the
tokens.  One S serves every image of a batch, and can be read without an image.

Importing this package registers the models, so that ``timm.create_model`` knows them:

>>> import timm
>>> import numerics.positional
>>> timm.list_models("vit_small*_positional")  # doctest: +NORMALIZE_WHITESPACE
['vit_small_patch8_224_positional', 'vit_small_patch16_224_positional',
 'vit_small_patch32_224_positional']

``python -m numerics.positional train.py …`` runs a script, such as timm's own, that knows them too.
"""

from numerics.positional.attention import PositionalAttention
from numerics.positional.vit import PositionalBlock, PositionalVisionTransformer

__all__ = ["PositionalAttention", "PositionalBlock", "PositionalVisionTransformer"]
