"""The saved answers of one run: a Parquet table on which every later comparison is computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int, Int64

from foveate.errors import UserError
from foveate.files.documents import parsed_json
from foveate.files.parquet import read_parquet, write_parquet

SCHEMA_VERSION = 2
"""Of the table's columns and metadata; a table of another version is refused.

Version 2 adds the column `group`. A table without groups is of version 1, which earlier Foveates read as well.
"""

_VERSION_KEY = b"foveate.schema_version"
_CLASSES_KEY = b"foveate.class_names"
_METADATA_KEY = b"foveate.metadata"
_HASH_KEY = b"foveate.sha256"


@dataclass(frozen=True, slots=True, eq=False)
class PredictionTable:
    """Probabilities of every class for every image of a set.

    ``ids`` are unique (`foveate.data.records.ImageRecord.id`); a label of -1 is unknown. ``metadata`` is free
    text about the origin of the answers: run, split, data set. ``groups`` numbers each image's group, whose images
    are much alike; None: each stands for itself.

    Raises:
        UserError: Lengths disagree, an id occurs twice, or a label or group is out of range.
    """

    ids: tuple[str, ...]
    labels: Int[np.ndarray, " n"]
    probabilities: Float[np.ndarray, "n c"]
    class_names: tuple[str, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    groups: Int64[np.ndarray, " n"] | None = None

    def __post_init__(self) -> None:
        images, classes = len(self.ids), len(self.class_names)
        if self.labels.shape != (images,) or self.probabilities.shape != (images, classes) or not classes:
            raise UserError(
                "a prediction table needs one label and one row of probabilities for each id, and one column "
                f"for each class; got {images} ids, {classes} classes, labels {self.labels.shape} and "
                f"probabilities {self.probabilities.shape}"
            )
        if len(set(self.ids)) != images:
            raise UserError(f"ids must be unique; {images - len(set(self.ids))} of {images} are repeated")
        if images and not -1 <= self.labels.min() <= self.labels.max() < classes:
            raise UserError(
                f"labels must be in 0..{classes - 1}, or -1 where unknown; "
                f"got {self.labels.min()} to {self.labels.max()}"
            )
        if self.groups is not None and not (
            self.groups.shape == (images,) and (not images or 0 <= self.groups.min() <= self.groups.max() < images)
        ):
            raise UserError(
                f"groups number the {images} ids, each from 0 to {images - 1}; got {self.groups.shape} from "
                f"{self.groups.min(initial=0)} to {self.groups.max(initial=0)}"
            )

    @property
    def right(self) -> Bool[np.ndarray, " n"]:
        """Which photographs are answered rightly; none whose label is unknown."""
        right: Bool[np.ndarray, " n"] = self.probabilities.argmax(1) == self.labels
        return right

    @property
    def counted(self) -> str:
        """What `independent` counts, in words."""
        return "photographs" if self.groups is None else "groups of photographs"

    @property
    def independent(self) -> PredictionTable:
        """The same of one image of each group, drawn at random: what is promised of others may rest on these."""
        if self.groups is None:
            return self
        order = np.random.default_rng(0).permutation(len(self.ids))
        rows = np.sort(order[np.unique(self.groups[order], return_index=True)[1]])
        return PredictionTable(
            tuple(self.ids[row] for row in rows),
            self.labels[rows],
            self.probabilities[rows],
            self.class_names,
            self.metadata,
        )


def write_predictions(path: Path, table: PredictionTable) -> None:
    """Write a table whole or not at all; labels and groups are stored as int32, probabilities as float32.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    grouped = table.groups is not None
    schema = _schema(len(table.class_names), grouped=grouped).with_metadata(
        {
            _VERSION_KEY: str(SCHEMA_VERSION if grouped else 1),
            _CLASSES_KEY: json.dumps(table.class_names),
            _METADATA_KEY: json.dumps(dict(table.metadata)),
        }
    )
    schema = schema.with_metadata(schema.metadata | {_HASH_KEY: _hash_of(schema.metadata)})
    values = pa.array(table.probabilities.astype(np.float32, copy=False).ravel())
    columns = [
        pa.array(table.ids, pa.string()),
        pa.array(table.labels.astype(np.int32, copy=False)),
        pa.FixedSizeListArray.from_arrays(values, type=schema.field("probabilities").type),
        *([] if table.groups is None else [pa.array(table.groups.astype(np.int32))]),
    ]
    write_parquet(path, pa.Table.from_arrays(columns, schema=schema), compression="zstd", dictionaries=False)


def read_predictions(path: Path) -> PredictionTable:
    """Read a table that `write_predictions` wrote.

    Raises:
        UserError: The file is missing or damaged, is not a prediction table, or has another schema version.
    """
    table = read_parquet(path, "a prediction table", "give the Parquet file of a run")
    class_names, metadata, grouped = _origin(path, table.schema.metadata or {})
    if not table.schema.equals(_schema(len(class_names), grouped=grouped)):
        raise UserError(
            f"{path} does not have the columns of a prediction table: write it again with `write_predictions`"
        )
    probabilities = table.column("probabilities").combine_chunks().flatten().to_numpy()
    return PredictionTable(
        ids=tuple(table.column("id").to_pylist()),
        labels=np.array(table.column("label").to_numpy()),
        probabilities=np.array(probabilities).reshape(table.num_rows, len(class_names)),
        class_names=class_names,
        metadata=metadata,
        groups=np.array(table.column("group").to_numpy(), dtype=np.int64) if grouped else None,
    )


def aligned(a: PredictionTable, b: PredictionTable) -> PredictionTable:
    """Return b with its images in a's order, so that the two can be compared row by row.

    Raises:
        UserError: The tables differ in classes, images or labels.
    """
    check_classes(a.class_names, b.class_names)
    missing = set(a.ids) ^ set(b.ids)
    if missing:
        raise UserError(
            f"two tables can be compared only on the same images; {len(missing)} are in one of them only, "
            f"for example {min(missing)!r}: predict both on the same split"
        )
    row = {image: index for index, image in enumerate(b.ids)}
    order = np.array([row[image] for image in a.ids], dtype=np.int64)
    labels = b.labels[order]
    differing = np.flatnonzero(labels != a.labels)
    if differing.size:
        index = int(differing[0])
        raise UserError(
            f"two tables can be compared only on the same labels; {differing.size} of {len(labels)} differ, the first: "
            f"{a.ids[index]!r} has {a.labels[index]} in one and {labels[index]} in the other: predict both from one "
            "version of the data set"
        )
    groups = None if b.groups is None else b.groups[order]
    return replace(b, ids=a.ids, labels=labels, probabilities=b.probabilities[order], groups=groups)


def check_classes(a: tuple[str, ...], b: tuple[str, ...]) -> None:
    """Refuse to compare answers that choose from different classes; how many differ is said.

    Raises:
        UserError: The names or their order differ.
    """
    if a == b:
        return
    got = f"{len(a)} and {len(b)} classes, {len(set(a) ^ set(b))} of them in one only"
    if len(a) == len(b):
        differing = [index for index, (one, other) in enumerate(zip(a, b, strict=True)) if one != other]
        first = differing[0]
        got = f"class {first} named {a[first]!r} and {b[first]!r}, and {len(differing) - 1} more that differ"
    raise UserError(
        f"answers can be compared only on the same classes in the same order; got {got}: predict both from one data set"
    )


def mean_answers(tables: Sequence[PredictionTable], origin: Mapping[str, str]) -> PredictionTable:
    """Return the mean of several networks' probabilities, as one table in the first one's order: an ensemble's answers.

    Args:
        tables: One or more.
        origin: The metadata of the new table.

    Raises:
        UserError: As `aligned`.
    """
    alike = [tables[0], *(aligned(tables[0], each) for each in tables[1:])]
    mean = np.mean([each.probabilities for each in alike], axis=0)
    groups = next((each.groups for each in alike if each.groups is not None), None)
    return replace(tables[0], probabilities=mean, metadata=origin, groups=groups)


def _schema(classes: int, *, grouped: bool) -> pa.Schema:
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("label", pa.int32(), nullable=False),
            pa.field("probabilities", pa.list_(pa.float32(), classes), nullable=False),
            *([pa.field("group", pa.int32(), nullable=False)] if grouped else []),
        ]
    )


def _origin(path: Path, metadata: Mapping[bytes, bytes]) -> tuple[tuple[str, ...], dict[str, str], bool]:
    """Return the names of the classes, where the answers come from, and whether images have groups."""
    if not {_VERSION_KEY, _CLASSES_KEY, _METADATA_KEY} <= metadata.keys():
        raise UserError(
            f"{path} is a Parquet file but not a prediction table of Foveate: give the file that a run wrote"
        )
    version = metadata[_VERSION_KEY].decode("utf-8", "replace")
    if version not in ("1", str(SCHEMA_VERSION)):
        raise UserError(
            f"{path} has schema version {version[:9]}, this Foveate reads versions 1 and {SCHEMA_VERSION}: "
            "predict again, or read it with the Foveate that wrote it"
        )
    try:
        names, origin = (parsed_json(metadata[key].decode()) for key in (_CLASSES_KEY, _METADATA_KEY))
    except ValueError as error:
        raise UserError(f"the metadata of {path} must be JSON ({error}): predict again") from error
    texts = [*names, *origin.values()] if isinstance(names, list) and isinstance(origin, dict) else [None]
    if not all(isinstance(each, str) for each in texts) or len(set(names)) < len(names):
        raise UserError(f"the metadata of {path} must name every class once, and the answers' origin: predict again")
    if metadata.get(_HASH_KEY, _hash_of(metadata)) != _hash_of(metadata):
        raise UserError(f"the metadata of {path} have changed since they were written: predict again")
    return tuple(names), origin, version != "1"


def _hash_of(metadata: Mapping[bytes, bytes]) -> bytes:
    return hashlib.sha256(metadata[_CLASSES_KEY] + metadata[_METADATA_KEY]).hexdigest().encode()
