"""How many requests are taken on at a time, of whom, and how many bytes they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from foveate.serve.config import ServeConfig
from foveate.serve.refusals import Refusal


@dataclass
class Place:
    """One request that was taken on."""

    admission: Admission
    held: int = 0
    """Bytes."""

    def hold(self, count: int) -> None:
        """Hold so many bytes more.

        Raises:
            Refusal: All requests together would hold too many.
        """
        if self.admission.held + count > self.admission.config.waiting_bytes:
            raise Refusal(503, "busy", "this server holds as much as it can; try again in a moment", retry_after=2)
        self.admission.held += count
        self.held += count


@dataclass
class Admission:
    """The requests that are taken on; of one event loop."""

    config: ServeConfig
    held: int = 0
    """Bytes."""
    clients: Counter[str] = field(default_factory=Counter)

    @property
    def waiting(self) -> int:
        """How many requests are taken on."""
        return self.clients.total()

    @contextmanager
    def place(self, client: str) -> Iterator[Place]:
        """Take on a request of a client until the block is left.

        Raises:
            Refusal: There are too many, 503, or too many of this client, 429.
        """
        if self.clients[client] >= self.config.per_client:
            sentence = (
                f"one client may have {self.config.per_client} requests waiting; wait for their answers, or send "
                "several photographs in one request"
            )
            raise Refusal(429, "too-many-requests", sentence, retry_after=1)
        if self.waiting >= self.config.queue:
            sentence = f"this server takes on {self.config.queue} requests at a time; try again in a moment"
            raise Refusal(503, "busy", sentence, retry_after=2)
        self.clients[client] += 1
        place = Place(self)
        try:
            yield place
        finally:
            self.held -= place.held
            self.clients[client] -= 1
            if not self.clients[client]:
                del self.clients[client]
