"""Association from Gaussian weights: the whole of A and v, trained on N images, finds the sets.

The realistic case of the paper: v and A start Gaussian of standard deviation ω, one sample of N
images is used at every step, and the sets are scattered over [D] by a random permutation.  The
history follows the coefficients, the association score and the error on images never trained on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from numerics.data.structured import StructuredData
from numerics.experiment import QUIET, Experiment, OfSetting, Options, Repeated
from numerics.measure.coefficients import estimate, read_coefficients
from numerics.measure.history import History, evenly
from numerics.models.simplified import SimplifiedViT, error_rate, logistic_loss
from numerics.training.descent import train
from numerics.training.random_start import random_start

__all__ = ["LIGHT", "Config", "Trained", "run", "train_one"]


@dataclass(frozen=True)
class Config(OfSetting, Repeated):
    """Size of the experiment; runs have seeds ``seed``, …, ``seed + runs − 1``.

    A seed draws the partition, w*, the weights at the start and both samples.
    """

    d: int = 64
    omega: float = 0.01
    N: int = 4000
    N_test: int = 20_000
    eta_v: float = 2e-4
    eta_A: float = 50.0
    steps: int = 200
    recorded: int = 25


LIGHT = Config(N_test=5000, runs=1)


@dataclass(frozen=True, eq=False)
class Trained:
    """A model after its training, the law it was trained on, and what was read on the way."""

    model: SimplifiedViT
    data: StructuredData
    history: History


def train_one(config: Config, seed: int, options: Options = QUIET) -> Trained:
    """Train one model; everything random comes from ``seed``, nothing from ``config.seed``.

    Examples
    --------
    >>> tiny = Config(L=2, C=2, d=3, N=20, N_test=20, steps=2, recorded=2)
    >>> train_one(tiny, seed=5).history.steps
    [0, 2]
    """
    setting = config.setting()
    start = random_start(
        setting,
        seed,
        d=config.d,
        omega_v=config.omega,
        omega_A=config.omega,
        N=config.N,
        device=options.device,
    )
    data, model = start.data, start.model
    test = data.sample(config.N_test, start.generator)

    def observe(model: SimplifiedViT) -> dict[str, float]:
        with torch.no_grad():
            F = model(test.X)
        return {
            **read_coefficients(model.A, model.v, data.partition, data.w_star).row(),
            "test_error": error_rate(F, test.y).item(),
            "test_loss": logistic_loss(F, test.y).item(),
        }

    history = train(
        model,
        start.batches,
        eta_v=config.eta_v,
        eta_A=config.eta_A,
        steps=config.steps,
        observe=observe,
        record_at=evenly(config.steps, config.recorded),
        progress=options.progress,
        label=f"seed {seed}",
    )
    return Trained(model, data, history)


def _one_run(config: Config, seed: int, options: Options) -> dict[str, Any]:
    one = train_one(config, seed, options)
    return {
        "seed": seed,
        "labels": list(one.data.partition.labels),
        "steps": one.history.steps,
        "history": one.history.columns,
        "A": [[round(entry, 4) for entry in row] for row in one.model.A.tolist()],
    }


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Train ``config.runs`` independent models.

    Returns
    -------
    dict
        ``metrics``: mean and standard error over runs, of the weights at the end; ``runs``: for
        each its seed, partition, history, and A at the end.
    """
    runs = [_one_run(config, seed, options) for seed in config.seeds]
    final = {name: [one["history"][name][-1] for one in runs] for name in runs[0]["history"]}
    metrics = {name: asdict(estimate(values)) for name, values in final.items()}
    return {"metrics": metrics, "runs": runs}


EXPERIMENT = Experiment(run, LIGHT)
