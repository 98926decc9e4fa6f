"""What the numbers in a picture mean, and a warning where next to nothing is left to see."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from foveate.data.images import ImageError, blank_warning, read_image


def encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "TIFF")
    return stream.getvalue()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_no_number_is_refused(value: float, tmp_path: Path) -> None:
    path = tmp_path / "bird.tif"
    values = np.full((10, 10), 0.5, dtype=np.float32)
    values[3, 4] = value
    Image.fromarray(values).save(path)
    with pytest.raises(ImageError, match=r"finite number: .*bird\.tif has 1 that are not; .*on_error skip"):
        read_image(path)


RAMP = np.linspace(0, 1, 400).reshape(20, 20)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((RAMP * 4095).astype(np.uint16), "reach 409., where white is 65535"),
        ((RAMP * 16383).astype(np.uint16), "reach 163.., where white is 65535"),
        ((RAMP * 255).astype(np.int32), "reach 25., where white is 65535"),
        ((RAMP * 2**31 - 1).astype(np.int32), "of its values lie outside 0..65535"),
        ((RAMP * 2**15 - 2**14).astype(np.int32), r"50% of its values lie outside 0..65535"),
        ((RAMP * 65535).astype(np.float32), "100% of its values lie outside 0..255"),
        ((RAMP * 2 - 1).astype(np.float32), "50% of its values lie outside 0..1"),
        ((RAMP * 1.02).astype(np.float32), "where white is 255"),
        ((RAMP * 0.1).astype(np.float32), "where white is 1;"),
        (np.full((20, 20), 3, np.uint8), "all of it is black"),
        (np.full((20, 20), 250, np.uint8), "all of it is white"),
    ],
)
def test_a_nearly_blank_picture_is_warned_of(values: NDArray[Any], reason: str) -> None:
    picture = read_image(encoded(Image.fromarray(values)))
    assert re.search(rf"^bird is nearly blank: .*{reason}", blank_warning(picture, "bird") or "")


@pytest.mark.parametrize(
    "values",
    [
        (RAMP * 65535).astype(np.uint16),
        (RAMP * 65535).astype(np.int32),
        (RAMP * 255).astype(np.float32),
        RAMP.astype(np.float32),
        (RAMP * 255).astype(np.uint8),
        np.where(RAMP > 0.01, 255, 0).astype(np.uint8),  # a drawing on paper
        np.where(RAMP > 0.99, 255, 0).astype(np.uint8),  # lights at night
        np.full((20, 20, 3), (0, 0, 128), np.uint8),  # a blue sky
    ],
)
def test_other_pictures_are_not_warned_of(values: NDArray[Any]) -> None:
    assert blank_warning(read_image(encoded(Image.fromarray(values))), "bird") is None
