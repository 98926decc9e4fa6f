"""What every request passes: by which name the server is called, and from which page; what every response says."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foveate.serve.logs import log
from foveate.serve.metrics import Metrics

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing from outside, and no script or style but the package's files."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_QUIET = frozenset({"/health", "/ready", "/metrics"})
"""Asked for every few seconds, and not logged where all is well."""

_OWN = frozenset({"same-origin", "none"})
"""Sec-Fetch-Site of the page itself and of who types an address. Another port of this machine is `same-site`."""


class Guard:
    """Passes requests on to an application, refuses foreign ones, and counts and logs all.

    Args:
        application: What answers.
        metrics: What counts.
        hosts: The names that the server may be called by; None: any.
    """

    def __init__(self, application: ASGIApp, metrics: Metrics, hosts: Collection[str] | None) -> None:
        self._application, self._metrics, self._hosts = application, metrics, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        began, number, status = time.perf_counter(), uuid.uuid4().hex[:12], 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = number
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            foreign = self._foreign(scope["method"], Headers(scope=scope))
            if foreign is None:
                await self._application(scope, receive, send_guarded)
            else:
                await _refuse(send_guarded, foreign)
        finally:
            self._tell(scope, status, time.perf_counter() - began, number)

    def _foreign(self, method: str, headers: Headers) -> str | None:
        """Say why a request comes from where it should not."""
        host = headers.get("host", "")
        name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.rpartition(":")[0] or host
        if self._hosts is not None and name.lower() not in self._hosts:
            return "this server answers to its own names; start it with --hosts and the name that you call it by"
        followed = method == "GET" and headers.get("sec-fetch-mode") == "navigate"  # a link to the page
        if headers.get("sec-fetch-site", "none") not in _OWN and not followed:
            return "another site's page may not ask this server"
        return None

    def _tell(self, scope: Scope, status: int, seconds: float, number: str) -> None:
        route = scope.get("route")
        static = scope["path"].startswith("/static/")
        path = "/static" if static else getattr(route, "path", None) or "other"  # each unknown one would be a new count
        self._metrics.requests.labels(path, str(status or 499)).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        if status < 400 and (static or scope["path"] in _QUIET):
            return
        facts = scope.get("state", {}).get("facts", {})
        log(
            "request",
            id=number,
            method=scope["method"],
            path=path,
            status=status or 499,
            seconds=round(seconds, 4),
            **facts,
        )


async def _refuse(send: Send, sentence: str) -> None:
    body = json.dumps({"error": {"code": "foreign", "sentence": sentence, "photograph": None}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
