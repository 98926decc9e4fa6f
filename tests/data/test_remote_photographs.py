"""Photographs that lie elsewhere: every format gives the records that it gives here, and the same pixels."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from command_line import status
from foveate.config.data import DataConfig, OnError, TransformConfig
from foveate.data.checking import check_images
from foveate.data.loading import EvaluationViews, TrainingViews, evaluation_loader, training_loader
from foveate.data.paths import find_photographs
from foveate.data.records import ImageDataset, ImageRecord, photograph_of
from foveate.errors import UserError
from foveate.files import remote_path
from foveate.files.remote_path import RemotePath
from foveate.recipes.datasets import load_dataset
from miniatures import (
    jpeg,
    lines,
    write_aircraft,
    write_cars,
    write_csv,
    write_cub,
    write_dogs,
    write_flowers,
    write_folder,
    write_pets,
)
from storages import in_memory, served


def class_folders(root: Path) -> Path:
    names = [
        f"{split}/{name}/{number}.jpg" for split in ("train", "val") for name in ("wren", "rook") for number in "01"
    ]
    photographs(root, [*names, "train/wren/deep/er/9.jpg", "train/.hidden/1.jpg", "@eaDir/1.jpg", "@eaDir/x/2.jpg"])
    lines(root / "train" / "notes.txt", ["a"])
    return root


def a_list(root: Path) -> Path:
    write_folder(root, ["images/a.jpg", "images/b.jpg", "c.jpg"])
    write_csv(root / "train.csv", {"image": ["images/a.jpg", "c.jpg"], "class_name": ["wren", "rook"]})
    write_csv(root / "test.csv", {"image": ["images/b.jpg"], "class_name": ["wren"]})
    return root


def shards(root: Path) -> Path:
    root.mkdir(parents=True)
    for name in ("train-0.tar", "train-1.tar", "test-0.tar"):
        with tarfile.open(root / name, "w") as archive:
            for number in range(3):
                for ending, content in (("jpg", jpeg(80 * number)), ("cls", str(number % 2).encode())):
                    member = tarfile.TarInfo(f"{number}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, BytesIO(content))
    lines(root / "classes.txt", ["wren", "rook"])
    return root


def parquet_pictures(root: Path) -> Path:
    root.mkdir(parents=True)
    images = [{"bytes": jpeg(30 * number), "path": f"{number}.jpg"} for number in range(6)]
    pq.write_table(pa.table({"image": images, "label": [0, 1] * 3}), root / "birds.parquet", row_group_size=2)
    return root


FORMATS = [class_folders, a_list, shards, parquet_pictures]
FORMATS += [write_cub, write_dogs, write_aircraft, write_cars, write_flowers, write_pets]


def content(record: ImageRecord) -> bytes:
    """Return the bytes of a photograph."""
    image = photograph_of(record.image)
    assert not isinstance(image, bytes)
    return image.read_bytes() if isinstance(image, Path) else image.read()


def photographs(root: Path, names: Iterable[str]) -> Path:
    """Write a photograph of its own at each path below the root."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((24, 16), 20 + number).convert("RGB").save(root / name)
    return root


def told(dataset: ImageDataset) -> list[object]:
    """Return all that a data set says, but where it lies."""
    parts = (dataset.train, dataset.validation, dataset.test)
    records = [
        (each.id, each.label, each.class_name, each.box, each.parts, each.group) for part in parts for each in part
    ]
    return [
        dataset.name,
        dataset.class_names,
        dataset.part_names,
        dataset.notes,
        [len(part) for part in parts],
        records,
    ]


@pytest.mark.parametrize("write", FORMATS)
def test_every_format(far: Path, tmp_path: Path, write: Callable[[Path], Path]) -> None:
    root = tmp_path / "birds"
    write(root)
    here = load_dataset(DataConfig(root=root))
    there = load_dataset(DataConfig(root=in_memory(root, "birds")))
    assert told(there) == told(here)
    for ours, theirs in zip((*here.train, *here.test), (*there.train, *there.test), strict=True):
        assert content(ours) == content(theirs)


def test_every_archive_by_http(far: Path, tmp_path: Path) -> None:
    """Whose folders are pages with links."""
    class_folders(tmp_path / "www" / "birds")
    write_cub(tmp_path / "www" / "cub")
    with served(tmp_path / "www") as server:
        for name in ("birds", "cub"):
            there = load_dataset(DataConfig(root=Path(f"{server.url}/{name}")))
            here = load_dataset(DataConfig(root=tmp_path / "www" / name))
            assert told(there) == told(here)
            assert [content(each) for each in there.train] == [content(each) for each in here.train]


def test_a_list_of_addresses(far: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Signed and with a password: read so, and never said or written."""
    photographs(tmp_path / "www", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    with served(tmp_path / "www") as server:
        host = server.url.removeprefix("http://")
        images = [f"http://ada:pw@{host}/{name}.jpg?X-Amz-Signature=zzz" for name in "abc"]
        write_csv(tmp_path / "birds.csv", {"image": [*images, f"{server.url}/d.jpg"], "label": [0, 1, 0, 1]})
        dataset = load_dataset(DataConfig(root=tmp_path / "birds.csv"))
        assert [each.id for each in dataset.train] == [f"{server.url}/{name}.jpg" for name in "abcd"]
        assert status("data", tmp_path / "birds.csv", "--test-fraction", "0") == 0
        assert server.requests.count("GET /a.jpg") == 1
        server.answers["/b.jpg"], server.answers["/c.jpg"] = [404], [403]
        remote_path._began = time.time() + 10  # another process
        try:
            assert status("data", tmp_path / "birds.csv", "--test-fraction", "0") == 2
        finally:
            remote_path._began = time.time()
    words = capsys.readouterr()
    assert "2 of 4 photographs cannot be used" in words.err
    assert f"image not found: {server.url}/b.jpg; restore it" in words.err
    assert f"image is forbidden: {server.url}/c.jpg; ask its owner, or leave it out (--on-error skip)" in words.err
    assert "zzz" not in words.err + words.out
    assert "pw" not in words.err + words.out
    assert not any(b"zzz" in each.read_bytes() for each in far.rglob("*") if each.is_file())


def test_a_storage_that_stops_answering_stops_the_work(far: Path, tmp_path: Path) -> None:
    """Not once for each photograph, and with no process's way there in the words."""
    photographs(tmp_path / "www", [f"{name}/{number}.jpg" for name in ("rook", "wren") for number in range(3)])
    with served(tmp_path / "www") as server:
        records = load_dataset(DataConfig(root=Path(server.url))).train
        for path in {f"/{each.id}" for each in records}:
            server.answers[path] = [503]
        with pytest.raises(UserError, match=r"a storage must answer; .*rook/0\.jpg did not, asked 3 times"):
            check_images({"train": records}, OnError.SKIP)
        loader = evaluation_loader(EvaluationViews(records, TransformConfig()), 2, workers=1)
        with pytest.raises(UserError, match=r"^a storage must answer; [^\n]*$"):
            list(loader)


def test_processes_that_decode_fetch_for_themselves(far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0")
    photographs(tmp_path / "www", [f"{name}/{number}.jpg" for name in ("rook", "wren") for number in range(3)])
    transforms = TransformConfig(input_size=32, resize_size=32)
    with served(tmp_path / "www") as server:
        here, there = (load_dataset(DataConfig(root=root)).train for root in (tmp_path / "www", Path(server.url)))
        views = [
            list(training_loader(TrainingViews(records, transforms, seed=1), 2, workers=workers))
            for records, workers in ((here, 0), (there, 0), (there, 2))
        ]
        assert server.requests.count("GET /wren/2.jpg") == 2  # nothing is kept
    for batches in views[1:]:
        for ours, theirs in zip(views[0], batches, strict=True):
            assert ours.images.equal(theirs.images)
            assert ours.labels.equal(theirs.labels)


def test_photographs_to_name(far: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "new", ["a.jpg", "b.jpg", "deep/c.jpg", ".hidden.jpg"])
    root = str(in_memory(tmp_path / "new", "new")).replace(":/", "://")
    assert list(find_photographs([root]).names) == [f"{root}/a.jpg", f"{root}/b.jpg", f"{root}/deep/c.jpg"]
    found = find_photographs([f"{root}/?.jpg", f"{root}/deep/c.jpg"])
    assert list(found.names) == [f"{root}/a.jpg", f"{root}/b.jpg", f"{root}/deep/c.jpg"]
    assert isinstance(found[0], RemotePath)
    with pytest.raises(UserError, match=r"must be a photograph, a folder of them or a glob; '.*/x\*\.jpg' names none"):
        find_photographs([f"{root}/x*.jpg"])


@pytest.mark.parametrize("address", ["memory://nothing", "memory://nothing/birds.csv"])
def test_nothing_is_there(far: Path, address: str) -> None:
    with pytest.raises(UserError, match=r"must lie at the address; nothing does at memory://nothing.*Check the bucket"):
        load_dataset(DataConfig(root=Path(address)))


def test_a_cut_shard_is_not_taken_for_whole(far: Path, tmp_path: Path) -> None:
    address = in_memory(shards(tmp_path / "shards"), "shards")
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/shards/train-1.tar", memory.cat_file("/shards/train-1.tar")[:2048])
    with pytest.raises(UserError, match=r"must be whole, uncompressed tar files; memory://shards/train-1\.tar is not"):
        load_dataset(DataConfig(root=address))


def test_corrections_at_addresses(far: Path, tmp_path: Path) -> None:
    root = in_memory(class_folders(tmp_path / "birds"), "birds")
    fsspec.filesystem("memory").pipe_file("/lists/exclude.txt", b"train/wren/0.jpg\n")
    fsspec.filesystem("memory").pipe_file("/lists/relabel.csv", b"image,class_name\ntrain/wren/1.jpg,rook\n")
    config = DataConfig(root=root, exclude=("memory://lists/exclude.txt",), relabel=Path("memory://lists/relabel.csv"))
    classes = {each.id: each.class_name for each in load_dataset(config).train}
    assert "train/wren/0.jpg" not in classes
    assert classes["train/wren/1.jpg"] == "rook"


def test_pixels_of_any_spelling(far: Path, tmp_path: Path) -> None:
    """Names with blanks and letters of other alphabets, by every way there."""
    name = "blue tit/ein Vögel & mehr + 50% #1.jpg"
    write_folder(tmp_path / "www", [name, "rook/a.jpg"])
    with served(tmp_path / "www") as server:
        for root in (in_memory(tmp_path / "www", "names"), Path(server.url)):
            records = load_dataset(DataConfig(root=root)).train
            assert [content(each) for each in records] == [jpeg(), jpeg()]
            assert records[0].class_name == "blue tit"
