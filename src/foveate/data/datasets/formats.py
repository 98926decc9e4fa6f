"""Which loader reads a folder, and the door to all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from foveate.config.data import DatasetFormat
from foveate.data.datasets.aircraft import load_aircraft
from foveate.data.datasets.cars import load_cars
from foveate.data.datasets.checks import first_few
from foveate.data.datasets.cub import load_cub
from foveate.data.datasets.dogs import load_dogs
from foveate.data.datasets.flowers import load_flowers
from foveate.data.datasets.folder import load_folder
from foveate.data.datasets.listing import Folders, list_photographs
from foveate.data.datasets.pets import load_pets
from foveate.data.datasets.shards import load_shards, shards_in
from foveate.data.datasets.split_names import divisions, tells_of_split
from foveate.data.datasets.table import SUFFIXES, lists_in, load_table
from foveate.data.records import ImageDataset
from foveate.data.roots import existing_root
from foveate.errors import UserError

Loader = Callable[[Path], ImageDataset]
"""From the folder or list that a user names to its photographs."""

LOADERS: dict[str, Loader] = {
    DatasetFormat.CUB: load_cub,
    DatasetFormat.DOGS: load_dogs,
    DatasetFormat.AIRCRAFT: load_aircraft,
    DatasetFormat.CARS: load_cars,
    DatasetFormat.FLOWERS: load_flowers,
    DatasetFormat.PETS: load_pets,
    DatasetFormat.FOLDER: load_folder,
    DatasetFormat.TABLE: load_table,
    DatasetFormat.SHARDS: load_shards,
}
"""But for those that rest on more than photographs and labels, see `foveate.recipes.datasets`."""

MARKS: dict[str, tuple[str, ...]] = {
    DatasetFormat.CUB: ("image_class_labels.txt", "train_test_split.txt"),
    DatasetFormat.DOGS: ("lists/train_list.mat", "train_list.mat", "lists/test_list.mat", "test_list.mat"),
    DatasetFormat.AIRCRAFT: ("data/images_variant_trainval.txt", "data/images_variant_test.txt"),
    DatasetFormat.CARS: ("devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat"),
    DatasetFormat.FLOWERS: ("setid.mat", "imagelabels.mat"),
    DatasetFormat.PETS: ("annotations/trainval.txt", "annotations/test.txt"),
    DatasetFormat.POOL: ("pool.json",),
    DatasetFormat.FOLD: ("fold.json",),
}
"""Files by any of which an archive is known, below the folder that its loader takes; the first that fits counts."""


def load_dataset(
    root: Path,
    format: DatasetFormat = DatasetFormat.AUTO,
    exclude: tuple[str, ...] = (),
    loaders: Mapping[str, Loader] = LOADERS,
    *,
    group_column: str | None = None,
    group_level: int = 0,
) -> ImageDataset:
    """Read the data set in a folder, or in a list (a CSV or Parquet file); no photograph is opened.

    Args:
        root: The folder, or one that holds it and no other data set; ``~`` is the home folder.
        format: How it is kept; AUTO finds it out.
        exclude: Names of folders that are left out of class folders.
        loaders: What reads a folder of each format.
        group_column: Of lists: the column that names the group of a photograph.
        group_level: Of class folders: how many folders below that of the class name it; 0: none do.

    Raises:
        UserError: There is no such folder, it is empty or of no known format, or it breaks a rule of its
            loader.
    """
    root = existing_root(root)
    if root.is_file():
        return _load_file(root, format, exclude, group_column, group_level)
    folders = Folders(root, exclude)
    folders, kept_as = _archive(folders, format) or _own_format(folders, format, group_level)
    if kept_as == DatasetFormat.FOLDER:
        _check_no_group_column(group_column, kept_as)
        return load_folder(folders.root, folders=folders, group_level=group_level)
    _check_no_exclude([each for each in exclude if each not in folders.matched], kept_as)
    _check_no_group_level(group_level, kept_as)
    if kept_as == DatasetFormat.TABLE and group_column is not None:
        return load_table(folders.root, group_column)
    _check_no_group_column(group_column, kept_as)
    return loaders[kept_as](folders.root)


def _check_no_group_column(group_column: str | None, format: str) -> None:
    if group_column is not None:
        raise UserError(
            f"group_column names a column of a list; {format} has none; got {group_column!r}. Leave it out; of class "
            "folders, group_level says how deep the folders lie that name groups"
        )


def _check_no_group_level(group_level: int, format: str) -> None:
    if group_level:
        raise UserError(
            f"group_level counts folders below class folders; {format} has its photographs listed; got {group_level}. "
            "Leave it out; of a CSV or Parquet list, group_column names groups"
        )


def _check_no_exclude(exclude: Sequence[str], format: str) -> None:
    if exclude:
        raise UserError(
            f"exclude leaves folders out of class folders; {format} has its photographs listed; got {exclude[0]!r}. "
            "Leave the option out, or take the rows out of the list"
        )


def _load_file(
    path: Path, format: DatasetFormat, exclude: tuple[str, ...], group_column: str | None, group_level: int
) -> ImageDataset:
    if path.suffix.lower() not in SUFFIXES or format not in (DatasetFormat.AUTO, DatasetFormat.TABLE):
        raise UserError(
            f"a data set must be a folder, or a list ({' or '.join(SUFFIXES)}); "
            f"got the file {path} for format {format}. Unpack an archive, or give the folder that holds a shard"
        )
    _check_no_exclude(exclude, DatasetFormat.TABLE)
    _check_no_group_level(group_level, DatasetFormat.TABLE)
    return load_table(path, group_column)


def _archive(folders: Folders, format: str) -> tuple[Folders, str] | None:
    """Find an archive in the folder or, where there is just one, a floor below."""
    root, wanted = folders.root, tuple(MARKS) if format == DatasetFormat.AUTO else (format,)
    if here := _marked(root, wanted):
        return folders, here
    below = [
        (replace(folders, root=folder), archive)
        for folder in folders.inside(root)
        if (archive := _marked(folder, wanted))
    ]
    if len(below) > 1:
        names = ", ".join(f"{each.root.name} ({archive})" for each, archive in below)
        raise UserError(f"the folder must hold one data set; {root} holds {names}. Give one of them")
    return below[0] if below else None


def _marked(folder: Path, wanted: tuple[str, ...]) -> str | None:
    for format in wanted:
        if any((folder / mark).exists() for mark in MARKS.get(format, ())):
            return format
    return None


def _own_format(folders: Folders, format: str, group_level: int) -> tuple[Folders, str]:
    """Tell the formats of people's own data apart: shards, a list, class folders, in which there may be groups."""
    if format != DatasetFormat.AUTO:
        return folders, format
    root, inside, shards = folders.root, folders.inside(folders.root), shards_in(folders.root)
    if shards and not inside:
        return folders, DatasetFormat.SHARDS
    if any(shard.suffix == ".tar" for shard in shards):
        raise UserError(
            f"shards must not lie beside folders; {root} holds {shards[0].name} and {inside[0].name}. "
            "Say which it is, format shards or folder, or move the other away"
        )
    if lists_in(root):
        return folders, DatasetFormat.TABLE
    names = [folder.name for folder in inside]
    divided = bool(divisions(names, str(root)))
    if len(inside) == 1 and not divided and _is_parent(inside[0]):
        folders.inside(root, count=True)
        folders.passed_over.add_files(root)
        return _own_format(replace(folders, root=inside[0]), format, group_level)
    if inside:
        if not divided and not group_level:
            _check_no_divisions(folders, inside)
        return folders, DatasetFormat.FOLDER
    formats = ", ".join(DatasetFormat)
    loose, passed_over = list_photographs(root)
    raise UserError(
        f"a data set must be in one of the formats {formats}; {root} looks like none: {len(loose)} pictures and no "
        f"folders ({passed_over or 'nothing was passed over'}). Make a folder for each class and put its photographs "
        "there, or list them in a CSV (image, class_name)"
    )


def _check_no_divisions(folders: Folders, classes: Sequence[Path]) -> None:
    """Refuse class folders that are divisions of the data set under names that we do not know.

    They hold the same folders, or nearly: a division may lack a class. A folder that holds none of them is a class.
    """
    inside = [{folder.name.strip().casefold() for folder in folders.inside(each)} for each in classes]
    counts = Counter(name for names in inside for name in names)
    shared = {name for name, count in counts.items() if 2 * count > len(classes)}
    if len(classes) > 1 and _are_classes(shared, counts, classes) and all(shared & names for names in inside):
        extent = "all" if all(shared <= names for names in inside) else "nearly all"
        raise UserError(
            f"class folders must not all hold the same folders; {first_few([each.name for each in classes])} in "
            f"{folders.root} {extent} hold {first_few(sorted(shared))}, which look like the classes. Call the folders "
            "above them train, validation and test, or give one of them; if they are the classes all the same, say so "
            "by format folder (--data.format folder; with `foveate data` --format folder)"
        )


def _are_classes(shared: Set[str], counts: Mapping[str, int], classes: Sequence[Path]) -> bool:
    """Whether folders that lie in most class folders must be the classes; one may be, of a division such as train."""
    return len(shared) > 1 or (bool(shared) and len(counts) > 1 and any(tells_of_split(each.name) for each in classes))


def _is_parent(folder: Path) -> bool:
    return bool(Folders(folder).inside(folder) or shards_in(folder) or lists_in(folder))
