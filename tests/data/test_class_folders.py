"""A folder of class folders: which folders are classes, which are splits, and what is passed over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from foveate.data.datasets import IMAGE_SUFFIXES, DatasetFormat, listing, load_dataset
from foveate.data.datasets.class_names import check_class_name
from foveate.data.datasets.listing import list_photographs
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from miniatures import photograph, write_cub, write_folder

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


def birds(*folders: str) -> list[str]:
    """Two classes of two photographs in each folder."""
    return [f"{folder}/{name}/{number}.jpg" for folder in folders for name in ("ani", "crow") for number in range(2)]


def notes(root: Path, exclude: tuple[str, ...] = ()) -> str:
    return "\n".join(load_dataset(root, exclude=exclude).notes)


@pytest.mark.parametrize(
    ("folders", "counts"),
    [
        ("train test", (4, 0, 4)),
        ("training testing", (4, 0, 4)),
        ("TRAIN VAL", (4, 0, 4)),
        ("train dev", (4, 0, 4)),
        ("train eval", (4, 0, 4)),
        ("train valid test", (4, 4, 4)),
        ("Training Validation Testing", (4, 4, 4)),
        ("train dev test", (4, 4, 4)),
        ("train eval test", (4, 4, 4)),
        ("train val eval", (4, 4, 4)),
        ("train_images test_images", (4, 0, 4)),
        ("images-train images-val images-test", (4, 4, 4)),
        ("trainset valset testset", (4, 4, 4)),
        ("training_data testing_data", (4, 0, 4)),
        ("train2017 val2017", (4, 0, 4)),
        ("TrainImages TestImages", (4, 0, 4)),
        ("birds_train birds_test", (4, 0, 4)),
        ("1.train 2.test", (4, 0, 4)),
        ("val test", (0, 4, 4)),
    ],
)
def test_folders_called_as_splits_are_no_classes(tmp_path: Path, folders: str, counts: tuple[int, int, int]) -> None:
    dataset = load_dataset(write_folder(tmp_path, birds(*folders.split())))
    assert dataset.class_names == ("ani", "crow")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == counts


def test_what_is_taken_for_which_split_is_said(tmp_path: Path) -> None:
    write_folder(tmp_path, birds("Training", "dev"))
    assert notes(tmp_path) == "splits: train from Training, test from dev (there is no test split)"
    write_folder(tmp_path, birds("Test"))
    assert notes(tmp_path) == "splits: train from Training, validation from dev, test from Test"
    write_folder(tmp_path, ["sketches/1.jpg"])
    assert notes(tmp_path).endswith("passed over: sketches (1)")


@pytest.mark.parametrize("folders", ["phase1 phase2", "fold1 fold2 fold3", "train train2", "A B"])
def test_class_folders_that_all_hold_the_same_folders(tmp_path: Path, folders: str) -> None:
    write_folder(tmp_path, [*birds(*folders.split()), f"{folders.split()[0]}/owl/1.jpg"])
    names = ", ".join(folders.split())
    with pytest.raises(UserError, match=f"{names} in .* all hold ani, crow, which look like the classes"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, DatasetFormat.FOLDER).class_names == tuple(folders.split())


@pytest.mark.parametrize(
    ("photographs", "said"),
    [
        ("train/a train/b unseen/a", "train, unseen in .* all hold a, which"),
        ("p1/a p1/b p1/c p2/a p2/b p3/b p3/c", "p1, p2, p3 in .* nearly all hold a, b, c, which"),
    ],
)
def test_divisions_that_lack_a_class_are_no_classes(tmp_path: Path, photographs: str, said: str) -> None:
    write_folder(tmp_path, [f"{folder}/1.jpg" for folder in photographs.split()])
    with pytest.raises(UserError, match=said):
        load_dataset(tmp_path)


@pytest.mark.parametrize("photographs", ["owl/male owl/female hen/male", "train/red bus/red", "a/x a/y b/x b/y c/z"])
def test_class_folders_that_share_some_folders(tmp_path: Path, photographs: str) -> None:
    write_folder(tmp_path, [f"{folder}/1.jpg" for folder in photographs.split()])
    assert set(load_dataset(tmp_path).class_names) == {folder.partition("/")[0] for folder in photographs.split()}


def test_two_folders_of_one_split(tmp_path: Path) -> None:
    write_folder(tmp_path, birds("train", "val", "valid"))
    with pytest.raises(UserError, match=r"has val, valid for validation.*--data\.exclude"):
        load_dataset(tmp_path)
    assert len(load_dataset(tmp_path, exclude=("valid",)).test) == 4


def test_a_split_without_labels_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, [*birds("train"), "test/1.jpg", "test/2.jpg"])
    dataset = load_dataset(tmp_path)
    assert (len(dataset.train), dataset.test) == (4, ())
    assert "warning: test holds 2 pictures without class folders" in notes(tmp_path)


def test_classes_that_a_split_lacks_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path, [*birds("train"), "train/owl/1.jpg", "test/ani/1.jpg", "test/wren/1.jpg"])
    untaught, unseen = load_dataset(tmp_path).notes[1:]
    assert "no training photographs of 1 of 4 classes, so that no network can learn them: wren" in untaught
    assert unseen == "warning: there are no test photographs of 2 of 4 classes: crow, owl"


PASSED_OVER = (
    *("@eaDir/ani/thumb.jpg", "__MACOSX/ani/1.jpg", "$RECYCLE.BIN/1.jpg", ".thumbs/1.jpg", "ani/@eaDir/2.jpg"),
    *("loose.jpg", "ani/IMG_1.XYZ", "ani/IMG_2.xyz", "ani/README", "ani/Thumbs.db", "ani/.DS_Store", "crow/._1.jpg"),
)


def test_what_is_passed_over_is_said(tmp_path: Path) -> None:
    write_folder(tmp_path, [*birds("."), *PASSED_OVER])
    dataset = load_dataset(tmp_path)
    assert (dataset.class_names, len(dataset.train)) == (("ani", "crow"), 4)
    (line,) = dataset.notes
    assert line == (
        "passed over: 2 .xyz, 1 loose pictures beside class folders, 1 without an ending, 1 hidden, @eaDir (2), "
        "$RECYCLE.BIN (1), .thumbs (1), __MACOSX (1)"
    )


def test_what_is_passed_over_on_every_floor_is_said(tmp_path: Path) -> None:
    """In the folder that holds the data set, beside its splits, and in a split."""
    others = ["top.xyz", "extra/1.jpg", "set/loose.jpg", "set/x.xyz", "set/test/noend", "set/test/2.jpg"]
    write_folder(tmp_path, [*birds("set/train", "set/test"), *others])
    (tmp_path / "set" / "val").mkdir()
    told = notes(tmp_path, ("extra",))
    assert "passed over: 2 .xyz, 2 loose pictures beside class folders, 1 without an ending, extra (1)" in told
    assert "warning: val holds no class folders: it is no validation split. Fill or remove it" in told
    assert "is called extra" not in told


def test_an_archive_beside_another_may_be_left_out(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_cub(tmp_path).rename(tmp_path / name)
    with pytest.raises(UserError, match="must hold one data set"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, exclude=("other",)).train[0].image.is_relative_to(tmp_path / "one")  # type: ignore[union-attr]


def test_a_kind_that_cannot_be_read_here_is_named_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "IMAGE_SUFFIXES", (".jpg",))
    monkeypatch.setattr(listing, "why_unreadable", lambda suffix: "install it" if suffix == ".heic" else None)
    write_folder(tmp_path, [*birds("."), "owl/1.HEIC"])
    with pytest.raises(UserError, match=r"none in owl \(passed over: 1 \.heic \(install it\)\)"):
        load_dataset(tmp_path)
    with pytest.raises(UserError, match=r"looks like none: 0 pictures and no folders \(passed over: 1 \.heic"):
        load_dataset(tmp_path / "owl")


def test_a_listing_of_any_folder(tmp_path: Path) -> None:
    write_folder(tmp_path, ["b/2.jpg", "a.PNG", "b/notes", "b/._2.jpg", "left/3.jpg"])
    (tmp_path / "b" / "up").symlink_to(tmp_path / "b")
    photographs, passed_over = list_photographs(tmp_path, ("left",))
    assert [path.relative_to(tmp_path).as_posix() for path in photographs] == ["a.PNG", "b/2.jpg"]
    assert passed_over == "passed over: 1 hidden, 1 without an ending, left (1)"
    assert list_photographs(tmp_path / "left") == ((tmp_path / "left" / "3.jpg",), None)


@pytest.mark.parametrize("name", ["owl", "ow?", "test/owl", "test/*l"])
def test_folders_are_left_out_where_asked(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path, [*birds("train", "test"), "test/owl/1.jpg"])
    assert load_dataset(tmp_path, exclude=(name,)).class_names == ("ani", "crow")
    assert "passed over: owl (1)" in notes(tmp_path, (name,))
    assert "no folder is called train/owl" in notes(tmp_path, ("train/owl",))


def test_nothing_is_left_out_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("image,label\na,1\nb,2\n", encoding="utf-8")
    for root in (tmp_path, tmp_path / "list.csv"):
        with pytest.raises(UserError, match="exclude leaves folders out of class folders; table"):
            load_dataset(root, exclude=("a",))


@pytest.mark.parametrize("target", ["..", "/", "../.."])
def test_a_link_to_a_folder_above(tmp_path: Path, target: str) -> None:
    root = write_folder(tmp_path / "birds", birds("."))
    (root / "ani" / "up").symlink_to(target)
    with pytest.raises(UserError, match=r"must not lead to a folder above it.*ani/up leads to"):
        load_dataset(root)
    assert len(load_dataset(root, exclude=("up",)).train) == 4


@pytest.mark.parametrize(
    ("link", "target", "pair"),
    [
        ("raven", "crow", "crow/0.jpg = raven/0.jpg"),
        ("ani/others", "../crow", "ani/others/0.jpg = crow/0.jpg"),
        ("ani/x.jpg", "../crow/1.jpg", "ani/x.jpg = crow/1.jpg"),
    ],
)
def test_a_link_to_another_class(tmp_path: Path, link: str, target: str, pair: str) -> None:
    write_folder(tmp_path, birds("."))
    (tmp_path / link).symlink_to(target)
    with pytest.raises(UserError, match=f"one class and one split; .* has by links {pair}"):
        load_dataset(tmp_path)


def test_a_photograph_in_two_splits_by_a_link(tmp_path: Path) -> None:
    write_folder(tmp_path, birds("train", "test"))
    (tmp_path / "train" / "ani" / "more").symlink_to("../../test/ani")
    with pytest.raises(UserError, match=r"test/ani/0\.jpg = train/ani/more/0\.jpg"):
        load_dataset(tmp_path)


def test_a_photograph_in_two_classes_by_a_hard_link(tmp_path: Path) -> None:
    write_folder(tmp_path, birds("."))
    (tmp_path / "crow" / "same.jpg").hardlink_to(tmp_path / "ani" / "1.jpg")
    with pytest.raises(UserError, match=r"ani/1\.jpg = crow/same\.jpg"):
        load_dataset(tmp_path)


def test_links_that_say_nothing_new(tmp_path: Path) -> None:
    elsewhere = write_folder(tmp_path / "disk" / "crow", ["1.jpg", "2.jpg"])
    root = write_folder(tmp_path / "birds", ["ani/1.jpg"])
    (root / "crow").symlink_to(elsewhere)
    (root / "ani" / "0.jpg").symlink_to("1.jpg")
    (root / "ani" / "gone.jpg").symlink_to("nowhere")
    (root / "ani" / "loop.jpg").symlink_to("loop.jpg")
    (root / "loop").symlink_to("loop")
    dataset = load_dataset(root)
    assert ids(dataset.train) == ["ani/1.jpg", "ani/gone.jpg", "ani/loop.jpg", "crow/1.jpg", "crow/2.jpg"]
    assert dataset.notes == ("passed over: 1 links to photographs that are there",)


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    write_folder(tmp_path, birds("."))
    for name in ("ani/pipe.jpg", "pipe", "pipe.csv", "pipe.tar"):
        os.mkfifo(tmp_path / name)
    assert "ani/pipe.jpg" in ids(load_dataset(tmp_path).train)
    with pytest.raises(UserError, match="a folder or a list in a regular file"):
        load_dataset(tmp_path / "pipe")


@pytest.mark.parametrize(
    "names",
    [
        ("ani", "ani "),
        ("H\u00e4her", "Ha\u0308her"),
        ("a\u200bni", "ani"),
        ("a  b", "a b"),
        ("a\u00a0b", "a b"),
        ("a\ufe0f", "a"),
        ("\uff21ni", "Ani"),
    ],
)
def test_classes_that_look_alike(tmp_path: Path, names: tuple[str, str]) -> None:
    first, second = sorted(names)
    write_folder(tmp_path, [f"{name}/1.jpg" for name in names])
    with pytest.raises(UserError, match="must differ by more than case, spaces and Unicode form") as error:
        load_dataset(tmp_path)
    assert repr(first) in str(error.value) or ascii(first) in str(error.value)
    assert repr(second) in str(error.value) or ascii(second) in str(error.value)


def test_classes_that_differ_by_a_vowel_sign(tmp_path: Path) -> None:
    names = ("\u0939\u093f\u0928", "\u0939\u0941\u0928")
    assert load_dataset(write_folder(tmp_path, [f"{name}/1.jpg" for name in names])).class_names == names


@pytest.mark.parametrize("name", ["a\nb", "a\x07", "\u2028", " ", "\u200b", "x" * 301])
def test_class_names_that_are_no_text(name: str) -> None:
    with pytest.raises(UserError, match=r"a class name must be .*; got .* in row 7"):
        check_class_name(name, "row 7")
    for kept in ("F/A-18", "..", "C\\V", "pink-yellow dahlia?", "x" * 300):
        check_class_name(kept, "row 7")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "birds", birds("."))
    os.rename(os.fsencode(root / "ani" / "1.jpg"), os.fsencode(root / "ani") + b"/caf\xe9.jpg")  # noqa: PTH104
    assert len(load_dataset(root).train) == 4
    os.rename(os.fsencode(root / "ani"), os.fsencode(root) + b"/ani\xff")  # noqa: PTH104
    with pytest.raises(UserError, match=r"class folders must be UTF-8; .*birds has ani\\xff\. Rename"):
        load_dataset(root)
    with pytest.raises(UserError, match=r"path of a data set must be UTF-8; got .*ani\\xff\. Rename"):
        load_dataset(Path(os.fsdecode(os.fsencode(root) + b"/ani\xff")))


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"must be readable; .* is not \(Permission denied\)"):
        list_photographs(tmp_path)
