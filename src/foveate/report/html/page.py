"""Turn what the report shows into HTML, every text from outside escaped (jinja2)."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from foveate.files.documents import write_text
from foveate.report.html.contents import ReportContents

_SECTIONS = (
    ("answer", "accuracy", "Answer"),
    ("comparison", "comparison", "Compared"),
    ("ladder", "ladder", "Tried"),
    ("twins", "twins", "Twins"),
    ("wrong", "wrong", "Wrong"),
    ("refinement", "refinement", "Evidence"),
    ("classes", "by_class", "Classes"),
    ("trust", "trust", "Trust"),
    ("labels", "suspects", "Labels"),
    ("gallery", "gallery", "Gallery"),
    ("data", "data", "Data"),
    ("learning", "learning", "Learning"),
    ("made", "made_by", "How made"),
)
"""Addresses, fields of the contents, and words, in the order of the page."""


def write_page(contents: ReportContents, path: Path, beside: Path | None = None, evidence_words: str = "") -> None:
    """Write the page whole or not at all.

    Args:
        contents: What it shows.
        path: Of the page.
        beside: The folder of its pictures, where they are not in the page; the gallery's data go there too.
        evidence_words: What is said of a wrong photograph without evidence.

    Raises:
        UserError: It cannot be written.
    """
    if beside is not None and contents.gallery:
        write_text(beside / "gallery.js", f"window.foveateGallery = {_in_script(contents.gallery_data())};\n")
    write_text(path, rendered(contents, None if beside is None else beside.name, evidence_words))


def rendered(contents: ReportContents, beside: str | None = None, evidence_words: str = "") -> str:
    """Return the page; arguments as in `write_page`."""
    environment = Environment(
        loader=PackageLoader("foveate.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        it=contents,
        sections=[(target, words) for target, name, words in _SECTIONS if getattr(contents, name)],
        beside=beside,
        evidence_words=evidence_words,
        style=_static("style.css"),
        script=_static("script.js"),
    )


def _static(name: str) -> str:
    return files("foveate.report.html").joinpath("static", name).read_text(encoding="utf-8")


def _in_script(value: object) -> str:
    """Return JSON that no browser takes for markup."""
    escaped = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    text = json.dumps(value, ensure_ascii=False)
    return "".join(escaped.get(character, character) for character in text)
