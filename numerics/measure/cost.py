"""What a vision transformer with full or positional attention costs, by arithmetic.

Two counts for a batch of B images: the floating-point operations of the matrix products
(:func:`flops`), and the bytes that the operations read and write (:func:`traffic`).  Divided by
what a device can do in a second they bound its time from below, each under an assumption.  The
products are those of every way to run the network.  The bytes are those of uncompiled execution, in
which each operation reads its inputs from memory and writes its output there once.  A compiler
fuses norms, nonlinearities, sums and copies, and moves fewer; a cache that still holds an input
gives it faster.  Then ``traffic`` is an estimate for separate operations, and no bound.

In: a timm ``VisionTransformer``, or its :class:`Shape`.  Out: operations and bytes.  Neither is
measured here; :mod:`numerics.experiments.attention_cost` measures time beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from timm.models.vision_transformer import Block, VisionTransformer

from numerics.models.cnn import parameter_count
from numerics.positional import PositionalBlock
from theory.inputs import integer

__all__ = ["KINDS", "Shape", "flops", "shape_of", "traffic"]

#: Kinds of attention, and what the names of timm's models have at their end for each.
KINDS = {"full": "", "positional": "_positional"}

#: AdamW reads a weight, its gradient and two moments, and writes the weight and the moments.
OPTIMIZER_BYTES = 7 * 4

# Numbers that an operation reads and writes for one token, (forward, backward), in units of C.
# A weight's product is differentiated twice, and its bias sums the gradient once more.
COMMON = {
    "two norms": (4, 6),
    "two sums with the residual": (6, 6),
    "output projection": (2, 4 + 1),
    "the narrow ends of the perceptron": (2, 4 + 1),
}
OWN = {
    "full": {
        "queries, keys and values": (4, 8 + 3),
        "fused attention": (4, 8),
        "their gradients stacked, and put in order": (0, 6 + 6),
    },
    "positional": {
        "values": (2, 4 + 1),
        "product with S": (2, 4),
        "images and channels brought together before it, and apart after it": (4, 4),
    },
}
#: The wide ends of the perceptron and its nonlinearity, in units of its hidden width.
HIDDEN = (1 + 2 + 1, 2 + 1 + 3 + 2)
#: The one map of positional attention, for each of its heads·N² numbers: logits written, scaled,
#: passed through softmax, read by the product with the values.
MAP = (1 + 2 + 2 + 1, 2 + 3 + 2 + 2)


@dataclass(frozen=True)
class Shape:
    """What the cost of a vision transformer depends on; all are integers >= 1.

    Parameters
    ----------
    N : int
        Tokens of an image, the class token and registers among them.
    patches : int
        Tokens that are made from pixels, at most N.
    C : int
        Width: numbers in a token.
    hidden : int
        Width of the hidden layer of a block's perceptron.
    depth, heads : int
        Blocks, and attention heads in each.
    pixels : int
        Numbers in a patch, over all colours.
    classes : int
        Outputs of the network.
    parameters : int
        Numbers that the optimizer updates.

    Raises
    ------
    ValueError
        Naming the field, its value and what is allowed.
    """

    N: int
    patches: int
    C: int
    hidden: int
    depth: int
    heads: int
    pixels: int
    classes: int
    parameters: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value = integer(f"Shape.{field.name}", getattr(self, field.name), least=1)
            object.__setattr__(self, field.name, value)
        if self.patches > self.N:
            raise ValueError(
                f"Shape.patches = {self.patches}: patches must be at most N = {self.N}"
            )


def _check_kind(owner: str, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"{owner}.kind = {kind!r}: kind must be one of {', '.join(KINDS)}")


def shape_of(model: VisionTransformer) -> Shape:
    """Read the sizes off a model.

    Raises
    ------
    ValueError
        If its blocks are not timm's plain ones, or it pools by attention: the formulas know
        neither.

    Examples
    --------
    >>> model = VisionTransformer(
    ...     img_size=8, patch_size=4, embed_dim=8, depth=1, num_heads=2, num_classes=3
    ... )
    >>> shape_of(model)  # doctest: +NORMALIZE_WHITESPACE
    Shape(N=5, patches=4, C=8, hidden=32, depth=1, heads=2, pixels=48, classes=3, parameters=1355)
    """
    blocks = list(model.blocks)
    plain = all(type(block) in (Block, PositionalBlock) for block in blocks)
    if not plain or model.attn_pool is not None:
        raise ValueError(
            "shape_of.model has other blocks or another pooling than timm's vit_*_patch*: the "
            "cost of those is not known here"
        )
    return Shape(
        N=model.patch_embed.num_patches + model.num_prefix_tokens,
        patches=model.patch_embed.num_patches,
        C=model.embed_dim,
        hidden=blocks[0].mlp.fc1.out_features,
        depth=len(blocks),
        heads=blocks[0].attn.num_heads,
        pixels=model.patch_embed.proj.weight[0].numel(),
        classes=model.num_classes,
        parameters=parameter_count(model),
    )


def flops(kind: str, shape: Shape, batch: int, *, training: bool = False) -> int:
    """Floating-point operations of all matrix products, a multiplication and an addition each.

    In a block every token of every image meets the weights of the values and of the output
    projection, 2C² operations each, and of the perceptron, 4C·hidden; mixing the values is 2NC.
    Queries and keys, 4C², and their products, 2NC, are made for every token of every image in full
    attention, and for every position once in positional attention.  Softmax, norms, sums and
    nonlinearities are left out.  Backward differentiates each product in both factors, so a
    training step is three forward passes, but for the first product, whose images need no gradient.

    Parameters
    ----------
    kind : str
        ``full`` or ``positional``.
    shape : Shape
    batch : int
        Images B >= 1.
    training : bool
        Count a training step instead of a forward pass.

    Returns
    -------
    int
        Operations for the whole batch, without unit.  A lower bound: fused attention does more in
        backward, for it makes its map a second time.

    Raises
    ------
    ValueError
        If ``kind`` or ``batch`` is not allowed.

    Examples
    --------
    A ViT-Ti/16 at 224 × 224 pixels, in 10⁹ operations an image:

    >>> shape = Shape(N=197, patches=196, C=192, hidden=768, depth=12, heads=3, pixels=768,
    ...               classes=1000, parameters=5717416)
    >>> [round(flops(kind, shape, 256) / 256 / 1e9, 2) for kind in KINDS]
    [2.51, 1.98]
    """
    _check_kind("flops", kind)
    batch = integer("flops.batch", batch, least=1)
    s = shape
    sets = batch if kind == "full" else 1
    tokens = batch * s.N * (4 * s.C**2 + 4 * s.C * s.hidden + 2 * s.N * s.C)
    maps = sets * s.N * (4 * s.C**2 + 2 * s.N * s.C)
    embedding = batch * s.patches * 2 * s.pixels * s.C
    forward = s.depth * (tokens + maps) + embedding + batch * 2 * s.C * s.classes
    return 3 * forward - embedding if training else forward


def traffic(kind: str, shape: Shape, batch: int, size: int, *, training: bool = False) -> int:
    """Bytes that the blocks move if each operation reads its inputs and writes its output once.

    The operations are those that PyTorch runs for timm's block, uncompiled; what each moves is
    listed at the top of the module.  For every token norms, sums with the residual, products with
    weights, the nonlinearity, and copies that bring numbers into the order a product needs.  Fused
    attention keeps its map on the chip; positional attention writes and reads its map, one for all
    images.  Left out are weights and their gradients, which move once for the batch, the queries
    and keys of the positions, the embedding and the classes.

    Parameters
    ----------
    kind : str
        ``full`` or ``positional``.
    shape : Shape
    batch : int
        Images B >= 1.
    size : int
        Bytes of a number: 4 for float32, 2 for bfloat16.
    training : bool
        Count a training step instead of a forward pass, and with it the 28 bytes that AdamW moves
        for each parameter: it reads the weight, its gradient and two moments, and writes the
        weight and the moments, all in float32.

    Returns
    -------
    int
        Bytes for the whole batch.  A lower bound for separate operations on memory without cache;
        for a compiled network an estimate only.

    Raises
    ------
    ValueError
        If ``kind``, ``batch`` or ``size`` is not allowed.

    Examples
    --------
    Forward, the two kinds move the same but for the map:

    >>> shape = Shape(N=197, patches=196, C=192, hidden=768, depth=12, heads=3, pixels=768,
    ...               classes=1000, parameters=5717416)
    >>> traffic("positional", shape, 8, 4) - traffic("full", shape, 8, 4) == 12 * 6 * 3 * 197**2 * 4
    True
    """
    _check_kind("traffic", kind)
    batch = integer("traffic.batch", batch, least=1)
    size = integer("traffic.size", size, least=1)
    s = shape
    operations = [*COMMON.values(), *OWN[kind].values()]
    moved = 0
    for phase in range(2 if training else 1):
        per_token = s.C * sum(numbers[phase] for numbers in operations) + s.hidden * HIDDEN[phase]
        moved += batch * s.N * per_token
        if kind == "positional":
            moved += s.heads * s.N**2 * MAP[phase]
    return s.depth * size * moved + (OPTIMIZER_BYTES * s.parameters if training else 0)
