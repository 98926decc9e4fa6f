"""Networks that are built for images of one size: built for another, and which sizes they take."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

import timm
import torch
from torch import nn

from foveate.backbones.same_padding import pad_evenly
from foveate.backbones.timm_networks import TimmNetwork
from foveate.errors import UserError

_TRIES = 6  # sizes that are tried each way from one that does not fit
_FREEDOMS: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
"""How timm's networks come to take other sizes too than the one they are built for; each has one of these, or none."""


def is_sized(architecture: str) -> bool:
    """Say whether timm builds an architecture for images of one size."""
    known = timm.get_pretrained_cfg(architecture)
    return known is not None and bool(known.fixed_input_size)


def built(architecture: str, side: int | None, *, pretrained: bool = False) -> TimmNetwork:
    """Build a network of timm's, for images of a size where it takes one size only.

    Positions that its weights have for another size are interpolated, by timm.

    Args:
        architecture: timm's name.
        side: Of the images, in pixels; None: as timm has it.
        pretrained: Whether its weights are fetched.

    Raises:
        UserError: It cannot be built for that size.
        Exception: Whatever fetching its weights raises.
    """
    if side is None or not is_sized(architecture):
        return _created(architecture, None, pretrained=pretrained)
    if pretrained and not _takes(architecture, side):  # before they are fetched
        raise wrong_side(architecture, side)
    try:
        return _created(architecture, side, pretrained=pretrained)
    except Exception as error:
        # Whatever the code of an architecture raises for a size that it cannot be cut to.
        if pretrained:
            raise
        raise wrong_side(architecture, side) from error


def _created(architecture: str, side: int | None, *, pretrained: bool = False) -> TimmNetwork:
    network = _as_timm_has_it(architecture, side, pretrained=pretrained)
    pad_evenly(cast(nn.Module, network))
    return network


def _as_timm_has_it(architecture: str, side: int | None, *, pretrained: bool) -> TimmNetwork:
    size: dict[str, Any] = {} if side is None else {"img_size": side}
    for freedom in _FREEDOMS if is_sized(architecture) else ():
        with suppress(TypeError):  # a setting that this architecture does not have
            return cast(TimmNetwork, timm.create_model(architecture, pretrained=pretrained, **(size | freedom)))
    return cast(TimmNetwork, timm.create_model(architecture, pretrained=pretrained))


def patch_side(network: TimmNetwork) -> int:
    """Return how many pixels a side a cell of a network's last features stands for."""
    return int(network.feature_info[-1]["reduction"])


def wrong_side(architecture: str, side: int) -> UserError:
    """Return the error that a network takes no images of a size, and which are the next that it takes."""
    with torch.device("meta"):
        step = patch_side(cast(TimmNetwork, timm.create_model(architecture)))
    below = side // step * step
    smaller, larger = range(below - (below == side) * step, 0, -step), range(below + step, 100 * side, step)
    fitting = [*_first(architecture, smaller), *_first(architecture, larger)]
    mend = f"give --transforms.input-size {' or '.join(map(str, fitting))}" if fitting else "give another size"
    return UserError(
        f"a network is shown images of a size that its patches and positions fit; {architecture} takes none of {side} "
        f"pixels; {mend}"
    )


def _first(architecture: str, sides: Iterable[int]) -> list[int]:
    return next(([side] for side, _ in zip(sides, range(_TRIES), strict=False) if _takes(architecture, side)), [])


def _takes(architecture: str, side: int) -> bool:
    """Say whether a network takes images of a size, in pixels, by shapes alone."""
    try:
        with torch.device("meta"):
            network: Any = _created(architecture, side).train(False)
            network(torch.zeros(1, 3, side, side))
    except Exception:
        # Whatever the code of an architecture raises for a size that it cannot be cut to.
        return False
    return network.feature_info[0]["reduction"] < patch_side(network) or side % patch_side(network) == 0
