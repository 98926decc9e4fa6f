"""Every view's head, the joint answer and the decision (section 3.4)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from foveate.config.branches import Branch
from foveate.s3n.config import Branches, Fusion, S3NConfig
from foveate.s3n.fusion import JointDecision
from foveate.types import BranchLogits

O, D, C, J = tuple(Branch)[:4]  # noqa: E741  # the paper's letters
CHANNELS, CLASSES = 4, 3

LEGEND: list[tuple[Branches, list[Branch], list[Branch]]] = [
    # branches, answers in their order, views that the joint answer is made from
    (Branches.O, [O], []),
    (Branches.D, [O, D, J], [D]),
    (Branches.OD, [O, D, J], [O, D]),
    (Branches.OC, [O, C, J], [O, C]),
    (Branches.DC, [O, D, C, J], [D, C]),
    (Branches.ODC, [O, D, C, J], [O, D, C]),
]


def decision(branches: Branches, fusion: Fusion = Fusion.OWN, dropout: float = 0.0) -> JointDecision:
    torch.manual_seed(0)
    return JointDecision(S3NConfig(branches=branches, fusion=fusion, dropout=dropout), CHANNELS, CLASSES)


def features() -> dict[Branch, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {branch: torch.randn(2, CHANNELS, generator=generator) for branch in (O, D, C)}


ORIGINAL = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(("branches", "answers", "views"), LEGEND)
@pytest.mark.parametrize("fusion", Fusion)
def test_which_answers_there_are(
    branches: Branches, answers: list[Branch], views: list[Branch], fusion: Fusion
) -> None:
    logits = decision(branches, fusion)(ORIGINAL, features())
    assert list(logits.present()) == answers
    assert logits.original is ORIGINAL
    for branch in (O, D, C, J):
        assert (getattr(logits, branch.value) is not None) == (branch in answers)


@pytest.mark.parametrize(("branches", "answers", "views"), LEGEND[1:])
def test_a_joint_layer_of_its_own_sees_all_views_side_by_side(
    branches: Branches, answers: list[Branch], views: list[Branch]
) -> None:
    module, seen = decision(branches), features()
    assert module.joint is not None
    assert module.joint.in_features == CHANNELS * len(views)
    joint = module(ORIGINAL, seen).joint
    assert_close(joint, torch.cat([seen[view] for view in views], 1) @ module.joint.weight.T + module.joint.bias)


@pytest.mark.parametrize(("branches", "answers", "views"), LEGEND[1:])
def test_a_tied_joint_answer_is_the_mean_of_its_views(
    branches: Branches, answers: list[Branch], views: list[Branch]
) -> None:
    logits = decision(branches, Fusion.TIED)(ORIGINAL, features()).present()
    assert_close(logits[J], sum(logits[view] for view in views) / len(views))


def test_a_tied_layer_is_one_whose_blocks_are_the_heads() -> None:
    head, seen = torch.nn.Linear(CHANNELS, CLASSES), features()
    tied, own = decision(Branches.ODC, Fusion.TIED), decision(Branches.ODC, Fusion.OWN)
    weights, biases = zip(head.parameters(), *(each.parameters() for each in tied.heads.values()), strict=True)
    assert own.joint is not None
    own.joint.weight.data = torch.cat([each / 3 for each in weights], dim=1)
    own.joint.bias.data = torch.stack(biases).mean(0)
    logits = head(seen[O])
    assert_close(tied(logits, seen).joint, own(logits, seen).joint)


@pytest.mark.parametrize(("branches", "answers", "views"), LEGEND)
@pytest.mark.parametrize("fusion", Fusion)
@pytest.mark.parametrize("changed", [O, D, C])
def test_a_view_moves_its_own_answer_and_the_joint_one(
    branches: Branches, answers: list[Branch], views: list[Branch], fusion: Fusion, changed: Branch
) -> None:
    module, seen = decision(branches, fusion), features()
    before = module(ORIGINAL, seen).present()
    other_original = ORIGINAL + 1 if changed is O else ORIGINAL
    after = module(other_original, seen | {changed: seen[changed] + 1}).present()
    moved = {branch for branch in before if not torch.equal(before[branch], after[branch])}
    assert moved == ({changed} & set(answers)) | ({J} if changed in views else set())


@pytest.mark.parametrize("fusion", Fusion)
@pytest.mark.parametrize(("branches", "answers", "views"), LEGEND)
def test_a_view_that_it_does_not_decide_from_need_not_be_given(
    branches: Branches, answers: list[Branch], views: list[Branch], fusion: Fusion
) -> None:
    given = {branch: each for branch, each in features().items() if branch in views}
    assert list(decision(branches, fusion)(ORIGINAL, given).present()) == answers


def test_a_zoomed_views_answer_is_its_own_heads() -> None:
    module, seen = decision(Branches.ODC), features()
    logits = module(ORIGINAL, seen)
    for branch, answer in ((D, logits.discriminative), (C, logits.complementary)):
        weight, bias = module.heads[branch.value].parameters()
        assert_close(answer, seen[branch] @ weight.T + bias)


@pytest.mark.parametrize(("branches", "answers", "views"), LEGEND)
def test_no_parameter_is_made_that_nothing_needs(
    branches: Branches, answers: list[Branch], views: list[Branch]
) -> None:
    tied, own = (sum(p.numel() for p in decision(branches, each).parameters()) for each in (Fusion.TIED, Fusion.OWN))
    assert tied == len({D, C} & set(views)) * (CHANNELS + 1) * CLASSES
    assert own - tied == ((CHANNELS * len(views) + 1) * CLASSES if views else 0)


def test_the_joint_answer_decides_where_there_is_one() -> None:
    one, other = torch.zeros(1, 2), torch.ones(1, 2)
    assert BranchLogits(one).decision is one
    assert BranchLogits(one, other, other).decision is one
    assert BranchLogits(one, joint=other).decision is other


@pytest.mark.parametrize("fusion", Fusion)
def test_dropout_acts_in_training_only(fusion: Fusion) -> None:
    module, seen = decision(Branches.OD, fusion, dropout=0.5), features()
    trained = [module.train()(ORIGINAL, seen).joint for _ in range(2)]
    assert not torch.equal(*trained)
    tested = [module.eval()(ORIGINAL, seen).joint for _ in range(2)]
    assert torch.equal(*tested)
