"""The simplified ViT of the paper, written out in full at explicit small sizes.

    F_{A,v}(X) = Σ_i σ(D Σ_j S_ij ⟨v, X_j⟩),   S = softmax(A/τ) by rows,   loss log(1 + e^{−yF}).

Every entry of A (D, D), v (d,) and X (D, d) is a symbol of its own and nothing is assumed about
them: what the theory derives from symmetry is checked against the derivatives taken here.  The
weights w_ij = e^{A_ij/τ} stand in for A, because F is rational in them and rational functions can
be compared exactly.  In: D, d, an activation.  Out: expressions, and numeric code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sympy as sp

from theory.inputs import integer

__all__ = ["SimplifiedViT", "polynomial_activation"]


def polynomial_activation(p: Any, nu: Any) -> Callable[[Any], Any]:
    """The paper's activation σ(x) = x^p + νx; the theory of the coefficients needs p odd.

    Examples
    --------
    >>> polynomial_activation(3, 2)(5)
    135
    """
    return lambda x: x**p + nu * x


def _symbols(name: str, rows: int, columns: int, **assumptions: bool) -> sp.ImmutableMatrix:
    return sp.ImmutableMatrix(
        rows, columns, lambda i, j: sp.Symbol(f"{name}_{i}_{j}", **assumptions)
    )


@dataclass(frozen=True)
class SimplifiedViT:
    """F, its loss and their gradients in symbols.

    Parameters
    ----------
    D, d : int
        Numbers of patches and of pixels in a patch.
    activation : callable
        σ, from expression to expression.
    tau : sympy expression
        The temperature τ > 0.

    Attributes
    ----------
    weights, logits : Matrix (D, D)
        Symbols w_ij = e^{A_ij/τ} > 0, and A_ij.
    v, X : Matrix (d, 1) and (D, d)
        Symbols of the value vector and of the patches (rows of X).
    attention : Matrix (D, D)
        S in the weights.
    output : Expr
        F in weights, v and X.

    Examples
    --------
    Uniform attention over two patches of one pixel sees their sum.

    >>> vit = SimplifiedViT(D=2, d=1, activation=polynomial_activation(3, 0))
    >>> vit.function([vit.output])([[1, 1], [1, 1]], [1], [[2], [3]])
    [250.0]
    """

    D: int
    d: int
    activation: Callable[[Any], Any]
    tau: sp.Expr = field(default_factory=lambda: sp.Symbol("tau", positive=True))

    def __post_init__(self) -> None:
        for name in ("D", "d"):
            value = integer(f"SimplifiedViT.{name}", getattr(self, name), least=1)
            object.__setattr__(self, name, value)

    @cached_property
    def weights(self) -> sp.ImmutableMatrix:
        return _symbols("w", self.D, self.D, positive=True)

    @cached_property
    def logits(self) -> sp.ImmutableMatrix:
        return _symbols("A", self.D, self.D, real=True)

    @cached_property
    def v(self) -> sp.ImmutableMatrix:
        return _symbols("v", self.d, 1, real=True)

    @cached_property
    def X(self) -> sp.ImmutableMatrix:
        return _symbols("X", self.D, self.d, real=True)

    @cached_property
    def attention(self) -> sp.ImmutableMatrix:
        totals = [sp.Add(*self.weights.row(i)) for i in range(self.D)]
        return sp.ImmutableMatrix(self.D, self.D, lambda i, j: self.weights[i, j] / totals[i])

    @cached_property
    def output(self) -> sp.Expr:
        seen = self.D * self.attention * self.X * self.v
        return sp.Add(*(self.activation(O) for O in seen))

    def loss(self, y: Any) -> sp.Expr:
        """Logistic loss log(1 + e^{−yF}) of one sample of label y = ±1."""
        return sp.log(1 + sp.exp(-y * self.output))

    def gradient(self, expression: sp.Expr) -> tuple[sp.ImmutableMatrix, sp.ImmutableMatrix]:
        """Derivatives in A, shape (D, D), and in v, shape (d, 1), of F, the loss or any function.

        The chain rule through w_ij = e^{A_ij/τ} is ∂/∂A_ij = (w_ij/τ) ∂/∂w_ij.
        """
        in_A = self.weights.applyfunc(lambda w: w / self.tau * expression.diff(w))
        return in_A, self.v.applyfunc(expression.diff)

    def in_logits(self, expression: sp.Expr) -> sp.Expr:
        """The same function written in A, with e^{A_ij/τ} for w_ij."""
        pairs = zip(self.weights, self.logits, strict=True)
        return expression.xreplace({w: sp.exp(A / self.tau) for w, A in pairs})

    def function(self, expressions: list[sp.Expr], *parameters: sp.Symbol) -> Callable[..., list]:
        """Numeric code ``f(weights, v, X, *parameters)`` for a list of expressions.

        Arguments are nested sequences of shapes (D, D), (d,) and (D, d).  F and its gradients use
        + − * / and integer powers alone, so the code serves floats, Fractions and balls alike
        (an int divided by an int is a float in Python: exact arguments are all Fractions).
        """
        arguments = [self.weights.tolist(), list(self.v), self.X.tolist(), *parameters]
        return sp.lambdify(arguments, expressions, "math", cse=True)
