"""What the site needs beside MkDocs: equations, the index of the log, and a look at what pages fetch from elsewhere."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import groupby
from typing import Any

from latex2mathml.converter import convert
from markdown.extensions.toc import slugify
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.pages import Page

_LOGGER = get_plugin_logger("site")
_WIDE = ("s3n.md", "guided_zoom.md", "macnn.md")
"""Pages whose figure takes the room of the table of contents."""
_FORMULA = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"^## (\d{4}-\d\d-\d\d): (.*)$", re.MULTILINE)
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\s(?:src|data)=["']?(?:https?:)?//[^"'\s>]*"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|preload|dns-prefetch|icon))[^>]*\shref=["']?(?:https?:)?//[^"'\s>]*"""
    r"""|@import\s+(?:url\()?["']?(?:https?:)?//[^"'\s)]*"""
)


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Put MathML in the place of equations, and the index before the log's first entry."""
    if page.file.src_uri in _WIDE:
        page.meta["hide"] = ["toc"]
    text = _FORMULA.sub(lambda found: formula(found[1]), markdown)
    return with_index(text) if page.file.src_uri == "log.md" else text


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Warn of a page that would fetch something from elsewhere; `--strict` makes an error of it."""
    for address in fetched_from_elsewhere(output):
        _LOGGER.warning("%s fetches from elsewhere: %s", page.file.src_uri, address)
    return output


def formula(latex: str) -> str:
    """Return an equation as MathML, which browsers draw without a script; each line is an equation of its own."""
    lines = [convert(line, display="block") for line in latex.splitlines() if line.strip()]
    return f'<div class="formula">{"".join(lines)}</div>'


def with_index(log: str) -> str:
    """Return the log with links to its entries, day by day, before the first."""
    entries = [(found[1], found[2]) for found in _ENTRY.finditer(log)]
    first = _ENTRY.search(log)
    if first is None:
        return log
    anchors = _anchors(entries)
    lines = []
    for day, of_day in groupby(zip(entries, anchors, strict=True), key=lambda each: each[0][0]):
        lines += [f"**{day}**\n", *(f"- [{title}](#{anchor})" for (_, title), anchor in of_day), ""]
    return "\n".join([log[: first.start()], *lines, log[first.start() :]])


def _anchors(entries: list[tuple[str, str]]) -> list[str]:
    """Return the ids that the headings are given; equal ones are counted."""
    seen, anchors = defaultdict[str, int](int), []
    for day, title in entries:
        anchor = slugify(f"{day}: {title}", "-")
        anchors.append(anchor if not seen[anchor] else f"{anchor}_{seen[anchor]}")
        seen[anchor] += 1
    return anchors


def fetched_from_elsewhere(html: str) -> list[str]:
    """Return the tags of a page by which a browser fetches something from another host; links to click do not count."""
    return _FETCHED.findall(html)
