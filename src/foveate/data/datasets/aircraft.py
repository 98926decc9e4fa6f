"""FGVC-Aircraft, by variant."""

from __future__ import annotations

from pathlib import Path

from foveate.config.data import Split
from foveate.data.datasets.assembly import Row, assemble
from foveate.data.datasets.checks import require_files
from foveate.data.datasets.reading import inclusive_box, numbers, read_lines, read_pairs
from foveate.data.records import ImageDataset
from foveate.errors import UserError

VARIANTS, BOXES = "data/variants.txt", "data/images_box.txt"
_LISTS = {Split.TRAIN: "data/images_variant_trainval.txt", Split.TEST: "data/images_variant_test.txt"}


def load_aircraft(root: Path) -> ImageDataset:
    """Read the folder that holds ``data``: 100 variants in the order of ``variants.txt``; train is trainval.

    The lowest 20 pixels of every photograph are a banner with its copyright: crop it before training.
    """
    require_files(root, VARIANTS, BOXES, *_LISTS.values())
    variants = read_lines(root / VARIANTS)
    numbers_of = {variant: number for number, variant in enumerate(variants)}
    rows: list[Row] = []
    for split, name in _LISTS.items():
        variant_of = read_pairs(root / name)
        boxes = read_pairs(root / BOXES, keys=variant_of)
        for image, variant in variant_of.items():
            if variant not in numbers_of:
                raise UserError(f"variants must be in {root / VARIANTS}; {name} has {variant!r}. Correct one of them")
            path = f"data/images/{image}.jpg"
            box = inclusive_box(numbers(boxes[image], 4, BOXES), path)
            rows.append(Row(path, root / path, numbers_of[variant], split, box))
    return assemble("FGVC-Aircraft", rows, dict(enumerate(variants)))
