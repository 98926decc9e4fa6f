"""People's own data: class folders, lists, shards."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from torchvision.datasets import ImageFolder
from webdataset.tariterators import group_by_keys, tar_file_expander

from foveate.data.datasets import IMAGE_SUFFIXES, DatasetFormat, load_dataset, missing_files
from foveate.data.records import ArchiveMember, ImageRecord
from foveate.errors import UserError
from foveate.types import Box
from miniatures import jpeg, lines, photograph, write_csv, write_folder

FILES = ("wren/2.jpg", "wren/1.JPG", "robin/deep/er/3.png", "robin/4.webp", "owl/5.tiff", "owl/6.Jpeg")


def ids(records: Sequence[ImageRecord]) -> list[str]:
    return [record.id for record in records]


def test_folder_is_torchvisions(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "birds", FILES)
    for passed_over in ("wren/.hidden.jpg", ".git/x.jpg", "robin/.cache/y.jpg", "owl/notes.txt", "stray.jpg"):
        photograph(root / passed_over)
    dataset = load_dataset(root)
    (root / ".git").rename(tmp_path / ".git")  # torchvision would take it for a class
    oracle = ImageFolder(root, is_valid_file=is_visible_image)
    assert sorted((str(record.image), record.label) for record in dataset.train) == sorted(oracle.samples)
    assert list(dataset.class_names) == oracle.classes
    assert (dataset.name, dataset.test) == ("birds", ())
    assert ids(dataset.train) == [
        "owl/5.tiff",
        "owl/6.Jpeg",
        "robin/4.webp",
        "robin/deep/er/3.png",
        "wren/1.JPG",
        "wren/2.jpg",
    ]


def is_visible_image(path: str) -> bool:
    return "/." not in path and path.lower().endswith(IMAGE_SUFFIXES)


@pytest.mark.parametrize("test", ["test", "val", "valid", "Validation"])
def test_divided_folder(tmp_path: Path, test: str) -> None:
    root = write_folder(tmp_path, ["train/wren/1.jpg", "train/robin/2.jpg", f"{test}/wren/3.jpg", "notes/x.jpg"])
    dataset = load_dataset(root)
    assert dataset.class_names == ("robin", "wren")
    assert ids(dataset.train) == ["train/robin/2.jpg", "train/wren/1.jpg"]
    assert [(record.id, record.label) for record in dataset.test] == [(f"{test}/wren/3.jpg", 1)]


def test_validation_is_left_out_beside_a_test(tmp_path: Path) -> None:
    names = ("train/wren/1.jpg", "train/robin/2.jpg", "val/wren/3.jpg", "test/wren/4.jpg")
    assert ids(load_dataset(write_folder(tmp_path, names)).test) == ["test/wren/4.jpg"]


@pytest.mark.parametrize(
    ("files", "classes", "train", "test"),
    [
        (("train/1.jpg", "bus/2.jpg", "car/3.jpg"), ("bus", "car", "train"), 3, 0),
        (("train/a/1.jpg", "train/b/2.jpg"), ("a", "b"), 2, 0),
        (("test/a/1.jpg", "test/b/2.jpg"), ("a", "b"), 0, 2),
        (("birds/a/1.jpg", "birds/b/2.jpg"), ("a", "b"), 2, 0),
        (("birds/train/a/1.jpg", "birds/val/b/2.jpg"), ("a", "b"), 1, 1),
    ],
)
def test_which_folders_are_classes(
    tmp_path: Path, files: Sequence[str], classes: tuple[str, ...], train: int, test: int
) -> None:
    dataset = load_dataset(write_folder(tmp_path, files))
    assert (dataset.class_names, len(dataset.train), len(dataset.test)) == (classes, train, test)


def test_folder_with_a_link_to_itself(tmp_path: Path) -> None:
    root = write_folder(tmp_path, FILES)
    (root / "wren" / "loop").symlink_to(root / "wren", target_is_directory=True)
    assert len(load_dataset(root).train) == len(FILES)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("Robin/1.jpg", "robin/2.jpg", "wren/3.jpg"), "'Robin' = 'robin'"),
        (("train/Robin/1.jpg", "train/wren/2.jpg", "test/robin/3.jpg"), "'Robin' = 'robin'"),
        (("robin/1.jpg",), "only 'robin'"),
        (("robin/1.jpg", "wren/notes.txt", "owl/2.jpg"), "none in wren"),
        (("1.jpg", "2.jpg"), "looks like none"),
    ],
)
def test_folder_faults(tmp_path: Path, files: Sequence[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_dataset(write_folder(tmp_path, files))


def test_folder_without_class_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one folder per class"):
        load_dataset(write_folder(tmp_path, ["1.jpg"]), DatasetFormat.FOLDER)


Columns = dict[str, list[Any]]

TABLE: Columns = {
    "image": ["a/1.jpg", "../b.png", "./c.jpg"],
    "label": [7, 3, 7],
    "class_name": ["wren", "robin", "wren"],
    "split": ["train", "test", "train"],
    "left": [0.5, None, 1.0],
    "top": [1, None, 2],
    "right": [4.0, None, 3.5],
    "bottom": [5, None, 4],
    "photographer": ["x", None, "y"],
}


def write_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    if path.suffix == ".csv":
        return write_csv(path, columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({name: list(values) for name, values in columns.items()}), path)
    return path


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_table_by_hand(tmp_path: Path, name: str) -> None:
    path = write_table(tmp_path / "birds" / name, TABLE)
    dataset = load_dataset(path)
    root = path.parent
    assert dataset == load_dataset(root) == load_dataset(tmp_path)
    assert (dataset.name, dataset.class_names) == ("list", ("robin", "wren"))
    assert dataset.train == (
        ImageRecord("a/1.jpg", root / "a/1.jpg", 1, "wren", Box(0.5, 1, 4, 5)),
        ImageRecord("c.jpg", root / "c.jpg", 1, "wren", Box(1, 2, 3.5, 4)),
    )
    assert dataset.test == (ImageRecord("../b.png", root / "../b.png", 0, "robin"),)
    assert missing_files(dataset.train + dataset.test) == dataset.train + dataset.test
    photograph(root.parent / "b.png")
    photograph(root / "c.jpg")
    assert ids(missing_files(dataset.train + dataset.test)) == ["a/1.jpg"]


@pytest.mark.parametrize(
    ("columns", "class_names", "labels"),
    [
        ({"class_name": ["wren", "null", "robin"]}, ("null", "robin", "wren"), [2, 0, 1]),
        ({"label": [10, 9, 10]}, ("9", "10"), [1, 0, 1]),
    ],
)
def test_table_of_names_or_labels(
    tmp_path: Path, columns: Columns, class_names: tuple[str, ...], labels: list[int]
) -> None:
    dataset = load_dataset(write_table(tmp_path / "list.csv", {"image": TABLE["image"]} | columns))
    assert dataset.class_names == class_names
    assert [record.label for record in dataset.train] == labels


@st.composite
def tables(draw: st.DrawFn) -> Columns:
    """Tables of two classes or more."""
    word = st.text("abcdefgh -_'é", min_size=1, max_size=6).map(lambda text: f"x{text}x")
    classes = draw(st.lists(word, min_size=2, max_size=4, unique=True))
    images = draw(st.lists(word, min_size=len(classes), max_size=10, unique=True))
    numbers = draw(st.lists(st.integers(0, 10**6), min_size=len(classes), max_size=len(classes), unique=True))
    picks = [*range(len(classes)), *(draw(st.integers(0, len(classes) - 1)) for _ in images[len(classes) :])]
    edges = [draw(st.none() | st.tuples(*[st.integers(0, 90)] * 2, *[st.integers(91, 400)] * 2)) for _ in images]
    columns: Columns = {
        "image": [f"{image}.jpg" for image in images],
        "label": [numbers[pick] for pick in picks],
        "class_name": [classes[pick] for pick in picks],
        "split": [draw(st.sampled_from(["train", "test"])) for _ in images],
    }
    for place, name in enumerate(("left", "top", "right", "bottom")):
        columns[name] = [None if edge is None else float(edge[place]) for edge in edges]
    del columns[draw(st.sampled_from(["label", "class_name", "split"]))]
    return columns


@settings(max_examples=50, deadline=None)
@given(columns=tables())
def test_csv_and_parquet_agree(tmp_path_factory: pytest.TempPathFactory, columns: Columns) -> None:
    root = tmp_path_factory.mktemp("table")
    from_csv = load_dataset(write_table(root / "list.csv", columns))
    assert from_csv == load_dataset(write_table(root / "list.parquet", columns))
    records = {record.id: record for record in (*from_csv.train, *from_csv.test)}
    assert sorted(records) == sorted(columns["image"])
    for place, image in enumerate(columns["image"]):
        assert records[image].class_name == str(columns.get("class_name", columns.get("label", []))[place])
        assert (records[image] in from_csv.test) == ("split" in columns and columns["split"][place] == "test")
        box = records[image].box
        assert (None if box is None else box.right) == columns["right"][place]


TABLE_FAULTS: dict[str, tuple[Columns, str]] = {
    "negative": ({"label": [7, -1, 7]}, "has -1 in row 2"),
    "fraction": ({"label": [7, 1.5, 7]}, "has 7.0 in row 1"),
    "a name for a label": ({"label": ["7", "robin", "7"]}, "has 'robin' in row 2"),
    "no label": ({"label": [7, None, 7]}, "has None in row 2"),
    "one label, two names": ({"label": [7, 7, 7]}, "../b.png has label 7 and 'robin', elsewhere label 7 is 'wren'"),
    "one name, two labels": ({"label": [7, 3, 8]}, "c.jpg has label 8 and 'wren', elsewhere it is label 7"),
    "names alike": ({"class_name": ["wren", "Wren", "wren"]}, "'Wren'"),
    "no name": ({"class_name": ["wren", "", "wren"]}, "class_name must be text.*row 2"),
    "no image": ({"image": ["a", "", "b"]}, "image must be text.*row 2"),
    "image twice": ({"image": ["a.jpg", "b.jpg", "./a.jpg"]}, "a.jpg more than once"),
    "strange split": ({"split": ["train", "val", "test"]}, "has 'val' in row 2"),
    "half a box": ({"left": [0.5, 1.0, 1.0]}, "four numbers.*row 2"),
    "flat box": ({"right": [0.5, None, 3.5]}, "left < right.*row 1"),
    "one class": ({"class_name": ["wren"] * 3, "label": [7] * 3}, "only 'wren'"),
    "no rows": ({name: [] for name in TABLE}, "lists none"),
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("fault", TABLE_FAULTS)
def test_table_faults(tmp_path: Path, fault: str, suffix: str) -> None:
    change, message = TABLE_FAULTS[fault]
    path = write_table(tmp_path / f"list{suffix}", TABLE | change)
    with pytest.raises(UserError, match=message):
        load_dataset(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("absent", "message"),
    [
        (("image",), "must have the columns"),
        (("label", "class_name"), "must have the columns"),
        (("top",), "Add the rest"),
    ],
)
def test_table_without_a_column(tmp_path: Path, suffix: str, absent: Sequence[str], message: str) -> None:
    columns = {name: values for name, values in TABLE.items() if name not in absent}
    path = write_table(tmp_path / f"list{suffix}", columns)
    with pytest.raises(UserError, match=message):
        load_dataset(path)


def test_table_that_is_none(tmp_path: Path) -> None:
    path = lines(tmp_path / "list.parquet", ["image,label"])
    with pytest.raises(UserError, match="not readable"):
        load_dataset(path)
    path = lines(tmp_path / "list.csv", ["image,label", "a,1,2"])
    with pytest.raises(UserError, match="readable as a table"):
        load_dataset(path)
    path = lines(tmp_path / "list.csv", ["image,label,label", "a,1,2"])
    with pytest.raises(UserError, match="each once"):
        load_dataset(path)


def test_folder_with_two_lists_or_none(tmp_path: Path) -> None:
    for name in ("a.csv", "b.parquet"):
        write_table(tmp_path / name, {"image": ["1.jpg"], "label": [1]})
    with pytest.raises(UserError, match=r"holds a\.csv, b\.parquet"):
        load_dataset(tmp_path)
    lines(tmp_path / "other" / "sales.csv", ["day,amount"])
    with pytest.raises(UserError, match="holds none"):
        load_dataset(tmp_path / "other", DatasetFormat.TABLE)


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
    write_shard(tmp_path / "val-000.tar", [{"cls": 1}])  # beside a test, not read
    dataset = load_dataset(tmp_path)
    oracle = [sample for shard in shards for sample in theirs(shard)]
    records = (*dataset.train, *dataset.test)
    assert [record.id.partition("/")[2] for record in records] == [sample["__key__"] for sample in oracle]
    assert [read(record) for record in records] == [sample["jpg"] for sample in oracle]
    assert [record.label for record in records] == [int(sample["cls"]) for sample in oracle]
    assert ids(dataset.test) == ["test-000.tar/deep/er/7"]
    assert dataset.class_names == ("0", "1", "2")
    assert missing_files(records) == ()
    shards[1].unlink()
    assert ids(missing_files(records)) == ["train-001.tar/000000"]


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
