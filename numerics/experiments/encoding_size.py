"""Figure 6 on the structured set, with larger encodings at the start: which attention then learns?

Tokens are content plus encoding.  Full attention makes its logits from both, positional attention
from encodings alone, at any size.  So the size of the first encodings, which is 0.3 in the recipe
of Figure 6, decides how much full attention hears of positions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from numerics.data.sets import describe, load_dataset
from numerics.experiment import QUIET, Experiment, Options, Repeated
from numerics.training.comparison import accuracies, compare_over_seeds, recipe_for

__all__ = ["LIGHT", "Config", "fixed", "run"]


@dataclass(frozen=True)
class Config(Repeated):
    """Size of the experiment; runs have seeds ``seed``, …, ``seed + runs − 1``, as in Figure 6.

    ``sizes`` are standard deviations of the first encodings; ``steps`` replaces the number of
    steps of the recipe.
    """

    sizes: tuple[float, ...] = (1.0,)
    steps: int | None = None
    recorded: int = 6


LIGHT = Config(steps=100, recorded=2, runs=1)


def fixed(config: Config) -> dict[str, Any]:
    """What the results depend on beyond the configuration: the recipe and making of the set."""
    recipe = recipe_for("structured", steps=config.steps).decisive()
    return {"recipe": recipe, "data": describe("structured")}


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Train both networks ``config.runs`` times from encodings of every size.

    Returns
    -------
    dict
        ``metrics``: mean and standard error over runs of the accuracy on test images at the end,
        ``positional_SIZE`` and ``full_SIZE``, and of positional minus full within a seed,
        ``difference_SIZE``; ``sizes``: for each, what
        :func:`~numerics.training.comparison.compare_over_seeds` found.
    """
    data, recipe = load_dataset("structured"), recipe_for("structured", steps=config.steps)
    found = [
        compare_over_seeds(
            data,
            replace(recipe, encoding_std=size),
            config.seeds,
            recorded=config.recorded,
            options=options.within(f"size-{size:g}"),
        )
        for size in config.sizes
    ]
    metrics = {
        f"{name}_{size:g}": value
        for size, one in zip(config.sizes, found, strict=True)
        for name, value in accuracies(one["runs"]).items()
    }
    return {"metrics": metrics, "sizes": found}


EXPERIMENT = Experiment(run, LIGHT, fixed=fixed, resumable=True)
