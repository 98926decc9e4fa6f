"""An answer is the same whichever way the photograph comes in and the answer goes out."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image
from safetensors.torch import load_file, save_file

from command_line import status
from foveate.commands.main import main
from foveate.config.data import OnError, TestViews
from foveate.config.hardware import HardwareConfig
from foveate.data.images import read_image
from foveate.data.paths import Photographs, find_photographs
from foveate.data.photographs import read_photograph_views
from foveate.data.raster import Views
from foveate.errors import UserError
from foveate.inference.classifier import Classifier
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.types import Prediction, RankedClass
from foveate.workflows import answer_files
from foveate.workflows.answer_files import write_answers
from foveate.workflows.evaluate import evaluate
from foveate.workflows.model import Model, load
from foveate.workflows.predict import name_paths, predict_paths

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


def test_an_array_and_an_open_file_give_the_same_answer_and_a_list_is_sent_on(model: Model, birds: list[Path]) -> None:
    with Image.open(birds[0]) as image, birds[0].open("rb") as file:
        forms: list[Any] = [np.asarray(image.convert("RGB")), file]
        answers = [model.predict(birds[0]), *(model.predict(each) for each in forms)]
        assert [answer.top for answer in model.predict_many(forms[:1] * 2)] == [answers[0].top] * 2
    assert len({(answer.top, answer.entropy) for answer in answers}) == 1
    with pytest.raises(UserError, match="predict takes one photograph; got a list; give it to predict_many"):
        model.predict(cast(Any, birds[:2]))


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
        done = evaluate(copy, views=views, context=RunContext(hardware=model.run.config.hardware, say=silent))
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
        predict_paths(
            model.run.path, [str(birds[0])], top=2, entropy_threshold=threshold, context=RunContext(say=said.append)
        )
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
        counts = predict_paths(
            model.run.path,
            list(map(str, birds)),
            top=3,
            entropy_threshold=0.5,
            out=tmp_path / f"answers.{ending}",
            context=RunContext(say=said.append),
        )
        assert counts == (7, 0)
    rows = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
    assert pq.read_table(tmp_path / "answers.PARQUET").to_pylist() == rows
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [{name: str(value) for name, value in row.items()} for row in rows] == table
    assert [(row["image"], row["rank"]) for row in rows] == [(str(path), rank) for path in birds for rank in (1, 2, 3)]
    # The command computes as is fast on this machine, so this compares with a model that does too.
    expected = load(model.run.path).predict_many(birds, top=3, entropy_threshold=0.5)
    for number, each in enumerate(expected):
        top, row = rows[3 * number : 3 * number + 3], rows[3 * number]
        assert [ranked["class_name"] for ranked in top] == [ranked.class_name for ranked in each.top]
        assert_allclose([ranked["probability"] for ranked in top], [p for _, p in each.top], rtol=1e-4)
        assert row["entropy"] == pytest.approx(each.entropy, rel=1e-4)
        assert row["sure"] == (row["entropy"] <= 0.5)
    assert said[0] == f"7 answers in {tmp_path / 'answers.csv'}"


def test_names_alone_are_the_best_classes(
    model: Model, birds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = [(answer.image, answer.best.class_name) for answer in model.predict_many(birds, batch_size=3)]
    assert list(model.classify_many(birds, batch_size=2)) == best
    said: list[str] = []
    assert name_paths(model.run.path, list(map(str, birds)), context=RunContext(say=said.append)) == (len(birds), 0)
    assert said == [f"{image}: {name}" for image, name in best]
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    mixed = [str(birds[0]), str(tmp_path / "broken.jpg")]
    out = tmp_path / "names.csv"
    name_paths(model.run.path, mixed, out=out, context=RunContext(on_error=OnError.SKIP, say=said.append))
    assert out.read_text() == f"image,class_name\n{birds[0]},{best[0][1]}\n"
    assert said[-2:] == [f"1 answers in {out}", "left out 1 of 2 photographs that cannot be read"]
    with pytest.raises(UserError, match="1 of 1 photographs cannot be read"):
        name_paths(model.run.path, mixed[1:], out=out, context=RunContext(on_error=OnError.SKIP, say=said.append))
    assert out.read_text().endswith(f",{best[0][1]}\n")
    name_paths(model.run.path, mixed[:1], out=tmp_path / "names.json", context=RunContext(say=said.append))
    assert json.loads((tmp_path / "names.json").read_text()) == [{"image": str(birds[0]), "class_name": best[0][1]}]
    with pytest.raises(UserError, match="choose one of these endings"):
        name_paths(tmp_path / "no run", [], out=tmp_path / "names", context=RunContext(say=silent))
    assert main(["predict", str(model.run.path), str(birds[0]), "--names-only", "--top", "2"]) == 2
    assert main(["predict", str(model.run.path), str(birds[0]), "--names-only"]) == 0
    shown = capsys.readouterr()
    assert "--names-only names one class of one view" in shown.err
    assert shown.out == f"{birds[0]}: {best[0][1]}\n"


def test_an_unknown_ending_is_refused_before_the_work(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"written as \.csv, \.json, \.parquet; got 'answers\.txt'"):
        predict_paths(tmp_path / "no run", [], out=tmp_path / "answers.txt", context=RunContext(say=silent))
    with pytest.raises(UserError, match="choose one of these endings"):
        write_answers(tmp_path / "answers", [])
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=r"folder\.csv is a folder; name a file in it"):
        predict_paths(tmp_path / "no run", [], out=tmp_path / "folder.csv", context=RunContext(say=silent))


def test_broken_photographs_are_named_and_cost_no_other_answer(model: Model, birds: list[Path], tmp_path: Path) -> None:
    bad = [tmp_path / "album" / name for name in ("a.jpg", "z.jpg")]
    bad[0].parent.mkdir()
    for photograph in bad:
        photograph.write_bytes(b"no picture")
    good = shutil.copy(birds[0], tmp_path / "album" / "good.jpg")
    old, said = tmp_path / "answers.csv", list[str]()
    with pytest.raises(
        UserError, match=r"2 of 3 photographs cannot be read; 1 answers to the others are in .*csv"
    ) as told:
        predict_paths(model.run.path, [str(tmp_path / "album")], top=1, out=old, context=RunContext(say=said.append))
    assert all(str(photograph) in str(told.value) for photograph in bad)
    assert [line.split(",")[0] for line in old.read_text().splitlines()] == ["image", str(good)]
    assert said == [f"1 answers in {old}"]
    with pytest.raises(UserError, match="2 of 3 photographs cannot be read; 1 answers to the others were given above"):
        predict_paths(model.run.path, [str(tmp_path / "album")], context=RunContext(say=said.append))
    assert said[1].startswith(str(good))
    said.clear()
    assert predict_paths(
        model.run.path, [str(tmp_path / "album")], context=RunContext(on_error=OnError.SKIP, say=said.append)
    ) == (1, 2)
    assert [str(photograph) in line for photograph, line in zip(bad, said, strict=False)] == [True, True]
    assert said[2].startswith(str(good))
    assert said[3] == "left out 2 of 3 photographs that cannot be read"


@pytest.mark.parametrize("on_error", list(OnError))
def test_where_nothing_can_be_read_earlier_answers_stay(on_error: OnError, model: Model, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    old = tmp_path / "answers.csv"
    old.write_text("old")
    with pytest.raises(UserError, match=r"1 of 1 photographs cannot be read:\n.*a\.jpg"):
        predict_paths(model.run.path, [str(tmp_path)], out=old, context=RunContext(on_error=on_error, say=silent))
    assert old.read_text() == "old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.jpg", "answers.csv"]


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_what_fails_in_the_middle_leaves_no_part_of_a_file(
    ending: str, model: Model, birds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> Iterator[Prediction]:
        yield answer
        raise KeyboardInterrupt

    answer, old = model.predict(birds[0]), tmp_path / f"answers.{ending}"
    old.write_text("old")
    monkeypatch.setattr(Model, "predict_many", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict_paths(model.run.path, [str(birds[0])], out=old, context=RunContext(say=silent))
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(old.name, "old")]


class Counted(Prediction):
    """An answer; it is known how many live."""

    living = 0

    def __new__(cls, *_: object) -> Counted:
        Counted.living += 1
        return super().__new__(cls)

    def __del__(self) -> None:
        Counted.living -= 1


class Endless:
    """A model that answers often."""

    refiner = None

    def __init__(self) -> None:
        self.most = 0

    def predict_many(self, paths: object, **_: object) -> Iterator[Prediction]:
        for number in range(600):
            self.most = max(self.most, Counted.living)
            yield Counted(f"{number}.jpg", (RankedClass("owl", 0.75), RankedClass("wren", 0.25)), 0.5)


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_no_answer_is_kept_in_memory(ending: str, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless, file = Endless(), album / f"answers.{ending}"
    monkeypatch.setattr(answer_files, "_ROW_GROUP", 64)
    monkeypatch.setattr("foveate.workflows.bulk_predict.load", lambda *_, **__: endless)
    assert predict_paths(album / "run", ["b.jpg"], out=file, context=RunContext(say=silent)) == (600, 0)
    assert 1 <= endless.most <= 2
    rows = {"csv": csv_rows, "json": json_rows, "parquet": parquet_rows}[ending](file)
    assert [row["image"] for row in rows] == [f"{number}.jpg" for number in range(600) for _ in range(2)]
    assert [str(row["rank"]) for row in rows] == ["1", "2"] * 600
    if ending == "parquet":
        assert pq.ParquetFile(file).num_row_groups > 10


def csv_rows(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def json_rows(file: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return rows


def parquet_rows(file: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_a_name_that_is_no_text_costs_no_answer(ending: str, tmp_path: Path) -> None:
    answers = [
        Prediction(name, (RankedClass("owl", 1.0),), 0.0) for name in ("caf\udce9.jpg", "\ud800.jpg", 'a,"\n.jpg')
    ]
    file = tmp_path / f"answers.{ending}"
    write_answers(file, answers)
    rows = {"csv": csv_rows, "json": json_rows, "parquet": parquet_rows}[ending](file)
    assert [row["image"] for row in rows] == ["caf\\xe9.jpg", "\\ud800.jpg", 'a,"\n.jpg']


def test_how_sure_an_answer_is_is_empty_where_nobody_asked(model: Model, birds: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    predict_paths(model.run.path, [str(birds[0])], out=out, context=RunContext(say=lambda line: None))
    assert [row["sure"] for row in csv_rows(out)] == [""] * len(model.class_names)
    predict_paths(
        model.run.path, [str(birds[0])], out=out, entropy_threshold=9.0, context=RunContext(say=lambda line: None)
    )
    assert [row["sure"] for row in csv_rows(out)] == ["True"] * len(model.class_names)


def test_no_answers_are_a_file_too(tmp_path: Path) -> None:
    for ending in ("csv", "json", "parquet"):
        write_answers(tmp_path / f"answers.{ending}", [])
    assert (tmp_path / "answers.csv").read_text() == "image,rank,class_name,probability,entropy,sure\n"
    assert json_rows(tmp_path / "answers.json") == []
    assert pq.read_table(tmp_path / "answers.parquet").column_names == list(answer_files.ANSWERS.names)


def test_photographs_without_end_are_answered_as_they_come(model: Model, birds: list[Path]) -> None:
    drawn: list[Path] = []

    def photographs() -> Iterator[Path]:
        for photograph in cycle(birds):
            drawn.append(photograph)
            yield photograph

    answers = model.predict_many(photographs(), batch_size=2)
    assert [next(answers).image for _ in range(3)] == [str(each) for each in birds[:3]]
    assert len(drawn) == 6  # three batches: two were answered for, the next is being decoded


def test_the_next_batch_is_decoded_while_the_network_looks_at_this_one(
    model: Model, birds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network waits until the next photograph is being decoded; it would wait in vain if that came after it."""
    begun = {str(each): threading.Event() for each in birds}
    waiting = iter(birds[1:3])

    def decoded(photograph: Path, views: Any, **_: object) -> Views:
        begun[str(photograph)].set()
        return read_photograph_views(photograph, views)

    def look(_: Classifier, images: torch.Tensor) -> torch.Tensor:
        following = next(waiting, None)
        assert following is None or begun[str(following)].wait(timeout=20)
        return torch.full((len(images), 4), 0.25)

    monkeypatch.setattr("foveate.workflows.decoding.read_photograph_views", decoded)
    monkeypatch.setattr(Classifier, "probabilities", look)
    assert len(list(model.predict_many(birds[:3], batch_size=1))) == 3


def test_an_answer_that_is_not_finite_is_refused(
    quick_run: Run, birds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By every command, and in Python; weights that are numbers may still be too large."""
    run = shutil.copytree(quick_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints", "logs"))
    weights = load_file(run / "model.safetensors")
    (head,) = (name for name in weights if name.endswith("classifier.weight"))
    weights[head].fill_(3e38)
    save_file(weights, run / "model.safetensors")
    out = tmp_path / "answers.csv"
    options = ("--hardware.workers", 0, "--hardware.precision", "float32")
    for command in (("predict", run, birds[0], "--out", out), ("evaluate", run)):
        assert status(*command, *options) == 2
        told = capsys.readouterr()
        assert "a network's answer must be finite" in told.err
        assert "nan%" not in told.out
    assert not out.exists()
    model = load(run, hardware=HardwareConfig(accelerator="cpu", precision="float32"))
    for ask in (model.predict, lambda bird: next(model.classify_many([bird]))):
        with pytest.raises(UserError, match="answer must be finite; that for 1 of 1 images"):
            ask(birds[0])


def test_a_nearly_blank_photograph_is_answered_for_and_warned_of(
    model: Model, birds: list[Path], tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), "black").save(tmp_path / "night.png")
    shutil.copy(birds[0], tmp_path / "bird.jpg")
    said: list[str] = []
    assert predict_paths(
        model.run.path, [str(tmp_path)], out=tmp_path / "answers.csv", context=RunContext(say=said.append)
    ) == (2, 0)
    assert said[0].startswith(f"warning: {tmp_path / 'night.png'} is nearly blank")
    assert len(said) == 2


def test_photographs_are_as_large_as_the_training_allowed_or_as_asked_for(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "large.png"
    Image.new("RGB", (1500, 1000), "green").save(picture)
    data = replace(model.run.config.data, largest_megapixels=1)
    description = replace(model.run.description, config=replace(model.run.config, data=data))
    strict = replace(model, run=replace(model.run, description=description))
    for ask in (strict.predict_many, strict.classify_many):
        assert len(list(ask([picture], largest_megapixels=2))) == 1
        with pytest.raises(UserError, match="at most 1 megapixels"):
            list(ask([picture]))
    assert strict.predict(picture, largest_megapixels=2).image == str(picture)
    with pytest.raises(UserError, match="largest_megapixels must be at least 1; got 0"):
        model.predict(picture, largest_megapixels=0)
    for option in ((), ("--names-only",)):
        assert status("predict", model.run.path, picture, "--largest-megapixels", 1, *option) == 2
        assert "at most 1 megapixels" in capsys.readouterr().err
    assert status("predict", model.run.path, picture, "--largest-megapixels", 0) == 2
    assert "--largest-megapixels must be at least 1; got 0" in capsys.readouterr().err


def test_a_name_that_is_not_utf_8_costs_no_other_answer(
    quick_run: Run, birds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(birds[0], tmp_path / "bird.jpg")
    out, named = tmp_path / "answers.csv", os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    shutil.copy(birds[0], named)
    status("predict", quick_run.path, named, f"{tmp_path}/*.jpg", tmp_path, "--out", out)
    told = capsys.readouterr()
    answered = {line.split(",")[0] for line in out.read_text(encoding="utf-8").splitlines()[1:]}
    assert str(tmp_path / "bird.jpg") in answered
    assert f"{tmp_path}/caf\\xe9.jpg" in (told.err + "".join(answered))


def test_one_photograph_is_no_list_of_them(model: Model, birds: list[Path]) -> None:
    pixels = np.asarray(read_image(birds[0]))
    data = birds[0].read_bytes()
    ones: list[Any] = [str(birds[0]), birds[0], data, memoryview(data), np.frombuffer(data, np.uint8), pixels]
    for one in [*ones, pixels[..., 0]]:
        with pytest.raises(UserError, match="put it in a list"):
            next(model.predict_many(one))
    several: list[Any] = [np.stack([pixels] * 2), np.array([str(birds[0])] * 2)]
    assert [len(list(model.classify_many(each))) for each in several] == [2, 2]
    with pytest.raises(UserError, match="batch_size must be at least 1; got 0"):
        next(model.classify_many(birds, batch_size=0))


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


def test_what_is_passed_over_in_a_folder_is_said(album: Path) -> None:
    os.mkfifo(album / "pipe.jpg")
    (album / "loop.jpg").symlink_to("loop.jpg")
    (album / "deep" / "up").symlink_to("..")
    (album / "above").symlink_to("../..")
    (album / "deep" / "noend").touch()
    said: list[str] = []
    found = find_photographs(["."], said.append)
    # A pipe and a loop are named with all else that cannot be read.
    assert [path.as_posix() for path in found] == ["a.PNG", "b.jpg", "deep/er/c.webp", "loop.jpg", "pipe.jpg"]
    assert said == [".: passed over: 1 hidden, 1 without an ending, 1 .txt, 1 links to a folder above"]
    reasons = {"x" * 5000: "names none", "loop.jpg": "is a link to nothing; restore its target"}
    reasons |= dict.fromkeys(("pipe.jpg", "/dev/zero"), "is a pipe or a device; give a file")
    for pattern, reason in reasons.items():
        with pytest.raises(UserError, match=f"'{pattern[:200]}' {reason}"):
            find_photographs([pattern])


def test_many_paths_take_little(album: Path) -> None:
    found = find_photographs(["."])
    assert found[1:] == Photographs(["b.jpg", "deep/er/c.webp"])
    assert found[0] == Path("a.PNG")
    assert not any(isinstance(each, Path) for each in found.names)


def test_absolute_globs_and_the_home_folder(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_photographs([f"{album}/*.PNG", str(album / "b.jpg")]) == Photographs(
        [f"{album}/a.PNG", f"{album}/b.jpg"]
    )
    monkeypatch.setenv("USERPROFILE" if os.name == "nt" else "HOME", str(album))
    assert find_photographs(["~/deep/*/*.webp"]) == Photographs([f"{album}/deep/er/c.webp"])


@pytest.mark.parametrize("pattern", ["", "gone.jpg", "*.tiff", "folder.jpg", "a**z", "deep/er/*/x"])
def test_a_pattern_that_names_nothing_is_refused(album: Path, pattern: str) -> None:
    with pytest.raises(UserError, match="names none"):
        find_photographs(["b.jpg", pattern])


def test_nothing_to_look_at_is_refused() -> None:
    with pytest.raises(UserError, match="got no path; give photographs, folders or globs"):
        find_photographs([])
