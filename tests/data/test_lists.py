"""Lists in CSV and Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from foveate.data.datasets import DatasetFormat, load_dataset
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.types import Box
from miniatures import lines, photograph, write_csv


def ids(records: Sequence[ImageRecord]) -> list[str]:
    return [record.id for record in records]


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
    "negative": ({"label": [7, -1, 7]}, "has '?-1'? in row ROW"),
    "fraction": ({"label": [1.5, 1.5, 7]}, "has '?1.5'? in row FIRST"),
    "a name for a label": ({"label": ["7", "robin", "7"]}, "has 'robin' in row ROW"),
    "no label": ({"label": [7, None, 7]}, "has None in row ROW"),
    "one label, two names": ({"label": [7, 7, 7]}, "../b.png has label 7 and 'robin', elsewhere label 7 is 'wren'"),
    "one name, two labels": ({"label": [7, 3, 8]}, "c.jpg has label 8 and 'wren', elsewhere it is label 7"),
    "names alike": ({"class_name": ["wren", "Wren", "wren"]}, "'Wren'"),
    "no name": ({"class_name": ["wren", "", "wren"]}, "class_name must be text.*row ROW"),
    "no image": ({"image": ["a", "", "b"]}, "image must be text.*row ROW"),
    "image twice": ({"image": ["a.jpg", "b.jpg", "./a.jpg"]}, "a.jpg more than once"),
    "strange split": ({"split": ["train", "fold 3", "test"]}, "got 'fold 3' in row ROW"),
    "half a box": ({"left": [0.5, 1.0, 1.0]}, "four numbers.*row ROW"),
    "flat box": ({"right": [0.5, None, 3.5]}, "left < right.*row FIRST"),
    "one class": ({"class_name": ["wren"] * 3, "label": [7] * 3}, "only 'wren'"),
    "no rows": ({name: [] for name in TABLE}, "lists none"),
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("fault", TABLE_FAULTS)
def test_table_faults(tmp_path: Path, fault: str, suffix: str) -> None:
    change, message = TABLE_FAULTS[fault]
    header = suffix == ".csv"  # the first row that an editor counts
    message = message.replace("ROW", str(2 + header)).replace("FIRST", str(1 + header))
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
    with pytest.raises(UserError, match="fields of the header, 2; row 2"):
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


BIRDS = "image,class_name\nani/1.jpg,Häher\ncrow/2.jpg,crow\n"


@pytest.mark.parametrize(
    "content",
    [
        BIRDS.encode(),
        BIRDS.encode("utf-8-sig"),
        BIRDS.encode("utf-16"),
        BIRDS.encode("utf-16-le"),
        BIRDS.encode("utf-16-be"),
        BIRDS.encode("latin-1"),
        BIRDS.replace(",", ";").encode(),
        BIRDS.replace(",", "\t").encode(),
        BIRDS.replace(",", ";").encode("cp1252"),
        ("sep=;\r\n" + BIRDS.replace(",", ";").replace("\n", "\r\n")).encode(),
        BIRDS.replace("\n", "\r").encode(),
        BIRDS.replace("/", "\\").encode(),
        BIRDS.replace("ani/", ".\\ani\\").encode(),
        BIRDS.replace(",", ", ").replace("image, class_name", "Image, Class_Name").encode(),
        BIRDS.replace("\n", ",\n").encode(),
    ],
)
def test_csv_as_people_write_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    dataset = load_dataset(path)
    assert dataset.class_names == ("Häher", "crow")
    assert ids(dataset.train) == ["ani/1.jpg", "crow/2.jpg"]


def test_what_was_read_as_windows_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(BIRDS.encode("cp1252"))
    assert load_dataset(tmp_path).notes == ("list.csv is not UTF-8: it was read as Windows-1252 (Latin-1)",)


def test_a_backslash_that_is_part_of_a_name(tmp_path: Path) -> None:
    photograph(tmp_path / "a\\1.jpg")
    lines(tmp_path / "list.csv", ["image,label", "a\\1.jpg,0", "a\\2.jpg,1"])
    assert ids(load_dataset(tmp_path).train) == ["a\\1.jpg", "a/2.jpg"]


def test_decimal_commas(tmp_path: Path) -> None:
    path = lines(tmp_path / "list.csv", ["image;label;left;top;right;bottom", "a;0;1,5;2;3,5;4", "b;1;;;;"])
    assert [record.box for record in load_dataset(path).train] == [Box(1.5, 2, 3.5, 4), None]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.jpg,ani", "C:\\birds\\b.jpg,crow"], r"a path on this machine.*got 'C:.*in row 3"),
        (["a.jpg,ani", "C:/birds/b.jpg,crow"], r"a path on this machine.*row 3"),
        (["\\\\server\\b.jpg,crow"], "a path on this machine.*row 2"),
        (['"a\n1.jpg",ani', "b.jpg,"], "class_name must be text.*got None in row 4"),
        (["a.jpg,ani", 'b.jpg,"crow', "c.jpg,crow"], "begins in line 3 is not"),
        (["a.jpg,ani", "b.jpg"], "fields of the header, 2; row 3 of .* has 1"),
        (["a.jpg,ani", "b\0.jpg,crow"], r"without NUL.*'b\\x00\.jpg' in row 3"),
        (["a.jpg,ani", "b.jpg,cr\0ow"], r"control characters; got 'cr\\x00ow' in row 3"),
        (["a.jpg,ani", 'b.jpg,"cr\now"'], r"one line of text.*in row 3"),
        (["a.jpg,ani", "b.jpg,crow", "a.jpg,crow"], r"under several: a\.jpg \('ani', 'crow'\)"),
        (["a.jpg,ani", "b.jpg,crow", "x/../a.jpg,crow"], r"a\.jpg \('ani', train\) = x/\.\./a\.jpg \('crow', train\)"),
    ],
)
def test_csv_faults(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_dataset(lines(tmp_path / "list.csv", ["image,class_name", *rows]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BIRDS.encode() + b"caf\xe9.jpg,crow\n", "row 4 of .* is none"),
        (b"image,class_name\na.jpg,ani\nb.jpg,\xed\xa0\x80\n", "row 3 of .* is none"),
        (b"image,class_name\na.jpg,ani\nb.jpg,\x81\n", "row 3 of .* is none"),
        (BIRDS.encode("utf-16")[:-1], "row 3 of .* is none"),
    ],
)
def test_text_in_no_known_encoding(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_dataset(tmp_path / "list.csv")


@pytest.mark.parametrize("label", ["1" * 5000, "-1", "nan", "1.5", ""])
def test_labels_that_are_none(tmp_path: Path, label: str) -> None:
    with pytest.raises(UserError, match=r"labels must be whole numbers.* in row 3") as error:
        load_dataset(lines(tmp_path / "list.csv", ["image,label", "a,0", f"b,{label}"]))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("word", ["val", "Valid", "VALIDATION", "dev"])
def test_the_split_column_knows_what_folders_know(tmp_path: Path, word: str) -> None:
    rows = ["image,class_name,split", "a,x,Train", "b,y,training", f"c,x,{word}", "d,y,TEST"]
    dataset = load_dataset(lines(tmp_path / "list.csv", rows))
    assert [ids(part) for part in (dataset.train, dataset.validation, dataset.test)] == [["a", "b"], ["c"], ["d"]]
    assert dataset.notes[0] == f"splits: train from Train, training, validation from {word}, test from TEST"
    assert ids(load_dataset(lines(tmp_path / "list.csv", rows[:-1])).test) == ["c"]


def test_a_list_for_each_split(tmp_path: Path) -> None:
    lines(tmp_path / "train.csv", ["image,class_name", "a,x", "b,y"])
    lines(tmp_path / "test.csv", ["image,class_name", "c,x"])
    dataset = load_dataset(tmp_path)
    assert (ids(dataset.train), ids(dataset.test)) == (["a", "b"], ["c"])
    assert dataset.notes[0] == "splits: train from train.csv, test from test.csv"
    (alone,) = load_dataset(tmp_path / "train.csv").notes
    assert "beside train.csv lies test.csv, which is not read" in alone
    lines(tmp_path / "test.csv", ["image,class_name,split", "c,x,train"])
    with pytest.raises(UserError, match="split must be test, as the list's name says; got 'train' in row 2"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("rows", [["image", "c"], ["image,label", "c,-1"], ["image,label", "c,"], ["id,url", "1,c"]])
def test_a_test_list_without_labels_is_named(tmp_path: Path, rows: list[str]) -> None:
    lines(tmp_path / "train.csv", ["image,label", "a,0", "b,1"])
    lines(tmp_path / "test.csv", rows)
    dataset = load_dataset(tmp_path)
    assert (ids(dataset.train), dataset.test) == (["a", "b"], ())
    assert "warning: test.csv has no labels: it is left out" in dataset.notes[0]


def test_a_listed_photograph_that_is_a_link_to_another(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    lines(tmp_path / "list.csv", ["image,class_name", "a.jpg,ani", "b.jpg,crow"])
    with pytest.raises(UserError, match=r"a\.jpg \('ani', train\) = b\.jpg \('crow', train\)"):
        load_dataset(tmp_path)
