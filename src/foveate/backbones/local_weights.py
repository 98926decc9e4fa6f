"""Weights of a file or of a finished run, for a training to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from foveate.backbones.positions import as_timm_has_them
from foveate.backbones.timm_networks import TimmNetwork
from foveate.backbones.tokens import BODY, HEAD
from foveate.backbones.weight_names import fits
from foveate.backbones.weights import check_finite, read_state_dict, read_state_dicts
from foveate.errors import UserError

_INSIDE = "backbone.network."  # before the names of a backbone's weights in those of every network of ours
_FIRST = "members.0."  # before those of an ensemble's first member, whose backbone is the ensemble's


def load_local(network: TimmNetwork, path: Path, architecture: str, removed: frozenset[str]) -> None:
    """Load all weights but the head's, which is replaced anyway and may be missing or another.

    Positions that were learnt for another number of patches are interpolated, and names that an architecture's authors
    gave are changed, as timm does it.

    Args:
        network: timm's, as it is to be.
        path: A file, or the folder of a finished run, of whatever method.
        architecture: Its name.
        removed: Names of weights that it had, and that are not needed.

    Raises:
        UserError: They cannot be read, are not numbers, or are those of another architecture.
    """
    expected = network.state_dict()
    head = f"{network.pretrained_cfg['classifier']}."
    body = {name: each for name, each in expected.items() if not name.startswith(head)}
    weights = _weights_of_run(path) if path.is_dir() else fits(read_state_dicts(path), body)[0].weights
    loaded = _without(weights, head, removed)
    if _differing(body, loaded):
        loaded = _without(as_timm_has_them(cast(nn.Module, network), weights), head, removed)
    if wrong := _differing(body, loaded):
        raise UserError(
            f"the weights in {path} must be those of {architecture!r}; {len(wrong)} entries differ, first "
            f"{wrong[0]!r}; name the architecture that they were trained with"
        )
    check_finite(loaded, path)
    network.load_state_dict({**expected, **loaded})


def _without(weights: Mapping[str, Tensor], head: str, removed: frozenset[str]) -> dict[str, Tensor]:
    return {name: each for name, each in weights.items() if not name.startswith(head) and name not in removed}


def _differing(expected: Mapping[str, Tensor], loaded: Mapping[str, Tensor]) -> list[str]:
    return sorted(
        name
        for name in expected.keys() | loaded.keys()
        if name not in loaded or name not in expected or loaded[name].shape != expected[name].shape
    )


def _weights_of_run(path: Path) -> dict[str, Tensor]:
    """Return what a run's network, of whatever method, has in its backbone."""
    file = path / "model.safetensors"
    if not file.is_file():
        raise UserError(
            f"a training begins with the weights of a finished run; {path} has no {file.name}; finish that run with "
            "the command that began it, or name another"
        )
    named = {name.removeprefix(_FIRST): each for name, each in read_state_dict(file).items()}
    weights = {name.removeprefix(_INSIDE): each for name, each in named.items() if name.startswith(_INSIDE)}
    wrapped = {name.removeprefix(BODY): each for name, each in weights.items() if name.startswith(BODY)}
    return wrapped if wrapped and not [name for name in weights if not name.startswith((BODY, HEAD))] else weights
