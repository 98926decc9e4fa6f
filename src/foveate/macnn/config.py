"""MA-CNN's configuration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar

from foveate.config.branches import LARGEST_PARTS
from foveate.config.checks import require, require_count, require_finite, require_fraction, require_side
from foveate.config.networks import BackboneConfig, BackboneNetworkConfig

_MOST_FEATURES = 65_536
"""Beyond any network's; a layer of that many is gigabytes."""


class AttentionForm(StrEnum):
    """How the weighted sum of a group's channels becomes its attention map."""

    SIGMOID = "sigmoid"
    """Its sigmoid, in (0, 1) at each position."""
    NORMALISED = "normalised"
    """Its sigmoid, divided by the sum over positions."""
    STANDARDISED = "standardised"
    """As NORMALISED, the sum brought to mean 0 and deviation 1 over positions first: where features are not negative
    a sum of hundreds of them is so large that its sigmoid is 1 everywhere."""


@dataclass(frozen=True, kw_only=True)
class MACNNConfig(BackboneNetworkConfig):
    """Multi-attention CNN (ICCV 2017). The defaults are Foveate's preset, for small machines; `paper` is another.

    Lengths are fractions of the view's side.
    """

    method: ClassVar[str] = "macnn"

    reads_source: ClassVar[bool] = True
    learns_in_phases: ClassVar[bool] = True

    dropout: float = 0.5
    """Probability of dropping a feature in training, before the joint classifier."""
    parts: int = 4
    """N, the number of channel groups, attention maps and part crops."""
    hidden: int = 512
    """Units between a grouping branch's two layers."""
    attention: AttentionForm = AttentionForm.STANDARDISED
    diversity_weight: float = 2.0
    """Of L_div beside L_dis."""
    diversity_margin: float = 0.02
    """How much of the other groups' attention at a position costs nothing in L_div."""

    grouping_epochs: int = 1
    """Epochs of each phase in which the grouping learns alone."""
    classifying_epochs: int = 4
    """Epochs of each phase in which everything else learns."""
    grouping_rate: float = 100.0
    """Learning rate of the grouping, as a multiple of the new layers'; its losses are small: each map adds up to 1."""
    start_steps: int = 100
    """Gradient steps by which the grouping learns the clusters of channels before the first epoch; 0: no such start."""

    crop: float = 128 / 448
    """Side of a part crop."""
    part_size: int | None = None
    """Side in pixels to which part crops are resized; None: half of the input's."""
    object_stream: bool = False
    """Also look at the box around all part crops, resized to the input's size."""
    shared: bool = True
    """One network for all streams; otherwise each has its own, which starts from the same weights."""
    projection: int | None = 512
    """Features of each stream that the joint classifier sees; None: the pooled ones themselves."""

    def __post_init__(self) -> None:
        require_fraction("dropout", self.dropout)
        require(1 <= self.parts <= LARGEST_PARTS, f"parts must be 1 to {LARGEST_PARTS}", self.parts)
        require_count("hidden", self.hidden, most=_MOST_FEATURES)
        require_count("classifying_epochs", self.classifying_epochs)
        require_count("grouping_epochs", self.grouping_epochs, least=0)
        require_count("start_steps", self.start_steps, least=0)
        for name in ("diversity_weight", "diversity_margin", "grouping_rate"):
            require(getattr(self, name) >= 0, f"{name} must not be negative", getattr(self, name))
        require(0 < self.crop <= 1, "crop must be in (0, 1], a fraction of the view's side", self.crop)
        size, width = self.part_size, self.projection
        require(size is None or size >= 16, "part_size must be at least 16 pixels, or None", size)
        require_side("part_size", size or 16)
        require(width is None or width >= 1, "projection must be at least 1, or None", width)
        require_count("projection", width or 1, most=_MOST_FEATURES)
        require_finite(self)

    @classmethod
    def paper(cls, backbone: BackboneConfig | None = None) -> MACNNConfig:
        """Return what is published: VGG-19 to conv5_4, a network for each of the image, the object and four parts."""
        vgg = BackboneConfig(architecture="vgg19.tv_in1k", convolutions_only=True)
        return cls(
            backbone=backbone or vgg,
            attention=AttentionForm.NORMALISED,
            object_stream=True,
            shared=False,
        )

    def settings(self) -> dict[str, str | None]:
        """Name the preset that this is but for the backbone and the sizes, else "own"."""
        sizes = {name: getattr(self, name) for name in ("backbone", "crop", "part_size")}
        presets = {"foveate": MACNNConfig(), "paper": MACNNConfig.paper()}
        preset = next((name for name, each in presets.items() if self == replace(each, **sizes)), "own")
        return {**super().settings(), "preset": preset}
