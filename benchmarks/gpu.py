"""A few minutes of a GPU: training and Guided Zoom in images a second beside bare loops, memory, and the card's limit.

    PYTHONPATH=benchmarks python benchmarks/gpu.py [--out FILE] [--seconds 8] [--tiny]

Of ResNet-50 at 448 pixels and EfficientNet-Lite0 at 224. A JSON line for each, kept as it is made. Data is on the card
already. The limit is the best matrix product that was measured in the same process. `--tiny` runs everything in seconds
on whatever processor there is, as a test that it works.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

from cases.training import bare_step, own_loss, own_step
from cases.zooms import drawn
from foveate.config.data import DataConfig, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.files.documents import append_json_line
from foveate.guided_zoom.best_first import decide_best_first
from foveate.guided_zoom.config import PatchConfig, PoolConfig, RefinementConfig
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.hardware import autocast_dtype, device_of
from foveate.recipes.config import TrainConfig
from foveate.runs.environment import environment
from harness import gflop_of, spread
from networks import Scale, bare, cast, normalised, pixels, placed, plain

SCALES = {
    "resnet50": Scale(architecture="resnet50", size=448, batch=64, classes=200),
    "tf_efficientnet_lite0": Scale(size=224, batch=256, classes=200),
}
TINY = {"test_resnet": Scale(architecture="test_resnet", size=64, batch=2)}
ROUNDS = 2


@dataclass(frozen=True)
class Options:
    """What is measured, and how long."""

    out: Path | None = None
    """Where lines are added; none: they are printed alone."""
    seconds: float = 8.0
    """Of each side."""
    tiny: bool = False
    """The smallest network and batch, once."""


def ready(device: torch.device) -> None:
    """Wait until a device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(call: Callable[[], object], device: torch.device, seconds: float) -> list[float]:
    """Call three times to warm up, then for so long, each time to its end; return how long each took."""
    for _ in range(3 if seconds else 1):
        call()
    ready(device)
    taken: list[float] = []
    began = time.perf_counter()
    while not taken or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        call()
        ready(device)
        taken.append(time.perf_counter() - start)
    return taken


def memory_mb(call: Callable[[], object], device: torch.device) -> float | None:
    """Return the most memory of the card that tensors took during a call, in MB; None without a card."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    call()
    ready(device)
    return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)


def limit_of(device: torch.device, dtype: torch.dtype, tiny: bool) -> float:
    """Return how many GFLOP a second the best of some matrix products does."""
    rates = []
    for side in (64,) if tiny else (4096, 8192):
        matrix = torch.randn(side, side, device=device, dtype=dtype)
        rates.append(2e-9 * side**3 / min(seconds_of(lambda m=matrix: m @ m, device, 0.0 if tiny else 1.0)))  # type: ignore[misc]
    return max(rates)


def training(scale: Scale, hardware: HardwareConfig) -> Mapping[str, Callable[[], object]]:
    """Return Foveate's step, and a bare loop's in the same precision and layout."""
    device, dtype = device_of(hardware), autocast_dtype(hardware)
    labels = torch.arange(scale.batch, device=device) % scale.classes
    images, layout = pixels(scale).to(device), torch.channels_last
    transforms = TransformConfig(input_size=scale.size, resize_size=8 * scale.size // 7)
    config = TrainConfig(data=DataConfig(root=Path()), transforms=transforms, hardware=hardware)
    network = plain(scale).to(device).to(memory_format=layout)
    step, loss = own_step(network, config), own_loss(network, config, images, labels)
    return {
        "foveate": lambda: step(loss),
        "bare": bare_step(bare(scale).to(device), images, labels, dtype, layout),
    }


def guided_zoom(scale: Scale, hardware: HardwareConfig) -> Mapping[str, Callable[[], object]]:
    """Return Algorithm 1 in full, five classes and three rounds, shared and best first, and a bare forward pass."""
    device, dtype = device_of(hardware), autocast_dtype(hardware)
    patches = PatchConfig(source_size=2 * scale.size if scale.size < 448 else scale.size, rounds=ROUNDS)
    conventional = ConventionalCNN.place(plain(scale), PoolConfig.paper().grounding, hardware)
    view = TransformConfig(input_size=scale.size // 2, resize_size=4 * scale.size // 7)
    zoom = GuidedZoom(conventional, placed(plain(scale), hardware), patches, view)
    source = drawn(scale.batch, patches.source_size)
    shrunk = torch.nn.functional.interpolate(source.permute(0, 3, 1, 2).float(), size=scale.size, mode="area")
    images = shrunk.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    config = RefinementConfig(top_k=5, weights=(0.4, *(0.6 / (ROUNDS + 1),) * (ROUNDS + 1)))
    network = bare(scale).to(device).to(memory_format=torch.channels_last).eval()
    shown = images.to(device)

    def forward() -> Tensor:
        with torch.inference_mode(), cast(dtype, device.type):
            logits: Tensor = network(normalised(shown, torch.channels_last))
        return logits

    return {
        "shared": partial(zoom.evidence, images, source, config.top_k),
        "best_first": partial(decide_best_first, zoom, images, source, config),
        "bare": forward,
    }


def line_of(
    name: str, sides: Mapping[str, Callable[[], object]], scale: Scale, limit: float, options: Options
) -> dict[str, Any]:
    """Measure each side and return the line; bare is what the others are divided by."""
    device = device_of(HardwareConfig())
    rates, memory, shares = {}, {}, {}
    for side, call in sides.items():
        taken = seconds_of(call, device, 0.0 if options.tiny else options.seconds)
        rates[side] = spread([scale.batch / each for each in taken])
        memory[side] = memory_mb(call, device)
        count = gflop_of(call)
        shares[side] = None if count is None else round(count * rates[side]["median"] / scale.batch / limit, 4)
    bare_rate = rates["bare"]["median"]
    return {
        "gpu_case": name,
        "settings": scale.settings(),
        "images_a_second": rates,
        "times_as_long_as_bare": {side: round(bare_rate / each["median"], 3) for side, each in rates.items()},
        "memory_mb": memory,
        "share_of_limit": shares,
        "limit_gflop_a_second": round(limit, 1),
        "tiny": options.tiny,
        **environment(),
    }


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure everything; print and keep each line as it is made."""
    hardware = HardwareConfig()
    device, dtype = device_of(hardware), autocast_dtype(hardware)
    limit, lines = limit_of(device, dtype, options.tiny), []
    for name, scale in (TINY if options.tiny else SCALES).items():
        # A Guided Zoom erases and crops: fewer photographs at a time fill the card as well.
        smaller = replace(scale, batch=max(2, scale.batch // 4))
        cases = {"training": (training, scale), "guided_zoom": (guided_zoom, smaller)}
        for case, (build, shown) in cases.items():
            line = line_of(f"{case}_{name}", build(shown, hardware), shown, limit, options)
            lines.append(line)
            print(json.dumps(line), flush=True)
            if options.out is not None:
                append_json_line(options.out, line)
    return lines


if __name__ == "__main__":
    measure(tyro.cli(Options))
    sys.exit(0)
