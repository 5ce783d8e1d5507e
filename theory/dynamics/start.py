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
from theory.symmetry.reduction import pair_counts, set_derivatives
from theory.symmetry.symbols import C, D, L, T, alpha, at, b, n_minus, n_plus, nu, q, tau

__all__ = ["start_rates"]

# Features among the patches of the sets that a set does not see: +1, and −1.
_far_plus, _far_minus = sp.symbols("m_plus m_minus", integer=True, nonnegative=True)
# 1/Z, a symbol of its own so that all steps are polynomial.
_inverse_Z = sp.Symbol("u")
_types = (n_plus, n_minus, _far_plus, _far_minus)
_ring = PolyRing((*_types, L, C, q, nu, alpha, b, _inverse_Z), sp.QQ)


def _expectation(term: PolyElement, plus: sp.Symbol, minus: sp.Symbol, patches: Any) -> PolyElement:
    """E of a polynomial in the numbers of +1 and of −1 among ``patches`` random patches.

    The joint factorial moments of a multinomial are E[n₊^(k) n₋^(m)] = N^(k+m) (q/2)^(k+m) in
    falling powers, and Stirling numbers write ordinary powers in falling ones.
    """
    N, half_q = _ring.from_expr(patches), _ring.from_expr(q / 2)

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
        From the symbols α, γ, ρ to factored expressions in L, C, q, ν, α, τ and b.  With
        C = 1 no entry of A holds γ, and its rate has no meaning.

    Examples
    --------
    At (L, C, q) = (3, 2, ½) and e^{σ_A/τ} = 20 the logits inside a set fall, but slower than those
    across sets.

    >>> from theory.symmetry import symbols
    >>> point = at(L=3, C=2, q=sp.Rational(1, 2), alpha=1, tau=1, b=19)
    >>> rates = start_rates()
    >>> rates[symbols.gamma].subs(point), rates[symbols.rho].subs(point)
    (-69768/390625, -659718/390625)
    """
    p = integer("p", p, least=1, odd=True)
    Z = D + b
    own, other = (1 + b) * _inverse_Z, _inverse_Z
    start = at(p=p, tau=1, Lambda=own, Gamma=other, Xi=other)
    far_sum = _far_plus - _far_minus
    rates = {}
    for x, derivative in set_derivatives().items():
        term = derivative.subs(start)
        in_signal = at(n_plus=C, n_minus=0, T=C + far_sum)
        signal = _ring.from_expr(term.subs(in_signal))
        signal = _expectation(signal, _far_plus, _far_minus, D - C)
        # The features of a random set count in T too, beside those of the other L − 2.
        random = _ring.from_expr(term.subs(T, C + n_plus - n_minus + far_sum))
        random = _expectation(random, _far_plus, _far_minus, D - 2 * C)
        random = _expectation(random, n_plus, n_minus, C)
        total = (signal + (_ring.from_expr(L) - 1) * random).as_expr()
        # Derivatives in logits have one factor 1/τ, left out above to stay polynomial.
        scale = 2 if x == alpha else 2 * tau * pair_counts()[x]
        rates[x] = sp.factor(total.subs(_inverse_Z, 1 / Z) / scale)
    return rates
