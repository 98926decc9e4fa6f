"""How much each view's answer counts, fitted to answers on photographs that the training did not learn from.

The decision is softmax(sum of weight x log p) over a network's branches. A joint head that was trained on the same
photographs as its views can be worse than one of them; held-out photographs say so, as far as there are enough.

The rule: **the joint answer stays, unless another way is better by more than one standard error; of those that are, the
best one counts.** So what counts is never worse than a view by more than one standard error, on these photographs: a
view that were, would be better than the joint answer by more than one, too, and at least as good as what was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Int64
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from foveate.config.branches import Branch
from foveate.errors import UserError
from foveate.evaluation.mcnemar import differences_of_groups, mcnemar

FITTED, MEAN = "fitted", "mean"
_FOLDS = 5
_DECIMALS = 4
"""Of fitted weights: what counts for less than half of that costs no pass."""
_MOST = 5000
"""Photographs that weights are fitted to: a few numbers need no more, and with all of a large set it takes minutes."""


class Difference(NamedTuple):
    """How much more often one answer is right than another, on the same photographs."""

    value: float
    """Share of the photographs."""
    standard_error: float
    """If the two were equally good: the root of the number that exactly one has right, of all of them (McNemar).

    Of groups, the root of the sum of the squares of each one's difference, of all photographs.
    """

    @classmethod
    def of(
        cls, a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " n"], groups: Int64[np.ndarray, " n"] | None = None
    ) -> Difference:
        """Compare right and wrong answers; arguments and errors as in `mcnemar`."""
        test = mcnemar(a, b)  # of which the p is not asked for
        apart = a.astype(int) - b if groups is None else differences_of_groups(a, b, groups)
        return cls(test.difference, float(np.sqrt((apart**2).sum())) / len(a))

    @property
    def beyond_one_error(self) -> bool:
        """Whether a is better by more than one standard error."""
        return self.value > self.standard_error


class BetterView(NamedTuple):
    """A view that alone is right more often than the decision of all."""

    branch: Branch
    accuracy: float
    decided: float
    """How often the decision is right."""
    difference: Difference


def better_view(
    answers: Mapping[Branch, Float[np.ndarray, "n c"]],
    decided: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, " n"],
    groups: Int64[np.ndarray, " n"] | None = None,
) -> BetterView | None:
    """Return the view that is right most often, the first of equal ones, where that is more often than the decision.

    Args:
        answers: Each branch's probabilities; the joint branch is no view.
        decided: Those of the decision.
        labels: The true classes.
        groups: The number of each photograph's group; None: each stands for itself.
    """
    right = {branch: each.argmax(1) == labels for branch, each in answers.items() if branch is not Branch.JOINT}
    best = max(right, key=lambda branch: int(right[branch].sum()))
    own = decided.argmax(1) == labels
    difference = Difference.of(right[best], own, groups)
    return BetterView(best, float(right[best].mean()), float(own.mean()), difference) if difference.value > 0 else None


@dataclass(frozen=True, slots=True, eq=False)
class TriedWeights:
    """One way to let the branches count."""

    name: str
    """Of the branch that decides alone; or `MEAN`, where all count alike; or `FITTED`."""
    weights: Mapping[Branch, float]
    right: Bool[np.ndarray, " n"]
    """Of each photograph; where weights were fitted, by what was fitted to the other folds."""

    @property
    def accuracy(self) -> float:
        """Share of the photographs answered rightly."""
        return float(self.right.mean())


class ChosenWeights(NamedTuple):
    """What is chosen, and all that was tried: the joint answer first, which stays unless another is clearly better."""

    chosen: TriedWeights
    tried: tuple[TriedWeights, ...]

    @property
    def weights(self) -> dict[Branch, float] | None:
        """The weights that count; None: the joint answer does, as it is."""
        return None if self.chosen is self.tried[0] else dict(self.chosen.weights)


def choose_view_weights(
    answers: Mapping[Branch, Float[np.ndarray, "n c"]],
    labels: Int[np.ndarray, " n"],
    groups: Int64[np.ndarray, " n"] | None = None,
    *,
    seed: int = 0,
) -> ChosenWeights:
    """Choose between the joint answer, each branch alone, the mean of all, and fitted weights.

    Args:
        answers: Each branch's probabilities, of photographs that the training did not learn from.
        labels: Their classes.
        groups: The number of each photograph's group, which are not divided; None: each stands for itself.
        seed: Of the division into folds.

    Raises:
        UserError: There is no joint branch, or no photograph.
    """
    if Branch.JOINT not in answers:
        raise UserError(
            f"views are weighed against a joint answer; this network answers by {', '.join(answers)} alone; there is "
            "nothing to weigh"
        )
    if not len(labels):
        raise UserError("weights are fitted to held-out photographs; got none; keep some out of the training")
    branches = tuple(answers)
    logs = log_answers(answers.values())
    order = (Branch.JOINT, *(branch for branch in branches if branch is not Branch.JOINT))
    each = np.eye(len(branches))
    alone = {branch.value: each[branches.index(branch)] for branch in order}
    fixed = alone | {MEAN: np.full(len(branches), 1 / len(branches))}
    tried = [_tried(name, branches, weights, _right(logs, labels, weights)) for name, weights in fixed.items()]
    if (len(labels) if groups is None else len(np.unique(groups))) >= _FOLDS:
        prior = alone[Branch.JOINT]
        right = unseen_answers(logs, labels, prior, seed, groups).argmax(1) == labels
        tried.append(_tried(FITTED, branches, fit_view_weights(logs, labels, prior), right))
    return ChosenWeights(_best(tried, groups), tuple(tried))


def fit_view_weights(
    logs: Float[np.ndarray, "n v c"], labels: Int[np.ndarray, " n"], prior: Float[np.ndarray, " v"]
) -> Float[np.ndarray, " v"]:
    """Return the weights of v branches of the least log loss, not negative and of sum 1.

    The loss of n photographs is sum(-log softmax(weights x log p)[label]) + |weights - prior|^2 / 2, which is convex:
    few photographs leave the weights near the prior. Only then are they divided by their sum, which would make the
    decision surer or less sure; that is the temperature's.

    Args:
        logs: Log probabilities of each photograph, branch and class.
        labels: The true classes; of many photographs a draw counts.
        prior: What counts without any photograph.
    """
    if len(labels) > _MOST:
        drawn = np.random.default_rng(0).choice(len(labels), _MOST, replace=False)
        logs, labels = logs[drawn], labels[drawn]

    def loss(weights: Float[np.ndarray, " v"]) -> tuple[float, Float[np.ndarray, " v"]]:
        summed = np.einsum("v,nvc->nc", weights, logs)
        truth = np.take_along_axis(summed, labels[:, None], axis=1)[:, 0]
        value = (logsumexp(summed, axis=1) - truth).sum() + ((weights - prior) ** 2).sum() / 2
        expected = np.einsum("nc,nvc->v", softmax(summed, axis=1), logs)
        own = logs[np.arange(len(labels)), :, labels].sum(0)
        return value / len(labels), (expected - own + weights - prior) / len(labels)

    fitted = minimize(loss, prior, jac=True, bounds=[(0, None)] * len(prior), method="L-BFGS-B").x
    shares = (fitted / fitted.sum()).round(_DECIMALS) if fitted.any() else prior
    return np.asarray(shares)


def _best(tried: list[TriedWeights], groups: Int64[np.ndarray, " n"] | None) -> TriedWeights:
    """Return what counts by the rule above; of equally good ones the first."""
    joint, *others = tried
    better = [each for each in others if Difference.of(each.right, joint.right, groups).beyond_one_error]
    return max(better, key=lambda each: each.accuracy, default=joint)


def unseen_answers(
    logs: Float[np.ndarray, "n v c"],
    labels: Int[np.ndarray, " n"],
    prior: Float[np.ndarray, " v"],
    seed: int,
    groups: Int64[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "n c"]:
    """Return the log probabilities, but for a constant, of each photograph by weights that were fitted to others.

    Of fewer photographs, or groups, than there are folds the prior counts.

    Args:
        logs: As in `fit_view_weights`.
        labels: As there.
        prior: As there.
        seed: Of the folds.
        groups: The number of each photograph's group, all of which is in one fold; None: each stands for itself.
    """
    names, group = np.unique(np.arange(len(labels)) if groups is None else groups, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(names)) % _FOLDS)[group]
    summed: Float[np.ndarray, "n c"] = np.einsum("v,nvc->nc", prior, logs)
    for number in range(_FOLDS if len(names) >= _FOLDS else 0):
        held, rest = fold == number, fold != number
        weights = fit_view_weights(logs[rest], labels[rest], prior)
        summed[held] = np.einsum("v,nvc->nc", weights, logs[held])
    return summed


def _right(
    logs: Float[np.ndarray, "n v c"], labels: Int[np.ndarray, " n"], weights: Float[np.ndarray, " v"]
) -> Bool[np.ndarray, " n"]:
    right: Bool[np.ndarray, " n"] = np.einsum("v,nvc->nc", weights, logs).argmax(1) == labels
    return right


def log_answers(answers: Iterable[Float[np.ndarray, "n c"]]) -> Float[np.ndarray, "n v c"]:
    """Return the logarithms of the probabilities of v answers; of 0, which rounding makes, of the smallest number."""
    probabilities = np.stack(list(answers), axis=1)
    floor = np.finfo(probabilities.dtype).tiny
    logs: Float[np.ndarray, "n v c"] = np.log(probabilities.clip(min=floor).astype(np.float64))
    return logs


def _tried(
    name: str, branches: tuple[Branch, ...], weights: Float[np.ndarray, " v"], right: Bool[np.ndarray, " n"]
) -> TriedWeights:
    counting = {branch: float(weight) for branch, weight in zip(branches, weights, strict=True) if weight > 0}
    return TriedWeights(name, counting, right)
