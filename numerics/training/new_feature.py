"""A new feature for old sets: v is trained alone, on N images, while the attention stays frozen.

F_{A,v}(X) = Σ_i σ(D Σ_j S_ij ⟨v, X_j⟩) with S fixed.  v starts at 0 and goes down the logistic loss
of N images whose sets are scattered as before and whose feature w* is new.  What the attention
knows of the sets is all that can make a difference between two such trainings.

In: a model with its attention frozen, N images, and others to test on.  Out: the test error, and
how v stands to the new feature.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from numerics.data.structured import Batch, StructuredData, random_direction
from numerics.measure.coefficients import estimate
from numerics.models.simplified import SimplifiedViT, error_rate
from numerics.training.descent import train
from theory.data.partition import Partition
from theory.inputs import integer
from theory.setting import Setting

__all__ = [
    "Transfer",
    "compare_attentions",
    "freeze_attention",
    "own_set_attention",
    "summarize",
    "train_feature",
]

#: Logit of a pair that may not meet: softmax makes it an exact zero in every precision.
NEVER = -1e4


def freeze_attention(setting: Setting, A: Tensor, d: int) -> SimplifiedViT:
    """Return a model with attention logits ``A`` that are not trained, and v = 0 in R^d.

    Parameters
    ----------
    setting : Setting
        Its σ_A replaces the diagonal of ``A``.
    A : Tensor, shape (D, D)
        Zeros for the attention that knows of no set.
    d : int

    Raises
    ------
    ValueError
        If ``A`` does not fit the setting, or d is not an integer ≥ 1.

    Examples
    --------
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.05, sigma_A=0.0)
    >>> freeze_attention(setting, torch.zeros(4, 4), d=3).attention()[0]
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    d = integer("freeze_attention.d", d, least=1)
    model = SimplifiedViT(setting, A.new_zeros(d), A)
    model.A.requires_grad_(False)
    return model


def own_set_attention(setting: Setting, partition: Partition, d: int) -> SimplifiedViT:
    """Return a frozen model whose patches attend to their own set, evenly, and to nothing else.

    It is what attention tends to when association is complete, whatever σ_A.

    Examples
    --------
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    >>> own_set_attention(setting, Partition.contiguous(2, 2), d=3).attention()[0]
    tensor([0.5000, 0.5000, 0.0000, 0.0000])
    """
    apart = torch.from_numpy(~partition.same_set)
    A = torch.zeros(apart.shape).masked_fill(apart, NEVER)
    return freeze_attention(replace(setting, sigma_A=0.0), A, d)


@dataclass(frozen=True)
class Transfer:
    """What one training on a new feature came to.

    Parameters
    ----------
    test_error : float
        Fraction of test images with yF ≤ 0.
    aligned_error : float
        The same with v replaced by its part along w*: what is left is the attention's error.
    alpha, off_axis : float
        ⟨v, w*⟩, and the length of the rest of v.
    train_loss : float
        Logistic loss of the N images.
    """

    test_error: float
    aligned_error: float
    alpha: float
    off_axis: float
    train_loss: float


def _error(model: SimplifiedViT, test: Batch) -> float:
    with torch.no_grad():
        return error_rate(model(test.X), test.y).item()


def train_feature(
    model: SimplifiedViT, batch: Batch, test: Batch, w_star: Tensor, *, eta_v: float, steps: int
) -> Transfer:
    """Train v on the images ``batch``, in place, and test it on ``test``.

    Parameters
    ----------
    model : SimplifiedViT
        Its attention is not trained, whether frozen or not.
    batch, test : Batch
        Images of one law with the feature ``w_star``.
    w_star : Tensor, shape (d,)
    eta_v : float
        Step size.
    steps : int
        Number of steps, each on all of ``batch``.

    Raises
    ------
    ValueError
        If a shape, the step size or the number of steps is out of range.
    ArithmeticError
        When the loss is no longer a finite number.

    Examples
    --------
    >>> from numerics.data.structured import StructuredData
    >>> setting = Setting(L=2, C=2, q=0.0, p=3, nu=0.05, sigma_A=2.0)
    >>> data = StructuredData(setting, Partition.contiguous(2, 2), torch.tensor([1.0, 0.0]))
    >>> draw = torch.Generator().manual_seed(0)
    >>> model = own_set_attention(setting, data.partition, d=2)
    >>> found = train_feature(
    ...     model, data.sample(50, draw), data.sample(50, draw), data.w_star, eta_v=0.01, steps=50
    ... )
    >>> found.test_error, found.alpha > found.off_axis
    (0.0, True)
    """
    history = train(model, lambda: batch, eta_v=eta_v, eta_A=0.0, steps=steps, record_at=[steps])
    test_error = _error(model, test)
    v = model.v.detach().clone()
    alpha = float(v @ w_star)
    with torch.no_grad():
        model.v.copy_(alpha * w_star)
        aligned_error = _error(model, test)
        model.v.copy_(v)
    return Transfer(
        test_error=test_error,
        aligned_error=aligned_error,
        alpha=alpha,
        off_axis=math.sqrt(max(0.0, float(v @ v) - alpha**2)),
        train_loss=history["loss"][-1],
    )


def compare_attentions(
    data: StructuredData,
    models: Mapping[str, SimplifiedViT],
    images: Iterable[int],
    *,
    draws: int,
    test_images: int,
    eta_v: float,
    steps: int,
    generator: torch.Generator,
) -> dict[str, list[list[Transfer]]]:
    """Train every model on the same tasks: the sets of ``data``, each time with a new feature.

    Parameters
    ----------
    data : StructuredData
        Gives the law; its feature is not used.
    models : mapping of str to SimplifiedViT
        By name, with v = 0; they are left as they are.
    images : iterable of int
        Numbers N of training images.
    draws : int
        Tasks for each N.
    test_images : int
        Images that a task is tested on.
    eta_v, steps
        As for :func:`train_feature`.
    generator : torch.Generator
        Draws features and images.

    Returns
    -------
    dict
        By name: for each N, in order, the results of the ``draws`` tasks.

    Examples
    --------
    >>> setting = Setting(L=2, C=2, q=0.3, p=3, nu=0.05, sigma_A=2.0)
    >>> data = StructuredData(setting, Partition.contiguous(2, 2), torch.tensor([1.0, 0.0]))
    >>> models = {"start": freeze_attention(setting, torch.zeros(4, 4), d=2)}
    >>> options = {"draws": 2, "test_images": 10, "eta_v": 0.01, "steps": 3}
    >>> draw = torch.Generator().manual_seed(0)
    >>> found = compare_attentions(data, models, (5, 9, 20), generator=draw, **options)
    >>> [len(tasks) for tasks in found["start"]]
    [2, 2, 2]
    """
    draws = integer("compare_attentions.draws", draws, least=1)
    found: dict[str, list[list[Transfer]]] = {name: [] for name in models}
    for N in images:
        for tasks in found.values():
            tasks.append([])
        for _ in range(draws):
            task = replace(data, w_star=random_direction(data.d, generator))
            batch, test = task.sample(N, generator), task.sample(test_images, generator)
            w_star = task.w_star.to(generator.device)
            for name, model in models.items():
                one = train_feature(deepcopy(model), batch, test, w_star, eta_v=eta_v, steps=steps)
                found[name][-1].append(one)
    return found


def summarize(
    runs: Sequence[Sequence[Sequence[Transfer]]],
) -> dict[str, dict[str, list[float | None]]]:
    """Mean and standard error of each field of :class:`Transfer`, at each number of images.

    Parameters
    ----------
    runs : sequence, shape (runs, numbers of images, tasks)
        The mean over a run's tasks is taken first, for the runs are what is independent.

    Returns
    -------
    dict
        By field: ``mean`` and ``standard_error`` over runs, lists with an entry for each number
        of images.

    Examples
    --------
    >>> one, other = (Transfer(error, 0.0, 0.1, 0.0, 0.5) for error in (0.0, 0.5))
    >>> summarize([[[one, one]], [[one, other]], [[other, other]]])["test_error"]["mean"]
    [0.25]
    """
    found: dict[str, dict[str, list[float | None]]] = {}
    for field in (field.name for field in fields(Transfer)):
        means = [
            [float(np.mean([getattr(task, field) for task in tasks])) for tasks in run]
            for run in runs
        ]
        columns = [estimate(column) for column in zip(*means, strict=True)]
        found[field] = {
            "mean": [column.mean for column in columns],
            "standard_error": [column.standard_error for column in columns],
        }
    return found
