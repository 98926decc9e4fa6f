"""Broken photographs are named before long work starts."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from foveate.config import OnError
from foveate.data.checking import Checked, check_images
from foveate.data.records import ArchiveMember, ImageRecord
from foveate.errors import UserError


def good() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 9)).save(stream, "PNG")
    return stream.getvalue()


def written(folder: Path, marks: str) -> list[ImageRecord]:
    """Write a photograph for each ``+`` and a text for each ``-``."""
    made = []
    for number, mark in enumerate(marks):
        path = folder / f"{number:02d}.png"
        path.write_bytes(good() if mark == "+" else b"not a picture")
        made.append(ImageRecord(f"id {number}", path, 0, "wren"))
    return made


def test_all_readable_and_none_at_all(tmp_path: Path) -> None:
    records = written(tmp_path, "+++")
    assert check_images(records) == Checked(records, ())
    assert check_images(()) == Checked((), ())


def test_stop_names_the_first_five_and_counts_the_rest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="7 of 10 photographs cannot be used") as caught:
        check_images(written(tmp_path, "-+--+--+--"))
    first, *named, rest = str(caught.value).splitlines()
    assert first.endswith(":")
    for line, number in zip(named, (0, 2, 3, 5, 6), strict=True):
        assert str(tmp_path / f"{number:02d}.png") in line
    assert rest.strip() == "and 2 more"


def test_five_are_named_without_a_rest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="5 of 6") as caught:
        check_images(written(tmp_path, "-+----"))
    assert str(tmp_path / "05.png") in str(caught.value).splitlines()[-1]


def test_skip_keeps_the_order_and_says_what_is_left_out(tmp_path: Path) -> None:
    records = written(tmp_path, "-+" * 20)
    (tmp_path / "01.png").unlink()
    result = check_images(records, OnError.SKIP)
    assert result.readable == tuple(records[3::2])
    assert len(result.problems) == 21
    assert result.problems[1].startswith(f"image not found: {tmp_path / '01.png'}")


def test_skip_does_not_hide_that_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2 of 2 photographs cannot be used"):
        check_images(written(tmp_path, "--"), OnError.SKIP)


def test_what_is_no_path_goes_by_its_id(tmp_path: Path) -> None:
    records = [
        ImageRecord("birds.tar/wren 7", ArchiveMember(tmp_path / "birds.tar", 0, 9), 0, "wren"),
        ImageRecord("wren 8", b"not a picture", 0, "wren"),
    ]
    with pytest.raises(UserError, match=r"not found: birds\.tar/wren 7 in .*birds\.tar"):
        check_images(records)
    with pytest.raises(UserError, match=r"not found: birds\.tar/wren 7(?s:.*)decoded: wren 8 "):
        check_images(records, OnError.SKIP)


def test_progress_counts_every_photograph(tmp_path: Path) -> None:
    done: list[int] = []
    check_images(written(tmp_path, "+-+"), OnError.SKIP, done.append)
    assert done == [1, 2, 3]
