"""What positional attention costs beside full attention: throughput, memory, and their bounds.

timm's stock models with its fused attention, and the same models with positional attention.  On
the CPU both run in float32, uncompiled; on CUDA under bfloat16 autocast and torch.compile.  A
training step is forward, cross-entropy, backward and AdamW.  The two kinds alternate, so that a
busy machine slows both, and their throughputs are compared within a repeat.

Beside each time stand two bounds from below: operations and bytes of :mod:`numerics.measure.cost`,
at the rates this device was measured to reach on a large matrix product and on a large copy.  That
by bytes assumes separate operations on memory without cache; for a compiled model it is an
estimate.
"""

from __future__ import annotations

import statistics
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import timm
import torch
from rich.progress import track
from torch import nn

import numerics.positional  # noqa: F401 - registers the models
from numerics.experiment import QUIET, Experiment, Options, Seeded
from numerics.measure.coefficients import estimate
from numerics.measure.cost import KINDS, flops, shape_of, traffic
from numerics.measure.timing import RATES, device_rates, peak_memory, seconds
from theory.inputs import integer

__all__ = ["LIGHT", "Config", "fixed", "run", "table"]

PHASES = ("forward", "step")
#: Calls before the first that is timed: they compile, and the optimizer makes its state.
WARMUP = 2
#: Outputs of every network: some stock names of timm are of networks that have none.
CLASSES = 1000


@dataclass(frozen=True)
class Config(Seeded):
    """Stock models by their names in timm, images in a batch, and how often each is timed.

    A CUDA device takes ``cuda_models`` and ``cuda_batch``.  The seed draws weights and images.

    Raises
    ------
    ValueError
        Naming the field, its value and what is allowed.
    """

    models: tuple[str, ...] = ("vit_tiny_patch16_224", "vit_small_patch16_224")
    batch: int = 8
    cuda_models: tuple[str, ...] = (
        "vit_tiny_patch16_224",
        "vit_small_patch16_224",
        "vit_base_patch16_224",
        "vit_small_patch8_224",
    )
    cuda_batch: int = 256
    repeats: int = 15

    def __post_init__(self) -> None:
        known = [name.removesuffix("_positional") for name in timm.list_models("*_positional")]
        for field in ("models", "cuda_models"):
            value = getattr(self, field)
            if not value or not set(value) <= set(known):
                raise ValueError(
                    f"Config.{field} = {value!r}: {field} must be one or more of {', '.join(known)}"
                )
        for field in ("batch", "cuda_batch", "repeats"):
            value = integer(f"Config.{field}", getattr(self, field), least=1)
            object.__setattr__(self, field, value)


LIGHT = Config(
    models=("vit_tiny_patch16_224",),
    batch=2,
    cuda_models=("vit_tiny_patch16_224",),
    cuda_batch=64,
    repeats=5,
)


def fixed(config: Config) -> dict[str, Any]:
    """How the rates are measured, the calls that are not timed, and the outputs of a network."""
    return {"rates": RATES, "warmup": WARMUP, "classes": CLASSES}


class _Runner:
    """One model with its forward pass and its training step."""

    def __init__(self, name: str, batch: int, device: torch.device, seed: int) -> None:
        torch.manual_seed(seed)
        self.device = device
        model: Any = timm.create_model(name, num_classes=CLASSES)
        self.model = model.to(device)
        self.shape = shape_of(model)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.images = torch.randn(batch, *model.pretrained_cfg["input_size"], device=device)
        self.labels = torch.randint(0, CLASSES, (batch,), device=device)
        self.apply = torch.compile(self.model) if device.type == "cuda" else self.model

    def _precision(self) -> AbstractContextManager:
        cuda = self.device.type == "cuda"
        return torch.autocast("cuda", dtype=torch.bfloat16) if cuda else nullcontext()

    def forward(self) -> None:
        self.model.eval()
        with torch.inference_mode(), self._precision():
            self.apply(self.images)

    def step(self) -> None:
        self.model.train()
        with self._precision():
            loss = nn.functional.cross_entropy(self.apply(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        # No gradient is left between calls, so that memory is measured from one and the same start:
        # weights, the optimizer's state and the batch.
        self.optimizer.zero_grad(set_to_none=True)


def _row(
    runner: _Runner, kind: str, phase: str, rates: dict[str, float], dtype: torch.dtype
) -> dict[str, Any]:
    """Warm up, measure memory and count; the times are still to be taken."""
    call, batch, training = getattr(runner, phase), len(runner.images), phase == "step"
    for _ in range(WARMUP):
        call()
    work = flops(kind, runner.shape, batch, training=training)
    moved = traffic(kind, runner.shape, batch, dtype.itemsize, training=training)
    return {
        "phase": phase,
        "kind": kind,
        "flops": work,
        "bytes": moved,
        "seconds_by_flops": work / rates["flops_per_second"],
        "seconds_by_bytes": moved / rates["bytes_per_second"],
        "peak_memory": peak_memory(call, runner.device),
    }


def _bound(row: dict[str, Any]) -> float:
    return max(row["seconds_by_flops"], row["seconds_by_bytes"])


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Time every model with both kinds of attention, ``config.repeats`` times each.

    Returns
    -------
    dict
        ``metrics``: for each model ``MODEL_forward_ratio`` and ``MODEL_step_ratio``, the throughput
        of positional over that of full attention, mean over repeats of the ratio within one;
        ``bound_ratio``: by the same names, the ratio of the two lower bounds on time, full over
        positional, which is no bound on the ratio; ``rows``: for each model, phase and kind of
        attention, ``images_per_second`` (median), ``seconds`` of each repeat, ``flops`` and
        ``bytes``, the bounds ``seconds_by_flops`` and ``seconds_by_bytes``, and ``peak_memory``:
        bytes that torch has allocated at the worst moment, beyond weights, the optimizer's state
        and the batch; ``rates`` of the device, ``precision``, ``compiled``, and ``batch``.

    Raises
    ------
    ValueError
        If the device is neither a CPU nor a CUDA device.
    """
    where = torch.device(options.device)
    cuda = where.type == "cuda"
    models, batch = config.models, config.batch
    if cuda:
        models, batch = config.cuda_models, config.cuda_batch
    dtype = torch.bfloat16 if cuda else torch.float32
    rates = device_rates(where, dtype)
    metrics, bound_ratio, rows = {}, {}, []
    with torch.random.fork_rng(devices=[where] if cuda else []):
        for name in track(models, "attention cost", disable=not options.progress, transient=True):
            torch.compiler.reset()  # the compiler gives up on code that it meets in too many models
            runners = {
                kind: _Runner(name + ending, batch, where, config.seed)
                for kind, ending in KINDS.items()
            }
            for phase in PHASES:
                found = {k: _row(runner, k, phase, rates, dtype) for k, runner in runners.items()}
                times: dict[str, list[float]] = {kind: [] for kind in runners}
                for repeat in range(config.repeats):
                    # Each kind goes first in every other repeat.
                    for kind in list(runners)[:: 1 if repeat % 2 else -1]:
                        times[kind].append(seconds(getattr(runners[kind], phase), where))
                ratios = [f / p for f, p in zip(times["full"], times["positional"], strict=True)]
                metrics[f"{name}_{phase}_ratio"] = asdict(estimate(ratios))
                bound_ratio[f"{name}_{phase}_ratio"] = _bound(found["full"]) / _bound(
                    found["positional"]
                )
                for kind, row in found.items():
                    row["images_per_second"] = batch / statistics.median(times[kind])
                    row["seconds"] = [round(t, 6) for t in times[kind]]
                    rows.append({"model": name} | row)
    return {
        "metrics": metrics,
        "bound_ratio": bound_ratio,
        "rows": rows,
        "rates": rates,
        "precision": "bfloat16 autocast" if cuda else "float32",
        "compiled": cuda,
        "batch": batch,
    }


def table(results: dict[str, Any]) -> list[dict[str, str]]:
    """The results in the units of a reader, one row for each model, phase and kind of attention.

    ``of bound`` is the larger of the two bounds on time, as a fraction of the median time.
    """
    lines = []
    for row in results["rows"]:
        name = f"{row['model']}_{row['phase']}_ratio"
        ratio, positional = results["metrics"][name], row["kind"] == "positional"
        error = ratio["standard_error"]
        shown = f"{ratio['mean']:.2f}" + ("" if error is None else f" ± {error:.2f}")
        median = results["batch"] / row["images_per_second"]
        lines.append(
            {
                "model": row["model"],
                "phase": row["phase"],
                "attention": row["kind"],
                "images/s": f"{row['images_per_second']:.1f}",
                "ratio": shown if positional else "",
                "ratio of bounds": f"{results['bound_ratio'][name]:.2f}" if positional else "",
                "of bound": f"{_bound(row) / median:.0%}",
                "peak memory (MiB)": f"{row['peak_memory'] / 2**20:.1f}",
                "GFLOP": f"{row['flops'] / 1e9:.1f}",
                "GB": f"{row['bytes'] / 1e9:.2f}",
            }
        )
    return lines


EXPERIMENT = Experiment(run, LIGHT, fixed=fixed, table=table)
