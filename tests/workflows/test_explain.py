"""The pictures of how an S3N run answers."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import status
from foveate.config.data import OnError
from foveate.data.images import read_image, read_views
from foveate.data.transforms import centres
from foveate.errors import UserError
from foveate.grounding.explanation import MapsExplanation
from foveate.runs.context import RunContext
from foveate.runs.held_out import Calibration, write_calibration
from foveate.runs.run import Run
from foveate.s3n.explanation import S3NExplanation
from foveate.workflows.explain import Explainer, explain
from foveate.workflows.explanation_pictures import picture_paths, shown_name
from foveate.workflows.model import load
from zooms import EXACT


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
    explanation = Explainer.of(own_run, RunContext(hardware=own_run.config.hardware)).explain(read_image(bird), "bird")
    predicted = load(own_run.path, hardware=own_run.config.hardware).predict(bird)
    assert isinstance(explanation, S3NExplanation)
    assert explanation.answer[0].class_name == predicted.best.class_name
    assert explanation.answer[0].probability == pytest.approx(predicted.best.probability, abs=1e-4)
    assert explanation.image.size == (64, 64)
    assert explanation.response.shape == (31, 31)
    assert [view.name for view in explanation.zoomed] == ["discriminative", "complementary"]
    assert all(view.grid.shape == (64, 64, 2) for view in explanation.zoomed)


def test_a_camera_photograph_is_explained_as_it_is_predicted(own_run: Run, bird: Path, tmp_path: Path) -> None:
    enlarged, hardware = tmp_path / "camera.jpg", own_run.config.hardware
    read_image(bird).resize((1203, 901), Image.Resampling.BICUBIC).save(enlarged, quality=92)
    raster = read_views(enlarged, partial(centres, transforms=[own_run.config.transforms])).raster
    assert raster.reduction == 4
    shown = Explainer.of(own_run, RunContext(hardware=hardware)).explain(raster, "bird")
    assert isinstance(shown, S3NExplanation)
    model = load(own_run.path, hardware=hardware)
    predicted, of_whole = model.predict(enlarged), model.predict(read_image(enlarged))
    assert shown.answer[0].class_name == predicted.best.class_name
    assert shown.answer[0].probability == pytest.approx(predicted.best.probability, abs=1e-4)
    assert predicted.best.probability == pytest.approx(of_whole.best.probability, abs=0.05)


def test_the_first_view_is_the_photograph(own_run: Run, bird: Path) -> None:
    """Normalised, shrunk and turned back into pixels it is the photograph resized: the whole of it but the margin."""
    photograph = read_image(bird)
    shown = Explainer.of(own_run, RunContext(hardware=own_run.config.hardware)).explain(photograph, "bird")
    assert isinstance(shown, S3NExplanation)
    margin = (72 - 64) / 2 / 72 * photograph.width
    box = (margin, margin, photograph.width - margin, photograph.height - margin)
    expected = photograph.resize((64, 64), Image.Resampling.BILINEAR, box=box)
    difference = np.abs(np.asarray(shown.image, dtype=float) - np.asarray(expected, dtype=float))
    assert difference.mean() < 3  # grey levels; two resamplings against one


def test_a_grey_photograph_is_explained_as_it_is_predicted(own_run: Run, bird: Path) -> None:
    grey = read_image(bird).convert("L")
    explanation = Explainer.of(own_run, RunContext(hardware=own_run.config.hardware)).explain(grey, "grey")
    predicted = load(own_run.path, hardware=own_run.config.hardware).predict(grey)
    assert isinstance(explanation, S3NExplanation)
    assert explanation.answer[0].class_name == predicted.best.class_name


def hashed(photograph: Path) -> str:
    """What tells a photograph from others of its name: a hash of its whole path."""
    return hashlib.sha256(os.fsencode(photograph.resolve())).hexdigest()[:8]


def picture_of(photograph: Path, ending: str = "explained") -> str:
    return f"{photograph.parent.name}-{photograph.name}-{hashed(photograph)}-{ending}.png"


def test_each_photograph_has_a_picture_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is called elsewhere, and whether it is asked for alone; the same one's is replaced."""
    names = ("x/a/img.jpg", "x/b/img.jpg", "y/a/img.jpg", "x/a-b/img.jpg", "x/a/b-img.jpg", "x/a/img.png")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / "x")
    asked = ("a/img.jpg", "b/img.jpg", "../y/a/img.jpg", "a-b/img.jpg", "a/b-img.jpg", "a/img.png")
    written = [picture_paths([Path(each)], tmp_path / "out", "explained")[0] for each in asked]
    assert [each.name for each in written] == [picture_of(tmp_path / name) for name in names]
    assert len({*written}) == 6
    monkeypatch.chdir(tmp_path / "y")
    again = picture_paths([Path("a/img.jpg"), tmp_path / "x/b/../a/img.jpg"], tmp_path / "out", "explained")
    assert again == (written[2], written[0])


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("a/img.jpg", "a/img.jpg"),
        ("/deep/er/img.jpg", "er/img.jpg"),
        ("/img.jpg", "img.jpg"),
        ("a/caf\udce9.jpg", "a/caf\\xe9.jpg"),
    ],
)
def test_a_title_says_where_a_photograph_lies(path: str, title: str) -> None:
    assert shown_name(Path(path)) == title


def test_a_title_says_where_here_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_name(Path("img.jpg")) == f"{tmp_path.name}/img.jpg"


@pytest.mark.parametrize(
    "name", ["a" * 250 + ".jpg", "-rf.jpg", "..jpg", "a\nb.jpg", "caf\udce9.jpg", "50%.jpg", "é" * 120]
)
def test_any_name_gives_one_file_in_the_folder(name: str, tmp_path: Path) -> None:
    (picture,) = picture_paths([tmp_path / "con" / name], tmp_path, "explained")
    picture.touch()
    assert picture.parent == tmp_path
    assert [each.name for each in tmp_path.iterdir()] == [picture.name]


def test_pictures_lie_in_the_run(own_run: Run, bird: Path) -> None:
    (picture,) = explain(own_run, [str(bird)], context=RunContext(hardware=own_run.config.hardware, say=silent))
    assert picture == own_run.path / "explanations" / picture_of(bird)
    assert size_of(picture)[0] > 800


def test_bad_photographs_stop_before_the_drawing_or_are_left_out(
    own_run: Run, bird: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, out = [tmp_path / "a.jpg", tmp_path / "c.jpg"], tmp_path / "out"
    shutil.copy(bird, tmp_path / "b.jpg")
    for photograph in bad:
        photograph.write_bytes(b"no picture")
    command = ("explain", own_run.path, tmp_path, "--out", out)
    assert status(*command) == 2
    told = capsys.readouterr()
    assert told.err.startswith("foveate: 2 of 3 photographs cannot be read:")
    assert all(str(photograph) in told.err for photograph in bad)
    assert not out.exists()
    assert status(*command, "--on-error", "skip") == 0
    told = capsys.readouterr()
    assert all(str(photograph) in told.out for photograph in bad)
    assert [each.name for each in out.iterdir()] == [picture_of(tmp_path / "b.jpg")]
    assert status("explain", own_run.path, *bad, "--on-error", "skip") == 2
    assert "2 of 2 photographs cannot be read" in capsys.readouterr().err


def test_what_is_nearly_blank_or_too_large_is_said(own_run: Run, tmp_path: Path) -> None:
    night, large, said = tmp_path / "night.png", tmp_path / "large.png", list[str]()
    Image.new("RGB", (64, 64), "black").save(night)
    Image.new("RGB", (1500, 1000), "green").save(large)
    both = [str(night), str(large)]
    explain(
        own_run, both, out=tmp_path, context=RunContext(on_error=OnError.SKIP, largest_megapixels=1, say=said.append)
    )
    assert said[0].startswith(f"warning: {night} is nearly blank")
    assert "at most 1 megapixels" in said[1]
    assert said[2:] == [str(tmp_path / picture_of(night))]
    data = replace(own_run.config.data, largest_megapixels=1)
    strict = replace(own_run, description=replace(own_run.description, config=replace(own_run.config, data=data)))
    with pytest.raises(UserError, match=r"1 of 1 photographs cannot be read:\n.*at most 1 megapixels"):
        explain(strict, [str(large)], out=tmp_path, context=RunContext(say=silent))
    assert len(explain(strict, [str(large)], out=tmp_path, context=RunContext(largest_megapixels=2, say=silent))) == 1


def test_evidence_over_training(own_run: Run, bird: Path, tmp_path: Path) -> None:
    every = explain(own_run, [str(bird)], epochs=(), out=tmp_path / "every", context=RunContext(say=silent))
    last = explain(own_run, [str(bird)], epochs=(2,), out=tmp_path / "last", context=RunContext(say=silent))
    assert every[0].name == picture_of(bird, "epochs")
    assert size_of(every[0])[1] > size_of(last[0])[1]


def test_the_command(own_run: Run, bird: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("explain", own_run.path, bird, "--out", tmp_path) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / picture_of(bird))]
    assert status("explain", own_run.path, bird, "--out", tmp_path, "--epochs", 1, 2) == 0
    assert (tmp_path / picture_of(bird, "epochs")).exists()


def test_a_calibrated_decision_is_explained_as_it_is_predicted(s3n_run: Run, bird: Path, tmp_path: Path) -> None:
    """Of weighed views and at a temperature: the number in the picture is that of `predict`."""
    run = Run.open(shutil.copytree(s3n_run.path, tmp_path / "run"))
    before = load(run.path, hardware=EXACT).predict(bird)
    write_calibration(run.path, Calibration(temperature=3.0, view_weights={"original": 1.0}))
    predicted = load(run.path, hardware=EXACT).predict(bird)
    explanation = Explainer.of(run, RunContext(hardware=EXACT)).explain(read_image(bird), "bird")
    assert isinstance(explanation, S3NExplanation)
    assert predicted.best.probability != pytest.approx(before.best.probability, abs=1e-3)
    assert [each.class_name for each in explanation.answer] == [each.class_name for each in predicted.top]
    for shown, said in zip(explanation.answer, predicted.top, strict=True):
        assert shown.probability == pytest.approx(said.probability, abs=1e-5)


def test_a_run_that_looks_once_shows_its_maps(quick_run: Run, bird: Path, tmp_path: Path) -> None:
    (picture,) = explain(quick_run, [str(bird)], out=tmp_path, context=RunContext(say=silent))
    assert size_of(picture)[0] == 1792
    explanation = Explainer.of(quick_run, RunContext(hardware=EXACT)).explain(read_image(bird), "bird")
    predicted = load(quick_run.path, hardware=EXACT).predict(bird)
    assert isinstance(explanation, MapsExplanation)
    assert [each.class_name for each in explanation.answer] == [each.class_name for each in predicted.top]
    assert explanation.answer[0].probability == pytest.approx(predicted.best.probability, abs=1e-5)
    assert explanation.image.size == (64, 64)
    with pytest.raises(UserError, match="kept none; train with --keep-epochs"):
        explain(quick_run, [str(bird)], epochs=(), context=RunContext(say=silent))


def test_an_epoch_that_was_not_kept(own_run: Run, bird: Path) -> None:
    with pytest.raises(UserError, match="kept 1, 2, not 7"):
        explain(own_run, [str(bird)], epochs=(1, 7), context=RunContext(say=silent))


def test_a_photograph_is_never_replaced(own_run: Run, bird: Path, tmp_path: Path) -> None:
    photograph = tmp_path / "bird.png"
    read_image(bird).save(photograph)
    before = photograph.read_bytes()
    (picture,) = explain(
        own_run, [str(photograph)], out=tmp_path, context=RunContext(hardware=own_run.config.hardware, say=silent)
    )
    assert picture != photograph
    assert photograph.read_bytes() == before
    with pytest.raises(UserError, match="never replaces a photograph"):
        explain(own_run, [str(photograph), str(picture)], out=tmp_path, context=RunContext(say=silent))
