"""Held-out answers and the calibration: what goes in comes out, and what is damaged is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from foveate.config.branches import Branch
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable, write_predictions
from foveate.runs.held_out import (
    Calibration,
    HeldOutSource,
    read_calibration,
    read_held_out,
    write_calibration,
    write_held_out,
)


def table(seed: int, photographs: int = 5) -> PredictionTable:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(3), photographs).astype(np.float32)
    ids = tuple(f"{index}.jpg" for index in range(photographs))
    return PredictionTable(ids, np.arange(photographs) % 3, probabilities, ("wren", "robin", "owl"))


TWO = {Branch.ORIGINAL: table(0), Branch.JOINT: table(1)}


@pytest.mark.parametrize(("source", "folds"), [("validation", None), ("out-of-fold", 5)])
def test_answers_come_back(tmp_path: Path, source: str, folds: int | None) -> None:
    write_held_out(tmp_path, TWO, source, folds)
    held_out = read_held_out(tmp_path)
    assert held_out is not None
    assert (held_out.source, held_out.folds, held_out.photographs) == (HeldOutSource(source), folds, 5)
    assert list(held_out.answers) == list(TWO)
    for branch, answers in TWO.items():
        assert held_out.answers[branch].ids == answers.ids
        assert_array_equal(held_out.answers[branch].probabilities, answers.probabilities)
    assert held_out.decision is held_out.answers[Branch.JOINT]


def test_later_answers_take_the_place_of_earlier_ones(tmp_path: Path) -> None:
    write_held_out(tmp_path, TWO, HeldOutSource.VALIDATION)
    write_held_out(tmp_path, {Branch.ORIGINAL: table(2, 4)}, HeldOutSource.OUT_OF_FOLD, 3)
    held_out = read_held_out(tmp_path)
    assert held_out is not None
    assert list(held_out.answers) == [Branch.ORIGINAL]
    assert held_out.photographs == 4


def test_a_folder_without_them_has_none(tmp_path: Path) -> None:
    assert read_held_out(tmp_path) is None
    assert read_calibration(tmp_path) == Calibration(temperature=1.0, view_weights=None)


def test_answers_whose_writing_was_interrupted_are_none(tmp_path: Path) -> None:
    write_predictions(tmp_path / "held_out/joint.parquet", table(3))
    assert read_held_out(tmp_path) is None
    write_held_out(tmp_path, TWO, HeldOutSource.VALIDATION)
    held_out = read_held_out(tmp_path)
    assert held_out is not None
    assert_array_equal(held_out.decision.probabilities, TWO[Branch.JOINT].probabilities)


def _other(path: Path, **changes: Any) -> None:
    write_predictions(path / "held_out/original.parquet", replace(TWO[Branch.ORIGINAL], **changes))


def _edit(name: str, **changes: Any) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        file = path / name
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return edit


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no table": (lambda path: (path / "held_out/joint.parquet").unlink(), r"joint.parquet"),
    "half a table": (lambda path: (path / "held_out/joint.parquet").write_bytes(b"PAR1"), r"joint.parquet"),
    "other photographs": (lambda path: _other(path, ids=("a", "b", "c", "d", "e")), r"to the same 5 photographs"),
    "other labels": (lambda path: _other(path, labels=np.zeros(5, int)), r"to the same 5 photographs"),
    "other classes": (lambda path: _other(path, class_names=("a", "b", "c")), r"to the same 5 photographs"),
    "another number": (_edit("held_out/origin.json", photographs=6), r"to the same 6 photographs"),
    "no photograph": (_edit("held_out/origin.json", photographs=0), r"photographs must be at least 1"),
    "no branch": (_edit("held_out/origin.json", branches=[]), r"branches must be at least 1"),
    "an unknown branch": (_edit("held_out/origin.json", branches=["tail"]), r"'tail' is not a valid Branch"),
    "an unknown source": (_edit("held_out/origin.json", source="test"), r"'test' is not a valid HeldOutSource"),
    "no fold": (_edit("held_out/origin.json", folds=0), r"folds must be at least 1"),
    "a later version": (_edit("held_out/origin.json", schema_version=9), r"schema 1; .* has 9"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_answers_are_named(tmp_path: Path, name: str) -> None:
    damage, message = DAMAGES[name]
    write_held_out(tmp_path, TWO, HeldOutSource.VALIDATION)
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        read_held_out(tmp_path)


def test_a_decision_is_among_them(tmp_path: Path) -> None:
    write_held_out(tmp_path, TWO, HeldOutSource.VALIDATION)
    shutil.copy(tmp_path / "held_out/joint.parquet", tmp_path / "held_out/object.parquet")
    _edit("held_out/origin.json", branches=["object"])(tmp_path)
    with pytest.raises(UserError, match=r"names neither"):
        read_held_out(tmp_path)


@pytest.mark.parametrize("weights", [None, {"original": 1.0, "joint": 0.0}])
def test_a_calibration_comes_back(tmp_path: Path, weights: dict[str, float] | None) -> None:
    calibration = Calibration(temperature=1.75, view_weights=weights)
    write_calibration(tmp_path, calibration)
    assert read_calibration(tmp_path) == calibration


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0}, r"temperature must be a finite number above 0; got 0"),
        ({"temperature": "1"}, r"expected a number, got text"),
        ({"view_weights": {"tail": 1.0}}, r"must be of branches; got \['tail'\]"),
        ({"view_weights": {"joint": -1.0}}, r"not negative and not all 0"),
        ({"view_weights": {"joint": 0.0}}, r"not negative and not all 0"),
        ({"schema_version": 2}, r"schema 1; .* has 2"),
        ({"bias": 2}, r"bias"),
    ],
)
def test_a_damaged_calibration_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_calibration(tmp_path, Calibration())
    _edit("calibration.json", **changes)(tmp_path)
    with pytest.raises(UserError, match=message):
        read_calibration(tmp_path)
