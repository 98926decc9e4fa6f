"""Parquet files: written whole or not at all, with a checksum in each page; read whole, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from foveate.errors import UserError
from foveate.files.atomic import atomic_path, check_no_pipe
from foveate.files.remote_path import source


def write_parquet(path: Path, table: pa.Table, *, compression: str = "snappy", dictionaries: bool = True) -> None:
    """Write a table.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression=compression, use_dictionary=dictionaries, write_page_checksum=True)


def read_parquet(path: Path, what: str, mend: str, schema: pa.Schema | None = None) -> pa.Table:
    """Read a table, and check what was written by the checksums that are in it.

    Args:
        path: The file.
        what: What it holds, for the error.
        mend: What to do where it cannot be used, for the error.
        schema: The columns that it must have; None: any.

    Raises:
        UserError: It is missing, damaged, or has other columns.
    """
    check_no_pipe(path)
    try:
        with pq.ParquetFile(source(path), page_checksum_verification=True) as file:
            table = file.read()
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0][:200]
        raise UserError(f"cannot read {path} as {what} ({reason}); {mend}") from error
    if schema is not None and not table.schema.equals(schema):
        raise UserError(f"{path} does not have the columns of {what}; {mend}")
    if any(column.null_count for column in table.columns):
        raise UserError(f"{path} has gaps in its columns; {mend}")
    return table
