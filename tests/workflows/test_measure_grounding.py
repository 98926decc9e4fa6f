"""What `foveate grounding` measures of a run, from end to end."""

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
from foveate.config.data import DataConfig, TestViews
from foveate.data.images import read_image
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.evaluation.config import CurveConfig, GroundingStudy
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import create_grounding
from foveate.inference.classifier import Classifier
from foveate.recipes.datasets import load_splits
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.types import Size
from foveate.workflows.analysis.measure_grounding import CHANCE, GroundingReport, measure_grounding
from zooms import EXACT, silent

STUDY = GroundingStudy(
    methods=(GroundingMethod.CLASS_MAPS, GroundingMethod.EB),
    photographs=5,
    curves=CurveConfig(steps=4),
    sanity_photographs=3,
    stages=2,
    examples=2,
    batch_size=3,
    seed=1,
)


@pytest.fixture(scope="module")
def own_run(quick_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("grounding") / "own"
    return Run.open(shutil.copytree(quick_run.path, path, ignore=shutil.ignore_patterns("checkpoints", "logs")))


@pytest.fixture(scope="module")
def measured(own_run: Run) -> GroundingReport:
    return measure_grounding(own_run, STUDY, context=RunContext(hardware=EXACT, say=silent))


def test_everything_is_written(measured: GroundingReport, own_run: Run) -> None:
    assert list(measured.measures) == ["class-maps", "eb", CHANCE]
    told = json.loads(measured.report.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(set(told["photographs"])) == 5
    assert told["shares"] == [0, 0.25, 0.5, 0.75, 1]
    assert told["random_layers"][-1] == 1
    assert told["methods"]["eb"]["deletion"]["value"] == measured.measures["eb"].deletion.value
    for name in ("curves", "maps"):
        with Image.open(measured.report.with_name(f"test-grounding-{name}.png")) as picture:
            assert min(picture.size) > 300
    report = measured.report.read_text(encoding="utf-8")
    assert "5 photographs (drawn with seed 1), the network's own answer" in report
    assert [line.split("|")[1].strip() for line in report.splitlines() if line.startswith("|")][2:] == [
        *measured.measures
    ]
    assert Run.open(own_run.path).weights.exists()


def test_the_numbers_are_those_of_the_networks_maps(measured: GroundingReport, own_run: Run) -> None:
    """Pointing, energy and the ends of the curves again, photograph by photograph."""
    told = json.loads(measured.report.with_suffix(".json").read_text(encoding="utf-8"))
    records = {record.id: record for record in load_splits(own_run.config.data).test}
    classifier = Classifier.place(own_run.load_network(), EXACT)
    grounding = create_grounding(classifier.network.backbone, GroundingConfig(method=GroundingMethod.CLASS_MAPS))
    pointed, energy, whole = [], [], []
    for each in told["photographs"]:
        record = records[each]
        image = read_image(record.image)
        (geometry,) = evaluation_geometries(Size(*image.size), own_run.config.transforms, TestViews.CENTRE)
        view = torch.from_numpy(np.array(geometry.pixels(image)))[None]
        grounded = grounding(classifier.inputs(view), 1)
        whole.append(float(grounded.logits.softmax(1).max()))
        cells = grounded.maps[0, 0].numpy()
        row, column = np.unravel_index(cells.argmax(), cells.shape)
        peak = np.array([[(column + 0.5) * 64 / cells.shape[1], (row + 0.5) * 64 / cells.shape[0]]])
        ((x, y),) = geometry.points_back(peak)
        assert record.box is not None
        pointed.append(record.box.left <= x <= record.box.right and record.box.top <= y <= record.box.bottom)
        box = geometry.box(record.box)
        fine = np.kron(cells, np.ones((64, 64)))  # 64 points to a cell's side
        places = (np.arange(len(fine)) + 0.5) / len(fine) * 64
        inside = np.outer((places >= box.top) & (places <= box.bottom), (places >= box.left) & (places <= box.right))
        energy.append((fine * inside).sum() / fine.sum())
    found = measured.measures["class-maps"]
    assert found.in_box is not None
    assert found.energy is not None
    assert found.in_box.value == pytest.approx(np.mean(pointed))
    assert found.energy.value == pytest.approx(np.mean(energy), abs=0.01)
    assert found.deletion_curve[0] == pytest.approx(np.mean(whole), abs=1e-4)
    assert found.insertion_curve[-1] == pytest.approx(np.mean(whole), abs=1e-4)
    assert found.insertion_curve[0] != pytest.approx(np.mean(whole), abs=1e-4)


def test_random_networks_rank_otherwise(measured: GroundingReport) -> None:
    """A random head alone changes class maps; EB's without contrast hardly depend on it."""
    for name in ("class-maps", "eb"):
        head, everything = measured.measures[name].correlations
        assert -1 <= everything < 0.99
        assert -1 <= head <= 1 + 1e-9
    assert measured.measures["class-maps"].correlations[0] < 0.99
    assert measured.measures[CHANCE].correlations == ()


def test_the_same_study_gives_the_same_numbers(
    measured: GroundingReport, own_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foveate.runs.environment.commit", lambda: "the code that measures")
    study = replace(STUDY, methods=(GroundingMethod.EB,), batch_size=5)
    rows = tmp_path / "rows.jsonl"
    again_report = measure_grounding(own_run, study, context=RunContext(hardware=EXACT, results=rows, say=silent))
    again = again_report.measures["eb"]
    first = measured.measures["eb"]
    assert (again.in_box, again.near_part) == (first.in_box, first.near_part)
    assert again.correlations == pytest.approx(first.correlations, abs=1e-3)
    assert again.deletion_curve == pytest.approx(first.deletion_curve, abs=1e-4)
    (eb, chance) = (json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines())
    assert (eb["measured"], eb["grounding"], eb["photographs"], eb["masks"]) == ("grounding", "eb", 5, None)
    assert eb["deletion"] == round(100 * again.deletion.value, 2)
    assert chance["grounding"] == CHANCE
    # Of the code that measured, which is not that of the training.
    assert own_run.environment()["commit"] != "the code that measures"
    for row in (eb, chance):
        assert row["trained_commit"] == own_run.environment()["commit"]
        assert row["measured_commit"] == "the code that measures"
    assert (again_report.report.stem, measured.report.stem) == ("test-grounding-methods-eb", "test-grounding")


def test_the_true_class_can_be_grounded(measured: GroundingReport, own_run: Run) -> None:
    study = replace(STUDY, methods=(GroundingMethod.CLASS_MAPS,), truth=True, sanity_photographs=0, examples=0)
    done = measure_grounding(own_run, study, context=RunContext(hardware=EXACT, say=silent))
    assert "the true class" in done.report.read_text(encoding="utf-8")
    own, true = (each.measures["class-maps"].insertion_curve[-1] for each in (measured, done))
    assert true <= own + 1e-6  # no class is more probable than the network's own answer


def test_an_s3n_is_grounded_in_its_first_look(s3n_run: Run, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(s3n_run.path, tmp_path / "s3n", ignore=shutil.ignore_patterns("checkpoints")))
    study = replace(STUDY, methods=(GroundingMethod.GRAD_CAM, GroundingMethod.RISE), masks=8, photographs=3)
    measures = measure_grounding(run, study, context=RunContext(hardware=EXACT, say=silent)).measures
    assert all(0 <= each.deletion.value <= 1 for each in measures.values())


def test_photographs_without_boxes_have_no_pointing(own_run: Run, plumage: Path, tmp_path: Path) -> None:
    """The same photographs as a folder, which knows of no box."""
    for split in ("train", "test"):
        for record in getattr(load_splits(own_run.config.data), split):
            assert isinstance(record.image, Path)
            target = tmp_path / "birds" / split / record.class_name / record.image.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(record.image, target)
    data = DataConfig(root=tmp_path / "birds")
    run = Run(own_run.path, replace(own_run.description, config=replace(own_run.config, data=data)))
    study = replace(STUDY, methods=(GroundingMethod.CLASS_MAPS,), photographs=2, sanity_photographs=0)
    done = measure_grounding(run, study, context=RunContext(hardware=EXACT, say=silent))
    found = done.measures["class-maps"]
    assert (found.in_box, found.near_part, found.energy, found.correlations) == (None, None, None, ())
    told = done.report.read_text(encoding="utf-8")
    assert "No box is annotated in them." in told
    assert "box |" not in told  # no column of what is not known
    assert "near part" not in told


def test_what_a_network_does_not_allow_is_named_or_left_out(own_run: Run) -> None:
    study = replace(STUDY, layer="nowhere", photographs=2, sanity_photographs=0, examples=1)
    with pytest.raises(UserError, match="layer must be a module of the network; got 'nowhere'"):
        measure_grounding(own_run, study, context=RunContext(hardware=EXACT, say=silent))
    told: list[str] = []
    study = replace(study, methods=None, layer="classifier", masks=4)
    done = measure_grounding(own_run, study, context=RunContext(hardware=EXACT, say=told.append))
    at_a_layer = ["attn-lrp", "attn-lrp-rivals", "ceb", "eb", "finer-cam", "grad-cam", "gradient-activation"]
    assert sorted(done.left_out) == [*at_a_layer, "rollout"]
    assert list(done.measures) == ["class-maps", "gradients", "rise", CHANCE]
    assert any(line.startswith("ceb is left out: a grounding layer must give one feature map") for line in told)


def test_the_command(own_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--photographs", 2, "--curves.steps", 2, "--sanity-photographs", 0, "--examples", 1]
    hardware = ["--hardware.workers", 0, "--hardware.accelerator", "cpu"]
    assert status("grounding", own_run.path, "--methods", "class-maps", "gradients", *options, *hardware) == 0
    assert "| class-maps |" in capsys.readouterr().out
    assert status("grounding", own_run.path, "--photographs", 0) == 2
    assert "photographs must be at least 1, or None for all; got 0" in capsys.readouterr().err


@pytest.mark.realdata
def test_on_real_photographs_eb_beats_chance(own_run: Run, cub20: Path, tmp_path: Path) -> None:
    """Twelve real birds under ImageNet's weights and a random head: EB still finds the bird, random cells do not."""
    from foveate.recipes.methods import create_network
    from foveate.reproduction.cub_slice import plain_slice
    from foveate.runs.run import RunDescription

    splits = load_splits(DataConfig(root=cub20))
    config = plain_slice()
    config = replace(config, data=DataConfig(root=cub20), hardware=EXACT)
    run = Run.start(tmp_path / "run", RunDescription(config, splits.class_names, splits.name))
    run.keep_photographs(splits.train, ())
    run.finish(create_network(config.network, config.transforms, len(splits.class_names)), {"minutes": 0.0})
    study = replace(
        STUDY,
        methods=(GroundingMethod.EB,),
        photographs=12,
        batch_size=6,
        curves=CurveConfig(steps=1),
        sanity_photographs=0,
        examples=0,
    )
    measures = measure_grounding(run, study, context=RunContext(hardware=EXACT, say=silent)).measures
    eb, chance = measures["eb"], measures[CHANCE]
    assert eb.in_box is not None
    assert chance.in_box is not None
    assert eb.energy is not None
    assert chance.energy is not None
    assert eb.in_box.value > chance.in_box.value
    assert eb.energy.value > chance.energy.value
