"""Lists in Parquet that hold the photographs themselves, and what else a Parquet file may hold."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from foveate.data import parquet_images
from foveate.data.datasets import load_dataset
from foveate.data.images import ImageError, read_image
from foveate.data.records import ArchiveMember
from foveate.errors import UserError
from miniatures import jpeg

FEATURES = {"label": {"names": ["crow", "ani"], "_type": "ClassLabel"}}
LABELS = {"huggingface": json.dumps({"info": {"features": FEATURES}})}


def write_pictures(path: Path, labels: Sequence[int | None], *, paths: Sequence[str | None] = ()) -> Path:
    """Write Hugging Face's layout: two rows a group."""
    names = paths or [None] * len(labels)
    images = [{"bytes": jpeg(shade), "path": name} for shade, name in enumerate(names)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", kind), ("label", pa.int64())]).with_metadata(LABELS)
    parquet.write_table(pa.table({"image": images, "label": labels}, schema=schema), path, row_group_size=2)
    return path


def test_photographs_inside_a_parquet_file(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "birds.parquet", [1, 0, 1, 0, 1])
    dataset = load_dataset(path)
    assert dataset.class_names == ("crow", "ani")
    assert [record.label for record in dataset.train] == [1, 0, 1, 0, 1]
    assert [record.id for record in dataset.train][:2] == ["birds.parquet/000001", "birds.parquet/000002"]
    for shade in (4, 0, 3, 1, 2):
        image = pickle.loads(pickle.dumps(dataset.train[shade].image))
        assert isinstance(image, ArchiveMember)
        assert image.read() == jpeg(shade)
        with pytest.raises(ImageError, match="8x6"):  # it is read, and is too small
            read_image(image)
    named = load_dataset(write_pictures(path, [1, 0], paths=["x.jpg", "y.jpg"]))
    assert [record.id for record in named.train] == ["birds.parquet/x.jpg", "birds.parquet/y.jpg"]


def test_photographs_as_a_column_of_bytes(tmp_path: Path) -> None:
    table = pa.table({"image": [jpeg(1), None, jpeg(2)], "class_name": ["ani", "ani", "crow"]})
    parquet.write_table(table, tmp_path / "list.parquet")
    first, empty, last = (record.image for record in load_dataset(tmp_path).train)
    assert isinstance(first, ArchiveMember)
    assert isinstance(last, ArchiveMember)
    assert (first.read(), last.read()) == (jpeg(1), jpeg(2))
    with pytest.raises(ImageError):
        read_image(empty, "the empty one")


def test_few_groups_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_images, "KEPT", 1000)
    images = [record.image for record in load_dataset(write_pictures(tmp_path / "x.parquet", [0, 1] * 4)).train]
    assert [image.read() for image in images if isinstance(image, ArchiveMember)] == [jpeg(shade) for shade in range(8)]
    assert sum(path.parent == tmp_path for path, _ in parquet_images._GROUPS._groups) == 1


def test_parquet_files_of_a_split_each(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train-00000-of-00002.parquet", [0, 1])
    write_pictures(tmp_path / "train-00001-of-00002.parquet", [1, 0])
    write_pictures(tmp_path / "validation-00000-of-00001.parquet", [1, 0])
    write_pictures(tmp_path / "test-00000-of-00001.parquet", [-1, -1])
    dataset = load_dataset(tmp_path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (4, 0, 2)
    assert "test-00000-of-00001.parquet has no labels" in dataset.notes[0]


def test_photographs_beside_a_parquet_file_of_paths(tmp_path: Path) -> None:
    images = [{"bytes": None, "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "label": [0, 1]})
    parquet.write_table(table, tmp_path / "list.parquet")
    assert [record.image for record in load_dataset(tmp_path).train] == [tmp_path / "a.jpg", tmp_path / "b.jpg"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [[1, 2], [3]], "label": [0, 1]}, "must hold paths, bytes .* holds list<"),
        (
            {"image": ["a", "b"], "class_name": [b"\xff" * 999, b"x"]},
            "class_name must be text .* got 999 bytes in row 1",
        ),
        ({"image": ["a", "b"], "class_name": [["x"], ["y"]]}, "class_name must be text"),
        ({"image": ["a", "b"], "label": [float("nan"), 1.0]}, "has nan in row 1"),
        ({"image": ["a", "b"], "label": [True, False]}, "has True in row 1"),
        ({"image": ["a", "b"], "split": [b"\x00" * 99, b"x"], "label": [0, 1]}, "got 99 bytes in row 1"),
        (
            {"image": [jpeg(), jpeg()], "label": [0, 2]},
            "labels must be those that the file names, 0 to 1; got 2 in row 2",
        ),
    ],
)
def test_parquet_faults(tmp_path: Path, columns: dict[str, list[Any]], message: str) -> None:
    table = pa.table(columns)
    parquet.write_table(table.replace_schema_metadata(LABELS), tmp_path / "list.parquet")
    with pytest.raises(UserError, match=message) as error:
        load_dataset(tmp_path)
    assert len(str(error.value)) < 400


def test_a_text_in_parquet_that_is_not_utf8(tmp_path: Path) -> None:
    names = pa.array([b"ani", b"\xff\xfe"], pa.binary()).view(pa.string())
    parquet.write_table(pa.table({"image": ["a", "b"], "class_name": names}), tmp_path / "list.parquet")
    with pytest.raises(UserError, match=r"class_name must be UTF-8 text in every row of .*; row 2 is not"):
        load_dataset(tmp_path)


def test_names_of_columns_that_are_not_utf8(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"image": ["a"], "class_name": ["x"]}), tmp_path / "list.parquet")
    content = (tmp_path / "list.parquet").read_bytes()
    (tmp_path / "list.parquet").write_bytes(content.replace(b"class_name", b"class\xff\xfe\xfdme"))
    for root in (tmp_path, tmp_path / "list.parquet"):
        with pytest.raises(UserError, match=r"lists must be CSV or Parquet; .*list\.parquet is not readable"):
            load_dataset(root)
