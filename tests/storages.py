"""Storages on this machine: fsspec's memory, and a server of HTTP that can also refuse, fail or be silent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec

from foveate.files import remote_path


def forget() -> None:
    """Empty fsspec's memory, and forget what folders held."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    remote_path.look_again()


def in_memory(folder: Path, name: str) -> Path:
    """Copy a folder into fsspec's memory; return its address as a person's words become it."""
    memory = fsspec.filesystem("memory")
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            memory.pipe_file(f"/{name}/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return Path(f"memory://{name}")


@dataclass
class Server:
    """A server of the files in a folder."""

    url: str
    requests: list[str] = field(default_factory=list)
    """Each as METHOD /path, in their order."""
    answers: dict[str, list[int]] = field(default_factory=dict)
    """The status of the next answers to a path, in place of the file; the last one stays."""


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *words: Any, server_of: Server, **options: Any) -> None:
        self.of = server_of
        super().__init__(*words, **options)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def send_head(self) -> Any:
        path = self.path.partition("?")[0]
        self.of.requests.append(f"{self.command} {path}")
        statuses = self.of.answers.get(path)
        if statuses:
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            if status != 200:
                self.send_error(status)
                return None
        return super().send_head()


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Yield a server of a folder."""
    standing = Server("")
    handler = partial(_Handler, server_of=standing, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    standing.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield standing
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
