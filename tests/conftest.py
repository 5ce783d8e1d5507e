"""Hypothesis profiles, and the guard that every test leaves global state as it found it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

# A property is exact whatever the load of the machine, so no profile has a deadline.
settings.register_profile("fast", max_examples=5, deadline=None)
settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

State = dict[str, object]


def _snapshot() -> State:
    """Global state of the libraries that are already imported, as values that compare by ``==``."""
    state: State = {}
    if flint := sys.modules.get("flint"):
        state["flint precision"] = flint.ctx.prec
    if mpmath := sys.modules.get("mpmath"):
        state["mpmath precision"] = mpmath.mp.prec
    if numpy := sys.modules.get("numpy"):
        name, keys, *rest = numpy.random.get_state()
        state["numpy error state"] = numpy.geterr()
        state["numpy legacy generator"] = (name, keys.tobytes(), *rest)
    torch = sys.modules.get("torch")
    # A partially imported torch sits in sys.modules too, without these functions.
    if torch is not None and hasattr(torch, "get_rng_state"):
        state["torch default dtype"] = torch.get_default_dtype()
        state["torch default generator"] = torch.get_rng_state().numpy().tobytes()
        state["torch determinism"] = torch.are_deterministic_algorithms_enabled()
        state["torch gradient mode"] = torch.is_grad_enabled()
    return state


@pytest.fixture
def global_state() -> Callable[[], State]:
    """The function that the guard below compares before and after each test."""
    return _snapshot


@pytest.fixture(autouse=True)
def global_state_is_left_alone() -> Iterator[None]:
    before = _snapshot()
    yield
    after = _snapshot()
    changed = [name for name, value in before.items() if after[name] != value]
    assert not changed, f"this test changed global state: {', '.join(changed)}"
