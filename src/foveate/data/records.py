"""One photograph with its annotations, and a data set of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from foveate.config.data import TransformConfig
from foveate.files.remote_path import read_range
from foveate.types import Box, PartPoint


class ArchiveMember(NamedTuple):
    """Bytes of one file inside an uncompressed archive (a WebDataset shard), read only when they are needed."""

    archive: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """Return the member's bytes."""
        return read_range(self.archive, self.offset, self.length)


class Patch(NamedTuple):
    """A rectangle of a photograph's centre view, cut out only when it is read.

    ``transforms`` says which part of the photograph the view shows, and its side in pixels (the source size);
    ``box`` is (left, top, right, bottom) in whole pixels of the view. ``stretched`` is the side of the square that it
    is then resized to; None: it is left as it is.
    """

    photograph: Path | bytes | ArchiveMember
    transforms: TransformConfig
    box: tuple[int, int, int, int]
    stretched: int | None = None


ImageSource = Path | bytes | ArchiveMember | Patch
"""Where the bytes of a photograph are: a file, here, inside a tar or Parquet file, or part of another photograph."""


def photograph_of(image: ImageSource) -> Path | bytes | ArchiveMember:
    """Return the photograph that a patch is cut from; a photograph is its own."""
    return image.photograph if isinstance(image, Patch) else image


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One labelled photograph, or patch of one; box and parts in pixels of the upright original (see `foveate.types`).

    ``id`` is unique in the data set and stable between machines: the path below the data set's root with forward
    slashes, a list's own spelling of the path, or a shard's file name and the sample's key. ``label`` counts from 0
    in the order of the data set's class names. ``parts`` holds only the parts that are visible in the photograph.
    """

    id: str
    image: ImageSource
    label: int
    class_name: str
    box: Box | None = None
    parts: tuple[PartPoint, ...] = ()
    group: str | None = None
    """What it is of, where photographs of one thing stay together; None: it stands for itself."""


@dataclass(frozen=True, slots=True)
class ImageDataset:
    """Photographs of one recognition task, divided as its authors divided them.

    ``test`` is empty where the source has no division of its own, ``train`` where it is all for testing, and
    ``validation`` where the authors hold none out. Class ids of the source need not be contiguous: labels are
    0..len(class_names)-1 by sorted order of the source's ids, and classes without a photograph are left out.
    """

    name: str
    class_names: tuple[str, ...]
    train: Sequence[ImageRecord]
    test: Sequence[ImageRecord]
    part_names: tuple[str, ...] = ()
    validation: Sequence[ImageRecord] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What a user should know, a line each: what was taken for which split, what was passed over, absent classes."""


def labels_of(records: Sequence[ImageRecord]) -> list[int]:
    """Return the label of each record."""
    return [record.label for record in records]


def number_of_groups(groups: Int64[np.ndarray, " n"] | None) -> int | None:
    """Return how many there are of what `groups_of` numbers; None: no photograph has one."""
    return None if groups is None else len(np.unique(groups))


def groups_of(records: Sequence[ImageRecord]) -> Int64[np.ndarray, " n"] | None:
    """Return the number of each record's group, one that stands for itself having its own; None: all do."""
    if all(record.group is None for record in records):
        return None
    numbers: dict[tuple[str | None, str], int] = {}
    keys = ((record.group, record.id if record.group is None else "") for record in records)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
