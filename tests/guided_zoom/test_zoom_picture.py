"""The picture of how a Guided Zoom answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from foveate.drawing.overlays import heated_by_cells
from foveate.guided_zoom import picture as module
from foveate.guided_zoom.config import Rule, Scores
from foveate.guided_zoom.explanation import ZoomExplanation
from foveate.guided_zoom.picture import zoom_picture
from zoom_examples import explanation

BLUE, ORANGE, PINK, GREEN, VERMILION = map(ImageColor.getrgb, ("#0072B2", "#E69F00", "#CC79A7", "#009E73", "#D55E00"))


def drawn(folder: Path, example: ZoomExplanation) -> Image.Image:
    path = folder / "picture.png"
    zoom_picture(example, path)
    with Image.open(path) as picture:
        picture.load()
    return picture


def shown(picture: Image.Image, colour: tuple[int, ...]) -> bool:
    return bool((np.asarray(picture) == colour).all(-1).any())


def test_a_row_for_each_class_and_tiles_for_each_round(tmp_path: Path) -> None:
    one = drawn(tmp_path, explanation((0.3, 0.1)))
    rounds = drawn(tmp_path, explanation((0.3, 0.1, 0.2, 0.1)))
    two = drawn(tmp_path, explanation((0.3, 0.1, 0.2, 0.1), (0.2, 0.1, 0.2, 0.1)))
    assert two.height - rounds.height == module._CARD + module._GAP
    assert rounds.width - one.width == 2 * (module._GROUP_WIDTH + module._GAP)
    assert rounds.width <= 2000
    assert [shown(picture, BLUE) for picture in (one, rounds)] == [True, True]
    assert [shown(picture, PINK) for picture in (one, rounds)] == [False, True]


def test_right_and_wrong_are_marked_where_the_truth_is_known(tmp_path: Path) -> None:
    example = explanation((0.3, 0.1), (0.2, 0.3), chosen=1)
    colours = {
        truth: [shown(drawn(tmp_path, replace(example, truth=truth)), each) for each in (GREEN, VERMILION)]
        for truth in (None, "robin", "wren", "kite")
    }
    assert colours == {None: [False, False], "robin": [True, False], "wren": [True, True], "kite": [False, True]}


def test_numbers_of_peaks_in_one_place_stand_side_by_side(tmp_path: Path) -> None:
    example = explanation((0.3, 0.1, 0.1))
    first = example.classes[0].rounds[0]
    for side, step in ((10.0, 1), (70.0, -1)):
        each = replace(example.classes[0], rounds=(replace(first, place=(side, 40.0)),) * 2)
        picture = drawn(tmp_path, replace(example, classes=(each,)))
        top = picture.height - 40 - module._CARD + module._PANELS + 150
        x = round(60 + side * module._MAP / 80)
        assert picture.getpixel((x, top + 8)) == BLUE
        assert picture.getpixel((x + step * module._APART, top + 8)) == ORANGE


def test_a_map_lies_where_its_cells_are() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1
    picture = np.asarray(heated_by_cells(Image.new("RGB", (80, 80), "gray"), heat)).astype(int).sum(-1)
    assert np.unravel_index(picture.argmax(), picture.shape)[0] < 12
    assert picture[5, 75] == picture.max()
    assert picture[60, 20] < picture.min() + 5


@pytest.mark.parametrize("truth", [None, "wren"])
def test_whatever_there_is_fits(tmp_path: Path, truth: str | None) -> None:
    """No peak, no patch of the class in the pool, scores that may be negative, names of any length."""
    example = explanation((0.3, 0.1), (0.2, 0.3), rule=Rule.MAX)
    nothing = replace(example.classes[0].rounds[0], found=False, nearest=())
    each = replace(example.classes[0], class_name="Wren of the woods " * 30, rounds=(nothing,))
    plain = drawn(tmp_path, example)
    picture = drawn(tmp_path, replace(example, classes=(each, example.classes[1]), truth=truth))
    assert picture.width == plain.width
    raw = replace(example, config=replace(example.config, scores=Scores.LOGITS))
    assert drawn(tmp_path, raw).size == plain.size
