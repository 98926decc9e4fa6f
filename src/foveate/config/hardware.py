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


class Strategy(StrEnum):
    """How several devices share a training."""

    AUTO = "auto"
    """Each holds the whole network, and gradients are averaged (DDP), where there are several."""
    FSDP = "fsdp"
    """Each holds a share of the weights (fully sharded data parallel): for networks that fit on no single GPU."""


_MOST_PROCESSES = 1024
"""Each is one of the operating system's; a machine with more processors than that needs no more of ours."""


@dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """Where and how the arithmetic is done; the defaults are the fast ones of the machine at hand."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: int = 1
    """How many devices (or CPU processes) share each batch."""
    nodes: int = 1
    """How many machines train together, each with so many `devices`; started by torchrun or Slurm on each of them."""
    strategy: Strategy = Strategy.AUTO
    """How several devices share a training."""
    accumulate: int = 1
    """In how many parts each batch is learned from, one after the other, where the whole needs too much memory. Batch
    norms that learn see the parts."""
    checkpointing: bool = False
    """Compute the backbone's activations again in the backward pass, in place of keeping them: less memory, slower."""
    compile: bool = False
    """Compile the training's network (`torch.compile`): minutes at the beginning, faster steps on a GPU."""
    synchronised: bool = False
    """Batch norms that learn see the whole batch, over all GPUs, in place of each its own share."""
    precision: Literal["auto", "bf16", "fp16", "float32"] = "auto"
    """`auto`: bf16 autocast where the processor multiplies it natively, else float32; or what the environment's
    FOVEATE_PRECISION says. `fp16`: for GPUs that have no bf16, the loss scaled in training."""
    channels_last: bool = True
    workers: int | None = None
    """Processes that decode photographs; None: one per core but one, at most 8. The result does not depend on it."""

    runtime: Runtime = Runtime.TORCH
    """What evaluates and predicts."""

    def __post_init__(self) -> None:
        require_count("devices", self.devices, most=_MOST_PROCESSES)
        require_count("nodes", self.nodes, most=_MOST_PROCESSES)
        require_count("accumulate", self.accumulate, most=_MOST_PROCESSES)
        require_count("workers", self.workers or 0, least=0, most=_MOST_PROCESSES)

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self.devices * self.nodes
