"""A folder of class folders, divided or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foveate.config.data import Split
from foveate.data.datasets.assembly import Row, assemble
from foveate.data.datasets.checks import first_few
from foveate.data.datasets.class_names import check_class_name
from foveate.data.datasets.listing import EXCLUDE, Folders, Photograph, photographs_below
from foveate.data.datasets.split_names import divisions, splits_line, used_splits
from foveate.data.image_kinds import IMAGE_SUFFIXES
from foveate.data.records import ImageDataset
from foveate.data.roots import is_not_text, shown_path
from foveate.errors import UserError


def load_folder(
    root: Path, exclude: Sequence[str] = (), *, folders: Folders | None = None, group_level: int = 0
) -> ImageDataset:
    """Read ``root/<class>/**``, or ``root/<split>/<class>/**`` where folders are called as splits are.

    Those are train, test and validation, in any of the ways of `divisions`. A validation folder is the test split where
    there is no test folder. Class names are the folders' names in sorted order, those of all divisions together. Hidden
    files and folders and what systems leave behind are passed over; links are followed, a photograph is taken once.

    Args:
        root: The folder.
        exclude: Names of folders that are left out.
        folders: How folders are entered, where some above the root were looked at already; None: as `exclude` says.
        group_level: How many folders below a class folder name the group of a photograph; 0: each stands for itself.

    Raises:
        UserError: There are no class folders, one holds no photograph, or links put a photograph into two classes (or
            see `assemble`).
    """
    folders = folders or Folders(root, exclude)
    divided_into, notes = _labelled(_divisions(root, folders), folders)
    classes = sorted({folder.name for inside in divided_into.values() for folder in inside})
    if not classes:
        raise UserError(
            f"photographs must lie in one folder per class; {root} has no such folders. "
            "Make a folder for each class and put its photographs there"
        )
    _check_names(root, classes)
    numbers = {name: number for number, name in enumerate(classes)}
    once = _Once(root)
    rows = [
        _row(path, root, folder, numbers[folder.name], split, group_level)
        for split, inside in divided_into.items()
        for folder in inside
        for path in once.new(photographs_below(folder, folders), split, folder.name)
    ]
    once.check(folders)
    _check_groups(root, rows, group_level)
    barren = sorted(set(classes) - {classes[row.class_id] for row in rows})
    if barren:
        raise UserError(
            f"every class folder of {root} must hold a photograph ({' '.join(IMAGE_SUFFIXES)}); "
            f"none in {first_few(barren)} ({folders.passed_over.line() or 'nothing is there'}). Fill or remove them, "
            f"or leave them out ({EXCLUDE})"
        )
    if passed_over := folders.passed_over.line():
        notes.append(passed_over)
    if idle := [each for each in folders.exclude if each not in folders.matched]:
        notes.append(f"warning: no folder is called {first_few(idle)}, which exclude names")
    return assemble(root.resolve().name, rows, dict(enumerate(classes)), notes=notes)


def _row(path: Path, root: Path, folder: Path, number: int, split: Split, level: int) -> Row:
    return Row(path.relative_to(root).as_posix(), path, number, split, group=_group(path, folder, level))


def _group(path: Path, class_folder: Path, level: int) -> str | None:
    """Return the name of a photograph's group, the same in every split; None: it lies not so deep."""
    inside = path.relative_to(class_folder).parent.parts
    return "/".join((class_folder.name, *inside[:level])) if level and len(inside) >= level else None


def _check_groups(root: Path, rows: Sequence[Row], level: int) -> None:
    if level and all(row.group is None for row in rows):
        raise UserError(
            f"group_level must be a depth below the class folders at which there are folders; {root} has no "
            f"photograph in a folder {level} below its class; got {level}. Give a smaller one, or leave it out"
        )


def _divisions(root: Path, folders: Folders) -> dict[Split, Path]:
    """Return the folder of each split; all is for training where folders are not called as splits are."""
    inside = folders.inside(root, count=True)
    named = divisions([folder.name for folder in inside], str(root))
    for folder in inside if named else ():
        if folder.name not in named.values():
            folders.passed_over.add_folder(folder)
    return {split: root / name for split, name in named.items()} or {Split.TRAIN: root}


def _labelled(named: dict[Split, Path], folders: Folders) -> tuple[dict[Split, list[Path]], list[str]]:
    """Return the class folders of each split that has some, and what is to be said about the splits."""
    inside = {split: folders.inside(folder, count=folder != folders.root) for split, folder in named.items()}
    notes = []
    if folders.root not in named.values():
        folders.passed_over.add_files(folders.root)
    for split, folder in named.items():
        loose = folders.passed_over.add_files(folder, unlabelled=not inside[split])
        if not loose and not inside[split] and folder != folders.root:
            notes.append(f"warning: {folder.name} holds no class folders: it is no {split} split. Fill or remove it")
        elif loose and not inside[split]:
            notes.append(
                f"warning: {folder.name} holds {loose} pictures without class folders, so without labels: it is no "
                f"{split} split. Make class folders in it, or let `foveate predict` name them"
            )
    labelled = {split: folder.name for split, folder in named.items() if inside[split]}
    used = used_splits(labelled.keys())
    if labelled.keys() != {Split.TRAIN} or folders.root not in named.values():
        notes.append(splits_line(labelled))
    return {used[split]: inside[split] for split in labelled}, notes


def _check_names(root: Path, classes: Sequence[str]) -> None:
    unwritable = [shown_path(name) for name in classes if is_not_text(name)]
    if unwritable:
        raise UserError(f"the names of class folders must be UTF-8; {root} has {first_few(unwritable)}. Rename them")
    for name in classes:
        check_class_name(name, str(root))


@dataclass(slots=True)
class _Once:
    """Takes every photograph once, by the file that it is in truth, whatever links lead to it."""

    root: Path
    _owners: dict[str | int, tuple[Split, str, Path]] = field(default_factory=dict)
    _again: int = 0
    _torn: list[tuple[Path, Path]] = field(default_factory=list)

    def new(self, photographs: Sequence[Photograph], split: Split, name: str) -> list[Path]:
        """Return the photographs that are not there yet, files before links to them, sorted."""
        paths = []
        for path, real, inode in sorted(photographs, key=lambda each: each.inode is None):
            owner = self._owners.get(real) or (None if inode is None else self._linked(path, inode))
            if owner is None:
                self._owners[real] = (split, name, path)
                if inode is not None:
                    self._owners[inode] = (split, name, path)
                paths.append(path)
            elif owner[:2] == (split, name):
                self._again += 1
            else:
                self._torn.append((owner[2], path))
        links_last = any(each.inode is None for each in photographs)
        return sorted(paths, key=Path.as_posix) if links_last else paths

    def check(self, folders: Folders) -> None:
        """Count what was there already.

        Raises:
            UserError: A photograph is in two classes, or two splits.
        """
        if self._again:
            folders.passed_over.files["links to photographs that are there"] += self._again
        if self._torn:
            pairs = [" = ".join(shown_path(path.relative_to(self.root)) for path in pair) for pair in self._torn]
            raise UserError(
                f"a photograph must be in one class and one split; {self.root} has by links {first_few(pairs, 3)}. "
                f"Remove the links, or leave a folder out ({EXCLUDE})"
            )

    def _linked(self, path: Path, inode: int) -> tuple[Split, str, Path] | None:
        """Return who has the same file under another name; equal numbers on two disks mean nothing."""
        owner = self._owners.get(inode)
        return owner if owner is not None and path.is_file() and path.samefile(owner[2]) else None
