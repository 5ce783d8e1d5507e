"""The ledger in the book: a badge under every statement, the table, and the graph.

The ledger runs once a build; its results are kept in ``_build/ledger.json`` under the key that
``build.py`` gives the notebook cache, and read back while that key stands.  A statement without an
entry, an entry that no chapter states, and an entry that is not proved are warnings, hence a failed
build.

* ``:::{ledger-table}`` lists every entry: what it says and under what, beside what its checks
  decided, with filters that a small script of this folder runs.
* ``:::{ledger-graph}`` draws what rests on what, as inline SVG.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from . import svg

__all__ = ["LedgerGraph", "LedgerTable", "add_badges", "ledger_faults", "load_ledger", "setup"]

PAGE = "ledger"
SCRIPT = Path(__file__).with_name("filter.js")
PASSES = {"PROVED", "DEFINED"}

Record = dict[str, Any]

logger = logging.getLogger(__name__)


def load_ledger(app: Sphinx) -> None:
    """Put the records of the ledger into ``app.config.ledger_records``, from the cache or anew."""
    from theory.ledger import run_ledger

    build = Path(app.srcdir) / "_build"
    key_file, store = build / "cache-key", build / "ledger.json"
    key = key_file.read_text() if key_file.is_file() else ""
    kept = json.loads(store.read_text("utf-8")) if store.is_file() else {}
    if not key or kept.get("key") != key:
        logger.info("running the checks of the ledger (about a minute) …")
        entries = run_ledger(jobs=min(os.cpu_count() or 1, 8))
        kept = {"key": key, "records": [entry.record() for entry in entries]}
        build.mkdir(exist_ok=True)
        store.write_text(json.dumps(kept, ensure_ascii=False, indent=1), "utf-8")
    app.config.ledger_records = {record["id"]: record for record in kept["records"]}


def ledger_faults(records: dict[str, Record], stated: dict[str, str]) -> list[str]:
    """What is wrong between the ledger and the statements of the chapters (label: kind)."""
    faults = [f"{label} is stated and has no entry" for label in stated if label not in records]
    for label, record in records.items():
        if label not in stated:
            faults.append(f"{label} has an entry and no chapter states it")
        elif stated[label] != record["kind"]:
            faults.append(f"{label} is a {stated[label]} in its chapter, not a {record['kind']}")
        if record["status"] not in PASSES:
            faults.append(f"{label} is {record['status']}")
    return faults


def check_ledger(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each fault.  A folder without the ledger's page is a part of the book: no check."""
    if PAGE in env.found_docs:
        statements = getattr(env, "proof_list", {})
        stated = {label: entry["realtype"] for label, entry in statements.items()}
        for fault in ledger_faults(app.config.ledger_records, stated):
            logger.warning("ledger: %s", fault)


def _with_mathematics(text: str) -> list[nodes.Node]:
    """Text with ``$…$`` as formulas."""
    parts = re.split(r"\$([^$]+)\$", text)
    return [
        nodes.math(part, part) if k % 2 else nodes.Text(part)
        for k, part in enumerate(parts)
        if part
    ]


def _kinds(record: Record) -> str:
    """The kinds of checks, each once, with how many: "symbolic ×2, property"."""
    kinds = Counter(check["kind"] for check in record["checks"])
    return ", ".join(kind if n == 1 else f"{kind} ×{n}" for kind, n in kinds.items())


def add_badges(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """End each statement with its status and the kinds of its checks, linked to its row."""
    if PAGE not in app.env.found_docs:
        return
    page = app.builder.get_relative_uri(docname, PAGE)
    for statement in list(doctree.findall(nodes.Element)):
        record = app.config.ledger_records.get(statement.get("label"))
        if record is None or not statement.get("realtype"):
            continue
        status, kinds = record["status"].lower(), _kinds(record)
        link = nodes.reference(
            "",
            "",
            nodes.inline("", status, classes=["ledger-status", f"is-{status}"]),
            nodes.Text(f" {kinds}" if kinds else " nothing to check"),
            reftitle="; ".join(f"{c['kind']}: {c['evidence']['scope']}" for c in record["checks"]),
            refuri=f"{page}#ledger-{record['id']}",
            internal=True,
            classes=["ledger-badge"],
        )
        statement += nodes.paragraph("", "", link, classes=["ledger-line"])


def _statement_link(label: str) -> nodes.Node:
    """A link to the statement, whose text becomes its kind and number."""
    return pending_xref(
        "",
        nodes.inline("", label),
        refdomain="prf",
        reftype="ref",
        reftarget=label,
        refexplicit=False,
        refwarn=True,
    )


def _evidence(check: Record) -> str:
    """The numbers of a check, in words."""
    counts = ("identities", "inequalities", "examples", "estimates")
    evidence, words = check["evidence"], []
    for name in counts:
        if name in evidence:
            plural = (
                name if evidence[name] != 1 else {"identities": "identity"}.get(name, name[:-1])
            )
            words.append(f"{evidence[name]} {plural}")
    if "margin" in evidence:
        words.append(f"margin {evidence['margin']:.1e}")
    if evidence.get("error"):
        error = evidence["error"]
        words.append(f"error {error:.1e}" if isinstance(error, float) else str(error))
    if "standard_errors_off" in evidence:
        words.append(f"{evidence['standard_errors_off']:.1f} standard errors off")
    return ", ".join([*words, f"{check['seconds']:.2f} s"])


def _statement_cell(record: Record) -> list[nodes.Node]:
    """What it says, under what, and where the paper says it."""
    name = nodes.paragraph("", "", _statement_link(record["id"]), nodes.Text(". "))
    name += nodes.strong("", "", *_with_mathematics(record["title"]))
    cell = [name, nodes.paragraph("", "", *_with_mathematics(record["text"]))]
    if record["hypotheses"]:
        under = _with_mathematics(f"Under: {'; '.join(record['hypotheses'])}.")
        cell.append(nodes.paragraph("", "", *under, classes=["ledger-small"]))
    paper = f"{record['paper']} of the paper, {record['relation']}"
    where = paper if record["paper"] else "Not in the paper"
    return [*cell, nodes.paragraph("", f"{where}.", classes=["ledger-small"])]


def _checks_cell(record: Record) -> list[nodes.Node]:
    """The scope of each check, with its evidence, and what no check decides."""
    decided = nodes.bullet_list()
    for check in record["checks"]:
        scope = nodes.paragraph("", "", nodes.strong("", check["kind"]))
        scope += nodes.Text(f": {check['evidence']['scope']}.")
        evidence = f"{check['verdict'].lower()}, {_evidence(check)}"
        scope += nodes.inline("", f" ({evidence})", classes=["ledger-small"])
        decided += nodes.list_item("", scope)
    cell: list[nodes.Node] = [decided] if record["checks"] else []
    if record["proof_in_words"]:
        rest = nodes.paragraph("", "The rest of it: the proof in words after ")
        rest += [_statement_link(record["id"]), nodes.Text(".")]
        cell.append(rest)
    return cell or [nodes.paragraph("", "It claims nothing.")]


def _depends_cell(record: Record) -> list[nodes.Node]:
    cell = nodes.paragraph()
    for k, label in enumerate(record["depends"]):
        cell += [nodes.Text(", ")] * (k > 0) + [_statement_link(label)]
    return [cell]


class LedgerTable(SphinxDirective):
    """``:::{ledger-table}``: every entry in a row, and above it the filters."""

    def run(self) -> list[nodes.Node]:
        """The filters (raw HTML, hidden without a script), the table, and the script."""
        records = list(self.config.ledger_records.values())
        columns = ("what it says", "status", "what was decided", "rests on")
        widths = (43, 9, 34, 14)
        group = nodes.tgroup(cols=len(columns))
        group += [nodes.colspec(colwidth=width) for width in widths]
        head = nodes.row()
        head += [nodes.entry("", nodes.paragraph("", name)) for name in columns]
        body = nodes.tbody()
        body += [self.row(record) for record in records]
        group += [nodes.thead("", head), body]
        table = nodes.table(
            "", group, classes=["ledger-table", "colwidths-given"], ids=["ledger-table"]
        )
        script = f"<script>\n{SCRIPT.read_text('utf-8')}</script>"
        return [
            nodes.raw("", self.filters(records), format="html"),
            table,
            nodes.raw("", script, format="html"),
        ]

    @staticmethod
    def filters(records: list[Record]) -> str:
        """One menu for status, kind and check each, and a field for words."""
        choices = {
            "status": sorted({record["status"].lower() for record in records}),
            "kind": list(dict.fromkeys(record["kind"] for record in records)),
            "check": sorted({check["kind"] for r in records for check in r["checks"]}),
        }
        menus = []
        for name, values in choices.items():
            options = "".join(f'<option value="{name}-{v}">{v}</option>' for v in values)
            menus.append(f'<label>{name} <select><option value="">any</option>{options}</select>'
                         "</label>")  # fmt: skip
        return (
            '<form id="ledger-filters" class="ledger-filters" hidden>'
            + "".join(menus)
            + '<label>words <input type="search" autocomplete="off"></label>'
            + f'<output aria-live="polite">{len(records)} of {len(records)} shown</output></form>'
        )

    @staticmethod
    def row(record: Record) -> nodes.row:
        """One entry; its classes are what the filters look at."""
        status = record["status"].lower()
        badge = nodes.inline("", status, classes=["ledger-status", f"is-{status}"])
        cells = {
            "says": _statement_cell(record),
            "status": [nodes.paragraph("", "", badge)],
            "decided": _checks_cell(record),
            "rests": _depends_cell(record),
        }
        classes = [f"status-{status}", f"kind-{record['kind']}"]
        classes += sorted({f"check-{check['kind']}" for check in record["checks"]})
        row = nodes.row(ids=[f"ledger-{record['id']}"], classes=classes)
        row += [nodes.entry("", *cell, classes=[f"cell-{x}"]) for x, cell in cells.items()]
        return row


class LedgerGraph(SphinxDirective):
    """``:::{ledger-graph}``: each entry a box, linked to its row, right of what it rests on."""

    def run(self) -> list[nodes.Node]:
        """The drawing, in a box that scrolls on its own."""
        drawing = svg.draw(self.config.ledger_records)
        box = (
            '<div class="ledger-graph" tabindex="0" role="region" '
            f'aria-label="Graph of dependencies, scrolls sideways">{drawing}</div>'
        )
        return [nodes.raw("", box, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the handlers and directives above."""
    app.add_config_value("ledger_records", {}, "")
    app.add_directive("ledger-table", LedgerTable)
    app.add_directive("ledger-graph", LedgerGraph)
    app.connect("builder-inited", load_ledger)
    app.connect("env-check-consistency", check_ledger)
    app.connect("doctree-resolved", add_badges)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
