"""The order of the house: the contracts of pyproject.toml, and the guard of global state."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import flint
import mpmath
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent
SOURCES = [path for room in ("theory", "numerics") for path in (ROOT / room).rglob("*.py")]


def lint(house: Path) -> str:
    """What import-linter says of the two packages in a folder, under the project's contracts."""
    command = [
        Path(sys.executable).with_name("lint-imports"),
        "--no-cache",
        ROOT / "pyproject.toml",
    ]
    return subprocess.run(command, cwd=house, capture_output=True, text=True).stdout


def test_rooms_import_only_from_their_left() -> None:
    said = lint(ROOT)
    assert "0 broken" in said, said


def test_no_import_hides_from_the_contracts() -> None:
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in SOURCES}
    hidden = {name for name, text in texts.items() if re.search("import_module|__import__", text)}
    # The one hands out what the package exports, the other an experiment by its name.
    assert hidden == {"theory/__init__.py", "numerics/experiments/__init__.py"}


THEORY, NUMERICS = "theory flows one way", "numerics flows one way"
FORMULA = "numerics takes no formula of what it simulates"
PLANTED = [
    ("theory/setting.py", "import theory.data.partition", THEORY, "-> theory.data.partition"),
    ("theory/data/law.py", "from theory import evaluate", THEORY, "theory.data.law -> theory "),
    ("theory/data/law.py", "from ..symmetry import proof", THEORY, "-> theory.symmetry.proof"),
    ("theory/model/vit.py", "def f():\n    import theory.ledger", THEORY, "-> theory.ledger"),
    ("theory/bounds/linear.py", "import theory.finite_sample.image_law", THEORY, "image_law"),
    ("theory/attic.py", "import math", THEORY, "theory.attic"),
    (
        "theory/expectation/quadrature.py",
        "import theory.expectation.population",
        "no circles inside a room",
        ".quadrature -> .population",
    ),
    (
        "theory/data/partition.py",
        "import numerics.data.structured",
        "theory knows no simulation, and neither knows its tests",
        "theory.data.partition -> numerics.data.structured",
    ),
    ("numerics/data/sets.py", "from ..experiments import width", NUMERICS, "experiments.width"),
    ("numerics/engine/loop.py", "import numerics.training.descent", NUMERICS, "training.descent"),
    ("numerics/data/sets.py", "import theory.symmetry.reduction", FORMULA, "symmetry.reduction"),
    ("numerics/data/photos.py", "from theory import Setting", FORMULA, "data.photos -> theory "),
    (
        "numerics/data/photos.py",
        "from strategies import settings",
        "the simulation knows no tests",
        "numerics.data.photos -> strategies",
    ),
]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each contract says of a copy of the sources with every violation in it."""
    copy = tmp_path_factory.mktemp("house")
    for path in SOURCES:
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for file, source, *_ in PLANTED:
        with (copy / file).open("a", encoding="utf-8") as module:
            module.write(f"\n{source}\n")
    parts = re.split(r"\n(.+)\n-{3,}\n", lint(copy).partition("Broken contracts")[2])
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(("file", "source", "contract", "complaint"), PLANTED)
def test_a_planted_violation_is_caught(
    complaints: dict[str, str], file: str, source: str, contract: str, complaint: str
) -> None:
    assert complaint in complaints[contract]


def test_the_guard_sees_every_change_of_global_state(
    global_state: Callable[[], dict[str, object]],
) -> None:
    def changed(change: Callable[[], object], undo: Callable[[], object]) -> set[str]:
        before = global_state()
        change()
        after = global_state()
        undo()
        assert global_state() == before
        return {name for name in before if before[name] != after[name]}

    precision, mp_precision = flint.ctx.prec, mpmath.mp.prec
    errors, numpy_state = np.geterr(), np.random.get_state()  # noqa: NPY002
    dtype, torch_state = torch.get_default_dtype(), torch.get_rng_state()
    assert changed(
        lambda: setattr(flint.ctx, "prec", 200), lambda: setattr(flint.ctx, "prec", precision)
    ) == {"flint precision"}
    assert changed(
        lambda: setattr(mpmath.mp, "prec", 200), lambda: setattr(mpmath.mp, "prec", mp_precision)
    ) == {"mpmath precision"}
    assert changed(lambda: np.seterr(over="call"), lambda: np.seterr(**errors)) == {
        "numpy error state"
    }
    assert changed(
        lambda: np.random.rand(),  # noqa: NPY002
        lambda: np.random.set_state(numpy_state),  # noqa: NPY002
    ) == {"numpy legacy generator"}
    assert changed(
        lambda: torch.set_default_dtype(torch.float64), lambda: torch.set_default_dtype(dtype)
    ) == {"torch default dtype"}
    assert changed(lambda: torch.rand(1), lambda: torch.set_rng_state(torch_state)) == {
        "torch default generator"
    }
    assert changed(
        lambda: torch.use_deterministic_algorithms(True),
        lambda: torch.use_deterministic_algorithms(False),
    ) == {"torch determinism"}
