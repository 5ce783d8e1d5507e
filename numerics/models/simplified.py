"""The simplified vision transformer of the paper, with its full parameters, in torch.

F_{A,v}(X) = Σ_i σ(D Σ_j S_ij ⟨v, X_j⟩), S = softmax(A/τ), σ(x) = x^p + νx.  All of v, and of A off
the diagonal, is trained: nothing here knows of the three coefficients or of the partition.

S, whose rows sum to one, depends on where patches are, not on what they hold; it is there on
request, so what the model attends to is always readable.

In: patches X of shape (N, D, d).  Out: F of shape (N,), and S if asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from theory.inputs import integer, real
from theory.setting import Setting

__all__ = [
    "AttentionMatrix",
    "SimplifiedViT",
    "error_rate",
    "logistic_loss",
    "polynomial_activation",
    "positional_attention",
]


def polynomial_activation(p: int, nu: float) -> Callable[[Tensor], Tensor]:
    """Return the activation σ(x) = x^p + νx of the paper, applied entry by entry.

    Examples
    --------
    >>> polynomial_activation(3, 0.5)(torch.tensor([2.0]))
    tensor([9.])
    """

    p = integer("p", p, least=1)

    def activation(x: Tensor) -> Tensor:
        return x**p + nu * x

    return activation


def logistic_loss(F: Tensor, y: Tensor) -> Tensor:
    """Mean of log(1 + exp(−yF)), without overflow.

    Examples
    --------
    >>> logistic_loss(torch.tensor([0.0, 1000.0]), torch.tensor([1.0, 1.0]))
    tensor(0.3466)
    """
    return nn.functional.softplus(-y * F).mean()


def error_rate(F: Tensor, y: Tensor) -> Tensor:
    """Fraction of images with yF ≤ 0, ties counted as errors.

    Examples
    --------
    >>> error_rate(torch.tensor([0.0, 2.0, -1.0, 3.0]), torch.tensor([1.0, 1.0, -1.0, -1.0]))
    tensor(0.5000)
    """
    return (y * F <= 0).double().mean().to(F.dtype)


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


class SimplifiedViT(nn.Module):
    """F_{A,v} with trainable ``v`` (d,) and ``A`` (D, D), the diagonal of ``A`` held at σ_A.

    Build it with :meth:`idealized` or :meth:`realistic`, or from any weights.

    Parameters
    ----------
    setting : Setting
        Gives D, p, ν, σ_A and τ.
    v : Tensor, shape (d,)
    A : Tensor, shape (D, D)
        Its diagonal is overwritten by σ_A.
    activation : callable, optional
        Replaces σ(x) = x^p + νx, for variants of the model.
    train_diagonal : bool
        Train the diagonal of ``A`` as well.

    Raises
    ------
    ValueError
        If a shape does not fit the setting, or a weight is not finite.

    Examples
    --------
    >>> setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.0, sigma_A=0.0)
    >>> model = SimplifiedViT.idealized(setting, torch.tensor([1.0, 0.0]), alpha=0.5)
    >>> F, S = model(torch.ones(1, 6, 2), return_attention=True)
    >>> F.item(), S.shape  # every pre-activation is 6 · 0.5, so F = 6 · 3³
    (162.0, torch.Size([6, 6]))
    """

    def __init__(
        self,
        setting: Setting,
        v: Tensor,
        A: Tensor,
        *,
        activation: Callable[[Tensor], Tensor] | None = None,
        train_diagonal: bool = False,
    ) -> None:
        super().__init__()
        if v.ndim != 1 or not bool(torch.isfinite(v).all()):
            raise ValueError(
                f"SimplifiedViT.v of shape {tuple(v.shape)}: v must be a finite vector (d,)"
            )
        if tuple(A.shape) != (setting.D, setting.D):
            raise ValueError(
                f"SimplifiedViT.A has shape {tuple(A.shape)}: A must be (D, D) with D = {setting.D}"
            )
        self.setting = setting
        self.activation = activation or polynomial_activation(setting.p, float(setting.nu))
        self.v = nn.Parameter(v.detach().clone())
        self.attention = AttentionMatrix(
            A, float(setting.sigma_A), float(setting.temperature), train_diagonal=train_diagonal
        )

    @property
    def A(self) -> nn.Parameter:
        """The attention logits, shape (D, D)."""
        return self.attention.A

    @classmethod
    def idealized(cls, setting: Setting, w_star: Tensor, alpha: float, **options) -> Self:
        """Start at v = α⁰w* and A_ij = 0 off the diagonal, as the paper's population analysis."""
        return cls(setting, alpha * w_star, w_star.new_zeros(setting.D, setting.D), **options)

    @classmethod
    def realistic(
        cls,
        setting: Setting,
        d: int,
        omega: float,
        generator: torch.Generator,
        *,
        dtype: torch.dtype = torch.float32,
        **options,
    ) -> Self:
        """Start at v and A (off the diagonal) Gaussian, independent, of standard deviation ω."""
        d = integer("SimplifiedViT.realistic.d", d, least=1)
        omega = float(real("SimplifiedViT.realistic.omega", omega, least=0))
        draw: dict[str, Any] = {"generator": generator, "device": generator.device, "dtype": dtype}
        v = omega * torch.randn(d, **draw)
        A = omega * torch.randn(setting.D, setting.D, **draw)
        return cls(setting, v, A, **options)

    def forward(
        self, X: Tensor, *, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """F of shape (N,) for patches ``X`` of shape (N, D, d); with it S, if asked for.

        Raises
        ------
        ValueError
            If the shape of ``X`` does not fit.
        """
        D, d = self.setting.D, len(self.v)
        if X.ndim != 3 or tuple(X.shape[1:]) != (D, d):
            raise ValueError(
                f"SimplifiedViT.X has shape {tuple(X.shape)}: X must be (N, D, d) = (N, {D}, {d})"
            )
        S = self.attention()
        # Projecting on v first costs N·D·d; averaging patches first would cost N·D²·d.
        F = self.activation(D * (X @ self.v) @ S.T).sum(dim=-1)
        return (F, S) if return_attention else F
