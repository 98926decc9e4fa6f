"""The one place that knows every format of data: from a configuration to the photographs of each split."""

from __future__ import annotations

from collections.abc import Callable

from foveate.config.data import DataConfig, DatasetFormat
from foveate.data import datasets
from foveate.data.datasets.corrections import relabelled, without
from foveate.data.datasets.formats import MARKS, Loader
from foveate.data.folds import load_fold
from foveate.data.preparation import Splits, split_dataset
from foveate.data.records import ImageDataset
from foveate.files.remote_path import located
from foveate.guided_zoom.pool_dataset import load_pool

__all__ = ["LOADERS", "MARKS", "has_validation", "load_dataset", "load_splits"]


LOADERS: dict[str, Loader] = {
    **datasets.LOADERS,
    DatasetFormat.POOL: lambda root: load_pool(root, load_dataset),
    DatasetFormat.FOLD: lambda root: load_fold(root, load_splits),
}
"""By their names; a format of your own is one more entry, and its files one in `MARKS`, by which AUTO knows it."""


def load_dataset(config: DataConfig) -> ImageDataset:
    """Read the data set, without what is left out, under the labels that were corrected.

    Raises:
        UserError: As `foveate.data.datasets.load_dataset`, `without` and `relabelled`.
    """
    dataset = datasets.load_dataset(
        config.root,
        config.format,
        config.excluded_folders,
        LOADERS,
        group_column=config.group_column,
        group_level=config.group_level,
    )
    if config.relabel is not None:
        dataset = relabelled(dataset, located(config.relabel))
    for path in config.excluded_lists:
        dataset = without(dataset, located(path))
    return dataset


def load_splits(config: DataConfig, say: Callable[[str], None] | None = None) -> Splits:
    """Load the data set and cut what the configuration asks for; no photograph is opened.

    Args:
        config: Where the photographs are, and how they are divided.
        say: Receives what a user should know of the data set: splits by name, what was passed over, absent classes.

    Raises:
        UserError: As `load_dataset` and `split_dataset`.
    """
    return split_dataset(load_dataset(config), config, say)


def has_validation(config: DataConfig) -> bool:
    """Whether there is a validation split: one is cut, or the authors have one."""
    return config.validation_fraction > 0 or bool(load_dataset(config).validation)
