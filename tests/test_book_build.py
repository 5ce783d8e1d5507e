"""What the book is built with: the cache's key, the Sphinx extension, the colours of figures."""

from __future__ import annotations

import doctest
import re
from itertools import combinations
from pathlib import Path

import pytest
from docutils import nodes
from docutils.utils import new_document

from book import build, figures
from book._ext import companion, house

# ---------------------------------------------------------------- the cache knows its inputs


def test_the_key_depends_on_every_input(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("a = 1")
    key = build.fingerprint([file], ["numpy==2"])
    assert key == build.fingerprint([file], ["numpy==2"])
    assert key != build.fingerprint([file], ["numpy==3"])
    assert key != build.fingerprint([], ["numpy==2"])
    file.write_text("a = 2")
    assert key != build.fingerprint([file], ["numpy==2"])


def test_the_inputs_are_the_packages_their_records_and_the_helpers() -> None:
    found = {path.relative_to(build.ROOT).as_posix() for path in build.inputs(build.BOOK)}
    assert {"theory/setting.py", "book/figures.py"} <= found
    records = (build.ROOT / "numerics" / "records").glob("*.json")
    assert {f"numerics/records/{record.name}" for record in records} <= found


def test_only_a_stale_cache_is_emptied(tmp_path: Path) -> None:
    entry = tmp_path / ".jupyter_cache" / "entry"
    build.empty_stale_cache(tmp_path, "first")
    entry.parent.mkdir()
    entry.touch()
    build.empty_stale_cache(tmp_path, "first")
    assert entry.exists()
    build.empty_stale_cache(tmp_path, "second")
    assert not entry.exists()


# ---------------------------------------------------------------- the extension


def test_mathjax_is_installed_with_its_fonts() -> None:
    source = companion.mathjax_source()
    assert (source / companion.MATHJAX_SCRIPT).stat().st_size > 1_000_000
    assert len(list((source / companion.MATHJAX_FONTS).glob("*.woff"))) >= 20


def test_a_missing_mathjax_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise companion.PackageNotFoundError(name)

    monkeypatch.setattr(companion, "distribution", absent)
    with pytest.raises(companion.ExtensionError, match="install sphinx-mathjax-offline"):
        companion.mathjax_source()


def test_statements_get_their_own_identifiers() -> None:
    document = new_document("chapter")
    for label in ("lem-one", "lem-two"):
        statement = nodes.admonition(ids=[label])
        statement += nodes.section(ids=["proof-content"])
        document += statement
    companion.name_statements(None, document)
    found = [section["ids"] for section in document.findall(nodes.section)]
    assert found == [["lem-one-content"], ["lem-two-content"]]
    assert [s["ids"] for s in document.findall(nodes.admonition)] == [["lem-one"], ["lem-two"]]


def test_an_image_without_alternative_text_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    warned = []
    monkeypatch.setattr(companion.logger, "warning", lambda *args, **_: warned.append(args[1]))
    document = new_document("chapter")
    document += nodes.image(uri="described.svg", alt="Three curves.")
    document += [nodes.image(uri="silent.svg"), nodes.image(uri="blank.svg", alt=" ")]
    companion.check_alternative_text(None, document)
    assert warned == ["silent.svg", "blank.svg"]


def test_bars_are_escaped_outside_literals_and_doctests() -> None:
    lines = ["|x| and ``a | b``", ">>> 1 | 2", "3|4", "", "|y|", "::", "", "    |z|", "", "|u|"]
    escaped = [r"\|x\| and ``a | b``", *lines[1:4], r"\|y\|", *lines[5:9], r"\|u\|"]
    assert companion.escape_bars(lines) == escaped


def test_formulas_of_a_module_become_literal_blocks() -> None:
    lines = ["Title.", "", "* a", "", "  b", "", "Text::", "", "    c", "", "End", "", "    |d|"]
    companion.read_docstring(None, "module", "m", None, None, lines)
    assert lines[:11] == ["Title.", "", "* a", "", "  b", "", "Text::", "", "    c", "", "End"]
    assert lines[11:] == ["", "::", "", "    |d|"]


def test_examples_of_the_extension_run() -> None:
    for module, examples in ((companion, 2), (house, 1)):
        failed, attempted = doctest.testmod(module)
        assert (failed, attempted) == (0, examples)


def test_a_property_keeps_the_words_before_its_first_colon() -> None:
    napoleon = pytest.importorskip("sphinx.ext.napoleon")
    for what, kept in (("property", True), ("method", True)):
        lines = ["Shape (D, D): one row a patch."]
        companion.read_docstring(None, what, "m.C.p", None, None, lines)
        read = str(napoleon.NumpyDocstring(lines, napoleon.Config(), what=what, name="p"))
        assert (lines[-1] in read and ":type:" not in read) is kept


# ---------------------------------------------------------------- the house

ROOMS = house.order()


def test_every_room_is_in_the_picture() -> None:
    found = [
        f"{package}.{path.stem}"
        for package in ("theory", "numerics")
        for path in (house.ROOT / package).iterdir()
        if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.stem != "__init__")
    ]
    assert sorted(ROOMS) == sorted(found)
    assert all(map(house.first_line, ROOMS))


def test_every_arrow_of_the_house_points_up() -> None:
    found = house.arrows()
    assert house.running_back(ROOMS, found) == []
    assert {("theory.ledger", "theory.statements"), ("numerics.data", "theory.setting")} <= found
    drawing = house.draw({room: house.first_line(room) for room in ROOMS}, found)
    arcs = re.findall(r'd="M\d+ ([\d.]+)C.* ([\d.]+)" marker-end', drawing.replace("/>", "/>\n"))
    assert len(arcs) == len(found)
    assert all(float(end) < float(begin) for begin, end in arcs)


def test_an_arrow_that_runs_back_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attic = tmp_path / "attic_of_tests"
    (attic / "low").mkdir(parents=True)
    (attic / "__init__.py").touch()
    (attic / "low" / "__init__.py").touch()
    (attic / "low" / "deep.py").write_text("def f():\n    from .. import high\n")
    (attic / "high.py").write_text("from .low import deep\n")
    monkeypatch.syspath_prepend(tmp_path)
    low, high = f"{attic.name}.low", f"{attic.name}.high"
    found = house.arrows((attic.name,))
    assert found == {(low, high), (high, low)}
    assert house.running_back([low, high], found) == [(low, high)]


# ---------------------------------------------------------------- colours

Color = tuple[float, ...]
LIGHT: Color = (1.0, 1.0, 1.0)
DARK: Color = tuple(channel / 255 for channel in (0x12, 0x12, 0x12))  # the theme's dark ground


def parse(color: str) -> Color:
    return tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))


def inverted(color: Color) -> Color:
    """What ``filter: invert(1) hue-rotate(180deg)`` makes of a colour (CSS Filter Effects)."""
    red, green, blue = (1 - channel for channel in color)
    # The rotation keeps this luma and turns the rest: at 180° it is a reflection through it.
    luma = 0.213 * red + 0.715 * green + 0.072 * blue
    return tuple(min(1.0, max(0.0, 2 * luma - channel)) for channel in (red, green, blue))


def contrast(one: Color, other: Color) -> float:
    """The ratio of WCAG 2."""

    def luminance(color: Color) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_known_colours() -> None:
    assert contrast(LIGHT, (0.0, 0.0, 0.0)) == pytest.approx(21)
    assert inverted(LIGHT) == pytest.approx((0, 0, 0))
    assert contrast(LIGHT, parse("#F0E442")) < 3  # a yellow line would not do


@pytest.mark.parametrize("name", figures.COLORS)
def test_curves_stand_out_in_both_themes(name: str) -> None:
    color = parse(figures.COLORS[name])
    assert contrast(color, LIGHT) >= 3
    assert contrast(inverted(color), DARK) >= 3


def test_quantities_that_share_an_axis_have_colours_of_their_own() -> None:
    together = ("alpha", "gamma", "rho", "loss", "error", "reference")
    for one, other in combinations(together, 2):
        assert figures.COLORS[one] != figures.COLORS[other]
