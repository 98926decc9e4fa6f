"""Heads, the joint head and the decision (section 3.4)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from foveate.config import Branch, Branches, S3NConfig
from foveate.decision.fusion import Fusion
from foveate.types import BranchLogits

O, D, C, J = Branch  # noqa: E741  # the paper's letters
CHANNELS, CLASSES = 4, 3

LEGEND: list[tuple[Branches, list[Branch], list[Branch]]] = [
    # branches, answers in their order, views that the joint head sees
    (Branches.O, [O], []),
    (Branches.OD, [O, D, J], [O, D]),
    (Branches.OC, [O, C, J], [O, C]),
    (Branches.DC, [O, D, C, J], [D, C]),
    (Branches.ODC, [O, D, C, J], [O, D, C]),
]


def fusion(branches: Branches, dropout: float = 0.0) -> Fusion:
    torch.manual_seed(0)
    return Fusion(S3NConfig(branches=branches, dropout=dropout), CHANNELS, CLASSES)


def features() -> dict[Branch, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {branch: torch.randn(2, CHANNELS, generator=generator) for branch in (O, D, C)}


ORIGINAL = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(("branches", "answers", "views"), LEGEND)
def test_which_answers_there_are(branches: Branches, answers: list[Branch], views: list[Branch]) -> None:
    logits = fusion(branches)(ORIGINAL, features())
    assert list(logits.present()) == answers
    assert logits.original is ORIGINAL
    for branch in Branch:
        assert (getattr(logits, branch.value) is not None) == (branch in answers)


@pytest.mark.parametrize(("branches", "answers", "views"), LEGEND)
def test_the_joint_head_sees_these_views(branches: Branches, answers: list[Branch], views: list[Branch]) -> None:
    module, seen = fusion(branches), features()
    if not views:
        assert module.joint is None
        return
    assert module.joint is not None
    assert module.joint.in_features == CHANNELS * len(views)
    joint = module(ORIGINAL, seen).joint
    assert_close(joint, torch.cat([seen[view] for view in views], 1) @ module.joint.weight.T + module.joint.bias)


@pytest.mark.parametrize(("branches", "answers", "views"), LEGEND)
@pytest.mark.parametrize("changed", [O, D, C])
def test_a_view_moves_its_own_answer_and_the_joint_one(
    branches: Branches, answers: list[Branch], views: list[Branch], changed: Branch
) -> None:
    module, seen = fusion(branches), features()
    before = module(ORIGINAL, seen).present()
    after = module(ORIGINAL, seen | {changed: seen[changed] + 1}).present()
    moved = {branch for branch in before if not torch.equal(before[branch], after[branch])}
    # The original's own answer comes from outside.
    assert moved == ({changed} & set(answers) - {O}) | ({J} if changed in views else set())


@pytest.mark.parametrize("branches", [each for each, _, views in LEGEND if not {D, C} <= set(views)])
def test_a_view_that_is_not_looked_at_need_not_be_given(branches: Branches) -> None:
    views = next(views for each, _, views in LEGEND if each is branches)
    given = {branch: each for branch, each in features().items() if branch in views}
    assert fusion(branches)(ORIGINAL, given).original is ORIGINAL


def test_a_zoomed_views_answer_is_its_own_heads() -> None:
    module, seen = fusion(Branches.ODC), features()
    logits = module(ORIGINAL, seen)
    for branch, answer in ((D, logits.discriminative), (C, logits.complementary)):
        weight, bias = module.heads[branch.value].parameters()
        assert_close(answer, seen[branch] @ weight.T + bias)


def test_no_head_is_made_that_nothing_needs() -> None:
    sizes = {branches: sum(p.numel() for p in fusion(branches).parameters()) for branches in Branches}
    head, per_view = (CHANNELS + 1) * CLASSES, CHANNELS * CLASSES
    assert sizes == {
        Branches.O: 0,
        Branches.OD: head + 2 * per_view + CLASSES,
        Branches.OC: head + 2 * per_view + CLASSES,
        Branches.DC: 2 * head + 2 * per_view + CLASSES,
        Branches.ODC: 2 * head + 3 * per_view + CLASSES,
    }


def test_the_joint_answer_decides_where_there_is_one() -> None:
    one, other = torch.zeros(1, 2), torch.ones(1, 2)
    assert BranchLogits(one).decision is one
    assert BranchLogits(one, other, other).decision is one
    assert BranchLogits(one, joint=other).decision is other


def test_dropout_acts_in_training_only() -> None:
    module, seen = fusion(Branches.OD, dropout=0.5), features()
    trained = [module.train()(ORIGINAL, seen).joint for _ in range(2)]
    assert not torch.equal(*trained)
    tested = [module.eval()(ORIGINAL, seen).joint for _ in range(2)]
    assert torch.equal(*tested)
