"""``:::{house}``: the rooms of the two packages, and the arrows of their imports, as inline SVG.

A room is a folder or a module directly below a package.  The rooms stand in the order of
import-linter's layers (``pyproject.toml``), the lowest on top; the arrows are those of the import
graph that import-linter itself reads, so each should point up.  One that points down is a warning,
hence a failed build.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import grimp
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

__all__ = ["House", "arrows", "draw", "first_line", "order", "running_back", "setup"]

ROOT = Path(__file__).resolve().parents[2]
Arrow = tuple[str, str]
# The width of the arcs, the height of a row, the gap between packages, the width of a letter.
ARCS, ROW, GAP, LETTER, EDGE = 144, 24, 14, 6.2, 12

logger = logging.getLogger(__name__)


def order(root: Path = ROOT) -> list[str]:
    """The rooms, each below those that it may import from, as the contracts have them."""
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = {
        contract["containers"][0]: contract["layers"]
        for contract in settings["contracts"]
        if contract["type"] == "layers"
    }
    return [
        f"{package}.{room.strip()}"
        for package in settings["root_packages"]
        for layer in reversed(layers[package])
        for room in layer.split("|")
    ]


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def arrows(packages: Sequence[str] = ("theory", "numerics")) -> set[Arrow]:
    """Pairs of rooms of which the first imports from the second."""
    graph = grimp.build_graph(*packages, cache_dir=None)
    found = {
        (_room(module), _room(imported))
        for module in graph.modules - set(packages)  # a package hands out names of its rooms
        for imported in graph.find_modules_directly_imported_by(module)
    }
    return {(one, other) for one, other in found if one != other}


def running_back(rooms: Sequence[str], found: set[Arrow]) -> list[Arrow]:
    """Arrows that point down, or from or to what is no room.

    Examples
    --------
    >>> running_back(["a", "b"], {("b", "a"), ("a", "b"), ("b", "attic")})
    [('a', 'b'), ('b', 'attic')]
    """
    place = {room: k for k, room in enumerate(rooms)}
    last = len(rooms)
    return sorted(
        (one, other) for one, other in found if place.get(one, -1) <= place.get(other, last)
    )


def first_line(room: str, root: Path = ROOT) -> str:
    """The first line of a room's docstring."""
    path = root.joinpath(*room.split("."))
    folder = path / "__init__.py"
    source = folder if folder.is_file() else path.with_suffix(".py")
    words = ast.get_docstring(ast.parse(source.read_text("utf-8"))) or ""
    return words.partition("\n")[0].replace("``", "")


def draw(lines: Mapping[str, str], found: set[Arrow]) -> str:
    """The SVG element: a row a room, its imports as arcs on the left, its line on the right."""
    packages = list(dict.fromkeys(room.partition(".")[0] for room in lines))
    place = {
        room: EDGE + ROW * (k + 0.5) + GAP * packages.index(room.partition(".")[0])
        for k, room in enumerate(lines)
    }
    height = max(place.values()) + ROW / 2 + EDGE
    left = EDGE + ARCS
    name_width = 1.3 * LETTER * max(map(len, lines)) + EDGE  # names are bold
    width = left + name_width + LETTER * max(map(len, lines.values())) + EDGE
    groups = []
    for room, line in lines.items():
        y, paths = place[room], []
        below = sorted((other for one, other in found if one == room), key=place.__getitem__)
        for other in below:
            top = place[other]
            # A cubic goes three quarters of the way to its control points.
            reach = left - 8 - (ARCS - 8) * (4 / 3) * (abs(y - top) / height) ** 0.7
            # It starts a little above the middle of its row and ends a little below that of the
            # other, so that what enters a room and what leaves it are told apart.
            paths.append(
                f'<path d="M{left - 4} {y - 3:g}C{reach:.0f} {y - 3:g} {reach:.0f} {top + 4:g} '
                f'{left - 4} {top + 4:g}" marker-end="url(#house-tip)"/>'
            )
        says = f"{room} imports from {', '.join(below) or 'no other room'}"
        package, _, module = room.partition(".")
        name = f'<text class="name" x="{left + 4}" y="{y:g}">{escape(room)}</text>'
        if not module.startswith("_"):  # the others are not on the reference pages
            link = f"api_{package}.html#module-{room}"
            name = f'<a href="{link}" aria-label="{escape(says)}">{name}</a>'
        groups.append(
            f"<g><title>{escape(says)}</title>{''.join(paths)}{name}"
            f'<text x="{left + name_width:.0f}" y="{y:g}">{escape(line)}</text></g>'
        )
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:g}" width="{width:.0f}" height="{height:g}" '
        'role="group" aria-label="Rooms in a column, each below all rooms that it imports from.">'
        '<defs><marker id="house-tip" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" '
        'markerHeight="6" orient="auto"><path d="M0 0L6 3L0 6z"/></marker></defs>'
        f"{''.join(groups)}</svg>"
    )


class House(SphinxDirective):
    """``:::{house}``: the drawing, in a box that scrolls on its own."""

    def run(self) -> list[nodes.Node]:
        """The drawing; a warning for each arrow that runs back."""
        rooms, found = order(), arrows()
        for one, other in running_back(rooms, found):
            logger.warning("house: %s imports from %s", one, other, location=self.get_location())
        drawing = draw({room: first_line(room) for room in rooms}, found)
        box = (
            '<div class="house" tabindex="0" role="region" '
            f'aria-label="Rooms and their imports, scrolls sideways">{drawing}</div>'
        )
        return [nodes.raw("", box, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the directive above."""
    app.add_directive("house", House)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
