"""Lists in Parquet: paths of photographs, or the photographs themselves, as Hugging Face keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from foveate.data.datasets.checks import first_few
from foveate.data.datasets.columns import Columns, check_group_column, wanted_columns
from foveate.data.parquet_images import COLUMN, FIELD, ParquetImage
from foveate.errors import UserError
from foveate.files.remote_path import source


def parquet_header(path: Path) -> list[str]:
    """Return the names of a Parquet file's columns."""
    return list(parquet.read_schema(source(path)).names)


def read_parquet(path: Path, group: str | None = None) -> Columns:
    """Read the known columns of a list; of photographs in it no byte is read.

    Args:
        path: The list.
        group: Its column of groups, if it has one.

    Raises:
        UserError: A column is missing or there twice, the photographs are neither paths nor bytes, or a text
            is damaged.
    """
    schema = parquet.read_schema(source(path))
    check_group_column(schema.names, group, path)
    columns = wanted_columns(schema.names, group)
    if columns is None:
        raise UserError(
            f"a list must have the columns image and label or class_name, each once; {path} has "
            f"{first_few(schema.names, 12) or 'none'}. Rename its columns"
        )
    kind = schema.field(COLUMN).type
    inside = _holds_bytes(path, kind)
    nested = pa.types.is_struct(kind)
    leaves = {COLUMN: f"{COLUMN}.path"} if nested and kind.get_field_index("path") >= 0 else {}
    read = [name for name in columns if name != COLUMN or not inside or (nested and leaves)]
    with parquet.ParquetFile(source(path)) as file:
        table = file.read(columns=[leaves.get(name, name) for name in read])
        count = file.metadata.num_rows
    values = {name: _values(path, table.column(name), name) for name in read}
    if COLUMN in values and nested:
        values[COLUMN] = [None if image is None else image["path"] for image in values[COLUMN]]
    rows = range(1, count + 1)
    names = _class_names(schema) if "class_name" not in columns else ()
    if not inside:
        return Columns(path, values, rows, class_names=names, group=group)
    values[COLUMN] = _names(path, values.get(COLUMN, []), count)
    size = path.stat().st_size
    images = [ParquetImage(path, row, size) for row in range(count)]
    return Columns(path, values, rows, images, class_names=names, group=group)


def _holds_bytes(path: Path, kind: pa.DataType) -> bool:
    """Whether the photographs are in the file, and not beside it.

    Raises:
        UserError: They are neither.
    """
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return False
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return True
    if pa.types.is_struct(kind) and (place := kind.get_field_index(FIELD)) >= 0:
        leaf = kind.field(place).type
        if pa.types.is_binary(leaf) or pa.types.is_large_binary(leaf):
            return kind.get_field_index("path") < 0 or not _is_empty(path, f"{COLUMN}.{FIELD}")
        if pa.types.is_null(leaf) and kind.get_field_index("path") >= 0:
            return False
    raise UserError(
        f"the column image must hold paths, bytes or Hugging Face's structs of both; that of {path} holds {kind}. "
        "Write it again"
    )


def _is_empty(path: Path, leaf: str) -> bool:
    """Whether a column has nothing in any row, by what the file says of itself."""
    metadata = parquet.read_metadata(source(path))
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [group.column(place) for group in groups for place in range(group.num_columns)]
    leaves = [column for column in columns if column.path_in_schema == leaf]
    return bool(leaves) and all(
        column.statistics is not None and column.statistics.null_count == column.num_values for column in leaves
    )


def _values(path: Path, column: pa.ChunkedArray, name: str) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} must be UTF-8 text in every row of {path}; row {_undecodable(column)} is not. Write it again"
        ) from error
    return values


def _undecodable(column: pa.ChunkedArray) -> int:
    """Return the first row whose text is not UTF-8."""
    for row, value in enumerate(column, start=1):
        try:
            value.as_py()
        except UnicodeDecodeError:
            return row
    return 0


def _names(path: Path, paths: list[Any], count: int) -> list[str]:
    """Return a name for each photograph in a file: its path where every one has its own, else its row."""
    if len(set(paths)) == count and all(paths):
        return [f"{path.name}/{each}" for each in paths]
    return [f"{path.name}/{row:06d}" for row in range(1, count + 1)]


def _class_names(schema: pa.Schema) -> tuple[str, ...]:
    """Return the names of the labels as Hugging Face notes them in a schema; nothing where it does not."""
    try:
        notes = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = notes["info"]["features"]["label"]["names"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()
