"""Who does the bulk of a command's work; light to import."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from foveate.config.checks import require, require_count

_MOST_NETWORKS = 4096


class EngineName(StrEnum):
    """Who reads, decodes and asks networks where the photographs are many."""

    LOCAL = "local"
    """This process and its own: the default."""
    RAY = "ray"
    """Ray Data, on the processors and GPUs of this machine or of a cluster; the package ray."""


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Who does the bulk of the work.

    Raises:
        UserError: An address or a number of networks is given, and the engine has none.
    """

    engine: EngineName = EngineName.LOCAL
    """Who reads, decodes and asks networks: this process, or Ray Data (docs/scale.md)."""
    address: str | None = None
    """Of the engine ray: that of the cluster, host:port, or `auto` on a machine of it; None: this machine alone."""
    networks: int | None = None
    """Of the engine ray: how many copies of the network answer side by side; None: one a GPU, or one a machine where
    there are none."""

    def __post_init__(self) -> None:
        for name in ("address", "networks"):
            value = getattr(self, name)
            holds = value is None or self.engine is EngineName.RAY
            require(holds, f"{name} is of the engine ray: give --engine ray too, or leave it out", value)
        if self.networks is not None:
            require_count("networks", self.networks, most=_MOST_NETWORKS)
