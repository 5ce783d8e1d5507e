"""The reduced model: everything the network does, in three coefficients.

On the invariant subspace (A_ii = σ_A, A_ij = γ inside a set and ρ across sets, v = αw*) the rows of
softmax(A/τ) hold three levels Λ (own patch), Γ (own set) and Ξ (other sets).  For a sample of label
+1 with features of total T, a patch with feature δ, in a set whose features sum to s, has
pre-activation

    O = αD[Λδ + Γ(s − δ) + Ξ(T − s)],        F = Σ_patches σ(O),   σ(x) = x^p + νx,

so F and ∂F are sums over sets of a function of the set's *type* (n₊, n₋) and of T.  The formulas
below are the only ones in the project: the book prints them, and the numeric functions are
generated from them.  In: a setting, a state, types.  Out: F and its derivatives, set by set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from theory.model import polynomial_activation
from theory.setting import Coefficients, Setting

if TYPE_CHECKING:
    from theory.partition import Partition

__all__ = [
    "AttentionLevels",
    "SYMBOLS",
    "SetTerms",
    "activation",
    "activation_slope",
    "attention_levels",
    "coefficients_of",
    "pair_counts",
    "pre_activation",
    "relative_rounding",
    "set_derivatives",
    "set_output",
    "set_terms",
    "symbolic_levels",
    "weights_of",
]


class _Symbols:
    """The symbols of the reduced model, under the paper's names."""

    L, C = sp.symbols("L C", integer=True, positive=True)
    p = sp.Symbol("p", integer=True, positive=True)
    q, nu = sp.symbols("q nu", nonnegative=True)
    tau = sp.Symbol("tau", positive=True)
    sigma_A, alpha, gamma, rho = sp.symbols("sigma_A alpha gamma rho", real=True)
    Lambda, Gamma, Xi = sp.symbols("Lambda Gamma Xi", positive=True)
    n_plus, n_minus = sp.symbols("n_plus n_minus", integer=True, nonnegative=True)
    delta, T = sp.symbols("delta T", integer=True)
    D = L * C


SYMBOLS = _Symbols
_s = SYMBOLS


def activation(x: Any) -> Any:
    """σ(x) = x^p + νx with the symbols p and ν."""
    return polynomial_activation(_s.p, _s.nu)(x)


def activation_slope(x: Any) -> Any:
    """σ'(x), with the power written p·x^(p−1) so that it can be evaluated at x = 0."""
    y = sp.Dummy("y", real=True)
    return sp.powsimp(sp.expand(activation(y).diff(y))).subs(y, x)


def symbolic_levels() -> dict[sp.Symbol, sp.Expr]:
    """Λ, Γ, Ξ as functions of σ_A, γ, ρ, τ (rows of softmax(A/τ))."""
    s = SYMBOLS
    diagonal, inside, across = (sp.exp(x / s.tau) for x in (s.sigma_A, s.gamma, s.rho))
    Z = diagonal + (s.C - 1) * inside + (s.D - s.C) * across
    return {s.Lambda: diagonal / Z, s.Gamma: inside / Z, s.Xi: across / Z}


def pre_activation(delta: Any) -> sp.Expr:
    """O of a patch with feature ``delta`` in a set of type (n₊, n₋), at total T."""
    s = SYMBOLS
    set_sum = s.n_plus - s.n_minus
    # Own patch, rest of the own set, other sets: levels of different size never cancel here.
    seen = s.Lambda * delta + s.Gamma * (set_sum - delta) + s.Xi * (s.T - set_sum)
    return s.alpha * s.D * seen


def relative_rounding(setting: Setting, state: Coefficients) -> float:
    """Relative rounding in float64 of what :func:`set_terms` adds up at a state.

    An exponential e^{x/τ} is off by |x/τ| roundings, and the p-th power multiplies that by p.
    """
    logits = [float(x) for x in (setting.sigma_A, state.gamma, state.rho)]
    spread = (max(logits) - min(logits)) / float(setting.temperature)
    return float(np.finfo(float).eps) * (8 + setting.p * (4 + spread))


def _over_patches(term: Any) -> sp.Expr:
    """Σ over the patches of one set of ``term(δ)``."""
    s = SYMBOLS
    n_zero = s.C - s.n_plus - s.n_minus
    return s.n_plus * term(1) + s.n_minus * term(-1) + n_zero * term(0)


def set_output() -> sp.Expr:
    """What one set adds to F."""
    return _over_patches(lambda delta: activation(pre_activation(delta)))


def _levels_derivative(level: sp.Symbol, coefficient: sp.Symbol) -> sp.Expr:
    """∂level/∂coefficient, written in Λ, Γ, Ξ: differentiate the softmax, name its parts again."""
    s = SYMBOLS
    weight = {x: sp.Dummy(positive=True) for x in (s.sigma_A, s.gamma, s.rho)}
    exponentials = {sp.exp(x / s.tau): w for x, w in weight.items()}
    expression = symbolic_levels()[level].subs(exponentials)
    w, Z = weight[coefficient], sp.denom(expression)
    # Over Z² the numerator is a polynomial, free of terms such as 1 − (C−1)Γ that cancel.
    numerator = sp.cancel(w * expression.diff(w) * Z**2)
    # Λ, Γ, Ξ are the exponentials in units of Z, so Z itself becomes 1.
    named = dict(zip(weight.values(), (s.Lambda, s.Gamma, s.Xi), strict=True))
    return numerator.subs(named) / s.tau


def _by_levels(expression: sp.Expr) -> sp.Expr:
    """The same polynomial in Λ, Γ, Ξ with each coefficient in factors.

    Coefficients hold integers, which floats subtract exactly; levels of different size, which they
    do not, are never subtracted from themselves.
    """
    s = SYMBOLS
    polynomial = sp.Poly(expression, s.Lambda, s.Gamma, s.Xi)
    return sp.Add(
        *(
            sp.factor(c) * sp.Mul(*(x**k for x, k in zip(polynomial.gens, powers, strict=True)))
            for powers, c in polynomial.terms()
        )
    )


def _set_derivative(coefficient: sp.Symbol) -> sp.Expr:
    """∂(what one set adds to F)/∂coefficient, by the chain rule through O."""
    s = SYMBOLS

    def term(delta: int) -> sp.Expr:
        O = pre_activation(delta)
        if coefficient == s.alpha:
            return activation_slope(O) * O.diff(s.alpha)
        slope = sum(
            O.diff(level) * _levels_derivative(level, coefficient)
            for level in (s.Lambda, s.Gamma, s.Xi)
        )
        return activation_slope(O) * _by_levels(slope)

    return _over_patches(term)


@lru_cache(maxsize=1)
def set_derivatives() -> dict[sp.Symbol, sp.Expr]:
    """∂/∂α, ∂/∂γ, ∂/∂ρ of :func:`set_output`, in Λ, Γ, Ξ."""
    s = SYMBOLS
    return {x: _set_derivative(x) for x in (s.alpha, s.gamma, s.rho)}


def pair_counts() -> dict[sp.Symbol, sp.Expr]:
    """Ordered pairs i ≠ j that share the coefficient γ (inside a set) or ρ (across sets).

    The derivative of F in a coefficient is the sum of ∂F/∂A_ij over its pairs.
    """
    s = SYMBOLS
    return {s.gamma: s.D * (s.C - 1), s.rho: s.D * (s.D - s.C)}


@lru_cache(maxsize=1)
def _generated_terms() -> Any:
    """Numeric code for F and its derivatives, generated from the expressions above."""
    s = SYMBOLS
    arguments = (
        *(s.alpha, s.Lambda, s.Gamma, s.Xi),
        *(s.n_plus, s.n_minus, s.T),
        *(s.L, s.C, s.p, s.nu),
    )
    # Only + − * and powers appear, so the code serves float arrays, Fractions and balls alike.
    # Derivatives in logits have one factor 1/τ, left to the caller: 1/τ rounds, x/τ need not.
    expressions = [set_output(), *(e.subs(s.tau, 1) for e in set_derivatives().values())]
    power = sp.Function("power")
    expressions = [e.replace(sp.Pow, power) for e in expressions]
    return sp.lambdify(arguments, expressions, [{"power": _power}, "math"], cse=True)


def _power(base: Any, exponent: int) -> Any:
    """A product: flint's x**k is nan for a ball around 0, and numpy's is slow."""
    result = 1
    for _ in range(exponent):
        result = result * base
    return result


@lru_cache(maxsize=1)
def _generated_pair_counts() -> Any:
    s = SYMBOLS
    return sp.lambdify((s.L, s.C), list(pair_counts().values()), "math")


@lru_cache(maxsize=1)
def _generated_levels() -> Any:
    """Numeric code for Λ, Γ, Ξ from the three exponentials e^{σ_A/τ}, e^{γ/τ}, e^{ρ/τ}."""
    s = SYMBOLS
    weights = sp.symbols("a g r", positive=True)
    exponentials = [sp.exp(x / s.tau) for x in (s.sigma_A, s.gamma, s.rho)]
    named = dict(zip(exponentials, weights, strict=True))
    levels = [level.subs(named) for level in symbolic_levels().values()]
    return sp.lambdify((*weights, s.L, s.C), levels, "math", cse=True)


@dataclass(frozen=True)
class AttentionLevels:
    """The three values in a row of softmax(A/τ): own patch, own set, other sets."""

    Lambda: Any
    Gamma: Any
    Xi: Any


def attention_levels(
    setting: Setting,
    state: Coefficients,
    *,
    number: Callable[[Any], Any] = float,
    exp: Callable[[Any], Any] = math.exp,
) -> AttentionLevels:
    """Attention levels Λ, Γ, Ξ at a state.

    Parameters
    ----------
    setting : Setting
    state : Coefficients
    number, exp : callable
        The arithmetic: how a parameter becomes a number, and the exponential of such numbers.
        float64 unless told.

    Examples
    --------
    >>> setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.0, sigma_A=0.0)
    >>> attention_levels(setting, Coefficients(alpha=1.0, gamma=0.0, rho=0.0)).Lambda
    0.16666666666666666
    """
    # With C = 1 no pair holds γ and F is the same for all its values: ρ is the one that never
    # sets the scale of a row in which it does not occur.
    gamma = state.gamma if setting.C > 1 else state.rho
    logits = [number(x) for x in (setting.sigma_A, gamma, state.rho)]
    # A row shift leaves softmax as it is and keeps every exponential at most 1.
    shift = number(max(float(x) for x in logits))
    weights = [exp((x - shift) / number(setting.temperature)) for x in logits]
    return AttentionLevels(*_generated_levels()(*weights, setting.L, setting.C))


@dataclass(frozen=True)
class SetTerms:
    """What one set adds to F and to ∂F (label +1): the summands of the exact expectation.

    ``alpha`` is ∂F/∂v·w*; ``gamma`` and ``rho`` are ∂F/∂A_ij averaged over the ordered pairs
    inside a set and across sets.  Arrays of the broadcast shape of the types and totals.
    """

    F: Any
    alpha: Any
    gamma: Any
    rho: Any


def set_terms(
    setting: Setting,
    alpha: Any,
    levels: AttentionLevels,
    n_plus: Any,
    n_minus: Any,
    total: Any,
    *,
    number: Callable[[Any], Any] = lambda value: value,
) -> SetTerms:
    """F and its derivatives for sets of type (n₊, n₋) in samples of label +1 and total T.

    Parameters
    ----------
    setting : Setting
    alpha : float, Fraction or flint.arb
        Value coefficient; the arithmetic of the result follows it and ``levels``.
    levels : AttentionLevels
    n_plus, n_minus, total : array_like of int
        Types of the sets and totals T of the samples; they broadcast.
    number : callable
        How ν and τ enter that arithmetic; as they are unless told.

    Returns
    -------
    SetTerms

    Examples
    --------
    With uniform attention every patch sees T/D, so F = D (αT)^3 over the D patches.

    >>> from fractions import Fraction
    >>> setting = Setting(L=2, C=2, q=0, p=3, nu=0, sigma_A=0)
    >>> uniform = AttentionLevels(*[Fraction(1, 4)] * 3)
    >>> set_terms(setting, Fraction(1), uniform, 2, 0, 2).F
    Fraction(16, 1)
    """
    F, alpha_total, gamma_total, rho_total = _generated_terms()(
        alpha,
        levels.Lambda,
        levels.Gamma,
        levels.Xi,
        n_plus,
        n_minus,
        total,
        setting.L,
        setting.C,
        setting.p,
        number(setting.nu),
    )
    inside, across = _generated_pair_counts()(setting.L, setting.C)
    tau = number(setting.temperature)
    # With C = 1 no pair lies inside a set: γ moves nothing and its gradient is zero.
    gamma_pair = gamma_total / (inside * tau) if inside else 0 * gamma_total
    return SetTerms(F, alpha_total, gamma_pair, rho_total / (across * tau))


def weights_of(
    setting: Setting, state: Coefficients, partition: Partition, w_star: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The weights (A, v) that a state stands for: A of shape (D, D), v of shape (d,).

    ``ValueError`` unless the partition has the L sets of C patches of the setting.

    Examples
    --------
    >>> from theory.partition import Partition
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.0, sigma_A=3.0)
    >>> A, v = weights_of(setting, Coefficients(alpha=0.5, gamma=1.0, rho=-1.0),
    ...                   Partition.contiguous(2, 2), np.array([0.0, 1.0]))
    >>> A[0].tolist(), v.tolist()
    ([3.0, 1.0, -1.0, -1.0], [0.0, 0.5])
    """
    partition.require(setting.L, setting.C)
    A = np.where(partition.same_set, float(state.gamma), float(state.rho))
    np.fill_diagonal(A, float(setting.sigma_A))
    return A, float(state.alpha) * _vector("w_star", w_star)


def _vector(name: str, value: np.ndarray) -> np.ndarray:
    vector = np.asarray(value, dtype=float)
    if vector.ndim != 1:
        raise ValueError(f"{name} of shape {vector.shape}: {name} must be a vector (d,)")
    return vector


def coefficients_of(
    A: np.ndarray, v: np.ndarray, partition: Partition, w_star: np.ndarray
) -> Coefficients:
    """The state nearest to weights (A, v): means of A over ordered pairs, and v·w*.

    On the invariant subspace this inverts :func:`weights_of`; with C = 1 no pair lies inside a set
    and γ is returned as 0.  ``ValueError`` if a shape does not fit, or there is one set only.
    """
    A, v, w_star = np.asarray(A, dtype=float), _vector("v", v), _vector("w_star", w_star)
    D = partition.D
    if A.shape != (D, D):
        raise ValueError(f"A of shape {A.shape}: A must have shape ({D}, {D}), as the partition")
    if v.shape != w_star.shape:
        raise ValueError(f"v of shape {v.shape}: v must have the shape {w_star.shape} of w_star")
    if partition.L < 2:
        raise ValueError("partition has one set: it must have two, or no pair lies across sets")
    same = partition.same_set
    inside = same & ~np.eye(D, dtype=bool)
    gamma = float(A[inside].mean()) if inside.any() else 0.0
    return Coefficients(float(v @ w_star), gamma, float(A[~same].mean()))
