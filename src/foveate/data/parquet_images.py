"""Photographs whose bytes are a column of a Parquet file, as Hugging Face keeps data sets."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from pathlib import Path
from threading import Lock

import pyarrow as pa
from pyarrow import parquet
from typing_extensions import override

from foveate.data.records import ArchiveMember
from foveate.files.remote_path import source

COLUMN, FIELD = "image", "bytes"


class ParquetImage(ArchiveMember):
    """The photograph in one row of a Parquet file, read only when it is needed.

    ``offset`` is the row, from 0; ``length`` the file's bytes, since the photograph's own are known only by reading it.
    A file is read a row group at a time, and the groups that were read last are kept, up to `KEPT` bytes a process.
    """

    __slots__ = ()

    @override
    def read(self) -> bytes:
        """Return the row's bytes; none where the row has no photograph."""
        group, first = _GROUPS.group_of(self.archive, self.offset)
        content = group[self.offset - first].as_py()
        return content if isinstance(content, bytes) else b""


KEPT = 256 * 2**20
"""Bytes of the row groups that stay in memory, so that neighbouring photographs are read once."""


class _Groups:
    """The row groups that were read last; threads may ask at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._starts: dict[Path, list[int]] = {}
        self._groups: OrderedDict[tuple[Path, int], pa.ChunkedArray] = OrderedDict()

    def group_of(self, path: Path, row: int) -> tuple[pa.ChunkedArray, int]:
        """Return the bytes of the row group that holds a row, and its first row."""
        with self._lock:
            starts = self._starts.get(path) or self._starts.setdefault(path, _starts(path))
            number = bisect_right(starts, row) - 1
            group = self._groups.pop((path, number), None)
            if group is None:
                group = _read(path, number)
            self._groups[path, number] = group
            while len(self._groups) > 1 and sum(each.nbytes for each in self._groups.values()) > KEPT:
                self._groups.popitem(last=False)
            return group, starts[number]


_GROUPS = _Groups()


def _starts(path: Path) -> list[int]:
    """Return the first row of each row group."""
    metadata = parquet.read_metadata(source(path))
    counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    return [sum(counts[:number]) for number in range(len(counts))]


def _read(path: Path, group: int) -> pa.ChunkedArray:
    with parquet.ParquetFile(source(path)) as file:
        nested = pa.types.is_struct(file.schema_arrow.field(COLUMN).type)
        column = file.read_row_group(group, columns=[f"{COLUMN}.{FIELD}" if nested else COLUMN]).column(COLUMN)
    if not nested:
        return column
    return pa.chunked_array([chunk.field(FIELD) for chunk in column.chunks])
