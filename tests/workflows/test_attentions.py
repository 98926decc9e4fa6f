"""Every attention that S3N's Table 3 compares, from training to the picture, on drawn birds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from foveate.data.images import read_image
from foveate.recipes.config import TrainConfig
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.s3n.config import AttentionKind, Branches, S3NConfig
from foveate.s3n.explanation import S3NExplanation
from foveate.workflows.evaluate import evaluate
from foveate.workflows.explain import Explainer, explain
from foveate.workflows.model import load
from foveate.workflows.train import train


def silent(line: str) -> None:
    """Take a line of progress and say nothing."""


@pytest.mark.parametrize(
    ("kind", "branches"),
    [
        (AttentionKind.SPARSE, Branches.D),
        (AttentionKind.CLASS_RESPONSE, Branches.OD),
        (AttentionKind.SALIENCY, Branches.OD),
        (AttentionKind.SALIENCY, Branches.ODC),
    ],
)
def test_from_training_to_the_picture(
    kind: AttentionKind, branches: Branches, quick_s3n: TrainConfig, plumage: Path, tmp_path: Path
) -> None:
    assert isinstance(quick_s3n.network, S3NConfig)
    network = replace(quick_s3n.network, attention=kind, branches=branches)
    config = replace(quick_s3n, network=network, epochs=1, keep_epochs=(1,))
    trained = train(config, tmp_path / "run", say=silent)
    run = Run.open(trained.path)
    assert run.config.network == network

    done = evaluate(run, context=RunContext(hardware=config.hardware, results=tmp_path / "rows.jsonl", say=silent))
    row = json.loads((tmp_path / "rows.jsonl").read_text(encoding="utf-8"))
    assert (row["preset"], row["attention"] or "sparse", row["decides_from"]) == ("foveate", kind, branches)
    assert done.accuracy.images == 12

    bird = sorted(plumage.glob("images/*/*.jpg"))[0]
    predicted = load(run.path, hardware=config.hardware).predict(bird)
    explanation = Explainer.of(run, RunContext(hardware=config.hardware)).explain(read_image(bird), bird.name)
    assert isinstance(explanation, S3NExplanation)
    assert explanation.answer[0].class_name == predicted.best.class_name
    assert (explanation.dense is None) == (kind is AttentionKind.SPARSE)
    assert len(explanation.zoomed) == (2 if branches is Branches.ODC else 1)
    pictures = explain(run, [str(bird)], context=RunContext(hardware=config.hardware, say=silent))
    pictures += explain(run, [str(bird)], epochs=(1,), context=RunContext(hardware=config.hardware, say=silent))
    assert all(picture.stat().st_size > 0 for picture in pictures)


def test_a_saliency_learns_in_a_training(quick_s3n: TrainConfig, tmp_path: Path) -> None:
    """Its head starts at zero: what it ends with comes from the task."""
    assert isinstance(quick_s3n.network, S3NConfig)
    network = replace(quick_s3n.network, attention=AttentionKind.SALIENCY, branches=Branches.OD)
    run = train(replace(quick_s3n, network=network, epochs=1, keep_epochs=()), tmp_path / "run", say=silent)
    assert run.load_network().state_dict()["saliency.head.weight"].any()
