"""Run the server: take the port, load the model, answer until told to stop."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from foveate.errors import UserError
from foveate.runs.context import HERE, RunContext
from foveate.serve.application import create_application
from foveate.serve.config import ServeConfig
from foveate.serve.keys import Keys
from foveate.serve.logs import written_logs
from foveate.serve.service import Service

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_GRACE = 2.0  # seconds beyond a request's own limit


def serve(
    run: Path | str, config: ServeConfig | None = None, *, api_key_file: Path | None = None, context: RunContext = HERE
) -> None:
    """Serve a finished run or a Guided Zoom until it is interrupted or terminated; what was taken on is answered.

    Args:
        run: Its folder.
        config: Where to listen, and the limits; None: at the loopback address.
        api_key_file: Holds the keys of those who may ask, one a line; None, and no FOVEATE_API_KEY: everybody may.
        context: As `RunContext` says.

    Raises:
        UserError: The port is in use, the keys cannot be read, or as `foveate.workflows.model.load`.
    """
    config, keys = config or ServeConfig(), Keys.read(api_key_file)
    with _listening(config) as listener:
        service = Service.load(Path(run).expanduser(), config, context)
        service.warm_up()
        application = create_application(service, config, keys)
        settings = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            http="h11",
            timeout_graceful_shutdown=int(config.seconds + _GRACE),
        )
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        context.say(f"{service.name} answers at http://{shown}:{port} (stop it with Ctrl+C)")
        with written_logs(), _stopped_quietly():
            uvicorn.Server(settings).run(sockets=[listener])
    context.say("stopped")


@contextmanager
def _listening(config: ServeConfig) -> Iterator[socket.socket]:
    """Take the port before the model is loaded; nobody is let in until uvicorn listens."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError as error:
        raise UserError(f"host must be an address of this machine; got {config.host} ({error}); see --host") from error
    with listener:
        try:
            listener.bind(address)
        except OSError as error:
            raise _not_bound(config, error) from error
        yield listener


def _not_bound(config: ServeConfig, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return UserError(
            f"a port serves one program; {config.port} of {config.host} is in use; name another with --port, or 0 for "
            "any that is free"
        )
    if error.errno == errno.EACCES:
        return UserError(f"ports below 1024 are the system's; got {config.port}; name another with --port")
    return UserError(f"host must be an address of this machine; got {config.host} ({error}); see --host")


@contextmanager
def _stopped_quietly() -> Iterator[None]:
    """Let uvicorn, which raises the signals anew once it has stopped, do so in vain: to stop is no failure."""
    before = {number: signal.signal(number, lambda *_: None) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
