"""`foveate report`, from end to end."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from command_line import status
from foveate.errors import UserError
from foveate.evaluation.calibration import Judged
from foveate.evaluation.predictions import PredictionTable
from foveate.evaluation.risk_coverage import risk_coverage
from foveate.runs import run as runs
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.html_report import write_report as workflow
from foveate.workflows.html_report.answers import accuracy_by_class, cards, refinement, risk_sentence
from foveate.workflows.html_report.write_report import ReportConfig, write_report
from zooms import QUIET, SLOW


def gallery_of(page: Path) -> list[list[object]]:
    match = re.search(r'id="gallery-data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert match is not None
    rows: list[list[object]] = json.loads(match.group(1))["cards"]
    return rows


@pytest.fixture(scope="module")
def reported(s3n_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a copy of an S3N run, of which no answers are kept."""
    folder = shutil.copytree(s3n_run.path, tmp_path_factory.mktemp("reports") / "it's ünder <b>")
    shutil.rmtree(folder / "evaluation", ignore_errors=True)
    return write_report(folder, context=QUIET)


def test_it_shows_every_photograph_and_explains_the_wrong_ones(reported: Path) -> None:
    page = reported.read_text()
    rows = gallery_of(reported)
    assert len(rows) == 12
    wrong = [row for row in rows if row[2] != row[3]]
    assert page.count('<details class="evidence"') == len(wrong) > 0
    assert page.count("<figcaption>first look:") == len(wrong)
    assert page.count("<figcaption>discriminative look:") == len(wrong)
    assert 'id="twins-1"' in page
    assert "typical training photographs" in page
    assert 'id="labels"' in page
    assert "foveate" in page
    assert "ünder &lt;b&gt;" in page
    assert "<b>" not in page.split("<body>")[1].split("</h1>")[0]


def test_a_report_replaces_a_report_and_nothing_else(reported: Path, tmp_path: Path) -> None:
    folder = reported.parent
    config = ReportConfig(pairs=0, evidence=0)
    assert write_report(folder, config=config, context=QUIET) == reported
    other = tmp_path / "mine.html"
    other.write_text("<p>mine</p>")
    with pytest.raises(UserError, match="is another file; name another with --out"):
        write_report(folder, out=other, config=config, context=QUIET)
    assert other.read_text() == "<p>mine</p>"
    assert write_report(folder, out=tmp_path, config=config, context=QUIET) == tmp_path / "report.html"


def test_a_guided_zoom_against_its_network(made: GuidedZoomRun, quick_run: Run, tmp_path: Path) -> None:
    page = tmp_path / "both.html"
    zoom, plain = (shutil.copytree(each.path, tmp_path / each.path.name) for each in (made, quick_run))
    write_report(zoom, plain, out=page, context=QUIET)
    text = page.read_text()
    assert "Guided Zoom of plain" in text
    assert "What the evidence changed" in text
    assert "most like it in training" in text
    assert "minus zoom, points" in text
    assert all(len(row[6]) == 1 for row in gallery_of(page))  # type: ignore[arg-type]


def test_photographs_that_have_moved_are_named_and_the_report_opens(reported: Path, tmp_path: Path) -> None:
    gone = RunContext(root=tmp_path / "gone", say=lambda line: None, hardware=SLOW)
    page = tmp_path / "moved.html"
    kept = copied_with_root(reported.parent, tmp_path / "kept", tmp_path / "gone")
    said: list[str] = []
    write_report(kept, out=page, context=RunContext(say=said.append, hardware=SLOW))
    text = page.read_text()
    assert "Photographs cannot be shown" in text
    assert str(tmp_path / "gone") in text
    assert any("Photographs cannot be shown" in line for line in said)
    assert len(gallery_of(page)) == 12
    shutil.rmtree(kept / "evaluation")
    write_report(kept, out=page, context=gone)
    text = page.read_text()
    assert "There are no answers to show" in text
    assert "How it was made" in text
    assert "gallery-data" not in text


def copied_with_root(run: Path, path: Path, root: Path) -> Path:
    """Copy a run whose photographs are to lie elsewhere."""
    shutil.copytree(run, path)
    description = json.loads((path / "run.json").read_text())
    description["config"]["data"]["root"] = str(root)
    (path / "run.json").write_text(json.dumps(description))
    return path


def test_one_photograph_that_cannot_be_read(reported: Path, plumage: Path, tmp_path: Path) -> None:
    root = shutil.copytree(plumage, tmp_path / "birds")
    victim = str(gallery_of(reported)[0][1])
    (root / victim).write_bytes(b"broken")
    page = write_report(copied_with_root(reported.parent, tmp_path / "run", root), context=QUIET)
    assert f"One photograph cannot be read, and is not shown: {victim}" in page.read_text()


def test_many_photographs_lie_beside_the_page(reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "_IN_PAGE", 3)
    monkeypatch.setattr(workflow, "_LISTED", 2)
    page = write_report(reported.parent, out=tmp_path / "many.html", context=QUIET)
    assert "data:image/webp" not in page.read_text()
    assert page.read_text().count('<details class="evidence"') == 2
    assert "These are the first 2 of 9" in page.read_text()
    sources = set(re.findall(r'src="(many_files/\w+\.webp)"', page.read_text()))
    assert sources
    assert all((tmp_path / each).is_file() for each in sources)


@pytest.mark.parametrize(("field", "value"), [("pairs", -1), ("evidence", -2)])
def test_numbers_below_0_are_refused(field: str, value: int) -> None:
    with pytest.raises(UserError, match=f"{field} must be 0 or more; got {value}"):
        ReportConfig(**{field: value})


def test_of_nothing_there_is_no_report() -> None:
    with pytest.raises(UserError, match="got none; name its folder"):
        write_report()


def test_a_run_of_a_newer_version_is_refused(
    quick_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = shutil.copytree(quick_run.path, tmp_path / "newer")
    description = json.loads((newer / "run.json").read_text()) | {"schema_version": runs.SCHEMA_VERSION + 1}
    (newer / "run.json").write_text(json.dumps(description))
    assert status("report", str(newer)) == 2
    assert "version" in capsys.readouterr().err
    assert not (newer / "report.html").exists()


def test_doubted_labels_are_of_photographs_that_were_not_learned(reported: Path, tmp_path: Path) -> None:
    page = write_report(reported.parent, split="train", out=tmp_path / "train.html", context=QUIET)
    assert 'id="labels"' not in page.read_text()


def table(answers: list[int], labels: list[int], sure: float = 0.6) -> PredictionTable:
    probabilities = np.full((len(labels), 3), (1 - sure) / 2)
    probabilities[np.arange(len(labels)), answers] = sure
    ids = tuple(f"{number}.jpg" for number in range(len(labels)))
    return PredictionTable(ids, np.array(labels), probabilities, ("a", "b", "c"))


def test_accuracy_by_class_by_hand() -> None:
    rows = accuracy_by_class(table([0, 1, 1, 1, 2, 0], [0, 0, 0, 1, 1, 1]))
    assert [(row.name, row.right, row.photographs, row.taken_for) for row in rows] == [
        ("a", 1, 3, "b (2)"),
        ("b", 1, 3, "a (1)"),
    ]


def test_what_refinement_changed_by_hand() -> None:
    before, after = table([0, 1, 2, 0], [0, 0, 1, 1]), table([1, 0, 1, 2], [0, 0, 1, 1])
    changed = refinement(cards(after, before, [], {}))
    assert changed is not None
    assert (changed.before, changed.after, changed.changed) == (0.25, 0.5, 4)
    assert [card.name for card in changed.mended] == ["1.jpg", "2.jpg"]
    assert [card.name for card in changed.spoiled] == ["0.jpg"]
    assert refinement(cards(after, None, [], {})) is None


def test_the_sentence_on_risk_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.55, 0.45]])
    judged = Judged.of(probabilities, np.array([0, 0, 0, 1, 1]))
    assert risk_sentence(risk_coverage(judged)) == (
        "Answer the surest 80% of the photographs, and 25.0% of the answers are wrong; answer all, and 40.0% are. "
        "At most 2% are wrong among the surest 60%."
    )
