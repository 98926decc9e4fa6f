"""The small parts that tell twins apart: beak, crest, eye, throat patch and legs."""

from __future__ import annotations

import numpy as np

from foveate.plumage.anatomy import Anatomy, eye_place, throat_place
from foveate.plumage.canvas import Points, Sheet, curve, lighten, mix, rgb
from foveate.plumage.plans import Palette
from foveate.plumage.species import Beak, Crest, EyeRing, LegColour, ThroatPatch

_DARK, _PALE, _PLAIN = rgb("#4b4745"), rgb("#b0935f"), rgb("#6c665e")
_LEG_COLOURS = {  # shank, toes
    LegColour.PLAIN: (_PLAIN, _PLAIN),
    LegColour.DARK_TOES: (_PALE, _DARK),
    LegColour.PALE_TOES: (_DARK, _PALE),
}
_EYE = 0.041  # radius in body lengths


def beak(anatomy: Anatomy, palette: Palette, form: Beak, sheet: Sheet) -> None:
    """Draw the two mandibles; a hooked beak's upper one ends in a small hook over the lower."""
    r, (length, depth) = anatomy.plan.head, anatomy.plan.beak
    x0, tip, top, gape = 0.86 * r, r + length, -0.5 * depth, 0.02 + 0.12 * depth
    hook = 0.032 * palette.marks
    if form is Beak.HOOKED:
        end = [(tip - 0.035, gape - 0.04), (tip - 0.006, gape + 0.2 * hook), (tip - 0.012, gape + hook)]
        end += [(tip - 0.03, gape + 0.3 * hook), (tip - 0.05, gape)]
    else:
        end = [(tip - 0.06, gape - 0.045), (tip + 0.004, gape - 0.004), (tip - 0.03, gape)]
    ridge = curve([(x0, top + 0.02), (x0 + 0.35 * length, top + 0.12 * depth + 0.02), *end[:2]], 6)
    upper = np.concatenate([ridge, np.array([*end[2:], (x0 - 0.03, gape)])])
    lower = [(x0 - 0.03, gape), (tip - 0.06, gape), (tip - 0.11, gape + 0.22 * depth), (x0, gape + 0.42 * depth)]
    sheet.polygon(anatomy.head(curve(lower, 5, closed=True)), lighten(palette.beak, 0.14))
    sheet.polygon(anatomy.head(upper), palette.beak)
    sheen = ridge[3:-6] + np.array([0.0, 0.022])
    sheet.line(anatomy.head(sheen), lighten(palette.beak, 0.34), 0.014 * anatomy.unit)
    sheet.line(anatomy.head([(x0 - 0.05, gape), (tip - 0.06, gape)]), lighten(palette.beak, -0.5), 0.010 * anatomy.unit)


def crest(anatomy: Anatomy, palette: Palette, form: Crest, sheet: Sheet) -> None:
    """Draw the tuft behind the crown, with one point or with two of half its width."""
    r = anatomy.plan.head
    colour = lighten(palette.crown, -0.12)
    if form is Crest.POINTED:
        tufts = [(-0.45, -0.78, -1.02, -1.36, 0.24)]
    elif form is Crest.FORKED:
        tufts = [(-0.28, -0.86, -0.72, -1.50, 0.15), (-0.62, -0.68, -1.20, -1.14, 0.15)]
    else:
        tufts = []
    for x0, y0, x1, y1, wide in tufts:
        base = np.array([x0, y0])
        tip = base + palette.marks * np.array([x1 - x0, y1 - y0])
        side = np.array([-(tip - base)[1], (tip - base)[0]]) / np.linalg.norm(tip - base) * wide
        shape = curve(np.stack([base + side, 0.5 * (base + tip) + 0.7 * side, tip]), 6)
        back = curve(np.stack([tip, 0.5 * (base + tip) - 0.6 * side, base - side]), 6)
        sheet.polygon(anatomy.head(np.concatenate([shape, back]) * r), colour)
        shaft = np.stack([base, 0.2 * base + 0.8 * tip])
        sheet.line(anatomy.head(shaft * r), lighten(colour, 0.2), 0.016 * anatomy.unit)


def eye(anatomy: Anatomy, palette: Palette, ring: EyeRing, sheet: Sheet) -> None:
    """Draw the eye with its catchlight and, around it, a whole ring or the two arcs of a broken one."""
    x, y = eye_place(anatomy.plan)
    inner = 1.08 * _EYE
    outer = inner + 0.62 * palette.marks * _EYE
    if ring is EyeRing.WHOLE:
        outer = inner + 0.41 * palette.marks * _EYE
        sheet.polygon(anatomy.head(_arc(x, y, 0.0, 2 * np.pi, outer)), palette.pale)
    elif ring is EyeRing.BROKEN:
        for middle in (0.5 * np.pi, 1.5 * np.pi):
            shape = np.concatenate(
                [_arc(x, y, middle - 0.95, middle + 0.95, outer), _arc(x, y, middle + 0.85, middle - 0.85, inner)]
            )
            sheet.polygon(anatomy.head(shape), palette.pale)
    sheet.polygon(anatomy.head(_arc(x, y, 0.0, 2 * np.pi, inner)), (38, 30, 26))
    sheet.polygon(anatomy.head(_arc(x, y, 0.0, 2 * np.pi, 0.92 * _EYE)), (70, 44, 28))
    sheet.polygon(anatomy.head(_arc(x, y, 0.0, 2 * np.pi, 0.72 * _EYE)), (14, 12, 12))
    sheet.disc(anatomy.head.at(x + 0.25 * _EYE, y - 0.35 * _EYE), 0.24 * _EYE * anatomy.unit, (245, 245, 240))


def _arc(x: float, y: float, start: float, end: float, radius: float) -> Points:
    angles = np.linspace(start, end, 28)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def throat(anatomy: Anatomy, palette: Palette, form: ThroatPatch, sheet: Sheet) -> None:
    """Draw the patch under the beak: half-dark all over, or dark streaks with gaps of their own width."""
    x, y = throat_place(anatomy.plan)
    half, high, stripes = 0.078 * palette.marks, 0.068 * palette.marks, 3
    if form is ThroatPatch.NONE:
        return
    if form is ThroatPatch.SOLID:
        bands, colour = [(-half, half)], mix(palette.throat, palette.dark, 0.5)
    else:
        wide = 2 * half / (2 * stripes)
        bands = [(-half + (2 * k + 0.5) * wide, -half + (2 * k + 1.5) * wide) for k in range(stripes)]
        colour = palette.dark
    for near, far in bands:
        across = np.linspace(near, far, 9)
        reach = high * np.sqrt(np.clip(1 - (across / (1.1 * half)) ** 2, 0, None))
        outline = np.concatenate([np.stack([across, -reach], 1), np.stack([across, reach], 1)[::-1]])
        sheet.polygon(anatomy.head(outline + np.array([x, y])), colour)


def legs(anatomy: Anatomy, palette: Palette, form: LegColour, sheet: Sheet) -> None:
    """Draw both legs from the hip and their toes on the perch, the far one darker."""
    unit, forward = anatomy.unit, anatomy.pose.facing
    for number in (1, 0):
        leg = anatomy.legs[number]
        shank, toes = (lighten(lighten(colour, palette.leg_tone), -0.18 * number) for colour in _LEG_COLOURS[form])
        hip, foot = np.array(leg.hip), np.array(leg.foot)
        knee = 0.45 * hip + 0.55 * foot + [-0.045 * forward * unit, 0.0]
        sheet.line(np.stack([hip, knee]), shank, 0.050 * unit)
        sheet.line(np.stack([knee, foot]), shank, 0.034 * unit)
        for dx, dy in ((0.085, 0.02), (0.06, 0.045), (0.02, 0.05), (-0.055, 0.025)):
            toe = foot + np.array([dx * forward, dy]) * unit
            sheet.line(np.stack([foot, 0.5 * (foot + toe) + [0, -0.012 * unit], toe]), toes, 0.026 * unit)
