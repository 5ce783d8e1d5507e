"""The ledger: every statement of the book, its checks run, its status derived.

A status is never typed.  It is derived from the checks that ran and from the statements that this
one rests on:

* a check that refutes, contradicts or decides nothing gives its verdict;
* else a failure among the ancestors leaves the statement UNDECIDED, not false;
* else one that rests on something only SUPPORTED, or has a required check that is, is SUPPORTED;
* else it is PROVED, or DEFINED for a definition or an assumption.

Only PROVED and DEFINED pass.  In: statements.  Out: an :class:`Entry` for each.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import Any

from theory.inputs import integer
from theory.statements import STATEMENTS
from theory.statements.statement import Check, Finding, Statement, Verdict

__all__ = ["CheckRun", "Entry", "LedgerError", "in_order", "passed", "run_ledger"]

DEFINED = "DEFINED"


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
        """Whether it says PROVED, or SUPPORTED where no more is required."""
        enough = (Verdict.PROVED, *(() if self.check.required else (Verdict.SUPPORTED,)))
        return self.finding.verdict in enough


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
            "text": " ".join(statement.text.split()),
            "hypotheses": list(statement.hypotheses),
            "proof_in_words": statement.proof_in_words,
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
    own = [run.finding.verdict for run in runs]
    for failure in (Verdict.REFUTED, Verdict.CONTRADICTED, Verdict.UNDECIDED):
        if failure in own:
            return failure.value
    below = set(below)
    if not below <= {DEFINED, Verdict.PROVED.value, Verdict.SUPPORTED.value}:
        return Verdict.UNDECIDED.value
    if Verdict.SUPPORTED.value in below or not all(run.passed for run in runs):
        return Verdict.SUPPORTED.value
    return DEFINED if statement.defines else Verdict.PROVED.value


def _ancestors(statements: Sequence[Statement], name: str) -> set[str]:
    depends = {statement.id: statement.depends for statement in statements}
    if name not in depends:
        near = get_close_matches(name, depends, n=3)
        meant = f" (near it: {', '.join(near)})" if near else ""
        raise LedgerError(
            f"{name!r} is not in the ledger{meant}: `python -m theory ledger` lists every id"
        )
    found, waiting = {name}, [name]
    while waiting:
        for parent in depends[waiting.pop()]:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def _timed(check: Check) -> CheckRun:
    begin = time.perf_counter()
    finding = check()
    return CheckRun(check, finding, time.perf_counter() - begin)


def _timed_by_name(name: str, number: int) -> tuple[Finding, float]:
    """Run a check of the book in a worker, where it is found again by name."""
    (statement,) = (s for s in STATEMENTS if s.id == name)
    run = _timed(statement.checks[number])
    return run.finding, run.seconds


@contextmanager
def _runner(
    statements: Sequence[Statement], jobs: int
) -> Iterator[Callable[[Statement], list[CheckRun]]]:
    """A function that gives the runs of a statement's checks; with ``jobs`` > 1, from workers.

    Checks are closures, which no process can send to another.  Workers import the book and find
    them by name, so other statements than the book's are run here.
    """
    if jobs == 1:
        yield lambda statement: [_timed(check) for check in statement.checks]
        return
    book = {id(statement) for statement in STATEMENTS}
    tasks = [(s, k) for s in statements if id(s) in book for k in range(len(s.checks))]
    # The long ones are certified: begin with them, so that no worker is left with one at the end.
    tasks.sort(key=lambda task: task[0].checks[task[1]].kind != "certified")
    # Spawned, not forked: a fork copies the locks of threads that it does not copy.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as workers:
        waiting: dict[tuple[str, int], Future[tuple[Finding, float]]] = {
            (s.id, k): workers.submit(_timed_by_name, s.id, k) for s, k in tasks
        }

        def runs(statement: Statement) -> list[CheckRun]:
            found = []
            for k, check in enumerate(statement.checks):
                if (statement.id, k) not in waiting:
                    found.append(_timed(check))
                    continue
                try:
                    found.append(CheckRun(check, *waiting[statement.id, k].result()))
                except BrokenProcessPool as error:
                    evidence = {"scope": check.scope, "error": f"a worker died: {error}"}
                    found.append(CheckRun(check, Finding(Verdict.UNDECIDED, evidence), 0.0))
            return found

        try:
            yield runs
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise


def run_ledger(
    statements: Iterable[Statement] = STATEMENTS,
    *,
    only: str | None = None,
    jobs: int = 1,
    progress: Callable[[Sequence[Statement]], Iterable[Statement]] = iter,
) -> list[Entry]:
    """Run the checks and derive each status.

    Parameters
    ----------
    statements : iterable of Statement
    only : str, optional
        Run this statement and all that it rests on, nothing else.
    jobs : int
        Processes that run checks.  With more than one, call it from a program that may be imported
        (``if __name__ == "__main__":``), for each process imports it.
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
    ValueError
        If ``jobs`` is not positive.

    Examples
    --------
    >>> [(entry.statement.id, entry.status) for entry in run_ledger(only="lem-shift")]
    [('def-vit', 'DEFINED'), ('lem-shift', 'PROVED')]
    """
    jobs = integer("jobs", jobs, least=1)
    statements = list(statements)
    chosen = {s.id for s in statements} if only is None else _ancestors(statements, only)
    ordered = [s for s in in_order(statements) if s.id in chosen]
    entries: dict[str, Entry] = {}
    with _runner(ordered, jobs) as runs_of:
        for statement in progress(ordered):
            runs = tuple(runs_of(statement))
            below = (entries[name].status for name in statement.depends)
            entries[statement.id] = Entry(statement, _status(statement, runs, below), runs)
    return [entries[s.id] for s in statements if s.id in entries]


def passed(entries: Iterable[Entry]) -> bool:
    """Whether every claim of these entries is PROVED, and nothing speaks against a definition."""
    return all(entry.status in (DEFINED, Verdict.PROVED.value) for entry in entries)
