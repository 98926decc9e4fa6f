"""Where in an image a network's last features lie, and what its linear head averages: found by trying.

Class maps (S3N Eq. 1) rest on one contract: a map (b, d, h, w) whose mean over places is the input of the linear head.
CNNs have it. ConvNeXt normalises the mean: the same norm, with the statistics of the mean, is applied at each place.
Swin has its channels last. Vision transformers have tokens: those of patches are laid out as they lie in the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from timm.layers.norm import RmsNorm
from torch import Tensor, nn

from foveate.backbones.timm_networks import TimmNetwork
from foveate.errors import UserError

_RTOL, _ATOL = 1e-3, 1e-4
_NORMS = (nn.LayerNorm, nn.RMSNorm, RmsNorm)


class Order(StrEnum):
    """In which order a network gives its last features."""

    CHANNELS_FIRST = "channels first"
    CHANNELS_LAST = "channels last"
    TOKENS = "tokens"


class MapContract(NamedTuple):
    """Whether each place of the class maps is what that place adds to the logit."""

    exact: bool
    """True: maps add up to the logits less the bias, and each place holds its own share. False: they add up, but the
    shares of the places are an approximation."""
    reason: str
    """Why, in a few words."""


@dataclass(frozen=True)
class Layout:
    """How a network's last features become a map whose mean over places is the input of its head."""

    order: Order
    prefix: int = 0
    """How many tokens come before those of the patches: the class token, if there is one, and registers."""
    norm: str | None = None
    """Name of the layer norm, or RMS norm, between the average and the head; None: there is none."""
    from_class_token: bool = False
    """Whether the head stands on the class token."""

    @property
    def contract(self) -> MapContract:
        """What class maps on it are."""
        if self.from_class_token:
            return MapContract(False, "its head stands on the class token; maps are what it makes of the patch tokens")
        if self.norm is not None:
            return MapContract(True, "each place is normalised with the statistics of the mean")
        return MapContract(True, "its head is linear on the mean over places")

    def __call__(
        self, network: nn.Module, features: Tensor, images: Float[Tensor, "b 3 H W"]
    ) -> Float[Tensor, "b d h w"]:
        """Return the map.

        Args:
            network: That gave the features.
            features: As its `forward_features` gives them.
            images: That it was shown.

        Raises:
            UserError: The tokens do not fill a grid of the image's shape.
        """
        maps = self._arranged(features, images)
        if self.from_class_token:
            token = self.class_token(network, features)
            return maps + (token - maps.mean(dim=(2, 3)))[:, :, None, None]
        return maps if self.norm is None else _normed_by_the_mean(maps, network.get_submodule(self.norm))

    def class_token(self, network: nn.Module, features: Float[Tensor, "b n d"]) -> Float[Tensor, "b d"]:
        """Return the class token as a head sees it; arguments as in `__call__`."""
        token = features[:, 0]
        return token if self.norm is None else cast(Tensor, network.get_submodule(self.norm)(token))

    def _arranged(self, features: Tensor, images: Tensor) -> Float[Tensor, "b d h w"]:
        if self.order is Order.CHANNELS_FIRST:
            return features
        if self.order is Order.CHANNELS_LAST:
            return features.permute(0, 3, 1, 2)
        patches = features[:, self.prefix :]
        size = (int(images.shape[2]), int(images.shape[3]))
        height = max(1, round((int(patches.shape[1]) * size[0] / size[1]) ** 0.5))
        if patches.shape[1] % height:
            raise UserError(
                f"patch tokens must fill a grid of the image's shape; {patches.shape[1]} of them do not fill one of "
                f"{size[0]}x{size[1]} pixels; give square images"
            )
        return patches.transpose(1, 2).reshape(patches.shape[0], patches.shape[2], height, -1)


class Probe(NamedTuple):
    """What a network made of one probe image."""

    features: Tensor
    """As `forward_features` gives them."""
    pooled: Float[Tensor, "1 d"]
    """The input of its linear head."""
    logits: Float[Tensor, "1 c"]
    norms: dict[str, Tensor]
    """Of each layer norm that ran after the features, by its name: what it gave."""
    outputs: dict[str, object]
    """Of the modules asked for: what each gave."""


def noise(head: nn.Linear, side: int) -> Float[Tensor, "1 3 H W"]:
    """Return an image of noise, of the type and on the device of a head, `side` pixels high and wide."""
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(head.weight)


@torch.no_grad()
def probe(
    network: TimmNetwork, head: nn.Linear, images: Float[Tensor, "1 3 H W"], outputs: tuple[str, ...] = ()
) -> Probe | None:
    """Run a network on an image; None: its head did not run.

    Args:
        network: It stays as it is.
        head: Its linear head.
        images: One of noise.
        outputs: Names of modules whose output is kept.
    """
    module = cast(nn.Module, network)
    passed: dict[str, list[object]] = {}
    heads: list[Tensor] = []
    kept = {name: each for name, each in module.named_modules() if name in outputs or isinstance(each, _NORMS)}
    handles = [
        each.register_forward_hook(lambda _, __, given, name=name: passed.setdefault(name, []).append(given))
        for name, each in kept.items()
    ]
    handles.append(head.register_forward_pre_hook(lambda _, taken: heads.append(taken[0])))
    training = network.training
    network.train(False)
    try:
        logits = network(images)
        features = network.forward_features(images)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    if not heads or not isinstance(logits, Tensor) or not isinstance(features, Tensor):
        return None
    # The features are computed twice: what runs after them runs once.
    after = {name: given for name, (given, *again) in passed.items() if not again and isinstance(given, Tensor)}
    return Probe(features, heads[0].flatten(1), logits, after, {name: given for name, (given, *_) in passed.items()})


def layout_of(network: TimmNetwork, head: nn.Linear, seen: Probe | None, images: Tensor) -> Layout | str:
    """Return the layout under which the mean of the last features is the head's input, or why there is none."""
    module = cast(nn.Module, network)
    if seen is None:
        return "its head does not give the logits"
    if not _close(head(seen.pooled), seen.logits):
        return "its logits are not its head's answer alone"
    orders = list(_orders(network, seen.features, head.in_features))
    if not orders:
        return f"its last features have shape {tuple(seen.features.shape)}, its head takes {head.in_features}"
    for plain in orders:
        for layout in _candidates(plain, seen):
            try:
                pooled = layout(module, seen.features, images).mean(dim=(2, 3))
            except UserError as error:
                return str(error)
            if _close(pooled, seen.pooled):
                return layout
    return "its logits are not its head's answer to the mean of its last features"


def _orders(network: TimmNetwork, features: Tensor, channels: int) -> Iterator[Layout]:
    if features.ndim == 4 and features.shape[1] == channels:
        yield Layout(Order.CHANNELS_FIRST)
    if features.ndim == 4 and features.shape[3] == channels:
        yield Layout(Order.CHANNELS_LAST)
    if features.ndim == 3 and features.shape[2] == channels:
        yield Layout(Order.TOKENS, int(getattr(network, "num_prefix_tokens", None) or 0))


def _candidates(plain: Layout, seen: Probe) -> Iterator[Layout]:
    """Yield what a head may stand on: the mean, the normalised mean, the class token."""
    names = [None, *(name for name, given in seen.norms.items() if given.numel() == seen.pooled.numel())]
    yield from (Layout(plain.order, plain.prefix, norm) for norm in names)
    if plain.prefix:
        yield from (Layout(plain.order, plain.prefix, norm, from_class_token=True) for norm in names)


def _normed_by_the_mean(maps: Float[Tensor, "b d h w"], norm: nn.Module) -> Float[Tensor, "b d h w"]:
    """Apply a norm over channels at each place with the statistics of the mean, whose norm is then the new mean.

    Args:
        maps: Before the norm.
        norm: A layer norm, or an RMS norm, which takes nothing off.
    """
    mean = maps.float().mean(dim=(2, 3))
    centre = mean.mean(dim=1, keepdim=True) if isinstance(norm, nn.LayerNorm) else torch.zeros_like(mean[:, :1])
    variance = (mean - centre).square().mean(dim=1, keepdim=True)
    eps, weight, bias = (getattr(norm, name, None) for name in ("eps", "weight", "bias"))
    scale = (variance + (torch.finfo(mean.dtype).eps if eps is None else eps)).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -centre * scale if bias is None else bias - centre * scale
    scale = scale.expand_as(mean)
    return maps * scale[:, :, None, None] + shift[:, :, None, None]


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=_RTOL, atol=_ATOL)
