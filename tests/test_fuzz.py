"""A short, seeded part of `make fuzz`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.evaluate import evaluate
from fuzz import commands, document, documents, files, kills, pictures
from fuzz.running import Tally, Verdict, try_all
from fuzz.subjects import Answer, Subjects, manners
from zooms import silent

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*fork:DeprecationWarning"
)  # from Python 3.12 on: children set no threads

_LEARN = ("train", "guided-zoom")
"""What trains cannot be forked from a process that has trained."""


@pytest.fixture(scope="module")
def subjects(
    plumage: Path, quick_run: Run, s3n_run: Run, made: GuidedZoomRun, tmp_path_factory: pytest.TempPathFactory
) -> Subjects:
    root = tmp_path_factory.mktemp("fuzz")
    plain, s3n, zoom = (Path(shutil.copytree(each.path, root / each.path.name)) for each in (quick_run, s3n_run, made))
    for run in (plain, s3n):
        evaluate(run, context=RunContext(hardware=quick_run.config.hardware, say=silent))
    return Subjects(plumage, plain, s3n, zoom)


def faults(verdicts: Tally) -> dict[str, str]:
    return {kind: verdict.words for kind, (_, verdict) in verdicts.faults.items()}


def test_damaged_pictures_are_pictures_or_image_errors() -> None:
    tally = Tally()
    for number in range(400):
        tally.add(pictures.check(pictures.Picture(19, number)))
    assert faults(tally) == {}
    assert tally.outcomes["read"] > 80
    assert tally.outcomes["refused"] > 80


def test_damaged_documents_are_refused_or_say_what_they_said(subjects: Subjects) -> None:
    """Each field deleted, doubled, and of one other kind; each column and note of a table."""
    checks, tally = documents.Checks(subjects), Tally()
    for known in checks.documents:
        kinds = set[str]()
        for number, damage in enumerate(documents.damages(known) if known.read is not None else ()):
            table = known.file.endswith(".parquet")
            if table or damage.what not in documents.VALUES or number % (len(documents.VALUES) + 1) == 0:
                kinds.add(damage.what)
                tally.add(checks.reading(damage))
        assert len(kinds) > 5 or known.read is None
    assert faults(tally) == {}
    assert tally.outcomes["refused"] > 300


def test_lost_and_strange_files(subjects: Subjects) -> None:
    cases = files.cases(subjects, seed=19)
    chosen = [case for case in cases if not any(word in case.words for word in _LEARN)][::150]
    assert faults(try_all(chosen, files.check, say=silent, chunk=4, limit=60)) == {}


def test_hostile_options(subjects: Subjects) -> None:
    calls = [call for call in commands.calls(subjects, 40, seed=19) if call.base[0] not in _LEARN and not call.long]
    assert faults(try_all(calls[:10], commands.check, say=silent, limit=60)) == {}


def test_a_killed_pool_goes_on_and_other_bytes_are_noticed(subjects: Subjects, tmp_path: Path) -> None:
    work = next(each for each in kills.works(subjects) if each.name == "pool")
    usual = kills.usual_of(work, tmp_path / "slot")
    assert len(usual.hashes) > 4
    for moments in ((0.6, 0.5), (0.8,)):
        assert kills.attempt(work, tmp_path / "slot", usual, moments).fault is None
    other = kills.Usual(0.01, usual.hashes | {"pool/pool.json": "another"})
    fault = kills.attempt(work, tmp_path / "slot", other, ()).fault
    assert fault == "pool: leaves other bytes in pool.json"


def crash(case: str) -> Verdict:
    if case == "hang":
        while True:
            pass
    if case == "die":
        os.abort()
    return Verdict("held")


def test_who_dies_or_hangs_costs_itself_alone() -> None:
    tally = try_all(["a", "hang", "b", "die", "c"], crash, say=silent, chunk=5, limit=0.5)
    assert tally.outcomes == {"held": 3, "fault": 2}
    assert sorted(tally.faults) == ["dies (-6) in test_fuzz.crash", "hangs in test_fuzz.crash"]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(0, "", ""), None),
        (Answer(2, "", "foveate: a rule; a value; a mend"), None),
        (Answer(2, "", ""), "no word"),
        (Answer(1, "", "Traceback (most recent call last)"), "status 1"),
        (Answer(2, "", "Traceback (most recent call last)"), "shows"),
        (Answer(2, "", "some line\n" * 40), "page"),
        (Answer(0, "", "UserWarning: corrupt"), "warns"),
        (Answer(1, "", "", "KeyError in runs.open"), "KeyError"),
    ],
)
def test_manners(answer: Answer, fault: str | None) -> None:
    judged = manners(answer)
    assert judged is None if fault is None else fault in str(judged)


def test_the_document_shows_the_kept_counts() -> None:
    text = document.DOCUMENT.read_text(encoding="utf-8")
    assert document.with_counts(text, document.kept()) == text
    tally = {"cases": 3, "outcomes": {"read": 2, "fault": 1}, "faults": {"raises": {"cases": 1, "first": "a`.jpg\n╰─"}}}
    about = {"commit": "abc", "date": "2026-11-27", "hardware": "EPYC", "seed": 0, "minutes": 31.2}
    shown = document.with_counts(text, {**about, "tried": {"pictures": tally}})
    assert "2 read" in shown
    assert "- pictures, 1: raises (`a .jpg`)\n" in shown
