"""A list of photographs: a CSV or Parquet file, or one for each split."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from foveate.config.data import Split
from foveate.data.datasets.assembly import Row, assemble, number_classes
from foveate.data.datasets.checks import first_few
from foveate.data.datasets.columns import Columns, is_list
from foveate.data.datasets.csv_lists import csv_header, read_csv
from foveate.data.datasets.duplicates import check_one_class_each
from foveate.data.datasets.list_rows import Listed, rows_of
from foveate.data.datasets.parquet_lists import parquet_header, read_parquet
from foveate.data.datasets.split_names import file_splits, splits_line, used_splits
from foveate.data.records import ImageDataset
from foveate.errors import UserError

SUFFIXES = (".csv", ".tsv", ".parquet")
"""Of files that may be lists."""
_UNREADABLE = (pa.ArrowException, csv.Error, OSError, UnicodeDecodeError)  # the last: names of columns in Parquet


def load_table(root: Path, group_column: str | None = None) -> ImageDataset:
    """Read a list, or the lists in a folder; image paths are relative to the list's folder, or addresses.

    Columns: ``image``; ``label`` (whole numbers), ``class_name`` or both; optionally ``split`` (train, validation or
    test under their usual names; all is train without it) and ``left, top, right, bottom`` in pixels (see
    `foveate.types`), all four empty where a photograph has no box. Other columns are not read. A Parquet file may hold
    the photographs themselves: ``image`` is then bytes, or Hugging Face's struct of bytes and path.

    Several lists in a folder are one data set where each is called as a split is: ``train.csv`` and ``test.csv``, or
    ``train-00000-of-00002.parquet``. A validation split is the test split where there is none.

    Args:
        root: The list, or the folder of lists.
        group_column: What names the group of a photograph; None: each stands for itself.

    Raises:
        UserError: A column is missing, or a value is not as said (or see `number_classes` and `assemble`).
    """
    lists, notes = ([root], _beside(root)) if root.is_file() else _lists_of(root)
    named = file_splits([path.stem for path in lists]) if len(lists) > 1 else {}
    rows: list[Listed] = []
    for path in lists:
        columns, split = _read(path, group_column), named.get(path.stem)
        notes += columns.notes
        if split in (Split.TEST, Split.VALIDATION) and _is_unlabelled(columns):
            notes.append(_without_labels(path))
        else:
            rows += rows_of(columns, split)
    if any(row.spelled is not None for row in rows):
        notes.append(splits_line(_spellings(rows)))
    used = used_splits(row.split for row in rows)
    class_ids, class_names = number_classes(
        [row.id for row in rows], [row.label for row in rows], [row.class_name for row in rows]
    )
    assembled = [
        Row(row.id, row.image, class_id, used[row.split], row.box, group=row.group)
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
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _read(path: Path, group: str | None) -> Columns:
    try:
        return read_parquet(path, group) if path.suffix.lower() == ".parquet" else read_csv(path, group)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = str(error).partition("\n")[0][:200]
    return UserError(f"lists must be CSV or Parquet; {path} is not readable ({reason}). Save it again")


def _spellings(rows: Sequence[Listed]) -> dict[Split, str]:
    """Return how each split is called, all ways together."""
    ways: dict[Split, dict[str, None]] = {}
    for row in rows:
        ways.setdefault(row.split, {})[row.spelled or ""] = None
    return {split: first_few(list(spelled)) for split, spelled in ways.items()}
