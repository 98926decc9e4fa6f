"""A data set is looked over, and what was planted in it is found."""

from __future__ import annotations

import csv
import io
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image, ImageOps

from foveate.commands.main import main
from foveate.config.branches import Branch
from foveate.config.data import DataConfig, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, ProbeConfig
from foveate.data.records import ImageRecord, labels_of
from foveate.errors import UserError
from foveate.evaluation.data_report import DataReport, FindingKind
from foveate.evaluation.predictions import PredictionTable
from foveate.files.hashes import hash_of_file
from foveate.guided_zoom.config import PoolConfig, RefinementConfig
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_dataset
from foveate.runs.guided_zoom_run import GuidedZoomDescription, GuidedZoomRun
from foveate.runs.held_out import HeldOutSource, write_held_out
from foveate.runs.run import Run
from foveate.workflows.check.check import check
from foveate.workflows.check.check_folder import default_folder
from foveate.workflows.check.equal_photographs import Looked
from foveate.workflows.check.label_evidence import evidence_by_answers, judgeable, neighbours_say
from foveate.workflows.check.run_evidence import Judge, evidence_by_run
from foveate.workflows.check.suspects import suspected_labels, suspicion, typical_photographs

CLASSES = ("heron", "=stork", "<b>ibis")


def quiet(line: str) -> None:
    """Say nothing."""


def scene(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((120, 90), Image.Resampling.BICUBIC)


@pytest.fixture
def marsh(tmp_path: Path) -> Path:
    """Three classes in two splits; names that HTML and spreadsheets might take for more than names."""
    root = tmp_path / "marsh"
    for number, name in enumerate(CLASSES):
        for split, count in (("train", 6), ("test", 2)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for place in range(count):
                scene(100 * number + 10 * place + (split == "test")).save(folder / f"{place}.png")
    return root


def looked_over(root: Path, **options: object) -> DataReport:
    return check(root, out=root.parent / "check", labels=False, say=quiet, **options)  # type: ignore[arg-type]


def test_nothing_is_found_where_nothing_is(marsh: Path) -> None:
    report = looked_over(marsh)
    assert report.findings == ()
    assert [sum(split.photographs) for split in report.splits] == [18, 6]
    assert (report.smallest, report.largest) == ((120, 90), (120, 90))
    assert DataReport.read(report.path) == report
    lines: list[str] = []
    again = check(marsh, out=marsh.parent / "again", labels=False, say=lines.append)
    assert f"nothing was found: go on with foveate fit {marsh}; written to {again.path}" in lines
    assert "--data.exclude" not in "".join(lines)


def test_planted_faults_are_found_each_by_its_kind(marsh: Path) -> None:
    train, test = marsh / "train", marsh / "test"
    shutil.copy(test / "heron/0.png", train / "heron/leak.png")
    ImageOps.mirror(Image.open(test / "heron/1.png")).save(train / "=stork/torn-leak.jpg", quality=90)
    shutil.copy(train / "heron/0.png", train / "=stork/torn.png")
    Image.open(train / "heron/1.png").resize((96, 72)).save(train / "heron/copy.png")
    Image.new("RGB", (90, 90)).save(train / "heron/black.png")
    scene(7).resize((40, 30)).save(train / "heron/tiny.png")
    (train / "heron/broken.png").write_bytes(b"\x89PNG no more")
    report = looked_over(marsh)
    found = {each.photograph: (each.kind, each.other) for each in report.findings}
    assert found == {
        "train/heron/leak.png": (FindingKind.LEAK, "test/heron/0.png"),
        "train/=stork/torn-leak.jpg": (FindingKind.LEAK, "test/heron/1.png"),
        "train/heron/0.png": (FindingKind.CLASSES, "train/=stork/torn.png"),
        "train/heron/copy.png": (FindingKind.COPY, "train/heron/1.png"),
        "train/heron/black.png": (FindingKind.BLANK, None),
        "train/heron/tiny.png": (FindingKind.TINY, None),
        "train/heron/broken.png": (FindingKind.UNREADABLE, None),
    }
    assert [each.kind for each in report.findings] == sorted(
        (each.kind for each in report.findings), key=list(FindingKind).index
    )
    assert report.of("leak")[1].words == "mirrored, and of another class"
    left_out = set((report.path / "exclude.txt").read_text().splitlines())
    assert left_out == found.keys() - {"train/heron/tiny.png"} | {"train/=stork/torn.png"}
    clean = DataConfig(root=marsh, exclude=(str(report.path / "exclude.txt"),))
    again = check(marsh, out=marsh.parent / "again", labels=False, data=clean, say=quiet)
    assert {each.kind for each in again.findings} == {FindingKind.TINY}
    assert len(load_dataset(clean).train) == 18


def test_of_several_equal_ones_that_of_the_test_is_the_other(marsh: Path) -> None:
    """Whatever is listed first, and also for what is only nearly equal to the first of them."""
    test, train = marsh / "test/heron/0.png", marsh / "train/heron"
    for name in ("1.png", "a.png"):
        shutil.copy(test, train / name)
    Image.open(test).save(train / "near.jpg", quality=80)
    found = {each.photograph: (each.kind, each.other) for each in looked_over(marsh).findings}
    leak = (FindingKind.LEAK, "test/heron/0.png")
    assert found == dict.fromkeys(("train/heron/1.png", "train/heron/a.png", "train/heron/near.jpg"), leak)


def test_a_list_empties_no_class_and_no_split(marsh: Path) -> None:
    """Of the herons all are leaks but one, which is black: a leak is spared. Then a test is all blank."""
    train, test = marsh / "train/heron", marsh / "test"
    for number in range(3, 6):
        (train / f"{number}.png").unlink()
    for number in range(2):
        shutil.copy(test / f"heron/{number}.png", train / f"{number}.png")
    Image.new("RGB", (90, 90)).save(train / "2.png")
    lines: list[str] = []
    report = check(marsh, out=marsh.parent / "check", labels=False, say=lines.append)
    assert report.spared == ("train/heron/1.png",)
    assert set(report.excluded) == {"train/heron/0.png", "train/heron/2.png"}
    assert [(each.photograph, each.words) for each in report.of(FindingKind.FEW)] == [
        ("train/heron/0.png", "training photographs of its class: 3")
    ]
    assert any("it spares 1 with a finding: train/heron/1.png" in line for line in lines)
    load_dataset(DataConfig(root=marsh, exclude=(str(report.path / "exclude.txt"),)))
    for number, file in enumerate(sorted(test.rglob("*.png"))):
        Image.new("RGB", (90, 91 + number)).save(file)
    blank = check(marsh, out=marsh.parent / "blank", labels=False, say=quiet)
    assert len([name for name in blank.excluded if name.startswith("test")]) == 5


def test_a_table_holds_no_formula(marsh: Path) -> None:
    shutil.copy(marsh / "train/=stork/0.png", marsh / "train/=stork/copy.png")
    report = looked_over(marsh)
    (row,) = csv.DictReader((report.path / "findings.csv").read_text().splitlines())
    assert (row["kind"], row["class_name"], row["photograph"]) == ("copy", "'=stork", "train/=stork/copy.png")


def test_names_that_no_list_can_hold_are_left_out_of_the_lists(marsh: Path) -> None:
    original = marsh / "train/heron/0.png"
    odd = os.fsdecode(b"z\xff.png")
    for name in (odd, "y\n.png", "x\u2028.png"):
        shutil.copy(original, original.with_name(name))
    lines: list[str] = []
    report = check(marsh, out=marsh.parent / "check", labels=False, say=lines.append)
    assert {each.photograph for each in report.findings} == {
        f"train/heron/{name}" for name in (odd, "y\n.png", "x\u2028.png")
    }
    assert (report.path / "exclude.txt").read_text() == "train/heron/x\u2028.png\n"
    assert any(line.startswith("note: 2 photographs are in findings.csv only") for line in lines)
    rows = list(csv.DictReader(io.StringIO((report.path / "findings.csv").read_text())))
    assert "train/heron/z\\xff.png" in {row["photograph"] for row in rows}
    assert len(load_dataset(DataConfig(root=marsh, exclude=(str(report.path / "exclude.txt"),))).train) == 20


def test_a_group_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    rows = ["image,class_name,split,nest"]
    for number in range(8):
        scene(number).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{'ab'[number % 2]},{'test' if number < 2 else 'train'},{number % 4}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    data, lines = DataConfig(root=tmp_path, group_column="nest"), list[str]()
    report = check(tmp_path / "list.csv", out=tmp_path / "check", labels=False, data=data, say=lines.append)
    torn = report.of(FindingKind.GROUP)
    assert [(each.photograph, each.other, each.words) for each in torn] == [
        ("4.png", "0.png", "group 0: 1 in test, 1 in train"),
        ("5.png", "1.png", "group 1: 1 in test, 1 in train"),
    ]
    assert any("2 groups have photographs in several splits" in line for line in lines)


def test_a_folder_that_holds_something_is_left_alone(marsh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_over(marsh)
    with pytest.raises(UserError, match="a check needs a new or empty folder"):
        looked_over(marsh)
    monkeypatch.chdir(marsh.parent)
    assert default_folder(marsh) == Path("check-2")


def test_nothing_is_written_among_the_photographs(marsh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(marsh)
    for out in (Path("check"), marsh / "train/check", marsh):
        with pytest.raises(UserError, match="a check writes beside the photographs"):
            check(".", out=out, labels=False, say=quiet)
    report = check(".", labels=False, say=quiet)
    assert report.path == marsh.parent / "marsh-check"
    assert default_folder(marsh) == marsh.parent / "marsh-check-2"
    assert set(load_dataset(DataConfig(root=marsh)).class_names) == set(CLASSES)


def test_a_data_set_that_is_none_is_named(marsh: Path) -> None:
    for split in ("train", "test"):
        for name in CLASSES[1:]:
            shutil.rmtree(marsh / split / name)
    with pytest.raises(UserError, match="at least two classes"):
        looked_over(marsh)
    assert not (marsh.parent / "check").exists()


def test_where_nothing_can_be_read_that_is_said(marsh: Path) -> None:
    for file in marsh.rglob("*.png"):
        file.write_bytes(b"nothing")
    with pytest.raises(UserError, match="a check needs a photograph that can be read; none of 24"):
        looked_over(marsh)


def test_the_command_says_what_it_found(marsh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(marsh / "test/heron/0.png", marsh / "train/heron/leak.png")
    assert main(["check", str(marsh), "--no-labels", "--out", str(marsh.parent / "found")]) == 0
    said = capsys.readouterr().out
    assert "| leak    |      1 |" in said
    assert " --data.exclude" in said
    assert main(["check", str(marsh), "--data.root", "elsewhere"]) == 2
    assert main(["check", str(marsh), "--run", str(marsh)]) == 2


# labels


def records(labels: list[int]) -> list[ImageRecord]:
    return [ImageRecord(str(place), Path(), label, "abc"[label]) for place, label in enumerate(labels)]


def test_neighbours_of_the_own_group_are_not_asked() -> None:
    """Computed by hand: two directions; a photograph of its own group would vouch for its label."""
    features = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    labels, alone, together = np.array([0, 1, 1, 1]), np.arange(4), np.array([0, 0, 1, 2])
    voices = neighbours_say(features, labels, alone, 2)
    far = np.exp(-1 / 0.05)
    assert_allclose(voices[0], np.array([0.05, 1.05 + 2 * far]) / (1.1 + 2 * far))
    of_group = neighbours_say(features, labels, together, 2)
    assert_allclose(of_group[0], np.array([0.05, 2.05]) / 2.1)


def test_a_swapped_label_is_the_first_suspect() -> None:
    labels = [0] * 10 + [1] * 10 + [2] * 10
    answers = np.full((30, 3), 0.1)
    answers[np.arange(30), labels] = 0.8
    labels[3] = 1
    evidence = evidence_by_answers(records(labels), {Branch.ORIGINAL: answers}, "a test")
    (finding,) = suspected_labels(evidence, {str(place): "train" for place in range(30)})
    assert (finding.photograph, finding.class_name, finding.suggested) == ("3", "b", "a")
    assert finding.score == pytest.approx((1 + 0.8 - 0.1) / 2, abs=1e-4)
    assert_allclose(suspicion(evidence.labels, evidence.joined)[[0, 3]], [0.15, 0.85])
    assert [each.photograph for each in typical_photographs(evidence)] == ["0", "10", "20"]
    assert evidence.accuracy == pytest.approx(29 / 30)


def test_classes_that_are_not_judged_leave_no_gap() -> None:
    answers = np.array([[0.1, 0.5, 0.4], [0.2, 0.2, 0.6]])
    evidence = evidence_by_answers(records([0, 2]), {Branch.ORIGINAL: answers}, "a test")
    assert evidence.classes == ("a", "c")
    assert_allclose(evidence.joined, [[0.2, 0.8], [0.25, 0.75]])


def test_a_class_of_one_photograph_is_not_judged() -> None:
    assert judgeable(records([0, 1, 0, 1, 2])) == [0, 1, 2, 3]
    assert judgeable(records([0, 0, 1])) == []
    assert judgeable(records([0, 0, 1, 1, 2, 2]), [0, 0, 1, 2, 3, 4]) == [2, 3, 4, 5]
    assert judgeable([]) == []


@pytest.fixture(scope="module")
def small_probe(plumage: Path) -> TrainConfig:
    return TrainConfig(
        data=DataConfig(root=plumage),
        transforms=TransformConfig(input_size=32, resize_size=36),
        network=ProbeConfig(backbone=BackboneConfig(architecture="test_efficientnet", weights="none"), folds=2),
        hardware=HardwareConfig(accelerator="cpu", workers=0),
    )


def test_labels_are_looked_at_and_lists_are_written(plumage: Path, small_probe: TrainConfig, tmp_path: Path) -> None:
    report = check(plumage, out=tmp_path / "check", method=small_probe, say=quiet)
    suspects = report.of(FindingKind.LABEL)
    assert report.labels_by == "probe with frozen features, in 2 folds, and the nearest photographs"
    assert len(report.typical) == 4
    assert suspects
    assert not (tmp_path / "check/.features").exists()
    with Image.open(tmp_path / "check/suspects.png") as sheet:
        assert sheet.width == 1044
    relabelled = load_dataset(DataConfig(root=plumage, relabel=report.path / "relabel.csv"))
    names = {each.id: each.class_name for each in (*relabelled.train, *relabelled.test)}
    assert all(names[each.photograph] == each.suggested for each in suspects)


def test_a_run_judges_what_it_did_not_learn_from(plumage: Path, quick_run: Run, tmp_path: Path) -> None:
    report = check(plumage, run=quick_run, out=tmp_path / "check", say=quiet)
    assert report.labels_by == "quick: held-out answers to 12 of 36 photographs"
    assert all(each.split == "test" for each in report.of(FindingKind.LABEL))


def test_a_run_that_answered_for_one_class_judges_none(plumage: Path, quick_run: Run) -> None:
    """And computes where it is told to."""
    tested = load_dataset(DataConfig(root=plumage)).test
    others = [each.id for each in tested if each.label]
    others += [each.id for each in tested if not each.label][2:]
    unread = [Looked(each, "test", "") for each in tested if each.id not in others]
    lines: list[str] = []
    here, nowhere = HardwareConfig(accelerator="cpu", workers=0), HardwareConfig(accelerator="mps")
    assert evidence_by_run(Judge.of(quick_run), unread, DataConfig(root=plumage), here, lines.append) is None
    assert lines[-1].startswith("labels are not looked at")
    with pytest.raises(UserError, match="accelerator must be"):
        evidence_by_run(Judge.of(quick_run), unread, DataConfig(root=plumage), nowhere, quiet)


def test_a_guided_zoom_judges_by_its_network_and_what_it_held_out(
    plumage: Path, quick_run: Run, tmp_path: Path
) -> None:
    description = GuidedZoomDescription(
        base=quick_run.path,
        network_hash=hash_of_file(quick_run.weights),
        pool=PoolConfig(),
        refinement=RefinementConfig(),
    )
    zoom = GuidedZoomRun.start(tmp_path / "zoom", description)
    train = load_dataset(DataConfig(root=plumage)).train[:6]
    probabilities = np.full((6, 4), 0.25, dtype=np.float32)
    table = PredictionTable(
        tuple(each.id for each in train), np.array(labels_of(train)), probabilities, quick_run.class_names
    )
    write_held_out(zoom.path, {Branch.JOINT: table}, HeldOutSource.OUT_OF_FOLD, 2)
    arguments = ["check", str(plumage), "--run", str(zoom.path), "--out", str(tmp_path / "check")]
    assert main([*arguments, "--hardware.accelerator", "cpu", "--hardware.workers", "0"]) == 0
    report = DataReport.read(tmp_path / "check")
    assert report.labels_by == "zoom: held-out answers to 18 of 36 photographs"


def test_a_run_of_other_classes_is_refused(marsh: Path, quick_run: Run) -> None:
    with pytest.raises(UserError, match="judges the labels of the classes that it was trained on"):
        check(marsh, run=quick_run, out=marsh.parent / "check", say=quiet)


def test_equal_photographs_alone_are_no_two(tmp_path: Path, small_probe: TrainConfig) -> None:
    """Of each class there is one photograph, twice: nothing could learn it without the other."""
    for name in ("a", "b"):
        (tmp_path / "twice" / name).mkdir(parents=True)
        for number in range(2):
            scene(ord(name)).save(tmp_path / "twice" / name / f"{number}.png")
    lines: list[str] = []
    data = DataConfig(root=tmp_path, test_fraction=0.0)
    report = check(tmp_path / "twice", out=tmp_path / "check", method=small_probe, data=data, say=lines.append)
    assert report.labels_by is None
    assert any(line.startswith("labels are not looked at") for line in lines)
    assert len(report.of(FindingKind.COPY)) == 2


@pytest.mark.realdata
def test_planted_faults_of_real_birds_are_found(cub20: Path, tmp_path: Path) -> None:
    """Every copy, whatever was done to it, and nothing else."""
    import planted_faults
    from foveate.recipes.datasets import load_splits

    splits = load_splits(DataConfig(root=cub20))
    train = [each for label in (0, 6, 12) for each in [one for one in splits.train if one.label == label][:12]]
    test = [each for label in (0, 6, 12) for each in [one for one in splits.test if one.label == label][:8]]
    few = replace(splits, train=train, test=test)
    row = planted_faults.copies_row(few, 0, 2, tmp_path)
    assert (row["planted"], row["found"], row["others"]) == (8, 8, [])
