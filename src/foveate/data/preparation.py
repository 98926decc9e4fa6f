"""From a `DataConfig` to the photographs of each split, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foveate.config import DataConfig, OnError
from foveate.data.checking import check_images
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
) -> Sequence[ImageRecord]:
    """Return the photographs that can be read; say how many were left out, and why.

    Raises:
        UserError: As `check_images` does.
    """
    say(f"reading {len(records)} photographs once")
    with progress("reading", len(records)) as advance:
        result = check_images(records, on_error, advance)
    if result.problems:
        say(f"left out {len(result.problems)} of {len(records)} photographs that cannot be read:")
        for problem in result.problems:
            say(f"  {problem}")
    return result.readable
