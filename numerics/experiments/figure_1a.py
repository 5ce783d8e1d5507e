"""Figure 1a, made here: the positional encodings of a small real ViT come to know their grid.

A timm ``VisionTransformer`` learns from scratch which of sixteen photographs a 32×32 grey crop was
cut from; test crops come from other parts of the photographs.  The cosine similarity of its 8×8
positional encodings is read before and after.  The control is the same training on crops whose
patches are put in a new random order each time: whatever similarity it shows is not of space.
The same numbers are read off any trained ViT by :func:`from_checkpoint` (``--checkpoint``).
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from numerics.data.permuted import shuffle_patches
from numerics.data.photos import PHOTOS, train_and_test
from numerics.engine import FitConfig, crop_batches, fit
from numerics.experiment import QUIET, Experiment, Options, Repeated
from numerics.measure.accuracy import accuracy
from numerics.measure.coefficients import estimate
from numerics.measure.history import evenly
from numerics.measure.spatial import cosine_similarity, rounded, spatial_structure
from numerics.models.pretrained import pretrained_encodings
from numerics.models.vit import build_vit, encodings
from numerics.seeds import seed_of

__all__ = ["LIGHT", "Config", "from_checkpoint", "run"]


@dataclass(frozen=True)
class Config(Repeated):
    """Size of the experiment; runs have seeds ``seed``, …, ``seed + runs − 1``.

    A seed draws the weights at the start and every training crop; the test crops are the same in
    all runs.  With ``control`` each run is followed by its control.
    """

    photos: tuple[str, ...] = tuple(PHOTOS)
    crop: int = 32
    patch: int = 4
    bands: int = 4
    width: int = 64
    depth: int = 3
    heads: int = 4
    encoding_std: float = 0.002
    steps: int = 1000
    batch: int = 64
    lr: float = 1e-3
    test_crops: int = 2048
    recorded: int = 6
    control: bool = True

    @property
    def side(self) -> int:
        """Patches along one side of a crop."""
        return self.crop // self.patch


LIGHT = Config(steps=450, test_crops=1024, recorded=4, runs=1, control=False)


def _one_run(
    config: Config, seed: int, shuffled: bool, options: Options
) -> tuple[dict[str, Any], Tensor, Tensor]:
    """Return what is recorded of one run, and its encodings before and after."""

    def shuffle(images: Tensor, generator: torch.Generator) -> Tensor:
        return shuffle_patches(images, config.patch, generator)

    train, test = train_and_test(config.photos, config.crop, config.bands, options.device)
    # No seed of a run: the test crops are fixed.
    generator = torch.Generator(options.device).manual_seed(seed_of("test crops", 0))
    images, labels = test.sample(config.test_crops, generator)
    if shuffled:
        images = shuffle(images, generator)
    model = build_vit(
        config.crop,
        config.patch,
        len(config.photos),
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        encoding_std=config.encoding_std,
        seed=seed,
    ).to(options.device)
    initial = encodings(model)
    # Seconds of processor time too: they do not depend on what else the machine is doing.
    start, start_cpu = time.perf_counter(), time.process_time()
    label = f"seed {seed}{', control' if shuffled else ''}"
    history = fit(
        model,
        crop_batches(train, config.batch, shuffle if shuffled else None),
        FitConfig(steps=config.steps, batch=config.batch, lr=config.lr, seed=seed),
        observe=lambda model: {
            "test_accuracy": accuracy(model, images, labels),
            **asdict(spatial_structure(encodings(model))),
        },
        record_at=evenly(config.steps, config.recorded),
        label=label,
        about=asdict(replace(config, runs=1, control=shuffled, seed=seed)),
        **vars(options.within(label.replace(", ", " ").replace(" ", "-"))),
    )
    one = {
        "seed": seed,
        "seconds": round(time.perf_counter() - start, 1),
        "processor_seconds": round(time.process_time() - start_cpu, 1),
        "steps": history.steps,
        "history": history.columns,
    }
    return one, initial, encodings(model)


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Train ``config.runs`` networks, and as many controls.

    Returns
    -------
    dict
        ``metrics``: mean and standard error over runs of the numbers of
        :class:`~numerics.measure.spatial.SpatialStructure` (``initial_``, ``trained_``,
        ``control_``), of the accuracy on test crops, and of the seconds of a training by the clock
        and of processor time summed over threads, measurements included (of a training that was
        resumed, those of its last part); ``chance_accuracy``; ``side`` of the grid of patches;
        ``runs`` and ``controls``: for each its seed, seconds and history; ``similarity``: of the
        first run, matrices (side², side²) with patches row by row, rounded to four decimals.
    """

    def train_all(shuffled: bool) -> list[tuple[dict[str, Any], Tensor, Tensor]]:
        return [_one_run(config, seed, shuffled, options) for seed in config.seeds]

    trained, controls = train_all(False), train_all(True) if config.control else []
    runs = [one for one, _, _ in trained]
    control_runs = [one for one, _, _ in controls]

    values: dict[str, list[float]] = {}
    for when, group, index in (
        ("initial", runs, 0),
        ("trained", runs, -1),
        ("control", control_runs, -1),
    ):
        for name in ("neighbour", "distant", "correlation", "test_accuracy"):
            values[f"{when}_{name}"] = [one["history"][name][index] for one in group]
    for name in ("seconds", "processor_seconds"):
        values[name] = [one[name] for one in runs]

    _, before, after = trained[0]
    similarity = {
        "initial": rounded(cosine_similarity(before), 4),
        "trained": rounded(cosine_similarity(after), 4),
    }
    if controls:
        similarity["control"] = rounded(cosine_similarity(controls[0][2]), 4)
    return {
        "metrics": {name: asdict(estimate(value)) for name, value in values.items() if value},
        "chance_accuracy": 1 / len(config.photos),
        "side": config.side,
        "runs": runs,
        "controls": control_runs,
        "similarity": similarity,
    }


def from_checkpoint(checkpoint: str) -> dict[str, Any]:
    """Read a trained network instead of training one.

    Parameters
    ----------
    checkpoint : str
        A file, or the name of a pretrained timm model; see
        :func:`~numerics.models.pretrained.pretrained_encodings`, also for what is raised.

    Returns
    -------
    dict
        ``metrics``: ``neighbour``, ``distant`` and ``correlation`` of
        :class:`~numerics.measure.spatial.SpatialStructure`, of this one network; ``side`` of the
        grid; ``similarity`` of all its patches, (side², side²), to four decimals.
    """
    P = pretrained_encodings(checkpoint)
    found = asdict(spatial_structure(P))
    return {
        "metrics": {name: asdict(estimate([value])) for name, value in found.items()},
        "side": math.isqrt(len(P)),
        "similarity": rounded(cosine_similarity(P), 4),
    }


EXPERIMENT = Experiment(run, LIGHT, resumable=True, from_checkpoint=from_checkpoint)
