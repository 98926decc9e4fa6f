"""What a server listens to, and how much it takes on; light to import."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import ip_address

from foveate.config.checks import require

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Where a server listens, and its limits.

    Raises:
        UserError: A number is out of range, or a name of `hosts` is none.
    """

    host: str = "127.0.0.1"
    """The address it listens at: this machine's own, which no other reaches, unless told otherwise."""
    port: int = 8000
    """0: any that is free."""
    hosts: tuple[str, ...] = ()
    """Names, without a port, that it may be called by beside that address, such as that of a proxy in front of it. At
    a loopback address others are refused, so that no web page can have a browser ask in its name."""
    largest_megabytes: float = 25.0
    """Of a photograph's file."""
    largest_megapixels: int = 60
    """Of a photograph; at most what the run allows."""
    photographs: int = 12
    """Of one request."""
    seconds: float = 30.0
    """That a request may take, its upload apart, which may take as long again."""
    queue: int = 64
    """Requests that are taken on at a time; more are told to come again."""
    per_client: int = 16
    """Of these, of one client: of one API key, or where none is asked for of one address."""
    waiting_megabytes: float = 512.0
    """Bytes of all requests that are held at a time."""
    batch_size: int = 16
    """Photographs that are answered in one pass of the network."""
    training_photographs: bool = True
    """Show training photographs as evidence, where they can be found."""

    def __post_init__(self) -> None:
        require(0 <= self.port <= 65535, "port must be 0 to 65535", self.port)
        for name in ("photographs", "queue", "per_client", "batch_size", "largest_megapixels"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1", getattr(self, name))
        for name in ("largest_megabytes", "seconds", "waiting_megabytes"):
            require(getattr(self, name) > 0, f"{name} must be above 0", getattr(self, name))
        for name in self.hosts:
            require(_is_name(name), "hosts must be names alone, without a port or http://", name)

    @property
    def allowed_hosts(self) -> tuple[str, ...] | None:
        """The names that it may be called by, in small letters; None: any."""
        address = _address_of(self.host)
        loopback = address is not None and ip_address(address).is_loopback
        if not loopback and not self.hosts:
            return None
        names = (*(_LOOPBACK if loopback else ()), self.host, *([address] if address else []), *self.hosts)
        return tuple(dict.fromkeys(map(_plain, names)))

    @property
    def largest_bytes(self) -> int:
        """Of a photograph's file."""
        return int(self.largest_megabytes * 1_000_000)

    @property
    def waiting_bytes(self) -> int:
        """Of all requests that are held at a time."""
        return int(self.waiting_megabytes * 1_000_000)


def _address_of(host: str) -> str | None:
    """Return the address that a server of this host listens at; None: it is none."""
    try:
        address = str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        return None
    mapped = getattr(ip_address(address), "ipv4_mapped", None)
    return address if mapped is None else str(mapped)


def _plain(name: str) -> str:
    return name.lower().removeprefix("[").removesuffix("]")


def _is_name(name: str) -> bool:
    """Whether a name is one of a host: an address of IPv6 alone has colons."""
    if ":" not in name:
        return bool(name) and not set("/ ") & set(name)
    try:
        return ip_address(_plain(name)).version == 6
    except ValueError:
        return False
