"""How long a call takes, how much memory it needs, and what its device can do at best.

In: a call without arguments, and the device that it runs on, a CPU or a CUDA device.  Out: seconds,
bytes, operations and bytes a second, all of them measured here and now.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

__all__ = ["RATES", "device_rates", "peak_memory", "seconds"]

#: Side of the matrices multiplied, bytes copied, and trials of each, by type of device.
RATES = {"cpu": (1024, 2**26, 30), "cuda": (8192, 2**30, 30)}


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Wall time of a call, until its device has done all of it.

    Examples
    --------
    >>> seconds(lambda: torch.ones(3).sum(), torch.device("cpu")) > 0
    True
    """
    _synchronize(device)
    start = time.perf_counter()
    call()
    _synchronize(device)
    return time.perf_counter() - start


def device_rates(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """What the device reaches on a large product of matrices, and on a large copy.

    Parameters
    ----------
    device : torch.device
    dtype : torch.dtype
        Of the matrices.

    Returns
    -------
    dict
        ``flops_per_second``, a multiplication and an addition counted each, and
        ``bytes_per_second``, read and written; each of the fastest of the trials of :data:`RATES`.

    Raises
    ------
    ValueError
        If the device is neither a CPU nor a CUDA device.
    """
    if device.type not in RATES:
        raise ValueError(
            f"device_rates.device = {str(device)!r}: device must be one of {', '.join(RATES)}"
        )
    side, size, trials = RATES[device.type]
    a, b = torch.ones(2, side, side, device=device, dtype=dtype)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = min(seconds(lambda: a @ b, device) for _ in range(trials))
    copy = min(seconds(lambda: target.copy_(source), device) for _ in range(trials))
    return {"flops_per_second": 2 * side**3 / product, "bytes_per_second": 2 * size / copy}


@contextmanager
def _quiet_profiler() -> Iterator[None]:
    """Keep the profiler, which tells of every start and stop, from writing to stderr."""
    name = "KINETO_LOG_LEVEL"
    before = os.environ.get(name)
    os.environ[name] = "99"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def peak_memory(call: Callable[[], object], device: torch.device) -> int:
    """Bytes that torch has allocated at the worst moment of a call, beyond those at its start.

    Counted is what torch's own allocator hands out; work space that a library allocates for itself
    is not seen.  The call must not free what was there before it: on the CPU that is not seen
    either.

    Examples
    --------
    Two vectors of 1000 numbers at once, and never three:

    >>> def call():
    ...     a = torch.zeros(1000)
    ...     for _ in range(3):
    ...         b = torch.zeros(1000)
    ...         del b
    >>> peak_memory(call, torch.device("cpu"))
    8000
    """
    if device.type == "cuda":
        _synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        start = torch.cuda.memory_allocated(device)
        call()
        _synchronize(device)
        return torch.cuda.max_memory_allocated(device) - start
    # The CPU allocator keeps no account, but the profiler sees each allocation and each release.
    with (
        _quiet_profiler(),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
    ):
        call()
    found: Any = profiler.profiler
    events = [event for event in found.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(accumulate(changes, initial=0))
