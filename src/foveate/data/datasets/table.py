"""A list of photographs: a CSV or Parquet file, or one for each split."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from foveate.data.datasets.assembly import Row, assemble, number_classes
from foveate.data.datasets.checks import checked_box, first_few, shown
from foveate.data.datasets.class_names import check_class_name
from foveate.data.datasets.columns import EDGES, Columns, is_list
from foveate.data.datasets.csv_lists import csv_header, read_csv
from foveate.data.datasets.links import check_one_class_each
from foveate.data.datasets.parquet_lists import parquet_header, read_parquet
from foveate.data.datasets.reading import LONGEST_NUMBER
from foveate.data.datasets.split_names import Split, file_splits, splits_line, splits_of, used_splits
from foveate.data.records import ImageDataset, ImageSource
from foveate.data.roots import is_not_text
from foveate.errors import UserError
from foveate.types import Box

SUFFIXES = (".csv", ".tsv", ".parquet")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_OF_WINDOWS = re.compile(r"\\|^[A-Za-z]:/")


def load_table(root: Path) -> ImageDataset:
    """Read a list, or the lists in a folder; image paths are relative to the list's folder.

    Columns: ``image``; ``label`` (whole numbers), ``class_name`` or both; optionally ``split`` (train, validation or
    test under their usual names; all is train without it) and ``left, top, right, bottom`` in pixels (see
    `foveate.types`), all four empty where a photograph has no box. Other columns are not read. A Parquet file may hold
    the photographs themselves: ``image`` is then bytes, or Hugging Face's struct of bytes and path.

    Several lists in a folder are one data set where each is called as a split is: ``train.csv`` and ``test.csv``, or
    ``train-00000-of-00002.parquet``. A validation split is the test split where there is none.

    Raises:
        UserError: A column is missing, or a value is not as said (or see `number_classes` and `assemble`).
    """
    lists, notes = ([root], _beside(root)) if root.is_file() else _lists_of(root)
    named = file_splits([path.stem for path in lists]) if len(lists) > 1 else {}
    rows: list[_Listed] = []
    for path in lists:
        columns, split = _read(path), named.get(path.stem)
        notes += columns.notes
        if split in (Split.TEST, Split.VALIDATION) and _is_unlabelled(columns):
            notes.append(_without_labels(path))
        else:
            rows += _rows(columns, split)
    if any(row.spelled is not None for row in rows):
        notes.append(splits_line(_spellings(rows)))
    used = used_splits(row.split for row in rows)
    class_ids, class_names = number_classes(
        [row.id for row in rows], [row.label for row in rows], [row.class_name for row in rows]
    )
    assembled = [
        Row(row.id, row.image, class_id, used[row.split], row.box)
        for row, class_id in zip(rows, class_ids, strict=True)
    ]
    check_one_class_each(assembled, class_names, str(root))
    return assemble(lists[0].stem if len(lists) == 1 else root.resolve().name, assembled, class_names, notes=notes)


def lists_in(folder: Path) -> list[Path]:
    """Return the CSV and Parquet files in a folder whose columns are those of a list, sorted by name."""
    return [path for path in _tables_in(folder) if is_list(_header(path))]


def _tables_in(folder: Path) -> list[Path]:
    files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    return sorted(path for path in files if not path.name.startswith("."))


def _lists_of(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the one list of a folder, or that of each split, and what is to be said of others."""
    lists = lists_in(folder)
    if not lists or (len(lists) > 1 and not file_splits([path.stem for path in lists])):
        raise UserError(
            "a list is one CSV or Parquet file with the columns image and label or class_name, or one for each split "
            f"(train.csv, test.csv); {folder} holds {first_few([path.name for path in lists]) or 'none'}. Give the "
            "list's own path"
        )
    others = [path for path in _tables_in(folder) if path not in lists]
    return lists, [_without_labels(path) for path in others if file_splits([lists[0].stem, path.stem])]


def _beside(path: Path) -> list[str]:
    """Say which lists beside one belong to it by their names, and are not read."""
    others = [each.name for each in _tables_in(path.parent) if file_splits([path.stem, each.stem]) and each != path]
    if not others:
        return []
    return [f"warning: beside {path.name} lies {first_few(others)}, which is not read; give the folder to read all"]


def _without_labels(path: Path) -> str:
    return f"warning: {path.name} has no labels: it is left out; let `foveate predict` name its photographs"


def _is_unlabelled(columns: Columns) -> bool:
    """Whether a list says of no photograph what it shows; Hugging Face writes -1 for that."""
    values = [*columns.values.get("label", ()), *columns.values.get("class_name", ())]
    return bool(values) and all(value in (None, -1, "-1") for value in values)


def _header(path: Path) -> list[str]:
    try:
        return parquet_header(path) if path.suffix.lower() == ".parquet" else csv_header(path)
    except (pa.ArrowException, csv.Error, OSError) as error:
        raise _unreadable(path, error) from error


def _read(path: Path) -> Columns:
    try:
        return read_parquet(path) if path.suffix.lower() == ".parquet" else read_csv(path)
    except (pa.ArrowException, csv.Error, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = str(error).partition("\n")[0][:200]
    return UserError(f"lists must be CSV or Parquet; {path} is not readable ({reason}). Save it again")


class _Listed(NamedTuple):
    """One row of a list, checked; ``spelled`` is how the list, or its name, calls the split."""

    id: str
    image: ImageSource
    label: int | None
    class_name: str | None
    split: Split
    spelled: str | None
    box: Box | None


def _rows(columns: Columns, split: Split | None) -> Iterator[_Listed]:
    """Yield the checked rows of a list, which is that of a split or says of each row which one it is."""
    folder, count = columns.path.parent, len(columns.rows)
    ids = _image_names(columns)
    images: Sequence[ImageSource] = columns.images or [folder / id for id in ids]
    labels, names = _labels(columns, count), _class_names(columns, count)
    splits = _splits(columns, split, count)
    for row in zip(ids, images, labels, names, splits, _boxes(columns, count), strict=True):
        id, image, label, name, (own, spelled), box = row
        yield _Listed(id, image, label, name, own, spelled, box)


def _spellings(rows: Sequence[_Listed]) -> dict[Split, str]:
    """Return how each split is called, all ways together."""
    ways: dict[Split, dict[str, None]] = {}
    for row in rows:
        ways.setdefault(row.split, {})[row.spelled or ""] = None
    return {split: first_few(list(spelled)) for split, spelled in ways.items()}


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


def _edge(value: Any) -> Any:
    """Return the number that a text spells, with a point or, as a spreadsheet may, a comma; else the value."""
    try:
        return float(value.replace(",", ".")) if isinstance(value, str) else value
    except ValueError:
        return value
