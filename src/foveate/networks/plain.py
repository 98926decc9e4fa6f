"""The fine-tuned baseline of both papers, and the probe: the same network, of which the head alone is fitted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone, create_backbone, pool
from foveate.backbones.class_maps import at_places
from foveate.config.branches import Branch
from foveate.config.networks import FOLDS, STRENGTHS, PlainConfig, ProbeConfig
from foveate.networks.branch_maps import BranchMaps, maps_of
from foveate.networks.first_view import lattice
from foveate.networks.network import FrozenFeatures, Network, ParameterGroup, Solved, TrainingStep
from foveate.networks.probe import fit_probe
from foveate.types import BranchLogits


class PlainNetwork(Network):
    """Backbone, global average pooling, linear head; trained as a whole, or its head solved for as a probe.

    Args:
        backbone: With its head.
        dropout: Probability of dropping a pooled feature in training.
        strengths: What a probe's strength is chosen from.
        folds: Of the cross-validation that chooses it.
    """

    backbone: Backbone

    def __init__(
        self, backbone: Backbone, dropout: float = 0.0, strengths: Sequence[float] = STRENGTHS, folds: int = FOLDS
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.strengths, self.folds = tuple(strengths), folds

    @classmethod
    def create(
        cls, config: PlainConfig, classes: int, *, pretrained: bool = True, input_size: int | None = None
    ) -> PlainNetwork:
        """Build it from its configuration; `pretrained` and `input_size` as in `create_backbone`."""
        backbone = create_backbone(config.backbone, classes, pretrained=pretrained, input_size=input_size)
        return cls(backbone, config.dropout)

    @classmethod
    def probe(
        cls, config: ProbeConfig, classes: int, *, pretrained: bool = True, input_size: int | None = None
    ) -> PlainNetwork:
        """Build one whose head is to be solved for; `pretrained` and `input_size` as in `create_backbone`."""
        backbone = create_backbone(config.backbone, classes, pretrained=pretrained, input_size=input_size)
        return cls(backbone, strengths=config.strengths, folds=config.folds)

    def forward(self, images: Float[Tensor, "b 3 H W"], step: TrainingStep | None = None) -> BranchLogits:
        """Return the logits of normalised images."""
        features = self.backbone(images)
        return BranchLogits(self.backbone.classifier(self.dropout(pool(features))))

    def solve(
        self,
        frozen: FrozenFeatures,
        labels: Int64[Tensor, " n"],
        seed: int = 0,
        groups: Int64[Tensor, " n"] | None = None,
    ) -> Solved:
        """Fit the head as a probe; arguments as in `Network.solve`."""
        features = frozen("features", lambda network, images, _: network.backbone.pooled(images))
        probe = fit_probe(features, labels, self.strengths, self.folds, seed, groups)
        probe.head.put_into(self.backbone.classifier)
        unseen = probe.out_of_fold
        held_out = {} if unseen is None else {Branch.ORIGINAL: unseen.probabilities}
        return Solved(probe.measured(), held_out, 0 if unseen is None else len(unseen.heads))

    @property
    def decides_by_backbone(self) -> bool:
        """True: there is no head but the backbone's."""
        return True

    def check_class_maps(self) -> None:
        """Allow them: the head is linear, on averaged features."""

    def branch_maps(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, " b"], places: int) -> BranchMaps:
        """Return the answer, and where it sees a class; arguments as in `Network.branch_maps`."""
        features, head = self.backbone(images), self.backbone.classifier
        logits = BranchLogits(head(pool(features)))
        with torch.autocast(images.device.type, enabled=False):
            maps = maps_of(features, head.weight, classes)
            everywhere = lattice(places, maps).expand(len(images), -1, -1, -1)
            return BranchMaps(logits, {Branch.ORIGINAL: at_places(maps, everywhere, images.shape[-1])[:, 0]})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the head's parameters, which start random."""
        return [ParameterGroup(list(self.backbone.classifier.parameters()))]
