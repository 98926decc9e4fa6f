"""Answers that are held out of a training, and what predict and evaluate make of them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from command_line import status
from foveate.config.branches import Branch
from foveate.config.data import DataConfig, TestViews
from foveate.config.networks import BackboneConfig, NetworkConfig, PlainConfig, ProbeConfig
from foveate.data.datasets import DatasetFormat
from foveate.errors import UserError
from foveate.evaluation.calibration import BINS, Judged, reliability
from foveate.evaluation.conformal import conformal_sets, conformal_threshold
from foveate.evaluation.error_rate import confidence_threshold
from foveate.evaluation.predictions import PredictionTable, read_predictions
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import (
    Calibration,
    HeldOut,
    HeldOutSource,
    keep_calibrated,
    read_calibration,
    read_held_out,
    write_calibration,
    write_held_out,
)
from foveate.runs.run import Run
from foveate.s3n.config import S3NConfig
from foveate.workflows.evaluate import evaluate
from foveate.workflows.model import load
from foveate.workflows.train import train
from foveate.workflows.tune import tune
from zooms import QUIET, SLOW, made_of, silent

BACKBONE = BackboneConfig(architecture="test_efficientnet", weights="none")


def with_validation(quick: TrainConfig, network: NetworkConfig) -> TrainConfig:
    return replace(quick, network=network, data=replace(quick.data, validation_fraction=0.34))


@pytest.fixture(scope="module")
def validated(quick: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    lines: list[str] = []
    config = with_validation(quick, PlainConfig(backbone=BACKBONE))
    return train(config, tmp_path_factory.mktemp("validated") / "run", say=lines.append), lines


@pytest.fixture(scope="module")
def validated_s3n(quick: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = with_validation(quick, S3NConfig(backbone=BACKBONE))
    return train(config, tmp_path_factory.mktemp("validated") / "s3n", say=silent)


def copied(run: Run, folder: Path) -> Run:
    return Run.open(shutil.copytree(run.path, folder / "own", ignore=shutil.ignore_patterns("checkpoints", "logs")))


def drawn(run: Run, photographs: int, seed: int = 0) -> PredictionTable:
    """Answers of a network that is right as often as it says."""
    rng, classes = np.random.default_rng(seed), len(run.class_names)
    probabilities = rng.dirichlet(np.full(classes, 0.5), photographs).astype(np.float32)
    labels = np.array([rng.choice(classes, p=each / each.sum()) for each in probabilities.astype(float)])
    return PredictionTable(tuple(map(str, range(photographs))), labels, probabilities, run.class_names)


@pytest.fixture
def kept(quick_run: Run, tmp_path: Path) -> Run:
    """A run whose held-out answers are many, drawn, and calibrated by a temperature of 2."""
    run = copied(quick_run, tmp_path)
    write_held_out(run.path, {Branch.ORIGINAL: drawn(run, 400)}, HeldOutSource.OUT_OF_FOLD, 5)
    write_calibration(run.path, Calibration(temperature=2.0))
    return run


@pytest.fixture(scope="module")
def birds(plumage: Path) -> list[Path]:
    return sorted(plumage.glob("images/*/*.jpg"))[:8]


def test_a_training_keeps_its_validation_answers(validated: tuple[Run, list[str]]) -> None:
    """They are those of the chosen epoch's network: as it is evaluated afterwards, not calibrated."""
    run, lines = validated
    held_out, calibration = read_held_out(run.path), read_calibration(run.path)
    assert held_out is not None
    assert (held_out.source, held_out.folds, list(held_out.answers)) == (
        HeldOutSource.VALIDATION,
        None,
        [Branch.ORIGINAL],
    )
    shutil.move(run.path / "calibration.json", run.path / "aside")
    raw = evaluate(run, split="validation", context=QUIET)
    shutil.move(run.path / "aside", run.path / "calibration.json")
    assert held_out.decision.ids == raw.table.ids
    assert_array_equal(held_out.decision.labels, raw.table.labels)
    assert_allclose(held_out.decision.probabilities, raw.table.probabilities, rtol=1e-4, atol=1e-6)
    (line,) = (each for each in lines if "temperature" in each)
    assert line == "temperature 1: 8 held-out photographs (validation) are too few to fit one; that takes at least 20"
    assert calibration == Calibration()


def test_a_temperature_is_fitted_to_enough_and_the_line_says_what_it_does(tmp_path: Path, quick_run: Run) -> None:
    answers = drawn(quick_run, 30)
    held_out = HeldOut({Branch.ORIGINAL: answers}, HeldOutSource.VALIDATION, None)
    line, calibration = keep_calibrated(tmp_path, held_out), read_calibration(tmp_path)
    errors = [
        reliability(Judged.of(each.probabilities, each.labels), BINS).error
        for each in (held_out.decision, held_out.decided(calibration))
    ]
    assert calibration.temperature != 1
    assert line.startswith(f"temperature {calibration.temperature:.2f}, fitted to 30 held-out photographs (validation)")
    assert f"{100 * errors[0]:.1f}% before, {100 * errors[1]:.1f}% after" in line


def test_without_a_validation_split_nothing_is_kept(quick_run: Run) -> None:
    assert read_held_out(quick_run.path) is None
    assert read_calibration(quick_run.path) == Calibration()


def test_every_branch_is_kept(validated_s3n: Run) -> None:
    held_out = read_held_out(validated_s3n.path)
    assert held_out is not None
    assert set(held_out.answers) == {
        Branch.ORIGINAL,
        Branch.DISCRIMINATIVE,
        Branch.COMPLEMENTARY,
        Branch.JOINT,
    }
    evaluate(validated_s3n, split="validation", context=QUIET)
    for branch, table in held_out.answers.items():
        file = validated_s3n.path / f"evaluation/validation-centre-{branch.value}.parquet"
        assert_allclose(table.probabilities, read_predictions(file).probabilities, rtol=1e-3, atol=1e-5)


def probe_of(quick: TrainConfig, data: DataConfig, folds: int = 5) -> TrainConfig:
    network = ProbeConfig(backbone=BACKBONE, folds=folds)
    return TrainConfig(data=data, transforms=quick.transforms, network=network, hardware=quick.hardware)


def test_a_probe_keeps_its_answers_out_of_fold(quick: TrainConfig, tmp_path: Path) -> None:
    run = train(probe_of(quick, quick.data, folds=3), tmp_path / "probe", say=silent)
    held_out = read_held_out(run.path)
    assert held_out is not None
    assert (held_out.source, held_out.folds, held_out.photographs) == (HeldOutSource.OUT_OF_FOLD, 3, 24)
    assert set(held_out.decision.ids) == run.trained_ids()
    right = held_out.decision.probabilities.argmax(1) == held_out.decision.labels
    assert right.mean() == pytest.approx(run.metrics()["held-out/top1"])
    assert read_calibration(run.path).temperature != 1


@pytest.mark.parametrize("method", ["probe", "s3n"])
def test_the_only_photograph_of_a_class_is_held_out_nowhere(quick: TrainConfig, tmp_path: Path, method: str) -> None:
    """The others are, with all their branches; nothing of it is kept."""
    (tmp_path / "alone.txt").write_text(
        "\n".join(sorted(each.id for each in load_splits(quick.data).train if each.label == 0)[1:])
    )
    data = replace(quick.data, exclude=(str(tmp_path / "alone.txt"),))
    config = probe_of(quick, data, folds=3)
    if method == "s3n":
        config = replace(config, network=replace(S3NConfig.without_training(), backbone=BACKBONE))
    run = train(config, tmp_path / "run", say=silent)
    held_out = read_held_out(run.path)
    assert held_out is not None
    single = next(each.id for each in load_splits(data).train if each.label == 0)
    assert run.trained_ids() - set(held_out.decision.ids) == {single}
    assert all(np.isfinite(each.probabilities).all() for each in held_out.answers.values())
    assert len(held_out.answers) == (4 if method == "s3n" else 1)
    assert np.isfinite([each for name, each in run.metrics().items() if name.startswith("held-out/")]).all()


def test_one_photograph_a_class_holds_none_out(quick: TrainConfig, tmp_path: Path) -> None:
    few = replace(quick.data, validation_fraction=0.0, exclude=())
    root = tmp_path / "few"
    for bird in sorted(few.root.glob("images/*/*.jpg")):
        target = root / bird.parent.name / bird.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not list(target.parent.iterdir()):
            shutil.copy(bird, target)
    data = replace(few, root=root, format=DatasetFormat.FOLDER, test_fraction=0.0)
    run = train(probe_of(quick, data), tmp_path / "probe", say=silent)
    assert read_held_out(run.path) is None
    with pytest.raises(UserError, match="keeps no answers to any"):
        load(run.path, hardware=SLOW).predict(next(root.glob("*/*.jpg")), coverage=0.5)


def test_a_temperature_of_one_changes_no_bit(quick_run: Run, birds: list[Path], tmp_path: Path) -> None:
    run = copied(quick_run, tmp_path)
    before = list(load(run.path, hardware=SLOW).predict_many(birds)), evaluate(run, context=QUIET)
    write_calibration(run.path, Calibration())
    after = list(load(run.path, hardware=SLOW).predict_many(birds)), evaluate(run, context=QUIET)
    assert before[0] == after[0]
    assert_array_equal(before[1].table.probabilities, after[1].table.probabilities)
    assert before[1].table.metadata == after[1].table.metadata


@pytest.mark.parametrize("views", [TestViews.CENTRE, TestViews.FLIP])
def test_answers_are_calibrated_wherever_they_are_given(
    kept: Run, quick_run: Run, birds: list[Path], views: TestViews
) -> None:
    raw = load(quick_run.path, hardware=SLOW).predict_many(birds, top=9, views=views)
    told = load(kept.path, hardware=SLOW).predict_many(birds, top=9, views=views)
    for before, after in zip(raw, told, strict=True):
        roots = np.sqrt([each.probability for each in before.top])
        assert [each.class_name for each in after.top] == [each.class_name for each in before.top]
        assert_allclose([each.probability for each in after.top], roots / roots.sum(), rtol=1e-4)
        assert after.entropy > before.entropy
    done, without = (
        evaluate(each, views=views, context=QUIET) for each in (kept, copied(quick_run, kept.path.parent / "raw"))
    )
    assert done.table.metadata["temperature"] == "2.0"
    roots = np.sqrt(without.table.probabilities)
    assert_allclose(done.table.probabilities, roots / roots.sum(1, keepdims=True), rtol=1e-4)
    assert done.accuracy == without.accuracy
    assert done.calibration.uncalibrated_error == pytest.approx(without.calibration.calibrated_error, abs=1e-6)


def test_sets_and_doubt_are_those_of_the_held_out_answers(kept: Run, birds: list[Path]) -> None:
    held_out = read_held_out(kept.path)
    assert held_out is not None
    table = held_out.decided(read_calibration(kept.path))
    threshold = conformal_threshold(table.probabilities, table.labels, 0.9)
    confidence = confidence_threshold(Judged.of(table.probabilities, table.labels), 0.4)
    assert 0.3 < confidence < 1
    answers = list(load(kept.path, hardware=SLOW).predict_many(birds, top=1, error_rate=0.4, coverage=0.9))
    every = list(load(kept.path, hardware=SLOW).predict_many(birds, top=9))
    for answer, whole in zip(answers, every, strict=True):
        probabilities = np.array([[each.probability for each in whole.top]])
        size = int(conformal_sets(probabilities, threshold).sum())
        assert answer.prediction_set == whole.top[:size]
        assert answer.sure == (answer.best.probability >= confidence)
        assert answer.top == whole.top[:1]
        assert whole.prediction_set is None
    assert {answer.sure for answer in answers} == {True, False}


def test_the_command_line_says_and_writes_them(
    kept: Run, birds: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [kept.path, *birds, "--top", 1, "--coverage", 0.9, "--error-rate", 0.4, "--hardware.workers", 0]
    answers = list(load(kept.path).predict_many(birds, top=1, error_rate=0.4, coverage=0.9))
    assert status("predict", *asked) == 0
    for line, answer in zip(capsys.readouterr().out.splitlines(), answers, strict=True):
        assert answer.prediction_set is not None
        assert line.endswith(f"  set: {', '.join(each.class_name for each in answer.prediction_set)}")
        assert ("not sure, best: " in line) is not answer.sure
    files = [kept.path / f"answers.{ending}" for ending in ("csv", "json", "parquet")]
    for file in files:
        assert status("predict", *asked, "--out", file) == 0
    with files[0].open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert json.loads(files[1].read_text()) == pq.read_table(files[2]).to_pylist()
    assert [row["in_set"] == "True" for row in rows] == [each["in_set"] for each in pq.read_table(files[2]).to_pylist()]
    for answer in answers:
        mine = [row for row in rows if row["image"] == answer.image]
        assert [row["class_name"] for row in mine] == [each.class_name for each in answer.prediction_set or ()]
        assert all(row["in_set"] == "True" for row in mine)
    assert status("predict", *asked[:-6], "--hardware.workers", 0, "--out", files[0]) == 0
    assert "in_set" not in files[0].read_text()


def test_an_evaluation_measures_what_was_promised(kept: Run) -> None:
    write_held_out(kept.path, {Branch.ORIGINAL: drawn(kept, 60)}, HeldOutSource.OUT_OF_FOLD, 5)
    done = evaluate(kept, context=QUIET)
    table, held_out = done.table, read_held_out(kept.path)
    assert held_out is not None
    promised = held_out.decided(read_calibration(kept.path))
    assert [each.asked for each in done.calibration.sets] == [0.9, 0.95]
    for each in done.calibration.sets:
        sets = conformal_sets(
            table.probabilities, conformal_threshold(promised.probabilities, promised.labels, each.asked)
        )
        assert each.mean_size == pytest.approx(sets.sum(1).mean())
        assert each.covered == pytest.approx(
            np.mean([row[label] for row, label in zip(sets, table.labels, strict=True)])
        )
    assert done.calibration.held_out == 60
    (refused,) = done.calibration.refused
    assert "where it is surest" in refused
    assert refused in done.report.read_text()
    written = json.loads(done.report.with_suffix(".json").read_text())["calibration"]
    assert written["sets"][0][1] == done.calibration.sets[0].covered
    report = done.report.read_text()
    assert f"Calibration error {100 * done.calibration.calibrated_error:.1f}% at temperature 2.00" in report
    assert "By 60 held-out photographs" in report


def test_a_split_that_was_held_out_promises_nothing_of_itself(validated: tuple[Run, list[str]]) -> None:
    run, _ = validated
    assert evaluate(run, split="validation", context=QUIET).calibration.held_out is None
    assert evaluate(run, context=QUIET).calibration.held_out == 8


def test_looking_closer_where_unsure_is_held_out_too(validated_s3n: Run, birds: list[Path], tmp_path: Path) -> None:
    """Held-out first looks that are sure and right make small sets where the others, which are wrong, are not asked."""
    held_out = read_held_out(validated_s3n.path)
    assert held_out is not None
    assert held_out.gated(None) is held_out
    first, joint = (held_out.answers[each].probabilities for each in (Branch.ORIGINAL, Branch.JOINT))
    entropy = -(first * np.log(first)).sum(1)
    middle = float(np.median(entropy))
    gated = held_out.gated(middle).decision.probabilities
    assert_array_equal(gated, np.where(entropy[:, None] > middle, joint, first))
    run = copied(validated_s3n, tmp_path)
    table = replace(held_out.decision, labels=np.zeros(8, np.int32))
    sure, wrong = (
        replace(table, probabilities=np.array([[true, *[(1 - true) / 3] * 3]] * 8, np.float32)) for true in (0.97, 0.01)
    )
    write_held_out(run.path, {Branch.ORIGINAL: sure, Branch.JOINT: wrong}, HeldOutSource.VALIDATION)
    write_calibration(run.path, Calibration())
    for threshold, classes in ((1.0, 1), (None, 4)):
        model = load(run.path, hardware=SLOW, zoom_entropy_threshold=threshold)
        answer = model.predict(birds[0], coverage=0.6)
        assert answer.prediction_set is not None
        assert len(answer.prediction_set) == classes
        done = evaluate(run, zoom_entropy_threshold=threshold, context=QUIET)
        assert done.calibration.refused  # 8 photographs are too few for 90%
        assert done.calibration.held_out == 8


def test_a_tuned_guided_zoom_keeps_its_own(
    validated: tuple[Run, list[str]], evidence: TrainConfig, birds: list[Path], tmp_path: Path
) -> None:
    run, _ = validated
    made_of(run, tmp_path / "zoom", evidence)
    with pytest.raises(UserError, match=r"`foveate tune` keeps them"):
        load(tmp_path / "zoom", hardware=SLOW).predict(birds[0], coverage=0.6)
    lines: list[str] = []
    tune(tmp_path / "zoom", context=RunContext(hardware=SLOW, say=lines.append))
    assert any("8 held-out photographs (validation) are too few" in line for line in lines)
    held_out = read_held_out(tmp_path / "zoom")
    assert held_out is not None
    write_calibration(tmp_path / "zoom", Calibration())
    model = load(tmp_path / "zoom", hardware=SLOW)
    for identity, row in zip(held_out.decision.ids, held_out.decision.probabilities, strict=True):
        answer = model.predict(run.config.data.root / identity, top=9)
        named = {each.class_name: each.probability for each in answer.top}
        assert_allclose([named[name] for name in run.class_names], row, rtol=1e-2, atol=1e-4)
    raw = model.predict(birds[0], top=9)
    write_calibration(tmp_path / "zoom", Calibration(temperature=2.0))
    told = load(tmp_path / "zoom", hardware=SLOW).predict(birds[0], top=9, coverage=0.6)
    roots = np.sqrt([each.probability for each in raw.top])
    assert_allclose([each.probability for each in told.top], roots / roots.sum(), rtol=1e-3)
    zoom = GuidedZoomRun.open(tmp_path / "zoom")
    refinement = zoom.description.refinement
    assert read_held_out(zoom.with_refinement(refinement, "validation").path) is not None
    other = replace(refinement, top_k=1 if refinement.top_k > 1 else 2)
    assert read_held_out(zoom.with_refinement(other, None).path) is None
    assert read_calibration(zoom.path) == Calibration()


def _other_classes(run: Run) -> None:
    table = replace(drawn(run, 30), class_names=("a", "b", "c", "d"))
    write_held_out(run.path, {Branch.ORIGINAL: table}, HeldOutSource.VALIDATION)


PROBLEMS: dict[str, tuple[Callable[[Run], object], list[object], str]] = {
    "none": (lambda run: shutil.rmtree(run.path / "held_out"), ["--coverage", 0.9], "train with --data.validation-fr"),
    "too few": (
        lambda run: write_held_out(run.path, {Branch.ORIGINAL: drawn(run, 18)}, HeldOutSource.VALIDATION),
        ["--coverage", 0.95],
        "a coverage of 0.95 takes at least 19 held-out photographs; got 18",
    ),
    "too few for the rate": (
        lambda run: write_held_out(run.path, {Branch.ORIGINAL: drawn(run, 113)}, HeldOutSource.VALIDATION),
        ["--error-rate", 0.02],
        "an error rate of 0.02 takes at least 114 held-out photographs; got 113",
    ),
    "never so sure": (lambda run: None, ["--error-rate", 0.01], "where it is surest"),
    "other classes": (_other_classes, ["--coverage", 0.9], "are of others; restore its held_out"),
    "damaged": (
        lambda run: (run.path / "held_out/original.parquet").write_bytes(b"PAR1"),
        ["--coverage", 0.9],
        "original.parquet",
    ),
    "a damaged calibration": (lambda run: (run.path / "calibration.json").write_text("{"), [], "must be JSON"),
    "both rules": (lambda run: None, ["--error-rate", 0.1, "--entropy-threshold", 1], "not by both"),
    "per cent": (lambda run: None, ["--coverage", 95], "between 0 and 1, 0.95 for 95%; got 95"),
    "no rate": (lambda run: None, ["--error-rate", 0], "between 0 and 1, 0.02 for 2%; got 0"),
    "names alone": (lambda run: None, ["--names-only", "--coverage", 0.9], "leave out --top, --entropy-threshold"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_bad_input_is_named(kept: Run, birds: list[Path], capsys: pytest.CaptureFixture[str], name: str) -> None:
    damage, options, message = PROBLEMS[name]
    damage(kept)
    assert status("predict", kept.path, birds[0], *options, "--hardware.workers", 0) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert "Traceback" not in said


def test_in_python_both_rules_are_refused(kept: Run, birds: list[Path]) -> None:
    with pytest.raises(UserError, match=r"not by both; got entropy_threshold 1 and error_rate 0.1"):
        load(kept.path, hardware=SLOW).predict(birds[0], entropy_threshold=1.0, error_rate=0.1)
