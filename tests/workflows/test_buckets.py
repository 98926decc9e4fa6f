"""Buckets, by a stand-in for S3 on this machine: photographs, a training, its answers and its accuracy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import s3fs
from moto.server import ThreadedMotoServer

from command_line import status
from foveate.files import remote_path
from foveate.recipes.config import TrainConfig
from foveate.runs.run import Run

MISSING = "nothing does at s3://nobody/birds. Check the bucket and the spelling"


@pytest.fixture(scope="module")
def endpoint(plumage: Path) -> Iterator[str]:
    """A stand-in for S3, in which a bucket holds the drawn birds."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    system = s3fs.S3FileSystem(endpoint_url=url, key="ada", secret="hidden-key")
    system.mkdir("museum")
    system.put(f"{plumage}/", "museum/birds/", recursive=True)
    yield url
    server.stop()


@pytest.fixture
def museum(endpoint: str, far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The bucket, as the environment tells of it; and a current folder of one's own."""
    environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "ada"}
    for name, value in {**environment, "AWS_SECRET_ACCESS_KEY": "hidden-key"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    s3fs.S3FileSystem.clear_instance_cache()
    yield "s3://museum"
    s3fs.S3FileSystem.clear_instance_cache()


def test_from_photographs_to_answers(
    museum: str, quick: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every step reads from the bucket and writes to it."""
    settings = (
        "--network.backbone.architecture test_resnet --network.backbone.weights none --frozen-stride 0 --epochs 1 "
    )
    settings += "--transforms.input-size 64 --transforms.resize-size 72 --batch-size 8 --hardware.workers 0"
    options = settings.split()
    assert status("train", "plain", f"{museum}/birds", "--out", f"{museum}/runs/plain", *options) == 0
    assert status("evaluate", f"{museum}/runs/plain") == 0
    (own,) = (tmp_path / "runs").iterdir()
    assert Run.open(own).config.data.root == remote_path.located(f"{museum}/birds")
    assert (own / "evaluation" / "test-centre.json").is_file()
    out = f"{museum}/answers.parquet"
    assert status("predict", f"{museum}/runs/plain", f"{museum}/birds/images/*/*1.jpg", "--out", out) == 0
    assert remote_path.located(out).is_file()
    keys = {each.name for each in remote_path.located(f"{museum}/runs/plain").iterdir()}
    assert {"run.json", "model.safetensors", "foveate-files.json"} <= keys
    assert status("train", "plain", f"{museum}/birds", "--out", f"{museum}/runs/plain", *options) == 2
    words = capsys.readouterr()
    assert "s3://museum/runs/plain holds a finished result" in words.err
    assert "hidden-key" not in words.out + words.err
    assert not [each for each in tmp_path.rglob("*") if each.is_file() and b"hidden-key" in each.read_bytes()]


def test_a_bucket_that_is_not_there(museum: str, quick_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("data", "s3://nobody/birds") == 2
    assert MISSING in capsys.readouterr().err
    assert status("predict", quick_run.path, f"{museum}/birds/images", "--out", "s3://nobody/answers.csv") == 2
    assert "the bucket or folder of an address must be there; that of s3://nobody" in capsys.readouterr().err
    assert status("predict", quick_run.path, f"{museum}/nothing/*.jpg") == 2
    assert "'s3://museum/nothing/*.jpg' names none" in capsys.readouterr().err


def test_two_machines_that_write_to_one_place(museum: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The bucket itself decides who was first."""
    claim = b'{"claim": "other", "machine": "owl", "since": "2026-01-01"}'
    s3fs.S3FileSystem().pipe_file("museum/runs/a/.foveate-claim.json", claim)
    assert status("train", "plain", f"{museum}/birds", "--out", f"{museum}/runs/a") == 2
    err = capsys.readouterr().err
    assert "another writes to s3://museum/runs/a, on owl, since 2026-01-01; wait until it ends" in err
    assert "remove s3://museum/runs/a/.foveate-claim.json" in err


@contextmanager
def refusing(status: int, code: str) -> Iterator[str]:
    """Yield a stand-in for S3 that answers everything so."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def answer(self) -> None:
            body = f"<Error><Code>{code}</Code><Message>Access Denied</Message></Error>".encode()
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (403, "AccessDenied", "is forbidden to you"),
        (403, "InvalidAccessKeyId", "is forbidden to you"),
        (503, "SlowDown", "asked 3 times"),
    ],
)
def test_a_bucket_that_forbids_or_fails(
    museum: str,
    quick_run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: int,
    code: str,
    message: str,
) -> None:
    with refusing(answer, code) as url, monkeypatch.context() as here:
        here.setenv("AWS_ENDPOINT_URL", url)
        for words in (
            ("data", "s3://museum/birds"),
            ("data", "s3://museum/birds/list.csv"),
            ("predict", "s3://museum/runs/a", "s3://museum/birds"),
            ("predict", quick_run.path, "s3://museum/birds/images"),
            ("train", "plain", "s3://museum/birds", "--out", "s3://museum/runs/a"),
        ):
            assert status(*words) == 2
            assert message in capsys.readouterr().err


def test_without_credentials(
    museum: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert status("data", "s3://museum/birds") == 2
    err = capsys.readouterr().err
    assert "is forbidden to you" in err
    assert "AWS_PROFILE" in err
