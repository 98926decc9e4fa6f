"""Photographs of one group stay together wherever something is cut."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from foveate.config.data import DataConfig, DatasetFormat
from foveate.data.folds import cut_folds
from foveate.data.records import ImageRecord, groups_of
from foveate.data.splits import hold_out
from foveate.errors import UserError
from foveate.networks.probe import fit_probe
from foveate.recipes.datasets import load_dataset, load_splits


def records(sizes: Sequence[Sequence[int]]) -> list[ImageRecord]:
    """Return photographs of classes, each with groups of some sizes."""
    return [
        ImageRecord(f"{label}/{group}/{number}.jpg", Path(), label, str(label), group=f"{label}/{group}")
        for label, groups in enumerate(sizes)
        for group, size in enumerate(groups)
        for number in range(size)
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 6), min_size=2, max_size=8), min_size=2, max_size=5), st.integers(0, 99))
def test_no_group_is_on_both_sides(sizes: list[list[int]], seed: int) -> None:
    photographs = records(sizes)
    kept, held_out = hold_out(photographs, 0.3, seed)
    assert not {each.group for each in kept} & {each.group for each in held_out}
    assert len(kept) + len(held_out) == len(photographs)
    assert {each.label for each in kept} == {each.label for each in held_out} == set(range(len(sizes)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=8), min_size=2, max_size=5), st.integers(2, 5))
def test_no_group_is_in_two_folds(sizes: list[list[int]], folds: int) -> None:
    photographs = records(sizes)
    fold_of = defaultdict(set)
    for photograph, fold in zip(photographs, cut_folds(photographs, folds, 0), strict=True):
        fold_of[photograph.group].add(fold)
    assert all(len(each) == 1 for each in fold_of.values())
    assert all((fold_of[f"{label}/0"] == {None}) == (len(groups) == 1) for label, groups in enumerate(sizes))


def test_groups_of_equal_size_are_dealt_out_evenly() -> None:
    photographs = records([[3] * 10, [2] * 5])
    assert Counter(cut_folds(photographs, 5, 0)) == dict.fromkeys(range(5), 8)
    held_out = hold_out(photographs, 0.2, 0).held_out
    assert Counter(each.label for each in held_out) == {0: 6, 1: 2}


def test_a_class_of_one_group_cannot_be_divided() -> None:
    with pytest.raises(UserError, match=r"whole groups needs at least two groups of it; .* 1 of 2 classes: 1"):
        hold_out(records([[2, 2], [9]]), 0.2, 0)


def test_a_photograph_without_a_group_stands_for_itself() -> None:
    photographs = [ImageRecord(str(number), Path(), 0, "a", group=None if number < 2 else "g") for number in range(4)]
    numbers = groups_of(photographs)
    assert numbers is not None
    assert numbers.tolist() == [0, 1, 2, 2]
    assert groups_of(photographs[:2]) is None


def test_a_probe_holds_out_whole_groups() -> None:
    """Photographs of a group are equal here, but for that nothing tells of their class."""
    groups = torch.arange(20).repeat_interleave(4)
    labels = (torch.arange(20) % 2).repeat_interleave(4)
    features = torch.randn(20, 64, generator=torch.Generator().manual_seed(0))[groups][:, None]
    whole = fit_probe(features, labels, (1.0,), 5, groups=groups)
    assert whole.out_of_fold is not None
    folds = {(int(group), int(fold)) for group, fold in zip(groups, whole.out_of_fold.fold, strict=True)}
    assert len(folds) == 20
    torn = fit_probe(features, labels, (1.0,), 5)
    assert torn.held[0].accuracy == 1
    assert whole.held[0].accuracy < 0.9
    assert fit_probe(features, labels, (1.0,), 5, groups=labels).out_of_fold is None


@pytest.fixture
def nests(tmp_path: Path) -> Path:
    for name in ("crow", "raven"):
        for nest in ("a", "b", "c"):
            folder = tmp_path / "nests" / name / nest / "deeper"
            folder.mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
    return tmp_path / "nests"


def test_folders_below_a_class_are_groups(nests: Path) -> None:
    train = load_dataset(DataConfig(root=nests, group_level=1)).train
    assert {each.group for each in train} == {f"{name}/{nest}" for name in ("crow", "raven") for nest in "abc"}
    assert {each.group for each in load_dataset(DataConfig(root=nests, format=DatasetFormat.FOLDER)).train} == {None}
    splits = load_splits(DataConfig(root=nests, group_level=1))
    assert len({each.group for each in splits.test}) == 2
    assert len(splits.test) == 4
    with pytest.raises(UserError, match="has no photograph in a folder 3 below its class"):
        load_dataset(DataConfig(root=nests, group_level=3))


def test_a_column_of_a_list_names_groups(nests: Path) -> None:
    files = sorted(path.relative_to(nests).as_posix() for path in nests.rglob("*.png"))
    names, groups = [each.split("/")[0] for each in files], [each.split("/")[1] for each in files]
    named = [group if group == "a" else None for group in groups]
    rows = zip(files, names, (each or "" for each in named), strict=True)
    (nests / "list.csv").write_text("\n".join(["image,class_name,Nest", *map(",".join, rows)]))
    parquet.write_table(pa.table({"image": files, "class_name": names, "Nest": named}), nests / "list.parquet")
    for root in (nests / "list.csv", nests / "list.parquet"):
        train = load_dataset(DataConfig(root=root, group_column="Nest")).train
        assert [each.group for each in train] == named
        with pytest.raises(UserError, match=r"got 'individual', and .* has image, class_name, [nN]est\. Name one"):
            load_dataset(DataConfig(root=root, group_column="individual"))


def test_groups_that_a_format_cannot_have_are_refused(nests: Path) -> None:
    with pytest.raises(UserError, match="group_column names a column of a list; folder has none"):
        load_dataset(DataConfig(root=nests, format=DatasetFormat.FOLDER, group_column="nest"))
    (nests / "list.csv").write_text("image,class_name\na.png,x\nb.png,y")
    with pytest.raises(UserError, match="group_level counts folders below class folders; table has"):
        load_dataset(DataConfig(root=nests, format=DatasetFormat.TABLE, group_level=1))
    with pytest.raises(UserError, match="group_level must be 0 beside group_column"):
        DataConfig(root=nests, group_column="nest", group_level=1)
