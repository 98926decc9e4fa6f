"""A photograph in whatever form a caller has it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from foveate.data.images import ImageError
from foveate.data.photographs import name_of, read_photograph
from foveate.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photographs") / "bird.png"
    Image.fromarray(PIXELS).save(path)
    return path


def test_every_form_gives_the_same_pixels(path: Path) -> None:
    data = path.read_bytes()
    at_its_end = io.BytesIO(data)
    at_its_end.read()
    with path.open("rb") as file, Image.open(path) as image:
        forms: list[Any] = [path, str(path), data, bytearray(data), memoryview(data), at_its_end, file, image, PIXELS]
        for form in (*forms, PIXELS.copy(order="F"), np.dstack([PIXELS, np.full((12, 20), 255, np.uint8)])):
            assert np.array_equal(np.asarray(read_photograph(form)), PIXELS)
        assert [name_of(form) for form in forms] == [str(path)] * 2 + ["image"] * 7


def test_an_array_without_channels_is_grey() -> None:
    assert np.array_equal(np.asarray(read_photograph(PIXELS[..., 0])), np.repeat(PIXELS[..., :1], 3, axis=2))


@pytest.mark.parametrize(
    ("form", "rule"),
    [
        (PIXELS / 255, r"must be uint8, 0 to 255; got float64; of values in 0..1: \(255 \* array\)"),
        (PIXELS.astype(np.uint16), "must be uint8, 0 to 255; got uint16$"),
        (PIXELS.transpose(2, 0, 1), r"got \(3, 12, 20\); give array.transpose\(1, 2, 0\)"),
        (PIXELS[None], r"got an array \(1, 12, 20, 3\); give it to predict_many"),
        (PIXELS[..., :2], r"must be \(H, W, 3\), \(H, W, 4\) or \(H, W\); got \(12, 20, 2\)$"),
        (PIXELS[0, 0], r"got \(3,\)"),
        (torch.zeros(3, 12, 20), r"got Tensor; .* tensor.permute\(1, 2, 0\).cpu\(\).numpy\(\)"),
        (["a.jpg"], "got a list; give it to predict_many"),
        (("a.jpg",), "got a tuple; give it to predict_many"),
        (io.StringIO("text"), "binary mode; got text; open it with 'rb'"),
        (None, "a photograph must be a path, encoded bytes, .*; got NoneType$"),
        (3, "got int$"),
    ],
)
def test_another_form_is_told_how(form: Any, rule: str) -> None:
    with pytest.raises(UserError, match=rule) as caught:
        read_photograph(form)
    assert not isinstance(caught.value, ImageError)


def test_what_cannot_be_read_is_an_image_error(path: Path) -> None:
    closed = path.open("rb")
    closed.close()
    unread = Image.open(io.BytesIO(path.read_bytes()[:60]))
    forms: list[Any] = [
        closed,
        unread,
        io.BytesIO(b"text"),
        b"",
        "",
        PIXELS[:4],
        PIXELS[:0],
        path.with_name("gone.png"),
    ]
    for form in forms:
        with pytest.raises(ImageError):
            read_photograph(form)
    with pytest.raises(ImageError, match="at most 1 megapixels; the array is 1500x1000"):
        read_photograph(np.zeros((1000, 1500), np.uint8), largest_megapixels=1)
