"""The rows of a list, each checked; what is wrong is named with its row."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from foveate.config.addresses import is_address, shown_address
from foveate.config.data import Split
from foveate.data.datasets.checks import checked_box, shown
from foveate.data.datasets.class_names import check_class_name
from foveate.data.datasets.columns import EDGES, Columns
from foveate.data.datasets.reading import LONGEST_NUMBER
from foveate.data.datasets.split_names import splits_of
from foveate.data.records import ImageSource
from foveate.data.roots import is_not_text
from foveate.errors import UserError
from foveate.files.remote_path import located
from foveate.types import Box

_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_OF_WINDOWS = re.compile(r"\\|^[A-Za-z]:/")


class Listed(NamedTuple):
    """One row of a list, checked; ``spelled`` is how the list, or its name, calls the split."""

    id: str
    image: ImageSource
    label: int | None
    class_name: str | None
    split: Split
    spelled: str | None
    box: Box | None
    group: str | None


def rows_of(columns: Columns, split: Split | None) -> Iterator[Listed]:
    """Yield the checked rows of a list, which is that of a split or says of each row which one it is.

    Raises:
        UserError: A value is missing or not as `load_table` says.
    """
    folder, count = columns.path.parent, len(columns.rows)
    names_of_images = _image_names(columns)
    ids = [shown_address(each) for each in names_of_images]
    images: Sequence[ImageSource] = columns.images or [
        located(each) if is_address(each) else folder / each for each in names_of_images
    ]
    labels, names = _labels(columns, count), _class_names(columns, count)
    splits = _splits(columns, split, count)
    for row in zip(ids, images, labels, names, splits, _boxes(columns, count), _groups(columns, count), strict=True):
        id, image, label, name, (own, spelled), box, group = row
        yield Listed(id, image, label, name, own, spelled, box, group)


def _image_names(columns: Columns) -> list[str]:
    names = []
    for index, value in enumerate(columns.values["image"]):
        if not isinstance(value, str) or not value:
            raise UserError(
                f"image must be text in every row of {columns.path}; got {shown(value)} in row {columns.rows[index]}. "
                "Fill it in"
            )
        if "\0" in value or is_not_text(value):
            raise UserError(
                f"image must be the path of a file, without NUL and half characters; got {shown(value)} in "
                f"{columns.place(index)}. Correct it"
            )
        names.append(value if columns.images else _own_path(value, columns, index).removeprefix("./"))
    return names


def _own_path(value: str, columns: Columns, index: int) -> str:
    """Return a path as this system spells it: one that Windows wrote has backslashes."""
    if os.name == "nt" or not _OF_WINDOWS.search(value) or (columns.path.parent / value).exists():
        return value
    if _DRIVE.match(value):
        raise UserError(
            f"image must be a path on this machine, best one below the list's folder; got {shown(value)} in "
            f"{columns.place(index)}. Leave out its beginning"
        )
    return value.replace("\\", "/")


def _class_names(columns: Columns, count: int) -> list[str | None]:
    if "class_name" not in columns.values:
        return _named_labels(columns, count) if columns.class_names else [None] * count
    names: list[str | None] = columns.values["class_name"]
    for index, value in enumerate(names):
        if not isinstance(value, str) or not value:
            raise UserError(
                f"class_name must be text in every row of {columns.path}; got {shown(value)} in row "
                f"{columns.rows[index]}. Fill it in"
            )
    for name in dict.fromkeys(names):
        check_class_name(name or "", columns.place(names.index(name)))
    return names


def _named_labels(columns: Columns, count: int) -> list[str | None]:
    """Return the class names of labels that the file names."""
    known = columns.class_names
    for index, label in enumerate(labels := _labels(columns, count)):
        if label is None or label >= len(known):
            raise UserError(
                f"labels must be those that the file names, 0 to {len(known) - 1}; got {label} in "
                f"{columns.place(index)}. Correct it"
            )
    return [known[label] for label in labels if label is not None]


def _labels(columns: Columns, count: int) -> list[int | None]:
    if "label" not in columns.values:
        return [None] * count
    labels = columns.values["label"]
    for index, value in enumerate(labels):
        spelled = isinstance(value, str) and value.strip().isdecimal() and len(value) <= LONGEST_NUMBER
        if not spelled and (type(value) is not int or not 0 <= value < 10**LONGEST_NUMBER):
            raise UserError(
                f"labels must be whole numbers, 0 or more, of at most {LONGEST_NUMBER} digits; {columns.path} has "
                f"{shown(value)} in row {columns.rows[index]}. Correct it, or call the column class_name if it holds "
                "names"
            )
    return [int(value) for value in labels]


def _splits(columns: Columns, named: Split | None, count: int) -> list[tuple[Split, str | None]]:
    """Return the split of each row, and how the list calls it."""
    if "split" not in columns.values:
        return [(named or Split.TRAIN, named and columns.path.name)] * count
    values = columns.values["split"]
    known = splits_of({value for value in values if isinstance(value, str)})
    for index, value in enumerate(values):
        if value not in known or (named is not None and known[value] is not named):
            rule = f"{named}, as the list's name says" if named else "train, validation or test"
            raise UserError(f"split must be {rule}; got {shown(value)} in {columns.place(index)}. Correct it")
    return [(known[value], value) for value in values]


def _boxes(columns: Columns, count: int) -> list[Box | None]:
    present = [name for name in EDGES if name in columns.values]
    if not present:
        return [None] * count
    if len(present) < len(EDGES):
        raise UserError(
            f"a box needs the columns {', '.join(EDGES)}; {columns.path} has {', '.join(present)}. Add the rest"
        )
    boxes: list[Box | None] = []
    for index, row in enumerate(zip(*(columns.values[name] for name in EDGES), strict=True)):
        edges = [_edge(value) for value in row]
        empty = all(edge is None or edge != edge for edge in edges)
        boxes.append(None if empty else checked_box(edges, columns.place(index)))
    return boxes


def _groups(columns: Columns, count: int) -> list[str | None]:
    """Return the group of each row; one that names none stands for itself."""
    if columns.group is None:
        return [None] * count
    return [None if value in (None, "") else str(value) for value in columns.values[columns.group]]


def _edge(value: Any) -> Any:
    """Return the number that a text spells, with a point or, as a spreadsheet may, a comma; else the value."""
    try:
        return float(value.replace(",", ".")) if isinstance(value, str) else value
    except ValueError:
        return value
