"""Accuracy by plain loops, one image and one resample at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def naive_rank(row: Sequence[float], label: int) -> int:
    """Position of the label when classes are sorted by falling probability; sorting is stable."""
    order = sorted(range(len(row)), key=lambda index: -row[index])
    return order.index(label)


def naive_metrics(rows: Sequence[Sequence[float]], labels: Sequence[int]) -> list[float]:
    """Top-1, top-3, top-5 and mean per-class accuracy."""
    ranks = [naive_rank(row, label) for row, label in zip(rows, labels, strict=True)]
    right = defaultdict(list)
    for rank, label in zip(ranks, labels, strict=True):
        right[label].append(rank == 0)
    top_k = [sum(rank < k for rank in ranks) / len(ranks) for k in (1, 3, 5)]
    return [*top_k, sum(sum(own) / len(own) for own in right.values()) / len(right)]


def naive_bootstrap(
    rows: Sequence[Sequence[float]], labels: Sequence[int], resamples: int, seed: int
) -> NDArray[np.float64]:
    """95% percentile intervals, (2, 4), from drawing the images themselves with replacement."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        chosen = [int(index) for index in rng.integers(len(labels), size=len(labels))]
        drawn.append(naive_metrics([rows[i] for i in chosen], [labels[i] for i in chosen]))
    return np.asarray(np.quantile(drawn, (0.025, 0.975), axis=0))
