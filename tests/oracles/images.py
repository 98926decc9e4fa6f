"""What the standards say about orientation and transparency, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Pixel = TypeVar("Pixel")

ROW_0_AND_COLUMN_0 = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
"""EXIF 2.3, tag 0x112: the visual side at which the stored row 0 lies, then that of the stored column 0."""


def naive_upright(stored: Sequence[Sequence[Pixel]], orientation: int) -> list[list[Pixel]]:
    """Turn a stored picture upright by asking for each visual pixel how far it is from row 0 and from column 0."""
    side_of_row, side_of_column = ROW_0_AND_COLUMN_0[orientation]
    turned = side_of_row in {"left", "right"}
    height, width = (len(stored[0]), len(stored)) if turned else (len(stored), len(stored[0]))
    upright = []
    for y in range(height):
        line = []
        for x in range(width):
            distance = {"top": y, "bottom": height - 1 - y, "left": x, "right": width - 1 - x}
            line.append(stored[distance[side_of_row]][distance[side_of_column]])
        upright.append(line)
    return upright


def naive_over_white(shade: int, alpha: int) -> int:
    """Lay one channel of a see-through pixel over white."""
    return round((shade * alpha + 255 * (255 - alpha)) / 255)
