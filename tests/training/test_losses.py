"""The sum of the branches' cross entropies (Eq. 9)."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.config.branches import Branch
from foveate.config.data import DataConfig
from foveate.config.networks import NetworkConfig, PlainConfig
from foveate.config.optimiser import SmoothingOver
from foveate.errors import UserError
from foveate.recipes.config import TrainConfig
from foveate.s3n.config import S3NConfig
from foveate.training.losses import branch_loss, check_smoothing, smoothing_of
from foveate.types import BranchLogits
from oracles.s3n import naive_cross_entropy


def training(
    network: NetworkConfig | None = None, smoothing: float = 0.0, over: SmoothingOver = SmoothingOver.ALL
) -> TrainConfig:
    return TrainConfig(
        data=DataConfig(root=Path("birds")),
        network=network or S3NConfig(),
        label_smoothing=smoothing,
        smoothing_over=over,
    )


def answers(classes: int, seed: int) -> BranchLogits:
    generator = torch.Generator().manual_seed(seed)
    first, second, third, fourth = (torch.randn(3, classes, generator=generator) for _ in range(4))
    return BranchLogits(first, second, third, fourth)


def target(label: int, classes: int, share: float, over: SmoothingOver) -> list[float]:
    """What the network is to answer: the label, but for a share that goes to all classes or to the others."""
    if over is SmoothingOver.ALL:
        return [(c == label) * (1 - share) + share / classes for c in range(classes)]
    return [1 - share if c == label else share / (classes - 1) for c in range(classes)]


@settings(deadline=None, max_examples=30)
@given(
    st.integers(2, 6),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.1, 0.15, 0.4]),
    st.sampled_from(SmoothingOver),
    st.booleans(),
    st.sets(st.sampled_from(Branch)),
)
def test_agrees_with_plain_loops(
    classes: int,
    seed: int,
    smoothing: float,
    over: SmoothingOver,
    weighted: bool,
    hard: set[Branch],
) -> None:
    logits = answers(classes, seed)
    labels = [seed % classes, (seed + 1) % classes, 0]
    weight = [0.5 + c for c in range(classes)] if weighted else [1.0] * classes
    expected = 0.0
    for branch, rows in logits.present().items():
        share = 0.0 if branch in hard else smoothing
        targets = [target(label, classes, share, over) for label in labels]
        expected += naive_cross_entropy(rows.tolist(), labels, targets, weight)
    network = S3NConfig(hard_targets=tuple(hard))
    given_weight = torch.tensor(weight) if weighted else None
    loss = branch_loss(logits, torch.tensor(labels), training(network, smoothing, over), given_weight)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_two_classes_by_hand() -> None:
    even, right = torch.zeros(1, 2), torch.tensor([[0.0, math.log(3)]])  # probabilities 1/2, 1/2 and 1/4, 3/4
    logits = BranchLogits(even, joint=right)
    loss = branch_loss(logits, torch.tensor([1]), training())
    assert loss.item() == pytest.approx(math.log(2) - math.log(3 / 4))
    smoothed = branch_loss(logits, torch.tensor([1]), training(None, 0.2, SmoothingOver.OTHERS))
    assert smoothed.item() == pytest.approx(math.log(2) - 0.8 * math.log(3 / 4) - 0.2 * math.log(1 / 4))


def test_only_the_branches_that_there_are_count() -> None:
    original, joint = answers(4, seed=0).original, answers(4, seed=0).joint
    labels = torch.tensor([0, 1, 2])
    alone = [branch_loss(BranchLogits(each), labels, training()) for each in (original, joint) if each is not None]
    together = branch_loss(BranchLogits(original, joint=joint), labels, training())
    assert together.item() == pytest.approx(sum(each.item() for each in alone))


def test_a_plain_networks_loss_is_its_cross_entropy() -> None:
    logits, labels = answers(4, seed=1).original, torch.tensor([3, 0, 2])
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert branch_loss(BranchLogits(logits), labels, training(PlainConfig(), 0.1)).item() == expected.item()


def test_a_share_of_the_others_that_passes_an_even_one_is_refused() -> None:
    config = training(PlainConfig(), 0.6, SmoothingOver.OTHERS)
    with pytest.raises(UserError, match=r"at most 1 - 1/2 with 2 classes; got 0\.6; lower it"):
        check_smoothing(2, config)
    check_smoothing(3, config)


def test_one_class_costs_nothing() -> None:
    for over in SmoothingOver:
        config = training(None, 0.1, over)
        assert branch_loss(BranchLogits(torch.randn(2, 1)), torch.tensor([0, 0]), config).item() == 0


def test_bf16_logits_are_summed_in_float32() -> None:
    logits, labels = answers(4, seed=4).original.bfloat16(), torch.tensor([0, 1, 2])
    loss = branch_loss(BranchLogits(logits), labels, training())
    assert loss.dtype is torch.float32
    assert loss.item() == branch_loss(BranchLogits(logits.float()), labels, training()).item()


def test_the_references_share_is_spread_over_the_others_of_o_and_c() -> None:
    config = training(S3NConfig.reference(), 0.15, SmoothingOver.OTHERS)
    shares = {branch: smoothing_of(branch, 200, config) for branch in tuple(Branch)[:4]}
    spread = pytest.approx(0.15 * 200 / 199)
    assert shares == {Branch.ORIGINAL: spread, Branch.DISCRIMINATIVE: 0, Branch.COMPLEMENTARY: spread, Branch.JOINT: 0}
