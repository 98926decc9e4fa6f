"""Bulk work that is kept in parts: what is finished is not done again, and belongs to what it was made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from foveate.errors import UserError
from foveate.files.documents import read_json, write_json
from foveate.files.locks import working_in
from foveate.files.table_parts import TableInParts

PART = 2048
"""Things of a part, about: what an interrupted job may lose."""
_WORK, _PARTS = "work.json", "parts"


@contextmanager
def kept_parts(
    folder: Path, work: Mapping[str, Any], schema: pa.Schema, total: int, batch_size: int
) -> Iterator[TableInParts]:
    """Yield the parts of a job, those that are finished among them; nobody else works there meanwhile.

    Where none is finished in the end, or all were removed, the folder goes.

    Args:
        folder: It is made where it is missing.
        work: What the rows depend on, as JSON holds it: parts of other work are refused.
        schema: Of the rows.
        total: How many things the job is about.
        batch_size: Of those that are asked about together: a part holds whole batches.

    Raises:
        UserError: Another process works there, the folder holds parts of other work or something else, or it cannot be
            written to.
    """
    size = max(PART // batch_size, 1) * batch_size
    parts = TableInParts(folder / _PARTS, schema, total, size, "the same command")
    with working_in(folder, lambda: _finished(parts)):
        content = json.loads(json.dumps({**work, "total": total, "batch_size": batch_size}))
        _check_ours(folder)
        if _finished(parts):
            _check_same(folder, content)
        else:
            write_json(folder / _WORK, content)
        try:
            yield parts
        finally:
            if not _finished(parts):
                (folder / _WORK).unlink(missing_ok=True)
                with suppress(OSError):
                    parts.folder.rmdir()
    with suppress(OSError):  # parts are left in it
        folder.rmdir()


def tables_in_parts(
    parts: TableInParts, batch_size: int, make: Callable[[Sequence[slice]], Iterator[pa.Table]]
) -> Iterator[pa.Table]:
    """Return the rows about all things, in their order; those of missing parts are made, and kept part by part.

    Args:
        parts: As `kept_parts` yields them.
        batch_size: As there.
        make: Yields the rows about each of several batches, which are slices of the things.
    """
    batches = {index: _batches(parts.members(index), batch_size) for index in parts.missing()}
    return _tables(parts, batches, make([batch for part in batches.values() for batch in part]))


def _tables(
    parts: TableInParts, batches: Mapping[int, Sequence[slice]], made: Iterator[pa.Table]
) -> Iterator[pa.Table]:
    for index in range(len(parts)):
        if index in batches:
            tables = []
            for table in islice(made, len(batches[index])):
                tables.append(table)
                yield table
            parts.write(index, pa.concat_tables(tables))
        else:
            yield parts.part(index)


def _batches(members: slice, size: int) -> list[slice]:
    return [slice(start, min(start + size, members.stop)) for start in range(members.start, members.stop, size)]


def _finished(parts: TableInParts) -> bool:
    return any(parts.folder.glob("[!.]*.parquet"))


def _check_ours(folder: Path) -> None:
    others = [each.name for each in folder.iterdir() if each.name[0] != "."]
    if others and _WORK not in others:
        raise UserError(
            f"parts are kept in a folder of their own; {folder} holds {min(others)!r}; move it, or choose another place"
        )


def _check_same(folder: Path, content: Mapping[str, Any]) -> None:
    file = folder / _WORK
    before = read_json(file) if file.exists() else {}
    differing = ", ".join(name.replace("_", " ") for name in content if before.get(name) != content[name])
    if differing:
        raise UserError(
            f"parts go on with the work that they were begun for; those in {folder} are of another {differing}; give "
            "the same command as before, remove that folder, or choose another place"
        )
