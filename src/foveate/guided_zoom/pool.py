"""The evidence pool: a table of where a network saw its evidence, and the data set of patches that it stands for.

A pool is a folder::

    pool.json            what it was built from, and how
    parts/00000.parquet  the evidence of the first `part_size` photographs, and so on
    parts.arrow          all parts together, once they are there; it may be removed

It holds no pictures: a patch is cut out of its photograph when it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from foveate.config.checks import require_count, require_names
from foveate.config.data import DataConfig, TransformConfig
from foveate.data.records import ArchiveMember, ImageDataset, ImageRecord, photograph_of
from foveate.errors import UserError
from foveate.files.documents import read_json, structured, unstructured, write_json
from foveate.files.table_parts import TableInParts
from foveate.guided_zoom import migrations
from foveate.guided_zoom.config import PoolConfig
from foveate.guided_zoom.patch_records import WHOLE, PatchRecords

_PARTS = "parts"
SCHEMA_VERSION = 4
"""Of the files written; raised where their columns change."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("round", pa.int8(), nullable=False),
        # The peak, in continuous pixels of the view of `source_size`; `found` is false where the map had none.
        pa.field("x", pa.float32(), nullable=False),
        pa.field("y", pa.float32(), nullable=False),
        pa.field("found", pa.bool_(), nullable=False),
        # The patch, in whole pixels of that view.
        *(pa.field(edge, pa.int32(), nullable=False) for edge in ("left", "top", "right", "bottom")),
        # What the network gave the true class, the evidence of earlier rounds being erased.
        pa.field("probability", pa.float32(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True)
class PoolDescription:
    """What `pool.json` holds: enough to know a pool that belongs to another network or other photographs."""

    config: PoolConfig
    data: DataConfig
    transforms: TransformConfig
    """Of the view that patches are cut from."""
    dataset: str
    class_names: tuple[str, ...]
    photographs: int
    """How many were asked; each has between none and L + 1 rows."""
    data_hash: str
    """Of the photographs' ids, labels and sizes in bytes."""
    network_hash: str
    """Of the weights."""
    looker_hash: str | None = None
    """Of the weights of the network that is grounded in the conventional one's place; None: there is none."""

    def __post_init__(self) -> None:
        require_names(self.class_names)
        require_count("photographs", self.photographs)


class RoundSummary(NamedTuple):
    """How much evidence one round left in a pool."""

    round: int
    patches: int
    per_class: Int[np.ndarray, " c"]


@dataclass(frozen=True, slots=True)
class EvidencePool:
    """A pool on disk, finished or not."""

    path: Path
    description: PoolDescription

    @classmethod
    def start(cls, path: Path, description: PoolDescription) -> EvidencePool:
        """Begin a pool, or return to one that was begun in the same way; finished parts stay.

        Where no part is finished yet it may be begun in another way.

        Where the same photographs lie elsewhere now, the pool notes the new place.

        Raises:
            UserError: The folder holds something else, or a pool of another network, other photographs or settings.
        """
        if (path / "pool.json").exists():
            pool = cls.open(path)
            if cls.begun(path):
                pool.check(description)
            if pool.description == description:
                return pool
        cls.check_folder(path)
        write_json(path / "pool.json", unstructured(description), SCHEMA_VERSION)
        return cls(path, description)

    @staticmethod
    def check_folder(path: Path) -> None:
        """Refuse a folder that holds something else than a pool.

        Raises:
            UserError: It does.
        """
        if (path / "pool.json").exists() or not path.exists():
            return
        if not path.is_dir() or any(not each.name.startswith(".") for each in path.iterdir()):
            raise UserError(f"a new pool needs an empty folder; {path} holds other files; name another")

    @staticmethod
    def begun(path: Path) -> bool:
        """Say whether a folder is a pool of which a part is finished."""
        return (path / "pool.json").exists() and any((path / _PARTS).glob("[!.]*"))

    @classmethod
    def open(cls, path: Path) -> EvidencePool:
        """Open an existing pool.

        Raises:
            UserError: It is not one, or another version of Foveate wrote it.
        """
        file = path / "pool.json"
        if not file.is_file():
            raise UserError(f"a pool is a folder with a pool.json, as `foveate pool build` makes it; {path} is not one")
        content = read_json(file, SCHEMA_VERSION, migrations.POOL)
        return cls(path, structured(content, PoolDescription, file, "an evidence pool"))

    def check(self, description: PoolDescription) -> None:
        """Refuse a pool that does not belong to a network and data.

        Raises:
            UserError: It was built from others, or otherwise; what differs is named.
        """
        names = {
            "network_hash": "another network",
            "looker_hash": "another looker",
            "data_hash": "other photographs",
            "class_names": "other classes",
            "transforms": "views of another geometry",
            "config": "other settings",
        }
        for field, what in names.items():
            if getattr(self.description, field) != getattr(description, field):
                given, there = (unstructured(each.config) for each in (description, self.description))
                differing = ", ".join(name for name in given if given[name] != there[name]) if field == "config" else ""
                raise UserError(
                    f"a pool belongs to the network, photographs and settings that it was built with; {self.path} was "
                    f"built with {what}{differing and f' ({differing})'}; name another folder, or remove that one"
                )

    @property
    def parts(self) -> TableInParts:
        """The table, in parts."""
        description = self.description
        return TableInParts(
            self.path / _PARTS, SCHEMA, description.photographs, description.config.part_size, "`foveate pool build`"
        )

    def table(self) -> pa.Table:
        """Return the evidence of all photographs, in their order, each with its rounds in turn; mapped, not read.

        Raises:
            UserError: Parts are missing or damaged.
        """
        return self.parts.mapped()

    def summary(self) -> tuple[RoundSummary, ...]:
        """Count the patches of each round, in all and for each class."""
        table = self.table()
        labels, rounds = (table.column(name).to_numpy() for name in ("label", "round"))
        classes = len(self.description.class_names)
        counts = [np.bincount(labels[rounds == each], minlength=classes) for each in range(self._rounds)]
        return tuple(RoundSummary(each, int(count.sum()), count) for each, count in enumerate(counts))

    @property
    def _rounds(self) -> int:
        return self.description.config.patches.rounds + 1

    def dataset(self, photographs: Sequence[ImageRecord]) -> ImageDataset:
        """Return the patches as photographs to train on; their ids end in # and the round, or in #whole.

        A record is made when it is asked for.

        Args:
            photographs: The data set's, whatever their split: they are found by id.

        Raises:
            UserError: There is no evidence at all, or none of some class, or a photograph is not in the data set.
        """
        table = self.table()
        self._check_classes(table)
        places = pc.index_in(table.column("id"), pa.array([record.id for record in photographs], pa.string()))
        absent = pc.unique(table.column("id").filter(places.is_null()))
        if len(absent):
            raise UserError(
                f"the photographs of a pool must be in its data set; {len(absent)} are not in "
                f"{self.description.data.root}, {absent[0].as_py()!r} first; restore them, or build the pool anew"
            )
        train = self._patches(table, places.to_numpy(), photographs)
        return ImageDataset(f"evidence from {self.description.dataset}", self.description.class_names, train, ())

    def _patches(
        self, table: pa.Table, which: Int[np.ndarray, " n"], photographs: Sequence[ImageRecord]
    ) -> PatchRecords:
        config = self.description.config
        rounds = table.column("round").to_numpy()
        boxes = np.stack([table.column(edge).to_numpy() for edge in ("left", "top", "right", "bottom")], axis=1)
        if config.whole:
            _, first = np.unique(which, return_index=True)
            wholes, side = which[np.sort(first)], config.patches.source_size
            views = np.broadcast_to(np.array([0, 0, side, side], boxes.dtype), (len(wholes), 4))
            which = np.concatenate([which, wholes])
            rounds = np.concatenate([rounds, np.full_like(rounds, WHOLE, shape=len(wholes))])
            boxes = np.concatenate([boxes, views])
        square = config.patches.side if config.patches.stretch else None
        return PatchRecords(photographs, which, rounds, boxes, self.description.transforms, square)

    def _check_classes(self, table: pa.Table) -> None:
        names = self.description.class_names
        if not table.num_rows:
            raise UserError(
                f"a pool must hold evidence; {self.path} is empty: the network classifies no training photograph "
                "correctly; train it longer, or keep wrong ones too, with --pool.keep erased-correct "
                "and another --out"
            )
        without = np.flatnonzero(np.bincount(table.column("label").to_numpy(), minlength=len(names)) == 0)
        if len(without):
            raise UserError(
                f"a pool must hold evidence of every class; {self.path} has none of {len(without)} of {len(names)}, "
                f"{names[without[0]]!r} first: the network classifies no photograph of it correctly; train it longer, "
                "or keep photographs that it takes for another, with --pool.keep erased-correct and another --out"
            )


def patches_alone(records: Sequence[ImageRecord]) -> tuple[ImageRecord, ...]:
    """Return a pool's records without the photographs that the Evidence CNN sees as wholes."""
    return tuple(record for record in records if not record.id.endswith("#whole"))


def hash_of_photographs(records: Sequence[ImageRecord], *, grouped: bool = False) -> str:
    """Return a hash of the photographs' ids, labels and sizes in bytes; nothing is opened.

    Args:
        records: The photographs.
        grouped: Whether the group of those that have one counts too.
    """
    content = hashlib.sha256()
    for record in records:
        group = f"\t{record.group}" if grouped and record.group is not None else ""
        content.update(f"{record.id}\t{record.label}\t{_bytes_of(photograph_of(record.image))}{group}\n".encode())
    return content.hexdigest()


def _bytes_of(image: Path | bytes | ArchiveMember) -> int:
    if isinstance(image, Path):
        return image.stat().st_size
    return image.length if isinstance(image, ArchiveMember) else len(image)
