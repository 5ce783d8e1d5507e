"""Where gradient descent associates: outcomes over (C, q) at D = 196 and on a small image.

With one step size for all weights v moves fast and attention slowly.  For each cell (C, q, σ_A)
the exact path of slow attention is followed from γ = ρ = 0 until γ − ρ is ``stop`` or more, with
margin min(σ_A, γ) − ρ > 0 (it *associates*), or −``stop`` or less (it *turns away*); a cell that
needs more than ``steps`` steps, or whose expectation cannot be computed, is *undecided*.  One
failing setting is also run as gradient flow at several ratios η_A/η_v, to see when "slow" holds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from rich.progress import track

from numerics.experiment import QUIET, Experiment, Options, Seeded
from theory.dynamics.descent import Trajectory, gradient_flow
from theory.dynamics.slow_attention import slow_attention
from theory.setting import Coefficients, Setting

__all__ = ["LIGHT", "Config", "run"]

OUTCOMES = ("associates", "turns away", "undecided")


@dataclass(frozen=True)
class Config(Seeded):
    """The two grids, the path, and the ratios; nothing is random, ``seed`` is for the record.

    ``C`` lists set sizes that divide ``D``; likewise ``small_C`` and ``small_D``.
    """

    D: int = 196
    C: tuple[int, ...] = (2, 4, 7, 14)
    q: tuple[float, ...] = (0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9)
    sigma_A: tuple[float, ...] = (0.5, 2.0)
    small_D: int = 24
    small_C: tuple[int, ...] = (2, 3, 4, 6, 8)
    small_q: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    small_sigma_A: tuple[float, ...] = (0.3,)
    p: int = 3
    nu: float = 0.05
    step: float = 0.25
    stop: float = 2.0
    steps: int = 40
    ratios: tuple[float, ...] = (1.0, 1e4, 1e6, 1e7, 1e8)


LIGHT = Config(
    step=0.5,
    steps=20,
    C=(4,),
    q=(0.1, 0.6),
    sigma_A=(0.5,),
    small_D=12,
    small_C=(2, 3, 4),
    small_q=(0.2, 0.4, 0.6, 0.8, 1.0),
    small_sigma_A=(0.3, 1.5),
    ratios=(1.0, 1e6, 1e8),
)


def _outcome(config: Config, path: Trajectory) -> str:
    gap = path.gamma[-1] - path.rho[-1]
    if gap >= config.stop and path.margin[-1] > 0:
        return "associates"
    return "turns away" if gap <= -config.stop else "undecided"


def _cell(config: Config, setting: Setting, method: str) -> dict[str, Any]:
    cell = {"C": setting.C, "q": setting.q, "sigma_A": setting.sigma_A}
    try:
        path = slow_attention(
            setting, step=config.step, stop=config.stop, steps=config.steps, method=method
        )
    except ArithmeticError as error:
        return cell | {"outcome": "undecided", "reason": str(error)}
    gap, found = path.gamma - path.rho, _outcome(config, path)
    # The last step goes beyond ``stop``; loss and time are read off where γ − ρ is ±stop.
    at_stop = [np.interp(config.stop, np.abs(gap), x) for x in (np.log(path.loss), path.time)]
    return cell | {
        "outcome": found,
        "reason": f"{config.steps} steps" if found == "undecided" else "",
        "first_gap": float(gap[1]),
        "turns": bool((np.diff(np.abs(gap)) <= 0).any()),
        "margin": float(path.margin[-1]),
        "gamma": float(path.gamma[-1]),
        "rho": float(path.rho[-1]),
        "first_loss": float(path.loss[0]),
        "last_loss": float(np.exp(at_stop[0])),
        "time": float(at_stop[1]),
        "steps": len(path) - 1,
    }


def _grid(config: Config, small: bool, progress: bool) -> list[dict[str, Any]]:
    D = config.small_D if small else config.D
    axes = (
        (config.small_C, config.small_q, config.small_sigma_A)
        if small
        else (config.C, config.q, config.sigma_A)
    )
    cells = []
    for C, q, sigma_A in track(
        list(product(*axes)), description=f"D = {D}", disable=not progress, transient=True
    ):
        if D % C or D // C < 3:
            raise ValueError(f"C = {C}: C must divide D = {D}, into three sets or more")
        setting = Setting(L=D // C, C=C, q=q, p=config.p, nu=config.nu, sigma_A=sigma_A)
        cells.append(_cell(config, setting, "enumeration" if small else "quadrature"))
    return cells


def _ratios(config: Config) -> dict[str, Any]:
    """The failing run (5, 2, 0.8), σ_A = 0.3, ν = 1, from α = 0.01, to γ − ρ = −1 and beyond."""
    setting = Setting(L=5, C=2, q=0.8, p=3, nu=1.0, sigma_A=0.3)
    slow = slow_attention(setting, step=0.05, stop=1.0, method="enumeration")
    end = float(slow.time[-1])
    margins, late = [], []
    for ratio in config.ratios:
        flow = gradient_flow(
            setting,
            Coefficients(0.01, 0.0, 0.0),
            eta_v=1 / ratio,
            eta_A=1.0,
            time=np.array([0.0, end, 100 * end]),
            method="enumeration",
            rtol=1e-5,
        )
        margins.append(float(flow.margin[1]))
        late.append(float(flow.margin[2]))
    return {
        "slow_margin": float(slow.margin[-1]),
        "time": end,
        "margin": margins,
        "late_margin": late,
    }


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Follow the slow path in every cell of both grids, and the flow at every ratio.

    Returns
    -------
    dict
        ``large`` and ``small``: one entry for each cell, with its outcome, γ − ρ after one step,
        whether |γ − ρ| ever fell (``turns``), the last margin, γ, ρ, the first and last loss
        (nats), time in units of 1/η_A and number of steps; ``ratios``: margins of the flow at the
        time of the slow path, and 100 times later; ``refined``: with half the step, among the
        decided cells of the largest ``small_q``, the number whose outcome changes and
        the largest relative change of the last loss; ``metrics``: shares of the outcomes.
    """
    large, small = (_grid(config, which, options.progress) for which in (False, True))
    half = replace(config, step=config.step / 2, steps=2 * config.steps)
    gaps: list[float] = []
    flips = 0
    for cell in small:
        if cell["q"] == config.small_q[-1] and cell["outcome"] != "undecided":
            setting = Setting(
                L=config.small_D // cell["C"],
                C=cell["C"],
                q=cell["q"],
                p=config.p,
                nu=config.nu,
                sigma_A=cell["sigma_A"],
            )
            fine = _cell(half, setting, "enumeration")
            flips += fine["outcome"] != cell["outcome"]
            gaps.append(abs(fine["last_loss"] / cell["last_loss"] - 1))
    metrics = {}
    for name, cells in (("large", large), ("small", small)):
        found = Counter(cell["outcome"] for cell in cells)
        for outcome in OUTCOMES:
            metrics[f"{name}, {outcome}"] = {
                "n": len(cells),
                "mean": found[outcome] / max(len(cells), 1),
                "standard_error": None,
            }
    return {
        "large": large,
        "small": small,
        "ratios": _ratios(config),
        "refined": {"cells": len(gaps), "flips": flips, "loss": max(gaps, default=0.0)},
        "metrics": metrics,
    }


EXPERIMENT = Experiment(run, LIGHT)
