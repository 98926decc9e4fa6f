"""Every file of a run, a Guided Zoom and a pool lost or damaged; data sets and lists that nobody should have made."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fuzz.running import Say, Tally, Verdict, try_all
from fuzz.subjects import SLOW, TINY, Answer, Subjects, ask, judged

_NAMES = (
    *(
        b"caf\xe9.jpg",
        b"\xff\xfe.jpg",
        b"two\nlines.jpg",
        b"-rf.jpg",
        b"--help.jpg",
        b"%s%n.jpg",
        b"{}.jpg",
        b"[a-z].jpg",
    ),
    *(b"<b>&amp;\"'.jpg", "🦉.jpg".encode(), "\u202egpj.exe.jpg".encode(), b"x" * 251 + b".jpg", b" .jpg", b"a\\b.jpg"),
    *(b"\x01\x1b[31m.jpg", "e\u0301.jpg".encode(), b"a\tb.jpg", b"$(id).jpg", b"a;b,c.jpg", b"*.jpg", b"~.jpg"),
)


_VARYING = r"[\d.]+ (milliseconds|minutes)|replaces the .*\n|test-centre\S* was measured .*\n"


def _removed(file: Path) -> None:
    file.unlink()


def _emptied(file: Path) -> None:
    file.write_bytes(b"")


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def _flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[min(len(content) * 3 // 5 | 3, len(content) - 1)] ^= (
        64  # of a little-endian float32 the largest bit of its exponent
    )
    file.write_bytes(content)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def _nowhere(file: Path) -> None:
    file.unlink()
    file.symlink_to("/nowhere/at/all")


def _text(file: Path) -> None:
    file.write_bytes(b"<html>404</html>\n")


_DAMAGES = (_removed, _emptied, _cut, _flipped, _folder, _fifo, _loop, _nowhere, _text)


class Case(NamedTuple):
    """What is done, in words, and how it is judged, in an empty folder of its own."""

    words: str
    check: Callable[[Path], Verdict]


def _said(folder: Path, arguments: Sequence[object]) -> Answer:
    answer = ask(arguments)
    return answer._replace(
        out=re.sub(
            _VARYING,
            "",
            answer.out.replace(str(folder), ""),
        )
    )


def _of_folders(made: Subjects) -> list[Case]:
    """Each file of a finished run, a Guided Zoom and a pool, and the commands that use it."""
    named: dict[str, Callable[[Path], Sequence[object]]] = {
        "predict": lambda folder: ("predict", folder, made.photograph, *SLOW),
        "evaluate": lambda folder: ("evaluate", folder, "--results", folder.parent / "rows.jsonl", *SLOW),
        "trust": lambda folder: ("trust", folder, "--pairs", 1, *SLOW),
        "tune": lambda folder: ("tune", folder, *SLOW),
        "explain": lambda folder: ("explain", folder, made.photograph, "--out", folder.parent / "out", *SLOW),
        "guided-zoom": lambda folder: ("guided-zoom", made.plain, "--out", folder, "--epochs", 1, "--tuned", *SLOW),
        "pool export": lambda folder: ("pool", "export", folder / "pool", "--out", folder.parent / "out"),
    }
    used = {
        made.plain: ("predict", "evaluate", "trust"),
        made.s3n: ("predict", "evaluate", "explain"),
        made.zoom: ("predict", "trust", "tune", "guided-zoom", "pool export"),
    }

    @cache
    def expected(source: Path, name: str) -> str:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
            folder = Path(shutil.copytree(source, Path(place) / source.name))
            return _said(Path(place), named[name](folder)).out

    def case(source: Path, file: Path, damage: Callable[[Path], None], name: str) -> Case:
        def check(place: Path) -> Verdict:
            folder = Path(shutil.copytree(source, place / source.name))
            damage(folder / file)
            answer = _said(place, named[name](folder))
            usual = expected(source, name)
            if usual.strip() in answer.out:  # what is found anew is said, and then the same answer
                answer = answer._replace(out=usual)
            return _of_kind(f"{name}, {file.name}", judged(answer, words, usual))

        words = f"{source.name}/{file} {damage.__name__[1:]}, {name}"
        return Case(words, check)

    return [
        case(source, file.relative_to(source), damage, name)
        for source, names in used.items()
        for file in sorted(source.rglob("*"))
        if file.is_file() and "logs" not in file.parts
        for damage in _DAMAGES
        for name in names
    ]


def _of_kind(what: str, verdict: Verdict) -> Verdict:
    return verdict._replace(fault=f"{what}: {verdict.fault}") if verdict.fault else verdict


def _class_folders(root: Path, photograph: Path) -> Path:
    for name in ("owl", "wren"):
        (root / name).mkdir(parents=True)
        for number in range(4):
            shutil.copy(photograph, root / name / f"{name}-{number}.jpg")
    return root


def _bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.bind(str(path))


def _strange(folder: Path, photograph: bytes) -> dict[str, Callable[[], object]]:
    """Return what makes the things that a class folder may hold, by name."""
    spot = folder / "strange.jpg"
    named = {repr(raw): partial((folder / os.fsdecode(raw)).write_bytes, photograph) for raw in _NAMES}
    return named | {
        "a FIFO": partial(os.mkfifo, spot),
        "a socket": partial(_bind, spot),
        "a folder": spot.mkdir,
        "a loop": partial(spot.symlink_to, spot.name),
        "a link to nowhere": partial(spot.symlink_to, "/nowhere"),
        "a link to a device": partial(spot.symlink_to, "/dev/zero"),
        "a link above": partial((folder / "above").symlink_to, ".."),
        "a link to itself": partial((folder / "self").symlink_to, "."),
        "an empty file": spot.touch,
        "a text": partial(spot.write_text, "words"),
    }


def _of_data_sets(made: Subjects) -> list[Case]:
    """Photographs, classes and roots of hostile names and kinds, with every command that reads photographs."""
    content = made.photograph.read_bytes()
    calls: dict[str, Callable[[Path, Path], Sequence[object]]] = {
        "data": lambda root, out: ("data", root),
        "data, skip": lambda root, out: ("data", root, "--on-error", "skip"),
        "train": lambda root, out: ("train", "plain", "--data.root", root, "--out", out / "run", "--epochs", 1, *TINY),
        "predict": lambda root, out: ("predict", made.plain, root, "--out", out / "rows.csv", *SLOW),
        "predict, skip": lambda root, out: ("predict", made.plain, root, "--on-error", "skip", *SLOW),
        "explain": lambda root, out: ("explain", made.s3n, root / "owl", "--out", out / "pictures", *SLOW),
    }

    def of_photograph(what: str, name: str) -> Case:
        def check(place: Path) -> Verdict:
            root = _class_folders(place / "birds", made.photograph)
            _strange(root / "owl", content)[what]()
            return _of_kind(name, judged(ask(calls[name](root, place)), words))

        words = f"a photograph that is {what}, {name}"
        return Case(words, check)

    def of_class(raw: bytes, name: str) -> Case:
        def check(place: Path) -> Verdict:
            root = _class_folders(place / "birds", made.photograph)
            (root / "owl").rename(root / os.fsdecode(raw))
            (root / "owl").mkdir()
            shutil.copy(made.photograph, root / "owl")
            shutil.copy(made.photograph, root / "owl/2.jpg")
            return _of_kind(f"class, {name}", judged(ask(calls[name](root, place)), words))

        words = f"a class named {raw!r}, {name}"
        return Case(words, check)

    strange = list(_strange(Path(), b""))
    return [of_photograph(what, name) for what in strange for name in calls] + [
        of_class(raw, name) for raw in _NAMES for name in ("data", "train")
    ]


_CELLS: tuple[str, ...] = (
    "",
    "-1",
    "1.5",
    "nan",
    "é",
    '"',
    "None",
    "a\0b",
    "../../../etc/passwd",
    "/dev/zero",
    "\ufeff",
)
_CELLS += ("9" * 5000, "x" * 10000)


def _of_lists(made: Subjects, seed: int) -> list[Case]:
    """CSV, Parquet and shards, damaged by cells and by bytes."""

    def of(number: int) -> Case:
        kind, by_cells = ("csv", "parquet", "tar")[number % 3], number % 2 == 0
        words = f"list {number}, seed {seed}, {kind} damaged by {'cells' if by_cells else 'bytes'}"

        def check(place: Path) -> Verdict:
            generator = np.random.default_rng((seed, number))
            _class_folders(place, made.photograph)
            content = bytearray({"csv": _csv, "parquet": _parquet, "tar": _tar}[kind](place, generator, by_cells))
            for _ in range(0 if by_cells else int(generator.integers(1, 4))):
                at = int(generator.integers(len(content)))
                if generator.random() < 0.5:
                    del content[at - at % (512 if number % 4 == 1 else 1) :]  # half of the shards between two members
                    break
                content[at] = int(generator.integers(256))
            (place / f"list.{kind}").write_bytes(content)
            shards = ("data", place, "--format", "shards")
            answer = ask(shards if kind == "tar" else ("data", place / f"list.{kind}"))
            verdict = judged(answer, words)
            if kind == "tar" and not by_cells and answer.status == 0 and _counted(answer.out) != len(_rows()):
                verdict = verdict._replace(fault="photographs of a damaged shard are lost without a word")
            return _of_kind(f"data, {kind}", verdict)

        return Case(words, check)

    return [of(number) for number in range(240)]


def _counted(told: str) -> int:
    """Return how many photographs of all splits a description counts."""
    return sum(map(int, re.findall(r"\| *(?:train|validation|test) *\| *(\d+) *\|", told)))


def _rows() -> list[tuple[str, str, str]]:
    return [
        (f"{name}/{name}-{number}.jpg", name, ("train", "test")[number == 3])
        for number in range(4)
        for name in ("owl", "wren")
    ]


def _csv(place: Path, generator: np.random.Generator, by_cells: bool) -> bytes:
    rows = [["image", "class_name", "split"], *map(list, _rows())]
    for _ in range(int(generator.integers(1, 3)) if by_cells else 0):
        rows[int(generator.integers(len(rows)))][int(generator.integers(3))] = _CELLS[
            int(generator.integers(len(_CELLS)))
        ]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _parquet(place: Path, generator: np.random.Generator, by_cells: bool) -> bytes:
    columns = [pa.array(list(values)) for values in zip(*_rows(), strict=True)]
    if by_cells:
        values = (None, b"\xff", [1], 1.5, 10**18, _CELLS[int(generator.integers(len(_CELLS)))], {"bytes": b"no"})
        others = [pa.array([value] * len(_rows())) for value in values]
        columns[int(generator.integers(3))] = others[int(generator.integers(len(others)))]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, names=["image", "class_name", "split"]), sink)
    return bytes(sink.getvalue().to_pybytes())


def _tar(place: Path, generator: np.random.Generator, by_cells: bool) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number, (image, name, _) in enumerate(_rows()):
            members = {"jpg": (place / image).read_bytes(), "cls": str(int(name == "wren")).encode()}
            if by_cells and generator.random() < 0.2:
                members["cls"] = _CELLS[int(generator.integers(len(_CELLS)))].encode()
            for ending, content in members.items():
                member = tarfile.TarInfo(f"{number:05d}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    for name in ("owl", "wren"):
        shutil.rmtree(place / name)
    return stream.getvalue()


def check(case: Case) -> Verdict:
    """Judge one case in an empty folder of its own."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        return case.check(Path(place))


def cases(made: Subjects, seed: int) -> list[Case]:
    """Return all of them."""
    return [*_of_folders(made), *_of_data_sets(made), *_of_lists(made, seed)]


def run(made: Subjects, count: int | None, seed: int, say: Say) -> Tally:
    """Try all, or so many of them, drawn."""
    every = cases(made, seed)
    order = np.random.default_rng(seed).permutation(len(every))
    return try_all([every[index] for index in order[:count]], check, say=say, chunk=4, limit=25.0)
