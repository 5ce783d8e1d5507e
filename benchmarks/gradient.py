"""Time one population gradient: exact, certified, and as anybody would estimate it otherwise.

    python benchmarks/gradient.py            (make bench)

The alternative samples images of the law, runs the network on them and differentiates with
autograd; its error is a standard error and falls like N^(-1/2), so the time it would need for the
error of the exact method is extrapolated from the largest N that is run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from theory import Coefficients, Setting
from theory.expectation.certified import certified_expectation
from theory.expectation.population import evaluate

CASES = {
    "(49, 4, 0.1)": (
        Setting(L=49, C=4, q=0.1, p=3, nu=0.05, sigma_A=3.0),
        Coefficients(0.0198, 0.8478, -0.022),
    ),
    "(14, 14, 0.3)": (
        Setting(L=14, C=14, q=0.3, p=3, nu=0.05, sigma_A=3.0),
        Coefficients(0.02, 0.1, -0.01),
    ),
}
SAMPLES, BATCHES = 20_000, 20


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall time after one warm-up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def sampled_gradients(setting: Setting, state: Coefficients) -> np.ndarray:
    """Gradient in (α, γ, ρ) of the mean loss over each of several batches: shape (BATCHES, 3)."""
    D, C, q = setting.D, setting.C, float(setting.q)
    same = torch.arange(D)[:, None] // C == torch.arange(D) // C
    own = torch.eye(D, dtype=torch.bool)
    inside, across = D * max(C - 1, 1), D * (D - C)
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(BATCHES):
        u = torch.rand(SAMPLES, D, generator=generator)
        x = (u < q / 2).float() - (u > 1 - q / 2).float()
        x[:, :C] = 1
        values = [float(v) for v in (state.alpha, state.gamma, state.rho)]
        alpha, gamma, rho = (torch.tensor(v, requires_grad=True) for v in values)
        A = torch.where(own, float(setting.sigma_A), torch.where(same, gamma, rho))
        O = D * alpha * x @ torch.softmax(A / float(setting.temperature), dim=1).T
        F = (O**setting.p + float(setting.nu) * O).sum(dim=1)
        loss = torch.nn.functional.softplus(-F).mean()
        gradient = [g.item() for g in torch.autograd.grad(loss, (alpha, gamma, rho))]
        found.append([gradient[0], gradient[1] / inside, gradient[2] / across])
    return np.array(found)


def main() -> None:
    table = Table(title="one population gradient")
    for column in ("setting", "method", "time (s)", "error / scale", "time for the exact error"):
        table.add_column(column)
    for name, (setting, state) in CASES.items():
        result = evaluate(setting, state)
        scale = np.array([result.scale.alpha, result.scale.gamma, result.scale.rho])
        exact = np.array([result.gradient.alpha, result.gradient.gamma, result.gradient.rho])
        took = seconds(lambda: evaluate(setting, state), 7)  # noqa: B023 - called at once
        table.add_row(name, "quadrature", f"{took:.3f}", f"{result.relative_error:.1e}", "the same")

        certified_took = seconds(
            lambda: certified_expectation(setting, state, digits=40.0),  # noqa: B023
            1,
        )
        balls = certified_expectation(setting, state, digits=40.0).gradient
        radius = max(
            float(getattr(balls, part).rad()) / s
            for part, s in zip(("alpha", "gamma", "rho"), scale, strict=True)
        )
        table.add_row("", "certified", f"{certified_took:.1f}", f"{radius:.1e} (proved)", "")

        start = time.perf_counter()
        sampled = sampled_gradients(setting, state)
        sampling_took = time.perf_counter() - start
        standard_error = sampled.std(axis=0, ddof=1) / np.sqrt(BATCHES)
        gap = np.abs(sampled.mean(axis=0) - exact) / standard_error
        relative = float((standard_error / scale).max())
        needed = sampling_took * (relative / result.relative_error) ** 2
        table.add_row(
            "",
            f"autograd on {SAMPLES * BATCHES} images",
            f"{sampling_took:.1f}",
            f"{relative:.1e} (gap {gap.max():.1f} s.e.)",
            f"{needed / 3.15e7:.0e} years",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
