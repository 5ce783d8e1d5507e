"""Results kept with what made them: command, configuration, seed, versions, hardware, date.

A record is one JSON file, ``numerics/records/NAME.json``, written whole or not at all, by the
runner only and never by hand.  In: the results of an experiment.  Out: the file; and back from it
a :class:`Record`, refused when the experiment has changed so that the record no longer describes
it.  Hardware is described by its kind alone, so that a record can be published.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from numerics.engine.config import GONE
from numerics.experiments import load_experiment
from numerics.files import write_atomically

__all__ = ["RECORDS", "Record", "begin", "load_record", "provenance", "write_record"]

RECORDS = Path(__file__).parent / "records"
#: What a folder of checkpoints remembers of its first start.
START = "start.json"
#: What a training has where a record does not name it.
_UNSAID = GONE | {"warmup": 0.1, "clip": None}

_PACKAGES = (
    "numpy",
    "scipy",
    "torch",
    "torchvision",
    "timm",
    "lightning-fabric",
    "scikit-image",
    "scikit-learn",
)


@dataclass(frozen=True)
class Record:
    """What an experiment found, and everything needed to find it again.

    Parameters
    ----------
    experiment, command : str
        Name of the experiment, and the command that made the record.
    configuration : dict
        The fields of the experiment's ``Config``.
    seed : int
    revision : dict
        ``commit`` of the repository (None outside one), and ``modified``: the source files of
        ``theory`` and ``numerics`` that differed from it.
    versions, hardware : dict
        Releases of the packages; processor, cores, device.
    date : str
        Start of the run, UTC, ISO 8601; the first one of a run that was resumed.
    duration : float
        Seconds of wall time, of the last start.
    results : dict
        What ``run`` returned.
    fixed : dict
        What the experiment's ``fixed`` returned.
    resumed : int
        How often the run went on from its checkpoints.
    """

    experiment: str
    command: str
    configuration: dict[str, Any]
    seed: int
    revision: dict[str, Any]
    versions: dict[str, str]
    hardware: dict[str, Any]
    date: str
    duration: float
    results: dict[str, Any]
    fixed: dict[str, Any] = field(default_factory=dict)
    resumed: int = 0

    def config(self) -> Any:
        """The configuration as an instance of the experiment's ``Config``."""
        # JSON has no tuples; a frozen Config has no lists.
        return load_experiment(self.experiment).Config(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in self.configuration.items()}
        )


def _said(fixed: Any) -> Any:
    """What ``fixed`` returned, as JSON gives it back, less what records of any age leave unsaid."""
    if not isinstance(fixed, dict):
        return json.loads(json.dumps(fixed))
    return {k: _said(v) for k, v in fixed.items() if k not in _UNSAID or v != _UNSAID[k]}


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout


def _revision() -> dict[str, Any]:
    commit = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--", "theory/*.py", "numerics/*.py") or ""
    return {
        "commit": commit.strip() if commit else None,
        "modified": sorted(line[3:] for line in status.splitlines()),
    }


def _hardware(device: str) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"
    return {
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": name,
    }


def provenance(device: str = "cpu") -> dict[str, Any]:
    """The fields of a record that describe where it is made: revision, versions, hardware, date.

    Examples
    --------
    >>> sorted(provenance())
    ['date', 'hardware', 'revision', 'versions']
    """
    return {
        "revision": _revision(),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
        },
        "hardware": _hardware(device),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def begin(directory: Path, device: str = "cpu") -> tuple[dict[str, Any], int]:
    """Provenance of a run with checkpoints in a folder, and how often it was resumed before.

    The folder remembers what its first start was made with: a record must not say that all of it
    was made with what the last start found.

    Raises
    ------
    ValueError
        If the code, the packages or the hardware are no longer those of the first start.
    OSError
        If the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (first, before), (again, resumed) = begin(folder), begin(folder)
    >>> before, resumed, again == first
    (0, 1, True)
    """
    directory.mkdir(parents=True, exist_ok=True)
    path, now = directory / START, provenance(device)
    resumed = 0
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        resumed = before.pop("resumed") + 1
        for part in ("revision", "versions", "hardware"):
            if before[part] != now[part]:
                raise ValueError(
                    f"{directory} was begun with {part} {before[part]}, and now it is {now[part]}: "
                    "go back to what it was begun with, or start anew in another folder"
                )
        now = before
    write_atomically(path, json.dumps(now | {"resumed": resumed}, indent=1).encode())
    return now, resumed


def _to_json(record: Record) -> str:
    text = json.dumps(asdict(record), indent=1, allow_nan=False, ensure_ascii=False)
    # A list of numbers goes on one line, so that a record can be read and its changes compared.
    return re.sub(
        r"\[\n([-+0-9.eE,\s]*)\]", lambda numbers: f"[{' '.join(numbers[1].split())}]", text
    )


def write_record(record: Record, directory: Path = RECORDS) -> Path:
    """Write ``directory/NAME.json`` atomically: a reader finds the old file or the new one.

    Raises
    ------
    ValueError
        If a result is not a finite number, or is nothing that JSON can hold.
    OSError
        If the file cannot be written.
    """
    try:
        text = _to_json(record)
    except (TypeError, ValueError) as error:
        raise ValueError(f"record {record.experiment}: {error}") from error
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / f"{record.experiment}.json"
    write_atomically(target, (text + "\n").encode())
    return target


def load_record(name: str, directory: Path = RECORDS) -> Record:
    """Read a record back, if it still describes the experiment of its name.

    Raises
    ------
    FileNotFoundError
        If there is none; the message gives the command that makes it.
    ValueError
        If the file is not a record, or its configuration and the experiment's ``Config`` do not
        have the same fields, or what the experiment has fixed beside it has changed.
    """
    experiment = load_experiment(name)
    path = directory / f"{name}.json"
    again = f"make it with `python -m numerics run {name}`"
    if not path.exists():
        raise FileNotFoundError(f"there is no record of {name}: {again}")
    try:
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{name}.json is not a record ({error}): {again}") from error
    if record.experiment != name:
        raise ValueError(f"{name}.json holds a record of {record.experiment}: {again}")
    recorded, present = set(record.configuration), {f.name for f in fields(experiment.Config)}
    if recorded != present:
        raise ValueError(
            f"the record of {name} is out of date: its configuration has "
            f"{sorted(recorded - present)} that Config lacks, and lacks "
            f"{sorted(present - recorded)}: {again}"
        )
    before, now = _said(record.fixed), _said(experiment.fixed(record.config()))
    if before != now:
        changed = sorted(key for key in before | now if before.get(key) != now.get(key))
        raise ValueError(
            f"the record of {name} is out of date: what it was made with has changed for "
            f"{', '.join(changed)}: {again}"
        )
    return record
