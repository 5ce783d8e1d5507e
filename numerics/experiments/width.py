"""When association appears as the dimension d of a patch varies, at few and at many images.

The realistic setting at one size.  The noise of a patch has variance 1/d in each direction, so a
patch of noise has norm about 1 at every d, and v⁰ has norm about ω√d: what reaches the network at
the start does not grow with d.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from numerics.experiment import QUIET, Experiment, Options
from numerics.training.random_start import SweepConfig, sweep

__all__ = ["LIGHT", "Config", "run"]


@dataclass(frozen=True)
class Config(SweepConfig):
    """Size of the experiment: the dimensions, each with N images and again with ``few``."""

    few: int = 50
    dimensions: tuple[int, ...] = (2, 8, 32, 128)
    dimensions_few: tuple[int, ...] = (2, 8, 32, 128, 512)


LIGHT = Config(runs=3, N_test=1000, dimensions=(8, 32), dimensions_few=(8, 32, 128))


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Measure every dimension at both numbers of images.

    See :func:`numerics.training.random_start.sweep`.

    Returns
    -------
    dict
        ``many`` and ``few``: the results of a sweep with N and with ``few`` images; ``metrics`` of
        both.
    """
    many = sweep(config, {"d": config.dimensions}, options)
    few = sweep(replace(config, N=config.few), {"d": config.dimensions_few}, options)
    metrics = {
        f"{name}, N = {N}": value
        for N, found in ((config.N, many), (config.few, few))
        for name, value in found.pop("metrics").items()
    }
    return {"metrics": metrics, "many": many, "few": few}


EXPERIMENT = Experiment(run, LIGHT)
