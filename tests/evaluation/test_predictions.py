from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable, aligned, mean_answers, read_predictions, write_predictions


def table(images: int = 4, classes: int = 3) -> PredictionTable:
    rng = np.random.default_rng(0)
    return PredictionTable(
        ids=tuple(f"birds/{index}.jpg" for index in range(images)),
        labels=(np.arange(images) % (classes + 1) - 1).astype(np.int32),
        probabilities=rng.dirichlet(np.ones(classes), size=images).astype(np.float32),
        class_names=tuple(f"Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}nspecht {c}" for c in range(classes)),
        metadata={"run": "s3n-1", "split": "test", "dataset": "CUB"},
    )


def assert_same(a: PredictionTable, b: PredictionTable) -> None:
    assert (a.ids, a.class_names, dict(a.metadata)) == (b.ids, b.class_names, dict(b.metadata))
    assert_array_equal(a.labels, b.labels)
    assert_array_equal(a.probabilities, b.probabilities)


@pytest.mark.parametrize(("images", "classes"), [(4, 3), (1, 1), (0, 5)])
def test_what_is_written_is_read(tmp_path: Path, images: int, classes: int) -> None:
    written = table(images, classes)
    write_predictions(tmp_path / "answers.parquet", written)
    read = read_predictions(tmp_path / "answers.parquet")
    assert_same(read, written)
    assert (read.labels.dtype.name, read.probabilities.dtype.name) == ("int32", "float32")
    assert read.probabilities.flags.writeable


def test_wider_numbers_are_stored_in_the_columns_types(tmp_path: Path) -> None:
    narrow = table()
    wide = replace(narrow, labels=narrow.labels.astype(np.int64), probabilities=narrow.probabilities.astype(np.float64))
    write_predictions(tmp_path / "answers.parquet", wide)
    assert_same(read_predictions(tmp_path / "answers.parquet"), narrow)


def test_other_tools_see_three_plain_columns(tmp_path: Path) -> None:
    write_predictions(tmp_path / "answers.parquet", table())
    schema = pq.read_schema(tmp_path / "answers.parquet")
    assert schema.names == ["id", "label", "probabilities"]
    assert schema.types == [pa.string(), pa.int32(), pa.list_(pa.float32(), 3)]
    assert schema.metadata[b"foveate.schema_version"] == b"1"


def test_a_failed_write_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "answers.parquet"
    write_predictions(path, table())

    def fill_the_disk(_: pa.Table, where: Path, **_options: object) -> None:
        where.write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fill_the_disk)
    with pytest.raises(UserError, match=r"cannot write .*answers.parquet: No space left.*untouched; free space"):
        write_predictions(path, table(images=9))
    assert_same(read_predictions(path), table())
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.parquet"
    with pytest.raises(UserError, match=r"cannot read .*answers\.parquet"):
        read_predictions(path)
    write_predictions(path, table())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"cannot read .*answers\.parquet"):
        read_predictions(path)
    with pytest.raises(UserError, match="cannot read"):
        read_predictions(tmp_path)


def test_a_foreign_table_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "label": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(UserError, match="not a prediction table of Foveate"):
        read_predictions(tmp_path / "foreign.parquet")


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.parquet"
    write_predictions(path, table())
    saved = pq.read_table(path)
    metadata = {**saved.schema.metadata, b"foveate.schema_version": b"3"}
    pq.write_table(saved.replace_schema_metadata(metadata), path)
    with pytest.raises(UserError, match=r"schema version 3, this Foveate reads versions 1 and 2.*predict again"):
        read_predictions(path)


def test_other_columns_under_our_metadata_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.parquet"
    write_predictions(path, table())
    pq.write_table(pq.read_table(path).drop_columns(["label"]), path)
    with pytest.raises(UserError, match="does not have the columns"):
        read_predictions(path)


def test_version_2_has_groups_and_version_1_has_none(tmp_path: Path) -> None:
    path = tmp_path / "answers.parquet"
    for groups, other in ((None, b"2"), (np.arange(4), b"1")):
        write_predictions(path, replace(table(), groups=groups))
        saved = pq.read_table(path)
        metadata = {**saved.schema.metadata, b"foveate.schema_version": other}
        pq.write_table(saved.replace_schema_metadata(metadata), path)
        with pytest.raises(UserError, match="does not have the columns"):
            read_predictions(path)


@pytest.mark.parametrize("groups", [[0, 1, 2, 4], [-1, 0, 1, 2]])
def test_groups_out_of_range_are_refused(groups: list[int]) -> None:
    with pytest.raises(UserError, match="groups number the 4 ids, each from 0 to 3; got"):
        replace(table(), groups=np.array(groups))


@settings(deadline=None)
@given(st.permutations(range(7)))
def test_aligned_brings_rows_into_the_others_order(order: list[int]) -> None:
    a = table(images=7)
    b = replace(
        a,
        ids=tuple(a.ids[i] for i in order),
        labels=a.labels[order],
        probabilities=a.probabilities[order],
        metadata={"run": "other"},
    )
    assert_same(aligned(a, b), replace(a, metadata={"run": "other"}))


def test_an_ensemble_answers_with_the_mean_in_the_first_ones_order() -> None:
    one = table(images=3)
    other = replace(one, ids=one.ids[::-1], labels=one.labels[::-1], probabilities=one.probabilities[::-1] * 0.5)
    mean = mean_answers([one, other], {"ensemble": "both"})
    assert (mean.ids, dict(mean.metadata)) == (one.ids, {"ensemble": "both"})
    np.testing.assert_allclose(mean.probabilities, 0.75 * one.probabilities, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"ids": ("birds/0.jpg", "birds/1.jpg", "birds/2.jpg", "x")},
            "same images; 2 are in one of them only",
        ),
        (
            {"labels": np.array([-1, 0, 2, 2])},
            r"1 of 4 differ, the first: 'birds/2\.jpg' has 1 in one and 2 in the other",
        ),
        ({"class_names": ("a", "b", "c")}, "same classes.*class 0 named.* and 2 more that differ"),
        (
            {"class_names": ("a", "b"), "labels": np.zeros(4, dtype=int), "probabilities": np.ones((4, 2))},
            "3 and 2 classes, 5 of them in one only",
        ),
    ],
)
def test_tables_of_different_tasks_are_not_compared(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        aligned(table(), replace(table(), **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ("a", "b")}, "got 2 ids, 3 classes"),
        ({"probabilities": np.ones((4, 2), dtype=np.float32)}, r"probabilities \(4, 2\)"),
        ({"ids": ("a", "b", "b", "b")}, "2 of 4 are repeated"),
        ({"labels": np.array([0, 1, 2, 3])}, "got 0 to 3"),
        ({"labels": np.array([-2, 1, 2, 0])}, "got -2 to 2"),
    ],
)
def test_a_table_is_checked_when_it_is_made(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(table(), **change)
