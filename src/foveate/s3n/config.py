"""S3N's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar

from foveate.config.branches import Branch
from foveate.config.checks import require, require_finite, require_fraction
from foveate.config.networks import BackboneConfig, BackboneNetworkConfig, HeadStart


class Branches(StrEnum):
    """Which views S3N decides from (Table 2): the original, the discriminative and the complementary one.

    Where the original is left out it still provides the class maps, and its head is still trained for them.
    """

    D = "d"
    """The zoomed view alone, as the saliency sampler was published; no row of Table 2."""
    O = "o"  # noqa: E741  # the paper's letter
    OD = "o+d"
    OC = "o+c"
    DC = "d+c"
    ODC = "o+d+c"


class EntropySource(StrEnum):
    """From which scores the gate takes its probabilities (S3N Eq. 2)."""

    LOGITS = "logits"
    """The head's answer to the averaged features, as the text has it."""
    CLASS_MAPS = "class-maps"
    """The means of the class maps on the response grid, where borders weigh less; no bias."""
    CLASS_MAPS_AND_BIAS = "class-maps-and-bias"
    """The same and the head's bias, as the released code has it: its class maps are a convolution with that bias."""


class Aggregation(StrEnum):
    """How the five best classes' maps become one where the network is in doubt (S3N Eq. 3)."""

    SUM = "sum"
    """As the text says."""
    MEAN = "mean"
    """The same response after it is scaled to [0, 1]."""


class CellPlacement(StrEnum):
    """Where the cells of the feature map lie in the photograph, when their values go to the response grid."""

    CORNERS = "corners"
    """The outermost cells' centres on the photograph's corners, as the released code has it: with 7 cells a side
    everything is 7/6 as far from the middle as it is."""
    CENTRES = "centres"
    """Each cell in the middle of the pixels that it stands for."""


class AttentionKind(StrEnum):
    """What draws the zoom (S3N Table 3); the dense kinds have no peaks, and nothing to divide between two views."""

    SPARSE = "sparse"
    """The peaks of the response, a Gaussian around each (Eq. 5)."""
    CLASS_RESPONSE = "class-response"
    """The response itself: dense, and of the predicted classes."""
    SALIENCY = "saliency"
    """A saliency network's map: dense, whatever the class (Recasens et al., "Learning to zoom", 2018)."""


class AttentionKernel(StrEnum):
    """The Gaussian around a peak with response R (S3N Eq. 5); d is in fractions of the grid, beta the radius."""

    PAPER = "paper"
    """exp(-d^2 / (R beta^2))."""
    HALF = "half"
    """exp(-d^2 / (2 R beta^2)), as the released code has it."""


class Partition(StrEnum):
    """Which peaks draw each of the two views (S3N Eq. 4 and Table 4)."""

    PROBABILITY = "probability"
    """The discriminative view with probability R, else the complementary one."""
    EXPECTED = "expected"
    """Every peak in both, weighted by R and by 1 - R: the mean of many PROBABILITY draws, without randomness."""
    ALL = "all"
    """Every peak in both."""
    RANDOM = "random"
    """Either view with probability 1/2."""
    EXTREMES = "extremes"
    """The strongest peak in the discriminative view, the weakest in the complementary one."""


class Fusion(StrEnum):
    """The linear layer on the concatenated features of the views (S3N, section 3.4)."""

    OWN = "own"
    """Weights of its own, as in the paper."""
    TIED = "tied"
    """Its block for each view is that view's head: the joint logits are the mean of the views'."""


_LARGEST_GRID = 127


_SMALLEST_RADIUS = 0.001


_SQUARE_ROOT_OF_TWO = 2**0.5


@dataclass(frozen=True, kw_only=True)
class S3NConfig(BackboneNetworkConfig):
    """Selective sparse sampling (ICCV 2019). The defaults are Foveate's preset; `paper` and `reference` are others.

    Lengths are fractions of the response grid's side, so that they mean the same on any grid.
    """

    method: ClassVar[str] = "s3n"

    reads_source: ClassVar[bool] = True
    enough_steps: ClassVar[int] = 1120

    dropout: float = 0.0
    """Probability of dropping a pooled feature in training, before every head."""
    head: HeadStart = HeadStart.NEW
    """How the heads of all views begin; PROBE solves for the original view's first, which then draws the others."""
    frozen: bool = False
    """Whether nothing is trained: the backbone stays as it is, and the heads stay the probes that they begin as."""
    branches: Branches = Branches.ODC
    """Which views it decides from."""
    attention: AttentionKind = AttentionKind.SPARSE
    """What draws the zoom. A dense map M draws the discriminative view, 1 - M the complementary one where there is one;
    peaks, kernel, radii and partitions are then without effect, while `sampling_floor` is added as ever."""
    looker: str | None = None
    """Folder of a finished run of the same classes, whose network says where to look in the backbone's place: its class
    maps draw the zoomed views, in its own size and normalisation; its weights stay as they are, and are copied. None:
    the backbone looks for itself, as in the paper."""

    entropy_from: EntropySource = EntropySource.LOGITS
    entropy_threshold: float = 0.2
    """Nats; up to this entropy of the five best classes the first class's map is the response, above it all five's. Of
    five classes or fewer the least likely one's map does not count."""
    aggregation: Aggregation = Aggregation.MEAN
    response_grid: int | None = 31
    """Side of the grid, in cells, on which responses, peaks and attention live; None: the feature map's own."""
    placement: CellPlacement = CellPlacement.CENTRES
    detach_response: bool = True
    """Keep the gradient of the zoomed views out of the class maps; the radii learn from them either way."""
    peak_window: int = 3
    """Side of the window, in cells, in which a peak is the largest response; odd."""
    peaks_above_mean: bool = True
    """Whether a peak must also reach the mean of its response."""

    kernel: AttentionKernel = AttentionKernel.HALF
    radius: float = 0.15
    """beta_1, where the discriminative radius starts."""
    radius_complementary: float = 0.3
    """beta_2, where the complementary radius starts."""
    radius_rate: float = 0.01
    """Learning rate of both radii (of their logarithms), as a multiple of the pretrained layers'. To first order a rate
    of r on the logarithm moves a radius as r times the square of the radius would on the radius itself. 0: they stay;
    where nothing else learns through the zoom, no gradient passes through it, and a step is cheaper."""
    sampling_floor: float = 0.03
    """What every cell of a sampling map gets beside the attention: the less, the stronger the zoom; no cell has less
    than 0.001 in all."""
    both_until: float = 0.0
    """Share of the training in which every peak is in both sets, before `train_partition` holds."""
    train_partition: Partition = Partition.ALL
    """ALL, since at 224 pixels most responses have a single peak, which leaves the complementary set empty."""
    test_partition: Partition = Partition.ALL

    regulariser_width: float = 13 / 31
    """Full width at half maximum of the Gaussian k of Eq. 7 and 8."""
    regulariser_rate: float = 0.0
    """Learning rate of k, as a multiple of the pretrained layers'; 0: fixed."""

    views_together: bool = True
    """Whether both zoomed views pass through the backbone in one batch, so that training normalises over both; else
    one after the other, each over itself. At test time it makes no difference."""
    fusion: Fusion = Fusion.TIED
    branch_block: bool = False
    """A 3x3 convolution of stride 2 with batch norm and ReLU in front of each zoomed view's pooling."""
    hard_targets: tuple[Branch, ...] = ()
    """The answers whose loss ignores label smoothing."""

    def __post_init__(self) -> None:
        require_fraction("dropout", self.dropout)
        require(self.entropy_threshold >= 0, "entropy_threshold must not be negative, in nats", self.entropy_threshold)
        grid = self.response_grid
        require(
            grid is None or 2 <= grid <= _LARGEST_GRID,
            f"response_grid must have 2 to {_LARGEST_GRID} cells a side, or be None",
            grid,
        )
        require(
            self.peak_window >= 3 and self.peak_window % 2 == 1,
            "peak_window must be odd and at least 3 cells",
            self.peak_window,
        )
        for name in ("radius", "radius_complementary"):
            value = getattr(self, name)
            rule = f"{name} must be in [{_SMALLEST_RADIUS}, 1), a fraction of the response grid"
            require(_SMALLEST_RADIUS <= value < 1, rule, value)
        require(
            0 < self.regulariser_width <= 1,
            "regulariser_width must be in (0, 1], a fraction of the response grid",
            self.regulariser_width,
        )
        require(self.sampling_floor >= 0, "sampling_floor must not be negative", self.sampling_floor)
        require(0 <= self.both_until <= 1, "both_until must be a share of the training in [0, 1]", self.both_until)
        for name in ("radius_rate", "regulariser_rate"):
            require(getattr(self, name) >= 0, f"{name} must not be negative", getattr(self, name))
        require(
            grid is not None or self.regulariser_rate == 0,
            "a regulariser that learns (regulariser_rate > 0) needs a response_grid; give its side in cells",
            grid,
        )
        untrained = self.branch_block or self.attention is AttentionKind.SALIENCY
        require(
            not (self.begins_with_probe and untrained),
            "head must be new where a layer before it begins untrained (branch_block, attention saliency)",
            self.head,
        )
        require(
            self.looker is None or self.attention is not AttentionKind.SALIENCY,
            "looker must be None where a saliency network says where to look (attention saliency)",
            self.looker,
        )
        require(self.begins_with_probe or not self.frozen, "head must be probe where nothing is trained", self.head)
        require_finite(self)

    @classmethod
    def paper(cls, backbone: BackboneConfig | None = None) -> S3NConfig:
        """Return what the paper's text says; where it says nothing, the reference."""
        return cls(
            backbone=backbone or BackboneConfig(),
            aggregation=Aggregation.SUM,
            response_grid=None,
            placement=CellPlacement.CORNERS,
            detach_response=False,
            peaks_above_mean=False,
            kernel=AttentionKernel.PAPER,
            radius=_SQUARE_ROOT_OF_TWO * 0.09,
            radius_complementary=_SQUARE_ROOT_OF_TWO * 0.3,
            radius_rate=10.0,
            sampling_floor=0.0,
            train_partition=Partition.PROBABILITY,
            test_partition=Partition.PROBABILITY,
            views_together=False,
            fusion=Fusion.OWN,
        )

    @classmethod
    def reference(cls, backbone: BackboneConfig | None = None) -> S3NConfig:
        """Return the settings of the authors' released code; its loss also needs the recipe's label smoothing."""
        return cls(
            backbone=backbone or BackboneConfig(),
            entropy_from=EntropySource.CLASS_MAPS_AND_BIAS,
            placement=CellPlacement.CORNERS,
            radius=0.09,
            radius_rate=1e-4,
            sampling_floor=0.09,
            both_until=21 / 60,
            train_partition=Partition.PROBABILITY,
            test_partition=Partition.EXTREMES,
            regulariser_rate=1e-4,
            views_together=False,
            fusion=Fusion.OWN,
            branch_block=True,
            hard_targets=(Branch.DISCRIMINATIVE, Branch.JOINT),
        )

    @classmethod
    def from_probes(cls, backbone: BackboneConfig | None = None) -> S3NConfig:
        """Return Foveate's preset as its recipe trains it: heads begin as probes, radii stay where they start."""
        return cls(backbone=backbone or BackboneConfig(), head=HeadStart.PROBE, radius_rate=0.0)

    @classmethod
    def without_training(cls, backbone: BackboneConfig | None = None) -> S3NConfig:
        """Return an S3N of probes: the class maps of one draw two more looks, and each look has a probe of its own.

        Its zoom is weaker than a trained one's: frozen features take less distortion (docs/log.md, 2026-11-27).
        """
        return cls(backbone=backbone or BackboneConfig(), head=HeadStart.PROBE, frozen=True, sampling_floor=0.1)

    @property
    def solved(self) -> bool:
        """Whether nothing is trained."""
        return self.frozen

    @property
    def begins_with_probe(self) -> bool:
        """Whether `head` says so."""
        return self.head is HeadStart.PROBE

    @property
    def unsmoothed(self) -> tuple[Branch, ...]:
        """`hard_targets`."""
        return self.hard_targets

    @property
    def looks_by(self) -> str | None:
        """`looker`."""
        return self.looker

    def with_looker(self, looker: str) -> S3NConfig:
        """Return the same, looking by the network of another folder."""
        return replace(self, looker=looker)

    def settings(self) -> dict[str, str | None]:
        """Name what the tables of results compare.

        ``preset`` is the one that this is but for the backbone and what else is compared, else "own"; two that were not
        yet right have names of their own (docs/deviations.md), and Foveate's is "continued" where it goes on from a
        run. ``attention`` and ``partition`` (in training and in testing) are None where they are the preset's.
        """
        compared = {name: getattr(self, name) for name in _COMPARED}
        alikes = ((name, each) for name, each in _presets() if self == replace(each, **compared))
        name, alike = next(alikes, ("own", S3NConfig()))
        own, usual = ((each.train_partition.value, each.test_partition.value) for each in (self, alike))
        return {
            "preset": "continued" if name == "foveate" and self.backbone.of_run else name,
            "decides_from": self.branches.value,
            "attention": None if self.attention is alike.attention else self.attention.value,
            "partition": None if own == usual else "/".join(dict.fromkeys(own)),
        }


_COMPARED = ("backbone", "branches", "attention", "train_partition", "test_partition")


def _presets() -> Iterator[tuple[str, S3NConfig]]:
    """Yield presets with their names; former ones, until 2026-11-27, are those that runs of that time have."""
    yield "foveate", S3NConfig()
    yield "foveate", S3NConfig.from_probes()
    paper, reference = S3NConfig.paper(), S3NConfig.reference()
    yield "paper", paper
    yield "reference", reference
    yield "former paper", replace(paper, views_together=True, radius_rate=0.01)
    yield "former reference", replace(reference, views_together=True, entropy_from=EntropySource.CLASS_MAPS)
    yield "frozen", S3NConfig.without_training()
