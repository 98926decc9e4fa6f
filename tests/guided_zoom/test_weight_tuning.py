"""Fitting k, weights and gate on cached scores."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.guided_zoom.algorithm_1 import refine
from foveate.guided_zoom.config import RefinementConfig, Rule
from foveate.guided_zoom.weight_tuning import CachedScores, answered_rightly, best_k, choose_setting, compositions, fit

PAPER = RefinementConfig.paper()


@given(st.integers(0, 6), st.integers(1, 4))
def test_every_way_to_share_a_number_out_once(total: int, parts: int) -> None:
    expected = {each for each in product(range(total + 1), repeat=parts) if sum(each) == total}
    found = list(compositions(total, parts))
    assert len(found) == len(expected)
    assert set(found) == expected


def scored(seed: int, count: int = 30, classes: int = 4, rounds: int = 3) -> tuple[CachedScores, torch.Tensor]:
    """Random scores of the best four of six classes, and all probabilities."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(count, 6, generator=generator).mul(2).softmax(-1)
    own, best = probabilities.topk(classes)
    labels = torch.randint(0, 6, (count,), generator=generator)
    truth = torch.where((best == labels[:, None]).any(1), (best == labels[:, None]).int().argmax(1), -1)
    evidence = torch.rand(count, classes, rounds, generator=generator)
    entropy = torch.special.entr(probabilities).sum(1)
    return CachedScores(own, evidence, truth, entropy, torch.arange(count)), probabilities


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.sampled_from(Rule))
def test_what_is_fitted_decides_as_refinement_does(seed: int, rule: Rule) -> None:
    cached, probabilities = scored(seed)
    places, base = torch.arange(4).expand(30, 4), replace(PAPER, rule=rule)
    for each in [*fit(cached, base, steps=4, gates=2)[:10], best_k(cached, replace(base, entropy_threshold=0.9))]:
        done = refine(probabilities, places, cached.own, cached.evidence, each.config)
        assert torch.equal(answered_rightly(cached, each.config), done.classes == cached.truth)
        assert int((done.classes == cached.truth).sum()) == each.right


def test_the_best_k_at_given_weights() -> None:
    cached, _ = scored(3)
    counts = [int(answered_rightly(cached, replace(PAPER, top_k=k)).sum()) for k in range(1, 5)]
    best = best_k(cached, PAPER)
    assert (best.right, best.config) == (max(counts), replace(PAPER, top_k=counts.index(max(counts)) + 1))


def test_noise_is_not_fitted() -> None:
    """Evidence that says nothing: thousands of settings find something in it, which is gone on other photographs."""
    cached, _ = scored(0, 60)
    tried = fit(cached, PAPER, steps=4, gates=2)
    best, held_out = choose_setting(cached, PAPER, tried, steps=4, gates=2)
    assert tried[0].right > best.right
    assert held_out["all"] <= held_out["k"]
    assert best == best_k(cached, PAPER)


def test_what_pays_on_other_photographs_is_fitted() -> None:
    """The evidence of round 0 is always right, and the given weights leave it out."""
    cached, _ = scored(0, 60)
    there = cached.truth.clamp(min=0)
    evidence = cached.evidence.clone()
    evidence[:, :, 0] = torch.nn.functional.one_hot(there, 4) + 0.01
    cached, given = cached._replace(evidence=evidence), RefinementConfig(weights=(0.5, 0.0, 0.5))
    best, held_out = choose_setting(cached, given, fit(cached, given, steps=4, gates=2), steps=4, gates=2)
    assert held_out["all"] > held_out["k"] + 0.2
    assert best.right == int((cached.truth >= 0).sum())


def test_photographs_of_one_group_are_in_one_fifth() -> None:
    """Each photograph five times, in a group of its own, says what it says once."""
    cached, _ = scored(0, 60)
    five = CachedScores(*(field.repeat_interleave(5, 0) for field in cached))
    once, grouped = (choose_setting(each, PAPER, fit(each, PAPER, steps=4, gates=2)) for each in (cached, five))
    assert grouped.held_out == pytest.approx(once.held_out)
    assert grouped.best.config == once.best.config
    torn = five._replace(group=torch.arange(300))
    assert choose_setting(torn, PAPER, fit(torn, PAPER, steps=4, gates=2)).held_out["all"] > once.held_out["all"] + 0.05


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_handful_of_photographs_is_no_error(count: int) -> None:
    cached, _ = scored(0, count)
    assert choose_setting(cached, PAPER, fit(cached, PAPER, steps=2, gates=1), steps=2, gates=1).best.right <= count


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 10_000))
def test_no_setting_is_better_than_the_best(seed: int) -> None:
    cached, probabilities = scored(seed)
    places, most = torch.arange(4).expand(30, 4), 0
    for k, rounds in product(range(1, 5), range(1, 4)):
        for parts in compositions(4, rounds + 1):
            config = RefinementConfig(top_k=k, weights=tuple(part / 4 for part in parts))
            done = refine(probabilities, places, cached.own, cached.evidence, config)
            most = max(most, int((done.classes == cached.truth).sum()))
    assert fit(cached, PAPER, steps=4, gates=0)[0].right == most


def test_of_equally_good_settings_the_cheapest_is_first() -> None:
    cached, _ = scored(0)
    fitted = fit(cached._replace(truth=torch.full((30,), -1)), PAPER, steps=2, gates=3)  # nothing can be right
    assert fitted[0].passes == min(each.passes for each in fitted) == 1.0
    assert [each.right for each in fitted] == sorted((each.right for each in fitted), reverse=True)


def test_a_gate_costs_only_what_it_lets_through() -> None:
    cached, _ = scored(1)
    for each in fit(cached, PAPER, steps=2, gates=4):
        threshold = each.config.entropy_threshold
        share = 1.0 if threshold is None else float((cached.entropy > threshold).double().mean())
        assert each.passes == pytest.approx(1 + share * each.config.top_k * each.config.rounds)
