"""Figure 5 (reconstructed): a data set and its pixel-permuted twin, for a ViT and for a CNN.

One random order of the pixels is drawn and every image is permuted by it.  The tokens are single
pixels, so each token of the twin has a place in the original grid.  The cosine similarity of the
ViT's encodings is measured against distance there, and, as a control, against distance in the grid
that the twin shows.  A residual network with about as many parameters is trained on both as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from numerics.data.permuted import PatchPermutation
from numerics.data.sets import Splits, describe, load_dataset, shrink
from numerics.engine import FitConfig, dataset_batches, fit
from numerics.experiment import QUIET, Experiment, OnDatasets, Options, Repeated
from numerics.measure.accuracy import dataset_accuracy
from numerics.measure.coefficients import estimate
from numerics.measure.history import evenly
from numerics.measure.spatial import (
    cosine_similarity,
    distance_bins,
    rounded,
    similarity_by_distance,
    spatial_structure,
)
from numerics.models.cnn import build_cnn_of_size, parameter_count
from numerics.models.vit import build_vit, encodings

__all__ = ["LIGHT", "SIDES", "Config", "fixed", "run"]

#: Side in pixels to which the images of a set are averaged down: a ViT sees side² tokens.
SIDES = {"digits": 8, "photos": 8}
#: Side for every other set.
SIDE = 16

NETWORKS = ("vit", "cnn")
IMAGES = ("original", "permuted")


@dataclass(frozen=True)
class Config(OnDatasets, Repeated):
    """Size of the experiment; runs have seeds ``seed``, …, ``seed + runs − 1``.

    A seed draws the permutation, the weights at the start and the order of the training images.
    Both networks train with the same optimizer, learning rate and batches.  ``side`` is None for
    that of :data:`SIDES`; ``blocks`` are those of each stage of the CNN.  Accuracy is measured on
    the first ``test_images`` of the test part.
    """

    dataset: str | tuple[str, ...] = ("digits", "photos")
    side: int | None = None
    width: int = 64
    depth: int = 3
    heads: int = 4
    encoding_std: float = 0.002
    blocks: int = 1
    steps: int = 2000
    batch: int = 32
    lr: float = 3e-3
    recorded: int = 5
    test_images: int = 2000
    runs: int = 5


LIGHT = Config(dataset="photos", steps=200, recorded=2, runs=1)


def fixed(config: Config) -> dict[str, Any]:
    """What the results depend on beyond the configuration."""
    return {
        name: {"data": describe(name), "side": config.side or SIDES.get(name, SIDE)}
        for name in config.datasets
    }


def _build(network: str, config: Config, data: Splits, seed: int) -> nn.Module:
    vit = build_vit(
        data.side,
        1,
        data.classes,
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        encoding_std=config.encoding_std,
        seed=seed,
        channels=data.channels,
    )
    if network == "vit":
        return vit
    return build_cnn_of_size(
        parameter_count(vit),
        data.classes,
        channels=data.channels,
        blocks=config.blocks,
        seed=seed,
    )


def _observer(
    network: str, test: Any, limit: int, permutation: PatchPermutation | None
) -> Callable[[Any], dict[str, float]]:
    """What is read off a network: its accuracy; of a ViT, its encodings in both grids."""

    def observe(model: Any) -> dict[str, float]:
        row = {"test_accuracy": dataset_accuracy(model, test, limit=limit)}
        if network == "vit":
            P = encodings(model)
            row |= asdict(spatial_structure(_original(P, permutation)))
            row["shown_correlation"] = spatial_structure(P).correlation
        return row

    return observe


def _original(P: Tensor, permutation: PatchPermutation | None) -> Tensor:
    return P if permutation is None else permutation.in_original_grid(P)


def _one_run(
    config: Config,
    data: Splits,
    network: str,
    images: str,
    seed: int,
    options: Options,
) -> tuple[dict[str, Any], nn.Module, PatchPermutation | None]:
    train: Any = data.train
    test: Any = data.test
    permutation = None
    if images == "permuted":
        permutation = PatchPermutation.random(data.side, seed)
        train, test = permutation.apply_to(train), permutation.apply_to(test)
    model = _build(network, config, data, seed)
    began = time.process_time()
    history = fit(
        model,
        dataset_batches(train.to(options.device), config.batch),
        FitConfig(steps=config.steps, batch=config.batch, lr=config.lr, seed=seed),
        observe=_observer(network, test.to(options.device), config.test_images, permutation),
        record_at=evenly(config.steps, config.recorded),
        label=f"{network}, {images}, seed {seed}",
        about={
            "network": network,
            "images": images,
            **asdict(replace(config, dataset=data.name, side=data.side, runs=1, seed=seed)),
        },
        **vars(options),
    )
    one: dict[str, Any] = {
        "network": network,
        "images": images,
        "seed": seed,
        "processor_seconds": round(time.process_time() - began, 1),
        "steps": history.steps,
        "history": history.columns,
    }
    if network == "vit":
        P = encodings(model)  # type: ignore[arg-type]
        one["curve"] = similarity_by_distance(_original(P, permutation))
        one["shown_curve"] = similarity_by_distance(P)
    return one, model, permutation


def _one_set(config: Config, dataset: str, options: Options) -> dict[str, Any]:
    data = load_dataset(dataset, config.root)
    data = shrink(data, config.side or min(SIDES.get(dataset, SIDE), data.side))
    runs: list[dict[str, Any]] = []
    similarity: dict[str, list[list[float]]] = {}
    for seed in config.seeds:
        for network in NETWORKS:
            for images in IMAGES:
                one, model, permutation = _one_run(
                    config,
                    data,
                    network,
                    images,
                    seed,
                    options.within(f"{dataset}-{network}-{images}-{seed}"),
                )
                runs.append(one)
                if network == "vit" and seed == config.seed:
                    P = encodings(model)  # type: ignore[arg-type]
                    similarity[images] = rounded(cosine_similarity(_original(P, permutation)), 4)
    return {
        "parameters": {
            network: parameter_count(_build(network, config, data, config.seed))
            for network in NETWORKS
        },
        "train_images": len(data.train),  # type: ignore[arg-type]
        "test_images": min(len(data.test), config.test_images),  # type: ignore[arg-type]
        "chance_accuracy": 1 / data.classes,
        "side": data.side,
        "distance": distance_bins(data.side),
        "runs": runs,
        "similarity": similarity,
    }


def _at_the_end(runs: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Named numbers of one data set, each with one value a seed."""

    def last(network: str, images: str, name: str) -> np.ndarray:
        chosen = (r for r in runs if (r["network"], r["images"]) == (network, images))
        return np.array([one["history"][name][-1] for one in chosen])

    values: dict[str, np.ndarray] = {}
    for network in NETWORKS:
        for images in IMAGES:
            values[f"{network}_{images}_accuracy"] = last(network, images, "test_accuracy")
        values[f"{network}_change"] = (
            values[f"{network}_permuted_accuracy"] - values[f"{network}_original_accuracy"]
        )
    for images in IMAGES:
        for name in ("neighbour", "distant", "correlation", "shown_correlation"):
            values[f"{images}_{name}"] = last("vit", images, name)
    return values


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Train both networks on the original and on the permuted images, ``config.runs`` times.

    Returns
    -------
    dict
        ``metrics``: mean and standard error over runs, at the end, each name after that of the
        data set: the accuracy on test images (``vit_original_accuracy`` …), its change from
        original to permuted within a seed (``vit_change``, ``cnn_change``), the numbers of
        :class:`~numerics.measure.spatial.SpatialStructure` in the original grid
        (``permuted_correlation`` …) and the correlation in the grid that is shown
        (``permuted_shown_correlation``).  ``datasets``: for each ``parameters`` of both networks,
        ``train_images``, ``test_images``, ``chance_accuracy``; ``side`` of the grid; ``distance``:
        the distances of the curves; ``runs``: for each training its network, images, seed, seconds,
        history, and the mean similarity at each distance in both grids (``curve``,
        ``shown_curve``); ``similarity``: of the first seed's ViTs, matrices (side², side²) with
        pixels row by row in the original grid.
    """
    found = {dataset: _one_set(config, dataset, options) for dataset in config.datasets}
    metrics = {
        f"{dataset}_{name}": asdict(estimate(values))
        for dataset, one in found.items()
        for name, values in _at_the_end(one["runs"]).items()
    }
    return {"metrics": metrics, "datasets": found}


EXPERIMENT = Experiment(run, LIGHT, fixed=fixed, resumable=True)
