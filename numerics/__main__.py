"""The command line: ``python -m numerics list``, ``... run NAME`` and ``... train MODEL``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from numerics.command_options import failure, with_options_of
from numerics.data.sets import load_dataset
from numerics.engine import FitConfig, launch
from numerics.engine.standalone import load_everywhere, train_model
from numerics.experiment import Experiment, OnDatasets, Options, Seeded
from numerics.experiments import load_experiment, names, summary
from numerics.records import RECORDS, Record, begin, provenance, write_record

#: Where an experiment's trainings keep their checkpoints when no folder is named.
RUNS = Path(__file__).parent / "runs"

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console()


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise failure(
            f"device {device!r} is not available: {str(error).splitlines()[0]}"
        ) from error


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


def _rows_table(rows: list[dict[str, str]]) -> Table:
    """What an experiment shows of its results beside the metrics."""
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*row.values())
    return table


def _refuse(name: str, option: str, takes: Callable[[Experiment], bool]) -> None:
    """Fail if an experiment does not take an option, naming those that do."""
    if not takes(load_experiment(name)):
        taking = [other for other in names() if takes(load_experiment(other))]
        raise failure(f"{name} takes no {option}; those that do: {', '.join(taking)}")


def _has_datasets(experiment: Experiment) -> bool:
    return issubclass(experiment.Config, OnDatasets)


def _with_data(name: str, config: Seeded, **given: str | None) -> Seeded:
    """The configuration with another data set or folder of them, if the experiment has any."""
    given = {field: value for field, value in given.items() if value is not None}
    for field in given:
        _refuse(name, f"--{field}", _has_datasets)
    return replace(config, **given)  # type: ignore[arg-type]


def _map_of_the_middle(results: dict) -> Table:
    """Similarity of patch (side // 2, side // 2) with every patch, in its place."""
    side = results["side"]
    middle = side // 2 * side + side // 2
    row = results["similarity"][middle]
    table = Table(show_header=False, padding=0)
    for r in range(side):
        table.add_row(*(f"{value:4.1f}" for value in row[r * side : (r + 1) * side]))
    return table


def _read_checkpoint(name: str, checkpoint: str, out: Path | None) -> None:
    """Print, and keep in ``out``, what the experiment reads off a network that is given."""
    _refuse(name, "--checkpoint", lambda experiment: experiment.from_checkpoint is not None)
    read: Any = load_experiment(name).from_checkpoint
    origin, start = provenance(), time.perf_counter()
    try:
        results = read(checkpoint)
    except (ValueError, OSError) as error:
        raise failure(f"{name}: {error}") from error
    middle = results["side"] // 2
    console.print(_metrics_table(name, results))
    console.print(f"cosine similarity of all patches with patch ({middle}, {middle}), from 0:")
    console.print(_map_of_the_middle(results))
    if out is not None:
        # Under a name of its own: it is no record of the experiment, which trains networks.
        record = Record(
            experiment=f"{name}-checkpoint",
            command=f"python -m numerics run {name} --checkpoint {Path(checkpoint).name}",
            configuration={"checkpoint": Path(checkpoint).name},
            seed=0,
            results=results,
            duration=round(time.perf_counter() - start, 2),
            **origin,
        )
        _keep(record, out)


def _keep(record: Record, directory: Path) -> None:
    """Write a record; results that cannot be written there are printed, not lost."""
    try:
        console.print(f"{write_record(record, directory)} ({record.duration:.1f} s)")
    except (OSError, ValueError) as error:
        print(json.dumps(asdict(record)))
        raise failure(f"{error}: no record is written; its contents are printed above") from error


@app.command("list")
def list_experiments() -> None:
    """List the experiments."""
    table = Table("experiment", "what it shows")
    for name in names():
        table.add_row(name, summary(name))
    console.print(table)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="An experiment; see `list`.")],
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N")] = "cpu",
    seed: Annotated[int | None, typer.Option(help="Replaces the seed of the experiment.")] = None,
    light: Annotated[bool, typer.Option("--light", help="The small size, under a minute.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the record; without it a light run, or one on another data set, is "
            "not recorded."
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Another data set, for experiments on one of several.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the data sets.")] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the data set if it is not there.")
    ] = False,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Read a trained network instead of training: a file (.pth, .safetensors) or the "
            "name of a pretrained timm model. Nothing is recorded without --out."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep checkpoints in OUT/NAME (numerics/runs/NAME without --out), which it takes "
            "from the first start on, and go on from those that are there.",
        ),
    ] = False,
) -> None:
    """Run an experiment, print its metrics and write its record."""
    try:
        experiment = load_experiment(name)
    except ValueError as error:
        raise failure(str(error)) from error
    if checkpoint is not None:
        unused = {"--light": light, "--download": download, "--resume": resume}
        unused |= {"--seed": seed is not None, "--dataset": bool(dataset), "--root": bool(root)}
        if given := [option for option, value in unused.items() if value]:
            raise failure(f"{name} --checkpoint trains nothing: run it without {', '.join(given)}")
        return _read_checkpoint(name, checkpoint, out)
    _check_device(device)
    config: Any = experiment.light if light else experiment.Config()
    if seed is not None:
        config = replace(config, seed=seed)
    config = _with_data(name, config, dataset=dataset, root=None if root is None else str(root))
    if resume:
        _refuse(name, "--resume", lambda experiment: experiment.resumable)
    if download:
        _refuse(name, "--download", _has_datasets)
    # Only what decides the numbers belongs in the command that a record keeps.
    command = f"python -m numerics run {name} --seed {config.seed}"
    command += (" --light" if light else "") + (f" --device {device}" if device != "cpu" else "")
    command += f" --dataset {dataset}" if dataset is not None else ""

    folder = (out or RUNS) / name
    start = time.perf_counter()
    try:
        origin, resumed = begin(folder, device) if resume else (provenance(device), 0)
        for given in config.datasets if download else ():
            load_dataset(given, config.root, download=True)
        options = Options(device, console.is_terminal, folder if resume else None, resume)
        results = experiment.run(config, options)
    except (ValueError, ArithmeticError, OSError) as error:
        raise failure(f"{name}: {error}") from error
    duration = time.perf_counter() - start
    console.print(_metrics_table(name, results))
    if experiment.table is not None:
        # Wider than a pipe is taken to be: a table of results is of no use with its words cut.
        Console(width=140).print(_rows_table(experiment.table(results)))

    directory = out or (None if light or dataset is not None else RECORDS)
    if directory is not None:
        record = Record(
            experiment=name,
            command=command,
            configuration=asdict(config),
            seed=config.seed,
            results=results,
            duration=round(duration, 2),
            fixed=experiment.fixed(config),
            resumed=resumed,
            **origin,
        )
        _keep(record, directory)


@app.command()
@with_options_of(FitConfig)
def train(
    model: Annotated[str, typer.Argument(help="A vision transformer of timm's registry.")],
    dataset: Annotated[str, typer.Option(help="See numerics.data.sets.")],
    out: Annotated[Path, typer.Option(help="Folder of checkpoints, metrics and weights.")],
    config: FitConfig,
    patch: Annotated[int | None, typer.Option(help="Side of a patch in pixels.")] = None,
    evaluations: Annotated[int, typer.Option(help="Measurements of test accuracy.")] = 10,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N")] = "cpu",
    devices: Annotated[int, typer.Option(help="Devices of this machine.")] = 1,
    root: Annotated[Path, typer.Option(help="Folder of the data sets.")] = Path("data"),
    download: Annotated[bool, typer.Option("--download", help="Fetch what is missing.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from OUT, if it is there.")
    ] = False,
) -> None:
    """Train one vision transformer by itself, on one device or on several."""
    _check_device(device)
    try:
        fabric = launch(device, precision=config.precision, devices=devices)
        done = train_model(
            model,
            load_everywhere(fabric, dataset, root, download=download),
            config,
            fabric,
            patch=patch,
            evaluations=evaluations,
            directory=out,
            resume=resume,
            progress=console.is_terminal,
        )
    except (ValueError, ArithmeticError, OSError) as error:
        raise failure(str(error)) from error
    if fabric.is_global_zero:
        right = done.history["test_accuracy"][-1]
        spread = (right * (1 - right) / done.test_images) ** 0.5
        console.print(f"test accuracy {right:.4f} ± {spread:.4f} ({done.test_images} images)")
        console.print(f"{out / 'weights.safetensors'}")


if __name__ == "__main__":
    app()
