"""The ledger: checks that can fail, statuses that are derived, a table for people and programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flint
import numpy as np
import pytest
import sympy as sp
from docutils import nodes
from docutils.utils import new_document
from hypothesis import strategies as st
from typer.testing import CliRunner

from book._ext import ledger_pages
from theory import ledger
from theory.__main__ import app
from theory.data.partition import Partition
from theory.dynamics.certificates import certificate
from theory.dynamics.certificates.proof import all_steps
from theory.dynamics.certified import Certificate
from theory.expectation.enumeration import expectation_by_enumeration
from theory.ledger import LedgerError, in_order, passed, run_ledger
from theory.setting import Coefficients, Setting
from theory.statements import (
    STATEMENTS,
    comparison,
    data,
    drive,
    dynamics,
    expectation,
    gaussian,
    generalization,
    model,
    no_association,
    random_start,
    stability,
    start,
    symmetry,
    transfer,
)
from theory.statements.statement import (
    Check,
    Finding,
    Statement,
    Verdict,
    certified,
    property_,
    require,
    simulated,
    symbolic,
)
from theory.symmetry import symbols
from theory.symmetry.proof import prove_reduction
from theory.symmetry.reduction import pair_counts, set_output

BOOK = Path(__file__).resolve().parent.parent / "book"
runner = CliRunner()

# ---------------------------------------------------------------- the ledger of the book


@pytest.mark.slow
def test_the_whole_ledger_passes_and_says_what_it_decided() -> None:
    entries = run_ledger(jobs=2)
    assert [entry.statement for entry in entries] == list(STATEMENTS)
    failing = [entry.record() for entry in entries if not passed([entry])]
    assert failing == []
    counts = {"identities", "inequalities", "examples", "estimates"}
    for entry in entries:
        for run in entry.checks:
            evidence = run.finding.evidence
            assert evidence["scope"], entry.statement.id
            assert sum(evidence.get(name, 0) for name in counts) > 0, entry.statement.id
        json.dumps(entry.record(), allow_nan=False)


STATEMENT = re.compile(r"^:{3,}\{prf:(\w+)\} *(.*)\n:label: (\S+)$", re.MULTILINE)


def stated() -> dict[str, tuple[str, str]]:
    """Kind and title of every labelled statement of the chapters."""
    texts = [path.read_text("utf-8") for path in sorted(BOOK.glob("*.md"))]
    return {
        label: (kind, title) for text in texts for kind, title, label in STATEMENT.findall(text)
    }


def test_the_chapters_state_what_the_ledger_holds() -> None:
    held = {statement.id: (statement.kind, statement.title) for statement in STATEMENTS}
    assert held == stated()


PROOF = re.compile(r"^:{3,}\{prf:\w+\}.*\n:label: (\S+)$|^:{3,}\{dropdown\} Proof$", re.MULTILINE)


def proved_in_words(chapter: str) -> list[str]:
    """Labels of the statements with a folded proof before the next statement, as they occur."""
    found = list(PROOF.finditer(chapter))
    return [a[1] for a, b in pairwise(found) if a[1] and not b[1]]


def test_what_is_said_to_have_a_proof_in_words_has_one() -> None:
    found = [x for path in sorted(BOOK.glob("*.md")) for x in proved_in_words(path.read_text())]
    assert sorted(found) == sorted(s.id for s in STATEMENTS if s.proof_in_words)
    two = (
        ":::{prf:lemma} A\n:label: a\n:::\n:::{prf:lemma} B\n:label: b\n:::\n:::{dropdown} Proof\n"
    )
    assert proved_in_words(two) == ["b"]


def test_entries_stand_in_the_order_of_their_proofs() -> None:
    assert {s.id for s in in_order(STATEMENTS)} == {s.id for s in STATEMENTS}


# ---------------------------------------------------------------- can it fail?

# What the planted formulas are made of, as it is before they are planted.
f_star_error, windows = generalization.f_star_error, generalization.window_probabilities
monotone, score = generalization.monotone_bound, no_association._score
gram = no_association.minimal_gram
tolerance, hard = no_association.power_tolerance, no_association.hard_attention_error
symmetric, failure = transfer.symmetric_weights, transfer.averaging_failure
boxes, empty = transfer.box_bound, transfer.empty_boxes
data_f_star, data_law = data.f_star, data.spurious_law
across = stability._across
beyond, sums = expectation._beyond, expectation._sums
gradients = comparison._sample_gradients
levels, listed = no_association.AttentionLevels, start.enumerate_samples
crossing = random_start._crossing_rate
moments, bracket = gaussian.cubic_moments, gaussian.drive_bracket
set_drive = gaussian.set_drive
model_margin, symmetry_orbitals = model.margin, symmetry.orbitals
comparison_gradient, dynamics_loss = comparison.population_gradient, dynamics.certified_expectation
drive_slope, drive_counts = drive.rational_slope, drive._counts


def half_rate(setting: Setting) -> Setting:
    return replace(setting, q=setting.q / 2)


def dropped_pairs() -> dict[sp.Symbol, sp.Expr]:
    """Pair counts without the factor C − 1."""
    return pair_counts() | symbols.at(gamma=symbols.D)


def flipped_start() -> dict[str, sp.Expr]:
    formulas = start._start_formulas()
    K = formulas["gamma"] / (2 * symbols.C - 6 * symbols.q + symbols.b * (1 - 3 * symbols.q))
    wrong = 2 * symbols.C + 6 * symbols.q + symbols.b * (1 - 3 * symbols.q)
    return formulas | {"gamma": K * wrong}


def scaled_gradient(factor: float) -> Callable[..., Coefficients]:
    def wrong(*arguments: Any, **options: Any) -> Coefficients:
        found = comparison_gradient(*arguments, **options)
        return Coefficients(found.alpha, found.gamma, factor * found.rho)

    return wrong


def tightened_loss(*arguments: Any, **options: Any) -> Any:
    """A bound beyond truth: a tenth of the loss."""
    found = dynamics_loss(*arguments, **options)
    return replace(found, loss=found.loss / 10)


def overconfident(*arguments: Any) -> Any:
    """An error that is a thousandth of the bound."""
    found = expectation_by_enumeration(*arguments)
    g = found.gradient_error
    small = Coefficients(g.alpha / 1000, g.gamma / 1000, g.rho / 1000)
    return replace(found, loss_error=found.loss_error / 1000, gradient_error=small)


def swapped_slope(*arguments: Any) -> Coefficients:
    found = drive_slope(*arguments)
    return Coefficients(found.alpha, found.rho, found.gamma)


def lopsided(partition: Partition, own: Fraction, inside: Fraction, across: Fraction) -> list:
    """Weights off the invariant subspace."""
    rows = symmetric(partition, own, inside, across)
    rows[0][-1] = 2 * across
    return rows


def dropped_counts(setting: Setting) -> Any:
    """The counts without the images whose random patches are all zero."""
    return (row for row in drive_counts(setting) if row[2] < setting.n)


def stronger_diagonal() -> tuple:
    """The first case with a larger diagonal, on whose plateau the drive is positive."""
    (setting, *ends), *rest = drive._NEGATIVE
    return (((*setting[:-1], "1"), *ends), *rest)


def halved(partition: Partition, q: Any) -> Any:
    return (replace(s, probability=s.probability / 2) for s in listed(partition, q))


REFUTED, CONTRADICTED = Verdict.REFUTED.value, Verdict.CONTRADICTED.value

PLANTED = [
    # (statement, module, name of what its check uses, what is put in its place, status)
    ("prop-f-star", data, "f_star", lambda x, p: -data_f_star(x, p), REFUTED),
    ("prop-bayes", data, "bayes_error", lambda s: data.invariant_error(s), REFUTED),
    ("lem-einv", data, "invariant_error", lambda s: data.bayes_error(s), REFUTED),
    ("lem-laws", data, "spurious_law", lambda s: data_law(replace(s, q=s.q / 2)), REFUTED),
    ("prop-margin", model, "margin", lambda A, p: -model_margin(A, p), REFUTED),
    ("prop-total", model, "invariant_error", lambda s: 2 * data.invariant_error(s), REFUTED),
    ("prop-three", symmetry, "orbitals", lambda g: symmetry_orbitals(g) // 2, REFUTED),
    ("lem-commutant", symmetry, "orbitals", lambda g: symmetry_orbitals(g) // 2, REFUTED),
    (
        *("thm-three-coefficients", symmetry, "prove_reduction"),
        lambda L, C, p: prove_reduction(L, C, p, counts=dropped_pairs()),
        REFUTED,
    ),
    ("prop-enumeration", expectation, "configuration_count", lambda s: 1, REFUTED),
    ("prop-shares", expectation, "set_output", lambda: 2 * set_output(), REFUTED),
    ("prop-shares", expectation, "expectation_by_enumeration", overconfident, CONTRADICTED),
    # Of the least margin, 0.0395, the bound is tightened by a little more.
    ("prop-truncation", expectation, "_beyond", lambda K, P: beyond(K, P) * 24 / 25, REFUTED),
    ("prop-pieces", expectation, "_beyond", lambda K, P: beyond(K, P) / 8, REFUTED),
    ("thm-midpoint", expectation, "_sig", lambda x: 1 / (1 + x.exp()), REFUTED),
    ("thm-start", start, "_start_formulas", flipped_start(), REFUTED),
    ("thm-drive", drive, "rational_slope", swapped_slope, REFUTED),
    ("lem-loss-error", dynamics, "certified_expectation", tightened_loss, REFUTED),
    ("prop-minibatch", comparison, "population_gradient", scaled_gradient(1.5), CONTRADICTED),
    ("prop-margin", model, "is_associated", lambda A, p: True, REFUTED),
    (
        *("prop-3-1-literal", generalization, "f_star_error"),
        lambda s: f_star_error(half_rate(s)),
        REFUTED,
    ),
    ("thm-3-1-a", generalization, "invariant_error", lambda s: data.bayes_error(s), REFUTED),
    (
        *("lem-window", generalization, "window_probabilities"),
        lambda q, n: windows(q, n + 1)[1:],
        REFUTED,
    ),
    ("lem-lambda", generalization, "window_probabilities", lambda q, n: windows(q / 2, n), REFUTED),
    # The bound without its term C.
    (
        *("thm-3-1-b", generalization, "monotone_bound"),
        lambda s: monotone(s) + Fraction(s.C, 2 * s.L),
        REFUTED,
    ),
    ("cor-3-1-eighth", generalization, "monotone_bound", lambda s: monotone(s) / 2, REFUTED),
    (
        *("prop-tuned-weights", generalization, "invariant_error"),
        lambda s: data.bayes_error(s),
        REFUTED,
    ),
    (
        *("prop-3-2-obstruction", no_association, "_score"),
        lambda A, p: score(A, p) - Fraction(1, p.C),
        REFUTED,
    ),
    ("ex-3-2-norms", no_association, "_score", lambda A, p: Fraction(1, p.C), REFUTED),
    (
        *("thm-3-2-derangement", no_association, "set_derangement"),
        lambda p, shift=1: np.arange(p.D),
        REFUTED,
    ),
    ("thm-3-2-minimal", no_association, "minimal_gram", lambda p: 2 * gram(p), REFUTED),
    ("lem-power", no_association, "power_tolerance", lambda s: 4 * tolerance(s), REFUTED),
    ("thm-3-2", no_association, "hard_attention_error", lambda s: hard(half_rate(s)), REFUTED),
    (
        *("prop-5-1-step", transfer, "symmetric_weights"),
        lambda p, a, g, r: [[a, *row[1:]] for row in symmetric(p, g, g, r)],
        REFUTED,
    ),
    ("prop-5-1-average", transfer, "averaging_failure", lambda s, N: failure(s, N + 1), REFUTED),
    ("thm-5-1-upper", transfer, "hard_attention_error", lambda s: -hard(s), REFUTED),
    ("thm-5-1-frozen", transfer, "invariant_error", lambda s: 9 * data.invariant_error(s), REFUTED),
    ("thm-5-1-boxes", transfer, "box_bound", lambda s, N: 3 * boxes(s, N), REFUTED),
    ("thm-5-1-boxes", transfer, "empty_boxes", lambda L, N: empty(L, N + 1), REFUTED),
    ("prop-structured", data, "f_star", lambda x, p: -data_f_star(x, p), REFUTED),
    ("ex-errors", data, "bayes_error", lambda s: data.invariant_error(s), REFUTED),
    ("cor-conservation", symmetry, "symmetric_weights", lopsided, REFUTED),
    ("ex-transverse", stability, "_MOST", Fraction(52, 100), REFUTED),
    ("ex-transverse", stability, "_LEAST", Fraction(53, 100), REFUTED),
    ("ex-transverse", stability, "_BELOW", Fraction(1, 6000), REFUTED),
    ("ex-transverse", stability, "_NEGATIVE", Fraction(1, 5000), REFUTED),
    ("rem-stability", stability, "_across", lambda *state: -across(*state), REFUTED),
    ("ex-transverse", stability, "_across", lambda *state: across(*state) / 2, REFUTED),
    ("prop-sets-pay", data, "bayes_error", lambda s: data.f_star_error(s).nonpositive, REFUTED),
    ("ex-hard-bayes", no_association, "bayes_error", lambda s: 2 * data.bayes_error(s), REFUTED),
    ("thm-3-2", no_association, "AttentionLevels", lambda a, g, r: levels(a, r, g), REFUTED),
    ("rem-gram", model, "certificate", lambda name: certificate("12-patches"), REFUTED),
    ("cor-nodes", expectation, "_sums", lambda x, c, P, K: sums(x, c, P, K - K // 4), REFUTED),
    ("prop-truncation", expectation, "_beyond", lambda K, P: beyond(K, P) / 2, REFUTED),
    ("ex-gamma-falls", start, "_start_formulas", flipped_start(), REFUTED),
    ("thm-start", start, "enumerate_samples", lambda p, q: halved(p, q), REFUTED),
    ("cor-drive-parts", drive, "rational_slope", swapped_slope, REFUTED),
    ("cor-drive-parts", drive, "_counts", dropped_counts, REFUTED),
    ("prop-drive-negative", drive, "_NEGATIVE", stronger_diagonal(), REFUTED),
    ("prop-root-n", comparison, "_sample_gradients", lambda w, v: gradients(w, v)[:-1], REFUTED),
    ("rem-proved", dynamics, "certificate", lambda name: certificate("success"), REFUTED),
    # The noise forgotten, and an α that is positive.
    ("prop-sign-alpha", random_start, "_crossing_rate", lambda u, nu: crossing(0 * u, nu), REFUTED),
    ("prop-sign-alpha", random_start, "_starts", [(Fraction(1, 20), Fraction(0))], REFUTED),
    ("cor-gate", random_start, "_crossing_rate", lambda u, nu: crossing(u, nu) / 2, REFUTED),
    ("prop-gaussian-patch", gaussian, "cubic_moments", lambda D, k: moments(D, -k), REFUTED),
    ("prop-gaussian-patch", gaussian, "patch_teacher", gaussian.set_teacher, REFUTED),
    (
        "thm-gaussian-set",
        gaussian,
        "drive_bracket",
        lambda h, L, C, b: bracket(h, L, C - 1, b),
        REFUTED,
    ),
    (
        "thm-gaussian-set",
        gaussian,
        "set_drive",
        lambda *state: 1.2 * set_drive(*state),
        CONTRADICTED,
    ),
    ("thm-gaussian-set", gaussian, "set_teacher", gaussian.patch_teacher, REFUTED),
    ("cor-gaussian-limit", gaussian, "taylor_coefficients", lambda: (-7, 3, -45, 6), REFUTED),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "module", "name", "wrong", "status"), PLANTED, ids=[f"{p[0]}-{p[2]}" for p in PLANTED]
)
def test_a_wrong_formula_is_rejected(
    label: str, module: Any, name: str, wrong: Any, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    constant = not callable(getattr(module, name)) or callable(wrong)
    monkeypatch.setattr(module, name, wrong if constant else lambda: wrong)
    (statement,) = (s for s in STATEMENTS if s.id == label)
    alone = replace(statement, depends=())
    (entry,) = run_ledger([alone])
    assert entry.status == status
    assert not passed([entry])


def test_a_row_is_proved_by_all_of_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    (statement,) = (s for s in STATEMENTS if s.id == "thm-certified")
    assert [c.scope.split(":")[0] for c in statement.checks] == list(dynamics.TABLE)
    rows = dict(zip(dynamics.TABLE, statement.checks, strict=True))
    stored = {name: certificate(name) for name in rows}

    def proved(certificate: Certificate) -> list[int]:
        return list(all_steps(certificate))

    monkeypatch.setattr(dynamics, "proved_steps", proved)
    for name, row in rows.items():
        found = row()
        assert found.verdict is Verdict.PROVED
        assert found.evidence["inequalities"] > stored[name].steps
    small, failing = stored["12-patches"], stored["failure"]
    for name, false in (
        ("12-patches", replace(small, loss=["0.5", "1e-9"])),
        ("12-patches", replace(small, states=[*small.states[:-1], small.states[0]])),
        ("failure", replace(failing, states=[failing.states[0]] * len(failing.states))),
        ("failure", replace(failing, states=[*failing.states[:-1], failing.states[1]])),
    ):
        monkeypatch.setattr(dynamics, "certificate", lambda name, false=false: false)
        assert rows[name]().verdict is not Verdict.PROVED
    monkeypatch.setattr(dynamics, "certificate", lambda name: stored[name])
    monkeypatch.setattr(dynamics, "proved_steps", lambda certificate: proved(certificate)[1:])
    (entry,) = run_ledger([replace(statement, depends=())])
    assert entry.status == Verdict.UNDECIDED.value
    assert entry.checks[0].finding.evidence["fails"] == "12-patches: 20 of 21 steps"


x = sp.Symbol("x", positive=True)


def test_a_symbolic_check_decides_in_three_ways() -> None:
    def verdict(left: object, right: object) -> Verdict:
        return symbolic("x")(lambda: iter([("here", left, right)]))().verdict

    assert verdict((x + 1) ** 2, x**2 + 2 * x + 1) is Verdict.PROVED
    assert verdict((x + 1) ** 2, x**2 - 2 * x + 1) is Verdict.REFUTED
    assert verdict(Fraction(1, 3), Fraction(1, 3)) is Verdict.PROVED
    assert verdict(Fraction(1, 3), Fraction(1, 2)) is Verdict.REFUTED
    assert verdict(sp.Integral(sp.exp(-(x**3)), x), x) is not Verdict.PROVED
    # A float proves nothing, even where it is equal.
    assert verdict(0.5, 0.5) is Verdict.UNDECIDED
    assert verdict(x + 0.5, x + sp.Rational(1, 2)) is Verdict.UNDECIDED
    assert symbolic("nothing")(lambda: iter([]))().verdict is Verdict.UNDECIDED


def test_a_certified_check_decides_in_three_ways() -> None:
    def found(margin: object) -> Finding:
        return certified("x")(lambda: iter([("here", margin)]))()

    assert found(flint.arb.pi() - 3).verdict is Verdict.PROVED
    assert found(3 - flint.arb.pi()).verdict is Verdict.REFUTED
    assert found(flint.arb(0, 1)).verdict is Verdict.UNDECIDED
    assert found(flint.arb("nan")).verdict is Verdict.UNDECIDED
    assert found(Fraction(0)).verdict is Verdict.REFUTED
    assert found(Fraction(1, 7)).evidence["margin"] == 1 / 7
    assert found(0.5).verdict is Verdict.UNDECIDED
    assert certified("nothing")(lambda: iter([]))().verdict is Verdict.UNDECIDED


def test_a_property_check_shows_a_small_counterexample() -> None:
    @property_("squares", n=st.integers(0, 1000))
    def squares_are_small(n: int) -> None:
        require(n * n < 50, f"{n}² is large")

    found = squares_are_small()
    assert found.verdict is Verdict.CONTRADICTED
    assert found.evidence["at"] == {"n": "8"}

    @property_("squares", n=st.integers(0, 1000), examples=20)
    def squares_are_not_negative(n: int) -> float:
        require(n * n >= 0, "a square")
        return n / 1000

    found = squares_are_not_negative()
    assert found.verdict is Verdict.SUPPORTED
    assert found.evidence["examples"] == 20
    assert 0 <= found.evidence["error"] <= 1


def test_a_simulated_check_counts_standard_errors() -> None:
    def found(*claim: float) -> Finding:
        return simulated("x")(lambda: iter([("here", *claim)]))()

    assert found(1.03, 0.01, 1.0).verdict is Verdict.SUPPORTED
    assert found(1.03, 0.01, 1.0).evidence["standard_errors_off"] == pytest.approx(3)
    assert found(1.05, 0.01, 1.0).verdict is Verdict.CONTRADICTED
    assert found(float("nan"), 0.01, 1.0).verdict is Verdict.CONTRADICTED
    assert found(1.0, 0.0, 1.0).verdict is Verdict.UNDECIDED


def test_a_check_that_breaks_off_proves_nothing() -> None:
    for decorate in (symbolic("x"), certified("x"), property_("x"), simulated("x")):
        found = decorate(lambda: 1 / 0)()
        assert found.verdict is Verdict.UNDECIDED
        assert "ZeroDivisionError" in found.evidence["error"]


# ---------------------------------------------------------------- derived status


def check(verdict: Verdict, required: bool | None = None) -> Check:
    """A check as its decorator makes it: what can only support is not required."""
    supports = verdict in (Verdict.SUPPORTED, Verdict.CONTRADICTED)
    kind = "property" if supports else "symbolic"
    needed = not supports if required is None else required
    return Check(kind, "planted", lambda: Finding(verdict, {}), needed)


def lemma(label: str, *verdicts: Verdict, depends: tuple[str, ...] = ()) -> Statement:
    # The first is the one the claim needs.
    checks = (*(check(v, True) for v in verdicts[:1]), *map(check, verdicts[1:]))
    return Statement(label, "lemma", label, "", depends=depends, checks=checks)


TERM = Statement("def-term", "definition", "Term", "")


def statuses(*statements: Statement) -> dict[str, str]:
    return {entry.statement.id: entry.status for entry in run_ledger(statements)}


def test_a_status_follows_from_the_checks() -> None:
    V = Verdict
    found = statuses(
        TERM,
        lemma("proved", V.PROVED, depends=("def-term",)),
        lemma("both", V.PROVED, V.SUPPORTED),
        lemma("seen", V.SUPPORTED),
        lemma("open", V.PROVED, V.UNDECIDED),
        lemma("false", V.PROVED, V.REFUTED, V.UNDECIDED),
        lemma("unseen", V.PROVED, V.CONTRADICTED),
    )
    assert found == {
        **{"def-term": "DEFINED", "proved": "PROVED", "both": "PROVED", "seen": "SUPPORTED"},
        **{"open": "UNDECIDED", "false": "REFUTED", "unseen": "CONTRADICTED"},
    }


@pytest.mark.parametrize(
    ("below", "above"),
    [("PROVED", "PROVED"), ("SUPPORTED", "SUPPORTED"), ("REFUTED", "UNDECIDED"),
     ("CONTRADICTED", "UNDECIDED"), ("UNDECIDED", "UNDECIDED")],
)  # fmt: skip
def test_a_status_follows_from_the_ancestors(below: str, above: str) -> None:
    found = statuses(
        lemma("top", Verdict.PROVED, depends=("middle",)),
        lemma("middle", Verdict.PROVED, depends=("bottom",)),
        lemma("bottom", Verdict[below]),
    )
    assert found == {"top": above, "middle": above, "bottom": below}


@pytest.mark.parametrize(
    ("verdict", "status"),
    [("SUPPORTED", "PROVED"), ("PROVED", "PROVED"), ("REFUTED", "REFUTED"),
     ("CONTRADICTED", "CONTRADICTED"), ("UNDECIDED", "UNDECIDED")],
)  # fmt: skip
def test_a_check_that_is_not_required_may_support_but_not_fail(verdict: str, status: str) -> None:
    statement = lemma("one", Verdict.PROVED)
    beside = check(Verdict[verdict], False)
    (entry,) = run_ledger([replace(statement, checks=(*statement.checks, beside))])
    assert entry.status == status
    assert passed([entry]) == (status == "PROVED")


def test_what_is_required_must_be_proved() -> None:
    """A property that is required, and only supported, leaves its statement short of PROVED."""
    (entry,) = run_ledger([lemma("one", Verdict.SUPPORTED)])
    assert entry.status == "SUPPORTED"
    assert not passed([entry])
    term = replace(TERM, checks=(check(Verdict.SUPPORTED, True),))
    assert not passed(run_ledger([term]))
    assert passed(run_ledger([replace(TERM, checks=(check(Verdict.SUPPORTED),))]))


def test_the_decorators_require_what_can_prove() -> None:
    for decorate, required in ((symbolic, True), (certified, True), (property_, False),
                               (simulated, False)):  # fmt: skip
        assert decorate("x")(lambda: None).required is required
    for statement in STATEMENTS:
        for one in statement.checks:
            assert one.required == (one.kind in ("symbolic", "certified")), statement.id


def test_processes_find_what_one_process_finds() -> None:
    """With workers too: the same statements, verdicts and evidence; others than the book's here."""
    names = ("lem-shift", "cor-start", "def-vit", "lem-sign")
    chosen = [replace(s, depends=()) if s.id == "lem-sign" else s for s in STATEMENTS
              if s.id in (*names, "def-type")]  # fmt: skip
    chosen = [s if set(s.depends) <= set(names) else replace(s, depends=()) for s in chosen]
    alone, shared = run_ledger(chosen), run_ledger(chosen, jobs=2)
    assert [e.statement.id for e in shared] == [e.statement.id for e in alone]
    for one, other in zip(alone, shared, strict=True):
        assert one.status == other.status
        assert [r.finding for r in one.checks] == [r.finding for r in other.checks]
    with pytest.raises(ValueError, match="jobs = 0"):
        run_ledger(chosen, jobs=0)


def test_a_worker_that_dies_leaves_its_checks_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(futures.ThreadPoolExecutor):
        """Workers that are killed before they answer."""

        def __init__(self, jobs: int, context: object) -> None:
            super().__init__(jobs)

        def submit(self, *arguments: Any, **options: Any) -> futures.Future:
            broken: futures.Future = futures.Future()
            broken.set_exception(BrokenProcessPool("killed"))
            return broken

    monkeypatch.setattr(ledger, "ProcessPoolExecutor", Dying)
    (term, shift) = (s for s in STATEMENTS if s.id in ("def-vit", "lem-shift"))
    found = run_ledger([term, shift], jobs=2)
    assert [entry.status for entry in found] == ["DEFINED", "UNDECIDED"]
    assert "killed" in found[1].checks[0].finding.evidence["error"]
    assert found[1].checks[0].finding.evidence["scope"] == shift.checks[0].scope


@pytest.mark.parametrize(
    ("statements", "complaint"),
    [
        ([lemma("a", Verdict.PROVED, depends=("b",))], "depends on b, which is not in the ledger"),
        ([TERM, TERM], "twice"),
        (
            [
                lemma("a", Verdict.PROVED, depends=("b",)),
                lemma("b", Verdict.PROVED, depends=("a",)),
            ],
            "a circle of proofs",
        ),
        ([lemma("a", Verdict.PROVED, depends=("a",))], "a circle of proofs"),
    ],
)
def test_a_broken_ledger_is_an_error(statements: list[Statement], complaint: str) -> None:
    with pytest.raises(LedgerError, match=complaint):
        run_ledger(statements)


def test_a_claim_needs_a_required_check() -> None:
    with pytest.raises(ValueError, match="needs a check"):
        lemma("bare")
    with pytest.raises(ValueError, match="needs a check"):
        Statement("a", "lemma", "A", "", checks=(check(Verdict.PROVED, required=False),))
    with pytest.raises(ValueError, match=r"a\.kind = 'guess'"):
        Statement("a", "guess", "A", "")
    with pytest.raises(ValueError, match=r"a\.relation"):
        Statement("a", "definition", "A", "", relation="better")
    with pytest.raises(ValueError, match=r"Check\.kind"):
        Check("numeric", "x", lambda: Finding(Verdict.PROVED, {}))
    with pytest.raises(ValueError, match="scope"):
        Check("symbolic", "", lambda: Finding(Verdict.PROVED, {}))


# ---------------------------------------------------------------- the command

FIELDS = [
    *("id", "kind", "title", "text", "hypotheses", "proof_in_words"),
    *("paper", "relation", "depends", "status", "checks"),
]


def plant(monkeypatch: pytest.MonkeyPatch, *statements: Statement) -> None:
    real = run_ledger
    monkeypatch.setattr(ledger, "run_ledger", lambda **options: real(statements, **options))


def test_json_has_exactly_the_fields() -> None:
    done = runner.invoke(app, ["ledger", "--json", "--only", "lem-shift"])
    assert done.exit_code == 0, done.output
    (record,) = json.loads(done.stdout)
    assert list(record) == FIELDS
    assert (record["id"], record["status"], record["paper"]) == ("lem-shift", "PROVED", None)
    assert record["depends"] == ["def-vit"]
    assert record["proof_in_words"] is True
    (shift,) = (statement for statement in STATEMENTS if statement.id == "lem-shift")
    assert record["text"].split() == shift.text.split()
    assert record["hypotheses"] == list(shift.hypotheses)
    assert [list(c) for c in record["checks"]] == [["kind", "verdict", "evidence", "seconds"]]


@pytest.mark.parametrize(
    ("verdict", "code"),
    [("PROVED", 0), ("SUPPORTED", 1), ("UNDECIDED", 1), ("REFUTED", 1), ("CONTRADICTED", 1)],
)
def test_the_exit_code_tells(verdict: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    below = lemma("below", Verdict[verdict])
    plant(monkeypatch, TERM, below, lemma("above", Verdict.PROVED, depends=("below",)))
    for arguments in ([], ["--json"], ["--only", "above"]):
        done = runner.invoke(app, ["ledger", *arguments])
        assert done.exit_code == code, (arguments, done.output)
    assert runner.invoke(app, ["ledger", "--only", "def-term"]).exit_code == 0


def test_the_table_shows_titles_as_they_are_and_what_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    failing = replace(lemma("lem-x", Verdict.REFUTED), title="On [D] and $x$")
    plant(monkeypatch, TERM, failing)
    done = runner.invoke(app, ["ledger"])
    assert "On [D] and $x$" in done.output
    assert "lem-x, symbolic: {'scope': 'planted'}" in done.output
    assert "2 statements, 1 checks" in done.output


def test_one_statement_is_shown_with_its_scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = replace(
        lemma("lem-x", Verdict.PROVED), text="On [D]:\n    $x$.", hypotheses=("$D>1$", "$x$ odd")
    )
    plant(monkeypatch, TERM, shown)
    said = runner.invoke(app, ["ledger", "--only", "lem-x"]).output.splitlines()
    start = said.index("  On [D]: $x$.")
    assert said[start + 1 : start + 4] == [
        "  under: $D>1$; $x$ odd",
        "  symbolic, PROVED: planted",
        "  the rest: the proof in words, in its chapter",
    ]
    assert "planted" not in runner.invoke(app, ["ledger"]).output


def test_an_unknown_identifier_is_refused() -> None:
    done = runner.invoke(app, ["ledger", "--only", "thm-3-1"])
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "'thm-3-1' is not in the ledger" in said
    assert "thm-3-1-a" in said
    assert "lists every id" in said


# ---------------------------------------------------------------- the book's side


def records(*statements: Statement) -> dict[str, dict]:
    return {entry.statement.id: entry.record() for entry in run_ledger(statements)}


def test_the_build_complains_of_every_difference() -> None:
    held = records(TERM, lemma("a", Verdict.PROVED), lemma("b", Verdict.REFUTED))
    kinds = {"def-term": "definition", "a": "lemma", "b": "lemma"}
    assert ledger_pages.ledger_faults(held, kinds) == ["b is REFUTED"]
    held["b"] = {**held["b"], "status": "SUPPORTED"}
    assert ledger_pages.ledger_faults(held, kinds) == ["b is SUPPORTED"]
    del held["b"]
    assert ledger_pages.ledger_faults(held, kinds) == ["b is stated and has no entry"]
    assert ledger_pages.ledger_faults(held, {"def-term": "definition"}) == [
        "a has an entry and no chapter states it"
    ]
    assert ledger_pages.ledger_faults(held, {"def-term": "definition", "a": "theorem"}) == [
        "a is a theorem in its chapter, not a lemma"
    ]


def app_with(folder: Path, held: dict[str, dict]) -> Any:
    """As much of a Sphinx application as the handlers look at."""
    return SimpleNamespace(
        srcdir=folder,
        config=SimpleNamespace(ledger_records=held),
        env=SimpleNamespace(found_docs={"ledger"}),
        builder=SimpleNamespace(get_relative_uri=lambda here, there: f"{there}.html"),
    )


def test_the_build_runs_the_ledger_once_for_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    def count(jobs: int) -> list:
        assert jobs >= 1
        runs.append(1)
        return real([TERM])

    real = run_ledger
    monkeypatch.setattr(ledger, "run_ledger", count)
    (tmp_path / "_build").mkdir()
    for key, expected in (("", 1), ("", 2), ("a", 3), ("a", 3), ("b", 4), ("b", 4)):
        (tmp_path / "_build" / "cache-key").write_text(key)
        built = app_with(tmp_path, {})
        ledger_pages.load_ledger(built)
        assert built.config.ledger_records["def-term"]["status"] == "DEFINED"
        assert len(runs) == expected, key


def test_each_statement_gets_its_badge() -> None:
    held = records(lemma("a", Verdict.PROVED, Verdict.PROVED, Verdict.SUPPORTED))
    document = new_document("chapter")
    document += nodes.admonition(label="a", realtype="lemma")
    document += nodes.admonition(label="unknown", realtype="lemma")
    document += nodes.math_block(label="a")
    ledger_pages.add_badges(app_with(Path(), held), document, "chapter")
    (badge,) = document.findall(nodes.reference)
    assert badge["refuri"] == "ledger.html#ledger-a"
    assert badge["reftitle"] == "symbolic: planted; symbolic: planted; property: planted"
    assert badge.astext() == "proved symbolic ×2, property"
    assert badge.parent.parent is document[0]


def test_the_table_holds_what_the_filters_ask_for() -> None:
    held = records(TERM, lemma("a", Verdict.PROVED, Verdict.SUPPORTED, depends=("def-term",)))
    row = ledger_pages.LedgerTable.row(held["a"])
    assert row["ids"] == ["ledger-a"]
    assert row["classes"] == ["status-proved", "kind-lemma", "check-property", "check-symbolic"]
    menus = ledger_pages.LedgerTable.filters(list(held.values()))
    assert set(re.findall(r'value="([\w-]+)"', menus)) == {
        *("status-proved", "status-defined", "kind-lemma", "kind-definition"),
        *("check-property", "check-symbolic"),
    }


def test_a_row_has_what_is_claimed_beside_what_was_decided() -> None:
    claim = replace(
        lemma("a", Verdict.PROVED, Verdict.SUPPORTED), text="So $x>0$.", hypotheses=("$y>0$", "z")
    )
    example = replace(claim, id="b", kind="example", hypotheses=(), paper="Theorem 9")
    held = records(TERM, claim, example)
    rows = {name: ledger_pages.LedgerTable.row(record) for name, record in held.items()}
    says, _, decided, _ = (cell.astext() for cell in rows["a"])
    assert "So x>0." in says
    assert "Under: y>0; z." in says
    assert "Not in the paper." in says
    assert [node.astext() for node in rows["a"].findall(nodes.math)] == ["x>0", "y>0"]
    assert re.findall(r"(\w+): planted", decided) == ["symbolic", "property"]
    assert "The rest of it: the proof in words after a." in decided
    says, _, decided, _ = (cell.astext() for cell in rows["b"])
    assert "Under" not in says
    assert "Theorem 9 of the paper, ours." in says
    assert "proof in words" not in decided
    assert "It claims nothing." in rows["def-term"].astext()


def test_titles_keep_their_formulas() -> None:
    found = ledger_pages._with_mathematics("Top-$C$ sets of $A$")
    assert [type(node) for node in found] == [nodes.Text, nodes.math, nodes.Text, nodes.math]
    assert [node.astext() for node in found] == ["Top-", "C", " sets of ", "A"]


def test_the_graph_draws_each_entry_right_of_what_it_rests_on() -> None:
    found = ledger_pages.svg.columns({s.id: list(s.depends) for s in in_order(STATEMENTS)})
    depth = {name: k for k, column in enumerate(found) for name in column}
    assert set(depth) == {s.id for s in STATEMENTS}
    assert all(depth[parent] < depth[s.id] for s in STATEMENTS for parent in s.depends)
    drawing = ledger_pages.svg.draw(
        records(TERM, lemma("a", Verdict.PROVED, depends=("def-term",)))
    )
    assert drawing.count("<rect") == 2
    assert drawing.count("<path") == 1
    assert 'href="#ledger-a"' in drawing
