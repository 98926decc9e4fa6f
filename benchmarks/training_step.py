"""Time one training step of Foveate against what a user could write: a bare PyTorch loop over the same timm network.

Three sides, interleaved: Foveate's own training step as its module takes it; a bare loop in the same precision and
memory layout; a bare loop in float32 and the default layout. Data loading is left out of all three. Prints one JSON
line: median and spread of the milliseconds, and the ratios of the medians.

    python benchmarks/training_step.py [--size 224] [--batch 16] [--repetitions 15]
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
import tyro
from timing import interleaved, ratio, spread
from torch import Tensor
from torch.nn import functional

from foveate.config import DataConfig, HardwareConfig, PlainConfig, TrainConfig
from foveate.data.loading import Batch
from foveate.hardware import autocast_dtype
from foveate.methods.plain import PlainNetwork
from foveate.runs import environment
from foveate.training.module import TrainingModule
from foveate.training.optimiser import build_optimiser

CLASSES = 20


@dataclass(frozen=True)
class Benchmark:
    """What to time."""

    size: int = 224
    batch: int = 16
    repetitions: int = 15


def foveate_step(images: Tensor, labels: Tensor) -> Callable[[], None]:
    """Foveate's step: its own module, optimiser and precision."""
    config = TrainConfig(data=DataConfig(root=Path()))
    network = PlainNetwork.create(PlainConfig(), CLASSES).train().to(memory_format=torch.channels_last)  # as `fit` does
    module = TrainingModule(network, config, labels.tolist())
    module.log = lambda *_, **__: None  # type: ignore[method-assign]  # no trainer: nowhere to log to
    optimiser = build_optimiser(network, network.parameter_groups(), config.optimiser)
    batch = Batch(images[:, None], labels, torch.arange(len(labels)))

    def step() -> None:
        with torch.autocast("cpu", autocast_dtype(config.hardware)):
            loss = module.training_step(batch)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    return step


def bare_step(images: Tensor, labels: Tensor, dtype: torch.dtype, layout: torch.memory_format) -> Callable[[], None]:
    """The loop that a user would write."""
    network = timm.create_model("tf_efficientnet_lite0", num_classes=CLASSES).to(memory_format=layout).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        inputs = ((images.permute(0, 3, 1, 2) - 127.5) / 127.5).contiguous(memory_format=layout)
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            loss = functional.cross_entropy(network(inputs).float(), labels, label_smoothing=0.1)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    return step


def main(benchmark: Benchmark) -> None:
    """Interleave the sides and print the line."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (benchmark.batch, benchmark.size, benchmark.size, 3), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (benchmark.batch,))
    fast = autocast_dtype(HardwareConfig())
    sides = {
        "foveate": foveate_step(images, labels),
        "bare": bare_step(images, labels, fast, torch.channels_last),
        "bare_float32": bare_step(images, labels, torch.float32, torch.contiguous_format),
    }
    milliseconds = interleaved(sides, benchmark.repetitions)
    print(json.dumps({"case": "training_step", **vars(benchmark), **summary(milliseconds), **environment()}))


def summary(milliseconds: dict[str, list[float]]) -> dict[str, object]:
    """Return median, lowest and highest milliseconds of each side, and how many times as fast Foveate is."""
    return {
        "milliseconds": {name: spread(values) for name, values in milliseconds.items()},
        "times_as_fast_as_bare": round(ratio(milliseconds, "bare", "foveate"), 3),
        "times_as_fast_as_bare_float32": round(ratio(milliseconds, "bare_float32", "foveate"), 3),
    }


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
