"""The graph of dependencies as SVG: columns by depth, boxes in a column by where their parents are.

Colours are classes, so that the page's style sheet serves light and dark alike; each box links to
the row of its statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

__all__ = ["columns", "draw"]

WIDTH, HEIGHT, GAP_X, GAP_Y, EDGE = 158, 22, 56, 8, 10
SWEEPS = 8


def columns(depends: Mapping[str, list[str]]) -> list[list[str]]:
    """Names in columns, each right of all that it depends on, ordered to shorten the edges.

    Examples
    --------
    >>> columns({"a": [], "b": [], "c": ["b"], "d": ["a", "c"]})
    [['a', 'b'], ['c'], ['d']]
    """
    depth: dict[str, int] = {}

    def deep(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((deep(parent) for parent in depends[name]), default=-1)
        return depth[name]

    found: list[list[str]] = [[] for _ in range(1 + max(map(deep, depends), default=-1))]
    for name in depends:
        found[depth[name]].append(name)
    neighbours: dict[str, list[str]] = {name: list(parents) for name, parents in depends.items()}
    for name, parents in depends.items():
        for parent in parents:
            neighbours[parent].append(name)
    for sweep in range(SWEEPS):
        place = {n: (k + 0.5) / len(column) for column in found for k, n in enumerate(column)}
        for column in found[:: 1 if sweep % 2 else -1]:
            mean = {
                name: sum(place[x] for x in neighbours[name]) / len(neighbours[name])
                if neighbours[name]
                else place[name]
                for name in column
            }
            column.sort(key=lambda name: mean[name])
            place |= {name: (k + 0.5) / len(column) for k, name in enumerate(column)}
    return found


def draw(records: Mapping[str, Mapping[str, Any]]) -> str:
    """The SVG element of all records."""
    found = columns({name: list(record["depends"]) for name, record in records.items()})
    tallest = max(len(column) for column in found)
    width = 2 * EDGE + len(found) * (WIDTH + GAP_X) - GAP_X
    height = 2 * EDGE + tallest * (HEIGHT + GAP_Y) - GAP_Y
    corner = {}
    for k, column in enumerate(found):
        step = (height - 2 * EDGE) / len(column)
        for row, name in enumerate(column):
            top = EDGE + step * (row + 0.5) - HEIGHT / 2
            corner[name] = (EDGE + k * (WIDTH + GAP_X), round(top, 1))
    edges, boxes = [], []
    for name, record in records.items():
        x, y = corner[name]
        status = record["status"].lower()
        for parent in record["depends"]:
            px, py = corner[parent][0] + WIDTH, corner[parent][1] + HEIGHT / 2
            bend = (x - px) / 2
            end = f"{px + bend:g} {y + HEIGHT / 2:g} {x} {y + HEIGHT / 2:g}"
            edges.append(f'<path d="M{px} {py:g}C{px + bend:g} {py:g} {end}"/>')
        words = f"{name}: {record['kind']}, {status}"
        boxes.append(
            f'<a href="#ledger-{name}" class="is-{status}" aria-label="{escape(words)}">'
            f"<title>{escape(words)}</title>"
            f'<rect x="{x}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="4"/>'
            f'<text x="{x + WIDTH / 2:g}" y="{y + HEIGHT / 2:g}">{escape(name)}</text></a>'
        )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="group" '
        'aria-label="Each statement stands right of those it rests on; the table below lists '
        'the same in its column rests on.">'
        f'<g class="edges" aria-hidden="true">{"".join(edges)}</g>{"".join(boxes)}</svg>'
    )
