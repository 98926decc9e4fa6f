"""Questions to a storage: asked again where that may help, and said in words where it does not."""

from __future__ import annotations

import errno
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foveate.errors import UserError
from foveate.files import remote_path, storage
from foveate.files.remote_path import BLOCK, RemotePath, located
from foveate.files.storage import ForbiddenError, StorageError, answered
from storages import Server, in_memory, served


@pytest.fixture
def server(far: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of one list, with an own cache."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "birds.csv").write_text("image,class_name\n")
    with served(tmp_path / "www") as standing:
        yield standing


def at(address: str) -> RemotePath:
    path = located(address)
    assert isinstance(path, RemotePath)
    return path


def read(server: Server) -> bytes:
    content: bytes = answered(f"{server.url}/birds.csv", lambda system, path: system.cat_file(path))
    return content


@pytest.mark.parametrize("status", [500, 503, 429])
def test_what_may_pass_is_asked_again(server: Server, status: int) -> None:
    server.answers["/birds.csv"] = [status, status, 200]
    assert read(server) == b"image,class_name\n"
    assert len(server.requests) == 3


def test_the_tries_have_a_limit(server: Server) -> None:
    server.answers["/birds.csv"] = [503]
    message = rf"a storage must answer; {server.url}/birds\.csv did not, asked 3 times \(.*503.*same command again"
    with pytest.raises(StorageError, match=message):
        read(server)
    assert len(server.requests) == 3


@pytest.mark.parametrize(("status", "kind"), [(404, FileNotFoundError), (403, ForbiddenError), (401, ForbiddenError)])
def test_what_does_not_pass_is_asked_once(server: Server, status: int, kind: type[Exception]) -> None:
    server.answers["/birds.csv"] = [status]
    with pytest.raises(kind, match=r"birds\.csv"):
        read(server)
    assert len(server.requests) == 1
    if kind is ForbiddenError:
        with pytest.raises(UserError, match=r"must allow what is asked of it.*is forbidden to you.*set them, or ask"):
            at(f"{server.url}/birds.csv").exists()


def test_an_address_that_nobody_answers(far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It listens and says nothing; what a person waits for is within a minute, and here a hundredth of that."""
    assert 2 * 3 * storage.READ + 3 < 60
    monkeypatch.setattr(storage, "READ", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/birds.csv?token=secret"
        began = time.perf_counter()
        with pytest.raises(StorageError, match=r"must answer; .*birds\.csv did not, asked 3 times \(.*imeout") as error:
            at(address).exists()
        assert time.perf_counter() - began < 2
        assert "secret" not in str(error.value)
    with pytest.raises(StorageError, match="did not, asked 3 times"):  # and one at which nothing listens
        at(address).exists()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("bucket9://birds/a.csv", r"must be one that fsspec knows.*got bucket9://birds/a\.csv.*brings bucket9://"),
        ("gs://birds/a.csv", r"that of gs:// is not installed \(.*gcsfs.*the package that is named here"),
    ],
)
def test_protocols_that_cannot_be_read(far: Path, address: str, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        at(address).exists()


def test_without_fsspec(far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(StorageError, match=r"which is not installed; got s3://birds/a; pip install 'foveate\[cloud\]'"):
        at("s3://birds/a").exists()


def test_a_defect_is_none_of_the_storage(far: Path) -> None:
    def ask(system: Any, path: str) -> None:
        raise KeyError(path)

    with pytest.raises(KeyError):
        answered("memory://birds", ask)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.ENOENT])
def test_an_error_of_this_machine_is_none_of_the_storage(far: Path, tmp_path: Path, number: int) -> None:
    error, asked = OSError(number, os.strerror(number), str(tmp_path / "a.csv")), list[str]()

    def ask(system: Any, path: str) -> None:
        asked.append(path)
        raise error

    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as raised:
        answered("memory://birds/a.csv", ask)
    assert raised.value is error
    assert len(asked) == 1


def test_an_error_of_a_decoding_process_is_one_line() -> None:
    own = str(StorageError("a storage must answer; s3://a did not"))
    returned = StorageError(f"Caught StorageError in DataLoader worker process 0.\nTraceback:\n  x.StorageError: {own}")
    assert str(returned) == own


def test_a_file_is_read_as_it_is(far: Path, tmp_path: Path) -> None:
    """Whole, in ranges, in blocks, as text: the bytes of the file, whatever of it is kept already."""
    content = bytes(range(256)) * (5 * BLOCK // 512) + b"end"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.tar").write_bytes(content)
    path = at(str(in_memory(tmp_path / "own", "files") / "a.tar"))
    assert path.stat().st_size == len(content)
    ranges = [(0, 10), (BLOCK - 3, 7), (2 * BLOCK - 1, BLOCK), (len(content) - 3, 3), (len(content) - 3, 30), (5, 0)]
    for offset, length in ranges:
        assert remote_path.read_range(path, offset, length) == content[offset : offset + length]
    with path.open("rb") as stream:
        for offset, length in ranges:
            stream.seek(offset)
            assert stream.read(length) == content[offset : offset + length]
        stream.seek(-3, 2)
        assert stream.read() == b"end"
        stream.seek(0)
        assert stream.read() == content
    for offset, length in ranges:  # now of the blocks
        assert remote_path.read_range(path, offset, length) == content[offset : offset + length]
    assert path.read_bytes() == content


def test_what_is_kept_is_not_fetched_and_what_changed_is(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = at(f"{server.url}/birds.csv")
    for _ in range(3):
        assert path.read_text() == "image,class_name\n"
        assert path.read_bytes() == b"image,class_name\n"
    assert server.requests.count("GET /birds.csv") == 2  # of the whole, and of its one block
    asked = server.requests.count("HEAD /birds.csv")

    def next_process() -> None:
        monkeypatch.setattr(remote_path, "_began", time.time() + 0.01)
        time.sleep(0.03)

    next_process()
    assert path.read_bytes() == path.read_bytes() == b"image,class_name\n"
    assert server.requests.count("GET /birds.csv") == 2
    assert server.requests.count("HEAD /birds.csv") == asked + 1  # once in a process
    (tmp_path / "www" / "birds.csv").write_text("image,label\n")
    assert path.read_bytes() == b"image,class_name\n"  # a command sees one state
    next_process()
    assert path.read_bytes() == b"image,label\n"


def test_what_has_no_version_is_fetched_by_each_process(far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = [b"wren"]
    monkeypatch.setattr(RemotePath, "_there", lambda path: remote_path.Entry("a", False, 4, None))
    monkeypatch.setattr(remote_path, "answered", lambda address, ask: content[0])
    path = at("memory://birds/a")
    assert path.read_bytes() == b"wren"
    content[0] = b"rook"
    assert path.read_bytes() == b"wren"
    monkeypatch.setattr(remote_path, "_began", time.time() + 10)
    assert path.read_bytes() == b"rook"


def test_a_server_that_does_not_say_how_long_a_file_is(far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * (BLOCK // 128)
    monkeypatch.setattr(RemotePath, "_there", lambda path: remote_path.Entry("a", False, None, None))
    monkeypatch.setattr(remote_path, "answered", lambda address, ask: content)  # nor does it know of ranges
    path = at("memory://birds/a")
    assert path.stat().st_size == len(content)
    with path.open("rb") as stream:
        stream.seek(5)
        assert stream.read() == content[5:]
    assert path.read_range(3, 4) == content[3:7]


@pytest.mark.parametrize("address", ["sftp://host/birds/*.jpg", "s3://host/birds/*.jpg", "file:///birds/*.jpg"])
def test_patterns_keep_their_host(far: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    class System:
        def glob(self, path: str) -> list[str]:
            return [path.replace("*", name) for name in "ba"]

        def unstrip_protocol(self, path: str) -> str:
            return f"s3://{path}"

    path = address.partition("://")[2].removeprefix("" if address.startswith("s3") else "host")
    monkeypatch.setattr(remote_path, "answered", lambda address, ask: ask(System(), path))
    monkeypatch.setattr(RemotePath, "is_file", lambda path: True)
    assert list(map(str, at(address).matching())) == [address.replace("*", name) for name in "ab"]
