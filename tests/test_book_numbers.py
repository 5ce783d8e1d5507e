"""No number in a sentence is only typed: a decimal, or a ratio in words, stands in an assertion.

A chapter's prose is what is left of it without code.  A decimal there is one of these:

* the number of a definition or theorem of the paper;
* a choice, written ``= 0.05``: it must occur in the code of the chapter or of an experiment;
* part of a statement or its proof: it must occur in ``theory/statements``, which the ledger checks;
* anything else is a result, and must occur in an ``assert`` of the chapter's cells, in the list
  that the assertion walks through, or in what its names were set to.

A ratio in words (*two percent*, *a factor of three*, *ten times*) must be the message of an
``assert``, or part of it.  What follows none of this is in ``EXCEPTIONS``, with its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
from test_book_sources import chapters

ROOT = Path(__file__).resolve().parent.parent


def sources(folder: str) -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted((ROOT / folder).glob("*.py")))


LEDGER, EXPERIMENTS = sources("theory/statements"), sources("numerics/experiments")

TRIALS = "trials by hand before the record was made, kept in no record: told, not shown"
# chapter -> how a paragraph begins -> why no cell can assert the numbers in it.
EXCEPTIONS = {
    "assumption-2": {"The exception is $(L,C,q)=(14,14,0.9)$": TRIALS},
    "real-vits": {
        "- *What was tuned.*": TRIALS,
        "- *The synthetic sets*": TRIALS,
    },
    "transfer": {"- The setup of the real ViTs": TRIALS, "- The number of steps": TRIALS},
}

CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^(`{3,})(?!`).*?^\1$", re.MULTILINE | re.DOTALL)
STATEMENT = re.compile(r"^(:{3,})\{(?:prf:\w+|dropdown)\}.*?^\1$", re.MULTILINE | re.DOTALL)
OF_THE_PAPER = re.compile(
    r"(?:Assumption|Definition|Figure|Section|Theorem)s?\s+\d+\.\d+"
    r"(?:(?:,\s+|\s+(?:and|to)\s+)\d+\.\d+)*"
)
DECIMAL = re.compile(r"(?<![\d.^])\d*\.\d+(?![\w.]*\.\d)")
CHOICE = re.compile(r"=\s*\(?(?:[-\d.,\s]|\\,|\\t?frac\S*?[,)])*$")

COUNT = (
    r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|twenty|half a|a hundred|a thousand)"
)
RATIO = re.compile(
    rf"\b{COUNT}(?: (?:to|or|and) {COUNT})? (?:times|per ?cent|per mille|orders? of magnitude)\b"
    rf"|\bfactors? of (?:about |up to )?{COUNT}(?: (?:to|or) {COUNT})?"
    r"|\ba (?:third|quarter|fifth|sixth|tenth|sixteenth|hundredth|thousandth)\b"
)


def cells(text: str) -> list[ast.Module]:
    """The code cells of a chapter, parsed."""
    without_options = (re.sub(r"\A(?::\w+:.*\n)+", "", cell) for cell in CELL.findall(text))
    return [ast.parse(cell) for cell in without_options]


def prose(text: str) -> str:
    """A chapter without its front matter and its fences, with single spaces in each line."""
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return OF_THE_PAPER.sub("", FENCE.sub("", CELL.sub("", body)))


def decimals(source: str) -> set[Decimal]:
    return {Decimal(number) for number in DECIMAL.findall(source)}


def asserted(text: str) -> tuple[set[Decimal], str]:
    """The decimals that assertions of a chapter use, and their messages."""
    used: set[Decimal] = set()
    messages = []
    for cell in cells(text):
        bound: dict[str, list[ast.expr]] = {}
        for node in ast.walk(cell):
            if isinstance(node, ast.Assign):
                targets, value = node.targets, node.value
            elif isinstance(node, ast.For | ast.comprehension):
                targets, value = [node.target], node.iter
            else:
                continue
            for name in (x for target in targets for x in ast.walk(target)):
                if isinstance(name, ast.Name):
                    bound.setdefault(name.id, []).append(value)
        for node in ast.walk(cell):
            if isinstance(node, ast.Assert):
                names = {x.id for x in ast.walk(node) if isinstance(x, ast.Name)}
                for part in (node, *(value for name in names for value in bound.get(name, ()))):
                    used |= decimals(ast.unparse(part))
                if node.msg is not None:
                    messages.append(ast.unparse(node.msg))
    return used, "\n".join(messages)


def paragraphs(text: str) -> list[str]:
    """Blocks between blank lines, items of lists apart."""
    return re.split(r"\n\s*\n|\n(?=- )", text)


def number_faults(text: str, exceptions: Iterable[str] = ()) -> list[str]:
    """Decimals and ratios of a chapter's sentences that nothing stands behind."""
    statements = "\n".join(m.group() for m in STATEMENT.finditer(text))
    kept = paragraphs(prose(STATEMENT.sub("", text)))
    plain = "\n\n".join(p for p in kept if not p.lstrip().startswith(tuple(exceptions)))
    used, messages = asserted(text)
    code = decimals(EXPERIMENTS + "\n".join(ast.unparse(cell) for cell in cells(text)))
    unchecked = decimals(prose(statements)) - decimals(LEDGER)
    faults = [f"not in the ledger: {x}" for x in sorted(unchecked)]
    for found in DECIMAL.finditer(plain):
        chosen = CHOICE.search(plain[: found.start()]) is not None
        if Decimal(found.group()) not in (code if chosen else used):
            around = " ".join(plain[max(0, found.start() - 40) : found.end() + 20].split())
            fault = "not chosen" if chosen else "not asserted"
            faults.append(f"{fault}: {found.group()} in {around!r}")
    for found in RATIO.finditer(" ".join(plain.split())):
        if found.group() not in messages:
            faults.append(f"not asserted: {found.group()}")
    return faults


@pytest.mark.parametrize("name", sorted(chapters()))
def test_no_number_in_a_sentence_is_only_typed(name: str) -> None:
    assert number_faults(chapters()[name], EXCEPTIONS.get(name, {})) == []


def test_every_exception_is_needed() -> None:
    for name, excused in EXCEPTIONS.items():
        for one in excused:
            others = [other for other in excused if other != one]
            assert number_faults(chapters()[name], others), f"{name}: {one}"


CHAPTER = """
```{code-cell} python
:tags: [hide-input]

step = run(eta=0.05)
errors = {0.25: 0.5}
for rate, error in [(0.25, 0.125)]:
    assert f(rate) < error, "a factor of two"
```
At $\\eta=0.05$ the error is below $0.125$ at a rate of $0.25$, by a factor of two (Theorem 4.1).
"""


def test_numbers_that_are_asserted_or_chosen_pass() -> None:
    assert number_faults(CHAPTER) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("=0.05$", "=0.05123$"),  # another choice than the code's
        ("=0.05$", "\\approx0.05$"),  # a choice that is told as a result
        ("$0.125$", "$0.126$"),
        ("$0.25$", "$0.5$"),  # in the code, in no assertion
        ("by a factor of two", "by a factor of three"),
        ("a factor of two (", "two orders of magnitude ("),
        ("Theorem 4.1", "4.1"),
        ('assert f(rate) < error, "a factor of two"', "print(f(rate) < error)"),
        ("(Theorem", ":::{prf:lemma} One\n:label: lem-one\n\n$x<0.98765$\n:::\n(Theorem"),
    ],
)
def test_a_number_that_nothing_stands_behind_is_found(old: str, new: str) -> None:
    assert old in CHAPTER
    assert number_faults(CHAPTER.replace(old, new))
