"""What a notebook shows of a result: tables in HTML, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Return a table whose texts, from wherever they come, are escaped; the first column names its row."""

    def line(cells: Sequence[str], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    head = f"<caption>{escape(caption)}</caption><thead>{line(header, 'th')}</thead>"
    return f"<table>{head}<tbody>{body}</tbody></table>"


def drawn(draw: Callable[[Path], None]) -> Image.Image:
    """Return the picture that a function writes into a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        draw(path)
        with Image.open(path) as picture:
            picture.load()
            return picture


def png_of(draw: Callable[[Path], None]) -> bytes:
    """Return the PNG that a function writes into a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        draw(path)
        return path.read_bytes()
