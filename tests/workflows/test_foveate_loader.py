"""The loader that is copied out decodes and answers as Foveate does, and says what is wrong."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

import foveate
from foveate.config.data import TestViews, TransformConfig
from foveate.data.images import read_image
from foveate.data.transforms import evaluation_geometries
from foveate.types import Size
from foveate.workflows.export import foveate_loader
from foveate.workflows.export.export import Exported
from foveate.workflows.export.foveate_loader import LoaderError

pytestmark = pytest.mark.usefixtures("without_noise")

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (67, 101, 3), dtype=np.uint8))
SHAPES = {"smallest_side": 8, "largest_aspect": 50.0, "largest_megapixels": 1}


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def with_orientation(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x112] = orientation
    return encoded(PICTURE, "JPEG", exif=exif, quality=95)


def see_through() -> Image.Image:
    image = PICTURE.copy()
    image.putalpha(PICTURE.getchannel(0))
    return image


def moving() -> bytes:
    frames = [PICTURE, PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


WIDE = np.random.default_rng(1).integers(0, 65536, (40, 50))
ODD: dict[str, Callable[[], bytes]] = {
    **{f"orientation-{number}": partial(with_orientation, number) for number in range(1, 9)},
    "grey": lambda: encoded(PICTURE.convert("L")),
    "one bit": lambda: encoded(PICTURE.convert("1")),
    "palette": lambda: encoded(PICTURE.convert("P")),
    "see-through palette": lambda: encoded(PICTURE.convert("P"), transparency=3),
    "alpha": lambda: encoded(see_through()),
    "grey alpha": lambda: encoded(see_through().convert("LA")),
    "CMYK": lambda: encoded(PICTURE.convert("CMYK"), "JPEG"),
    "16 bits": lambda: encoded(Image.fromarray(WIDE.astype(np.uint16))),
    "16 bits, TIFF": lambda: encoded(Image.fromarray(WIDE.astype(">u2")), "TIFF"),
    "floats to 1": lambda: encoded(Image.fromarray((WIDE / 65535).astype(np.float32)), "TIFF"),
    "floats to 255": lambda: encoded(Image.fromarray((WIDE / 257).astype(np.float32)), "TIFF"),
    "animation": moving,
    "webp": lambda: encoded(PICTURE, "WEBP", lossless=True),
    "narrow": lambda: encoded(PICTURE.resize((8, 300))),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("sizes", [(224, 256, None), (61, 70, 90)])
def test_the_view_is_that_of_the_training(name: str, sizes: tuple[int, int, int | None]) -> None:
    transforms = TransformConfig(input_size=sizes[0], resize_size=sizes[1], source_size=sizes[2])
    views = SHAPES | {
        "resize_size": transforms.resize_size,
        "input_size": transforms.input_size,
        "source_size": transforms.source,
    }
    source = ODD[name]()
    image = read_image(source)
    (geometry,) = evaluation_geometries(Size(*image.size), transforms, TestViews.CENTRE)
    expected = np.asarray(geometry.pixels(image))
    assert np.array_equal(foveate_loader.view(foveate_loader.read(source, views), views), expected)


def test_its_answers_are_those_of_the_run(exported: Exported, birds: list[Path], tmp_path: Path) -> None:
    (tmp_path / "odd.jpg").write_bytes(with_orientation(6))
    paths = [*birds[:4], tmp_path / "odd.jpg"]
    model = foveate.load(exported.path.parents[1])
    answers = foveate_loader.load(exported.path).predict_many(paths, batch_size=3)
    for answer, own in zip(answers, model.predict_many(paths), strict=True):
        assert answer.image == own.image
        assert [name for name, _ in answer.top(4)] == [each.class_name for each in own.top]
        np.testing.assert_allclose(
            [each for _, each in answer.top(4)], [each.probability for each in own.top], atol=1e-3
        )
        np.testing.assert_allclose(np.exp(answer.logits) / np.exp(answer.logits).sum(), answer.probabilities, atol=1e-6)


def test_it_needs_neither_torch_nor_foveate(exported: Exported, birds: list[Path], tmp_path: Path) -> None:
    """The folder is copied elsewhere, as a user would; the command line answers."""
    folder = shutil.copytree(exported.path, tmp_path / "elsewhere")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import foveate_loader\n"
        "status = foveate_loader.main(sys.argv[1:])\n"
        "sys.exit(status or 3 * bool({'torch', 'foveate'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code, str(folder), str(birds[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    best = foveate.load(exported.path.parents[1]).predict(birds[0]).best
    assert done.stdout.startswith(f"{birds[0]}: {best.class_name} {best.probability:.1%}, ")


@pytest.fixture
def copied(exported: Exported, tmp_path: Path) -> Path:
    return shutil.copytree(exported.path, tmp_path / "copy")


def test_an_artefact_cut_short_is_refused(copied: Path) -> None:
    model = copied / "model.onnx"
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(LoaderError, match=r"model\.onnx is damaged: cut short, or not the one that was proved"):
        foveate_loader.load(copied)
    model.unlink()
    with pytest.raises(LoaderError, match=r"model\.onnx cannot be read"):
        foveate_loader.load(copied)


def test_an_artefact_of_another_version_is_refused(copied: Path) -> None:
    file = copied / "foveate.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"schema_version": 2}), "utf-8")
    with pytest.raises(LoaderError, match=r"reads artefacts of version 1; .* is of version 2; take the foveate_loader"):
        foveate_loader.load(copied)
    file.write_text("{", "utf-8")
    with pytest.raises(LoaderError, match=r"foveate\.json cannot be read"):
        foveate_loader.load(copied)
    file.unlink()
    with pytest.raises(LoaderError, match=r"an artefact is a folder with a foveate\.json"):
        foveate_loader.load(copied)


def test_a_runtime_that_is_missing_is_named(copied: Path) -> None:
    with (
        mock.patch.dict(sys.modules, {"onnxruntime": None}),
        pytest.raises(
            LoaderError, match="needs the package onnxruntime, which is not installed; pip install onnxruntime"
        ),
    ):
        foveate_loader.load(copied)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no picture", "photograph cannot be decoded: .*no kind of picture that Pillow reads"),
        (encoded(PICTURE)[:300], "photograph cannot be decoded: .*truncated"),
        (encoded(Image.new("RGB", (4, 400))), "at least 8 pixels on each side .* is 4x400"),
        (encoded(Image.new("L", (2000, 1000))), "at most 1 megapixels; .* is 2000x1000"),
        (encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), "a pixel is no finite number"),
        (None, "photograph not found: .*bird.png"),
    ],
    ids=["text", "cut", "strip", "large", "nan", "missing"],
)
def test_a_photograph_that_cannot_be_read_is_named(content: bytes | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bird.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LoaderError, match=reason):
        foveate_loader.read(path, SHAPES)


def test_its_command_line_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert foveate_loader.main([str(tmp_path), "bird.jpg"]) == 2
    assert "an artefact is a folder with a foveate.json" in capsys.readouterr().err
    assert foveate_loader.main([]) == 2
    assert "usage: python foveate_loader.py FOLDER PHOTOGRAPH..." in capsys.readouterr().err
