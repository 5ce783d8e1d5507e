"""Empirical against population gradient: the gap against N, d and the scale ω of a random start.

Weights are set to a symmetric state v = αw*, A in the form (σ_A, γ, ρ), plus Gaussian noise of
standard deviation ω on v orthogonal to w* and on A off the diagonal.  The gradient of the full
model on N images, by autograd, is compared with the exact population gradient at the symmetric
state: |gap| along w*, length of the rest of ∂ℓ/∂v, and the largest gap over the entries of A inside
sets and across.  One of N, d and ω is varied at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from rich.progress import track

from numerics.data.structured import StructuredData, random_direction
from numerics.experiment import QUIET, Experiment, OfSetting, Options, Repeated
from numerics.measure.coefficients import estimate
from numerics.models.simplified import SimplifiedViT, logistic_loss
from theory.data.partition import Partition
from theory.dynamics.descent import gradient_descent
from theory.setting import Coefficients, Setting

__all__ = [
    "EXPERIMENT",
    "LIGHT",
    "QUANTITIES",
    "Config",
    "empirical_gradient",
    "population_reference",
    "run",
]

QUANTITIES = ("alpha", "off_axis", "gamma", "rho")
# Numbers in one piece of a sample: 64 MiB in float32.
_PIECE = 2**24


@dataclass(frozen=True)
class Config(OfSetting, Repeated):
    """Size of the experiment: ``runs`` independent samples at every point of every sweep.

    ``sizes``, ``dimensions`` and ``omegas`` are swept one at a time, the others at ``N``, ``d`` and
    0.  A run draws the partition, w*, the start and the images; along ``omegas`` a run keeps its
    images and the direction of its start.
    """

    alpha: float = 0.03
    gamma: float = 0.5
    rho: float = -0.05
    N: int = 10_000
    d: int = 64
    sizes: tuple[int, ...] = (100, 316, 1000, 3162, 10_000, 31_623, 100_000)
    dimensions: tuple[int, ...] = (2, 4, 16, 64, 256, 1024)
    omegas: tuple[float, ...] = (0.0, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
    runs: int = 12

    def state(self) -> Coefficients:
        """The symmetric state."""
        return Coefficients(alpha=self.alpha, gamma=self.gamma, rho=self.rho)


LIGHT = Config(
    L=4,
    C=3,
    q=0.3,
    alpha=0.05,
    sizes=(100, 1000, 10_000),
    dimensions=(2, 16, 128),
    omegas=(0.0, 1e-4, 1e-3, 1e-2, 1e-1),
    N=2000,
    d=16,
    runs=8,
)


def population_reference(setting: Setting, state: Coefficients) -> Coefficients:
    """The exact population gradient, read off one step of the exact path.

    Examples
    --------
    >>> g = population_reference(LIGHT.setting(), LIGHT.state())
    >>> g.alpha < 0 and g.gamma < 0 < g.rho
    True
    """
    # A short step keeps the second state of the path in range, and a difference of two floats
    # that long keeps ten digits.
    eta_v = 1e-4 * abs(float(state.alpha)) or 1e-8
    path = gradient_descent(setting, state, eta_v=eta_v, eta_A=1.0, steps=1)
    moves = (path.alpha, eta_v), (path.gamma, 1.0), (path.rho, 1.0)
    return Coefficients(*(float(x[0] - x[1]) / eta for x, eta in moves))


def empirical_gradient(
    model: SimplifiedViT, data: StructuredData, N: int, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients in A (D, D) and v (d,) of the loss on N new images, summed piece by piece.

    The pieces are added in float64; the weights are as they are in the model.
    """
    step = max(1, _PIECE // (data.setting.D * data.d))
    in_A, in_v = (torch.zeros_like(weights, dtype=torch.float64) for weights in (model.A, model.v))
    for begin in range(0, N, step):
        number = min(step, N - begin)
        batch = data.sample(number, generator)
        loss = logistic_loss(model(batch.X), batch.y)
        piece = torch.autograd.grad(loss, (model.A, model.v))
        in_A += piece[0].double() * (number / N)
        in_v += piece[1].double() * (number / N)
    return in_A.cpu().numpy(), in_v.cpu().numpy()


def _one_run(
    config: Config, N: int, d: int, omega: float, seed: int, exact: Coefficients, device: str
) -> dict[str, float]:
    setting = config.setting()
    generator = torch.Generator(device).manual_seed(seed)
    partition = Partition.scattered(config.L, config.C, seed)
    data = StructuredData(setting, partition, random_direction(d, generator))
    same = partition.same_set
    A = torch.as_tensor(np.where(same, config.gamma, config.rho), dtype=data.dtype, device=device)
    w_star = data.w_star.to(device)
    # Drawn at ω = 0 too, so that every ω meets the same images.
    draw: dict[str, Any] = {"generator": generator, "device": device, "dtype": data.dtype}
    off, tilt = torch.randn(d, **draw), torch.randn(setting.D, setting.D, **draw)
    v = config.alpha * w_star + omega * (off - (off @ w_star) * w_star)
    in_A, in_v = empirical_gradient(SimplifiedViT(setting, v, A + omega * tilt), data, N, generator)
    feature = w_star.double().cpu().numpy()
    along = float(in_v @ feature)
    inside = same & ~np.eye(setting.D, dtype=bool)
    return {
        "alpha": abs(along - exact.alpha),
        "off_axis": float(np.linalg.norm(in_v - along * feature)),
        "gamma": float(np.abs(in_A[inside] - exact.gamma).max()),
        "rho": float(np.abs(in_A[~same] - exact.rho).max()),
    }


def _points(config: Config) -> Iterator[tuple[str, int, int, float, int]]:
    """Sweep, N, d, ω and the number of the point, which decides its seeds."""
    point = 0
    for N in config.sizes:
        yield "sizes", N, config.d, 0.0, point
        point += 1
    for d in config.dimensions:
        yield "dimensions", config.N, d, 0.0, point
        point += 1
    for omega in config.omegas:
        yield "omegas", config.N, config.d, omega, point


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Measure the gaps.

    Returns
    -------
    dict
        ``population``: the exact gradient at the state; for each of ``sizes``, ``dimensions`` and
        ``omegas`` a dict from quantity to lists over the points: ``mean`` and ``standard_error``
        over runs, and the ``values`` of all runs; ``metrics``: the gaps at the largest size.
    """
    config.check_spread()
    exact = population_reference(config.setting(), config.state())
    results: dict[str, Any] = {"population": asdict(exact), "metrics": {}}
    for sweep in ("sizes", "dimensions", "omegas"):
        results[sweep] = {
            name: {"mean": [], "standard_error": [], "values": []} for name in QUANTITIES
        }
    points = list(_points(config))
    for sweep, N, d, omega, point in track(points, "gradient gaps", disable=not options.progress):
        seeds = range(config.seed + point * config.runs, config.seed + (point + 1) * config.runs)
        found = [_one_run(config, N, d, omega, seed, exact, options.device) for seed in seeds]
        for name in QUANTITIES:
            values = [float(f"{one[name]:.6g}") for one in found]
            e = estimate(values)
            column = results[sweep][name]
            column["mean"].append(e.mean)
            column["standard_error"].append(e.standard_error)
            column["values"].append(values)
            if sweep == "sizes":
                results["metrics"][name] = asdict(e)
    return results


EXPERIMENT = Experiment(run, LIGHT)
