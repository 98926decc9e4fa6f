"""From a folder to checked splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from foveate.config.data import DataConfig, OnError
from foveate.data.datasets import DatasetFormat, load_dataset
from foveate.data.preparation import Splits, checked, checked_splits
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.recipes.datasets import has_validation, load_splits
from miniatures import write_folder


@pytest.fixture(scope="module")
def undivided(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Two classes of 20 photographs without a division of their own."""
    files = (f"{name}/{number:02d}.jpg" for name in ("owl", "wren") for number in range(20))
    return DataConfig(root=write_folder(tmp_path_factory.mktemp("birds"), files))


def ids(records: Sequence[ImageRecord]) -> set[str]:
    return {record.id for record in records}


def test_the_authors_division_stands(plumage: Path) -> None:
    dataset = load_dataset(plumage, DatasetFormat.CUB)
    splits = load_splits(DataConfig(root=plumage, test_fraction=0.5))
    assert splits == Splits(dataset.name, dataset.class_names, dataset.train, (), dataset.test)
    assert (len(splits.train), len(splits.test)) == (24, 12)


def test_validation_comes_out_of_training_only(plumage: Path) -> None:
    whole = load_splits(DataConfig(root=plumage))
    cut = load_splits(DataConfig(root=plumage, validation_fraction=1 / 3))
    assert Counter(record.label for record in cut.validation) == dict.fromkeys(range(4), 2)
    assert ids(cut.train) | ids(cut.validation) == ids(whole.train)
    assert not ids(cut.train) & ids(cut.validation)
    assert cut.test == whole.test


def test_a_test_split_is_cut_where_there_is_none(undivided: DataConfig) -> None:
    config = replace(undivided, test_fraction=0.3, validation_fraction=0.5)
    splits = load_splits(config)
    assert Counter(record.class_name for record in splits.test) == {"owl": 6, "wren": 6}
    assert Counter(record.class_name for record in splits.validation) == {"owl": 7, "wren": 7}
    assert len(ids(splits.train) | ids(splits.validation) | ids(splits.test)) == 40
    assert load_splits(config) == splits
    without = load_splits(replace(config, validation_fraction=0.0))
    assert without.test == splits.test


def test_the_split_seed_moves_both_cuts(undivided: DataConfig) -> None:
    configs = [replace(undivided, validation_fraction=0.5, split_seed=seed) for seed in (0, 7)]
    first, second = map(load_splits, configs)
    assert ids(first.test) != ids(second.test)
    assert ids(first.validation) != ids(second.validation)


def test_the_two_cuts_are_different_draws(plumage: Path, undivided: DataConfig) -> None:
    """With nothing held out before it, the validation cut is not what the test cut would have been."""
    test_cut = load_splits(replace(undivided, test_fraction=0.3)).test
    divided = DataConfig(root=undivided.root, test_fraction=0.0, validation_fraction=0.3)
    assert ids(load_splits(divided).validation) != ids(test_cut)


def test_no_test_split_unless_asked(undivided: DataConfig) -> None:
    splits = load_splits(replace(undivided, test_fraction=0.0))
    assert (len(splits.train), splits.test) == (40, ())
    assert splits.named("train") == splits.train
    with pytest.raises(UserError, match=r"the test split must hold photographs; .* has none in it$"):
        splits.named("test")
    with pytest.raises(UserError, match=r"validation split .*train anew with --data.validation-fraction 0.2"):
        splits.named("validation")


@pytest.mark.parametrize("name", ["tset", "name", "class_names", "TEST", ""])
def test_a_split_that_is_none_is_told(name: str, tmp_path: Path) -> None:
    splits = Splits("birds", ("owl", "wren"), (), (), ())
    with pytest.raises(UserError, match=f"a split is one of train, validation, test; got {name!r}; give the name"):
        splits.named(name)


def test_checked_says_what_it_leaves_out(plumage: Path, tmp_path: Path) -> None:
    good = load_splits(DataConfig(root=plumage)).test[:3]
    missing = replace(good[1], image=tmp_path / "gone.jpg")
    said: list[str] = []
    assert checked(good, OnError.STOP, said.append) == good
    assert said == ["reading 3 photographs once"]
    said.clear()
    assert checked((good[0], missing, good[2]), OnError.SKIP, said.append) == (good[0], good[2])
    assert said[1] == "left out 1 of 3 photographs that cannot be read:"
    assert str(tmp_path / "gone.jpg") in said[2]
    assert len(said) == 3
    with pytest.raises(UserError, match="1 of 3"):
        checked((good[0], missing, good[2]), OnError.STOP, said.append)


def test_all_splits_are_checked_in_one_go(plumage: Path, tmp_path: Path) -> None:
    splits = load_splits(DataConfig(root=plumage))
    missing = replace(splits.train[0], image=tmp_path / "gone.jpg")
    dark = tmp_path / "dark.png"
    Image.new("L", (20, 20)).save(dark)
    parts = {"train": (missing, *splits.train[1:3]), "test": (splits.test[0], replace(missing, image=dark))}
    said: list[str] = []
    readable = checked_splits(parts, OnError.SKIP, said.append)
    assert readable == {"train": splits.train[1:3], "test": parts["test"]}
    assert said[:2] == ["reading 5 photographs once", "left out 1 of 3 photographs in train that cannot be read:"]
    assert str(tmp_path / "gone.jpg") in said[2]
    (warning,) = said[3:]
    assert warning.startswith(
        f"warning: 1 of 2 photographs in test are nearly blank:\n  {dark} is nearly blank: all of"
    )
    with pytest.raises(UserError, match=r"1 of 5 photographs .*\(1 of 3 in train\)"):
        checked_splits(parts, OnError.STOP, said.append)


def birds(*folders: str, names: Sequence[str] = ("owl", "wren")) -> list[str]:
    return [f"{folder}/{name}/{number}.jpg" for folder in folders for name in names for number in range(5)]


def test_a_validation_split_of_the_authors_is_taken(tmp_path: Path) -> None:
    config = DataConfig(root=write_folder(tmp_path, birds("train", "val", "test")))
    said: list[str] = []
    splits = load_splits(replace(config, validation_fraction=0.4), said.append)
    assert [len(ids(part)) for part in (splits.train, splits.validation, splits.test)] == [10, 10, 10]
    assert all(id.startswith("val/") for id in ids(splits.named("validation")))
    assert said == [
        "splits: train from train, validation from val, test from test",
        "the data set has a validation split of its own, 10 photographs: no other is cut from the training photographs "
        "(validation_fraction 0.4 is not used)",
    ]
    assert load_splits(config) == splits
    assert has_validation(config)


def test_a_validation_folder_without_a_test_folder_is_the_test_split(tmp_path: Path) -> None:
    config = DataConfig(root=write_folder(tmp_path, birds("train", "val")), validation_fraction=0.4)
    splits = load_splits(config)
    assert [len(ids(part)) for part in (splits.train, splits.validation, splits.test)] == [6, 4, 10]
    assert has_validation(config)
    assert not has_validation(replace(config, validation_fraction=0.0))


def test_that_a_test_split_is_cut_is_said(undivided: DataConfig) -> None:
    said: list[str] = []
    load_splits(undivided, said.append)
    assert said == ["the data set has no test split: 20% of each class are held out as one"]


def test_a_training_of_one_class(tmp_path: Path) -> None:
    write_folder(tmp_path, [*birds("train", names=("owl",)), *birds("test")])
    with pytest.raises(UserError, match=r"at least two classes; the train split of .* has only 'owl' of owl, wren"):
        load_splits(DataConfig(root=tmp_path))


def test_splits_without_a_common_class(tmp_path: Path) -> None:
    write_folder(tmp_path, [*birds("train"), *birds("test", names=("unknown",))])
    with pytest.raises(UserError, match=r"classes in common; the test split of .* has unknown, none of them"):
        load_splits(DataConfig(root=tmp_path))
    assert len(load_splits(DataConfig(root=tmp_path, exclude=("test",))).test) == 2


def test_classes_of_one_photograph_are_named_with_the_option(tmp_path: Path) -> None:
    write_folder(tmp_path, [*birds("."), "kite/1.jpg", "crow/1.jpg"])
    validated = DataConfig(root=tmp_path, test_fraction=0.0, validation_fraction=0.2)
    for config, option in (DataConfig(root=tmp_path), "test"), (validated, "validation"):
        with pytest.raises(UserError, match=rf"2 of 4 classes have one: crow, kite\. .*--data\.{option}-fraction 0"):
            load_splits(config)
    assert len(load_splits(DataConfig(root=tmp_path, test_fraction=0.0)).train) == 12
