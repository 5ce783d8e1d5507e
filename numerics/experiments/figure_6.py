"""Figure 6 (reconstructed): accuracy of positional and of full attention, on every data set.

Two vision transformers of one width and depth, equal at the start, trained alike: in the one
attention is made from the encodings of the positions, in the other from the tokens.  The sets that
need no file are in the record; ``--dataset`` chooses one that does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numerics.association import estimate
from numerics.comparison import ATTENTIONS, compare, recipe_for
from numerics.datasets import load_dataset

__all__ = ["LIGHT", "Config", "run"]


@dataclass(frozen=True)
class Config:
    """Size of the experiment; runs have seeds ``seed``, …, ``seed + runs − 1``.

    A seed draws the weights at the start and the order of the training images, the same for both
    kinds of attention.  Each data set has its :class:`~numerics.comparison.Recipe`; ``steps``
    replaces the number of steps in all of them.  Accuracy is measured on the first ``test_images``
    of the test part; None stands for all.
    """

    dataset: str | tuple[str, ...] = ("digits", "photos", "structured", "gaussian-convolution")
    root: str = "data"
    steps: int | None = None
    recorded: int = 4
    test_images: int | None = 2000
    runs: int = 3
    seed: int = 0

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets, also where it is one."""
        return (self.dataset,) if isinstance(self.dataset, str) else self.dataset


LIGHT = Config(dataset="digits", steps=200, recorded=3, runs=1)


def _one_set(
    config: Config,
    dataset: str,
    device: str,
    progress: bool,
    directory: Path | None,
    resume: bool,
) -> dict[str, Any]:
    data, recipe = load_dataset(dataset, config.root), recipe_for(dataset, steps=config.steps)
    runs = []
    for seed in range(config.seed, config.seed + config.runs):
        for attention in ATTENTIONS:
            label = f"{dataset}, {attention}, seed {seed}"
            runs.append(
                compare(
                    attention,
                    data,
                    recipe,
                    seed=seed,
                    recorded=config.recorded,
                    test_images=config.test_images,
                    device=device,
                    directory=directory and directory / label.replace(", ", "-").replace(" ", "-"),
                    resume=resume,
                    progress=progress,
                    label=label,
                )
            )
    held: int = len(data.test)  # type: ignore[arg-type]
    return {
        "recipe": asdict(recipe),
        "train_images": len(data.train),  # type: ignore[arg-type]
        "test_images": held if config.test_images is None else min(held, config.test_images),
        "chance_accuracy": 1 / data.classes,
        "runs": runs,
    }


def run(
    config: Config,
    *,
    device: str = "cpu",
    progress: bool = True,
    directory: Path | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Train both networks ``config.runs`` times on every data set.

    Returns
    -------
    dict
        ``metrics``: mean and standard error over runs of the accuracy on test images at the end,
        ``DATASET_positional`` and ``DATASET_full``, and of positional minus full within a seed,
        ``DATASET_difference``; ``datasets``: for each its recipe, numbers of images,
        ``chance_accuracy``, and ``runs`` with their histories.
    """
    found = {
        dataset: _one_set(config, dataset, device, progress, directory, resume)
        for dataset in config.datasets
    }
    metrics = {}
    for dataset, one in found.items():
        last = {
            attention: [
                r["history"]["test_accuracy"][-1]
                for r in one["runs"]
                if r["attention"] == attention
            ]
            for attention in ATTENTIONS
        }
        for attention, values in last.items():
            metrics[f"{dataset}_{attention}"] = asdict(estimate(values))
        pairs = zip(last["positional"], last["full"], strict=True)
        metrics[f"{dataset}_difference"] = asdict(estimate(p - f for p, f in pairs))
    return {"metrics": metrics, "datasets": found}
