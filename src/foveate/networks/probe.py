"""A linear probe: multinomial logistic regression on frozen features, its strength chosen by cross-validation.

Features are standardised first, and every photograph counts with each of its views. Both are folded into an ordinary
linear head, so that a probe answers, is grounded and has class maps like any other network.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import euclidean_distances, log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional

from foveate.data.folds import deal
from foveate.engines.threads import in_threads

_NEIGHBOURS = 5
_STEPS, _TOLERANCE = 500, 1e-3  # of the solver; a smaller tolerance changed no fold's accuracy on birds or cars
_SMALLEST_SPREAD = 1e-6
_LARGE = 3e8  # multiplications a step; above it several threads share the products of a fit


class Head(NamedTuple):
    """A linear head on pooled features."""

    weight: Float[Tensor, "c d"]
    bias: Float[Tensor, " c"]

    def __call__(self, features: Float[Tensor, "*b d"]) -> Float[Tensor, "*b c"]:
        """Return the logits."""
        return functional.linear(features, self.weight, self.bias)

    def to(self, device: torch.device) -> Head:
        """Return it on a device."""
        return Head(self.weight.to(device), self.bias.to(device))

    @torch.no_grad()
    def put_into(self, head: nn.Linear) -> None:
        """Overwrite the weight and bias of a layer."""
        head.weight.copy_(self.weight)
        head.bias.copy_(self.bias)


class Held(NamedTuple):
    """What cross-validation says: of photographs that a fold's probe was not fitted to, in their centre views."""

    strength: float
    accuracy: float
    loss: float
    """Mean cross entropy, in nats."""


class OutOfFold(NamedTuple):
    """The probes of the folds, each fitted to the photographs of all others, with the strength that was chosen."""

    heads: tuple[Head, ...]
    fold: Int64[Tensor, " n"]
    """Of each photograph: which of the heads was not fitted to it."""
    probabilities: Float[Tensor, "n c"]
    """What that head answers to the photograph's centre view, in float64; NaN where it is held out nowhere."""


class Probe(NamedTuple):
    """A fitted probe as a linear head, and what chose it."""

    head: Head
    strength: float
    """C of the regression that was chosen: the inverse of its L2 penalty."""
    held: tuple[Held, ...]
    """Of every strength that was tried; empty where every class has a single photograph: nothing can be held out."""
    rivals: dict[str, float]
    """Cross-validated accuracy of what needs no fitting: the nearest class mean, the nearest neighbours."""
    out_of_fold: OutOfFold | None
    """None where nothing can be held out."""

    def measured(self) -> dict[str, float]:
        """Return the chosen strength, and what cross-validation says of it and of the rivals."""
        held = next((each for each in self.held if each.strength == self.strength), None)
        measured = {"strength": self.strength}
        if held is not None:
            measured |= {"held-out/top1": held.accuracy, "held-out/loss": held.loss}
        return measured | {f"held-out/{name}": accuracy for name, accuracy in self.rivals.items()}

    def unseen_heads(self, photographs: int) -> tuple[tuple[Head, ...], Int64[Tensor, " n"]]:
        """Return heads, and of each photograph which one was not fitted to it; the probe's own where there is none."""
        if self.out_of_fold is None:
            return (self.head,), torch.zeros(photographs, dtype=torch.int64)
        return self.out_of_fold.heads, self.out_of_fold.fold


def fit_probe(
    features: Float[Tensor, "n v d"],
    labels: Int64[Tensor, " n"],
    strengths: Sequence[float],
    folds: int,
    seed: int = 0,
    groups: Int64[Tensor, " n"] | None = None,
) -> Probe:
    """Fit a probe; features are standardised over all photographs, before folds are cut.

    Strengths are tried from the middle one outwards, for as long as the cross-validated loss falls: it has one valley,
    and time goes with photographs times classes, 36 fits where all seven strengths are tried.

    Args:
        features: Of n photographs in v views each, the centre view first.
        labels: 0 to c - 1; each class has a photograph.
        strengths: Those to choose from; the smallest cross-validated loss of those tried wins, of equals the weakest.
        folds: How often photographs are held out; fewer where no class has so many. What no fold
            may hold without taking a class from those that learn, such as its only photograph, is held out nowhere.
        seed: Of the folds.
        groups: Of each photograph its group, which is in one fold as a whole; None: each stands for itself.
    """
    values, classes = features.float().numpy(), labels.numpy()
    mean = values.mean((0, 1), dtype=np.float64)
    spread = np.maximum(values.std((0, 1), dtype=np.float64), _SMALLEST_SPREAD)
    values = ((values - mean) / spread).astype(np.float32)
    cuts = _cuts(classes, folds, seed, None if groups is None else groups.numpy())
    tried = _climbed(sorted(strengths), lambda each: _cross_validated(values, classes, each, cuts)) if cuts else []
    best = min(tried, key=lambda each: each.held.loss) if tried else None
    strength = _middle(strengths) if best is None else best.held.strength

    def head_of(fitted: LogisticRegression) -> Head:
        weight, bias = _head(fitted)
        weight = weight / spread
        return Head(torch.from_numpy(weight).float(), torch.from_numpy(bias - weight @ mean).float())

    out_of_fold = None
    if best is not None:
        heads, probabilities = tuple(map(head_of, best.fitted)), torch.from_numpy(best.probabilities)
        out_of_fold = OutOfFold(heads, torch.from_numpy(_fold_of_each(cuts, len(classes))), probabilities)
    (fitted,) = _fits(values, classes, strength, [slice(None)])
    whole = head_of(fitted)
    return Probe(whole, strength, tuple(each.held for each in tried), _rivals(values, classes, cuts), out_of_fold)


_Cuts = list[tuple[np.ndarray, np.ndarray]]
"""Of each fold the photographs inside, that are learned from, and those outside."""


class _CrossValidated(NamedTuple):
    held: Held
    probabilities: Float[np.ndarray, "n c"]
    fitted: list[LogisticRegression]
    """Of each fold."""


def _cuts(classes: np.ndarray, folds: int, seed: int, groups: np.ndarray | None = None) -> _Cuts:
    if groups is not None and len(np.unique(groups)) < len(groups):
        outsides = _outside_in_groups(classes, folds, seed, groups)
    else:
        counts = np.bincount(classes)
        several = np.flatnonzero(counts[classes] > 1)
        if not len(several):
            return []
        split = StratifiedKFold(min(folds, int(counts.max())), shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # it is in fewer folds
            outsides = [several[outside] for _, outside in split.split(np.zeros((len(several), 1)), classes[several])]
    return [(np.setdiff1d(np.arange(len(classes)), outside), outside) for outside in outsides]


def _outside_in_groups(classes: np.ndarray, folds: int, seed: int, groups: np.ndarray) -> list[np.ndarray]:
    """Return the photographs that each fold holds out, as whole groups."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    members = [np.flatnonzero(groups == name) for name in names]
    dealt = deal([Counter(classes[each].tolist()) for each in members], folds)
    held = {fold for fold in dealt if fold is not None}
    return [
        np.sort(np.concatenate([each for each, at in zip(members, dealt, strict=True) if at == fold]))
        for fold in sorted(held)
    ]


def _fold_of_each(cuts: _Cuts, count: int) -> np.ndarray:
    """Return of each photograph its fold; 0 where it is held out nowhere, since all folds learn from it."""
    fold = np.zeros(count, np.int64)
    for number, (_, outside) in enumerate(cuts):
        fold[outside] = number
    return fold


def _climbed(strengths: list[float], of: Callable[[float], _CrossValidated]) -> list[_CrossValidated]:
    """Return what was tried of ascending strengths, ascending."""
    place = len(strengths) // 2
    tried = {place: of(strengths[place])}
    for step in (-1, 1):
        at = place
        while 0 <= at + step < len(strengths):
            tried[at + step] = of(strengths[at + step])
            if tried[at + step].held.loss >= tried[at].held.loss:
                break
            at += step
        if at != place:  # the valley lies on this side
            break
    return [tried[each] for each in sorted(tried)]


def _middle(strengths: Sequence[float]) -> float:
    return sorted(strengths)[len(strengths) // 2]


def _fits(
    values: np.ndarray, classes: np.ndarray, strength: float, parts: Sequence[np.ndarray | slice]
) -> list[LogisticRegression]:
    """Fit to some of the photographs, for each of the parts; small fits side by side, each by one thread.

    The solver's steps between two products are short, and several threads wait for each other: two threads of one core
    take five times as long as one.
    """

    def fitted(part: np.ndarray | slice) -> LogisticRegression:
        return _fitted(values[part], classes[part], strength)

    if values.size * (int(classes.max()) + 1) > _LARGE:
        return [fitted(part) for part in parts]
    # scikit-learn changes the filters of warnings for a moment, which threads might leave changed.
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        return list(in_threads(fitted, parts))


def _fitted(values: np.ndarray, classes: np.ndarray, strength: float) -> LogisticRegression:
    views = values.shape[1]
    rows, repeated = values.reshape(-1, values.shape[-1]), np.repeat(classes, views)
    return LogisticRegression(C=strength, max_iter=_STEPS, tol=_TOLERANCE).fit(rows, repeated)


def _cross_validated(values: np.ndarray, classes: np.ndarray, strength: float, cuts: _Cuts) -> _CrossValidated:
    probabilities = np.full((len(classes), int(classes.max()) + 1), np.nan)
    each = _fits(values, classes, strength, [inside for inside, _ in cuts])
    for fitted, (_, outside) in zip(each, cuts, strict=True):
        probabilities[outside] = fitted.predict_proba(values[outside, 0].astype(np.float64))  # adds up to 1
    return _CrossValidated(Held(strength, *accuracy_and_loss(probabilities, classes)), probabilities, each)


def accuracy_and_loss(probabilities: Float[np.ndarray, "n c"], classes: Int64[np.ndarray, " n"]) -> tuple[float, float]:
    """Return top-1 accuracy and mean cross entropy, in nats, of photographs whose probabilities are no NaN."""
    held = ~np.isnan(probabilities[:, 0])
    probabilities, classes = probabilities[held], classes[held]
    accuracy = float((probabilities.argmax(1) == classes).mean())
    return accuracy, float(log_loss(classes, probabilities, labels=np.arange(probabilities.shape[1])))


def _head(fitted: LogisticRegression) -> tuple[np.ndarray, np.ndarray]:
    """Return weight (c, d) and bias (c,); scikit-learn gives two classes one row, that of their difference."""
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) > 1:
        return weight, bias
    return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2


def _rivals(values: np.ndarray, classes: np.ndarray, cuts: _Cuts) -> dict[str, float]:
    if not cuts:
        return {}
    norms = np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), _SMALLEST_SPREAD)
    directions = (values / norms)[:, 0]
    means, neighbours = (np.zeros(len(classes), bool) for _ in range(2))
    held = np.concatenate([outside for _, outside in cuts])
    for inside, outside in cuts:
        known, labels, unknown = directions[inside], classes[inside], directions[outside]
        centres = np.stack([known[labels == each].mean(0) for each in range(labels.max() + 1)])
        means[outside] = euclidean_distances(unknown, centres).argmin(1) == classes[outside]
        nearest = KNeighborsClassifier(min(_NEIGHBOURS, len(known))).fit(known, labels)
        neighbours[outside] = nearest.predict(unknown) == classes[outside]
    return {"nearest mean": float(means[held].mean()), "nearest neighbours": float(neighbours[held].mean())}
