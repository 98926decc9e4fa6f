"""Which loader reads a folder, and the door to all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foveate.config import DatasetFormat
from foveate.data.datasets.aircraft import load_aircraft
from foveate.data.datasets.assembly import TEST_NAMES
from foveate.data.datasets.cars import load_cars
from foveate.data.datasets.cub import load_cub
from foveate.data.datasets.dogs import load_dogs
from foveate.data.datasets.flowers import load_flowers
from foveate.data.datasets.folder import load_folder, visible_folders
from foveate.data.datasets.pets import load_pets
from foveate.data.datasets.pool import load_pool
from foveate.data.datasets.shards import load_shards, shards_in
from foveate.data.datasets.table import SUFFIXES, lists_in, load_table
from foveate.data.records import ImageDataset
from foveate.errors import UserError

LOADERS: dict[DatasetFormat, Callable[[Path], ImageDataset]] = {
    DatasetFormat.CUB: load_cub,
    DatasetFormat.DOGS: load_dogs,
    DatasetFormat.AIRCRAFT: load_aircraft,
    DatasetFormat.CARS: load_cars,
    DatasetFormat.FLOWERS: load_flowers,
    DatasetFormat.PETS: load_pets,
    DatasetFormat.FOLDER: load_folder,
    DatasetFormat.TABLE: load_table,
    DatasetFormat.SHARDS: load_shards,
    DatasetFormat.POOL: lambda root: load_pool(root, load_dataset),
}

MARKS: dict[DatasetFormat, tuple[str, ...]] = {
    DatasetFormat.CUB: ("image_class_labels.txt", "train_test_split.txt"),
    DatasetFormat.DOGS: ("lists/train_list.mat", "train_list.mat", "lists/test_list.mat", "test_list.mat"),
    DatasetFormat.AIRCRAFT: ("data/images_variant_trainval.txt", "data/images_variant_test.txt"),
    DatasetFormat.CARS: ("devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat"),
    DatasetFormat.FLOWERS: ("setid.mat", "imagelabels.mat"),
    DatasetFormat.PETS: ("annotations/trainval.txt", "annotations/test.txt"),
    DatasetFormat.POOL: ("pool.json",),
}
"""Files by any of which an archive is known, below the folder that its loader takes."""


def load_dataset(root: Path, format: DatasetFormat = DatasetFormat.AUTO) -> ImageDataset:
    """Read the data set in a folder, or in a list (a CSV or Parquet file); no photograph is opened.

    Args:
        root: The folder, or one that holds it and no other data set; ``~`` is the home folder.
        format: How it is kept; AUTO finds it out.

    Raises:
        UserError: There is no such folder, it is empty or of no known format, or it breaks a rule of its
            loader.
    """
    root = Path(root).expanduser()
    if not root.exists():
        raise UserError(f"the data set's folder must exist; got {root}. Check the path")
    if root.is_file():
        return _load_file(root, format)
    if not any(root.iterdir()):
        raise UserError(f"the data set's folder must not be empty; got {root}. Unpack the data set there")
    home, format = _archive(root, format) or _own_format(root, format)
    return LOADERS[format](home)


def _load_file(path: Path, format: DatasetFormat) -> ImageDataset:
    if path.suffix.lower() not in SUFFIXES or format not in (DatasetFormat.AUTO, DatasetFormat.TABLE):
        raise UserError(
            f"a data set must be a folder, or a list ({' or '.join(SUFFIXES)}); "
            f"got the file {path} for format {format}. Unpack an archive, or give the folder that holds a shard"
        )
    return load_table(path)


def _archive(root: Path, format: DatasetFormat) -> tuple[Path, DatasetFormat] | None:
    """Find an archive in the folder or, where there is just one, a floor below."""
    wanted = tuple(MARKS) if format is DatasetFormat.AUTO else (format,)
    if here := _marked(root, wanted):
        return root, here
    below = [(folder, found) for folder in visible_folders(root) if (found := _marked(folder, wanted))]
    if len(below) > 1:
        names = ", ".join(f"{folder.name} ({found})" for folder, found in below)
        raise UserError(f"the folder must hold one data set; {root} holds {names}. Give one of them")
    return below[0] if below else None


def _marked(folder: Path, wanted: tuple[DatasetFormat, ...]) -> DatasetFormat | None:
    for format in wanted:
        if any((folder / mark).exists() for mark in MARKS.get(format, ())):
            return format
    return None


def _own_format(root: Path, format: DatasetFormat) -> tuple[Path, DatasetFormat]:
    """Tell the formats of people's own data apart: shards, a list, class folders."""
    if format is not DatasetFormat.AUTO:
        return root, format
    folders, shards = visible_folders(root), shards_in(root)
    if shards and not folders:
        return root, DatasetFormat.SHARDS
    if any(shard.suffix == ".tar" for shard in shards):
        raise UserError(
            f"shards must not lie beside folders; {root} holds {shards[0].name} and {folders[0].name}. "
            "Say which it is, format shards or folder, or move the other away"
        )
    if lists_in(root):
        return root, DatasetFormat.TABLE
    if len(folders) == 1 and folders[0].name.casefold() not in ("train", *TEST_NAMES) and _is_parent(folders[0]):
        return _own_format(folders[0], format)
    if folders:
        return root, DatasetFormat.FOLDER
    names = ", ".join(DatasetFormat)
    raise UserError(
        f"a data set must be in one of the formats {names}; {root} looks like none. "
        "Make a folder for each class and put its photographs there, or list them in a CSV (image, class_name)"
    )


def _is_parent(folder: Path) -> bool:
    return bool(visible_folders(folder) or shards_in(folder) or lists_in(folder))
