"""Several streams to joint logits (MA-CNN, ICCV 2017, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.config.branches import PARTS, Branch
from foveate.macnn.config import MACNNConfig
from foveate.types import BranchLogits


def streams_of(config: MACNNConfig) -> tuple[Branch, ...]:
    """Return the streams in the order in which their features are joined, the whole image first."""
    objects = (Branch.OBJECT,) if config.object_stream else ()
    return (Branch.ORIGINAL, *objects, *PARTS[: config.parts])


class StreamDecision(nn.Module):
    """A linear head for each crop's stream, and one on the projected features of all streams.

    The whole image's head is the backbone's own and not part of this module.
    """

    def __init__(self, config: MACNNConfig, channels: int, classes: int) -> None:
        super().__init__()
        streams = streams_of(config)
        self.dropout = nn.Dropout(config.dropout)
        self.heads = nn.ModuleDict({each.value: nn.Linear(channels, classes) for each in streams[1:]})
        width = config.projection
        self.projections = nn.ModuleDict(
            {each.value: nn.Identity() if width is None else _projection(channels, width) for each in streams}
        )
        self.joint = nn.Linear(len(streams) * (channels if width is None else width), classes)

    def forward(
        self, original_logits: Float[Tensor, "b c"], features: Mapping[Branch, Float[Tensor, "b d"]]
    ) -> BranchLogits:
        """Return every stream's logits and the joint ones; `features` are pooled, one entry for each stream."""
        each = {Branch(name): head(features[Branch(name)]) for name, head in self.heads.items()}
        joined = [project(features[Branch(name)]) for name, project in self.projections.items()]
        parts = tuple(logits for branch, logits in each.items() if branch is not Branch.OBJECT)
        return BranchLogits(
            original_logits,
            joint=self.joint(self.dropout(torch.cat(joined, dim=1))),
            object=each.get(Branch.OBJECT),
            parts=parts,
        )


def _projection(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, width), nn.ReLU())
