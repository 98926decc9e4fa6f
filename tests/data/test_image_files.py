"""A picture file is opened safely: whatever is wrong with it is an error that names it."""

from __future__ import annotations

import errno
import io
import os
import socket
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from foveate.config.data import DataConfig
from foveate.data import image_values
from foveate.data.images import ImageError, read_image, upright_size
from foveate.data.records import ArchiveMember

ORIENTATION = 0x112
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("action", ["error", "ignore"])
@pytest.mark.parametrize("limit", [100_000, 400_000])
def test_the_limit_of_pixels_is_ours_and_pillows_is_left_alone(
    limit: int, action: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow warns above its limit, and refuses above twice the limit."""
    path = tmp_path / "bomb.png"
    Image.new("1", (1000, 1001)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter(action)
        with pytest.raises(ImageError, match=r"at most 1 megapixels; .*bomb\.png has more; .* largest_megapixels"):
            read_image(path, largest_megapixels=1)
        assert read_image(path).size == read_image(path, largest_megapixels=None).size == (1000, 1001)
        assert upright_size(path) == upright_size(path, largest_megapixels=None) == (1000, 1001)
    assert not shown
    assert limit == Image.MAX_IMAGE_PIXELS


def test_two_hundred_megapixels_are_read_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DataConfig(root=Path()).largest_megapixels == 200
    header = encoded(Image.new("1", (8, 8)))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda _: None)  # no pixel of either is there
    assert upright_size(png_of_size(header, 20_000, 10_000)) == (20_000, 10_000)
    for read in (read_image, upright_size):
        with pytest.raises(ImageError, match="at most 200 megapixels; the image given as bytes has more"):
            read(png_of_size(header, 20_000, 10_001))


def png_of_size(data: bytes, width: int, height: int) -> bytes:
    """Write another size into the header of a PNG."""
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def test_large_pictures_are_read_by_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    data = encoded(PICTURE, "TIFF")
    with ThreadPoolExecutor(8) as pool:
        assert {image.size for image in pool.map(read_image, [data] * 64)} == {(20, 12)}
    assert Image.MAX_IMAGE_PIXELS == 100


def test_reads_that_overlap_leave_the_warning_filters_alone() -> None:
    """Filters belong to all threads: two reads that each restore them would leave the other's behind."""
    opened, may_go_on = threading.Event(), threading.Event()

    class Slow(ArchiveMember):
        def read(self) -> bytes:
            opened.set()
            may_go_on.wait(timeout=10)
            return encoded(PICTURE)

    read_image(encoded(PICTURE))  # the first read has Pillow's warnings ignored, for good
    before = list(warnings.filters)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(read_image, Slow(Path("unused"), 0, 0))
        assert opened.wait(timeout=10)
        during = list(warnings.filters)
        may_go_on.set()
        slow.result()
    assert during == before == list(warnings.filters)


def jpeg_with_exif(directory: bytes) -> bytes:
    """A JPEG whose EXIF holds one directory of entries, as they are given."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + directory
    data = encoded(PICTURE, "JPEG")
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(">HHHI", 1, tag, kind, count) + value + b"\0\0\0\0"


@pytest.mark.parametrize(
    "directory",
    [
        entry(ORIENTATION, 3, 1, b"\0\6"),  # cut off
        entry(ORIENTATION, 3, 99, b"\0\0\xff\xff"),  # its values lie outside
        entry(ORIENTATION, 7, 4, b"abcd"),
        b"\xff\xff",
        b"",
    ],
    ids=["cut", "outside", "bytes", "many", "none"],
)
def test_what_pillow_says_of_damaged_exif_is_not_shown(directory: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert upright_size(jpeg_with_exif(directory)) == read_image(jpeg_with_exif(directory)).size
    assert not shown
    assert capfd.readouterr() == ("", "")


FAULTS = (
    *(struct.error("bad"), TypeError("bad"), AttributeError("bad"), OverflowError("bad"), ZeroDivisionError("bad")),
    *(KeyError("bad"), RecursionError("bad"), AssertionError("bad"), SystemError("bad"), MemoryError("bad")),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("place", ["getexif", "load"])
def test_whatever_goes_wrong_inside_a_decoder_names_the_picture(
    fault: Exception, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise fault

    path = tmp_path / "bird.png"
    PICTURE.save(path)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, place, fail)
    with pytest.raises(ImageError, match=r"decoded: .*bird\.png \(.+\); replace it.*on_error skip") as caught:
        read_image(path)
    assert caught.value.__cause__ is fault
    if place == "getexif":
        with pytest.raises(ImageError, match=r"decoded: .*bird\.png"):
            upright_size(path)


@pytest.mark.parametrize(("tag", "kind"), [(0x10A, 2), (0x13B, 5)], ids=["text", "fraction"])
def test_exif_of_the_wrong_kind_is_named(tag: int, kind: int) -> None:
    """A text where the tag wants a number, and a fraction where it wants a text, beside an orientation."""
    odd = struct.pack(">HHII", tag, kind, 51 if kind == 2 else 1, 38)
    turned = struct.pack(">HHIHH", ORIENTATION, 3, 1, 6, 0)
    with pytest.raises(ImageError, match=r"decoded: bird\.jpg \(\w+: "):
        read_image(jpeg_with_exif(struct.pack(">H", 2) + odd + turned + bytes(4) + b"x" * 50 + bytes(2)), "bird.jpg")


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), SystemExit()])
def test_an_interruption_stays_one(fault: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise fault

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    with pytest.raises(type(fault)):
        read_image(encoded(PICTURE))


def test_too_little_memory_for_a_large_picture_is_not_its_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    data = encoded(Image.new("1", (5001, 5000)))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    with pytest.raises(MemoryError):
        read_image(data)


def test_a_fault_of_our_own_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise TypeError("a defect")

    monkeypatch.setattr(image_values, "_wide_grey_to_rgb", fail)
    with pytest.raises(TypeError, match="a defect"):
        read_image(encoded(Image.new("I", (9, 9)), "TIFF"))


@pytest.mark.parametrize("read", [read_image, upright_size])
@pytest.mark.parametrize("kind", ["pipe", "socket", "link", "circle", "device"])
def test_only_a_regular_file_is_opened(
    kind: str, read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    path = Path("x.jpg")
    pipe = "it is a named pipe"
    words = {"pipe": pipe, "link": pipe, "socket": "it is a socket", "device": "it is a device"}
    reason = words.get(kind, "Too many levels of symbolic links")
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "circle":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo("pipe.jpg" if kind == "link" else path)
        if kind == "link":
            path.symlink_to("pipe.jpg")
    with pytest.raises(ImageError, match=rf"^image cannot be decoded: x\.jpg \({reason}\); replace it"):
        read(path)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a\0b.jpg", r"decoded: .*a\\x00b"),
        ("two\nlines.jpg", r"not found: .*two\\nlines.jpg"),
        ("a" * 300 + ".jpg", "decoded: .*too long"),
        (os.fsdecode(b"caf\xe9.jpg"), r"must be UTF-8: .*caf\\xe9\.jpg; rename it"),
        ("half \ud800.jpg", r"must be UTF-8: .*half \\\S+\.jpg; rename it"),
    ],
    ids=["NUL", "lines", "long", "Latin-1", "half a character"],
)
def test_a_name_that_no_file_may_have(name: str, rule: str, tmp_path: Path) -> None:
    for read in (read_image, upright_size):
        with pytest.raises(ImageError, match=rule) as caught:
            read(tmp_path / name)
        assert str(caught.value).encode()


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    PICTURE.save(tmp_path / "bird.png")
    monkeypatch.setattr(Path, "open", refuse)  # root may read all
    with pytest.raises(ImageError, match=r"decoded: .*bird\.png \(Permission denied\)"):
        read_image(tmp_path / "bird.png")
