"""A trained network and the device it runs on: pixels in, probabilities out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from foveate.backbones import Normalisation
from foveate.config import HardwareConfig
from foveate.hardware import autocast_dtype, device_of
from foveate.methods.plain import PlainNetwork


def network_input(
    images: UInt8[Tensor, "n H W 3"], normalisation: Normalisation, *, channels_last: bool = True
) -> Float[Tensor, "n 3 H W"]:
    """Turn decoded pixels into what the network takes; `channels_last` is about the memory layout only."""
    pixels = images.permute(0, 3, 1, 2)
    return normalisation(pixels if channels_last else pixels.contiguous())


@dataclass(frozen=True)
class Classifier:
    """A network in evaluation mode on its device; `probabilities` may be called from several threads."""

    network: PlainNetwork
    device: torch.device
    dtype: torch.dtype
    channels_last: bool

    @classmethod
    def place(cls, network: PlainNetwork, hardware: HardwareConfig) -> Classifier:
        """Put the network on the device that `hardware` asks for."""
        device = device_of(hardware)
        layout = torch.channels_last if hardware.channels_last else torch.contiguous_format
        placed = network.eval().to(device).to(memory_format=layout)
        return cls(placed, device, autocast_dtype(hardware), hardware.channels_last)

    @torch.inference_mode()
    def probabilities(self, images: UInt8[Tensor, "b v H W 3"]) -> Float[Tensor, "b c"]:
        """Return each photograph's class probabilities in float32 on the CPU, averaged over its views."""
        count, views = images.shape[:2]
        pixels = images.flatten(0, 1).to(self.device, non_blocking=True)
        inputs = network_input(pixels, self.network.backbone.normalisation, channels_last=self.channels_last)
        enabled = self.dtype is not torch.float32
        with torch.autocast(self.device.type, self.dtype, enabled=enabled):
            logits = self.network(inputs)
        probabilities: Tensor = logits.float().softmax(-1).unflatten(0, (count, views)).mean(1).cpu()
        return probabilities
