"""Time contrastive excitation backprop of the five best classes against one forward pass of the same network.

Sides, interleaved: a float32 forward pass of a ResNet-50, and the maps of its five best classes at `layer3.0` (Guided
Zoom's res4a), the pass included; each in the default layout and channels last. In multiplications the maps cost 3.8
passes.

Where `torchray` can be imported it is a third side, and its maps are compared with ours where sums split by the raw
ratio: the largest difference as a share of the map's largest value. It is not a dependency, its licence being
non-commercial; by hand: `pip install --no-deps --target FOLDER torchray`, then FOLDER in PYTHONPATH. Prints one JSON
line: median and spread of the milliseconds, and the ratios of the medians.

    python benchmarks/grounding.py [--size 448] [--batch 4] [--classes 5] [--repetitions 5]
"""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
import torch
import tyro
from timing import interleaved, ratio, spread
from torch import Tensor, nn
from torchvision import models

from foveate.hardware import keep_freed_memory
from foveate.response.excitation import ExcitationBackprop
from foveate.runs import environment

LAYER = "layer3.0"
COMPARED = {"resnet50": (LAYER, "avgpool"), "vgg16": ("features.11", "classifier.4")}
"""Networks of torchvision, with the grounding layer and the layer of the contrast that torchray asks for."""


@dataclass(frozen=True)
class Benchmark:
    """What to time."""

    size: int = 448
    batch: int = 4
    classes: int = 5
    repetitions: int = 5


def sides(network: nn.Module, benchmark: Benchmark, layout: torch.memory_format) -> tuple[Callable[[], None], ...]:
    """Return a forward pass, and the maps, in a layout."""
    network = copy.deepcopy(network).eval().to(memory_format=layout)
    images = torch.randn(benchmark.batch, 3, benchmark.size, benchmark.size).contiguous(memory_format=layout)
    grounding = ExcitationBackprop(network, LAYER)

    def forward() -> None:
        with torch.inference_mode():
            network(images)

    def maps() -> None:
        grounding(images, benchmark.classes)

    return forward, maps


def imported_torchray() -> Any:
    """Return torchray's excitation backprop, None where it is not installed."""
    try:
        return importlib.import_module("torchray.attribution.excitation_backprop")
    except ImportError:
        return None


def torchray_maps(
    torchray: Any, network: nn.Module, names: tuple[str, str], images: Tensor, classes: Tensor, *, contrast: bool
) -> Tensor:
    """Return torchray's maps; it takes one class of each image at a time."""
    layer, above = names
    if contrast:
        return torch.cat(
            [
                torchray.contrastive_excitation_backprop(
                    network, images, each, saliency_layer=layer, contrast_layer=above
                )
                for each in classes.T
            ],
            dim=1,
        )
    return torch.cat(
        [torchray.excitation_backprop(network, images, each, saliency_layer=layer) for each in classes.T], dim=1
    )


def torchray_side(torchray: Any, benchmark: Benchmark) -> Callable[[], None]:
    """Return torchray's maps of as many classes."""
    network = torchray.update_resnet(models.resnet50().eval())
    images = torch.randn(benchmark.batch, 3, benchmark.size, benchmark.size)
    classes = torch.arange(benchmark.classes).expand(benchmark.batch, -1)

    def maps() -> None:
        torchray_maps(torchray, network, COMPARED["resnet50"], images, classes, contrast=True)

    return maps


def positive(network: nn.Module) -> nn.Module:
    """Give batch norms positive scales: torchray passes relevance through them whatever their sign."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return network.eval()


def differences(torchray: Any) -> dict[str, float]:
    """Return the largest difference between torchray's maps and ours, as a share of the map's largest value."""
    found = {}
    for name, names in COMPARED.items():
        for dtype in (torch.float32, torch.float64):
            network = positive(models.get_model(name)).to(dtype)
            images = torch.randn(2, 3, 128, 128, dtype=dtype)
            for contrast in (True, False):
                ours = ExcitationBackprop(network, names[0], contrast=contrast, raw=True)(images, 3)
                other = copy.deepcopy(network)
                if name == "resnet50":
                    torchray.update_resnet(other)
                theirs = torchray_maps(torchray, other, names, images, ours.classes, contrast=contrast).float()
                share = (theirs - ours.maps).abs().amax(dim=(2, 3)) / theirs.amax(dim=(2, 3))
                found[f"{name} {'cEB' if contrast else 'EB'} {dtype}"] = float(f"{share.max().item():.2g}")
    return found


def main(benchmark: Benchmark) -> None:
    """Interleave the sides and print the line."""
    keep_freed_memory()
    torch.manual_seed(0)
    network, torchray = timm.create_model("resnet50"), imported_torchray()
    timed: dict[str, Callable[[], None]] = {}
    timed["forward"], timed["maps"] = sides(network, benchmark, torch.contiguous_format)
    timed["forward_channels_last"], timed["maps_channels_last"] = sides(network, benchmark, torch.channels_last)
    if torchray is not None:
        timed["torchray"] = torchray_side(torchray, benchmark)
    milliseconds = interleaved(timed, benchmark.repetitions)
    line: dict[str, object] = {
        "case": "grounding",
        **vars(benchmark),
        "milliseconds": {side: spread(values) for side, values in milliseconds.items()},
        "forward_passes": round(ratio(milliseconds, "maps", "forward"), 2),
        "forward_passes_channels_last": round(ratio(milliseconds, "maps_channels_last", "forward_channels_last"), 2),
    }
    if torchray is not None:
        line["forward_passes_torchray"] = round(ratio(milliseconds, "torchray", "forward"), 2)
        line["difference_from_torchray"] = differences(torchray)
    print(json.dumps({**line, **environment()}))


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
