"""What is remembered of each photograph to find equal ones: size, hash of the pixels, perceptual hash, thumbnail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import imagehash
import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from foveate.config.data import LARGEST_MEGAPIXELS
from foveate.data.checking import place_of
from foveate.data.images import ImageError, blank_warning, read_image
from foveate.data.records import ImageRecord
from foveate.engines.threads import Mapped, in_threads
from foveate.types import Size

BITS = 64
"""Of a perceptual hash."""
_THUMBNAIL = 32
_GREY = Image.Resampling.BOX


class Fingerprint(NamedTuple):
    """What is remembered of one photograph, as it is when upright."""

    size: Size
    digest: bytes
    """Hash of its pixels: equal for the same pixels in whatever file."""
    bits: Bool[np.ndarray, 64]
    """Perceptual hash (pHash: low frequencies of the cosine transform)."""
    mirrored_bits: Bool[np.ndarray, 64]
    """That of its mirror image."""
    thumbnail: UInt8[np.ndarray, "32 32"]
    """Grey, squashed to a square."""
    blank: str | None
    """Why it is nearly blank; None: it is not."""


def fingerprints_of(
    records: Sequence[ImageRecord],
    progress: Callable[[int], None] | None = None,
    largest_megapixels: int = LARGEST_MEGAPIXELS,
    mapped: Mapped = in_threads,
) -> list[Fingerprint | str]:
    """Decode every photograph once, on all cores; in the place of one that cannot be read stands why.

    Args:
        records: The photographs.
        progress: Called after each with the number done.
        largest_megapixels: A photograph with more cannot be read.
        mapped: Does that for each.
    """
    prints: list[Fingerprint | str] = []
    for each in mapped(partial(_look, largest_megapixels=largest_megapixels), records):
        prints.append(each)
        if progress is not None:
            progress(len(prints))
    return prints


def fingerprint(image: Image.Image, name: str = "the image") -> Fingerprint:
    """Return what is remembered of a photograph, as `read_image` returned it."""
    grey = image.convert("L").resize((2 * _THUMBNAIL, 2 * _THUMBNAIL), _GREY)
    thumbnail = np.asarray(grey.resize((_THUMBNAIL, _THUMBNAIL), _GREY))
    pixels = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).digest()
    mirrored = grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return Fingerprint(Size(*image.size), pixels, _bits(grey), _bits(mirrored), thumbnail, blank_warning(image, name))


def _look(record: ImageRecord, *, largest_megapixels: int) -> Fingerprint | str:
    name = place_of(record)
    try:
        return fingerprint(read_image(record.image, name, largest_megapixels=largest_megapixels), name)
    except ImageError as error:
        return str(error)


def _bits(grey: Image.Image) -> Bool[np.ndarray, 64]:
    return np.asarray(imagehash.phash(grey).hash, dtype=bool).reshape(-1)
