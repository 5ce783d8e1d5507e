"""Checkpoints that are whole or not there.

A checkpoint is one file: a line that says what it is, the SHA-256 of what follows, and what
``torch.save`` makes of the state, written by :mod:`numerics.files`. The last two are kept, so that
one is left when the newest is damaged later.

In: a state (tensors, numbers, strings, lists, dicts).  Out: a file; and back from it the state, or
an error that names the file and what to do.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import torch

from numerics.files import write_atomically

__all__ = [
    "CorruptCheckpointError",
    "list_checkpoints",
    "read_checkpoint",
    "write_checkpoint",
]

KEPT = 2
_HEADER = b"patch-association checkpoint 1\n"
_NAME = re.compile(r"checkpoint-(\d{9})\.pt")


class CorruptCheckpointError(ValueError):
    """A checkpoint whose contents are not those that were written."""


def list_checkpoints(directory: Path) -> list[Path]:
    """The checkpoints in a directory, oldest first.

    Examples
    --------
    >>> list_checkpoints(Path("no such directory"))
    []
    """
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def write_checkpoint(directory: Path, step: int, state: dict[str, Any]) -> Path:
    """Write the checkpoint of a step, then delete all but the last two.

    Raises
    ------
    OSError
        If it cannot be written, say because the disk is full; the message names the file and the
        checkpoint that is left, and no earlier checkpoint is touched.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> path = write_checkpoint(folder, 7, {"weights": torch.ones(2)})
    >>> path.name, read_checkpoint(path)["weights"].tolist()
    ('checkpoint-000000007.pt', [1.0, 1.0])
    """
    path = directory / f"checkpoint-{step:09d}.pt"
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    digest = hashlib.sha256(payload).hexdigest().encode()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _HEADER + digest + b"\n" + payload)
    except OSError as error:
        earlier = list_checkpoints(directory)
        left = f"{earlier[-1]} is whole; make room and resume" if earlier else "there is no other"
        raise OSError(
            error.errno, f"checkpoint not written ({error.strerror or error}); {left}", str(path)
        ) from error
    for old in list_checkpoints(directory)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, tensors on the CPU.

    Raises
    ------
    CorruptCheckpointError
        If its contents do not have the checksum they were written with.  It is not passed over
        silently: the message names the earlier checkpoint that deleting it would resume from.
    """
    content = path.read_bytes()
    payload = content[len(_HEADER) + 65 :]
    digest = content[len(_HEADER) : len(_HEADER) + 64]
    if (
        not content.startswith(_HEADER)
        or hashlib.sha256(payload).hexdigest().encode() != digest
        or content[len(_HEADER) + 64 : len(_HEADER) + 65] != b"\n"
    ):
        earlier = [other for other in list_checkpoints(path.parent) if other.name < path.name]
        instead = f"resume from {earlier[-1]}" if earlier else "start again: none is earlier"
        raise CorruptCheckpointError(
            f"checkpoint {path} is damaged: its checksum is wrong; delete it to {instead}"
        )
    return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
