"""TensorFlow's "same" padding without a padded copy of the input: the same answers, for less memory traffic.

Of an even side a strided convolution with that padding begins at the first cells and reaches beyond the last ones:
uneven padding, which torch has for no convolution, so that timm copies the input into a larger one first. On a
processor that copy takes several times as long as a depthwise convolution. A kernel with a row and a column of zeros
before it, padded evenly, reads the same cells.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional


class EvenlyPadded(Conv2dSame):
    """A depthwise convolution of stride 2 that pads its kernel in place of its input, wherever that is faster.

    That is on a processor and without a gradient. What is exported keeps the padding, which runtimes join to it.
    """

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d u v"]:
        """Convolve."""
        learns = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        recorded = torch.compiler.is_compiling() or cast(Any, torch.jit).is_tracing()
        if learns or recorded or x.device.type != "cpu" or x.shape[2] % 2 or x.shape[3] % 2:
            as_timm_does: Tensor = cast(Any, super()).forward(x)
            return as_timm_does
        padding = [side // 2 for side in self.kernel_size]
        widened = functional.pad(self.weight, (1, 0, 1, 0))
        return functional.conv2d(x, widened, self.bias, self.stride, padding, groups=self.groups)


def pad_evenly(network: nn.Module) -> None:
    """Exchange the convolutions in question, in place; parameters and their names stay."""
    for name, module in list(network.named_modules()):
        if type(module) is Conv2dSame and _reads_past_the_end(module):
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, _exchanged(module))


def _reads_past_the_end(convolution: nn.Conv2d) -> bool:
    depthwise = convolution.groups == convolution.in_channels == convolution.out_channels > 1
    odd = all(side % 2 and side > 1 for side in convolution.kernel_size)
    return depthwise and odd and convolution.stride == (2, 2) and convolution.dilation == (1, 1)


def _exchanged(convolution: nn.Conv2d) -> EvenlyPadded:
    with torch.device("meta"):
        new = EvenlyPadded(
            convolution.in_channels,
            convolution.out_channels,
            cast(tuple[int, int], convolution.kernel_size),
            2,
            groups=convolution.groups,
            bias=convolution.bias is not None,
        )
    new.weight, new.bias = convolution.weight, convolution.bias
    return new.train(convolution.training)
