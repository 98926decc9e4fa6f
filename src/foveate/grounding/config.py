"""How the evidence for a class is found in a network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from foveate.config.checks import LARGEST_SIDE, require, require_count, require_finite, require_seed


class GroundingMethod(StrEnum):
    """What says where a network sees the evidence for a class."""

    EB = "eb"
    """Excitation backprop without the contrast: the default of CNNs (docs/reproduction.md says why)."""
    CEB = "ceb"
    """Contrastive excitation backprop (the paper's)."""
    GRAD_CAM = "grad-cam"
    """The layer's channels, weighted by the class's mean gradients."""
    CLASS_MAPS = "class-maps"
    """The head's weights on the last feature map (S3N Eq. 1)."""
    GRADIENTS = "gradients"
    """The largest absolute gradient of the class's logit over the colours of each pixel."""
    RISE = "rise"
    """The mean of random masks, weighted by the class's probability behind each: one pass of the network a mask."""

    FINER_CAM = "finer-cam"
    """Grad-CAM of the class against its nearest rivals."""
    GRADIENT_ACTIVATION = "gradient-activation"
    """The layer's activations times the class's gradients there, at each place: for tokens."""
    ATTN_LRP = "attn-lrp"
    """The same with the rules of AttnLRP: relevance, for transformers."""
    ATTN_LRP_RIVALS = "attn-lrp-rivals"
    """AttnLRP of the class against its nearest rivals."""
    ROLLOUT = "rollout"
    """Attention of all layers multiplied: the same for every class, of which it knows nothing."""

    @property
    def knows_classes(self) -> bool:
        """Whether maps of different classes differ."""
        return self != GroundingMethod.ROLLOUT

    @property
    def reads_feature_maps(self) -> bool:
        """Whether it takes what its layer gives for a feature map, as twin maps do; else for tokens, or it has none."""
        return self in (GroundingMethod.EB, GroundingMethod.CEB, GroundingMethod.GRAD_CAM, GroundingMethod.FINER_CAM)

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """Take the name of a method of somebody's own, once it is an entry of `foveate.grounding.create.GROUNDINGS`."""
        from foveate.grounding.create import GROUNDINGS  # with torch, for names that are not ours alone

        if value not in GROUNDINGS:
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = str(member)
        return member


@dataclass(frozen=True, kw_only=True)
class GroundingConfig:
    """One method of grounding and where in the network it looks."""

    method: GroundingMethod | None = None
    """None: what is usual for the network's family (`foveate.grounding.usual`)."""
    layer: str | None = None
    """Name of the module whose output is grounded (EB, cEB, the CAMs, gradient times activation, AttnLRP); None: the
    last one of stride 16, of a ViT the last tokens on which the logits rest. The papers take ResNet's `layer3.0`
    (res4a) and VGG's conv3_1. Batch norms are folded into the convolutions first: a convolution's output is then
    that of the norm after it."""
    masks: int = 500
    """RISE: how many; the method's own paper takes 4,000 to 8,000."""
    mask_cells: int = 7
    """RISE: cells along each side of a mask before it is enlarged."""
    mask_keep: float = 0.5
    """RISE: probability that a cell is kept."""
    seed: int = 0
    """RISE: of the masks."""

    @property
    def map_layer(self) -> str | None:
        """The layer that is asked for, where it is one that twin maps look into too; else None: their usual one."""
        return self.layer if self.method and self.method.reads_feature_maps else None

    def __post_init__(self) -> None:
        require_count("masks", self.masks)
        require_count("mask_cells", self.mask_cells, least=2, most=LARGEST_SIDE)
        require(0 < self.mask_keep < 1, "mask_keep must be a probability in (0, 1)", self.mask_keep)
        require_seed("seed", self.seed)
        require_finite(self)
