"""Every value is checked where it is given."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from foveate.config.branches import Branch
from foveate.config.data import DataConfig, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, HeadStart, PlainConfig
from foveate.config.optimiser import OptimiserConfig
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.guided_zoom.config import Keep, PatchConfig, PoolConfig, RefinementConfig, Rule, Scores
from foveate.macnn.config import MACNNConfig
from foveate.recipes.config import TrainConfig
from foveate.s3n.config import Aggregation, AttentionKernel, CellPlacement, EntropySource, Fusion, Partition, S3NConfig

DATA = DataConfig(root=Path("birds"))


def data(**values: Any) -> DataConfig:
    return DataConfig(root=Path("birds"), **values)


def training(**values: Any) -> TrainConfig:
    return TrainConfig(data=DATA, **values)


Maker = Callable[..., object]

FRACTIONS: list[tuple[Maker, str]] = [
    (data, "validation_fraction"),
    (data, "test_fraction"),
    (PlainConfig, "dropout"),
    (S3NConfig, "dropout"),
    (MACNNConfig, "dropout"),
    (training, "label_smoothing"),
]

REFUSED: list[tuple[Maker, str, Any, str]] = [
    *[
        (maker, field, value, f"{field} must be a fraction in [0, 1)")
        for maker, field in FRACTIONS
        for value in (-0.1, 1.0, 20.0, math.nan)
    ],
    (TransformConfig, "input_size", 15, "input_size must be at least 16 pixels"),
    (TransformConfig, "resize_size", 223, "resize_size must be at least input_size (224)"),
    (TransformConfig, "source_size", 223, "source_size must be at least input_size (224), or None"),
    (TransformConfig, "source_size", 0, "source_size must be at least input_size (224), or None"),
    (TransformConfig, "smallest_area", 0.0, "smallest_area must be in (0, 1]"),
    (TransformConfig, "smallest_area", 1.1, "smallest_area must be in (0, 1]"),
    (TransformConfig, "aspect_jitter", 0.9, "aspect_jitter must be in [1, 10]"),
    (TransformConfig, "aspect_jitter", math.nan, "aspect_jitter must be in [1, 10]"),
    (TransformConfig, "flip", -0.1, "flip must be a probability"),
    (TransformConfig, "flip", 1.1, "flip must be a probability"),
    *[
        (S3NConfig, field, value, f"{field} must be in [0.001, 1), a fraction of the response grid")
        for field in ("radius", "radius_complementary")
        for value in (-0.1, 0.0, 1.0, 3.0, math.nan)
    ],
    *[
        (S3NConfig, "response_grid", cells, "response_grid must have 2 to 127 cells a side, or be None")
        for cells in (0, 1, 128)
    ],
    *[(S3NConfig, "peak_window", cells, "peak_window must be odd and at least 3 cells") for cells in (-3, 1, 2, 4)],
    (S3NConfig, "entropy_threshold", -0.1, "entropy_threshold must not be negative, in nats"),
    (S3NConfig, "regulariser_width", 0.0, "regulariser_width must be in (0, 1], a fraction of the response grid"),
    (S3NConfig, "regulariser_width", 13.0, "regulariser_width must be in (0, 1], a fraction of the response grid"),
    (S3NConfig, "sampling_floor", -0.1, "sampling_floor must not be negative"),
    (S3NConfig, "both_until", -0.1, "both_until must be a share of the training in [0, 1]"),
    (S3NConfig, "both_until", 21.0, "both_until must be a share of the training in [0, 1]"),
    (S3NConfig, "radius_rate", -0.1, "radius_rate must not be negative"),
    (S3NConfig, "regulariser_rate", -0.1, "regulariser_rate must not be negative"),
    *[(MACNNConfig, "parts", count, "parts must be 1 to 8") for count in (0, 9)],
    *[(MACNNConfig, field, 0, f"{field} must be at least 1") for field in ("hidden", "classifying_epochs")],
    *[
        (MACNNConfig, field, -1, f"{field} must not be negative")
        for field in ("diversity_weight", "diversity_margin", "grouping_epochs", "grouping_rate", "start_steps")
    ],
    *[
        (MACNNConfig, "crop", share, "crop must be in (0, 1], a fraction of the view's side")
        for share in (0.0, 1.1, 128.0, math.nan)
    ],
    (MACNNConfig, "part_size", 15, "part_size must be at least 16 pixels, or None"),
    (MACNNConfig, "projection", 0, "projection must be at least 1, or None"),
    (OptimiserConfig, "learning_rate", 0.0, "learning_rate must be positive"),
    (OptimiserConfig, "new_learning_rate", -0.1, "new_learning_rate must be positive"),
    (OptimiserConfig, "momentum", 1.0, "momentum must be in [0, 1)"),
    (OptimiserConfig, "momentum", -0.1, "momentum must be in [0, 1)"),
    (OptimiserConfig, "weight_decay", -1e-4, "weight_decay must not be negative"),
    (HardwareConfig, "devices", 0, "devices must be at least 1"),
    (HardwareConfig, "workers", -1, "workers must not be negative"),
    (training, "epochs", -1, "epochs must not be negative"),
    (partial(training, epochs=0), "steps", 0, "steps must be at least 1"),
    (partial(training, steps=100), "epochs", 15, "epochs must be 0 beside steps; to give epochs, make steps None"),
    (training, "batch_size", 0, "batch_size must be at least 1"),
    (training, "seed", -1, "seed must not be negative"),
    (training, "ema_decay", 0.0, "ema_decay must be in (0, 1)"),
    (training, "ema_decay", 1.0, "ema_decay must be in (0, 1)"),
    (GroundingConfig, "masks", 0, "masks must be at least 1"),
    (GroundingConfig, "mask_cells", 1, "mask_cells must be at least 2"),
    (GroundingConfig, "mask_keep", 0.0, "mask_keep must be a probability in (0, 1)"),
    (GroundingConfig, "mask_keep", 1.0, "mask_keep must be a probability in (0, 1)"),
    (GroundingConfig, "seed", -1, "seed must not be negative"),
    *[
        (PatchConfig, field, value, f"{field} must be in (0, 1], a fraction of the view's side")
        for field in ("patch", "erased")
        for value in (0.0, 1.1, 150.0, math.nan)
    ],
    (PatchConfig, "patch", 0.01, "a patch must have at least 8 pixels a side: patch times source_size (448)"),
    (PatchConfig, "source_size", 15, "source_size must be at least 16 pixels"),
    (PatchConfig, "rounds", -1, "rounds must not be negative"),
    (PoolConfig, "part_size", 0, "part_size must be at least 1"),
    (PoolConfig, "batch_size", 0, "batch_size must be at least 1"),
    (RefinementConfig, "top_k", 0, "top_k must be at least 1"),
    *[
        (
            RefinementConfig,
            "weights",
            value,
            "weights must hold that of the network's answer and one for each round of evidence, two at least",
        )
        for value in ((), (1.0,))
    ],
    *[(RefinementConfig, "weights", value, "weights must not be negative") for value in ((0.4, -0.1), (math.nan, 0.5))],
    (RefinementConfig, "weights", (0.0, 0.0), "weights must not all be 0"),
    (RefinementConfig, "entropy_threshold", -0.1, "entropy_threshold must not be negative, in nats, or None"),
]

AT_THE_EDGE: list[tuple[Maker, str, Any]] = [
    *[(maker, field, value) for maker, field in FRACTIONS for value in (0.0, 0.999)],
    (TransformConfig, "input_size", 16),
    (TransformConfig, "resize_size", 224),
    (TransformConfig, "source_size", 224),
    (TransformConfig, "source_size", None),
    (TransformConfig, "smallest_area", 1.0),
    (TransformConfig, "aspect_jitter", 1.0),
    (TransformConfig, "flip", 0.0),
    (TransformConfig, "flip", 1.0),
    (S3NConfig, "response_grid", 2),
    (S3NConfig, "response_grid", 127),
    (S3NConfig, "response_grid", None),
    (S3NConfig, "peak_window", 3),
    (S3NConfig, "peak_window", 5),
    (S3NConfig, "entropy_threshold", 0.0),
    (S3NConfig, "regulariser_width", 1.0),
    (S3NConfig, "sampling_floor", 0.0),
    (S3NConfig, "both_until", 0.0),
    (S3NConfig, "both_until", 1.0),
    (S3NConfig, "radius_rate", 0.0),
    (S3NConfig, "regulariser_rate", 1.0),
    (MACNNConfig, "parts", 1),
    (MACNNConfig, "parts", 8),
    (MACNNConfig, "grouping_epochs", 0),
    (MACNNConfig, "start_steps", 0),
    (MACNNConfig, "crop", 1.0),
    (MACNNConfig, "projection", None),
    (OptimiserConfig, "momentum", 0.0),
    (OptimiserConfig, "weight_decay", 0.0),
    (OptimiserConfig, "milestones", ()),
    (HardwareConfig, "workers", 0),
    (HardwareConfig, "workers", None),
    (training, "epochs", 1),
    (training, "batch_size", 1),
    (training, "seed", 0),
    (training, "ema_decay", None),
    (training, "ema_decay", 0.999),
    (PatchConfig, "patch", 1.0),
    (PatchConfig, "erased", 1.0),
    (PatchConfig, "rounds", 0),
    (RefinementConfig, "top_k", 1),
    (RefinementConfig, "weights", (0.0, 1.0)),
    (RefinementConfig, "entropy_threshold", 0.0),
]


@pytest.mark.parametrize(("maker", "field", "value", "rule"), REFUSED)
def test_a_value_that_breaks_a_rule_is_refused(maker: Maker, field: str, value: object, rule: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(f'{rule}; got {value}')}$"):
        maker(**{field: value})


@pytest.mark.parametrize("milestone", [0.0, 1.0, 20.0])
def test_each_milestone_is_a_share_of_the_training(milestone: float) -> None:
    with pytest.raises(UserError, match=rf"milestones must be shares of the training in \(0, 1\); got {milestone}$"):
        OptimiserConfig(milestones=(0.5, milestone))


@pytest.mark.parametrize(("maker", "field", "value"), AT_THE_EDGE)
def test_the_edge_of_a_rule_is_allowed(maker: Maker, field: str, value: object) -> None:
    assert getattr(maker(**{field: value}), field) == value


def test_defaults() -> None:
    config = training()
    assert config.transforms == TransformConfig()
    assert config.network == PlainConfig(backbone=BackboneConfig())
    assert (config.optimiser, config.hardware) == (OptimiserConfig(), HardwareConfig())
    with pytest.raises(FrozenInstanceError):
        config.epochs = 3  # type: ignore[misc]


def test_a_regulariser_that_learns_needs_a_grid() -> None:
    with pytest.raises(UserError, match=r"^a regulariser that learns .* needs a response_grid; .*; got None$"):
        S3NConfig(regulariser_rate=1e-4, response_grid=None)


@pytest.mark.parametrize(("source", "pixels"), [(None, 224), (224, 224), (448, 448)])
def test_pixels_are_read_at_the_source_size(source: int | None, pixels: int) -> None:
    assert TransformConfig(source_size=source).source == pixels


# What the paper leaves open is as in the reference. Why Foveate's differs from its first design: docs/log.md.
PRESETS: list[tuple[str, object, object, object]] = [
    # field, paper, reference, foveate
    ("entropy_from", EntropySource.LOGITS, EntropySource.CLASS_MAPS_AND_BIAS, EntropySource.LOGITS),
    ("entropy_threshold", 0.2, 0.2, 0.2),
    ("aggregation", Aggregation.SUM, Aggregation.MEAN, Aggregation.MEAN),
    ("response_grid", None, 31, 31),
    ("placement", CellPlacement.CORNERS, CellPlacement.CORNERS, CellPlacement.CENTRES),
    ("detach_response", False, True, True),
    ("peak_window", 3, 3, 3),
    ("peaks_above_mean", False, True, True),
    ("kernel", AttentionKernel.PAPER, AttentionKernel.HALF, AttentionKernel.HALF),
    ("radius", pytest.approx(0.12728, rel=1e-4), 0.09, 0.15),
    ("radius_complementary", pytest.approx(0.42426, rel=1e-4), 0.3, 0.3),
    ("radius_rate", 10.0, 1e-4, 1e-2),  # the paper's: 0.01 where pretrained layers have 0.001
    ("sampling_floor", 0.0, 0.09, 0.03),
    ("both_until", 0.0, 21 / 60, 0.0),
    ("train_partition", Partition.PROBABILITY, Partition.PROBABILITY, Partition.ALL),
    ("test_partition", Partition.PROBABILITY, Partition.EXTREMES, Partition.ALL),
    ("views_together", False, False, True),
    ("fusion", Fusion.OWN, Fusion.OWN, Fusion.TIED),
    ("branch_block", False, True, False),
    ("regulariser_width", 13 / 31, 13 / 31, 13 / 31),
    ("regulariser_rate", 0.0, 1e-4, 0.0),
    ("hard_targets", (), (Branch.DISCRIMINATIVE, Branch.JOINT), ()),
    ("head", HeadStart.NEW, HeadStart.NEW, HeadStart.NEW),
    ("frozen", False, False, False),
]


@pytest.mark.parametrize(("field", "paper", "reference", "foveate"), PRESETS)
def test_presets_hold_what_the_table_says(field: str, paper: object, reference: object, foveate: object) -> None:
    assert getattr(S3NConfig.paper(), field) == paper
    assert getattr(S3NConfig.reference(), field) == reference
    assert getattr(S3NConfig(), field) == foveate


GUIDED_ZOOM_PRESETS: list[tuple[str, object, object, object, object]] = [
    # field, paper, reference (Caffe), reference (PyTorch), foveate
    ("pool.grounding.method", GroundingMethod.CEB, GroundingMethod.CEB, GroundingMethod.GRAD_CAM, None),
    ("pool.patches.patch", 150 / 448, 150 / 448, 150 / 448, 0.5),
    ("pool.patches.erased", 85 / 448, 84 / 448, 84 / 448, 85 / 448),
    ("pool.patches.source_size", 448, 448, 448, 448),
    ("pool.patches.rounds", 2, 2, 2, 0),
    ("pool.patches.elsewhere", False, False, False, True),
    ("pool.patches.stretch", False, True, False, False),
    ("pool.keep", Keep.CORRECT, Keep.ERASED_CORRECT, Keep.ERASED_CORRECT, Keep.CORRECT),
    ("pool.whole", False, False, True, True),
    ("refinement.top_k", 5, 5, 5, 5),
    ("refinement.weights", (0.4, 0.3, 0.2, 0.1), (0.4, 0.3, 0.2, 0.1), (0.4, 0.3, 0.2, 0.1), (0.4, 0.2)),
    ("refinement.rule", Rule.SUM, Rule.SUM, Rule.SUM, Rule.SUM),
    ("refinement.scores", Scores.PROBABILITIES, Scores.LOGITS, Scores.PROBABILITIES, Scores.PROBABILITIES),
    ("refinement.mirrored", False, False, False, True),
    ("refinement.entropy_threshold", None, None, None, None),
]


@pytest.mark.parametrize(("photographs", "epochs"), [(600, 44), (832, 32), (10_000, 15), (16, 200)])
def test_few_photographs_are_passed_over_more_often(photographs: int, epochs: int) -> None:
    """1,680 batches of 16, in 15 to 200 epochs: 600 photographs are 38 batches, and 1,680 of them 44.2 epochs."""
    counted = training(epochs=0).counted(photographs)
    assert (counted.epochs, counted.steps) == (epochs, None)
    assert training(epochs=3).counted(photographs).epochs == 3


@pytest.mark.parametrize(("photographs", "epochs"), [(600, 29), (832, 22), (10_000, 15), (16, 200)])
def test_three_looks_at_each_take_fewer(photographs: int, epochs: int) -> None:
    """1,120 batches of 16: of 600 photographs they are 29.5 epochs of 38 batches, of 832 21.5 of 52."""
    assert training(epochs=0, network=S3NConfig()).counted(photographs).epochs == epochs


@pytest.mark.parametrize(("field", "paper", "caffe", "pytorch", "foveate"), GUIDED_ZOOM_PRESETS)
def test_guided_zooms_presets_hold_what_the_table_says(
    field: str, paper: object, caffe: object, pytorch: object, foveate: object
) -> None:
    part, name = field.split(".", 1)
    config: type[PoolConfig | RefinementConfig] = {"pool": PoolConfig, "refinement": RefinementConfig}[part]
    presets = (config.paper(), config.reference(), config.reference_pytorch(), config())
    assert [attrgetter(name)(each) for each in presets] == [paper, caffe, pytorch, foveate]


def test_the_table_of_guided_zooms_presets_names_every_choice() -> None:
    named = {field.split(".", 1)[1] for field, *_ in GUIDED_ZOOM_PRESETS}
    every = {f"patches.{each.name}" for each in fields(PatchConfig)} | {each.name for each in fields(RefinementConfig)}
    assert every <= named
    assert {each.name for each in fields(PoolConfig)} - named == {"grounding", "patches", "part_size", "batch_size"}


def test_presets_take_a_backbone_and_the_table_names_every_other_choice() -> None:
    backbone = BackboneConfig(architecture="resnet50")
    assert S3NConfig.paper(backbone).backbone == S3NConfig.reference(backbone).backbone == backbone
    named = {field for field, *_ in PRESETS}
    assert {field.name for field in fields(S3NConfig)} - named == {
        "backbone",
        "dropout",
        "branches",
        "attention",
        "looker",
    }


def test_it_imports_without_torch() -> None:
    check = "import sys, foveate.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False, timeout=120).returncode == 0
