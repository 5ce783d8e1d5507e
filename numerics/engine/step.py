"""One update of the weights, and what it starts from: devices, optimizer, learning rate.

In: a model, batches, a configuration.  Out: a run, whose loss and gradient at step k are a function
of its weights and of (seed, k) alone.
"""

from __future__ import annotations

import logging
import math
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from timm.optim import param_groups_weight_decay
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn

from numerics.engine.batches import Batches, DatasetBatches
from numerics.engine.config import FitConfig
from numerics.seeds import seed_of
from theory.inputs import integer

__all__ = ["launch"]

# What Fabric says of itself at every start is no news.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def launch(
    device: torch.device | str = "cpu",
    *,
    precision: str = "32-true",
    devices: int = 1,
) -> Fabric:
    """Start Fabric on ``devices`` devices of this machine.

    With more than one device this starts the same command once for each of the others; every
    process goes on from here.  A single device may be numbered: ``"cuda:1"``.

    Raises
    ------
    ValueError
        If there are not so many devices, or a launcher such as ``torchrun`` has started another
        number of processes.

    Examples
    --------
    >>> launch("cpu").world_size
    1
    """
    place = torch.device(device)
    numbered = [place.index] if place.index is not None and place.type != "cpu" else devices
    if isinstance(numbered, list) and devices != 1:
        raise ValueError(f"launch.devices = {devices!r}: devices must be 1 on the one {place}")
    devices = integer("launch.devices", devices, least=1)
    try:
        fabric = Fabric(
            accelerator=place.type,
            devices=numbered,
            strategy="ddp" if devices > 1 else "auto",
            precision=precision,  # type: ignore[arg-type]
        )
    except MisconfigurationException as error:
        raise ValueError(f"{devices} devices of kind {place.type}: {error}") from error
    fabric.launch()
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != fabric.world_size:
        raise ValueError(
            f"launch.devices = {devices!r}: devices must be {started}, the number of processes "
            "that were started"
        )
    return fabric


@contextmanager
def global_generators(device: torch.device) -> Iterator[None]:
    """Leave the global generators as they were."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


class Run:
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
        if config.batch % fabric.world_size:
            raise ValueError(
                f"batch = {config.batch}: batch must be a multiple of {fabric.world_size} devices"
            )
        self.batches = batches
        if isinstance(batches, DatasetBatches):
            self.batches = batches.bind(config.seed, fabric.global_rank, fabric.world_size)

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """This device's part of the batch of a step; seeds the global generators for the step."""
        config, fabric = self.config, self.fabric
        generator = torch.Generator(fabric.device).manual_seed(seed_of("batch", config.seed, step))
        images, labels = self.batches(step, generator)
        part = config.batch // fabric.world_size
        mine_alone = isinstance(self.batches, DatasetBatches)
        expected = part if mine_alone else config.batch
        if len(images) != expected or len(labels) != expected:
            raise ValueError(
                f"the batch of step {step} has {len(images)} images and {len(labels)} labels: "
                f"config.batch = {config.batch} asks for {expected}"
            )
        if not mine_alone:
            mine = slice(fabric.global_rank * part, (fabric.global_rank + 1) * part)
            images, labels = images[mine], labels[mine]
        torch.manual_seed(seed_of("model", config.seed, step, fabric.global_rank))
        return images.to(fabric.device), labels.to(fabric.device)

    def gradient(self, step: int) -> tuple[float, float]:
        """Loss at the present weights, and norm of its gradient, which is left in the weights."""
        fabric = self.fabric
        self.schedule.step_update(step)
        images, labels = self._batch(step)
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(images), labels)
        fabric.backward(loss)
        mean: Any = fabric.all_reduce(loss.detach(), reduce_op="mean")
        norm: Any = fabric.clip_gradients(
            self.model,
            self.optimizer,
            max_norm=self.config.clip or math.inf,
            error_if_nonfinite=False,
        )
        return float(mean), float(norm)

    @property
    def lr(self) -> float:
        """Learning rate of the update that comes next."""
        return self.optimizer.param_groups[0]["lr"]

    def close(self) -> None:
        """Stop the processes that read images."""
        if isinstance(self.batches, DatasetBatches):
            self.batches.close()

    def state(self) -> dict[str, Any]:
        """What the next step depends on."""
        return {"model": self.plain.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: Mapping[str, Any], path: Path | str) -> None:
        """Go on from a state, read from ``path``."""
        try:
            self.plain.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"checkpoint {path} is of another model: {error}") from error
