"""A training on two processes that goes on from its checkpoint; run by test_engine_cli.

Each process says whether the resumed training ended as the one before it did, and whether both
processes hold the same weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from engine_trainings import CONFIG, small_vit
from torch import Tensor

from numerics.data.sets import load_dataset
from numerics.engine import dataset_batches, fit, launch, list_checkpoints
from numerics.measure.history import History


def main(folder: Path) -> None:
    """Train, lose the last checkpoint, train again from the one before it."""
    fabric = launch("cpu", devices=2)
    digits = load_dataset("digits").train

    def train(resume: bool) -> tuple[Tensor, History]:
        model = small_vit()
        history = fit(
            model,
            dataset_batches(digits, CONFIG.batch),
            CONFIG,
            fabric=fabric,
            directory=folder,
            record_at=[0, 30, 60],
            resume=resume,
            observe=lambda model: {"bias": float(model.head.bias.sum())},
        )
        return torch.cat([weight.detach().flatten() for weight in model.parameters()]), history

    before, history = train(resume=False)
    fabric.barrier()
    if fabric.is_global_zero:
        list_checkpoints(folder)[-1].unlink()
    fabric.barrier()
    after, again = train(resume=True)
    of_the_first = fabric.broadcast(after)
    print(
        f"same history: {history == again}, same weights: {torch.equal(before, after)}, "
        f"as the other: {torch.equal(after, of_the_first)}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
