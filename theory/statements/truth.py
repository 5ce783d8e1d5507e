"""The truth that float methods are compared with: the full network on every image, in balls.

Nothing of the reduction is used: a D×D softmax, each patch's pre-activation, each entry of A.
Images that differ by the order of the random sets, or of the patches in one, are listed once.
In: a small setting and a state.  Out: four balls.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations_with_replacement
from math import comb, factorial, prod

from flint import arb, arb_mat, ctx, fmpq

from theory.setting import Coefficients, Setting

__all__ = ["truth"]


def _exact(value: object) -> fmpq:
    return fmpq(*Fraction(value).as_integer_ratio())  # type: ignore[call-overload]


def _images(L: int, C: int, q: Fraction) -> Iterator[tuple[list[int], Fraction]]:
    """Features (D of them, those of the signal set first) and probability, label +1."""
    kinds = [(plus, minus) for plus in range(C + 1) for minus in range(C + 1 - plus)]
    for sets in combinations_with_replacement(kinds, L - 1):
        x, chance = [1] * C, Fraction(factorial(L - 1))
        for kind in set(sets):
            chance /= factorial(sets.count(kind))
        for plus, minus in sets:
            zeros = C - plus - minus
            x += [1] * plus + [-1] * minus + [0] * zeros
            ways = comb(C, zeros) * comb(C - zeros, plus)
            chance *= ways * (q / 2) ** (plus + minus) * (1 - q) ** zeros
        if chance:
            yield x, chance


def truth(setting: Setting, state: Coefficients, bits: int = 300) -> list[arb]:
    """Population loss and its derivatives in v·w*, in one entry γ and one entry ρ of A.

    Parameters
    ----------
    setting, state
        Floats stand for the dyadic rationals they are.
    bits : int
        Precision of the balls.

    Examples
    --------
    Without a value vector the loss is log 2.

    >>> setting = Setting(L=2, C=1, q=0.5, p=3, nu=0, sigma_A=1)
    >>> loss, *_ = truth(setting, Coefficients(0, 0, 0))
    >>> loss.overlaps(arb(2).log()), bool(loss.rad() < 1e-80)
    (True, True)
    """
    L, C, p, D = setting.L, setting.C, setting.p, setting.D
    tau, nu = _exact(setting.temperature), _exact(setting.nu)
    logits = [_exact(x) / tau for x in (setting.sigma_A, state.gamma, state.rho)]
    kind = [[0 if i == j else 1 if i // C == j // C else 2 for j in range(D)] for i in range(D)]
    pairs = {1: D * (C - 1), 2: D * (D - C)}
    with ctx.workprec(bits):
        alpha, top = arb(_exact(state.alpha)), max(logits)
        weight = [arb(x - top).exp() for x in logits]
        rows = [[weight[k] for k in row] for row in kind]
        S = arb_mat([[w / sum(row, arb(0)) for w in row] for row in rows])
        total = [arb(0)] * 4
        for x, chance in _images(L, C, Fraction(setting.q)):
            seen = [row[0] for row in (S * arb_mat([[arb(t)] for t in x])).tolist()]
            powers = [prod([D * alpha * o] * (p - 1), start=arb(1)) for o in seen]
            F = sum((D * alpha * o * (w + nu) for o, w in zip(seen, powers, strict=True)), arb(0))
            total[0] += _exact(chance) * (-F).exp().log1p()
            sig = _exact(chance) / (1 + F.exp())
            for i, o in enumerate(seen):
                slope = sig * (p * powers[i] + nu) * D
                total[1] -= slope * o
                for j in range(D):
                    if i != j:
                        moved = slope * alpha * S[i, j] * (x[j] - o)
                        total[1 + kind[i][j]] -= moved / (tau * pairs[kind[i][j]])
        return total
