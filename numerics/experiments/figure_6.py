"""Figure 6 (reconstructed): accuracy of positional and of full attention, on every data set.

Two vision transformers of one width and depth, equal at the start, trained alike: in the one
attention is made from the encodings of the positions, in the other from the tokens.  The sets that
need no file are in the record; ``--dataset`` chooses one that does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numerics.data.sets import describe, load_dataset
from numerics.experiment import QUIET, Experiment, OnDatasets, Options, Repeated
from numerics.training.comparison import accuracies, compare_over_seeds, recipe_for

__all__ = ["LIGHT", "Config", "fixed", "run"]


@dataclass(frozen=True)
class Config(OnDatasets, Repeated):
    """Size of the experiment; runs have seeds ``seed``, …, ``seed + runs − 1``.

    A seed draws the weights at the start and the order of the training images, the same for both
    kinds of attention.  Each data set has its :class:`~numerics.training.comparison.Recipe`;
    ``steps`` replaces the number of steps in all of them.  Accuracy is measured on ``test_images``
    of the test part; None stands for all.
    """

    dataset: str | tuple[str, ...] = ("digits", "photos", "structured", "gaussian-convolution")
    steps: int | None = None
    recorded: int = 6
    test_images: int | None = None
    runs: int = 5


LIGHT = Config(dataset="digits", steps=200, recorded=3, runs=1)


def fixed(config: Config) -> dict[str, Any]:
    """What the results depend on beyond the configuration: the recipe and making of each set."""
    return {
        name: {"recipe": recipe_for(name, steps=config.steps).decisive(), "data": describe(name)}
        for name in config.datasets
    }


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Train both networks ``config.runs`` times on every data set.

    Returns
    -------
    dict
        ``metrics``: mean and standard error over runs of the accuracy on test images at the end,
        ``DATASET_positional`` and ``DATASET_full``, and of positional minus full within a seed,
        ``DATASET_difference``; ``datasets``: for each the numbers of images, ``chance_accuracy``,
        and ``runs`` with their histories.
    """
    found = {
        dataset: compare_over_seeds(
            load_dataset(dataset, config.root),
            recipe_for(dataset, steps=config.steps),
            config.seeds,
            recorded=config.recorded,
            test_images=config.test_images,
            options=options,
        )
        for dataset in config.datasets
    }
    metrics = {
        f"{dataset}_{name}": value
        for dataset, one in found.items()
        for name, value in accuracies(one["runs"]).items()
    }
    return {"metrics": metrics, "datasets": found}


EXPERIMENT = Experiment(run, LIGHT, fixed=fixed, resumable=True)
