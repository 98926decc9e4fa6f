"""Data sets of a few drawn photographs, each in the layout of its true archive."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

CUB_PARTS = ("back", "beak", "left eye")


def jpeg(shade: int = 128) -> bytes:
    """Bytes of a grey 8 x 6 photograph."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, shade, shade)).save(stream, "JPEG")
    return stream.getvalue()


def photograph(path: Path, shade: int = 128) -> Path:
    """Write a grey photograph, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(shade))
    return path


@dataclass(frozen=True)
class Bird:
    """A row of CUB's lists; `box` is x, y, width, height; `parts` are x, y, visible in the order of CUB_PARTS."""

    id: int
    class_id: int
    train: bool
    box: tuple[float, float, float, float] = (1.0, 2.0, 3.0, 2.5)
    parts: tuple[tuple[float, float, int], ...] = ((1.5, 2.0, 1), (0.0, 0.0, 0), (3.0, 2.5, 1))

    @property
    def folder(self) -> str:
        """Its class as CUB spells it."""
        return f"{self.class_id:03d}.Red_Kite_{self.class_id}"

    @property
    def file(self) -> str:
        """Its path below ``images``."""
        return f"{self.folder}/Red_Kite_{self.id:04d}.jpg"


BIRDS = (Bird(31, 9, True), Bird(7, 9, False), Bird(12, 4, True), Bird(5, 4, False), Bird(40, 33, True))


def write_cub(root: Path, birds: Sequence[Bird] = BIRDS, photographs: bool = True) -> Path:
    """Write CUB-200-2011 with these birds in this order; returns the folder of the archive."""
    root = root / "CUB_200_2011"
    lines(root / "images.txt", (f"{bird.id} {bird.file}" for bird in birds))
    lines(root / "image_class_labels.txt", (f"{bird.id} {bird.class_id}" for bird in birds))
    lines(root / "classes.txt", sorted({f"{bird.class_id} {bird.folder}" for bird in birds}))
    lines(root / "train_test_split.txt", (f"{bird.id} {int(bird.train)}" for bird in birds))
    lines(root / "bounding_boxes.txt", (f"{bird.id} {' '.join(map(str, bird.box))}" for bird in birds))
    lines(root / "parts/parts.txt", (f"{number} {part}" for number, part in enumerate(CUB_PARTS, start=1)))
    locations = [
        f"{bird.id} {number} {x} {y} {visible}"
        for bird in birds
        for number, (x, y, visible) in enumerate(bird.parts, start=1)
    ]
    lines(root / "parts/part_locs.txt", locations)
    for bird in birds if photographs else ():
        photograph(root / "images" / bird.file)
    return root


def write_dogs(root: Path, lists: str = "lists") -> Path:
    """Write Stanford Dogs: two breeds, three photographs, one of them with two dogs."""
    root = root / "dogs"
    chihuahua, spaniel = "n02085620-Chihuahua", "n02085782-Japanese_spaniel"
    listed = {
        "train_list.mat": {f"{spaniel}/n02085782_1.jpg": 2, f"{chihuahua}/n02085620_7.jpg": 1},
        "test_list.mat": {f"{chihuahua}/n02085620_10.jpg": 1},
    }
    for name, labels in listed.items():
        (root / lists).mkdir(parents=True, exist_ok=True)
        content = {"file_list": cells(labels)[:, None], "labels": np.array([list(labels.values())], float).T}
        savemat(root / lists / name, content)
        for file in labels:
            photograph(root / "Images" / file)
            voc(root / "Annotation" / file.removesuffix(".jpg"), [(0, 1, 4, 5)])
    voc(root / "Annotation" / spaniel / "n02085782_1", [(1, 2, 4, 5), (2, 0, 8, 3)])
    return root


def write_aircraft(root: Path) -> Path:
    """Write FGVC-Aircraft: three variants, one of them with a slash, in an order that is not sorted."""
    root = root / "fgvc-aircraft-2013b"
    lines(root / "data/variants.txt", ["Yak-42", "Boeing 717", "F/A-18"])
    trainval = ["0034309 F/A-18", "1025794 Boeing 717", "0000001 Yak-42"]
    test = ["2222222 Boeing 717", "0000003 F/A-18"]
    lines(root / "data/images_variant_trainval.txt", trainval)
    lines(root / "data/images_variant_test.txt", test)
    ids = [line.split()[0] for line in trainval + test]
    lines(root / "data/images_box.txt", (f"{id} 1 {row} 8 6" for row, id in enumerate(ids, start=1)))
    for id in ids:
        photograph(root / f"data/images/{id}.jpg")
    return root


def write_cars(root: Path) -> Path:
    """Write Stanford Cars: three classes, the labelled test annotations in the root."""
    root = root / "stanford_cars"
    (root / "devkit").mkdir(parents=True)
    names = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012"]
    savemat(root / "devkit/cars_meta.mat", {"class_names": cells(names)[None]})
    train = [(1, 2, 8, 6, 3, "00001.jpg"), (2, 2, 7, 5, 1, "00002.jpg"), (1, 1, 8, 6, 2, "00003.jpg")]
    test = [(3, 1, 4, 2, 2, "00001.jpg"), (1, 3, 8, 6, 3, "00002.jpg")]
    savemat(root / "devkit/cars_train_annos.mat", {"annotations": car_annotations(train)})
    savemat(root / "cars_test_annos_withlabels.mat", {"annotations": car_annotations(test)})
    for folder, rows in (("cars_train", train), ("cars_test", test)):
        for row in rows:
            photograph(root / folder / row[-1])
    return root


def car_annotations(rows: Sequence[tuple[int, int, int, int, int, str]]) -> NDArray[Any]:
    fields = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")
    table = np.empty((1, len(rows)), dtype=[(field, object) for field in fields])
    table[0] = rows
    return table


def write_flowers(root: Path) -> Path:
    """Write Oxford Flowers-102: eight photographs of three of its classes."""
    root = root / "flowers-102"
    for number in range(1, 9):
        photograph(root / f"jpg/image_{number:05d}.jpg")
    savemat(root / "imagelabels.mat", {"labels": np.array([[1, 2, 102, 1, 2, 102, 1, 2]], np.uint8)})
    sets = {"trnid": [[6, 2, 1]], "valid": [[8, 4]], "tstid": [[3, 5, 7]]}
    savemat(root / "setid.mat", {field: np.array(ids, np.uint16) for field, ids in sets.items()})
    return root


def write_pets(root: Path) -> Path:
    """Write Oxford-IIIT Pets: three breeds; one training photograph has a head box."""
    root = root / "oxford-iiit-pet"
    trainval = ["Abyssinian_100 1 1 1", "american_bulldog_10 2 2 1", "basset_hound_3 3 2 2"]
    test = ["basset_hound_1 3 2 2", "Abyssinian_2 1 1 1", "american_bulldog_1 2 2 1"]
    lines(root / "annotations/trainval.txt", trainval)
    lines(root / "annotations/test.txt", test)
    voc(root / "annotations/xmls/american_bulldog_10.xml", [(3, 2, 8, 6)])
    for line in trainval + test:
        photograph(root / f"images/{line.split()[0]}.jpg")
    return root


def write_folder(root: Path, files: Iterable[str]) -> Path:
    """Write a photograph at each path below the root."""
    for file in files:
        photograph(root / file)
    return root


def lines(path: Path, content: Iterable[str]) -> Path:
    """Write a text list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in content), encoding="utf-8")
    return path


def cells(texts: Iterable[str]) -> NDArray[Any]:
    """Return a cell array of MATLAB."""
    return np.array(list(texts), dtype=object)


def voc(path: Path, boxes: Sequence[tuple[int, int, int, int]]) -> Path:
    """Write a VOC annotation; its edges stand in the order xmin, xmax, ymin, ymax, as in some archives."""
    objects = (
        f"<object><name>dog</name><bndbox><xmin>{left}</xmin><xmax>{right}</xmax>"
        f"<ymin>{top}</ymin><ymax>{bottom}</ymax></bndbox></object>"
        for left, top, right, bottom in boxes
    )
    return lines(path, ["<annotation>", *objects, "</annotation>"])


def write_csv(path: Path, columns: Mapping[str, Sequence[object]]) -> Path:
    """Write a table as CSV; None is empty."""
    rows = zip(*columns.values(), strict=True)
    return lines(path, [",".join(columns), *(",".join("" if v is None else str(v) for v in row) for row in rows)])
