"""The command line of the experiments: ``python -m numerics list`` and ``... run NAME``."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from numerics.experiments import load_experiment, names, summary
from numerics.records import RECORDS, Record, provenance, write_record

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console()


def _fail(message: str) -> typer.Exit:
    Console(stderr=True).print(message, style="red", markup=False, highlight=False)
    return typer.Exit(2)


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise _fail(f"device {device!r} is not available: {str(error).splitlines()[0]}") from error


def _metrics_table(name: str, results: dict) -> Table:
    table = Table(title=name)
    for column in ("metric", "n", "mean", "standard error"):
        table.add_column(column)
    for metric, value in results.get("metrics", {}).items():
        error = value["standard_error"]
        table.add_row(
            metric,
            str(value["n"]),
            f"{value['mean']:.6g}",
            "–" if error is None else f"{error:.2g}",
        )
    return table


@app.command("list")
def list_experiments() -> None:
    """List the experiments."""
    table = Table("experiment", "what it shows")
    for name in names():
        table.add_row(name, summary(load_experiment(name)))
    console.print(table)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="An experiment; see `list`.")],
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N")] = "cpu",
    seed: Annotated[int | None, typer.Option(help="Replaces the seed of the experiment.")] = None,
    light: Annotated[bool, typer.Option("--light", help="The small size, under a minute.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the record; a light run is not recorded without it."),
    ] = None,
) -> None:
    """Run an experiment, print its metrics and write its record."""
    try:
        experiment = load_experiment(name)
    except ValueError as error:
        raise _fail(str(error)) from error
    _check_device(device)
    config = experiment.LIGHT if light else experiment.Config()
    if seed is not None:
        config = replace(config, seed=seed)
    # Only what decides the numbers belongs in the command that a record keeps.
    command = f"python -m numerics run {name} --seed {config.seed}"
    command += (" --light" if light else "") + (f" --device {device}" if device != "cpu" else "")

    origin, start = provenance(device), time.perf_counter()
    try:
        results = experiment.run(config, device=device, progress=console.is_terminal)
    except (ValueError, ArithmeticError) as error:
        raise _fail(f"{name}: {error}") from error
    duration = time.perf_counter() - start
    console.print(_metrics_table(name, results))

    directory = out or (None if light else RECORDS)
    if directory is not None:
        record = Record(
            experiment=name,
            command=command,
            configuration=asdict(config),
            seed=config.seed,
            results=results,
            duration=round(duration, 2),
            **origin,
        )
        console.print(f"{write_record(record, directory)} ({duration:.1f} s)")


if __name__ == "__main__":
    app()
