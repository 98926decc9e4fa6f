"""MA-CNN through the commands: trained, evaluated, predicted, explained, grounded."""

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
from foveate.data.images import read_image
from foveate.errors import UserError
from foveate.files.documents import structured, unstructured
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import create_grounding
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.macnn.config import MACNNConfig
from foveate.macnn.explanation import MACNNExplanation
from foveate.macnn.network import MACNN
from foveate.networks.first_view import shrink
from foveate.recipes.config import TrainConfig
from foveate.recipes.methods import configurations
from foveate.reproduction.cub_slice import macnn_slice
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.evaluate import evaluate
from foveate.workflows.explain import Explainer, explain
from foveate.workflows.model import load
from zooms import SLOW, made_of, silent


@pytest.fixture(scope="module")
def own_run(macnn_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the trained run that these tests write into."""
    path = tmp_path_factory.mktemp("parts") / "own"
    return Run.open(shutil.copytree(macnn_run.path, path, ignore=shutil.ignore_patterns("checkpoints", "logs")))


@pytest.fixture(scope="module")
def bird(plumage: Path) -> Path:
    return sorted(plumage.glob("images/*/*.jpg"))[0]


def test_it_explains_the_answer_that_predict_gives(own_run: Run, bird: Path) -> None:
    explanation = Explainer.of(own_run, RunContext(hardware=SLOW)).explain(read_image(bird), "bird")
    predicted = load(own_run.path, hardware=SLOW).predict(bird)
    assert isinstance(explanation, MACNNExplanation)
    assert explanation.answer[0].class_name == predicted.best.class_name
    assert explanation.answer[0].probability == pytest.approx(predicted.best.probability, abs=1e-4)
    assert explanation.image.size == (64, 64)
    assert len(explanation.parts) == 2
    for part in explanation.parts:
        assert part.crop.view.size == (48, 48)
        assert part.crop.box.width == pytest.approx(64 * 128 / 448, rel=1e-4)
        cells = np.array(part.attention.shape)
        row, column = np.unravel_index(part.attention.argmax(), cells)
        assert part.peak == pytest.approx(tuple((np.array([column, row]) + 0.5) * 64 / cells), abs=1e-3)
    assert explanation.object is not None
    assert explanation.object.view.size == (64, 64)


def test_the_picture_and_the_command(own_run: Run, bird: Path, tmp_path: Path) -> None:
    assert status("explain", own_run.path, bird, "--out", tmp_path) == 0
    (written,) = tmp_path.iterdir()
    assert written.name.startswith(f"{bird.parent.name}-{bird.name}-")
    with Image.open(written) as picture:
        assert picture.width == 1792
        assert picture.height > 1500


def test_branches_of_the_report_are_the_streams(own_run: Run, tmp_path: Path) -> None:
    done = evaluate(own_run, context=RunContext(hardware=SLOW, results=tmp_path / "rows.jsonl", say=silent))
    assert list(done.branches) == ["original", "object", "part-1", "part-2", "joint", "mean"]
    (row,) = (json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines())
    assert (row["method"], row["preset"], row["source_size"]) == ("macnn", "own", 96)
    assert (own_run.path / "evaluation" / "test-centre-part-2.parquet").exists()


def test_the_training_measured_both_losses(own_run: Run) -> None:
    metrics = own_run.metrics()
    assert {"train/distance", "train/diversity", "train/loss"} <= metrics.keys()
    assert structured(
        unstructured(own_run.description), type(own_run.description), own_run.path, "a run", configurations()
    )


def test_presets_have_names() -> None:
    assert macnn_slice().network.settings()["preset"] == "foveate"
    assert replace(MACNNConfig.paper(), crop=96 / 448).settings()["preset"] == "paper"


def test_guided_zoom_asks_the_joint_head_and_grounds_the_image_stream(own_run: Run) -> None:
    config = GroundingConfig(method=GroundingMethod.GRAD_CAM, layer="blocks.2")
    conventional = ConventionalCNN.place(own_run.load_network(), config, SLOW)
    classifier = conventional.classifier
    images = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8)
    grounded = conventional.answer(images, 2)
    joint = classifier.logits(images).joint
    assert joint is not None
    assert torch.equal(grounded.logits, joint)
    assert torch.equal(grounded.classes, joint.topk(2).indices)
    network = classifier.network
    assert isinstance(network, MACNN)
    inputs = shrink(classifier.inputs(images), network.input_size)
    maps = [
        create_grounding(network.backbone, replace(config, layer=layer))(inputs, grounded.classes).maps
        for layer in ("blocks.2", "blocks.1")
    ]
    assert torch.allclose(grounded.maps, maps[0])
    assert maps[1].shape != maps[0].shape  # another layer is another map


def test_guided_zoom_of_a_run(own_run: Run, evidence: TrainConfig, tmp_path: Path) -> None:
    rows = made_of(own_run, tmp_path / "zoom", evidence)
    assert rows
    made = GuidedZoomRun.open(tmp_path / "zoom")
    assert made.base_run().config.network.method == "macnn"


def test_what_it_has_not(own_run: Run, quick_run: Run, bird: Path) -> None:
    with pytest.raises(UserError, match="kept none; train with --keep-epochs"):
        explain(own_run, [str(bird)], epochs=(), context=RunContext(say=silent))
    assert not Explainer.of(quick_run, RunContext(hardware=SLOW)).explain(read_image(bird), "bird").own
