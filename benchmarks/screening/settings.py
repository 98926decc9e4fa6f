"""What is varied."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """One way to fine-tune; the default is the package's until it was screened."""

    looks: int = 1
    """1: plain; 3: S3N."""
    steps: int = 560
    batch: int = 16
    crops: int = 1
    """Views of each photograph in a batch."""
    learning_rate: float = 0.01
    head_rate: float = 0.1
    optimiser: str = "sgd"
    """Or adamw."""
    weight_decay: float = 1e-4
    layer_decay: float = 1.0
    """Factor of the rate from each layer to the one before it."""
    frozen_norms: bool = False
    """Whether batch norms keep the pretrained statistics."""
    probe: bool = False
    """Whether the head begins as logistic regression on frozen features, and not at random."""
    augment: str = "none"
    """Or trivial."""
    smallest: float = 0.5
    """Share of the area that a training view shows at least."""
    jitter: float = 4 / 3
    """Of a training view's aspect."""
    square: bool = False
    """Whether views keep the photograph's aspect."""
    smoothing: float = 0.1
    dropout: float = 0.0
    mixup: float = 0.0
    """Parameter of the Beta distribution from which photographs and labels are mixed."""
    patched: str = "none"
    """Or cutmix, snapmix: a box of another photograph is put into each one; labels count by area, or by class maps."""
    box: float = 5.0
    """Parameter of the Beta distribution from which the boxes' areas are drawn."""
    share_patched: float = 1.0
    """Of the batches."""
    teacher: str = "none"
    """Or features, answers: what two larger packaged networks say of the views is learned as well."""
    taught: float = 0.5
    """Share of the answers in the targets, or weight of the squared error of the features."""
    lesson_views: int = 12
    """Of each photograph, in place of a new one each time."""
    input: int = 224
    source: int = 224
    trained: int | None = None
    """Side of the views in training, smaller than `input`, in pixels; None: `input`. A random crop enlarges what it
    shows; a smaller one shows it as large as the test view does (FixRes, NeurIPS 2019), and costs less."""
    frozen_stages: int = 0
    """How many of the first stages, the stem with them, stay as they were pretrained."""
    radius_rate: float = 0.01
    """Of S3N; at 0 no gradient passes through the zoom."""
    share: float = 224 / 256
    """Of each side that a test view shows."""
    seed: int = 0
