"""Broken photographs are named before long work starts."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.config.data import OnError
from foveate.data.checking import Checked, check_images, listed
from foveate.data.records import ArchiveMember, ImageRecord
from foveate.errors import UserError


def good() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 9), "teal").save(stream, "PNG")
    return stream.getvalue()


def written(folder: Path, marks: str) -> list[ImageRecord]:
    """Write a photograph for each ``+`` and a text for each ``-``."""
    made = []
    folder.mkdir(exist_ok=True)
    for number, mark in enumerate(marks):
        path = folder / f"{number:02d}.png"
        path.write_bytes(good() if mark == "+" else b"not a picture")
        made.append(ImageRecord(f"id {number}", path, 0, "wren"))
    return made


def test_all_readable_and_none_at_all(tmp_path: Path) -> None:
    records = written(tmp_path, "+++")
    assert check_images({"train": records, "test": ()}) == {"train": Checked(records), "test": Checked(())}
    assert check_images({}) == {}


def test_stop_names_those_of_all_splits_in_one_go(tmp_path: Path) -> None:
    splits = {"train": written(tmp_path / "a", "-+--+--+--"), "validation": written(tmp_path / "b", "+")}
    splits["test"] = written(tmp_path / "c", "+-")
    (tmp_path / "c" / "01.png").unlink()
    with pytest.raises(
        UserError, match=r"8 of 13 photographs cannot be used \(7 of 10 in train, 1 of 2 in test\)"
    ) as e:
        check_images(splits)
    first, *named = str(e.value).splitlines()
    assert first.endswith(":")
    paths = [*(tmp_path / "a" / f"{number:02d}.png" for number in (0, 2, 3, 5, 6, 8, 9)), tmp_path / "c" / "01.png"]
    for line, path in zip(named, paths, strict=True):
        assert str(path) in line


def test_a_long_list_is_cut_and_the_rest_counted() -> None:
    assert listed(["a", "b"]) == "\n  a\n  b"
    assert listed(["a"] * 20).count("a") == 20
    assert listed(["a"] * 23) == "\n  a" * 20 + "\n  and 3 more"


def test_one_split_is_not_counted_twice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^5 of 6 photographs cannot be used; restore or remove them.*:\n  image "):
        check_images({"test": written(tmp_path, "-+----")})


def test_skip_keeps_the_order_and_says_what_is_left_out(tmp_path: Path) -> None:
    records = written(tmp_path, "-+" * 20)
    (tmp_path / "01.png").unlink()
    result = check_images({"train": records}, OnError.SKIP)["train"]
    assert result.readable == tuple(records[3::2])
    assert len(result.problems) == 21
    assert result.problems[1].startswith(f"image not found: {tmp_path / '01.png'}")


def test_skip_does_not_hide_that_nothing_is_left(tmp_path: Path) -> None:
    broken = written(tmp_path / "a", "--")
    with pytest.raises(UserError, match="2 of 2 photographs cannot be used"):
        check_images({"train": broken}, OnError.SKIP)
    rest = check_images({"train": written(tmp_path / "b", "+"), "test": broken}, OnError.SKIP)
    assert rest["test"].readable == ()


def test_what_is_no_path_goes_by_its_id(tmp_path: Path) -> None:
    records = [
        ImageRecord("birds.tar/wren 7", ArchiveMember(tmp_path / "birds.tar", 0, 9), 0, "wren"),
        ImageRecord("wren 8", b"not a picture", 0, "wren"),
    ]
    with pytest.raises(UserError, match=r"not found: birds\.tar/wren 7 in .*birds\.tar(?s:.*)decoded: wren 8 "):
        check_images({"train": records})


def test_progress_counts_every_photograph(tmp_path: Path) -> None:
    counts: list[int] = []
    records = written(tmp_path, "+-+")
    check_images({"train": records, "test": records[:2]}, OnError.SKIP, counts.append)
    assert counts == [1, 2, 3, 4, 5]


def test_links_in_a_circle_and_names_that_are_not_utf8_are_named_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    foreign = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    foreign.write_bytes(good())
    records = [ImageRecord(path.name, path, 0, "wren") for path in (tmp_path / "circle.jpg", foreign)]
    records += written(tmp_path, "+-")
    with pytest.raises(UserError, match=r"3 of 4 (?s:.*)circle\.jpg .*\n.*caf\\xe9\.jpg; rename it.*\n.*01\.png"):
        check_images({"train": records})
    assert check_images({"train": records}, OnError.SKIP)["train"].readable == (records[2],)


def test_the_largest_that_is_read_is_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (1500, 1000)).save(path)
    records = [ImageRecord("large", path, 0, "wren")]
    with pytest.raises(UserError, match=r"at most 1 megapixels; .*large\.png is 1500x1000"):
        check_images({"train": records}, largest_megapixels=1)
    assert check_images({"train": records}, largest_megapixels=2)["train"].readable == records


def test_nearly_blank_pictures_are_kept_and_named(tmp_path: Path) -> None:
    path = tmp_path / "dark.png"
    Image.fromarray(np.linspace(0, 4095, 400).reshape(20, 20).astype(np.uint16)).save(path)
    records = [ImageRecord("dark", path, 0, "wren"), *written(tmp_path, "+")]
    result = check_images({"train": records})["train"]
    assert result.readable == records
    (warning,) = result.blank
    assert warning.startswith(f"{path} is nearly blank: its values reach 409")
