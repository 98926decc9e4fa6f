"""Networks that were trained elsewhere: a library's name, a file of weights, and nothing of ours inside."""

from __future__ import annotations

import difflib
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from foveate.backbones.backbone import Backbone, Normalisation, normalisation_of
from foveate.backbones.foreign_weights import read_foreign_weights, shortened
from foveate.backbones.positions import as_timm_has_them
from foveate.backbones.same_padding import pad_evenly
from foveate.backbones.timm_networks import TimmNetwork
from foveate.backbones.weight_names import Fit, alike, fits, with_head
from foveate.backbones.weights import check_finite
from foveate.config.networks import Library, OwnConfig
from foveate.errors import UserError

_IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.", "aux_logits.")  # heads of Inception and GoogLeNet, used in training only
_WITHOUT_AUXILIARY: dict[str, Any] = {"aux_logits": False, "init_weights": False}
_OPTIONS = {"inception_v3": _WITHOUT_AUXILIARY, "googlenet": _WITHOUT_AUXILIARY}


class OwnCNN(nn.Module):
    """Any CNN as it is: where its features end and its head begins is not known.

    Attributes:
        network: From normalised images to logits.
        architecture: The library's name of it.
        normalisation: What its images must be normalised with.
        classes: c, the number of classes.
        layout: None: how its features lie is not known.
        runtime: What makes logits of images in torch's place, where nothing is learned; None: torch.
    """

    layout: None = None
    runtime: Callable[[Tensor], Tensor] | None = None

    def __init__(self, network: nn.Module, architecture: str, normalisation: Normalisation, classes: int) -> None:
        super().__init__()
        self.network = network
        self.architecture = architecture
        self.normalisation = normalisation
        self.classes = classes

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c"]:
        """Return the logits of normalised images."""
        logits: Tensor = self.network(images) if self.runtime is None else self.runtime(images)
        return logits

    @property
    def stride16(self) -> None:
        """None: the layer is found by trying images of two sizes (`foveate.grounding.layers.layer_of_stride`)."""
        return None

    def pooled(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b d"]:
        """Refuse to say what the features of images are.

        Raises:
            UserError: Where its features end and its head begins is not known.
        """
        raise UserError(
            f"features are those of a linear head on a globally averaged map; {self.architecture} is taken as it is; "
            "train an Evidence CNN of another architecture"
        )

    def with_linear_head(self) -> Backbone:
        """Refuse to be seen as features and a linear head.

        Raises:
            UserError: Where its features end and its head begins is not known.
        """
        raise UserError(
            "class maps rest on a linear head on globally averaged features of a timm network; got "
            f"{self.architecture}, whose head is not known to be one; take another method of grounding "
            "(--pool.grounding.method), such as eb or grad-cam"
        )

    def logits(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c"]:
        """Return the same, as a backbone offers it."""
        logits: Tensor = self(images)
        return logits


def create_own_cnn(config: OwnConfig, classes: int, side: int | None = None) -> Backbone | OwnCNN:
    """Build a network of random weights, about to be loaded; a timm network of a backbone's form is seen as one.

    Args:
        config: Whose network, and how its images are normalised.
        classes: c, the number of classes.
        side: Of its images, in pixels: what a network of one size, such as a ViT, is built for. None: its usual one.

    Raises:
        UserError: The library does not know the architecture, or cannot build it for that size.
    """
    _check_known(config)
    usual = _fixed_side(config)
    try:
        return _seen(_built(config, classes, None if side == usual else side), config, classes)
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if usual is None or side in (None, usual):
            raise
        # Whatever the code of an architecture raises for a size that it cannot be cut to.
        raise _wrong_side(config, usual, side) from error


def seen_as_cnn(
    network: nn.Module, name: str, *, classes: int, normalisation: Normalisation | None = None
) -> Backbone | OwnCNN:
    """See a timm network of a backbone's form, whose class maps are exact, as one, any other as it is.

    Args:
        network: From normalised images to logits.
        name: What messages call it.
        classes: c, the number of classes.
        normalisation: What its images must be normalised with; None: what timm says of its own, else ImageNet's.
    """
    usual = normalisation or _IMAGENET
    if isinstance(network, TimmNetwork):
        usual = normalisation or normalisation_of(network)
        with suppress(UserError):  # it has another form
            backbone = Backbone(network, name)
            backbone.normalisation = usual
            if backbone.contract.exact:
                return backbone
    return OwnCNN(network, name, usual, classes)


def _seen(network: nn.Module, config: OwnConfig, classes: int) -> Backbone | OwnCNN:
    of_timm = config.library is Library.TIMM
    usual = normalisation_of(cast(TimmNetwork, network)) if of_timm else _IMAGENET
    normalisation = Normalisation(config.mean or usual.mean, config.std or usual.std)
    return seen_as_cnn(network, config.architecture, classes=classes, normalisation=normalisation)


def _built(config: OwnConfig, classes: int, side: int | None) -> nn.Module:
    name = config.architecture
    side = None if _fixed_side(config) is None else side
    if config.library is Library.TORCHVISION:
        size = {} if side is None else {"image_size": side}
        module: nn.Module = models.get_model(name, num_classes=classes, **_OPTIONS.get(name, {}), **size)
        return module
    overlay = None if side is None else {"input_size": (3, side, side)}
    network: nn.Module = timm.create_model(name, num_classes=classes, pretrained_cfg_overlay=overlay)
    pad_evenly(network)
    return network


def _fixed_side(config: OwnConfig) -> int | None:
    """Return the side of the images of a network that takes one size only; None where it takes many."""
    if config.library is Library.TORCHVISION:
        return 224 if config.architecture.startswith("vit_") else None
    known = timm.get_pretrained_cfg(config.architecture)
    return int(known.input_size[-1]) if known is not None and known.fixed_input_size else None


def _wrong_side(config: OwnConfig, usual: int | None, side: int | None) -> UserError:
    mend = "another --transforms.input-size"
    if usual is not None:
        mend = f"--transforms.input-size {usual} --transforms.resize-size {usual}, the size that it is made for"
    return UserError(
        f"a network is shown images of a size that it takes; {config.architecture} takes none of {side} pixels; "
        f"give {mend}"
    )


@torch.no_grad()
def check_side(network: Backbone | OwnCNN, config: OwnConfig, side: int) -> None:
    """Refuse images that a network does not take.

    Raises:
        UserError: It answers an image of this size, in pixels, with an error of its own, or not with logits.
    """
    try:
        logits = network.eval().logits(torch.zeros(1, 3, side, side))
    except (UserError, MemoryError):
        raise
    except Exception as error:
        # Whatever the code of an architecture raises for an image that it does not take.
        raise _wrong_side(config, _fixed_side(config), side) from error
    if not isinstance(logits, Tensor) or logits.shape != (1, network.classes):
        raise UserError(
            f"a network must answer an image with the logits of {network.classes} classes; {config.architecture} does "
            "not; take another architecture"
        )


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


class Taken(NamedTuple):
    """Which weights of a file were loaded."""

    place: str
    """Where in the file they lie; empty: they are all that it holds."""
    remarks: tuple[str, ...]
    """What was passed over or changed, a line each."""


def load_own_weights(
    network: Backbone | OwnCNN, checkpoint: Path, architecture: str, *, key: str | None = None
) -> Taken:
    """Load the weights of a file, whatever program wrote it.

    Left out are a prefix that the names share and auxiliary heads that only training uses; a head in a container is
    the head; positions that were learnt at another image size are interpolated.

    Args:
        network: Of the architecture, for the data set's classes.
        checkpoint: A safetensors or torch file.
        architecture: The library's name.
        key: Where in the file the weights lie, such as state_dict_ema; None: the plain ones of those that fit.

    Raises:
        UserError: The file cannot be read, or holds another architecture, another number of classes, or NaN.
    """
    module = cast(nn.Module, network.network)
    expected = module.state_dict()
    fit, remarks = _chosen(fits(read_foreign_weights(checkpoint), expected), key, checkpoint)
    # Files of before 2018 do not count batches, and nothing depends on it.
    counters = {name: each for name, each in expected.items() if name.endswith("num_batches_tracked")}
    loaded = {
        **counters,
        **{name: each for name, each in fit.weights.items() if name in expected or not name.startswith(_AUXILIARY)},
    }
    loaded, head = with_head(loaded, expected)
    remarks += [] if head is None else [f"took its last layer {head!r} for the architecture's"]
    loaded, resampled = _resampled(module, expected, loaded)
    remarks += [f"interpolated {_some(resampled)}: learnt at another image size"] if resampled else []
    _check_classes(expected, loaded, checkpoint, network.classes)
    _check_entries(expected, loaded, checkpoint, architecture)
    loaded = _as_numbers(expected, loaded, checkpoint)
    check_finite(loaded, checkpoint)
    module.load_state_dict(loaded)
    return Taken(fit.place, tuple(remarks))


def _chosen(ranked: list[Fit], key: str | None, checkpoint: Path) -> tuple[Fit, list[str]]:
    """Return the weights to take, and what is to be said of them.

    Raises:
        UserError: There are none at that place.
    """
    named = [each for each in ranked if key is None or f".{key}." in f".{each.place}."]
    named = named or [each for each in ranked if key is not None and key in each.place]
    if not named:
        raise UserError(
            f"--weights-key names a place in the file where weights lie; {checkpoint} has none at {key!r}; there are "
            f"{_places(ranked)}; name one of these, or leave it out"
        )
    fit, remarks = named[0], []
    others = [each for each in alike(ranked) if each is not fit]
    if others:
        remarks.append(f"took the weights at {_places([fit])}; --weights-key takes others: {_places(others)}")
    if fit.beside:
        remarks.append(f"left out what lies beside the network's weights: {_some(fit.beside)}")
    return fit, remarks


def _places(fits: Sequence[Fit]) -> str:
    more = ", ..." if len(fits) > 5 else ""
    return ", ".join(shortened(each.place) if each.place else "the top of the file" for each in fits[:5]) + more


def _resampled(
    module: nn.Module, expected: Mapping[str, Tensor], loaded: dict[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """Interpolate positions that were learnt for another number of patches, as the library does; and name them."""
    differing = [
        name for name in expected.keys() & loaded.keys() if "pos" in name and expected[name].shape != loaded[name].shape
    ]
    if not differing or expected.keys() != loaded.keys():
        return loaded, []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice to programmers
            if isinstance(module, VisionTransformer):
                state = OrderedDict(loaded)
                return dict(interpolate_embeddings(module.image_size, module.patch_size, state)), sorted(differing)
    except (AssertionError, RuntimeError, ValueError, TypeError):  # weights of another architecture after all
        return loaded, []
    changed = as_timm_has_them(module, loaded)
    return changed, sorted(name for name in differing if name in changed and changed[name] is not loaded[name])


def _as_numbers(expected: Mapping[str, Tensor], loaded: Mapping[str, Tensor], checkpoint: Path) -> dict[str, Tensor]:
    """Return the weights in the network's own types.

    Raises:
        UserError: They are quantised, sparse, or whole numbers where there should be others.
    """
    odd = [
        name
        for name, each in loaded.items()
        if each.is_quantized
        or each.layout is not torch.strided
        or each.is_meta
        or each.is_complex()
        or each.is_floating_point() < expected[name].is_floating_point()
    ]
    if odd:
        raise UserError(
            f"weights must be plain numbers; {checkpoint} has others in {len(odd)} entries, {_some(odd)} "
            f"({loaded[odd[0]].dtype}); save the network before it was quantised"
        )
    return {name: each.to(expected[name].dtype) for name, each in loaded.items()}


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
    missing = [name for name in expected if name not in loaded]
    unexpected = [name for name in loaded if name not in expected]
    other = [name for name in expected if name in loaded and expected[name].shape != loaded[name].shape]
    problems = {"missing": missing, "unknown": unexpected, "of another shape": other}
    if any(problems.values()):
        named = "; ".join(f"{len(names)} {what}, {_some(names)}" for what, names in problems.items() if names)
        raise UserError(
            f"a checkpoint must hold the weights of its architecture; {checkpoint} does not fit {architecture!r}: "
            f"{named}; name the architecture and the library that it was trained with"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(shortened, names[:3])) + (" first" if len(names) > 3 else "")
