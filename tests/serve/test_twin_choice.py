"""The class that an answer is held against: a rival, the one it is mistaken for, or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from foveate.evaluation.predictions import PredictionTable, write_predictions
from foveate.runs.run import Run
from foveate.serve.twin_choice import kept_confusions, twin_of
from serving import loaded, serving

NAMES = ("wren", "owl", "crow")
MISTAKEN = np.array([[0, 1, 3], [1, 0, 0], [3, 0, 0]])


@pytest.mark.parametrize(
    ("best", "second", "twin"),
    [(0.9, 0.05, 1), (0.2, 0.0101, 1), (0.1, 0.009, 2), (0.9, 0.044, 2), (0.998, 0.002, 2)],
)
def test_a_rival_is_at_least_a_hundredth_and_a_twentieth_of_the_best(best: float, second: float, twin: int) -> None:
    assert twin_of([(0, best), (1, second), (2, 0.001)], MISTAKEN, NAMES).twin == twin


def test_the_words_say_why() -> None:
    sure = [(0, 0.998), (1, 0.002)]
    assert twin_of([(0, 0.6), (1, 0.4)], None, NAMES).words == "The two best classes side by side."
    assert "crow, its nearest in the test: 3 photographs of either were taken" in twin_of(sure, MISTAKEN, NAMES).words
    assert "1 photograph of either was taken for the other" in twin_of([(1, 0.9), (2, 0)], MISTAKEN, NAMES).words
    for nothing in (None, np.zeros((3, 3), int)):
        assert twin_of(sure, nothing, NAMES).twin is None
        assert "no twin to show" in twin_of(sure, nothing, NAMES).words


def test_both_ways_of_a_mistake_count(quick_run: Run, tmp_path: Path) -> None:
    run, names = replace(quick_run, path=tmp_path), quick_run.class_names
    assert kept_confusions(run) is None
    answers, labels = np.array([1, 0, 2, 3]), np.array([0, 1, 2, 1])
    table = PredictionTable(tuple("abcd"), labels, np.eye(len(names))[answers], names)
    (tmp_path / "evaluation").mkdir()
    write_predictions(tmp_path / "evaluation" / "test-centre.parquet", table)
    counted = kept_confusions(run)
    assert counted is not None
    expected = np.zeros((len(names), len(names)), int)
    expected[0, 1] = expected[1, 0] = 2
    expected[1, 3] = expected[3, 1] = 1
    np.testing.assert_array_equal(counted, expected)


def test_an_answer_without_a_rival_says_so(quick_run: Run, birds: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveate.serve.twin_choice.LEAST", 1.1)  # so that no class comes near
    service = loaded(quick_run.path)
    service.confusions = None
    with serving(service) as url:
        content = httpx.post(f"{url}/v1/explain", files={"photographs": birds[0].read_bytes()}, timeout=30).json()
    assert content["twins"] is None
    assert "no twin to show" in content["without_twins"]
