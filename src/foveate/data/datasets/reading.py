"""Readers of what the archives keep their annotations in: text lists, MATLAB files, VOC boxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from foveate.data.datasets.checks import checked_box, first_few, shown
from foveate.errors import UserError
from foveate.files.remote_path import source
from foveate.types import Box

LONGEST_NUMBER = 18
"""Digits of a label or id."""
_VOC_EDGES = ("xmin", "ymin", "xmax", "ymax")


def read_lines(path: Path) -> list[str]:
    """Return the stripped lines of a UTF-8 list, without blank ones."""
    return [line.strip() for line in whole_lines(path)]


def whole_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 list as they are, without blank ones; only a line feed ends a line.

    Raises:
        UserError: It is not UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"lists must be UTF-8 text; {path} is not ({error}). Save it as UTF-8") from error
    return [line for line in lines if line.strip()]


def read_pairs(path: Path, keys: Iterable[str] = ()) -> dict[str, str]:
    """Read a list of ``key rest`` lines, which must speak of all of `keys`.

    Raises:
        UserError: A line has no rest, a key comes twice, or one of `keys` is absent.
    """
    pairs: dict[str, str] = {}
    for line in read_lines(path):
        key, _, rest = line.partition(" ")
        if not rest or key in pairs:
            rule = "each key once" if rest else "a key, a blank and its value on each line"
            raise UserError(f"{path} must hold {rule}; got {shown(line)}. Restore it from the archive")
        pairs[key] = rest.strip()
    absent = [key for key in keys if key not in pairs]
    if absent:
        raise UserError(
            f"{path} must have a line for every photograph; none for {first_few(absent)}. Restore it from the archive"
        )
    return pairs


def whole_number(text: str, where: str) -> int:
    """Return the integer that `text` spells, at least 0; else `UserError` naming the list."""
    if not text.isdecimal() or len(text) > LONGEST_NUMBER:
        raise UserError(f"ids in {where} must be whole numbers, 0 or more; got {shown(text)}. Correct that line")
    return int(text)


def numbers(text: str, count: int, where: str) -> list[float]:
    """Return the `count` numbers that `text` spells between blanks; else `UserError` naming the list."""
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        values = []
    if len(values) != count:
        raise UserError(f"{where} must hold {count} numbers after each id; got {shown(text)}. Correct that line")
    return values


def read_mat(path: Path, field: str) -> NDArray[Any]:
    """Return a variable of a MATLAB file, with at least one axis; `UserError` where it cannot be read."""
    try:
        file: Any = source(path)  # an open file is taken too, of which the stubs do not know
        return np.atleast_1d(loadmat(file, squeeze_me=True)[field])
    except Exception as error:  # what a damaged file makes the parser stumble over has no common type
        raise UserError(
            f"{path} must be the archive's MATLAB file with a variable {field!r}; reading it gave {error!r}. "
            "Restore it from the archive"
        ) from error


def read_voc(path: Path) -> list[float] | None:
    """Return left, top, right, bottom around all objects of a VOC file, as written; None if none."""
    try:
        boxes = list(ElementTree.parse(source(path)).iter("bndbox"))
        edges = [[float(box.findtext(tag, "")) for tag in _VOC_EDGES] for box in boxes]
    except FileNotFoundError:
        return None
    except (ElementTree.ParseError, ValueError) as error:
        raise UserError(f"{path} must be a VOC annotation ({error}). Restore it from the archive") from error
    if not edges:
        return None
    left, top, right, bottom = zip(*edges, strict=True)
    return [min(left), min(top), max(right), max(bottom)]


def inclusive_box(edges: Sequence[float], where: str) -> Box:
    """Return the box of the first and last pixel counted from 1, as MATLAB and VOC write it."""
    left, top, right, bottom = edges
    return checked_box((left - 1, top - 1, right, bottom), where)
