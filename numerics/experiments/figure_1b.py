"""Figure 1b: partitions of the patch grid into hidden sets, one localized and many scattered.

A localized set is a square of neighbouring patches; scattered sets are the same squares after a
random permutation of the patches.  Nothing in the definition of a partition asks for the former.
Two numbers tell them apart: the mean distance of two patches of one set, and how many of the pairs
of adjacent patches share a set.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from numerics.experiment import QUIET, Experiment, Options, Repeated
from numerics.measure.coefficients import estimate
from numerics.measure.spatial import grid_distance
from theory.data.partition import Partition

__all__ = ["LIGHT", "Config", "localized", "run"]


@dataclass(frozen=True)
class Config(Repeated):
    """A grid of side × side patches in squares of block × block; scatterings ``seed``, …"""

    side: int = 8
    block: int = 2
    runs: int = 1000


LIGHT = Config(runs=100)


def localized(side: int, block: int) -> Partition:
    """The squares of block × block patches of a side × side grid, patches row by row.

    Raises
    ------
    ValueError
        If ``block`` does not divide ``side``.

    Examples
    --------
    >>> localized(4, 2).labels
    (0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3)
    """
    if not 1 <= block <= side or side % block:
        raise ValueError(f"localized.block = {block}: block must divide side = {side}")
    squares = np.arange(side) // block
    labels = squares[:, None] * (side // block) + squares
    return Partition(tuple(labels.flatten().tolist()))


def _spatial(partition: Partition, distance: np.ndarray) -> dict[str, float]:
    """The two numbers of one partition."""
    within = partition.same_set & (distance > 0)
    return {
        "distance": float(distance[within].mean()),
        "adjacent_shared": float(partition.same_set[distance == 1].mean()),
    }


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Draw ``config.runs`` scattered partitions beside the localized one.

    Returns
    -------
    dict
        ``metrics``: for the ``localized`` and the ``scattered`` partitions, ``distance``, the mean
        distance in patches of two patches of one set, and ``adjacent_shared``, the fraction of
        pairs at distance 1 that share a set; ``labels``: the localized partition and the first
        scattered one, row by row.
    """
    distance = grid_distance(config.side).numpy()
    squares = localized(config.side, config.block)
    scattered = [
        squares.relabelled(np.random.default_rng(seed).permutation(squares.D))
        for seed in config.seeds
    ]
    found = {"localized": [_spatial(squares, distance)]}
    found["scattered"] = [_spatial(partition, distance) for partition in scattered]
    return {
        "metrics": {
            f"{kind}_{name}": asdict(estimate(row[name] for row in rows))
            for kind, rows in found.items()
            for name in rows[0]
        },
        "labels": {"localized": list(squares.labels), "scattered": list(scattered[0].labels)},
    }


EXPERIMENT = Experiment(run, LIGHT)
