"""Equal photographs are found whatever was done to them, and different ones are left alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from foveate.data import near_duplicates
from foveate.data.fingerprints import Fingerprint, fingerprint, fingerprints_of
from foveate.data.near_duplicates import Pair, equal_pairs, numbered_components, same_pixels
from foveate.data.records import ImageRecord


def scene(seed: int) -> Image.Image:
    """Return smooth shapes, as a photograph has them."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((240, 180), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


@pytest.mark.parametrize(
    ("copy", "words"),
    [
        (lambda image: image.copy(), "the same pixels"),
        (lambda image: encoded(image, 60), "nearly equal"),
        (lambda image: image.resize((192, 144)), "nearly equal"),
        (lambda image: encoded(ImageOps.mirror(image), 90), "mirrored"),
    ],
    ids=["exact", "re-encoded", "resized", "mirrored"],
)
def test_a_copy_is_found_and_nothing_else(copy: Callable[[Image.Image], Image.Image], words: str) -> None:
    prints = [fingerprint(scene(seed)) for seed in range(20)]
    pairs = equal_pairs([*prints, fingerprint(copy(scene(7)))])
    assert [(pair.first, pair.second, pair.words) for pair in pairs] == [(7, 20, words)]
    assert pairs[0].correlation > 0.99


def test_candidates_are_those_of_a_slow_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """In however many rows at a time; verification is left out."""
    monkeypatch.setattr(near_duplicates, "_ROWS", 7)
    monkeypatch.setattr(near_duplicates, "LEAST_CORRELATION", -1.0)
    bits = np.random.default_rng(0).random((30, 64)) < 0.5
    bits[::3] = bits[0] ^ (np.random.default_rng(1).random((10, 64)) < 0.1)
    seen = fingerprint(scene(0))
    prints = [seen._replace(digest=bytes([row]), bits=own, mirrored_bits=~own) for row, own in enumerate(bits)]
    expected = {
        (one, other)
        for one, other in combinations(range(30), 2)
        if (bits[one] != bits[other]).sum() <= near_duplicates.MOST_BITS
        or (bits[one] == bits[other]).sum() <= near_duplicates.MOST_BITS
    }
    assert {pair[:2] for pair in equal_pairs(prints)} == expected
    assert expected


def test_blank_photographs_are_equal_only_in_every_pixel() -> None:
    black = Image.new("RGB", (64, 64))
    other = black.copy()
    other.putpixel((0, 0), (3, 0, 0))
    prints = [fingerprint(each) for each in (black, other, black)]
    assert [pair[:2] for pair in equal_pairs(prints)] == [(0, 2)]
    assert equal_pairs([]) == []


def test_many_photographs_of_the_same_pixels_are_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    """And only the first of each group is compared with others, blank ones not at all."""
    seen, blank = fingerprint(scene(0)), fingerprint(Image.new("RGB", (64, 64)))
    near, compared = fingerprint(encoded(scene(0), 60)), list[tuple[int, int]]()
    verified = near_duplicates._verified

    def counted(prints: list[Fingerprint], first: int, second: int, words: str) -> Pair | None:
        compared.append((first, second))
        return verified(prints, first, second, words)

    monkeypatch.setattr(near_duplicates, "_verified", counted)
    pairs = equal_pairs([seen] * 200 + [blank] * 200 + [near])
    assert [pair[:2] for pair in pairs] == [(0, n) for n in range(1, 200)] + [(0, 400)] + [
        (200, n) for n in range(201, 400)
    ]
    assert compared == [(0, 400)]
    assert same_pixels([seen, near, seen]) == [[0, 2], [1]]


def test_components_join_links() -> None:
    assert numbered_components(5, [(0, 3), (3, 4)]) == [0, 1, 2, 0, 0]
    assert numbered_components(2, []) == [0, 1]


def test_what_cannot_be_read_is_said_in_its_place(tmp_path: Path) -> None:
    scene(0).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_text("no picture")
    records = [ImageRecord(name, tmp_path / name, 0, "a") for name in ("0.png", "1.png")]
    counts: list[int] = []
    good, bad = fingerprints_of(records, counts.append)
    assert isinstance(good, Fingerprint)
    assert good.size == (240, 180)
    assert "1.png" in str(bad)
    assert counts == [1, 2]
