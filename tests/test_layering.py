"""The order of the house: a room imports only from rooms to its left.

Imports are read with ast, wherever they stand in a file, so that nothing need be importable.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import flint
import mpmath
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent

# Rooms from left to right.  A room is a module and those that only serve it, or a package.
ROOMS = {
    "theory": [
        ["setting"],
        ["partition"],
        ["distribution"],
        ["model"],
        ["invariant", "linear", "encodings", "transfer", "gaussian"],
        ["reduction", "reduction_proof"],
        ["start", "equal_logits"],
        ["population", "expectation", "enumeration", "quadrature", "quadrature_plan", "certified"],
        ["dynamics", "certified_descent", "slow_attention"],
        ["image_law", "concentration", "perturbation"],
        ["certificates"],
        ["formal"],
        ["statements"],
        ["ledger"],
    ],
    "numerics": [
        ["data", "gaussian", "datasets", "photos", "files"],
        ["attention", "positional"],
        ["models"],
        ["association"],
        [
            *("training", "transfer", "vision", "structured_vit", "pretrained", "networks"),
            *("permuted", "cost", "meter"),
        ],
        ["engine"],
        ["random_start", "comparison"],
        ["experiments"],
        ["records"],
    ],
}
# The simulation takes settings, partitions and paths from the theory, no formula of what it tests.
OPEN_TO_NUMERICS = {
    *("theory.setting", "theory.partition", "theory.dynamics", "theory.slow_attention"),
}
OWN = {"theory", "numerics", "book", "tests", "strategies", "conftest"}


def read_sources() -> dict[str, str]:
    """Source text by module name, of both packages."""
    sources = {}
    for package in ROOMS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            sources[name] = path.read_text(encoding="utf-8")
    return sources


def room_of(module: str) -> tuple[str, int] | None:
    """Package and position of a module's room; package root and ``__main__`` are rightmost."""
    package, _, rest = module.partition(".")
    rooms = ROOMS.get(package, [])
    if rooms and rest in ("", "__main__"):
        return package, len(rooms)
    for position, room in enumerate(rooms):
        if rest.split(".")[0] in room:
            return package, position
    return None


def imported_names(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Dotted names that a source imports, whether they are modules or names in one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + is_package]
                base = ".".join(kept + ([node.module] if node.module else []))
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            function = ast.unparse(node.func).rpartition(".")[2]
            target = node.args[0]
            if function in ("import_module", "__import__") and isinstance(target, ast.Constant):
                yield str(target.value)


def imported_modules(sources: dict[str, str]) -> dict[str, set[str]]:
    """For each module the project's modules that it imports, re-exports traced to their origin."""
    packages = {name for name in sources if any(other.startswith(f"{name}.") for other in sources)}
    names = {
        module: list(imported_names(source, module, module in packages))
        for module, source in sources.items()
    }

    def origin(name: str) -> str:
        if name in sources or name.split(".")[0] not in ROOMS:
            return name
        parent, _, last = name.rpartition(".")
        if parent in packages:
            for other in names[parent]:
                if other.rpartition(".")[2] == last and other != name:
                    return origin(other)
        return origin(parent) if parent in sources else name

    return {
        module: {origin(name) for name in found if name.split(".")[0] in OWN}
        for module, found in names.items()
    }


def violations(sources: dict[str, str]) -> list[str]:
    """Every import that goes against the order, in words."""
    graph = imported_modules(sources)
    found = [f"{module} has no room in ROOMS" for module in graph if room_of(module) is None]
    for module, targets in graph.items():
        for target in sorted(targets):
            if target.split(".")[0] not in ROOMS:
                found.append(f"{module} imports {target}, outside the two packages")
                continue
            here, there = room_of(module), room_of(target)
            if here is None or there is None:
                continue
            if here[0] == "numerics" and there[0] == "theory":
                if ".".join(target.split(".")[:2]) not in OPEN_TO_NUMERICS:
                    found.append(f"{module} imports {target}, a formula of the theory")
            elif here[0] != there[0]:
                found.append(f"{module} imports {target}, and theory knows no simulation")
            elif there[1] > here[1]:
                found.append(f"{module} imports {target}, to its right")
    # Between rooms the order forbids circles already.
    within = {
        module: {target for target in targets - {module} if room_of(target) == room_of(module)}
        for module, targets in graph.items()
        if room_of(module) is not None
    }
    try:
        TopologicalSorter(within).prepare()
    except CycleError as error:
        found.append(f"imports in a circle: {' → '.join(error.args[1])}")
    return found


def test_rooms_import_only_from_their_left() -> None:
    sources = read_sources()
    assert {"theory.setting", "theory.partition", "theory.distribution"} <= set(sources)
    assert violations(sources) == []


HOUSE = {
    "theory": "from theory.population import population_loss\nfrom theory.setting import Setting",
    "theory.setting": "import math",
    "theory.partition": "import numpy as np",
    "theory.reduction": "from theory.setting import Setting",
    "theory.population": "from theory.reduction import F",
    "theory.quadrature": "from .setting import Setting",
    "theory.dynamics": "def run():\n    import theory.population",
    "numerics": "",
    "numerics.data": "from theory import Setting\nfrom theory.dynamics import gradient_descent",
    "numerics.experiments": "",
    "numerics.experiments.overlay": "from numerics import data\nfrom ..data import sample",
    "numerics.__main__": "import numerics.experiments",
}


def test_every_listed_room_exists() -> None:
    modules = {tuple(name.split(".")[:2]) for name in read_sources()}
    listed = {(p, name) for p, rooms in ROOMS.items() for room in rooms for name in room}
    assert listed <= modules


def test_a_house_in_order_passes() -> None:
    assert violations(HOUSE) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("theory.setting", "import theory.partition", "to its right"),
        ("theory.partition", "from theory import population", "to its right"),
        ("theory.partition", "from theory import population_loss", "to its right"),
        ("theory.partition", "from .population import population_loss", "to its right"),
        ("theory.reduction", "def f():\n    from theory.dynamics import run", "to its right"),
        ("theory.reduction", "import theory", "to its right"),
        ("theory.population", "from theory.quadrature import Setting", "in a circle"),
        ("theory.partition", "import numerics.data", "knows no simulation"),
        ("numerics.data", "from theory.reduction import F", "a formula of the theory"),
        ("numerics.data", "from theory.population import population_loss", "a formula"),
        ("numerics.data", "from theory import Setting, population_loss", "a formula"),
        ("numerics.data", "import theory", "a formula of the theory"),
        ("numerics.data", "import_module('theory.population')", "a formula of the theory"),
        ("numerics.data", "from .experiments import overlay", "to its right"),
        ("numerics.data", "from strategies import settings", "outside the two packages"),
        ("theory.attic", "import math", "has no room"),
    ],
)
def test_a_planted_violation_is_caught(module: str, source: str, complaint: str) -> None:
    quadrature = {"theory.quadrature": "from theory.population import population_loss"}
    house = HOUSE | (quadrature if complaint == "in a circle" else {}) | {module: source}
    found = violations(house)
    assert len(found) == 1
    assert found[0].startswith(module) or complaint == "in a circle"
    assert complaint in found[0]


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
