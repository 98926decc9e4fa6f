"""Several photographs of one object: the geometric mean of their answers."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

import foveate
from foveate.commands.main import main
from foveate.errors import UserError
from foveate.runs.run import Run
from foveate.types import Prediction, RankedClass
from foveate.workflows.together import JointAnswer, grouping, joint_answers
from zooms import SLOW

NAMES = ("ani", "crow", "wren")


def answer(name: str, *shares: float) -> Prediction:
    ranked = sorted(zip(NAMES, shares, strict=True), key=lambda each: -each[1])
    return Prediction(name, tuple(RankedClass(*each) for each in ranked), 0.0)


def joint(*answers: Prediction) -> Prediction:
    together = JointAnswer(NAMES)
    for each in answers:
        together.add(each)
    return together.prediction("it", 3, entropy_threshold=0.5)


def test_by_hand() -> None:
    """Shares of 0.8 0.1 0.1 and 0.2 0.4 0.4: the roots of the products are 0.4, 0.2 and 0.2."""
    both = joint(answer("a", 0.8, 0.1, 0.1), answer("b", 0.2, 0.4, 0.4))
    assert [each.class_name for each in both.top] == ["ani", "crow", "wren"]
    assert [each.probability for each in both.top] == pytest.approx([0.5, 0.25, 0.25])
    assert both.entropy == pytest.approx(1.5 * math.log(2))
    assert not both.sure


def test_it_is_a_mean() -> None:
    one = answer("a", 0.7, 0.2, 0.1)
    for count in (1, 2, 5):
        assert [each.probability for each in joint(*[one] * count).top] == pytest.approx([0.7, 0.2, 0.1])
    several = [answer("a", 0.7, 0.2, 0.1), answer("b", 0.1, 0.6, 0.3), answer("c", 0.3, 0.3, 0.4)]
    assert joint(*several).top == joint(*several[::-1]).top
    assert sum(each.probability for each in joint(*several).top) == pytest.approx(1)
    assert joint(answer("a", 1.0, 0.0, 0.0), answer("b", 0.0, 1.0, 0.0)).top[2].class_name == "wren"


def test_objects_come_in_the_order_in_which_they_are_seen() -> None:
    answers = [answer("b/1", 0.8, 0.1, 0.1), answer("a/1", 0.1, 0.8, 0.1), answer("b/2", 0.2, 0.4, 0.4)]
    objects = list(joint_answers(answers, lambda name: name[0], NAMES, 1))
    assert [(each.image, each.best.class_name) for each in objects] == [("b", "ani"), ("a", "crow")]


def test_groupings() -> None:
    paths = ["x/plant1_a.jpg", "x/plant1_b.jpg", "y/plant2_a.jpg"]
    assert [grouping("folder", paths)(path) for path in paths] == ["x", "x", "y"]
    assert [grouping(r"(plant\d)_", paths)(path) for path in paths] == ["plant1", "plant1", "plant2"]
    assert grouping(r"plant\d", paths)(paths[0]) == "plant1"
    with pytest.raises(UserError, match=r"finds nothing in 1 of the paths, 'y/plant2_a.jpg' first"):
        grouping("(plant1)", paths)
    with pytest.raises(UserError, match="`folder` or a regular expression"):
        grouping("(", paths)


def test_the_model_answers_once_for_several(quick_run: Run, plumage: Path) -> None:
    model, birds = foveate.load(quick_run.path, hardware=SLOW), sorted(plumage.rglob("*.jpg"))[:3]
    shares = [{each.class_name: each.probability for each in answer.top} for answer in model.predict_many(birds, top=4)]
    means = np.array([np.mean([np.log(each[name]) for each in shares]) for name in model.class_names])
    expected = dict(zip(model.class_names, np.exp(means) / np.exp(means).sum(), strict=True))
    together = model.predict_together(birds, name="a bird", top=2)
    assert (together.image, len(together.top)) == ("a bird", 2)
    assert together.best.probability == pytest.approx(expected[together.best.class_name], rel=1e-6)
    assert together.best.class_name == max(expected, key=lambda name: expected[name])
    with pytest.raises(UserError, match="got none"):
        model.predict_together([])
    with pytest.raises(UserError, match="top must be at least 1"):
        model.predict_together(birds, top=0)


def test_predict_answers_by_folder(
    quick_run: Run, plumage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers.csv"
    photographs = str(plumage / "images")
    main(["predict", str(quick_run.path), photographs, "--group-by", "folder", "--top", "1", "--out", str(out)])
    count = len(list((plumage / "images").glob("*/*")))
    objects = len(list((plumage / "images").iterdir()))
    assert f"{count} photographs of {objects} objects, each object answered for once" in capsys.readouterr().out
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert [Path(row["image"]).name for row in rows] == sorted(path.name for path in (plumage / "images").iterdir())
    model = foveate.load(quick_run.path)
    folder = sorted((plumage / "images").iterdir())[0]
    alone = model.predict_together(sorted(folder.iterdir()), top=1)
    assert rows[0]["class_name"] == alone.best.class_name
    assert float(rows[0]["probability"]) == pytest.approx(alone.best.probability, rel=1e-5)


@pytest.mark.parametrize("option", [["--error-rate", "0.1"], ["--coverage", "0.9"], ["--names-only"]])
def test_what_cannot_be_said_of_several(
    quick_run: Run, plumage: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(quick_run.path), str(plumage / "images"), "--group-by", "folder", *option]) == 2
    assert "group-by" in capsys.readouterr().err
