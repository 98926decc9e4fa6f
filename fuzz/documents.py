"""Every field of every document deleted, mistyped and doubled: the same answer, or one line; never another answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from foveate.errors import UserError
from foveate.evaluation.predictions import read_predictions
from foveate.files.documents import unstructured
from foveate.guided_zoom.pool import EvidencePool
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from fuzz.running import Say, Tally, Verdict, place_of, try_all
from fuzz.subjects import SLOW, Subjects, ask, judged

Place = tuple[str | int, ...]
_DEEP = "[" * 100_000
VALUES = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "minus one": "-1",
    "half": "0.5",
    "NaN": "NaN",
    "infinity": "Infinity",
    "text": '"hostile"',
    "digits": '"7"',
    "empty text": '""',
    "surrogate": '"\\ud800"',
    "NUL": '"a\\u0000b"',
    "long text": json.dumps("x" * 100_000),
    "empty list": "[]",
    "numbers": "[1, 2]",
    "words": '["a", "a"]',
    "object": "{}",
    "foreign object": '{"foreign": 1}',
    "300 digits": "1" + "0" * 300,
    "5,000 digits": "9" * 5000,
    "deep": _DEEP + "]" * 100_000,
    "deep and open": _DEEP,
}
_DELETED, _DOUBLED, _MARK = "deleted", "doubled", "\uf8ffmark\uf8ff"


@dataclass(frozen=True)
class Document:
    """A file that commands read: how they read it, and which command does."""

    folder: Path
    """What is copied before it is damaged."""
    file: str
    """Below it."""
    read: Callable[[Path], Any] | None
    """Reads it, given the folder, by the function that commands use; None: only a command does."""
    command: Callable[[Path], Sequence[object]]
    """The command that depends on it, given the folder."""

    @property
    def name(self) -> str:
        """Of the folder and the file."""
        return f"{self.folder.name}/{self.file}"

    @property
    def content(self) -> bytes:
        """As it was written."""
        return (self.folder / self.file).read_bytes()


class Damage(NamedTuple):
    """What is done to a document: at a place of JSON, or to a column or note of a table."""

    document: Document
    place: Place
    what: str

    @property
    def words(self) -> str:
        """Say so."""
        return f"{self.document.name}: {'.'.join(map(str, self.place)) or 'all of it'} {self.what}"


def places(tree: Any, prefix: Place = ()) -> Iterator[Place]:
    """Return the path of every value of a document, the whole of it first."""
    yield prefix
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in inner:
        yield from places(value, (*prefix, name))


def damages(document: Document) -> Iterator[Damage]:
    """Return everything that is done to a document."""
    if document.file.endswith(".parquet"):
        yield from (Damage(document, (), what) for what in _damaged_tables(document))
        return
    for place in places(json.loads(document.content)):
        for what in VALUES if not place else (_DELETED, *VALUES, *((_DOUBLED,) if isinstance(place[-1], str) else ())):
            yield Damage(document, place, what)


def damaged(damage: Damage) -> bytes:
    """Return the bytes of a damaged document."""
    if damage.document.file.endswith(".parquet"):
        return _damaged_tables(damage.document)[damage.what]
    if not damage.place:
        return VALUES[damage.what].encode()
    tree = json.loads(damage.document.content)
    inner = tree
    for step in damage.place[:-1]:
        inner = inner[step]
    value, key = inner[damage.place[-1]], damage.place[-1]
    if damage.what == _DELETED:
        del inner[key]
        return json.dumps(tree).encode()
    inner[key] = _MARK
    text, mark = json.dumps(tree), json.dumps(_MARK)
    if damage.what != _DOUBLED:
        return text.replace(mark, VALUES[damage.what]).encode()
    name = json.dumps(key)
    return text.replace(f"{name}: {mark}", f'{name}: {json.dumps(value)}, {name}: "other"').encode()


@cache
def _damaged_tables(document: Document) -> dict[str, bytes]:
    """Return a table without each column and note, and with each of them of another kind."""
    table = pq.read_table(pa.BufferReader(document.content))
    rows, notes = len(table), _notes(table.schema)
    others = {
        "texts": pa.array(["hostile"] * rows),
        "numbers": pa.array([-7] * rows),
        "fractions": pa.array([0.5] * rows),
        "nothing": pa.nulls(rows),
        "lists": pa.array([[1, 2]] * rows),
        "bytes": pa.array([b"\xff\x00"] * rows),
    }
    changed = {
        "no row": table.slice(0, 0),
        "one row": table.slice(0, 1),
        "rows twice": pa.concat_tables([table, table]),
        "a column more": table.append_column("foreign", pa.array([1] * rows)),
    }
    for index, name in enumerate(table.column_names):
        changed[f"column {name} deleted"] = table.remove_column(index)
        for kind, values in others.items():
            changed[f"column {name} of {kind}"] = table.set_column(index, name, values)
    for key in notes:
        without = {name: note for name, note in notes.items() if name != key}
        changed[f"note {key.decode()} deleted"] = table.replace_schema_metadata(without)
        for what, value in {**{k: v.encode() for k, v in VALUES.items()}, "not UTF-8": b"\xff\xfe"}.items():
            changed[f"note {key.decode()} {what}"] = table.replace_schema_metadata(without | {key: value})
    return {what: _written(each) for what, each in changed.items()}


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def _description(opened: Run | GuidedZoomRun | EvidencePool) -> Any:
    return json.loads(json.dumps(unstructured(opened.description)))


def documents(made: Subjects) -> tuple[Document, ...]:
    """Return every document that a command reads."""

    def predict(folder: Path) -> Sequence[object]:
        return ("predict", folder, made.photograph, *SLOW)

    def evaluate(folder: Path) -> Sequence[object]:
        return ("evaluate", folder, "--results", folder / "rows.jsonl", *SLOW)

    def trust(folder: Path) -> Sequence[object]:
        return ("trust", folder, "--pairs", 1, *SLOW)

    def again(folder: Path) -> Sequence[object]:
        return ("guided-zoom", made.plain, "--out", folder, "--epochs", 1, "--tuned", *SLOW)

    def answers(folder: Path) -> Any:
        table = read_predictions(folder / "evaluation/test-centre.parquet")
        return table.ids, table.labels.tolist(), table.probabilities.tolist(), table.class_names, table.metadata

    def patches(folder: Path) -> Any:
        pool = EvidencePool.open(folder / "pool")
        return pool.parts.read().to_pylist(), [each.patches for each in pool.summary()]

    def described(folder: Path) -> Any:
        return _description(Run.open(folder))

    def evidence(folder: Path) -> Any:
        return _description(GuidedZoomRun.open(folder).evidence_run())

    split = "splits/test-top-4-probabilities-mirrored"
    return (
        Document(made.plain, "run.json", described, predict),
        Document(made.s3n, "run.json", described, predict),
        Document(made.plain, "environment.json", lambda folder: Run.open(folder).environment(), evaluate),
        Document(made.plain, "metrics.json", lambda folder: Run.open(folder).metrics(), evaluate),
        Document(made.plain, "photographs.parquet", lambda folder: sorted(Run.open(folder).trained_ids()), evaluate),
        Document(made.plain, "evaluation/test-centre.parquet", answers, trust),
        Document(made.zoom, "guided_zoom.json", lambda folder: _description(GuidedZoomRun.open(folder)), predict),
        Document(made.zoom, "evidence/run.json", evidence, predict),
        Document(made.zoom, "pool/pool.json", lambda folder: _description(EvidencePool.open(folder / "pool")), again),
        Document(made.zoom, "pool/parts/00000.parquet", patches, again),
        Document(made.zoom, f"{split}/origin.json", None, trust),
        Document(made.zoom, f"{split}/00000.parquet", None, trust),
    )


_COPIES: dict[tuple[int, Path], Path] = {}


def _copy(folder: Path) -> Path:
    """Return this process's own copy of a folder, beside the folder, with which it goes."""
    key = os.getpid(), folder
    if key not in _COPIES:
        place = tempfile.mkdtemp(prefix="copy-", dir=folder.parent)
        _COPIES[key] = Path(shutil.copytree(folder, Path(place) / folder.name))
    return _COPIES[key]


class Checks:
    """Judges damaged documents by what was read of them before."""

    def __init__(self, made: Subjects) -> None:
        self.documents = documents(made)
        self.before = {document.name: document.read(document.folder) for document in self.documents if document.read}

    def reading(self, damage: Damage) -> Verdict:
        """Read a damaged document by the function that commands use; the copy's own is put back."""
        document = damage.document
        file = _copy(document.folder) / document.file
        try:
            file.write_bytes(damaged(damage))
            outcome, fault = self._read(damage)
        finally:
            file.write_bytes(document.content)
        return Verdict(outcome, f"{file.name}: {fault}" if fault else None, damage.words)

    def _read(self, damage: Damage) -> tuple[str, str | None]:
        document, folder = damage.document, _copy(damage.document.folder)
        assert document.read is not None
        try:
            after = document.read(folder)
        except UserError as error:
            page = "\n" in str(error) or len(str(error)) > 1500
            return "refused", "a message of a page or of several lines" if page else None
        except Exception as error:
            return "raised", f"{place_of(error)}"
        if _alike(after, self.before[document.name]):
            return "the same", None
        if _valid(damage, after):
            return "taken as it says", None
        if document.file.endswith(".parquet"):
            return "read", "a table of other columns gives another answer"
        kinds = {_DELETED: "a deleted field becomes a default", _DOUBLED: "of a doubled field the last one counts"}
        return "read", kinds.get(damage.what, "a mistyped field becomes something else")

    def command(self, damage: Damage) -> Verdict:
        """Give the command that depends on a damaged document, in a copy of its own."""
        expected = self._said(damage.document, damage.document.content)
        answer = self._said(damage.document, damaged(damage))
        verdict = judged(answer, damage.words, expected.out)
        if (
            verdict.fault == "gives another answer"
            and damage.document.read
            and self.reading(damage).outcome == "taken as it says"
        ):
            return verdict._replace(outcome="taken as it says", fault=None)
        kind = f"{Path(damage.document.file).name}, {answer_to(damage)}: {verdict.fault}"
        return verdict._replace(fault=kind if verdict.fault else None)

    def _said(self, document: Document, content: bytes) -> Any:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
            folder = Path(shutil.copytree(document.folder, Path(place) / document.folder.name))
            (folder / document.file).write_bytes(content)
            answer = ask(document.command(folder))
            return answer._replace(out=re.sub(r"[\d.]+ milliseconds", "", answer.out.replace(place, "")))


def answer_to(damage: Damage) -> str:
    """Name the command that was given."""
    return str(damage.document.command(damage.document.folder)[0])


def _alike(one: Any, other: Any) -> bool:
    """Compare as JSON does: 1 is 1.0, true is not 1, NaN is NaN."""
    return repr(_plain(one)) == repr(_plain(other))


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _plain(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_plain(value) for value in tree]
    return float(tree) if isinstance(tree, int) and not isinstance(tree, bool) and abs(tree) < 10**308 else tree


def _valid(damage: Damage, after: Any) -> bool:
    """Say whether what was read is what the document now says, without a hint that nobody meant it."""
    content = damaged(damage)
    if damage.document.file.endswith(".parquet"):
        schemas = [pq.read_schema(pa.BufferReader(each)) for each in (content, damage.document.content)]
        return schemas[0].equals(schemas[1]) and (
            damage.what.endswith(" object") or _notes(schemas[0]) == _notes(schemas[1])
        )
    try:
        said = json.loads(content)
        said.pop("schema_version", None)  # which the readers take off
        return damage.what != _DOUBLED and _alike(after, said)
    except (ValueError, RecursionError):
        return False


def _notes(schema: pa.Schema) -> dict[bytes, bytes]:
    return {name: note for name, note in (schema.metadata or {}).items() if name != b"ARROW:schema"}


def run(made: Subjects, count: int | None, seed: int, say: Say) -> tuple[Tally, Tally]:
    """Read every damaged document; give the commands for a share of them.

    Args:
        made: What is damaged, in copies.
        count: How many whole commands; None: 600.
        seed: Of the share.
        say: Receives lines of progress.
    """
    checks = Checks(made)
    cases = [damage for document in checks.documents for damage in damages(document)]
    read = [damage for damage in cases if damage.document.read is not None]
    readings = try_all(read, checks.reading, say=say, chunk=200, limit=20.0)
    order = np.random.default_rng(seed).permutation(len(cases))
    chosen = [cases[index] for index in order[: count or 600]]
    commands = try_all(chosen, checks.command, say=say, chunk=5, limit=60.0)
    return readings, commands
