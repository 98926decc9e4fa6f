"""What is too much, damaged, late or foreign is refused, with a sentence, and costs no one else."""

from __future__ import annotations

import io
import socket
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from foveate.errors import UserError
from foveate.serve.admission import Admission
from foveate.serve.config import ServeConfig
from foveate.serve.keys import VARIABLE, Keys
from foveate.serve.refusals import Refusal
from foveate.serve.service import Service
from serving import png_of_size, serving

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def post(url: str, *files: tuple[str, bytes], path: str = "/v1/predict", **options: Any) -> httpx.Response:
    return httpx.post(f"{url}{path}", files=[("photographs", each) for each in files], timeout=30, **options)


def error_of(response: httpx.Response) -> dict[str, Any]:
    """Return the error, which has a sentence of one line."""
    error: dict[str, Any] = response.json()["error"]
    assert 15 < len(error["sentence"]) < 400
    assert "\n" not in error["sentence"]
    assert "on-error" not in error["sentence"], "that is of the command line"
    return error


def png_with_text_that_unpacks(megabytes: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32)).save(stream, "PNG")
    body = b"zTXt" + b"words\0\0" + zlib.compress(bytes(megabytes * 1_000_000))
    block = (len(body) - 4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
    return stream.getvalue()[:33] + block + stream.getvalue()[33:]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (SVG, 415, "no-picture"),
        (b"<!doctype html><script>alert(1)</script>", 415, "no-picture"),
        (b"a text named .jpg", 415, "no-picture"),
        (b"", 422, "unreadable"),
        (png_of_size(50_000, 50_000), 413, "too-many-pixels"),
        (png_of_size(9_000, 9_000), 413, "too-many-pixels"),
        (png_of_size(4_000, 4_000), 422, "unreadable"),
        (png_with_text_that_unpacks(200), 422, "unreadable"),
        (b"\xff\xd8\xff\xe0 no more of a JPEG", 422, "unreadable"),
    ],
    ids=["svg", "html", "text", "empty", "bomb", "over the limit", "forged", "text that unpacks", "cut"],
)
def test_what_is_no_photograph_is_refused(
    address: str, birds: list[Path], content: bytes, status: int, code: str
) -> None:
    response = post(address, ("good.jpg", birds[0].read_bytes()), ("bird.jpg", content))
    error = error_of(response)
    assert (response.status_code, error["code"], error["photograph"]) == (status, code, 1), error
    assert "bird.jpg" in error["sentence"]


def test_requests_of_other_kinds_are_refused(address: str, birds: list[Path]) -> None:
    data = birds[0].read_bytes()
    raw = httpx.post(f"{address}/v1/predict", content=data, headers={"content-type": "image/jpeg"})
    assert raw.status_code == 200
    for options, status, code in (
        ({"json": {"photograph": "bird.jpg"}}, 415, "unknown-type"),
        ({"content": data}, 415, "unknown-type"),
        ({"data": {"photographs": "a text"}, "files": {}}, 415, "unknown-type"),
        ({"content": data, "headers": {"content-type": "multipart/form-data"}}, 422, "damaged-form"),
        ({"content": data, "headers": {"content-type": "multipart/form-data; boundary=x"}}, 422, "damaged-form"),
        ({"files": {"photographs": (None, "a text")}}, 422, "no-photograph"),
        ({"files": {"photographs": data}, "params": {"top": 0}}, 422, "wrong-parameter"),
        ({"files": {"photographs": data}, "params": {"classes": 99}}, 422, "wrong-parameter"),
    ):
        response = httpx.post(f"{address}/v1/explain", timeout=30, **options)
        assert (response.status_code, error_of(response)["code"]) == (status, code), options
    assert httpx.get(f"{address}/v1/predict").status_code == 405
    assert error_of(httpx.get(f"{address}/docs"))["code"] == "no-such-request"
    assert error_of(httpx.get(f"{address}/v1/classes/77/photograph"))["code"] == "no-photograph"
    two = post(address, ("a.jpg", data), ("b.jpg", data), path="/v1/explain")
    assert (two.status_code, error_of(two)["code"]) == (413, "too-many-photographs")


def test_bytes_are_limited(zoom_service: Service, birds: list[Path]) -> None:
    good, large = birds[0].read_bytes(), bytes(300_000)
    with serving(zoom_service, ServeConfig(largest_megabytes=0.1, photographs=2)) as url:
        for response in (
            post(url, ("good.jpg", good), ("large.jpg", large)),
            post(url, ("large.jpg", bytes(30_000_000))),
            httpx.post(f"{url}/v1/predict", content=iter([large]), headers={"content-type": "image/png"}),
        ):
            assert (response.status_code, error_of(response)["code"]) == (413, "too-large")
        assert post(url, ("good.jpg", good)).status_code == 200
    with serving(zoom_service, ServeConfig(waiting_megabytes=0.001)) as url:
        response = post(url, ("good.jpg", good))
        assert (response.status_code, error_of(response)["code"]) == (503, "busy")
        assert response.headers["retry-after"]


def test_places_are_limited_of_one_client_and_of_all() -> None:
    admission = Admission(ServeConfig(queue=3, per_client=2, waiting_megabytes=1.0))
    with admission.place("one") as place, admission.place("one"):
        with pytest.raises(Refusal, match="2 requests waiting") as refusal, admission.place("one"):
            pass
        assert refusal.value.status == 429
        place.hold(900_000)
        with admission.place("other") as another:
            with pytest.raises(Refusal, match="3 requests at a time") as refusal, admission.place("third"):
                pass
            assert refusal.value.status == 503
            with pytest.raises(Refusal, match="holds as much as it can"):
                another.hold(200_000)
        assert (admission.waiting, admission.held) == (2, 900_000)
    assert (admission.waiting, admission.held, dict(admission.clients)) == (0, 0, {})


class Slow:
    """A service whose answers wait until they are let go."""

    def __init__(self, service: Service) -> None:
        self.begun, self.go, self.count = threading.Event(), threading.Event(), 0
        self.service = replace(service)
        real = self.service.answers

        def answers(refined: Any, photographs: Sequence[Any]) -> Any:
            self.begun.set()
            assert self.go.wait(20)
            self.count += len(photographs)
            return real(refined, photographs)

        self.service.answers = answers  # type: ignore[method-assign]


def test_too_late_too_many_and_gone(zoom_service: Service, birds: list[Path]) -> None:
    slow, data = Slow(zoom_service), birds[0].read_bytes()
    with serving(slow.service, ServeConfig(seconds=1.5, per_client=2)) as url:
        host, port = url.removeprefix("http://").split(":")
        results: list[httpx.Response] = []
        waiting = threading.Thread(target=lambda: results.append(post(url, ("bird.jpg", data))))
        waiting.start()
        assert slow.begun.wait(10)
        with socket.create_connection((host, int(port))) as leaving:  # asks, and hangs up
            head = f"POST /v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\n"
            leaving.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            time.sleep(0.2)
            many = post(url, ("bird.jpg", data))
        assert (many.status_code, error_of(many)["code"]) == (429, "too-many-requests")
        waiting.join(20)
        assert (results[0].status_code, error_of(results[0])["code"]) == (503, "overdue")
        slow.go.set()
        assert post(url, ("bird.jpg", data)).status_code == 200
        counts = httpx.get(f"{url}/metrics").text
        assert "foveate_hung_up_total 1.0" in counts
        assert "foveate_waiting_requests 0.0" in counts
        assert "foveate_held_bytes 0.0" in counts
        assert slow.count == 2, "nobody is answered who left, but who was being answered"


def test_keys(zoom_service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, birds: list[Path]) -> None:
    file, one, two = tmp_path / "keys", "a-first-long-key-0123", "a-second-long-key-0123"
    file.write_text(f"# of whom\n{one}\n\n")
    monkeypatch.setenv(VARIABLE, two)
    with serving(zoom_service, keys=Keys.read(file)) as url:
        bare = post(url, ("bird.jpg", birds[0].read_bytes()))
        assert (bare.status_code, error_of(bare)["code"]) == (401, "no-key")
        for headers, status in (
            ({"X-API-Key": one}, 200),
            ({"Authorization": f"Bearer {two}"}, 200),
            ({"X-API-Key": one[:-1]}, 401),
            ({"X-API-Key": ""}, 401),
            ({"Authorization": f"Basic {two}"}, 401),
        ):
            assert httpx.get(f"{url}/v1/model", headers=headers).status_code == status, headers
        assert httpx.get(f"{url}/health").status_code == 200
        bare_page = httpx.get(url).text
        assert 'data-needs-key="true"' in bare_page
        service = zoom_service
        told = (service.name, service.method, service.model.run.description.dataset, *service.model.class_names)
        assert [word for word in told if f">{word}<" in bare_page or f"{word} ·" in bare_page] == []
    file.write_text("short")
    with pytest.raises(UserError, match="at least 16"):
        Keys.read(file)
    file.write_text("\n")
    with pytest.raises(UserError, match="has none"):
        Keys.read(file)
    with pytest.raises(UserError, match="must be a text"):
        Keys.read(tmp_path)
    monkeypatch.setenv(VARIABLE, f" {two}\n")
    assert Keys.read(None).holder(two)
    for empty in ("", " \n"):
        monkeypatch.setenv(VARIABLE, empty)
        with pytest.raises(UserError, match="set and empty"):
            Keys.read(None)


def test_foreign_pages_and_names_are_refused(address: str) -> None:
    for headers in (
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        response = httpx.get(f"{address}/v1/model", headers=headers)
        assert (response.status_code, error_of(response)["code"]) == (403, "foreign"), headers
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert httpx.get(address, headers=link).status_code == 200, "a link to the page may be followed"
    for site in ("cross-site", "same-site", "new"):
        assert httpx.post(f"{address}/v1/predict", headers={**link, "Sec-Fetch-Site": site}).status_code == 403
    for headers in ({"Host": "localhost:1"}, {"Host": "[::1]:1"}, {"Sec-Fetch-Site": "same-origin"}):
        assert httpx.get(f"{address}/v1/model", headers=headers).status_code == 200, headers
    assert ServeConfig(host="0.0.0.0").allowed_hosts is None
    assert ServeConfig(host="0.0.0.0", hosts=("Birds.example",)).allowed_hosts == ("0.0.0.0", "birds.example")


def test_every_loopback_address_answers_to_its_own_names() -> None:
    for host in ("127.0.0.1", "127.0.0.2", "127.1", "localhost", "LOCALHOST", "::1", "0:0:0:0:0:0:0:1"):
        names = ServeConfig(host=host, hosts=("Birds.Example.org", "[fe80::1]")).allowed_hosts
        assert names is not None, host
        assert {"127.0.0.1", "localhost", "::1", host.lower(), "birds.example.org", "fe80::1"} <= set(names), host
    assert "127.0.0.1" in (ServeConfig(host="127.1").allowed_hosts or ())
    for name in ("birds.example.org:8000", "http://birds.example.org", "[::1]:8000", ""):
        with pytest.raises(UserError, match="without a port"):
            ServeConfig(hosts=(name,))


def test_settings_are_checked() -> None:
    for name in ("queue", "per_client", "photographs", "seconds", "largest_megabytes", "batch_size"):
        with pytest.raises(UserError, match=name):
            ServeConfig(**{name: 0})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="port"):
        ServeConfig(port=70_000)
