"""What is planned of very few photographs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from foveate.config.branches import Branch
from foveate.config.data import DataConfig
from foveate.data.preparation import Splits
from foveate.data.records import ImageRecord
from foveate.recipes import plain, probe
from foveate.workflows.fit import method_rungs
from foveate.workflows.fit.config import FitConfig
from foveate.workflows.fit.journal import Journal, JournalContent
from foveate.workflows.fit.ladder import Answers, Ladder, Rung
from foveate.workflows.fit.method_rungs import TrainedRung
from foveate.workflows.fit.plan import planned, with_folds
from foveate.workflows.fit.split_accuracy import SplitAccuracy
from foveate.workflows.fit.time_model import Machine, RungTime, Speed


class QuickRung(Rung):
    """A rung of a second."""

    name = "quick"

    def time(self, ladder: Ladder) -> RungTime:
        return RungTime(1.0, 0.0)

    def climb(self, ladder: Ladder) -> Answers:
        raise NotImplementedError

    def passes(self, ladder: Ladder) -> dict[Branch, float]:
        raise NotImplementedError

    def pass_gflop(self, ladder: Ladder) -> float:
        raise NotImplementedError

    def refit(self, ladder: Ladder, out: Path) -> None:
        raise NotImplementedError

    def evaluate(self, ladder: Ladder, branch: Branch) -> SplitAccuracy:
        raise NotImplementedError


class SlowRung(QuickRung):
    """A rung of two minutes a fold, and two more once on all photographs."""

    name, learns = "slow", True

    def time(self, ladder: Ladder) -> RungTime:
        return RungTime(120.0 * ladder.folds, 120.0)


def ladder_of(counts: tuple[int, ...], folder: Path) -> Ladder:
    """Return a ladder of classes with so many training photographs."""
    names = tuple(f"class {label}" for label in range(len(counts)))
    train = tuple(
        ImageRecord(id=f"{label}/{number}", image=b"", label=label, class_name=names[label])
        for label, count in enumerate(counts)
        for number in range(count)
    )
    config, machine = FitConfig(data=DataConfig(root=folder)), Machine(decode=0.0, shares=True)
    content = JournalContent(
        settings=config,
        photographs="",
        folds=0,
        share=1.0,
        refit_share=None,
        machine=machine,
        speeds={},
        spent=0.0,
        rungs=(),
        winner=None,
        test=None,
    )
    return Ladder(
        config=config,
        out=folder,
        splits=Splits("few", names, train, (), ()),
        folds=0,
        fold_of=(None,) * len(train),
        share=1.0,
        machine=machine,
        speeds={},
        journal=Journal(folder, content),
        say=lambda line: None,
    )


@pytest.mark.parametrize(
    ("counts", "folds"),
    [((1, 1), 0), ((2, 1), 2), ((3, 1), 3), ((2, 2), 4), ((2, 2, 1), 4), ((3, 2), 5), ((9, 9), 5)],
)
def test_no_fold_is_empty(counts: tuple[int, ...], folds: int, tmp_path: Path) -> None:
    """Two classes of two photographs are four folds of one."""
    ladder, _ = planned(ladder_of(counts, tmp_path), [QuickRung()])
    assert ladder.folds == folds
    assert {each for each in ladder.fold_of if each is not None} == set(range(folds))


@pytest.mark.parametrize(("minutes", "folds"), [(13.0, 5), (10.5, 4), (6.5, 2), (4.5, 1), (3.5, 5)])
def test_fewer_folds_are_cut_where_more_rungs_fit_with_them(minutes: float, folds: int, tmp_path: Path) -> None:
    """2 minutes a fold and 2 at the end; where not even one fold fits, all five are of the rung that does."""
    ladder = ladder_of((90, 90), tmp_path)
    lines: list[str] = []
    asked = replace(ladder, config=replace(ladder.config, minutes=minutes), say=lines.append)
    trial, reached = planned(asked, [QuickRung(), SlowRung()])
    assert trial.folds == folds
    assert trial.held_out == (60 if folds == 1 else 180)
    assert reached.rungs == (("quick", "slow") if minutes > 4 else ("quick",))
    assert any("slow does not fit; it would with --minutes 5" in line for line in lines) == (minutes < 4)


class LongRung(SlowRung):
    """A rung of ten minutes with all epochs, of as many as the ladder says."""

    def time(self, ladder: Ladder) -> RungTime:
        return RungTime(600.0 * ladder.fold_share * ladder.folds, 600.0 * ladder.share)


@pytest.mark.parametrize(
    ("counts", "minutes", "folds", "share"),
    [
        ((90, 90), 15.5, 1, 1.0),  # 5 minutes and 10
        ((90, 90), 12.0, 1, 0.75),  # 3.75 and 7.5 are 11.25; with 0.8 it would be 12 and the second of the first rung
        ((90, 90), 4.0, 1, 0.25),
        ((90, 90), 3.5, 5, 1.0),  # a quarter is the least: 3.75
        ((80, 80), 15.5, 2, 0.75),  # no single fold of 53: two of half the epochs, 7.5 and 7.5
        ((80, 80), 31.0, 2, 1.0),  # two folds of all epochs
    ],
)
def test_trainings_are_shortened_until_one_fits(
    counts: tuple[int, ...], minutes: float, folds: int, share: float, tmp_path: Path
) -> None:
    ladder = ladder_of(counts, tmp_path)
    lines: list[str] = []
    asked = replace(ladder, config=replace(ladder.config, minutes=minutes), say=lines.append)
    trial, reached = planned(asked, [QuickRung(), LongRung()])
    assert (trial.folds, trial.share) == (folds, share)
    assert reached.total <= 60 * minutes
    assert reached.rungs == (("quick",) if minutes == 3.5 else ("quick", "slow"))
    assert any(f"trainings at {50 * share:.0f}% of their epochs" in line for line in lines) == (trial.fold_share < 1)
    assert any(f"for {100 * share:.0f}% of its epochs" in line for line in lines) == (share < 1)


class LongerRung(LongRung):
    """A rung of half an hour."""

    name = "slower"

    def time(self, ladder: Ladder) -> RungTime:
        return RungTime(1800.0 * ladder.fold_share * ladder.folds, 1800.0 * ladder.share)


@pytest.mark.parametrize("counts", [(90, 90), (80, 80)])
@pytest.mark.parametrize("minutes", [1.0, 3.5, 8.0, 16.0, 29.0, 40.0, 90.0])
def test_with_the_minutes_that_are_named_it_fits(counts: tuple[int, ...], minutes: float, tmp_path: Path) -> None:
    rungs, lines = [QuickRung(), LongRung(), LongerRung()], list[str]()
    ladder = ladder_of(counts, tmp_path)

    def reached(minutes: float) -> tuple[str, ...]:
        asked = replace(ladder, config=replace(ladder.config, minutes=minutes), say=lines.append)
        return planned(asked, rungs)[1].rungs

    missing = {"quick", "slow", "slower"} - set(reached(minutes))
    named = {match[1]: int(match[2]) for line in lines if (match := re.match(r" *(\w+) does not .* (\d+)$", line))}
    assert named.keys() == missing
    for name, least in named.items():
        assert name in reached(least)
        assert name not in reached(0.98 * (least - 1) / 1.1)  # a tenth to spare, and whole


def test_what_needs_several_folds_needs_whole_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Guided Zoom does: what it is asked of would be half trained."""

    class Deciding(QuickRung):
        name, least_folds = "deciding", 2

    ladder = ladder_of((80, 80), tmp_path)
    for minutes, rungs in ((15.5, ("quick", "slow")), (31.0, ("quick", "slow", "deciding"))):
        asked = replace(ladder, config=replace(ladder.config, minutes=minutes))
        trial, reached = planned(asked, [QuickRung(), LongRung(), Deciding()])
        assert (trial.folds, reached.rungs) == (2, rungs)


def test_all_trainings_of_a_short_ladder_are_shortened_and_nothing_that_is_solved_for(tmp_path: Path) -> None:
    """30 photographs of 90 are held out: 60 in batches of 16 are 4 steps an epoch, 90 are 6."""
    ladder = replace(with_folds(ladder_of((45, 45), tmp_path), 1), share=0.7)
    config, solved = replace(plain(tmp_path), epochs=10), probe(tmp_path)
    assert (ladder.of_fold(config).epochs, ladder.on_all(config).epochs) == (3, 7)
    assert ladder.of_fold(solved) == ladder.on_all(solved) == solved
    steps = replace(plain(tmp_path), epochs=0, steps=240)
    assert (ladder.of_fold(steps).epochs, ladder.on_all(steps).epochs) == (int(0.35 * 60), int(0.7 * 40))
    whole = replace(ladder, share=1.0)
    assert whole.on_all(steps) == steps
    assert whole.of_fold(steps).epochs == 30
    assert replace(ladder, share=0.001).on_all(config).epochs == 1


def test_for_a_rung_that_is_not_trained_no_fold_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SlowRung, "learns", False)
    ladder = ladder_of((90, 90), tmp_path)
    asked = replace(ladder, config=replace(ladder.config, minutes=4.5))
    trial, reached = planned(asked, [QuickRung(), SlowRung()])
    assert (trial.folds, reached.rungs) == (5, ("quick",))


def test_what_needs_more_than_a_fold_is_not_reckoned_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SlowRung, "least_folds", 2)
    ladder = ladder_of((90, 90), tmp_path)
    lines: list[str] = []
    asked = replace(ladder, config=replace(ladder.config, minutes=4.5), say=lines.append)
    assert planned(asked, [QuickRung(), SlowRung()])[1].rungs == ("quick",)
    assert any("slow does not fit; it would with --minutes 7" in line for line in lines)


def test_a_single_fold_of_few_photographs_is_not_cut(tmp_path: Path) -> None:
    ladder = ladder_of((80, 80), tmp_path)
    asked = replace(ladder, config=replace(ladder.config, minutes=4.5))
    trial, reached = planned(asked, [QuickRung(), SlowRung()])
    assert (trial.folds, reached.rungs) == (5, ("quick",))


@pytest.mark.parametrize(("folds", "trainings"), [(3, 3 * (0.2 + 2 * 3)), (1, 0.2 + 1 * 3)])
def test_the_time_of_a_training_counts_its_heads_and_half_the_epochs_of_a_single_fold(
    folds: int, trainings: float, tmp_path: Path
) -> None:
    """60 photographs, a third held out: 40 in batches of 16 are 3 steps of a second an epoch, 60 are 4; 2 epochs.

    The heads that a training begins with: two answers of 0.0025 seconds for each photograph it learns from.
    """
    ladder = with_folds(ladder_of((30, 30), tmp_path), folds)
    speed = Speed(step=1.0, answer=0.0025, passes=1.0, gflop=1.0)
    rung = TrainedRung("plain", lambda root: replace(plain(root), epochs=2))
    time = rung.time(replace(ladder, speeds={"plain": speed}))
    solving = method_rungs._SOLVING_OF_FEW  # for each photograph, of few
    starts, learned = 4.0, 40
    held_out = 3 * 60 if folds > 1 else 20  # asked once more for each further share of its first weights
    assert time.folds == pytest.approx(trainings + folds * (starts + learned * solving) + 0.0025 * held_out)
    assert time.refit == pytest.approx(0.3 + 2 * 4 + starts + 60 * solving)
