"""What S3N's Tables 2 to 4 compare, as variants of a recipe: branches, dense attention, partitions of the peaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from foveate.recipes.config import TrainConfig
from foveate.s3n.config import AttentionKind, Branches, Partition

Recipe = Callable[[], TrainConfig]


class Row(NamedTuple):
    """A row of a table: what it is, the fields of S3N's configuration that it changes, its top-1 on CUB."""

    words: str
    fields: Mapping[str, Any]
    published: float | None = None


def _branches(branches: Branches, published: float) -> Row:
    return Row(f"decides from {branches.value.upper()} (Table 2)", {"branches": branches}, published)


def _dense(attention: AttentionKind, drawing: str, published: float) -> Row:
    words = f"{drawing} draws the only zoomed view, in place of peaks (Table 3)"
    return Row(words, {"attention": attention, "branches": Branches.OD}, published)


def _partition(partition: Partition, source: str, published: float | None = None) -> Row:
    fields = {"train_partition": partition, "test_partition": partition, "both_until": 0.0}
    return Row(f"peaks divided by {partition.value.upper()} ({source})", fields, published)


ROWS = {
    "o": _branches(Branches.O, 86.0),
    "od": _branches(Branches.OD, 87.6),
    "oc": _branches(Branches.OC, 87.3),
    "dc": _branches(Branches.DC, 87.5),
    "saliency": _dense(AttentionKind.SALIENCY, "a saliency network", 85.9),
    "class-response": _dense(AttentionKind.CLASS_RESPONSE, "the whole response", 87.8),
    "all": _partition(Partition.ALL, "Table 4", 87.7),
    "random": _partition(Partition.RANDOM, "Table 4", 87.9),
    "probability": _partition(Partition.PROBABILITY, "Table 4", 88.5),
    "expected": _partition(Partition.EXPECTED, "ours"),
    "extremes": _partition(Partition.EXTREMES, "the released code's at test time"),
}
"""By the name that they add to the recipe's."""


def comparisons(base: Recipe) -> dict[str, Recipe]:
    """Return a recipe for each of `ROWS`, named after an S3N recipe that it is but for the row's fields."""
    name = base.__name__.replace("_", "-")
    return {f"{name}-{suffix}": _variant(base, suffix, row) for suffix, row in ROWS.items()}


def _variant(base: Recipe, suffix: str, row: Row) -> Recipe:
    def recipe() -> TrainConfig:
        config = base()
        return replace(config, network=replace(config.network, **row.fields))

    recipe.__name__ = f"{base.__name__}_{suffix.replace('-', '_')}"
    published = "" if row.published is None else f" Published on CUB-200-2011: {row.published} top-1."
    recipe.__doc__ = f"As {base.__name__.replace('_', '-')}, but {row.words}.{published}"
    return recipe
