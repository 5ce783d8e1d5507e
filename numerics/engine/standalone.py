"""One real vision transformer trained by itself, from the command line, on one device or on many.

    python -m numerics train vit_tiny_patch16_224 --dataset cifar100 --patch 4 --steps 20000 \\
        --device cuda --devices 4 --precision bf16-mixed --out runs/tiny --resume

With ``--devices N`` Fabric starts the other N − 1 processes itself.

In: names of a model and a data set, a :class:`~numerics.engine.FitConfig`.  Out: checkpoints,
``metrics.jsonl`` and, at the end, ``weights.safetensors``, which timm loads (``checkpoint_path``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from lightning_fabric import Fabric
from safetensors.torch import save
from torch import nn

import numerics.positional  # noqa: F401  (its models join timm's)
from numerics.data.sets import ImageSet, Splits, load_dataset
from numerics.engine.batches import dataset_batches, usual_workers
from numerics.engine.config import FitConfig
from numerics.engine.loop import fit
from numerics.files import write_atomically
from numerics.measure.accuracy import dataset_accuracy
from numerics.measure.history import History

__all__ = ["Standalone", "build_model", "load_everywhere", "train_model"]


def build_model(name: str, data: Splits, *, patch: int | None = None, seed: int = 0) -> nn.Module:
    """A model of timm's registry, for the images and the classes of a data set.

    Parameters
    ----------
    name : str
        Of a vision transformer; those of :mod:`numerics.positional` are among them.
    data : Splits
    patch : int, optional
        Side of a patch in pixels, instead of that in the name.
    seed : int
        Of the weights; the global generator is left as it was.

    Raises
    ------
    ValueError
        If timm has no such model, or cannot build it at this size.

    Examples
    --------
    >>> data = load_dataset("digits")
    >>> model = build_model("vit_tiny_patch16_224", data, patch=2)
    >>> model.patch_embed.grid_size, model.num_classes
    ((4, 4), 10)
    """
    if not timm.is_model(name):
        near = timm.list_models(f"{name.split('_')[0]}_*")[:5]
        raise ValueError(
            f"model = {name!r}: timm has no model of that name"
            + (f"; there are {', '.join(near)}, …" if near else "")
        )
    sizes: dict[str, Any] = {"img_size": data.side}
    if patch is not None:
        sizes["patch_size"] = patch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = timm.create_model(
                name, num_classes=data.classes, in_chans=data.channels, **sizes
            )
            with torch.no_grad():
                model.eval()(torch.zeros(1, data.channels, data.side, data.side))
        except (AssertionError, TypeError, RuntimeError, ValueError, ZeroDivisionError) as error:
            raise ValueError(
                f"model = {name!r} cannot be built for images of {data.side} × {data.side} pixels "
                f"({error}): choose a vision transformer, and a patch that divides them"
            ) from error
    return model.train()


@dataclass(frozen=True)
class Standalone:
    """What a training by itself left: its history and the size of the test set."""

    history: History
    test_images: int


def train_model(
    name: str,
    data: Splits,
    config: FitConfig,
    fabric: Fabric,
    *,
    patch: int | None = None,
    evaluations: int = 10,
    directory: Path,
    resume: bool = False,
    progress: bool = False,
) -> Standalone:
    """Train a model of timm's registry on a data set and leave its weights in a folder.

    Parameters
    ----------
    name, patch
        See :func:`build_model`.
    data : Splits
    config : FitConfig
    fabric : Fabric
        What :func:`~numerics.engine.launch` has started.
    evaluations : int
        Times that the accuracy on the test part is measured, at equal distances to the last step.
    directory, resume, progress
        See :func:`~numerics.engine.fit`.

    Raises
    ------
    ValueError, ArithmeticError, OSError
        As :func:`build_model` and :func:`~numerics.engine.fit`.
    """
    model = build_model(name, data, patch=patch, seed=config.seed)
    points = np.linspace(0, config.steps, evaluations + 1).round().astype(int)
    train: Any = data.train
    if isinstance(train, ImageSet):
        train = train.to(fabric.device)
    history = fit(
        model,
        dataset_batches(train, config.batch),
        config,
        fabric=fabric,
        observe=lambda model: {
            "test_accuracy": dataset_accuracy(model, data.test, workers=usual_workers())
        },
        record_at=points.tolist(),
        directory=directory,
        resume=resume,
        progress=progress,
        label=name,
        about={
            "name": name,
            "patch": patch,
            "dataset": data.name,
            "train_images": len(train),
            "test_images": len(data.test),  # type: ignore[arg-type]
        },
    )
    if fabric.is_global_zero:
        weights = {key: tensor.cpu().contiguous() for key, tensor in model.state_dict().items()}
        write_atomically(directory / "weights.safetensors", save(weights))
    return Standalone(history, len(data.test))  # type: ignore[arg-type]


def load_everywhere(fabric: Fabric, name: str, root: Path | str, *, download: bool) -> Splits:
    """Read a data set in every process; the first one fetches it."""
    if download and fabric.is_global_zero:
        load_dataset(name, root, download=True)
    fabric.barrier()
    return load_dataset(name, root)
