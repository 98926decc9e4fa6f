"""The demo from end to end, on fewer and smaller birds; and the real slice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from foveate.config import DataConfig, TrainConfig, TransformConfig
from foveate.data.plumage import PlumageConfig
from foveate.recipes import plain_slice
from foveate.workflows import demo as demo_module
from foveate.workflows.demo import demo
from foveate.workflows.evaluate import evaluate
from foveate.workflows.sheet import answer_sheet_of
from foveate.workflows.train import train


def test_the_demo_draws_trains_evaluates_and_shows(
    tmp_path: Path, quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    birds = PlumageConfig(species=2, train_per_species=4, test_per_species=3, size=96)
    monkeypatch.setattr(demo_module, "PLUMAGE", birds)
    monkeypatch.setattr(demo_module, "plain_plumage", lambda: replace(quick, epochs=1))
    lines: list[str] = []
    done = demo(tmp_path / "demo", say=lines.append)
    assert done.evaluation.accuracy.images == 6
    with Image.open(done.sheet) as sheet:
        assert sheet.width > 400
    told = "\n".join(lines)
    assert "| top-1" in told
    assert lines[-1] == f"pictures {done.sheet}"
    again: list[str] = []
    demo(tmp_path / "demo", say=again.append)
    assert not any(line.startswith("epoch") for line in again)  # what is finished is used again


@pytest.mark.realdata
def test_one_epoch_on_real_photographs_is_far_above_chance(cub20: Path, tmp_path: Path) -> None:
    config = replace(
        plain_slice(),
        data=DataConfig(root=cub20),
        transforms=TransformConfig(input_size=96, resize_size=108),
        epochs=1,
    )
    run = train(config, tmp_path / "run", say=lambda line: None)
    done = evaluate(run, say=lambda line: None)
    assert done.accuracy.images == 585
    assert done.accuracy.classes == 20
    assert done.accuracy.top1.low > 3 * 0.05
    assert answer_sheet_of(done, tmp_path / "sheet.png", title="slice", each=4).exists()
