"""Files of answers, written batch by batch and whole or not at all: CSV, JSON, Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from foveate.data.records import ArchiveMember, ImageRecord, photograph_of
from foveate.data.roots import shown_path
from foveate.errors import UserError
from foveate.files.atomic import atomic_path
from foveate.files.csv_cells import PlainCSV
from foveate.types import Prediction
from foveate.workflows.model import Named

Row = Mapping[str, Any]
_Write = Callable[[Sequence[Row]], None]

NAMES = pa.schema({"image": pa.string(), "class_name": pa.string()})
"""Columns of a file of names."""

ANSWERS = pa.schema(
    {
        "image": pa.string(),
        "rank": pa.int64(),
        "class_name": pa.string(),
        "probability": pa.float64(),
        "entropy": pa.float64(),
        "sure": pa.bool_(),
    }
)
"""Columns of a file of answers, which has one row for each class of each answer: entropy is in nats."""

_SET = (pa.field("in_set", pa.bool_()),)
_FIRST = (
    pa.field("first_class_name", pa.string()),
    pa.field("first_probability", pa.float64()),
    pa.field("changed", pa.bool_()),
)

_ROW_GROUP = 16384  # rows of a Parquet file that are written together


def answers_schema(*, sets: bool = False, first: bool = False) -> pa.Schema:
    """Return the columns of a file of answers.

    Args:
        sets: Whether a coverage was asked for; classes of the set that rank below the others follow them.
        first: Whether a Guided Zoom answers: what its network answered first, and whether the evidence changed that.
    """
    return pa.schema([*ANSWERS, *(_SET if sets else ()), *(_FIRST if first else ())])


def rows_of(answer: Prediction, *, judged: bool = True) -> list[Row]:
    """Return an answer as rows of its `answers_schema`, the best class first.

    Args:
        answer: One answer.
        judged: Whether it was asked how sure it is; else that column is empty.
    """
    further: dict[str, object] = {}
    if answer.first is not None:
        name = shown_path(answer.first.class_name)
        further = {"first_class_name": name, "first_probability": answer.first.probability, "changed": answer.changed}
    listed = max(answer.top, answer.prediction_set or (), key=len)  # both are the best classes, in one order
    return [
        {
            "image": shown_path(answer.image),
            "rank": rank,
            "class_name": shown_path(ranked.class_name),
            "probability": ranked.probability,
            "entropy": answer.entropy,
            "sure": answer.sure if judged else None,
        }
        | ({} if answer.prediction_set is None else {"in_set": rank <= len(answer.prediction_set)})
        | further
        for rank, ranked in enumerate(listed, 1)
    ]


def row_of(named: Named) -> list[Row]:
    """Return a name as the row of `NAMES`."""
    return [{"image": shown_path(named.image), "class_name": shown_path(named.class_name)}]


def place_of(record: ImageRecord) -> str:
    """Return the file of a photograph, or of the archive that holds it; nothing where that is not known."""
    photograph = photograph_of(record.image)
    if isinstance(photograph, ArchiveMember):
        photograph = photograph.archive
    return "" if isinstance(photograph, bytes) else shown_path(photograph)


def write_answers(path: Path, answers: Iterable[Prediction], *, sets: bool = False, first: bool = False) -> None:
    """Write answers as CSV, JSON or Parquet, by the file's ending: one row for each class of each answer.

    Args:
        path: The file.
        answers: Each with a `prediction_set` or none with one.
        sets: Whether they have one.
        first: Whether they have a `first` answer.

    Raises:
        UserError: The ending is another one, or the file cannot be written.
    """
    with answer_file(path, answers_schema(sets=sets, first=first)) as write:
        for answer in answers:
            write(rows_of(answer))


def check_file(path: Path) -> None:
    """Refuse a file that answers are not written to.

    Raises:
        UserError: Its ending is another one, or it is a folder.
    """
    if path.suffix.lower() not in _WRITERS:
        raise UserError(f"answers are written as {', '.join(_WRITERS)}; got {path.name!r}; choose one of these endings")
    if path.is_dir():
        raise UserError(f"answers are written to a file; {path} is a folder; name a file in it")


@contextmanager
def answer_file(path: Path, schema: pa.Schema) -> Iterator[_Write]:
    """Yield what adds rows to a file, which is there, whole, when the block has succeeded; no row is kept in memory.

    Raises:
        UserError: The ending is another one, or the file cannot be written; what was there before is untouched.
    """
    check_file(path)
    with atomic_path(path) as temporary, _WRITERS[path.suffix.lower()](temporary, schema) as write:
        yield write


@contextmanager
def _csv(path: Path, schema: pa.Schema) -> Iterator[_Write]:
    with path.open("w", encoding="utf-8", newline="") as stream:
        yield PlainCSV(stream, schema.names).write


@contextmanager
def _json(path: Path, _: pa.Schema) -> Iterator[_Write]:
    with path.open("w", encoding="utf-8") as stream:
        before = "["

        def write(rows: Sequence[Row]) -> None:
            nonlocal before
            for row in rows:
                text = json.dumps(row, indent=1, ensure_ascii=False).replace("\n", "\n ")
                stream.write(f"{before}\n {text}")
                before = ","

        yield write
        stream.write("[]\n" if before == "[" else "\n]\n")


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[_Write]:
    waiting: list[Row] = []
    with pq.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(waiting, schema))
            waiting.clear()

        def write(rows: Sequence[Row]) -> None:
            waiting.extend(rows)
            if len(waiting) >= _ROW_GROUP:
                flush()

        yield write
        flush()


_WRITERS: Mapping[str, Callable[[Path, pa.Schema], AbstractContextManager[_Write]]] = {
    ".csv": _csv,
    ".json": _json,
    ".parquet": _parquet,
}
