"""Localisation and attention of a run, from the photographs to the files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from command_line import status
from foveate.backbones.weights import save_weights
from foveate.config.branches import Branch
from foveate.config.data import DataConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.data.images import read_image
from foveate.errors import UserError
from foveate.evaluation.localisation import THRESHOLDS
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.recipes.methods import create_network
from foveate.runs.context import RunContext
from foveate.runs.run import Run, RunDescription
from foveate.s3n.config import S3NConfig
from foveate.s3n.explanation import S3NExplanation
from foveate.types import Size
from foveate.workflows.analysis.analyse_attention import analyse_attention
from foveate.workflows.analysis.analysed_run import Analysis, boxes_in_view
from foveate.workflows.analysis.localise import localise
from foveate.workflows.evaluate import evaluate
from foveate.workflows.explain import Explainer
from miniatures import write_csv
from oracles.localisation import naive_overlaps, naive_peaks

S3N_BRANCHES = (Branch.ORIGINAL, Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY, Branch.JOINT)


def silent(line: str) -> None:
    """Take a line of progress and say nothing."""


PLACES = 24
"""Where maps are read, along a side: enough for a view of 64 pixels, and quick."""


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveate.workflows.analysis.localise.PLACES", PLACES)


def copied(run: Run, path: Path) -> Run:
    return Run.open(shutil.copytree(run.path, path, ignore=shutil.ignore_patterns("checkpoints", "logs", "epochs")))


@pytest.fixture(scope="module")
def own_run(s3n_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the trained S3N run that these tests write into."""
    return copied(s3n_run, tmp_path_factory.mktemp("localise") / "own")


@pytest.fixture(scope="module")
def analysis(own_run: Run) -> Analysis:
    return Analysis.of(own_run, RunContext(batch_size=5, hardware=own_run.config.hardware, say=silent))


def test_localisation_agrees_with_photographs_one_by_one(own_run: Run, analysis: Analysis) -> None:
    done = localise(own_run, context=RunContext(batch_size=5, hardware=own_run.config.hardware, say=silent))
    assert list(done.branches) == [*S3N_BRANCHES]
    records = load_splits(own_run.config.data).test
    column = 14
    shares: dict[Branch, list[bool]] = {branch: [] for branch in S3N_BRANCHES}
    for record in records:
        view = analysis.first_view(record)
        assert view.output == Size(64, 64)
        assert record.box is not None
        (batch, _), *_ = analysis.batches([record], "one")
        maps = analysis.classifier.branch_maps(batch.images[:, 0], torch.tensor([record.label]), PLACES).maps
        for branch, each in maps.items():
            overlap, _ = naive_overlaps(each[0].double().numpy(), view.box(record.box), 64, THRESHOLDS[column])
            shares[branch].append(overlap >= 0.5)
    for branch, right in shares.items():
        assert done.branches[branch].curve[column] == pytest.approx(np.mean(right), abs=1e-9)


def test_what_is_written_agrees(own_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "rows.jsonl"
    told = ("--hardware.workers", 0, "--hardware.accelerator", "cpu")
    assert status("localise", own_run.path, "--results", results, *told) == 0
    printed = capsys.readouterr().out
    report = own_run.path / "evaluation" / "test-localisation.md"
    assert report.read_text(encoding="utf-8") in printed
    assert "on 4 photographs: 20% of the training photographs, whose classes, not boxes, were trained on" in printed
    content = json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))
    assert content["photographs"] == 12
    assert content["chosen_photographs"] == 4
    (row,) = (json.loads(line) for line in results.read_text(encoding="utf-8").splitlines())
    assert (row["measured"], row["method"], row["split"], row["photographs"]) == ("localisation", "s3n", "test", 12)
    for branch, measured in content["branches"].items():
        assert row["localised"][branch] == round(100 * measured["localised"], 2)
        (line,) = (line for line in report.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {branch} "))
        cells = [cell.strip() for cell in line.split("|")]
        assert cells[2:4] == [f"{100 * measured[name]:.1f}" for name in ("top1", "localised")]
        assert measured["localised"] <= min(measured["top1"], measured["box"])
        assert measured["max_box"] == max(measured["curve"])
        assert measured["chosen_threshold"] in content["thresholds"]
    for picture in ("test-localisation.png", "test-localisation-examples.png"):
        with Image.open(report.with_name(picture)) as image:
            assert image.width > 600


def test_a_plain_network_has_the_original_view_alone(quick_run: Run, tmp_path: Path) -> None:
    done = localise(
        copied(quick_run, tmp_path / "plain"), context=RunContext(hardware=quick_run.config.hardware, say=silent)
    )
    assert list(done.branches) == [Branch.ORIGINAL]
    assert "joint" not in done.markdown


def test_thresholds_are_chosen_on_other_photographs(own_run: Run) -> None:
    """Of a run with a validation split on that; of the training photographs' own measure on a part that is left out."""
    trained = localise(own_run, split="train", context=RunContext(hardware=own_run.config.hardware, say=silent))
    assert (trained.photographs, trained.chosen_photographs) == (20, 4)
    config = replace(own_run.config, data=replace(own_run.config.data, validation_fraction=0.3))
    run = Run(own_run.path, replace(own_run.description, config=config))
    shutil.move(own_run.path / "photographs.parquet", own_run.path / "before.parquet")
    try:
        splits = load_splits(config.data)
        run.keep_photographs(splits.train, splits.validation)
        done = localise(run, context=RunContext(hardware=config.hardware, say=silent))
    finally:
        shutil.move(own_run.path / "before.parquet", own_run.path / "photographs.parquet")
    assert (done.photographs, done.chosen_on, done.chosen_photographs) == (12, "the validation split", 8)


def test_attention_agrees_with_what_is_explained(own_run: Run, plumage: Path) -> None:
    """Hits recomputed from each photograph's explanation, its peaks carried back by hand."""
    done = analyse_attention(own_run, context=RunContext(batch_size=5, hardware=own_run.config.hardware, say=silent))
    explainer = Explainer.of(own_run, RunContext(hardware=own_run.config.hardware))
    rates, hits = [], []
    for record in load_splits(own_run.config.data).test:
        photograph = read_image(record.image)
        explained = explainer.explain(photograph, record.id)
        assert isinstance(explained, S3NExplanation)
        margin = (72 - 64) / 2
        places = [
            tuple((each + margin) / 72 * side for each, side in zip(place, photograph.size, strict=True))
            for place in naive_peaks(explained.response.astype(float), explained.peaks, 64)
        ]
        box = record.box
        assert box is not None
        inside = [box.left <= x <= box.right and box.top <= y <= box.bottom for x, y in places]
        hits.append(sum(inside))
        if places:
            rates.append(np.mean(inside))
    assert done.summary.mean_hit_rate == pytest.approx(np.mean(rates))
    assert done.summary.hits == tuple(hits.count(number) for number in range(max(hits) + 1))
    assert sum(done.summary.peaks) == done.summary.photographs == 12
    assert done.summary.parts


def test_the_attention_command(own_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "rows.jsonl"
    told = ("--hardware.workers", 0, "--hardware.precision", "float32", "--hardware.accelerator", "cpu")
    assert status("attention", own_run.path, "--split", "train", "--results", results, *told) == 0
    report = own_run.path / "evaluation" / "train-attention.md"
    assert report.read_text(encoding="utf-8") in capsys.readouterr().out
    content = json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))
    (row,) = (json.loads(line) for line in results.read_text(encoding="utf-8").splitlines())
    assert (row["measured"], row["photographs"], row["parts"]) == ("attention", 24, content["parts"])
    assert sum(row["hits"]) == 24
    assert f"| {100 * content['mean_hit_rate']:.2f} |" in report.read_text(encoding="utf-8")
    with Image.open(report.with_suffix(".png")) as image:
        assert image.width > 1000


@pytest.fixture
def boxless(own_run: Run, plumage: Path, tmp_path: Path) -> Run:
    """The run, with a list of its photographs that has no boxes."""
    splits = load_splits(own_run.config.data)
    photographs = [*splits.train, *splits.test]
    columns: dict[str, list[object]] = {
        "image": [str(plumage / record.id) for record in photographs],
        "class_name": [record.class_name for record in photographs],
        "label": [record.label for record in photographs],
        "split": [*["train"] * len(splits.train), *["test"] * len(splits.test)],
    }
    data = DataConfig(root=write_csv(tmp_path / "list.csv", columns))
    return Run(own_run.path, replace(own_run.description, config=replace(own_run.config, data=data)))


def test_photographs_without_boxes_are_refused(boxless: Run) -> None:
    with pytest.raises(
        UserError, match=r"localisation is measured against annotated boxes; none of the 12 photographs"
    ):
        localise(boxless, context=RunContext(hardware=boxless.config.hardware, say=silent))
    with pytest.raises(
        UserError, match=r"attention is measured against annotated boxes; .* take a data set with boxes"
    ):
        analyse_attention(boxless, context=RunContext(hardware=boxless.config.hardware, say=silent))


def test_some_photographs_without_boxes_are_left_out_and_said(analysis: Analysis) -> None:
    said: list[str] = []
    records = load_splits(analysis.run.config.data).test
    mixed = [replace(records[0], box=None), *records[1:]]
    assert [*replace(analysis, context=RunContext(say=said.append)).boxed(mixed, "it")] == [*records[1:]]
    assert said[0] == "left out 1 of 12 photographs without a box"


def test_boxes_without_parts_are_said_and_counted(
    own_run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, said = copied(own_run, tmp_path / "partless"), list[str]()
    monkeypatch.setattr(
        "foveate.runs.context.RunContext.photographs_of",
        lambda *_: tuple(replace(record, parts=()) for record in load_splits(run.config.data).test),
    )
    done = analyse_attention(run, context=RunContext(hardware=run.config.hardware, say=said.append))
    assert done.summary.parts == {}
    assert any("no part is annotated" in line for line in said)
    assert "No part is annotated." in done.markdown
    with Image.open(done.report.with_suffix(".png")) as image:
        assert image.width < 1000


def test_other_methods_are_refused_before_photographs_are_read(quick_run: Run) -> None:
    def fail(line: str) -> None:
        raise AssertionError(line)

    with pytest.raises(UserError, match="sparse attention is analysed by the peaks that draw the zoom"):
        analyse_attention(quick_run, context=RunContext(hardware=quick_run.config.hardware, say=fail))


def test_a_flat_response_has_no_peaks_to_analyse(own_run: Run, tmp_path: Path) -> None:
    run = copied(own_run, tmp_path / "flat")
    network = run.load_network()
    torch.nn.init.zeros_(network.get_parameter("backbone.network.classifier.weight"))
    save_weights(run.weights, network.state_dict())
    with pytest.raises(UserError, match="has none in 12 photographs"):
        analyse_attention(run, context=RunContext(hardware=run.config.hardware, say=silent))


@pytest.mark.realdata
@pytest.mark.parametrize("method", [PlainConfig, S3NConfig])
def test_real_photographs(
    cub20: Path,
    quick: TrainConfig,
    method: type[PlainConfig | S3NConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An untrained network and a few photographs of the slice: boxes and parts come along, no share is out of range."""
    torch.manual_seed(0)
    config = replace(
        quick,
        data=DataConfig(root=cub20),
        network=method(backbone=BackboneConfig(architecture="test_efficientnet", weights="none")),
    )
    splits = load_splits(config.data)
    run = Run.start(tmp_path / "run", RunDescription(config, splits.class_names, splits.name))
    run.keep_photographs(splits.train, splits.validation)
    save_weights(run.weights, create_network(config.network, config.transforms, 20).state_dict())
    monkeypatch.setattr(
        "foveate.runs.context.RunContext.photographs_of",
        lambda context, run, split: splits.named(split)[:: 50 if split == "test" else 10],
    )
    done = localise(run, context=RunContext(hardware=config.hardware, say=silent))
    assert done.photographs == 12
    for each in done.branches.values():
        assert each.localised <= min(each.top1, each.box) <= each.max_box <= 1
    if method is S3NConfig:
        summary = analyse_attention(run, context=RunContext(hardware=config.hardware, say=silent)).summary
        assert summary.photographs == 12
        assert len(summary.parts) == 15
        assert 0 < summary.mean_hit_rate <= 1


def test_annotated_boxes_go_into_the_view(analysis: Analysis) -> None:
    record = load_splits(analysis.run.config.data).test[0]
    width, height = read_image(record.image).size
    assert record.box is not None
    expected = [each / side * 72 - 4 for each, side in zip(record.box, (width, height, width, height), strict=True)]
    boxes = boxes_in_view([record, replace(record, box=None)], [analysis.first_view(record)] * 2)
    assert boxes[0] == pytest.approx(expected)
    assert np.isnan(boxes[1]).all()


@pytest.mark.parametrize(
    ("measure", "written"),
    [
        (localise, {"test-localisation.md", "test-localisation.png", "test-localisation-examples.png"}),
        (analyse_attention, {"test-attention.md", "test-attention.png"}),
        (
            evaluate,
            {"test-centre.md", *(f"test-centre{each}.parquet" for each in ("", *(f"-{b}" for b in S3N_BRANCHES)))},
        ),
    ],
)
def test_the_numbers_by_which_reproduce_knows_that_all_is_there_come_last(
    measure: Callable[..., object], written: set[str], s3n_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path, content: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{measure.__module__}.write_json", stop)
    run = copied(s3n_run, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        measure(run, context=RunContext(hardware=run.config.hardware, results=tmp_path / "rows.jsonl", say=silent))
    assert {file.name for file in (run.path / "evaluation").iterdir()} == written
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 1
