"""Networks that answer together, against each member asked by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from foveate.backbones.folding import folded
from foveate.config.branches import MEMBERS, Branch
from foveate.config.data import TransformConfig
from foveate.config.ensemble import EnsembleConfig, EnsembleMember
from foveate.config.networks import BackboneConfig, NetworkConfig, OwnConfig, PlainConfig
from foveate.errors import UserError
from foveate.networks.ensemble import EnsembleNetwork
from foveate.recipes.methods import create_network
from foveate.s3n.config import S3NConfig
from foveate.s3n.explanation import S3NExplanation

CLASSES = 3
BACKBONE = BackboneConfig(architecture="test_efficientnet", weights="none")
PLAIN, S3N = PlainConfig(backbone=BACKBONE), S3NConfig(backbone=BACKBONE)
OTHERWISE = OwnConfig(architecture="test_resnet", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
SMALL = TransformConfig(input_size=64, resize_size=72)
CLOSER = replace(SMALL, source_size=128)


def member(
    network: NetworkConfig, weight: float, sizes: TransformConfig = SMALL, views: Mapping[str, float] | None = None
) -> EnsembleMember:
    return EnsembleMember(network=network, transforms=sizes, weight=weight, view_weights=views, weights_hash="")


def ensemble(*members: EnsembleMember) -> EnsembleNetwork:
    config = EnsembleConfig(members=members)
    torch.manual_seed(0)
    network = create_network(config, config.views, CLASSES).eval()
    assert isinstance(network, EnsembleNetwork)
    return network


@pytest.fixture(scope="module")
def three() -> EnsembleNetwork:
    """Plain, S3N by its weighed views, and a network that is normalised otherwise; of different sizes."""
    views = {"original": 0.25, "discriminative": 0.75, "complementary": 0.0}
    return ensemble(member(PLAIN, 0.5), member(S3N, 0.3, CLOSER, views), member(OTHERWISE, 0.2, SMALL.at(96)))


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.rand(2, 3, 128, 128)


def seen(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...], side: int) -> Tensor:
    mean_, std_ = (torch.tensor(each).view(3, 1, 1) for each in (mean, std))
    return functional.interpolate((pixels - mean_) / std_, size=(side, side), mode="bilinear", antialias=True)


@torch.no_grad()
def test_the_answer_is_the_weighted_sum_of_what_each_member_says_at_its_size(
    three: EnsembleNetwork, pixels: Tensor
) -> None:
    plain, s3n, other = three.members
    mean, std = three.backbone.normalisation
    normalised = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    views = s3n(seen(pixels, mean, std, 128)).present()
    weighed = 0.25 * views[Branch.ORIGINAL].log_softmax(-1) + 0.75 * views[Branch.DISCRIMINATIVE].log_softmax(-1)
    each = [
        plain(seen(pixels, mean, std, 64)).decision.log_softmax(-1),
        weighed.log_softmax(-1),
        other(seen(pixels, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), 96)).decision.log_softmax(-1),
    ]
    answers = three(normalised).present()
    assert tuple(answers) == three.branches == (*MEMBERS[:3], Branch.JOINT)
    for branch, expected in zip(MEMBERS, each, strict=False):
        assert_close(answers[branch], expected, atol=1e-4, rtol=1e-4)
    assert_close(answers[Branch.JOINT], 0.5 * each[0] + 0.3 * each[1] + 0.2 * each[2], atol=1e-4, rtol=1e-4)
    assert_close(folded(three)(normalised).decision, answers[Branch.JOINT], atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_a_single_answer_asks_the_first_member_and_that_one(three: EnsembleNetwork, pixels: Tensor) -> None:
    whole = three(pixels).present()
    some = three.branch_logits(pixels, [Branch.MEMBER_3]).present()
    assert set(some) == {Branch.ORIGINAL, Branch.MEMBER_3}
    assert_close(some[Branch.MEMBER_3], whole[Branch.MEMBER_3])
    # S3N's complementary view counts nothing, so that it looks twice.
    passes = {branch: three.passes([branch]) for branch in three.branches}
    assert passes == {Branch.ORIGINAL: 1, Branch.MEMBER_2: 3, Branch.MEMBER_3: 2, Branch.JOINT: 4}
    assert three.first_view(pixels).shape == (2, 3, 64, 64)
    assert not three.decides_by_backbone


@torch.no_grad()
def test_the_joint_map_is_the_weighted_sum_of_the_members(pixels: Tensor) -> None:
    network, classes = ensemble(member(PLAIN, 0.7), member(S3N, 0.3, CLOSER)), torch.tensor([0, 2])
    found = network.branch_maps(pixels, classes, 5)
    assert set(found.maps) == {Branch.ORIGINAL, Branch.MEMBER_2, Branch.JOINT}
    closer = found.maps[Branch.MEMBER_2].nan_to_num()
    assert_close(found.maps[Branch.JOINT], 0.7 * found.maps[Branch.ORIGINAL] + 0.3 * closer)
    assert_close(found.logits.decision, network(pixels).decision, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_picture_is_the_first_members_with_the_answer_of_all(pixels: Tensor) -> None:
    names = ("a", "b", "c")
    network = ensemble(member(S3N, 0.4, CLOSER), member(PLAIN, 0.6))
    explanation = network.explanation(pixels[:1], names, "a bird")
    assert isinstance(explanation, S3NExplanation)
    together = network(pixels[:1]).decision.softmax(-1)[0]
    assert explanation.answer[0].probability == pytest.approx(float(together.max()), abs=1e-5)
    assert ensemble(member(PLAIN, 0.4), member(S3N, 0.6, CLOSER)).explanation(pixels[:1], names, "a bird") is None


def test_it_looks_closer_nowhere_by_itself(three: EnsembleNetwork, pixels: Tensor) -> None:
    with pytest.raises(UserError, match="an ensemble of 3"):
        three.look_where_unsure(pixels, 0.1)


def test_members_must_be_several_alike_and_single() -> None:
    one = member(PLAIN, 0.5)
    with pytest.raises(UserError, match="2 to 8 members; got 1"):
        EnsembleConfig(members=(one,))
    with pytest.raises(UserError, match="the same part of a photograph"):
        EnsembleConfig(members=(one, member(PLAIN, 0.5, replace(SMALL, resize_size=64))))
    with pytest.raises(UserError, match="weight of a member must be above 0"):
        member(PLAIN, 0.0)
    with pytest.raises(UserError, match="a member must be one network"):
        member(EnsembleConfig(members=(one, one)), 0.5)
    with pytest.raises(UserError, match="a member must look by itself"):
        member(replace(S3N, looker="runs/looker"), 0.5)
