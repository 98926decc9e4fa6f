"""The published archives, against torchvision's own loaders where it has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets as oracles
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from foveate.data.datasets import load_dataset
from foveate.data.records import ImageDataset, ImageRecord
from foveate.errors import UserError
from foveate.types import Box, PartPoint
from miniatures import (
    BIRDS,
    CUB_PARTS,
    Bird,
    car_annotations,
    lines,
    voc,
    write_aircraft,
    write_cars,
    write_cub,
    write_dogs,
    write_flowers,
    write_pets,
)

Listing = list[tuple[str, int]]


def listing(records: Sequence[ImageRecord]) -> Listing:
    return [(str(record.image), record.label) for record in records]


def boxes(records: Sequence[ImageRecord]) -> list[Box | None]:
    return [record.box for record in records]


def assert_whole(dataset: ImageDataset, root: Path) -> None:
    """Every archive's photographs are there, are named below its root, and carry their label's name."""
    records = (*dataset.train, *dataset.test)
    assert all(isinstance(record.image, Path) and record.image.is_file() for record in records)
    assert all(record.image == root / record.id for record in records)
    assert all(record.class_name == dataset.class_names[record.label] for record in records)


def test_cub_by_hand(tmp_path: Path) -> None:
    root = write_cub(tmp_path)
    dataset = load_dataset(root)
    assert_whole(dataset, root)
    assert dataset.name == "CUB-200-2011"
    assert dataset.class_names == ("Red Kite 4", "Red Kite 9", "Red Kite 33")
    assert dataset.part_names == CUB_PARTS
    assert [record.id for record in dataset.test] == [
        "images/004.Red_Kite_4/Red_Kite_0005.jpg",
        "images/009.Red_Kite_9/Red_Kite_0007.jpg",
    ]
    assert [record.label for record in dataset.train] == [0, 1, 2]
    assert dataset.train[0].box == Box(1.0, 2.0, 4.0, 4.5)
    assert dataset.train[0].parts == (PartPoint("back", 1.5, 2.0), PartPoint("left eye", 3.0, 2.5))


@st.composite
def flocks(draw: st.DrawFn) -> list[Bird]:
    """Birds of two classes or more with any ids, in any order."""
    class_ids = draw(st.lists(st.integers(0, 400), min_size=2, max_size=5, unique=True))
    ids = draw(st.lists(st.integers(0, 99_999), min_size=len(class_ids), max_size=12, unique=True))
    edges = st.floats(0, 500, allow_subnormal=False).map(lambda edge: round(edge, 1))
    sides = st.floats(0.1, 500).map(lambda side: round(side, 1))
    part = st.tuples(edges, edges, st.integers(0, 1))
    return [
        Bird(
            id,
            class_ids[place] if place < len(class_ids) else draw(st.sampled_from(class_ids)),
            draw(st.booleans()),
            draw(st.tuples(edges, edges, sides, sides)),
            draw(st.tuples(part, part, part)),
        )
        for place, id in enumerate(ids)
    ]


@settings(max_examples=50, deadline=None)
@given(birds=flocks())
def test_cub_of_any_ids_in_any_order(tmp_path_factory: pytest.TempPathFactory, birds: list[Bird]) -> None:
    root = write_cub(tmp_path_factory.mktemp("cub"), birds, photographs=False)
    dataset = load_dataset(root)
    ranks = {class_id: rank for rank, class_id in enumerate(sorted({bird.class_id for bird in birds}))}
    for train, records in ((True, dataset.train), (False, dataset.test)):
        expected = sorted((bird for bird in birds if bird.train is train), key=lambda bird: bird.id)
        assert [record.id for record in records] == [f"images/{bird.file}" for bird in expected]
        assert [record.label for record in records] == [ranks[bird.class_id] for bird in expected]
        for record, bird in zip(records, expected, strict=True):
            x, y, width, height = bird.box
            assert record.box == Box(x, y, x + width, y + height)
            seen = [(name, part) for name, part in zip(CUB_PARTS, bird.parts, strict=True) if part[2]]
            assert record.parts == tuple(PartPoint(name, x, y) for name, (x, y, _) in seen)


@pytest.mark.realdata
def test_cub_slice(cub20: Path) -> None:
    dataset = load_dataset(cub20)
    assert_whole(dataset, cub20)
    assert (len(dataset.train), len(dataset.test), len(dataset.class_names)) == (600, 585, 20)
    assert dataset.class_names[0] == "Groove billed Ani"
    assert {record.label for record in dataset.train} == {record.label for record in dataset.test} == set(range(20))
    assert len(dataset.part_names) == 15
    beyond = 0
    for record in (*dataset.train, *dataset.test):
        assert isinstance(record.image, Path)
        assert record.box is not None
        with Image.open(record.image) as image:
            width, height = image.size
        assert min(record.box[:2]) >= 0
        assert all(0 < part.x <= width and 0 < part.y <= height for part in record.parts)
        assert 1 <= len(record.parts) <= 15
        beyond += record.box.right > width or record.box.bottom > height
    assert beyond == 5  # known: four pass the edge by 1 pixel, one (a catbird) by 5


CUB_FAULTS: dict[str, tuple[str, list[str], str]] = {
    "label without a class": ("image_class_labels.txt", ["31 9", "7 9", "12 4", "5 4", "40 77"], "got 77"),
    "negative label": ("image_class_labels.txt", ["31 -1", "7 9", "12 4", "5 4", "40 33"], "got '-1'"),
    "label missing": ("image_class_labels.txt", ["31 9", "7 9", "12 4", "5 4"], "none for 40"),
    "one class": ("image_class_labels.txt", [f"{bird.id} 9" for bird in BIRDS], "only 'Red Kite 9'"),
    "id twice": ("images.txt", ["31 a/b.jpg", "31 a/c.jpg"], "each key once"),
    "photograph twice": (
        "images.txt",
        [f"{bird.id} a/b.jpg" for bird in BIRDS],
        r"under several: images/a/b.jpg \('Red Kite 33', 'Red Kite 4', 'Red Kite 9'\)",
    ),
    "path missing": ("images.txt", ["31"], "a key, a blank and its value"),
    "strange split": ("train_test_split.txt", [f"{bird.id} 2" for bird in BIRDS], "got '2'"),
    "three edges": ("bounding_boxes.txt", [f"{bird.id} 1 2 3" for bird in BIRDS], "4 numbers"),
    "a word for an edge": ("bounding_boxes.txt", [f"{bird.id} 1 2 x 3" for bird in BIRDS], "got '1 2 x 3'"),
    "flat box": ("bounding_boxes.txt", [f"{bird.id} 1 2 0 4" for bird in BIRDS], "left < right"),
    "part without a name": ("parts/part_locs.txt", ["31 16 1.0 1.0 1"], "got '31 16 1.0 1.0 1'"),
    "names alike": ("classes.txt", ["9 009.Kite", "4 004.kite", "33 033.Owl"], "'kite' = 'Kite'"),
    "empty": ("images.txt", [], "lists none"),
}


@pytest.mark.parametrize("fault", CUB_FAULTS)
def test_cub_faults(tmp_path: Path, fault: str) -> None:
    root = write_cub(tmp_path, photographs=False)
    name, content, message = CUB_FAULTS[fault]
    lines(root / name, content)
    with pytest.raises(UserError, match=message):
        load_dataset(root)


def test_lists_that_are_not_utf8(tmp_path: Path) -> None:
    root = write_cub(tmp_path, photographs=False)
    (root / "classes.txt").write_bytes(b"4 004.Fou_de_Grass\xe9\n")
    with pytest.raises(UserError, match="UTF-8"):
        load_dataset(root)


@pytest.mark.parametrize("lists", ["lists", "."])
def test_dogs_by_hand(tmp_path: Path, lists: str) -> None:
    root = write_dogs(tmp_path, lists)
    dataset = load_dataset(root)
    assert_whole(dataset, root)
    assert dataset.class_names == ("Chihuahua", "Japanese spaniel")
    assert [record.label for record in dataset.train] == [1, 0]
    assert boxes(dataset.train) == [Box(1.0, 0.0, 8.0, 5.0), Box(0.0, 1.0, 4.0, 5.0)]
    assert [record.id for record in dataset.test] == ["Images/n02085620-Chihuahua/n02085620_10.jpg"]


def test_dogs_without_or_with_broken_annotations(tmp_path: Path) -> None:
    root = write_dogs(tmp_path)
    annotations = root / "Annotation/n02085620-Chihuahua"
    (annotations / "n02085620_7").unlink()
    voc(annotations / "n02085620_10", [])
    dataset = load_dataset(root)
    assert (dataset.train[1].box, dataset.test[0].box) == (None, None)
    (annotations / "n02085620_10").write_text("<annotation>", encoding="utf-8")
    with pytest.raises(UserError, match="n02085620_10 must be a VOC annotation"):
        load_dataset(root)


@pytest.mark.parametrize("length", [0, 60, 250])
def test_damaged_mat_files(tmp_path: Path, length: int) -> None:
    path = write_dogs(tmp_path) / "lists/test_list.mat"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        UserError, match=r"test_list\.mat must be the archive's MATLAB file with a variable 'file_list'"
    ):
        load_dataset(tmp_path)


def test_aircraft_is_torchvisions(tmp_path: Path) -> None:
    root = write_aircraft(tmp_path)
    dataset = load_dataset(root)
    assert_whole(dataset, root)
    for split, records in (("trainval", dataset.train), ("test", dataset.test)):
        oracle = oracles.FGVCAircraft(tmp_path, split=split, loader=str)
        assert listing(records) == [oracle[index] for index in range(len(oracle))]
        assert list(dataset.class_names) == oracle.classes
    assert boxes(dataset.train) == [Box(0, 0, 8, 6), Box(0, 1, 8, 6), Box(0, 2, 8, 6)]


def test_aircraft_of_unknown_variant(tmp_path: Path) -> None:
    root = write_aircraft(tmp_path)
    lines(root / "data/variants.txt", ["Yak-42", "Boeing 717"])
    with pytest.raises(UserError, match=r"has 'F/A-18'"):
        load_dataset(root)


def test_cars_are_torchvisions(tmp_path: Path) -> None:
    root = write_cars(tmp_path)
    dataset = load_dataset(root)
    assert_whole(dataset, root)
    for split, records in (("train", dataset.train), ("test", dataset.test)):
        oracle = oracles.StanfordCars(tmp_path, split=split, loader=str)
        assert listing(records) == [oracle[index] for index in range(len(oracle))]
        assert list(dataset.class_names) == oracle.classes
    assert boxes(dataset.train) == [Box(0, 1, 8, 6), Box(1, 1, 7, 5), Box(0, 0, 8, 6)]
    assert boxes(dataset.test) == [Box(2, 0, 4, 2), Box(0, 2, 8, 6)]


def test_boxes_of_cars_that_are_cut_to_them_are_left_out(tmp_path: Path) -> None:
    root = write_cars(tmp_path)
    assert not any("cut" in note for note in load_dataset(root).notes)
    table = [(41 + each, 31, 90 + each, 80, 1 + each % 2, f"0000{each + 1}.jpg") for each in range(2)]
    for each, (left, top, right, bottom, *_) in enumerate(table):
        Image.new("RGB", (right - left, bottom - top)).save(root / f"cars_test/0000{each + 1}.jpg")
        Image.new("RGB", (right - left, bottom - top)).save(root / f"cars_train/0000{each + 1}.jpg")
    (root / "cars_train/00003.jpg").unlink()
    savemat(root / "cars_test_annos_withlabels.mat", {"annotations": car_annotations(table)})
    savemat(root / "devkit/cars_train_annos.mat", {"annotations": car_annotations(table)})
    cut = load_dataset(root)
    assert boxes((*cut.train, *cut.test)) == [None] * 4
    assert "photographs are cut to their boxes, which are therefore left out" in cut.notes[0]
    Image.new("RGB", (200, 200)).save(root / "cars_test/00001.jpg")  # one that is whole: the boxes stay
    assert None not in boxes(load_dataset(root).train)


def test_cars_with_test_labels_in_the_devkit(tmp_path: Path) -> None:
    root = write_cars(tmp_path)
    name = "cars_test_annos_withlabels.mat"
    expected = load_dataset(root)
    (root / name).rename(root / "devkit" / name)
    assert load_dataset(root) == expected
    (root / "devkit" / name).write_bytes((root / "devkit/cars_meta.mat").read_bytes())
    with pytest.raises(UserError, match="variable 'annotations'"):
        load_dataset(root)


def test_cars_without_test_labels(tmp_path: Path) -> None:
    root = write_cars(tmp_path)
    unlabelled = np.array([[("00001.jpg", 1)]], dtype=[("fname", object), ("bbox_x1", object)])
    savemat(root / "cars_test_annos_withlabels.mat", {"annotations": unlabelled})
    with pytest.raises(UserError, match=r"missing: bbox_x2, bbox_y1, bbox_y2, class\. Take the file with labels"):
        load_dataset(root)


def test_flowers_are_torchvisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_flowers(tmp_path)
    dataset = load_dataset(root)
    assert_whole(dataset, root)
    monkeypatch.setattr(oracles.Flowers102, "_check_integrity", lambda self: True)
    theirs: dict[str, Listing] = {}
    for split in ("train", "val", "test"):
        oracle = oracles.Flowers102(tmp_path, split=split, loader=str)
        theirs[split] = [oracle[index] for index in range(len(oracle))]
    for records, expected in ((dataset.train, theirs["train"] + theirs["val"]), (dataset.test, theirs["test"])):
        ours = [(str(record.image), record.class_name) for record in records]
        assert ours == [(path, oracles.Flowers102.classes[label]) for path, label in expected]
    assert dataset.class_names == ("pink primrose", "hard-leaved pocket orchid", "blackberry lily")


def test_flowers_of_two_archives(tmp_path: Path) -> None:
    root = write_flowers(tmp_path)
    savemat(root / "imagelabels.mat", {"labels": [[1, 2, 1]]})
    with pytest.raises(UserError, match="must be 1 to 3"):
        load_dataset(root)


def test_pets_are_torchvisions(tmp_path: Path) -> None:
    root = write_pets(tmp_path)
    dataset = load_dataset(root)
    assert_whole(dataset, root)
    for split, records in (("trainval", dataset.train), ("test", dataset.test)):
        oracle = oracles.OxfordIIITPet(tmp_path, split=split)
        theirs = zip(map(str, oracle._images), oracle._labels, strict=True)
        assert listing(records) == list(theirs)
        assert list(dataset.class_names) == oracle.classes
    assert boxes(dataset.train) == [None, Box(2, 1, 8, 6), None]


def test_pets_of_inconsistent_labels(tmp_path: Path) -> None:
    root = write_pets(tmp_path)
    lines(root / "annotations/test.txt", ["Abyssinian_2 2 1 1"])
    with pytest.raises(UserError, match="one to one"):
        load_dataset(root)


@pytest.mark.parametrize(
    ("write", "file"),
    [
        (write_cub, "parts/part_locs.txt"),
        (write_cub, "train_test_split.txt"),
        (write_dogs, "lists/test_list.mat"),
        (write_aircraft, "data/images_box.txt"),
        (write_cars, "devkit/cars_meta.mat"),
        (write_cars, "cars_test_annos_withlabels.mat"),
        (write_flowers, "setid.mat"),
        (write_pets, "annotations/test.txt"),
    ],
)
def test_missing_archive_file_is_named(tmp_path: Path, write: Callable[[Path], Path], file: str) -> None:
    root = write(tmp_path)
    (root / file).unlink()
    with pytest.raises(UserError, match=f"missing: {file}"):
        load_dataset(root)
