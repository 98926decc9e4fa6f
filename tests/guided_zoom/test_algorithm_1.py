"""Decision refinement (Guided Zoom, Algorithm 1)."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from foveate.errors import UserError
from foveate.guided_zoom.algorithm_1 import Refined, refine, scores_of
from foveate.guided_zoom.config import RefinementConfig, Rule, Scores
from foveate.guided_zoom.refined_probabilities import refined_probabilities
from foveate.networks.entropy_gate import unsure
from oracles.guided_zoom import naive_refined, naive_refined_probabilities

PAPER = RefinementConfig.paper()


def case(seed: int, classes: int, rounds: int = 3) -> tuple[Tensor, Tensor]:
    """Probabilities (6, classes), and the evidence of every class (6, classes, rounds)."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(6, classes, generator=generator).softmax(-1)
    return probabilities, torch.rand(6, classes, rounds, generator=generator)


def ranked(probabilities: Tensor, evidence: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    own, classes = probabilities.topk(k)
    return classes, own, evidence.gather(1, classes[..., None].expand(-1, -1, evidence.shape[2]))


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 10_000),
    st.integers(1, 8),
    st.data(),
    st.lists(st.floats(0, 1), min_size=2, max_size=4).filter(lambda weights: sum(weights) > 0),
)
def test_agrees_with_the_algorithm_image_by_image(
    seed: int, classes: int, data: st.DataObject, weights: list[float]
) -> None:
    k = data.draw(st.integers(1, classes))
    probabilities, evidence = case(seed, classes)
    done = refine(
        probabilities,
        *ranked(probabilities, evidence, classes),
        RefinementConfig(top_k=k, weights=tuple(weights)),
    )
    expected = [
        naive_refined(own, scores, k, weights)
        for own, scores in zip(probabilities.double().tolist(), evidence.double().tolist(), strict=True)
    ]
    gaps = done.scores.sort(dim=1, descending=True).values
    clear = torch.ones(6, dtype=torch.bool) if k == 1 else gaps[:, 0] - gaps[:, 1] > 1e-6
    assert torch.equal(done.classes[clear], torch.tensor(expected)[clear])


def test_by_hand() -> None:
    """0.4*0.5 + 0.3*0.1 + 0.2*0.2 + 0.1*0.3 = 0.3 against 0.4*0.4 + 0.3*0.6 + 0.2*0.5 + 0.1*0.4 = 0.48."""
    probabilities = torch.tensor([[0.1, 0.4, 0.5]])
    evidence = torch.tensor([[[0.1, 0.2, 0.3], [0.6, 0.5, 0.4]]])
    classes = torch.tensor([[2, 1]])
    own = torch.tensor([[0.5, 0.4]])
    done = refine(probabilities, classes, own, evidence, replace(PAPER, top_k=2))
    assert_close(done.scores, torch.tensor([[0.30, 0.48]]))
    assert done.classes.tolist() == [1]


def test_one_class_or_no_weight_on_the_evidence_changes_nothing() -> None:
    probabilities, evidence = case(0, 5)
    best = probabilities.argmax(1)
    for config in (RefinementConfig(top_k=1), RefinementConfig(weights=(1.0, 0.0))):
        assert torch.equal(refine(probabilities, *ranked(probabilities, evidence, 5), config).classes, best)


def test_of_equal_scores_the_higher_ranked_class_wins() -> None:
    evidence = torch.tensor([[[0.5], [0.5]]])
    config = RefinementConfig(top_k=2, weights=(0.0, 1.0))
    done = refine(torch.tensor([[0.3, 0.7]]), torch.tensor([[1, 0]]), torch.tensor([[0.7, 0.3]]), evidence, config)
    assert done.classes.tolist() == [1]


def test_fewer_weights_use_fewer_rounds() -> None:
    own, evidence = torch.rand(2, 3), torch.rand(2, 3, 3)
    assert_close(scores_of(own, evidence, (0.5, 0.5)), scores_of(own, evidence[..., :1], (0.5, 0.5)))


def test_the_largest_weighted_score_may_decide() -> None:
    own, evidence = torch.tensor([[0.5, 0.2]]), torch.tensor([[[0.1, 0.3], [0.9, 0.8]]])
    assert_close(scores_of(own, evidence, (1.0, 0.5, 1.0), Rule.MAX), torch.tensor([[0.5, 0.8]]))


def test_a_sure_answer_passes_the_gate_unchanged() -> None:
    probabilities = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    assert unsure(probabilities, math.log(2) - 1e-4).tolist() == [True, False]
    assert unsure(probabilities, None).tolist() == [True, True]
    assert unsure(probabilities, 0.0).tolist() == [True, False]  # above, not at
    evidence = torch.tensor([[[0.0], [1.0]]] * 2)
    config = RefinementConfig(top_k=2, weights=(0.1, 1.0), entropy_threshold=0.3)
    done = refine(probabilities, torch.tensor([[0, 1]] * 2), probabilities, evidence, config)
    assert done.classes.tolist() == [1, 0]
    assert done.considered.tolist() == [True, False]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            RefinementConfig(top_k=4),
            "top_k must be at most the number of classes that evidence was found for, 3; got 4",
        ),
        (
            RefinementConfig(top_k=3, weights=(0.2,) * 5),
            "weights must be at most one more than the rounds of evidence, 3",
        ),
    ],
)
def test_more_than_there_is_evidence_for_is_refused(config: RefinementConfig, message: str) -> None:
    probabilities, evidence = case(0, 3)
    with pytest.raises(UserError, match=re.escape(message)):
        refine(probabilities, *ranked(probabilities, evidence, 3), config)


@pytest.mark.parametrize("where", ["own", "evidence"])
def test_scores_that_are_not_finite_are_refused(where: str) -> None:
    probabilities, evidence = case(0, 5)
    if where == "own":
        probabilities[1, 2] = torch.nan
    else:
        evidence[1, 2, 0] = torch.inf
    with pytest.raises(UserError, match="those of 1 of 6 images are not"):
        refine(probabilities, *ranked(probabilities, evidence, 5), PAPER)


def test_probabilities_by_hand() -> None:
    """Two classes share 0.5 + 0.4 as 0.30 to 0.48: 0.9 * 0.30 / 0.78 and 0.9 * 0.48 / 0.78; the third keeps 0.1."""
    refined = Refined(torch.tensor([[0.30, 0.48]]), torch.tensor([1]), torch.tensor([True]))
    probabilities, classes = torch.tensor([[0.1, 0.4, 0.5]]), torch.tensor([[2, 1, 0]])
    done = refined_probabilities(probabilities, classes, refined, Scores.PROBABILITIES)
    assert_close(done, torch.tensor([[0.1, 0.9 * 0.48 / 0.78, 0.9 * 0.30 / 0.78]]))
    raw = refined_probabilities(probabilities, classes, refined, Scores.LOGITS)
    assert_close(raw[0, 1] / raw[0, 2], torch.tensor(math.exp(0.18)))


def test_probabilities_of_scores_that_are_all_zero_are_shared_alike() -> None:
    refined = Refined(torch.zeros(1, 2), torch.tensor([2]), torch.tensor([True]))
    done = refined_probabilities(torch.tensor([[0.1, 0.4, 0.5]]), torch.tensor([[2, 1]]), refined, Scores.PROBABILITIES)
    assert_close(done, torch.tensor([[0.1, 0.45, 0.45]]))
    assert done.argmax(1).tolist() == [2]


def test_what_the_gate_leaves_alone_keeps_its_probabilities() -> None:
    probabilities = torch.tensor([[0.7, 0.3]])
    refined = Refined(torch.tensor([[0.1, 0.9]]), torch.tensor([0]), torch.tensor([False]))
    assert torch.equal(
        refined_probabilities(probabilities, torch.tensor([[0, 1]]), refined, Scores.PROBABILITIES), probabilities
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 8), st.data(), st.sampled_from(Scores), st.booleans(), st.booleans())
def test_probabilities_are_a_distribution_whose_best_is_the_refined_class(
    seed: int, classes: int, data: st.DataObject, scores: Scores, tied: bool, gated: bool
) -> None:
    k = data.draw(st.integers(1, classes))
    probabilities, evidence = case(seed, classes)
    if tied:  # many equal numbers, among them outside the best k
        probabilities, evidence = torch.full_like(probabilities, 1 / classes), (evidence * 2).round() / 2
    logits = probabilities.log()
    best = logits.topk(classes).indices
    own = (logits if scores is Scores.LOGITS else probabilities).gather(1, best)
    config = RefinementConfig(top_k=k, scores=scores, entropy_threshold=0.9 if gated else None)
    refined = refine(probabilities, best, own, evidence.gather(1, best[..., None].expand(-1, -1, 3)), config)
    done = refined_probabilities(probabilities, best, refined, scores)
    assert_close(done.sum(1), torch.ones(6))
    assert torch.equal(done.argmax(1), refined.classes)
    for index in range(6):
        expected = probabilities[index].tolist()
        if refined.considered[index]:
            raw = scores is Scores.LOGITS
            expected = naive_refined_probabilities(
                expected, best[index, :k].tolist(), refined.scores[index].tolist(), raw=raw
            )
        assert_close(done[index], torch.tensor(expected))
