"""From the rows of a source's lists to a data set: labels, divisions, and what every source must satisfy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from foveate.config.data import Split
from foveate.data.datasets.checks import first_few
from foveate.data.datasets.class_names import check_class_name, check_names_differ
from foveate.data.records import ImageDataset, ImageRecord, ImageSource
from foveate.errors import UserError
from foveate.types import Box, PartPoint

__all__ = ["Row", "Split", "assemble", "number_classes"]


class Row(NamedTuple):
    """One photograph as its source lists it; ``class_id`` is the source's own number."""

    id: str
    image: ImageSource
    class_id: int
    split: Split
    box: Box | None = None
    parts: tuple[PartPoint, ...] = ()
    group: str | None = None


def assemble(
    name: str,
    rows: Sequence[Row],
    class_names: Mapping[int, str],
    part_names: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> ImageDataset:
    """Number the classes from 0 in the order of their ids and divide the rows.

    Classes without a photograph are left out, so that a slice of an archive reads like the whole. Those without one in
    some split are named in the data set's notes.

    Raises:
        UserError: There is no row, fewer than two classes, a class id without a name, class names that are no text or
            that look alike, or a photograph listed twice.
    """
    if not rows:
        raise UserError(f"a data set needs photographs; {name} lists none. Check that it was copied completely")
    used = sorted({row.class_id for row in rows})
    _check_classes(name, used, class_names)
    _check_once(name, rows, class_names)
    labels = {class_id: label for label, class_id in enumerate(used)}
    divisions: dict[Split, list[ImageRecord]] = {split: [] for split in Split}
    for id, image, class_id, split, box, parts, group in rows:
        record = ImageRecord(id, image, labels[class_id], class_names[class_id], box, parts, group)
        divisions[split].append(record)
    names = tuple(class_names[class_id] for class_id in used)
    return ImageDataset(
        name=name,
        class_names=names,
        train=tuple(divisions[Split.TRAIN]),
        test=tuple(divisions[Split.TEST]),
        part_names=tuple(part_names),
        validation=tuple(divisions[Split.VALIDATION]),
        notes=(*notes, *_absent(divisions, names)),
    )


def number_classes(
    ids: Sequence[str], numbers: Sequence[int | None], names: Sequence[str | None]
) -> tuple[list[int], dict[int, str]]:
    """Give every photograph a class number and every number a name, where the source has one or both.

    Names without numbers are numbered in sorted order; a number without a name is its own name.

    Raises:
        UserError: Only some of the photographs have a number, or a name; or the two are not one to one.
    """
    if all(number is None for number in numbers):
        order = {name: number for number, name in enumerate(sorted({name for name in names if name is not None}))}
        numbers = [None if name is None else order[name] for name in names]
    if all(name is None for name in names):
        names = [None if number is None else str(number) for number in numbers]
    name_of: dict[int, str] = {}
    number_of: dict[str, int] = {}
    whole: list[int] = []
    for id, number, name in zip(ids, numbers, names, strict=True):
        if number is None or name is None:
            raise UserError(f"every photograph must have a label, or every one a class name; {id} lacks it. Add it")
        other_name, other_number = name_of.setdefault(number, name), number_of.setdefault(name, number)
        if other_name != name or other_number != number:
            other = f"label {number} is {other_name!r}" if other_name != name else f"it is label {other_number}"
            raise UserError(
                "labels and class names must go together one to one; "
                f"{id} has label {number} and {name!r}, elsewhere {other}. Correct one of them"
            )
        whole.append(number)
    return whole, name_of


def _check_classes(name: str, used: Sequence[int], class_names: Mapping[int, str]) -> None:
    nameless = [str(class_id) for class_id in used if class_id not in class_names]
    if nameless:
        raise UserError(
            f"labels of {name} must be among its {len(class_names)} classes "
            f"({min(class_names, default=0)} to {max(class_names, default=0)}); got {first_few(nameless)}. "
            "Correct the labels or complete the list of classes"
        )
    if len(used) < 2:
        raise UserError(
            f"a data set needs at least two classes; {name} has only {class_names[used[0]]!r}. "
            "Add photographs of another class, or give the folder that holds all class folders"
        )
    for class_id in used:
        check_class_name(class_names[class_id], name)
    check_names_differ([class_names[class_id] for class_id in used], name)


def _check_once(name: str, rows: Sequence[Row], class_names: Mapping[int, str]) -> None:
    if len({row.id for row in rows}) == len(rows):
        return
    owners: dict[str, list[int]] = {}
    for row in rows:
        owners.setdefault(row.id, []).append(row.class_id)
    torn = [
        f"{id} ({first_few(sorted(map(repr, {class_names[each] for each in classes})))})"
        for id, classes in owners.items()
        if len(set(classes)) > 1
    ]
    if torn:
        raise UserError(
            f"a photograph must have one class; {name} lists it under several: {first_few(torn)}. Remove the wrong rows"
        )
    twice = [id for id, classes in owners.items() if len(classes) > 1]
    raise UserError(f"{name} must list a photograph once; got {first_few(twice)} more than once. Remove the copies")


def _absent(divisions: Mapping[Split, Sequence[ImageRecord]], names: Sequence[str]) -> list[str]:
    """Say which classes some split has no photograph of; a cut that is made later holds out some of each class."""
    present = {split: {record.class_name for record in records} for split, records in divisions.items() if records}
    learnt = present.get(Split.TRAIN, set(names))
    notes = []
    if untaught := [each for each in names if each not in learnt]:
        notes.append(
            f"warning: there are no training photographs of {len(untaught)} of {len(names)} classes, so that no "
            f"network can learn them: {first_few(untaught)}. Add photographs, or leave the classes out"
        )
    for split in (Split.VALIDATION, Split.TEST):
        if split in present and (absent := [each for each in names if each in learnt - present[split]]):
            listed = f"{len(absent)} of {len(names)} classes: {first_few(absent)}"
            notes.append(f"warning: there are no {split} photographs of {listed}")
    return notes
