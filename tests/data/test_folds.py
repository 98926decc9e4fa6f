"""Folds of the training photographs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.config.data import DataConfig, DatasetFormat
from foveate.data.folds import Fold, cut_folds, deal, write_fold
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.recipes.datasets import load_splits


def records(*counts: int) -> list[ImageRecord]:
    """So many photographs of each class."""
    return [
        ImageRecord(f"{label}/{number}.jpg", Path(f"{number}.jpg"), label, f"class {label}")
        for label, count in enumerate(counts)
        for number in range(count)
    ]


def test_every_photograph_is_held_out_once_and_each_class_evenly() -> None:
    """Heavy imbalance, two of a class, and a single one, which is held out nowhere."""
    photographs = records(50, 7, 5, 2, 1)
    folds = cut_folds(photographs, 5, seed=0)
    for label in range(4):
        of_class = Counter(fold for each, fold in zip(photographs, folds, strict=True) if each.label == label)
        assert None not in of_class
        assert max(of_class.values()) - min(of_class[fold] for fold in range(5)) <= 1
    assert folds[-1] is None
    sizes = Counter(folds[:-1])
    assert max(sizes.values()) - min(sizes.values()) <= 1


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_every_class_is_learned_in_every_fold(folds: int) -> None:
    photographs = records(*[2] * 200, *[3] * 10, 1)
    cut = cut_folds(photographs, folds, seed=3)
    for fold in range(folds):
        learned = {each.label for each, at in zip(photographs, cut, strict=True) if at != fold}
        assert len(learned) == 211


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.dictionaries(st.integers(0, 4), st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=12),
    st.integers(2, 5),
)
def test_no_fold_takes_a_class_from_those_that_learn(groups: list[dict[int, int]], folds: int) -> None:
    """Groups, such as places, may hold several classes."""
    fold_of = deal([Counter(each) for each in groups], folds)
    for fold in range(folds):
        learned = {label for own, at in zip(groups, fold_of, strict=True) if at != fold for label in own}
        assert learned == {label for own in groups for label in own}


def test_a_place_that_has_a_class_alone_is_held_out_nowhere() -> None:
    """Class 1 is in the first two places: one of them may be held out; class 2 in the last alone."""
    places = [Counter({0: 1, 1: 1}), Counter({0: 1, 1: 1}), Counter({0: 1}), Counter({0: 1, 2: 1})]
    fold_of = deal(places, 2)
    assert fold_of[3] is None
    assert fold_of[0] != fold_of[1]


def test_the_cut_is_of_the_seed_and_the_ids() -> None:
    photographs = records(20, 20)
    cut = dict(zip((each.id for each in photographs), cut_folds(photographs, 5, seed=1), strict=True))
    turned = photographs[::-1]
    assert cut == dict(zip((each.id for each in turned), cut_folds(turned, 5, seed=1), strict=True))
    assert list(cut.values()) != list(cut_folds(photographs, 5, seed=2))


def test_a_fold_is_a_data_set_whose_test_split_is_held_out(plumage: Path, tmp_path: Path) -> None:
    data = DataConfig(root=plumage, format=DatasetFormat.CUB)
    whole = load_splits(data)
    ids = [each.id for each in whole.train]
    write_fold(tmp_path / "fold", Fold(data=data, train=tuple(ids[::2]), held_out=tuple(ids[1::2])))
    fold = load_splits(DataConfig(root=tmp_path / "fold", test_fraction=0.0))
    assert fold.class_names == whole.class_names
    assert list(fold.train) == list(whole.train)[::2]
    assert list(fold.test) == list(whole.train)[1::2]


def test_photographs_that_are_gone_are_named(plumage: Path, tmp_path: Path) -> None:
    fold = Fold(data=DataConfig(root=plumage, format=DatasetFormat.CUB), train=("gone.jpg",), held_out=())
    write_fold(tmp_path / "fold", fold)
    with pytest.raises(UserError, match=r"1 are not any more: gone.jpg. Restore them"):
        load_splits(DataConfig(root=tmp_path / "fold", format=DatasetFormat.FOLD, test_fraction=0.0))
