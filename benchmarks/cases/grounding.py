"""Contrastive excitation backprop against a forward pass, and against what else can be installed.

ResNet-50, its maps at `layer3.0` (Guided Zoom's res4a), the forward pass included. In multiplications the maps of five
classes cost 3.8 passes. `torchray` and `zennit` are no dependencies (the first for its licence); by hand:
`pip install --no-deps --target FOLDER torchray zennit`, then FOLDER in PYTHONPATH. zennit knows no contrast and goes
down to the pixels: its side is excitation backprop, one class at a time, so that k classes cost k times what one does.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from foveate.grounding.excitation.backprop import ExcitationBackprop
from harness import Built, Case, Side
from networks import Scale, smoke

LAYER = "layer3.0"
COMPARED = {"resnet50": (LAYER, "avgpool"), "vgg16": ("features.11", "classifier.4")}
"""Networks of torchvision, with the grounding layer and the layer of the contrast that torchray asks for."""


def importable(name: str) -> Any:
    """Return a module, None where it is not installed or does not run beside the packages that are."""
    try:
        return importlib.import_module(name)
    except (ImportError, AttributeError):
        return None


def torchray_maps(
    torchray: Any, network: nn.Module, names: tuple[str, str], images: Tensor, classes: Tensor, *, contrast: bool = True
) -> Tensor:
    """Return torchray's maps; it takes one class of each image at a time."""
    layer, above = names
    if contrast:
        ask = partial(torchray.contrastive_excitation_backprop, saliency_layer=layer, contrast_layer=above)
    else:
        ask = partial(torchray.excitation_backprop, saliency_layer=layer)
    return torch.cat([ask(network, images, each) for each in classes.T], dim=1)


def zennit_side(zennit: Any, network: nn.Module, images: Tensor, classes: int) -> Side:
    """Return zennit's relevance of as many classes."""
    composites = importlib.import_module("zennit.composites")
    targets = torch.eye(1000)[:classes]

    def maps() -> None:
        with zennit.Gradient(model=network, composite=composites.ExcitationBackprop()) as attributor:
            for target in targets:
                attributor(images, target.expand(len(images), -1))

    return maps


def others(images: Tensor, classes: int) -> tuple[dict[str, Side], dict[str, str]]:
    """Return the sides of other packages, and why some are missing."""
    sides: dict[str, Side] = {}
    torchray = importable("torchray.attribution.excitation_backprop")
    zennit = importable("zennit.attribution")
    if torchray is not None:
        network, asked = torchray.update_resnet(models.resnet50().eval()), torch.arange(classes)
        asked = asked.expand(len(images), -1)
        sides["torchray"] = lambda: torchray_maps(torchray, network, COMPARED["resnet50"], images, asked)
    if zennit is not None and classes == 1:
        sides["zennit_eb"] = zennit_side(zennit, models.resnet50().eval(), images, classes)
    missing = {"torchray": torchray, "zennit_eb": zennit}
    return sides, {name: "not importable: install it by hand" for name, found in missing.items() if found is None}


def own_sides(network: nn.Module, images: Tensor, classes: int, layout: torch.memory_format) -> dict[str, Side]:
    """Return a forward pass, and the maps, in a layout."""
    network = copy.deepcopy(network).to(memory_format=layout)
    images, grounding = images.contiguous(memory_format=layout), ExcitationBackprop(network, LAYER)

    def forward() -> None:
        with torch.inference_mode():
            network(images)

    return {"forward": forward, "ceb": lambda: grounding(images, classes)}


def grounded(classes: int, quick: bool) -> Built:
    """Return the sides in the layout of the other packages, and ours in the fast one."""
    scale = Scale(architecture="resnet50", size=448, batch=2, classes=1000)
    scale = replace(scale, size=64) if quick else scale
    torch.manual_seed(0)
    network, images = models.resnet50().eval(), torch.randn(scale.batch, 3, scale.size, scale.size)
    fast = own_sides(network, images, classes, torch.channels_last)
    theirs, skipped = others(images, classes)
    sides = own_sides(network, images, classes, torch.contiguous_format)
    return Built(
        sides={**sides, **{f"{name}_channels_last": side for name, side in fast.items()}, **theirs},
        reference="forward",
        settings={**scale.settings(), "asked": classes, "layer": LAYER},
        skipped=skipped,
        uncounted=("zennit_eb",),
        notes=partial(differences, quick) if "torchray" in theirs and classes > 1 else dict,
    )


def growth(classes: int, quick: bool) -> Built:
    """Return a forward pass and the maps of some classes; what grows is what is paid for each more class."""
    scale = Scale(architecture="resnet50", batch=4, classes=1000)
    scale = smoke(scale) if quick else scale
    torch.manual_seed(0)
    images = torch.randn(scale.batch, 3, scale.size, scale.size)
    return Built(
        sides=own_sides(models.resnet50().eval(), images, classes, torch.channels_last),
        reference="forward",
        settings={**scale.settings(), "architecture": "resnet50", "layer": LAYER},
    )


def _positive(network: nn.Module) -> nn.Module:
    """Give batch norms positive scales: torchray passes relevance through them whatever their sign."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return network.eval()


def differences(quick: bool) -> Mapping[str, float]:
    """Return the largest difference between torchray's maps and ours, as a share of the map's largest value."""
    torchray = importable("torchray.attribution.excitation_backprop")
    return {
        f"{name} {'cEB' if contrast else 'EB'} {dtype}": _difference(torchray, name, dtype, contrast)
        for name in COMPARED
        if not quick or name == "resnet50"
        for dtype in (torch.float32, torch.float64)
        for contrast in (True, False)
    }


def _difference(torchray: Any, name: str, dtype: torch.dtype, contrast: bool) -> float:
    names = COMPARED[name]
    network, images = _positive(models.get_model(name)).to(dtype), torch.randn(2, 3, 128, 128, dtype=dtype)
    ours = ExcitationBackprop(network, names[0], contrast=contrast, raw=True)(images, 3)
    other = copy.deepcopy(network)
    if name == "resnet50":
        torchray.update_resnet(other)
    theirs = torchray_maps(torchray, other, names, images, ours.classes, contrast=contrast).float()
    share = (theirs - ours.maps).abs().amax(dim=(2, 3)) / theirs.amax(dim=(2, 3))
    return float(f"{share.max().item():.2g}")


_Build = Callable[[bool], Built]
_TOP: dict[int, _Build] = {classes: partial(grounded, classes) for classes in (1, 5)}

CASES = (
    *(Case(name=f"ceb_top{classes}", build=build) for classes, build in _TOP.items()),
    *(Case(name="ceb", at={"k": classes}, build=partial(growth, classes)) for classes in (1, 2, 5, 10, 20)),
)
