"""The built book in a real browser: every page, light and dark, wide and at 390 px.

The tests marked ``book`` run every check of ``page_checks`` over the pages that ``make book`` left
in ``book/_build/html``.  The others plant one fault a page and require that exactly the check
meant for it complains.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from page_checks import CHECKS, Visit, broken_links, complaints, repeated_identifiers
from playwright.sync_api import Browser, Error, sync_playwright

from book._ext import companion, house

BOOK = Path(__file__).resolve().parent.parent / "book"
HTML = BOOK / "_build" / "html"
PAGES = sorted(HTML.glob("*.html"))
WIDE, PHONE = 1280, 390

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS
            )
        except Error as error:
            reason = f"no Chromium (install it, or run `playwright install chromium`): {error}"
            # Nobody reads the skips of an automatic run.
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Opens a page in a browser of its own without a network."""
    contexts = []

    def opened(path: Path, theme: str = "light", width: int = WIDE, query: str = "") -> Visit:
        size = {"width": width, "height": 900}
        context = browser.new_context(
            color_scheme=theme, viewport=size, screen=size, offline=True, reduced_motion="reduce"
        )
        contexts.append(context)
        visited = Visit(context.new_page(), theme, width)
        visited.open(path, query)
        return visited

    yield opened
    for context in contexts:
        context.close()


# ---------------------------------------------------------------- the built book


@pytest.fixture
def built() -> Path:
    if not (HTML / "index.html").is_file():
        pytest.fail("the book is not built: run `make book`")
    return HTML


@pytest.mark.book
@pytest.mark.parametrize(("theme", "width"), [("light", WIDE), ("dark", WIDE), ("light", PHONE)])
@pytest.mark.parametrize("path", PAGES or [None], ids=lambda p: p.stem if p else "no page")
def test_page(built: Path, visit: Open, path: Path, theme: str, width: int) -> None:
    assert complaints(visit(path, theme, width)) == {}


@pytest.mark.book
def test_search_finds_a_chapter(built: Path, visit: Open) -> None:
    found = visit(built / "search.html", query="?q=symmetry")
    found.page.get_by_text("Search finished").wait_for()
    links = found.page.locator("#search-results li a").evaluate_all("all => all.map(a => a.href)")
    assert any("symmetry.html" in link for link in links)
    assert complaints(found) == {}


@pytest.mark.book
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_the_ledger_is_read_without_scrolling_sideways(
    built: Path, visit: Open, width: int
) -> None:
    page = visit(built / "ledger.html", width=width).page
    page.wait_for_selector("#ledger-table mjx-container")
    table = page.locator("#ledger-table")
    assert table.evaluate("table => table.scrollWidth <= table.clientWidth")
    # A formula that is too wide scrolls alone; it does not lie over the next column.
    covered = """cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth + 1)
      .map(cell => cell.parentElement.id)"""
    assert table.locator("td").evaluate_all(covered) == []


@pytest.mark.book
def test_arrows_of_the_house_are_drawn(built: Path, visit: Open) -> None:
    page = visit(built / "house.html").page
    assert page.locator(".house svg path[marker-end]").count() == len(house.arrows())
    assert page.locator(".house svg text.name").all_text_contents() == house.order()


@pytest.mark.book
def test_links_lead_somewhere(built: Path) -> None:
    assert broken_links(built) == []


@pytest.mark.book
def test_identifiers_are_unique(built: Path) -> None:
    assert repeated_identifiers(built) == []


@pytest.mark.book
def test_every_chapter_is_built(built: Path) -> None:
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text("utf-8"))
    chapters = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    assert [c for c in chapters if not (built / f"{c}.html").is_file()] == []


# ---------------------------------------------------------------- every check can fail

FOLLOW_SYSTEM = (
    "document.documentElement.dataset.theme ="
    " matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'"
)


def write_page(path: Path, body: str, theme: str = FOLLOW_SYSTEM) -> Path:
    """A page with one title that follows the system's theme, typeset as the book is."""
    config = yaml.safe_load((BOOK / "_config.yml").read_text("utf-8"))["sphinx"]["config"]
    script = companion.mathjax_source() / companion.MATHJAX_SCRIPT
    path.write_text(
        "<!doctype html><html lang=en><meta charset=utf-8><title>t</title>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        "<link rel=icon href='data:,'><style>:root {color-scheme: light dark}"
        " html {background: Canvas}</style>"
        f"<script>{theme}; MathJax = {json.dumps(config['mathjax3_config'])}</script>"
        f"<script defer src='{script.as_uri()}'></script><body><h1>Title</h1>{body}</body></html>",
        encoding="utf-8",
    )
    return path


def math(source: str) -> str:
    return rf"<p><span class='math'>\({source}\)</span></p>"


FAULTS = {
    "error thrown": ("<script>throw Error('planted')</script>", {"console_errors"}),
    "error logged": ("<script>console.error('planted')</script>", {"console_errors"}),
    # A refused request is an error on the console as well.
    "outside script": (
        "<script src='https://example.org/x.js'></script>",
        {"console_errors", "outside_requests"},
    ),
    "outside image": (
        "<img alt=x src='https://example.org/x.png'>",
        {"console_errors", "outside_requests"},
    ),
    "raw dollars": ("<p>the gap $x$ is</p>", {"unrendered_mathematics"}),
    "raw role": ("<p>by {prf:ref}`thm-x`</p>", {"unrendered_mathematics"}),
    "unknown macro": (math(r"\undefinedmacro"), {"unrendered_mathematics"}),
    "unbalanced brace": (math(r"\frac{1}{"), {"unrendered_mathematics"}),
    "formula not seen": ("<p><span class='math'>x</span></p>", {"unrendered_mathematics"}),
    "long word": (f"<p>{'x' * 200}</p>", {"horizontal_overflow"}),
    "grey text": ("<p style='color: #808080; background: #fff'>grey</p>", {"low_contrast"}),
    "grey in a fold": (
        "<details><summary>s</summary><p style='color: #999; background: #fff'>g</p></details>",
        {"low_contrast"},
    ),
    "dark text on any ground": ("<p style='color: #222'>ink</p>", {"low_contrast"}),
    "two titles": ("<h1>Another</h1>", {"not_one_title"}),
    "silent image": ("<img src='data:,'>", {"images_without_text"}),
}


def test_a_good_page_has_no_complaint(visit: Open, tmp_path: Path) -> None:
    page = write_page(
        tmp_path / "good.html",
        math(r"\E \norm{\wstar}") + "<details><summary>Proof</summary><p>Plain.</p></details>",
    )
    for theme in ("light", "dark"):
        assert complaints(visit(page, theme, PHONE)) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(visit: Open, tmp_path: Path, fault: str) -> None:
    body, expected = FAULTS[fault]
    # Dark and narrow: where the faults that depend on the theme or on the width show.
    found = complaints(visit(write_page(tmp_path / "bad.html", body), "dark", PHONE))
    assert set(found) == expected


def test_a_page_that_ignores_the_theme_is_found(visit: Open, tmp_path: Path) -> None:
    page = write_page(
        tmp_path / "stubborn.html", "", theme="document.documentElement.dataset.theme = 'light'"
    )
    assert set(complaints(visit(page, "dark"))) == {"wrong_theme"}


def test_every_check_has_a_planted_fault() -> None:
    planted = set().union(*(expected for _, expected in FAULTS.values()))
    assert planted | {"wrong_theme"} == {check.__name__ for check in CHECKS}


def test_broken_links_and_repeated_identifiers_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        "<p id=x><p id=x><a href='b.html#here'></a><a href='#x'></a><a href='https://a.b/c'></a>"
        "<a href='b.html#gone'></a><a href='c.html'></a><img src='no.png'>"
    )
    (tmp_path / "b.html").write_text("<p id=here>")
    assert broken_links(tmp_path) == ["a.html: b.html#gone", "a.html: c.html", "a.html: no.png"]
    assert repeated_identifiers(tmp_path) == ["a.html: x"]
