"""Say what a data set holds, and check that all of it can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foveate.config.data import DataConfig
from foveate.data.datasets import first_few
from foveate.data.preparation import Splits, checked_splits
from foveate.data.records import ImageRecord
from foveate.recipes.datasets import load_splits
from foveate.report.tables import markdown_table

_NAMED = 10  # classes


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """A data set's splits, and a table of them."""

    splits: Splits
    markdown: str


def describe_dataset(config: DataConfig, *, say: Callable[[str], None] = print) -> DatasetSummary:
    """Load a data set, read every photograph once, name its classes and count.

    Raises:
        UserError: The data set is not as it should be, or a photograph cannot be read and `on_error` is `stop`.
    """
    splits = load_splits(config, say)
    readable = checked_splits(splits.parts(), config.on_error, say, config.largest_megapixels)
    rows = [_row(name, records) for name, records in readable.items()]
    header = ("split", "photographs", "classes", "fewest per class", "most per class", "with box", "with parts")
    names = first_few(splits.class_names, _NAMED)
    say(f"{splits.name} in {config.root}: {len(splits.class_names)} classes: {names}\n")
    table = markdown_table(header, rows)
    say(table)
    return DatasetSummary(splits, table)


def _row(name: str, records: Sequence[ImageRecord]) -> tuple[str, ...]:
    counts = Counter(record.label for record in records).values()
    boxes = sum(record.box is not None for record in records)
    parts = sum(bool(record.parts) for record in records)
    return name, *map(str, (len(records), len(counts), min(counts, default=0), max(counts, default=0), boxes, parts))
