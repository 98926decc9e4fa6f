"""A server that runs beside the tests, at a free port of this machine."""

from __future__ import annotations

import io
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvicorn
from PIL import Image

from foveate.serve.application import create_application
from foveate.serve.config import ServeConfig
from foveate.serve.keys import Keys
from foveate.serve.service import Service
from zooms import QUIET


def loaded(path: Path, config: ServeConfig | None = None) -> Service:
    """Load what is to be served, silently."""
    return Service.load(path, config or ServeConfig(), QUIET)


@contextmanager
def serving(service: Service, config: ServeConfig | None = None, keys: Keys | None = None) -> Iterator[str]:
    """Yield the address of a server."""
    config = config or ServeConfig(port=0)
    application = create_application(service, config, keys or Keys([]))
    server = uvicorn.Server(
        uvicorn.Config(application, port=0, log_config=None, access_log=False, ws="none", http="h11")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


def png_of_size(width: int, height: int) -> bytes:
    """Return a small file that says it holds so many pixels."""
    stream = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(stream, "PNG")
    return forged(stream.getvalue(), width, height)


def forged(png: bytes, width: int, height: int) -> bytes:
    """Return a PNG whose header says another size."""
    header = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + png[24:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4) + png[33:]
