"""A table on disk in parts, each written whole or not at all: what a killed computation need not repeat."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

from foveate.errors import UserError
from foveate.files.atomic import atomic_path
from foveate.files.parquet import read_parquet, write_parquet

_STAMP = b"foveate.parts"


@dataclass(frozen=True, slots=True)
class TableInParts:
    """Rows about `total` things, `size` of them in each part but the last.

    Args:
        folder: Holds a Parquet file for each part that is there.
        schema: Of the rows.
        total: How many things.
        size: Of a part.
        remake: What to call again where parts are missing or damaged, for the errors.
    """

    folder: Path
    schema: pa.Schema
    total: int
    size: int
    remake: str

    def __len__(self) -> int:
        """Return the number of parts."""
        return -(-self.total // self.size)

    def file(self, index: int) -> Path:
        """Return the file of one part."""
        return self.folder / f"{index:05d}.parquet"

    def members(self, index: int) -> slice:
        """Return which of the things a part is about."""
        return slice(index * self.size, min((index + 1) * self.size, self.total))

    def missing(self) -> tuple[int, ...]:
        """Return the parts that are still to be made."""
        return tuple(index for index in range(len(self)) if not self.file(index).exists())

    def write(self, index: int, rows: pa.Table) -> None:
        """Write one part; what was joined of the parts before is out of date."""
        write_parquet(self.file(index), rows.cast(self.schema), compression="zstd")
        self.joined.unlink(missing_ok=True)

    @property
    def joined(self) -> Path:
        """The file of all rows that `mapped` keeps beside the parts."""
        return self.folder.with_name(f"{self.folder.name}.arrow")

    def mapped(self) -> pa.Table:
        """Return all rows as `read` does, in memory that is the file's: nothing is read until it is looked at.

        The first call joins the parts in one uncompressed file, where it may write one.

        Raises:
            UserError: As `read` does.
        """
        if not self.missing():
            with suppress(OSError, pa.ArrowException):  # never joined, or damaged: the parts have it all
                joined = self._open()
                if (joined.schema.metadata or {}).get(_STAMP) == self._stamp():
                    return joined.replace_schema_metadata(self.schema.metadata)
        rows = self.read().combine_chunks()
        stamped = rows.replace_schema_metadata({_STAMP: self._stamp()})
        try:
            with atomic_path(self.joined) as temporary, pa.ipc.new_file(temporary, stamped.schema) as stream:
                stream.write_table(stamped)
        except UserError:  # a full disk, or a folder of somebody else
            return rows
        return self._open().replace_schema_metadata(self.schema.metadata)

    def _open(self) -> pa.Table:
        with pa.memory_map(str(self.joined)) as content:
            return pa.ipc.open_file(content).read_all()

    def _stamp(self) -> bytes:
        """Return what changes when a part is replaced, by whomever: of which parts the joined file is."""
        states = (self.file(index).stat() for index in range(len(self)))
        words = " ".join(f"{state.st_size}:{state.st_mtime_ns}" for state in states)
        return hashlib.sha256(words.encode()).hexdigest().encode()

    def read(self) -> pa.Table:
        """Return all rows, in the order of the things.

        Raises:
            UserError: Parts are missing or damaged.
        """
        missing = self.missing()
        if missing:
            raise UserError(
                f"a table is used when it is finished; {len(missing)} of {len(self)} parts of {self.folder} are "
                f"missing; give {self.remake} again: it goes on where it was stopped"
            )
        tables = [self.part(index) for index in range(len(self))]
        return pa.concat_tables(tables) if tables else self.schema.empty_table()

    def part(self, index: int) -> pa.Table:
        """Return the rows of one part.

        Raises:
            UserError: It is missing or damaged.
        """
        mend = f"remove that file and give {self.remake} again"
        return read_parquet(self.file(index), "a part of a table", mend, self.schema)
