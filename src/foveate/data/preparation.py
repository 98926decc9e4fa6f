"""From a `DataConfig` to the photographs of each split, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from foveate.config.data import LARGEST_MEGAPIXELS, DataConfig, OnError, Split
from foveate.data.checking import check_images, listed
from foveate.data.datasets import first_few
from foveate.data.datasets.listing import EXCLUDE
from foveate.data.records import ImageDataset, ImageRecord
from foveate.data.splits import hold_out
from foveate.engines.threads import Mapped, in_threads
from foveate.errors import UserError
from foveate.progress import progress


@dataclass(frozen=True, slots=True)
class Splits:
    """The photographs of one task, divided; `validation` is empty unless it was asked for or the authors have one."""

    name: str
    class_names: tuple[str, ...]
    train: Sequence[ImageRecord]
    validation: Sequence[ImageRecord]
    test: Sequence[ImageRecord]

    def parts(self) -> dict[str, Sequence[ImageRecord]]:
        """Return the splits that hold photographs, by name."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: records for name, records in splits.items() if records}

    def named(self, split: Split | str) -> Sequence[ImageRecord]:
        """Return the photographs of a split.

        Raises:
            UserError: There is no such split, or no photograph in it.
        """
        split = Split(split)
        records = {Split.TRAIN: self.train, Split.VALIDATION: self.validation, Split.TEST: self.test}[split]
        if not records:
            mend = "; train anew with --data.validation-fraction 0.2, into another folder"
            raise UserError(
                f"the {split} split must hold photographs; {self.name} has none in it"
                f"{mend if split is Split.VALIDATION else ''}"
            )
        return records


def split_dataset(dataset: ImageDataset, config: DataConfig, say: Callable[[str], None] | None = None) -> Splits:
    """Cut what the configuration asks for out of a data set; no photograph is opened.

    The test split is the authors' own where there is one, else a seeded share of each class. So is the validation
    split, which else comes out of the training photographs only.

    Args:
        dataset: As it was loaded.
        config: How it is divided.
        say: Receives what a user should know of the data set: splits by name, what was passed over, absent classes.

    Raises:
        UserError: The data set is not as it should be, only one class has training photographs, or another split has no
            class in common with the training.
    """
    notes = list(dataset.notes)
    train, validation, test = dataset.train, dataset.validation, dataset.test
    _check_trainable(dataset)
    _check_common(dataset)
    notes += _torn_groups(dataset)
    if not test and config.test_fraction > 0:
        train, test = hold_out(train, config.test_fraction, config.split_seed, option="test-fraction")
        notes.append(f"the data set has no test split: {config.test_fraction:.0%} of each class are held out as one")
    if validation and config.validation_fraction > 0:
        notes.append(
            f"the data set has a validation split of its own, {len(validation)} photographs: no other is cut from the "
            f"training photographs (validation_fraction {config.validation_fraction:g} is not used)"
        )
    elif config.validation_fraction > 0:
        # Another seed than the test split's, so that a class's two cuts are not the same draw.
        cut = hold_out(train, config.validation_fraction, config.split_seed + 1, option="validation-fraction")
        train, validation = cut
    if say is not None:
        for note in notes:
            say(note)
    return Splits(dataset.name, dataset.class_names, train, validation, test)


def _check_trainable(dataset: ImageDataset) -> None:
    labels = map(attrgetter("label"), dataset.train)
    first = next(labels, None)
    if first is not None and all(label == first for label in labels):
        raise UserError(
            f"a training needs photographs of at least two classes; the train split of {dataset.name} has only "
            f"{dataset.class_names[first]!r} of {first_few(dataset.class_names)}. Divide the photographs so that every "
            "class is in every split"
        )


def _torn_groups(dataset: ImageDataset) -> list[str]:
    """Warn of groups that the data set's own division tears apart."""
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    splits: dict[str, set[str]] = {}
    for name, records in parts.items():
        for record in records:
            if record.group is not None:
                splits.setdefault(record.group, set()).add(name)
    torn = sorted(group for group, inside in splits.items() if len(inside) > 1)
    if not torn:
        return []
    return [
        f"warning: {len(torn)} groups have photographs in several splits, so that a test is no test of new ones: "
        f"{first_few(torn)}. Divide the data set by groups"
    ]


def _check_common(dataset: ImageDataset) -> None:
    for name, records in {"validation": dataset.validation, "test": dataset.test}.items():
        if records and dataset.train:
            classes = {record.class_name for record in records}
            if classes.isdisjoint({record.class_name for record in dataset.train}):
                raise UserError(
                    f"the splits of a data set must have classes in common; the {name} split of {dataset.name} has "
                    f"{first_few(sorted(classes))}, none of them among the training's. Name the classes alike, "
                    f"or leave the split out ({EXCLUDE})"
                )


def checked(
    records: Sequence[ImageRecord],
    on_error: OnError,
    say: Callable[[str], None],
    largest_megapixels: int | None = LARGEST_MEGAPIXELS,
    mapped: Mapped = in_threads,
) -> Sequence[ImageRecord]:
    """Return the photographs that can be read; say which were left out, which are nearly blank, and why.

    Raises:
        UserError: As `check_images` does.
    """
    return checked_splits({"": records}, on_error, say, largest_megapixels, mapped)[""]


def checked_splits(
    splits: Mapping[str, Sequence[ImageRecord]],
    on_error: OnError,
    say: Callable[[str], None],
    largest_megapixels: int | None = LARGEST_MEGAPIXELS,
    mapped: Mapped = in_threads,
) -> dict[str, Sequence[ImageRecord]]:
    """Return what `checked` does for each of several splits; what is wrong in any is said in one go.

    Raises:
        UserError: As `check_images` does.
    """
    count = sum(map(len, splits.values()))
    say(f"reading {count} photographs once")
    with progress("reading", count, say) as advance:
        checks = check_images(splits, on_error, advance, largest_megapixels, mapped)
    for name, (_, problems, blank) in checks.items():
        whole = f"{len(splits[name])} photographs" + (f" in {name}" if len(splits) > 1 else "")
        if problems:
            say(f"left out {len(problems)} of {whole} that cannot be read:")
            for problem in problems:
                say(f"  {problem}")
        if blank:
            say(f"warning: {len(blank)} of {whole} are nearly blank:{listed(blank)}")
    return {name: each.readable for name, each in checks.items()}
