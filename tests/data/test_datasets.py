"""The door to all loaders, and the check for missing files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from foveate.data.datasets import LOADERS, DatasetFormat, first_few, load_dataset
from foveate.errors import UserError
from foveate.recipes.datasets import LOADERS as EVERY_LOADER
from miniatures import (
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

ARCHIVES = {
    DatasetFormat.CUB: write_cub,
    DatasetFormat.DOGS: write_dogs,
    DatasetFormat.AIRCRAFT: write_aircraft,
    DatasetFormat.CARS: write_cars,
    DatasetFormat.FLOWERS: write_flowers,
    DatasetFormat.PETS: write_pets,
}


def test_every_format_has_a_loader() -> None:
    assert set(EVERY_LOADER) == set(DatasetFormat) - {DatasetFormat.AUTO}


@pytest.mark.parametrize(("format", "write"), ARCHIVES.items())
def test_archives_are_recognised_and_found_from_above(
    tmp_path: Path, format: DatasetFormat, write: Callable[[Path], Path]
) -> None:
    root = write(tmp_path)
    lines(tmp_path / "attributes.txt", ["lies beside the archive's folder"])
    (tmp_path / "archive.tgz").touch()
    (tmp_path / "segmentations").mkdir()
    expected = LOADERS[format](root)
    assert load_dataset(root) == load_dataset(root, format) == expected
    assert load_dataset(tmp_path) == load_dataset(tmp_path, format) == expected


def test_format_chooses_between_two_archives(tmp_path: Path) -> None:
    write_cub(tmp_path)
    write_pets(tmp_path)
    with pytest.raises(UserError, match=r"holds CUB_200_2011 \(cub\), oxford-iiit-pet \(pets\)"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, DatasetFormat.PETS).name == "Oxford-IIIT Pets"


def test_format_names_what_is_missing(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ["robin/1.jpg", "wren/2.jpg"])
    with pytest.raises(UserError, match=r"missing: setid\.mat|missing: imagelabels\.mat, setid\.mat"):
        load_dataset(root, DatasetFormat.FLOWERS)


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write_folder(tmp_path / "birds", ["robin/1.jpg", "wren/2.jpg"])
    assert load_dataset(Path("~/birds")).train[0].image == tmp_path / "birds/robin/1.jpg"


def test_class_folders_beside_a_table_of_something_else(tmp_path: Path) -> None:
    write_folder(tmp_path, ["robin/1.jpg", "wren/2.jpg"])
    write_csv(tmp_path / "visits.csv", {"day": [1], "label": [2]})
    assert load_dataset(tmp_path).class_names == ("robin", "wren")
    write_csv(tmp_path / "list.csv", {"image": ["robin/1.jpg", "x.jpg"], "label": [4, 9]})
    assert load_dataset(tmp_path).class_names == ("4", "9")


def test_shards_beside_folders_are_not_guessed_at(tmp_path: Path) -> None:
    write_folder(tmp_path, ["robin/1.jpg", "wren/2.jpg"])
    (tmp_path / "backup.tar").touch()
    with pytest.raises(UserError, match=r"holds backup\.tar and robin"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, DatasetFormat.FOLDER).class_names == ("robin", "wren")


def test_roots_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must exist; got .*nowhere"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(UserError, match="must not be empty"):
        load_dataset(tmp_path)
    with pytest.raises(UserError, match=r"got the file .*a\.tar"):
        load_dataset(lines(tmp_path / "a.tar", []))
    with pytest.raises(UserError, match=r"list\.csv for format cub"):
        load_dataset(lines(tmp_path / "list.csv", []), DatasetFormat.CUB)


def test_first_few() -> None:
    assert first_few([]) == ""
    assert first_few(["a", "b"]) == "a, b"
    assert first_few(list("abcdef"), few=2) == "a, b and 4 more"
