"""From the rows of a source's lists to a data set: labels, divisions, and what every source must satisfy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from foveate.data.datasets.checks import first_few
from foveate.data.records import ImageDataset, ImageRecord, ImageSource
from foveate.errors import UserError
from foveate.types import Box, PartPoint

TEST_NAMES = ("test", "val", "valid", "validation")
"""Names under which a folder or shard is the test division; where several are there, the first."""


class Split(StrEnum):
    """A division of the data set, by its authors."""

    TRAIN = "train"
    TEST = "test"


class Row(NamedTuple):
    """One photograph as its source lists it; ``class_id`` is the source's own number."""

    id: str
    image: ImageSource
    class_id: int
    split: Split
    box: Box | None = None
    parts: tuple[PartPoint, ...] = ()


def assemble(
    name: str, rows: Sequence[Row], class_names: Mapping[int, str], part_names: Sequence[str] = ()
) -> ImageDataset:
    """Number the classes from 0 in the order of their ids and divide the rows.

    Classes without a photograph are left out, so that a slice of an archive reads like the whole.

    Raises:
        UserError: There is no row, fewer than two classes, a class id without a name, two classes of one name
            (ignoring case), or a photograph listed twice.
    """
    if not rows:
        raise UserError(f"a data set needs photographs; {name} lists none. Check that it was copied completely")
    used = sorted({row.class_id for row in rows})
    _check_classes(name, used, class_names)
    twice = [id for id, count in Counter(row.id for row in rows).items() if count > 1]
    if twice:
        raise UserError(f"{name} must list a photograph once; got {first_few(twice)} more than once. Remove the copies")
    labels = {class_id: label for label, class_id in enumerate(used)}
    divisions: dict[Split, list[ImageRecord]] = {Split.TRAIN: [], Split.TEST: []}
    for id, image, class_id, split, box, parts in rows:
        record = ImageRecord(id, image, labels[class_id], class_names[class_id], box, parts)
        divisions[split].append(record)
    return ImageDataset(
        name=name,
        class_names=tuple(class_names[class_id] for class_id in used),
        train=tuple(divisions[Split.TRAIN]),
        test=tuple(divisions[Split.TEST]),
        part_names=tuple(part_names),
    )


def name_of_test(names: Iterable[str]) -> str | None:
    """Return the first of `TEST_NAMES` that is among the names."""
    present = set(names)
    return next((name for name in TEST_NAMES if name in present), None)


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
    spellings: dict[str, list[str]] = {}
    for class_id in used:
        spellings.setdefault(class_names[class_id].casefold(), []).append(class_names[class_id])
    alike = [" = ".join(map(repr, same)) for same in spellings.values() if len(same) > 1]
    if alike:
        raise UserError(
            f"class names must differ by more than case; {name} has {first_few(alike)}. Rename or merge them"
        )
