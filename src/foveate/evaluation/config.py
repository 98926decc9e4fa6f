"""What is measured of a network besides its accuracy: whether its maps tell the truth, and its probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from foveate.config.checks import require, require_count, require_seed
from foveate.grounding.config import GroundingMethod


class Background(StrEnum):
    """What stands where pixels are taken away."""

    MEAN = "mean"
    """The mean colour that the network's images are normalised with."""
    BLACK = "black"
    """Black pixels."""
    BLUR = "blur"
    """The image itself, blurred."""


@dataclass(frozen=True, kw_only=True)
class CurveConfig:
    """Deletion and insertion curves: pixels go, or come, in the order in which a map ranks them (RISE, section 4.1)."""

    steps: int = 20
    """Into how many equal parts the pixels are divided; each curve costs one pass more than that."""
    deletion: Background = Background.MEAN
    """What deleted pixels become."""
    insertion: Background = Background.BLUR
    """What pixels are before they are inserted."""
    blur: float = 10 / 224
    """Standard deviation of the blur, a fraction of the view's side."""

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps must be at least 1", self.steps)
        require(0 < self.blur <= 0.25, "blur must be in (0, 0.25], a fraction of the view's side", self.blur)


@dataclass(frozen=True, kw_only=True)
class GroundingStudy:
    """Which methods of grounding are measured, on how many photographs, and how."""

    methods: tuple[GroundingMethod, ...] | None = None
    """None: every method that the network allows."""
    photographs: int | None = None
    """A seeded draw of so many of the split; None: all of them."""
    layer: str | None = None
    """Name of the module that is grounded by methods that need one; None: the last one of stride 16, of a ViT the last
    tokens on which its logits rest."""
    masks: int = 500
    """RISE: how many, each a pass of the network; the method's own paper takes 4,000 to 8,000."""
    truth: bool = False
    """Whether the true class is grounded; the network's own answer otherwise."""
    curves: CurveConfig = CurveConfig()
    sanity_photographs: int = 8
    """On how many of the photographs maps are compared with those of randomised networks; 0: on none."""
    stages: int = 5
    """How many randomised networks: the first has a random head only, in the last everything is random."""
    examples: int = 4
    """How many photographs the picture of maps shows."""
    seed: int = 0
    """Of the draw, the random weights and RISE's masks."""
    batch_size: int = 16
    """Photographs at a time."""

    def __post_init__(self) -> None:
        require(self.methods != (), "methods must name at least one, or be None", self.methods)
        count = self.photographs
        require(count is None or count >= 1, "photographs must be at least 1, or None for all", count)
        for name in ("masks", "batch_size"):
            require_count(name, getattr(self, name))
        require(self.stages >= 2, "stages must be at least 2, the head and everything", self.stages)
        for name in ("sanity_photographs", "examples"):
            require_count(name, getattr(self, name), least=0)
        require_seed("seed", self.seed)


@dataclass(frozen=True, kw_only=True)
class TrustStudy:
    """How answers and their probabilities are judged."""

    bins: int = 15
    """Of equal width, into which confidence is divided for the calibration error."""
    pairs: int = 8
    """How many of the most confused pairs of classes are named and shown."""

    def __post_init__(self) -> None:
        require(self.bins >= 1, "bins must be at least 1", self.bins)
        require(self.pairs >= 0, "pairs must not be negative", self.pairs)
