"""Pictures as they are sent: data: addresses, of the size in which they are shown."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import Float
from PIL import Image

from foveate.drawing.overlays import heat_alone
from foveate.serve.schemas import Picture
from foveate.types import Size

LONGEST = 1280
"""Pixels of a photograph's longer side, as it is shown."""

_PANEL = 320
_MAP = Size(128, 128)  # which the page enlarges smoothly


def shown(image: Image.Image, longest: int = LONGEST) -> Picture:
    """Return a photograph as it is shown: no larger than a screen, without what its file says beside the pixels."""
    small = image.copy()
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return Picture(source=_address(jpeg(small), "image/jpeg"), width=small.width, height=small.height)


def panel(image: Image.Image) -> Picture:
    """Return a part of a photograph, or what a network saw, as it is shown."""
    return shown(image.convert("RGB"), _PANEL)


def heat(values: Float[np.ndarray, "y y"]) -> Picture:
    """Return a map in [0, 1] as a picture to lay over the photograph."""
    stream = io.BytesIO()
    heat_alone(values, _MAP).save(stream, "PNG")
    return Picture(source=_address(stream.getvalue(), "image/png"), width=_MAP.width, height=_MAP.height)


def jpeg(image: Image.Image) -> bytes:
    """Return it as a file, the pixels alone."""
    stream = io.BytesIO()
    Image.fromarray(np.asarray(image.convert("RGB"))).save(stream, "JPEG", quality=88)
    return stream.getvalue()


def _address(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
