"""What was read off a training, step by step.

In: rows of named numbers.  Out: columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from theory.inputs import integer

__all__ = ["History", "evenly"]


@dataclass
class History:
    """What was read at the recorded steps: one column per quantity, aligned with ``steps``.

    Examples
    --------
    >>> history = History()
    >>> history.add(0, {"loss": 0.7})
    >>> history.add(5, {"loss": 0.6})
    >>> history.steps, history["loss"]
    ([0, 5], [0.7, 0.6])
    """

    steps: list[int] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)

    def add(self, step: int, row: Mapping[str, float]) -> None:
        """Append one row."""
        self.steps.append(step)
        for name, value in row.items():
            self.columns.setdefault(name, []).append(float(value))

    def __getitem__(self, name: str) -> list[float]:
        return self.columns[name]


def evenly(steps: int, count: int) -> list[int]:
    """At most ``count`` steps from 0 to ``steps``, both included, as evenly as integers allow.

    Examples
    --------
    >>> evenly(10, 4)
    [0, 3, 7, 10]
    """
    steps, count = integer("steps", steps, least=0), integer("count", count, least=0)
    return np.unique(np.linspace(0, steps, count).round().astype(int)).tolist()


def recorded_steps(owner: str, record_at: Iterable[int], steps: int) -> set[int]:
    """The steps at which ``owner`` records, each in 0..``steps``.

    Raises
    ------
    ValueError
        Naming those that are not.

    Examples
    --------
    >>> recorded_steps("train", np.arange(3), 2)
    {0, 1, 2}
    """
    record = {integer(f"{owner}.record_at", step) for step in record_at}
    outside = sorted(step for step in record if not 0 <= step <= steps)
    if outside:
        raise ValueError(
            f"{owner}.record_at contains {outside}: recorded steps must lie in 0..{steps}"
        )
    return record
