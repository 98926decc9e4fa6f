"""Algorithm 1 of Guided Zoom, the decision refinement: a weighted sum of the first answer and of each round's evidence.

A class is believed as far as its evidence looks like its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from foveate.errors import UserError
from foveate.guided_zoom.config import RefinementConfig, Rule, Scores
from foveate.networks.entropy_gate import unsure
from foveate.types import Evidence


class Refined(NamedTuple):
    """The decisions of a batch."""

    scores: Float[Tensor, "b k"]
    """tot of Algorithm 1, for the classes asked for."""
    classes: Int64[Tensor, " b"]
    """The refined class."""
    considered: Bool[Tensor, " b"]
    """False where the entropy gate left the network's own answer as it was."""


def terms_of(
    own: Float[Tensor, "*b k"], evidence: Float[Tensor, "*b k r"], weights: Sequence[float]
) -> Float[Tensor, "*b k w"]:
    """Return w v_0[t], then w_l v_l[t] for as many rounds as there are weights; arguments as in `scores_of`."""
    rounds = len(weights) - 1
    return torch.cat((own[..., None], evidence[..., :rounds]), dim=-1) * own.new_tensor(weights)


def scores_of(
    own: Float[Tensor, "*b k"],
    evidence: Float[Tensor, "*b k r"],
    weights: Sequence[float],
    rule: Rule = Rule.SUM,
) -> Float[Tensor, "*b k"]:
    """Return w v_0[t] + sum over the rounds of w_l v_l[t] for each class t asked for, or the largest of these terms.

    Args:
        own: The network's own score of each class.
        evidence: The Evidence CNN's score of that same class for the evidence of each round; at least as many rounds
            as there are weights for.
        weights: w, then w_0 to w_L.
        rule: What becomes of the terms.
    """
    terms = terms_of(own, evidence, weights)
    return terms.sum(-1) if rule is Rule.SUM else terms.amax(-1)


def refine(
    probabilities: Float[Tensor, "b c"],
    classes: Int64[Tensor, "b k"],
    own: Float[Tensor, "b k"],
    evidence: Float[Tensor, "b k r"],
    config: RefinementConfig,
) -> Refined:
    """Decide among the `top_k` best classes of each image; of equal scores the one the network ranks higher wins.

    Args:
        probabilities: Of the network; they rank the classes, and their entropy is gated.
        classes: The network's best classes by falling probability, at least `top_k` of them.
        own: The network's scores of these classes: probabilities or logits, as `config.scores` has it.
        evidence: The Evidence CNN's scores of these classes for their evidence of each round.
        config: How they are weighed.

    Raises:
        UserError: There are fewer classes or rounds than the configuration asks for, or a score is not finite.
    """
    _check(classes, own, evidence, config)
    k = config.top_k
    scores = scores_of(own[:, :k], evidence[:, :k], config.weights, config.rule)
    best = classes.gather(1, scores.argmax(dim=1, keepdim=True))[:, 0]
    considered = unsure(probabilities, config.entropy_threshold)
    return Refined(scores, torch.where(considered, best, classes[:, 0]), considered)


def own_scores(evidence: Evidence, scores: Scores) -> Float[Tensor, "b k"]:
    """Return the network's own score of each class that evidence was found for."""
    own = evidence.logits if scores is Scores.LOGITS else evidence.logits.softmax(1)
    return own.gather(1, evidence.classes)


def decide(evidence: Evidence, config: RefinementConfig) -> Refined:
    """Decide from evidence that was found, as `refine` does; `config.scores` must be what the evidence holds."""
    own = own_scores(evidence, config.scores)
    return refine(evidence.logits.softmax(1), evidence.classes, own, evidence.scores, config)


def _check(
    classes: Int64[Tensor, "b k"],
    own: Float[Tensor, "b k"],
    evidence: Float[Tensor, "b k r"],
    config: RefinementConfig,
) -> None:
    if config.top_k > classes.shape[1]:
        raise UserError(
            f"top_k must be at most the number of classes that evidence was found for, {classes.shape[1]}; got "
            f"{config.top_k}"
        )
    if config.rounds + 1 > evidence.shape[2]:
        raise UserError(
            f"weights must be at most one more than the rounds of evidence, {evidence.shape[2]}; got {config.weights}"
        )
    check_finite(own.isfinite().all(1) & evidence.isfinite().all(2).all(1))


def check_finite(finite: Bool[Tensor, " n"]) -> None:
    """Refuse scores that are not finite; `finite` says which images' or patches' are.

    Raises:
        UserError: Some are not.
    """
    if not finite.all():
        raise UserError(
            f"scores must be finite; those of {int((~finite).sum())} of {len(finite)} images are not: the weights of "
            "one of the two networks are damaged; restore them from a copy"
        )
