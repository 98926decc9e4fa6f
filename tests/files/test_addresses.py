"""What is an address, and what of it may be written down."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from foveate.config.addresses import address_of, is_address, shown_address, shown_word, without_secrets
from foveate.errors import UserError
from foveate.files.documents import structured, unstructured
from foveate.files.remote_path import RemotePath, located
from foveate.recipes import plain
from foveate.runs.context import RunContext


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("s3://bucket/birds", "s3://bucket/birds"),
        ("s3://bucket/birds/", "s3://bucket/birds"),
        ("HTTPS://host/a.csv", "https://host/a.csv"),
        ("memory://birds", "memory://birds"),
        ("file:///data/birds", "file:///data/birds"),
        ("gs://bucket", "gs://bucket"),
    ],
)
def test_addresses(text: str, whole: str) -> None:
    assert is_address(text)
    assert is_address(Path(text))
    assert str(located(Path(text))) == whole == str(located(text))
    assert os.fspath(located(text)) == whole


@pytest.mark.parametrize(
    "text", ["birds", "/data/birds", "C:/birds", "C:\\birds", "hf://ada/gulls", "./s3", "a:b/c", "~"]
)
def test_paths_on_this_machine(text: str) -> None:
    assert not is_address(text)
    path = Path(text)
    assert located(path) is path
    assert address_of(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ada:pw@host/a.jpg", "https://host/a.jpg"),
        ("https:/ada:pw@host/a.jpg", "https:/host/a.jpg"),
        ("s3://key:secret@bucket/a", "s3://bucket/a"),
        ("sftp://ada@host/a", "sftp://host/a"),
        ("https://host/a.jpg?X-Amz-Signature=1&X-Amz-Credential=2", "https://host/a.jpg"),
        ("https://host/a.jpg?id=3&Signature=1&size=L", "https://host/a.jpg?id=3&size=L"),
        ("https://host/a.jpg?sv=2&sig=a%2Fb", "https://host/a.jpg"),
        ("https://host/a.jpg?api_key=1&access_token=2", "https://host/a.jpg"),
        ("--root='https://ada:pw@host/a?token=1' --out b", "--root='https://host/a' --out b"),
        ("https://host/key/a?monkey=1&page=2", "https://host/key/a?page=2"),
        ("a:b@c and what? token=1", "a:b@c and what? token=1"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


def forget_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_whole", "_origins"):
        monkeypatch.setattr(f"foveate.files.remote_path.{name}", {})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://host/my birds.csv?jwt=SECRET&id=3", "https://host/my birds.csv?id=3"),
        ("https://host/ada's.csv?code=SECRET", "https://host/ada's.csv"),
        ("https://SECRET@host/a.csv", "https://host/a.csv"),
        ("https://ada:p@SECRET@host:8080/a@b.csv", "https://host:8080/a@b.csv"),
        ("https://ada:p/SECRET?x@host/a.csv", "https://host/a.csv"),
        ("https://host/a;token=SECRET/b.csv#token=SECRET", "https://host/a/b.csv"),
        ("https://host/a.csv?SECRET", "https://host/a.csv"),
        ("https://host/a.csv?pass=SECRET&pwd=SECRET&versionId=a.b-1", "https://host/a.csv?versionId=a.b-1"),
        ("https://host?id=SE'CRET", "https://host"),
        ("s3://bucket/bird #3?.jpg", "s3://bucket/bird #3?.jpg"),
        ("s3://bucket/ada@home/a.jpg", "s3://bucket/ada@home/a.jpg"),
        ("abfs://birds@account/a.csv", "abfs://birds@account/a.csv"),
        ("abfs://birds:SECRET@account/a.csv", "abfs://account/a.csv"),
        ("http://[::1]:80/a.csv", "http://[::1]:80/a.csv"),
    ],
)
def test_nothing_of_one_address_leaks(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_credentials(monkeypatch)
    assert shown_address(text) == shown == shown_address(shown)
    path = located(text)
    assert str(path) == shown
    assert isinstance(path, RemotePath)
    assert path.address == text
    assert shown_word(text) == shown
    assert shown_word(f"--root={text}") == f"--root={shown}"
    assert plain(Path(text)).data.root == path == RunContext(root=Path(text)).root


def test_a_chain_of_addresses() -> None:
    with pytest.raises(UserError, match=r"that of one storage; one that begins with zip:// is a chain"):
        located("zip://a.csv::https://ada:pw@host/a.zip")
    assert "pw" not in shown_word("zip://a.csv::https://ada:pw@host/a.zip")
    assert shown_word("s3://a:pw@b/c+s3://a:pw@b/d") == "s3://b/c+s3://b/d"


def test_addresses_that_differ_in_what_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_credentials(monkeypatch)
    located("https://ada:pw@host/image?bird=1&sig=1")
    located("https://ada:pw@host/image?bird=1&sig=2")  # signed anew
    for other in ("https://ada:pw@host/image?bird=2&sig=2", "https://bob:pw@host/other"):
        with pytest.raises(UserError, match=r"told apart by what may be written down of them; two that are https://h"):
            located(other)


def test_a_path_keeps_its_credentials_in_this_process() -> None:
    path = located("https://ada:pw@host/lists/birds.csv?X-Amz-Signature=1")
    assert isinstance(path, RemotePath)
    assert str(path) == "https://host/lists/birds.csv"
    assert "pw" not in repr(path)
    assert path.address == "https://ada:pw@host/lists/birds.csv?X-Amz-Signature=1"
    beside = path.parent / "images" / "a.jpg"
    assert isinstance(beside, RemotePath)
    assert beside.address == "https://ada:pw@host/lists/images/a.jpg"
    assert pickle.loads(pickle.dumps(path)).address == path.address
    assert (path.name, path.suffix) == ("birds.csv", ".csv")
    assert path.resolve() == path == path.expanduser().absolute()
    assert path.relative_to(path.parent).as_posix() == "birds.csv"


def test_two_addresses_that_differ_in_more_than_their_signature() -> None:
    one, two = (located(f"https://host/image?id={number}&sig={number}") for number in (1, 2))
    assert str(one) != str(two)
    assert isinstance(two, RemotePath)
    assert two.address.endswith("id=2&sig=2")


def test_a_configuration_is_written_without_credentials(tmp_path: Path) -> None:
    config = plain(located("https://ada:pw@host/birds.csv?sig=1"))
    content = unstructured(config)
    assert content["data"]["root"] == "https://host/birds.csv"
    assert unstructured(plain(Path("https://ada:pw@host/birds.csv?sig=1"))) == content
    assert isinstance(structured(content["data"], type(config.data), tmp_path, "data").root, RemotePath)
    assert config.data.resolved().root == config.data.root
    with pytest.raises(UserError, match="must have no credentials"):
        plain(Path("birds")).data.__class__(root=Path("birds"), exclude=("https://ada:pw@host/a.txt",))


def test_nothing_is_written_by_a_path(far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = located("memory://birds/a.csv")
    acts: list[Callable[[], object]] = [lambda: path.write_text("a"), lambda: path.open("wb"), path.unlink, path.touch]
    acts += [lambda: path.mkdir(parents=True)]
    for act in acts:
        with pytest.raises(UserError, match=r"written to by --out alone; memory://birds/a\.csv"):
            act()
    assert not list(tmp_path.iterdir())
