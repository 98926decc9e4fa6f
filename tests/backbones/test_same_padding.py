"""Kernels that are padded in place of their input give what timm's own give."""

from __future__ import annotations

import copy
from typing import Any, cast
from unittest import mock

import pytest
import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.testing import assert_close

from foveate.backbones.backbone import create_backbone
from foveate.backbones.folding import folded
from foveate.backbones.same_padding import EvenlyPadded, pad_evenly
from foveate.config.networks import BackboneConfig


def both(kernel: int, bias: bool = True) -> tuple[nn.Module, nn.Module]:
    theirs = nn.Sequential(Conv2dSame(6, 6, kernel, 2, groups=6, bias=bias))
    ours = copy.deepcopy(theirs)
    pad_evenly(ours)
    assert type(ours[0]) is EvenlyPadded
    return theirs, ours


def images(*size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    values = torch.randn(2, 6, *size, generator=torch.Generator().manual_seed(0)).to(dtype)
    return values.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("size", [(8, 8), (8, 12), (7, 7), (8, 9), (2, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_answers(kernel: int, size: tuple[int, int], dtype: torch.dtype) -> None:
    """To the bit where this was written; the order of sums is each processor's own."""
    theirs, ours = both(kernel)
    with torch.inference_mode():
        assert_close(ours.to(dtype)(images(*size, dtype=dtype)), theirs.to(dtype)(images(*size, dtype=dtype)))


def test_gradients_are_those_of_before() -> None:
    theirs, ours = both(3, bias=False)
    for each in (theirs, ours):
        each(images(8, 8)).square().sum().backward()
    for one, other in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)


def test_without_a_gradient_nothing_is_copied() -> None:
    _, ours = both(3)
    with mock.patch.object(Conv2dSame, "forward", autospec=True, side_effect=Conv2dSame.forward) as theirs:
        with torch.no_grad():
            ours(images(8, 8))
        ours.requires_grad_(requires_grad=False)(images(8, 8))  # as the layers that a training leaves as they are
        assert not theirs.called
        ours(images(8, 8).requires_grad_())
        assert theirs.called


@pytest.mark.filterwarnings("ignore")
def test_what_is_traced_keeps_the_padding_and_takes_other_sizes() -> None:
    theirs, ours = both(3)
    with torch.no_grad():
        traced = cast(Any, torch.jit).trace(ours, images(8, 8))
        for size in ((8, 8), (7, 9)):
            assert_close(traced(images(*size)), theirs(images(*size)))


def test_other_convolutions_stay() -> None:
    layers: list[nn.Conv2d] = [Conv2dSame(6, 6, 3, 2), Conv2dSame(6, 12, 3, 2, groups=6)]
    layers += [Conv2dSame(6, 6, side, stride, groups=6) for side, stride in ((3, 1), (4, 2), (1, 2))]
    layers += [nn.Conv2d(6, 6, 3, 2, groups=6)]
    network = nn.Sequential(*layers)
    pad_evenly(network)
    assert [type(each) for each in network] == [type(each) for each in layers]


def test_the_default_backbone_answers_as_timm_does_and_is_folded_whole() -> None:
    ours = create_backbone(BackboneConfig(weights="none"), 5).eval()
    theirs: Any = timm.create_model("tf_efficientnet_lite0", num_classes=5).eval()
    theirs.load_state_dict(ours.network.state_dict())
    exchanged = [each for each in ours.modules() if isinstance(each, EvenlyPadded)]
    assert len(exchanged) == 4
    seen = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert_close(ours(seen), theirs.forward_features(seen), rtol=1e-3, atol=1e-4)
        placed: nn.Module = folded(ours)
        assert not any(isinstance(each, nn.BatchNorm2d) for each in placed.modules())
        assert_close(placed(seen), ours(seen), rtol=1e-3, atol=1e-4)
