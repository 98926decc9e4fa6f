from __future__ import annotations

import csv
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from foveate.commands.main import main
from foveate.data.images import read_image
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import Calibration, write_calibration
from foveate.runs.run import Run
from foveate.workflows import shown_answers
from foveate.workflows.answer_list import write_answer_list
from foveate.workflows.evaluate_zoom import evaluate_zoom
from foveate.workflows.model import load
from foveate.workflows.shown_answers import answer_sheets_of, check_sheet
from zooms import EXACT, QUIET, REFINEMENT, copied


class Answered(NamedTuple):
    table: PredictionTable
    records: list[ImageRecord]


NAMES = ("wren", "=robin", "kite")
PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.6, 0.0, 0.4]], np.float32)
LABELS = np.array([0, 1, 1, 2])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def picture(path: Path) -> Path:
    Image.new("RGB", (20, 16), "green").save(path)
    return path


def answers(folder: Path) -> tuple[PredictionTable, list[ImageRecord]]:
    ids = tuple(f"{name}.jpg" for name in ("a", "-b", "c", "d"))
    records = [
        ImageRecord(each, picture(folder / each), int(label), NAMES[label])
        for each, label in zip(ids, LABELS, strict=True)
    ]
    return PredictionTable(ids, LABELS, PROBABILITIES, NAMES), records


def test_each_photograph_is_a_row_the_surest_wrong_answer_first(tmp_path: Path) -> None:
    table, records = answers(tmp_path)
    first = np.roll(PROBABILITIES, 1, axis=1)
    write_answer_list(tmp_path / "answers.csv", table, records, first)
    rows = rows_of(tmp_path / "answers.csv")
    assert [row["photograph"] for row in rows] == ["'-b.jpg", "d.jpg", "a.jpg", "c.jpg"]
    assert rows[0] == {
        "photograph": "'-b.jpg",
        "path": str(tmp_path / "-b.jpg"),
        "true_class": "'=robin",
        "answer": "wren",
        "probability": "0.7",
        "right": "False",
        "true_class_probability": "0.2",
        "class_2": "'=robin",
        "probability_2": "0.2",
        "class_3": "kite",
        "probability_3": "0.1",
        "first_answer": "'=robin",
        "first_probability": "0.7",
        "changed": "True",
    }
    assert [row["right"] for row in rows] == ["False", "False", "True", "True"]


def test_sheets_show_every_wrong_answer_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, records = answers(tmp_path)
    evaluation = Answered(table, records)
    monkeypatch.setattr(shown_answers, "_PAGE", 1)
    paths, said = answer_sheets_of(evaluation, tmp_path / "sheet.png", title="birds")
    assert paths == (tmp_path / "sheet.png", tmp_path / "sheet-2.png")
    assert said.startswith("all 2 wrong answers, with the names of their files: ")
    first, last = (read_image(each, largest_megapixels=None).height for each in paths)
    assert last > first  # the right ones are on it
    monkeypatch.setattr(shown_answers, "_PAGES", 1)
    _, said = answer_sheets_of(evaluation, tmp_path / "sheet.png", title="birds")
    assert said.startswith("the surest 1 of 2 wrong answers (a list given by --out has all of them)")


def test_further_pages_replace_only_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, records = answers(tmp_path)
    evaluation, sheet, second = Answered(table, records), tmp_path / "sheet.png", tmp_path / "sheet-2.png"
    monkeypatch.setattr(shown_answers, "_PAGE", 1)
    answer_sheets_of(evaluation, sheet, title="birds")
    answer_sheets_of(evaluation, sheet, title="birds")  # in the place of its own
    assert second.exists()
    monkeypatch.setattr(shown_answers, "_PAGE", 60)
    answer_sheets_of(evaluation, sheet, title="birds")
    assert not second.exists()  # of a longer evaluation
    others = picture(tmp_path / "sheet-3.png")
    for _ in ("a picture", "the page of another sheet"):
        content = others.read_bytes()
        with pytest.raises(UserError, match=r"sheet-3\.png is none of sheet\.png; move it away"):
            answer_sheets_of(evaluation, sheet, title="birds")
        assert others.read_bytes() == content
        answer_sheets_of(evaluation, tmp_path / "other.png", title="birds")
        (tmp_path / "other.png").replace(others)
    others.write_text("no picture")
    with pytest.raises(UserError, match=r"sheet-3\.png is none of"):
        check_sheet(sheet)
    (folder := tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_sheet(folder)
    with pytest.raises(UserError, match=r"written as \.png; got 'a\.jpg'"):
        check_sheet(tmp_path / "a.jpg")


def test_where_all_is_right_the_sheet_shows_that(tmp_path: Path) -> None:
    table, records = answers(tmp_path)
    right = replace(table, labels=PROBABILITIES.argmax(1))
    evaluation = Answered(right, records)
    _, said = answer_sheets_of(evaluation, tmp_path / "sheet.png", title="birds")
    assert said == f"no answer is wrong; some that are right, with the names of their files: {tmp_path / 'sheet.png'}"


def test_the_command_lists_a_runs_answers(quick_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(shutil.copytree(quick_run.path, tmp_path / "run"))
    options = ["--out", str(tmp_path / "a.csv"), "--sheet", str(tmp_path / "a.png"), "--hardware.workers", "0"]
    assert main(["evaluate", run, *options]) == 0
    shown = capsys.readouterr().out
    rows = rows_of(tmp_path / "a.csv")
    wrong = [row for row in rows if row["right"] == "False"]
    assert (len(rows), [row["right"] for row in rows]) == (12, ["False"] * len(wrong) + ["True"] * (12 - len(wrong)))
    assert f"all {len(wrong)} wrong answers" in shown
    assert "top-5" not in shown  # of four classes
    assert re.search(r"top-2 .*\| top-3", shown, re.DOTALL)
    assert all(Path(row["path"]).is_file() for row in rows)
    assert main(["evaluate", run, "--out", "answers.xls"]) == 2
    assert "answers are written as .csv, .json, .parquet; got 'answers.xls'" in capsys.readouterr().err
    picture(tmp_path / "b-2.png")
    assert main(["evaluate", run, "--sheet", str(tmp_path / "b.png")]) == 2
    assert "b-2.png is none of b.png" in capsys.readouterr().err


def test_a_guided_zoom_is_evaluated_with_what_it_changed(
    made: GuidedZoomRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zoom = GuidedZoomRun.open(copied(made, tmp_path))
    options = ["--out", str(tmp_path / "z.csv"), "--sheet", str(tmp_path / "z.png"), "--hardware.workers", "0"]
    assert main(["evaluate", str(zoom.path), *options]) == 0
    shown, rows = capsys.readouterr().out, rows_of(tmp_path / "z.csv")
    evaluation = evaluate_zoom(zoom, context=QUIET)
    report, change = evaluation.report, evaluation.report.rows[0].change
    right = [row["right"] == "True" for row in rows]
    assert f"{100 * sum(right) / 12:.1f}% of 12 photographs are right" in shown
    assert f"The evidence changed {change.changed} answers" in shown
    assert sum(row["changed"] == "True" for row in rows) == change.changed
    assert report.after.top1.value == change.after
    assert report.before.top1.value == change.before
    assert report.difference.value == pytest.approx(change.after - change.before)
    assert shown.count("| 3   |   2 |  sum | 0.4 0.3 0.2 0.1 |") == 1  # its own decision is one of the papers'
    assert main(["evaluate", str(zoom.path), "--branch", "original"]) == 2
    assert "--branch are of runs" in capsys.readouterr().err


def test_only_the_folders_own_decision_has_its_temperature(made: GuidedZoomRun, tmp_path: Path) -> None:
    zoom = GuidedZoomRun.open(copied(made, tmp_path))
    other = replace(REFINEMENT, weights=(0.5, 0.5))
    bare = [evaluate_zoom(zoom, refinement=each, context=QUIET).table.probabilities for each in (REFINEMENT, other)]
    write_calibration(zoom.path, Calibration(temperature=2.0))
    with_one = [evaluate_zoom(zoom, refinement=each, context=QUIET).table.probabilities for each in (REFINEMENT, other)]
    softened = np.sqrt(bare[0]) / np.sqrt(bare[0]).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(with_one[0], softened, atol=1e-5)
    np.testing.assert_array_equal(with_one[1], bare[1])


def test_a_guided_zoom_predicts_what_it_is_evaluated_with(made: GuidedZoomRun, tmp_path: Path) -> None:
    evaluation = evaluate_zoom(made, context=QUIET)
    model = load(made.path, hardware=EXACT)
    paths = [record.image for record in evaluation.records]
    answers = list(model.predict_many(paths))  # type: ignore[arg-type]
    for index, answer in enumerate(answers):
        assert answer.first is not None
        best = int(evaluation.first[index].argmax())
        assert answer.first.class_name == evaluation.table.class_names[best]
        assert answer.first.probability == pytest.approx(float(evaluation.first[index, best]), abs=2e-3)
        assert (
            answer.best.class_name == evaluation.table.class_names[int(evaluation.table.probabilities[index].argmax())]
        )
        assert answer.changed == (answer.first.class_name != answer.best.class_name)


def test_a_file_of_a_guided_zooms_answers_has_the_first_ones(made: GuidedZoomRun, tmp_path: Path) -> None:
    bird = str(next((made.base_run().config.data.root).rglob("*.jpg")))
    out = tmp_path / "answers.csv"
    assert main(["predict", str(made.path), bird, "--out", str(out), "--coverage", "0.9"]) == 2  # nothing is held out
    assert main(["predict", str(made.path), bird, "--out", str(out)]) == 0
    (row, *_) = rows_of(out)
    assert list(row)[-3:] == ["first_class_name", "first_probability", "changed"]
    assert row["changed"] == str(row["first_class_name"] != row["class_name"])
