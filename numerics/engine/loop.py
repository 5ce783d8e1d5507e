"""The training loop: AdamW on the cross-entropy, in steps that can be stopped anywhere.

Step k computes the loss and its gradient at the weights after k updates, makes sure that both are
finite, then writes the checkpoint and the record of k if they are due, and only then updates.  So a
checkpoint is never of weights that were found to be broken.

In: a model, batches, a configuration.  Out: the trained model and its history.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from numerics.engine.batches import Batches
from numerics.engine.checkpoint import (
    list_checkpoints,
    read_checkpoint,
    write_checkpoint,
)
from numerics.engine.config import FitConfig
from numerics.engine.metrics import MetricsFile, progress_bar
from numerics.engine.step import Run, global_generators, launch
from numerics.files import remove_leftovers
from numerics.training import History, recorded_steps

__all__ = ["fit"]

METRICS = "metrics.jsonl"

Observe = Callable[[Any], Mapping[str, float]]


def _found(
    directory: Path | None, resume: bool, fixed: Mapping[str, Any], fabric: Fabric
) -> tuple[dict[str, Any] | None, str]:
    """State to go on from, on every device the same, and the file it was read from."""
    if directory is None:
        if resume:
            raise ValueError("resume = True: resume needs the directory of the checkpoints")
        return None, ""
    found: tuple[Any, str] = (None, "")
    # One process reads and hands on what it read, be it an error: then no other waits for it.
    if fabric.is_global_zero:
        try:
            found = _read(directory, resume, fixed)
        except (ValueError, OSError) as error:
            found = (error, "")
    state, path = fabric.broadcast(found)
    if isinstance(state, Exception):
        raise state
    return state, path


def _read(
    directory: Path, resume: bool, fixed: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, str]:
    directory.mkdir(parents=True, exist_ok=True)
    checkpoints = list_checkpoints(directory)
    if not resume and (checkpoints or (directory / METRICS).exists()):
        last = checkpoints[-1].name if checkpoints else METRICS
        raise FileExistsError(
            f"{directory} holds {last} of a run: resume it, or choose another directory; nothing "
            "was overwritten"
        )
    for name in ("checkpoint-*", METRICS):
        remove_leftovers(directory, name)
    if not checkpoints:
        return None, ""
    state = read_checkpoint(checkpoints[-1])
    before, now = state["fixed"], dict(fixed)
    for part in (before, now):
        part |= {f"about {name}": value for name, value in part.pop("about", {}).items()}
    changed = [name for name in before | now if before.get(name) != now.get(name)]
    if changed:
        raise ValueError(
            f"{checkpoints[-1]} is of another run: "
            + ", ".join(f"{n} was {before.get(n)!r}, is {now.get(n)!r}" for n in changed)
        )
    return state, str(checkpoints[-1])


def fit(
    model: Any,
    batches: Batches,
    config: FitConfig,
    *,
    device: torch.device | str = "cpu",
    observe: Observe | None = None,
    record_at: Iterable[int] = (),
    directory: Path | str | None = None,
    resume: bool = False,
    progress: bool = False,
    label: str = "training",
    about: Mapping[str, Any] | None = None,
    fabric: Fabric | None = None,
) -> History:
    """Train a classifier in place.

    On the CPU two runs with equal arguments and thread counts end with the same weights to the bit,
    however often one of them was killed and resumed.

    Parameters
    ----------
    model : nn.Module
        From images (n, channels, side, side) to scores (n, classes); moved to the device.
    batches : callable
        ``batches(step, generator)`` returns images and labels of one update; see
        :class:`Batches` and :func:`dataset_batches`.
    config : FitConfig
    device : device or str
        Where to train; not used with ``fabric``.
    observe : callable, optional
        Reads named numbers off the model at the recorded steps, in evaluation mode, in float32 and
        without gradients.  With ``config.ema`` it is handed the model with averaged weights.
    record_at : iterable of int
        Numbers of updates done, in 0..steps, at which to record.
    directory : path, optional
        Of ``checkpoint-*.pt`` (the last two) and ``metrics.jsonl``.
    resume : bool
        Go on from the last checkpoint of ``directory``, or start if there is none.  A run that
        was finished is not trained again: its weights and its history are read.
    progress : bool
        Show a progress bar, named ``label``.
    about : mapping, optional
        Plain values that say what is trained on what.  Checkpoints keep them, beside the class of
        the model, the configuration and ``record_at``, and are refused where one has changed.
    fabric : Fabric, optional
        What :func:`launch` has started, with the precision of the configuration, to train on
        several devices: each takes its equal part of every batch.

    Returns
    -------
    History
        Column ``loss``, the cross-entropy in nats of the batch at hand (with mixed labels if they
        are mixed), and what ``observe`` read.  ``model`` is left in the mode it had, with the
        trained weights; with ``config.ema``, with their average.  The weights that were averaged
        are in the last checkpoint, under ``model``.

    Raises
    ------
    ValueError
        If an argument is out of range, or the checkpoint is damaged
        (:class:`CorruptCheckpointError`) or that of another run or model.
    FileExistsError
        If ``directory`` holds a run and ``resume`` is false.
    ArithmeticError
        When the loss or its gradient is no longer finite; it names the step, the learning rate and
        the last good checkpoint, which is left as it is.
    OSError
        If a file cannot be written, say because the disk is full; earlier checkpoints are left.

    Examples
    --------
    >>> from numerics.datasets import load_dataset
    >>> from numerics.engine import dataset_batches
    >>> from numerics.vision import build_vit
    >>> digits = load_dataset("digits")
    >>> model = build_vit(crop=8, patch=2, classes=10, width=16, depth=1, heads=2)
    >>> config = FitConfig(steps=100, batch=32, lr=1e-2)
    >>> history = fit(model, dataset_batches(digits.train, 32), config, record_at=[0, 100])
    >>> history.steps, history["loss"][1] < history["loss"][0]
    ([0, 100], True)
    """
    record = sorted(recorded_steps("fit", record_at, config.steps))
    folder = None if directory is None else Path(directory)
    fabric = fabric or launch(device, precision=config.precision)
    if fabric.strategy.precision.precision != config.precision:
        raise ValueError(
            f"FitConfig.precision = {config.precision!r}: precision must be that of fabric, "
            f"{fabric.strategy.precision.precision!r}"
        )
    free = {"checkpoint_every", "log_every"}
    fixed = {
        **{k: v for k, v in asdict(config).items() if k not in free},
        "record_at": record,
        "model": f"{type(model).__module__}.{type(model).__qualname__}",
        "about": dict(about or {}),
    }
    state, path = _found(folder, resume, fixed, fabric)
    with global_generators(fabric.device):
        run = Run(model, batches, config, fabric)
        history, start = History(), 0
        if state is not None:
            run.load(state["run"], path)
            history = History(state["history"]["steps"], state["history"]["columns"])
            start = state["step"]
        training = model.training
        try:
            if state is None or not state["finished"]:
                with warnings.catch_warnings():
                    _loop(
                        run, history, start, record, observe, folder, fixed, path, progress, label
                    )
        finally:
            run.close()
        if run.average is not None:
            model.load_state_dict(run.average.module.state_dict())
        model.train(training)
    return history


def _loop(
    run: Run,
    history: History,
    start: int,
    record: list[int],
    observe: Observe | None,
    folder: Path | None,
    fixed: Mapping[str, Any],
    last: str,
    progress: bool,
    label: str,
) -> None:
    config, fabric = run.config, run.fabric
    first = fabric.is_global_zero
    metrics = MetricsFile(folder / METRICS, start) if folder and first else None

    def save(step: int, finished: bool) -> str:
        path = ""
        if folder is not None and first:
            state = {
                "step": step,
                "finished": finished,
                "fixed": dict(fixed),
                "history": {"steps": history.steps, "columns": history.columns},
                "run": run.state(),
            }
            path = str(write_checkpoint(folder, step, state))
        fabric.barrier()
        return path

    # DDP finds fault with the layout of weights with a side of length 1; their values are right.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    run.model.train()
    began, done = time.perf_counter(), 0
    with progress_bar(progress and first) as bar:
        task = bar.add_task(
            label, total=config.steps, completed=start, loss=math.nan, throughput=0.0
        )
        for step in range(start, config.steps + 1):
            loss, norm = run.gradient(step)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise ArithmeticError(
                    f"the loss is {loss} and the norm of its gradient {norm} after {step} steps, "
                    f"at learning rate {run.lr:.3g}: lower lr = {config.lr}; the last good "
                    f"checkpoint is {last or 'none: none was written yet'}"
                )
            if step > start and step < config.steps and step % config.checkpoint_steps == 0:
                last = save(step, finished=False)
            throughput = done * config.batch / (time.perf_counter() - began)
            row = {"loss": loss}
            if step in record:
                if observe is not None:
                    row |= _observed(run, observe)
                history.add(step, row)
            if metrics and (step in record or step % config.log_every == 0 or step == config.steps):
                extra = {"lr": run.lr, "gradient": norm, "images_per_second": throughput}
                metrics.add({"step": step, **row, **extra})
            if step < config.steps:
                run.update(step)
                done += 1
                bar.update(task, completed=step + 1, loss=loss, throughput=throughput)
    save(config.steps, finished=True)


def _observed(run: Run, observe: Observe) -> dict[str, float]:
    """What ``observe`` reads, by the first process; handed to all, so that histories agree."""
    found: dict[str, float] = {}
    if run.fabric.is_global_zero:
        model = run.result
        model.eval()
        with torch.no_grad():
            found = {name: float(value) for name, value in observe(model).items()}
        run.model.train()
    return run.fabric.broadcast(found)
