"""The machine proof of the reduction: it succeeds, and it can fail."""

from __future__ import annotations

from math import comb

import pytest
import sympy as sp

from theory.symmetry import symbols
from theory.symmetry.proof import Refuted, prove_reduction
from theory.symmetry.reduction import pair_counts, set_derivatives, set_output

# Beside the cases of the ledger.
CASES = [(2, 1, 3), (2, 1, 5), (3, 1, 5), (2, 3, 5), (3, 2, 5)]


@pytest.mark.parametrize(("L", "C", "p"), CASES)
def test_reduced_gradient_is_the_full_gradient(L: int, C: int, p: int) -> None:
    proof = prove_reduction(L, C, p)
    D = L * C
    types = comb(C + 2, 2)
    assert (proof.L, proof.C, proof.p) == (L, C, p)
    assert proof.samples == 2 * L * 3 ** (D - C)
    # One class for each multiset of types of the L − 1 random sets.
    assert proof.classes == comb(types + L - 2, L - 1)
    assert proof.pairs == D * (D - 1)
    # For each class its probability and every pair; for each sample F and its derivative along w*.
    assert proof.identities > proof.classes * (1 + proof.pairs) + 2 * proof.samples


def without(x: sp.Symbol, factor: sp.Expr) -> dict:
    return pair_counts() | {x: sp.cancel(pair_counts()[x] / factor)}


def derivative(x: sp.Symbol, change) -> dict:
    return set_derivatives() | {x: change(set_derivatives()[x])}


FALSE_FORMULAS = {
    "C − 1 dropped from the in-set pairs": dict(counts=without(symbols.gamma, symbols.C - 1)),
    "D for D − C in the cross-set pairs": dict(counts=pair_counts() | symbols.at(rho=symbols.D**2)),
    "sign of γ flipped": dict(derivatives=derivative(symbols.gamma, lambda e: -e)),
    "sign of ρ flipped": dict(derivatives=derivative(symbols.rho, lambda e: -e)),
    "τ dropped": dict(derivatives=derivative(symbols.gamma, lambda e: e * symbols.tau)),
    "C + 1 for C in ∂α": dict(
        derivatives=derivative(symbols.alpha, lambda e: e.subs(symbols.C, symbols.C + 1))
    ),
    "ν dropped from F": dict(output=set_output().subs(symbols.nu, 0)),
    "own patch counted as another": dict(output=set_output().subs(symbols.Lambda, symbols.Gamma)),
    "features outside the set unseen": dict(output=set_output().subs(symbols.T, 0)),
    "derivatives exchanged": dict(
        derivatives=set_derivatives()
        | symbols.at(gamma=set_derivatives()[symbols.rho], rho=set_derivatives()[symbols.gamma])
    ),
}


@pytest.mark.parametrize("formula", FALSE_FORMULAS)
def test_a_false_formula_is_refuted(formula: str) -> None:
    # C = 3, so that no factor C − 1 hides as a 1.
    with pytest.raises(Refuted, match=r"yF|∂F/∂"):
        prove_reduction(2, 3, 3, **FALSE_FORMULAS[formula])


def test_gamma_without_pairs_must_not_move_anything() -> None:
    with pytest.raises(Refuted, match="no pair holds γ"):
        prove_reduction(2, 1, 3, derivatives=derivative(symbols.gamma, lambda e: e + symbols.alpha))


@pytest.mark.parametrize("p", [2, 4])
def test_an_even_activation_is_refuted_at_label_minus_one(p: int) -> None:
    with pytest.raises(Refuted, match=r"yF Sample\(y=-1"):
        prove_reduction(2, 2, p)
