"""Proofs for all sizes: compile them with Coq, and ask what each theorem assumes.

The files ``*.v`` beside this module prove statements of the book for every L, C and p; its
``README.md`` says which.  A proof counts if Coq compiles its file and ``Print Assumptions`` of the
theorem says "Closed under the global context": nothing but Coq's logic was used.
In: the sources.  Out: compiled files in a folder, and the axioms of each theorem.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

__all__ = [
    "INSTALL",
    "ProofError",
    "assumptions",
    "available",
    "compile_file",
    "compile_proofs",
    "parse_assumptions",
    "proofs",
    "run_coq",
    "theorems",
]

SOURCES = Path(__file__).parent
BUILD = SOURCES.parents[1] / "build" / "formal"

#: How to install what the proofs need (Debian; elsewhere the Coq Platform).
INSTALL = (
    "apt-get install --no-install-recommends coq libcoq-mathcomp-algebra "
    "libcoq-mathcomp-algebra-tactics"
)
_WARNINGS = "-notation-overridden,-ambiguous-paths"
_CLOSED = "Closed under the global context"
_THEOREM = re.compile(r"^Theorem (\w+)", re.MULTILINE)


class ProofError(Exception):
    """Coq refuses a file; the message is Coq's."""


def available() -> bool:
    """Whether Coq is installed, with the libraries that the proofs use."""
    if shutil.which("coqc") is None:
        return False
    try:
        run_coq("From mathcomp Require Import ring all_algebra.", SOURCES)
    except ProofError:
        return False
    return True


@lru_cache
def proofs() -> tuple[str, ...]:
    """Names of the files, each after those it uses.

    Examples
    --------
    >>> proofs()[:3]
    ('order', 'model', 'orbitals')
    """
    lines = (SOURCES / "_CoqProject").read_text(encoding="utf-8").splitlines()
    return tuple(line.removesuffix(".v") for line in lines if line.endswith(".v"))


def theorems() -> dict[str, tuple[str, ...]]:
    """The theorems of each file: all that is stated as ``Theorem``.

    Examples
    --------
    >>> "three_orbitals" in theorems()["orbitals"]
    True
    """
    return {
        name: tuple(_THEOREM.findall((SOURCES / f"{name}.v").read_text(encoding="utf-8")))
        for name in proofs()
    }


def _call(*arguments: str | Path, cwd: Path) -> str:
    try:
        done = subprocess.run(
            ["coqc", "-w", _WARNINGS, *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise ProofError(f"coqc is not installed; on Debian: {INSTALL}") from None
    if done.returncode:
        raise ProofError(done.stderr.strip() or f"coqc ended with {done.returncode}")
    return done.stdout


def compile_file(source: Path, build: Path, into: Path | None = None) -> None:
    """Compile one file against those in ``build``; the result goes there, or ``into`` a folder.

    Raises
    ------
    ProofError
        If Coq refuses it.
    """
    result = (into or build) / f"{source.stem}.vo"
    # Tactics leave a cache where they run.
    _call("-Q", build, "Formal", "-o", result, source, cwd=build)


def compile_proofs(build: Path = BUILD) -> Path:
    """Compile every file into a folder; what is there from the same sources is kept.

    Parameters
    ----------
    build : Path
        Made if it is not there.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ProofError
        If Coq is missing or refuses a file.
    """
    build.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(_call("--version", cwd=build).encode())
    with (build / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two processes the second finds the work done
        for name in proofs():
            source = SOURCES / f"{name}.v"
            digest.update(source.read_bytes())
            key = build / f"{name}.key"
            if not key.exists() or key.read_text() != digest.hexdigest():
                compile_file(source, build)
                key.write_text(digest.hexdigest())
    return build


def run_coq(commands: str, build: Path = BUILD) -> str:
    """What Coq prints for some commands, which may use the files compiled into ``build``."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.v"
        script.write_text(commands, encoding="utf-8")
        return _call("-Q", build, "Formal", script, cwd=script.parent)


def parse_assumptions(output: str) -> dict[str, tuple[str, ...]]:
    """Axioms of each theorem, from lines ``== name`` each followed by ``Print Assumptions``.

    Returns
    -------
    dict
        From theorem to the names of its axioms; none for a closed proof.

    Raises
    ------
    ValueError
        If what follows a name is neither "Closed under the global context" nor a list of axioms.

    Examples
    --------
    >>> parse_assumptions("== a\\nClosed under the global context\\n== b\\nAxioms:\\nx : nat\\n")
    {'a': (), 'b': ('x',)}
    """
    found = {}
    for part in re.split(r"^== ", output, flags=re.MULTILINE)[1:]:
        name, _, answer = part.partition("\n")
        # An axiom starts its line; a type that goes on over the next lines is indented.
        axioms = tuple(re.findall(r"^([\w.']+)\s*:", answer.partition("Axioms:")[2], re.MULTILINE))
        if (answer.strip() == _CLOSED) == bool(axioms) or not (axioms or _CLOSED in answer):
            raise ValueError(f"assumptions of {name} = {answer!r}: expected {_CLOSED!r} or axioms")
        found[name.strip()] = axioms
    return found


def assumptions(
    names: Mapping[str, Iterable[str]], build: Path = BUILD
) -> dict[str, tuple[str, ...]]:
    """Axioms of some theorems, by Coq.

    Parameters
    ----------
    names : mapping
        From file to theorems, as :func:`theorems` returns them.
    build : Path
        Where the files are compiled.

    Returns
    -------
    dict
        From ``file.theorem`` to the names of its axioms; none for a closed proof.
    """
    commands = ["From mathcomp Require Import all_ssreflect."]
    for file, of_file in names.items():
        commands.append(f"From Formal Require {file}.")
        for theorem in of_file:
            name = f"{file}.{theorem}"
            commands.append(f'Goal True. idtac "== {name}". Abort.')
            commands.append(f"Print Assumptions {name}.")
    return parse_assumptions(run_coq("\n".join(commands), build))
