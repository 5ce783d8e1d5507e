"""Figure 7 (reconstructed): positional and full attention against the number of training images.

The networks, the data and the training are those of Figure 6; only a growing fraction
of the training part is used, with the same number of steps.  The fraction 1, left out of
the record, is Figure 6 itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numerics.data.sets import load_dataset
from numerics.experiment import QUIET, Experiment, Options
from numerics.experiments import figure_6
from numerics.experiments.figure_6 import fixed
from numerics.training.comparison import accuracies, compare_over_seeds, recipe_for

__all__ = ["LIGHT", "Config", "fixed", "run"]


@dataclass(frozen=True)
class Config(figure_6.Config):
    """Size of the experiment: the fractions of the training part, and what Figure 6 has."""

    fractions: tuple[float, ...] = (1 / 16, 1 / 4)
    recorded: int = 2
    runs: int = 3


LIGHT = Config(dataset="digits", fractions=(0.25, 1.0), steps=100, runs=1)


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Train both networks ``config.runs`` times on every fraction of every data set.

    Returns
    -------
    dict
        ``metrics``: mean and standard error over runs of the accuracy on test images at the end,
        for N training images: ``DATASET_positional_N``, ``DATASET_full_N``, and of positional
        minus full within a seed, ``DATASET_difference_N``; ``datasets``: for each, by fraction,
        the numbers of images, ``chance_accuracy``, and ``runs`` with their histories.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for dataset in config.datasets:
        data = load_dataset(dataset, config.root)
        found[dataset] = [
            compare_over_seeds(
                data,
                recipe_for(dataset, steps=config.steps),
                config.seeds,
                fraction=fraction,
                recorded=config.recorded,
                test_images=config.test_images,
                options=options,
            )
            for fraction in config.fractions
        ]
    metrics = {
        f"{dataset}_{name}_{one['train_images']}": value
        for dataset, sizes in found.items()
        for one in sizes
        for name, value in accuracies(one["runs"]).items()
    }
    return {"metrics": metrics, "datasets": found}


EXPERIMENT = Experiment(run, LIGHT, fixed=fixed, resumable=True)
