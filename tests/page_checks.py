"""What is wrong with a page, as a browser sees it: one function a question, complaints as strings.

A :class:`Visit` is one page opened in one theme at one width.  The checks of ``CHECKS`` look at an
open page, `broken_links` and `repeated_identifiers` at the files of a folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Page

__all__ = ["CHECKS", "Visit", "broken_links", "complaints", "repeated_identifiers"]


@dataclass
class Visit:
    """One page opened in one theme at one width, with what it said and asked for meanwhile."""

    page: Page
    theme: str
    width: int
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: Path, query: str = "") -> None:
        """Load `path` over file://, wait for its formulas, unfold whatever is folded."""
        self.page.on("console", lambda m: self.console.append(m.text) if m.type == "error" else 0)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.resolve().as_uri() + query)
        self.page.evaluate("() => window.MathJax?.startup?.promise")
        self.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")


# ---------------------------------------------------------------- checks of an open page


def console_errors(visit: Visit) -> list[str]:
    """Errors on the console, failed loads among them."""
    return visit.console


def outside_requests(visit: Visit) -> list[str]:
    """Requests that would leave the machine (the browser is offline, so they were refused)."""
    return [u for u in visit.requests if urlsplit(u).scheme not in {"file", "data", "blob"}]


UNRENDERED = r"""() => {
  const bad = [...document.querySelectorAll('mjx-merror, [data-mjx-error]')]
    .map(e => 'error in formula: ' + (e.dataset.mjxError || e.textContent));
  for (const e of document.querySelectorAll('.math'))
    if (!e.querySelector('mjx-container')) bad.push('not typeset: ' + e.textContent);
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode;
    if (text.parentElement.closest('script, style, code, pre, mjx-container')) continue;
    if (/\$|\\[(\[]|\\begin\{|\{(prf|glue|cite|eq|numref|py):?\w*\}/.test(text.data))
      bad.push('raw source: ' + text.data.trim().slice(0, 80));
  }
  return bad;
}"""


def unrendered_mathematics(visit: Visit) -> list[str]:
    """Formulas that MathJax refused or never saw, and markup left in the text."""
    return visit.page.evaluate(UNRENDERED)


OVERFLOW = """() => {
  const wide = document.documentElement.scrollWidth;
  if (wide <= innerWidth && wide <= screen.width) return [];
  const scrolls = e => {
    for (let a = e.parentElement; a; a = a.parentElement)
      if (a !== document.body && a !== document.documentElement
          && getComputedStyle(a).overflowX !== 'visible') return true;
    return false;
  };
  const culprits = [...document.body.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > screen.width + 1 && !scrolls(e));
  return [`${wide} px wide: ` + culprits.map(e => e.tagName + '.' + e.className).join(' | ')];
}"""


def horizontal_overflow(visit: Visit) -> list[str]:
    """The page is wider than the screen; innerWidth grows with it, so the screen is compared."""
    return visit.page.evaluate(OVERFLOW)


CONTRAST = """() => {
  const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = css => {  // any CSS colour, as the browser itself understands it
    paint.clearRect(0, 0, 1, 1);
    paint.fillStyle = css;
    paint.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) =>
    [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat([1]);
  const ground = e => {
    const own = rgba(getComputedStyle(e).backgroundColor);
    if (own[3] === 1) return own;
    return over(own, e.parentElement ? ground(e.parentElement) : [255, 255, 255, 1]);
  };
  const luminance = c => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
    const s = c[i] / 255;
    return sum + weight * (s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4);
  }, 0);
  const bad = new Set();
  for (const e of document.body.querySelectorAll('*')) {
    const text = [...e.childNodes].filter(n => n.nodeType === 3 && n.data.trim());
    const skipped = e.closest(
      'script, style, noscript, mjx-merror, mjx-assistive-mml, [aria-hidden=true]');
    if (!text.length || skipped) continue;
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    if (!e.checkVisibility({opacityProperty: true, visibilityProperty: true}) || box.width < 2)
      continue;
    const below = ground(e), [a, b] = [luminance(over(rgba(style.color), below)), luminance(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5))
      bad.add(`${ratio.toFixed(2)}:1 for "${text[0].data.trim().slice(0, 40)}" in ` +
              `${e.tagName}.${e.className}`);
  }
  return [...bad];
}"""


def low_contrast(visit: Visit) -> list[str]:
    """Text below 4.5:1 against its ground (3:1 when large), as WCAG 2 computes it."""
    return visit.page.evaluate(CONTRAST)


def wrong_theme(visit: Visit) -> list[str]:
    """Without a choice of the reader the page follows the system's light or dark."""
    found = visit.page.evaluate("document.documentElement.dataset.theme")
    return [] if found == visit.theme else [f"theme {found}, system {visit.theme}"]


def not_one_title(visit: Visit) -> list[str]:
    """Visible h1 elements other than one."""
    titles = visit.page.locator("h1:visible").all_inner_texts()
    return [] if len(titles) == 1 else [f"{len(titles)} titles: {titles}"]


def images_without_text(visit: Visit) -> list[str]:
    """Images without an alternative text."""
    return visit.page.evaluate(
        "[...document.images].filter(i => !i.alt.trim()).map(i => i.getAttribute('src'))"
    )


CHECKS: tuple[Callable[[Visit], list[str]], ...] = (
    console_errors,
    outside_requests,
    unrendered_mathematics,
    horizontal_overflow,
    low_contrast,
    wrong_theme,
    not_one_title,
    images_without_text,
)


def complaints(visit: Visit) -> dict[str, list[str]]:
    """Every complaint about the open page, under the name of the check."""
    return {check.__name__: found for check in CHECKS if (found := check(visit))}


# ---------------------------------------------------------------- checks of the files


class _Elements(HTMLParser):
    """Identifiers of a page, and the addresses it uses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id" and value:
                self.ids.append(value)
            if name in {"href", "src"} and value and tag != "base":
                self.links.append(value)


def broken_links(folder: Path) -> list[str]:
    """Addresses inside `folder` whose file or anchor does not exist, as ``page: address``."""
    pages = {p.resolve(): _Elements(p.read_text("utf-8")) for p in folder.glob("*.html")}
    broken = []
    for path, elements in pages.items():
        for link in elements.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            missing_anchor = anchor and target in pages and anchor not in pages[target].ids
            if not target.is_file() or missing_anchor:
                broken.append(f"{path.name}: {link}")
    return broken


def repeated_identifiers(folder: Path) -> list[str]:
    """Identifiers that occur more than once on a page, as ``page: identifier``."""
    repeated = []
    for path in folder.glob("*.html"):
        ids = _Elements(path.read_text("utf-8")).ids
        repeated += [f"{path.name}: {name}" for name in set(ids) if ids.count(name) > 1]
    return repeated
