"""Accuracy on frequent and rare classes: the head, middle and tail of a data set by its training photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int64
from numpy.typing import NDArray

from foveate.evaluation.accuracy import measure_accuracy
from foveate.evaluation.bootstrap import Estimate

UNEVEN = 5
"""From how many times the photographs of the rarest class on the most frequent one makes a data set uneven."""
_NAMES = ("head", "middle", "tail")


@dataclass(frozen=True, slots=True)
class FrequencyGroup:
    """A third of the classes, by how many training photographs they have."""

    name: str
    classes: int
    fewest: int
    """Training photographs of a class of it."""
    most: int
    images: int
    """Of these classes, in the set that is measured."""
    mean_per_class: Estimate
    """Mean of the classes' own top-1 accuracies, in [0, 1]; over those that have an image."""


def frequency_groups(
    probabilities: Float[NDArray[np.floating], "n c"],
    labels: Int[NDArray[np.integer], " n"],
    training: Int[NDArray[np.integer], " c"],
    groups: Int64[np.ndarray, " n"] | None = None,
) -> tuple[FrequencyGroup, ...]:
    """Return the accuracy of the most frequent third of the classes, of the middle one and of the rarest.

    Nothing is returned where the classes are about as frequent: of those with training photographs, the most frequent
    has less than `UNEVEN` times as many as the rarest, or there are fewer than three. A third without an image is left
    out.

    Args:
        probabilities: Of all c classes for n images.
        labels: In 0..c-1.
        training: How many training photographs each class has.
        groups: Of images that are much alike, as in `measure_accuracy`.

    Raises:
        UserError: As in `measure_accuracy`.
    """
    taught = np.flatnonzero(training)
    if len(taught) < len(_NAMES) or training[taught].max() < UNEVEN * training[taught].min():
        return ()
    order = taught[np.argsort(-training[taught], kind="stable")]
    thirds = []
    for name, classes in zip(_NAMES, np.array_split(order, len(_NAMES)), strict=True):
        own = np.isin(labels, classes)
        if own.any():
            among = None if groups is None else groups[own]
            accuracy = measure_accuracy(probabilities[own], labels[own], among).mean_per_class
            counts = training[classes]
            third = FrequencyGroup(name, len(classes), int(counts.min()), int(counts.max()), int(own.sum()), accuracy)
            thirds.append(third)
    return tuple(thirds)
