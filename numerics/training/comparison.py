"""Positional against full attention: two vision transformers that differ in nothing else.

Both are timm's, of one width and depth, trained by one loop with one learning rate on the same
batches.  In the one, attention weights are made from the tokens; in the other from the encodings
of the positions alone (:mod:`numerics.positional`).  Parameters have the same names, shapes and
initial values in both.

In: a data set, a :class:`Recipe`, a kind of attention, a seed.  Out: what became of the training.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from timm.models.vision_transformer import VisionTransformer

from numerics.data.sets import ImageSet, Splits, some_images
from numerics.engine import FitConfig, dataset_batches, fit, usual_workers
from numerics.experiment import QUIET, Options
from numerics.measure.accuracy import dataset_accuracy
from numerics.measure.coefficients import estimate
from numerics.measure.history import evenly
from numerics.models.cnn import parameter_count
from numerics.models.vit import build_vit
from numerics.positional import PositionalVisionTransformer
from theory.inputs import integer

__all__ = [
    "ATTENTIONS",
    "RECIPES",
    "Recipe",
    "accuracies",
    "compare",
    "compare_over_seeds",
    "recipe_for",
]

#: Kinds of attention, and the class of the network that has it.
ATTENTIONS: dict[str, type[VisionTransformer]] = {
    "positional": PositionalVisionTransformer,
    "full": VisionTransformer,
}


@dataclass(frozen=True)
class Recipe(FitConfig):
    """How both networks are built and trained on a data set: a training, and a network for it.

    Parameters
    ----------
    patch : int
        Side of a patch in pixels; it divides that of the images.
    width, depth, heads : int
        Of the transformer, as in :func:`~numerics.models.vit.build_vit`.
    mlp_ratio, encoding_std, class_token
        As there.
    """

    patch: int = 4
    width: int = 64
    depth: int = 3
    heads: int = 4
    mlp_ratio: float = 2.0
    encoding_std: float = 0.02
    class_token: bool = True
    steps: int = 500
    batch: int = 32
    lr: float = 3e-3


# As in figure-4, but for the pixels, which are standardized here: see experiments.encoding_size.
_DRAWN = Recipe(width=32, depth=2, encoding_std=0.3, class_token=False, steps=3000, batch=128)

_PHOTOS = Recipe(steps=2000)

#: One recipe for each data set whose images are small; those of CIFAR and SVHN are of the size of
#: the photos, and take theirs.
RECIPES = {
    "structured": _DRAWN,
    "gaussian-convolution": replace(_DRAWN, steps=2000),
    "digits": Recipe(patch=2, steps=1500),
    **dict.fromkeys(("photos", "cifar10", "cifar100", "svhn"), _PHOTOS),
}


def recipe_for(dataset: str, *, steps: int | None = None) -> Recipe:
    """The recipe of a data set, with another number of steps on request.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> recipe_for("digits", steps=10).steps
    10
    """
    if dataset not in RECIPES:
        raise ValueError(f"dataset = {dataset!r}: dataset must be one of {', '.join(RECIPES)}")
    recipe = RECIPES[dataset]
    return recipe if steps is None else replace(recipe, steps=steps)


def compare(
    attention: str,
    data: Splits,
    recipe: Recipe,
    *,
    seed: int,
    recorded: int = 5,
    test_images: int | None = None,
    options: Options = QUIET,
    label: str = "training",
) -> dict[str, Any]:
    """Train one of the two networks and measure it on the test part.

    Parameters
    ----------
    attention : str
        ``positional`` or ``full``.
    seed : int
        Of the weights at the start and of the batches: equal for both kinds.
    recorded : int
        How often the accuracy is measured, the start and the end included; at least 2.
    test_images : int, optional
        Measure it on this many only; see :func:`~numerics.data.sets.some_images`.

    Returns
    -------
    dict
        ``attention``, ``seed``, ``parameters``, ``processor_seconds`` (measurements included),
        ``steps``, and the ``history`` of ``loss`` and ``test_accuracy``.

    Raises
    ------
    ValueError
        If ``attention`` or ``recorded`` is out of range.
    """
    if attention not in ATTENTIONS:
        raise ValueError(
            f"compare.attention = {attention!r}: attention must be one of {', '.join(ATTENTIONS)}"
        )
    seed = integer("compare.seed", seed, least=0)
    recorded = integer("compare.recorded", recorded, least=2)
    model = build_vit(
        data.side,
        recipe.patch,
        data.classes,
        width=recipe.width,
        depth=recipe.depth,
        heads=recipe.heads,
        mlp_ratio=recipe.mlp_ratio,
        encoding_std=recipe.encoding_std,
        class_token=recipe.class_token,
        channels=data.channels,
        kind=ATTENTIONS[attention],
        seed=seed,
    )
    train, test = (
        part.to(options.device) if isinstance(part, ImageSet) else part
        for part in (data.train, data.test)
    )
    began = time.process_time()
    history = fit(
        model,
        dataset_batches(train, recipe.batch),
        replace(recipe, seed=seed),
        observe=lambda model: {
            "test_accuracy": dataset_accuracy(
                model, test, limit=test_images, workers=usual_workers()
            )
        },
        record_at=evenly(recipe.steps, recorded),
        label=label,
        about={
            "dataset": data.name,
            "train_images": len(train),  # type: ignore[arg-type]
            "test_images": test_images,
            "attention": attention,
        },
        **vars(options),
    )
    return {
        "attention": attention,
        "seed": seed,
        "parameters": parameter_count(model),
        "processor_seconds": round(time.process_time() - began, 1),
        "steps": history.steps,
        "history": history.columns,
    }


def compare_over_seeds(
    data: Splits,
    recipe: Recipe,
    seeds: Iterable[int],
    *,
    fraction: float = 1.0,
    recorded: int = 5,
    test_images: int | None = None,
    options: Options = QUIET,
) -> dict[str, Any]:
    """Train both networks from each seed, on a part of the training images or on all.

    Parameters
    ----------
    fraction : float
        Of the training part, in (0, 1].

    Returns
    -------
    dict
        ``train_images``, ``test_images``, ``chance_accuracy``, and ``runs``, what :func:`compare`
        returned.

    Raises
    ------
    ValueError
        If ``fraction`` leaves no image or asks for more than there are, or as :func:`compare`.
    """
    size, held = len(data.train), len(data.test)  # type: ignore[arg-type]
    if not 0 < fraction <= 1 or not round(fraction * size):
        raise ValueError(
            f"compare_over_seeds.fraction = {fraction!r}: fraction must be in (0, 1], and leave at "
            f"least one of {size} images"
        )
    train = some_images(data.train, round(fraction * size))
    runs = []
    for seed in seeds:
        for attention in ATTENTIONS:
            label = f"{data.name}-{fraction:g}-{attention}-seed-{seed}"
            runs.append(
                compare(
                    attention,
                    replace(data, train=train),
                    recipe,
                    seed=seed,
                    recorded=recorded,
                    test_images=test_images,
                    options=options.within(label),
                    label=label.replace("-", " "),
                )
            )
    return {
        "train_images": round(fraction * size),
        "test_images": held if test_images is None else min(held, test_images),
        "chance_accuracy": 1 / data.classes,
        "runs": runs,
    }


def accuracies(runs: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Test accuracy at the end, of results of :func:`compare` for both kinds from the same seeds.

    Returns
    -------
    dict
        Mean and standard error over seeds: ``positional``, ``full``, and ``difference``, positional
        minus full within a seed.
    """
    last: dict[str, list[float]] = {attention: [] for attention in ATTENTIONS}
    for run in runs:
        last[run["attention"]].append(run["history"]["test_accuracy"][-1])
    pairs = zip(last["positional"], last["full"], strict=True)
    values = {**last, "difference": [positional - full for positional, full in pairs]}
    return {name: asdict(estimate(value)) for name, value in values.items()}
