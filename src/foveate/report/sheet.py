"""A picture of right and wrong answers: each photograph with its true class and the best of its answer."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from math import ceil
from pathlib import Path
from typing import NamedTuple

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from foveate.atomic import atomic_path
from foveate.types import RankedClass, Size

_PAGE, _CARD, _NEUTRAL, _TRACK = "#F3F4F6", "#FFFFFF", "#DFE2E7", "#ECEEF1"
_INK, _SOFT_INK, _OTHER = "#1B1F24", "#59616C", "#9BA3AF"

_COLUMNS = 4
_MARGIN, _GAP, _PADDING = 40, 24, 16
_PHOTO = Size((1600 - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) // _COLUMNS, 272)
_STRIPE, _INDENT, _BAR, _BAR_ROW, _SHOWN = 8, 24, 8, 42, 3


class _Verdict(Enum):
    """Heading, mark and colour; the colours are told apart with any colour vision (Okabe and Ito)."""

    WRONG = ("Wrong", "\N{BALLOT X}", "#D55E00")
    RIGHT = ("Right", "\N{CHECK MARK}", "#009E73")
    UNKNOWN = ("Unjudged", "?", "#59616C")

    def __init__(self, heading: str, mark: str, colour: str) -> None:
        self.heading, self.mark, self.colour = heading, mark, colour


class _Style(NamedTuple):
    """Size in pixels, weight and colour of a text."""

    size: int
    bold: bool = False
    ink: str = _INK

    @property
    def font(self) -> ImageFont.FreeTypeFont:
        return _font(self.size, self.bold)

    @property
    def line_height(self) -> int:
        return round(1.3 * self.size)


_TITLE, _SUMMARY = _Style(34, bold=True), _Style(20, ink=_SOFT_INK)
_HEADING, _ANSWER = _Style(24, bold=True), _Style(19, bold=True)
_TRUTH, _CLASS = _Style(16, ink=_SOFT_INK), _Style(15)


@dataclass(frozen=True, slots=True)
class SheetAnswer:
    """One photograph, upright, and its answer.

    ``top`` is ordered by falling probability and has at least one class; the sheet shows the first three.
    ``truth`` is None where the true class is not known.

    Raises:
        ValueError: ``top`` is empty.
    """

    image: Image.Image
    truth: str | None
    top: tuple[RankedClass, ...]

    def __post_init__(self) -> None:
        if not self.top:
            raise ValueError("an answer must name at least one class; got none")


def answer_sheet(answers: Sequence[SheetAnswer], path: Path, title: str) -> None:
    """Write a PNG, at most 1600 pixels wide: wrong answers first, then right, then those of unknown truth.

    Meant for a few dozen answers: each row of four adds about 500 pixels of height. Letters that the font
    (DejaVu Sans) lacks, such as Chinese, show as boxes.

    Raises:
        ValueError: There is no answer to show.
        UserError: The file cannot be written; what was there before is untouched.
    """
    if not answers:
        raise ValueError("a sheet must show at least one answer; got none")
    groups = {verdict: [answer for answer in answers if _verdict(answer) is verdict] for verdict in _Verdict}
    columns = min(_COLUMNS, max(2, *map(len, groups.values())))
    width = 2 * _MARGIN + columns * _PHOTO.width + (columns - 1) * _GAP
    sections = [_section(verdict, group, width) for verdict, group in groups.items() if group]
    sheet = _stacked([_header(title, groups, width), *sections])
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def _verdict(answer: SheetAnswer) -> _Verdict:
    if answer.truth is None:
        return _Verdict.UNKNOWN
    return _Verdict.RIGHT if answer.top[0].class_name == answer.truth else _Verdict.WRONG


def _header(title: str, groups: dict[_Verdict, list[SheetAnswer]], width: int) -> Image.Image:
    total = sum(map(len, groups.values()))
    parts = [f"{len(group)} {verdict.heading.lower()}" for verdict, group in groups.items() if group]
    summary = f"{total} {'answer' if total == 1 else 'answers'} shown: {', '.join(parts)}"
    lines = [(line, _TITLE) for line in _wrapped(title, _TITLE, width - 2 * _MARGIN)]
    height = _MARGIN + sum(style.line_height for _, style in lines) + _SUMMARY.line_height
    header = Image.new("RGB", (width, height), _PAGE)
    _write(ImageDraw.Draw(header), (_MARGIN, _MARGIN), [*lines, (summary, _SUMMARY)])
    return header


def _section(verdict: _Verdict, answers: Sequence[SheetAnswer], width: int) -> Image.Image:
    texts = [_card_text(answer) for answer in answers]
    text_height = max(sum(style.line_height for _, style in text) for text in texts)
    cards = [_card(answer, text, text_height) for answer, text in zip(answers, texts, strict=True)]
    step = Size(_PHOTO.width + _GAP, cards[0].height + _GAP)
    columns = (width - 2 * _MARGIN + _GAP) // step.width
    top = _MARGIN + _HEADING.line_height + _PADDING
    section = Image.new("RGB", (width, top + -(-len(cards) // columns) * step.height - _GAP), _PAGE)
    heading = f"{verdict.mark} {verdict.heading} ({len(answers)})"
    _write(ImageDraw.Draw(section), (_MARGIN, _MARGIN), [(heading, _HEADING._replace(ink=verdict.colour))])
    for index, card in enumerate(cards):
        row, column = divmod(index, columns)
        section.paste(card, (_MARGIN + column * step.width, top + row * step.height))
    return section


def _card_text(answer: SheetAnswer) -> list[tuple[str, _Style]]:
    room = _PHOTO.width - 2 * _PADDING - _INDENT
    name = _wrapped(answer.top[0].class_name, _ANSWER, room - ceil(_ANSWER.font.getlength("  100.0%")))
    truth = _wrapped(f"true class: {answer.truth or 'not known'}", _TRUTH, room)
    return [*((line, _ANSWER) for line in name), *((line, _TRUTH) for line in truth)]


def _card(answer: SheetAnswer, text: Sequence[tuple[str, _Style]], text_height: int) -> Image.Image:
    """Photograph, a stripe in the verdict's colour, answer and true class, bars of the best classes."""
    text_top = _PHOTO.height + _STRIPE + _PADDING
    bars_top = text_top + text_height + _PADDING
    card = Image.new("RGB", (_PHOTO.width, bars_top + _SHOWN * _BAR_ROW + _PADDING // 2), _CARD)
    card.paste(_letterboxed(answer.image, _PHOTO))
    draw, verdict = ImageDraw.Draw(card), _verdict(answer)
    coloured = _ANSWER._replace(ink=verdict.colour)
    draw.rectangle((0, _PHOTO.height, _PHOTO.width, _PHOTO.height + _STRIPE - 1), fill=verdict.colour)
    _write(draw, (_PADDING, text_top), [(verdict.mark, coloured)])
    _write(draw, (_PADDING + _INDENT, text_top), text)
    percentage = f"{answer.top[0].probability:.1%}"
    _write(draw, (_PHOTO.width - _PADDING, text_top), [(percentage, coloured)], anchor="ra")
    _draw_bars(draw, answer, bars_top)
    return card


def _draw_bars(draw: ImageDraw.ImageDraw, answer: SheetAnswer, y: int) -> None:
    left, right = _PADDING, _PHOTO.width - _PADDING
    for rank, (class_name, probability) in enumerate(answer.top[:_SHOWN]):
        top = y + rank * _BAR_ROW
        percentage = f"{probability:.1%}"
        room = right - left - ceil(_CLASS.font.getlength(f"  {percentage}"))
        _write(draw, (left, top), [(_ellipsized(class_name, _CLASS, room), _CLASS)])
        _write(draw, (right, top), [(percentage, _CLASS)], anchor="ra")
        if class_name == answer.truth:
            colour = _Verdict.RIGHT.colour
        else:
            colour = _verdict(answer).colour if rank == 0 else _OTHER
        bar = top + _CLASS.line_height + 3
        draw.rectangle((left, bar, right, bar + _BAR), fill=_TRACK)
        draw.rectangle((left, bar, left + probability * (right - left), bar + _BAR), fill=colour)


def _letterboxed(image: Image.Image, room: Size) -> Image.Image:
    """Fit an image whole into the room, on neutral ground; the thinnest keeps one pixel."""
    scale = min(room.width / image.width, room.height / image.height)
    size = Size(max(1, round(scale * image.width)), max(1, round(scale * image.height)))
    ground = Image.new("RGB", room, _NEUTRAL)
    fitted = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    ground.paste(fitted, ((room.width - size.width) // 2, (room.height - size.height) // 2))
    return ground


def _stacked(parts: Sequence[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (parts[0].width, sum(part.height for part in parts) + _MARGIN), _PAGE)
    y = 0
    for part in parts:
        sheet.paste(part, (0, y))
        y += part.height
    return sheet


def _write(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    lines: Sequence[tuple[str, _Style]],
    anchor: str = "la",
) -> None:
    x, y = corner
    for text, style in lines:
        draw.text((x, y), text, fill=style.ink, font=style.font, anchor=anchor)
        y += style.line_height


def _wrapped(text: str, style: _Style, width: int) -> list[str]:
    """Break a text into at most two lines, where a word ends if one does; the second ends in an ellipsis."""
    text = " ".join(text.split())
    if style.font.getlength(text) <= width:
        return [text]
    fitting = max(1, _fitting(text, style, width))
    ends = [match.end() for match in re.finditer(r"[\s_/-]+", text[:fitting])]
    cut = ends[-1] if ends else fitting
    return [text[:cut].rstrip(), _ellipsized(text[cut:], style, width)]


def _ellipsized(text: str, style: _Style, width: int) -> str:
    text = " ".join(text.split())
    if style.font.getlength(text) <= width:
        return text
    fitting = max(0, _fitting(text, style, width - ceil(style.font.getlength("…"))))
    return f"{text[:fitting].rstrip()}…"


def _fitting(text: str, style: _Style, width: int) -> int:
    """Return how many leading characters fit the width, -1 where the width is negative."""
    return bisect_right(range(len(text)), width, key=lambda n: ceil(style.font.getlength(text[:n]))) - 1


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    # Matplotlib brings these fonts: every machine draws the same sheet, beyond Latin letters too.
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
