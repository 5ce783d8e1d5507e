"""What is seen of a training while it runs: a progress bar, and one JSON object a line in a file.

In: numbers of one step.  Out: a line of ``metrics.jsonl`` and the state of the bar.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from numerics.files import write_atomically

__all__ = ["MetricsFile", "progress_bar"]


def progress_bar(shown: bool, console: Console | None = None) -> Progress:
    """A bar with the step, the loss, images a second and the time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TextColumn("{task.fields[throughput]:.0f} images/s"),
        TimeRemainingColumn(),
        console=console,
        disable=not shown,
        transient=True,
    )


class MetricsFile:
    """``metrics.jsonl`` of a run: one JSON object for each logged step, steps ascending.

    Parameters
    ----------
    path : Path
    step : int
        Updates that the run has done as it starts.  Lines of this step and of later ones are those
        of a run that was killed after its last checkpoint, and are dropped; so is what follows a
        damaged line.

    Raises
    ------
    OSError
        If a line cannot be written; the message names the file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
    >>> metrics = MetricsFile(path, 0)
    >>> metrics.add({"step": 0, "loss": 0.5, "accuracy": float("nan")})
    >>> path.read_text()
    '{"step": 0, "loss": 0.5, "accuracy": null}\\n'
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in self._lines() if line["step"] < step]
        with self._named_on_failure():
            write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def _lines(self) -> list[dict[str, Any]]:
        """The lines up to the first that is none of ours, such as the half one of a killed run."""
        lines: list[dict[str, Any]] = []
        if not self.path.exists():
            return lines
        for text in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                break
            if not isinstance(line, dict) or not isinstance(line.get("step"), int):
                break
            lines.append(line)
        return lines

    @contextmanager
    def _named_on_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                error.errno,
                f"metrics not written ({error.strerror or error}); the checkpoints are whole",
                str(self.path),
            ) from error

    def add(self, row: Mapping[str, float]) -> None:
        """Append the numbers of one step; one that is not finite becomes null."""
        line = {name: value if math.isfinite(value) else None for name, value in row.items()}
        with self._named_on_failure(), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
