"""Caltech-UCSD Birds-200-2011, whole or in slices of whole classes."""

from __future__ import annotations

from pathlib import Path

from foveate.config.data import Split
from foveate.data.datasets.assembly import Row, assemble
from foveate.data.datasets.checks import checked_box, require_files
from foveate.data.datasets.reading import numbers, read_lines, read_pairs, whole_number
from foveate.data.records import ImageDataset
from foveate.errors import UserError
from foveate.types import Box, PartPoint

IMAGES, CLASSES, LABELS = "images.txt", "classes.txt", "image_class_labels.txt"
SPLITS, BOXES = "train_test_split.txt", "bounding_boxes.txt"
PARTS, PART_LOCATIONS = "parts/parts.txt", "parts/part_locs.txt"
DRAWN = "plumage.json"
"""In the folder of drawn birds, which have the archive's layout and are not its photographs."""


def load_cub(root: Path) -> ImageDataset:
    """Read the folder that holds ``images.txt``: records in the order of their ids, boxes, visible parts.

    The lists' coordinates are taken as offsets from the top-left corner. Names are made readable:
    ``004.Groove_billed_Ani`` is Groove billed Ani. A few boxes of the archive pass the photograph's edge by some
    pixels and are left as they are, since no photograph is opened. A folder of drawn birds is named plumage.
    """
    require_files(root, IMAGES, CLASSES, LABELS, SPLITS, BOXES, PARTS, PART_LOCATIONS)
    images, classes, part_names = (read_pairs(root / name) for name in (IMAGES, CLASSES, PARTS))
    labels, splits, boxes = (read_pairs(root / name, keys=images) for name in (LABELS, SPLITS, BOXES))
    parts = _visible_parts(root / PART_LOCATIONS, part_names)
    folder = root / "images"
    rows = [
        Row(
            id=f"images/{images[key]}",
            image=folder / images[key],
            class_id=whole_number(labels[key], LABELS),
            split=_split(splits[key]),
            box=_box(boxes[key]),
            parts=tuple(parts.get(key, ())),
        )
        for key in sorted(images, key=lambda key: whole_number(key, IMAGES))
    ]
    names = {whole_number(key, CLASSES): _readable(name) for key, name in classes.items()}
    name = "plumage" if (root / DRAWN).exists() else "CUB-200-2011"
    return assemble(name, rows, names, tuple(part_names.values()))


def _readable(folder: str) -> str:
    number, dot, name = folder.partition(".")
    return (name if dot and number.isdecimal() else folder).replace("_", " ")


def _split(flag: str) -> Split:
    if flag not in ("0", "1"):
        raise UserError(f"{SPLITS} must say 1 (train) or 0 (test); got {flag!r}. Correct that line")
    return Split.TRAIN if flag == "1" else Split.TEST


def _box(text: str) -> Box:
    x, y, width, height = numbers(text, 4, BOXES)
    return checked_box((x, y, x + width, y + height), f"{text!r} of {BOXES}")


def _visible_parts(path: Path, part_names: dict[str, str]) -> dict[str, list[PartPoint]]:
    parts: dict[str, list[PartPoint]] = {}
    for line in read_lines(path):
        try:
            image, part, x, y, visible = line.split()
            if visible == "1":
                parts.setdefault(image, []).append(PartPoint(part_names[part], float(x), float(y)))
        except (ValueError, KeyError) as error:
            raise UserError(
                f"{path} must hold an image id, a part id of parts.txt, x, y and visible; got {line!r}. "
                "Restore it from the archive"
            ) from error
    return parts
