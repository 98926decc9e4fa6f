"""A folder of class folders, divided or not."""

from __future__ import annotations

import os
from pathlib import Path

from foveate.data.datasets.assembly import Row, Split, assemble, name_of_test
from foveate.data.datasets.checks import first_few
from foveate.data.image_kinds import IMAGE_SUFFIXES
from foveate.data.records import ImageDataset
from foveate.errors import UserError


def load_folder(root: Path) -> ImageDataset:
    """Read ``root/<class>/**`` or ``root/train/<class>/**`` and ``root/test/<class>/**``.

    ``val`` and ``valid`` stand for ``test`` where there is no ``test``; beside a ``test`` they are not read.
    Class names are the folders' names in sorted order, those of all divisions together. Hidden files and
    folders are passed over, links are followed.

    Raises:
        UserError: There are no class folders, or one holds no photograph (or see `assemble`).
    """
    divisions = _divisions(root)
    classes = sorted({folder.name for division in divisions.values() for folder in visible_folders(division)})
    if not classes:
        raise UserError(
            f"photographs must lie in one folder per class; {root} has no such folders. "
            "Make a folder for each class and put its photographs there"
        )
    numbers = {name: number for number, name in enumerate(classes)}
    rows = [
        Row(path.relative_to(root).as_posix(), path, numbers[folder.name], split)
        for split, division in divisions.items()
        for folder in visible_folders(division)
        for path in _images_below(folder)
    ]
    barren = sorted(set(classes) - {classes[row.class_id] for row in rows})
    if barren:
        raise UserError(
            f"every class folder of {root} must hold a photograph ({' '.join(IMAGE_SUFFIXES)}); "
            f"none in {first_few(barren)}. Fill or remove them"
        )
    return assemble(root.resolve().name, rows, dict(enumerate(classes)))


def visible_folders(root: Path) -> list[Path]:
    """Return the folders in `root` that are not hidden, sorted by name."""
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    return [root / name for name in names]


def _divisions(root: Path) -> dict[Split, Path]:
    """Return the folder of each division; ``train`` may also be a class, beside a bus and a car."""
    folders = {folder.name.casefold(): folder for folder in visible_folders(root)}
    test = name_of_test(folders)
    named = {split: folders[name] for split, name in ((Split.TRAIN, "train"), (Split.TEST, test)) if name in folders}
    return named if len(named) == 2 or len(named) == len(folders) == 1 else {Split.TRAIN: root}


def _images_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        true_place = os.path.realpath(place)
        if true_place in seen:  # a link back to a folder above would be walked for ever
            folders.clear()
            continue
        seen.add(true_place)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.extend(Path(place, name) for name in files if _is_image(name))
    return sorted(found, key=Path.as_posix)


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)
