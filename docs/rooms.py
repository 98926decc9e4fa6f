"""Draw the rooms of the code, one on top of what it rests on: docs/images/rooms.svg, from the contract and the code."""

from __future__ import annotations

import ast
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "foveate"
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
_WIDTH, _HEIGHT, _GAP, _EDGE = 980, 46, 8, 12
_HIDDEN = ("__main__", "_version")


def layers() -> list[list[str]]:
    """Return the rooms of each layer that the contract names, the topmost first."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = content["tool"]["importlinter"]["contracts"][0]["layers"]
    rooms = [[room.strip() for room in layer.replace("|", ":").split(":")] for layer in named]
    return [left for each in rooms if (left := [room for room in each if room not in _HIDDEN])]


def words_of(room: str) -> str:
    """Return what a room says of itself, its first sentence."""
    file = SOURCE / room / "__init__.py" if (SOURCE / room).is_dir() else SOURCE / f"{room}.py"
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()[0]


def picture() -> str:
    """Return the SVG."""
    rows = layers()
    height = 2 * _EDGE + len(rows) * (_HEIGHT + _GAP) - _GAP
    boxes = [box for number, rooms in enumerate(rows) for box in _row(rooms, _EDGE + number * (_HEIGHT + _GAP))]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            *boxes,
            "</svg>\n",
        )
    )


def _row(rooms: list[str], top: int) -> list[str]:
    width = (_WIDTH - 2 * _EDGE - (len(rooms) - 1) * _GAP) // len(rooms)
    boxes = []
    for number, room in enumerate(rooms):
        left = _EDGE + number * (width + _GAP)
        name = f"{room}/" if (SOURCE / room).is_dir() else f"{room}.py"
        words, letters = words_of(room), (width - 24) // 7
        words = words if len(words) <= letters else f"{words[: letters - 1].rsplit(' ', 1)[0]} …"
        boxes += [
            f'<rect x="{left}" y="{top}" width="{width}" height="{_HEIGHT}" rx="5" fill="#eef3f8" stroke="#5b7a99"/>',
            f'<text x="{left + 12}" y="{top + 19}" font-size="15" font-weight="bold" fill="#1d3347">{name}</text>',
            f'<text x="{left + 12}" y="{top + 37}" font-size="13" fill="#333333">{escape(words)}</text>',
        ]
    return boxes


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
