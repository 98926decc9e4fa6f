"""Where the pictures of a page lie: in the page itself, or in a folder beside it where there are many photographs."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from foveate.files.atomic import atomic_path
from foveate.report.html.contents import Picture

_QUALITY = 72
_HASHED = 20  # hexadecimal digits of a picture's hash
_METHOD = 4  # of WebP: how hard the encoder tries, 0 to 6


@dataclass
class PictureStore:
    """Takes the pictures of one page.

    Args:
        folder: Beside the page; None: they are part of the page.
        budget: Bytes of pictures in the page, after which `full` is true; nothing is refused.
    """

    folder: Path | None = None
    budget: int = 14_000_000
    used: int = 0

    @property
    def full(self) -> bool:
        """Whether the page should not grow much more; a folder is never full."""
        return self.folder is None and self.used >= self.budget

    def put(self, image: Image.Image, side: int, words: str, *, square: bool = False) -> Picture:
        """Keep a picture.

        Args:
            image: It is not changed.
            side: Pixels of its longer side at most; of both, where it is square.
            words: What it shows.
            square: Cut away what is beyond a square in the middle.
        """
        small = _square(image, side) if square else _within(image, side)
        content = _encoded(small)
        self.used += len(content)
        return Picture(self._source(content), *small.size, words)

    def _source(self, content: bytes) -> str:
        if self.folder is None:
            return f"data:image/webp;base64,{base64.b64encode(content).decode('ascii')}"
        name = f"{hashlib.sha256(content).hexdigest()[:_HASHED]}.webp"  # two reports at once write the same
        with atomic_path(self.folder / name) as temporary:
            temporary.write_bytes(content)
        return f"{quote(self.folder.name)}/{name}"


def _within(image: Image.Image, side: int) -> Image.Image:
    small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def _square(image: Image.Image, side: int) -> Image.Image:
    short = min(image.size)
    left, top = ((length - short) // 2 for length in image.size)
    cut = image.convert("RGB").crop((left, top, left + short, top + short))
    return cut.resize((side, side), Image.Resampling.LANCZOS)


def _encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=_QUALITY, method=_METHOD)
    return stream.getvalue()
