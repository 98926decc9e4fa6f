"""Results show themselves in a notebook: escaped, small, and of themselves alone."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from foveate.evaluation.accuracy import measure_accuracy
from foveate.evaluation.bootstrap import Estimate
from foveate.networks.explanation import Explanation
from foveate.report.comparison import ComparisonRow, Cost
from foveate.types import Prediction, RankedClass
from foveate.workflows.compare import Comparison
from zoom_examples import explanation

EVIL = "<script>alert('wren')</script>"


def prediction(image: str) -> Prediction:
    return Prediction(image, (RankedClass(EVIL, 0.75), RankedClass("robin $x$", 0.25)), 0.5, sure=False)


def test_a_prediction_shows_photograph_and_bars(tmp_path: Path) -> None:
    photograph = tmp_path / "a 'quoted' <b>ird.jpg"
    Image.fromarray(np.random.default_rng(0).integers(256, size=(1500, 2000, 3), dtype=np.uint8)).save(photograph)
    html = prediction(str(photograph))._repr_html_()
    assert "data:image/jpeg;base64," in html
    assert "http" not in html
    assert "<script>" not in html
    assert "<b>ird" not in html
    assert "75.0%" in html
    assert "not sure" in html
    assert len(html) < 120_000


@pytest.mark.parametrize("image", ["image 1", "gone.jpg", "nul\0.jpg", "x" * 5000])
def test_a_prediction_without_a_file_shows_bars(image: str) -> None:
    answer = replace(prediction(image), sure=True)
    assert "<img" not in answer._repr_html_()
    assert "not sure" not in answer._repr_html_()
    assert len(answer.figure().axes) == 1


def test_a_figure_and_a_shown_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph = tmp_path / "bird.png"
    Image.new("RGB", (60, 40), "red").save(photograph)
    answer = prediction(str(photograph))
    answer.figure().savefig(png := io.BytesIO(), format="png")
    with Image.open(png) as picture:
        assert picture.width > 400
    shown: list[object] = []
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(Image.Image, "show", lambda self, title: shown.append(title))
    answer.show()
    notebook = SimpleNamespace(get_ipython=lambda: object(), display=SimpleNamespace(display=shown.append))
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    answer.show()
    assert shown == [str(photograph), answer]


def test_accuracy_and_comparison_are_tables(tmp_path: Path) -> None:
    accuracy = measure_accuracy(np.eye(4), np.array([0, 1, 2, 0]), resamples=20)
    html = accuracy._repr_html_()
    assert "<td>top-1</td><td>75.0</td>" in html
    assert "4 photographs of 4 classes" in html
    one, two = Estimate(0.5, 0.4, 0.6), Estimate(-0.1, -0.2, 0.05)
    cost = Cost(1, 2.5, 3)
    rows = [ComparisonRow(name, ((tmp_path,),), ((0,),), (0.5,), one, cost, None, ()) for name in (EVIL, "s3n")]
    html = Comparison((rows[0], replace(rows[1], difference=two)), 1234, tmp_path / "report.md")._repr_html_()
    assert "-10.0 (-20.0 to +5.0)" in html
    assert "1,234 photographs" in html
    assert "<script>" not in html


class Drawn(Explanation):
    """Draws a red page."""

    def draw(self, path: Path) -> None:
        Image.new("RGB", (5, 4), "red").save(path)


def test_explanations_are_pictures() -> None:
    for each, width in ((Drawn(), 5), (explanation((0.3, 0.1), (0.2, 0.1)), 1480)):
        with Image.open(io.BytesIO(each._repr_png_())) as picture:
            assert (picture.format, picture.width) == ("PNG", width)
        assert each.picture().width == width
