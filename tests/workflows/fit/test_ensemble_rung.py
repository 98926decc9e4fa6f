"""Rungs that answer together, on the drawn birds of the ladder's tests."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy.special import softmax
from test_ladder import birds, fitted, small_rungs, take

from foveate.config.branches import MEMBERS, Branch
from foveate.config.ensemble import EnsembleConfig
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable
from foveate.runs.held_out import HeldOutSource, read_held_out, write_held_out
from foveate.runs.run import Run
from foveate.workflows.ensemble import fitted_shares
from foveate.workflows.fit import ensemble_rung, plan
from foveate.workflows.fit import fit as fit_module
from foveate.workflows.fit.config import Prefer
from foveate.workflows.fit.ensemble_rung import EnsembleRung
from foveate.workflows.fit.ladder import Ladder
from foveate.workflows.fit.method_rungs import MethodRung
from foveate.workflows.fit.time_model import RungTime

__all__ = ["birds"]
LABELS = np.arange(40) % 4


class Part:
    """Stands for a method of which answers are there."""

    def __init__(self, name: str, refit: float = 1.0, *, learns: bool = False) -> None:
        self.name, self.refit, self.learns = name, refit, learns

    def time(self, ladder: Ladder) -> RungTime:
        return RungTime(0.0, self.refit)

    def answering(self, ladder: Ladder, photographs: int) -> float:
        return 0.0


def answers(right: np.ndarray, sharp: float = 2.0, *, seed: int) -> PredictionTable:
    """Answers that name the true class where `right` says so, and the next one elsewhere."""
    logits = np.random.default_rng(seed).normal(size=(40, 4)) / 4
    logits[np.arange(40), np.where(right, LABELS, (LABELS + 1) % 4)] += sharp
    probabilities = softmax(logits, axis=1).astype(np.float32)
    return PredictionTable(tuple(map(str, range(40))), LABELS, probabilities, ("a", "b", "c", "d"))


@dataclass
class SimpleLadder:
    """What a rung asks of a ladder."""

    work: Any
    journal: Any
    config: Any
    splits: Any
    keep: Any
    fold_share: float
    share: float

    def answered(self, rung: str) -> Path:
        """Where answers lie."""
        folder: Path = self.work(rung)
        return folder


def climbed(tmp_path: Path, *tables: tuple[Part, PredictionTable]) -> tuple[Ladder, EnsembleRung]:
    for part, table in tables:
        write_held_out(tmp_path / part.name, {Branch.ORIGINAL: table}, HeldOutSource.OUT_OF_FOLD, 2)
    ladder = SimpleLadder(
        fold_share=1.0,
        share=1.0,
        work=lambda name, *names: tmp_path.joinpath(name, *names),
        journal=SimpleNamespace(spent=0.0, content=SimpleNamespace(rungs=())),
        config=SimpleNamespace(minutes=1.0, seed=0),
        splits=SimpleNamespace(test=()),
        keep=lambda name, parts: parts[0],
    )
    parts = tuple(cast(MethodRung, part) for part, _ in tables)
    return cast(Any, ladder), EnsembleRung("ensemble", parts)


def test_it_begins_with_the_best_and_adds_what_errs_elsewhere(tmp_path: Path) -> None:
    place = np.arange(40)
    best, other, echo = Part("best"), Part("other"), Part("echo")
    table = answers(place >= 8, seed=0)
    ladder, rung = climbed(
        tmp_path, (other, answers(place < 30, seed=1)), (best, table), (echo, replace(table, ids=table.ids))
    )
    given = rung.climb(ladder)
    assert set(given) == {*MEMBERS[:2], Branch.JOINT}
    assert rung.rests_on(ladder).startswith("best 0.")
    assert "other" in rung.rests_on(ladder)
    assert "echo" not in rung.rests_on(ladder)
    assert rung.time(ladder).refit == 2.0


def test_it_adds_nothing_that_is_of_no_use_or_for_which_there_is_no_time(tmp_path: Path) -> None:
    place = np.arange(40)
    best, chance, late = Part("best"), Part("chance"), Part("late", refit=60.0)
    table = answers(place >= 8, seed=0)
    tables = [
        (best, table),
        (chance, replace(table, probabilities=np.full((40, 4), 0.25, dtype=np.float32))),
        (late, answers(place < 30, seed=1)),
    ]
    ladder, rung = climbed(tmp_path, *tables)
    rung.climb(ladder)
    assert rung.rests_on(ladder) == "best 1.00"
    assert rung.passes(ladder) == {}


def test_a_training_that_is_held_back_is_no_member(tmp_path: Path) -> None:
    place = np.arange(40)
    tables = [
        (Part("best", learns=True), answers(place >= 8, seed=0)),
        (Part("other"), answers(place < 30, seed=1)),
        (Part("third"), answers(place >= 12, seed=2)),
    ]
    ladder, rung = climbed(tmp_path, *tables)
    cast(Any, ladder).fold_share = 0.5
    rung.climb(ladder)
    assert "best" not in rung.rests_on(ladder)
    assert "other" in rung.rests_on(ladder)
    alone = EnsembleRung("alone", rung.parts[:2])
    with pytest.raises(UserError, match="two rungs whose trainings are whole"):
        alone.climb(ladder)


def test_its_answers_are_by_weights_that_were_fitted_to_other_photographs(tmp_path: Path) -> None:
    place = np.arange(40)
    tables = [(Part("best"), answers(place >= 8, seed=0)), (Part("other"), answers(place < 30, seed=1))]
    ladder, rung = climbed(tmp_path, *tables)
    given = rung.climb(ladder)[Branch.JOINT]
    fold = np.random.default_rng(0).permutation(40) % 5
    logs = [np.log(table.probabilities.astype(float)) for _, table in tables]
    for number in range(5):
        held, rest = fold == number, fold != number
        picked = [
            PredictionTable(
                tuple(np.array(table.ids)[rest]), table.labels[rest], table.probabilities[rest], table.class_names
            )
            for _, table in tables
        ]
        shares = fitted_shares(picked, np.array([0.5, 0.5]))
        expected = softmax(sum(share * each[held] for share, each in zip(shares, logs, strict=True)), axis=1)
        np.testing.assert_allclose(given.probabilities[held], expected, atol=1e-5)


def test_where_it_wins_its_members_are_trained_on_all_photographs(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on where it was stopped, with the members that it has."""
    parts = tuple(each for each in small_rungs()[:2] if isinstance(each, MethodRung))
    monkeypatch.setattr(fit_module, "rungs", lambda: (*parts, EnsembleRung("ensemble", parts)))
    monkeypatch.setattr(ensemble_rung, "_GAIN", -1e9)
    monkeypatch.setattr(ensemble_rung, "fitted_shares", lambda tables, prior: prior)
    monkeypatch.setattr(plan, "MOST_FOLDS", 2)
    take(monkeypatch, "ensemble")
    marks = ["] ensemble: p", "epoch 2/2", "the test split, once"]

    def say(line: str) -> None:
        if "once more on all" in "".join(lines) and marks and marks[0] in line:
            raise KeyboardInterrupt(marks.pop(0))
        lines.append(line)

    lines: list[str] = []
    while marks:
        with pytest.raises(KeyboardInterrupt):
            fitted(birds, tmp_path / "fit", say=say)
        monkeypatch.setattr(ensemble_rung, "_in_time", lambda ladder, members: False)
    table = fitted(birds, tmp_path / "fit", say=say, prefer=Prefer.ACCURACY).ladder
    run = Run.open(tmp_path / "fit")
    config: Any = run.config.network
    assert isinstance(config, EnsembleConfig)
    assert sorted(each.network.method for each in config.members) == ["plain", "probe"]
    assert len(run.trained_ids()) == 24
    held_out = read_held_out(run.path)
    assert held_out is not None
    assert set(held_out.answers) == {*MEMBERS[:2], Branch.JOINT}
    (row,) = (each for each in table.rungs if each.name == "ensemble")
    assert row.note is not None
    assert "probe 0.50" in row.note
    assert row.passes == 2
    assert not (run.path / ".fit").exists()


def test_a_fit_that_has_chosen_does_not_choose_anew(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one of before there were ensembles."""
    parts = tuple(each for each in small_rungs()[:1] if isinstance(each, MethodRung))
    monkeypatch.setattr(fit_module, "rungs", lambda: parts)
    monkeypatch.setattr(plan, "MOST_FOLDS", 2)

    def stop(line: str) -> None:
        if "probe: once more on all" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(birds, tmp_path / "fit", say=stop)
    monkeypatch.setattr(fit_module, "rungs", lambda: (*parts, EnsembleRung("ensemble", parts)))
    assert [each.name for each in fitted(birds, tmp_path / "fit").ladder.rungs] == ["probe"]


def test_a_fit_of_single_photographs_goes_on_at_its_refit(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be held out, so that no rung was climbed when it chose."""
    parts = tuple(each for each in small_rungs()[:2] if isinstance(each, MethodRung))
    monkeypatch.setattr(fit_module, "rungs", lambda: (*parts, EnsembleRung("ensemble", parts)))
    for folder in (each for split in ("train", "test") for each in (birds / split).iterdir()):
        target = tmp_path / "single" / folder.relative_to(birds)
        target.mkdir(parents=True)
        shutil.copy(next(folder.iterdir()), target)

    def stop(line: str) -> None:
        if "probe: once more on all" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "single", tmp_path / "fit", say=stop)
    assert fitted(tmp_path / "single", tmp_path / "fit").ladder.winner == "probe"
