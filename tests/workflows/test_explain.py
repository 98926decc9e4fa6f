"""The pictures of how an S3N run answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import status
from foveate.data.images import read_image
from foveate.errors import UserError
from foveate.runs import Run
from foveate.workflows.explain import Explainer, explain
from foveate.workflows.predict import load


def silent(line: str) -> None:
    """Take a line of progress and say nothing."""


@pytest.fixture(scope="module")
def own_run(s3n_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the trained run that these tests write into."""
    path = tmp_path_factory.mktemp("explain") / "own"
    return Run.open(shutil.copytree(s3n_run.path, path, ignore=shutil.ignore_patterns("checkpoints", "logs")))


@pytest.fixture(scope="module")
def bird(plumage: Path) -> Path:
    return sorted(plumage.glob("images/*/*.jpg"))[0]


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_it_explains_the_answer_that_predict_gives(own_run: Run, bird: Path) -> None:
    explanation = Explainer.of(own_run, own_run.config.hardware).explain(read_image(bird), "bird")
    predicted = load(own_run.path, hardware=own_run.config.hardware).predict(bird)
    assert explanation.answer[0].class_name == predicted.best.class_name
    assert explanation.answer[0].probability == pytest.approx(predicted.best.probability, abs=1e-4)
    assert explanation.image.size == (64, 64)
    assert explanation.response.shape == (31, 31)
    assert [view.name for view in explanation.zoomed] == ["discriminative", "complementary"]
    assert all(view.grid.shape == (64, 64, 2) for view in explanation.zoomed)


def test_the_first_view_is_the_photograph(own_run: Run, bird: Path) -> None:
    """Normalised, shrunk and turned back into pixels it is the photograph resized: the whole of it but the margin."""
    photograph = read_image(bird)
    shown = Explainer.of(own_run, own_run.config.hardware).explain(photograph, "bird").image
    margin = (72 - 64) / 2 / 72 * photograph.width
    box = (margin, margin, photograph.width - margin, photograph.height - margin)
    expected = photograph.resize((64, 64), Image.Resampling.BILINEAR, box=box)
    difference = np.abs(np.asarray(shown, dtype=float) - np.asarray(expected, dtype=float))
    assert difference.mean() < 3  # grey levels; two resamplings against one


def test_a_grey_photograph_is_explained_as_it_is_predicted(own_run: Run, bird: Path) -> None:
    grey = read_image(bird).convert("L")
    explanation = Explainer.of(own_run, own_run.config.hardware).explain(grey, "grey")
    predicted = load(own_run.path, hardware=own_run.config.hardware).predict(grey)
    assert explanation.answer[0].class_name == predicted.best.class_name


def test_a_picture_for_each_photograph(own_run: Run, bird: Path, tmp_path: Path) -> None:
    twin = shutil.copy(bird, tmp_path / bird.name)
    pictures = explain(own_run, [str(bird), str(twin)], hardware=own_run.config.hardware, say=silent)
    assert [picture.name for picture in pictures] == [f"{bird.stem}-explained.png", f"{bird.stem}-2-explained.png"]
    assert all(picture.parent == own_run.path / "explanations" for picture in pictures)
    assert size_of(pictures[0])[0] > 800


def test_evidence_over_training(own_run: Run, bird: Path, tmp_path: Path) -> None:
    every = explain(own_run, [str(bird)], epochs=(), out=tmp_path / "every", say=silent)
    last = explain(own_run, [str(bird)], epochs=(2,), out=tmp_path / "last", say=silent)
    assert every[0].name == f"{bird.stem}-epochs.png"
    assert size_of(every[0])[1] > size_of(last[0])[1]


def test_the_command(own_run: Run, bird: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("explain", own_run.path, bird, "--out", tmp_path) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / f"{bird.stem}-explained.png")]
    assert status("explain", own_run.path, bird, "--out", tmp_path, "--epochs", 1, 2) == 0
    assert (tmp_path / f"{bird.stem}-epochs.png").exists()


def test_a_run_that_looks_once_has_nothing_to_show(quick_run: Run, bird: Path) -> None:
    with pytest.raises(UserError, match="only an S3N network can show where it looked closer"):
        explain(quick_run, [str(bird)], say=silent)
    with pytest.raises(UserError, match="kept none; train with --keep-epochs"):
        explain(quick_run, [str(bird)], epochs=(), say=silent)


def test_an_epoch_that_was_not_kept(own_run: Run, bird: Path) -> None:
    with pytest.raises(UserError, match="kept 1, 2, not 7"):
        explain(own_run, [str(bird)], epochs=(1, 7), say=silent)


def test_a_photograph_is_never_replaced(own_run: Run, bird: Path, tmp_path: Path) -> None:
    photograph = tmp_path / "bird.png"
    read_image(bird).save(photograph)
    before = photograph.read_bytes()
    (picture,) = explain(own_run, [str(photograph)], out=tmp_path, hardware=own_run.config.hardware, say=silent)
    assert picture != photograph
    assert photograph.read_bytes() == before
    with pytest.raises(UserError, match="never replaces a photograph"):
        explain(own_run, [str(photograph), str(picture)], out=tmp_path, say=silent)
