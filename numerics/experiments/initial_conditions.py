"""When association appears as ω, σ_A and ν vary: random starts beside the exact path.

The realistic setting at one size.  One of the numbers is varied at a time: ω of both v⁰ and A⁰
(again with steps a tenth as large), ω of v⁰ alone, of A⁰ alone, the fixed diagonal σ_A, and the
linear part ν of the activation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numerics.experiment import QUIET, Experiment, Options
from numerics.training.random_start import SweepConfig, sweep

__all__ = ["LIGHT", "Config", "run"]


@dataclass(frozen=True)
class Config(SweepConfig):
    """Size of the experiment: the values of each axis, and what is held fixed on the others."""

    omegas: tuple[float, ...] = (0.0, 0.01, 0.03, 0.1, 0.3)
    omegas_fine: tuple[float, ...] = (0.1,)
    omegas_v: tuple[float, ...] = (0.03, 0.1)
    omegas_A: tuple[float, ...] = (0.1, 0.3, 1.0)
    sigmas_A: tuple[float, ...] = (-1.0, 0.0, 0.5, 2.0, 4.0)
    nus: tuple[float, ...] = (0.0, 0.05, 0.5)


LIGHT = Config(
    runs=2,
    N_test=2000,
    omegas=(0.01, 0.1),
    omegas_v=(0.1,),
    omegas_A=(0.3,),
    sigmas_A=(0.0, 2.0),
    nus=(0.0, 0.05),
)


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Measure every value of every axis; see :func:`numerics.training.random_start.sweep`."""
    axes = {
        "omega": config.omegas,
        "omega_fine": config.omegas_fine,
        "omega_v": config.omegas_v,
        "omega_A": config.omegas_A,
        "sigma_A": config.sigmas_A,
        "nu": config.nus,
    }
    return sweep(config, axes, options)


EXPERIMENT = Experiment(run, LIGHT)
