"""The true classes of a run's own photographs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from foveate.recipes.datasets import load_splits
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.workflows.true_classes import true_classes


def test_photographs_of_every_split_are_known_by_whatever_path(quick_run: Run, plumage: Path, tmp_path: Path) -> None:
    splits = load_splits(quick_run.config.data)
    records = {record.image: record.class_name for record in (*splits.train, *splits.test)}
    photographs = [path for path in records if isinstance(path, Path)]
    assert true_classes(quick_run, photographs, RunContext()) == records
    (tmp_path / "link.jpg").symlink_to(photographs[0])
    assert true_classes(quick_run, [tmp_path / "link.jpg"], RunContext()) == {
        tmp_path / "link.jpg": records[photographs[0]]
    }


def test_photographs_that_are_links_out_of_the_data_set_are_known(
    quick_run: Run, plumage: Path, tmp_path: Path
) -> None:
    linked = shutil.copytree(plumage, tmp_path / "linked")
    bird = next(linked.rglob("*.jpg"))
    expected = true_classes(quick_run, [plumage / bird.relative_to(linked)], RunContext())
    bird.rename(tmp_path / "0001")
    bird.symlink_to(tmp_path / "0001")
    known = true_classes(quick_run, [bird, tmp_path / "0001"], RunContext(root=linked))
    assert list(known) == [bird]  # what lies elsewhere is asked for by its name in the data set
    assert list(known.values()) == list(expected.values())


def test_what_is_not_of_the_data_set_is_not_known(quick_run: Run, plumage: Path, tmp_path: Path) -> None:
    bird = next(plumage.rglob("*.jpg"))
    shutil.copy(bird, tmp_path / bird.name)
    assert true_classes(quick_run, [tmp_path / bird.name], RunContext()) == {}


def test_a_data_set_that_has_moved_or_has_other_classes_says_nothing(
    quick_run: Run, plumage: Path, tmp_path: Path
) -> None:
    bird = next(plumage.rglob("*.jpg"))
    assert true_classes(quick_run, [bird], RunContext(root=tmp_path / "gone")) == {}
    other = replace(quick_run.description, class_names=("Dodo", *quick_run.class_names[1:]))
    assert true_classes(replace(quick_run, description=other), [bird], RunContext()) == {}
    damaged = shutil.copytree(plumage, tmp_path / "damaged")
    (damaged / "images.txt").write_text("1\n")
    assert true_classes(quick_run, [damaged / bird.relative_to(plumage)], RunContext(root=damaged)) == {}
