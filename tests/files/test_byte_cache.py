"""The cache of what was fetched: the same bytes, damage known, a size that holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foveate.errors import UserError
from foveate.files.byte_cache import ByteCache, cache_folder, cache_size

VERSION = b"v" * 32


def files(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]


def test_what_is_put_is_there(tmp_path: Path) -> None:
    cache = ByteCache(tmp_path, 1000)
    assert cache.get("a") is None
    cache.put("a", VERSION, b"wren")
    kept = ByteCache(tmp_path, 1000).get("a")
    assert kept is not None
    assert (kept.content, kept.version) == (b"wren", VERSION)


def test_a_damaged_entry_is_none(tmp_path: Path) -> None:
    cache = ByteCache(tmp_path, 1000)
    cache.put("a", VERSION, b"wren")
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:40], b"", whole[:-1] + b"m"):
        file.write_bytes(damaged)
        assert cache.get("a") is None


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = ByteCache(tmp_path, 1000)
    for number in range(4):
        cache.put(str(number), VERSION, bytes(186))  # with its two hashes 250
    for age, number in enumerate((2, 0, 3, 1)):
        file = cache._file(str(number))
        os.utime(file, ns=(10**9 * (100 + age), file.stat().st_mtime_ns))
    assert cache.get("2") is not None  # now it was used last
    cache.put("4", VERSION, bytes(186))
    cache.shrink()
    assert [number for number in range(5) if cache.get(str(number)) is not None] == [1, 2, 4]
    assert sum(each.stat().st_size for each in files(tmp_path)) <= 1000


def test_the_size_holds_by_itself(tmp_path: Path) -> None:
    cache = ByteCache(tmp_path, 20_000)
    for number in range(80):
        cache.put(str(number), VERSION, bytes(500))
        assert sum(each.stat().st_size for each in files(tmp_path)) <= 20_000 * 1.05 + 564
    cache.put("large", VERSION, bytes(10_001))
    assert cache.get("large") is None


def test_nothing_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    cache = ByteCache(tmp_path, 0)
    cache.put("a", VERSION, b"wren")
    assert not files(tmp_path)


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = ByteCache(tmp_path / "file", 1000)
    cache.put("a", VERSION, b"wren")
    assert cache.get("a") is None


def test_the_environment_says_where_and_how_large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FOVEATE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "foveate"
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "other"))
    assert cache_folder() == tmp_path / "other"
    monkeypatch.delenv("FOVEATE_CACHE_GB", raising=False)
    assert cache_size() == 20_000_000_000
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0.5")
    assert cache_size() == 500_000_000
    for wrong in ("many", "-1", "nan", "inf"):
        monkeypatch.setenv("FOVEATE_CACHE_GB", wrong)
        with pytest.raises(UserError, match=f"FOVEATE_CACHE_GB must be a number of gigabytes.*{wrong}"):
            cache_size()
