"""Fit how evidence is weighed: every choice is tried on cached scores, and no network runs.

A hundred photographs cannot tell thousands of settings apart: the best of them on these is worse on others than the
paper's weights (docs/log.md, 2026-11-25). So how much is fitted is itself decided on photographs held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from foveate.guided_zoom.algorithm_1 import scores_of
from foveate.guided_zoom.config import RefinementConfig, Rule

_FOLDS, _DIVISIONS = 5, 4


class CachedScores(NamedTuple):
    """The cached scores of n photographs for k classes in r rounds, and which of these classes is the true one."""

    own: Float[Tensor, "n k"]
    evidence: Float[Tensor, "n k r"]
    truth: Int64[Tensor, " n"]
    """Place of the true class among the k; -1 where it is not one of them."""
    entropy: Float[Tensor, " n"]
    """Of the network's probabilities, in nats."""
    group: Int64[Tensor, " n"]
    """The number of each photograph's group; one that stands for itself has its own."""


class TriedSetting(NamedTuple):
    """One setting that was tried."""

    config: RefinementConfig
    right: int
    """Photographs answered rightly."""
    passes: float
    """Passes of the conventional network for each photograph, if no two classes shared any."""


class TuningChoice(NamedTuple):
    """What was chosen, and why no more was fitted than that."""

    best: TriedSetting
    held_out: dict[str, float]
    """Share of the photographs answered rightly by what was fitted to others: `k` alone, or `all`.

    Empty where there are no others: of one photograph, or one group.
    """


def choose_setting(
    scored: CachedScores, base: RefinementConfig, tried: Sequence[TriedSetting], *, steps: int = 10, gates: int = 10
) -> TuningChoice:
    """Choose between the best k at the weights that are given, and the best of everything that `fit` tries.

    Everything is fitted only where that answers more photographs of held-out fifths rightly (four divisions of them).
    Photographs of one group are in one fifth.

    Args:
        scored: As `fit` takes it.
        base: As `fit` takes it; its weights are those that are given.
        tried: What `fit` found.
        steps: As there.
        gates: As there.
    """
    right, count = {"k": 0, "all": 0}, len(scored.truth)
    generator, (groups, member) = torch.Generator().manual_seed(0), torch.unique(scored.group, return_inverse=True)
    for _ in range(_DIVISIONS):
        order = torch.randperm(len(groups), generator=generator)
        for held in (torch.isin(member, order[start::_FOLDS]) for start in range(min(_FOLDS, len(groups)))):
            if held.all():
                continue
            others, fifth = (CachedScores(*(field[part] for field in scored)) for part in (~held, held))
            fitted = {"k": best_k(others, base), "all": fit(others, base, steps=steps, gates=gates)[0]}
            for name, each in fitted.items():
                right[name] += int(answered_rightly(fifth, each.config).sum())
    chosen = tried[0] if right["all"] > right["k"] else best_k(scored, base)
    if len(groups) < 2:
        return TuningChoice(chosen, {})
    return TuningChoice(chosen, {name: each / (_DIVISIONS * count) for name, each in right.items()})


def best_k(scored: CachedScores, base: RefinementConfig) -> TriedSetting:
    """Return the k that answers most photographs rightly at the given weights; of equally good ones the smallest."""
    weights = base.weights[: scored.evidence.shape[2] + 1]
    configs = [replace(base, top_k=k, weights=weights) for k in range(1, scored.evidence.shape[1] + 1)]
    gate = -1.0 if base.entropy_threshold is None else base.entropy_threshold
    share = float((scored.entropy > gate).double().mean())
    fitted = [
        TriedSetting(each, int(answered_rightly(scored, each).sum()), 1 + share * each.top_k * each.rounds)
        for each in configs
    ]
    return max(fitted, key=lambda each: each.right)


def answered_rightly(scored: CachedScores, config: RefinementConfig) -> Bool[Tensor, " n"]:
    """Say which photographs a setting answers rightly."""
    k = config.top_k
    scores = scores_of(scored.own[:, :k], scored.evidence[:, :k], config.weights, config.rule)
    considered = scored.entropy > (-1.0 if config.entropy_threshold is None else config.entropy_threshold)
    return torch.where(considered, scores.argmax(1), 0) == scored.truth


def compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Yield every way to share a whole number out to so many parts; parts may get nothing."""
    for bars in combinations(range(total + parts - 1), parts - 1):
        edges = (-1, *bars, total + parts - 1)
        yield tuple(right - left - 1 for left, right in pairwise(edges))


def fit(scored: CachedScores, base: RefinementConfig, *, steps: int = 10, gates: int = 10) -> tuple[TriedSetting, ...]:
    """Try every k, every number of rounds, weights in steps of 1 / `steps` that add up to 1, and entropy gates.

    Args:
        scored: Of photographs that neither network was trained on, and that nothing is reported on.
        base: What the settings keep: rule and kind of scores.
        steps: Into how many equal steps the sum of the weights is divided.
        gates: How many thresholds, at equal shares of the photographs, beside none.

    Returns:
        The best setting of each cost (k, rounds, gate), by falling accuracy; of equally good ones the cheapest first.
    """
    _, classes, rounds = scored.evidence.shape
    fitted: list[TriedSetting] = []
    thresholds = _thresholds(scored.entropy, gates)
    for count in range(1, rounds + 1):
        weights = torch.tensor(list(compositions(steps, count + 1)), dtype=torch.float64) / steps
        terms = torch.cat((scored.own[..., None], scored.evidence[..., :count]), dim=-1).double()
        # (n, k, settings)
        scores = terms @ weights.T if base.rule is Rule.SUM else (terms[..., None, :] * weights).amax(-1)
        for k in range(1, classes + 1):
            right = scores[:, :k].argmax(1) == scored.truth[:, None]
            fitted += _best_of(right, weights, scored, k, thresholds, base)
    return tuple(sorted(fitted, key=lambda each: (-each.right, each.passes)))


def _best_of(
    right: Bool[Tensor, "n s"],
    weights: Float[Tensor, "s w"],
    scored: CachedScores,
    k: int,
    thresholds: Sequence[float | None],
    base: RefinementConfig,
) -> list[TriedSetting]:
    unrefined = (scored.truth == 0)[:, None]
    fitted = []
    for threshold in thresholds:
        considered = scored.entropy > (-1.0 if threshold is None else threshold)
        counts = torch.where(considered[:, None], right, unrefined).sum(0)
        best = int(counts.argmax())
        chosen = tuple(round(weight, 6) for weight in weights[best].tolist())
        config = replace(base, top_k=k, weights=chosen, entropy_threshold=threshold)
        passes = 1 + float(considered.double().mean()) * k * config.rounds
        fitted.append(TriedSetting(config, int(counts[best]), passes))
    return fitted


def _thresholds(entropy: Float[Tensor, " n"], count: int) -> list[float | None]:
    shares = torch.linspace(0, 1, count + 2, dtype=entropy.dtype)[1:-1]
    return [None, *sorted({float(each) for each in entropy.quantile(shares)})]
