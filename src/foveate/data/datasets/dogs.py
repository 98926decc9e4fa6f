"""Stanford Dogs."""

from __future__ import annotations

from pathlib import Path

from foveate.config.data import Split
from foveate.data.datasets.assembly import Row, assemble, number_classes
from foveate.data.datasets.checks import checked_box, require_files
from foveate.data.datasets.reading import read_mat, read_voc
from foveate.data.records import ImageDataset
from foveate.types import Box

_LISTS = {Split.TRAIN: "train_list.mat", Split.TEST: "test_list.mat"}


def load_dogs(root: Path) -> ImageDataset:
    """Read the folder that holds ``Images``, ``Annotation`` and the lists, in ``lists`` or beside them.

    A photograph's box is the smallest around all its annotated dogs; edges are taken as offsets from the
    top-left corner. Names are made readable: ``n02085620-Chihuahua`` is Chihuahua.
    """
    lists = Path("lists") if (root / "lists").is_dir() else Path()
    require_files(root, *(str(lists / name) for name in _LISTS.values()))
    files: list[str] = []
    labels: list[int] = []
    splits: list[Split] = []
    for split, name in _LISTS.items():
        listed = read_mat(root / lists / name, "file_list").tolist()
        files += listed
        labels += map(int, read_mat(root / lists / name, "labels").tolist())
        splits += [split] * len(listed)
    class_ids, class_names = number_classes(files, labels, [_readable(file) for file in files])
    rows = [
        Row(f"Images/{file}", root / "Images" / file, class_id, split, _box(root, file))
        for file, class_id, split in zip(files, class_ids, splits, strict=True)
    ]
    return assemble("Stanford Dogs", rows, class_names)


def _readable(file: str) -> str:
    return file.partition("/")[0].partition("-")[2].replace("_", " ")


def _box(root: Path, file: str) -> Box | None:
    annotation = root / "Annotation" / file.removesuffix(".jpg")
    edges = read_voc(annotation)
    return checked_box(edges, str(annotation)) if edges else None
