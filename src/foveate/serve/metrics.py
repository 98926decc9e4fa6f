"""What a server counts, in the form of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_PHOTOGRAPHS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counts of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "foveate_requests", "Requests, by path and status.", ("path", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "foveate_request_seconds", "Duration of requests.", ("path",), registry=self.registry, buckets=_SECONDS
        )
        self.photographs = Counter("foveate_photographs", "Photographs that were answered.", registry=self.registry)
        self.passes = Histogram(
            "foveate_pass_photographs", "Photographs of one pass.", registry=self.registry, buckets=_PHOTOGRAPHS
        )
        self.refusals = Counter("foveate_refusals", "Requests not answered, by why.", ("code",), registry=self.registry)
        self.hung_up = Counter("foveate_hung_up", "Clients that left before the answer.", registry=self.registry)
        self.waiting = Gauge("foveate_waiting_requests", "Requests that are taken on.", registry=self.registry)
        self.held = Gauge("foveate_held_bytes", "Bytes of these requests.", registry=self.registry)

    def text(self) -> bytes:
        """Return all counts as Prometheus reads them."""
        return generate_latest(self.registry)
