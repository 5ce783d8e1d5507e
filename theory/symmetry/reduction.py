"""The reduced model: everything the network does, in three coefficients.

On the invariant subspace (A_ii = σ_A, A_ij = γ inside a set and ρ across sets, v = αw*) the rows of
softmax(A/τ) hold three levels Λ (own patch), Γ (own set) and Ξ (other sets).  For a sample of label
+1 with features of total T, a patch with feature δ, in a set whose features sum to s, has
pre-activation

    O = αD[Λδ + Γ(s − δ) + Ξ(T − s)],        F = Σ_patches σ(O),   σ(x) = x^p + νx,

so F and ∂F are sums over sets of a function of the set's *type* (n₊, n₋) and of T.
:func:`set_output` and :func:`set_derivatives` define these functions in symbols, and the book
prints them; :mod:`theory.symmetry.terms` evaluates them.
In: the symbols of :mod:`theory.symmetry.symbols`.  Out: expressions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import sympy as sp

from theory.model.vit import polynomial_activation
from theory.symmetry.symbols import (
    C,
    D,
    Gamma,
    Lambda,
    T,
    Xi,
    alpha,
    at,
    gamma,
    n_minus,
    n_plus,
    nu,
    p,
    rho,
    sigma_A,
    tau,
)

__all__ = [
    "activation",
    "activation_slope",
    "pair_counts",
    "pre_activation",
    "set_derivatives",
    "set_output",
    "symbolic_levels",
]


def activation(x: Any) -> Any:
    """σ(x) = x^p + νx with the symbols p and ν."""
    return polynomial_activation(p, nu)(x)


def activation_slope(x: Any) -> Any:
    """σ'(x), with the power written p·x^(p−1) so that it can be evaluated at x = 0."""
    y = sp.Dummy("y", real=True)
    return sp.powsimp(sp.expand(activation(y).diff(y))).subs(y, x)


def symbolic_levels() -> dict[sp.Symbol, sp.Expr]:
    """Λ, Γ, Ξ as functions of σ_A, γ, ρ, τ (rows of softmax(A/τ))."""
    diagonal, inside, across = (sp.exp(x / tau) for x in (sigma_A, gamma, rho))
    Z = diagonal + (C - 1) * inside + (D - C) * across
    return at(Lambda=diagonal / Z, Gamma=inside / Z, Xi=across / Z)


def pre_activation(delta: Any) -> sp.Expr:
    """O of a patch with feature ``delta`` in a set of type (n₊, n₋), at total T."""
    set_sum = n_plus - n_minus
    # Own patch, rest of the own set, other sets: levels of different size never cancel here.
    seen = Lambda * delta + Gamma * (set_sum - delta) + Xi * (T - set_sum)
    return alpha * D * seen


def _over_patches(term: Any) -> sp.Expr:
    """Σ over the patches of one set of ``term(δ)``."""
    n_zero = C - n_plus - n_minus
    return n_plus * term(1) + n_minus * term(-1) + n_zero * term(0)


def set_output() -> sp.Expr:
    """What one set adds to F."""
    return _over_patches(lambda delta: activation(pre_activation(delta)))


def _levels_derivative(level: sp.Symbol, coefficient: sp.Symbol) -> sp.Expr:
    """∂level/∂coefficient, written in Λ, Γ, Ξ: differentiate the softmax, name its parts again."""
    weight = {x: sp.Dummy(positive=True) for x in (sigma_A, gamma, rho)}
    exponentials = {sp.exp(x / tau): w for x, w in weight.items()}
    expression = symbolic_levels()[level].subs(exponentials)
    w, Z = weight[coefficient], sp.denom(expression)
    # Over Z² the numerator is a polynomial, free of terms such as 1 − (C−1)Γ that cancel.
    numerator = sp.cancel(w * expression.diff(w) * Z**2)
    # Λ, Γ, Ξ are the exponentials in units of Z, so Z itself becomes 1.
    named = dict(zip(weight.values(), (Lambda, Gamma, Xi), strict=True))
    return numerator.subs(named) / tau


def _by_levels(expression: sp.Expr) -> sp.Expr:
    """The same polynomial in Λ, Γ, Ξ with each coefficient in factors.

    Coefficients hold integers, which floats subtract exactly; levels of different size, which they
    do not, are never subtracted from themselves.
    """
    polynomial = sp.Poly(expression, Lambda, Gamma, Xi)
    return sp.Add(
        *(
            sp.factor(c) * sp.Mul(*(x**k for x, k in zip(polynomial.gens, powers, strict=True)))
            for powers, c in polynomial.terms()
        )
    )


def _set_derivative(coefficient: sp.Symbol) -> sp.Expr:
    """∂(what one set adds to F)/∂coefficient, by the chain rule through O."""

    def term(delta: int) -> sp.Expr:
        O = pre_activation(delta)
        if coefficient == alpha:
            return activation_slope(O) * O.diff(alpha)
        slope = sum(
            O.diff(level) * _levels_derivative(level, coefficient) for level in (Lambda, Gamma, Xi)
        )
        return activation_slope(O) * _by_levels(slope)

    return _over_patches(term)


@lru_cache(maxsize=1)
def set_derivatives() -> dict[sp.Symbol, sp.Expr]:
    """∂/∂α, ∂/∂γ, ∂/∂ρ of :func:`set_output`, in Λ, Γ, Ξ."""
    return {x: _set_derivative(x) for x in (alpha, gamma, rho)}


def pair_counts() -> dict[sp.Symbol, sp.Expr]:
    """Ordered pairs i ≠ j that share the coefficient γ (inside a set) or ρ (across sets).

    The derivative of F in a coefficient is the sum of ∂F/∂A_ij over its pairs.
    """
    return at(gamma=D * (C - 1), rho=D * (D - C))
