"""What the answers of networks say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from foveate.config.branches import Branch
from foveate.errors import UserError
from foveate.types import BranchLogits, RankedClass

_Answer = TypeVar("_Answer")


def ranked_classes(
    probabilities: Float[np.ndarray, " c"], class_names: Sequence[str], top: int
) -> tuple[RankedClass, ...]:
    """Return the best classes of one image, at most `top`; equal probabilities rank by class index."""
    best = np.argsort(-probabilities, kind="stable")[:top]
    return tuple(RankedClass(class_names[label], float(probabilities[label])) for label in best)


def decision(answers: Mapping[Branch, _Answer]) -> _Answer:
    """Return the answer that counts of those of a network's branches: the joint one where there is one."""
    return answers[Branch.JOINT if Branch.JOINT in answers else Branch.ORIGINAL]


def weighted_decision(
    answers: Mapping[Branch, Float[Tensor, "b c"]], weights: Mapping[Branch, float]
) -> Float[Tensor, "b c"]:
    """Return the answer that counts where each branch counts by a weight: softmax of the sum of weight x log p.

    A branch alone of weight 1 answers as it is.

    Args:
        answers: Each branch's probabilities.
        weights: Of some of the branches, not negative.

    Raises:
        UserError: A branch has a weight and no answer.
    """
    counting = {branch: weight for branch, weight in weights.items() if weight > 0}
    if lacking := [branch for branch in counting if branch not in answers]:
        raise UserError(
            f"view_weights must be of the network's branches, {', '.join(answers)}; got one of {lacking[0]}; fit them "
            "anew with `foveate tune`"
        )
    if list(counting.values()) == [1.0]:
        return answers[next(iter(counting))]
    summed = [weight * log_probabilities(answers[branch]) for branch, weight in counting.items()]
    return torch.stack(summed).sum(0).softmax(-1)


def log_probabilities(probabilities: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
    """Return their logarithms; of 0, which rounding makes, that of the smallest normal number of their type."""
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()


def check_answers(answers: BranchLogits) -> None:
    """Refuse logits that are not finite: their probabilities would be none, or those of chance.

    Raises:
        UserError: Some are NaN or infinite, in any branch.
    """
    finite = torch.stack([logits.isfinite().all(-1) for logits in answers.present().values()]).all(0)
    if not finite.all():
        raise UserError(
            f"a network's answer must be finite; that for {int((~finite).sum())} of {len(finite)} images is NaN or "
            "infinite: its weights are damaged or too large; restore them from a copy, or try --hardware.precision "
            "float32"
        )
