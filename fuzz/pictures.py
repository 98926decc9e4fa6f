"""Pictures of every format that Pillow writes, damaged: an RGB picture or an `ImageError`, and nothing else."""

from __future__ import annotations

import io
import re
import tempfile
import warnings
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from foveate.data.images import ImageError, read_image, upright_size
from fuzz.running import Say, Tally, Verdict, place_of, try_all

_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_ENDINGS = (".jpg", ".png", ".webp", ".gif", ".tif", ".bmp", ".avif", ".jp2", ".ico", ".ppm", ".heic", "")
_LONGEST_MESSAGE = 600  # characters, the path apart


class Picture(NamedTuple):
    """One case, made anew from its numbers."""

    seed: int
    number: int


def _drawn(mode: str, width: int = 40, height: int = 28) -> Image.Image:
    generator = np.random.default_rng(7)
    ramp = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    pixels = np.clip(ramp + generator.integers(0, 16, (height, width, 3)), 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    if mode in {"LA", "RGBA", "PA"}:
        image.putalpha(image.convert("L"))
    return image.convert(mode)


@cache
def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F], exif[0x011A], exif[0x0132] = "Maker", 72.5, "2026:01:01 00:00:00"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 1.5)
    return exif.tobytes()


@cache
def originals() -> Mapping[str, bytes]:
    """Return small pictures, by name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = [_drawn("P"), _drawn("P").rotate(180)]
    wanted: list[tuple[str, str, Image.Image, dict[str, object]]] = [
        ("jpeg", "JPEG", _drawn("RGB"), {"exif": _exif(), "icc_profile": profile}),
        ("jpeg-progressive", "JPEG", _drawn("RGB"), {"progressive": True, "subsampling": 0}),
        ("jpeg-cmyk", "JPEG", _drawn("CMYK"), {}),
        ("jpeg-grey", "JPEG", _drawn("L"), {"comment": b"words"}),
        ("mpo", "MPO", _drawn("RGB"), {"save_all": True, "append_images": [_drawn("RGB")]}),
        *((f"png-{mode}", "PNG", _drawn(mode), {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        ("png-exif", "PNG", _drawn("RGB"), {"exif": _exif(), "icc_profile": profile}),
        ("png-transparent", "PNG", _drawn("P"), {"transparency": bytes(range(256))}),
        ("png-animated", "PNG", _drawn("RGB"), {"save_all": True, "append_images": [_drawn("RGB").rotate(180)]}),
        ("webp", "WEBP", _drawn("RGB"), {"exif": _exif()}),
        ("webp-lossless", "WEBP", _drawn("RGBA"), {"lossless": True}),
        ("webp-animated", "WEBP", _drawn("RGB"), {"save_all": True, "append_images": [_drawn("L").convert("RGB")]}),
        ("gif", "GIF", _drawn("P"), {"transparency": 3}),
        ("gif-animated", "GIF", frames[0], {"save_all": True, "append_images": frames[1:]}),
        *(
            (f"tiff-{mode}", "TIFF", _drawn(mode), {})
            for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F")
        ),
        *(
            (f"tiff-{way}", "TIFF", _drawn("RGB"), dict[str, object](compression=way))
            for way in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd")
        ),
        ("tiff-fax", "TIFF", _drawn("1"), {"compression": "group4"}),
        ("tiff-lab", "TIFF", _drawn("LAB"), {}),
        *((f"bmp-{mode}", "BMP", _drawn(mode), {}) for mode in ("1", "L", "P", "RGB")),
        ("avif", "AVIF", _drawn("RGB"), {"exif": _exif()}),
        *((f"jp2-{mode}", "JPEG2000", _drawn(mode), {}) for mode in ("L", "RGB", "RGBA", "I;16")),
        ("ico", "ICO", _drawn("RGBA", 32, 32), {"sizes": [(16, 16), (32, 32)]}),
        *((f"ppm-{mode}", "PPM", _drawn(mode), {}) for mode in ("1", "L", "RGB", "I;16")),
        ("tga", "TGA", _drawn("RGB"), {}),
        ("pcx", "PCX", _drawn("RGB"), {}),
        ("sgi", "SGI", _drawn("RGB"), {}),
        ("dds", "DDS", _drawn("RGBA"), {}),
        ("qoi", "QOI", _drawn("RGB"), {}),
    ]
    return {name: _encoded(format, image, options) for name, format, image, options in wanted}


def _encoded(format: str, image: Image.Image, options: Mapping[str, object]) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def _flipped(content: bytearray, generator: np.random.Generator) -> None:
    for _ in range(int(generator.integers(1, 9))):
        content[int(generator.integers(len(content)))] ^= 1 << int(generator.integers(8))


def _scattered(content: bytearray, generator: np.random.Generator) -> None:
    for _ in range(int(generator.integers(1, 9))):
        content[int(generator.integers(len(content)))] = int(generator.integers(256))


def _cut(content: bytearray, generator: np.random.Generator) -> None:
    del content[int(generator.integers(len(content))) :]


def _without(content: bytearray, generator: np.random.Generator) -> None:
    start = int(generator.integers(len(content)))
    del content[start : start + int(generator.integers(1, 40))]


def _doubled(content: bytearray, generator: np.random.Generator) -> None:
    start = int(generator.integers(len(content)))
    block = content[start : start + int(generator.integers(1, 200))]
    at = int(generator.integers(len(content)))
    content[at:at] = block * int(generator.integers(1, 4))


def _spliced(content: bytearray, generator: np.random.Generator) -> None:
    other = list(originals().values())[int(generator.integers(len(originals())))]
    content[int(generator.integers(len(content))) :] = other[int(generator.integers(len(other))) :]


def _extreme(content: bytearray, generator: np.random.Generator) -> None:
    """Set a field of the header, or one further on, to a number that few writers write."""
    for _ in range(int(generator.integers(1, 3))):
        length = int(generator.choice([1, 2, 4]))
        last = min(len(content), 64 if generator.random() < 0.7 else len(content)) - length
        at, value = int(generator.integers(max(last, 0) + 1)), int(generator.choice(_EXTREMES))
        field = (value & ((1 << 8 * length) - 1)).to_bytes(length)
        content[at : at + length] = field if generator.random() < 0.5 else field[::-1]


_DAMAGES: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    _flipped,
    _scattered,
    _cut,
    _without,
    _doubled,
    _spliced,
    _extreme,
    _extreme,
)


def _with_sums(content: bytes) -> bytes:
    """Make the checksums of a PNG's blocks right again, so that what lies in them is read."""
    at, parts = 8, [content[:8]]
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4])
        body = content[at + 4 : at + 8 + length]
        parts += [content[at : at + 4], body, zlib.crc32(body).to_bytes(4)]
        at += 12 + length
    return b"".join(parts)


def _damaged(content: bytearray, generator: np.random.Generator) -> bytes:
    for _ in range(int(generator.integers(1, 4))):
        if content:
            _DAMAGES[int(generator.integers(len(_DAMAGES)))](content, generator)
    return bytes(content)


def _with_exif(format: str, exif: bytes) -> bytes:
    """Put a block into a whole picture, past Pillow's own reading of it."""
    block = b"Exif\0\0" + exif.removeprefix(b"Exif\0\0")[:65000]
    if format == "web":
        return _encoded("WEBP", _drawn("RGB"), {"exif": block})
    if format == "jpe":
        plain = originals()["jpeg-progressive"]
        return plain[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2) + block + plain[2:]
    plain, body = originals()["png-RGB"], b"eXIf" + block[6:]
    return plain[:33] + len(block[6:]).to_bytes(4) + body + zlib.crc32(body).to_bytes(4) + plain[33:]


def mutated(picture: Picture) -> tuple[str, bytes, str]:
    """Return the original's name, the damaged bytes, and the ending of their file."""
    generator = np.random.default_rng(picture)
    names = list(originals())
    name = names[picture.number % len(names)]
    content = bytearray(originals()[name])
    if generator.random() < 0.25:  # the photograph is whole, its EXIF block is not
        name = ("jpeg-exif-alone", "png-exif-alone", "webp-exif-alone")[picture.number % 3]
        content = bytearray(_with_exif(name[:3], _damaged(bytearray(_exif()), generator)))
    else:
        _damaged(content, generator)
    if content.startswith(b"\x89PNG") and generator.random() < 0.5:
        content = bytearray(_with_sums(bytes(content)))
    ending = _ENDINGS[int(generator.integers(len(_ENDINGS)))]
    return name, bytes(content), ending


def check(picture: Picture) -> Verdict:
    """Read one damaged picture."""
    name, content, ending = mutated(picture)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        file = Path(folder) / f"picture{ending}"
        file.write_bytes(content)
        outcome, fault = _read(file)
    return Verdict(outcome, fault, f"{name}, seed {picture.seed}, number {picture.number}", content)


def _read(file: Path) -> tuple[str, str | None]:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        outcome, fault = _judged(file)
    if warned and fault is None:
        fault = f"warns: {warned[0].category.__name__} {re.sub(r'[0-9]+', 'N', str(warned[0].message))[:60]}"
    return outcome, fault


def _judged(file: Path) -> tuple[str, str | None]:
    try:
        image = read_image(file)
    except ImageError as error:
        words = str(error)
        if str(file) not in words or "\n" in words or len(words) - len(str(file)) > _LONGEST_MESSAGE:
            return "refused", f"message without its path, of several lines, or too long: {words[:60]!r}"
        return "refused", None
    except Exception as error:
        return "raised", f"read_image: {place_of(error)}"
    if image.mode != "RGB":
        return "read", f"read_image gives mode {image.mode}"
    return "read", _size_fault(file, image.size)


def _size_fault(file: Path, size: tuple[int, int]) -> str | None:
    try:
        upright = upright_size(file)
    except Exception as error:
        return f"upright_size of what read_image reads: {place_of(error)}"
    return None if size == tuple(upright) else "upright_size is another than read_image's"


def run(count: int, seed: int, say: Say) -> Tally:
    """Try so many pictures."""
    originals()
    cases = [Picture(seed, number) for number in range(count)]
    return try_all(cases, check, say=say, chunk=100, limit=20.0, room=4 << 30)
