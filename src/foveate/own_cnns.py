"""Networks that were trained elsewhere: a library's name, a file of weights, and nothing of ours inside."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import timm
from jaxtyping import Float
from torch import Tensor, nn
from torchvision import models

from foveate.backbones import Backbone, Normalisation, TimmNetwork, normalisation_of
from foveate.config import Library, OwnConfig
from foveate.errors import UserError
from foveate.weights import check_finite, read_state_dict

_IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.", "aux_logits.")  # heads of Inception and GoogLeNet, used in training only
_PREFIXES = ("module.", "_orig_mod.", "model.")  # several devices, torch.compile, a Lightning module
_WITHOUT_AUXILIARY: dict[str, Any] = {"aux_logits": False, "init_weights": False}
_OPTIONS = {"inception_v3": _WITHOUT_AUXILIARY, "googlenet": _WITHOUT_AUXILIARY}


class OwnCNN(nn.Module):
    """Any CNN as it is: where its features end and its head begins is not known.

    Attributes:
        network: From normalised images to logits.
        architecture: The library's name of it.
        normalisation: What its images must be normalised with.
        classes: c, the number of classes.
    """

    def __init__(self, network: nn.Module, architecture: str, normalisation: Normalisation, classes: int) -> None:
        super().__init__()
        self.network = network
        self.architecture = architecture
        self.normalisation = normalisation
        self.classes = classes

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c"]:
        """Return the logits of normalised images."""
        logits: Tensor = self.network(images)
        return logits

    def logits(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c"]:
        """Return the same, as a backbone offers it."""
        logits: Tensor = self(images)
        return logits


def create_own_cnn(config: OwnConfig, classes: int) -> Backbone | OwnCNN:
    """Build a network of random weights, about to be loaded; a timm CNN of a backbone's form is seen as one.

    Raises:
        UserError: The library does not know the architecture.
    """
    _check_known(config)
    name = config.architecture
    if config.library is Library.TORCHVISION:
        module = models.get_model(name, num_classes=classes, **_OPTIONS.get(name, {}))
        return OwnCNN(module, name, _normalisation(config, _IMAGENET), classes)
    network = cast(TimmNetwork, timm.create_model(name, num_classes=classes))
    normalisation = _normalisation(config, normalisation_of(network))
    try:
        backbone = Backbone(network, name)
    except UserError:  # it has another form
        return OwnCNN(cast(nn.Module, network), name, normalisation, classes)
    backbone.normalisation = normalisation
    return backbone


def _normalisation(config: OwnConfig, usual: Normalisation) -> Normalisation:
    return Normalisation(config.mean or usual.mean, config.std or usual.std)


def _check_known(config: OwnConfig) -> None:
    name, library = config.architecture, config.library
    known = {
        Library.TIMM: timm.is_model(name) and ("." not in name or name in timm.list_pretrained()),
        Library.TORCHVISION: name in models.list_models(module=models),
    }
    if known[library]:
        return
    names = timm.list_models() if library is Library.TIMM else models.list_models(module=models)
    close = ", ".join(difflib.get_close_matches(name, names, n=5, cutoff=0.5))
    other = next((each for each, knows in known.items() if knows), None)
    mend = f"; {other} knows it: give --library {other}" if other else ""
    raise UserError(f"architecture must be one that {library} knows; got {name!r}; close: {close or 'none'}{mend}")


def load_own_weights(network: Backbone | OwnCNN, checkpoint: Path, architecture: str) -> None:
    """Load the weights of a file, whatever program wrote it.

    A prefix that all names share is left out, as are auxiliary heads that only training uses.

    Raises:
        UserError: The file cannot be read, or holds another architecture, another number of classes, or NaN.
    """
    module = cast(nn.Module, network.network)
    expected = module.state_dict()
    loaded = without_wrapping(read_state_dict(checkpoint))
    loaded = {name: each for name, each in loaded.items() if name in expected or not name.startswith(_AUXILIARY)}
    # Files of before 2018 do not count batches, and nothing depends on it.
    counters = {name: each for name, each in expected.items() if name.endswith("num_batches_tracked")}
    loaded = {**counters, **loaded}
    _check_classes(expected, loaded, checkpoint, network.classes)
    _check_entries(expected, loaded, checkpoint, architecture)
    check_finite(loaded, checkpoint)
    module.load_state_dict(loaded)


def without_wrapping(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out what programs put before all names."""
    bare = dict(weights)
    while prefix := next((each for each in _PREFIXES if bare and all(name.startswith(each) for name in bare)), None):
        bare = {name.removeprefix(prefix): each for name, each in bare.items()}
    return bare


def _check_classes(
    expected: Mapping[str, Tensor], loaded: Mapping[str, Tensor], checkpoint: Path, classes: int
) -> None:
    """Where all names fit, and all that differs is how many there are of what there should be one for each class."""
    if expected.keys() != loaded.keys():
        return
    differing = [name for name in expected if expected[name].shape != loaded[name].shape]
    shapes = [(tuple(expected[name].shape), tuple(loaded[name].shape)) for name in differing]
    if shapes and all(new[:1] == (classes,) and len(old) == len(new) and old[1:] == new[1:] for new, old in shapes):
        raise UserError(
            f"the checkpoint and the data set must have the same classes; {checkpoint} has {shapes[0][1][0]} (by "
            f"{differing[0]!r}), the data set {classes}; give the data set that it was trained with"
        )


def _check_entries(
    expected: Mapping[str, Tensor], loaded: Mapping[str, Tensor], checkpoint: Path, architecture: str
) -> None:
    missing, unexpected = expected.keys() - loaded.keys(), loaded.keys() - expected.keys()
    other = [name for name in expected.keys() & loaded.keys() if expected[name].shape != loaded[name].shape]
    problems = {"missing": missing, "unknown": unexpected, "of another shape": other}
    if any(problems.values()):
        named = "; ".join(f"{len(names)} {what}, {_some(names)}" for what, names in problems.items() if names)
        raise UserError(
            f"a checkpoint must hold the weights of its architecture; {checkpoint} does not fit {architecture!r}: "
            f"{named}; name the architecture and the library that it was trained with"
        )


def _some(names: Iterable[str]) -> str:
    first, *others = sorted(names)
    return f"{first!r} first" if others else repr(first)
