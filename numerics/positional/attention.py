"""Multi-head attention whose weights depend on positions and not on the image.

With encodings P of shape (N, dim), head h has S_h = softmax(P W_Q (P W_K)ᵀ/√d_h) by rows, and the
output of image b is the concatenation over h of S_h X_b W_V, projected.  There is no batch axis in
S, so its cost is that of one image, and S_h meets all images in one matrix product.

In: tokens X of shape (B, N, dim) and P.  Out: tokens (B, N, dim); S of shape (heads, N, N) on
request.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PositionalAttention"]


class PositionalAttention(nn.Module):
    """The ``attn_layer`` of a :class:`~numerics.positional.vit.PositionalBlock`.

    Arguments, parameter names and shapes are those of timm's ``Attention``, so that weights can be
    exchanged with it.  The one difference: ``forward`` takes the encodings of the positions, and
    no mask, for which it would have no use.

    Parameters
    ----------
    dim, num_heads : int
        Width of a token and number of heads; ``num_heads`` divides ``dim``.
    qkv_bias, proj_bias : bool
        Whether W_Q, W_K, W_V and the output projection have a bias.
    qk_norm, scale_norm : bool
        Normalize Q and K in each head, or the output before its projection, by ``norm_layer``.
    attn_drop, proj_drop : float
        Dropout of S, one mask for all images as there is one S, and of the output.
    norm_layer : type of nn.Module, optional
    device, dtype
        Of the parameters.

    Raises
    ------
    ValueError
        If ``num_heads`` does not divide ``dim``, or a norm is asked for without a ``norm_layer``.

    Examples
    --------
    >>> attention = PositionalAttention(dim=8, num_heads=2)
    >>> tokens, positions = torch.randn(5, 3, 8), torch.randn(3, 8)
    >>> attention(tokens, positions).shape
    torch.Size([5, 3, 8])
    >>> attention.attention_map(positions).shape
    torch.Size([2, 3, 3])
    """

    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        qkv_bias: bool = False,
        qk_norm: bool = False,
        scale_norm: bool = False,
        proj_bias: bool = True,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        norm_layer: type[nn.Module] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise ValueError(
                f"PositionalAttention.num_heads = {num_heads}: num_heads must divide dim = {dim}"
            )
        if (qk_norm or scale_norm) and norm_layer is None:
            raise ValueError(
                "PositionalAttention.norm_layer = None: qk_norm and scale_norm need a norm_layer"
            )
        self.dim = dim
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias, device=device, dtype=dtype)

        def norm(wanted: bool, width: int) -> nn.Module:
            if not wanted or norm_layer is None:
                return nn.Identity()
            return norm_layer(width, device=device, dtype=dtype)

        self.q_norm = norm(qk_norm, self.head_dim)
        self.k_norm = norm(qk_norm, self.head_dim)
        self.attn_drop = nn.Dropout(attn_drop)
        self.norm = norm(scale_norm, dim)
        self.proj = nn.Linear(dim, dim, bias=proj_bias, device=device, dtype=dtype)
        self.proj_drop = nn.Dropout(proj_drop)

    def _project(self, x: Tensor, rows: slice) -> Tensor:
        bias = self.qkv.bias
        return F.linear(x, self.qkv.weight[rows], None if bias is None else bias[rows])

    def attention_map(self, positions: Tensor) -> Tensor:
        """The weights S that every image meets; rows sum to one.

        Parameters
        ----------
        positions : Tensor, shape (N, dim)
            Encodings of the N positions.

        Returns
        -------
        Tensor, shape (heads, N, N)
        """
        qk = self._project(positions, slice(2 * self.dim))
        q, k = qk.view(-1, 2, self.num_heads, self.head_dim).permute(1, 2, 0, 3)
        q, k = self.q_norm(q), self.k_norm(k)
        return torch.softmax(q @ k.transpose(1, 2) * self.head_dim**-0.5, dim=-1)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Mix the values of the tokens by S.

        Parameters
        ----------
        x : Tensor, shape (B, N, dim)
        positions : Tensor, shape (N, dim)
            Their encodings.

        Raises
        ------
        ValueError
            If the encodings are of another shape.
        """
        B, N, _ = x.shape
        if positions.shape != (N, self.dim):
            raise ValueError(
                f"PositionalAttention.positions has shape {tuple(positions.shape)}: positions must "
                f"have shape ({N}, {self.dim})"
            )
        S = self.attn_drop(self.attention_map(positions))
        values = self._project(x, slice(2 * self.dim, None))
        values = values.view(B, N, self.num_heads, self.head_dim)
        # Images and channels are one axis of the product: S is never copied for each image.
        mixed = torch.einsum("hij,bjhd->bihd", S, values).reshape(B, N, self.dim)
        return self.proj_drop(self.proj(self.norm(mixed)))
