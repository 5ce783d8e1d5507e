"""Draw the figure of the README: the exact coefficients, the trained network's, and its attention.

    python book/overview.py

Writes book/overview.png from the record of the overlay experiment and from the exact path, which is
computed here.  ``make figure`` runs it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from figures import COLORS

from numerics.records import load_record
from theory.data.partition import Partition
from theory.dynamics.descent import gradient_descent
from theory.setting import Coefficients, Setting
from theory.symmetry.weights import weights_of

TARGET = Path(__file__).with_name("overview.png")


def attention(setting: Setting, state: Coefficients, partition: Partition) -> np.ndarray:
    """Rows of softmax(A/τ)."""
    A, _ = weights_of(setting, state, partition, np.ones(1))
    S = np.exp((A - A.max(axis=1, keepdims=True)) / float(setting.temperature))
    return S / S.sum(axis=1, keepdims=True)


def main() -> None:
    record = load_record("overlay")
    config, results = record.config(), record.results
    setting = Setting(
        L=config.L, C=config.C, q=config.q, p=config.p, nu=config.nu, sigma_A=config.sigma_A
    )
    start = Coefficients(config.alpha_0, 0.0, 0.0)
    path = gradient_descent(
        setting, start, eta_v=config.eta_v, eta_A=config.eta_A, steps=config.steps
    )

    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(
        1, 3, figsize=(10, 3.5), layout="constrained", width_ratios=[2.1, 1, 1]
    )
    ax = axes[0]
    curves = (("gamma", "γ", 1, 2), ("rho", "ρ", 1, -4), ("alpha", "10 α", 10, -12))
    for name, letter, scale, shift in curves:
        exact, measured = getattr(path, name) * scale, results[name]
        ax.plot(path.time, exact, color=COLORS[name])
        ax.errorbar(
            results["steps"],
            np.array(measured["mean"]) * scale,
            3 * np.array(measured["standard_error"]) * scale,
            fmt="o",
            markersize=4,
            color=COLORS[name],
        )
        end = (path.time[-1], exact[-1])
        ax.annotate(letter, end, (6, shift), textcoords="offset points", color=COLORS[name])
    ax.set(xlabel="step of gradient descent", ylabel="coefficient")
    runs, worst = (
        len(results["seeds"]),
        max(results["worst_gap"][x] for x in ("alpha", "gamma", "rho")),
    )
    ax.set_title(
        f"exact (lines) and trained networks (dots, {runs} runs)\n"
        f"worst gap {worst:.1f} standard errors",
        fontsize=10,
    )

    scattered = Partition.scattered(setting.L, setting.C, 1)
    by_set = np.argsort(scattered.labels, kind="stable")
    seen = attention(setting, path.state(-1), scattered)
    for ax, image, title in (
        (axes[1], seen, "attention learnt,\npatches as they lie"),
        (axes[2], seen[np.ix_(by_set, by_set)], "the same,\nsorted by hidden set"),
    ):
        ax.imshow(image, cmap="viridis", vmin=0)
        ax.set(xticks=[], yticks=[], xlabel="patch j", ylabel="patch i")
        ax.set_title(title, fontsize=10)
    figure.savefig(TARGET, dpi=160, facecolor="white")
    print(TARGET)


if __name__ == "__main__":
    main()
