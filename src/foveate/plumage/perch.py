"""The branch under the bird's feet."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from foveate.plumage.anatomy import Anatomy
from foveate.plumage.canvas import soft_noise
from foveate.plumage.drawing import Layer
from foveate.plumage.places import Place

_LONG, _ROUND = 640, 96  # bark texture: cells along and around the branch
_LICHEN = np.array((176.0, 184.0, 150.0), dtype=np.float32)


def paint_perch(place: Place, anatomy: Anatomy, rng: np.random.Generator, size: int) -> Layer:
    """A branch across the whole picture whose upper edge passes under both feet."""
    thick, phase, taper = rng.uniform(0.013, 0.048), rng.uniform(0, 6), rng.uniform(-0.4, 0.4)
    bend, waves = rng.uniform(0.0, 0.02), rng.uniform(3, 7)
    feet = np.array([leg.foot for leg in anatomy.legs])
    left, right = feet[np.argsort(feet[:, 0])]
    slope = float(np.arctan2(right[1] - left[1], right[0] - left[0]))
    top, bottom = _band(float(left[1]), float(left[0]), slope, (2.6 * thick + 2 * bend) * size, size)
    y, x = np.mgrid[top:bottom, 0:size].astype(np.float32) + 0.5
    x, y = (x - float(left[0])) / size, (y - float(left[1])) / size
    along, across = x * np.cos(slope) + y * np.sin(slope), y * np.cos(slope) - x * np.sin(slope)
    girth = thick * (1 + 0.10 * np.sin(9 * along + phase) - taper * along)
    v = (across - bend * (np.cos(waves * along) - 1) - girth) / girth
    alpha = np.clip((1 - np.abs(v)) * girth * size + 0.5, 0, 1)
    shadow = 1 - 0.30 * np.exp(-((along * size / (0.32 * anatomy.unit)) ** 2)) * np.clip(0.6 - v, 0, 1)
    return Layer(_bark(place, along, v, shadow, rng), alpha, 0, top)


def _band(y: float, x: float, slope: float, reach: float, size: int) -> tuple[int, int]:
    """First row, and the row after the last, that a branch through (x, y) can touch."""
    ends = (y - x * np.tan(slope), y + (size - x) * np.tan(slope))
    top = int(np.clip(min(ends) - reach, 0, size - 1))
    return top, int(np.clip(max(ends) + 2 * reach, top + 1, size))


def _bark(
    place: Place,
    along: Float[np.ndarray, "h w"],
    v: Float[np.ndarray, "h w"],
    shadow: Float[np.ndarray, "h w"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "h w 3"]:
    """Grain along the branch, light from above, some lichen; ``v`` is -1 at its upper edge and 1 at its lower."""
    grain = soft_noise(rng, _LONG, _ROUND, 80) * 0.6 + soft_noise(rng, _LONG, _ROUND, 240) * 0.5
    lichen = np.clip(soft_noise(rng, _LONG, _ROUND, 34) - 1.1, 0, 0.8)
    rows = np.clip((v + 1) * (_ROUND / 2), 0, _ROUND - 1).astype(np.int32)
    columns = (np.clip(along + 1.2, 0, 2.39) * (_LONG / 2.4)).astype(np.int32)
    tone = 0.78 + 0.30 * np.sqrt(np.clip(1 - v * v, 0, 1)) - 0.28 * v + 0.10 * grain[rows, columns]
    colour = np.array(place.bark, dtype=np.float32) * (tone * shadow)[..., None]
    colour += (_LICHEN - colour) * lichen[rows, columns][..., None]
    clipped: Float[np.ndarray, "h w 3"] = np.clip(colour, 0, 255)
    return clipped
