"""One picture: place, pose, paint, light, and the exact box and part points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from foveate.errors import UserError
from foveate.plumage.anatomy import Anatomy, draw_pose, place_bird
from foveate.plumage.config import PlumageConfig
from foveate.plumage.drawing import Layer, paint_bird
from foveate.plumage.foliage import clutter, occluders
from foveate.plumage.perch import paint_perch
from foveate.plumage.places import Place, choose_place, dapple, far_background
from foveate.plumage.plans import palette_of, plan_of
from foveate.plumage.species import PART_NAMES, check_species, species_at
from foveate.types import Box, PartPoint


class Drawing(NamedTuple):
    """One drawn bird; coordinates are continuous pixels (x, y), see `foveate.types`.

    ``box`` is the extent of ``mask``: the bird's pixels, whether or not something hides them. ``parts`` are the
    visible parts in the order of `PART_NAMES`, ``hidden`` the parts behind a leaf or a blade.
    """

    image: Image.Image
    box: Box
    parts: tuple[PartPoint, ...]
    hidden: tuple[PartPoint, ...]
    mask: Bool[np.ndarray, "size size"]


def render(config: PlumageConfig, species: int, index: int, *, dressed_as: int | None = None) -> Drawing:
    """Draw picture ``index`` (from 0) of a species (from 0).

    With ``dressed_as`` the scene, pose and individual stay those of ``species``, but the bird has the small parts
    of that other species of the same group: the two pictures differ around `distinguishing_parts` only.

    Raises:
        UserError: No such species or picture, or ``dressed_as`` is not a near-twin.
    """
    check_species(config, species)
    if not 0 <= index < config.per_species:
        raise UserError(f"a picture index must be from 0 to {config.per_species - 1}; got {index}")
    kind = species_at(species, config.difference)
    traits = kind.traits
    if dressed_as is not None:
        check_species(config, dressed_as)
        other = species_at(dressed_as, config.difference)
        if other.group != kind.group:
            raise UserError(f"dressed_as must be of the same group as species {species}; got {dressed_as}")
        traits = other.traits
    size = config.size
    streams = np.random.default_rng([config.seed, species, index]).spawn(10)
    pose, palette = draw_pose(streams[0], config.bird), palette_of(kind.group, streams[1], config.marks)
    place = choose_place(streams[2])
    anatomy = place_bird(plan_of(kind.group), pose, size)
    light = float(streams[3].uniform(-1.1, 1.1))
    picture = _behind(place, anatomy, streams[4:7], size)
    bird = paint_bird(anatomy, palette, traits, light, streams[7], size)
    mask = np.zeros((size, size), dtype=bool)
    mask[_window(bird)] = bird.alpha > 0.5
    _lay(picture, bird)
    veil = _layer(occluders(place, anatomy, streams[8], size))
    _lay(picture, veil)
    image = _expose(picture, streams[9], size)
    visible, hidden = _split(anatomy.part_points(), veil.alpha)
    return Drawing(image, _extent(mask), visible, hidden, mask)


def _behind(
    place: Place, anatomy: Anatomy, streams: list[np.random.Generator], size: int
) -> Float[np.ndarray, "size size 3"]:
    picture = np.array(far_background(place, streams[0], size), dtype=np.float32)
    _lay(picture, _layer(clutter(place, streams[1], size)))
    _lay(picture, paint_perch(place, anatomy, streams[2], size))
    return picture


def _layer(image: Image.Image) -> Layer:
    """An RGBA image of the whole picture as a layer."""
    pixels = np.asarray(image, dtype=np.float32)
    return Layer(pixels[..., :3], pixels[..., 3] / 255, 0, 0)


def _window(layer: Layer) -> tuple[slice, slice]:
    height, width = layer.alpha.shape
    return slice(layer.top, layer.top + height), slice(layer.left, layer.left + width)


def _lay(picture: Float[np.ndarray, "size size 3"], layer: Layer) -> None:
    """Lay a layer over the picture, in place."""
    under = picture[_window(layer)]
    under += (layer.colour - under) * layer.alpha[..., None]


def _expose(picture: Float[np.ndarray, "size size 3"], rng: np.random.Generator, size: int) -> Image.Image:
    """The camera: dappled light, colour of the light, exposure, contrast and grain."""
    warmth = rng.normal(0.0, 0.05)
    balance = np.array([1 + warmth, 1 + rng.normal(0.0, 0.015), 1 - warmth], dtype=np.float32)
    gain, contrast = float(rng.uniform(0.86, 1.1)), float(rng.uniform(0.88, 1.12))
    lit = picture * dapple(rng, size)[..., None] * (balance * gain)
    lit = (lit - 122) * contrast + 122
    lit += rng.standard_normal((size, size, 1), dtype=np.float32) * float(rng.uniform(0.5, 3.0))
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def _split(
    points: dict[str, tuple[float, float]], cover: Float[np.ndarray, "size size"]
) -> tuple[tuple[PartPoint, ...], tuple[PartPoint, ...]]:
    """Part points in plain sight, and those that something covers by more than half."""
    last = len(cover) - 1
    placed = [PartPoint(name, *points[name]) for name in PART_NAMES]
    hidden = [cover[min(int(point.y), last), min(int(point.x), last)] > 0.5 for point in placed]
    return (
        tuple(point for point, away in zip(placed, hidden, strict=True) if not away),
        tuple(point for point, away in zip(placed, hidden, strict=True) if away),
    )


def _extent(mask: Bool[np.ndarray, "size size"]) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
