"""Oxford-IIIT Pets."""

from __future__ import annotations

from pathlib import Path

from foveate.config.data import Split
from foveate.data.datasets.assembly import Row, assemble, number_classes
from foveate.data.datasets.checks import require_files
from foveate.data.datasets.reading import inclusive_box, read_pairs, read_voc, whole_number
from foveate.data.records import ImageDataset
from foveate.types import Box

_LISTS = {Split.TRAIN: "annotations/trainval.txt", Split.TEST: "annotations/test.txt"}


def load_pets(root: Path) -> ImageDataset:
    """Read the folder that holds ``images`` and ``annotations``: 37 breeds; train is trainval.

    The boxes are around the head, and only training photographs have one. Names are made readable:
    ``american_bulldog_10`` is an American Bulldog.
    """
    require_files(root, *_LISTS.values())
    lists = {split: read_pairs(root / name) for split, name in _LISTS.items()}
    images = [image for listed in lists.values() for image in listed]
    labels = [
        whole_number(line.split()[0], _LISTS[split]) for split, listed in lists.items() for line in listed.values()
    ]
    splits = [split for split, listed in lists.items() for _ in listed]
    class_ids, class_names = number_classes(images, labels, [_readable(image) for image in images])
    rows = [
        Row(f"images/{image}.jpg", root / "images" / f"{image}.jpg", class_id, split, _head(root, image))
        for image, class_id, split in zip(images, class_ids, splits, strict=True)
    ]
    return assemble("Oxford-IIIT Pets", rows, class_names)


def _readable(image: str) -> str:
    return image.rpartition("_")[0].replace("_", " ").title()


def _head(root: Path, image: str) -> Box | None:
    annotation = root / "annotations" / "xmls" / f"{image}.xml"
    edges = read_voc(annotation)
    return inclusive_box(edges, str(annotation)) if edges else None
