"""From a `DataConfig` to the photographs of each split, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from foveate.config import LARGEST_MEGAPIXELS, DataConfig, OnError
from foveate.data.checking import check_images, listed
from foveate.data.datasets import load_dataset
from foveate.data.records import ImageRecord
from foveate.data.splits import hold_out
from foveate.errors import UserError
from foveate.progress import progress


@dataclass(frozen=True, slots=True)
class Splits:
    """The photographs of one task, divided; `validation` is empty unless it was asked for."""

    name: str
    class_names: tuple[str, ...]
    train: Sequence[ImageRecord]
    validation: Sequence[ImageRecord]
    test: Sequence[ImageRecord]

    def parts(self) -> dict[str, Sequence[ImageRecord]]:
        """Return the splits that hold photographs, by name."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: records for name, records in splits.items() if records}

    def named(self, split: str) -> Sequence[ImageRecord]:
        """Return the photographs of the split called train, validation or test.

        Raises:
            UserError: There is no photograph in it.
        """
        records: Sequence[ImageRecord] = getattr(self, split)
        if not records:
            mend = " (set data.validation_fraction above 0)" if split == "validation" else ""
            raise UserError(f"the {split} split must hold photographs; {self.name} has none in it{mend}")
        return records


def load_splits(config: DataConfig) -> Splits:
    """Load the data set and cut what the configuration asks for; no photograph is opened.

    The test split is the authors' own where there is one, else a seeded share of each class. The validation split
    comes out of the training photographs only.
    """
    dataset = load_dataset(config.root, config.format)
    train, test = dataset.train, dataset.test
    if not test and config.test_fraction > 0:
        train, test = hold_out(train, config.test_fraction, config.split_seed)
    validation: Sequence[ImageRecord] = ()
    if config.validation_fraction > 0:
        # Another seed than the test split's, so that a class's two cuts are not the same draw.
        train, validation = hold_out(train, config.validation_fraction, config.split_seed + 1)
    return Splits(dataset.name, dataset.class_names, train, validation, test)


def checked(
    records: Sequence[ImageRecord],
    on_error: OnError,
    say: Callable[[str], None],
    largest_megapixels: int | None = LARGEST_MEGAPIXELS,
) -> Sequence[ImageRecord]:
    """Return the photographs that can be read; say which were left out, which are nearly blank, and why.

    Raises:
        UserError: As `check_images` does.
    """
    return checked_splits({"": records}, on_error, say, largest_megapixels)[""]


def checked_splits(
    splits: Mapping[str, Sequence[ImageRecord]],
    on_error: OnError,
    say: Callable[[str], None],
    largest_megapixels: int | None = LARGEST_MEGAPIXELS,
) -> dict[str, Sequence[ImageRecord]]:
    """Return what `checked` does for each of several splits; what is wrong in any is said in one go.

    Raises:
        UserError: As `check_images` does.
    """
    count = sum(map(len, splits.values()))
    say(f"reading {count} photographs once")
    with progress("reading", count) as advance:
        checks = check_images(splits, on_error, advance, largest_megapixels)
    for name, (_, problems, blank) in checks.items():
        whole = f"{len(splits[name])} photographs" + (f" in {name}" if len(splits) > 1 else "")
        if problems:
            say(f"left out {len(problems)} of {whole} that cannot be read:")
            for problem in problems:
                say(f"  {problem}")
        if blank:
            say(f"warning: {len(blank)} of {whole} are nearly blank:{listed(blank)}")
    return {name: each.readable for name, each in checks.items()}
