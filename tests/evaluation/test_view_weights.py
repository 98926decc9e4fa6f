"""Which way of letting the views count is chosen: by hand, against a search, and what the rule promises."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float, Int
from numpy.testing import assert_allclose
from scipy.special import log_softmax, softmax

from foveate.config.branches import Branch
from foveate.errors import UserError
from foveate.evaluation.view_weights import FITTED, MEAN, Difference, better_view, choose_view_weights, fit_view_weights
from foveate.networks.answers import weighted_decision

VIEWS = (Branch.ORIGINAL, Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY, Branch.JOINT)
JOINT = np.array([0.0, 0.0, 0.0, 1.0])


def answering(right: list[bool], sure: float = 0.9) -> Float[np.ndarray, "n 2"]:
    """Probabilities of two classes, of which the first is the true one."""
    first = np.where(right, sure, 1 - sure)
    return np.stack((first, 1 - first), axis=1).astype(np.float32)


def noisy(
    seed: int, strengths: tuple[float, ...], count: int = 200, classes: int = 6
) -> tuple[dict[Branch, Float[np.ndarray, "n c"]], Int[np.ndarray, " n"]]:
    """Views of so much signal beside their own noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=count)
    truth = np.eye(classes)[labels]
    answers = {
        view: softmax(strength * truth + generator.normal(size=(count, classes)), axis=1).astype(np.float32)
        for view, strength in zip(VIEWS, strengths, strict=True)
    }
    return answers, labels


def test_a_difference_by_hand() -> None:
    """Ten photographs: four only a has right, one only b: 3 of 10, and the root of 5 of 10."""
    a = np.array([1, 1, 1, 1, 0, 1, 1, 0, 0, 0], dtype=bool)
    b = np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 0], dtype=bool)
    difference = Difference.of(a, b)
    assert difference == pytest.approx((0.3, np.sqrt(5) / 10))
    assert difference.beyond_one_error
    assert not Difference.of(b, a).beyond_one_error
    assert not Difference.of(a, a).beyond_one_error


@pytest.mark.parametrize(
    ("only_view", "only_joint", "chosen"),
    [
        (0, 0, "joint"),
        (1, 0, "joint"),  # 1 is not more than the root of 1
        (2, 0, "original"),  # 2 is more than the root of 2
        (3, 1, "joint"),  # 2 is not more than the root of 4
        (4, 1, "original"),  # 3 is more than the root of 5
        (1, 4, "joint"),
    ],
)
def test_the_joint_answer_stays_unless_a_view_is_better_by_more_than_one_error(
    only_view: int, only_joint: int, chosen: str
) -> None:
    view = answering([True] * only_view + [False] * only_joint + [True, False])
    joint = answering(
        [False] * only_view + [True] * only_joint + [True, False], sure=0.91
    )  # the surer one: so answers the mean
    choice = choose_view_weights({Branch.ORIGINAL: view, Branch.JOINT: joint}, np.zeros(len(view), dtype=int))
    fixed = [each for each in choice.tried if each.name in ("joint", "original")]
    assert [each.right.tolist() for each in fixed] == [(each[:, 0] > 0.5).tolist() for each in (joint, view)]
    if chosen == "joint":
        assert choice.weights is None
        assert choice.chosen is choice.tried[0]
    else:
        assert choice.weights == {Branch.ORIGINAL: 1.0}  # of equally good ones the first


@pytest.mark.parametrize(
    ("only_view", "only_joint", "beyond"), [(0, 0, None), (1, 2, None), (2, 1, False), (4, 1, True)]
)
def test_a_view_better_than_the_decision_by_hand(only_view: int, only_joint: int, beyond: bool | None) -> None:
    """Beside those, one that both have right and one that nobody has."""
    view = answering([True] * only_view + [False] * only_joint + [True, False])
    joint = answering([False] * only_view + [True] * only_joint + [True, False])
    answers = {Branch.ORIGINAL: answering([False] * len(view)), Branch.DISCRIMINATIVE: view, Branch.JOINT: joint}
    better, count = better_view(answers, joint, np.zeros(len(view), dtype=int)), len(view)
    if beyond is None:
        assert better is None
        return
    assert better is not None
    assert better[:3] == pytest.approx((Branch.DISCRIMINATIVE, (only_view + 1) / count, (only_joint + 1) / count))
    assert better.difference == pytest.approx(
        ((only_view - only_joint) / count, (only_view + only_joint) ** 0.5 / count)
    )
    assert better.difference.beyond_one_error is beyond


def test_where_views_complete_each_other_all_count() -> None:
    """Each is wrong about other photographs, and then unsure."""
    generator = np.random.default_rng(0)
    count = 120
    wrong = generator.permutation(count) % 4
    answers = {
        view: np.where((wrong == number)[:, None], [[0.4, 0.6]], [[0.9, 0.1]]).astype(np.float32)
        for number, view in enumerate(VIEWS)
    }
    choice = choose_view_weights(answers, np.zeros(count, dtype=int))
    assert [each.name for each in choice.tried] == ["joint", *VIEWS[:3], MEAN, FITTED]
    assert [each.accuracy for each in choice.tried] == pytest.approx([0.75] * 4 + [1.0] * 2)
    assert choice.chosen.name == MEAN
    assert choice.weights == dict.fromkeys(VIEWS, 0.25)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 60), st.tuples(*[st.floats(0, 3)] * 4))
def test_no_view_is_better_than_what_is_chosen_by_more_than_one_error(
    seed: int, count: int, strengths: tuple[float, ...]
) -> None:
    answers, labels = noisy(seed, strengths, count)
    choice = choose_view_weights(answers, labels)
    for each in choice.tried:
        assert not Difference.of(each.right, choice.chosen.right).beyond_one_error
    assert choice.chosen.accuracy >= choice.tried[0].accuracy


@pytest.mark.parametrize("seed", [0, 1])
def test_fitted_weights_have_the_least_loss_of_a_grid(seed: int) -> None:
    """Of two views, whose weights before they are divided by their sum are searched for in steps of a 40th."""
    answers, labels = noisy(seed, (1.5, 1.0, 0.0, 0.5))
    logs = np.log(np.stack([answers[view] for view in (Branch.ORIGINAL, Branch.JOINT)], axis=1).astype(np.float64))
    prior = np.array([0.0, 1.0])
    grid = [np.array(each) / 40 for each in product(range(100), repeat=2)]

    def loss(weights: Float[np.ndarray, " v"]) -> float:
        told = log_softmax(np.einsum("v,nvc->nc", weights, logs), axis=1)
        return float(((weights - prior) ** 2).sum() / 2 - told[np.arange(len(labels)), labels].sum())

    best = min(grid, key=loss)
    assert_allclose(fit_view_weights(logs, labels, prior), best / best.sum(), atol=0.02)


def test_without_photographs_worth_the_name_the_prior_stays() -> None:
    """A view that says nothing at all moves no weight; so does none that is wrong, below 0."""
    joint, wrong = answering([True] * 30), answering([False] * 30)
    nothing = np.full_like(joint, 0.5)
    logs = np.log(np.stack((nothing, wrong, joint), axis=1).astype(np.float64))
    assert_allclose(fit_view_weights(logs, np.zeros(30, dtype=int), np.array([0.0, 0.0, 1.0])), [0, 0, 1])


def test_weights_that_are_chosen_answer_as_they_were_measured() -> None:
    """The decision of the classifier is that of the fit, also where rounding made zeros."""
    answers, labels = noisy(3, (2.0, 2.0, 1.0, 1.0))
    answers[Branch.JOINT] = np.where(answers[Branch.JOINT] < 0.05, 0, answers[Branch.JOINT]).astype(np.float32)
    for each in choose_view_weights(answers, labels).tried[:-1]:
        decided = weighted_decision({view: torch.from_numpy(rows) for view, rows in answers.items()}, each.weights)
        assert torch.equal(decided.argmax(1) == torch.from_numpy(labels), torch.from_numpy(each.right)), each.name


def test_what_is_fitted_is_measured_on_photographs_it_was_not_fitted_to() -> None:
    """Labels that no view knows anything of: chance, however many are fitted."""
    answers, labels = noisy(5, (0.0, 0.0, 0.0, 0.0), count=40)
    fitted = choose_view_weights(answers, labels).tried[-1]
    assert fitted.name == FITTED
    assert fitted.accuracy < 0.4
    assert sum(fitted.weights.values()) == pytest.approx(1, abs=1e-3)


def test_too_few_photographs_fit_no_weights() -> None:
    answers, labels = noisy(0, (1.0, 1.0, 1.0, 1.0), count=4)
    assert FITTED not in [each.name for each in choose_view_weights(answers, labels).tried]


def test_what_has_no_joint_answer_or_no_photograph_is_refused() -> None:
    alone = {Branch.ORIGINAL: answering([True])}
    with pytest.raises(UserError, match=r"joint answer; this network answers by original alone; there is nothing to"):
        choose_view_weights(alone, np.zeros(1, dtype=int))
    empty = {view: answering([]) for view in VIEWS}
    with pytest.raises(UserError, match=r"fitted to held-out photographs; got none; keep some out"):
        choose_view_weights(empty, np.zeros(0, dtype=int))


def test_a_weighted_decision_by_hand() -> None:
    """Roots of 0.64 and 0.36 times roots of 0.25 and 0.75: 0.4 and 0.6 root 0.75, of their sum."""
    answers = {Branch.ORIGINAL: torch.tensor([[0.64, 0.36]]), Branch.JOINT: torch.tensor([[0.25, 0.75]])}
    decided = weighted_decision(answers, {Branch.ORIGINAL: 0.5, Branch.JOINT: 0.5})
    other = 0.6 * 0.75**0.5
    torch.testing.assert_close(decided, torch.tensor([[0.4, other]]) / (0.4 + other))
    assert weighted_decision(answers, {Branch.ORIGINAL: 1.0, Branch.JOINT: 0.0}) is answers[Branch.ORIGINAL]
    zeros = {view: torch.tensor([[1.0, 0.0], [0.0, 1.0]]) for view in answers}
    assert weighted_decision(zeros, {Branch.ORIGINAL: 0.5, Branch.JOINT: 0.5}).isfinite().all()
    with pytest.raises(UserError, match=r"branches, original, joint; got one of object; fit them anew"):
        weighted_decision(answers, {Branch.OBJECT: 0.5, Branch.JOINT: 0.5})
