"""Where and how the arithmetic is done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from foveate.config.checks import require_count


class Runtime(StrEnum):
    """What passes images through a network when nothing is learned."""

    TORCH = "torch"
    """PyTorch: the default."""
    OPENVINO = "openvino"
    """On the processor, by the package openvino: faster than torch on one without bf16 (docs/performance.md). It takes
    seconds to begin, and is young here (docs/log.md, 2026-11-25). Training and grounding stay torch's, as do the part
    networks of an MA-CNN that has several."""


_MOST_PROCESSES = 1024
"""Each is one of the operating system's; a machine with more processors than that needs no more of ours."""


@dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """Where and how the arithmetic is done; the defaults are the fast ones of the machine at hand."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: int = 1
    """How many devices (or CPU processes) share each batch."""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """`auto`: bf16 autocast where the processor multiplies it natively, else float32; or what the environment's
    FOVEATE_PRECISION says."""
    channels_last: bool = True
    workers: int | None = None
    """Processes that decode photographs; None: one per core but one, at most 8. The result does not depend on it."""

    runtime: Runtime = Runtime.TORCH
    """What evaluates and predicts."""

    def __post_init__(self) -> None:
        require_count("devices", self.devices, most=_MOST_PROCESSES)
        require_count("workers", self.workers or 0, least=0, most=_MOST_PROCESSES)
