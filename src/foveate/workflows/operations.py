"""What an answer costs in arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from foveate.backbones.backbone import Backbone
from foveate.backbones.own_cnns import OwnCNN
from foveate.inference.classifier import Classifier


def gflop_of_an_answer(classifier: Classifier, side: int) -> float:
    """Count the floating point operations of one answer, in thousand millions; a multiply-add is two.

    Counted are convolutions and matrix products as they are done on its device: on a processor a stride of 2 may cost a
    padded kernel (1% of an EfficientNet-Lite0).

    Args:
        classifier: Who answers; nobody else asks it meanwhile.
        side: Of the images that it is given, in pixels.

    Returns:
        Three digits.
    """
    images = torch.zeros(1, 1, side, side, 3, dtype=torch.uint8)
    images.random_(0, 256, generator=torch.Generator().manual_seed(0))
    unfused = sdpa_kernel(SDPBackend.MATH)  # fused attention counts nothing
    with _by_torch(classifier.network.backbones), unfused, FlopCounterMode(display=False) as counter:
        classifier.probabilities(images)
    return float(f"{counter.get_total_flops() / 1e9:.3g}")


@contextmanager
def _by_torch(backbones: Sequence[Backbone | OwnCNN]) -> Iterator[None]:
    """Have torch compute what another runtime does, which does not count."""
    runtimes = [each.runtime for each in backbones]
    for each in backbones:
        each.runtime = None
    try:
        yield
    finally:
        for each, runtime in zip(backbones, runtimes, strict=True):
            each.runtime = runtime
