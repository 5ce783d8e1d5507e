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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from numerics.engine.batches import Batches
from numerics.engine.checkpoint import list_checkpoints, read_checkpoint, write_checkpoint
from numerics.engine.config import GONE, FitConfig
from numerics.engine.metrics import MetricsFile, progress_bar
from numerics.engine.step import Run, global_generators, launch
from numerics.files import remove_leftovers
from numerics.measure.history import History, recorded_steps

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
    # A field that is gone, at the value at which it did nothing, makes no other run.
    before = {k: v for k, v in state["fixed"].items() if k not in GONE or v != GONE[k]}
    now = dict(fixed)
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
        without gradients.
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
        Column ``loss``, the cross-entropy in nats of the batch at hand, and what ``observe`` read.
        ``model`` is left in the mode it had, with the trained weights.

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
    >>> from numerics.data.sets import load_dataset
    >>> from numerics.engine import dataset_batches
    >>> from numerics.models.vit import build_vit
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
    fixed = {
        **config.decisive(),
        "seed": config.seed,
        "record_at": record,
        "model": f"{type(model).__module__}.{type(model).__qualname__}",
        "about": dict(about or {}),
    }
    state, path = _found(folder, resume, fixed, fabric)
    with global_generators(fabric.device), warnings.catch_warnings():
        # DDP finds fault with the layout of weights of side 1; their values are right.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        run = Run(model, batches, config, fabric)
        training = _Training(run, record, observe, folder, fixed, last=path)
        if state is not None:
            run.load(state["run"], path)
            training.step, training.history = state["step"], History(**state["history"])
        mode = model.training
        try:
            if state is None or not state["finished"]:
                training.go(progress, label)
        finally:
            run.close()
        model.train(mode)
    return training.history


@dataclass
class _Training:
    """A run, how far it is, and what is read, written and kept of it on the way."""

    run: Run
    record: list[int]
    observe: Observe | None
    folder: Path | None
    fixed: dict[str, Any]
    last: str  # the newest checkpoint
    step: int = 0  # updates done
    history: History = field(default_factory=History)

    def go(self, progress: bool, label: str) -> None:
        """Take the steps that are left."""
        run, config, start = self.run, self.run.config, self.step
        first = run.fabric.is_global_zero
        metrics = MetricsFile(self.folder / METRICS, start) if self.folder and first else None
        run.model.train()
        began = time.perf_counter()
        with progress_bar(progress and first) as bar:
            task = bar.add_task(
                label, total=config.steps, completed=start, loss=math.nan, throughput=0.0
            )
            for self.step in range(start, config.steps + 1):
                loss, norm = run.gradient(self.step)
                self._check(loss, norm)
                if start < self.step < config.steps and self.step % config.checkpoint_steps == 0:
                    self._save(finished=False)
                throughput = (self.step - start) * config.batch / (time.perf_counter() - began)
                recorded, last = self.step in self.record, self.step == config.steps
                row = {"loss": loss} | (self._observed() if recorded else {})
                if recorded:
                    self.history.add(self.step, row)
                if metrics and (recorded or last or self.step % config.log_every == 0):
                    extra = {"lr": run.lr, "gradient": norm, "images_per_second": throughput}
                    metrics.add({"step": self.step, **row, **extra})
                if not last:
                    run.optimizer.step()
                    bar.update(task, completed=self.step + 1, loss=loss, throughput=throughput)
        self._save(finished=True)

    def _check(self, loss: float, norm: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise ArithmeticError(
                f"the loss is {loss} and the norm of its gradient {norm} after {self.step} steps, "
                f"at learning rate {self.run.lr:.3g}: lower lr = {self.run.config.lr}; the last "
                f"good checkpoint is {self.last or 'none: none was written yet'}"
            )

    def _save(self, finished: bool) -> None:
        if self.folder is not None and self.run.fabric.is_global_zero:
            state = {
                "step": self.step,
                "finished": finished,
                "fixed": self.fixed,
                "history": asdict(self.history),
                "run": self.run.state(),
            }
            self.last = str(write_checkpoint(self.folder, self.step, state))
        self.run.fabric.barrier()

    def _observed(self) -> dict[str, float]:
        """What ``observe`` reads, by the first process; handed to all, so that histories agree."""
        found: dict[str, float] = {}
        if self.observe is not None and self.run.fabric.is_global_zero:
            model = self.run.plain
            model.eval()
            with torch.no_grad():
                found = {name: float(value) for name, value in self.observe(model).items()}
            self.run.model.train()
        return self.run.fabric.broadcast(found)
