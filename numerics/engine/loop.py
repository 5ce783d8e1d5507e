"""The training loop: AdamW on the cross-entropy, in steps that can be stopped anywhere.

Step k computes the loss and its gradient at the weights after k updates, makes sure that both are
finite, then writes the checkpoint and the record of k if they are due, and only then updates.  So a
checkpoint is never of weights that were found to be broken.

In: a model, batches, a configuration.  Out: the trained model and its history.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from timm.data import Mixup
from timm.optim import param_groups_weight_decay
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from numerics.engine.batches import Batches, seed_of
from numerics.engine.checkpoint import (
    list_checkpoints,
    read_checkpoint,
    remove_leftovers,
    write_checkpoint,
)
from numerics.engine.config import FitConfig
from numerics.engine.metrics import MetricsFile, progress_bar
from numerics.training import History

__all__ = ["fit", "launch"]

METRICS = "metrics.jsonl"

Observe = Callable[[Any], Mapping[str, float]]

# What Fabric says of itself at every start is no news.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def launch(
    device: torch.device | str = "cpu",
    *,
    precision: str = "32-true",
    devices: int = 1,
    machines: int = 1,
) -> Fabric:
    """Start Fabric on ``devices`` devices of each of ``machines`` machines.

    With more than one device this starts the same command once for each of the others; every
    process goes on from here.  A single device may be numbered: ``"cuda:1"``.

    Examples
    --------
    >>> launch("cpu").world_size
    1
    """
    place = torch.device(device)
    numbered = [place.index] if place.index is not None and place.type != "cpu" else devices
    fabric = Fabric(
        accelerator=place.type,
        devices=numbered,
        num_nodes=machines,
        strategy="ddp" if devices * machines > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


@contextmanager
def _global_generators(device: torch.device) -> Iterator[None]:
    """Leave the global generators as they were."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


class _Run:
    """One training: what its checkpoints hold, and the step."""

    def __init__(self, model: Any, batches: Batches, config: FitConfig, fabric: Fabric) -> None:
        self.plain, self.config, self.fabric = model, config, fabric
        names = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
        groups = param_groups_weight_decay(model, config.weight_decay, no_weight_decay_list=names)
        optimizer = torch.optim.AdamW(groups, lr=config.lr)
        self.model, self.optimizer = fabric.setup(model, optimizer)
        self.schedule = CosineLRScheduler(
            optimizer,
            t_initial=config.steps - config.warmup_steps,
            warmup_t=config.warmup_steps,
            warmup_lr_init=config.lr / (config.warmup_steps + 1),
            warmup_prefix=True,
            t_in_epochs=False,
        )
        self.average = None
        if config.ema is not None:
            self.average = ModelEmaV3(model, config.ema, use_warmup=True)
        self.mix = None
        if config.mixup or config.cutmix:
            if not hasattr(model, "num_classes"):
                raise ValueError("mixup and cutmix need model.num_classes, which the model lacks")
            self.mix = Mixup(
                config.mixup,
                config.cutmix,
                label_smoothing=config.label_smoothing,
                num_classes=model.num_classes,
            )
        part = config.batch // fabric.world_size
        if config.batch % fabric.world_size or part % config.accumulate:
            raise ValueError(
                f"batch = {config.batch}: batch must be a multiple of "
                f"{fabric.world_size} devices times accumulate = {config.accumulate}"
            )
        if self.mix and part % 2:
            raise ValueError(f"batch = {config.batch}: mixup needs an even batch on each device")
        self.bound = hasattr(batches, "bind")
        self.batches = (
            batches.bind(config.seed, fabric.global_rank, fabric.world_size)
            if hasattr(batches, "bind")
            else batches
        )

    @property
    def result(self) -> Any:
        """The model whose weights are the result."""
        return self.plain if self.average is None else self.average.module

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """This device's part of the batch of a step; seeds the global generators for the step."""
        config, fabric = self.config, self.fabric
        generator = torch.Generator(fabric.device).manual_seed(seed_of("batch", config.seed, step))
        images, labels = self.batches(step, generator)
        part = config.batch // fabric.world_size
        expected = part if self.bound else config.batch
        if len(images) != expected or len(labels) != expected:
            raise ValueError(
                f"the batch of step {step} has {len(images)} images and {len(labels)} labels: "
                f"config.batch = {config.batch} asks for {expected}"
            )
        if not self.bound:
            mine = slice(fabric.global_rank * part, (fabric.global_rank + 1) * part)
            images, labels = images[mine], labels[mine]
        images, labels = images.to(fabric.device), labels.to(fabric.device)
        np.random.seed(seed_of("mix", config.seed, step) % 2**32)  # noqa: NPY002  (timm's Mixup)
        torch.manual_seed(seed_of("model", config.seed, step, fabric.global_rank))
        if self.mix is not None:
            images, labels = self.mix(images.clone(), labels)
        return images, labels

    def gradient(self, step: int) -> tuple[float, float]:
        """Loss at the present weights, and norm of its gradient, which is left in the weights."""
        config, fabric = self.config, self.fabric
        self.schedule.step_update(step)
        images, labels = self._batch(step)
        smoothing = 0.0 if self.mix else config.label_smoothing
        self.optimizer.zero_grad()
        total = torch.zeros((), device=fabric.device)
        parts = zip(images.chunk(config.accumulate), labels.chunk(config.accumulate), strict=True)
        for k, (x, y) in enumerate(parts, start=1):
            with fabric.no_backward_sync(self.model, enabled=k < config.accumulate):
                loss = nn.functional.cross_entropy(self.model(x), y, label_smoothing=smoothing)
                fabric.backward(loss / config.accumulate)
            total += loss.detach() / config.accumulate
        loss_everywhere: Any = fabric.all_reduce(total, reduce_op="mean")
        norm: Any = fabric.clip_gradients(
            self.model,
            self.optimizer,
            max_norm=config.clip or math.inf,
            error_if_nonfinite=False,
        )
        return float(loss_everywhere), float(norm)

    def update(self, step: int) -> None:
        """Go from ``step`` to ``step`` + 1."""
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.plain, step + 1)

    @property
    def lr(self) -> float:
        """Learning rate of the update that comes next."""
        return self.optimizer.param_groups[0]["lr"]

    def state(self) -> dict[str, Any]:
        return {
            "model": self.plain.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.module.state_dict(),
        }

    def load(self, state: Mapping[str, Any], path: Path | str) -> None:
        try:
            self.plain.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average is not None:
                self.average.module.load_state_dict(state["average"])
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"checkpoint {path} is of another model: {error}") from error


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
    remove_leftovers(directory)
    if not checkpoints:
        return None, ""
    state = read_checkpoint(checkpoints[-1])
    before, now = state["fixed"], dict(fixed)
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        raise ValueError(
            f"{checkpoints[-1]} is of another run: "
            + ", ".join(f"{name} was {before.get(name)!r}, is {now[name]!r}" for name in changed)
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
        Reads named numbers off the model at the recorded steps, in evaluation mode and without
        gradients.  With ``config.ema`` it is handed the model with averaged weights.
    record_at : iterable of int
        Numbers of updates done, in 0..steps, at which to record.
    directory : path, optional
        Of ``checkpoint-*.pt`` (the last two) and ``metrics.jsonl``.
    resume : bool
        Go on from the last checkpoint of ``directory``, or start if there is none.  A run that
        was finished is not trained again: its weights and its history are read.
    progress : bool
        Show a progress bar, named ``label``.
    fabric : Fabric, optional
        What :func:`launch` has started, to train on several devices: each takes its equal part of
        every batch.

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
    record = sorted(set(record_at))
    outside = [step for step in record if not 0 <= step <= config.steps]
    if outside:
        raise ValueError(
            f"fit.record_at contains {outside}: recorded steps must lie in 0..{config.steps}"
        )
    folder = None if directory is None else Path(directory)
    fabric = fabric or launch(device, precision=config.precision)
    free = {"checkpoint_every", "log_every"}
    fixed = {k: v for k, v in asdict(config).items() if k not in free} | {"record_at": record}
    state, path = _found(folder, resume, fixed, fabric)
    with _global_generators(fabric.device):
        run = _Run(model, batches, config, fabric)
        history, start = History(), 0
        if state is not None:
            run.load(state["run"], path)
            history = History(state["history"]["steps"], state["history"]["columns"])
            start = state["step"]
        training = model.training
        if state is None or not state["finished"]:
            _loop(run, history, start, record, observe, folder, fixed, path, progress, label)
        if run.average is not None:
            model.load_state_dict(run.average.module.state_dict())
        model.train(training)
    return history


def _loop(
    run: _Run,
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


def _observed(run: _Run, observe: Observe) -> dict[str, float]:
    """What ``observe`` reads, by the first process; handed to all, so that histories agree."""
    found: dict[str, float] = {}
    if run.fabric.is_global_zero:
        model = run.result
        model.eval()
        with torch.no_grad():
            found = {name: float(value) for name, value in observe(model).items()}
        run.model.train()
    return run.fabric.broadcast(found)
