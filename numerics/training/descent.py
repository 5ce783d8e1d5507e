"""Gradient descent on the simplified ViT, watched.

v ← v − η_v ∂ℓ/∂v and A ← A − η_A ∂ℓ/∂A by autograd on the logistic loss of a batch: always the same
N images (the empirical loss), or N fresh ones at every step (an unbiased estimate of the
population gradient).

In: a model and a source of batches.  Out: the history of whatever ``observe`` reads off the model
at the recorded steps.  With generators seeded alike, two runs on the same machine agree exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from rich.progress import Progress

from numerics.data.structured import Batch, Law
from numerics.measure.history import History, recorded_steps
from numerics.models.simplified import SimplifiedViT, logistic_loss
from theory.inputs import integer, real

__all__ = ["fresh_batches", "full_batch", "train"]

Batches = Callable[[], Batch]


def full_batch(data: Law, N: int, generator: torch.Generator) -> Batches:
    """Draw N images once; every step sees the same ones.

    Examples
    --------
    >>> from numerics.data.structured import StructuredData
    >>> from theory.data.partition import Partition
    >>> from theory.setting import Setting
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    >>> data = StructuredData(setting, Partition.contiguous(2, 2), torch.tensor([1.0, 0.0]))
    >>> batches = full_batch(data, 5, torch.Generator().manual_seed(0))
    >>> batches() is batches()
    True
    """
    batch = data.sample(N, generator)
    return lambda: batch


def fresh_batches(data: Law, N: int, generator: torch.Generator) -> Batches:
    """Draw N new images at every step.

    Examples
    --------
    >>> from numerics.data.structured import StructuredData
    >>> from theory.data.partition import Partition
    >>> from theory.setting import Setting
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    >>> data = StructuredData(setting, Partition.contiguous(2, 2), torch.tensor([1.0, 0.0]))
    >>> batches = fresh_batches(data, 5, torch.Generator().manual_seed(0))
    >>> torch.equal(batches().X, batches().X)
    False
    """
    return lambda: data.sample(N, generator)


def train(
    model: SimplifiedViT,
    batches: Batches,
    *,
    eta_v: float,
    eta_A: float,
    steps: int,
    observe: Callable[[SimplifiedViT], Mapping[str, float]] | None = None,
    record_at: Iterable[int] | None = None,
    progress: bool = False,
    label: str = "training",
) -> History:
    """Run gradient descent on ``model``, in place.

    Parameters
    ----------
    model : SimplifiedViT
    batches : callable
        Source of batches: :func:`full_batch` or :func:`fresh_batches`.
    eta_v, eta_A : float
        Step sizes of v and of A, at least 0 (0 freezes the parameter).
    steps : int
        Number of updates.
    observe : callable, optional
        Reads named numbers off the model; the loss is always recorded.
    record_at : iterable of int, optional
        Numbers of updates done at which to record; every one of 0..steps by default.
    progress : bool
        Show a progress bar, named ``label``.

    Returns
    -------
    History
        Column ``loss`` is the loss of the batch at hand, before it is used for an update: with
        fresh batches, an unbiased estimate of the population loss.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.
    ArithmeticError
        When the loss is no longer a finite number.

    Examples
    --------
    >>> from numerics.data.structured import StructuredData
    >>> from theory.data.partition import Partition
    >>> from theory.setting import Setting
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    >>> data = StructuredData(setting, Partition.contiguous(2, 2), torch.tensor([1.0, 0.0]))
    >>> model = SimplifiedViT.idealized(setting, data.w_star, alpha=0.1)
    >>> batches = full_batch(data, 100, torch.Generator().manual_seed(0))
    >>> history = train(model, batches, eta_v=0.01, eta_A=0.1, steps=20)
    >>> history["loss"][20] < history["loss"][0]
    True
    """
    eta_v, eta_A = (
        float(real(f"train.{name}", eta, least=0))
        for name, eta in (("eta_v", eta_v), ("eta_A", eta_A))
    )
    steps = integer("train.steps", steps, least=0)
    record = recorded_steps("train", range(steps + 1) if record_at is None else record_at, steps)
    optimizer = torch.optim.SGD(
        [{"params": [model.v], "lr": eta_v}, {"params": [model.A], "lr": eta_A}]
    )
    history = History()
    with Progress(disable=not progress, transient=True) as bar:
        task = bar.add_task(label, total=steps)
        for step in range(steps + 1):
            batch = batches()
            loss = logistic_loss(model(batch.X), batch.y)
            value = loss.item()
            if not math.isfinite(value):
                raise ArithmeticError(
                    f"the loss is {value} after {step} steps: "
                    f"lower eta_v = {eta_v} or eta_A = {eta_A}"
                )
            if step in record:
                history.add(step, {"loss": value, **(observe(model) if observe else {})})
            if step < steps:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                bar.advance(task)
    return history
