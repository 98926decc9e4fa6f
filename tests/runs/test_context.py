"""What is said of here and now: where the data set lies, what is done about photographs, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from foveate.config.data import DataConfig, OnError, Split
from foveate.errors import UserError
from foveate.recipes.datasets import load_splits
from foveate.runs.context import HERE, RunContext
from foveate.runs.run import Run


def with_data(run: Run, **changes: object) -> Run:
    data = replace(run.config.data, **changes)  # type: ignore[arg-type]
    return replace(run, description=replace(run.description, config=replace(run.config, data=data)))


def test_what_is_not_said_is_as_the_training_had_it(quick_run: Run) -> None:
    run = with_data(quick_run, on_error=OnError.SKIP, largest_megapixels=7)
    assert HERE.data_of(run) == run.config.data
    assert (HERE.on_error_of(run), HERE.largest_of(run)) == (OnError.SKIP, 7)
    assert HERE.on_error_of_named is OnError.STOP


def test_what_is_said_counts(quick_run: Run, tmp_path: Path) -> None:
    context = RunContext(root=tmp_path, on_error=OnError.SKIP, largest_megapixels=3)
    assert context.data_of(quick_run) == replace(quick_run.config.data, root=tmp_path)
    assert (context.on_error_of(quick_run), context.largest_of(quick_run)) == (OnError.SKIP, 3)
    assert context.on_error_of_named is OnError.SKIP


@pytest.mark.parametrize("name", ["batch_size", "largest_megapixels"])
def test_numbers_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} must be at least 1; got 0"):
        RunContext(**{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("split", [Split.TEST, "test"])
def test_a_split_is_named_by_the_enum_or_its_text(quick_run: Run, split: Split | str) -> None:
    assert HERE.photographs_of(quick_run, split) == load_splits(quick_run.config.data).test


def test_a_split_that_is_none_is_told(quick_run: Run) -> None:
    with pytest.raises(UserError, match="a split is one of train, validation, test; got 'tset'; give the name of one"):
        HERE.photographs_of(quick_run, "tset")


def test_only_what_can_be_read_is_measured(quick_run: Run, tmp_path: Path) -> None:
    records = load_splits(quick_run.config.data).test[:2]
    (tmp_path / "torn.jpg").write_bytes(b"torn")
    Image.new("RGB", (1500, 1000), "green").save(tmp_path / "large.png")
    torn, large = (replace(records[1], image=tmp_path / name) for name in ("torn.jpg", "large.png"))
    said: list[str] = []
    context = RunContext(on_error=OnError.SKIP, largest_megapixels=1, say=said.append)
    assert list(context.readable(quick_run, [records[0], torn, large])) == [records[0]]
    assert any("left out 2 of 3" in line for line in said)
    with pytest.raises(UserError, match="1 of 2 photographs cannot be used"):
        RunContext(say=said.append).readable(quick_run, [records[0], torn])


def test_a_data_set_of_other_classes_is_refused(quick_run: Run, tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("owl", "wren"):
            file = tmp_path / split / name / f"{split}.png"
            file.parent.mkdir(parents=True)
            Image.new("RGB", (64, 64)).save(file)
    run = with_data(quick_run, **vars(DataConfig(root=tmp_path)))
    with pytest.raises(UserError, match="works with the classes that it was trained on"):
        HERE.photographs_of(run, Split.TEST)
