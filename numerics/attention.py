"""Positional attention: weights that depend on where patches are, not on what they hold.

S = softmax(A / τ) by rows, with A of shape (D, D) trained and its diagonal fixed at σ_A.  In: the
logits A.  Out: the attention matrix S, whose rows sum to one.  The module returns S itself, so
what the model attends to is always readable.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["AttentionMatrix", "positional_attention"]


def positional_attention(A: Tensor, temperature: float = 1.0) -> Tensor:
    """Row softmax of the logits, S_ij = exp(A_ij/τ) / Σ_k exp(A_ik/τ).

    Parameters
    ----------
    A : Tensor, shape (D, D)
    temperature : float
        τ > 0.

    Returns
    -------
    Tensor, shape (D, D)

    Examples
    --------
    >>> positional_attention(torch.zeros(2, 2))
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    return torch.softmax(A / temperature, dim=-1)


class AttentionMatrix(nn.Module):
    """Holds the logits A and returns S = softmax(A / τ), with the diagonal of A held at σ_A.

    Parameters
    ----------
    A : Tensor, shape (D, D)
        Initial logits; the diagonal is overwritten by ``sigma_A``.
    sigma_A : float
    temperature : float
    train_diagonal : bool
        Let the diagonal, which starts at ``sigma_A``, be trained too.  The paper fixes it; a
        trained one makes every row sum of A a conserved quantity.

    Raises
    ------
    ValueError
        If ``A`` is not square, or not finite.

    Examples
    --------
    >>> attention = AttentionMatrix(torch.zeros(3, 3), sigma_A=2.0)
    >>> attention().sum().backward()
    >>> attention.A.grad.diagonal()
    tensor([0., 0., 0.])
    """

    diagonal: Tensor

    def __init__(
        self,
        A: Tensor,
        sigma_A: float,
        temperature: float = 1.0,
        *,
        train_diagonal: bool = False,
    ) -> None:
        super().__init__()
        if A.ndim != 2 or A.shape[0] != A.shape[1]:
            raise ValueError(
                f"AttentionMatrix.A has shape {tuple(A.shape)}: A must be square, (D, D)"
            )
        if not bool(torch.isfinite(A).all()):
            raise ValueError("AttentionMatrix.A has entries that are not finite numbers")
        self.temperature = temperature
        self.train_diagonal = train_diagonal
        self.A = nn.Parameter(A.detach().clone().fill_diagonal_(sigma_A))
        self.register_buffer("diagonal", torch.eye(len(A), dtype=torch.bool, device=A.device))

    def forward(self) -> Tensor:
        """The attention matrix S, of shape (D, D)."""
        A: Tensor = self.A
        if not self.train_diagonal:
            # The diagonal enters as a constant, so its gradient is exactly zero.
            A = torch.where(self.diagonal, A.detach(), A)
        return positional_attention(A, self.temperature)
