"""A linear probe: multinomial logistic regression on frozen features, its strength chosen by cross-validation.

Features are standardised first, and every photograph counts with each of its views. Both are folded into an ordinary
linear head, so that a probe answers, is grounded and has class maps like any other network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone, create_backbone
from foveate.config.branches import Branch
from foveate.config.networks import ProbeConfig
from foveate.networks.network import FrozenFeatures, Solved
from foveate.networks.plain import PlainNetwork

_NEIGHBOURS = 5
_STEPS, _TOLERANCE = 500, 1e-3  # of the solver; a smaller tolerance changed no fold's accuracy on birds or cars
_SMALLEST_SPREAD = 1e-6


class Held(NamedTuple):
    """What cross-validation says: of photographs that a fold's probe was not fitted to, in their centre views."""

    strength: float
    accuracy: float
    loss: float
    """Mean cross entropy, in nats."""
    probabilities: Float[np.ndarray, "n c"]


class Probe(NamedTuple):
    """A fitted probe as a linear head, and what chose it."""

    weight: Float[Tensor, "c d"]
    bias: Float[Tensor, " c"]
    strength: float
    """C of the regression that was chosen: the inverse of its L2 penalty."""
    held: tuple[Held, ...]
    """Of every strength that was tried; empty where a class has a single photograph, and nothing can be held out."""
    folds: int
    """How often photographs were held out; 0 where none could be."""
    rivals: dict[str, float]
    """Cross-validated accuracy of what needs no fitting: the nearest class mean, the nearest neighbours."""

    @torch.no_grad()
    def put_into(self, head: nn.Linear) -> None:
        """Overwrite a head's weight and bias."""
        head.weight.copy_(self.weight)
        head.bias.copy_(self.bias)

    def solved(self) -> Solved:
        """Return the chosen strength, what cross-validation says of it and of the rivals, and its answers."""
        held = next((each for each in self.held if each.strength == self.strength), None)
        measured, answers = {"strength": self.strength}, {}
        if held is not None:
            measured |= {"held-out/top1": held.accuracy, "held-out/loss": held.loss}
            answers[Branch.ORIGINAL] = torch.from_numpy(held.probabilities).float()
        measured |= {f"held-out/{name}": accuracy for name, accuracy in self.rivals.items()}
        return Solved(measured, answers, self.folds)


def fit_probe(
    features: Float[Tensor, "n v d"], labels: Int64[Tensor, " n"], strengths: Sequence[float], folds: int, seed: int = 0
) -> Probe:
    """Fit a probe; features are standardised over all photographs, before folds are cut.

    Args:
        features: Of n photographs in v views each, the centre view first.
        labels: 0 to c - 1; each class has a photograph.
        strengths: Those to choose from; the smallest cross-validated loss wins, and of equals the weakest.
        folds: How often photographs are held out; fewer where a class has fewer photographs.
        seed: Of the folds.
    """
    values, classes = features.double().numpy(), labels.numpy()
    mean, spread = values.mean((0, 1)), np.maximum(values.std((0, 1)), _SMALLEST_SPREAD)
    values = (values - mean) / spread
    cuts = _cuts(classes, folds, seed)
    held = tuple(_held_out(values, classes, each, cuts) for each in sorted(strengths)) if cuts else ()
    strength = min(held, key=lambda each: each.loss).strength if held else _middle(strengths)
    weight, bias = _head(_fitted(values, classes, strength))
    weight = weight / spread
    return Probe(
        torch.from_numpy(weight).float(),
        torch.from_numpy(bias - weight @ mean).float(),
        strength,
        held,
        len(cuts),
        _rivals(values, classes, cuts),
    )


class ProbeNetwork(PlainNetwork):
    """A plain network whose backbone stays as it is, and whose head is a probe."""

    def __init__(self, backbone: Backbone, config: ProbeConfig) -> None:
        super().__init__(backbone)
        self.config = config

    @classmethod
    def create(cls, config: ProbeConfig, classes: int, *, pretrained: bool = True) -> ProbeNetwork:  # type: ignore[override]
        """Build it from its configuration; `pretrained` as in `create_backbone`."""
        return cls(create_backbone(config.backbone, classes, pretrained=pretrained), config)

    def solve(self, frozen: FrozenFeatures, labels: Int64[Tensor, " n"], seed: int = 0) -> Solved:
        """Fit the head, and return what cross-validation says of it; arguments as in `Network.solve`."""
        features = frozen("features", lambda network, images: network.backbone.pooled(images))
        probe = fit_probe(features, labels, self.config.strengths, self.config.folds, seed)
        probe.put_into(self.backbone.classifier)
        return probe.solved()


_Cuts = list[tuple[np.ndarray, np.ndarray]]


def _cuts(classes: np.ndarray, folds: int, seed: int) -> _Cuts:
    fewest = int(np.bincount(classes).min())
    if fewest < 2:
        return []
    split = StratifiedKFold(min(folds, fewest), shuffle=True, random_state=seed)
    return list(split.split(np.zeros((len(classes), 1)), classes))


def _middle(strengths: Sequence[float]) -> float:
    return sorted(strengths)[len(strengths) // 2]


def _fitted(values: np.ndarray, classes: np.ndarray, strength: float) -> LogisticRegression:
    views = values.shape[1]
    rows, repeated = values.reshape(-1, values.shape[-1]), np.repeat(classes, views)
    return LogisticRegression(C=strength, max_iter=_STEPS, tol=_TOLERANCE).fit(rows, repeated)


def _held_out(values: np.ndarray, classes: np.ndarray, strength: float, cuts: _Cuts) -> Held:
    probabilities = np.zeros((len(classes), int(classes.max()) + 1))
    for inside, outside in cuts:
        probabilities[outside] = _fitted(values[inside], classes[inside], strength).predict_proba(values[outside, 0])
    accuracy = float((probabilities.argmax(1) == classes).mean())
    loss = float(log_loss(classes, probabilities, labels=np.arange(probabilities.shape[1])))
    return Held(strength, accuracy, loss, probabilities)


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
    for inside, outside in cuts:
        known, labels, unknown = directions[inside], classes[inside], directions[outside]
        centres = np.stack([known[labels == each].mean(0) for each in range(labels.max() + 1)])
        distances = ((unknown[:, None] - centres) ** 2).sum(-1)
        means[outside] = distances.argmin(1) == classes[outside]
        nearest = KNeighborsClassifier(min(_NEIGHBOURS, len(known))).fit(known, labels)
        neighbours[outside] = nearest.predict(unknown) == classes[outside]
    return {"nearest mean": float(means.mean()), "nearest neighbours": float(neighbours.mean())}
