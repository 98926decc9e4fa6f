"""How a network is trained, and the whole of a run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil

from foveate.config.checks import require, require_count, require_finite, require_fraction, require_seed
from foveate.config.data import DataConfig, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import NetworkConfig, PlainConfig
from foveate.config.optimiser import OptimiserConfig, Sampling, SmoothingOver
from foveate.files.remote_path import located

_LEAST_EPOCHS, _MOST_EPOCHS = 15, 200


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run."""

    data: DataConfig
    transforms: TransformConfig = field(default_factory=TransformConfig)
    network: NetworkConfig = field(default_factory=PlainConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    epochs: int = 15
    """Passes over the training photographs; 0: as `steps` says or, without it, 15, and more where photographs are few:
    up to 200, until about 1,680 batches (S3N: 1,120) were learned from."""
    steps: int | None = None
    """In place of `epochs`: about so many batches, rounded to whole epochs once the photographs are counted."""
    batch_size: int = 16
    """Photographs per step, over all devices together."""
    label_smoothing: float = 0.1
    """Share of the target spread evenly over the classes of `smoothing_over`."""
    smoothing_over: SmoothingOver = SmoothingOver.ALL
    class_weights: bool = False
    """Weigh each class's loss by the inverse of its frequency."""
    sampling: Sampling = Sampling.UNIFORM
    """How often photographs of each class are shown."""
    logit_adjustment: float = 0.0
    """Add so many times the logarithm of each class's share of the training photographs to its logits in the loss, not
    in the answers, so that rare classes are answered as often as they are right: 1 is usual for long tails, 0 off
    (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021)."""
    ema_decay: float | None = None
    """Keep an exponential moving average of the weights with this decay per step and use it; None: do not."""
    frozen_stride: int = 0
    """Layers of the backbone whose feature maps are at most so many times smaller than the view stay as they begin,
    their statistics of batch norms included: a step is cheaper, the first layers cost most. 0: every layer learns, as
    all should that begin with random weights. Copies of the backbone (MA-CNN's streams) learn whole."""
    lora_rank: int = 0
    """Rank of the low-rank updates that are learned in place of the backbone's weights, which stay (LoRA: Hu et al.,
    ICLR 2022); they are added to these at the end. 0: the weights themselves learn. Needs the package peft."""
    pretrained_share: float = 0.0
    """Share, in the weights that the training leaves, of those that it began with: a weighted mean of the two, which
    forgets less of the pretraining (WiSE-FT: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022)."""
    keep_epochs: tuple[int, ...] = ()
    """Epochs, counted from 1, after which the weights are also kept in `epochs/`, to see what the network looked at."""
    seed: int = 0
    """With the epoch and the photograph's index it fixes the order, each view, each dropped feature and the head."""

    def __post_init__(self) -> None:
        root, relabel = self.data.root, self.data.relabel
        data = replace(self.data, root=located(root), relabel=None if relabel is None else located(relabel))
        object.__setattr__(self, "data", data)
        sizes = self.transforms
        require(
            self.network.reads_source or sizes.source_size in (None, sizes.input_size),
            f"a {self.network.method} network sees one size: source_size must be input_size, or None, without a zoom",
            sizes.source_size,
        )
        require_count("epochs", self.epochs, least=0)
        if self.epochs:
            require(self.steps is None, "epochs must be 0 beside steps; to give epochs, make steps None", self.epochs)
            for epoch in self.keep_epochs:
                require(1 <= epoch <= self.epochs, f"keep_epochs must be in 1 to {self.epochs} (epochs)", epoch)
        elif self.steps is not None:
            require_count("steps", self.steps)
        require_count("batch_size", self.batch_size)
        require_seed("seed", self.seed)
        require_fraction("label_smoothing", self.label_smoothing)
        require(self.logit_adjustment >= 0, "logit_adjustment must not be negative", self.logit_adjustment)
        require_count("frozen_stride", self.frozen_stride, least=0)
        require_count("lora_rank", self.lora_rank, least=0)
        require(
            not self.lora_rank or not self.frozen_stride,
            "lora_rank keeps every layer of the backbone, so frozen_stride must be 0 beside it",
            self.frozen_stride,
        )
        require(
            not self.lora_rank or not self.keep_epochs,
            "lora_rank adds its updates to the weights at the end, so keep_epochs must be empty beside it",
            self.keep_epochs,
        )
        require_fraction("pretrained_share", self.pretrained_share)
        require(
            not self.pretrained_share or self.network.begins_with_probe,
            "pretrained_share averages with what a training begins with, so its heads must begin as probes "
            "(network.head probe), or it must be 0",
            self.pretrained_share,
        )
        require(self.ema_decay is None or 0 < self.ema_decay < 1, "ema_decay must be in (0, 1)", self.ema_decay)
        require_finite(self)

    @property
    def trained_epochs(self) -> int | None:
        """How many epochs it is trained; None where it was trained elsewhere, or is solved for."""
        return self.epochs if self.network.trained_here and not self.network.solved else None

    def counted(self, photographs: int) -> TrainConfig:
        """Return the same training with `epochs` said, where they are 0.

        Args:
            photographs: How many it learns from; the last batch of an epoch may be smaller than the others.

        Raises:
            UserError: One of `keep_epochs` lies beyond the last.
        """
        if self.epochs:
            return self
        batches = max(1, ceil(photographs / self.batch_size))
        if self.steps is None:
            epochs = min(max(_LEAST_EPOCHS, round(self.network.enough_steps / batches)), _MOST_EPOCHS)
        else:
            epochs = max(1, round(self.steps / batches))
        return replace(self, steps=None, epochs=epochs)
