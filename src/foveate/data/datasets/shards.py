"""WebDataset shards: uncompressed tar files whose members share a key and differ in their extension."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from foveate.config.data import Split
from foveate.data.datasets.assembly import Row, assemble, number_classes
from foveate.data.datasets.checks import checked_box, first_few, shown
from foveate.data.datasets.class_names import check_class_name
from foveate.data.datasets.listing import is_of_system
from foveate.data.datasets.reading import LONGEST_NUMBER, read_lines
from foveate.data.datasets.split_names import shard_splits, splits_line, used_splits
from foveate.data.datasets.tar_members import members_of
from foveate.data.records import ArchiveMember, ImageDataset
from foveate.errors import UserError
from foveate.types import Box

_IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp")
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar.lz4")
_CLASSES = "classes.txt"


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

    ``test-*.tar`` are the test split, ``val-*.tar`` the validation split, all others train; other usual names of splits
    are known too. A validation split is the test split where there is none.

    Raises:
        UserError: A shard is compressed or damaged, or a sample is not as said (or see `assemble`).
    """
    known = read_lines(root / _CLASSES) if (root / _CLASSES).exists() else []
    samples: list[Sample] = []
    splits: list[Split] = []
    shards = _shards(root)
    for shard, split in shards.items():
        index = _index(shard)
        if not index:
            raise UserError(f"a shard must hold samples; {shard} holds none. Copy it again, or remove it")
        shard_samples = [_sample(f"{shard.name}/{key}", members) for key, members in index.items()]
        samples += [_named(sample, known) for sample in shard_samples] if known else shard_samples
        splits += [split] * len(shard_samples)
    ids = [sample.id for sample in samples]
    class_ids, class_names = number_classes(
        ids, [sample.label for sample in samples], [sample.class_name for sample in samples]
    )
    used = used_splits(splits)
    rows = [
        Row(sample.id, sample.image, class_id, used[split], sample.box)
        for sample, class_id, split in zip(samples, class_ids, splits, strict=True)
    ]
    return assemble(root.resolve().name, rows, class_names, notes=_notes_on(shards))


def _notes_on(shards: Mapping[Path, Split]) -> list[str]:
    """Say which shards are which split, where not all are for training."""
    named: dict[Split, list[str]] = {}
    for shard, split in shards.items():
        named.setdefault(split, []).append(shard.name)
    return [splits_line({split: first_few(names, 2) for split, names in named.items()})] if len(named) > 1 else []


def shards_in(folder: Path, suffixes: tuple[str, ...] = (".tar", *_COMPRESSED)) -> list[Path]:
    """Return the tar files in a folder, sorted by name."""
    paths = (path for path in folder.iterdir() if path.name.endswith(suffixes) and not path.name.startswith("."))
    return sorted(path for path in paths if path.is_file())


def _shards(root: Path) -> dict[Path, Split]:
    compressed = shards_in(root, _COMPRESSED)
    if compressed:
        raise UserError(
            "shards must be uncompressed, to be read at random; "
            f"got {first_few([path.name for path in compressed])}. Unpack to .tar (gunzip and the like)"
        )
    shards = shards_in(root, (".tar",))
    if not shards:
        raise UserError(f"shards are files *.tar; {root} holds none. Give the folder that holds them")
    splits = shard_splits([shard.stem for shard in shards])
    return {shard: splits[shard.stem] for shard in shards}


def _index(shard: Path) -> dict[str, dict[str, ArchiveMember]]:
    """Return where each member lies, by key and then by extension: what follows the name's first dot."""
    samples: dict[str, dict[str, ArchiveMember]] = {}
    for member in members_of(shard):
        folder, slash, name = member.name.rpartition("/")
        stem, _, extension = name.partition(".")
        if not stem or is_of_system(folder):
            continue
        members = samples.setdefault(f"{folder}{slash}{stem}", {})
        if members.setdefault(extension.lower(), place := _place(shard, member)) is not place:
            raise UserError(f"members of a shard must be there once; {shard} has {member.name} twice. Remove one")
    return samples


def _place(shard: Path, member: tarfile.TarInfo) -> ArchiveMember:
    return ArchiveMember(shard, member.offset_data, member.size)


def _sample(id: str, members: dict[str, ArchiveMember]) -> Sample:
    images = [member for extension, member in members.items() if extension in _IMAGE_EXTENSIONS]
    if len(images) != 1:
        raise UserError(
            f"a sample must have one image ({', '.join(_IMAGE_EXTENSIONS)}); {id} has {len(images)} among "
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
    text = value if isinstance(value, str) else None
    if type(value) is int and 0 <= value < 10**LONGEST_NUMBER:
        return value
    if text is None or not text.isdecimal() or len(text) > LONGEST_NUMBER:
        raise UserError(
            f"labels must be whole numbers, 0 or more, of at most {LONGEST_NUMBER} digits; {id} has {shown(value)}. "
            "Correct its .cls or .json"
        )
    return int(text)


def _notes(id: str, text: bytes) -> dict[str, Any]:
    """Return what a ``.json`` says of label, class name and box, each checked."""
    try:
        notes = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"a sample's .json must be JSON; {id} is not ({error}). Write it again") from error
    if not isinstance(notes, dict):
        raise UserError(f"a sample's .json must be an object; {id} has {shown(notes)}. Write it again")
    fields = {field: notes[field] for field in ("label", "class_name", "box") if notes.get(field) is not None}
    if "label" in fields:
        fields["label"] = _label(id, fields["label"])
    if not isinstance(name := fields.get("class_name", "-"), str):
        raise UserError(f"class_name must be text; {id} has {shown(name)}. Correct its .json")
    check_class_name(name, id)
    if "box" in fields:
        fields["box"] = checked_box(fields["box"], id)
    return fields


def _named(sample: Sample, known: Sequence[str]) -> Sample:
    """Complete a sample's label or class name from ``classes.txt``."""
    label, name = sample.label, sample.class_name
    if label is None:
        label = known.index(name) if name in known else len(known)
    if label >= len(known) or name not in (None, known[label]):
        raise UserError(
            f"labels and class names must be those of {_CLASSES}, 0 to {len(known) - 1}; "
            f"{sample.id} has label {sample.label} and class name {name!r}. Correct one of them"
        )
    return sample._replace(label=label, class_name=known[label])
