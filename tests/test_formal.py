"""The proofs in Coq: closed, about the definitions of the Python code, and able to fail.

Tests marked ``formal`` need Coq; without it they are skipped, with the command that installs it.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from theory.data.partition import Partition
from theory.data.samples import enumerate_samples
from theory.formal import (
    INSTALL,
    SOURCES,
    ProofError,
    assumptions,
    available,
    compile_file,
    compile_proofs,
    parse_assumptions,
    proofs,
    run_coq,
    theorems,
)
from theory.model.exact import network, symmetric_weights
from theory.setting import Setting
from theory.symmetry.levels import AttentionLevels
from theory.symmetry.terms import set_terms

THEOREMS = [f"{file}.{name}" for file, names in theorems().items() for name in names]


# ---------------------------------------------------------------- without Coq


def test_no_proof_is_left_open() -> None:
    for name in proofs():
        text = re.sub(r"\(\*.*?\*\)", "", (SOURCES / f"{name}.v").read_text(), flags=re.DOTALL)
        assert not re.findall(r"\b(Axiom|Parameter|Conjecture|Admitted|admit|Abort)\b", text), name


def test_every_file_is_listed_and_every_theorem_is_in_the_readme() -> None:
    assert {path.stem for path in SOURCES.glob("*.v")} == set(proofs())
    readme = (SOURCES / "README.md").read_text()
    listed = re.findall(r"`(\w+)`", readme)
    names = {name for of_file in theorems().values() for name in of_file}
    assert names <= set(listed), names - set(listed)
    assert {word for word in listed if "_" in word} <= names | set(proofs())


def test_labels_of_the_table_are_statements_of_the_book() -> None:
    chapters = (SOURCES.parents[1] / "book").glob("*.md")
    labels = set(re.findall(r"^:label: (\S+)$", "\n".join(p.read_text() for p in chapters), re.M))
    rows = re.findall(r"^\| ([a-z]+-[\w, -]+) \|", (SOURCES / "README.md").read_text(), re.M)
    assert rows
    for row in rows:
        assert set(row.split(", ")) <= labels, row


def test_axioms_are_read() -> None:
    output = "== a\nAxioms:\nclassic : forall P : Prop,\n  P \\/ ~ P\nF.ext : forall x, x = x\n"
    assert parse_assumptions(output) == {"a": ("classic", "F.ext")}
    for answer in ("", "Error", "Axioms:\n"):
        with pytest.raises(ValueError, match="assumptions of a"):
            parse_assumptions(f"== a\n{answer}")


# ---------------------------------------------------------------- with Coq


@pytest.fixture(scope="session")
def build() -> Path:
    if not available():
        pytest.skip(f"the proofs need Coq with MathComp; on Debian: {INSTALL}")
    return compile_proofs()


@pytest.mark.formal
@pytest.mark.slow
def test_every_theorem_is_closed(build: Path) -> None:
    assert assumptions(theorems(), build) == dict.fromkeys(THEOREMS, ())


@pytest.mark.formal
def test_an_axiom_and_an_open_proof_are_noticed(build: Path, tmp_path: Path) -> None:
    planted = tmp_path / "planted.v"
    planted.write_text(
        "Axiom gap : forall n : nat, n = 0.\n"
        "Theorem by_axiom : 1 = 0. Proof. exact (gap 1). Qed.\n"
        "Theorem left_open : 1 = 1. Admitted.\n"
        "Theorem proved : 1 = 1. Proof. reflexivity. Qed.\n"
    )
    compile_file(planted, tmp_path)
    found = assumptions({"planted": ["by_axiom", "left_open", "proved"]}, tmp_path)
    assert found == {
        "planted.by_axiom": ("planted.gap",),
        "planted.left_open": ("planted.left_open",),
        "planted.proved": (),
    }


# For each theorem a false or unproved variant: what is replaced in its statement, and by what.
MUTANTS = {
    "orbitals.commutant": ("M (g i) (g j) = M i j", "M (g i) j = M i j"),
    "orbitals.orbitals_of_a_partition": ("kind p == kind p'", "(p.1 == p.2) == (p'.1 == p'.2)"),
    "orbitals.three_orbitals": (" && ((part i == part j) == (part i' == part j'))", ""),
    "orbitals.number_of_orbitals": ("(1 < C)", "(0 < C)"),
    "orbitals.invariant_iff_levels": ("levels part s g r)", "levels part s g g)"),
    "orbitals.levels_unique": ("(1 < C)%N -> g = g'", "g = g'"),
    "orbitals.wreath_is_blockwise": (
        "blockwise sf | sf : _]",
        "blockwise (sf.1, [ffun=> 1%g]) | sf : {perm 'I_L} * {ffun 'I_L -> {perm 'I_C}}]",
    ),
    "orbitals.wreath_product_order": ("C`! ^ L", "C`! ^ C"),
    "orbitals.product_orbitals": (" /\\ (i.2 == j.2) = (i'.2 == j'.2)", ""),
    "orbitals.shift_orbitals": ("j' - i')%R", "i' - j')%R"),
    "symmetry.network_equivariant": ("(moved g A) y", "A y"),
    "symmetry.loss_invariant": ("loss (moved g A)", "loss (fun i j => A i (g j))"),
    "symmetry.law_symmetric": ("g \\in wreath part", "g \\in [set: {perm T}]"),
    "symmetry.population_loss_invariant": ("g \\in wreath part", "g \\in [set: {perm T}]"),
    "symmetry.gradient_equivariant": ("(g i) (g j)", "i j"),
    "symmetry.descent_keeps_symmetry": (
        "(forall i j, memory s0 (g i) (g j) = memory s0 i j) ->\n",
        "(forall i j, memory s0 i j = memory s0 i j) ->\n",
    ),
    "symmetry.three_coefficients": ("v0 gamma rho", "v0 gamma (fun=> rho 0%N)"),
    "derivative.is_derivP": ("e * `|h|", "e * `|h| * `|h|"),
    "derivative.is_deriv_unique": ("is_deriv f x m", "is_deriv f l m"),
    "gradient.network_derivative": ("+ \\sum_j slope_x", "- \\sum_j slope_x"),
    "gradient.loss_derivative": ("loss_v v A k * u k", "loss_v v A k"),
    "gradient.loss_gradient_equivariant": ("(g i) (g j)", "i (g j)"),
    "gradient.noise_is_not_seen": ("= a * dot w w", "= dot w w"),
    "gradient.feature_line": ("slope_alpha a A * w k", "slope_alpha a A"),
    "gradient.gradient_descent_in_three_numbers": ("gamma t - eta_A", "gamma t + eta_A"),
    "sample.reflected_slope": ("* w k.", "* w k + w k."),
    "sample.closed_sample_in_three_numbers": ("(gamma t) (rho t)", "(gamma t) (gamma t)"),
    "frozen.power_odd": ("= - power x", "= power x"),
    "frozen.power_increasing": ("x < y ->", "x <= y ->"),
    "frozen.sign_of_the_sum": ("= (0 < total_of x)", "= (0 <= total_of x)"),
    "frozen.sign_of_the_output": ("= (0 < total_of x)", "= (0 <= total_of x)"),
    "frozen.frozen_error": ("error = tail l", "error = tail l / 2%:R"),
    "frozen.frozen_error_of_the_network": ("odd p ->", "~~ odd p ->"),
    "conservation.shift_attention": ("A i j + c i", "A i j + c j"),
    "conservation.row_sums": ("grad v A i j", "grad v A j i"),
    "conservation.row_sums_conserved": ("grad v A i j", "grad v A j i"),
    "conservation.fixed_diagonal": ("= - grad", "= grad"),
    "conservation.diagonal_balances": ("(C.-1)%:R", "C%:R"),
    "conservation.flip_network": ("A y = - network", "A y = network"),
    "conservation.flip_law": ("(~~ y)", "y"),
    "conservation.flip_losses": ("f (- F x)", "f (F x)"),
    "conservation.even_power_breaks_the_flip": ("* - F x", "* F x"),
    "reduction.reduced_seen": ("(x i)", "(x i + x i)"),
    "reduction.levels_sum_to_one": ("(C%:R - 1)", "C%:R"),
    "reduction.reduced_network": ("act (O a k)", "act (O None k)"),
    "reduction.reduced_alpha": ("(D * inner a k)", "inner a k"),
    "reduction.reduced_gamma": ("(C%:R - 1)", "C%:R"),
    "reduction.reduced_rho": ("(D - C%:R)", "D"),
    "reduction.gamma_derivative": ("(i != j) && (part i == part j)", "part i == part j"),
    "reduction.rho_derivative": ("part i != part j", "i != j"),
    "reduction.alpha_derivative": ("(\\sum_j slope_x", "(- \\sum_j slope_x"),
    "reduction.pairs_of_a_coefficient": ("D * ((C%:R - 1) * b)", "D * (C%:R * b)"),
    "drive.pair_counts": ("(n - c) * fxx", "n * fxx"),
    "drive.drive_of_pairs": ("+ phi x (x i) (x j)", "- phi x (x i) (x j)"),
    "drive.drive": ("(1 - (value", "(1 + (value"),
    "association.associated_iff_margin": ("A i k < A i j", "A i k <= A i j"),
    "association.margin_positive": ("0 < m", "0 <= m"),
    "association.associated_stable": ("eps + eps < m", "eps < m"),
    "association.stability_is_sharp": ("m / 2%:R", "m / 3%:R"),
    "association.margin_levels": ("(1 < C)%N", "(0 < C)%N"),
    "association.margin_levels_single": ("(s - r)", "(Num.min s g - r)"),
    "association.associated_levels": ("(1 < C)%N", "(0 < C)%N"),
    "gram.eigen_in_set": ("(s - g) *", "(s + g) *"),
    "gram.eigen_blocks": ("(C%:R - 1) * g", "C%:R * g"),
    "gram.gram_iff": ("g <= s", "g < s"),
    "derangement.same_function": ("A (g i) j", "A i (g j)"),
    "derangement.same_function_same_diagonal": ("A (g i) j + c i", "A (g i) j + c j"),
    "derangement.deranged_top": ("part (g i) != part i", "g i != i"),
    "derangement.derangement_exists": ("(1 < #|I|)%N", "(0 < #|I|)%N"),
    "bridge.network_agrees": ("act' A' x'", "act' A' (fun j => x' j + x' j)"),
    "bridge.mass_agrees": ("mass part (phi q) y l", "mass part (phi q) (~~ y) l"),
    "bridge.slope_A_agrees": ("A' x' i j", "A' x' j i"),
    "bridge.slope_x_agrees": ("= slope_x", "= - slope_x"),
    "bridge.reduced_F_agrees": ("network score' act'", "network score' dact'"),
    "bridge.reduced_alpha_agrees": ("(value (delta j))%:~R", "(phi alpha)"),
    "bridge.reduced_gamma_agrees": ("(i != j) && (part i == part j)", "part i == part j"),
    "bridge.reduced_rho_agrees": ("part i != part j", "i != j"),
    "bridge.ratio_morphism": ("Q_ops ratio", "Q_ops (fun x => - ratio x)"),
}


def test_every_theorem_has_a_mutant() -> None:
    assert list(MUTANTS) == THEOREMS


def _mutant(name: str) -> tuple[str, int, int]:
    """The file with the statement changed, and the lines on which its proof begins and ends."""
    file, theorem = name.split(".")
    text = (SOURCES / f"{file}.v").read_text()
    start = re.search(rf"^Theorem {theorem}\b", text, re.MULTILINE)
    assert start is not None
    proof = text.index("Proof.", start.start())
    old, new = MUTANTS[name]
    statement = text[start.start() : proof]
    assert old in statement, (name, statement)
    before = text[: start.start()] + statement.replace(old, new)
    changed = before + text[proof:]
    end = changed.index("Qed.", len(before))
    return changed, before.count("\n") + 1, changed.count("\n", 0, end) + 1


@pytest.mark.formal
@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_changed_statement_is_refused(name: str, build: Path, tmp_path: Path) -> None:
    changed, first, last = _mutant(name)
    source = tmp_path / f"{name.split('.')[0]}.v"
    source.write_text(changed)
    with pytest.raises(ProofError) as refused:
        compile_file(source, build, into=tmp_path)
    message = str(refused.value)
    line = re.search(r"line (\d+)", message)
    assert line is not None
    # Refused by its proof, not because the variant says nothing.
    assert first <= int(line[1]) <= last, message


# ---------------------------------------------------------------- the bridge

SIZES = [(2, 2), (3, 2), (2, 3)]
P, NU, TAU = 3, Fraction(1, 3), 1

PRELUDE = """From Coq Require Import QArith List Arith.
From Formal Require Import model bridge.
Import ListNotations.
Definition at_ {K : Type} (d : K) l i := nth i l d.
Definition plus := add Q_ops.
Definition times := mul Q_ops.
Definition nu := Qmake 1 3.
Definition act a := plus (times a (times a a)) (times nu a).
Definition dact a := plus (times (Qmake 3 1) (times a a)) nu.
Definition id_ (a : Q) := a.
Definition shown := map (fun x => (Qnum x, QDen x)).
"""


def _q(x: Fraction | int) -> str:
    x = Fraction(x)
    return f"(Qmake ({x.numerator}) {x.denominator})"


def _list(items: list[str]) -> str:
    return "[" + "; ".join(items) + "]"


def _feature(x: int) -> str:
    return {1: "Some true", -1: "Some false", 0: "None"}[x]


def _values(build: Path, definitions: list[str], programs: list[str]) -> list[Fraction]:
    """The values of programs over Q, run by Coq."""
    commands = [PRELUDE, *definitions, f"Eval vm_compute in (shown {_list(programs)})."]
    output = run_coq("\n".join(commands), build)
    pairs = re.findall(r"(-?\d+)\)?(?:%Z)?,\s+(\d+)", output)
    assert len(pairs) == len(programs)
    return [Fraction(int(a), int(b)) for a, b in pairs]


def _image(partition: Partition, seed: int) -> tuple[int, ...]:
    samples = list(enumerate_samples(partition, Fraction(2, 5)))
    return samples[np.random.default_rng(seed).integers(len(samples))].delta


@pytest.mark.formal
@pytest.mark.parametrize(("L", "C"), SIZES)
def test_the_network_in_coq_is_the_one_in_python(L: int, C: int, build: Path) -> None:
    D, rng = L * C, np.random.default_rng([L, C])
    weights = [[Fraction(int(w), 6) for w in row] for row in rng.integers(1, 20, (D, D))]
    alpha, delta = Fraction(-2, 7), (1, -1, 0, 1, 1, -1)[:D]
    full = network(weights, [alpha], [[Fraction(x)] for x in delta], P, NU)
    rows = _list([_list(list(map(_q, row))) for row in weights])
    definitions = [
        f"Definition A i := at_ (Qmake 0 1) (at_ [] {rows} i).",
        f"Definition x := at_ (Qmake 0 1) {_list([_q(alpha * d) for d in delta])}.",
    ]
    programs = [f"network_code Q_ops {D} id_ act A x"]
    programs += [
        f"slope_A_code Q_ops {D} id_ id_ dact A x {i} {j}" for i in range(D) for j in range(D)
    ]
    programs += [f"slope_x_code Q_ops {D} id_ dact A x {j}" for j in range(D)]
    F, *rest = _values(build, definitions, programs)
    in_A, in_x = rest[: D * D], rest[D * D :]
    assert F == full.F
    assert in_A == [entry for row in full.in_A for entry in row]
    # v = (α) has one pixel, so ∂F/∂v sums over the patches.
    assert [sum(g * d for g, d in zip(in_x, delta, strict=True))] == full.in_v
    transposed = [full.in_A[j][i] for i in range(D) for j in range(D)]
    assert in_A != transposed  # rows and columns exchanged would be noticed


@pytest.mark.formal
@pytest.mark.parametrize(("L", "C"), SIZES)
def test_the_law_in_coq_is_the_one_in_python(L: int, C: int, build: Path) -> None:
    q, D = Fraction(2, 5), L * C
    partition = Partition.scattered(L, C, permutation=1)
    samples = list(enumerate_samples(partition, q))
    definitions = [f"Definition part := at_ O {_list([f'{k}%nat' for k in partition.labels])}."]
    programs = []
    for s in samples:
        delta = f"(at_ None {_list([_feature(x) for x in s.delta])})"
        label = str(s.y == 1).lower()
        programs.append(f"mass_code Q_ops {D} {L} part {_q(q)} {label} {s.signal} {delta}")
    values = _values(build, definitions, programs)
    assert values == [s.probability for s in samples]
    assert sum(values) == 1  # so every other outcome has mass 0


def _reduced(
    setting: Setting,
    weights: tuple[Fraction, ...],
    alpha: Fraction,
    partition: Partition,
    delta: tuple[int, ...],
) -> list[Fraction]:
    """F and its derivatives by the Python code, summed over sets and over pairs."""
    own, inside, across = weights
    C, D = setting.C, setting.D
    Z = own + (C - 1) * inside + (D - C) * across
    levels = AttentionLevels(own / Z, inside / Z, across / Z)
    features = [[delta[j] for j in members] for members in partition.sets]
    terms = [
        set_terms(setting, alpha, levels, f.count(1), f.count(-1), sum(delta), number=Fraction)
        for f in features
    ]
    pairs = {"F": 1, "alpha": 1, "gamma": D * (C - 1), "rho": D * (D - C)}
    return [count * sum(getattr(t, name) for t in terms) for name, count in pairs.items()]


@pytest.mark.formal
@pytest.mark.parametrize(("L", "C"), SIZES)
def test_the_reduced_model_in_coq_is_the_one_in_python(L: int, C: int, build: Path) -> None:
    D = L * C
    partition = Partition(tuple(i % L for i in range(D)))
    setting = Setting(L=L, C=C, q=0, p=P, nu=NU, sigma_A=0, temperature=TAU)
    alpha, weights = Fraction(3, 4), (Fraction(5, 2), Fraction(4, 3), Fraction(1, 5))
    definitions = [f"Definition part := at_ O {_list([f'{k}%nat' for k in partition.labels])}."]
    programs, expected, doubled = [], [], []
    state = " ".join(map(_q, (*weights, alpha)))
    for seed in range(4):
        delta = _image(partition, seed)
        image = f"(at_ None {_list([_feature(x) for x in delta])})"
        size = f"Q_ops {D} {L} {C} part"
        programs += [
            f"reduced_F {size} id_ act {state} {image}",
            f"reduced_alpha_code {size} id_ dact {state} {image}",
            f"reduced_gamma_code {size} id_ id_ dact {state} {image}",
            f"reduced_rho_code {size} id_ id_ dact {state} {image}",
        ]
        expected += _reduced(setting, weights, alpha, partition, delta)
        doubled += _reduced(setting, (weights[0] * 2, *weights[1:]), alpha, partition, delta)
    values = _values(build, definitions, programs)
    assert values == expected
    # A change on either side is noticed, and so are the sets themselves.
    assert values != doubled
    moved = Partition.contiguous(L, C)
    other = [f"Definition part := at_ O {_list([f'{k}%nat' for k in moved.labels])}."]
    assert _values(build, other, programs) != expected


@pytest.mark.formal
def test_symmetric_weights_are_the_levels_of_coq(build: Path) -> None:
    """The reduced programs against the whole network of Python, no formula of the reduction."""
    L, C, D = 3, 2, 6
    partition = Partition.contiguous(L, C)
    own, inside, across, alpha = Fraction(3), Fraction(5, 2), Fraction(2, 7), Fraction(1, 2)
    weights = symmetric_weights(partition, own, inside, across)
    delta = (1, 1, -1, 0, 1, -1)
    full = network(weights, [alpha], [[Fraction(x)] for x in delta], P, NU)
    same = partition.same_set
    in_set = sum(full.in_A[i][j] for i in range(D) for j in range(D) if i != j and same[i, j])
    cross = sum(full.in_A[i][j] for i in range(D) for j in range(D) if not same[i, j])
    image = f"(at_ None {_list([_feature(x) for x in delta])})"
    tail = " ".join(map(_q, (own, inside, across, alpha))) + f" {image}"
    size = f"Q_ops {D} {L} {C} (fun i => Nat.div i 2)"
    values = _values(build, [], [
        f"reduced_F {size} id_ act {tail}",
        f"reduced_alpha_code {size} id_ dact {tail}",
        f"reduced_gamma_code {size} id_ id_ dact {tail}",
        f"reduced_rho_code {size} id_ id_ dact {tail}",
    ])  # fmt: skip
    assert values == [full.F, full.in_v[0], in_set, cross]
