"""What an evaluation writes agrees with itself and with the network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy.special import entr
from torch.utils.flop_counter import FlopCounterMode

from foveate.config.branches import Branch
from foveate.config.data import DataConfig, TestViews
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, NetworkConfig, PlainConfig
from foveate.config.optimiser import OptimiserConfig, Schedule
from foveate.data.images import read_image
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.data.records import labels_of
from foveate.errors import UserError
from foveate.evaluation.predictions import read_predictions
from foveate.inference.classifier import Calibration, Classifier
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.report.results import summary_table
from foveate.runs.context import RunContext
from foveate.runs.environment import environment
from foveate.runs.held_out import write_calibration
from foveate.runs.run import Run, RunDescription
from foveate.s3n.config import AttentionKind, Branches, EntropySource, Partition, S3NConfig
from foveate.s3n.network import S3N
from foveate.workflows.evaluate import Evaluation, evaluate
from foveate.workflows.model import load
from foveate.workflows.result_rows import schedule_of
from miniatures import write_cub, write_folder

_VIEWS = (Branch.ORIGINAL, Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY, Branch.JOINT)


def silent(line: str) -> None:
    """Take a line of progress and say nothing."""


@pytest.fixture(scope="module")
def own_run(quick_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the trained run that these tests write into."""
    path = tmp_path_factory.mktemp("evaluate") / "own"
    return Run.open(shutil.copytree(quick_run.path, path, ignore=shutil.ignore_patterns("checkpoints", "logs")))


@pytest.fixture(scope="module")
def evaluated(own_run: Run) -> Evaluation:
    return evaluate(own_run, context=RunContext(hardware=own_run.config.hardware, say=silent))


def test_the_table_agrees_with_the_report(evaluated: Evaluation, own_run: Run) -> None:
    """Accuracy recomputed from the table, and labels from the folders' names: `images/003.species/...`."""
    table = read_predictions(evaluated.report.with_suffix(".parquet"))
    assert len(table.ids) == 4 * 3
    labels = np.array([int(image.split("/")[1].split(".")[0]) - 1 for image in table.ids])
    assert_array_equal(table.labels, labels)
    assert table.class_names == own_run.class_names
    assert_allclose(table.probabilities.sum(axis=1), 1, rtol=1e-5)
    right = table.probabilities.argmax(axis=1) == labels
    within_three = [label in np.argsort(-row)[:3] for row, label in zip(table.probabilities, labels, strict=True)]
    told = json.loads(evaluated.report.with_suffix(".json").read_text(encoding="utf-8"))
    assert told["accuracy"]["top1"]["value"] == pytest.approx(right.mean())
    assert told["accuracy"]["top3"]["value"] == pytest.approx(np.mean(within_three))
    assert told["accuracy"]["top5"]["value"] == 1
    assert (told["accuracy"]["images"], told["accuracy"]["classes"]) == (12, 4)
    assert (told["split"], told["views"], told["dataset"]) == ("test", "centre", "plumage")
    report = evaluated.report.read_text(encoding="utf-8")
    (top1,) = (line.split("|")[2].strip() for line in report.splitlines() if "top-1" in line)
    assert top1 == f"{100 * right.mean():.1f}"
    assert "12 images, 4 classes" in report


def test_each_branch_and_the_mean_of_all_is_measured(s3n_run: Run, tmp_path: Path) -> None:
    own = Run.open(shutil.copytree(s3n_run.path, tmp_path / "s3n", ignore=shutil.ignore_patterns("checkpoints")))
    done = evaluate(own, context=RunContext(hardware=own.config.hardware, results=tmp_path / "rows.jsonl", say=silent))
    names = ("original", "discriminative", "complementary", "joint")
    tables = [read_predictions(done.report.with_name(f"test-centre-{name}.parquet")) for name in names]
    right = [(table.probabilities.argmax(1) == table.labels).mean() for table in tables]
    right.append((np.mean([table.probabilities for table in tables], axis=0).argmax(1) == tables[0].labels).mean())
    told = {name: top1.value for name, top1 in done.branches.items()}
    assert told == pytest.approx(dict(zip((*names, "mean"), right, strict=True)))
    assert_array_equal(done.table.probabilities, tables[3].probabilities)
    row = json.loads((tmp_path / "rows.jsonl").read_text(encoding="utf-8"))
    assert (row["method"], row["preset"], row["input_size"], row["source_size"]) == ("s3n", "foveate", 64, 96)
    assert (row["decides_from"], row["attention"], row["partition"]) == ("o+d+c", None, None)
    assert row["branches"] == {name: round(100 * value, 2) for name, value in told.items()}
    assert row["milliseconds"] > 0
    backbone = own.load_network().backbone
    with FlopCounterMode(display=False) as counter:
        backbone(torch.zeros(1, 3, 64, 64))
    assert row["gflop"] == pytest.approx(3 * counter.get_total_flops() / 1e9, rel=0.06)  # beside them it does little
    results = tmp_path / "more.jsonl"
    context = RunContext(hardware=own.config.hardware, results=results, say=silent)
    evaluate(own, views=TestViews.FLIP, context=context)
    evaluate(own, branch=Branch.ORIGINAL, context=context)
    more = [json.loads(line)["gflop"] for line in results.read_text(encoding="utf-8").splitlines()]
    assert more == pytest.approx([2 * row["gflop"], row["gflop"] / 3], rel=0.06)
    older = {name: value for name, value in row.items() if name != "gflop"}
    results.write_text(json.dumps(older) + "\n", encoding="utf-8")
    evaluate(own, context=context)
    assert len(results.read_text(encoding="utf-8").splitlines()) == 1, "it was measured before"
    assert "top-1, complementary" in done.report.read_text(encoding="utf-8")


def test_looking_closer_where_unsure_answers_as_foretold(s3n_run: Run, tmp_path: Path) -> None:
    own = Run.open(shutil.copytree(s3n_run.path, tmp_path / "s3n", ignore=shutil.ignore_patterns("checkpoints")))
    full = evaluate(own, context=RunContext(hardware=own.config.hardware, say=silent))
    half = full.gate[5]
    assert 0.2 < half.share < 0.8
    done = evaluate(
        own,
        zoom_entropy_threshold=half.above,
        context=RunContext(hardware=own.config.hardware, results=tmp_path / "rows.jsonl", say=silent),
    )
    first = read_predictions(full.report.with_name("test-centre-original.parquet")).probabilities
    asked = entr(first).sum(1) > half.above
    wanted = np.where(asked[:, None], full.table.probabilities, first)
    assert_allclose(done.table.probabilities, wanted, rtol=1e-3, atol=1e-5)
    assert done.accuracy.top1.value == pytest.approx(half.top1)
    assert (asked.mean(), set(done.branches)) == (half.share, {"original", "joint"})
    assert (done.report.name, done.gate) == (f"test-centre-above-{half.above:g}.md", (replace(half, changed=None),))
    assert json.loads(done.report.with_suffix(".json").read_text())["report"] == done.report.stem
    row = json.loads((tmp_path / "rows.jsonl").read_text(encoding="utf-8"))
    assert (row["zoom_entropy_threshold"], row["looked_again"]) == (half.above, round(100 * half.share, 2))
    assert (row["passes"], row["gflop"]) == (round(1 + 2 * half.share, 3), None)
    assert f"| {half.above:.4f} " in full.report.read_text(encoding="utf-8")
    assert read_predictions(full.report.with_suffix(".parquet")).metadata.get("zoom_entropy_threshold") is None
    model = load(own.path, hardware=own.config.hardware, zoom_entropy_threshold=half.above)
    for index in (int(asked.argmax()), int(asked.argmin())):
        best = model.predict(read_image(done.records[index].image)).best
        assert best.class_name == own.class_names[wanted[index].argmax()]
        assert best.probability == pytest.approx(wanted[index].max(), rel=1e-3)


def test_one_branch_answers_alone(s3n_run: Run, tmp_path: Path) -> None:
    """As it does among all, for one pass; and the full evaluation's files stay."""
    own = Run.open(shutil.copytree(s3n_run.path, tmp_path / "s3n", ignore=shutil.ignore_patterns("checkpoints")))
    context = RunContext(hardware=own.config.hardware, results=tmp_path / "rows.jsonl", say=silent)
    full = evaluate(own, context=context)
    kept = {file: file.read_bytes() for file in (own.path / "evaluation").iterdir()}
    for branch, passes in (("original", 1), ("discriminative", 2)):
        alone = evaluate(own, branch=branch, context=context)
        first = read_predictions(full.report.with_name(f"test-centre-{branch}.parquet"))
        assert_allclose(alone.table.probabilities, first.probabilities, rtol=1e-4, atol=1e-6)
        assert (alone.accuracy.top1, alone.passes, alone.gate) == (full.branches[branch], passes, ())
        assert alone.report.name == f"test-centre-{branch}-alone.md"
        assert alone.table.metadata["branch"] == branch
    assert {file: file.read_bytes() for file in kept} == kept
    written = {file.name for file in (own.path / "evaluation").iterdir()} - {file.name for file in kept}
    assert written == {
        f"test-centre-{branch}-alone.{ending}"
        for branch in ("original", "discriminative")
        for ending in ("md", "json", "parquet")
    }
    assert full.passes == 3
    assert evaluate(own, branch=Branch.ORIGINAL, views=TestViews.FLIP, context=context).passes == 2
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row.get("branch"), row["passes"]) for row in rows] == [
        (None, 3),
        ("original", 1),
        ("discriminative", 2),
        ("original", 2),
    ]
    assert [line.split("|")[1].strip() for line in summary_table(rows).splitlines()[2:]] == [
        "s3n (foveate, o+d+c)",
        "s3n (foveate, o+d+c, original view alone)",
        "s3n (foveate, o+d+c, discriminative view alone)",
        "s3n (foveate, o+d+c, original view alone)",
    ]


def test_a_branch_that_is_not_there_is_refused(own_run: Run, s3n_run: Run) -> None:
    with pytest.raises(UserError, match=r"must be one of the network's, original, as it is a PlainNetwork; got joint"):
        evaluate(own_run, branch="joint", context=RunContext(say=silent))
    with pytest.raises(UserError, match=r"original, discriminative, complementary, joint, as it is a S3N; got object"):
        load(s3n_run.path, branch="object")
    with pytest.raises(UserError, match=r"got branch original and zoom_entropy_threshold 1.0; leave one of them out"):
        load(s3n_run.path, branch="original", zoom_entropy_threshold=1.0)


def test_weights_of_the_views_decide_what_is_evaluated_and_predicted(s3n_run: Run, tmp_path: Path) -> None:
    own = Run.open(shutil.copytree(s3n_run.path, tmp_path / "s3n", ignore=shutil.ignore_patterns("checkpoints")))
    context = RunContext(hardware=own.config.hardware, results=tmp_path / "rows.jsonl", say=silent)
    before = evaluate(own, context=context)
    weights = {"original": 0.75, "complementary": 0.25}
    write_calibration(own.path, Calibration(view_weights=weights))
    done = evaluate(own, context=context)
    first, third = (
        read_predictions(done.report.with_name(f"test-centre-{name}.parquet")).probabilities.astype(np.float64)
        for name in weights
    )
    wanted = first**0.75 * third**0.25
    assert_allclose(done.table.probabilities, wanted / wanted.sum(1, keepdims=True), rtol=1e-4)
    assert np.abs(done.table.probabilities - before.table.probabilities).max() > 1e-3
    assert done.branches == {**before.branches}
    assert (before.passes, done.passes) == (3, 2)
    row = json.loads((tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert row["view_weights"] == weights
    best = load(own.path, hardware=own.config.hardware).predict(read_image(done.records[0].image)).best
    assert best.probability == pytest.approx(done.table.probabilities[0].max(), rel=1e-3)
    half = done.gate[5]
    gated = evaluate(own, zoom_entropy_threshold=half.above, context=context)
    asked = entr(first).sum(1) > half.above
    assert 0 < asked.sum() < len(asked)
    assert_allclose(
        gated.table.probabilities, np.where(asked[:, None], done.table.probabilities, first), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize(
    ("weighed", "mend"), [(False, "`foveate tune {}` lets held-out photographs choose; "), (True, "")]
)
def test_a_view_that_is_better_than_all_together_is_told(
    s3n_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weighed: bool, mend: str
) -> None:
    """Of twelve photographs the joint answer is right on six, the third view on these and three more."""
    own = Run.open(shutil.copytree(s3n_run.path, tmp_path / "s3n", ignore=shutil.ignore_patterns("checkpoints")))
    labels = labels_of(load_splits(own.config.data).test)
    answers = {branch: _right_on(labels, count) for branch, count in zip(_VIEWS, (5, 6, 9, 6), strict=True)}
    monkeypatch.setattr("foveate.workflows.evaluate._collected", lambda *_: (answers, 1.0))
    if weighed:
        write_calibration(own.path, Calibration(view_weights={"joint": 1.0}))
    said: list[str] = []
    context = RunContext(hardware=own.config.hardware, say=said.append)
    evaluate(own, context=context)
    assert said[-1] == (
        "warning: all views together are right on 50.0% of these photographs, the complementary view alone on 75.0%, "
        f"25.0 points more, beyond one standard error (14.4, paired); {mend.format(own.path)}--branch complementary "
        "answers by that alone"
    )
    said.clear()
    answers[Branch.COMPLEMENTARY] = answers[Branch.ORIGINAL]
    evaluate(own, context=context)
    answers[Branch.COMPLEMENTARY] = _right_on(labels, 9)
    evaluate(own, branch="joint", context=context)
    assert not any(line.startswith("warning") for line in said)


def _right_on(labels: Sequence[int], count: int) -> Float[np.ndarray, "n 4"]:
    """Answers of which the first so many are right."""
    answers = [label if place < count else (label + 1) % 4 for place, label in enumerate(labels)]
    return np.eye(4, dtype=np.float32)[answers]


def test_where_to_look_closer_is_checked(own_run: Run, s3n_run: Run) -> None:
    with pytest.raises(UserError, match=r"looks closer; this one, a PlainNetwork, looks once"):
        evaluate(own_run, zoom_entropy_threshold=1.0, context=RunContext(say=silent))
    with pytest.raises(UserError, match=r"zoom_entropy_threshold must not be negative, in nats; got -1"):
        load(s3n_run.path, zoom_entropy_threshold=-1.0)
    alone = S3NConfig(backbone=BackboneConfig(architecture="test_resnet", weights="none"), branches=Branches.O)
    with pytest.raises(UserError, match=r"looks closer; this S3N decides from the first view alone"):
        Classifier.place(S3N.create(alone, 3, 96), HardwareConfig(), zoom_entropy_threshold=1.0)
    model = load(s3n_run.path, hardware=s3n_run.config.hardware, zoom_entropy_threshold=1.0)
    grey = Image.new("RGB", (96, 96), "grey")
    with pytest.raises(UserError, match=r"one view of a photograph is looked at, and then closer; got 2"):
        model.predict(grey, views=TestViews.FLIP)
    with pytest.raises(UserError, match=r"zoom_entropy_threshold, 1.0, must not be above entropy_threshold, 0.5"):
        model.predict(grey, entropy_threshold=0.5)


@pytest.mark.parametrize(
    ("config", "preset", "attention", "partition"),
    [
        (S3NConfig(), "foveate", None, None),
        (S3NConfig.from_probes(), "foveate", None, None),
        (S3NConfig(radius_rate=0.0), "own", None, None),
        (S3NConfig.reference(BackboneConfig(architecture="resnet50")), "reference", None, None),
        (replace(S3NConfig.paper(), radius_rate=0.01, views_together=True), "former paper", None, None),
        (
            replace(S3NConfig.reference(), entropy_from=EntropySource.CLASS_MAPS, views_together=True),
            *("former reference", None, None),
        ),
        (S3NConfig(attention=AttentionKind.SALIENCY), "foveate", "saliency", None),
        (replace(S3NConfig.paper(), test_partition=Partition.ALL), "paper", None, "probability/all"),
        (S3NConfig(train_partition=Partition.RANDOM, test_partition=Partition.RANDOM), "foveate", None, "random"),
        (S3NConfig(radius=0.2, test_partition=Partition.RANDOM), "own", None, "all/random"),
        (PlainConfig(), None, None, None),
    ],
)
def test_a_row_says_what_the_tables_compare(
    config: NetworkConfig, preset: str | None, attention: str | None, partition: str | None
) -> None:
    told = config.settings()
    assert (told["preset"], told["attention"], told["partition"]) == (preset, attention, partition)
    assert told["decides_from"] == ("o+d+c" if isinstance(config, S3NConfig) else None)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (OptimiserConfig(), None),
        (OptimiserConfig(schedule=Schedule.STEP, milestones=(39 / 60, 0.9)), "step 0.65 0.9"),
        (OptimiserConfig(schedule=Schedule.COSINE), "cosine"),
    ],
)
def test_a_row_says_how_the_rate_moved_unless_as_usual(config: OptimiserConfig, words: str | None) -> None:
    assert schedule_of(config) == words


def test_flipped_views_give_the_mean_of_the_two(evaluated: Evaluation, own_run: Run) -> None:
    flipped = evaluate(own_run, views=TestViews.FLIP, context=RunContext(hardware=own_run.config.hardware, say=silent))
    assert flipped.report.name == "test-flip.md"
    views = EvaluationViews(evaluated.records, own_run.config.transforms)
    classifier = Classifier.place(own_run.load_network(), own_run.config.hardware)
    mirrored = torch.cat(
        [classifier.probabilities(batch.images.flip(3)) for batch in evaluation_loader(views, 5, workers=0)]
    ).numpy()
    assert_allclose(flipped.table.probabilities, (evaluated.table.probabilities + mirrored) / 2, rtol=1e-4, atol=1e-6)
    assert np.abs(mirrored - evaluated.table.probabilities).max() > 1e-4


def test_a_data_set_that_has_moved_is_found_through_its_root(
    evaluated: Evaluation, own_run: Run, plumage: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(plumage, tmp_path / "moved")
    gone = replace(own_run.config.data, root=tmp_path / "gone")
    run = Run(own_run.path, replace(own_run.description, config=replace(own_run.config, data=gone)))
    with pytest.raises(UserError, match=r"folder must exist; got .*gone"):
        evaluate(run, context=RunContext(say=silent))
    before, said = evaluated.report.with_suffix(".json").read_text(encoding="utf-8"), list[str]()
    done = evaluate(run, context=RunContext(root=moved, batch_size=5, hardware=run.config.hardware, say=said.append))
    answers = done.table
    assert evaluated.report.with_suffix(".json").read_text(encoding="utf-8") == before
    assert (done.report.name, said[-1]) == (
        "test-centre-root-moved.md",
        "test-centre.md was measured with another root and stays; this is test-centre-root-moved.md",
    )
    assert answers.ids == evaluated.table.ids
    assert_allclose(answers.probabilities, evaluated.table.probabilities, rtol=1e-4, atol=1e-6)


def test_other_classes_are_refused(own_run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classes that it was trained on, 4 of them.* has 3, 'Red Kite 4' first"):
        evaluate(own_run, context=RunContext(root=write_cub(tmp_path), say=silent))


def test_a_split_that_is_not_there_is_refused(own_run: Run) -> None:
    with pytest.raises(
        UserError, match=r"validation split must hold photographs.*train anew with --data.validation-fraction 0.2"
    ):
        evaluate(own_run, split="validation", context=RunContext(say=silent))


def test_photographs_that_were_trained_on_are_no_test(own_run: Run) -> None:
    """As when a folder without a division of its own has grown since the training."""
    data = replace(own_run.config.data, validation_fraction=0.5)
    run = Run(own_run.path, replace(own_run.description, config=replace(own_run.config, data=data)))
    with pytest.raises(UserError, match=r"must not have been trained on; 12 of 12 were, 'images/001"):
        evaluate(run, split="validation", context=RunContext(say=silent))
    assert len(evaluate(run, split="train", context=RunContext(say=silent)).table.ids) == 12


def test_an_unfinished_run_is_refused(tmp_path: Path, quick: TrainConfig) -> None:
    run = Run.start(tmp_path / "run", RunDescription(quick, ("a", "b"), "birds"))
    with pytest.raises(UserError, match=r"model\.safetensors; .* has none; finish its training"):
        evaluate(run, context=RunContext(say=silent))


def test_a_row_of_results_says_what_was_done(evaluated: Evaluation, own_run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    for _ in range(2):
        evaluate(
            own_run, context=RunContext(results=file, hardware=HardwareConfig(accelerator="cpu", workers=0), say=silent)
        )
    (first,) = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())  # not twice
    trained, measuring = own_run.environment(), environment()
    known = {
        "method": "plain",
        "base": "tf_efficientnet_lite0",
        "dataset": "plumage",
        "split": "test",
        "views": "centre",
        "input_size": 64,
        "source_size": 64,
        "seed": 0,
        "top5": 100.0,
        "epochs": 2,
        "schedule": None,
        "minutes": own_run.metrics()["minutes"],
        "row_version": 3,
        "measured": "accuracy",
        "run": own_run.path.name,
        "photographs": 12,
        **{f"trained_{name}": trained[name] for name in ("command", "commit", "hardware")},
        **{f"measured_{name}": measuring[name] for name in ("command", "commit", "hardware")},
    }
    assert {name: first[name] for name in known} == known
    assert 0 <= first["top1"] <= 100
    assert first["top1"] == pytest.approx(100 * evaluated.accuracy.top1.value, abs=0.01)


def test_what_is_to_be_known_of_the_data_set_is_said(quick: TrainConfig, tmp_path: Path) -> None:
    root = write_folder(
        tmp_path / "birds", ["train/ani/1.jpg", "train/crow/1.jpg", "test/ani/3.jpg", "test/zebra/4.jpg"]
    )
    config = replace(quick, data=DataConfig(root=root))
    run = Run.start(tmp_path / "run", RunDescription(config, ("ani", "crow", "zebra"), "birds"))
    run.keep_photographs(load_splits(config.data).train, ())
    said: list[str] = []
    assert len(RunContext(say=said.append).photographs_of(run, "test", announced=True)) == 2
    assert [line.partition(":")[0] for line in said] == ["splits", "warning", "warning"]
    assert "zebra" in said[1]
