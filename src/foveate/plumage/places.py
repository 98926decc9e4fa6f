"""Where the bird is: the colours of the place, and what lies far behind and out of focus."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from foveate.plumage.canvas import Rgb, Sheet, curve, lighten, mix, rgb, soft_noise

_FAR = 1 / 4  # scale of what is far out of focus


class Place(NamedTuple):
    """Colours of one kind of place."""

    top: Rgb
    middle: Rgb
    bottom: Rgb
    leaves: tuple[Rgb, Rgb]
    bark: Rgb
    spark: Rgb


_PLACES = (
    ("#a9c6de", "#cfdde2", "#e4e3d6", "#7f9a58", "#b3b978", "#7a6a58", "#fff6dc"),  # open sky
    ("#5d7a4a", "#8fa864", "#c9cf92", "#5f8040", "#9db25c", "#6b5a48", "#f4f3c0"),  # summer wood
    ("#2f4435", "#46604a", "#6f8660", "#3f5f3f", "#7f9a5c", "#4f463c", "#cfe0a8"),  # deep shade
    ("#b9855a", "#cfa468", "#dcc490", "#b5652f", "#d69a3a", "#6a5240", "#ffe2a4"),  # autumn
    ("#9fb8bd", "#86a5ab", "#6f9096", "#7c9568", "#a8b08a", "#6f675c", "#f0fbff"),  # water
    ("#c6d3c0", "#b9c28a", "#98a458", "#8fa04c", "#c8bf6c", "#7d6a4e", "#fdf6c8"),  # meadow
    ("#d9d3d6", "#c9c2c6", "#b4aeb0", "#8e8f7a", "#a89f84", "#655d5a", "#ffffff"),  # winter haze
    ("#e3b9a0", "#d9a99c", "#a98f9a", "#7f7a5c", "#a88a5c", "#5f5048", "#ffe9c8"),  # dusk
    ("#8f867a", "#7c7468", "#686258", "#76805a", "#9a9468", "#5c544a", "#d8d0c0"),  # rock and bark
)


def choose_place(rng: np.random.Generator) -> Place:
    """A random kind of place."""
    top, middle, bottom, leaf, other, bark, spark = map(rgb, _PLACES[int(rng.integers(len(_PLACES)))])
    return Place(top, middle, bottom, (leaf, other), bark, spark)


def far_background(place: Place, rng: np.random.Generator, size: int) -> Image.Image:
    """Gradient, blurred masses, ripples, stems and points of light, all far behind the bird."""
    small = max(16, round(size * _FAR))
    base = Image.fromarray(_gradient(place, rng, small))
    sheet = Sheet(base, float(small))  # so points are fractions of the side
    for _ in range(int(rng.integers(8, 24))):
        _mass(sheet, rng, mix(place.leaves[int(rng.integers(2))], place.middle, rng.uniform(0.2, 0.8)))
    base = base.filter(ImageFilter.GaussianBlur(small * rng.uniform(0.015, 0.05)))
    sheet = Sheet(base, float(small))
    for _ in range(int(rng.integers(0, 8))):
        _stem(sheet, rng, mix(lighten(place.bark, rng.uniform(-0.2, 0.25)), place.middle, rng.uniform(0.1, 0.6)))
    if rng.random() < 0.25:
        _ripples(sheet, rng, place)
    base = base.filter(ImageFilter.GaussianBlur(small * rng.uniform(0.012, 0.026)))
    base = _bokeh(base, place, rng, small)
    return base.resize((size, size), Image.Resampling.BICUBIC)


def _gradient(place: Place, rng: np.random.Generator, side: int) -> UInt8[np.ndarray, "side side 3"]:
    stops = np.array([place.top, place.middle, place.bottom], dtype=np.float64)
    noise = soft_noise(rng, side, side, int(rng.integers(2, 6)))
    height = np.linspace(0, 1, side)[:, None] + 0.14 * noise
    horizon = rng.uniform(0.35, 0.65)
    colours = [np.interp(height, (0.0, horizon, 1.0), stops[:, k]) for k in range(3)]
    lift = 1 + 0.06 * soft_noise(rng, side, side, 7)
    return np.clip(np.stack(colours, axis=-1) * lift[..., None], 0, 255).astype(np.uint8)


def _mass(sheet: Sheet, rng: np.random.Generator, colour: Rgb) -> None:
    centre, radius = rng.uniform(-0.1, 1.1, size=2), rng.uniform(0.05, 0.2)
    angles = np.sort(rng.uniform(0, 2 * np.pi, size=7))
    reach = radius * rng.uniform(0.6, 1.3, size=(7, 1))
    ring = centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach
    sheet.polygon(curve(ring, 5, closed=True), lighten(colour, rng.uniform(-0.25, 0.25)))


def _stem(sheet: Sheet, rng: np.random.Generator, colour: Rgb) -> None:
    start, end = rng.uniform(-0.1, 1.1, size=2), rng.uniform(-0.1, 1.1, size=2)
    bend = 0.5 * (start + end) + rng.normal(0.0, 0.08, size=2)
    sheet.line(curve(np.stack([start, bend, end]), 10), colour, rng.uniform(0.008, 0.04))


def _ripples(sheet: Sheet, rng: np.random.Generator, place: Place) -> None:
    """Level glints, as on water, in the lower part of the picture."""
    shore = rng.uniform(0.3, 0.8)
    for _ in range(60):
        y = shore + (1 - shore) * rng.random() ** 0.7
        x, reach = rng.random(), rng.uniform(0.02, 0.16) * (0.4 + y)
        colour = mix(place.middle, place.spark if rng.random() < 0.5 else place.bark, rng.uniform(0.1, 0.45))
        sheet.line(np.array([(x - reach, y), (x, y + 0.004), (x + reach, y)]), colour, 0.012 * y)


def _bokeh(base: Image.Image, place: Place, rng: np.random.Generator, side: int) -> Image.Image:
    glow = Sheet(Image.new("L", base.size), float(side))
    for _ in range(int(rng.integers(0, 26))):
        x, y = rng.uniform(0, 1, size=2).tolist()
        glow.disc((x, y), rng.uniform(0.008, 0.04), int(rng.integers(20, 110)))
    soft = glow.image.filter(ImageFilter.GaussianBlur(max(0.6, side * 0.006)))
    return Image.composite(Image.new("RGB", base.size, place.spark), base, soft)


def dapple(rng: np.random.Generator, size: int) -> Float[np.ndarray, "size size"]:
    """Patches of light and shade over the whole picture: a factor about 1."""
    strength = float(rng.choice([0.0, 0.07, 0.16]))
    small = max(16, size // 8)
    noise = np.tanh(1.5 * soft_noise(rng, small, small, int(rng.integers(4, 10))))
    patches = Image.fromarray((1 + strength * noise).astype(np.float32))
    return np.asarray(patches.resize((size, size), Image.Resampling.BICUBIC))
