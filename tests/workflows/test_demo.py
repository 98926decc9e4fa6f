"""The demo from end to end, on fewer and smaller birds; and the real slice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from foveate.config.data import DataConfig, TransformConfig
from foveate.config.networks import BackboneConfig
from foveate.guided_zoom.config import Keep, RefinementConfig
from foveate.plumage import PlumageConfig
from foveate.recipes.config import TrainConfig
from foveate.recipes.demo import evidence_demo, plain_demo, s3n_demo
from foveate.reproduction.cub_slice import plain_slice
from foveate.runs.context import RunContext
from foveate.workflows import demo as demo_module
from foveate.workflows.demo import demo
from foveate.workflows.evaluate import evaluate
from foveate.workflows.shown_answers import answer_sheet_of
from foveate.workflows.train import train
from zooms import POOL


def test_the_demo_draws_trains_refines_and_reports(
    tmp_path: Path, quick: TrainConfig, quick_s3n: TrainConfig, evidence: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    birds = PlumageConfig(species=2, train_per_species=2, test_per_species=1, size=96)

    def of(config: TrainConfig, root: Path) -> TrainConfig:
        return replace(config, data=replace(config.data, root=root), epochs=1, keep_epochs=())

    monkeypatch.setattr(demo_module, "PLUMAGE", birds)
    monkeypatch.setattr(demo_module, "POOL", replace(POOL, keep=Keep.FIRST_ALWAYS))
    monkeypatch.setattr(demo_module, "REFINEMENT", RefinementConfig(top_k=2))
    monkeypatch.setattr(demo_module, "plain_demo", lambda root, seed: of(quick, root))
    monkeypatch.setattr(demo_module, "s3n_demo", lambda root, run, seed: of(quick_s3n, root))
    monkeypatch.setattr(demo_module, "evidence_demo", lambda pool, run, seed: of(evidence, pool))
    out, lines = tmp_path / "demo", list[str]()
    done = demo(out, say=lines.append)
    made, told = done.trained, "\n".join(lines)
    assert made.plain_answers.accuracy.images == made.s3n_answers.accuracy.images == 2
    for path in (done.sheet, done.explanation):
        with Image.open(path) as picture:
            assert picture.width > 400
    for name, right in (
        ("guessing", 0.5),
        ("plain", made.plain_answers.accuracy.top1.value),
        ("plain, with Guided Zoom", made.refined.change.after),
        ("S3N", made.s3n_answers.accuracy.top1.value),
    ):
        (row,) = (line for line in told.splitlines() if line.startswith(f"| {name} "))
        assert row.split("|")[2].strip() == f"{100 * right:.1f}"
    assert [line[:6] for line in lines if line[1:2] == " " and " of 4" in line] == [f"{step} of 4" for step in "1234"]
    assert f"right on {made.looking_closer.only_a} pictures where plain is wrong" in told
    assert f"{made.refined.change.mended} wrong answers of plain mended" in told
    assert lines[-2] == f"open   {out}/report.html in a browser: what is right, what is wrong, and why"
    assert lines[-1].startswith(f"serve  foveate serve {made.best_first[0].path}, ")
    assert done.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert any(line.startswith("plumage: ") for line in lines)
    assert "CUB-200-2011" not in told
    again: list[str] = []
    demo(out, say=again.append)
    assert not any(line.startswith("epoch") for line in again)  # what is finished is used again


def test_the_demo_s_trainings_go_on_from_plain(tmp_path: Path) -> None:
    plain, s3n = plain_demo(tmp_path, 3), s3n_demo(tmp_path, tmp_path, 3)
    assert plain == replace(s3n, network=plain.network, transforms=plain.transforms, epochs=plain.epochs)
    assert s3n.transforms == replace(plain.transforms, source_size=demo_module.PLUMAGE.size)
    assert s3n.network.trained_backbone == BackboneConfig(weights=str(tmp_path))
    cnn = evidence_demo(tmp_path / "pool", tmp_path, 3)
    assert (cnn.seed, cnn.data.root) == (3, tmp_path / "pool")
    assert cnn.network.trained_backbone == BackboneConfig(weights=str(tmp_path))


@pytest.mark.parametrize(
    ("p_value", "words"), [(0.0004, "beyond chance (p = 0.0004)"), (0.3, "may be chance (p = 0.30)")]
)
def test_what_is_said_of_a_difference(p_value: float, words: str) -> None:
    assert demo_module._said(p_value) == words


@pytest.mark.realdata
def test_one_epoch_on_real_photographs_is_far_above_chance(cub20: Path, tmp_path: Path) -> None:
    config = replace(
        plain_slice(),
        data=DataConfig(root=cub20),
        transforms=TransformConfig(input_size=96, resize_size=108),
        epochs=1,
    )
    run = train(config, tmp_path / "run", say=lambda line: None)
    done = evaluate(run, context=RunContext(say=lambda line: None))
    assert done.accuracy.images == 585
    assert done.accuracy.classes == 20
    assert done.accuracy.top1.low > 3 * 0.05
    assert answer_sheet_of(done, tmp_path / "sheet.png", title="slice", each=4).exists()
