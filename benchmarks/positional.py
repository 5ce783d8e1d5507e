"""Time positional attention beside timm's stock model of the same widths, and say what limits it.

    python benchmarks/positional.py [--device cpu|cuda] [--models NAME …] [--batch B] [--repeats R]

Stock models use timm's fused attention.  A training step is forward, cross-entropy, backward and
AdamW.  On the CPU both run in float32, uncompiled; on CUDA under bfloat16 autocast and
torch.compile.  The two alternate, so that a busy machine slows both, and medians are compared.

The limit is arithmetic (:func:`flops`, :func:`traffic`) over what this device was measured to do:
operations at the rate of a large matrix product, bytes at that of a large copy, whichever takes
longer.  The operations are checked against torch's own count before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import accumulate
from typing import NamedTuple

import timm
import torch
from rich.console import Console
from rich.table import Table
from timm.layers import set_fused_attn
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import numerics.positional  # noqa: F401 - registers the models

KINDS = {"self": "", "positional": "_positional"}
DEFAULTS = {
    "cpu": (["vit_tiny_patch16_224", "vit_small_patch16_224"], 8),
    "cuda": (
        [
            "vit_tiny_patch16_224",
            "vit_small_patch16_224",
            "vit_base_patch16_224",
            "vit_small_patch8_224",
        ],
        256,
    ),
}


class Shape(NamedTuple):
    """Tokens N (with the class token), width C, blocks, heads, and pixels in a patch."""

    N: int
    C: int
    depth: int
    heads: int
    pixels: int


def shape_of(model: nn.Module) -> Shape:
    patches = model.patch_embed
    return Shape(
        N=patches.num_patches + model.num_prefix_tokens,
        C=model.embed_dim,
        depth=len(model.blocks),
        heads=model.blocks[0].attn.num_heads,
        pixels=patches.proj.weight[0].numel(),
    )


def flops(kind: str, shape: Shape, batch: int) -> float:
    """Operations of the matrix products of one forward pass, a multiplication and an addition each.

    A block of B images multiplies, in units of N C² operations, 2B for the values, 2B for the
    output projection and 16B for the MLP.  Queries and keys are 4 for each set of tokens they are
    made from, and their product 2N/C: of B images in self-attention, of one set of positions here.
    Mixing the values is 2BN/C for both.  A training step is three forward passes: backward
    differentiates each product in both factors.
    """
    N, C, depth, _, pixels = shape
    sets = batch if kind == "self" else 1
    block = batch * (20 * N * C**2 + 2 * N**2 * C) + sets * (4 * N * C**2 + 2 * N**2 * C)
    embedding = batch * 2 * (N - 1) * pixels * C
    return depth * block + embedding + batch * 2 * C * 1000


def traffic(kind: str, shape: Shape, batch: int, size: int) -> float:
    """Bytes that the blocks move in one forward pass if each operation reads and writes once.

    In units of B N C numbers of ``size`` bytes: 2 for each norm, 3 for each sum with the residual,
    2 for the output projection, 5 + 8 + 5 for the MLP and its nonlinearity, common to both.
    Self-attention adds 4 for Q, K, V and 4 for fused attention, which keeps its map on the chip.
    Positional attention adds 2 for V and 2 for the product with S, and 4 to bring images and
    channels together before it and apart after it; S itself, N² numbers a head, is written and
    read once for all images.  Weights are left out: they are read once for the batch.
    """
    N, C, depth, heads, _ = shape
    per_token = 30 + 8
    maps = 0 if kind == "self" else 4 * heads * N**2
    return depth * size * (per_token * batch * N * C + maps)


def check_flops(name: str, batch: int = 3) -> Shape:
    """The formula against torch's count of the same pass, on tensors without contents."""
    set_fused_attn(False)
    try:
        for kind, suffix in KINDS.items():
            with torch.device("meta"):
                model = timm.create_model(name + suffix).eval()
                image = torch.empty(batch, *model.pretrained_cfg["input_size"])
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                model(image)
            expected, counted = flops(kind, shape_of(model), batch), counter.get_total_flops()
            if expected != counted:
                raise SystemExit(f"{name}{suffix}: formula {expected:.6e}, counted {counted:.6e}")
    finally:
        set_fused_attn(True)
    return shape_of(model)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - start


def device_rates(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """Operations a second of a large matrix product, bytes a second of a large copy: the best."""
    n = 1024 if device.type == "cpu" else 8192
    a, b = torch.randn(2, n, n, device=device, dtype=dtype)
    source = torch.empty(2**26 if device.type == "cpu" else 2**30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = min(seconds(lambda: a @ b, device) for _ in range(50))
    copy = min(seconds(lambda: target.copy_(source), device) for _ in range(50))
    return 2 * n**3 / product, 2 * source.numel() / copy


def peak_memory(call: Callable[[], object], device: torch.device) -> int:
    """Bytes that torch has allocated at the worst moment of a call, beyond those at its start."""
    if device.type == "cuda":
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        start = torch.cuda.memory_allocated(device)
        call()
        synchronize(device)
        return torch.cuda.max_memory_allocated(device) - start
    # The CPU allocator keeps no account, but the profiler sees each allocation and each release.
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    events = [
        event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"
    ]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(accumulate(changes, initial=0))


class Runner:
    """One model with its forward pass and its training step."""

    def __init__(self, name: str, batch: int, device: torch.device) -> None:
        torch.manual_seed(0)
        self.device = device
        self.model = timm.create_model(name).to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.images = torch.randn(batch, 3, 224, 224, device=device)
        self.labels = torch.randint(0, 1000, (batch,), device=device)
        self.apply = torch.compile(self.model) if device.type == "cuda" else self.model

    def _precision(self):
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
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def compare(
    name: str, batch: int, repeats: int, device: torch.device, rates: tuple[float, float]
) -> list[list[str]]:
    """Rows of the table for one model: each kind, forward and training step."""
    shape = check_flops(name)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    operations, bandwidth = rates
    runners = {kind: Runner(name + suffix, batch, device) for kind, suffix in KINDS.items()}
    rows = []
    for phase, passes in (("forward", 1), ("step", 3)):
        times: dict[str, list[float]] = {kind: [] for kind in KINDS}
        peaks, limits = {}, {}
        for kind, runner in runners.items():
            for _ in range(2):  # compiles, and lets the optimizer make its state
                getattr(runner, phase)()
            peaks[kind] = peak_memory(getattr(runner, phase), device)
            limits[kind] = passes * max(
                flops(kind, shape, batch) / operations,
                traffic(kind, shape, batch, dtype.itemsize) / bandwidth,
            )
        for _ in range(repeats):
            for kind, runner in runners.items():
                times[kind].append(seconds(getattr(runner, phase), device))
        took = {kind: statistics.median(values) for kind, values in times.items()}
        work = {kind: passes * flops(kind, shape, batch) for kind in KINDS}
        for kind in KINDS:
            rows.append(
                [
                    f"{name}, B = {batch}" if (phase, kind) == ("forward", "self") else "",
                    phase if kind == "self" else "",
                    kind,
                    f"{batch / took[kind]:.1f}",
                    f"{took['self'] / took[kind]:.2f}",
                    f"{limits['self'] / limits[kind]:.2f}",
                    f"{peaks[kind] / 2**20:.0f}",
                    f"{work[kind] / 1e9:.1f}",
                    f"{passes * traffic(kind, shape, batch, dtype.itemsize) / 1e9:.2f}",
                    f"{limits[kind] / took[kind]:.0%}",
                ]
            )
    return rows


def main() -> None:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler tells of every start and stop
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda when there is one")
    parser.add_argument("--models", nargs="+", help="stock names in timm")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    kind = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(kind)
    models, batch = DEFAULTS[kind]
    models, batch = arguments.models or models, arguments.batch or batch

    rates = device_rates(device, torch.bfloat16 if kind == "cuda" else torch.float32)
    where = torch.cuda.get_device_name() if kind == "cuda" else f"{torch.get_num_threads()} threads"
    table = Table(
        title=f"{kind} ({where}), torch {torch.__version__}: measured "
        f"{rates[0] / 1e12:.3g} TFLOP/s, {rates[1] / 1e9:.3g} GB/s",
        caption="ratio, limit: throughput over that of self-attention, as measured and at most; "
        "memory: peak beyond weights and optimizer; of limit: share of the device's rate reached",
    )
    for column in (
        *("model", "phase", "attention", "images/s", "ratio", "limit"),
        *("memory (MiB)", "GFLOP", "GB", "of limit"),
    ):
        table.add_column(column)
    for name in models:
        for row in compare(name, batch, arguments.repeats, device, rates):
            table.add_row(*row)
        table.add_section()
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
