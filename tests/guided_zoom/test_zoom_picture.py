"""The picture of how a Guided Zoom answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from foveate.drawing.captions import CAPTION
from foveate.drawing.overlays import heated_by_cells
from foveate.drawing.page import Room
from foveate.grounding.twins import TwinEvidence
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


def test_a_card_for_each_class_and_tiles_for_each_round(tmp_path: Path) -> None:
    one = drawn(tmp_path, explanation((0.3, 0.1)))
    rounds = drawn(tmp_path, explanation((0.3, 0.1, 0.2, 0.1)))
    two = drawn(tmp_path, explanation((0.3, 0.1, 0.2, 0.1), (0.2, 0.1, 0.2, 0.1)))
    assert two.height - rounds.height == module._CARD + module._GAP
    assert one.width == module._INSIDE + 2 * 40 <= rounds.width <= 2000
    assert [shown(picture, BLUE) for picture in (one, rounds)] == [True, True]
    assert [shown(picture, PINK) for picture in (one, rounds)] == [False, True]


def test_two_cards_stand_side_by_side_where_one_map_does_for_all(tmp_path: Path) -> None:
    example = explanation((0.3, 0.1), (0.2, 0.1), (0.1, 0.1))
    alike = replace(example, map_correlation=0.95)
    apart, together = (drawn(tmp_path, each) for each in (example, alike))
    assert apart.width == together.width
    assert module._Layout.of(example).columns == 1
    layout = module._Layout.of(alike)
    assert (layout.columns, layout.height(3)) == (2, 2 * module._CARD + module._GAP)
    assert layout.room(1, 0).left - layout.room(0, 0).right == module._GAP


def coloured(picture: Image.Image, room: Room) -> float:
    """The spread of the colours of a part of a picture: 0 where it is grey."""
    part = np.asarray(picture.crop(tuple(map(int, room)))).astype(int)  # type: ignore[arg-type]
    return float((part.max(-1) - part.min(-1)).mean())


def test_the_photograph_is_in_colour_and_beside_it_what_tells_the_twins_apart(tmp_path: Path) -> None:
    example = explanation((0.3, 0.1), (0.2, 0.1))
    nothing, everything = np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)
    twins = TwinEvidence("wren", "robin", everything, nothing)
    example = replace(example, twins=twins, map_correlation=0.99)
    picture, layout = drawn(tmp_path, example), module._Layout.of(example)
    assert layout.panels == 4
    cards = picture.height - 40 - layout.height(2)
    bottom = cards - module._GAP - module._PADDING - 10 - CAPTION.line_height
    lefts = [60 + column * (layout.panel + module._GAP) for column in range(4)]
    middle = [Room(left + 100, bottom - 60, left + layout.panel - 100, bottom - 10) for left in lefts]
    photograph, _, first, second = (coloured(picture, each) for each in middle)
    assert photograph == pytest.approx(80, abs=2)  # (90, 140, 60)
    assert first > 50
    assert second < 10


def test_nearly_equal_patches_have_one_letter_and_are_drawn_once() -> None:
    example = explanation((0.3, 0.1, 0.2), (0.2, 0.1, 0.2))
    places = module._Places.of(example)
    (first, second), again = example.classes[0].rounds, example.classes[1].rounds[0]
    assert [places.letter(each) for each in (first, second, again)] == ["A", "B", "A"]
    assert [places.is_first(each) for each in (first, second, again)] == [True, True, False]


def test_right_and_wrong_are_marked_where_the_truth_is_known(tmp_path: Path) -> None:
    example = explanation((0.3, 0.1), (0.2, 0.3), chosen=1)
    colours = {
        truth: [shown(drawn(tmp_path, replace(example, truth=truth)), each) for each in (GREEN, VERMILION)]
        for truth in (None, "robin", "wren", "kite")
    }
    assert colours == {None: [False, False], "robin": [True, False], "wren": [True, True], "kite": [False, True]}


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


def test_evidence_off_the_object_is_marked_at_its_patch(tmp_path: Path) -> None:
    example = explanation((0.3, 0.1))
    (patch,) = example.classes[0].rounds
    for share, marked in ((0.9, False), (0.1, True)):
        each = replace(example.classes[0], rounds=(replace(patch, on_object=share),))
        picture, layout = drawn(tmp_path, replace(example, classes=(each,))), module._Layout.of(example)
        card = picture.height - 40 - layout.height(1)
        assert shown(picture.crop((0, card, picture.width, card + 60)), VERMILION) == marked
