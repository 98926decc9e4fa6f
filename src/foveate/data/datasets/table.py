"""A list of photographs: a CSV or Parquet file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from foveate.data.datasets.assembly import Row, Split, assemble, number_classes
from foveate.data.datasets.checks import checked_box, first_few
from foveate.data.records import ImageDataset
from foveate.errors import UserError
from foveate.types import Box

TEXTS, EDGES = ("image", "class_name", "split"), ("left", "top", "right", "bottom")
COLUMNS = (*TEXTS, "label", *EDGES)
SUFFIXES = (".csv", ".parquet")


def load_table(root: Path) -> ImageDataset:
    """Read a list, or the one list in a folder; image paths are relative to the list's folder.

    Columns: ``image``; ``label`` (whole numbers), ``class_name`` or both; optionally ``split`` (train or test;
    all is train without it) and ``left, top, right, bottom`` in pixels (see `foveate.types`), all four empty
    where a photograph has no box. Other columns are not read.

    Raises:
        UserError: A column is missing, or a value is not as said (or see `number_classes` and `assemble`).
    """
    path = root if root.is_file() else _only_list(root)
    folder = path.parent
    columns = _read(path)
    ids = [image.removeprefix("./") for image in _texts(path, columns, "image")]
    blank: list[None] = [None] * len(ids)
    numbers = _labels(path, columns["label"]) if "label" in columns else blank
    names = _texts(path, columns, "class_name") if "class_name" in columns else blank
    class_ids, class_names = number_classes(ids, numbers, names)
    rows = [
        Row(id, folder / id, class_id, split, box)
        for id, class_id, split, box in zip(ids, class_ids, _splits(path, columns), _boxes(path, columns), strict=True)
    ]
    return assemble(path.stem, rows, class_names)


def lists_in(folder: Path) -> list[Path]:
    """Return the CSV and Parquet files in a folder whose columns are those of a list, sorted by name."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    return sorted(path for path in files if not path.name.startswith(".") and _is_list(_header(path)))


def _only_list(folder: Path) -> Path:
    found = lists_in(folder)
    if len(found) != 1:
        raise UserError(
            "a list is one CSV or Parquet file with the columns image and label or class_name; "
            f"{folder} holds {first_few([path.name for path in found]) or 'none'}. Give the list's own path"
        )
    return found[0]


def _is_list(header: Sequence[str]) -> bool:
    return "image" in header and ("label" in header or "class_name" in header)


def _header(path: Path) -> list[str]:
    try:
        if path.suffix.lower() == ".parquet":
            return list(parquet.read_schema(path).names)
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            return next(csv.reader(stream), [])
    except (pa.ArrowException, csv.Error) as error:
        raise UserError(f"lists must be CSV or Parquet; {path} is not readable ({error}). Save it again") from error


def _read(path: Path) -> dict[str, list[Any]]:
    """Return the known columns of a list as Python values."""
    header = _header(path)
    wanted = [name for name in COLUMNS if name in header]
    if not _is_list(header) or len(wanted) != sum(name in COLUMNS for name in header):
        raise UserError(
            f"a list must have the columns image and label or class_name, each once; {path} has "
            f"{first_few(header, 12)}. Rename its columns"
        )
    try:
        if path.suffix.lower() == ".parquet":
            table = parquet.ParquetFile(path).read(columns=wanted)
        else:
            types = dict.fromkeys(TEXTS, pa.string()) | dict.fromkeys(EDGES, pa.float64())
            options = arrow_csv.ConvertOptions(column_types=types, include_columns=wanted)
            table = arrow_csv.read_csv(path, convert_options=options)
    except pa.ArrowException as error:
        raise UserError(f"{path} must be readable as a table ({error}). Correct it") from error
    return {name: table.column(name).to_pylist() for name in wanted}


def _texts(path: Path, columns: dict[str, list[Any]], name: str) -> list[str]:
    for row, value in enumerate(columns[name], start=1):
        if not isinstance(value, str) or not value:
            raise UserError(f"{name} must be text in every row of {path}; got {value!r} in row {row}. Fill it in")
    return columns[name]


def _labels(path: Path, column: Sequence[Any]) -> list[int]:
    for row, value in enumerate(column, start=1):
        spelled = isinstance(value, str) and value.isdecimal()
        if not spelled and (type(value) is not int or value < 0):
            raise UserError(
                f"labels must be whole numbers, 0 or more; {path} has {value!r} in row {row}. "
                "Correct it, or call the column class_name if it holds names"
            )
    return [int(value) for value in column]


def _splits(path: Path, columns: dict[str, list[Any]]) -> list[Split]:
    if "split" not in columns:
        return [Split.TRAIN] * len(columns["image"])
    known = {split.value: split for split in Split}
    for row, value in enumerate(columns["split"], start=1):
        if value not in known:
            raise UserError(f"split must be train or test; {path} has {value!r} in row {row}. Correct it")
    return [known[value] for value in columns["split"]]


def _boxes(path: Path, columns: dict[str, list[Any]]) -> list[Box | None]:
    present = [name for name in EDGES if name in columns]
    if not present:
        return [None] * len(columns["image"])
    if len(present) < len(EDGES):
        raise UserError(f"a box needs the columns {', '.join(EDGES)}; {path} has {', '.join(present)}. Add the rest")
    boxes: list[Box | None] = []
    for row, edges in enumerate(zip(*(columns[name] for name in EDGES), strict=True), start=1):
        empty = all(edge is None or edge != edge for edge in edges)
        boxes.append(None if empty else checked_box(edges, f"row {row} of {path}"))
    return boxes
