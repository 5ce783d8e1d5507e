"""Build the book strictly and print the path of its first page.

    python book/build.py [SOURCE]

Executes every chapter, treats each warning as an error, and writes SOURCE/_build/html, where
SOURCE is by default the folder of this file.  Outputs of chapters are kept in a cache that is
emptied when anything they depend on has changed: the cache itself sees only the text of the cells.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parent


def fingerprint(files: Iterable[Path], packages: Iterable[str]) -> str:
    """Hash of everything that a chapter's output depends on, beside its own text."""
    digest = hashlib.sha256(sys.version.encode())
    for line in sorted(packages):
        digest.update(line.encode() + b"\0")
    for file in sorted(files):
        digest.update(f"{file}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def inputs(source: Path) -> list[Path]:
    """Files that chapters import or read: our packages with their records, and the helpers."""
    rooms = [ROOT / "theory", ROOT / "numerics"]
    found = [file for room in rooms for file in room.rglob("*") if file.is_file()]
    return [f for f in found if "__pycache__" not in f.parts] + sorted(source.glob("*.py"))


def empty_stale_cache(build: Path, key: str) -> None:
    """Delete the cached outputs under `build` unless they were made under the same `key`."""
    cache, stored = build / ".jupyter_cache", build / "cache-key"
    if not stored.is_file() or stored.read_text() != key:
        shutil.rmtree(cache, ignore_errors=True)
    build.mkdir(parents=True, exist_ok=True)
    stored.write_text(key)


def build(source: Path) -> Path:
    """Build the book in `source`; return its index page, or exit with jupyter-book's status."""
    command = shutil.which("jupyter-book", path=Path(sys.executable).parent)
    if command is None:
        sys.exit(f"jupyter-book is not installed beside {sys.executable}")
    output = source / "_build"
    packages = [f"{d.metadata['Name']}=={d.version}" for d in distributions()]
    empty_stale_cache(output, fingerprint(inputs(source), packages))
    # A second, incremental build of a failing book would succeed, and pages of chapters that are
    # gone would stay: start from nothing.
    shutil.rmtree(output / "html", ignore_errors=True)
    options = ["--all", "--warningiserror", "--nitpick", "--keep-going"]
    # Chapters are small; on few or busy cores several threads only wait for one another.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    arguments = [command, "build", *options, str(source)]
    finished = subprocess.run(arguments, check=False, env=environment)
    if finished.returncode:
        sys.exit(finished.returncode)
    return output / "html" / "index.html"


if __name__ == "__main__":
    print(build(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else BOOK))
