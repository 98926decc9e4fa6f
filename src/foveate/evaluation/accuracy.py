"""Accuracy: how often the true class is among the first answers, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int, Int64
from numpy.typing import NDArray

from foveate.data.records import number_of_groups
from foveate.drawing.notebook import html_table
from foveate.errors import UserError
from foveate.evaluation.bootstrap import FEWEST_GROUPS, Estimate, GroupCounts, bootstrap_counts

_CHUNK_ENTRIES = 1 << 21
_TOP_K = (1, 3, 5)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often the true class is among the first k answers.

    ``top5`` (and ``top3``) means the first min(k, c) answers: with c <= k classes it is 1 by definition.
    ``top2`` is measured where there are 3 to 5 classes, of which the first five say nothing; else it is None.
    ``mean_per_class`` is the mean of the classes' own top-1 accuracies, over the classes that have an image
    in the set. ``images`` counts the images, ``classes`` the classes that the answers were chosen from, ``groups`` the
    groups that intervals are over; None: they are over images.
    """

    top1: Estimate
    top3: Estimate
    top5: Estimate
    mean_per_class: Estimate
    images: int
    classes: int
    top2: Estimate | None = None
    groups: int | None = None

    @property
    def telling(self) -> dict[str, Estimate]:
        """By their names those of top-1, 2, 3 and 5 that say something: k is smaller than the number of classes."""
        every = {1: self.top1, 2: self.top2, 3: self.top3, 5: self.top5}
        return {f"top-{k}": each for k, each in every.items() if each is not None and (k == 1 or k < self.classes)}

    def _repr_html_(self) -> str:
        """Return what a notebook shows: per cent, with 95% intervals."""
        names = {"top-1": self.top1, "top-3": self.top3, "top-5": self.top5, "mean of the classes": self.mean_per_class}
        rows = [
            (name, f"{100 * each.value:.1f}", f"{100 * each.low:.1f} to {100 * each.high:.1f}")
            for name, each in names.items()
        ]
        caption = f"accuracy on {self.images:,} photographs of {self.classes:,} classes"
        if self.groups is not None:
            caption += f"; intervals over {self.groups:,} groups"
        return html_table(("", "%", "95% interval"), rows, caption)


def measure_accuracy(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    groups: Int64[np.ndarray, " n"] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Accuracy:
    """Measure accuracy with 95% percentile-bootstrap intervals over images, or over groups of them.

    Where all images, or none, are right, resamples are all alike: there the interval of a top-k below the number of
    classes is that of Clopper and Pearson, which says how many of others may be wrong. That of the mean over classes
    has no width then.

    An image enters every metric only by its true class and by the first of top-1, 3, 5 that holds it. A class absent
    from a resample is left out of that resample's mean; as this shifts the mean where classes are rare, an interval is
    widened to contain its value.

    Args:
        probabilities: (n, c); logits give the same result. Ties go to the lower class index.
        labels: (n,), in 0..c-1.
        groups: The number of each image's group, whose images are much alike: frames of a video, photographs of an
            animal. Whole groups are then drawn; of fewer than six the interval is from 0 to 1
            (`foveate.evaluation.bootstrap`). None: each image stands for itself.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling; the same inputs and seed give the same intervals.

    Raises:
        UserError: The set is empty, shapes disagree, a label is out of range or a probability is not finite.
    """
    ranks = truth_ranks(probabilities, labels)
    if resamples < 1:
        raise UserError(f"resamples must be at least 1; got {resamples}")
    present, row = np.unique(labels, return_inverse=True)
    outcomes = row * (len(_TOP_K) + 1) + np.searchsorted(_TOP_K, ranks, side="right")
    drawn = partial(_estimates, groups=groups, resamples=resamples, seed=seed)
    top1, top3, top5, mean_per_class = drawn(outcomes, (len(present), len(_TOP_K) + 1), _metrics)
    classes = probabilities.shape[1]
    top2 = None
    if 3 <= classes <= max(_TOP_K):
        (top2,) = drawn((ranks >= 2).astype(np.int64), (1, 2), _share_of_first)
    tops = {k: each for k, each in {1: top1, 2: top2, 3: top3, 5: top5}.items() if each is not None}
    units = number_of_groups(groups)
    ends = _with_exact_ends(tops, units or len(ranks), classes, grouped=units is not None)
    return Accuracy(ends[1], ends[3], ends[5], mean_per_class, len(labels), classes, top2=ends.get(2), groups=units)


def _estimates(
    cells: Int[np.ndarray, " n"],
    shape: tuple[int, int],
    measure: Callable[[Int[np.ndarray, "*r rows columns"]], Float[np.ndarray, "*r m"]],
    groups: Int64[np.ndarray, " n"] | None,
    resamples: int,
    seed: int,
) -> tuple[Estimate, ...]:
    """Return measures of the table of a shape that counts images in cells, each with its interval."""
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    grouped = None if groups is None else GroupCounts.of(cells, groups, counts.size)
    return bootstrap_counts(counts, measure, resamples=resamples, seed=seed, grouped=grouped)


def _with_exact_ends(tops: Mapping[int, Estimate], units: int, classes: int, *, grouped: bool) -> dict[int, Estimate]:
    """Return shares of each top-k with the interval of Clopper and Pearson where one is 0 or 1, and is not so always.

    What lies among the first k lies among more of them: so do the ends. A unit is an image, or a group of them, which
    is right where all of its images are; fewer than six groups say nothing. Of c classes, what lies among the first c
    is always so.
    """
    furthest = 0.0 if units < FEWEST_GROUPS and grouped else 0.025 ** (1 / units)
    tops = {k: each if k < classes else Estimate(1.0, 1.0, 1.0) for k, each in tops.items()}
    low = {k: furthest if each.value == 1 and k < classes else each.low for k, each in tops.items()}
    high = {k: 1 - furthest if each.value == 0 else each.high for k, each in tops.items()}
    return {
        k: Estimate(
            each.value, max(low[fewer] for fewer in tops if fewer <= k), min(high[more] for more in tops if more >= k)
        )
        for k, each in tops.items()
    }


def _share_of_first(counts: Int[np.ndarray, "*r 1 2"]) -> Float[np.ndarray, "*r 1"]:
    shares: Float[np.ndarray, "*r 1"] = counts[..., 0] / counts.sum(axis=-1)
    return shares


def truth_ranks(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Int[np.ndarray, " n"]:
    """Return the position of each image's true class in its answers, 0 where the best answer is right.

    Equal probabilities are ordered by class index. Arguments and errors as in `measure_accuracy`.
    """
    _check(probabilities, labels)
    images, classes = probabilities.shape
    rows = max(1, _CHUNK_ENTRIES // classes)
    ranks = np.empty(images, dtype=np.int64)
    for start in range(0, images, rows):
        chunk, truth = probabilities[start : start + rows], labels[start : start + rows, None]
        own = np.take_along_axis(chunk, truth, axis=1)
        ahead = (chunk > own) | ((chunk == own) & (np.arange(classes) < truth))
        ranks[start : start + rows] = ahead.sum(axis=1)
    return ranks


def _check(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise UserError(
            "probabilities must be (n, c) and labels (n,), one row for each image; "
            f"got {probabilities.shape} and {labels.shape}"
        )
    if not probabilities.size:
        raise UserError(f"accuracy needs at least one image and one class; got {probabilities.shape}: check the split")
    lowest, highest, classes = labels.min(), labels.max(), probabilities.shape[1]
    if lowest < 0 or highest >= classes:
        raise UserError(
            f"labels must be in 0..{classes - 1}, as there are {classes} classes; "
            f"got {lowest} to {highest}: leave out images of unknown (-1) or foreign class"
        )
    # Extremes propagate NaN and need no array of the size of the table.
    if not np.isfinite([probabilities.min(), probabilities.max()]).all():
        raise UserError("probabilities must be finite; got NaN or infinity: check the model's weights")


def _metrics(counts: Int[np.ndarray, "*r present outcomes"]) -> Float[np.ndarray, "*r 4"]:
    """Return top-1, top-3, top-5 and mean per-class accuracy of each table of counts."""
    hits = counts.cumsum(axis=-1)
    sizes = hits[..., -1]
    top_k = hits[..., :-1].sum(axis=-2) / sizes.sum(axis=-1)[..., None]
    own = hits[..., 0] / np.maximum(sizes, 1)
    per_class = own.sum(axis=-1) / (sizes > 0).sum(axis=-1)
    return np.concatenate([top_k, per_class[..., None]], axis=-1)
