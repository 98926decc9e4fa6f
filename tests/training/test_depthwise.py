"""The gradients of depthwise convolutions, against float32 arithmetic throughout."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import timm
import torch
from torch import Tensor
from torch.nn import functional

from foveate.training.depthwise import FastDepthwiseGradients


def gradients(
    inputs: Tensor, weight: Tensor, stride: int, padding: int, *, bf16: bool, mode: bool
) -> tuple[Tensor, Tensor, Tensor]:
    inputs, weight = inputs.clone().requires_grad_(), weight.clone().requires_grad_()
    context = FastDepthwiseGradients() if mode else nullcontext()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16), context:
        output = functional.conv2d(inputs, weight, None, stride, padding, groups=weight.shape[0])
    by_input, by_weight = torch.autograd.grad(output.float().square().sum(), (inputs, weight))
    return output.detach(), by_input, by_weight


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(5, 1, 2), (5, 1, 0), (5, 1, 6), (5, 2, 0), (5, 2, 2), (3, 2, 1), (3, 1, 1), (7, 2, 3)],
)
def test_the_forward_pass_is_the_same_and_the_gradients_are_nearer_to_float32(
    kernel: int, stride: int, padding: int
) -> None:
    torch.manual_seed(0)
    inputs, weight = torch.randn(4, 8, 15, 15), torch.randn(8, 1, kernel, kernel)
    exact = gradients(inputs, weight, stride, padding, bf16=False, mode=False)
    plain = gradients(inputs, weight, stride, padding, bf16=True, mode=False)
    ours = gradients(inputs, weight, stride, padding, bf16=True, mode=True)
    assert torch.equal(ours[0], plain[0])
    for mine, theirs, true in zip(ours[1:], plain[1:], exact[1:], strict=True):
        assert mine.dtype is torch.float32
        assert (mine - true).norm() <= (theirs - true).norm() * 1.05
        torch.testing.assert_close(mine, true, rtol=0.05, atol=0.05 * float(true.abs().max()))


def test_other_convolutions_pass_untouched() -> None:
    inputs = torch.randn(2, 4, 9, 9, requires_grad=True)
    weight, bias = torch.randn(4, 1, 5, 5), torch.randn(4)
    with torch.autocast("cpu", torch.bfloat16), FastDepthwiseGradients():
        with_bias = functional.conv2d(inputs, weight, bias, padding=2, groups=4)
        dense = functional.conv2d(inputs, torch.randn(6, 4, 5, 5))
    with FastDepthwiseGradients():
        no_autocast = functional.conv2d(inputs, weight, padding=2, groups=4)
    for output in (with_bias, dense, no_autocast):
        assert output.grad_fn is not None
        assert "Convolution" in output.grad_fn.name()


def test_a_whole_network_meets_the_mode_and_keeps_its_modules() -> None:
    network = timm.create_model("tf_efficientnet_lite0", num_classes=3)
    before = {name: type(module) for name, module in network.named_modules()}
    seen: list[str] = []
    with torch.autocast("cpu", torch.bfloat16), FastDepthwiseGradients():
        output = network.get_submodule("blocks.2.1.conv_dw")(torch.randn(2, 240, 8, 8))
        seen.append(output.grad_fn.name())
    assert seen == ["_DepthwiseConv2dBackward"]
    assert before == {name: type(module) for name, module in network.named_modules()}
