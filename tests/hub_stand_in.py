"""A stand-in for the hub: what its client asks for when a model is pushed and loaded, on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_stand_in"
_REPOSITORY = r"/(?P<name>[^/]+/[^/]+)"
_LARGE = (".safetensors", ".parquet")


@dataclass
class Repository:
    """Commits, the newest last, each with all its files."""

    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    def commit(self, files: dict[str, bytes]) -> str:
        """Add one; return its name."""
        name = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits.append((name, files))
        return name

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return a commit and its files; None where there is none of that name."""
        if revision == "main":
            return self.commits[-1]
        return next((each for each in self.commits if each[0] == revision), None)


@dataclass
class StandIn:
    """The hub: its repositories, the large files that were sent, and every request."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    card_errors: list[str] = field(default_factory=list)
    """What it says of the next card's metadata."""
    url: str = ""

    def add(self, name: str, files: dict[str, bytes], *, private: bool = False) -> str:
        """Put files into a repository, a new one where there is none; return the commit."""
        repository = self.repositories.setdefault(name, Repository(private))
        return repository.commit(files)


class _Handler(BaseHTTPRequestHandler):
    hub: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, content: Any = b"", headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    @property
    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _dispatch(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        body = self._body()
        for method, pattern, action in _ROUTES:
            if self.command in method and (found := re.fullmatch(pattern, path)):
                getattr(self, action)(body, **found.groupdict())
                return
        self._answer(404, {"error": "no such address"})

    do_GET = do_POST = do_PUT = do_HEAD = _dispatch

    def _repository(self, name: str) -> Repository | None:
        """Return what is asked for; where nobody may see it, refuse."""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self._known):
            self._refuse(404 if self._known else 401, "RepoNotFound")
            return None
        return repository

    def _info(self, _: bytes, name: str) -> None:
        if (repository := self._repository(name)) is not None:
            commit, files = repository.commits[-1]
            names = [{"rfilename": each} for each in files]
            self._answer(200, {"id": name, "sha": commit, "siblings": names, "private": repository.private})

    def _create(self, body: bytes) -> None:
        request = json.loads(body)
        name = f"{request['organization']}/{request['name']}"
        if not self._known:
            self._answer(401, {"error": "Invalid username or password."})
        elif name in self.hub.repositories:
            self._answer(409, {"error": "You already created this model repo"})
        else:
            private = request.get("private", request.get("visibility") == "private")
            self.hub.add(name, {".gitattributes": b""}, private=bool(private))
            self._answer(200, {"url": f"{self.hub.url}/{name}", "name": name})

    def _validate(self, body: bytes) -> None:
        content = json.loads(body)["content"]
        errors = [{"message": each} for each in self.hub.card_errors]
        assert content.startswith("---\n")
        self._answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def _preupload(self, body: bytes, name: str) -> None:
        if self._repository(name) is not None:
            files = [each["path"] for each in json.loads(body)["files"]]
            modes = [
                {"path": each, "uploadMode": "lfs" if each.endswith(_LARGE) else "regular", "shouldIgnore": False}
                for each in files
            ]
            self._answer(200, {"files": modes})

    def _batch(self, body: bytes, name: str) -> None:
        if self._repository(name) is not None:
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.hub.url}/large/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})

    def _store(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.large[oid] = body
        self._answer(200)

    def _commit(self, body: bytes, name: str) -> None:
        if (repository := self._repository(name)) is None:
            return
        if not self._known:
            self._answer(403, {"error": "You may not write here"})
            return
        parent, files = repository.commits[-1]
        files = dict(files)
        for line in body.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header" and value.get("parentCommit", parent) != parent:
                self._answer(412, {"error": "A commit has happened since"})
                return
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        commit = repository.commit(files)
        url = f"{self.hub.url}/{name}/commit/{commit}"
        self._answer(200, {"commitUrl": url, "commitOid": commit, "success": True})

    def _resolve(self, _: bytes, name: str, revision: str, file: str) -> None:
        if (repository := self._repository(name)) is None:
            return
        at = repository.at(revision)
        if at is None:
            self._refuse(404, "RevisionNotFound")
            return
        commit, files = at
        if file not in files:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        content = files[file]
        etag = hashlib.sha256(content).hexdigest()
        self._answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": commit})


_ROUTES = (
    ("POST", r"/api/repos/create", "_create"),
    ("POST", r"/api/validate-yaml", "_validate"),
    ("GET", rf"/api/models{_REPOSITORY}", "_info"),
    ("POST", rf"/api/models{_REPOSITORY}/preupload/main", "_preupload"),
    ("POST", rf"/api/models{_REPOSITORY}/commit/main", "_commit"),
    ("POST", rf"{_REPOSITORY}\.git/info/lfs/objects/batch", "_batch"),
    ("PUT", r"/large/(?P<oid>[0-9a-f]{64})", "_store"),
    ("GET HEAD", rf"{_REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", "_resolve"),
)


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Yield a hub that answers on this machine."""
    hub = StandIn()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    with stand_in() as standing:
        print(standing.url, flush=True)
        threading.Event().wait()
