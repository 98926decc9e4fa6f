"""Every common kind of picture is read upright in RGB; every broken one is named."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from foveate.data.images import ImageError, read_image, to_rgb, upright_size
from foveate.data.records import ArchiveMember
from foveate.errors import UserError
from oracles.images import ROW_0_AND_COLUMN_0, naive_over_white, naive_upright

ORIENTATION = 0x112
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def pixels(source: bytes | Path) -> NDArray[np.uint8]:
    return np.asarray(read_image(source))


def spread(values: NDArray[Any]) -> NDArray[Any]:
    """Repeat a row of values until it is a picture of 10 rows."""
    return np.repeat(np.atleast_2d(values), 10, axis=0)


def tagged(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", ROW_0_AND_COLUMN_0)
def test_orientation_is_applied(format: str, orientation: int) -> None:
    stored = pixels(encoded(PICTURE, format, exif=tagged(1)))
    upright = pixels(encoded(PICTURE, format, exif=tagged(orientation)))
    assert stored.shape == (12, 20, 3)
    assert upright.tolist() == naive_upright(stored.tolist(), orientation)
    source = encoded(PICTURE, format, exif=tagged(orientation))
    assert upright_size(source) == read_image(source).size


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_fills_three_channels(mode: str) -> None:
    grey = PICTURE.convert(mode)
    expected = np.asarray(grey, dtype=np.uint8) * (255 if mode == "1" else 1)
    assert np.array_equal(pixels(encoded(grey)), np.stack([expected] * 3, axis=-1))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_white(mode: str) -> None:
    see_through = PICTURE.convert("RGB" if mode == "RGBA" else "L")
    see_through.putalpha(PICTURE.getchannel(2))
    seen = pixels(encoded(see_through)).astype(int)
    for *colour, alpha, shown in zip(
        *np.asarray(see_through).reshape(-1, len(mode)).T, seen.reshape(-1, 3), strict=True
    ):
        expected = [naive_over_white(int(shade), int(alpha)) for shade in colour]
        assert np.abs(shown - expected).max() <= 1  # a grey level of rounding


@pytest.mark.parametrize(
    ("transparency", "first", "second"),
    [
        (None, (10, 20, 30), (200, 100, 50)),
        (0, (255, 255, 255), (200, 100, 50)),
        (bytes([255, 51]), (10, 20, 30), (244, 224, 214)),
    ],
    ids=["opaque", "one-colour", "alpha-each"],
)
def test_palette(transparency: int | bytes | None, first: tuple[int, ...], second: tuple[int, ...]) -> None:
    image = Image.fromarray(spread(np.array([0, 1] * 5, dtype=np.uint8))).convert("L")
    image.putpalette([10, 20, 30, 200, 100, 50])
    options: dict[str, Any] = {} if transparency is None else {"transparency": transparency}
    seen = pixels(encoded(image, **options))
    assert {tuple(pixel) for pixel in seen[:, ::2].reshape(-1, 3).tolist()} == {first}
    assert {tuple(pixel) for pixel in seen[:, 1::2].reshape(-1, 3).tolist()} == {second}


def test_a_colour_that_stands_for_transparent_is_white() -> None:
    image = Image.new("RGB", (10, 10), (1, 2, 3))
    image.putpixel((4, 5), (9, 9, 9))
    seen = pixels(encoded(image, transparency=(1, 2, 3)))
    assert seen[5, 4].tolist() == [9, 9, 9]
    assert (seen == 255).all(axis=-1).sum() == 99


@pytest.mark.parametrize(
    ("ink", "expected"),
    [((0, 0, 0, 0), (255, 255, 255)), ((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0))],
    ids=["paper", "cyan", "black"],
)
def test_cmyk(ink: tuple[int, ...], expected: tuple[int, ...]) -> None:
    seen = pixels(encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=100))
    assert np.abs(seen.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_are_scaled_to_eight(format: str, order: str) -> None:
    values = np.array([0, 128, 129, 257, 32896, 65278, 65406, 65407, 65535, 65535])
    seen = pixels(encoded(Image.fromarray(spread(values).astype(order)), format))
    assert seen[3, :, 1].tolist() == [0, 0, 1, 1, 128, 254, 254, 255, 255, 255]
    assert np.array_equal(seen[..., 0], seen[..., 2])


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_floating_point(white: float) -> None:
    shades = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, -0.3])
    seen = pixels(encoded(Image.fromarray(spread(shades * white).astype(np.float32)), "TIFF"))
    assert seen[0, :, 0] == pytest.approx(np.clip(shades, 0, 1) * 255, abs=0.51)


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (10, 10), colour) for colour in ("red", "blue")]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(moving).reshape(-1, 3).max(axis=0).tolist() == [255, 0, 0]


def test_a_path_its_bytes_and_a_member_agree(tmp_path: Path) -> None:
    data = encoded(PICTURE, "JPEG")
    path = tmp_path / "bird.jpg"
    path.write_bytes(data)
    shard = tmp_path / "shard.tar"
    shard.write_bytes(b"before" + data + b"after")
    expected = np.asarray(Image.open(io.BytesIO(data)))
    for source in (path, data, ArchiveMember(shard, len(b"before"), len(data))):
        image = read_image(source)
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), expected)


def test_an_image_in_memory_follows_the_same_rules() -> None:
    assert np.array_equal(np.asarray(to_rgb(PICTURE)), np.asarray(PICTURE))
    assert to_rgb(Image.new("RGBA", (9, 9), (0, 0, 0, 0))).getpixel((4, 4)) == (255, 255, 255)


def write_truncated(path: Path) -> None:
    data = encoded(PICTURE.resize((200, 200)), "JPEG")
    path.write_bytes(data[: len(data) // 2])


def write_png(width: int, height: int) -> Callable[[Path], None]:
    return lambda path: Image.new("L", (width, height)).save(path, "PNG")


@pytest.mark.parametrize(
    ("write", "rule"),
    [
        (write_truncated, "cannot be decoded"),
        (Path.touch, "cannot be decoded"),
        (lambda path: path.write_text("not a picture\n" * 99), "cannot be decoded"),
        (Path.mkdir, "cannot be decoded"),
        (lambda path: None, "image not found"),
        (write_png(1, 1), "at least 8 pixels on each side .* is 1x1"),
        (write_png(30, 7), "at least 8 pixels on each side .* is 30x7"),
        (write_png(20_000, 20), "at most 50 times as long as wide.* is 20000x20"),
        (write_png(8, 401), "at most 50 times as long as wide.* is 8x401"),
    ],
    ids=["truncated", "empty", "text", "folder", "missing", "1x1", "30x7", "20000x20", "8x401"],
)
def test_a_broken_picture_is_named(write: Callable[[Path], None], rule: str, tmp_path: Path) -> None:
    path = tmp_path / "broken [1].jpg"
    write(path)
    with pytest.raises(ImageError, match=rule) as caught:
        read_image(path, "another name")
    assert str(path) in str(caught.value)
    assert "on_error skip" in str(caught.value)
    assert isinstance(caught.value, UserError)


@pytest.mark.parametrize("size", [(8, 8), (8, 400), (400, 8)])
def test_the_smallest_and_longest_picture_still_count(size: tuple[int, int]) -> None:
    assert read_image(encoded(Image.new("L", size))).size == size


def test_bytes_and_members_go_by_the_name_given(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="decoded: the image given as bytes"):
        read_image(b"nothing")
    with pytest.raises(ImageError, match="decoded: a bird"):
        read_image(b"nothing", "a bird")
    with pytest.raises(ImageError, match=r"not found: birds\.tar/7"):
        read_image(ArchiveMember(tmp_path / "birds.tar", 0, 9), "birds.tar/7")
