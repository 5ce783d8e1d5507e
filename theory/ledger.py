"""The ledger: every statement of the book, its checks run, its status derived.

A status is never typed.  It is derived from the checks that ran and from the statements that this
one rests on:

* a required check that did not pass gives its verdict;
* else a failure among the ancestors leaves the statement UNDECIDED, not false;
* else one that rests on something only SUPPORTED, or has no PROVED check itself, is SUPPORTED;
* else it is PROVED, or DEFINED for a definition or an assumption.

In: statements.  Out: an :class:`Entry` for each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from theory.statements import STATEMENTS
from theory.statements.statement import Check, Finding, Statement, Verdict

__all__ = ["CheckRun", "Entry", "LedgerError", "in_order", "passed", "run_ledger"]

DEFINED = "DEFINED"
_PASSES = (Verdict.PROVED, Verdict.SUPPORTED)


class LedgerError(ValueError):
    """The statements do not make a ledger: a repeated, unknown or circular identifier."""


@dataclass(frozen=True)
class CheckRun:
    """A check that ran: what it found, and the seconds it took."""

    check: Check
    finding: Finding
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it says PROVED, or SUPPORTED where its kind can say no more."""
        return self.finding.verdict in _PASSES


@dataclass(frozen=True)
class Entry:
    """A statement with its derived status and the checks that ran."""

    statement: Statement
    status: str
    checks: tuple[CheckRun, ...]

    def record(self) -> dict[str, Any]:
        """What ``python -m theory ledger --json`` prints of it."""
        statement = self.statement
        return {
            "id": statement.id,
            "kind": statement.kind,
            "title": statement.title,
            "paper": statement.paper,
            "relation": statement.relation,
            "depends": list(statement.depends),
            "status": self.status,
            "checks": [
                {
                    "kind": run.check.kind,
                    "verdict": run.finding.verdict.value,
                    "evidence": dict(run.finding.evidence),
                    "seconds": round(run.seconds, 4),
                }
                for run in self.checks
            ],
        }


def in_order(statements: Iterable[Statement]) -> list[Statement]:
    """The statements, each after all that it depends on, else in the order given.

    Raises
    ------
    LedgerError
        If an identifier occurs twice, is not defined, or depends on itself.
    """
    known: dict[str, Statement] = {}
    for statement in statements:
        if statement.id in known:
            raise LedgerError(f"{statement.id} is in the ledger twice")
        known[statement.id] = statement
    for statement in known.values():
        for name in statement.depends:
            if name not in known:
                raise LedgerError(f"{statement.id} depends on {name}, which is not in the ledger")
    graph = {name: statement.depends for name, statement in known.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise LedgerError(f"a circle of proofs: {' → '.join(error.args[1])}") from None
    return [known[name] for name in order]


def _status(statement: Statement, runs: Sequence[CheckRun], below: Iterable[str]) -> str:
    own = [run.finding.verdict for run in runs if run.check.required]
    for failure in (Verdict.REFUTED, Verdict.CONTRADICTED, Verdict.UNDECIDED):
        if failure in own:
            return failure.value
    below = set(below)
    if not below <= {DEFINED, Verdict.PROVED.value, Verdict.SUPPORTED.value}:
        return Verdict.UNDECIDED.value
    if Verdict.SUPPORTED.value in below:
        return Verdict.SUPPORTED.value
    if statement.defines:
        return DEFINED
    return (Verdict.PROVED if Verdict.PROVED in own else Verdict.SUPPORTED).value


def _ancestors(statements: Sequence[Statement], name: str) -> set[str]:
    depends = {statement.id: statement.depends for statement in statements}
    if name not in depends:
        raise LedgerError(f"{name!r} is not in the ledger")
    found, waiting = {name}, [name]
    while waiting:
        for parent in depends[waiting.pop()]:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def run_ledger(
    statements: Iterable[Statement] = STATEMENTS,
    *,
    only: str | None = None,
    progress: Callable[[Sequence[Statement]], Iterable[Statement]] = iter,
) -> list[Entry]:
    """Run the checks and derive each status.

    Parameters
    ----------
    statements : iterable of Statement
    only : str, optional
        Run this statement and all that it rests on, nothing else.
    progress : callable
        Wraps the statements, for instance with ``rich.progress.track``.

    Returns
    -------
    list of Entry
        In the order given.

    Raises
    ------
    LedgerError
        As in :func:`in_order`, or if ``only`` is unknown.

    Examples
    --------
    >>> [(entry.statement.id, entry.status) for entry in run_ledger(only="lem-shift")]
    [('def-vit', 'DEFINED'), ('lem-shift', 'PROVED')]
    """
    statements = list(statements)
    chosen = {s.id for s in statements} if only is None else _ancestors(statements, only)
    entries: dict[str, Entry] = {}
    for statement in progress([s for s in in_order(statements) if s.id in chosen]):
        runs = []
        for check in statement.checks:
            begin = time.perf_counter()
            finding = check()
            runs.append(CheckRun(check, finding, time.perf_counter() - begin))
        below = (entries[name].status for name in statement.depends)
        entries[statement.id] = Entry(statement, _status(statement, runs, below), tuple(runs))
    return [entries[s.id] for s in statements if s.id in entries]


def passed(entries: Iterable[Entry]) -> bool:
    """Whether every required check of these entries passed and no status fell short for it."""
    return all(
        entry.status in (DEFINED, *(v.value for v in _PASSES))
        and all(run.passed for run in entry.checks if run.check.required)
        for entry in entries
    )
