"""The wheel runs outside the checkout, with what it declares and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Callable, Collection
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
#: The extras that the lock pins.
LOCKED = ("numerics", "book", "test", "dev")


def build(folder: Path, project: str = PROJECT) -> Path:
    """The wheel of a copy of the sources: what an earlier build left must not come along."""
    sources = folder / "sources"
    ignore = shutil.ignore_patterns("__pycache__", "runs")
    for name in ("theory", "numerics"):
        shutil.copytree(ROOT / name, sources / name, ignore=ignore)
    for name in ("README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, sources / name)
    (sources / "pyproject.toml").write_text(project, "utf-8")
    pip("wheel", "--no-build-isolation", f"--wheel-dir={folder}", str(sources))
    (wheel,) = folder.glob("*.whl")
    return wheel


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", *arguments, "--no-deps", "--no-index"]
    subprocess.run(command, check=True, capture_output=True)


def needs(root: Distribution, extras: Collection[str]) -> set[str]:
    """The names of the distributions that one requires here, in any number of steps."""
    names: set[str] = set()
    seen, waiting = set(), [(root, frozenset(extras))]
    while waiting:
        asked = waiting.pop()
        if asked in seen:
            continue
        seen.add(asked)
        found, extras = asked
        names.add(canonicalize_name(found.metadata["Name"]))
        for need in map(Requirement, found.requires or ()):
            if need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in extras | {""}
            ):
                waiting.append((distribution(need.name), frozenset(need.extras)))
    return names


def environment(folder: Path, wheel: Path, extras: Collection[str] = ()) -> Callable[..., str]:
    """An environment with the wheel and links to what it requires; returns its Python."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip(f"--python={python}", "install", "--no-compile", str(wheel))
    (site,) = folder.glob("lib/python*/site-packages")
    (ours,) = distributions(path=[str(site)])
    for name in needs(ours, extras) - {"patch-association"}:
        home = Path(str(distribution(name).locate_file("")))
        for top in {file.parts[0] for file in distribution(name).files or ()} - {
            "..",
            "__pycache__",
        }:
            if not (site / top).exists():
                (site / top).symlink_to(home / top)

    def run(*arguments: str) -> str:
        command = [python, "-I", *arguments]
        return subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True
        ).stdout

    return run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def files(house: Path) -> set[str]:
    """The files of both packages in a folder."""
    skipped = re.compile("__pycache__/|/[.]|^numerics/runs/")
    found = (path for name in ("theory", "numerics") for path in (house / name).rglob("*"))
    names = {path.relative_to(house).as_posix() for path in found if path.is_file()}
    return {name for name in names if not skipped.search(name)}


def packed(wheel: Path) -> set[str]:
    """The files in a wheel, but those about it."""
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_every_file_of_both_packages(wheel: Path) -> None:
    assert packed(wheel) == files(ROOT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "missing"),
    [
        ('"theory.dynamics.certificates" = ["*.json"]', "", "theory/dynamics/.*json"),
        ('"records/*.json"', "", "numerics/records/.*json"),
        ('"theory*", ', "", "theory/.*"),
    ],
)
def test_what_is_left_out_is_missed(tmp_path: Path, right: str, wrong: str, missing: str) -> None:
    assert PROJECT.count(right) == 1
    left_out = files(ROOT) - packed(build(tmp_path, PROJECT.replace(right, wrong)))
    assert left_out == {name for name in files(ROOT) if re.fullmatch(missing, name)} != set()


@pytest.mark.slow
def test_theory_runs_without_torch(wheel: Path, tmp_path: Path) -> None:
    run = environment(tmp_path, wheel)
    checked = run("-m", "theory", "check", "12-patches", "--steps", "1", "--jobs", "1")
    assert "1 of 21 steps" in checked
    assert "margin" in run("-m", "theory", "iterate", "--steps", "1", "--plot", "path.png")
    run("-c", "import theory.ledger")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run("-c", "import torch")
    assert "No module named 'torch'" in failed.value.stderr


@pytest.mark.slow
def test_numerics_runs_with_its_extra(wheel: Path, tmp_path: Path) -> None:
    run = environment(tmp_path, wheel, {"numerics"})
    assert "overlay" in run("-m", "numerics", "list")


def test_the_lock_meets_every_requirement() -> None:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    locked: dict[str, list[str]] = {}  # one version may be for older Pythons
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE):
        locked.setdefault(canonicalize_name(name), []).append(version)
    project = tomllib.loads(PROJECT)["project"]
    installed = [project["optional-dependencies"][name] for name in LOCKED]
    for need in map(Requirement, sum(installed, project["dependencies"])):
        if need.name != project["name"]:
            versions = locked[canonicalize_name(need.name)]
            assert [*need.specifier.filter(versions)] == versions, need
