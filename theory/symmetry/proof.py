"""Machine proof that the reduced gradient is the full gradient on the invariant subspace.

At given L, C and p, polynomial identities over the rationals in free symbols α, Γ, Ξ, ν and 1/τ
establish, for the full model at A_ii = σ_A, A_ij = γ inside a set and ρ across sets, v = αw*:

1. the noise does not enter F or ∂F/∂A, and enters ∂F/∂v, across w*, linearly, so with mean zero;
2. samples (y, signal set, δ) whose sets have the same multiset of types (of the features yδ) are
   equally probable, with one value of yF and of y ∂F/∂v·w*: those of the reduced model;
3. for every ordered pair i ≠ j the mean of y ∂F/∂A_ij over such a class is the reduced one.

The loss weighs a sample by a function of yF alone, constant on a class, so 1 to 3 give the
population gradient of the logistic loss, and of every other loss of the margin, for all q, ν, τ,
σ_A, γ, ρ, α at once.  In: L, C, p and, to try others, formulas.  Out: a proof, or ``Refuted``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import flint
import sympy as sp

from theory.data.partition import Partition
from theory.data.samples import Sample, enumerate_samples
from theory.inputs import integer
from theory.model.vit import SimplifiedViT, polynomial_activation
from theory.symmetry import symbols
from theory.symmetry.reduction import pair_counts, set_derivatives, set_output

__all__ = ["ReductionProof", "Refuted", "prove_reduction"]

Types = tuple[tuple[int, int], ...]

_theta = sp.Symbol("theta")  # 1/τ
_FREE = (symbols.alpha, symbols.Gamma, symbols.Xi, symbols.nu, _theta)
# The same symbols as generators of a ring of polynomials with rational coefficients: there
# equality is decided, and a float is refused.
_POLYNOMIALS = flint.fmpq_mpoly_ctx.get([x.name for x in _FREE], "lex").gens()


class Refuted(Exception):
    """An identity that the proof needs does not hold; the message says which, and where."""


@dataclass(frozen=True)
class ReductionProof:
    """What was proved: sizes, and how many polynomial identities were decided."""

    L: int
    C: int
    p: int
    samples: int
    classes: int
    pairs: int
    identities: int


class _Checker:
    """Decides identities and counts them."""

    def __init__(self) -> None:
        self.identities = 0

    def require(self, holds: bool, statement: str, where: object = "") -> None:
        self.identities += 1
        if not holds:
            raise Refuted(f"{statement} {where}".strip())


def _own_level(L: Any, C: Any) -> sp.Expr:
    """Λ = 1 − (C−1)Γ − (D−C)Ξ: rows of the softmax sum to 1."""
    return 1 - (C - 1) * symbols.Gamma - (L * C - C) * symbols.Xi


def _prove_row_scale(vit: SimplifiedViT, check: _Checker) -> None:
    """Softmax ignores the scale of a row of weights, so rows may be taken to sum to 1.

    The weights on the subspace are then Λ, Γ, Ξ themselves, and no denominator is left.
    """
    scale = sp.Symbol("c", positive=True)
    scaled = vit.attention.xreplace({w: scale * w for w in vit.weights})
    for S, of_scaled in zip(vit.attention, scaled, strict=True):
        check.require(sp.cancel(of_scaled - S) == 0, "row scale:", S)


def _on_subspace(vit: SimplifiedViT, partition: Partition, expression: sp.Expr) -> sp.Expr:
    """The expression at A(σ_A, γ, ρ) with rows summing to 1, and v = (α, 0), w* = (1, 0)."""
    same = partition.same_set
    own = _own_level(partition.L, partition.C)

    def level(i: int, j: int) -> sp.Expr:
        return own if i == j else (symbols.Gamma if same[i, j] else symbols.Xi)

    point = {vit.weights[i, j]: level(i, j) for i in range(vit.D) for j in range(vit.D)}
    return expression.xreplace(
        point | {vit.v[0]: symbols.alpha, vit.v[1]: sp.S.Zero, vit.tau: 1 / _theta}
    )


def _prove_noise_unseen(
    vit: SimplifiedViT, unseeing: list[sp.Expr], across: sp.Expr, check: _Checker
) -> None:
    """Part 1, with free features and free noise (the second column of X)."""
    noise = set(vit.X.col(1))
    for expression in unseeing:
        check.require(not expression.free_symbols & noise, "free of the noise:", expression)
    constant = across.xreplace(dict.fromkeys(noise, sp.S.Zero))
    check.require(constant == 0, "without constant term:", across)
    for xi in noise:
        slope = across.diff(xi)
        check.require(not slope.free_symbols & noise, "linear in the noise:", across)


def _types(partition: Partition, sample: Sample) -> Types:
    """The multiset of (n₊, n₋) over the sets, of the features yδ."""
    features = [[sample.y * sample.delta[j] for j in members] for members in partition.sets]
    return tuple(sorted((values.count(1), values.count(-1)) for values in features))


def _full_code(partition: Partition, p: int, check: _Checker) -> Callable[..., list]:
    """δ ↦ F, ∂F/∂v·w* and all ∂F/∂A_ij of the full model on the subspace, as polynomials."""
    vit = SimplifiedViT(partition.D, d=2, activation=polynomial_activation(p, symbols.nu))
    _prove_row_scale(vit, check)
    in_A, in_v = vit.gradient(vit.output)
    expressions = [_on_subspace(vit, partition, e) for e in (vit.output, *in_v, *in_A)]
    F, along, across, *entries = expressions
    _prove_noise_unseen(vit, [F, along, *entries], across, check)
    code = sp.lambdify([list(vit.X.col(0)), *_FREE], [F, along, *entries], "math", cse=True)
    return lambda delta: code(delta, *_POLYNOMIALS)


def _reduced_code(
    partition: Partition, p: int, output: sp.Expr, derivatives: Mapping[sp.Symbol, sp.Expr]
) -> Callable[..., list]:
    """Types of all sets ↦ F and its derivatives in α, γ, ρ by the formulas, as polynomials."""
    L, C = partition.L, partition.C
    at_size = symbols.at(L=L, C=C, p=p, tau=1 / _theta, Lambda=_own_level(L, C))
    formulas = [output, *(derivatives[x] for x in (symbols.alpha, symbols.gamma, symbols.rho))]
    code = sp.lambdify(
        [symbols.n_plus, symbols.n_minus, symbols.T, *_FREE],
        [formula.subs(at_size) for formula in formulas],
        "math",
        cse=True,
    )

    def reduced(types: Types) -> list:
        total = sum(plus - minus for plus, minus in types)
        terms = [code(plus, minus, total, *_POLYNOMIALS) for plus, minus in types]
        return [sum(term) for term in zip(*terms, strict=True)]

    return reduced


def prove_reduction(
    L: int,
    C: int,
    p: int,
    output: sp.Expr | None = None,
    derivatives: Mapping[sp.Symbol, sp.Expr] | None = None,
    counts: Mapping[sp.Symbol, sp.Expr] | None = None,
) -> ReductionProof:
    """Prove the reduced F and gradient at one (L, C, p), for all values of everything else.

    Parameters
    ----------
    L, C, p : int
        The cost grows as L² C² 3^(D−C); D = LC up to 6 takes seconds.
    output, derivatives, counts
        The formulas on trial, by default :func:`~theory.symmetry.reduction.set_output`,
        :func:`~theory.symmetry.reduction.set_derivatives` and
        :func:`~theory.symmetry.reduction.pair_counts`.

    Returns
    -------
    ReductionProof

    Raises
    ------
    Refuted
        If an identity fails: a wrong formula, or an activation that is not odd.

    Examples
    --------
    >>> prove_reduction(L=2, C=2, p=3)
    ReductionProof(L=2, C=2, p=3, samples=36, classes=6, pairs=12, identities=189)
    """
    output = set_output() if output is None else output
    derivatives = set_derivatives() if derivatives is None else derivatives
    counts = pair_counts() if counts is None else counts
    L, C, p = (integer(name, value, least=1) for name, value in (("L", L), ("C", C), ("p", p)))
    check = _Checker()
    partition = Partition.contiguous(L, C)
    full = _full_code(partition, p, check)
    reduced = _reduced_code(partition, p, output, derivatives)
    inside, across = (
        int(counts[x].subs(symbols.at(L=L, C=C))) for x in (symbols.gamma, symbols.rho)
    )

    classes: dict[Types, list[Sample]] = defaultdict(list)
    for sample in enumerate_samples(partition, symbols.q):
        classes[_types(partition, sample)].append(sample)
    for types, members in classes.items():
        check.require(len({m.probability for m in members}) == 1, "equal probability", types)
        F, alpha, gamma, rho = reduced(types)
        sums = [0] * partition.D**2
        for m in members:
            full_F, full_alpha, *entries = full(m.delta)
            check.require(m.y * full_F == F, "yF", m)
            check.require(m.y * full_alpha == alpha, "y ∂F/∂v·w*", m)
            sums = [so_far + m.y * entry for so_far, entry in zip(sums, entries, strict=True)]
        for i, j in permutations(range(partition.D), 2):
            count, term = (inside, gamma) if partition.same_set[i, j] else (across, rho)
            mean_is_reduced = count * sums[i * partition.D + j] == len(members) * term
            check.require(mean_is_reduced, f"mean of y ∂F/∂A[{i}, {j}]", types)
        if not inside:
            check.require(gamma == 0, "no pair holds γ, so nothing depends on it", types)
    return ReductionProof(
        L,
        C,
        p,
        samples=sum(map(len, classes.values())),
        classes=len(classes),
        pairs=partition.D * (partition.D - 1),
        identities=check.identities,
    )
