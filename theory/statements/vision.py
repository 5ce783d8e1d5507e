"""Statements of the chapter on a real vision transformer: offsets of encodings, the control."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations, product

import sympy as sp

from theory.statements.statement import Statement, symbolic

__all__ = ["STATEMENTS"]

Claims = Iterator[tuple[str, object, object]]


@symbolic("all b, u_i, u_j of equal norm, as functions of the three inner products")
def common_offset() -> Claims:
    offset, length, inner = sp.symbols("b u G", positive=True)  # ‖b‖², ‖u‖², ⟨u_i, u_j⟩
    # ⟨b + u_i, b + u_j⟩ with b orthogonal to both.
    cosine = (offset + inner) / (offset + length)
    c = offset / (offset + length)
    yield "cos(p_i, p_j)", cosine, c + (1 - c) * inner / length
    other = sp.Symbol("H", real=True)
    gap = cosine - (offset + other) / (offset + length)
    yield "neighbour − distant", gap, (1 - c) * (inner - other) / length


Law = dict[tuple[Fraction, ...], Fraction]


def _trained(orders: list[tuple[int, ...]], power: int) -> Law:
    """The law of three encodings after two steps of a small exchangeable network.

    Patch contents 1, 2, 5 in one of ``orders``, tokens content + encoding, output the sum of their
    ``power``-th powers, and an entrywise rule that depends on the step, the present value and the
    past gradients.
    """
    law: Law = defaultdict(Fraction)
    contents, starts = (1, 2, 5), list(product((-1, 1), repeat=3))
    chance = Fraction(1, len(starts) * len(orders) ** 2)
    for start, *path in product(starts, orders, orders):
        P, memory = [Fraction(x) for x in start], [Fraction(0)] * 3
        for step, order in enumerate(path, 1):
            tokens = [contents[order[i]] + P[i] for i in range(3)]
            output = sum((x**power for x in tokens), Fraction(0))
            loss_slope = -1 / (1 + abs(output))
            gradient = [loss_slope * power * x ** (power - 1) for x in tokens]
            memory = [(m + g) / 2 for m, g in zip(memory, gradient, strict=True)]
            P = [
                x * Fraction(9, 10) - Fraction(1, step) * m / (1 + abs(m))
                for x, m in zip(P, memory, strict=True)
            ]
        law[tuple(P)] += chance
    return law


@symbolic("the exact law after two steps of a three-token network, all orders and first encodings")
def control_is_exchangeable() -> Claims:
    every = list(permutations(range(3)))
    for power in (2, 3):
        law = _trained(every, power)
        for g in every:
            moved = {tuple(P[g[i]] for i in range(3)): p for P, p in law.items()}
            yield f"under {g}, power {power}", moved, dict(law)
        fixed = _trained([(0, 1, 2)], power)
        swapped = {(P[1], P[0], P[2]): p for P, p in fixed.items()}
        yield f"a fixed order is not, power {power}", swapped == dict(fixed), False


STATEMENTS = (
    Statement(
        id="lem-offset",
        kind="lemma",
        title="A common offset",
        text=r"$\cos(p_i,p_j)=c+(1-c)\cos(u_i,u_j)$ with $c=\|b\|^2/(\|b\|^2+u^2)$.",
        hypotheses=(r"$p_i=b+u_i$", r"$\langle b,u_i\rangle=0$", r"$\|u_i\|=u>0$"),
        checks=(common_offset,),
    ),
    Statement(
        id="prop-control",
        kind="proposition",
        title="The control has nothing to learn",
        text=r"""With patches in a uniformly random order the law of the encodings stays
            exchangeable: $(\Pi P^t,\phi^t)$ has the law of $(P^t,\phi^t)$.""",
        hypotheses=(
            "rows of $P^0$ independent and alike",
            "random orders",
            "one entrywise rule for all rows",
        ),
        checks=(control_is_exchangeable,),
    ),
)
