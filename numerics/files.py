"""Files that are whole or not there: written beside their place, forced to the disk, renamed.

In: a path and its new content.  Out: the file; after a crash at any moment, the old one or the new.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

__all__ = ["remove_leftovers", "write_atomically"]

_SUFFIX = ".tmp"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it finds the old one or the new one, also after a crash.

    Raises
    ------
    OSError
        If it cannot be written, naming it; the old file is left.

    Examples
    --------
    >>> path = Path(tempfile.mkdtemp()) / "two"
    >>> write_atomically(path, b"one")
    >>> write_atomically(path, b"two")
    >>> path.read_bytes(), len(list(path.parent.iterdir()))
    (b'two', 1)
    """
    try:
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}-", suffix=_SUFFIX
        )
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes a private file.
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        # The new name is on the disk only when the directory is.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        error.filename = str(path)  # a full disk names no file
        raise


def remove_leftovers(directory: Path, pattern: str) -> None:
    """Delete what a process killed in :func:`write_atomically` left of files matching a pattern."""
    for path in directory.glob(f".{pattern}-*{_SUFFIX}"):
        path.unlink(missing_ok=True)
