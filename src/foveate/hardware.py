"""Which device computes, and in which precision: the fast choice of the machine at hand unless told otherwise."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from foveate.config.hardware import HardwareConfig
from foveate.errors import UserError

_WIDEST_FIRST = ("amx_bf16", "avx512_bf16", "bf16", "avx512f", "sve", "avx2")
_PRECISION = "FOVEATE_PRECISION"
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "float32": torch.float32}


def device_of(config: HardwareConfig) -> torch.device:
    """Return the device for inference.

    Raises:
        UserError: The device asked for is not there.
    """
    available = {"gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if config.accelerator == "auto":
        kind = next(name for name, there in available.items() if there)
    elif available[config.accelerator]:
        kind = config.accelerator
    else:
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise UserError(f"accelerator must be one of this machine's ({there}); got {config.accelerator}")
    return torch.device("cuda" if kind == "gpu" else kind)


def check_devices(config: HardwareConfig) -> None:
    """Refuse more devices than there are.

    Raises:
        UserError: There are fewer, or none of the kind.
    """
    kind = device_of(config).type
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(kind, config.devices)
    if config.devices > there:
        raise UserError(
            f"devices must be at most those of this machine, {there} of the kind {kind}; got {config.devices}"
        )


def autocast_dtype(config: HardwareConfig) -> torch.dtype:
    """Return bfloat16 where it is asked for, or where the device multiplies it natively; else float32.

    Raises:
        UserError: The environment's FOVEATE_PRECISION, which says what `auto` means, is none of the precisions; fp16
            is asked of what is no GPU.
    """
    precision = config.precision if config.precision != "auto" else os.environ.get(_PRECISION, "auto")
    if precision not in ("auto", *_DTYPES):
        raise UserError(f"{_PRECISION} must be auto, bf16, fp16 or float32; got {precision!r}")
    if precision == "fp16" and (kind := device_of(config).type) == "cpu":
        raise UserError(f"precision fp16 is for GPUs; the device is a {kind}; take bf16 or float32, or leave it out")
    if precision in _DTYPES:
        return _DTYPES[precision]
    kind = device_of(config).type
    native = {"cuda": lambda: torch.cuda.is_bf16_supported(including_emulation=False), "cpu": _cpu_has_bf16}
    return torch.bfloat16 if native.get(kind, bool)() else torch.float32


def _cpu_has_bf16() -> bool:
    flags = _cpu_info("flags")
    return "avx512_bf16" in flags or "amx_bf16" in flags or "bf16" in _cpu_info("Features").split()


def with_precision_said(config: HardwareConfig) -> HardwareConfig:
    """Return the same with the precision that `auto` comes to here, so that it is that on any other machine too."""
    said = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "float32"}[autocast_dtype(config)]
    return replace(config, precision=cast(Any, said))


def processors() -> int:
    """Return how many processors this process may use; in a container or a batch job fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def first_process() -> bool:
    """Whether this is the process that writes files, of those that train together (Lightning, torchrun, Slurm)."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return int(next((rank for rank in ranks if rank is not None), 0)) == 0


def describe() -> str:
    """Name the processor, its widest arithmetic and the GPU, for the record of a run.

    Processors of one name can be four times apart: it is the arithmetic that says whether bfloat16 is fast.
    """
    processor = _cpu_info("model name") or platform.processor() or platform.machine()
    flags = (_cpu_info("flags") + " " + _cpu_info("Features")).split()
    processor += next((f" with {each}" for each in _WIDEST_FIRST if each in flags), "")
    cores = f"{torch.get_num_threads()} threads"
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{processor}, {cores}{gpu}"


def _cpu_info(key: str) -> str:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return ""
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == key), "")
