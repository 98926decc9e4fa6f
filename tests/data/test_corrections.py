"""Lists of photographs that are left out, or have another class."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from foveate.config.data import DataConfig
from foveate.errors import UserError
from foveate.files.csv_cells import plain_cell
from foveate.recipes.datasets import load_dataset

ONE = "train/crow/0.png"


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    for split, count in (("train", 3), ("test", 1)):
        for name in ("crow", "raven", "=rook"):
            folder = tmp_path / "birds" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
    return tmp_path / "birds"


def ids(config: DataConfig) -> dict[str, str]:
    dataset = load_dataset(config)
    return {each.id: each.class_name for each in (*dataset.train, *dataset.test)}


@pytest.mark.parametrize(
    ("name", "text"),
    [("out.txt", f"{ONE}\n\ntest/raven/0.png\n"), ("out.csv", f"score,image\n1,{ONE}\n2,test/raven/0.png")],
)
def test_listed_photographs_are_left_out(birds: Path, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    before, after = ids(DataConfig(root=birds)), ids(DataConfig(root=birds, exclude=(str(tmp_path / name),)))
    assert before.keys() - after.keys() == {ONE, "test/raven/0.png"}
    assert after.items() <= before.items()


def test_a_list_and_a_folder_are_left_out_together(birds: Path, tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text(ONE)
    left = ids(DataConfig(root=birds, exclude=("raven", str(tmp_path / "out.txt"))))
    assert set(left.values()) == {"crow", "=rook"}
    assert len(left) == 7


def test_listed_photographs_have_their_new_class(birds: Path, tmp_path: Path) -> None:
    """Also where what looks like a formula was guarded from spreadsheets."""
    rows = [(ONE, "raven"), ("train/crow/1.png", plain_cell("=rook")), ("test/crow/0.png", "crow")]
    (tmp_path / "new.csv").write_text("image,class_name\n" + "\n".join(",".join(row) for row in rows))
    config = DataConfig(root=birds, relabel=tmp_path / "new.csv")
    assert ids(config) == ids(DataConfig(root=birds)) | {ONE: "raven", "train/crow/1.png": "=rook"}
    dataset = load_dataset(config)
    assert all(dataset.class_names[each.label] == each.class_name for each in dataset.train)
    assert "relabelled 3 photographs, as new.csv says" in dataset.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "train/crow/9.png",
            r"1 of 1 in .*out\.txt are not there: 'train/crow/9\.png' \(is train/crow/.\.png meant\?\)",
        ),
        ("\n".join(f"train/crow/{number}.png" for number in range(3)), "a training photograph must be left; .* crow"),
        ("\n".join(f"test/{name}/0.png" for name in ("crow", "raven", "=rook")), "of a test split .* all 3 of birds"),
    ],
    ids=["not there", "all of a class", "all of a split"],
)
def test_what_cannot_be_left_out_is_named(birds: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "out.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        load_dataset(DataConfig(root=birds, exclude=(str(tmp_path / "out.txt"),)))


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("image,class_name", (f"{ONE},ravn",), r"one of the 3 classes; .*new\.csv has 'ravn'\. Near it are raven"),
        ("image,class_name", ("train/crow/9.png,raven",), "are not there"),
        ("image,class_name", (f"{ONE},raven", f"{ONE},crow"), "must have one label; .* twice"),
        ("image,class_name", (f"{ONE},",), "class_name must be given in every row .* row 2 has none"),
        ("image,name", (f"{ONE},raven",), "must have the columns image and class_name; .* no class_name"),
    ],
    ids=["unknown class", "not there", "twice", "empty", "column"],
)
def test_a_label_that_cannot_be_given_is_named(
    birds: Path, tmp_path: Path, header: str, rows: tuple[str, ...], message: str
) -> None:
    (tmp_path / "new.csv").write_text("\n".join([header, *rows]))
    with pytest.raises(UserError, match=message):
        load_dataset(DataConfig(root=birds, relabel=tmp_path / "new.csv"))


def test_a_list_that_is_not_there_is_named(birds: Path, tmp_path: Path) -> None:
    for config in (
        DataConfig(root=birds, exclude=("gone.txt",)),
        DataConfig(root=birds, relabel=tmp_path / "gone.csv"),
        DataConfig(root=birds, relabel=birds),
    ):
        with pytest.raises(UserError, match="a list of photographs must be a file; got"):
            load_dataset(config)
    (tmp_path / "new.txt").write_text("")
    with pytest.raises(UserError, match="a list of labels must be a CSV"):
        load_dataset(DataConfig(root=birds, relabel=tmp_path / "new.txt"))


def test_paths_of_lists_are_made_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = DataConfig(root=Path("birds"), exclude=("raven", "a/out.txt"), relabel=Path("new.csv")).resolved()
    assert config.exclude == ("raven", str(tmp_path / "a/out.txt"))
    assert (config.root, config.relabel) == (tmp_path / "birds", tmp_path / "new.csv")


@pytest.mark.parametrize("spelled", ["./out.txt", "a//out.txt", "a/./out.CSV"])
def test_a_list_is_made_whole_however_its_path_is_spelled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spelled: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert DataConfig(root=tmp_path, exclude=(spelled,)).resolved().exclude == (str(tmp_path / spelled),)


def test_ids_are_taken_as_they_are(birds: Path, tmp_path: Path) -> None:
    """With blanks at their ends, or what only some call the end of a line; blanks of a hand are passed over."""
    odd = ["train/crow/a\u2028b.png", "train/crow/c .png"]
    for name in odd:
        Image.new("RGB", (8, 8)).save(birds / name)
    (tmp_path / "out.txt").write_text("\r\n".join([*odd, f"  {ONE} "]), encoding="utf-8")
    before, after = ids(DataConfig(root=birds)), ids(DataConfig(root=birds, exclude=(str(tmp_path / "out.txt"),)))
    assert before.keys() - after.keys() == {*odd, ONE}
