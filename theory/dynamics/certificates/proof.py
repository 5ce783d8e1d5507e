"""Proofs of whole certificates, kept between runs for as long as nothing that they rest on changes.

To prove every step of the table takes minutes, and the result depends on nothing but the code, the
certificate and the libraries.  So a check that proved *all* steps of a certificate leaves a file
under the hash of these, in the user's cache (``$XDG_CACHE_HOME`` or ``~/.cache``).  A file that is
not, to the letter, what such a check writes counts for nothing.
In: a certificate.  Out: the steps of it that are proved.
"""

from __future__ import annotations

import ast
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import flint
import sympy

from theory.dynamics.certified import Certificate, check_step

__all__ = ["all_steps", "fingerprint", "is_kept", "prove", "proved_steps"]

# What a cache raises that cannot be used; RuntimeError where no home of the user is known.
_NO_CACHE = (OSError, RuntimeError)
_PACKAGE = Path(__file__).resolve().parents[__name__.count(".") - 1]


def sources() -> list[Path]:
    """The modules of the theory that this one imports, directly or not, and itself."""
    found: set[Path] = set()
    waiting = [__name__]
    while waiting:
        package, *rest = waiting.pop().split(".")
        if package != _PACKAGE.name or not rest:
            continue
        base = _PACKAGE.joinpath(*rest)
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file in found or not file.is_file():
                continue
            found.add(file)
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    waiting += [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module:
                    waiting += [node.module, *(f"{node.module}.{x.name}" for x in node.names)]
    return sorted(found)


def _code() -> str:
    digest = hashlib.sha256(f"{flint.__version__} {flint.__FLINT_VERSION__} ".encode())
    digest.update(sympy.__version__.encode())  # which prints the formulas
    for file in sources():
        digest.update(f"\0{file.relative_to(_PACKAGE)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


# Of the code as it was imported: what is on disk when a proof ends may be another.
_CODE = _code()


def all_steps(certificate: Certificate) -> range:
    """What there is to prove: each step, and at the end the loss."""
    return range(certificate.steps + 1)


def fingerprint(certificate: Certificate) -> str:
    """Hash of all that a proof of this certificate rests on."""
    content = json.dumps([_CODE, asdict(certificate)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _record(certificate: Certificate) -> tuple[Path, str]:
    """Where a proof of all steps is kept, and the text that says so."""
    # As XDG says, a path that is not absolute counts as none.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    cache = given if given.is_absolute() else Path.home() / ".cache"
    key = fingerprint(certificate)
    content = {"fingerprint": key, "proved": list(all_steps(certificate))}
    return cache / "patch-association" / f"{key}.json", json.dumps(content) + "\n"


def is_kept(certificate: Certificate) -> bool:
    """Whether all steps were proved before, by this code."""
    try:
        file, text = _record(certificate)
        return file.read_bytes() == text.encode()
    except _NO_CACHE:
        return False


def _keep(certificate: Certificate) -> None:
    try:
        file, text = _record(certificate)
        partial_file = file.with_suffix(f".{os.getpid()}")
        file.parent.mkdir(parents=True, exist_ok=True)
        partial_file.write_text(text, encoding="utf-8")
        partial_file.replace(file)
    except _NO_CACHE:  # a proof is none the less one where nothing can be kept
        return


def prove(
    certificate: Certificate,
    steps: Sequence[int] | None = None,
    *,
    jobs: int = 1,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> list[int]:
    """Prove steps again, whatever is kept; if these were all, keep that they are proved.

    Parameters
    ----------
    certificate : Certificate
    steps : sequence of int
        All unless given.
    jobs : int
        Processes.
    progress : callable
        Wraps the steps.

    Returns
    -------
    list of int
        Those that were proved, in ascending order.
    """
    chosen = list(all_steps(certificate) if steps is None else steps)
    check = partial(check_step, certificate)
    if jobs == 1:
        holds = [check(step) for step in progress(chosen)]
    else:
        # Spawned, not forked: a fork copies the locks of threads that it does not copy.
        with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as workers:
            results = workers.map(check, chosen)
            holds = [held for _, held in zip(progress(chosen), results, strict=True)]
    found = sorted({step for step, held in zip(chosen, holds, strict=True) if held})
    if found == list(all_steps(certificate)) and _code() == _CODE:
        _keep(certificate)
    return found


def proved_steps(certificate: Certificate) -> list[int]:
    """The steps that are proved: all if that is kept, else those that :func:`prove` proves now.

    Examples
    --------
    >>> from theory.dynamics.certificates import certificate
    >>> prove(certificate("12-patches"), [0, 20])
    [0, 20]
    """
    return list(all_steps(certificate)) if is_kept(certificate) else prove(certificate)
