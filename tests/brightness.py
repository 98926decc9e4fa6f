"""A Guided Zoom that grounds by colour, which a test can follow by hand."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from foveate.config.data import TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.errors import UserError
from foveate.guided_zoom.config import PatchConfig
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.inference.classifier import Classifier
from foveate.networks.plain import PlainNetwork
from foveate.types import Grounded

SLOW = HardwareConfig(accelerator="cpu", precision="float32")
BACKBONE = BackboneConfig(architecture="test_resnet", weights="none")
CLASSES = 6
PATCHES = PatchConfig(patch=0.3, erased=0.2, source_size=64, rounds=2)
EVIDENCE = TransformConfig(input_size=32, resize_size=40)


class Brightness:
    """Grounds a class where a mixture of its own of the three colours is strongest."""

    def __init__(self, cells: int = 8) -> None:
        self.cells = cells
        self.mixtures = torch.rand(CLASSES, 3, generator=torch.Generator().manual_seed(3)).double()
        self.asked: list[tuple[int, int]] = []

    def maps(self, images: Tensor) -> Tensor:
        cells = functional.adaptive_avg_pool2d(images.double() + 3, self.cells)
        return torch.einsum("cd,nduv->ncuv", self.mixtures, cells)

    def __call__(self, images: Tensor, classes: Tensor | int) -> Grounded:
        maps = self.maps(images)
        logits = maps.amax((2, 3))
        if isinstance(classes, int):
            if classes > CLASSES:
                raise UserError("too many")
            classes = logits.topk(classes).indices
        self.asked.append((len(images), classes.shape[1]))
        chosen = maps.gather(1, classes[..., None, None].expand(-1, -1, self.cells, self.cells))
        return Grounded(logits.float(), classes, chosen.float())


def classifier(seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    network = PlainNetwork.create(PlainConfig(backbone=BACKBONE), CLASSES)
    torch.nn.init.normal_(network.backbone.classifier.weight, std=0.5)
    return Classifier.place(network, SLOW)


def photographs(count: int, size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 8, 8, generator=generator)
    large = functional.interpolate(small, size=(size, size), mode="bilinear")
    return (large * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def conventional(grounding: Brightness | None = None) -> ConventionalCNN:
    return ConventionalCNN(classifier(), grounding or Brightness())


def zoom(grounding: Brightness | None = None, patches: PatchConfig = PATCHES) -> GuidedZoom:
    return GuidedZoom(conventional(grounding), classifier(1), patches, EVIDENCE, mirrored=False)
