"""Write a drawn data set in the layout of CUB-200-2011, in parallel, so that a break costs one picture a worker."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from foveate.errors import UserError
from foveate.files.atomic import atomic_path
from foveate.plumage.config import PlumageConfig
from foveate.plumage.rendering import Drawing, render
from foveate.plumage.species import PART_NAMES, species_at
from foveate.types import Box, PartPoint

_FINISHED = "plumage.json"
_UNFINISHED = "plumage.unfinished.json"
_EDITION = 1  # raise it when a change of the code changes the pictures
_ADDED = ("bird", "marks", "difference")  # fields of the config that there were not at first
_CHUNK = 8


class Note(NamedTuple):
    """What is known of one picture; it travels inside the JPEG, as its comment."""

    box: Box
    parts: tuple[PartPoint, ...]
    hidden: tuple[PartPoint, ...]


def draw_plumage(
    root: Path,
    config: PlumageConfig = PlumageConfig(),  # noqa: B008
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Draw the data set below ``root`` in the layout of CUB-200-2011 and return ``root``.

    Nothing is done where the finished set already is; an interrupted one is continued. The pictures' bytes depend
    on the config only. Boxes are written as x, y, width, height and points as x, y, in continuous pixels (see
    `foveate.types`); the box may be partly hidden, a hidden part has visibility 0.

    Args:
        root: Folder of the data set; made where it is missing.
        config: What to draw.
        workers: Processes; one per core where None. A script needs no ``if __name__ == "__main__":`` for it.
        progress: Called with the number of pictures there are and the number there will be.

    Raises:
        UserError: ``root`` holds something else, or ``workers`` is below 1.
    """
    if workers is not None and workers < 1:
        raise UserError(f"workers must be at least 1, or None for one per core; got {workers}")
    if _is_finished(root, config):
        return root
    (root / "parts").mkdir(parents=True, exist_ok=True)
    _write_text(root / _UNFINISHED, _identity(config))
    tasks = list(product(range(config.species), range(config.per_species)))
    for species in range(config.species):
        (root / "images" / _folder(species)).mkdir(parents=True, exist_ok=True)
    notes = []
    for note in _notes(partial(_draw_one, root, config), tasks, workers or os.cpu_count() or 1):
        notes.append(note)
        if progress is not None:
            progress(len(notes), len(tasks))
    _write_tables(root, config, tasks, notes)
    (root / _UNFINISHED).replace(root / _FINISHED)
    return root


def _is_finished(root: Path, config: PlumageConfig) -> bool:
    """Whether the set is there; raise where ``root`` holds anything but this config's set."""
    if root.exists() and not root.is_dir():
        raise UserError(f"the drawn data set needs a folder; {root} is a file: name another path")
    if not root.exists() or not any(root.iterdir()):
        return False
    for marker in (_FINISHED, _UNFINISHED):
        if (root / marker).exists():
            identity = (root / marker).read_text(encoding="utf-8")
            if identity != _identity(config):
                raise UserError(
                    f"a folder holds the drawn birds of one config; {root} holds {' '.join(identity.split())}, asked "
                    f"for is {' '.join(_identity(config).split())}: name another folder or delete this one"
                )
            return marker == _FINISHED
    raise UserError(
        f"drawn birds go into a new or empty folder; {root} holds other files and no {_FINISHED}: name another folder"
    )


def _identity(config: PlumageConfig) -> str:
    """Say what was drawn; fields that were added since the first sets are left out where they are as usual."""
    usual = asdict(PlumageConfig())
    said = {name: value for name, value in asdict(config).items() if name not in _ADDED or value != usual[name]}
    return json.dumps({"edition": _EDITION, **said}, indent=2) + "\n"


def _notes(draw: Callable[[tuple[int, int]], Note], tasks: list[tuple[int, int]], workers: int) -> Iterator[Note]:
    """Draw every picture, in order of the tasks."""
    workers = min(workers, -(-len(tasks) // _CHUNK))
    if workers == 1:
        yield from map(draw, tasks)
        return
    # Forking is unsafe once torch has started its threads.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        with _deaf_children(), _main_left_out():
            notes = pool.map(draw, tasks, chunksize=_CHUNK)
        yield from notes


@contextmanager
def _main_left_out() -> Iterator[None]:
    """Have processes that are started here not run the script anew, which draws nothing for them and may have no guard.

    Python's spawned processes import what `__main__` says of itself (`multiprocessing.spawn.get_preparation_data`).
    """
    main = sys.modules["__main__"]
    spec, file = main.__spec__, vars(main).pop("__file__", None)
    main.__spec__ = None
    try:
        yield
    finally:
        main.__spec__ = spec
        if file is not None:
            main.__file__ = file


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Have processes that are started here pass over Ctrl-C, of which each would print a traceback of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _draw_one(root: Path, config: PlumageConfig, task: tuple[int, int]) -> Note:
    """Draw and save one picture, or read the note of the one that is there."""
    path = root / "images" / _name(*task)
    if path.exists():
        return _read_note(path)
    drawing = render(config, *task)
    with atomic_path(path) as partial_path:
        partial_path.write_bytes(encode(drawing))
    return Note(drawing.box, drawing.parts, drawing.hidden)


def encode(drawing: Drawing) -> bytes:
    """The picture as JPEG, with box and parts as its comment."""
    note = json.dumps(Note(drawing.box, drawing.parts, drawing.hidden))
    stream = io.BytesIO()
    drawing.image.save(stream, "JPEG", quality=92, subsampling=0, comment=note.encode())
    return stream.getvalue()


def _read_note(path: Path) -> Note:
    with Image.open(path) as image:
        box, parts, hidden = json.loads(image.info["comment"])
    return Note(Box(*box), tuple(PartPoint(*p) for p in parts), tuple(PartPoint(*p) for p in hidden))


def _folder(species: int) -> str:
    return f"{species + 1:03d}.{species_at(species).name.replace(' ', '_')}"


def _name(species: int, index: int) -> str:
    return f"{_folder(species)}/{species_at(species).name.replace(' ', '_')}_{index + 1:04d}.jpg"


def _write_tables(root: Path, config: PlumageConfig, tasks: list[tuple[int, int]], notes: list[Note]) -> None:
    """Write CUB's text files; image, class and part ids count from 1."""
    numbered = list(enumerate(tasks, start=1))
    _write_text(root / "classes.txt", _lines(f"{s + 1} {_folder(s)}" for s in range(config.species)))
    _write_text(root / "images.txt", _lines(f"{i} {_name(*task)}" for i, task in numbered))
    _write_text(root / "image_class_labels.txt", _lines(f"{i} {s + 1}" for i, (s, _) in numbered))
    split = (f"{i} {int(index < config.train_per_species)}" for i, (_, index) in numbered)
    _write_text(root / "train_test_split.txt", _lines(split))
    boxes = (f"{i} {n.box.left} {n.box.top} {n.box.width} {n.box.height}" for i, n in enumerate(notes, start=1))
    _write_text(root / "bounding_boxes.txt", _lines(boxes))
    _write_text(root / "parts" / "parts.txt", _lines(f"{i} {name}" for i, name in enumerate(PART_NAMES, start=1)))
    points = (line for i, note in enumerate(notes, start=1) for line in _point_lines(i, note))
    _write_text(root / "parts" / "part_locs.txt", _lines(points))


def _point_lines(image: int, note: Note) -> Iterator[str]:
    visible = {point.name: point for point in note.parts}
    places = visible | {point.name: point for point in note.hidden}
    for number, name in enumerate(PART_NAMES, start=1):
        x, y = (places[name].x, places[name].y) if name in visible else (0.0, 0.0)
        yield f"{image} {number} {x:.2f} {y:.2f} {int(name in visible)}"


def _lines(rows: Iterator[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as partial_path:
        partial_path.write_text(text, encoding="utf-8")
