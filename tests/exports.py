"""Small networks of every kind that is exported, for several test modules; a family of backbones is one more line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.inference.classifier import Calibration, Classifier
from foveate.networks.network import Network
from foveate.networks.plain import PlainNetwork
from foveate.s3n.config import Partition, S3NConfig
from foveate.s3n.network import S3N
from foveate.workflows.export.artefacts import as_onnx
from foveate.workflows.export.traced import AnsweringNetwork, traced

FLOAT32 = HardwareConfig(accelerator="cpu", precision="float32", channels_last=False, workers=0)
Family = tuple[AnsweringNetwork, int]
"""A network, and the side of the photographs that it is shown."""


def small(
    create: Callable[[BackboneConfig], Network],
    architecture: str = "test_resnet",
    calibration: Calibration | None = None,
) -> AnsweringNetwork:
    """Return a network with a random backbone, as it is exported."""
    torch.manual_seed(0)
    network = create(BackboneConfig(architecture=architecture, weights="none"))
    return AnsweringNetwork(Classifier.place(network, FLOAT32, calibration=calibration))


def plain(architecture: str) -> Family:
    """Return a plain network, calibrated."""

    def create(backbone: BackboneConfig) -> PlainNetwork:
        return PlainNetwork.create(PlainConfig(backbone=backbone), 5, input_size=64)

    return small(create, architecture, Calibration(temperature=1.5)), 64


def s3n(architecture: str) -> Family:
    """Return an S3N that is unsure of some and sure of others, which reads from a larger source."""

    def create(backbone: BackboneConfig) -> S3N:
        return S3N.create(S3NConfig(backbone=backbone, test_partition=Partition.EXPECTED), 5, 64)

    return small(create, architecture), 96


FAMILIES: dict[str, Callable[[], Family]] = {
    "plain": partial(plain, "test_resnet"),
    "s3n": partial(s3n, "test_efficientnet"),
    "plain on ConvNeXt": partial(plain, "test_convnext"),
    "plain on a ViT": partial(plain, "test_vit"),
}
"""By the name of its test."""


class InBothForms(NamedTuple):
    """A network as it is, as torch's graph and as ONNX; neither is changed by a test."""

    network: AnsweringNetwork
    side: int
    program: ExportedProgram
    proto: Any


@cache
def exported_family(name: str) -> InBothForms:
    """Return a family's network, exported once for all tests."""
    network, side = FAMILIES[name]()
    program = traced(network, side)
    return InBothForms(network, side, program, as_onnx(program))


def pixels(count: int, side: int) -> Tensor:
    """Return so many photographs, each an own one."""
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def batches(count: int, side: int) -> Iterator[Tensor]:
    """Yield so many photographs, one at a time."""
    for each in pixels(count, side):
        yield each[None]


def eager(network: AnsweringNetwork, shown: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return what the network itself answers: probabilities and logits."""
    with torch.inference_mode():
        probabilities, logits = network(shown)
    return probabilities.numpy(), logits.numpy()
