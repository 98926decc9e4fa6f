"""From a configuration to its network."""

from __future__ import annotations

from foveate.config import MACNNConfig, NetworkConfig, OwnConfig, S3NConfig, TransformConfig
from foveate.methods.macnn import MACNN
from foveate.methods.network import Network
from foveate.methods.own import OwnNetwork
from foveate.methods.plain import PlainNetwork
from foveate.methods.s3n import S3N


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
    if isinstance(config, S3NConfig):
        return S3N.create(config, classes, transforms.input_size, pretrained=pretrained)
    if isinstance(config, MACNNConfig):
        return MACNN.create(config, classes, transforms.input_size, pretrained=pretrained)
    if isinstance(config, OwnConfig):
        return OwnNetwork.create(config, classes, transforms.source)
    return PlainNetwork.create(config, classes, pretrained=pretrained)
