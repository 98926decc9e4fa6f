"""WebDataset shards: uncompressed tar files whose members share a key and differ in their extension."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from foveate.data.datasets.assembly import TEST_NAMES, Row, Split, assemble, name_of_test, number_classes
from foveate.data.datasets.checks import checked_box, first_few
from foveate.data.datasets.reading import read_lines
from foveate.data.records import ArchiveMember, ImageDataset
from foveate.errors import UserError
from foveate.types import Box

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp")
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar.lz4")
CLASSES = "classes.txt"


class Sample(NamedTuple):
    """One key of a shard: where its image lies and what its ``.cls`` and ``.json`` say of it."""

    id: str
    image: ArchiveMember
    label: int | None
    class_name: str | None
    box: Box | None


def load_shards(root: Path) -> ImageDataset:
    """Index every ``*.tar`` of a folder once; images stay in their shards and are read at random.

    A sample is an image (jpg, jpeg, png, webp) and either ``.cls``, the label, or ``.json`` with ``label``,
    ``class_name`` or both and, where there is one, ``box``: [left, top, right, bottom] in pixels (see
    `foveate.types`). Line i of ``classes.txt``, counted from 0, names label i. An id is the shard's file name
    and the key, since keys often start anew in each shard.

    ``test-*.tar`` are the test division, all others train. ``val-`` and ``valid-`` stand for ``test-`` where
    there is none; beside one they are not read.

    Raises:
        UserError: A shard is compressed or damaged, or a sample is not as said (or see `assemble`).
    """
    known = read_lines(root / CLASSES) if (root / CLASSES).exists() else []
    samples: list[Sample] = []
    splits: list[Split] = []
    for shard, split in _shards(root).items():
        found = [_sample(f"{shard.name}/{key}", members) for key, members in _index(shard).items()]
        samples += [_named(sample, known) for sample in found] if known else found
        splits += [split] * len(found)
    ids = [sample.id for sample in samples]
    class_ids, class_names = number_classes(
        ids, [sample.label for sample in samples], [sample.class_name for sample in samples]
    )
    rows = [
        Row(sample.id, sample.image, class_id, split, sample.box)
        for sample, class_id, split in zip(samples, class_ids, splits, strict=True)
    ]
    return assemble(root.resolve().name, rows, class_names)


def shards_in(folder: Path, suffixes: tuple[str, ...] = (".tar", *COMPRESSED)) -> list[Path]:
    """Return the tar files in a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.name.endswith(suffixes) and not path.name.startswith("."))


def _shards(root: Path) -> dict[Path, Split]:
    compressed = shards_in(root, COMPRESSED)
    if compressed:
        raise UserError(
            "shards must be uncompressed, to be read at random; "
            f"got {first_few([path.name for path in compressed])}. Unpack to .tar (gunzip and the like)"
        )
    prefixes = {shard: shard.name.partition("-")[0] for shard in shards_in(root)}
    if not prefixes:
        raise UserError(f"shards are files *.tar; {root} holds none. Give the folder that holds them")
    test = name_of_test(prefixes.values())
    return {
        shard: Split.TEST if prefix == test else Split.TRAIN
        for shard, prefix in prefixes.items()
        if prefix == test or prefix not in TEST_NAMES
    }


def _index(shard: Path) -> dict[str, dict[str, ArchiveMember]]:
    """Return where each member lies, by key and then by extension: what follows the name's first dot."""
    samples: dict[str, dict[str, ArchiveMember]] = {}
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                folder, slash, name = member.name.rpartition("/")
                stem, _, extension = name.partition(".")
                if not member.isfile() or not stem:
                    continue
                members = samples.setdefault(f"{folder}{slash}{stem}", {})
                if members.setdefault(extension.lower(), place := _place(shard, member)) is not place:
                    raise UserError(
                        f"members of a shard must be there once; {shard} has {member.name} twice. Remove one"
                    )
    except tarfile.TarError as error:
        raise UserError(
            f"shards must be whole, uncompressed tar files; {shard} is not ({error}). "
            "Unpack it to .tar if it is compressed, else copy it again"
        ) from error
    return samples


def _place(shard: Path, member: tarfile.TarInfo) -> ArchiveMember:
    return ArchiveMember(shard, member.offset_data, member.size)


def _sample(id: str, members: dict[str, ArchiveMember]) -> Sample:
    images = [member for extension, member in members.items() if extension in IMAGE_EXTENSIONS]
    if len(images) != 1:
        raise UserError(
            f"a sample must have one image ({', '.join(IMAGE_EXTENSIONS)}); {id} has {len(images)} among "
            f"{', '.join(sorted(members))}. Write it again"
        )
    notes = _notes(id, members["json"].read()) if "json" in members else {}
    if "cls" in members:
        notes["label"] = _label(id, members["cls"].read().decode("ascii", "replace").strip())
    label, class_name, box = notes.get("label"), notes.get("class_name"), notes.get("box")
    if label is None and class_name is None:
        raise UserError(f"a sample must have a .cls, or a .json with label or class_name; {id} has neither. Add one")
    return Sample(id, images[0], label, class_name, box)


def _label(id: str, value: object) -> int:
    whole = value.isdecimal() if isinstance(value, str) else type(value) is int and value >= 0
    if not whole:
        raise UserError(f"labels must be whole numbers, 0 or more; {id} has {value!r}. Correct its .cls or .json")
    return int(str(value))


def _notes(id: str, text: bytes) -> dict[str, Any]:
    """Return what a ``.json`` says of label, class name and box, each checked."""
    try:
        notes = json.loads(text)
    except ValueError as error:
        raise UserError(f"a sample's .json must be JSON; {id} is not ({error}). Write it again") from error
    if not isinstance(notes, dict):
        raise UserError(f"a sample's .json must be an object; {id} has {notes!r}. Write it again")
    found = {field: notes[field] for field in ("label", "class_name", "box") if notes.get(field) is not None}
    if "label" in found:
        found["label"] = _label(id, found["label"])
    if not isinstance(found.get("class_name", ""), str):
        raise UserError(f"class_name must be text; {id} has {found['class_name']!r}. Correct its .json")
    if "box" in found:
        found["box"] = checked_box(found["box"], id)
    return found


def _named(sample: Sample, known: Sequence[str]) -> Sample:
    """Complete a sample's label or class name from ``classes.txt``."""
    label, name = sample.label, sample.class_name
    if label is None:
        label = known.index(name) if name in known else len(known)
    if label >= len(known) or name not in (None, known[label]):
        raise UserError(
            f"labels and class names must be those of {CLASSES}, 0 to {len(known) - 1}; "
            f"{sample.id} has label {sample.label} and class name {name!r}. Correct one of them"
        )
    return sample._replace(label=label, class_name=known[label])
