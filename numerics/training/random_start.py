"""The realistic setting: Gaussian weights, one sample, and what is read off a training of it.

v⁰ and the entries of A⁰ off the diagonal are Gaussian of standard deviations ω_v and ω_A (the
paper's ω is both), and the same N images are used at every step.  Beside each training stand two
predictions, both from the exact population path that starts at (⟨v⁰, w*⟩, 0, 0):

    exact    the path itself, margin min(σ_A, γ_t) − ρ_t;
    carried  the path on top of the random start, margin of A⁰ + γ_t 1_in + ρ_t 1_across.

The second keeps the noise of A⁰ where it was and moves every entry as the population would.

In: a :class:`SweepConfig`, a seed, axes of values.  Out: numbers that JSON can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from rich.progress import track

from numerics.data.structured import StructuredData, random_direction
from numerics.experiment import QUIET, OfSetting, Options, Repeated
from numerics.measure.coefficients import estimate, read_coefficients
from numerics.models.simplified import SimplifiedViT, error_rate
from numerics.training.descent import Batches, full_batch, train
from theory.data.partition import Partition
from theory.dynamics.descent import Trajectory, gradient_descent
from theory.inputs import integer, real
from theory.model.association import margin, top_c
from theory.setting import Coefficients, Setting

__all__ = [
    "RandomStart",
    "SweepConfig",
    "carried_margin",
    "exact_path",
    "measure",
    "random_start",
    "set_score",
    "sweep",
]

# Of images drawn at once for the test: a batch stays below 64 MB at any dimension.
_TEST_NUMBERS = 2**24


@dataclass(frozen=True, eq=False)
class RandomStart:
    """Everything a seed decides: the law, the model before training, its sample.

    ``generator`` goes on to draw the images of the test.
    """

    data: StructuredData
    model: SimplifiedViT
    batches: Batches
    generator: torch.Generator


def random_start(
    setting: Setting,
    seed: int,
    *,
    d: int,
    omega_v: float,
    omega_A: float,
    N: int,
    device: str = "cpu",
) -> RandomStart:
    """Draw partition, w*, v⁰, A⁰ and N images from one seed, in this order.

    Two starts of one seed and one d have the same w*, and v⁰, A⁰ that differ by the factors ω_v
    and ω_A only.

    Raises
    ------
    ValueError
        If ω_v or ω_A is not a finite number ≥ 0, or N is no positive integer.

    Examples
    --------
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    >>> start = random_start(setting, 0, d=3, omega_v=0.0, omega_A=0.1, N=5)
    >>> start.model.v.norm().item(), start.batches().X.shape
    (0.0, torch.Size([5, 4, 3]))
    """
    omega_v = float(real("random_start.omega_v", omega_v, least=0))
    omega_A = float(real("random_start.omega_A", omega_A, least=0))
    seed, d = integer("random_start.seed", seed, least=0), integer("random_start.d", d, least=1)
    generator = torch.Generator(device).manual_seed(seed)
    partition = Partition.scattered(setting.L, setting.C, seed)
    data = StructuredData(setting, partition, random_direction(d, generator))
    unit = SimplifiedViT.realistic(setting, d, 1.0, generator)
    model = SimplifiedViT(setting, omega_v * unit.v.detach(), omega_A * unit.A.detach())
    return RandomStart(data, model, full_batch(data, N, generator), generator)


@dataclass(frozen=True)
class SweepConfig(OfSetting, Repeated):
    """One training of the realistic setting; runs have seeds ``seed``, …, ``seed + runs − 1``.

    A training makes ``steps · fine`` steps of size η / ``fine``, so that its time in steps of size
    η is the same for every ``fine``.  ``method`` is how the exact path averages: enumeration is
    the fastest at this L and C.
    """

    L: int = 6
    C: int = 3
    d: int = 32
    omega_v: float = 0.01
    omega_A: float = 0.01
    N: int = 2000
    N_test: int = 5000
    eta_v: float = 6e-4
    eta_A: float = 50.0
    steps: int = 120
    fine: int = 1
    runs: int = 16
    method: str = "enumeration"


# One number of an experiment's axis changes these fields; any other axis is a field of its own.
_AXES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "omega": lambda x: {"omega_v": x, "omega_A": x},
    "omega_fine": lambda x: {"omega_v": x, "omega_A": x, "fine": 10},
}


@lru_cache(maxsize=512)
def exact_path(
    setting: Setting, alpha_0: float, eta_v: float, eta_A: float, steps: int, method: str
) -> Trajectory | None:
    """The population path from (α⁰, 0, 0), or None where it leaves the range of the theory.

    Examples
    --------
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    >>> len(exact_path(setting, 0.01, 0.01, 1.0, 5, "enumeration"))
    6
    """
    start = Coefficients(alpha=alpha_0, gamma=0.0, rho=0.0)
    try:
        return gradient_descent(
            setting, start, eta_v=eta_v, eta_A=eta_A, steps=steps, method=method
        )
    except ArithmeticError:  # α has overflowed: the steps are too large for this start
        return None


def carried_margin(A_0: ArrayLike, path: Trajectory, partition: Partition) -> NDArray[np.float64]:
    """Margin at each time of a path of the matrix A⁰ + γ_t 1_in + ρ_t 1_across.

    Parameters
    ----------
    A_0 : array (D, D)
        Logits at the start; the diagonal is kept.

    Examples
    --------
    >>> setting = Setting(L=2, C=2, q=0.5, p=3, nu=0.05, sigma_A=2.0)
    >>> path = exact_path(setting, 0.1, 0.01, 1.0, 5, "enumeration")
    >>> margins = carried_margin(2 * np.eye(4), path, Partition.contiguous(2, 2))
    >>> bool(np.abs(margins - path.margin).max() < 1e-15)
    True
    """
    A_0 = np.asarray(A_0, dtype=np.float64)
    across = ~partition.same_set
    inside = ~across & ~np.eye(partition.D, dtype=bool)
    return np.array(
        [
            margin(A_0 + gamma * inside + rho * across, partition)
            for gamma, rho in zip(path.gamma, path.rho, strict=True)
        ]
    )


def set_score(A: ArrayLike, partition: Partition) -> float:
    """Mean over rows of the largest share of Top_C that one set has, be it the row's own or not.

    Examples
    --------
    >>> rows = [[0, 0, 9, 8], [0, 0, 8, 9], [9, 8, 0, 0], [0, 9, 8, 0]]
    >>> set_score(rows, Partition.contiguous(2, 2))  # three rows attend to a set, not their own
    0.875
    """
    C = len(partition.sets[0])
    sets = np.asarray(partition.labels)[top_c(A, C)]
    counts = [(sets == label).sum(axis=1) for label in range(partition.L)]
    return float(np.max(counts, axis=0).mean() / C)


def _first(reached: NDArray[np.bool_]) -> int | None:
    return int(reached.argmax()) if reached.any() else None


def _test_error(start: RandomStart, N: int) -> float:
    chunk = max(1, _TEST_NUMBERS // (start.data.setting.D * start.data.d))
    wrong = 0.0
    for done in range(0, N, chunk):
        batch = start.data.sample(min(chunk, N - done), start.generator)
        with torch.no_grad():
            wrong += len(batch.y) * error_rate(start.model(batch.X), batch.y).item()
    return wrong / N


def measure(config: SweepConfig, seed: int, *, device: str = "cpu") -> dict[str, float | None]:
    """Train one model from its random start and set it beside the two predictions.

    Returns
    -------
    dict
        ``time``: first time at which the margin of A is positive, in steps of size η; ``crossing``:
        the same for α > 0; ``exact_time``, ``carried_time``: those of the predictions (at σ_A = 0
        the exact margin is 0 for ever, and the sign of what floats make of it means nothing).
        At the start ``alpha_0``, ``off_axis_0`` and ``output_0``, the root mean square of F on the
        sample.  At the end ``margin`` and its two predictions, ``association``, ``sets`` (of
        :func:`set_score`), alpha, gamma, rho and their exact values, off_axis, loss,
        ``train_error``, ``test_error``.  None is what never happened, or a path or training that
        left the range of floating point; ``diverged`` is the step at which the training did.

    Examples
    --------
    >>> tiny = SweepConfig(L=2, C=2, d=3, N=20, N_test=20, steps=2)
    >>> found = measure(tiny, seed=1)
    >>> found["diverged"] is None, found["test_error"] <= 1
    (True, True)
    """
    fine = integer("SweepConfig.fine", config.fine, least=1)
    setting = config.setting()
    start = random_start(
        setting,
        seed,
        d=config.d,
        omega_v=config.omega_v,
        omega_A=config.omega_A,
        N=config.N,
        device=device,
    )
    model, partition, batch = start.model, start.data.partition, start.batches()
    A_0 = model.A.detach().to("cpu", torch.float64).numpy().copy()
    with torch.no_grad():
        output_0 = model(batch.X).square().mean().sqrt().item()

    def read(model: SimplifiedViT) -> dict[str, float]:
        return read_coefficients(model.A, model.v, partition, start.data.w_star).row()

    first, rows = read(model), []

    def observe(model: SimplifiedViT) -> dict[str, float]:
        rows.append(read(model))
        return rows[-1]

    found: dict[str, float | None] = {"diverged": None}
    try:
        history = train(
            model,
            start.batches,
            eta_v=config.eta_v / fine,
            eta_A=config.eta_A / fine,
            steps=config.steps * fine,
            observe=observe,
        )
    except ArithmeticError:
        found["diverged"] = len(rows) / fine
    found |= {"alpha_0": first["alpha"], "off_axis_0": first["off_axis"], "output_0": output_0}

    path = exact_path(
        setting, first["alpha"], config.eta_v, config.eta_A, config.steps, config.method
    )
    carried = None if path is None else carried_margin(A_0, path, partition)
    for name, margins in (
        ("exact", None if path is None else path.margin),
        ("carried", carried),
    ):
        found[f"{name}_time"] = None if margins is None else _first(margins > 0)
        found[f"{name}_margin"] = None if margins is None else float(margins[-1])
    for name in ("alpha", "gamma", "rho"):
        found[f"exact_{name}"] = None if path is None else float(getattr(path, name)[-1])

    ended = found["diverged"] is None
    for name, column in (("time", "margin"), ("crossing", "alpha")):
        step = _first(np.array([row[column] for row in rows]) > 0)
        found[name] = None if step is None else step / fine
    for name in ("margin", "association", "alpha", "gamma", "rho", "off_axis"):
        found[name] = rows[-1][name] if ended else None
    with torch.no_grad():
        found["train_error"] = error_rate(model(batch.X), batch.y).item() if ended else None
    found["loss"] = history["loss"][-1] if ended else None
    found["sets"] = set_score(model.A.tolist(), partition) if ended else None
    found["test_error"] = _test_error(start, config.N_test) if ended else None
    return {name: None if x is None else float(f"{x:.7g}") for name, x in found.items()}


def _mean(values: Iterable[float | None]) -> dict[str, Any] | None:
    there = [x for x in values if x is not None]
    return asdict(estimate(there)) if there else None


def sweep(
    config: SweepConfig, axes: Mapping[str, Sequence[float]], options: Options = QUIET
) -> dict[str, Any]:
    """Measure ``config.runs`` seeds at each value of each axis, all else as in ``config``.

    Parameters
    ----------
    axes : mapping
        Values by name of a field of the configuration; ``omega`` is ω_v and ω_A together,
        ``omega_fine`` the same with steps a tenth as large and ten times as many.

    Returns
    -------
    dict
        ``axes``: for each its ``values`` and, for each quantity of :func:`measure`, a list over
        values of lists over seeds; ``metrics``: means and standard errors of the margin, the test
        error and the time of association (over the runs that have one), by value.

    Raises
    ------
    ValueError
        If there are fewer than two runs, an axis is unknown or empty, or a value is not allowed.

    Examples
    --------
    >>> tiny = SweepConfig(L=2, C=2, d=3, N_test=20, steps=2, runs=2)
    >>> found = sweep(tiny, {"N": (10, 20)})
    >>> found["axes"]["N"]["values"], len(found["axes"]["N"]["margin"][1])
    ([10, 20], 2)
    """
    config.check_spread()
    for name, values in axes.items():
        if name not in _AXES and name not in asdict(config):
            raise ValueError(f"axis {name!r} is no field of the configuration")
        if not values:
            raise ValueError(f"Config: the axis {name} is empty: it needs at least one value")
    known: dict[SweepConfig, list[dict[str, float | None]]] = {}
    points = [
        (name, value, replace(config, **_AXES.get(name, lambda x, n=name: {n: x})(value)))
        for name, values in axes.items()
        for value in values
    ]
    for _, _, point in track(points, "values", disable=not options.progress, transient=True):
        if point not in known:  # axes cross at the configuration itself
            known[point] = [measure(point, seed, device=options.device) for seed in config.seeds]
    results: dict[str, Any] = {"seeds": list(config.seeds), "metrics": {}, "axes": {}}
    for name, value, point in points:
        outcomes = known[point]
        column = results["axes"].setdefault(name, {"values": []})
        column["values"].append(value)
        for quantity in outcomes[0]:
            column.setdefault(quantity, []).append([one[quantity] for one in outcomes])
        for quantity in ("time", "margin", "test_error"):
            mean = _mean(one[quantity] for one in outcomes)
            if mean is not None:
                results["metrics"][f"{quantity}, {name} = {value:g}"] = mean
    return results
