"""Who contradicts a label: networks that did not learn from the photograph, and the photographs nearest to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from foveate.config.branches import Branch
from foveate.config.engine import EngineConfig
from foveate.data.records import ImageRecord, labels_of
from foveate.networks.network import FrozenFeatures, Network
from foveate.recipes import RECIPES
from foveate.recipes.config import TrainConfig
from foveate.recipes.methods import create_network
from foveate.training.frozen_features import KeptFeatures

NEIGHBOURS = 10
_SHARPNESS = 0.05
"""Difference of cosine by which a neighbour's voice falls to 1/e."""
_FLOOR = 0.05
"""Of the nearest neighbour's voice, which each class has without any."""
_LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class LabelEvidence:
    """What speaks for each class of each photograph, without having learned from it."""

    records: Sequence[ImageRecord]
    labels: Int64[np.ndarray, " n"]
    """Counted among the classes that are judged."""
    classes: tuple[str, ...]
    """Those that are judged: of which two photographs or groups are there."""
    answers: Float[np.ndarray, "n c"]
    """Probabilities by one network alone."""
    joined: Float[np.ndarray, "n c"]
    """Probabilities by all witnesses together."""
    features: Float[np.ndarray, "n d"] | None
    """Of length 1; None: there are none."""
    source: str
    """Who answered, in words."""

    @property
    def accuracy(self) -> float:
        """Share of the labels with which the joint answers agree."""
        return float((self.joined.argmax(1) == self.labels).mean())


def usual_method(root: Path) -> TrainConfig:
    """Return what answers where no run does: a probe that looks closer, which trains nothing."""
    return RECIPES["s3n"]["frozen"](root)


def judgeable(records: Sequence[ImageRecord], groups: Sequence[int] | None = None) -> list[int]:
    """Return the places of photographs whose label others can speak against; none where that leaves one class.

    Those are of classes of which there are two photographs at least, or two groups of them.

    Args:
        records: The photographs.
        groups: Number of what counts once, of each; None: each photograph does.
    """
    numbers = range(len(records)) if groups is None else groups
    several = Counter(label for label, _ in set(zip(labels_of(records), numbers, strict=True)))
    places = [place for place, record in enumerate(records) if several[record.label] > 1]
    return places if len({records[place].label for place in places}) > 1 else []


def evidence_by_probe(
    records: Sequence[ImageRecord],
    groups: Int64[np.ndarray, " n"],
    config: TrainConfig,
    folder: Path,
    say: Callable[[str], None],
    engine: EngineConfig | None = None,
) -> LabelEvidence:
    """Return the evidence of probes, each fitted to other folds than the one that it answers for.

    Args:
        records: Of classes that are each in two groups or more.
        groups: Number of what is held out together.
        config: A method whose heads are solved for; its data is not used.
        folder: Keeps the features meanwhile.
        say: Receives lines of progress.
        engine: Who computes the features; None: this process.
    """
    names, labels = _counted(records)
    engine = engine or EngineConfig()
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = create_network(config.network, config.transforms, len(names))
        frozen = _Remembered(KeptFeatures(network, records, config.transforms, config.hardware, folder, say, engine))
        solved = network.solve(frozen, torch.from_numpy(labels), config.seed, torch.from_numpy(groups))
    features = torch.cat([each.double().mean(1) for each in frozen.features.values()], dim=1).numpy()
    features = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6)
    near = neighbours_say(features, labels, groups, len(names))
    answered = {branch: each.double().numpy() for branch, each in solved.held_out.items()}
    # What is held out nowhere, such as a place that alone has a class, is judged by the nearest photographs.
    witnesses = {branch: np.where(np.isnan(each), near, each) for branch, each in answered.items()}
    single = [each for branch, each in witnesses.items() if branch is not Branch.JOINT] or list(witnesses.values())
    if not single:  # a group of several classes left nothing to hold out
        single = [near]
    source = f"{config.network.method} with frozen features, in {solved.folds} folds, and the nearest photographs"
    return LabelEvidence(records, labels, names, single[0], _together([*single, near]), features, source)


def evidence_by_answers(
    records: Sequence[ImageRecord], answers: Mapping[Branch, Float[np.ndarray, "n c"]], source: str
) -> LabelEvidence:
    """Return the evidence of a network's answers to photographs that it did not learn from.

    Args:
        records: The photographs; their classes may be fewer than those answered.
        answers: Of each branch, for all classes of the data set in their order.
        source: Who answered, in words.
    """
    names, labels = _counted(records)
    numbers = sorted({record.label for record in records})
    chosen = {branch: _scaled(each[:, numbers].astype(np.float64)) for branch, each in answers.items()}
    alone = chosen[Branch.JOINT] if Branch.JOINT in chosen else chosen[Branch.ORIGINAL]
    return LabelEvidence(records, labels, names, alone, _together(list(chosen.values())), None, source)


def neighbours_say(
    features: Float[np.ndarray, "n d"], labels: Int64[np.ndarray, " n"], groups: Int64[np.ndarray, " n"], classes: int
) -> Float[np.ndarray, "n c"]:
    """Return what the labels of the nearest photographs say of each, those of its own group left out.

    Args:
        features: Of length 1.
        labels: 0 to `classes` - 1.
        groups: Of each photograph.
        classes: c.
    """
    voices = np.full((len(labels), classes), _FLOOR)
    count = min(NEIGHBOURS, len(labels) - 1)
    for place in range(len(labels)):
        alike = features @ features[place]
        alike[groups == groups[place]] = -np.inf
        nearest = np.argpartition(-alike, count - 1)[:count]
        nearest = nearest[np.isfinite(alike[nearest])]
        if len(nearest):
            weights = np.exp((alike[nearest] - alike[nearest].max()) / _SHARPNESS)
            np.add.at(voices[place], labels[nearest], weights)
    return _scaled(voices)


def _together(witnesses: Sequence[Float[np.ndarray, "n c"]]) -> Float[np.ndarray, "n c"]:
    """Return the mean of probabilities: the witnesses vote."""
    return _scaled(np.mean(witnesses, axis=0))


def _scaled(voices: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    return np.asarray(voices / np.maximum(voices.sum(1, keepdims=True), _LEAST))


def _counted(records: Sequence[ImageRecord]) -> tuple[tuple[str, ...], Int64[np.ndarray, " n"]]:
    """Return the classes of photographs, in the order of the data set, and the place of each label among them."""
    names = {record.label: record.class_name for record in records}
    places = {label: place for place, label in enumerate(sorted(names))}
    return tuple(names[label] for label in places), np.array([places[each] for each in labels_of(records)])


@dataclass(frozen=True)
class _Remembered:
    """Frozen features that are remembered by their names as they are asked for."""

    frozen: FrozenFeatures
    features: dict[str, Tensor] = field(default_factory=dict)

    def __call__(
        self,
        name: str,
        part: Callable[[Network, Float[Tensor, "b 3 Hs Ws"], Int64[Tensor, " b"]], Float[Tensor, "b d"]],
    ) -> Float[Tensor, "n v d"]:
        """Return the features; arguments as in `FrozenFeatures`."""
        self.features[name] = self.frozen(name, part)
        return self.features[name]
