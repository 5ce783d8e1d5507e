"""Trained coefficients on the exact path: full A and v on fresh samples, against the population.

From the idealized start v = α⁰w*, A_ij = 0, every entry of A and v is trained on N fresh images a
step.  (α, γ, ρ) are read off the weights at the recorded steps, their means over independent runs
are laid over the exact path of population gradient descent with the same step sizes, and the gap
is given in standard errors of that mean.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from numerics.data.structured import StructuredData, random_direction
from numerics.experiment import QUIET, Experiment, OfSetting, Options, Repeated
from numerics.measure.coefficients import estimate, read_coefficients
from numerics.measure.history import History
from numerics.models.simplified import SimplifiedViT
from numerics.training.descent import fresh_batches, train
from theory.data.partition import Partition
from theory.dynamics.descent import gradient_descent
from theory.setting import Coefficients

__all__ = ["LIGHT", "Config", "run"]

QUANTITIES = ("alpha", "gamma", "rho", "loss")


@dataclass(frozen=True)
class Config(OfSetting, Repeated):
    """Size of the experiment; runs have seeds ``seed``, …, ``seed + runs − 1``.

    A seed draws the partition, w* and every image, so that runs are independent.
    """

    L: int = 4
    C: int = 3
    q: float = 0.3
    d: int = 4
    alpha_0: float = 0.01
    N: int = 100_000
    eta_v: float = 0.003
    eta_A: float = 10.0
    steps: int = 150
    recorded: int = 24
    runs: int = 24

    def recorded_steps(self) -> list[int]:
        """About ``recorded`` steps from 1 to ``steps``, denser at first, where α moves fast.

        Step 0 is left out: there every run agrees with theory, and there is no error to compare
        a gap with.
        """
        return np.unique(np.geomspace(1, self.steps, self.recorded).round().astype(int)).tolist()


LIGHT = Config(N=10_000, runs=8)


def _one_run(config: Config, seed: int, options: Options) -> History:
    setting = config.setting()
    generator = torch.Generator(options.device).manual_seed(seed)
    partition = Partition.scattered(config.L, config.C, seed)
    data = StructuredData(setting, partition, random_direction(config.d, generator))
    return train(
        SimplifiedViT.idealized(setting, data.w_star.to(options.device), config.alpha_0),
        fresh_batches(data, config.N, generator),
        eta_v=config.eta_v,
        eta_A=config.eta_A,
        steps=config.steps,
        observe=lambda model: read_coefficients(model.A, model.v, partition, data.w_star).row(),
        record_at=config.recorded_steps(),
        progress=options.progress,
        label=f"seed {seed}",
    )


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Train ``config.runs`` independent models and compare them with the exact path.

    Returns
    -------
    dict
        ``steps``; for each of alpha, gamma, rho, loss the exact ``path``, and ``mean``,
        ``standard_error`` and ``gap`` (in standard errors) over runs, at each recorded step;
        ``spread``: standard deviation over the entries of an orbital inside a run, averaged over
        runs; ``worst_gap``; ``metrics`` at the last step.
    """
    config.check_spread()
    exact = gradient_descent(
        config.setting(),
        Coefficients(alpha=config.alpha_0, gamma=0.0, rho=0.0),
        eta_v=config.eta_v,
        eta_A=config.eta_A,
        steps=config.steps,
    )
    histories = [_one_run(config, seed, options) for seed in config.seeds]
    steps = config.recorded_steps()

    results: dict[str, Any] = {"steps": steps, "seeds": list(config.seeds), "metrics": {}}
    for name in QUANTITIES:
        by_step = np.array([history[name] for history in histories]).T
        estimates = [estimate(values) for values in by_step]
        path = np.asarray(getattr(exact, name))[steps]
        mean = np.array([e.mean for e in estimates])
        standard_error = np.array([e.standard_error for e in estimates])
        results[name] = {
            "path": path.tolist(),
            "mean": mean.tolist(),
            "standard_error": standard_error.tolist(),
            "gap": ((mean - path) / standard_error).tolist(),
        }
        results["metrics"][name] = asdict(estimates[-1])
    for name in ("gamma_spread", "rho_spread", "off_axis", "association"):
        by_step = np.array([history[name] for history in histories]).T
        results[name] = by_step.mean(axis=1).tolist()
    results["worst_gap"] = {name: float(np.abs(results[name]["gap"]).max()) for name in QUANTITIES}
    return results


EXPERIMENT = Experiment(run, LIGHT)
