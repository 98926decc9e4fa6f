"""What the numbers in a picture mean: any mode to 8-bit RGB, and a warning where next to nothing is left to see."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from PIL import Image

from foveate.data.image_files import ImageError, decoding

BLANK_SAMPLE = 128
"""Pixels a side that tell whether a picture is nearly blank."""

_RANGE = "foveate range"  # key of `Image.info`: what is odd about the numbers that a picture was made of
_FEW = 0.001  # share of pixels that may be hot or dead
_BLACK, _WHITE = 16, 239  # grey levels; 12 bits in a file of 16 come out as 0 to 16
_DARK = 0.25  # of white; 14 bits in a file of 16 come out below it
_OUTSIDE = 0.25  # share of pixels that are cut to black or white


def to_rgb(image: Image.Image, name: str = "the image") -> Image.Image:
    """Convert an image of any mode to 8-bit RGB, by the rules of `read_image`; what is RGB is returned itself.

    Raises:
        ImageError: A pixel is NaN or infinite, or Pillow cannot convert it.
    """
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _wide_grey_to_rgb(image, name)
    with decoding(name, image.size):
        if image.has_transparency_data:
            rgba = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
        return image if image.mode == "RGB" else image.convert("RGB")


def blank_warning(image: Image.Image, name: str) -> str | None:
    """Say that a picture, as `read_image` returned it, is nearly blank, and why; None: it is not.

    It is when all but a thousandth of its pixels are black, or white, to within 16 grey levels; when it was made of
    16-bit, 32-bit or floating-point numbers and all but as many are below a quarter of white; or when a quarter of such
    numbers are below black or above white.
    """
    reason = image.info.get(_RANGE) or _blankness(image)
    return None if reason is None else f"{name} is nearly blank: {reason}"


def _blankness(image: Image.Image) -> str | None:
    sample = image.resize([min(side, BLANK_SAMPLE) for side in image.size], Image.Resampling.NEAREST)
    levels = np.sum(np.reshape(sample.histogram(), (3, 256)), axis=0)  # of all channels: a blue sky is not blank
    few = _FEW * levels.sum()
    if levels[_BLACK + 1 :].sum() <= few:
        return "all of it is black"
    return "all of it is white" if levels[:_WHITE].sum() <= few else None


def _wide_grey_to_rgb(image: Image.Image, name: str) -> Image.Image:
    """16-bit integers span 0..65535; floating-point images span 0..1 when nothing in them exceeds 1, else 0..255."""
    with decoding(name, image.size):
        values = np.asarray(image, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ImageError(
            f"every pixel must be a finite number: {name} has {np.count_nonzero(~np.isfinite(values))} that are not; "
            "replace it, or leave it out (on_error skip)"
        )
    white = 65535.0 if image.mode != "F" else 1.0 if values.max() <= 1.0 else 255.0
    grey = np.clip(values, 0, white) * (255.0 / white)
    rgb = Image.fromarray((grey + 0.5).astype(np.uint8)).convert("RGB")
    rgb.info[_RANGE] = _odd_range(values, white)
    return rgb


def _odd_range(values: Float[np.ndarray, "h w"], white: float) -> str | None:
    height, width = values.shape
    sample = values[:: max(1, height // BLANK_SAMPLE), :: max(1, width // BLANK_SAMPLE)]
    outside, high = np.mean((sample < 0) | (sample > white)), np.quantile(sample, 1 - _FEW)
    if outside >= _OUTSIDE:
        return f"{outside:.0%} of its values lie outside 0..{white:.0f}; scale them to that range"
    if high < _DARK * white:
        reach = f"{high:.2g}" if white == 1 else f"{high:.0f}"
        return f"its values reach {reach}, where white is {white:.0f}; scale them to that range"
    return None
