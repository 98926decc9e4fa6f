"""WebDataset shards."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import webdataset
from webdataset.tariterators import group_by_keys, tar_file_expander

from foveate.data.datasets import DatasetFormat, load_dataset
from foveate.data.records import ArchiveMember, ImageRecord
from foveate.errors import UserError
from foveate.types import Box
from miniatures import jpeg, lines


def ids(records: Sequence[ImageRecord]) -> list[str]:
    return [record.id for record in records]


def write_shard(path: Path, samples: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as writer:
        for number, sample in enumerate(samples):
            writer.write({"__key__": f"{number:06d}", "jpg": jpeg(number)} | dict(sample))
    return path


def test_shards_are_webdatasets(tmp_path: Path) -> None:
    shards = [
        write_shard(tmp_path / "train-000.tar", [{"cls": 2}, {"cls": 0}]),
        write_shard(tmp_path / "train-001.tar", [{"cls": 1, "seg.png": b"mask", "txt": "a wren"}]),
        write_shard(tmp_path / "test-000.tar", [{"cls": 2, "__key__": "deep/er/7"}]),
    ]
    dataset = load_dataset(tmp_path)
    oracle = [sample for shard in shards for sample in theirs(shard)]
    records = (*dataset.train, *dataset.test)
    assert [record.id.partition("/")[2] for record in records] == [sample["__key__"] for sample in oracle]
    assert [read(record) for record in records] == [sample["jpg"] for sample in oracle]
    assert [record.label for record in records] == [int(sample["cls"]) for sample in oracle]
    assert ids(dataset.test) == ["test-000.tar/deep/er/7"]
    assert dataset.class_names == ("0", "1", "2")


def theirs(shard: Path) -> list[dict[str, Any]]:
    """Read a shard with webdataset; its `WebDataset` leaves the file open, its stages do not open one."""
    with shard.open("rb") as stream:
        return list(group_by_keys(tar_file_expander([{"url": shard.name, "stream": stream}])))


def read(record: ImageRecord) -> bytes:
    assert isinstance(record.image, ArchiveMember)
    return record.image.read()


def test_shards_of_json(tmp_path: Path) -> None:
    samples: list[dict[str, Any]] = [
        {"json": {"label": 5, "class_name": "wren", "box": [0, 0.5, 3, 4], "url": "x"}},
        {"json": {"class_name": "robin"}, "cls": 3},
        {"json": {"label": 5, "class_name": "wren", "box": None}},
    ]
    write_shard(tmp_path / "birds.tar", samples)
    dataset = load_dataset(tmp_path)
    assert dataset.class_names == ("robin", "wren")
    assert [(record.label, record.box) for record in dataset.train] == [(1, Box(0, 0.5, 3, 4)), (0, None), (1, None)]


def test_shards_with_a_list_of_classes(tmp_path: Path) -> None:
    lines(tmp_path / "classes.txt", ["wren", "owl", "robin"])
    write_shard(tmp_path / "train-0.tar", [{"cls": 0}, {"json": {"class_name": "robin"}}])
    dataset = load_dataset(tmp_path)
    assert dataset.class_names == ("wren", "robin")
    assert [record.label for record in dataset.train] == [0, 1]


@pytest.mark.parametrize(
    "sample", [{"cls": 2}, {"json": {"class_name": "kite"}}, {"json": {"label": 1, "class_name": "wren"}}]
)
def test_shards_at_odds_with_their_list_of_classes(tmp_path: Path, sample: dict[str, Any]) -> None:
    lines(tmp_path / "classes.txt", ["wren", "owl"])
    write_shard(tmp_path / "train-1.tar", [{"cls": 0}, sample])
    with pytest.raises(UserError, match=r"must be those of classes\.txt, 0 to 1; train-1\.tar/000001 has"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"cls": b"-1"}, "train-0.tar/000000 has '-1'"),
        ({"cls": b"robin"}, "has 'robin'"),
        ({"json": {"label": 1.5}}, "has 1.5"),
        ({"json": {"label": True}}, "has True"),
        ({"json": {"class_name": 3}}, "class_name must be text"),
        ({"json": {"class_name": "a", "box": [1, 2, 3]}}, "four numbers"),
        ({"json": {"class_name": "a", "box": [1, "2", 3, 4]}}, "four numbers"),
        ({"json": b"{"}, "must be JSON"),
        ({"json": b"[]"}, "must be an object"),
        ({"txt": "a"}, "has neither"),
        ({"cls": 1, "png": b"x"}, "has 2 among cls, jpg, png"),
        ({"cls": 1, "jpg": None}, "must have one image"),
        ({"cls": 1}, "only '1'"),
    ],
)
def test_shard_faults(tmp_path: Path, sample: dict[str, Any], message: str) -> None:
    path = tmp_path / "train-0.tar"
    members = {"jpg": jpeg()} | sample
    with webdataset.TarWriter(str(path)) as writer:
        writer.write({"__key__": "000000"} | {name: value for name, value in members.items() if value is not None})
    with pytest.raises(UserError, match=message):
        load_dataset(tmp_path)


def test_some_samples_without_a_label(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", [{"cls": 1}, {"json": {"class_name": "wren"}}])
    with pytest.raises(UserError, match=r"or every one a class name; a\.tar/000000 lacks it"):
        load_dataset(tmp_path)


def test_damaged_and_compressed_shards(tmp_path: Path) -> None:
    content = write_shard(tmp_path / "train-0.tar", [{"cls": 1}, {"cls": 0}]).read_bytes()
    for damaged in (gzip.compress(content), content[:700], b""):
        (tmp_path / "train-0.tar").write_bytes(damaged)
        with pytest.raises(UserError, match=r"uncompressed tar files; .*train-0\.tar is not"):
            load_dataset(tmp_path)
    (tmp_path / "train-0.tar").unlink()
    (tmp_path / "train-0.tar.gz").write_bytes(gzip.compress(content))
    with pytest.raises(UserError, match=r"must be uncompressed.*got train-0\.tar\.gz"):
        load_dataset(tmp_path)


def test_members_twice(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("._0.jpg", "0.jpg", "0.jpg"):
            member = tarfile.TarInfo(name)
            member.size = len(jpeg())
            archive.addfile(member, io.BytesIO(jpeg()))
    with pytest.raises(UserError, match=r"has 0\.jpg twice"):
        load_dataset(tmp_path)


def test_folder_without_shards(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds none"):
        load_dataset(lines(tmp_path / "x.txt", ["x"]).parent, DatasetFormat.SHARDS)


def tar(path: Path, members: Mapping[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """Write a tar file; a member takes a block for its header and one for each 512 bytes."""
    with tarfile.open(path, "w", format=format) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path.read_bytes()


SAMPLES = {"0.jpg": b"a", "0.cls": b"0", "1.jpg": b"b", "1.cls": b"1"}
END = 4 * 1024
"""Where the last member ends: two blocks each."""


def overwritten(content: bytes, place: int, new: bytes) -> bytes:
    return content[:place] + new + content[place + len(new) :]


FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda whole: b"", "empty file"),
    "compressed": (gzip.compress, "Unpack it to"),
    "cut in the first header": (lambda whole: whole[:300], "truncated header"),
    "cut in a header": (lambda whole: whole[: 2048 + 100], "begins no member"),
    "cut after a header": (lambda whole: whole[: 2048 + 512], "unexpected end of data"),
    "cut between members": (lambda whole: whole[:2048], "cut: its 2048 bytes have no end"),
    "cut before the end": (lambda whole: whole[:END], "cut: its 4096 bytes have no end"),
    "cut in the end": (lambda whole: whole[: END + 512], "cut: its 4608 bytes have no end"),
    "wrong checksum": (lambda whole: overwritten(whole, 2048, b"x"), "byte 2048 begins no member"),
    "wrong first checksum": (lambda whole: overwritten(whole, 0, b"x"), "bad checksum"),
    "zeros in the middle": (lambda whole: overwritten(whole, 2048, bytes(512)), "byte 2048 begins no member"),
    "many zeros in the middle": (lambda whole: overwritten(whole, 1024, bytes(2048)), "byte 1024 begins no member"),
    "garbage in the middle": (lambda whole: overwritten(whole, 2048, b"\xff" * 512), "byte 2048 begins no member"),
    "something after the end": (lambda whole: whole + b"x", "byte 4096 begins no member"),
    "two in one": (lambda whole: whole[: END + 1024] + whole, "two in one"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_shard_that_is_not_whole(tmp_path: Path, fault: str) -> None:
    damage, message = FAULTS[fault]
    whole = tar(tmp_path / "train-0.tar", SAMPLES)
    assert len(load_dataset(tmp_path).train) == 2
    (tmp_path / "train-0.tar").write_bytes(damage(whole))
    with pytest.raises(UserError, match=rf"whole, uncompressed tar files; .*train-0\.tar is not .*{message}"):
        load_dataset(tmp_path)


def test_a_shard_that_was_cut_anywhere(tmp_path: Path) -> None:
    """It is refused as long as a byte of its members or of its end is gone, and read the same from there on."""
    whole = tar(tmp_path / "train-0.tar", SAMPLES)
    expected = load_dataset(tmp_path)
    for length in [*range(0, len(whole), 97), END + 1023, END + 1024]:
        (tmp_path / "train-0.tar").write_bytes(whole[:length])
        if length < END + 1024:
            with pytest.raises(UserError, match="is not"):
                load_dataset(tmp_path)
        else:
            assert load_dataset(tmp_path) == expected


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_whole_shards_of_every_kind(tmp_path: Path, format: int) -> None:
    folder = "d" * 120 + "/" if format == tarfile.USTAR_FORMAT else f"{'d' * 150}/ä{'e' * 150}/"
    tar(tmp_path / "a.tar", {f"{folder}{name}": content for name, content in SAMPLES.items()}, format)
    assert ids(load_dataset(tmp_path).train) == [f"a.tar/{folder}0", f"a.tar/{folder}1"]


def test_a_shard_of_nothing(tmp_path: Path) -> None:
    tar(tmp_path / "a.tar", SAMPLES)
    tar(tmp_path / "b.tar", {})
    with pytest.raises(UserError, match=r"must hold samples; .*b\.tar holds none"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE])
def test_members_that_are_no_files(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("2.jpg")
        member.type, member.linkname = kind, "0.jpg"
        archive.addfile(member)
    with pytest.raises(UserError, match=r"members of a shard must be files; .*a\.tar has 2\.jpg as a link"):
        load_dataset(tmp_path)


def test_what_systems_put_into_shards(tmp_path: Path) -> None:
    tar(
        tmp_path / "a.tar",
        SAMPLES | {"__MACOSX/._0.jpg": b"", "._1.jpg": b"", "x/.cache/2.jpg": b"", "@eaDir/0.jpg": b""},
    )
    assert ids(load_dataset(tmp_path).train) == ["a.tar/0", "a.tar/1"]


def test_names_in_shards_that_are_not_utf8(tmp_path: Path) -> None:
    tar(tmp_path / "a.tar", SAMPLES | {"caf\udce9.jpg": b"", "caf\udce9.cls": b"1"}, tarfile.GNU_FORMAT)
    with pytest.raises(UserError, match=r"must be UTF-8; .*a\.tar has caf\\xe9\.jpg\. Rename"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cls", b"1" * 5000, "at most 18 digits; a.tar/2 has '1+' and 4920 characters more"),
        ("cls", b"", "a.tar/2 has ''"),
        ("json", b"[" * 100_000, "must be JSON; a.tar/2"),
        ("json", b'{"label":' * 100_000, "must be JSON; a.tar/2"),
        ("json", b'{"label":' + b"1" * 5000 + b"}", "must be JSON; a.tar/2"),
        ("json", b'{"label":' + b"1" * 400 + b"}", "a.tar/2 has a number of 1326 bits"),
        ("json", b'{"label": NaN}', "a.tar/2 has nan"),
        ("json", b'{"label": -1}', "a.tar/2 has -1"),
        ("json", b'{"class_name": ""}', "text that can be seen; got '' in a.tar/2"),
        ("json", b'{"class_name": "\\ud800"}', r"UTF-8 text; got '\\ud800' in a.tar/2"),
        ("json", b'{"class_name": "a\\u0000"}', r"control characters; got 'a\\x00' in a.tar/2"),
        ("json", b'{"class_name": "a\\n"}', r"one line of text .*; got 'a\\n' in a.tar/2"),
        ("json", b'{"class_name": [' + b"[]," * 9999 + b"1]}", "text; a.tar/2 has a list of 10000"),
        ("json", b'{"class_name": "a", "box": "' + b"x" * 9999 + b'"}', "four numbers"),
    ],
)
def test_labels_that_nobody_foresees(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    tar(tmp_path / "a.tar", SAMPLES | {"2.jpg": b"", f"2.{name}": content})
    with pytest.raises(UserError, match=message) as error:
        load_dataset(tmp_path)
    assert len(str(error.value)) < 400


def test_shards_know_the_splits_that_folders_know(tmp_path: Path) -> None:
    for name in ("birds-train-0", "birds-val-0", "birds-Testing-0", "more"):
        tar(tmp_path / f"{name}.tar", SAMPLES)
    dataset = load_dataset(tmp_path)
    assert ids(dataset.train) == ["birds-train-0.tar/0", "birds-train-0.tar/1", "more.tar/0", "more.tar/1"]
    assert ids(dataset.validation) == ["birds-val-0.tar/0", "birds-val-0.tar/1"]
    assert ids(dataset.test) == ["birds-Testing-0.tar/0", "birds-Testing-0.tar/1"]
    train = "birds-train-0.tar, more.tar"
    splits = f"train from {train}, validation from birds-val-0.tar, test from birds-Testing-0.tar"
    assert dataset.notes == (f"splits: {splits}",)
    (tmp_path / "birds-Testing-0.tar").unlink()
    assert ids(load_dataset(tmp_path).test) == ["birds-val-0.tar/0", "birds-val-0.tar/1"]
