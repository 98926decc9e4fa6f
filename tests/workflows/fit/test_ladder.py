"""The whole ladder on drawn birds: what it leaves, how it resumes, and what it refuses."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import foveate
from foveate.config.branches import Branch
from foveate.config.data import DataConfig, OnError, Split, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import (
    BackboneConfig,
    BackboneNetworkConfig,
    HeadStart,
    NetworkConfig,
    PlainConfig,
    ProbeConfig,
)
from foveate.data.loading import Batch, Draw, EvaluationViews, TrainingViews
from foveate.data.preparation import Splits
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation import view_weights
from foveate.evaluation.accuracy import measure_accuracy
from foveate.evaluation.predictions import PredictionTable
from foveate.evaluation.refinement_cost import refinement_passes
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.guided_zoom.config import Keep, PatchConfig, PoolConfig
from foveate.inference.classifier import Classifier
from foveate.networks.answers import decision
from foveate.recipes import RECIPES
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.runs.context import RunContext
from foveate.runs.held_out import read_calibration, read_held_out
from foveate.runs.run import Run
from foveate.s3n.config import S3NConfig
from foveate.training.frozen_features import KeptFeatures, Part
from foveate.workflows import ensemble as ensemble_module
from foveate.workflows.evaluate import evaluate
from foveate.workflows.fit import benchmark, climb, finish, guided_zoom_rung, method_rungs, plan
from foveate.workflows.fit import fit as fit_module
from foveate.workflows.fit import ladder as ladder_module
from foveate.workflows.fit import rungs as rungs_module
from foveate.workflows.fit.benchmark import measure_speed
from foveate.workflows.fit.choice import Candidate, Choice, choose
from foveate.workflows.fit.config import FitConfig, Prefer
from foveate.workflows.fit.ensemble_rung import EnsembleRung
from foveate.workflows.fit.fit import Fitted, fit
from foveate.workflows.fit.guided_zoom_rung import GuidedZoomRung
from foveate.workflows.fit.journal import Journal
from foveate.workflows.fit.ladder import Answers, Ladder, Rung
from foveate.workflows.fit.ladder_table import LadderRow, LadderTable
from foveate.workflows.fit.method_rungs import PartOfFeatures, SolvedRung, TrainedRung, best_share
from foveate.workflows.fit.rungs import rungs
from foveate.workflows.fit.split_accuracy import SplitAccuracy
from foveate.workflows.fit.time_model import Reached, Speed
from zooms import SLOW, silent

OLD = Path(__file__).parents[2] / "files" / "old_documents"

BACKBONE = BackboneConfig(architecture="test_efficientnet", weights="none")
POOL = PoolConfig(
    grounding=GroundingConfig(method=GroundingMethod.CLASS_MAPS),
    patches=PatchConfig(source_size=96),
    keep=Keep.FIRST_ALWAYS,
)
MINUTES = 1000.0


def _recipe(network: NetworkConfig) -> Callable[[Path], TrainConfig]:
    short: dict[str, Any] = {} if network.solved else {"epochs": 2, "batch_size": 8}
    return lambda root: TrainConfig(data=DataConfig(root=root), network=network, **short)


def small_rungs() -> tuple[Rung, ...]:
    """The ladder with a network of a few thousand weights."""
    plain = TrainedRung("plain", _recipe(PlainConfig(backbone=BACKBONE)))
    s3n = TrainedRung("s3n", _recipe(S3NConfig(backbone=BACKBONE)))
    probe = SolvedRung("probe", _recipe(ProbeConfig(backbone=BACKBONE, strengths=(0.01, 1.0))))
    return (probe, plain, s3n, GuidedZoomRung("guided-zoom", (plain, s3n), POOL))


SPEEDS: dict[str, Speed] = {}
"""Measured once: that takes a fifth of the time of all these fits."""


def _speed(config: TrainConfig, classes: int) -> Speed:
    sizes = config.transforms.input_size, config.transforms.source, config.batch_size
    key = f"{config.network} {sizes} {config.hardware} {classes}"
    return SPEEDS.get(key) or SPEEDS.setdefault(key, measure_speed(config, classes))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "rungs", small_rungs)
    monkeypatch.setattr(plan, "measure_speed", _speed)
    monkeypatch.setattr(plan, "MOST_FOLDS", 2)


def short(monkeypatch: pytest.MonkeyPatch, count: int = 2) -> None:
    """Leave the upper rungs away, to be done in seconds."""
    monkeypatch.setattr(fit_module, "rungs", lambda: small_rungs()[:count])


def fitted(root: Path, out: Path, **options: object) -> Fitted:
    given = {"minutes": MINUTES, "size": 64, "hardware": SLOW, "say": silent}
    return fit(root, out=out, **(given | options))  # type: ignore[arg-type]


def take(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the choice fall on a rung, whatever photographs say."""

    def chosen(candidates: Sequence[Candidate], prefer: Prefer, groups: np.ndarray | None) -> Choice:
        return replace(choose(candidates, prefer, groups), winner=name)

    monkeypatch.setattr(climb, "choose", chosen)


@pytest.fixture(scope="module")
def birds(plumage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of three species: 6 training and 3 test photographs each."""
    root = tmp_path_factory.mktemp("fit") / "birds"
    splits = foveate.recipes.datasets.load_splits(DataConfig(root=plumage))
    for split, records in {"train": splits.train, "test": splits.test}.items():
        for record in records:
            assert isinstance(record.image, Path)
            target = root / split / record.class_name / record.image.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(record.image, target)
    return root


MARKS = (
    *("probe: fold 2", "plain: fold 1", "plain: fold 2", "epoch 1/2", "s3n: fold 2", "guided-zoom of", "is taken"),
    *("once more on all", "the test split, once", "### The ladder"),
)


def test_an_interrupted_fit_goes_on_at_every_rung_and_does_nothing_twice(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(monkeypatch, "s3n")
    whole_lines: list[str] = []
    whole = fitted(birds, tmp_path / "whole", say=whole_lines.append)
    lines: list[str] = []
    marks = list(MARKS)

    def say(line: str) -> None:
        lines.append(line)
        if marks and marks[0] in line:
            raise KeyboardInterrupt(marks.pop(0))

    starts = 0
    while marks:
        with pytest.raises(KeyboardInterrupt):
            fitted(birds, tmp_path / "torn", say=say)
        starts += 1
    torn = fitted(birds, tmp_path / "torn", say=say)
    assert starts == len(MARKS)
    assert _untimed(torn.ladder) == _untimed(whole.ladder)

    def trained(said: list[str]) -> list[str]:
        return sorted(line.partition(",")[0] for line in said if "epoch 2/2" in line)

    # The first epoch of the training that was stopped at its end is kept; all others are said once.
    assert trained(lines) == trained(whole_lines)
    assert lines[-1].endswith("is fitted already: s3n")
    weights = [Run.open(tmp_path / name).weights.read_bytes() for name in ("whole", "torn")]
    assert weights[0] == weights[1]
    assert not (tmp_path / "torn" / ".fit").exists()


def _untimed(table: LadderTable) -> LadderTable:
    return replace(table, minutes=0.0, rungs=tuple(replace(each, minutes=None) for each in table.rungs))


def test_it_leaves_a_run_that_others_take_with_held_out_answers(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch, 3)
    take(monkeypatch, "probe")
    out = tmp_path / "fit"
    table = fitted(birds, out).ladder
    held_out = read_held_out(out)
    assert held_out is not None
    assert held_out.folds == table.folds == 2
    assert set(held_out.decision.ids) == Run.open(out).trained_ids()
    assert len(held_out.decision.ids) == table.held_out == 24
    right = held_out.decision.probabilities.argmax(1) == held_out.decision.labels
    assert table.rungs[0].top1 == pytest.approx(right.mean())
    assert read_calibration(out).temperature > 0
    assert Run.open(out).config.data.root == birds
    names = [each.name for each in table.rungs]
    assert names == ["probe", "plain", "s3n, first look alone", "s3n"]
    probe, plain, look, looks = (each.gflop or 0 for each in table.rungs)
    assert 0 < probe == plain <= look < looks
    assert foveate.load(out).predict(next(birds.rglob("*.jpg"))).best.class_name in Run.open(out).class_names
    assert foveate.evaluate(out, context=foveate.RunContext(hardware=SLOW, say=silent)).accuracy.top1.value == (
        table.test_top1
    )
    assert "(taken)" in (out / "ladder.md").read_text(encoding="utf-8")


def test_held_out_answers_are_of_networks_that_did_not_learn_from_the_photographs(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)
    learned: list[set[str]] = []
    asked: list[set[str]] = []
    answers_of = ladder_module.answers_of

    def part(frozen: KeptFeatures, rows: torch.Tensor, photographs: int) -> PartOfFeatures:
        learned.append({frozen.records[row].id for row in rows.tolist()})
        return PartOfFeatures(frozen, rows, photographs)

    def answered(classifier: Classifier, records: Sequence[ImageRecord], *others: Any) -> Answers:
        asked.append({record.id for record in records})
        if len(asked) > 2:
            run = tmp_path / f"fit/.fit/rungs/plain/fold-{len(asked) - 2}/run"
            learned.append(set(Run.open(run).trained_ids()))
        return answers_of(classifier, records, *others)

    monkeypatch.setattr(method_rungs, "PartOfFeatures", part)
    monkeypatch.setattr(ladder_module, "answers_of", answered)
    fitted(birds, tmp_path / "fit")
    assert len(asked) == len(learned) == 4  # two folds of the probe, and the same two of the plain network
    for known, unknown in zip(learned, asked, strict=True):
        assert not known & unknown
        assert len(known | unknown) == 24
    assert asked[:2] == asked[2:]


def test_the_test_split_is_seen_by_no_network_before_the_last_step(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    said: list[str] = []

    def watched(kind: Any) -> None:
        original = kind.__getitem__

        def item(self: Any, index: Any) -> Any:
            seen.append(self.records[index if isinstance(index, int) else index.position].id)
            return original(self, index)

        monkeypatch.setattr(kind, "__getitem__", item)

    watched(EvaluationViews)
    watched(TrainingViews)
    before: list[int] = []

    def say(line: str) -> None:
        said.append(line)
        if "the test split, once" in line:
            before.append(len(seen))

    fitted(birds, tmp_path / "fit", say=say)
    assert before
    assert not [each for each in seen[: before[0]] if each.startswith("test/")]
    assert sum(each.startswith("test/") for each in seen[before[0] :]) >= 12


def test_a_guided_zoom_goes_on_with_the_patches_that_its_first_fold_has(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where an interrupted fit goes on in a version of other defaults."""
    take(monkeypatch, "guided-zoom")

    def rungs_with(pool: PoolConfig) -> None:
        plain = small_rungs()[1]
        assert isinstance(plain, TrainedRung)
        monkeypatch.setattr(fit_module, "rungs", lambda: (plain, GuidedZoomRung("guided-zoom", (plain,), pool)))

    def stop(line: str) -> None:
        if "guided-zoom of plain: fold 2" in line:
            raise KeyboardInterrupt

    rungs_with(POOL)
    with pytest.raises(KeyboardInterrupt):
        fitted(birds, tmp_path / "fit", say=stop)
    rungs_with(replace(POOL, patches=replace(POOL.patches, patch=0.8)))
    fitted(birds, tmp_path / "fit")
    assert foveate.GuidedZoomRun.open(tmp_path / "fit").description.pool.patches == POOL.patches


def test_a_fit_that_was_begun_before_a_rung_was_there_goes_on_without_it(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(line: str) -> None:
        if "probe: fold 2" in line:
            raise KeyboardInterrupt

    short(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        fitted(birds, tmp_path / "fit", say=stop)
    short(monkeypatch, 2)
    assert {each.name for each in fitted(birds, tmp_path / "fit").ladder.rungs} == {"probe"}


def test_a_guided_zoom_that_wins_is_left_whole(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = foveate.RefinementConfig(top_k=2)
    monkeypatch.setattr(guided_zoom_rung, "chosen_setting", lambda parts, usual: setting)
    take(monkeypatch, "guided-zoom")
    counted: list[float] = []

    def passes(*given: Any) -> float:
        counted.append(refinement_passes(*given))
        return counted[-1]

    monkeypatch.setattr(guided_zoom_rung, "refinement_passes", passes)
    lines: list[str] = []
    table = fitted(birds, tmp_path / "fit", say=lines.append).ladder
    moved = (tmp_path / "fit").rename(tmp_path / "moved")
    zoom = foveate.GuidedZoomRun.open(moved)
    assert zoom.description.refinement == setting
    assert zoom.description.tuned_on == "out-of-fold"
    assert zoom.description.base == Path("network")
    assert table.rungs[-1].name == "guided-zoom"
    assert table.rungs[-1].passes == pytest.approx(sum(counted[-2:]) / 2)  # of two folds of 12 photographs
    assert min(counted) >= 1 + 2  # the network, and a patch of each photograph with its mirror image
    held_out = read_held_out(moved)
    assert held_out is not None
    assert len(held_out.decision.ids) == 24
    assert foveate.load(moved).predict(next(birds.rglob("*.jpg"))).best.class_name
    assert f"foveate report {tmp_path / 'fit'} " in lines[-1]


def test_held_out_photographs_say_how_much_the_first_weights_count(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The share of the least loss is kept: in the answers, in the training on all photographs, and for Guided Zoom."""
    plain = remembering()
    monkeypatch.setattr(fit_module, "rungs", lambda: (small_rungs()[0], plain))
    take(monkeypatch, "plain")
    asked: list[Mapping[float, Sequence[Answers]]] = []

    def best(parts: Mapping[float, Sequence[Answers]], folds: Sequence[int]) -> float:
        asked.append(parts)
        return 0.4 if [*folds] == [1] else 0.25  # by the second fold alone; by the first, and by both

    monkeypatch.setattr(method_rungs, "best_share", best)
    runs: list[Run] = []

    def stop(line: str) -> None:
        if "plain: fold 2 of 2" in line:
            raise KeyboardInterrupt

    def say(line: str) -> None:
        if "plain is taken" in line:
            runs.extend(plain.fold_run(ladders[0], fold) for fold in range(2))

    ladders: list[Ladder] = []

    def finished(*given: Any) -> LadderTable:
        ladders.append(given[0])
        return finish.finish(*given)

    monkeypatch.setattr(fit_module, "finish", finished)
    with pytest.raises(KeyboardInterrupt):
        fitted(birds, tmp_path / "fit", say=stop)
    table = fitted(birds, tmp_path / "fit", say=say).ladder
    assert [run.config.pretrained_share for run in runs] == [0.4, 0.25]  # each as the other fold chooses
    assert Run.open(tmp_path / "fit").config.pretrained_share == 0.25
    assert table.rungs[1].note == "25% of the weights that it began with"
    held_out = read_held_out(tmp_path / "fit")
    assert held_out is not None
    of_fold = [asked[0][share][fold] for fold, share in enumerate((0.4, 0.25))]
    assert_same_rows(
        held_out.decision.probabilities, np.concatenate([decision(each).probabilities for each in of_fold])
    )
    shares = {decision(asked[0][share][0]).probabilities.tobytes() for share in (0.1, 0.25, 0.4)}
    assert len(shares) == 3


def answered(right: float, wrong: int = 1, count: int = 10) -> Answers:
    """Photographs of two classes in turns, each right with the same probability, but for some that are wrong."""
    probabilities = np.full((count, 2), 1 - right, dtype=np.float32)
    labels = np.arange(count) % 2
    probabilities[np.arange(count), labels] = right
    probabilities[:wrong] = probabilities[:wrong, ::-1]
    return {Branch.ORIGINAL: PredictionTable(tuple(map(str, range(count))), labels, probabilities, ("a", "b"))}


def test_the_share_of_the_least_loss_is_chosen_at_the_temperature_of_each() -> None:
    """How sure a network is does not count, as a temperature mends that; few photographs choose nothing."""
    wrong: Answers = {branch: replace(table, labels=1 - table.labels) for branch, table in answered(0.9).items()}
    parts: dict[float, list[Answers]] = {
        0.1: [wrong, answered(0.9)],
        0.25: [answered(0.6), answered(0.6)],
        0.4: [answered(0.99), wrong],
    }
    assert best_share(parts, (0, 1)) == 0.25
    unsure: dict[float, list[Answers]] = {0.1: [answered(0.9)] * 2, 0.25: [answered(0.6, wrong=0)] * 2}
    assert best_share(unsure, (0, 1)) == 0.25, "all are right, which sharpening would tell"
    few: dict[float, list[Answers]] = {0.1: [wrong, wrong], 0.25: [answered(0.9), answered(0.9)]}
    assert (best_share(few, (0, 1)), best_share(few, (0,))) == (0.25, 0.1)


def test_where_trainings_are_held_back_the_recipes_own_share_stays(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After half a training what it began with would count too much."""
    monkeypatch.setattr(plan, "_LEAST_OF_ONE", 8)
    monkeypatch.setattr(plan, "_most_rungs", lambda plans, _: plans[-1])
    monkeypatch.setattr(fit_module, "rungs", lambda: (small_rungs()[0], remembering()))
    monkeypatch.setattr(method_rungs, "with_share", unexpected)
    take(monkeypatch, "plain")
    table = fitted(birds, tmp_path / "fit").ladder
    assert (table.folds, table.fold_share) == (1, 0.5)
    assert Run.open(tmp_path / "fit").config.pretrained_share == 0.1


def unexpected(*given: object) -> Run:
    raise AssertionError("another share was tried")


def remembering() -> TrainedRung:
    """A method whose weights are averaged with those that it began with."""
    network = PlainConfig(backbone=BACKBONE, head=HeadStart.PROBE)
    return TrainedRung("plain", lambda root: replace(_recipe(network)(root), pretrained_share=0.1))


def test_a_fit_that_is_stopped_between_shares_ends_as_one_that_was_not(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "rungs", lambda: (small_rungs()[0], remembering()))
    monkeypatch.setattr(method_rungs, "best_share", lambda parts, folds: 0.4)
    take(monkeypatch, "plain")

    def stop(line: str) -> None:
        if "with 40% of" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(birds, tmp_path / "torn", say=stop)
    begun = [*(tmp_path / "torn" / ".fit").rglob("share-*/run")]
    assert begun
    for folder in begun:  # as where it was stopped before the weights were there
        (folder / "metrics.json").unlink()
        (folder / "model.safetensors").unlink()
    torn, whole = fitted(birds, tmp_path / "torn"), fitted(birds, tmp_path / "whole")
    assert _untimed(torn.ladder) == _untimed(whole.ladder)
    assert Run.open(torn.path).weights.read_bytes() == Run.open(whole.path).weights.read_bytes()


def test_a_share_that_cannot_be_tried_leaves_the_rung_where_it_was(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(run: Run, share: float, out: Path) -> Run:
        raise UserError("no room")

    monkeypatch.setattr(fit_module, "rungs", lambda: (small_rungs()[0], remembering()))
    monkeypatch.setattr(method_rungs, "with_share", missing)
    take(monkeypatch, "plain")
    lines: list[str] = []
    table = fitted(birds, tmp_path / "fit", say=lines.append).ladder
    assert sum("of the weights that it began with were not tried: no room" in line for line in lines) == 2
    assert table.rungs[1].top1 is not None
    assert Run.open(tmp_path / "fit").config.pretrained_share == 0.1


def assert_same_rows(one: np.ndarray, other: np.ndarray) -> None:
    """In whichever order."""
    np.testing.assert_array_equal(one[np.lexsort(one.T)], other[np.lexsort(other.T)])


def test_a_part_is_held_out_once_where_more_takes_too_long(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trainings on the others have half the epochs, and it goes on where it was stopped."""
    monkeypatch.setattr(plan, "_LEAST_OF_ONE", 8)
    monkeypatch.setattr(plan, "_most_rungs", lambda plans, _: plans[-1])
    take(monkeypatch, "plain")

    def stop(line: str) -> None:
        if "plain: fold 1 of 1" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(birds, tmp_path / "fit", say=stop)
    lines: list[str] = []
    table = fitted(birds, tmp_path / "fit", say=lines.append).ladder
    assert (table.folds, table.held_out) == (1, 8)
    assert "8 of 24 training photographs were held out; what answered" in table.markdown()
    assert "epoch 2/2" not in "".join(lines[: lines.index(next(each for each in lines if "is taken" in each))])
    assert any("epoch 2/2" in line for line in lines)
    assert [each.name for each in table.rungs if each.top1 is None] == ["guided-zoom"]
    assert "needs 2 folds" in str(table.rungs[-1].note)
    assert any(line.startswith("warning: its percentages are fitted to a shorter training") for line in lines)
    held_out = read_held_out(tmp_path / "fit")
    assert held_out is not None
    assert (held_out.folds, held_out.photographs) == (1, 8)


def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain network of 10 epochs, 16 of 24 photographs in batches of 8: 20 steps, then 30, of 10 seconds."""
    monkeypatch.setattr(plan, "_LEAST_OF_ONE", 8)
    slow_machine(monkeypatch, step=10.0, answer=1e-5)
    recipe = _recipe(PlainConfig(backbone=BACKBONE))
    plain = TrainedRung("plain", lambda root: replace(recipe(root), epochs=10))
    monkeypatch.setattr(fit_module, "rungs", lambda: (small_rungs()[0], plain))
    take(monkeypatch, "plain")


def slower_probes(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Say of each rung that is solved for that it took so much longer."""
    original = SolvedRung.climb

    def slower(self: SolvedRung, ladder: Ladder) -> Answers:
        ladder.journal._before += seconds
        return original(self, ladder)

    monkeypatch.setattr(SolvedRung, "climb", slower)


def epochs_of(lines: Sequence[str]) -> list[str]:
    """Return the last epoch that is said of each training."""
    said = [match[1] for line in lines if (match := re.search(r"epoch (\d+/\d+):", line))]
    return [each for each in said if each.split("/")[0] == each.split("/")[1]]


def lines_until(mark: str, root: Path, out: Path) -> list[str]:
    """Return what a fit of 5 minutes says up to a line with a mark, at which it is interrupted."""
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        if mark in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(root, out, minutes=5, say=stop)
    return lines


def test_a_training_for_which_the_minutes_are_too_few_is_shortened(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 5 minutes 0.75 of 10 epochs: 3 without the fold and 7 on all photographs, 270 seconds and what starts take.

    They take no time in truth, so that there is time for all 10 at the end.
    """
    shortened(monkeypatch)
    lines = lines_until("plain: once more on all", birds, tmp_path / "fit")
    assert "trainings at 38% of their epochs" in "".join(lines)
    assert "for 75% of its epochs" in "".join(lines)
    assert "plain: once more on all 24" in lines[-1]
    monkeypatch.setattr(finish, "lateness", lambda ladder: 100.0)  # how long it is was written down
    table = fitted(birds, tmp_path / "fit", minutes=5, say=lines.append).ladder
    assert epochs_of(lines) == ["3/3", "10/10"]
    assert (table.fold_share, table.refit_share) == (0.375, 1.0)
    assert Run.open(tmp_path / "fit").config.epochs == 10
    assert "a trained method had 38% of its epochs" in table.markdown()
    assert "for which the minutes were enough" not in table.markdown()


def test_a_training_is_shortened_further_where_the_rungs_below_took_longer(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """150 of 300 seconds are gone: 0.35 of the epochs, 1 of 10 without the fold, then 3; it stays so after a stop."""
    shortened(monkeypatch)
    slower_probes(monkeypatch, 150.0)
    lines = lines_until("epoch 1/1", birds, tmp_path / "fit")
    monkeypatch.setattr(finish, "lateness", lambda ladder: 1.0)
    table = fitted(birds, tmp_path / "fit", minutes=5, say=lines.append).ladder
    assert table.fold_share == pytest.approx(0.35 / 2)
    assert 0.35 <= table.refit_share <= 0.5
    assert f"It is trained for {100 * table.refit_share:.0f}% of its epochs" in table.markdown()
    (again,) = (line for line in lines if "plain: once more" in line)
    assert f"plain: once more for {100 * table.refit_share:.0f}% of its epochs on all" in again
    assert re.search(r"about (1\.[5-9]|2\.\d) left", again)  # 3 or 4 epochs of 3 steps of 10 seconds, and starts
    assert Run.open(tmp_path / "fit").config.epochs == int(10 * table.refit_share)


def test_a_first_look_that_wins_decides_alone(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short(monkeypatch, 3)
    take(monkeypatch, "s3n, first look alone")
    table = fitted(birds, tmp_path / "fit").ladder
    assert read_calibration(tmp_path / "fit").view_weights == {"original": 1.0}
    held_out = read_held_out(tmp_path / "fit")
    assert held_out is not None
    assert len(held_out.answers) == 4
    row = next(each for each in table.rungs if each.name == table.winner)
    assert row.passes == 1
    assert decision(held_out.answers) is held_out.answers[foveate.Branch.JOINT]


@pytest.mark.parametrize("changed", ["photographs", "minutes", "size"])
def test_a_fit_goes_on_with_what_it_began_with(birds: Path, tmp_path: Path, changed: str) -> None:
    root, out = tmp_path / "birds", tmp_path / "fit"
    shutil.copytree(birds, root)

    def stop(line: str) -> None:
        if "plain: fold 1" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interruption:
        fitted(root, out, say=stop)
    assert interruption.value.__notes__ == ["the same command continues where it was saved"]
    options: dict[str, object] = {"minutes": 999.0} if changed == "minutes" else {"size": 96}
    if changed == "photographs":
        next((root / "train").rglob("*.jpg")).unlink()
        options = {}
    reason = "restore them, or begin anew: remove" if changed == "photographs" else f"differs in {changed}; give"
    with pytest.raises(UserError, match=reason):
        fitted(root, out, **options)


def test_a_finished_fit_is_used_again_and_never_overwritten(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)
    first = fitted(birds, tmp_path / "fit", minutes=MINUTES)
    lines: list[str] = []
    assert fitted(birds, tmp_path / "fit", say=lines.append).ladder == first.ladder
    assert lines == [f"{tmp_path / 'fit'} is fitted already: {first.ladder.winner}"]
    with pytest.raises(UserError, match=r"never overwritten; .* differs in prefer"):
        fitted(birds, tmp_path / "fit", prefer="speed")


def test_a_finished_fit_of_other_photographs_is_refused(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder, and one more photograph in the same; where the same photographs lie does not matter."""
    short(monkeypatch, 1)
    first = fitted(birds, tmp_path / "fit")
    root = tmp_path / "other"
    shutil.copytree(birds, root)
    assert fitted(root, tmp_path / "fit").ladder == first.ladder
    photograph = next((root / "train").rglob("*.jpg"))
    shutil.copy(photograph, photograph.with_name("added.jpg"))
    with pytest.raises(UserError, match=r"never overwritten; .* of other training photographs .* another folder with"):
        fitted(root, tmp_path / "fit")


def test_another_folder_is_refused(birds: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="a new fit needs an empty folder"):
        fitted(birds, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


def slow_machine(monkeypatch: pytest.MonkeyPatch, step: float, answer: float) -> None:
    """Say of every method that it takes so many seconds."""

    def speeds(rungs: tuple[Rung, ...], *_: object) -> dict[str, Speed]:
        solved = {each.name: isinstance(each, SolvedRung) for each in rungs if not each.needs}
        return {
            name: Speed(step=0.0 if each else step, answer=answer, passes=1.0, gflop=1.0)
            for name, each in solved.items()
        }

    monkeypatch.setattr(fit_module, "measured_speeds", speeds)


def test_what_does_not_fit_is_left_out_and_said(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_machine(monkeypatch, step=1000.0, answer=0.001)
    lines: list[str] = []
    table = fitted(birds, tmp_path / "fit", minutes=1, say=lines.append).ladder
    assert table.winner == "probe"
    plan_line = next(line for line in lines if line.startswith("within 1 minutes"))
    assert "probe (about" in plan_line
    assert "plain" not in plan_line
    # 2 folds of 12 in batches of 8: 2 steps for 2 epochs, and 24 once more: 3 steps; 14 steps of 1000 seconds.
    # Shortened to an epoch each it is 4 steps and 3, and S3N 4 more.
    assert any(re.fullmatch(" *plain does not fit; it would with --minutes 1[23].", line) for line in lines)
    plain, s3n, zoom = (str(each.note) for each in table.rungs[1:])
    assert re.fullmatch(r"no time; with --minutes 1[23]\d there is", plain)
    assert re.fullmatch(r"no time; with --minutes 20\d there is", s3n)
    assert zoom == "needs plain or s3n, which is not climbed"


@pytest.mark.parametrize(("late", "whole"), [(0, True), (800, True), (2000, False)])
def test_a_training_that_was_announced_may_be_somewhat_late(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: float, whole: bool
) -> None:
    """14 steps of 1000 seconds in 240 minutes, of which 1440 seconds more are a tenth; beyond that it is shortened."""
    slow_machine(monkeypatch, step=1000.0, answer=0.001)
    short(monkeypatch)
    reached = climb._reached

    def delayed(ladder: Ladder, below: Sequence[Rung]) -> Reached:
        on_time = reached(ladder, below)
        return replace(on_time, seconds=on_time.seconds + late)

    monkeypatch.setattr(climb, "_reached", delayed)
    table = fitted(birds, tmp_path / "fit", minutes=240).ladder
    assert [each.top1 is not None for each in table.rungs] == [True, True]
    assert (table.fold_share == 1) is whole


def test_a_probe_that_does_not_fit_says_what_it_needs(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_machine(monkeypatch, step=1000.0, answer=60.0)
    with pytest.raises(UserError, match=r"as long as the probe at least, here about 7\d minutes.*give --minutes 8\d"):
        fitted(birds, tmp_path / "fit", minutes=15)
    assert not (tmp_path / "fit").exists()


def test_one_photograph_of_each_class_leaves_no_choice(birds: Path, tmp_path: Path) -> None:
    root = tmp_path / "few"
    for folder in (birds / "train").iterdir():
        (root / "train" / folder.name).mkdir(parents=True)
        shutil.copy(next(folder.iterdir()), root / "train" / folder.name)
    shutil.copytree(birds / "test", root / "test")
    lines: list[str] = []
    table = fitted(root, tmp_path / "fit", say=lines.append).ladder
    assert (table.winner, table.folds, table.held_out) == ("probe", 0, 0)
    assert any("Nothing says which method is best: probe is taken" in line for line in lines)
    assert read_held_out(tmp_path / "fit") is None
    assert table.test_top1 is not None


def test_a_class_of_one_photograph_is_learned_and_not_held_out(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)
    root = tmp_path / "birds"
    shutil.copytree(birds, root)
    folder = sorted((root / "train").iterdir())[0]
    for each in sorted(folder.iterdir())[1:]:
        each.unlink()
    lines: list[str] = []
    table = fitted(root, tmp_path / "fit", say=lines.append).ladder
    assert (table.photographs, table.held_out) == (19, 18)
    assert any("1 classes have one training photograph each" in line for line in lines)


@pytest.mark.parametrize("winner", ["probe", "s3n-frozen"])
def test_heads_are_solved_without_each_fold_on_features_that_are_computed_once(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, winner: str
) -> None:
    """Those of later looks rest on the first head: for each of two folds, and at the end."""
    computed: list[str] = []
    original = KeptFeatures._computed

    def counted(self: KeptFeatures, classifier: Classifier, part: Part, name: str) -> torch.Tensor:
        computed.append(name)
        return original(self, classifier, part, name)

    monkeypatch.setattr(KeptFeatures, "_computed", counted)
    frozen = _recipe(replace(S3NConfig.without_training(), backbone=BACKBONE))
    monkeypatch.setattr(fit_module, "rungs", lambda: (small_rungs()[0], SolvedRung("s3n-frozen", frozen)))
    take(monkeypatch, winner)
    lines: list[str] = []
    table = fitted(birds, tmp_path / "fit", say=lines.append).ladder
    held_out = read_held_out(tmp_path / "fit")
    assert [each.name for each in table.rungs] == ["probe", "s3n-frozen"]
    assert held_out is not None
    assert len(held_out.answers) == (4 if winner == "s3n-frozen" else 1)
    assert table.test_top1 is not None
    later = ["zoomed"] * (3 if winner == "s3n-frozen" else 2)
    assert computed == ["features", "original", *later]
    assert "made anew" not in "".join(lines)
    assert not (tmp_path / "fit" / ".features").exists()


def test_photographs_of_a_fold_are_counted_anew_for_its_heads() -> None:
    """Of four photographs the second and the last are learned from: they are number 0 and 1 of the fold."""
    asked: list[int] = []

    def frozen(name: str, part: Callable[..., torch.Tensor]) -> torch.Tensor:
        images = torch.arange(4.0)[:, None, None, None].expand(4, 3, 2, 2)
        return part(None, images, torch.arange(4))[:, None]

    def part(network: object, images: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        asked.extend(which.tolist())
        return images[:, 0, 0, :1]

    features = PartOfFeatures(frozen, torch.tensor([1, 3]), 4)("features", part)
    assert features.flatten().tolist() == [1.0, 3.0]
    assert [asked[1], asked[3]] == [0, 1]


def test_a_training_that_takes_longer_makes_the_next_ones_longer(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain takes a hundred seconds more than was said: S3N, which seemed to fit into two minutes, does not."""
    slow_machine(monkeypatch, step=1e-3, answer=1e-5)
    short(monkeypatch, 3)
    original = TrainedRung.climb

    def slower(self: TrainedRung, ladder: Ladder) -> Answers:
        ladder.journal._before += 100.0 if self.name == "plain" else 0.0  # as if it had taken so much longer
        return original(self, ladder)

    monkeypatch.setattr(TrainedRung, "climb", slower)
    table = fitted(birds, tmp_path / "fit", minutes=2).ladder
    assert [each.note and each.note[:7] for each in table.rungs] == [None, None, "no time"]


def test_a_training_for_which_the_minutes_are_over_is_given_up(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_machine(monkeypatch, step=1e-3, answer=1e-5)
    short(monkeypatch)
    original = TrainedRung.climb

    def slower(self: TrainedRung, ladder: Ladder) -> Answers:
        ladder.journal._before += 140.0  # two minutes are over by a tenth after 132 seconds
        return original(self, ladder)

    monkeypatch.setattr(TrainedRung, "climb", slower)
    table = fitted(birds, tmp_path / "fit", minutes=2).ladder
    assert table.winner == "probe"
    assert table.rungs[1].note == "it takes longer than was measured, and the minutes are over; give more --minutes"


def test_broken_photographs_stop_before_the_work_or_are_left_out(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)
    root = tmp_path / "birds"
    shutil.copytree(birds, root)
    next((root / "train").rglob("*.jpg")).write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"1 of 36 photographs cannot be used \(1 of 24 in train\)"):
        fitted(root, tmp_path / "fit")
    assert not (tmp_path / "fit").exists()
    table = fitted(root, tmp_path / "fit", data=DataConfig(root=root, on_error=OnError.SKIP)).ladder
    assert table.photographs == 23


def test_a_class_that_nothing_can_learn_is_refused(birds: Path, tmp_path: Path) -> None:
    root = tmp_path / "birds"
    shutil.copytree(birds, root)
    shutil.rmtree(sorted((root / "train").iterdir())[0])
    with pytest.raises(UserError, match="a training photograph of every class; there is none of Amber Finch; add some"):
        fitted(root, tmp_path / "fit")
    assert not (tmp_path / "fit").exists()


def test_a_rung_that_fails_is_left_out_with_its_reason(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: TrainedRung, ladder: object) -> None:
        raise UserError("the training loss must stay finite")

    monkeypatch.setattr(TrainedRung, "climb", failing)
    table = fitted(birds, tmp_path / "fit").ladder
    assert table.winner == "probe"
    notes = [each.note for each in table.rungs]
    assert notes == [None, *["the training loss must stay finite"] * 2, "needs plain or s3n, which is not climbed"]


def test_without_a_test_split_nothing_is_tested(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short(monkeypatch)
    data = DataConfig(root=birds / "train", test_fraction=0.0)
    table = fitted(birds / "train", tmp_path / "fit", data=data).ladder
    assert table.test_top1 is None
    assert "There is no test split." in (tmp_path / "fit" / "ladder.md").read_text(encoding="utf-8")


def test_the_default_folder_is_of_the_photographs(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    slow_machine(monkeypatch, step=1000.0, answer=0.001)

    def into(**options: object) -> Path:
        return fitted(birds, None, minutes=1, **options).path  # type: ignore[arg-type]

    assert [into(), into(), into(prefer="speed")] == [Path(f"runs/birds-fit{n}") for n in ("", "", "-2")]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"minutes": 0}, "minutes must be above 0"),
        ({"minutes": float("nan")}, "minutes must be finite"),
        ({"prefer": "price"}, "prefer must be accuracy or speed; got 'price'"),
        ({"size": 8}, "size must be at least 32 pixels"),
        ({"data": DataConfig(root=Path("x"), validation_fraction=0.2)}, "validation_fraction must be 0 in a fit"),
    ],
)
def test_bad_settings_are_refused(birds: Path, tmp_path: Path, options: dict[str, object], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        fitted(birds, tmp_path / "fit", **options)
    assert not (tmp_path / "fit").exists()


@pytest.mark.parametrize("name", rungs_module.PRESETS)
def test_every_rung_is_measured_as_its_recipe_has_it(name: str) -> None:
    """Their epochs are counted where they say 0, and the first layers kept."""
    method, preset = rungs_module.PRESETS[name]
    config = RECIPES[method][preset]("photographs")
    network = config.network
    assert isinstance(network, BackboneNetworkConfig)
    backbone = BackboneConfig(architecture="test_efficientnet", weights="none")
    sizes = replace(config.transforms, input_size=64, resize_size=72)
    sizes = replace(sizes, source_size=sizes.source_size and 96)
    config = replace(config, network=replace(network, backbone=backbone), transforms=sizes, hardware=SLOW)
    speed = measure_speed(config, classes=3)
    assert (speed.step > 0) == (not network.solved)
    assert speed.answer > 0


def test_the_ladder_is_of_recipes_from_the_cheapest_on() -> None:
    names = [each.name for each in rungs()]
    assert names == [
        "probe",
        "probe-lite1",
        "probe-lite2",
        "s3n-frozen",
        "plain",
        "plain-lite1",
        "plain-lite2",
        "s3n",
        "guided-zoom",
        "ensemble",
    ]
    assert rungs()[-2].needs == ("plain", "plain-lite1", "plain-lite2", "s3n")


def test_a_fit_that_learns_nothing_says_so(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short(monkeypatch, 1)
    lines: list[str] = []
    monkeypatch.setattr(finish, "is_chance", lambda top1, photographs, largest: (photographs, largest) == (24, 0.25))
    fitted(birds, tmp_path / "fit", say=lines.append)
    assert any(line.startswith("warning: no method is better than guessing, the best") for line in lines)


def test_a_picture_of_noise_is_answered(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_machine(monkeypatch, step=1000.0, answer=0.001)
    out = fitted(birds, tmp_path / "fit", minutes=1).path
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    assert foveate.load(out).predict(noise).best.probability > 0


_UNSURE = SplitAccuracy(top1=0.8145859085290482, low=None, high=None, photographs=None, groups=None)
_SURE = SplitAccuracy(top1=0.8145859085290482, low=0.786, high=0.841, photographs=809, groups=None)


@pytest.mark.parametrize(("version", "told"), [*((version, _UNSURE) for version in (1, 2, 3, 4)), (5, _SURE)])
def test_a_table_of_an_older_version_is_read(version: int, told: SplitAccuracy, tmp_path: Path) -> None:
    (tmp_path / "ladder.json").write_bytes((OLD / f"ladder-{version}.json").read_bytes())
    table = LadderTable.read(tmp_path)
    assert table.winner == "plain"
    assert table.settings.data == DataConfig(root=Path("/data/birds"))
    assert table.settings.hardware == HardwareConfig()
    assert (table.folds, table.fold_share, table.refit_share) == (1, 0.5, 1.0)
    assert table.test == told
    words = "Test split, looked at once: 81.5% are right."
    if told is _SURE:
        words = "659 of 809 photographs are right (81.5%; 95% interval 78.6 to 84.1)."
    assert words in table.markdown()


@pytest.mark.parametrize(("winner", "refit"), [(None, None), ("plain", 1.0)])
def test_a_journal_of_an_older_version_is_gone_on_with(winner: str | None, refit: float | None, tmp_path: Path) -> None:
    """A winner that is being trained on all photographs keeps its epochs."""
    older = json.loads((OLD / "journal-3.json").read_text(encoding="utf-8"))
    (tmp_path / "journal.json").write_text(json.dumps({**older, "winner": winner}), encoding="utf-8")
    content = Journal.open(tmp_path).content
    assert (content.folds, content.share, content.refit_share) == (1, 1.0, refit)


@pytest.mark.parametrize("top1", [None, 0.75])
def test_what_the_test_split_said_is_kept_of_an_older_journal(top1: float | None, tmp_path: Path) -> None:
    older = json.loads((OLD / "journal-4.json").read_text(encoding="utf-8"))
    (tmp_path / "journal.json").write_text(json.dumps({**older, "test": top1}), encoding="utf-8")
    told = SplitAccuracy(top1=0.75, low=None, high=None, photographs=None, groups=None)
    assert Journal.open(tmp_path).content.test == (None if top1 is None else told)


def test_an_older_journal_does_not_say_that_its_interval_is_over_groups(tmp_path: Path) -> None:
    (tmp_path / "journal.json").write_bytes((OLD / "journal-5.json").read_bytes())
    assert Journal.open(tmp_path).content.test == _SURE


def test_the_table_says_how_sure_the_test_split_is() -> None:
    """Of 12 photographs all are right: of others 26% may be wrong."""
    labels = np.arange(12) % 3
    told = SplitAccuracy.of(measure_accuracy(np.eye(3)[labels], labels))
    assert told.words == (
        "Test split, looked at once: 12 of 12 photographs are right (100.0%; 95% interval 73.5 to 100.0)."
    )


def test_the_table_says_over_how_many_groups_its_interval_is() -> None:
    labels = np.arange(12) % 3
    told = SplitAccuracy.of(measure_accuracy(np.eye(3)[labels], labels, groups=np.arange(12) // 2))
    assert told.groups == 6
    assert told.words == (
        "Test split, looked at once: 12 of 12 photographs are right (100.0%; 95% interval 54.1 to 100.0, over 6 groups "
        "of photographs)."
    )
    few = SplitAccuracy.of(measure_accuracy(np.eye(3)[labels], labels, groups=np.arange(12) // 4))
    assert few.words.endswith(
        "(100.0%; 95% interval 0.0 to 100.0, over 3 groups of photographs; fewer than 6 say nothing of others)."
    )


def test_the_table_says_what_is_better_where_rare_classes_count_as_much() -> None:
    row = LadderRow(
        name="probe",
        top1=0.95,
        mean_per_class=0.52,
        behind=0.0,
        standard_error=0.01,
        passes=1.0,
        gflop=0.8,
        minutes=0.1,
        note=None,
    )
    unlike = structured_table(row, replace(row, name="plain", top1=0.94, mean_per_class=0.8))
    assert "where rare ones count as much as others, plain is better: 80.0% to 52.0%." in unlike.markdown()
    assert "rare ones" not in structured_table(row, replace(row, name="plain", mean_per_class=0.56)).markdown()


def structured_table(*rows: LadderRow) -> LadderTable:
    """A table whose first row was taken."""
    return LadderTable(
        settings=FitConfig(data=DataConfig(root=Path("birds"))),
        winner=rows[0].name,
        reason="it is right on more",
        rungs=rows,
        folds=5,
        fold_share=1.0,
        refit_share=1.0,
        photographs=100,
        listed="",
        held_out=100,
        test=None,
        minutes=1.0,
    )


def grouped(root: Path, *sizes: Sequence[int]) -> Path:
    """Draw a folder of classes, in each a folder for each group of so many photographs."""
    generator = np.random.default_rng(0)
    for label, groups in enumerate(sizes):
        for group, size in enumerate(groups):
            folder = root / f"class {label}" / f"group {group}"
            folder.mkdir(parents=True)
            for number in range(size):
                pixels = generator.integers(0, 100, (64, 64, 3), np.uint8) + np.uint8(100 * label)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def test_few_groups_are_as_many_folds_as_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two classes of two groups each are four folds at most: no fifth one that holds nothing."""
    short(monkeypatch, 1)
    monkeypatch.setattr(plan, "MOST_FOLDS", 5)
    root = grouped(tmp_path / "videos", (8, 8), (8, 8))
    data = DataConfig(root=root, group_level=1, test_fraction=0.0)
    lines: list[str] = []
    table = fitted(root, tmp_path / "fit", data=data, say=lines.append).ladder
    assert (table.folds, table.held_out, table.test) == (4, 32, None)
    assert "--error-rate and --coverage rest on one photograph of each of 4 groups" in "".join(lines)
    kept = read_held_out(tmp_path / "fit")
    assert kept is not None
    assert len(kept.decision.independent.ids) == 4
    found = evaluate(tmp_path / "fit", split=Split.TRAIN, context=RunContext(hardware=SLOW, say=silent))
    assert found.accuracy.groups == 4
    assert (
        "percentile bootstrap over 4 groups of images; fewer than 6 say nothing"
        in found.report.with_suffix(".md").read_text()
    )


def test_other_groups_are_other_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers that are kept are of other folds: no fit goes on with them, and none that is finished is the same."""
    short(monkeypatch, 1)
    root, out = grouped(tmp_path / "videos", (4, 4), (4, 4)), tmp_path / "fit"
    data = DataConfig(root=root, group_level=1, test_fraction=0.0)

    def others(config: DataConfig, say: Callable[[str], None]) -> Splits:
        splits = load_splits(config, say)
        train = tuple(replace(each, group=each.id.replace("group 0", "group 1")[:-5]) for each in splits.train)
        return replace(splits, train=train)

    def stop(line: str) -> None:
        if "probe: fold 2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(root, out, data=data, say=stop)
    with monkeypatch.context() as changed:
        changed.setattr(fit_module, "load_splits", others)
        with pytest.raises(UserError, match="a fit goes on with the photographs it began with"):
            fitted(root, out, data=data)
    fitted(root, out, data=data)
    monkeypatch.setattr(fit_module, "load_splits", others)
    with pytest.raises(UserError, match="a finished fit is never overwritten"):
        fitted(root, out, data=data)


def test_groups_that_are_alone_are_held_out_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One group that can be held out, of any number of photographs, says nothing of others."""
    short(monkeypatch, 1)
    monkeypatch.setattr(plan, "_LEAST_OF_ONE", 8)
    root = grouped(tmp_path / "videos", (20,), (20,))
    lines: list[str] = []
    data = DataConfig(root=root, group_level=1, test_fraction=0.0)
    table = fitted(root, tmp_path / "fit", data=data, say=lines.append).ladder
    assert (table.folds, table.held_out, table.winner) == (0, 0, "probe")
    assert any("no training photograph can be held out" in line for line in lines)
    assert "each is the only one of a class, or in its only group" in table.markdown()


def test_whether_two_methods_are_level_is_asked_of_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a difference is that over groups, and an ensemble's weights are fitted to other groups."""
    probe = small_probes(monkeypatch, EnsembleRung)
    asked: list[np.ndarray | None] = []
    original = view_weights.unseen_answers

    def watched(logs: Any, labels: Any, prior: Any, seed: int, groups: np.ndarray | None = None) -> Any:
        asked.append(groups)
        return original(logs, labels, prior, seed, groups)

    monkeypatch.setattr(ensemble_module, "unseen_answers", watched)
    compared: list[np.ndarray | None] = []

    def chosen(candidates: Sequence[Candidate], prefer: Prefer, groups: np.ndarray | None) -> Choice:
        compared.append(groups)
        return choose(candidates, prefer, groups)

    monkeypatch.setattr(climb, "choose", chosen)
    root = grouped(tmp_path / "videos", (4, 4, 4), (4, 4, 4))
    data = DataConfig(root=root, group_level=1, test_fraction=0.0)
    fitted(root, tmp_path / "fit", data=data)
    assert probe
    expected = [np.arange(6).repeat(4).tolist()]
    for groups in (*asked, *compared):
        assert groups is not None
        assert groups.tolist() in expected


def small_probes(monkeypatch: pytest.MonkeyPatch, *further: Any) -> tuple[Rung, ...]:
    """Two probes of unlike strengths, and an ensemble of them where that is asked for."""
    two = tuple(
        SolvedRung(name, _recipe(ProbeConfig(backbone=BACKBONE, strengths=(strength,))))
        for name, strength in (("probe", 1.0), ("probe-weak", 1e-4))
    )
    rungs = (*two, *(each("ensemble", two) for each in further))
    monkeypatch.setattr(fit_module, "rungs", lambda: rungs)
    return rungs


def test_what_needs_no_training_answers_for_the_other_folds_where_it_is_ahead(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training has a third; it was behind. It goes on where it was stopped, with the same answers."""
    monkeypatch.setattr(plan, "_LEAST_OF_ONE", 8)
    monkeypatch.setattr(plan, "_most_rungs", lambda plans, _: plans[-1])
    probe, weak = small_probes(monkeypatch)
    plain = small_rungs()[1]
    monkeypatch.setattr(fit_module, "rungs", lambda: (probe, weak, plain))
    monkeypatch.setattr(SolvedRung, "rests_on", lambda self, ladder: f"{ladder.held_out} photographs")
    take(monkeypatch, "probe-weak")

    def stop(line: str) -> None:
        if "probe: fold 3 of 3" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(birds, tmp_path / "fit", say=stop)
    lines: list[str] = []
    table = fitted(birds, tmp_path / "fit", say=lines.append).ladder
    said = "".join(lines)
    assert "of the other 16 photographs too: what needs no training" in said
    assert "probe: fold 2 of 3" not in said
    assert "probe: fold 3 of 3" in said
    assert (table.folds, table.held_out, table.winner) == (3, 24, "probe-weak")
    assert [each.top1 is None for each in table.rungs] == [False, False, True]
    assert [each.note for each in table.rungs[:2]] == ["24 photographs"] * 2
    assert re.fullmatch(r"[\d.]+% of 8 held-out photographs, behind what needs no training", str(table.rungs[2].note))
    held_out = read_held_out(tmp_path / "fit")
    assert held_out is not None
    assert (held_out.folds, held_out.photographs) == (3, 24)


def test_a_training_that_is_ahead_is_compared_on_its_fold(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_LEAST_OF_ONE", 8)
    monkeypatch.setattr(plan, "_most_rungs", lambda plans, _: plans[-1])
    probe, weak = small_probes(monkeypatch)
    plain = small_rungs()[1]
    monkeypatch.setattr(fit_module, "rungs", lambda: (probe, weak, plain))
    take(monkeypatch, "plain")
    table = fitted(birds, tmp_path / "fit").ladder
    assert (table.folds, table.held_out) == (1, 8)


def test_reading_is_timed_as_a_training_reads(birds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By all processors: a quarter of the time where there are four."""
    views: list[TransformConfig] = []
    original = TrainingViews.__getitem__

    def watched(self: TrainingViews, draw: Draw) -> Batch:
        views.append(self.transforms)
        time.sleep(0.01)
        return original(self, draw)

    monkeypatch.setattr(TrainingViews, "__getitem__", watched)
    monkeypatch.setattr(benchmark, "processors", lambda: 1)
    records, config = load_splits(DataConfig(root=birds)).train, small_rungs()[1].recipe(birds)  # type: ignore[attr-defined]
    config = replace(config, hardware=SLOW)
    alone = benchmark.measure_reading(records, config)
    assert views == [config.transforms] * 24
    assert alone > 0.01
    monkeypatch.setattr(benchmark, "processors", lambda: 1000)
    assert benchmark.measure_reading(records, config) < alone / 10


def test_a_fit_says_one_temperature(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that which the probe fits by itself, which is not kept."""
    short(monkeypatch, 1)
    lines: list[str] = []
    fitted(birds, tmp_path / "fit", say=lines.append)
    assert sum(line.strip().startswith("temperature ") for line in lines) == 1


def test_test_photographs_that_came_later_are_named(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch, 1)
    data = DataConfig(root=tmp_path / "birds", test_fraction=0.0)
    shutil.copytree(birds / "train", data.root / "train")
    fitted(data.root, tmp_path / "fit", data=data)
    shutil.copytree(birds / "test", data.root / "test")
    lines: list[str] = []
    fitted(data.root, tmp_path / "fit", data=data, say=lines.append)
    assert any(line.startswith("there are test photographs now; foveate evaluate ") for line in lines)


def test_a_share_that_an_earlier_version_chose_is_that_of_every_fold(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = remembering()
    monkeypatch.setattr(fit_module, "rungs", lambda: (small_rungs()[0], plain))
    take(monkeypatch, "plain")
    monkeypatch.setattr(method_rungs, "best_share", lambda parts, folds: 0.25)

    def stop(line: str) -> None:
        if "plain is taken" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(birds, tmp_path / "fit", say=stop)
    (file,) = (tmp_path / "fit").rglob("pretrained_share.json")
    file.write_text('{"pretrained_share": 0.25}')
    shares: list[float] = []

    def finished(ladder: Ladder, *given: Any) -> LadderTable:
        shares.extend(plain.fold_run(ladder, fold).config.pretrained_share for fold in range(2))
        return finish.finish(ladder, *given)

    monkeypatch.setattr(fit_module, "finish", finished)
    fitted(birds, tmp_path / "fit")
    assert shares == [0.25, 0.25]


def test_what_the_memory_is_too_small_for_is_left_out(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is measured, or later; with it what needs it."""
    measured = _speed  # what all of these fits measure by

    def too_large(config: TrainConfig, classes: int) -> Speed:
        if config.network.method != "probe":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return measured(config, classes)

    monkeypatch.setattr(plan, "measure_speed", too_large)
    lines: list[str] = []
    table = fitted(birds, tmp_path / "fit", say=lines.append).ladder
    assert [each.name for each in table.rungs] == ["probe"]
    assert sum("is left out: the memory must be enough, and" in line for line in lines) == 2  # plain and S3N
    monkeypatch.setattr(plan, "measure_speed", measured)
    monkeypatch.setattr(TrainedRung, "climb", lambda *_: (_ for _ in ()).throw(MemoryError()))
    short(monkeypatch)
    table = fitted(birds, tmp_path / "later", say=lines.append).ladder
    assert "plain needs more than there is" in str(table.rungs[1].note)


def test_the_memory_must_be_enough_for_one_method(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: object) -> Speed:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nGPU 0 has 8.")

    monkeypatch.setattr(plan, "measure_speed", too_large)
    with pytest.raises(UserError, match=r"s3n needs more than there is \(CUDA out of memory. Tried .*GiB.\); take"):
        fitted(birds, tmp_path / "fit")


def test_whole_trainings_of_several_folds_are_shortened_too_where_the_rungs_below_took_longer(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folds of 10 epochs of 2 steps and 10 of 3 steps of 10 seconds are 700; 300 more are gone of 800."""
    shortened(monkeypatch)
    slower_probes(monkeypatch, 300.0)
    lines: list[str] = []
    table = fitted(birds, tmp_path / "fit", minutes=800 / 60, say=lines.append).ladder
    said = "answers to every training photograph in 2 folds: probe (about 0 seconds), plain (about 7 minutes)"
    assert said in "".join(lines)
    assert "and a trained method had 48% of its epochs" in table.markdown()
    assert table.folds == 2
    assert 0.25 <= table.fold_share < 0.5
    assert table.winner == "plain"


def test_a_finished_fit_of_photographs_that_were_added_to_is_another_one(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch, 1)
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "mine"
    shutil.copytree(birds, root)
    given = {"minutes": MINUTES, "size": 64, "hardware": SLOW, "say": silent}
    assert [fit(root, **given).path.name for _ in range(2)] == ["mine-fit", "mine-fit"]  # type: ignore[arg-type]
    photograph = next((root / "train").rglob("*.jpg"))
    shutil.copy(photograph, photograph.with_name("added.jpg"))
    assert fit(root, **given).path.name == "mine-fit-2"  # type: ignore[arg-type]


def test_photographs_to_validate_are_said_to_teach_nothing(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch, 1)
    shutil.copytree(birds, tmp_path / "birds")
    shutil.copytree(birds / "test", tmp_path / "birds" / "val")
    lines: list[str] = []
    fitted(tmp_path / "birds", tmp_path / "fit", say=lines.append)
    assert any("validation photographs choose the epoch of each training, and nothing learns from" in x for x in lines)


def test_the_commands_it_ends_with_can_be_pasted(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders with spaces in their names are quoted."""
    short(monkeypatch, 1)
    said: list[str] = []
    fitted(birds, tmp_path / "my fit", say=said.append)
    commands = [shlex.split(line, comments=True) for line in said[-1].splitlines() if line.startswith("  foveate")]
    assert [words[1:3] for words in commands[:2]] == [
        ["report", str(tmp_path / "my fit")],
        ["serve", str(tmp_path / "my fit")],
    ]
    (predict,) = (words for words in commands if words[1] == "predict")
    assert Path(predict[3]).is_file()
