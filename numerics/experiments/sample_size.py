"""When association appears as the number N of images varies, and where memorization sets in.

The realistic setting at one size, from a handful of images to many.  The seeds are the same for
every N, so a seed has the same partition, w*, v⁰ and A⁰ throughout and its exact path is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numerics.experiment import QUIET, Experiment, Options
from numerics.training.random_start import SweepConfig, sweep

__all__ = ["LIGHT", "Config", "run"]


@dataclass(frozen=True)
class Config(SweepConfig):
    """Size of the experiment: the numbers of images, and what is held fixed."""

    sizes: tuple[int, ...] = (5, 10, 20, 50, 100, 200, 500, 2000, 5000, 20_000)


LIGHT = Config(runs=3, N_test=2000, sizes=(10, 50, 200, 1000))


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Measure every number of images; see :func:`numerics.training.random_start.sweep`."""
    return sweep(config, {"N": config.sizes}, options)


EXPERIMENT = Experiment(run, LIGHT)
