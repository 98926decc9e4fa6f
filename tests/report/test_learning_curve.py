"""The learning curve: which photographs it learns from, and its table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from foveate.config.data import DataConfig, Split
from foveate.recipes.datasets import load_splits
from foveate.report.learning_curve import learning_curve_markdown
from learning_curve import as_folders, few_of_each


def test_the_first_few_of_each_class_are_among_the_first_more(plumage: Path, tmp_path: Path) -> None:
    splits = load_splits(DataConfig(root=plumage))
    two, three = (few_of_each(splits, count, seed=0) for count in (2, 3))
    assert set(Counter(each.label for each in two[Split.TRAIN]).values()) == {2}
    assert {each.id for each in two[Split.TRAIN]} < {each.id for each in three[Split.TRAIN]}
    assert {each.id for each in two[Split.TRAIN]} != {each.id for each in few_of_each(splits, 2, 1)[Split.TRAIN]}
    made = load_splits(DataConfig(root=as_folders(two, tmp_path)))
    assert made.class_names == splits.class_names
    assert len(made.train) == 2 * len(splits.class_names)
    assert len(made.test) == len(splits.test)
    assert load_splits(DataConfig(root=as_folders(two, tmp_path))).train == made.train


def test_its_table_has_a_column_for_each_count_and_the_mean_over_seeds() -> None:
    birds = {"dataset": "birds", "photographs": 9, "method": "probe"}
    rows = [
        {**birds, "per_class": 10, "seed": 0, "top1": 70.0},
        {**birds, "per_class": 5, "seed": 0, "top1": 60.0},
        {**birds, "per_class": 5, "seed": 1, "top1": 61.0},
        {**birds, "method": "plain", "per_class": 10, "seed": 0, "top1": 75.25},
    ]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in learning_curve_markdown(rows).splitlines()]
    assert lines[0] == ["data set", "method", "5", "10"]
    assert lines[2:4] == [
        ["birds, 9 test photographs", "probe", "60.5", "70.0"],
        ["birds, 9 test photographs", "plain", "-", "75.2"],
    ]
