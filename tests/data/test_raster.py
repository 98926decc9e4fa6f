"""A JPEG at reduced scale shows what the whole photograph shows, at the same places."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from foveate.config.data import TestViews, TransformConfig
from foveate.data.checking import check_images
from foveate.data.geometry import Geometry
from foveate.data.images import ImageError, read_image, read_thumbnail, read_views, upright_raster, upright_size
from foveate.data.loading import Draw, EvaluationViews, TrainingViews
from foveate.data.photographs import read_photograph_views
from foveate.data.raster import Header, Raster, reduction_for
from foveate.data.records import ImageRecord, Patch
from foveate.data.transforms import centres, evaluation_geometries
from foveate.errors import UserError
from foveate.types import Box, Size
from foveate.workflows.export import foveate_loader

ORIENTATION = 0x112
VIEWS = TransformConfig(input_size=28, resize_size=32)


def waves(width: int, height: int) -> Image.Image:
    """Return smooth colours in which a shift by a pixel of the view is seen at once."""
    x, y = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
    channels = (np.sin(19 * x), np.cos(17 * y), np.sin(11 * x + 13 * y))
    return Image.fromarray(np.stack([(127.5 + 120 * each).astype(np.uint8) for each in channels], axis=-1))


def jpeg(image: Image.Image, orientation: int = 1, format: str = "JPEG", **options: Any) -> bytes:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[ORIENTATION] = orientation
    image.save(stream, format, quality=95, exif=exif, **options)
    return stream.getvalue()


def centre(size: Size) -> tuple[Geometry, ...]:
    return centres(size, [VIEWS])


def both(source: bytes) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Return the reduction, and the view by it and by the whole photograph."""
    views = read_views(source, centre)
    (reduced,), whole = views.pictures(), read_image(source)
    (geometry,) = centre(Size(*whole.size))
    assert views.geometries == (geometry,)
    return views.raster.reduction, np.asarray(reduced, np.int64), np.asarray(geometry.pixels(whole), np.int64)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("width", "height", "reduction"), [(135, 157, 2), (261, 391, 4), (521, 603, 8)])
def test_a_view_is_that_of_the_whole_photograph(orientation: int, width: int, height: int, reduction: int) -> None:
    applied, reduced, whole = both(jpeg(waves(width, height), orientation))
    assert applied == reduction
    # At the place of a reduced scale's neighbour the waves differ by up to 20 levels.
    assert np.abs(reduced - whole).max() <= 4
    assert abs((reduced - whole).mean()) < 0.2


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_printed_ones_too(mode: str) -> None:
    applied, reduced, whole = both(jpeg(waves(300, 300).convert(mode)))
    assert applied == 4
    assert np.abs(reduced - whole).max() <= 4


def test_of_a_file_of_several_pictures_the_first() -> None:
    source = jpeg(waves(300, 300), format="MPO", save_all=True, append_images=[Image.new("RGB", (300, 300))])
    assert Image.open(io.BytesIO(source)).format == "MPO"
    applied, reduced, whole = both(source)
    assert applied == 4
    assert np.abs(reduced - whole).max() <= 4


@pytest.mark.parametrize(("side", "reduction"), [(127, 1), (128, 2), (255, 2), (256, 4), (512, 8), (4096, 8)])
def test_two_pixels_are_left_for_each_of_a_view(side: int, reduction: int) -> None:
    assert reduction_for(centre(Size(side, side))) == reduction
    assert reduction_for(centre(Size(side, 9999))) == reduction  # the shorter side decides


def test_the_finest_view_decides() -> None:
    whole = Geometry.identity(Size(512, 512))
    squashed, closer = whole.resize(Size(32, 32)), whole.view(Box(0.0, 0.0, 128.0, 128.0), Size(32, 32))
    assert reduction_for([squashed]) == 8
    assert reduction_for([squashed, closer]) == 2
    assert reduction_for([]) == 1


def test_what_is_no_jpeg_or_decoded_already_is_whole() -> None:
    picture, stream = waves(600, 600), io.BytesIO()
    picture.save(stream, "PNG")
    for given in (stream.getvalue(), picture, np.asarray(picture)):
        views = read_photograph_views(given, centre)
        assert (views.raster.reduction, views.raster.image.size) == (1, (600, 600))
    assert read_photograph_views(jpeg(picture), centre).raster.image.size == (75, 75)
    assert upright_raster(picture, "it").reduction == 1


def test_overhang_by_hand() -> None:
    # 13 pixels are two of eight, and three more; 9 are two of eight, and seven more.
    overhangs = [Header(Size(13, 9), orientation).overhang(8) for orientation in range(1, 9)]
    assert overhangs == [(0, 0), (3, 0), (3, 7), (0, 7), (0, 0), (7, 0), (7, 3), (0, 3)]


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_loader_without_torch_sees_the_same(orientation: int) -> None:
    described = {"input_size": 28, "resize_size": 32, "source_size": 28}
    described |= {"smallest_side": 8, "largest_aspect": 50, "largest_megapixels": 200}
    for width, height in ((60, 50), (261, 391), (521, 603)):
        source = jpeg(waves(width, height), orientation)
        shown = foveate_loader.view(foveate_loader.read(source, described), described)
        np.testing.assert_array_equal(shown, both(source)[1])


def test_the_header_tells_the_size_of_a_turned_one() -> None:
    assert upright_size(jpeg(waves(120, 80), 6)) == (80, 120)


def test_damage_is_found_at_reduced_scale(tmp_path: Path) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(jpeg(waves(600, 600))[:-3000])
    for read in (lambda: read_views(torn, centre), lambda: read_thumbnail(torn, 16)):
        with pytest.raises(ImageError, match="cannot be decoded"):
            read()
    with pytest.raises(UserError, match="1 of 1 photographs cannot be used"):
        check_images({"train": [ImageRecord(image=torn, id="torn", label=0, class_name="a")]})


def test_a_strip_and_another_size_are_refused() -> None:
    with pytest.raises(ImageError, match="at most 50 times"):
        read_views(jpeg(waves(600, 10)), centre)
    with pytest.raises(UserError, match="serves the image size"):
        read_views(jpeg(waves(600, 600)), centre).raster.view(Geometry.identity(Size(300, 300)))


def test_loaders_and_patches_read_at_reduced_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bird.jpg"
    file.write_bytes(jpeg(waves(601, 603), 6))
    record = ImageRecord(image=file, id="bird", label=0, class_name="a")
    patch = ImageRecord(image=Patch(file, VIEWS, (3, 4, 24, 20), 28), id="patch", label=0, class_name="a")
    reductions: list[int] = []
    view = Raster.view

    def remembered(raster: Raster, geometry: Geometry) -> Image.Image:
        reductions.append(raster.reduction)
        return view(raster, geometry)

    monkeypatch.setattr(Raster, "view", remembered)
    shown = [TrainingViews([record], VIEWS, 3)[Draw(0, 0)], EvaluationViews([record], VIEWS, TestViews.FLIP)[0]]
    cut = np.asarray(read_image(patch.image), np.int64)
    assert reductions == [8, 8, 8, 8]
    whole = read_image(file)
    (centred, flipped) = evaluation_geometries(Size(*whole.size), VIEWS, TestViews.FLIP)
    expected = np.stack([np.asarray(each.pixels(whole), np.int64) for each in (centred, flipped)])
    assert np.abs(shown[1].images.numpy() - expected).max() <= 4
    of_whole = centred.crop(3.0, 4.0, Size(21, 16)).pixels(whole).resize((28, 28), Image.Resampling.BILINEAR)
    assert np.abs(cut - np.asarray(of_whole, np.int64)).max() <= 4
