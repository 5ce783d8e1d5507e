"""Figure 2: on Gaussian patches a small test error comes without patch association.

The simplified ViT is trained from Gaussian weights, with one set of step sizes, on three laws with
the same hidden sets: ``structured`` (Assumption 1); ``patch``, Gaussian patches labelled by
sign Σ_j ⟨w*, X_j⟩³; and ``set``, Gaussian patches labelled by sign Σ_ℓ (Σ_{j∈S_ℓ} ⟨w*, X_j⟩)³.
The teacher of the paper's figure is known only as cubic and convolutional: ``patch``, a filter of
one patch, and ``set``, a filter as wide as a hidden set, are two readings of that.  Two more arms
repeat ``structured`` and ``set`` at a small σ_A, where theory expects opposite signs of γ − ρ.
Besides association it is measured how many rows of the attention turn to one set: to their own, or
to another, as in the derangements of Theorem 3.2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numerics.data.gaussian import GaussianConvolution
from numerics.data.structured import StructuredData, random_direction
from numerics.experiment import QUIET, Experiment, OfSetting, Options, Repeated
from numerics.measure.coefficients import chance_association, estimate, read_coefficients
from numerics.measure.history import History, evenly
from numerics.models.simplified import SimplifiedViT, error_rate
from numerics.training.descent import full_batch, train
from theory.data.partition import Partition
from theory.setting import Setting

__all__ = ["ARMS", "LIGHT", "Config", "rows_on_a_set", "run"]

#: Name of an arm: its law, and whether σ_A is ``weak_sigma_A``.
ARMS = {
    "structured": ("structured", False),
    "patch": ("patch", False),
    "set": ("set", False),
    "structured_weak": ("structured", True),
    "set_weak": ("set", True),
}


@dataclass(frozen=True)
class Config(OfSetting, Repeated):
    """Size of the experiment; runs have seeds ``seed``, …, ``seed + runs − 1``.

    A seed draws the partition, w*, the weights at the start and both samples.
    """

    sigma_A: float = 3.0
    weak_sigma_A: float = 0.5
    d: int = 16
    omega: float = 0.01
    N: int = 8000
    N_test: int = 20_000
    eta_v: float = 2e-5
    eta_A: float = 40.0
    steps: int = 700
    recorded: int = 29
    seed: int = 1

    def of_arm(self, weak: bool) -> Setting:
        """The setting of an arm; σ_A is no part of a law."""
        return replace(self, sigma_A=self.weak_sigma_A).setting() if weak else self.setting()


LIGHT = Config(L=6, N=3000, N_test=5000, eta_v=5e-5, eta_A=30.0, steps=480, recorded=25, runs=1)


def rows_on_a_set(A: Tensor, partition: Partition) -> dict[str, float]:
    """Fractions of rows that give one set over half of what they give to other patches.

    Parameters
    ----------
    A : Tensor, shape (D, D)
        Attention logits, of temperature 1.
    partition : Partition

    Returns
    -------
    dict
        ``own_rows``, where that set is the row's own, and ``other_rows``.

    Examples
    --------
    >>> A = torch.zeros(4, 4)
    >>> A[0, 1] = A[1, 2] = A[1, 3] = 9.0
    >>> rows_on_a_set(A, Partition.contiguous(2, 2))
    {'own_rows': 0.25, 'other_rows': 0.75}
    """
    labels = torch.tensor(partition.labels, device=A.device)
    to_others = A.detach().masked_fill(
        torch.eye(len(A), dtype=torch.bool, device=A.device), -torch.inf
    )
    share = to_others.softmax(dim=1) @ torch.nn.functional.one_hot(labels).to(A)
    most, where = share.max(dim=1)
    own, turned = where == labels, most > 0.5
    return {
        "own_rows": (turned & own).double().mean().item(),
        "other_rows": (turned & ~own).double().mean().item(),
    }


def _draw_law(
    config: Config, law: str, seed: int, generator: torch.Generator
) -> StructuredData | GaussianConvolution:
    partition = Partition.scattered(config.L, config.C, seed)
    w_star = random_direction(config.d, generator)
    if law == "structured":
        return StructuredData(config.setting(), partition, w_star)
    return GaussianConvolution(partition, w_star, 1 if law == "patch" else config.C)


def _one_run(
    config: Config, arm: str, seed: int, options: Options
) -> tuple[History, list[int], list[Tensor]]:
    """The history of one training, the set of each patch, and the logits at the recorded steps."""
    generator = torch.Generator(options.device).manual_seed(seed)
    name, weak = ARMS[arm]
    law = _draw_law(config, name, seed, generator)
    model = SimplifiedViT.realistic(config.of_arm(weak), config.d, config.omega, generator)
    batches = full_batch(law, config.N, generator)
    test = law.sample(config.N_test, generator)

    logits = []

    def observe(model: SimplifiedViT) -> dict[str, float]:
        with torch.no_grad():
            F = model(test.X)
        logits.append(model.A.detach().cpu().clone())
        return {
            **rows_on_a_set(model.A, law.partition),
            **read_coefficients(model.A, model.v, law.partition, law.w_star).row(),
            "test_error": error_rate(F, test.y).item(),
        }

    history = train(
        model,
        batches,
        eta_v=config.eta_v,
        eta_A=config.eta_A,
        steps=config.steps,
        observe=observe,
        record_at=evenly(config.steps, config.recorded),
        progress=options.progress,
        label=f"{arm}, seed {seed}",
    )
    return history, list(law.partition.labels), logits


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Train ``config.runs`` models in each of the :data:`ARMS`.

    Returns
    -------
    dict
        ``metrics``: for each arm, mean and standard error over runs of the test error, the
        association score, ``own_rows`` and ``other_rows`` (:func:`rows_on_a_set`), γ and ρ, read
        at the recorded step of the lowest training loss: gradient descent may jump away from it;
        ``chance``: the association score of random logits; ``steps``; ``runs``: by arm, for each
        its seed, that step as an index of ``steps``, and the recorded columns; ``first``: by arm,
        the labels and the logits A (D, D) of the first run at that step, to two decimals.
    """
    measured = ("test_error", "association", "own_rows", "other_rows", "gamma", "rho")
    columns = ("loss", "margin", "alpha", "gamma_spread", "rho_spread", *measured)
    runs: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    first: dict[str, Any] = {}
    for arm in ARMS:
        for seed in config.seeds:
            history, labels, logits = _one_run(config, arm, seed, options)
            best = int(np.argmin(history["loss"]))
            rounded = {c: [float(f"{value:.5g}") for value in history[c]] for c in columns}
            runs[arm].append({"seed": seed, "best": best, **rounded})
            A = [[round(a, 2) for a in row] for row in logits[best].tolist()]
            first.setdefault(arm, {"labels": labels, "A": A})
    return {
        "metrics": {
            f"{arm}_{column}": asdict(estimate(one[column][one["best"]] for one in runs[arm]))
            for arm in ARMS
            for column in measured
        },
        "chance": chance_association(config.L, config.C),
        "steps": history.steps,
        "runs": runs,
        "first": first,
    }


EXPERIMENT = Experiment(run, LIGHT)
