"""The reduced model: everything the network does, in three coefficients.

On the invariant subspace (A_ii = σ_A, A_ij = γ inside a set and ρ across sets, v = αw*) the rows of
softmax(A/τ) hold three levels Λ (own patch), Γ (own set) and Ξ (other sets).  For a sample of label
+1 with features of total T, a patch with feature δ, in a set whose features sum to s, has
pre-activation

    O = αD[Λδ + Γ(s − δ) + Ξ(T − s)],        F = Σ_patches σ(O),   σ(x) = x^p + νx,

so F and ∂F are sums over sets of a function of the set's *type* (n₊, n₋) and of T.
:func:`set_output` and :func:`set_derivatives` define these functions in symbols, and the book
prints them.  :func:`set_terms` evaluates a form of the same sums from which everything that
cancels identically has been taken out (:func:`stable_terms`): proved equal to the definition by
tests and by the ledger.  In: a setting, a state, types.  Out: F and its derivatives, set by set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from numbers import Rational
from typing import TYPE_CHECKING, Any

import flint
import numpy as np
import sympy as sp

from theory.inputs import refuse
from theory.model.vit import polynomial_activation
from theory.rounding import UNIT, Rounded, least_error, rounded
from theory.setting import Coefficients, Setting

if TYPE_CHECKING:
    from theory.data.partition import Partition

__all__ = [
    "AttentionLevels",
    "NAMES",
    "SYMBOLS",
    "SetTerms",
    "activation",
    "activation_slope",
    "attention_levels",
    "coefficients_of",
    "float_terms",
    "pair_counts",
    "pre_activation",
    "set_derivatives",
    "set_output",
    "set_terms",
    "stable_terms",
    "symbolic_levels",
    "weights_of",
]


# The fields of SetTerms, in order.
NAMES = ("F", "alpha", "gamma", "rho")


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
    """The three values in a row of softmax(A/τ): own patch, own set, other sets.

    ``own`` = Λ − Γ and ``inside`` = Γ − Ξ are what a patch weighs beyond its set, and its set
    beyond the others.  In floats they have digits that the difference of two levels has lost.
    """

    Lambda: Any
    Gamma: Any
    Xi: Any
    own: Any = None
    inside: Any = None

    def __post_init__(self) -> None:
        if self.own is None:
            object.__setattr__(self, "own", self.Lambda - self.Gamma)
        if self.inside is None:
            object.__setattr__(self, "inside", self.Gamma - self.Xi)


def _exact(value: Any) -> flint.fmpq:
    number = Fraction(value if isinstance(value, Rational) else float(value))
    return flint.fmpq(int(number.numerator), int(number.denominator))


def _nearest(ball: flint.arb) -> float:
    """The float next to a narrow ball; 0 for 0 only."""
    return float(ball.mid()) or (0.0 if ball == 0 else math.copysign(math.ulp(0.0), ball.sgn()))


def _float_levels(setting: Setting, logits: list[Any]) -> AttentionLevels:
    """Levels and their differences, each rounded once: the exponentials are taken in balls."""
    sigma_A, gamma, rho = (_exact(x) / _exact(setting.temperature) for x in logits)

    def above(high: flint.fmpq, low: flint.fmpq) -> flint.arb:
        """(e^high − e^low) / e^max(high, low)."""
        gap = high - low
        return -flint.arb(-gap).expm1() if gap > 0 else flint.arb(gap).expm1()

    with flint.ctx.workprec(128):
        top = max(sigma_A, gamma, rho)
        weights = [flint.arb(x - top).exp() for x in (sigma_A, gamma, rho)]
        Lambda, Gamma, Xi = _generated_levels()(*weights, setting.L, setting.C)
        own = above(sigma_A, gamma) * (Lambda if sigma_A > gamma else Gamma)
        inside = above(gamma, rho) * (Gamma if gamma > rho else Xi)
        return AttentionLevels(*map(_nearest, (Lambda, Gamma, Xi, own, inside)))


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
        Unless told, float64: the levels of the exact parameters, rounded once.

    Examples
    --------
    >>> setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.0, sigma_A=0.0)
    >>> attention_levels(setting, Coefficients(alpha=1.0, gamma=0.0, rho=0.0)).Lambda
    0.16666666666666666
    """
    # With C = 1 no pair holds γ and F is the same for all its values: ρ is the one that never
    # sets the scale of a row in which it does not occur.
    gamma = state.gamma if setting.C > 1 else state.rho
    logits = [setting.sigma_A, gamma, state.rho]
    if number is float:
        return _float_levels(setting, logits)
    logits = [number(x) for x in logits]
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


def _power(base: Any, exponent: int) -> Any:
    """A product: flint's x**k is nan for a ball around 0, and numpy's is slow."""
    result = 1
    while exponent:
        if exponent & 1:
            result = result * base
        exponent >>= 1
        if exponent:
            base = base * base
    return result


def stable_terms(
    setting: Setting,
    alpha: Any,
    levels: AttentionLevels,
    n_plus: Any,
    n_minus: Any,
    total: Any,
    *,
    nu: Any,
    crowded: bool = False,
    choose: Callable[..., Any] = least_error,
) -> list[Any]:
    """F, ∂F/∂α, τ∂F/∂γ, τ∂F/∂ρ of one set, without what vanishes in the sum over the L sets.

    With A = Λ − Γ, H = Γ − Ξ, a set of sum s and B = Hs + ΞT, a patch has O_δ = αD(Aδ + B).  Since
    rows of S sum to 1,

    * the linear part of F is ναD·T, whatever γ and ρ: every set takes its share ναCT, and ν drops
      out of ∂F/∂γ and ∂F/∂ρ;
    * what remains of them is Σ_δ n_δ w_δ O_δ^{p−1}, with w_δ a sum of levels times integers
      i − jδ.  The even power is O_0^{p−1} + δ·odd + δ²·even, where ``odd`` and ``even`` are sums
      of terms of one sign: what cancels among the patches of a set now cancels between integers;
    * O_0^{p−1} is multiplied by CT − Ds, which the sets sum to 0, so its value at B = ΞT is taken
      off, which leaves a product with H.  In a ``crowded`` law, where sets without a 0 are common,
      ``even`` is almost multiplied by CT − Ds as well, and loses its value at ΞT too.

    Parameters
    ----------
    setting : Setting
        Only L, C and p are read.
    alpha, levels, n_plus, n_minus, total
        As in :func:`set_terms`, of any ring: polynomials and :class:`Rounded` included.
    nu : number
    crowded : bool
        Which of two forms, which have the same sum over the sets.
    choose : callable
        Picks one of several expressions of one number.
    """
    L, C, p = setting.L, setting.C, setting.p
    D, s, m, T = L * C, n_plus - n_minus, n_plus + n_minus, total
    far, lean = T - s, C * T - D * s
    counts = {1: n_plus, -1: n_minus, 0: C - m}

    rise, base = levels.inside * s, levels.Xi * T
    seen = {
        x: choose(
            levels.own * x + (rise + base),
            levels.Lambda * x + levels.Gamma * (s - x) + levels.Xi * far,
        )
        for x in counts
    }
    scale = alpha * D
    powers = {x: _power(scale * O, p - 1) for x, O in seen.items()}
    a, b, b0, h = (scale * x for x in (levels.own, seen[0], base, rise))
    u, v, v0 = a * a, b * b, b0 * b0

    odd = even = mean = change = 0 * v
    reference, u_power, v0_power = int(crowded), 1, 1
    for j in range(1, (p + 1) // 2):
        # By Horner's rule, N = (p−1)/2: Σ_j binom(2N, 2j−1) u^{j−1} v^{N−j}, the same with 2j,
        # and, in crowded laws over all j, else for j = N, binom(2N, 2j) u^{N−j} times v₀^j or
        # (v^j − v₀^j)/(v − v₀).
        binomial = _binomial(p - 1, 2 * j, alpha)
        odd = odd * v + _binomial(p - 1, 2 * j - 1, alpha) * u_power
        even = even * v + binomial * u_power
        mean, v0_power = mean * v + v0_power, v0_power * v0
        change, reference, u_power = change * u, reference * u, u_power * u
        if crowded or 2 * j == p - 1:
            change, reference = change + binomial * mean, reference + binomial * v0_power
    odd, even, change = a * b * odd, u * even, h * (h + 2 * b0) * change

    def weighted(*forms: list[tuple[Any, Any, Any]]) -> Any:
        """Σ_δ n_δ w_δ O_δ^{p−1} less its reference; forms of w_δ as Σ level·(i − jδ)."""

        def coefficient(of: Callable[[Any, Any], Any]) -> Any:
            return choose(*(sum(level * of(i, j) for level, i, j in form) for form in forms))

        at_zero = coefficient(lambda i, j: C * i - s * j)  # a multiple of CT − Ds
        split = at_zero * change + coefficient(lambda i, j: s * i - m * j) * odd
        split = split + even * coefficient(lambda i, j: (m - C) * i if crowded else m * i - s * j)
        of_kind = {
            1: coefficient(lambda i, j: i - j),
            -1: coefficient(lambda i, j: i + j),
            0: coefficient(lambda i, j: i),
        }
        each = sum(count * of_kind[x] * powers[x] for x, count in counts.items())
        return choose(split, each + -1 * at_zero * reference)

    A, Lambda, Gamma, Xi, rest = levels.own, levels.Lambda, levels.Gamma, levels.Xi, D - C
    in_gamma = weighted([(Lambda, s, C), (Xi, rest * s - (C - 1) * far, rest)])
    in_rho = weighted(
        [(A, far, rest), (Gamma, lean, 0)],
        [(Lambda, far, rest), (Gamma, (C - 1) * far - rest * s, -rest)],
    )
    summed = sum(count * powers[x] * seen[x] for x, count in counts.items())
    linear = nu * (C * T)
    return [
        scale * summed + alpha * linear,
        p * D * summed + linear,
        p * scale * Gamma * in_gamma,
        p * scale * Xi * in_rho,
    ]


def _binomial(n: int, k: int, like: Any) -> Any:
    """A binomial coefficient in the arithmetic of ``like``."""
    try:
        return rounded(math.comb(n, k)) if isinstance(like, Rounded) else math.comb(n, k)
    except OverflowError:
        raise ArithmeticError(f"p = {n + 1} is too large for float64: reduce p") from None


def _terms(setting: Setting, values: list[Any], tau: Any) -> SetTerms:
    F, alpha, gamma, rho = values
    inside, across = _generated_pair_counts()(setting.L, setting.C)
    # With C = 1 no pair lies inside a set: γ moves nothing and its gradient is zero.
    return SetTerms(F, alpha, gamma / (inside * tau) if inside else 0 * gamma, rho / (across * tau))


def _float_terms(
    setting: Setting, alpha: Any, levels: AttentionLevels, n_plus: Any, n_minus: Any, total: Any
) -> tuple[SetTerms, SetTerms]:
    """Values and absolute errors."""
    parts = (levels.Lambda, levels.Gamma, levels.Xi, levels.own, levels.inside)
    # As numpy's float64, which overflows to infinity where a Python float would raise.
    kinds = [np.asarray(x, float) for x in (n_plus, n_minus, total)]
    values = stable_terms(
        setting,
        rounded(alpha),
        AttentionLevels(*map(rounded, parts)),
        *kinds,
        nu=rounded(setting.nu),
        crowded=_is_crowded(setting),
    )
    terms = _terms(setting, values, rounded(setting.temperature))
    found, shape = [getattr(terms, name) for name in NAMES], np.broadcast(*kinds).shape
    return (
        SetTerms(*(np.broadcast_to(x.value, shape) for x in found)),
        # Twice the error to first order: what that leaves out is smaller by p roundings.
        SetTerms(*(np.broadcast_to(2 * UNIT * x.error, shape) for x in found)),
    )


def _is_crowded(setting: Setting) -> bool:
    return 2 * setting.q > 1


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

    Only sums over the L sets of a sample have a meaning: what adds up to 0 over the sets, whatever
    their types, is left out of each (:func:`stable_terms`).

    Parameters
    ----------
    setting : Setting
    alpha : float, Fraction or flint.arb
        Value coefficient; the arithmetic of the result follows it and ``levels``.
    levels : AttentionLevels
        They fill a row: Λ + (C−1)Γ + (D−C)Ξ = 1.
    n_plus, n_minus, total : array_like of int
        Types of the sets and totals T of the samples; they broadcast.
    number : callable
        How ν and τ enter that arithmetic; as they are unless told.

    Returns
    -------
    SetTerms

    Raises
    ------
    ArithmeticError
        If p is so large that a binomial coefficient overflows float64.

    Examples
    --------
    With uniform attention every patch sees T/D, so F = D (αT)^3 over the D patches.

    >>> from fractions import Fraction
    >>> setting = Setting(L=2, C=2, q=0, p=3, nu=0, sigma_A=0)
    >>> uniform = AttentionLevels(*[Fraction(1, 4)] * 3)
    >>> set_terms(setting, Fraction(1), uniform, 2, 0, 2).F
    Fraction(16, 1)
    """
    if isinstance(alpha, float):
        return _float_terms(setting, alpha, levels, n_plus, n_minus, total)[0]
    nu, crowded = number(setting.nu), _is_crowded(setting)
    values = stable_terms(setting, alpha, levels, n_plus, n_minus, total, nu=nu, crowded=crowded)
    return _terms(setting, values, number(setting.temperature))


def float_terms(
    setting: Setting, state: Coefficients, n_plus: Any, n_minus: Any, total: Any
) -> tuple[SetTerms, SetTerms]:
    """:func:`set_terms` in float64 at a state, and bounds on the absolute errors.

    Raises
    ------
    ValueError
        If the state holds a ball that is no float.
    ArithmeticError
        If F or a derivative overflows float64.

    Examples
    --------
    >>> setting = Setting(L=3, C=2, q=0.5, p=3, nu=0.0, sigma_A=1.0)
    >>> terms, errors = float_terms(setting, Coefficients(0.3, 0.0, 0.0), 2, 0, 2)
    >>> bool(0 < errors.F < 1e-14 * terms.F)
    True
    """
    for name, value in vars(state).items():
        # Errors of floats cover no radius, and no digits beyond theirs.
        exact = not isinstance(value, flint.arb) or (value.is_exact() and value == float(value))
        if not exact:
            refuse(f"Coefficients.{name}", value, "no ball in floats (use method='certified')")
    levels = attention_levels(setting, state)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        terms, errors = _float_terms(setting, state.alpha, levels, n_plus, n_minus, total)
    finite = [np.isfinite(getattr(errors, name)).all() for name in NAMES]
    if not all(finite):
        alpha, tau = float(state.alpha), float(setting.temperature)
        if all(finite[:2]):
            raise ArithmeticError(
                f"the derivatives in gamma and rho overflow float64 at temperature = {tau:.3g}, "
                f"alpha = {alpha:.3g}, p = {setting.p}: take a temperature nearer to 1, or reduce "
                "alpha"
            )
        raise ArithmeticError(
            f"F overflows float64 at alpha = {alpha:.3g}, p = {setting.p}: reduce alpha"
        )
    return terms, errors


def weights_of(
    setting: Setting, state: Coefficients, partition: Partition, w_star: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The weights (A, v) that a state stands for: A of shape (D, D), v of shape (d,).

    ``ValueError`` unless the partition has the L sets of C patches of the setting.

    Examples
    --------
    >>> from theory.data.partition import Partition
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
