"""What this book needs from Sphinx and the stock extensions do not give.

* The built book reads without a network: MathJax is copied beside the pages from the
  ``sphinx-mathjax-offline`` distribution, of which only the one combined script and the fonts are
  taken (its own extension copies 24 MB and overrides ``mathjax_path``).
* Every identifier on a page is unique: sphinx-proof calls the content of each statement
  ``proof-content``.
* Every image has an alternative text: a figure without one is a warning, hence a failed build.
* Docstrings may write ``|x|`` for a modulus, begin a property with ``Shape (D, D): …`` and, in a
  module, indent a formula; to docutils and to napoleon all three mean something else.
"""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

__all__ = [
    "check_alternative_text",
    "copy_mathjax",
    "escape_bars",
    "literal_displays",
    "mathjax_source",
    "name_statements",
    "read_docstring",
    "setup",
]

MATHJAX_SCRIPT = Path("tex-chtml-full.js")
MATHJAX_FONTS = Path("output/chtml/fonts/woff-v2")  # the script looks for them here

logger = logging.getLogger(__name__)


def mathjax_source() -> Path:
    """Folder of the installed MathJax; `ExtensionError` says what to install when it is absent."""
    name = "sphinx-mathjax-offline"
    try:
        # The package folder's name is not an identifier, so it cannot be imported to be found.
        folder = Path(str(distribution(name).locate_file(name))) / "static" / "mathjax"
    except PackageNotFoundError:
        raise ExtensionError(f"MathJax is missing: install {name}") from None
    if not (folder / MATHJAX_SCRIPT).is_file() or not (folder / MATHJAX_FONTS).is_dir():
        raise ExtensionError(f"{name} no longer contains {MATHJAX_SCRIPT} and {MATHJAX_FONTS}")
    return folder


def copy_mathjax(app: Sphinx) -> None:
    """Copy the MathJax script and its fonts to ``_static/mathjax`` of the built book."""
    source, target = mathjax_source(), Path(app.outdir) / "_static" / "mathjax"
    (target / MATHJAX_SCRIPT.parent).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / MATHJAX_SCRIPT, target / MATHJAX_SCRIPT)
    shutil.copytree(source / MATHJAX_FONTS, target / MATHJAX_FONTS, dirs_exist_ok=True)


def name_statements(app: Sphinx, doctree: nodes.document) -> None:
    """Give the content of each statement the identifier ``<label>-content``.

    The statement itself keeps its label as identifier, so references are unaffected.
    """
    for section in doctree.findall(nodes.section):
        if section["ids"] == ["proof-content"]:
            section["ids"] = [f"{section.parent['ids'][0]}-content"]


def check_alternative_text(app: Sphinx, doctree: nodes.document) -> None:
    """Warn of each image that a screen reader could not describe."""
    for image in doctree.findall(nodes.image):
        if not image.get("alt", "").strip():
            logger.warning("image without alternative text: %s", image["uri"], location=image)


def escape_bars(lines: list[str]) -> list[str]:
    r"""Write ``\|`` for each bar of a docstring, except in literals and in doctests.

    Examples
    --------
    >>> escape_bars(["a set of |S| patches, ``a | b``", ">>> 1 | 2"])
    ['a set of \\|S\\| patches, ``a | b``', '>>> 1 | 2']
    """
    escaped = []
    in_doctest = in_block = False
    for line in lines:
        in_doctest = line.lstrip().startswith(">>>") or (in_doctest and bool(line.strip()))
        in_block = in_block and not line[:1].strip()  # until the next line that is not indented
        if not in_doctest and not in_block:
            parts = line.split("``")
            parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
            line = "``".join(parts)
        in_block = in_block or line.endswith("::")
        escaped.append(line)
    return escaped


def literal_displays(lines: list[str]) -> list[str]:
    """Mark the indented formulas of a module's docstring as literal, so that they stay aligned.

    Examples
    --------
    >>> literal_displays(["The loss is", "", "    L = E log(1 + e^{−yF}),", "", "in nats."])
    ['The loss is', '', '::', '', '    L = E log(1 + e^{−yF}),', '', 'in nats.']
    """
    marked: list[str] = []
    for previous, line in zip(["", *lines], lines, strict=False):
        before = next((text for text in reversed(marked) if text.strip()), "")
        prose = before and not before.startswith((" ", "*", "-", "..")) and before[-2:] != "::"
        if line.startswith(" ") and not previous.strip() and prose:
            marked += ["::", ""]
        marked.append(line)
    return marked


def read_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Prepare the `lines` of a docstring, in place, before napoleon reads them."""
    lines[:] = escape_bars(literal_displays(lines) if what == "module" else lines)
    if what in {"attribute", "data", "property"}:
        # Napoleon takes the words before the first colon for a type, unless they are not on the
        # first line: an empty comment is.
        lines[:0] = ["..", ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the handlers above."""
    app.connect("builder-inited", copy_mathjax)
    app.connect("doctree-read", name_statements)
    app.connect("doctree-read", check_alternative_text)
    app.connect("autodoc-process-docstring", read_docstring, priority=100)  # napoleon has 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
