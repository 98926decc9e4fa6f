"""The one place that knows every method: from a configuration to its network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from foveate.config.data import TransformConfig
from foveate.config.ensemble import EnsembleConfig
from foveate.config.networks import NetworkConfig, OwnConfig, PlainConfig, ProbeConfig
from foveate.errors import UserError
from foveate.macnn.config import MACNNConfig
from foveate.macnn.network import MACNN
from foveate.networks.ensemble import EnsembleNetwork
from foveate.networks.network import Network
from foveate.networks.own import OwnNetwork
from foveate.networks.plain import PlainNetwork
from foveate.s3n.config import S3NConfig
from foveate.s3n.network import S3N


class Method(NamedTuple):
    """How a method is told apart in documents, and how its network is built."""

    config: type[NetworkConfig]
    """The class of its configuration."""
    create: Callable[[Any, int, TransformConfig, bool], Network]
    """From a configuration of that class, the number of classes, how large the views are that the network is given, and
    whether its weights are those that the configuration names (False: random, about to be loaded)."""


METHODS: dict[str, Method] = {
    "plain": Method(
        PlainConfig,
        lambda config, c, sizes, pretrained: PlainNetwork.create(
            config, c, pretrained=pretrained, input_size=sizes.input_size
        ),
    ),
    "s3n": Method(
        S3NConfig, lambda config, c, sizes, pretrained: S3N.create(config, c, sizes.input_size, pretrained=pretrained)
    ),
    "macnn": Method(
        MACNNConfig,
        lambda config, c, sizes, pretrained: MACNN.create(config, c, sizes.input_size, pretrained=pretrained),
    ),
    "probe": Method(
        ProbeConfig,
        lambda config, c, sizes, pretrained: PlainNetwork.probe(
            config, c, pretrained=pretrained, input_size=sizes.input_size
        ),
    ),
    "own": Method(OwnConfig, lambda config, c, sizes, _: OwnNetwork.create(config, c, sizes.source)),
    "ensemble": Method(EnsembleConfig, lambda config, c, _, pretrained: _ensemble(config, c, pretrained)),
}
"""Every method by its name; a method of your own is one more entry."""


def configurations() -> dict[str, type[NetworkConfig]]:
    """Return the class of every method's configuration, by the method's name."""
    return {name: method.config for name, method in METHODS.items()}


def create_network(
    config: NetworkConfig, transforms: TransformConfig, classes: int, *, pretrained: bool = True
) -> Network:
    """Build the network that a configuration describes.

    Args:
        config: Of which method it is, and all its choices.
        transforms: How large the views are that it will be given.
        classes: c, the number of classes.
        pretrained: False leaves the weights random whatever `config` says (they are about to be loaded).

    Raises:
        UserError: As `create_backbone` or `create_own_cnn` does, or the sizes do not fit the method.
    """
    if config.method not in METHODS:
        raise UserError(
            f"a method is an entry of METHODS under the name that its configuration gives; {type(config).__name__} "
            f"says {config.method!r}, and there are {', '.join(METHODS)}; add it under that name"
        )
    return METHODS[config.method].create(config, classes, transforms, pretrained)


def _ensemble(config: EnsembleConfig, classes: int, pretrained: bool) -> EnsembleNetwork:
    members = [create_network(each.network, each.transforms, classes, pretrained=pretrained) for each in config.members]
    return EnsembleNetwork(members, config)
