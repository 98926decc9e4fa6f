"""Depthwise convolutions whose gradients are taken in float32 while everything else stays in bfloat16.

On processors oneDNN has fast bfloat16 kernels for the forward pass of a depthwise convolution, but falls back to
generic ones for the gradient of 5x5 weights and of strided inputs: four to fourteen times slower than its float32
kernels. EfficientNets spend more than half of a bfloat16 training step there (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_Pair = int | Sequence[int]


class Float32DepthwiseGradients(TorchFunctionMode):
    """Inside this context depthwise `conv2d` calls under CPU bfloat16 autocast get float32 gradients.

    Only where that is faster: kernels above 3x3, or strided. The forward pass is unchanged to the bit.

    Nothing is patched: the mode is scoped to the thread and the `with` block, modules and weights stay as they are.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Replace the calls in question, pass on all others."""
        if func is functional.conv2d and torch.is_autocast_enabled("cpu"):
            return _conv2d(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Pair = 1,
    padding: str | _Pair = 0,
    dilation: _Pair = 1,
    groups: int = 1,
) -> Tensor:
    depthwise = groups > 1 and groups == weight.shape[0] and weight.shape[1] == 1
    slow = weight.shape[-1] > 3 or _pair(stride) != [1, 1]
    if not (depthwise and slow) or bias is not None or isinstance(padding, str) or input.device.type != "cpu":
        return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)
    output: Tensor = _DepthwiseConv2d.apply(input, weight, _pair(stride), _pair(padding), _pair(dilation))
    return output


def _pair(value: _Pair) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


class _DepthwiseConv2d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, stride: list[int], padding: list[int], dilation: list[int]
    ) -> Tensor:
        input = input.to(torch.bfloat16)
        ctx.save_for_backward(input, weight)
        ctx.geometry = (stride, padding, dilation)
        return functional.conv2d(
            input, weight.to(torch.bfloat16), None, stride, padding, dilation, groups=weight.shape[0]
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        input, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.geometry
        by_input, by_weight, _ = torch.ops.aten.convolution_backward(
            gradient.float(),
            input.float(),
            weight.float(),
            None,
            stride,
            padding,
            dilation,
            False,
            [0, 0],
            weight.shape[0],
            [*ctx.needs_input_grad[:2], False],
        )
        return None if by_input is None else by_input.to(gradient.dtype), by_weight, None, None, None
