"""A training step: against the loop that a user could write, and S3N against its three passes. No data is loaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from foveate.config.data import DataConfig, TransformConfig
from foveate.data.loading import Batch
from foveate.inference.classifier import network_input
from foveate.networks.network import Network
from foveate.recipes.config import TrainConfig
from foveate.training.depthwise import FastDepthwiseGradients
from foveate.training.losses import branch_loss
from foveate.training.module import TrainingModule
from foveate.training.optimiser import build_optimiser
from harness import Built, Case
from networks import (
    FAST,
    PRESETS,
    Scale,
    bare,
    cast,
    dtype_of,
    normalised,
    pixels,
    plain,
    ready_views,
    s3n,
    smoke,
    three_passes,
)


def own_step(network: Network, config: TrainConfig) -> Callable[[Callable[[], Tensor]], None]:
    """Return Foveate's step but for the loss: precision, gradients, optimiser."""
    optimiser = build_optimiser(network, network.parameter_groups(), config.optimiser)
    device = next(network.parameters()).device.type

    def step(loss_of: Callable[[], Tensor]) -> None:
        network.train()
        with cast(dtype_of(FAST), device):
            loss = loss_of()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    return step


def own_loss(network: Network, config: TrainConfig, images: Tensor, labels: Tensor) -> Callable[[], Tensor]:
    """Return the loss as Foveate's module takes it."""
    module = TrainingModule(network, config, labels.tolist())
    module.log = lambda *_, **__: None  # type: ignore[method-assign]  # no trainer: nowhere to log to
    batch = Batch(images[:, None], labels, torch.arange(len(labels)))
    return lambda: module.training_step(batch)


def bare_step(
    network: nn.Module, images: Tensor, labels: Tensor, dtype: torch.dtype, layout: torch.memory_format
) -> Callable[[], None]:
    """Return the step of a user's own loop."""
    network = network.to(memory_format=layout).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        with cast(dtype, images.device.type):
            logits = network(normalised(images, layout))
            loss = functional.cross_entropy(logits.float(), labels, label_smoothing=0.1)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    return step


def _shown(scale: Scale) -> tuple[Tensor, Tensor]:
    labels = torch.randint(0, scale.classes, (scale.batch,), generator=torch.Generator().manual_seed(2))
    return pixels(scale), labels


def plain_step(quick: bool) -> Built:
    """Foveate's step, the same loop in the same precision, and the loop in float32 as it comes."""
    scale = smoke(Scale()) if quick else Scale()
    images, labels = _shown(scale)
    network = plain(scale).to(memory_format=torch.channels_last)
    config = TrainConfig(data=DataConfig(root=Path()))
    step, loss = own_step(network, config), own_loss(network, config, images, labels)
    return Built(
        sides={
            "foveate": lambda: step(loss),
            "bare": bare_step(bare(scale), images, labels, dtype_of(), torch.channels_last),
            "bare_float32": bare_step(bare(scale), images, labels, torch.float32, torch.contiguous_format),
        },
        reference="bare",
        settings=scale.settings(),
    )


def s3n_step(preset: str, quick: bool) -> Built:
    """S3N's step, its three passes over views that are ready, and a bare loop of one pass over the same batch."""
    scale = smoke(Scale()) if quick else Scale()
    images, labels = _shown(scale)
    network = s3n(scale, preset).to(memory_format=torch.channels_last)
    transforms = TransformConfig(input_size=scale.size, resize_size=8 * scale.size // 7)
    config = TrainConfig(data=DataConfig(root=Path()), network=PRESETS[preset], transforms=transforms)
    step, loss = own_step(network, config), own_loss(network, config, images, labels)
    original, views = ready_views(network, network_input(images, network.backbone.normalisation))

    def passes_loss() -> Tensor:
        network_input(images, network.backbone.normalisation)
        with FastDepthwiseGradients():
            return branch_loss(three_passes(network, original, views), labels, config)

    return Built(
        sides={
            "s3n": lambda: step(loss),
            "passes": lambda: step(passes_loss),
            "bare": bare_step(bare(scale), images, labels, dtype_of(), torch.channels_last),
        },
        reference="passes",
        settings={**scale.settings(), "preset": preset},
    )


CASES = (
    Case(name="training_plain", build=plain_step),
    *(Case(name=f"training_s3n_{preset}", build=partial(s3n_step, preset)) for preset in PRESETS),
)
