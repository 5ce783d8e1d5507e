"""Figure 7 (reconstructed): positional and full attention against the number of training images.

The networks, the data and the training are those of Figure 6 on one data set; only the first
images of its training part are used, in growing number, with the same number of steps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numerics.association import estimate
from numerics.comparison import ATTENTIONS, compare, first_images, recipe_for
from numerics.datasets import Splits, load_dataset

__all__ = ["LIGHT", "Config", "run"]


@dataclass(frozen=True)
class Config:
    """Size of the experiment; runs have seeds ``seed``, …, ``seed + runs − 1``.

    A seed draws the weights at the start and the order of the training images, the same for both
    kinds of attention and all sizes.  ``steps`` replaces that of the data set's
    :class:`~numerics.comparison.Recipe`.
    """

    dataset: str = "digits"
    root: str = "data"
    sizes: tuple[int, ...] = (180, 360, 719, 1437)
    steps: int | None = None
    runs: int = 3
    seed: int = 0


LIGHT = Config(sizes=(400, 1437), steps=100, runs=1)


def run(
    config: Config,
    *,
    device: str = "cpu",
    progress: bool = True,
    directory: Path | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Train both networks ``config.runs`` times on every number of training images.

    Returns
    -------
    dict
        ``metrics``: mean and standard error over runs of the accuracy on test images at the end,
        ``positional_N`` and ``full_N``, and of positional minus full within a seed,
        ``difference_N``; ``recipe``, ``test_images``, ``chance_accuracy``; ``runs``: for each
        training its size N, attention, seed and history.
    """
    data = load_dataset(config.dataset, config.root)
    recipe = recipe_for(config.dataset, steps=config.steps)
    runs = []
    for size in config.sizes:
        part = Splits(
            first_images(data.train, size), data.test, data.classes, data.channels, data.side
        )
        for seed in range(config.seed, config.seed + config.runs):
            for attention in ATTENTIONS:
                label = f"{config.dataset}-{size}-{attention}-seed-{seed}"
                one = compare(
                    attention,
                    part,
                    recipe,
                    seed=seed,
                    recorded=2,
                    device=device,
                    directory=directory and directory / label,
                    resume=resume,
                    progress=progress,
                    label=label.replace("-", " "),
                )
                runs.append({"size": size, **one})
    metrics = {}
    for size in config.sizes:
        last = {
            attention: [
                r["history"]["test_accuracy"][-1]
                for r in runs
                if (r["size"], r["attention"]) == (size, attention)
            ]
            for attention in ATTENTIONS
        }
        for attention, values in last.items():
            metrics[f"{attention}_{size}"] = asdict(estimate(values))
        pairs = zip(last["positional"], last["full"], strict=True)
        metrics[f"difference_{size}"] = asdict(estimate(p - f for p, f in pairs))
    return {
        "metrics": metrics,
        "recipe": asdict(recipe),
        "test_images": len(data.test),  # type: ignore[arg-type]
        "chance_accuracy": 1 / data.classes,
        "runs": runs,
    }
