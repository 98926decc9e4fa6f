"""Accuracies of several trainings and their differences, with intervals over photographs and over seeds.

Which photographs a test holds is chance, and so is the seed of a training. Both are drawn anew in each resample, each
independently of the other, since every network answers the same photographs (the pigeonhole bootstrap; Owen, 2007).
Of s seeds s - 1 are drawn with replacement: with s of them the variance of a mean over few seeds would come out too
small, by (s - 1) / s (McCarthy and Snowden, 1985). One seed is all that there is of its training: the interval is then
over photographs alone.

Photographs of one group (frames of a video, photographs of an animal) are much alike: whole groups are then drawn, and
fewer than six say too little of others for an interval (`foveate.evaluation.bootstrap.interval`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int64

from foveate.data.records import number_of_groups
from foveate.errors import UserError
from foveate.evaluation.bootstrap import Estimate, GroupCounts, drawn_counts, interval


def mean_accuracy(
    right: Bool[np.ndarray, "s n"],
    groups: Int64[np.ndarray, " n"] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return the mean accuracy of the trainings of s seeds on n photographs, with its 95% interval.

    Args:
        right: Whether each one answers each photograph rightly.
        groups: The number of each photograph's group; None: each stands for itself.
        resamples: How often photographs and seeds are drawn.
        seed: Of the draws; the same answers in another order of the photographs give the same interval.

    Raises:
        UserError: There is no seed or no photograph.
    """
    (spread,) = _resampled([right], resamples, seed, groups)
    return interval(float(right.mean()), spread, number_of_groups(groups))


def paired_difference(
    first: Bool[np.ndarray, "s n"],
    other: Bool[np.ndarray, "t m"],
    groups: Int64[np.ndarray, " n"] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return the mean accuracy of the other's seeds minus that of the first's, with its 95% interval.

    Both sides answer the same drawn photographs (paired); their seeds are drawn for themselves.

    Args:
        first: Whether each training of the first configuration answers each photograph rightly.
        other: The same of the other configuration, on the same photographs in the same order.
        groups: As in `mean_accuracy`.
        resamples: As in `mean_accuracy`.
        seed: As in `mean_accuracy`.

    Raises:
        UserError: A side has no seed, or the two have no photograph or not as many.
    """
    one, another = _resampled([first, other], resamples, seed, groups)
    return interval(float(other.mean() - first.mean()), another - one, number_of_groups(groups), (-1.0, 1.0))


def _resampled(
    sides: Sequence[Bool[np.ndarray, "_ _"]],
    resamples: int,
    seed: int,
    groups: Int64[np.ndarray, " n"] | None = None,
) -> list[Float[np.ndarray, " resamples"]]:
    """Return each side's mean accuracy in each resample.

    Photographs that are answered alike by all are alike: drawing n of them is one multinomial draw of how many there
    are of each kind.
    """
    if len({right.shape[1] for right in sides}) != 1 or not all(right.size for right in sides):
        shapes = " and ".join(str(right.shape) for right in sides)
        raise UserError(
            "accuracies are compared of one seed or more on the same n > 0 photographs, in the same order; got "
            f"{shapes} (seeds, photographs): align the prediction tables first"
        )
    generator = np.random.default_rng(seed)
    kinds, kind, counts = np.unique(np.concatenate(sides), axis=1, return_inverse=True, return_counts=True)
    grouped = None if groups is None else GroupCounts.of(kind.ravel(), groups, counts.size)
    draws = drawn_counts(counts, grouped, generator, resamples)
    accuracies = np.concatenate([drawn @ kinds.T / drawn.sum(1, keepdims=True) for drawn in draws])
    ends = np.cumsum([len(right) for right in sides])[:-1]
    return [
        (each * _seed_weights(generator, resamples, each.shape[1])).sum(1)
        for each in np.split(accuracies, ends, axis=1)
    ]


def _seed_weights(generator: np.random.Generator, resamples: int, seeds: int) -> Float[np.ndarray, "resamples seeds"]:
    if seeds == 1:
        return np.ones((resamples, 1))
    return generator.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=resamples) / (seeds - 1)
