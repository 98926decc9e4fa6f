"""Networks and pixels for the benchmarks: random, from fixed seeds, since time does not depend on what was learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import timm
import torch
from torch import Tensor, nn

from foveate.backbones.backbone import pool
from foveate.config.branches import Branch
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.hardware import autocast_dtype
from foveate.inference.classifier import Classifier
from foveate.networks.plain import PlainNetwork
from foveate.s3n.config import S3NConfig
from foveate.s3n.network import S3N
from foveate.types import BranchLogits

CLASSES = 20
FAST = HardwareConfig()
SLOW = HardwareConfig(accelerator="cpu", precision="float32", channels_last=False)
PRESETS = {"foveate": S3NConfig(), "paper": S3NConfig.paper()}

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A network and what it is shown."""

    architecture: str = "tf_efficientnet_lite0"
    size: int = 224
    batch: int = 16
    classes: int = CLASSES

    @property
    def backbone(self) -> BackboneConfig:
        """The architecture with random weights."""
        return BackboneConfig(architecture=self.architecture, weights="none")

    def settings(self) -> dict[str, object]:
        """Return it for the line."""
        return dict(vars(self))


def smoke(scale: Scale) -> Scale:
    """Return the same at a size that takes milliseconds."""
    return replace(scale, architecture="test_resnet", size=64, batch=2, classes=min(scale.classes, 50))


def pixels(scale: Scale) -> Tensor:
    """Return decoded pixels: noise."""
    shape = (scale.batch, scale.size, scale.size, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def plain(scale: Scale) -> PlainNetwork:
    """Return a plain network."""
    torch.manual_seed(0)
    return PlainNetwork.create(PlainConfig(backbone=scale.backbone), scale.classes)


def s3n(scale: Scale, preset: str) -> S3N:
    """Return an S3N network."""
    torch.manual_seed(0)
    return S3N.create(replace(PRESETS[preset], backbone=scale.backbone), scale.classes, scale.size)


def bare(scale: Scale) -> nn.Module:
    """Return the same architecture as timm gives it."""
    torch.manual_seed(0)
    network: nn.Module = timm.create_model(scale.architecture, num_classes=scale.classes)
    return network


def dtype_of(hardware: HardwareConfig = FAST) -> torch.dtype:
    """Return the precision of a side."""
    return autocast_dtype(hardware)


def cast(dtype: torch.dtype, device: str = "cpu") -> torch.autocast:
    """Return the context of a precision on a kind of device."""
    return torch.autocast(device, dtype, enabled=dtype is not torch.float32)


def normalised(images: Tensor, layout: torch.memory_format) -> Tensor:
    """Do what a user's own loop does before its network."""
    return ((images.permute(0, 3, 1, 2) - 127.5) / 127.5).contiguous(memory_format=layout)


def bare_inference(
    network: nn.Module, images: Tensor, dtype: torch.dtype, layout: torch.memory_format
) -> Callable[[], Tensor]:
    """Return the loop that a user would write."""
    network = network.eval().to(memory_format=layout)

    def call() -> Tensor:
        with torch.inference_mode(), cast(dtype):
            logits: Tensor = network(normalised(images, layout))
        return logits.float().softmax(-1)

    return call


def three_passes(network: S3N, original: Tensor, views: Tensor) -> BranchLogits:
    """Answer as S3N does, from views that are there already: its passes and nothing else."""
    features = pool(network.backbone(original))
    zoomed = pool(network.backbone(views)).chunk(2)
    pooled = dict(zip((Branch.ORIGINAL, Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY), (features, *zoomed), strict=True))
    answers: BranchLogits = network.fusion(network.backbone.classifier(features), pooled)
    return answers


def ready_views(network: S3N, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first views and the zoomed ones."""
    with torch.no_grad():
        output = network.eval().output(inputs)
    layout = torch.channels_last
    return (
        output.original.contiguous(memory_format=layout),
        torch.cat(list(output.views.values())).contiguous(memory_format=layout),
    )


def placed(network: PlainNetwork | S3N, hardware: HardwareConfig = FAST) -> Classifier:
    """Return it as `foveate predict` runs it."""
    return Classifier.place(network, hardware)
