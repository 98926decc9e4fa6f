"""Time what S3N adds to its three backbone passes: gate, peaks, attention, grids, resampling.

Two sides, interleaved: S3N's own training step (and inference), and the same network given views that were made
before: one pass of the first views, one of the zoomed ones, heads, loss, and in training the backward pass and the
optimiser. Data loading is left out of both. Prints one JSON line for each preset: median and spread of the
milliseconds, and the overhead, the ratio of the medians less one.

    python benchmarks/s3n_overhead.py [--size 224] [--source 224] [--batch 16] [--repetitions 15]
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from timing import interleaved, ratio, spread
from torch import Tensor

from foveate.backbones import pool
from foveate.config import Branch, DataConfig, HardwareConfig, S3NConfig, TrainConfig, TransformConfig
from foveate.data.loading import Batch
from foveate.hardware import autocast_dtype, keep_freed_memory
from foveate.methods.inference import network_input
from foveate.methods.s3n import S3N
from foveate.runs import environment
from foveate.training.depthwise import FastDepthwiseGradients
from foveate.training.losses import branch_loss
from foveate.training.module import TrainingModule
from foveate.training.optimiser import build_optimiser
from foveate.types import BranchLogits

CLASSES = 20
PRESETS = {"foveate": S3NConfig(), "paper": S3NConfig.paper()}


@dataclass(frozen=True)
class Benchmark:
    """What to time."""

    size: int = 224
    source: int = 224
    batch: int = 16
    repetitions: int = 15


def passes(network: S3N, original: Tensor, views: Tensor) -> BranchLogits:
    """Answer from views that are there already."""
    features = pool(network.backbone(original))
    zoomed = pool(network.backbone(views)).chunk(2)
    pooled = dict(zip((Branch.ORIGINAL, Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY), (features, *zoomed), strict=True))
    answers: BranchLogits = network.fusion(network.backbone.classifier(features), pooled)
    return answers


def sides(benchmark: Benchmark, preset: S3NConfig) -> dict[str, Callable[[], None]]:
    """Return the four things to time; both sides of a pair share the network."""
    images = torch.randint(0, 256, (benchmark.batch, benchmark.source, benchmark.source, 3), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (benchmark.batch,))
    transforms = TransformConfig(
        input_size=benchmark.size, resize_size=8 * benchmark.size // 7, source_size=benchmark.source
    )
    config = TrainConfig(data=DataConfig(root=Path()), network=preset, transforms=transforms)
    network = S3N.create(preset, CLASSES, benchmark.size).to(memory_format=torch.channels_last)
    module = TrainingModule(network, config, labels.tolist())
    module.log = lambda *_, **__: None  # type: ignore[method-assign]  # no trainer: nowhere to log to
    optimiser = build_optimiser(network, network.parameter_groups(), config.optimiser)
    batch = Batch(images[:, None], labels, torch.arange(len(labels)))
    with torch.no_grad():
        look = network.eval().look(network_input(images, network.backbone.normalisation))
    original = look.original.contiguous(memory_format=torch.channels_last)
    views = torch.cat(list(look.views.values())).contiguous(memory_format=torch.channels_last)
    dtype = autocast_dtype(HardwareConfig(accelerator="cpu"))

    def step(loss_of: Callable[[], Tensor]) -> None:
        network.train()
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            loss = loss_of()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    def passes_loss() -> Tensor:
        network_input(images, network.backbone.normalisation)
        with FastDepthwiseGradients():
            return branch_loss(passes(network, original, views), labels, config)

    def infer(answer: Callable[[], object]) -> None:
        network.eval()
        with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            answer()

    def inference_passes() -> object:
        network_input(images, network.backbone.normalisation)
        return passes(network, original, views)

    return {
        "step": lambda: step(lambda: module.training_step(batch)),
        "step_passes": lambda: step(passes_loss),
        "inference": lambda: infer(lambda: network(network_input(images, network.backbone.normalisation))),
        "inference_passes": lambda: infer(inference_passes),
    }


def main(benchmark: Benchmark) -> None:
    """Interleave the sides and print a line for each preset."""
    keep_freed_memory()
    for name, preset in PRESETS.items():
        torch.manual_seed(0)
        milliseconds = interleaved(sides(benchmark, preset), benchmark.repetitions)
        print(
            json.dumps(
                {
                    "case": "s3n_overhead",
                    "preset": name,
                    **vars(benchmark),
                    "milliseconds": {side: spread(values) for side, values in milliseconds.items()},
                    "overhead_of_a_training_step": overhead(milliseconds, "step"),
                    "overhead_of_inference": overhead(milliseconds, "inference"),
                    **environment(),
                }
            ),
            flush=True,
        )


def overhead(milliseconds: dict[str, list[float]], side: str) -> float:
    """Return how much longer S3N takes than its passes, as a share of the passes."""
    return round(ratio(milliseconds, side, f"{side}_passes") - 1, 4)


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
