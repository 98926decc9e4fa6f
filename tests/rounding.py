"""What the tests compute in, and noise of the size of rounding: on what a processor rounds no test may depend.

``FOVEATE_PRECISION=bf16`` runs them in bfloat16, which a processor without it emulates; without it they run in float32
on every machine. ``FOVEATE_TEST_NOISE=1`` adds noise of one step of bfloat16 to what every CNN makes of its images: a
backbone's features, another network's logits. Another number is other noise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from foveate.backbones.backbone import Backbone
from foveate.backbones.own_cnns import OwnCNN

_STEP = 2**-7  # from 1 to the next number of bfloat16


silent = False
"""Set by the fixture `without_noise`, for tests of which two sides are not reached alike."""


def set_precision() -> None:
    """Let `auto` mean float32 unless the environment says otherwise."""
    os.environ.setdefault("FOVEATE_PRECISION", "float32")


def add_noise() -> None:
    """Add the noise that the environment asks for to every answer of this process."""
    if seed := int(os.environ.get("FOVEATE_TEST_NOISE", 0)):
        register_module_forward_hook(lambda module, images, answers: _disturb(module, answers, seed))


def _disturb(module: nn.Module, answers: Any, seed: int) -> None:
    if not silent and isinstance(module, Backbone | OwnCNN):
        with torch._C.DisableTorchFunction():
            for values in _tensors(answers):
                # A smooth function of the value alone: two ways to one answer still agree, and so do all of one batch.
                values.data.mul_(1 + _STEP * torch.sin(16 * values.data.float() + seed).to(values.dtype))


def _tensors(answers: Any) -> Iterable[Tensor]:
    each = [answers] if isinstance(answers, Tensor) else [value for value in answers if isinstance(value, Tensor)]
    return {value.data_ptr(): value for value in each}.values()
