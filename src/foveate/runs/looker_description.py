"""The network that looks for a run's: what `run.json` says of it, so that the folder it came from is not needed."""

from __future__ import annotations

from dataclasses import dataclass

from foveate.config.data import TransformConfig
from foveate.config.networks import NetworkConfig
from foveate.networks.looker import Looker
from foveate.recipes.methods import create_network


@dataclass(frozen=True, kw_only=True)
class LookerDescription:
    """Which network looks; its weights are among those of the run, below `looker.`."""

    network: NetworkConfig
    transforms: TransformConfig
    """How it was shown photographs."""
    weights_hash: str
    """Of the file that they were copied from."""

    def create(self, classes: int) -> Looker:
        """Build it, its weights about to be loaded.

        Args:
            classes: c, as many as the run has.
        """
        network = create_network(self.network, self.transforms, classes, pretrained=False)
        return Looker(network.backbone, self.transforms.input_size)
