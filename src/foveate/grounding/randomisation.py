"""Networks whose weights are random from the head down, to see whether maps depend on the weights at all.

Adebayo et al., Sanity Checks for Saliency Maps (NeurIPS 2018), section 3.1: cascading randomisation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from foveate.backbones.single_values import SingleValues

_Module = TypeVar("_Module", bound=nn.Module)


def weighted_layers(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the modules with weights of their own, in the order in which the network lists them."""
    return tuple(name for name, module in network.named_modules() if list(module.parameters(recurse=False)))


def cascade(layers: Sequence[str], stages: int) -> tuple[tuple[str, ...], ...]:
    """Return which layers are random at each stage: the last alone, then ever more of them, in the end all.

    There are fewer stages where there are fewer layers.
    """
    counts = np.unique(np.linspace(1, len(layers), stages).round().astype(int))
    return tuple(tuple(layers[-count:]) for count in counts.tolist())


def randomised(network: _Module, layers: Sequence[str], images: Float[Tensor, "b 3 H W"], seed: int) -> _Module:
    """Return a copy of a network with layers as they would be before any training; the network stays as it is.

    A layer is initialised as its own `reset_parameters` does; without one its values are drawn from a normal
    distribution of their own mean and spread. The mean and variance that a random batch norm has seen are then those of
    the images, since activations would vanish or explode otherwise.

    Args:
        network: In evaluation mode; it answers images.
        layers: Names of the modules.
        images: Normalised.
        seed: Of the weights; torch's own random numbers go on as if nothing had been drawn.
    """
    copied = copy.deepcopy(network)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        chosen = [copied.get_submodule(name) for name in layers]
        for module in chosen:
            _reset(module)
        _collect_statistics(copied, [each for each in chosen if isinstance(each, _BatchNorm)], images)
    return copied


@torch.no_grad()
def _reset(module: nn.Module) -> None:
    if callable(reset := getattr(module, "reset_parameters", None)):
        cast(Callable[[], None], reset)()
        return
    for values in module.parameters(recurse=False):
        values.normal_(float(values.mean()), float(values.std(correction=0)))


@torch.no_grad()
def _collect_statistics(network: nn.Module, norms: Sequence[_BatchNorm], images: Float[Tensor, "b 3 H W"]) -> None:
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with SingleValues():
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
