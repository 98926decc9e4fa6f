"""A picture of how MA-CNN comes to its answer: the parts it found, the crops it looks at, what each stream answers.

The words are for somebody who has not read the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from PIL import Image

from foveate.backbones.backbone import Normalisation
from foveate.config.branches import PARTS, Branch
from foveate.drawing.captions import ANSWER_HEIGHT, HEADER, MARGIN, draw_answers, draw_header, verdict
from foveate.drawing.overlays import draw_box, draw_disc, heated_by_cells
from foveate.drawing.page import CARD, SOFT_INK, Page, Room, TextStyle
from foveate.drawing.pictures import picture_of
from foveate.macnn.output import MACNNOutput
from foveate.networks.answers import decision, ranked_classes
from foveate.networks.explanation import Explanation
from foveate.types import Box, RankedClass, Size

# Told apart with any colour vision (Okabe and Ito).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
_OBJECT_COLOUR = "#FFFFFF"


@dataclass(frozen=True, slots=True)
class Crop:
    """What one stream beside the whole image's sees: its box in pixels of the image, and its own best class."""

    box: Box
    view: Image.Image
    answer: RankedClass


@dataclass(frozen=True, slots=True)
class Part:
    """One group of channels: its attention, which is not negative, its peak in pixels of the image, and its crop."""

    attention: Float[np.ndarray, "h w"]
    peak: tuple[float, float]
    crop: Crop


@dataclass(frozen=True, slots=True)
class MACNNExplanation(Explanation):
    """How the network came to its answer for one photograph.

    ``image`` is the whole view, ``answer`` the decision by falling probability, ``original_answer`` what the whole
    view alone says. ``object`` is None where the network does not look at it, ``truth`` where it is not known.

    Raises:
        ValueError: There is no part, or more than eight, or no answer.
    """

    title: str
    image: Image.Image
    parts: tuple[Part, ...]
    answer: tuple[RankedClass, ...]
    original_answer: RankedClass
    object: Crop | None = None
    truth: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.parts) <= len(_COLOURS):
            raise ValueError(f"there must be 1 to {len(_COLOURS)} parts; got {len(self.parts)}")
        if not self.answer:
            raise ValueError("an answer must name at least one class; got none")

    def draw(self, path: Path) -> None:
        """Write a PNG, as `parts_picture` does."""
        parts_picture(self, path)


_SHOWN = 5  # classes of the decision


def explained(
    output: MACNNOutput,
    normalisation: Normalisation,
    class_names: Sequence[str],
    title: str,
    truth: str | None = None,
) -> MACNNExplanation:
    """Gather what the network saw in a batch of one; arguments as in `Network.explanation`."""
    answers = {
        branch: ranked_classes(logits[0].float().softmax(-1).cpu().numpy(), class_names, _SHOWN)
        for branch, logits in output.logits.present().items()
    }
    original = picture_of(output.original, normalisation)
    crops = {branch: _crop(output, branch, normalisation, answers[branch][0]) for branch in output.views}
    peaks = output.attention.peaks[0].cpu().numpy() * np.array(original.size)
    return MACNNExplanation(
        title=title,
        image=original,
        parts=tuple(
            Part(attention.cpu().numpy(), (float(x), float(y)), crops[branch])
            for branch, attention, (x, y) in zip(PARTS, output.attention.maps[0], peaks, strict=False)
        ),
        answer=decision(answers),
        original_answer=answers[Branch.ORIGINAL][0],
        object=crops.get(Branch.OBJECT),
        truth=truth,
    )


def _crop(output: MACNNOutput, branch: Branch, normalisation: Normalisation, answer: RankedClass) -> Crop:
    left, top, right, bottom = (output.boxes[branch][0] * output.original.shape[-1]).tolist()
    return Crop(Box(left, top, right, bottom), picture_of(output.views[branch], normalisation), answer)


_NAME = TextStyle(17, bold=True)
_PADDING, _GAP, _STRIPE, _BELOW = 20, 24, 8, 12
_COLUMNS, _PANEL = 4, 400
_WIDTH = 2 * (MARGIN + _PADDING) + _COLUMNS * _PANEL + (_COLUMNS - 1) * _GAP
_NAMED = _NAME.line_height + 10  # a panel's name and the room between them
_FIRST_HEIGHT = 2 * _PADDING + _NAMED + _PANEL + _BELOW + ANSWER_HEIGHT
_PART_HEIGHT = 2 * _PADDING + _NAMED + 2 * (_PANEL + _BELOW) + ANSWER_HEIGHT
_PEAK = 9  # radius of a peak's mark, in pixels of the picture


def parts_picture(explanation: MACNNExplanation, path: Path) -> None:
    """Write a PNG, 1792 pixels wide: the whole view and the decision, then each part's attention, crop and answer.

    Raises:
        UserError: The file cannot be written; what was there before is untouched.
    """
    rows = -(-len(explanation.parts) // _COLUMNS)
    page = Page(Size(_WIDTH, HEADER + _FIRST_HEIGHT + rows * (_GAP + _PART_HEIGHT) + MARGIN))
    draw_header(page, explanation.title, verdict(explanation.answer[0], explanation.truth))
    _draw_whole(page, HEADER, explanation)
    for row in range(rows):
        top = HEADER + _FIRST_HEIGHT + _GAP + row * (_PART_HEIGHT + _GAP)
        page.fill(Room(MARGIN, top, _WIDTH - MARGIN, top + _PART_HEIGHT), CARD)
        for column, part in enumerate(explanation.parts[row * _COLUMNS :][:_COLUMNS]):
            _draw_part(page, _column(column, top), explanation, part, row * _COLUMNS + column)
    page.save(path)


def _draw_whole(page: Page, top: int, explanation: MACNNExplanation) -> None:
    image, truth = explanation.image, explanation.truth
    page.fill(Room(MARGIN, top, _WIDTH - MARGIN, top + _FIRST_HEIGHT), CARD)
    page.fill(Room(MARGIN, top, MARGIN + _STRIPE, top + _FIRST_HEIGHT), SOFT_INK)
    photo, where, *seen, decision = (_column(column, top) for column in range(4 if explanation.object else 3))
    _draw_name(page, photo, "what it sees first and answers alone")
    page.panel(photo, image)
    draw_answers(page, _under(photo), [explanation.original_answer], truth)
    _draw_name(page, where, "the parts it found, and their crops")
    axes = page.panel(where, image)
    for number, part in enumerate(explanation.parts):
        draw_box(axes, part.crop.box, _COLOURS[number])
    for number, part in enumerate(explanation.parts):
        _draw_peak(axes, part, image, _COLOURS[number])
    if explanation.object is not None:
        draw_box(axes, explanation.object.box, _OBJECT_COLOUR)
        _draw_name(page, seen[0], "the box around all parts")
        page.panel(seen[0].letterbox(Size(*explanation.object.view.size)), explanation.object.view)
        draw_answers(page, _under(seen[0]), [explanation.object.answer], truth)
    _draw_name(page, decision, "what it decides")
    draw_answers(page, decision, explanation.answer[:5], truth)


def _draw_part(page: Page, where: Room, explanation: MACNNExplanation, part: Part, number: int) -> None:
    page.dot((where.left + 8, where.top - _NAMED + 11), 7, _COLOURS[number])
    page.write((where.left + 24, where.top - _NAMED), f"part {number + 1}: where its channels respond", _NAME)
    image, least, most = explanation.image, part.attention.min(), part.attention.max()
    heat = (part.attention - least) / (most - least if most > least else 1)
    axes = page.panel(where, heated_by_cells(image, heat))
    _draw_peak(axes, part, image, _COLOURS[number])
    seen = Room(where.left, where.bottom + _BELOW, where.right, where.bottom + _BELOW + where.height)
    page.panel(seen, part.crop.view)
    draw_answers(page, _under(seen), [part.crop.answer], explanation.truth)


def _draw_peak(axes: Axes, part: Part, image: Image.Image, colour: str) -> None:
    draw_disc(axes, part.peak, _PEAK * image.width / _PANEL, colour)


def _draw_name(page: Page, box: Room, name: str) -> None:
    page.write((box.left, box.top - _NAMED), page.fitted(name, _NAME, box.width), _NAME)


def _column(column: int, top: int) -> Room:
    left, below = MARGIN + _PADDING + column * (_PANEL + _GAP), top + _PADDING + _NAMED
    return Room(left, below, left + _PANEL, below + _PANEL)


def _under(box: Room) -> Room:
    return Room(box.left, box.bottom + _BELOW, box.right, box.bottom + _BELOW + ANSWER_HEIGHT)
