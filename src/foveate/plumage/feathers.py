"""The long feathers: the folded wing and the tail, and the bars across them."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from foveate.plumage.anatomy import TAIL_BARS, WING_BARS, Anatomy
from foveate.plumage.canvas import Frame, Point, Points, Rgb, Sheet, lighten, mix
from foveate.plumage.plans import Palette
from foveate.plumage.species import Bars

_BAR = 0.020  # width of a narrow bar, in body lengths; a broad one is twice that
_FEATHER = np.array([(0.0, 0.45), (0.35, 0.9), (0.7, 1.0), (0.88, 0.82), (0.97, 0.42), (1.0, 0.0)])


class Row(NamedTuple):
    """One row of wing feathers: where the topmost and the lowest start and end (x in wing lengths, y in body's)."""

    base: tuple[tuple[float, float], tuple[float, float]]
    tip: tuple[tuple[float, float], tuple[float, float]]
    blades: int
    width: float
    tone: float  # towards the back's colour
    fringe: float  # lightness of the edge


_WING_ROWS = (
    Row(((0.36, 0.00), (0.34, 0.12)), ((1.00, 0.02), (0.70, 0.13)), 7, 0.040, 0.00, 0.22),
    Row(((0.24, -0.02), (0.24, 0.15)), ((0.70, -0.02), (0.56, 0.17)), 8, 0.038, 0.12, 0.30),
    Row(((0.22, -0.10), (0.24, -0.03)), ((0.72, -0.05), (0.62, 0.02)), 3, 0.050, 0.30, 0.40),
    Row(((0.14, -0.09), (0.14, 0.17)), ((0.46, -0.09), (0.43, 0.20)), 10, 0.030, 0.22, 0.14),
    Row(((0.06, -0.08), (0.06, 0.15)), ((0.28, -0.10), (0.26, 0.18)), 9, 0.032, 0.50, 0.16),
    Row(((0.01, -0.07), (0.02, 0.12)), ((0.19, -0.10), (0.17, 0.16)), 8, 0.034, 0.75, 0.12),
    Row(((-0.04, -0.06), (-0.02, 0.10)), ((0.11, -0.09), (0.09, 0.14)), 7, 0.036, 0.92, 0.10),
)


def blade(base: Point, tip: Point, width: float) -> Points:
    """Outline of a rounded feather from base to tip; ``width`` is half of the widest place, in pixels."""
    axis = tip - base
    side = np.array([-axis[1], axis[0]]) / max(float(np.linalg.norm(axis)), 1e-9) * width
    right = base + _FEATHER[:, :1] * axis + _FEATHER[:, 1:] * side
    left = base + _FEATHER[::-1, :1] * axis - _FEATHER[::-1, 1:] * side
    return np.concatenate([right, left])


def wing(anatomy: Anatomy, palette: Palette, bars: Bars, rng: np.random.Generator, sheet: Sheet) -> None:
    """Draw the folded wing, row upon row from the longest feathers to the shoulder, and its bars."""
    length = anatomy.plan.wing
    for number, row in enumerate(_WING_ROWS):
        if number == 4:  # the bars lie on the greater coverts and under the median ones
            _wing_bars(anatomy.wing, length, palette, bars, sheet)
        bases, tips = _row_line(row.base, row.blades, length), _row_line(row.tip, row.blades, length)
        tones = rng.normal(0.0, 0.03, size=row.blades)
        colour = mix(palette.wing, palette.back, row.tone)
        for base, tip, tone in zip(anatomy.wing(bases), anatomy.wing(tips), tones, strict=True):
            _vane(sheet, base, tip, row.width * anatomy.unit, lighten(colour, tone), row.fringe)


def _row_line(ends: tuple[tuple[float, float], tuple[float, float]], count: int, length: float) -> Points:
    """Points from the lowest to the topmost feather, drawn in that order."""
    (x0, y0), (x1, y1) = ends
    return np.linspace((x1 * length, y1), (x0 * length, y0), count)


def _vane(sheet: Sheet, base: Point, tip: Point, width: float, colour: Rgb, fringe: float) -> None:
    """One feather: a dark gap, a pale edge, the vane, the shaft."""
    axis = tip - base
    sheet.polygon(blade(base, tip + 0.02 * axis, 1.12 * width), lighten(colour, -0.35))
    sheet.polygon(blade(base, tip, width), lighten(colour, fringe))
    sheet.polygon(blade(base, tip - 0.035 * axis, 0.76 * width), colour)
    sheet.line(np.stack([base, base + 0.93 * axis]), lighten(colour, -0.22), 0.12 * width)


def _bar_edges(bars: Bars, scale: float) -> tuple[tuple[float, float], ...]:
    """Start and end of each bar about its centre, in body lengths: both forms cover the same length."""
    narrow = _BAR * scale
    if bars is Bars.ONE_BROAD:
        return ((-narrow, narrow),)
    if bars is Bars.TWO_NARROW:
        return ((-1.5 * narrow, -0.5 * narrow), (0.5 * narrow, 1.5 * narrow))
    return ()


def _wing_bars(frame: Frame, length: float, palette: Palette, bars: Bars, sheet: Sheet) -> None:
    centre, count = WING_BARS * length, 10
    tops = np.linspace(-0.105, 0.185, count + 1)
    for near, far in _bar_edges(bars, palette.marks):
        for top, bottom in pairwise(tops.tolist()):
            bow = centre - 0.06 * ((top + bottom) / 0.5) ** 2
            middle, inset = 0.5 * (top + bottom), 0.03 * (bottom - top)
            corners = [(bow + near, top + inset), (bow + far - 0.006, top + inset), (bow + far + 0.004, middle)]
            corners += [(bow + far - 0.006, bottom - inset), (bow + near, bottom - inset)]
            sheet.polygon(frame(corners), palette.pale)


def tail(anatomy: Anatomy, palette: Palette, bars: Bars, rng: np.random.Generator, sheet: Sheet) -> None:
    """Draw the folded fan of the tail and its bars."""
    length, width = anatomy.plan.tail
    half = 0.5 * width * anatomy.pose.tail_spread
    count = 7
    tones = rng.normal(0.0, 0.03, size=count)
    order = sorted(range(count), key=lambda k: -abs(k - (count - 1) / 2))
    for k in order:
        side = 2 * k / (count - 1) - 1
        base = anatomy.tail([(0.0, 0.35 * half * side)])[0]
        tip = anatomy.tail([(length * (1 - 0.05 * (1 - side**2)), half * side)])[0]
        colour = lighten(mix(palette.wing, palette.rump, 0.18), tones[k] + 0.05 * side)
        wide = (0.30 * half + 0.012) * anatomy.unit
        _vane(sheet, base, tip, wide, colour, 0.22)
        for near, far in _bar_edges(bars, palette.marks):
            edges = np.array([near, far]) / length + TAIL_BARS
            across = np.array([-(tip - base)[1], (tip - base)[0]]) / np.linalg.norm(tip - base) * wide * 0.97
            start, end = base + (tip - base) * edges[0], base + (tip - base) * edges[1]
            sheet.polygon(np.stack([start - across, end - across, end + across, start + across]), palette.pale)
