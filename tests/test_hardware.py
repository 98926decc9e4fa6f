"""In which precision networks compute."""

from __future__ import annotations

import pytest
import torch

from foveate import hardware
from foveate.config.hardware import HardwareConfig
from foveate.errors import LackOfMemory, UserError, lack_of_memory_named
from foveate.hardware import autocast_dtype


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nmore"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_too_little_memory_is_named(error: Exception) -> None:
    with (
        pytest.raises(LackOfMemory, match=r"the memory must be enough, and S3N needs more than there is \(.*\); take"),
        lack_of_memory_named("S3N"),
    ):
        raise error


def test_another_error_is_none_of_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes"), lack_of_memory_named("S3N"):
        raise RuntimeError("shapes differ")


DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


@pytest.mark.parametrize("asked", DTYPES)
@pytest.mark.parametrize("environment", [*DTYPES, "auto"])
def test_what_is_asked_for_counts_before_the_environment(
    asked: str, environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEATE_PRECISION", environment)
    assert autocast_dtype(HardwareConfig(accelerator="cpu", precision=asked)) is DTYPES[asked]  # type: ignore[arg-type]


@pytest.mark.parametrize("native", [True, False])
def test_by_itself_the_environment_decides_and_then_the_processor(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "_cpu_has_bf16", lambda: native)
    config = HardwareConfig(accelerator="cpu")
    for name, dtype in DTYPES.items():
        monkeypatch.setenv("FOVEATE_PRECISION", name)
        assert autocast_dtype(config) is dtype
    of_the_processor = torch.bfloat16 if native else torch.float32
    monkeypatch.setenv("FOVEATE_PRECISION", "auto")
    assert autocast_dtype(config) is of_the_processor
    monkeypatch.delenv("FOVEATE_PRECISION")
    assert autocast_dtype(config) is of_the_processor


def test_another_precision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_PRECISION", "half")
    with pytest.raises(UserError, match="FOVEATE_PRECISION must be auto, bf16, fp16 or float32; got 'half'"):
        autocast_dtype(HardwareConfig(accelerator="cpu"))
