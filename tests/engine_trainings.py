"""The small training that the tests of the engine kill, and the processes in which they kill it."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import torch
from torch import nn

from numerics import files
from numerics.data.sets import load_dataset
from numerics.engine import FitConfig, dataset_batches, fit
from numerics.measure.history import History
from numerics.measure.spatial import spatial_structure
from numerics.models.vit import build_vit, encodings

CONFIG = FitConfig(steps=60, batch=8, lr=3e-3, clip=1.0, checkpoint_every=7, log_every=1, seed=3)
RECORD_AT = (0, 13, 14, 40, 60)


def small_vit(seed: int = 0) -> nn.Module:
    """A ViT for digits, with dropout."""
    model = build_vit(crop=8, patch=4, classes=10, width=8, depth=1, heads=2, seed=seed)
    model.pos_drop = nn.Dropout(0.1)
    return model


def train(
    directory: Path | None = None,
    *,
    resume: bool = False,
    hang_at: int | None = None,
    die_at_rename: int | None = None,
) -> tuple[nn.Module, History]:
    """Train; wait for ever at a step, or die just before a file gets its name, if asked."""
    batches = dataset_batches(load_dataset("digits").train, CONFIG.batch).bind(CONFIG.seed)

    def hanging(step: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        while step == hang_at:
            time.sleep(1)
        return batches(step, generator)

    renamed, replace = [], os.replace

    def dying(source: str, target: Path) -> None:
        renamed.append(target)
        if len(renamed) == die_at_rename:
            os._exit(9)
        replace(source, target)

    if die_at_rename is not None:
        files.os.replace = dying  # type: ignore[assignment]
    model = small_vit()
    history = fit(
        model,
        hanging,
        CONFIG,
        observe=lambda model: {"correlation": spatial_structure(encodings(model)).correlation},
        record_at=RECORD_AT,
        directory=directory,
        resume=resume,
    )
    return model, history


def start(directory: Path, **options: object) -> multiprocessing.process.BaseProcess:
    """Train in a process of its own.

    It is forked from a server that has imported all and computed nothing: a process with threads
    of its own cannot be forked safely, and importing takes seconds.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["numerics.engine", "numerics.models.vit", "sklearn.datasets"])
    process = context.Process(target=train, args=(directory,), kwargs=options, daemon=True)
    process.start()
    return process
