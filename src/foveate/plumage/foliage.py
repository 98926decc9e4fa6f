"""Leaves, twigs, berries and grass: around the bird as clutter, before it as something in the way."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from foveate.plumage.anatomy import Anatomy
from foveate.plumage.canvas import Point, Rgb, Sheet, curve, lighten, mix
from foveate.plumage.places import Place

_ZOOM = 2  # supersampling of what is near the focus
_VEINS = (0.2, 0.36, 0.52, 0.68)
_BLADE = curve([(0.0, 0.0), (0.18, 0.7), (0.42, 1.0), (0.7, 0.68), (1.0, 0.0)], 4)


def draw_leaf(sheet: Sheet, base: Point, tip: Point, wide: float, colour: Rgb) -> None:
    """Draw one leaf: two halves of different light, veins and midrib; ``wide`` is half its width in its length."""
    axis = tip - base
    side = np.array([-axis[1], axis[0]]) * wide
    halves = [base + _BLADE[:, :1] * axis + _BLADE[:, 1:] * side * way for way in (1, -1)]
    sheet.polygon(halves[0], lighten(colour, 0.08))
    sheet.polygon(halves[1], lighten(colour, -0.12))
    length, rib = float(np.linalg.norm(axis)), lighten(colour, 0.24)
    for share in _VEINS:
        start = base + share * axis
        for half in halves:
            end = 0.25 * start + 0.75 * half[round((share + 0.16) * 16)]
            sheet.line(np.stack([start, end]), mix(rib, colour, 0.6), 0.008 * length)
    sheet.line(np.stack([base, base + 0.95 * axis]), rib, 0.016 * length)


def clutter(place: Place, rng: np.random.Generator, size: int) -> Image.Image:
    """Twigs with leaves and berries, and blades of grass, behind the bird and a little out of focus; RGBA."""
    sheet = Sheet(
        Image.new("RGBA", (size, size), (*place.leaves[0], 0)), float(size)
    )  # points are fractions of the side
    for _ in range(int(rng.integers(1, 8))):
        _twig(sheet, rng, place)
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(4, 18))):
            _grass(sheet, rng, place)
    blur = size * rng.uniform(0.0012, 0.007)
    return sheet.image.convert("RGBa").filter(ImageFilter.GaussianBlur(blur)).convert("RGBA")


def _twig(sheet: Sheet, rng: np.random.Generator, place: Place) -> None:
    """A twig with leaves, some of them barred, or with berries."""
    start, angle, length = rng.uniform(-0.1, 1.1, size=2), rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.7)
    end = start + length * _direction(angle)
    path = curve(np.stack([start, 0.5 * (start + end) + rng.normal(0, 0.05, size=2), end]), 8)
    sheet.line(path, lighten(place.bark, rng.uniform(-0.25, 0.2)), rng.uniform(0.004, 0.012))
    fruit = rng.random() < 0.25
    colour = lighten(mix(*place.leaves, rng.random()), rng.uniform(-0.35, 0.15))
    for number, at in enumerate(path[2 :: int(rng.integers(1, 4))]):
        if fruit and number % 2:
            _berries(sheet, rng, place, at)
            continue
        way = angle + (1 if number % 2 else -1) * rng.uniform(0.3, 1.2)
        tip = at + rng.uniform(0.05, 0.13) * _direction(way)
        shade = lighten(colour, rng.normal(0.0, 0.07))
        draw_leaf(sheet, at, tip, rng.uniform(0.18, 0.34), shade)
        if rng.random() < 0.2:
            _bars(sheet, at, tip, lighten(shade, 0.32), int(rng.integers(1, 4)))


def _bars(sheet: Sheet, base: Point, tip: Point, colour: Rgb, count: int) -> None:
    """Pale bars across a leaf: they look like a bird's bars and mean nothing."""
    axis = tip - base
    side = np.array([-axis[1], axis[0]]) * 0.11
    for k in range(count):
        middle = base + (0.35 + 0.13 * k) * axis
        sheet.line(np.stack([middle - side, middle + side]), colour, 0.05 * float(np.linalg.norm(axis)))


def _berries(sheet: Sheet, rng: np.random.Generator, place: Place, at: Point) -> None:
    """Dark berries with a pale bloom or a glint: eyes that are none."""
    skin = mix(lighten(place.bark, -0.45), (120, 42, 40), rng.random())
    for _ in range(int(rng.integers(1, 4))):
        x, y = (at + rng.normal(0.0, 0.016, size=2) + [0.0, 0.02]).tolist()
        radius = rng.uniform(0.008, 0.014)
        sheet.line(np.array([at, (x, y)]), place.bark, 0.003)
        if rng.random() < 0.3:
            sheet.disc((x, y), 1.35 * radius, lighten(skin, 0.5))
        sheet.disc((x, y), radius, skin)
        sheet.disc((x - 0.3 * radius, y - 0.35 * radius), 0.25 * radius, lighten(skin, 0.75))


def _grass(sheet: Sheet, rng: np.random.Generator, place: Place) -> None:
    x, reach = rng.uniform(-0.05, 1.05), rng.uniform(0.2, 0.75)
    root, lean = np.array([x, 1.03]), rng.normal(0.0, 0.16)
    tip = root + reach * np.array([np.sin(lean), -np.cos(lean)])
    colour = lighten(mix(*place.leaves, rng.random()), rng.uniform(-0.3, 0.2))
    bow = curve(np.stack([root, 0.5 * (root + tip) - [0.15 * lean, 0.0], tip]), 6)
    width = np.linspace(0.009, 0.001, len(bow))[:, None] * np.array([1.0, 0.0])
    sheet.polygon(np.concatenate([bow - width, (bow + width)[::-1]]), colour)


def occluders(place: Place, anatomy: Anatomy, rng: np.random.Generator, size: int) -> Image.Image:
    """Leaves and blades between viewer and bird, anywhere over it with equal chance; RGBA."""
    count = int(rng.choice(4, p=[0.4, 0.33, 0.17, 0.10]))
    if count == 0:
        return Image.new("RGBA", (size, size))
    sheet = Sheet(Image.new("RGBA", (size * _ZOOM, size * _ZOOM), (*place.leaves[0], 0)), float(_ZOOM))
    outline = anatomy.outline()
    low, high = outline.min(axis=0), outline.max(axis=0)
    for _ in range(count):
        at = low + rng.random(size=2) * (high - low)
        colour = lighten(mix(*place.leaves, rng.random()), rng.uniform(-0.35, 0.1))
        narrow = rng.random() < 0.4
        reach = float((high - low).max()) * (rng.uniform(0.5, 0.9) if narrow else rng.uniform(0.10, 0.2))
        half = 0.5 * reach * _direction(rng.uniform(0, 2 * np.pi))
        wide = rng.uniform(0.016, 0.026) if narrow else rng.uniform(0.2, 0.32)
        draw_leaf(sheet, at - half, at + half, wide, colour)
    soft = sheet.image.convert("RGBa").reduce(_ZOOM)
    return soft.filter(ImageFilter.GaussianBlur(size * rng.uniform(0.0005, 0.003))).convert("RGBA")


def _direction(angle: float) -> Point:
    return np.array([np.cos(angle), np.sin(angle)])
