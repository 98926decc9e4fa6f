"""Which kinds of picture can be read here, by the endings of their names and by their first bytes."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from PIL import features


class ImageKind(NamedTuple):
    """A kind of picture that only some installations read."""

    name: str
    suffixes: tuple[str, ...]
    readable: bool
    """Whether this installation reads it."""
    mend: str
    """What to do where it does not."""


_AVIF = ImageKind(
    "AVIF",
    (".avif", ".avifs"),
    "avif" in features.get_supported_features() + features.get_supported_modules(),
    "install Pillow 11.3 or newer, or convert it to JPEG",
)
_HEIC = ImageKind(
    "HEIC",
    (".heic", ".heif", ".hif"),
    find_spec("pillow_heif") is not None,
    "pip install 'foveate[heif]', or convert it to JPEG",
)
_JPEG_2000 = ImageKind(
    "JPEG 2000",
    (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "jpg_2000" in features.get_supported_codecs(),
    "install a Pillow that was built with OpenJPEG, or convert it to JPEG",
)
_KINDS = (_AVIF, _HEIC, _JPEG_2000)

IMAGE_SUFFIXES: tuple[str, ...] = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm"),
    *(suffix for kind in _KINDS if kind.readable for suffix in kind.suffixes),
)
"""Endings, in lower case, of what is read here; a file's content may be another kind than its ending says."""

_AVIF_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1")
_JPEG_2000_STARTS = (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")


def why_unreadable(suffix: str) -> str | None:
    """Say what to do about files of an ending, such as ``.HEIC``, whose kind is known but not read here.

    None: they are read, or nothing is known of them.
    """
    kind = next((kind for kind in _KINDS if suffix.lower() in kind.suffixes), None)
    return None if kind is None or kind.readable else kind.mend


def kind_of(start: bytes) -> ImageKind | None:
    """Return the kind that a file's first 64 bytes tell of; None: it is one that every installation reads, or none."""
    if start.startswith(_JPEG_2000_STARTS):
        return _JPEG_2000
    if start[4:8] != b"ftyp":
        return None
    brands = [start[8:12], *(start[place : place + 4] for place in range(16, _end(start), 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return _AVIF
    return _HEIC if any(brand in _HEIC_BRANDS for brand in brands) else None


@cache
def prepare_heic() -> None:
    """Have Pillow read HEIC, by its plug-in; only where a photograph needs it, for it takes a while to load."""
    import_module("pillow_heif").register_heif_opener()


def _end(start: bytes) -> int:
    return min(int.from_bytes(start[:4], "big"), len(start))
