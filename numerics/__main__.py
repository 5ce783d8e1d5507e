"""The command line: ``python -m numerics list``, ``... run NAME`` and ``... train MODEL``."""

from __future__ import annotations

import inspect
import json
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from numerics.datasets import load_dataset
from numerics.engine import FitConfig, launch
from numerics.engine.standalone import load_everywhere, train_model
from numerics.experiments import load_experiment, names, summary
from numerics.records import RECORDS, Record, begin, fixed_by, provenance, write_record

#: Where an experiment's trainings keep their checkpoints when no folder is named.
RUNS = Path(__file__).parent / "runs"

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


def _rows_table(rows: list[dict[str, str]]) -> Table:
    """What an experiment shows of its results beside the metrics."""
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*row.values())
    return table


def _with_data(
    name: str, experiment: ModuleType, config: Any, dataset: str | None, root: Path | None
) -> Any:
    """The configuration with another data set, if the experiment has one."""
    for field, value in (("dataset", dataset), ("root", None if root is None else str(root))):
        if value is None:
            continue
        if field not in {f.name for f in fields(config)}:
            having = [
                other
                for other in names()
                if field in {f.name for f in fields(load_experiment(other).Config)}
            ]
            raise _fail(f"{name} takes no --{field}; those that do: {', '.join(having) or 'none'}")
        config = replace(config, **{field: value})
    return config


def _map_of_the_middle(results: dict) -> Table:
    """Similarity of patch (side // 2, side // 2) with every patch, in its place."""
    side = results["side"]
    middle = side // 2 * side + side // 2
    row = results["similarity"][middle]
    table = Table(show_header=False, padding=0)
    for r in range(side):
        table.add_row(*(f"{value:4.1f}" for value in row[r * side : (r + 1) * side]))
    return table


def _read_checkpoint(name: str, experiment: ModuleType, checkpoint: str, out: Path | None) -> None:
    """Print, and keep in ``out``, what the experiment reads off a network that is given."""
    if not hasattr(experiment, "from_checkpoint"):
        reading = [other for other in names() if hasattr(load_experiment(other), "from_checkpoint")]
        raise _fail(f"{name} takes no --checkpoint; those that do: {', '.join(reading)}")
    origin, start = provenance(), time.perf_counter()
    try:
        results = experiment.from_checkpoint(checkpoint)
    except (ValueError, OSError) as error:
        raise _fail(f"{name}: {error}") from error
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


def _check_resumable(name: str, experiment: ModuleType) -> None:
    if not {"directory", "resume"} <= set(inspect.signature(experiment.run).parameters):
        raise _fail(f"{name} keeps no checkpoints: run it without --resume")


def _fetch(name: str, config: Any) -> None:
    """Fetch the data sets of an experiment that are not there."""
    if not hasattr(config, "dataset"):
        raise _fail(f"{name} takes no --download: it has no data set by name")
    given = config.dataset
    for dataset in (given,) if isinstance(given, str) else given:
        load_dataset(dataset, config.root, download=True)


def _keep(record: Record, directory: Path) -> None:
    """Write a record; results that cannot be written there are printed, not lost."""
    try:
        console.print(f"{write_record(record, directory)} ({record.duration:.1f} s)")
    except (OSError, ValueError) as error:
        print(json.dumps(asdict(record)))
        raise _fail(f"{error}: no record is written; its contents are printed above") from error


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
        raise _fail(str(error)) from error
    if checkpoint is not None:
        unused = {"--light": light, "--download": download, "--resume": resume}
        unused |= {"--seed": seed is not None, "--dataset": bool(dataset), "--root": bool(root)}
        if given := [option for option, value in unused.items() if value]:
            raise _fail(f"{name} --checkpoint trains nothing: run it without {', '.join(given)}")
        return _read_checkpoint(name, experiment, checkpoint, out)
    _check_device(device)
    config = experiment.LIGHT if light else experiment.Config()
    if seed is not None:
        config = replace(config, seed=seed)
    config = _with_data(name, experiment, config, dataset, root)
    if resume:
        _check_resumable(name, experiment)
    # Only what decides the numbers belongs in the command that a record keeps.
    command = f"python -m numerics run {name} --seed {config.seed}"
    command += (" --light" if light else "") + (f" --device {device}" if device != "cpu" else "")
    command += f" --dataset {dataset}" if dataset is not None else ""

    folder = (out or RUNS) / name
    start = time.perf_counter()
    try:
        origin, resumed = begin(folder, device) if resume else (provenance(device), 0)
        if download:
            _fetch(name, config)
        options: dict[str, Any] = {"directory": folder, "resume": True} if resume else {}
        results = experiment.run(config, device=device, progress=console.is_terminal, **options)
    except (ValueError, ArithmeticError, OSError) as error:
        raise _fail(f"{name}: {error}") from error
    duration = time.perf_counter() - start
    console.print(_metrics_table(name, results))
    if hasattr(experiment, "table"):
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
            fixed=fixed_by(experiment, config),
            resumed=resumed,
            **origin,
        )
        _keep(record, directory)


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="A vision transformer of timm's registry.")],
    dataset: Annotated[str, typer.Option(help="See numerics.datasets.")],
    out: Annotated[Path, typer.Option(help="Folder of checkpoints, metrics and weights.")],
    steps: Annotated[int, typer.Option(help="Updates of the weights.")] = 1000,
    batch: Annotated[int, typer.Option(help="Images in one, over all devices together.")] = 64,
    lr: Annotated[float, typer.Option(help="The largest learning rate.")] = 1e-3,
    weight_decay: float = 0.05,
    warmup: Annotated[float, typer.Option(help="Fraction of the steps.")] = 0.1,
    accumulate: Annotated[int, typer.Option(help="Parts of a batch.")] = 1,
    precision: Annotated[str, typer.Option(help="32-true or bf16-mixed.")] = "32-true",
    ema: Annotated[float | None, typer.Option(help="Decay of the average of weights.")] = None,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    label_smoothing: float = 0.0,
    clip: Annotated[float | None, typer.Option(help="Largest norm of the gradient.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Default steps/10.")] = None,
    log_every: Annotated[int, typer.Option(help="Updates between lines of metrics.")] = 50,
    seed: int = 0,
    patch: Annotated[int | None, typer.Option(help="Side of a patch in pixels.")] = None,
    evaluations: Annotated[int, typer.Option(help="Measurements of test accuracy.")] = 10,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N")] = "cpu",
    devices: Annotated[int, typer.Option(help="Devices of this machine.")] = 1,
    machines: Annotated[int, typer.Option(help="Machines; see numerics.engine.standalone.")] = 1,
    root: Annotated[Path, typer.Option(help="Folder of the data sets.")] = Path("data"),
    download: Annotated[bool, typer.Option("--download", help="Fetch what is missing.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from OUT, if it is there.")
    ] = False,
) -> None:
    """Train one vision transformer by itself, on one device or on several."""
    _check_device(device)
    try:
        config = FitConfig(
            steps=steps,
            batch=batch,
            lr=lr,
            weight_decay=weight_decay,
            warmup=warmup,
            accumulate=accumulate,
            precision=precision,
            ema=ema,
            mixup=mixup,
            cutmix=cutmix,
            label_smoothing=label_smoothing,
            clip=clip,
            checkpoint_every=checkpoint_every,
            log_every=log_every,
            seed=seed,
        )
        fabric = launch(device, precision=precision, devices=devices, machines=machines)
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
        raise _fail(str(error)) from error
    if fabric.is_global_zero:
        right = done.history["test_accuracy"][-1]
        spread = (right * (1 - right) / done.test_images) ** 0.5
        console.print(f"test accuracy {right:.4f} ± {spread:.4f} ({done.test_images} images)")
        console.print(f"{out / 'weights.safetensors'}")


if __name__ == "__main__":
    app()
