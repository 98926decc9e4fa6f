"""Accuracies of several trainings and their differences, with intervals over photographs and over seeds.

Which photographs a test holds is chance, and so is the seed of a training. Both are drawn anew in each resample, each
independently of the other, since every network answers the same photographs (the pigeonhole bootstrap; Owen, 2007).
Of s seeds s - 1 are drawn with replacement: with s of them the variance of a mean over few seeds would come out too
small, by (s - 1) / s (McCarthy and Snowden, 1985). One seed is all that there is of its training: the interval is then
over photographs alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from foveate.errors import UserError
from foveate.evaluation.bootstrap import Estimate

_CHUNK_ENTRIES = 1 << 21


def mean_accuracy(right: Bool[np.ndarray, "s n"], *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Return the mean accuracy of the trainings of s seeds on n photographs, with its 95% interval.

    Args:
        right: Whether each one answers each photograph rightly.
        resamples: How often photographs and seeds are drawn.
        seed: Of the draws; the same answers in another order of the photographs give the same interval.

    Raises:
        UserError: There is no seed or no photograph.
    """
    (spread,) = _resampled([right], resamples, seed)
    return _estimate(float(right.mean()), spread)


def paired_difference(
    first: Bool[np.ndarray, "s n"], other: Bool[np.ndarray, "t m"], *, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Return the mean accuracy of the other's seeds minus that of the first's, with its 95% interval.

    Both sides answer the same drawn photographs (paired); their seeds are drawn for themselves.

    Args:
        first: Whether each training of the first configuration answers each photograph rightly.
        other: The same of the other configuration, on the same photographs in the same order.
        resamples: As in `mean_accuracy`.
        seed: As in `mean_accuracy`.

    Raises:
        UserError: A side has no seed, or the two have no photograph or not as many.
    """
    one, another = _resampled([first, other], resamples, seed)
    return _estimate(float(other.mean() - first.mean()), another - one)


def _resampled(
    sides: Sequence[Bool[np.ndarray, "_ _"]], resamples: int, seed: int
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
    kinds, counts = np.unique(np.concatenate(sides), axis=1, return_counts=True)
    photographs = counts.sum()
    step = max(1, _CHUNK_ENTRIES // counts.size)
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    draws = (generator.multinomial(photographs, counts / photographs, size=size) for size in sizes)
    accuracies = np.concatenate([drawn @ kinds.T for drawn in draws]) / photographs
    ends = np.cumsum([len(right) for right in sides])[:-1]
    return [
        (each * _seed_weights(generator, resamples, each.shape[1])).sum(1)
        for each in np.split(accuracies, ends, axis=1)
    ]


def _seed_weights(generator: np.random.Generator, resamples: int, seeds: int) -> Float[np.ndarray, "resamples seeds"]:
    if seeds == 1:
        return np.ones((resamples, 1))
    return generator.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=resamples) / (seeds - 1)


def _estimate(value: float, spread: Float[np.ndarray, " resamples"]) -> Estimate:
    """Return a value with the percentiles of its resamples, widened to contain it."""
    low, high = np.quantile(spread, (0.025, 0.975))
    return Estimate(value, float(min(value, low)), float(max(value, high)))
