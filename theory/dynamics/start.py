"""How the coefficients leave the start: closed forms at γ = ρ = 0, for symbolic L, C and q.

While F is small the factor sig(−yF) of the gradient is ½, and gradient flow moves an entry of A or
v at half of E[y ∂F].  At γ = ρ = 0 the derivatives are polynomials in the types of the sets and in
T, so the expectation needs only moments of multinomials, which are exact in symbols: with

    b = e^{σ_A/τ} − 1,   Z = D + b,   K = 3α³D²C/(2τZ⁴)   and p = 3,

γ' = Kb(D−C)[2C − 6q + b(1−3q)] and γ' − ρ' = KZb[b(1−q) + 2(C−2q)] (C ≥ 2; tests compare).  The
second says when attention starts to prefer the own set.  In: p.  Out: rates, as expressions.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import sympy as sp
from sympy.functions.combinatorial.numbers import stirling
from sympy.polys.rings import PolyElement, PolyRing

from theory.inputs import integer
from theory.symmetry.reduction import SYMBOLS, pair_counts, set_derivatives

__all__ = ["EXCESS", "start_rates"]

# What a patch weighs to itself beyond what it weighs to another one: b = e^{σ_A/τ} − 1 > −1.
EXCESS = sp.Symbol("b", real=True)

_s = SYMBOLS
# Features among the patches of the sets that a set does not see: +1, and −1.
_far_plus, _far_minus = sp.symbols("m_plus m_minus", integer=True, nonnegative=True)
# 1/Z, a symbol of its own so that all steps are polynomial.
_inverse_Z = sp.Symbol("u")
_types = (_s.n_plus, _s.n_minus, _far_plus, _far_minus)
_ring = PolyRing((*_types, _s.L, _s.C, _s.q, _s.nu, _s.alpha, EXCESS, _inverse_Z), sp.QQ)


def _expectation(term: PolyElement, plus: sp.Symbol, minus: sp.Symbol, patches: Any) -> PolyElement:
    """E of a polynomial in the numbers of +1 and of −1 among ``patches`` random patches.

    The joint factorial moments of a multinomial are E[n₊^(k) n₋^(m)] = N^(k+m) (q/2)^(k+m) in
    falling powers, and Stirling numbers write ordinary powers in falling ones.
    """
    N, half_q = _ring.from_expr(patches), _ring.from_expr(_s.q / 2)

    def moment(i: int, j: int) -> PolyElement:
        total = _ring.zero
        for k, m in product(range(i + 1), range(j + 1)):
            falling = prod((N - step for step in range(k + m)), start=_ring.one)
            total += int(stirling(i, k) * stirling(j, m)) * falling * half_q ** (k + m)
        return total

    places = [_ring.symbols.index(x) for x in (plus, minus)]
    coefficients: dict[tuple[int, int], PolyElement] = defaultdict(lambda: _ring.zero)
    for powers, coefficient in term.terms():
        rest = tuple(0 if k in places else power for k, power in enumerate(powers))
        i, j = (powers[k] for k in places)
        coefficients[i, j] += _ring.from_dict({rest: coefficient})
    return sum((c * moment(i, j) for (i, j), c in coefficients.items()), start=_ring.zero)


@lru_cache
def start_rates(p: int = 3) -> dict[sp.Symbol, sp.Expr]:
    """α', γ' and ρ' at γ = ρ = 0 with sig(−yF) = ½, under gradient flow of one entry of A.

    Parameters
    ----------
    p : int
        Degree of the activation, odd.

    Returns
    -------
    dict
        From the symbols α, γ, ρ to factored expressions in L, C, q, ν, α, τ and ``EXCESS``.  With
        C = 1 no entry of A holds γ, and its rate has no meaning.

    Examples
    --------
    At (L, C, q) = (3, 2, ½) and e^{σ_A/τ} = 20 the logits inside a set fall, but slower than those
    across sets.

    >>> s = SYMBOLS
    >>> at = {s.L: 3, s.C: 2, s.q: sp.Rational(1, 2), s.alpha: 1, s.tau: 1, EXCESS: 19}
    >>> rates = start_rates()
    >>> rates[s.gamma].subs(at), rates[s.rho].subs(at)
    (-69768/390625, -659718/390625)
    """
    p = integer("p", p, least=1, odd=True)
    s = SYMBOLS
    Z = s.D + EXCESS
    own, other = (1 + EXCESS) * _inverse_Z, _inverse_Z
    start = {s.p: p, s.tau: 1, s.Lambda: own, s.Gamma: other, s.Xi: other}
    far_sum = _far_plus - _far_minus
    rates = {}
    for x, derivative in set_derivatives().items():
        term = derivative.subs(start)
        in_signal = {s.n_plus: s.C, s.n_minus: 0, s.T: s.C + far_sum}
        signal = _ring.from_expr(term.subs(in_signal))
        signal = _expectation(signal, _far_plus, _far_minus, s.D - s.C)
        # The features of a random set count in T too, beside those of the other L − 2.
        random = _ring.from_expr(term.subs(s.T, s.C + s.n_plus - s.n_minus + far_sum))
        random = _expectation(random, _far_plus, _far_minus, s.D - 2 * s.C)
        random = _expectation(random, s.n_plus, s.n_minus, s.C)
        total = (signal + (_ring.from_expr(s.L) - 1) * random).as_expr()
        # Derivatives in logits have one factor 1/τ, left out above to stay polynomial.
        scale = 2 if x == s.alpha else 2 * s.tau * pair_counts()[x]
        rates[x] = sp.factor(total.subs(_inverse_Z, 1 / Z) / scale)
    return rates
