"""The demo from end to end, on fewer and smaller birds; and the real slice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from foveate.config.data import DataConfig, TransformConfig
from foveate.plumage import PlumageConfig
from foveate.recipes.config import TrainConfig
from foveate.reproduction.cub_slice import plain_slice
from foveate.runs.context import RunContext
from foveate.workflows import demo as demo_module
from foveate.workflows.demo import demo
from foveate.workflows.evaluate import evaluate
from foveate.workflows.shown_answers import answer_sheet_of
from foveate.workflows.train import train


def test_the_demo_draws_trains_evaluates_and_shows(
    tmp_path: Path, quick: TrainConfig, quick_s3n: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    birds = PlumageConfig(species=2, train_per_species=2, test_per_species=1, size=96)
    monkeypatch.setattr(demo_module, "PLUMAGE", birds)
    monkeypatch.setattr(demo_module, "plain_plumage", lambda: replace(quick, epochs=1))
    monkeypatch.setattr(demo_module, "s3n_plumage", lambda: replace(quick_s3n, epochs=1, keep_epochs=()))
    lines: list[str] = []
    done = demo(tmp_path / "demo", say=lines.append)
    assert done.plain.accuracy.images == done.s3n.accuracy.images == 2
    for path in (done.sheet, done.explanation):
        with Image.open(path) as picture:
            assert picture.width > 400
    told = "\n".join(lines)
    for name, source, answers in (("plain", 64, done.plain), ("S3N", 96, done.s3n)):
        (row,) = (line for line in told.splitlines() if line.startswith(f"| {name} "))
        assert [cell.strip() for cell in row.split("|")[2:5]] == [
            "64",
            str(source),
            f"{100 * answers.accuracy.top1.value:.1f}",
        ]
    assert [str(done.sheet) in lines[-3], str(done.explanation) in lines[-2]] == [True, True]
    right = [answers.table.probabilities.argmax(1) == answers.table.labels for answers in (done.plain, done.s3n)]
    gained, lost = (int((one & ~other).sum()) for one, other in (right[::-1], right))
    assert lines[-1] == (
        f"Of 2 birds that neither had seen, S3N named {gained} right where plain was wrong, and {lost} wrong where "
        "plain was right."
    )
    assert any(line.startswith("plumage: 2 classes") for line in lines)
    assert "CUB-200-2011" not in told
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
    done = evaluate(run, context=RunContext(say=lambda line: None))
    assert done.accuracy.images == 585
    assert done.accuracy.classes == 20
    assert done.accuracy.top1.low > 3 * 0.05
    assert answer_sheet_of(done, tmp_path / "sheet.png", title="slice", each=4).exists()
