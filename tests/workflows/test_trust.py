"""What `foveate trust` measures of kept answers, from end to end."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from command_line import status
from foveate.config.data import TestViews
from foveate.errors import UserError
from foveate.evaluation.config import TrustStudy
from foveate.evaluation.predictions import PredictionTable, read_predictions, write_predictions
from foveate.guided_zoom.config import RefinementConfig, Scores
from foveate.guided_zoom.refiner import Refiner
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import Calibration, write_calibration
from foveate.runs.run import Run
from foveate.workflows.analysis.measure_trust import FIRST, REFINED, TrustReport, measure_trust
from foveate.workflows.evaluate import evaluate
from foveate.workflows.load_guided_zoom import load_guided_zoom
from foveate.workflows.split_evidence import evidence_of_split
from zooms import QUIET, SLOW, copied, silent


@pytest.fixture(scope="module")
def own_run(quick_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("trust") / "own"
    run = Run.open(shutil.copytree(quick_run.path, path, ignore=shutil.ignore_patterns("checkpoints", "logs")))
    evaluate(run, context=QUIET)
    return run


@pytest.fixture(scope="module")
def own_zoom(made: GuidedZoomRun, tmp_path_factory: pytest.TempPathFactory) -> GuidedZoomRun:
    return GuidedZoomRun.open(copied(made, tmp_path_factory.mktemp("trust")))


@pytest.fixture(scope="module")
def judged(own_zoom: GuidedZoomRun) -> TrustReport:
    return measure_trust(own_zoom, TrustStudy(bins=5, pairs=3), context=QUIET)


def test_a_runs_kept_answers(own_run: Run) -> None:
    done = measure_trust(own_run, context=RunContext(say=silent))
    assert (list(done.measures), done.alarms, done.report.name) == (["answer"], {}, "test-centre-trust.md")
    table = read_predictions(own_run.path / "evaluation" / "test-centre.parquet")
    found = done.measures["answer"]
    right = table.probabilities.argmax(1) == table.labels
    assert found.accuracy == pytest.approx(right.mean())
    assert found.confidence == pytest.approx(table.probabilities.max(1).mean(), abs=1e-6)
    assert found.reliability.counts.sum() == len(right) == 12
    told = json.loads(done.report.with_suffix(".json").read_text(encoding="utf-8"))
    assert np.array(told["confusion"]["matrix"]).trace() == right.sum()
    assert told["answers"]["answer"]["ece"] == found.reliability.error
    assert len(told["answers"]["answer"]["bins"]["counts"]) == 15
    assert done.pairs
    assert set(told["pairs"][0]) == {"first", "second", "first_as_second", "second_as_first", "example"}
    for name in ("reliability", "risk", "confusion", "pairs"):
        with Image.open(done.report.with_name(f"test-centre-trust-{name}.png")) as picture:
            assert min(picture.size) > 300


def test_a_guided_zoom_before_and_after(judged: TrustReport, own_zoom: GuidedZoomRun) -> None:
    """Alarms again from the kept evidence; the first answers are the network's own."""
    config = own_zoom.description.refinement
    table = evidence_of_split(own_zoom, "test", config, context=QUIET)
    assert list(judged.measures) == [FIRST, REFINED]
    assert judged.measures[FIRST].accuracy == pytest.approx(table.right_before.mean())
    assert judged.measures[REFINED].accuracy == pytest.approx(table.right_after(config).mean())
    differ = (table.refined(config).classes != table.evidence.classes[:, 0]).numpy()
    alarms = judged.alarms[REFINED]
    assert {each.raised for each in alarms.values()} == {int(differ.sum())}
    wrong = ~table.right_after(config)
    first = alarms["the two disagree"]
    assert first.recall == (pytest.approx(differ[wrong].mean()) if wrong.any() else None)
    assert first.precision == (pytest.approx(wrong[differ].mean()) if differ.any() else None)
    assert first.accuracy_silent == pytest.approx((~wrong[~differ]).mean())
    told = judged.report.read_text(encoding="utf-8")
    assert "the calibration error, over 5 bins" in told
    assert "| refined answer, the two disagree " in told


def test_refined_probabilities_are_those_that_prediction_gives(
    judged: TrustReport, own_zoom: GuidedZoomRun, plumage: Path
) -> None:
    """The mean confidence of the whole split, once from kept evidence and once from both networks."""
    from foveate.data.loading import EvaluationViews, evaluation_loader

    run = own_zoom.base_run()
    refiner = Refiner.of(load_guided_zoom(own_zoom, SLOW), own_zoom.description.refinement)
    records = RunContext().photographs_of(run, "test")
    seen, source = (
        torch.cat([batch.images[:, 0] for batch in evaluation_loader(EvaluationViews(records, each), 12, workers=0)])
        for each in (run.config.transforms, refiner.source_of(run.config.transforms))
    )
    sure = refiner.probabilities(seen, source).max(1).values
    assert judged.measures[REFINED].confidence == pytest.approx(float(sure.mean()), abs=1e-4)


def test_a_row_of_results(own_zoom: GuidedZoomRun, judged: TrustReport, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    measure_trust(own_zoom.path, TrustStudy(bins=5), context=RunContext(hardware=SLOW, results=rows, say=silent))
    row = json.loads(rows.read_text(encoding="utf-8"))
    assert (row["measured"], row["method"], row["conventional"]) == ("trust", "guided-zoom", "plain")
    assert row["answers"][REFINED]["ece"] == round(100 * judged.measures[REFINED].reliability.error, 2)
    assert set(row["alarms"]) == {FIRST, REFINED}


def test_an_answer_that_is_never_wrong_confuses_nothing(own_run: Run, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(own_run.path, tmp_path / "right"))
    file = run.path / "evaluation" / "test-centre.parquet"
    table = read_predictions(file)
    write_predictions(file, replace(table, probabilities=np.eye(4, dtype=np.float32)[table.labels]))
    (run.path / "evaluation" / "test-centre-trust-pairs.png").unlink(missing_ok=True)
    done = measure_trust(run, context=RunContext(say=silent))
    assert (done.pairs, done.measures["answer"].risk.area) == ((), 0)
    assert done.measures["answer"].reliability.error == 0
    assert "No answer is wrong." in done.report.read_text(encoding="utf-8")
    assert not (run.path / "evaluation" / "test-centre-trust-pairs.png").exists()


def test_answers_that_are_not_kept_are_asked_for(own_run: Run) -> None:
    with pytest.raises(UserError, match=r"keeps none of the test split, views flip; give `foveate evaluate .* flip`"):
        measure_trust(own_run, views=TestViews.FLIP, context=RunContext(say=silent))


def test_answers_of_photographs_that_are_gone_are_refused(own_run: Run, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(own_run.path, tmp_path / "gone"))
    file = run.path / "evaluation" / "test-centre.parquet"
    table: PredictionTable = read_predictions(file)
    write_predictions(file, replace(table, ids=tuple(f"gone/{each}" for each in table.ids)))
    with pytest.raises(UserError, match=r"'gone/.* is not in the test split"):
        measure_trust(run, context=RunContext(say=silent))


def test_both_answers_of_a_guided_zoom_are_judged_as_they_are_before_any_temperature(
    own_zoom: GuidedZoomRun, judged: TrustReport, tmp_path: Path
) -> None:
    zoom = GuidedZoomRun.open(copied(own_zoom, tmp_path))
    write_calibration(zoom.path, Calibration(temperature=3.0))
    done = measure_trust(zoom, TrustStudy(bins=5, pairs=3), context=QUIET)
    for name, each in judged.measures.items():
        assert done.measures[name].confidence == pytest.approx(each.confidence, abs=1e-6)
    assert "not calibrated" in done.report.read_text(encoding="utf-8")


def test_refined_logits_are_judged_as_probabilities(own_zoom: GuidedZoomRun, tmp_path: Path) -> None:
    made = GuidedZoomRun.open(copied(own_zoom, tmp_path))
    made = made.with_refinement(RefinementConfig(top_k=3, scores=Scores.LOGITS), None)
    done = measure_trust(made, context=QUIET)
    assert 0 < done.measures[REFINED].confidence <= 1


def test_the_command(own_run: Run, own_zoom: GuidedZoomRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("trust", own_run.path, "--bins", 10) == 0
    assert "the calibration error, over 10 bins" in capsys.readouterr().out
    assert status("trust", own_zoom.path, "--hardware.workers", 0, "--hardware.accelerator", "cpu") == 0
    assert "Alarms for wrong answers" in capsys.readouterr().out
    assert status("trust", own_run.path, "--bins", 0) == 2
    assert "bins must be at least 1; got 0" in capsys.readouterr().err
    assert status("trust", own_run.path / "nowhere") == 2
    assert "nowhere does not exist; `foveate fit`" in capsys.readouterr().err
