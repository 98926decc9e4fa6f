"""Where an activation has its places: feature maps, maps with the channels last, and the tokens of transformers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.errors import UserError
from foveate.grounding.layers import blank_images, private_copy

_MOST_PREFIX = 8
"""Tokens of no place (class token, registers) that are looked for where a network does not say how many it has."""


class Places(NamedTuple):
    """How the cells of an image lie in what a module gives.

    ``prefix`` tokens before them are of no place. ``channels_last`` holds of tokens (b, n, d) too.
    """

    height: int
    width: int
    prefix: int = 0
    channels_last: bool = True

    def map(self, values: Float[Tensor, "b ..."]) -> Float[Tensor, "b d h w"]:
        """Return values that lie like the activation as a feature map."""
        if not self.channels_last:
            return values
        cells = values.flatten(1, -2)[:, self.prefix :]
        return cells.reshape(len(cells), self.height, self.width, -1).permute(0, 3, 1, 2)


def places_of(output: object, images: Float[Tensor, "b 3 H W"], network: nn.Module) -> Places | None:
    """Return where an activation has its places; None: it has none.

    Feature maps (b, d, h, w) and (b, h, w, d) are told apart by the images' sides, tokens (b, n, d) must be as many as
    fill them, after those of no place. What could be either has its channels where timm's `output_fmt` says, or first.

    Args:
        output: What a module gave.
        images: For which it gave it.
        network: The module is one of its; it may say how many tokens are of no place (timm's `num_prefix_tokens`).
    """
    if not isinstance(output, Tensor) or len(output) != len(images):
        return None
    sides = images.shape[2] / images.shape[3]
    if output.ndim == 4:
        first = Places(output.shape[2], output.shape[3], channels_last=False)
        last = Places(output.shape[1], output.shape[2])
        ranked = [last, first] if getattr(network, "output_fmt", "NCHW") == "NHWC" else [first, last]
        best = min(ranked, key=lambda each: abs(each.height - each.width * sides))
        return best if images.shape[2] != images.shape[3] or best.height == best.width else None
    if output.ndim != 3:
        return None
    said = getattr(network, "num_prefix_tokens", 0)
    prefixes = dict.fromkeys([said if isinstance(said, int) else 0, *range(_MOST_PREFIX)])
    return next((each for prefix in prefixes for each in _grids(output.shape[1], prefix, sides)), None)


def _grids(tokens: int, prefix: int, sides: float) -> Iterator[Places]:
    """Yield the grid that so many tokens fill, within a cell of the images' shape; nothing where there is none."""
    count = tokens - prefix
    grids = [Places(height, count // height, prefix) for height in range(1, count + 1) if count % height == 0]
    fitting = [each for each in grids if abs(each.height - each.width * sides) < 1]
    yield from sorted(fitting, key=lambda each: abs(each.height - each.width * sides))[:1]


class _Activation(NamedTuple):
    """What a module gave that runs once; ``block``: it is no plain sequence, and took places too."""

    name: str
    output: Tensor
    places: Places
    block: bool


def last_places(network: nn.Module, stride: int | None = None) -> str:
    """Return the name of the last module whose output has places on which the logits rest.

    It is found by passing an image of noise, and going back. What lies inside of a block counts only where the block's
    own places do not: of a ViT whose last block is read at its class token, that is the norm before its attention.

    Args:
        network: From images to logits.
        stride: Pixels of the image for each cell; None: any.

    Raises:
        UserError: There is none.
    """
    copied = private_copy(network)
    blank = blank_images(network)
    images = torch.randn(blank.shape, generator=torch.Generator().manual_seed(0)).to(blank)
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
        logits, activations = _activations(copied, images.requires_grad_())
        total = (logits * torch.linspace(1, 2, logits.shape[1]).to(logits)).sum()
        outputs = [each.output for each in activations]
        gradients = torch.autograd.grad(total, outputs, allow_unused=True) if outputs else ()
    pairs = zip(activations, gradients, strict=True)
    reached = [each for each, gradient in pairs if gradient is not None and each.places.map(gradient).any()]
    blocks = tuple(f"{each.name}." for each in reached if each.block)
    fitting = [
        each.name
        for each in reached
        if not each.name.startswith(blocks) and stride in (None, round(images.shape[2] / each.places.height))
    ]
    if not fitting:
        which = "" if stride is None else f" of stride {stride}"
        raise UserError(
            f"a network must have a feature map or tokens{which} on which its logits rest; none was found with an "
            f"image of {images.shape[2]} pixels; name a layer, or take the method rise, which needs none"
        )
    return fitting[-1]


def _activations(
    network: nn.Module, images: Float[Tensor, "b 3 H W"]
) -> tuple[Float[Tensor, "b c"], list[_Activation]]:
    """Return the logits, and what has places, of modules that run once, as they finish."""
    runs: dict[str, list[tuple[Tensor, bool]]] = {}

    def note(name: str, module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if isinstance(output, Tensor) and output.requires_grad:
            given = inputs[0] if inputs else None
            inner = isinstance(given, Tensor) and given.shape != images.shape
            block = inner and not isinstance(module, nn.Sequential) and places_of(given, images, network) is not None
            runs[name] = [*runs.pop(name, []), (output, block)]

    for name, module in network.named_modules():
        if name and "attn" not in name:  # what is inside of attention looks like maps: a number for each two tokens
            module.register_forward_hook(partial(note, name))
    logits: Tensor = network(images)
    once = {name: given[0] for name, given in runs.items() if len(given) == 1}
    placed = ((name, places_of(output, images, network), output, block) for name, (output, block) in once.items())
    return logits, [
        _Activation(name, output, places, block)
        for name, places, output, block in placed
        if places is not None and places.height * places.width > 1
    ]
