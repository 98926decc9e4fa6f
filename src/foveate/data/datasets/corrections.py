"""What a list says of some photographs of a data set: that they are left out, or that their class is another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from foveate.data.datasets.checks import first_few, shown
from foveate.data.datasets.csv_lists import read_csv_columns
from foveate.data.datasets.reading import whole_lines
from foveate.data.records import ImageDataset, ImageRecord
from foveate.errors import UserError


def without(dataset: ImageDataset, path: Path) -> ImageDataset:
    """Leave out the photographs that a list names: a text of one id a line, or a CSV with a column ``image``.

    Raises:
        UserError: The list cannot be read, names a photograph that is not there, all photographs of a class that is to
            be learned, or a whole test or validation split, in whose place another would be cut.
    """
    check_list(path)
    if path.suffix.lower() == ".csv":
        (listed,) = read_csv_columns(path, ("image",))
    else:
        listed = whole_lines(path)
    names = set(_known(listed, dataset, path))
    before = {record.label for record in dataset.train}
    kept = _changed(dataset, lambda records: [each for each in records if each.id not in names])
    if lost := before - {record.label for record in kept.train}:
        classes = [dataset.class_names[label] for label in sorted(lost)]
        raise UserError(
            f"of every class a training photograph must be left; {path} leaves out all of {first_few(classes)}. Take "
            "some of them off the list, or leave the class out as a whole"
        )
    for split, was, left in (("test", dataset.test, kept.test), ("validation", dataset.validation, kept.validation)):
        if was and not left:
            raise UserError(
                f"of a {split} split a photograph must be left, or another would be cut; {path} leaves out all "
                f"{len(was)} of {dataset.name}. Take some of them off the list, or divide the photographs anew"
            )
    return replace(kept, notes=(*kept.notes, f"left out {len(names)} photographs, as {path.name} says"))


def relabelled(dataset: ImageDataset, path: Path) -> ImageDataset:
    """Give the photographs that a list names the class that it says: a CSV with the columns image and class_name.

    Raises:
        UserError: The list cannot be read, names a photograph or a class that is not there, or a photograph twice.
    """
    check_list(path)
    if path.suffix.lower() != ".csv":
        raise UserError(f"a list of labels must be a CSV with the columns image and class_name; got {path}")
    images, names = read_csv_columns(path, ("image", "class_name"))
    photographs = _known(images, dataset, path)
    if len(set(photographs)) < len(photographs):
        twice = sorted({each for each in photographs if photographs.count(each) > 1})
        raise UserError(f"a photograph must have one label; {path} names {first_few(twice)} twice. Remove one of them")
    labels = _labels(names, dataset.class_names, path)
    label_of = dict(zip(photographs, labels, strict=True))
    changed = _changed(dataset, lambda records: [_labelled(each, label_of, dataset.class_names) for each in records])
    return replace(changed, notes=(*changed.notes, f"relabelled {len(label_of)} photographs, as {path.name} says"))


def check_list(path: Path) -> None:
    """Refuse a list that is not there.

    Raises:
        UserError: It is not.
    """
    if not path.is_file():
        raise UserError(
            f"a list of photographs must be a file; got {path}, which is none. Check the path, or restore it"
        )


def _known(listed: Sequence[str], dataset: ImageDataset, path: Path) -> list[str]:
    """Return the ids that a list names, without what guards them from spreadsheets."""
    ids = {record.id for part in (dataset.train, dataset.validation, dataset.test) for record in part}
    names = [name if name in ids else _plain(name) for name in listed]
    if absent := [name for name in names if name not in ids]:
        near = get_close_matches(absent[0], ids, 1)
        raise UserError(
            f"a list must name photographs of {dataset.name} by their paths below it, as {next(iter(sorted(ids)))}; "
            f"{len(absent)} of {len(names)} in {path} are not there: {first_few([shown(each) for each in absent])}"
            f"{f' (is {near[0]} meant?)' if near else ''}. Correct or remove these lines"
        )
    return names


def _plain(text: str) -> str:
    """Return a text without the blanks around it, or without what guards it from spreadsheets."""
    return text.removeprefix("'") if text.startswith("'") else text.strip()


def _labels(names: Iterable[str], class_names: Sequence[str], path: Path) -> list[int]:
    numbers = {name: number for number, name in enumerate(class_names)}
    spelled = [name if name in numbers else _plain(name) for name in names]
    if unknown := [name for name in spelled if name not in numbers]:
        near = get_close_matches(unknown[0], class_names, 3)
        raise UserError(
            f"a new label must be one of the {len(class_names)} classes; {path} has "
            f"{first_few([shown(each) for each in dict.fromkeys(unknown)])}. "
            f"{f'Near it are {first_few(near)}' if near else f'They are {first_few(class_names)}'}"
        )
    return [numbers[name] for name in spelled]


def _labelled(record: ImageRecord, label_of: Mapping[str, int], class_names: Sequence[str]) -> ImageRecord:
    label = label_of.get(record.id, record.label)
    return record if label == record.label else replace(record, label=label, class_name=class_names[label])


def _changed(dataset: ImageDataset, change: Callable[[Sequence[ImageRecord]], list[ImageRecord]]) -> ImageDataset:
    train, validation, test = (tuple(change(part)) for part in (dataset.train, dataset.validation, dataset.test))
    return replace(dataset, train=train, validation=validation, test=test)
