"""The entries of the chapter on Assumption 2, and false variants of what their checks use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from theory.ledger import passed, run_ledger
from theory.setting import Setting
from theory.statements import assumption_2
from theory.statements.statement import Verdict

REFUTED, CONTRADICTED = Verdict.REFUTED.value, Verdict.CONTRADICTED.value
invariant, readable = assumption_2.invariant_error, assumption_2.f_star_error
windows, monotone = assumption_2.window_probabilities, assumption_2.monotone_bound
floor, signs, logits = assumption_2.climb_floor, assumption_2.drive_sign, assumption_2.equal_logits
slow = assumption_2.slow_attention


def doubled_rate(setting: Setting) -> Setting:
    return replace(setting, q=min(2 * setting.q, 1))


def away(*arguments: Any, **options: Any) -> Any:
    """The bounds of the drive with their sign flipped."""
    below, above = signs(*arguments, **options)
    return -above, -below


def too_high(setting: Setting, low: Any, high: Any, gamma: Any = 0) -> Any:
    """The climb at the lower end in place of a bound over the interval."""
    return logits(setting, low, gamma).climb


def no_plateau(*arguments: Any, **options: Any) -> Any:
    """A path whose value vector is off its plateau."""
    path = slow(*arguments, **options)
    return replace(path, alpha=1.1 * path.alpha)


def other_way(*arguments: Any, **options: Any) -> Any:
    path = slow(*arguments, **options)
    return replace(path, gamma=path.rho, rho=path.gamma)


PLANTED = [
    ("asm-sizes", "invariant_error", lambda s: invariant(s) / 2, REFUTED),
    ("lem-errors-move", "bayes_error", lambda s: invariant(s), REFUTED),
    ("lem-errors-move", "invariant_error", lambda s: invariant(s) * (2 - s.q), REFUTED),
    # The window probability of half the rate is too large, and the bound from below too small …
    ("prop-hard-scale", "window_probabilities", lambda q, n: windows(q / 2, n), REFUTED),
    # … and that of twice the patches is too small.
    ("prop-hard-scale", "window_probabilities", lambda q, n: windows(q, 9 * n), REFUTED),
    ("cor-degree-two", "invariant_error", lambda s: invariant(doubled_rate(doubled_rate(s))),
     REFUTED),
    ("thm-196-region", "invariant_error", lambda s: invariant(replace(s, q=s.q * 99 / 100)),
     REFUTED),
    ("thm-196-region", "monotone_bound", lambda s: monotone(s) + 1, REFUTED),
    ("def-slow", "slow_attention", no_plateau, CONTRADICTED),
    ("lem-interval", "climb_floor", too_high, REFUTED),
    ("lem-interval", "drive_sign", away, REFUTED),
    ("thm-slow", "drive_sign", away, REFUTED),
    ("thm-slow", "slow_attention", other_way, CONTRADICTED),
    ("prop-196-fates", "drive_sign", away, REFUTED),
]  # fmt: skip


def entry(label: str) -> Any:
    (statement,) = (s for s in assumption_2.STATEMENTS if s.id == label)
    (found,) = run_ledger([replace(statement, depends=())])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("label", [s.id for s in assumption_2.STATEMENTS])
def test_each_entry_holds(label: str) -> None:
    found = entry(label)
    assert passed([found]), found.record()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "name", "wrong", "status"), PLANTED, ids=[f"{p[0]}-{p[1]}" for p in PLANTED]
)
def test_a_wrong_formula_is_rejected(
    label: str,
    name: str,
    wrong: Callable[..., Any],
    status: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assumption_2, name, wrong)
    found = entry(label)
    assert not passed([found])
    assert found.status == status, found.record()


@pytest.mark.parametrize("column", [0, 1])
def test_an_interval_moved_by_its_length_is_rejected(
    column: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = dict(assumption_2.REGION)
    row = list(region[4])
    row[column] = tuple(f"{float(end) + 1e-5:.5f}" for end in row[column])
    monkeypatch.setattr(assumption_2, "REGION", region | {4: tuple(row)})
    assert entry("thm-196-region").status == REFUTED


def test_a_start_beyond_the_plateau_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    (setting, _, sign), *_ = assumption_2.SMALL_FATES
    beyond = ((setting, Fraction(3, 25), sign),)
    monkeypatch.setattr(assumption_2, "SMALL_FATES", beyond)
    assert assumption_2.hypotheses_at_small_size().verdict is Verdict.REFUTED
