"""Kinds of picture that only some installations read: they are read, or it is said how."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.data import image_kinds
from foveate.data.image_kinds import IMAGE_SUFFIXES, ImageKind, kind_of, prepare_heic, why_unreadable
from foveate.data.images import ImageError, read_image, upright_size

SHADES = np.linspace(0, 255, 40, dtype=np.uint8)
PICTURE = Image.fromarray(np.stack([np.tile(SHADES, (30, 1))] * 3, axis=-1))
FORMATS = {"AVIF": "AVIF", "HEIC": "HEIF", "JPEG 2000": "JPEG2000"}


def encoded(kind: str, orientation: int | None = None) -> bytes:
    prepare_heic()
    stream, exif = io.BytesIO(), Image.Exif()
    if orientation is not None:
        exif[0x112] = orientation
    PICTURE.save(stream, FORMATS[kind], exif=exif.tobytes())
    return stream.getvalue()


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = tuple(
        kind._replace(readable=False) for kind in (image_kinds._AVIF, image_kinds._HEIC, image_kinds._JPEG_2000)
    )
    monkeypatch.setattr(image_kinds, "_KINDS", kinds)
    for name, kind in zip(("_AVIF", "_HEIC", "_JPEG_2000"), kinds, strict=True):
        monkeypatch.setattr(image_kinds, name, kind)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("suffix", ["own", ".jpg"])
def test_it_is_read_whatever_its_name(kind: str, suffix: str, tmp_path: Path) -> None:
    start = encoded(kind)[:64]
    told = kind_of(start)
    assert isinstance(told, ImageKind)
    assert told.name == kind
    assert told.readable
    path = tmp_path / f"bird{told.suffixes[0] if suffix == 'own' else suffix}"
    path.write_bytes(encoded(kind))
    assert path.name.endswith(IMAGE_SUFFIXES)
    assert np.abs(np.asarray(read_image(path)).astype(int) - np.asarray(PICTURE)).max() < 30
    assert upright_size(path) == (40, 30)


@pytest.mark.parametrize("kind", ["AVIF", "HEIC"])
def test_it_is_turned_upright(kind: str) -> None:
    data = encoded(kind, 6)
    assert read_image(data).size == upright_size(data) == (30, 40)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("kind", "mend"),
    [("AVIF", "install Pillow 11.3"), ("HEIC", r"pip install 'foveate\[heif\]'"), ("JPEG 2000", "OpenJPEG")],
)
def test_where_it_is_not_read_it_is_said_how(kind: str, mend: str, tmp_path: Path) -> None:
    path = tmp_path / "bird.jpg"
    path.write_bytes(encoded(kind))
    for read in (read_image, upright_size):
        with pytest.raises(ImageError, match=rf"decoded: .*bird\.jpg \(it is {kind}\); .*{mend}.*on_error skip"):
            read(path)
    told = kind_of(path.read_bytes()[:64])
    assert told is not None
    assert all(why_unreadable(suffix.upper()) == told.mend for suffix in told.suffixes)


def test_what_every_installation_reads_needs_no_mend() -> None:
    assert why_unreadable(".jpg") is why_unreadable(".heic") is why_unreadable(".xyz") is None
    for start in (b"", b"\xff\xd8\xff\xe0", b"\0\0\0\x20ftypisom\0\0\0\0mp41mp42", b"\0\0\0\x18ftyp"):
        assert kind_of(start) is None


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_one_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bird.jpg"
    path.write_bytes(encoded(kind)[:60])
    with pytest.raises(
        ImageError, match=rf"decoded: .*bird\.jpg \({'' if kind == 'JPEG 2000' else f'it is a damaged {kind}'}"
    ):
        read_image(path)
