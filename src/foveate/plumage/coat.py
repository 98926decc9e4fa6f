"""The coat: outline, soft colours and small feathers of trunk, neck and head."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageFilter

from foveate.plumage.anatomy import Anatomy
from foveate.plumage.canvas import Sheet, lighten, mix
from foveate.plumage.plans import Palette


def outline_mask(anatomy: Anatomy, sheet: Sheet) -> None:
    """Fill the outline of trunk, neck and head on a mask sheet."""
    upper, lower = anatomy.spine - anatomy.across, anatomy.spine + anatomy.across
    for i in range(len(upper) - 1):
        sheet.polygon(np.stack([upper[i], upper[i + 1], lower[i + 1], lower[i]]), 255)
    radii = np.linalg.norm(anatomy.across, axis=1)
    for centre, radius in zip(anatomy.spine[::2].tolist(), radii[::2].tolist(), strict=True):
        sheet.disc((centre[0], centre[1]), radius, 255)
    head_mask(anatomy, sheet)


def head_mask(anatomy: Anatomy, sheet: Sheet) -> None:
    """Fill the outline of the head on a mask sheet."""
    around = np.linspace(0, 2 * np.pi, 48)
    head = np.stack([1.04 * np.cos(around), np.sin(around) - 0.02], axis=1) * anatomy.plan.head
    sheet.polygon(anatomy.head(head), 255)


def colours(anatomy: Anatomy, palette: Palette, sheet: Sheet) -> None:
    """Fill a coarse sheet with the trunk's colours, beyond its outline; enlarging it makes them soft."""
    steps = np.linspace(-1.35, 1.35, 13)
    mesh = anatomy.spine[::2, None] + steps[:, None] * anatomy.across[::2, None]
    quads = np.stack([mesh[:-1, :-1], mesh[1:, :-1], mesh[1:, 1:], mesh[:-1, 1:]], axis=2)
    along = np.linspace(0, 1, len(mesh) - 1)
    painted = _blend(_colour_grid(palette), along, 0.5 * (steps[1:] + steps[:-1]))
    sheet.polygons(quads.reshape(-1, 4, 2), [(r, g, b) for r, g, b in painted.reshape(-1, 3).tolist()])
    _head_colours(anatomy, palette, sheet)


def _colour_grid(palette: Palette) -> Float[np.ndarray, "rows columns 3"]:
    """Colours from back to belly (rows) and from tail to head (columns)."""
    flank = mix(palette.back, palette.belly, 0.55)
    return np.array(
        [
            [palette.rump, palette.back, palette.back, mix(palette.back, palette.crown, 0.7), palette.crown],
            [palette.rump, palette.back, mix(palette.back, palette.breast, 0.3), palette.face, palette.face],
            [palette.belly, flank, mix(flank, palette.breast, 0.7), palette.breast, palette.throat],
            [palette.belly, palette.belly, palette.breast, palette.breast, palette.throat],
        ],
        dtype=np.float64,
    )


def _blend(
    grid: Float[np.ndarray, "rows columns 3"], along: Float[np.ndarray, " n"], across: Float[np.ndarray, " m"]
) -> Int[np.ndarray, "n m 3"]:
    """Colours between those of the grid, at every pair of places along and across the trunk."""
    row = np.clip((across + 0.8) / 1.5, 0, 0.999) * (len(grid) - 1)
    column = along[:, None] * (grid.shape[1] - 1) * 0.999
    i, j = row.astype(int), column.astype(int)
    u, v = (row - i)[..., None], (column - j)[..., None]
    back = (1 - v) * grid[i, j] + v * grid[i, j + 1]
    belly = (1 - v) * grid[i + 1, j] + v * grid[i + 1, j + 1]
    blended: Int[np.ndarray, "n m 3"] = ((1 - u) * back + u * belly).astype(np.int64)
    return blended


def _head_colours(anatomy: Anatomy, palette: Palette, sheet: Sheet) -> None:
    r = anatomy.plan.head
    around = np.linspace(0, 2 * np.pi, 24)
    ring = np.stack([np.cos(around), np.sin(around)], axis=1)
    sheet.polygon(anatomy.head(ring * 1.12 * r), palette.face)
    sheet.polygon(anatomy.head(ring * [0.80 * r, 0.50 * r] + [0.62 * r, 0.86 * r]), palette.throat)
    cap = [(-1.3, 0.05), (-0.5, -0.30), (0.3, -0.52), (1.2, -0.36), (1.0, -1.3), (0.0, -1.5), (-1.3, -1.0)]
    sheet.polygon(anatomy.head(np.array(cap) * r), palette.crown)
    sheet.polygon(anatomy.head(ring * [0.34 * r, 0.15 * r] + [0.62 * r, -0.08 * r]), lighten(palette.face, -0.38))
    sheet.polygon(anatomy.head(ring * [0.40 * r, 0.22 * r] + [-0.28 * r, 0.18 * r]), lighten(palette.face, -0.14))


def scallops(anatomy: Anatomy, rng: np.random.Generator, sheet: Sheet) -> None:
    """Draw overlapping small feathers in grey about 128, from tail to head, so that the front ones lie on top."""
    rows, columns = 46, 15
    index = np.minimum(np.arange(rows) * (len(anatomy.spine) - 1) // rows, len(anatomy.spine) - 2)
    ahead = anatomy.spine[index + 1] - anatomy.spine[index]
    ahead *= ((0.085 - 0.035 * np.linspace(0, 1, rows)) * anatomy.unit / np.linalg.norm(ahead, axis=1))[:, None]
    v = -1.1 + 2.2 * (np.arange(columns) + 0.5 * (np.arange(rows)[:, None] % 2)) / (columns - 1)
    v = (v + rng.normal(0.0, 0.035, size=v.shape))[..., None]
    across = anatomy.across[index][:, None]
    root = anatomy.spine[index][:, None] + v * across
    side = across / (columns - 1) * 1.25
    axis = -ahead[:, None] + 0.35 * side * v
    outlines = np.stack([_scale(root, axis * reach, side + 0 * axis) for reach in (1.0, 0.86, 0.55)], axis=2)
    tones = 128 + rng.normal(0.0, 5.0, size=(rows, columns, 1)) + np.array([-20.0, 9.0, 3.0])
    sheet.polygons(outlines.reshape(-1, 5, 2), tones.round().astype(int).ravel().tolist())
    sheet.image.paste(sheet.image.filter(ImageFilter.GaussianBlur(0.35 * sheet.zoom)))


def _scale(
    root: Float[np.ndarray, "r c 2"], axis: Float[np.ndarray, "r c 2"], side: Float[np.ndarray, "r c 2"]
) -> Float[np.ndarray, "r c 5 2"]:
    """Outlines of small feathers: where they start, how long they are, half their width."""
    middle = root + 0.7 * axis
    corners = [root + side, middle + 0.9 * side, root + axis, middle - 0.9 * side, root - side]
    return np.stack(corners, axis=2)


def barbs(anatomy: Anatomy, rng: np.random.Generator, sheet: Sheet) -> None:
    """Draw fine strokes along the plumage in grey about 128."""
    count = 1100
    rows = rng.integers(1, len(anatomy.spine), size=count)
    v = rng.uniform(-1.1, 1.1, size=count)[:, None]
    start = anatomy.spine[rows] + v * anatomy.across[rows]
    ahead = anatomy.spine[rows] - anatomy.spine[rows - 1]
    ahead *= (rng.uniform(0.02, 0.055, size=(count, 1)) * anatomy.unit) / np.linalg.norm(ahead, axis=1, keepdims=True)
    end = start - ahead + rng.normal(0.0, 0.006 * anatomy.unit, size=(count, 2))
    tones = rng.choice([96, 108, 148, 158], size=count)
    sheet.strokes(np.stack([start, end], axis=1), tones.tolist(), 0.006 * anatomy.unit)


def soften(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Enlarge a coarse colour sheet to ``size`` (width, height)."""
    return image.filter(ImageFilter.GaussianBlur(1.2)).resize(size, Image.Resampling.BICUBIC)
