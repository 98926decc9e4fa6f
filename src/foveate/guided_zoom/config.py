"""Guided Zoom: where evidence is looked for, how it is cut out, and how it counts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from foveate.config.checks import require, require_count, require_finite, require_side
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod

PAPER_PATCH = 150 / 448
"""Side of a patch in the papers, as a share of the view's."""
_MOST_ROUNDS = 100
"""The pool keeps a round's number in 8 bits; by then nothing of a photograph is left to erase."""


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """How evidence is cut out and erased; lengths are fractions of the view's side, so that they fit any size."""

    patch: float = 0.5
    """Side of a patch; the papers' is 150 of 448 pixels. With half the view's side the Evidence CNN alone is right on
    61% of held-out cars in place of 48%, and on birds on as many (docs/log.md, 2026-11-28)."""
    erased: float = 85 / 448
    """Side of the black square that hides the evidence of a round from the next."""
    source_size: int = 448
    """Side, in pixels, of the view that patches are cut from: the same part of the photograph that the network sees."""
    rounds: int = 0
    """L: how often the evidence is erased and the next looked for; there are L + 1 patches for each class. The paper
    takes 2."""
    elsewhere: bool = True
    """Whether the evidence of a later round must lie outside the squares erased before. A black square is conspicuous
    itself: without this the same patch is often found, and counted, again."""
    stretch: bool = False
    """Whether a patch that the view's edge cuts off is first stretched to the full square, as the release for Caffe
    does; it is then resampled twice."""

    @property
    def side(self) -> int:
        """Side of a whole patch in pixels of the source view."""
        return round(self.patch * self.source_size)

    @classmethod
    def reference(cls) -> PatchConfig:
        """Return the settings of the authors' release for Caffe."""
        return replace(cls.paper(), erased=84 / 448, stretch=True)

    @classmethod
    def reference_pytorch(cls) -> PatchConfig:
        """Return the settings of the authors' release for PyTorch."""
        return replace(cls.reference(), stretch=False)

    @classmethod
    def paper(cls) -> PatchConfig:
        """Return what the paper's text says."""
        return cls(patch=PAPER_PATCH, rounds=2, elsewhere=False)

    def __post_init__(self) -> None:
        for name in ("patch", "erased"):
            value = getattr(self, name)
            require(0 < value <= 1, f"{name} must be in (0, 1], a fraction of the view's side", value)
        require_side("source_size", self.source_size)
        require(
            self.side >= 8,
            f"a patch must have at least 8 pixels a side: patch times source_size ({self.source_size})",
            self.patch,
        )
        require_count("rounds", self.rounds, least=0, most=_MOST_ROUNDS)


class Keep(StrEnum):
    """Which evidence of the training photographs enters the pool."""

    CORRECT = "correct"
    """Round l of a photograph while the network still classifies it correctly, l squares being erased (the text)."""
    FIRST_ALWAYS = "first-always"
    """The first round of every photograph, later ones as above."""
    ERASED_CORRECT = "erased-correct"
    """The first round of every photograph, whatever its class was taken for; then round l while the network classifies
    the photograph with l squares erased correctly (released code)."""


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """What the evidence pool holds."""

    grounding: GroundingConfig = field(default_factory=GroundingConfig)
    patches: PatchConfig = field(default_factory=PatchConfig)
    keep: Keep = Keep.CORRECT
    whole: bool = True
    """Whether the Evidence CNN also learns from each photograph of the pool as a whole, as the release for PyTorch
    has it; its training is then longer by as many photographs."""
    part_size: int = 128
    """Photographs of one part: what a killed build repeats at most."""
    batch_size: int = 32
    """Photographs at a time; a field, since sums over a batch round differently in another."""

    @classmethod
    def paper(cls) -> PoolConfig:
        """Return what the paper's text says, but for `grounding.layer`, which differs from network to network."""
        return cls(grounding=GroundingConfig(method=GroundingMethod.CEB), patches=PatchConfig.paper(), whole=False)

    @classmethod
    def reference(cls) -> PoolConfig:
        """Return the settings of the authors' release for Caffe, which grounds by cEB."""
        return replace(cls.paper(), patches=PatchConfig.reference(), keep=Keep.ERASED_CORRECT)

    @classmethod
    def reference_pytorch(cls) -> PoolConfig:
        """Return the settings of the authors' release for PyTorch; its `grounding.layer` is the last feature map."""
        grounding = GroundingConfig(method=GroundingMethod.GRAD_CAM)
        patches = PatchConfig.reference_pytorch()
        return replace(cls.reference(), grounding=grounding, patches=patches, whole=True)

    def __post_init__(self) -> None:
        if self.grounding.method and not self.grounding.method.knows_classes:
            raise UserError(
                "Guided Zoom grounds one class after another; the maps of rollout are the same for every class; take "
                "another method (--pool.grounding.method), such as gradient-activation or attn-lrp"
            )
        require_count("part_size", self.part_size)
        require_count("batch_size", self.batch_size)


class EvidenceStart(StrEnum):
    """What the training of the Evidence CNN begins with."""

    CONVENTIONAL = "conventional"
    """The conventional network's backbone, where the Evidence CNN's is built and fed alike; else as `PRETRAINED`."""
    PRETRAINED = "pretrained"
    """What the conventional network's own training began with, where the backbone is the same; else the architecture's
    known weights. ImageNet's mostly."""


class Scores(StrEnum):
    """What of the two networks is added up."""

    PROBABILITIES = "probabilities"
    """As the text says."""
    LOGITS = "logits"
    """As the authors' release for Caffe does."""


class Rule(StrEnum):
    """How the weighted scores of a class become one."""

    SUM = "sum"
    """Their sum (Algorithm 1)."""
    MAX = "max"
    """The largest of them."""


@dataclass(frozen=True, kw_only=True)
class RefinementConfig:
    """Algorithm 1: how much the first answer and the evidence of each round count."""

    top_k: int = 5
    """How many of the network's best classes are considered; the paper takes 3 and 5."""
    weights: tuple[float, ...] = (0.4, 0.2)
    """w of the network's own answer, then w_0 to w_L of the evidence of each round; the paper's: 0.4, 0.3, 0.2, 0.1.
    Chosen with `PatchConfig.patch`."""
    rule: Rule = Rule.SUM
    scores: Scores = Scores.PROBABILITIES
    mirrored: bool = True
    """Whether the Evidence CNN's score of a patch is the mean of that and of its mirror image's: two passes a patch."""
    entropy_threshold: float | None = None
    """Refine only where the entropy of the network's probabilities, in nats, is above this; None: always."""

    @classmethod
    def paper(cls) -> RefinementConfig:
        """Return what the paper's text says, for L = 2."""
        return cls(weights=(0.4, 0.3, 0.2, 0.1), mirrored=False)

    @classmethod
    def reference(cls) -> RefinementConfig:
        """Return the settings of the authors' release for Caffe."""
        return replace(cls.paper(), scores=Scores.LOGITS)

    @classmethod
    def reference_pytorch(cls) -> RefinementConfig:
        """Return the settings of the authors' release for PyTorch: the text's."""
        return cls.paper()

    def __post_init__(self) -> None:
        require_count("top_k", self.top_k)
        require(
            len(self.weights) >= 2,
            "weights must hold that of the network's answer and one for each round of evidence, two at least",
            self.weights,
        )
        require(min(self.weights) >= 0, "weights must not be negative", self.weights)
        require(sum(self.weights) > 0, "weights must not all be 0", self.weights)
        gate = self.entropy_threshold
        require(gate is None or gate >= 0, "entropy_threshold must not be negative, in nats, or None", gate)
        require_finite(self)

    @property
    def rounds(self) -> int:
        """L, the rounds of erasing that the weights ask for."""
        return len(self.weights) - 2
