"""The bird: feathers, small parts and soft light, as one layer to lay over a scene."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageChops, ImageFilter
from scipy import ndimage

from foveate.plumage import coat, feathers, parts
from foveate.plumage.anatomy import Anatomy
from foveate.plumage.canvas import Sheet
from foveate.plumage.plans import Palette
from foveate.plumage.species import Traits

_ZOOM = 2  # supersampling of edges
_COARSE = 1 / 4  # scale of the soft colours and of the shading


class Layer(NamedTuple):
    """Part of a picture: colours (0 to 255) and cover (0 to 1) of the pixels from (left, top) on."""

    colour: Float[np.ndarray, "h w 3"]
    alpha: Float[np.ndarray, "h w"]
    left: int
    top: int


def paint_bird(
    anatomy: Anatomy, palette: Palette, traits: Traits, light: float, rng: np.random.Generator, size: int
) -> Layer:
    """Paint the bird of a picture of ``size`` pixels; ``light`` is where the light comes from, radians from above.

    The same random numbers are drawn whatever the traits, so twins in one pose differ in their own parts only.
    """
    left, top, right, bottom = _crop(anatomy, size)
    corner, shape = (float(left), float(top)), (right - left, bottom - top)
    enlarged = (shape[0] * _ZOOM, shape[1] * _ZOOM)
    bird = Sheet(Image.new("RGBA", enlarged), float(_ZOOM), corner)
    streams = rng.spawn(4)
    feathers.tail(anatomy, palette, traits.tail, streams[0], bird)
    parts.legs(anatomy, palette, traits.leg, bird)
    parts.crest(anatomy, palette, traits.crown, bird)
    mask = Sheet(Image.new("L", enlarged), float(_ZOOM), corner)
    coat.outline_mask(anatomy, mask)
    plumage = _plumage(anatomy, palette, traits, streams[1], shape, corner)
    bird.image.paste(plumage, mask=mask.image)
    feathers.wing(anatomy, palette, traits.wing, streams[2], bird)
    if anatomy.pose.head_turn < 0:  # a head turned back lies over the shoulder
        over = Sheet(Image.new("L", enlarged), float(_ZOOM), corner)
        coat.head_mask(anatomy, over)
        soft = over.image.filter(ImageFilter.GaussianBlur(0.02 * anatomy.unit * _ZOOM))
        bird.image.paste(plumage, mask=ImageChops.multiply(soft, mask.image))
    parts.beak(anatomy, palette, traits.beak, bird)
    parts.eye(anatomy, palette, traits.eye, bird)
    pixels = np.asarray(bird.image.convert("RGBa").reduce(_ZOOM).convert("RGBA"), dtype=np.float32)
    alpha = pixels[..., 3] / 255
    return Layer(pixels[..., :3] * _shading(alpha, light, anatomy)[..., None], alpha, left, top)


def _crop(anatomy: Anatomy, size: int) -> tuple[int, int, int, int]:
    """Whole pixels around the bird, with room for its small parts, inside the picture."""
    outline = anatomy.outline()
    room = 0.12 * anatomy.unit
    low = np.clip(np.floor(outline.min(axis=0) - room), 0, size).astype(int)
    high = np.clip(np.ceil(outline.max(axis=0) + room), 0, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _plumage(
    anatomy: Anatomy,
    palette: Palette,
    traits: Traits,
    rng: np.random.Generator,
    shape: tuple[int, int],
    corner: tuple[float, float],
) -> Image.Image:
    """Colours of trunk and head beyond their outline, with the texture of small feathers."""
    coarse = (max(1, round(shape[0] * _COARSE)), max(1, round(shape[1] * _COARSE)))
    soft_colours = Sheet(Image.new("RGB", coarse, palette.face), _COARSE, corner)
    coat.colours(anatomy, palette, soft_colours)
    enlarged = (shape[0] * _ZOOM, shape[1] * _ZOOM)
    soft = coat.soften(soft_colours.image, enlarged)
    relief = Sheet(Image.new("L", enlarged, 128), float(_ZOOM), corner)
    coat.scallops(anatomy, rng, relief)
    coat.barbs(anatomy, rng, relief)
    texture = Image.merge("RGB", [relief.image] * 3)
    plumage = Sheet(ImageChops.overlay(soft, texture), float(_ZOOM), corner)
    parts.throat(anatomy, palette, traits.throat, plumage)
    return plumage.image


def _shading(alpha: Float[np.ndarray, "h w"], light: float, anatomy: Anatomy) -> Float[np.ndarray, "h w"]:
    """Soft light on a rounded body: a factor about 1 for every pixel of the layer."""
    step = max(1, round(anatomy.unit / 40))
    height, width = alpha.shape
    solid = np.asarray(Image.fromarray(alpha).resize((max(2, width // step), max(2, height // step))))
    depth = ndimage.distance_transform_edt(np.pad(solid > 0.5, 1))[1:-1, 1:-1] * step / anatomy.unit
    bulge = ndimage.gaussian_filter(np.sqrt(np.clip(depth * (0.62 - depth), 0, None)), 2.0)
    down, right = np.gradient(bulge, step / anatomy.unit)
    facing = -right * np.sin(light) + down * np.cos(light)
    factor = (0.90 + 0.36 * np.tanh(1.1 * facing)).astype(np.float32)
    return np.asarray(Image.fromarray(factor).resize((width, height), Image.Resampling.BICUBIC))
