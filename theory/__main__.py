"""The command line of the theory: exact paths, certified ones, and the ledger of statements."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Column, Table

from theory.dynamics.certificates import TABLE, certificate, path_of, run
from theory.dynamics.certificates.proof import all_steps, prove
from theory.dynamics.certified import decimal_above, write_certificate
from theory.dynamics.descent import Trajectory, acts, gradient_descent
from theory.setting import Coefficients, Setting

if TYPE_CHECKING:
    from theory.ledger import Entry

_Item = TypeVar("_Item")

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


def _number(text: str | float) -> float:
    """A decimal, or a fraction such as 1/4."""
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise typer.BadParameter(f"{text!r} is not a number such as 0.25 or 1/4") from error


def _progress(sequence: Sequence[_Item]) -> Iterator[_Item]:
    return iter(track(sequence, "working", console=Console(stderr=True), transient=True))


def _fail(error: Exception) -> typer.Exit:
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", []))
    console = Console(stderr=True)
    console.print(f"{error}{notes}", style="red", markup=False, highlight=False)
    return typer.Exit(2)


def _table(path: Trajectory, rows: int) -> Table:
    table = Table("step", "alpha", "gamma", "rho", "margin", "loss")
    last = len(path) - 1
    for i in np.unique(np.linspace(0, last, min(rows, last + 1)).round().astype(int)):
        numbers = (path.alpha[i], path.gamma[i], path.rho[i], path.margin[i], path.loss[i])
        table.add_row(str(i), *(f"{x:.6g}" for x in numbers))
    return table


def _plot(path: Trajectory, file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    logits, loss = figure.subplots(1, 2)
    logits.plot(path.time, path.gamma, label="γ (inside a set)")
    logits.plot(path.time, path.rho, "--", label="ρ (across sets)")
    logits.set(xlabel="step", ylabel="attention logit")
    logits.legend()
    loss.plot(path.time, path.loss, label="loss (nats)")
    loss.plot(path.time, path.alpha / path.alpha.max(), "--", label="α / max α")
    loss.set(xlabel="step", ylim=(0, None))
    loss.legend()
    figure.savefig(file)


@app.command()
def iterate(
    L: Annotated[int, typer.Option("--L", help="Number of hidden sets, at least 2.")] = 16,
    C: Annotated[int, typer.Option("--C", help="Patches in a set.")] = 4,
    q: Annotated[float, typer.Option(parser=_number, help="Spurious rate, 0 to 1.")] = 0.25,
    p: Annotated[int, typer.Option(help="Degree of the activation, odd.")] = 3,
    nu: Annotated[float, typer.Option(parser=_number, help="Its linear part.")] = 0.05,
    sigma_A: Annotated[float, typer.Option("--sigma-A", parser=_number)] = 2.0,
    temperature: Annotated[float, typer.Option(parser=_number)] = 1.0,
    alpha: Annotated[float, typer.Option(parser=_number, help="Where α starts.")] = 0.005,
    gamma: Annotated[float, typer.Option(parser=_number)] = 0.0,
    rho: Annotated[float, typer.Option(parser=_number)] = 0.0,
    eta_v: Annotated[float, typer.Option(parser=_number, help="Step size of v.")] = 1e-4,
    eta_A: Annotated[float, typer.Option("--eta-A", parser=_number, help="Of A.")] = 80.0,
    steps: Annotated[int, typer.Option(help="Steps of gradient descent.")] = 150,
    rows: Annotated[int, typer.Option(help="Rows of the table.")] = 16,
    plot: Annotated[Path | None, typer.Option(help="Also draw the path to this file.")] = None,
) -> None:
    """Exact gradient descent of (α, γ, ρ) on the population loss, as a table or a picture."""

    try:
        setting = Setting(L=L, C=C, q=q, p=p, nu=nu, sigma_A=sigma_A, temperature=temperature)
        path = gradient_descent(
            setting,
            Coefficients(alpha, gamma, rho),
            eta_v=eta_v,
            eta_A=eta_A,
            steps=steps,
            progress=_progress,
        )
    except (ValueError, ArithmeticError) as error:
        raise _fail(error) from error
    console = Console()
    console.print(_table(path, rows))
    if len(path) > 1:
        found = acts(path)
        console.print(
            f"plateau of α: {found.plateau}, half-rise of γ − ρ: {found.half_rise}, "
            f"loss below 0.1: {found.learnt}"
        )
    if plot is not None:
        try:
            _plot(path, plot)
        except (OSError, ValueError) as error:
            raise _fail(OSError(f"cannot write {plot}: {error}")) from error
        console.print(f"drawn to {plot}")


_COLOURS = {"PROVED": "green", "DEFINED": "blue", "SUPPORTED": "cyan", "UNDECIDED": "yellow"}


def _ledger_table(entries: Sequence[Entry]) -> Table:
    table = Table(Column("statement", no_wrap=True), "title", "status", "checks", "seconds")
    for entry in entries:
        checks = ", ".join(
            each.check.kind if each.passed else f"{each.check.kind} {each.finding.verdict.value}"
            for each in entry.checks
        )
        seconds = f"{sum(each.seconds for each in entry.checks):.2f}" if entry.checks else ""
        status = f"[{_COLOURS.get(entry.status, 'red')}]{entry.status}[/]"
        table.add_row(entry.statement.id, escape(entry.statement.title), status, checks, seconds)
    return table


def _detail(entry: Entry) -> str:
    """What a statement says, under what, and what exactly its checks decided."""
    record = entry.record()
    under = [f"  under: {'; '.join(record['hypotheses'])}"] if record["hypotheses"] else []
    decided = [
        f"  {check['kind']}, {check['verdict']}: {check['evidence']['scope']}"
        for check in record["checks"]
    ]
    rest = ["  the rest: the proof in words, in its chapter"] * record["proof_in_words"]
    return "\n".join([f"  {record['text']}", *under, *decided, *rest])


@app.command()
def ledger(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array, for programs.")] = False,
    only: Annotated[
        str | None, typer.Option(help="One statement; what it rests on is checked too.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; one for each core if not given.")
    ] = None,
) -> None:
    """Run the checks of every statement of the book; exit code 1 if one is not proved."""
    from theory.ledger import LedgerError, passed, run_ledger

    try:
        # One statement takes less time than starting a process.
        workers = jobs or (min(os.cpu_count() or 1, 8) if only is None else 1)
        entries = run_ledger(only=only, jobs=workers, progress=_progress)
    except LedgerError as error:
        raise _fail(error) from error
    shown = [entry for entry in entries if only in (None, entry.statement.id)]
    if as_json:
        typer.echo(json.dumps([entry.record() for entry in shown], ensure_ascii=False, indent=1))
    else:
        console = Console()
        console.print(_ledger_table(shown))
        if only is not None:
            # One line each, however wide the window: a formula is then copied whole.
            console.print(*map(_detail, shown), markup=False, highlight=False, soft_wrap=True)
        for entry in entries:
            for each in (each for each in entry.checks if not each.passed):
                text = f"{entry.statement.id}, {each.check.kind}: {dict(each.finding.evidence)}"
                console.print(text, style="red", markup=False, highlight=False)
        total = sum(each.seconds for entry in entries for each in entry.checks)
        number = sum(len(entry.checks) for entry in entries)
        console.print(f"{len(entries)} statements, {number} checks, {total:.0f} s")
    if not passed(entries):
        raise typer.Exit(1)


@app.command()
def certify(
    name: Annotated[str, typer.Argument(help="A row of the certified table; see `check`.")],
    out: Annotated[Path | None, typer.Option(help="Another file than its own.")] = None,
) -> None:
    """Make a certificate of the table again: exact gradient descent enclosed in balls."""
    try:
        target = out or path_of(name)
        found = run(name, progress=_progress)
        write_certificate(found, target)
    except (ValueError, ArithmeticError, OSError) as error:
        raise _fail(error) from error
    report = f"margin {found.margin()}, Pr[yF ≤ 0] ≤ {decimal_above(found.error_bound(), 6)}"
    Console().print(report, markup=False, highlight=False)


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Rows; all unless named.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Only so many of each: the last two, then others.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which others.")] = 0,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; one for each core if not given.")
    ] = None,
) -> None:
    """Prove the stored certificates again, every step; exit 1 if one is not proved.

    That a row is proved whole is kept for the ledger until code or certificate change.
    """
    table = Table("certificate", "patches", "margin", r"Pr\[yF ≤ 0] ≤", "proved now")
    missing = []
    for name in names or TABLE:
        try:
            found = certificate(name)
        except (ValueError, OSError) as error:
            raise _fail(error) from error
        # The last two lead to the last box and to the loss.
        others = np.random.default_rng(seed).permutation(found.steps - 1).tolist()
        drawn = [found.steps, found.steps - 1, *others][:steps]
        workers = jobs or min(os.cpu_count() or 1, len(drawn))
        proved = prove(found, drawn, jobs=workers, progress=_progress)
        missing += [f"{name}, step {step}: not proved" for step in sorted({*drawn} - {*proved})]
        table.add_row(
            name,
            str(found.exact_setting().D),
            found.margin().str(6, radius=False),
            decimal_above(found.error_bound(), 6),
            f"{len(proved)} of {len(all_steps(found))} steps",
        )
    console = Console()
    console.print(table)
    for line in missing:
        console.print(line, style="red", markup=False, highlight=False)
    raise typer.Exit(1 if missing else 0)


if __name__ == "__main__":
    app(prog_name="python -m theory")
