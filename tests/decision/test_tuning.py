"""Fitting k, weights and gate on cached scores."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.config import RefinementConfig
from foveate.decision.refinement import refine
from foveate.decision.tuning import Scored, compositions, fit

PAPER = RefinementConfig()


@given(st.integers(0, 6), st.integers(1, 4))
def test_every_way_to_share_a_number_out_once(total: int, parts: int) -> None:
    expected = {each for each in product(range(total + 1), repeat=parts) if sum(each) == total}
    found = list(compositions(total, parts))
    assert len(found) == len(expected)
    assert set(found) == expected


def scored(seed: int, count: int = 30, classes: int = 4, rounds: int = 3) -> tuple[Scored, torch.Tensor]:
    """Random scores of the best four of six classes, and all probabilities."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(count, 6, generator=generator).mul(2).softmax(-1)
    own, best = probabilities.topk(classes)
    labels = torch.randint(0, 6, (count,), generator=generator)
    truth = torch.where((best == labels[:, None]).any(1), (best == labels[:, None]).int().argmax(1), -1)
    evidence = torch.rand(count, classes, rounds, generator=generator)
    entropy = torch.special.entr(probabilities).sum(1)
    return Scored(own, evidence, truth, entropy), probabilities


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000))
def test_what_is_fitted_decides_as_refinement_does(seed: int) -> None:
    cached, probabilities = scored(seed)
    places = torch.arange(4).expand(30, 4)
    for each in fit(cached, PAPER, steps=4, gates=2)[:10]:
        done = refine(probabilities, places, cached.own, cached.evidence, each.config)
        assert int((done.classes == cached.truth).sum()) == each.right


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
        threshold = each.config.entropy_above
        share = 1.0 if threshold is None else float((cached.entropy > threshold).double().mean())
        assert each.passes == pytest.approx(1 + share * each.config.top_k * each.config.rounds)
