"""The book's sources: names that must exist in the code, labels, and the shape of a chapter."""

from __future__ import annotations

import importlib
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
NOTATION_HEADER = ["paper symbol", "code name", "shape", "units"]
WITHOUT_CODE = {"ledger", "notation", "api_theory", "api_numerics", "references"}


def chapters() -> dict[str, str]:
    """Text of every chapter of the table of contents, by name."""
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text("utf-8"))
    names = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    return {name: (BOOK / f"{name}.md").read_text("utf-8") for name in names}


# ---------------------------------------------------------------- names of the code


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute or dataclass field reached from one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                last = part == parts[-1]
                annotated = getattr(found, "__annotations__", {})
                declared = {f.name for f in fields(found)} if is_dataclass(found) else annotated
                return last and part in declared
            found = getattr(found, part)
        return True
    return False


def notation_rows(text: str) -> list[list[str]]:
    """Rows of the tables headed ``paper symbol | code name | shape | units``."""
    rows, inside = [], False
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        inside = cells == NOTATION_HEADER or (inside and bool(cells))
        if inside and cells != NOTATION_HEADER and set("".join(cells)) - set("-: "):
            rows.append(cells)
    return rows


def notation_faults(text: str) -> list[str]:
    """Rows without four cells, and code names that do not exist."""
    faults = []
    for row in notation_rows(text):
        names = re.findall(r"`([^`]+)`", row[1]) if len(row) == len(NOTATION_HEADER) else []
        if len(row) != len(NOTATION_HEADER) or not (names or row[1] == "—"):
            faults.append(f"malformed row: {row}")
        faults += [f"no such name: {name}" for name in names if not exists(name)]
    return faults


def test_every_code_name_of_the_notation_exists() -> None:
    text = chapters()["notation"]
    assert len(notation_rows(text)) >= 10
    assert notation_faults(text) == []


def test_a_wrong_notation_is_found() -> None:
    header = "| paper symbol | code name | shape | units |\n|---|---|---|---|\n"
    good = header + "| $L$ | `theory.setting.Setting.L` | scalar | sets |\n| $e$ | — | scalar | — |"
    assert len(notation_rows(good)) == 2
    assert notation_faults(good) == []
    for row in (
        "| $L$ | `theory.setting.Setting.M` | scalar | sets |",
        "| $L$ | `theory.setting.Setting.L.M` | scalar | sets |",
        "| $L$ | `theory.nowhere.Setting` | scalar | sets |",
        "| $L$ | `theory.setting.Setting.L` | scalar |",
        "| $L$ | Setting.L | scalar | sets |",
    ):
        assert notation_faults(header + row), row


@pytest.mark.parametrize("room", ["theory", "numerics"])
def test_every_module_is_on_the_reference_page(room: str) -> None:
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / room).rglob("*.py")
        if path.stem == "__init__" or not path.stem.startswith("_")
    }
    listed = re.findall(r"^\.\. automodule:: (\S+)$", chapters()[f"api_{room}"], re.MULTILINE)
    assert sorted(listed) == sorted(modules)


# ---------------------------------------------------------------- statements and references

KINDS = "assumption|corollary|definition|example|lemma|proposition|remark|theorem"
STATEMENT = re.compile(
    rf"^[ \t]*[:`]{{3,}}\{{prf:({KINDS})\}}.*\n((?:[ \t]*:\w+:.*\n)*)", re.MULTILINE
)
FIGURE = re.compile(r"^[ \t]*[:`]{3,}\{glue:figure\} (\S+)\n((?:[ \t]*:\w+:.*\n)*)", re.MULTILINE)
TARGET = re.compile(
    r"^[ \t]*(?::(?:label|name): (\S+)|\$\$ \(([\w-]+)\)|\((\S+)\)=)$", re.MULTILINE
)
REFERENCE = re.compile(r"\{(?:prf:ref|eq|numref|ref)\}`(?:[^`<]*<)?([\w-]+)>?`")


def label_faults(texts: dict[str, str]) -> list[str]:
    """Labels given twice or to nothing, and statements that have none."""
    owners: dict[str, str] = {}
    faults = []
    for name, text in texts.items():
        for label in ("".join(groups) for groups in TARGET.findall(text)):
            if label in owners:
                faults.append(f"{label} is in {owners[label]} and in {name}")
            owners[label] = name
        for kind, options in STATEMENT.findall(text):
            if ":label:" not in options:
                faults.append(f"{name}: a {kind} without a label")
    for name, text in texts.items():
        faults += [f"{name}: no target {x}" for x in REFERENCE.findall(text) if x not in owners]
    return faults


def chapter_faults(name: str, text: str) -> list[str]:
    """What a chapter lacks, or has and must not."""
    faults = []
    if name not in WITHOUT_CODE and "```{code-cell}" not in text:
        faults.append(f"{name}: no code cell")
    if "{prf:proof}" in text:  # neither folds nor has an identifier of its own
        faults.append(f"{name}: write a proof as :::{{dropdown}} Proof")
    for figure, options in FIGURE.findall(text):
        faults += [f"{name}: {figure} without {o}" for o in (":name:", ":alt:") if o not in options]
    return faults


def test_labels_are_unique_and_references_have_targets() -> None:
    assert label_faults(chapters()) == []


def test_chapters_have_code_and_described_figures() -> None:
    assert [
        fault for name, text in chapters().items() for fault in chapter_faults(name, text)
    ] == []


GOOD_CHAPTER = """
```{code-cell} python
1 + 1
```
:::{prf:lemma} One
:label: lem-one

By {prf:ref}`lem-one` and {eq}`eq-one`, {numref}`fig-one`.

1. In a list,

   $$
   1 = 1
   $$ (eq-one)
:::
:::{glue:figure} fig-one
:name: fig-one
:alt: One.

Caption.
:::
"""


def test_a_good_chapter_has_no_fault() -> None:
    assert label_faults({"a": GOOD_CHAPTER}) == []
    assert chapter_faults("a", GOOD_CHAPTER) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (":label: lem-one\n", ""),
        (":label: lem-one", ":label: eq-one"),
        ("{prf:ref}`lem-one`", "{prf:ref}`lem-two`"),
        ("{eq}`eq-one`", "{eq}`eq-two`"),
        ("```{code-cell} python", "```python"),
        ("{prf:lemma} One", "{prf:proof}"),
        (":alt: One.\n", ""),
        (":name: fig-one\n", ""),
    ],
)
def test_a_planted_fault_is_found(old: str, new: str) -> None:
    assert old in GOOD_CHAPTER
    text = GOOD_CHAPTER.replace(old, new)
    assert label_faults({"a": text}) or chapter_faults("a", text)


def test_a_label_of_another_chapter_is_found() -> None:
    assert label_faults({"a": GOOD_CHAPTER, "b": GOOD_CHAPTER})
