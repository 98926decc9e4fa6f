"""Folds of the training photographs: each held out once, from a network that learns from the others.

A fold is a data set like any other, whose test split is what it holds out. So whatever is done with a run can be done
with that of a fold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from foveate.config.data import DataConfig
from foveate.data import migrations
from foveate.data.datasets.checks import first_few
from foveate.data.preparation import Splits
from foveate.data.records import ImageDataset, ImageRecord
from foveate.data.splits import grouped
from foveate.errors import UserError
from foveate.files.documents import read_json, structured, unstructured, write_json

SCHEMA_VERSION = 2
FOLD = "fold.json"
"""The file that makes a folder a fold."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """What `fold.json` holds."""

    data: DataConfig
    """The data set whose training photographs are divided."""
    train: tuple[str, ...]
    """Ids of those that are learned from."""
    held_out: tuple[str, ...]
    """Ids of those that are not: the test split of the fold."""


def cut_folds(records: Sequence[ImageRecord], folds: int, seed: int) -> tuple[int | None, ...]:
    """Return in which fold each photograph is held out, 0 to `folds` - 1; None: in no one.

    Each class is dealt out evenly, in an order that depends on the seed and the ids only; photographs of one group are
    in one fold. A photograph, or group, is held out nowhere if without it nothing could learn one of its classes: the
    only one of its class is.

    Args:
        records: The photographs.
        folds: 2 at least; a class with fewer photographs is in as many folds as it has photographs.
        seed: Of the order.
    """
    groups = grouped(records, seed)
    dealt = deal([Counter(record.label for record in members) for members in groups], folds)
    fold_of = {record.id: fold for members, fold in zip(groups, dealt, strict=True) for record in members}
    return tuple(fold_of[record.id] for record in records)


def deal(groups: Sequence[Counter[int]], folds: int) -> list[int | None]:
    """Return in which fold each group is held out; None: in no one, since each fold would then lack one of its classes.

    Args:
        groups: How many photographs of each class a group has; of equals the first is dealt first.
        folds: 2 at least.
    """
    several = Counter(label for own in groups for label in own)  # groups that a class is in
    held: list[Counter[int]] = [Counter() for _ in range(folds)]
    taken: list[Counter[int]] = [Counter() for _ in range(folds)]  # the same in groups
    fold_of: list[int | None] = [None] * len(groups)
    # Class by class, large groups first; a fold that has fewest of the class, and of these the emptiest.
    for place in sorted(range(len(groups)), key=lambda each: (min(groups[each]), -groups[each].total())):
        own = groups[place]
        able = [fold for fold in range(folds) if all(taken[fold][label] + 1 < several[label] for label in own)]
        if able:
            fold = min(able, key=lambda each: (sum(held[each][label] for label in own), held[each].total()))
            held[fold] += own
            taken[fold] += Counter(own.keys())
            fold_of[place] = fold
    return fold_of


def write_fold(folder: Path, fold: Fold) -> None:
    """Make a folder a fold, as `load_fold` reads it."""
    write_json(folder / FOLD, unstructured(fold), SCHEMA_VERSION)


def load_fold(root: Path, load: Callable[[DataConfig], Splits]) -> ImageDataset:
    """Read the fold in a folder; `load` divides the data set that it is of.

    Raises:
        UserError: The document is damaged, or a photograph of it is no training photograph of the data set any more.
    """
    file = root / FOLD
    fold = structured(read_json(file, SCHEMA_VERSION, migrations.FOLD), Fold, file, "a fold")
    splits = load(fold.data)
    known = {record.id: record for record in splits.train}
    if missing := [each for each in (*fold.train, *fold.held_out) if each not in known]:
        raise UserError(
            f"the photographs of a fold are training photographs of {fold.data.root}; {len(missing)} are not any more: "
            f"{first_few(missing)}. Restore them, or cut the folds anew"
        )
    train, held_out = (tuple(known[each] for each in ids) for ids in (fold.train, fold.held_out))
    return ImageDataset(splits.name, splits.class_names, train, held_out, validation=splits.validation)
