"""An ensemble: several trained networks that answer together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import ClassVar

from foveate.config.branches import LARGEST_ENSEMBLE, Branch
from foveate.config.checks import require, require_view_weights
from foveate.config.data import TransformConfig
from foveate.config.networks import SETTINGS, BackboneConfig, NetworkConfig

_SAME_PART = 0.02
"""By how much the parts of a photograph that members see may differ in their sides."""


@dataclass(frozen=True, kw_only=True)
class EnsembleMember:
    """One of the networks, and how much its answer counts."""

    network: NetworkConfig
    transforms: TransformConfig
    """How it was shown photographs."""
    weight: float
    """Of its log probabilities."""
    view_weights: Mapping[str, float] | None = None
    """How its own answer is put together of its branches, by their names; None: its network decides."""
    weights_hash: str
    """Of the file that its weights were copied from."""

    def __post_init__(self) -> None:
        require(self.weight > 0, "the weight of a member must be above 0", self.weight)
        require(isfinite(self.weight), "the weight of a member must be finite", self.weight)
        if self.view_weights is not None:
            require_view_weights(self.view_weights)
        require(self.network.looks_by is None, "a member must look by itself", self.network.looks_by)
        require(not isinstance(self.network, EnsembleConfig), "a member must be one network", self.network.method)

    @property
    def counting(self) -> dict[Branch, float] | None:
        """Its `view_weights` by branch, of those that count; None: its network decides."""
        weights = self.view_weights
        return None if weights is None else {Branch(name): each for name, each in weights.items() if each > 0}


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig(NetworkConfig):
    """Several networks that were trained on the same classes: softmax of the weighted sum of their log probabilities.

    `foveate ensemble` makes one of runs; the first member is the one that is grounded and explained.
    """

    method: ClassVar[str] = "ensemble"
    reads_source: ClassVar[bool] = True
    trained_here: ClassVar[bool] = False

    members: tuple[EnsembleMember, ...]

    def __post_init__(self) -> None:
        count = len(self.members)
        require(2 <= count <= LARGEST_ENSEMBLE, f"an ensemble must have 2 to {LARGEST_ENSEMBLE} members", count)
        parts = [each.transforms.input_size / each.transforms.resize_size for each in self.members]
        require(
            max(parts) - min(parts) <= _SAME_PART,
            "the members of an ensemble must see the same part of a photograph (input_size / resize_size)",
            tuple(round(part, 3) for part in parts),
        )

    @property
    def base(self) -> str:
        """The architectures of all members, each once."""
        return " + ".join(dict.fromkeys(each.network.base for each in self.members))

    @property
    def timm_architecture(self) -> str | None:
        """The first member's."""
        return self.members[0].network.timm_architecture

    @property
    def normalises_otherwise(self) -> bool:
        """Whether the first member does."""
        return self.members[0].network.normalises_otherwise

    @property
    def trained_backbone(self) -> BackboneConfig | None:
        """The first member's, which is grounded."""
        return self.members[0].network.trained_backbone

    @property
    def networks(self) -> tuple[NetworkConfig, ...]:
        """Those of its members."""
        return tuple(each.network for each in self.members)

    def with_networks(self, networks: Sequence[NetworkConfig]) -> EnsembleConfig:
        """Return the same of other networks, in the same order."""
        pairs = zip(self.members, networks, strict=True)
        return replace(self, members=tuple(replace(member, network=network) for member, network in pairs))

    def with_weights(self, weights: str) -> EnsembleConfig:
        """Return the same, the first member's training beginning with other weights."""
        first, *others = self.networks
        return self.with_networks([first.with_weights(weights), *others])

    def settings(self) -> dict[str, str | None]:
        """Name its members as the preset: ensembles of others are not compared as if they were the same."""
        named = [" ".join(filter(None, (each.method, each.settings()["preset"]))) for each in self.networks]
        return {**dict.fromkeys(SETTINGS), "preset": " + ".join(named)}

    @property
    def views(self) -> TransformConfig:
        """The views that hold what each member sees: the first one's, of the largest source."""
        first = self.members[0].transforms
        largest = max(each.transforms.source for each in self.members)
        return first if largest == first.source else replace(first, source_size=largest)
