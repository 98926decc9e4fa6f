"""An answer is the same whichever way the photograph comes in and the answer goes out."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image

from foveate.cli import main
from foveate.config import HardwareConfig, OnError, TestViews
from foveate.errors import UserError
from foveate.methods.inference import Classifier
from foveate.runs import Run
from foveate.types import Prediction
from foveate.workflows.evaluate import evaluate
from foveate.workflows.predict import Model, find_photographs, load, name_paths, predict_paths, write_answers

UNSURE = [0.5, 0.25, 0.125, 0.125]
"""Entropy: 0.5 log 2 + 0.25 log 4 + 2 x 0.125 log 8 = 1.75 log 2 = 1.213 nats."""


def silent(line: str) -> None:
    """Take a line of progress and say nothing."""


@pytest.fixture(scope="module")
def model(quick_run: Run) -> Model:
    return load(quick_run.path, hardware=HardwareConfig(accelerator="cpu"))


@pytest.fixture(scope="module")
def birds(plumage: Path) -> list[Path]:
    return sorted((plumage / "images").glob("*/*"))[:7]


@pytest.fixture
def always_unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_: Classifier, images: torch.Tensor) -> torch.Tensor:
        return torch.tensor([UNSURE]).expand(len(images), -1)

    monkeypatch.setattr(Classifier, "probabilities", answer)


def probabilities(answer: Prediction, model: Model) -> list[float]:
    named = {ranked.class_name: ranked.probability for ranked in answer.top}
    return [named[name] for name in model.class_names]


def test_path_text_bytes_and_image_give_the_same_answer(model: Model, birds: list[Path]) -> None:
    with Image.open(birds[0]) as image:
        answers = [model.predict(photograph) for photograph in (birds[0], str(birds[0]), birds[0].read_bytes(), image)]
    assert [answer.image for answer in answers] == [str(birds[0]), str(birds[0]), "image", "image"]
    assert len({(answer.top, answer.entropy) for answer in answers}) == 1


def test_a_photograph_that_lies_on_its_side_is_turned_however_it_comes(model: Model, birds: list[Path]) -> None:
    stream = io.BytesIO()
    with Image.open(birds[0]) as image:
        exif = Image.Exif()
        exif[0x0112] = 6  # orientation: to be turned by a quarter
        image.convert("RGB").save(stream, "PNG", exif=exif)
    with Image.open(io.BytesIO(stream.getvalue())) as image:
        turned = model.predict(image)
    assert turned.top == model.predict(stream.getvalue()).top
    assert turned.top != model.predict(birds[0]).top


def test_many_are_answered_as_one_by_one(model: Model, birds: list[Path]) -> None:
    together = list(model.predict_many(birds, batch_size=3))
    assert [answer.image for answer in together] == list(map(str, birds))
    for answer, path in zip(together, birds, strict=True):
        alone = model.predict(path)
        assert_allclose(probabilities(answer, model), probabilities(alone, model), rtol=1e-4, atol=1e-6)
        assert answer.entropy == pytest.approx(alone.entropy, rel=1e-4)


def test_answers_are_those_of_the_evaluation(model: Model, tmp_path: Path) -> None:
    copy = shutil.copytree(model.run.path, tmp_path / "own", ignore=shutil.ignore_patterns("checkpoints", "logs"))
    for views in (TestViews.CENTRE, TestViews.TEN_CROP):
        done = evaluate(copy, views=views, hardware=model.run.config.hardware, say=silent)
        paths = [record.image for record in done.records if isinstance(record.image, Path)]
        answers = model.predict_many(paths, views=views)
        measured = np.array([probabilities(answer, model) for answer in answers])
        assert measured.shape == (12, 4)
        assert_allclose(measured, done.table.probabilities, rtol=1e-4, atol=1e-6)


def test_entropy_is_that_of_all_classes(model: Model, birds: list[Path]) -> None:
    whole, first = model.predict(birds[0], top=99), model.predict(birds[0], top=1)
    assert len(whole.top) == 4
    assert first.top == whole.top[:1] == (whole.best,)
    assert whole.entropy == pytest.approx(-sum(p * math.log(p) for _, p in whole.top), rel=1e-5)
    assert first.entropy == whole.entropy
    assert [p for _, p in whole.top] == sorted((p for _, p in whole.top), reverse=True)


@pytest.mark.usefixtures("always_unsure")
def test_an_answer_above_the_threshold_is_not_sure(model: Model, birds: list[Path]) -> None:
    answer = model.predict(birds[0], entropy_threshold=1.2)
    assert answer.entropy == pytest.approx(1.75 * math.log(2))
    assert not answer.sure
    assert model.predict(birds[0], entropy_threshold=1.22).sure
    assert model.predict(birds[0]).sure
    assert tuple(ranked.class_name for ranked in answer.top) == model.class_names  # equal ones by class number


@pytest.mark.usefixtures("always_unsure")
def test_doubt_is_said(model: Model, birds: list[Path]) -> None:
    said: list[str] = []
    for threshold in (1.2, None):
        predict_paths(model.run.path, [str(birds[0])], top=2, entropy_threshold=threshold, say=said.append)
    first, second, *_ = model.class_names
    assert said == [
        f"{birds[0]}: not sure (entropy 1.21 nats), best: {first} 50.0%  [{second} 25.0%]",
        f"{birds[0]}: {first} 50.0%  [{second} 25.0%]",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top must be at least 1; got 0"),
        ({"entropy_threshold": -0.1}, r"must not be negative, in nats; got -0\.1"),
        ({"entropy_threshold": math.nan}, "got nan"),
    ],
)
def test_arguments_out_of_range(model: Model, birds: list[Path], options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(model.predict_many(birds, **options))  # type: ignore[arg-type]  # each of the options' own type


def test_what_is_no_photograph_is_named(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"image not found: .*gone\.jpg"):
        model.predict(tmp_path / "gone.jpg")
    with pytest.raises(UserError, match="the image given as bytes"):
        model.predict(b"no picture")


def test_the_three_files_agree_with_each_other_and_the_model(model: Model, birds: list[Path], tmp_path: Path) -> None:
    said: list[str] = []
    for ending in ("csv", "json", "PARQUET"):
        answers = predict_paths(
            model.run.path,
            list(map(str, birds)),
            top=3,
            entropy_threshold=0.5,
            out=tmp_path / f"answers.{ending}",
            say=said.append,
        )
    rows = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
    assert pq.read_table(tmp_path / "answers.PARQUET").to_pylist() == rows
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [{name: str(value) for name, value in row.items()} for row in rows] == table
    assert [(row["image"], row["rank"]) for row in rows] == [(str(path), rank) for path in birds for rank in (1, 2, 3)]
    assert [(row["class_name"], row["probability"]) for row in rows] == [each for a in answers for each in a.top]
    # The command computes as is fast on this machine, so this compares with a model that does too.
    expected = load(model.run.path).predict_many(birds, top=3, entropy_threshold=0.5)
    for answer, each, row in zip(answers, expected, rows[::3], strict=True):
        assert [ranked.class_name for ranked in answer.top] == [ranked.class_name for ranked in each.top]
        assert_allclose([p for _, p in answer.top], [p for _, p in each.top], rtol=1e-4)
        assert (row["entropy"], row["sure"]) == (answer.entropy, answer.sure)
        assert row["sure"] == (row["entropy"] <= 0.5)
    assert said[0] == f"7 answers in {tmp_path / 'answers.csv'}"


def test_names_alone_are_the_best_classes(
    model: Model, birds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = [(answer.image, answer.best.class_name) for answer in model.predict_many(birds, batch_size=3)]
    assert list(model.classify_many(birds, batch_size=2)) == best
    said: list[str] = []
    assert list(name_paths(model.run.path, list(map(str, birds)), say=said.append)) == best
    assert said == [f"{image}: {name}" for image, name in best]
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    mixed = [str(birds[0]), str(tmp_path / "broken.jpg")]
    out = tmp_path / "names.csv"
    name_paths(model.run.path, mixed, out=out, on_error=OnError.SKIP, say=said.append)
    assert out.read_text() == f"image,class_name\n{birds[0]},{best[0][1]}\n"
    assert said[-2:] == ["left out 1 of 2 photographs that cannot be read", f"1 answers in {out}"]
    name_paths(model.run.path, mixed[1:], out=out, on_error=OnError.SKIP, say=said.append)
    assert out.read_text() == "image,class_name\n"
    name_paths(model.run.path, mixed[:1], out=tmp_path / "names.json", say=said.append)
    assert json.loads((tmp_path / "names.json").read_text()) == [{"image": str(birds[0]), "class_name": best[0][1]}]
    with pytest.raises(UserError, match="choose one of these endings"):
        name_paths(tmp_path / "no run", [], out=tmp_path / "names", say=silent)
    assert main(["predict", str(model.run.path), str(birds[0]), "--names-only", "--top", "2"]) == 2
    assert main(["predict", str(model.run.path), str(birds[0]), "--names-only"]) == 0
    shown = capsys.readouterr()
    assert "--names-only names one class of one view" in shown.err
    assert shown.out == f"{birds[0]}: {best[0][1]}\n"


def test_an_unknown_ending_is_refused_before_the_work(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"written as \.csv, \.json, \.parquet; got 'answers\.txt'"):
        predict_paths(tmp_path / "no run", [], out=tmp_path / "answers.txt", say=silent)
    with pytest.raises(UserError, match="choose one of these endings"):
        write_answers(tmp_path / "answers", [])


def test_broken_photographs_stop_or_are_left_out(model: Model, birds: list[Path], tmp_path: Path) -> None:
    good = shutil.copy(birds[0], tmp_path / "good.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    old = tmp_path / "answers.csv"
    old.write_text("old")
    with pytest.raises(UserError, match=r"cannot be decoded: .*broken\.jpg"):
        predict_paths(model.run.path, [str(tmp_path)], out=old, say=silent)
    assert old.read_text() == "old"
    said: list[str] = []
    (answer,) = predict_paths(model.run.path, [str(tmp_path)], on_error=OnError.SKIP, say=said.append)
    assert answer.image == str(good)
    assert "broken.jpg" in said[0]
    assert said[1].startswith(str(good))
    assert said[2] == "left out 1 of 2 photographs that cannot be read"


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.jpg", "a.PNG", "deep/er/c.webp", "deep/notes.txt", "._b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["b.jpg"], ["b.jpg"]),
        (["deep/notes.txt"], ["deep/notes.txt"]),
        (["."], ["a.PNG", "b.jpg", "deep/er/c.webp"]),
        (["deep"], ["deep/er/c.webp"]),
        (["?.*"], ["a.PNG", "b.jpg"]),
        (["**/*.webp", "b.jpg"], ["deep/er/c.webp", "b.jpg"]),
        (["b.jpg", "./b.jpg", ".", "*.jpg"], ["b.jpg", "a.PNG", "deep/er/c.webp", "._b.jpg"]),
    ],
)
def test_files_folders_and_globs(album: Path, patterns: list[str], found: list[str]) -> None:
    assert [path.as_posix() for path in find_photographs(patterns)] == found


def test_absolute_globs_and_the_home_folder(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_photographs([f"{album}/*.PNG", str(album / "b.jpg")]) == (album / "a.PNG", album / "b.jpg")
    monkeypatch.setenv("USERPROFILE" if os.name == "nt" else "HOME", str(album))
    assert find_photographs(["~/deep/*/*.webp"]) == (album / "deep" / "er" / "c.webp",)


@pytest.mark.parametrize("pattern", ["gone.jpg", "*.tiff", "folder.jpg", "a**z", "deep/er/*/x"])
def test_a_pattern_that_names_nothing_is_refused(album: Path, pattern: str) -> None:
    with pytest.raises(UserError, match="names none"):
        find_photographs(["b.jpg", pattern])


def test_nothing_to_look_at_is_refused() -> None:
    with pytest.raises(UserError, match="got no path; give photographs, folders or globs"):
        find_photographs([])
