"""Rare classes: shown as often as frequent ones, or their logits adjusted in the loss."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foveate.config.data import DataConfig
from foveate.config.optimiser import Sampling
from foveate.data.loading import Draw, EpochOrder, TrainingViews, balanced_order
from foveate.networks.network import Losses
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.training.class_weights import log_priors
from foveate.training.losses import total_loss
from foveate.types import BranchLogits
from foveate.workflows.train import train

CONFIG = TrainConfig(data=DataConfig(root=Path("photographs")), label_smoothing=0.0)


def test_the_log_of_each_classs_share_by_hand() -> None:
    torch.testing.assert_close(log_priors([0, 0, 0, 1], 3).exp(), torch.tensor([3 / 4, 1 / 4, 1 / 4]))


def test_a_loss_with_adjusted_logits_by_hand() -> None:
    """Equal logits of shares 3/4 and 1/4: the rare class costs log 4, of each branch and of what is further."""
    zeros = torch.zeros(1, 2)
    losses = Losses(BranchLogits(zeros, joint=zeros), [zeros])
    loss = total_loss(losses, torch.tensor([1]), CONFIG, added=log_priors([0, 0, 0, 1], 2))
    assert loss.item() == pytest.approx(3 * np.log(4), rel=1e-6)


def test_what_is_learned_with_adjustment_is_balanced() -> None:
    """A photograph that says nothing: the logits that have least loss are equal, whatever the classes' shares."""
    labels = torch.tensor([0] * 9 + [1])
    logits = torch.zeros(2, requires_grad=True)
    added = log_priors(labels.tolist(), 2)
    loss = total_loss(Losses(BranchLogits(logits.expand(10, 2))), labels, CONFIG, added=added)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, torch.zeros(2))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 100))
def test_a_balanced_order_shows_each_class_as_often(labels: list[int], seed: int) -> None:
    places, repeats = balanced_order(np.array(labels), np.random.default_rng(seed))
    assert len(places) == len(repeats) == len(labels)
    counts = Counter(labels[place] for place in places)
    rarest = min(counts.values()) if len(counts) == len(set(labels)) else 0  # where there are more classes than places
    assert max(counts.values()) - rarest <= 1
    shown = Counter(places.tolist())
    for label in counts:
        own = [shown[place] for place, each in enumerate(labels) if each == label]
        assert max(own) - min(own) <= 1  # none twice before all once
    pairs = set(zip(places.tolist(), repeats.tolist(), strict=True))
    assert len(pairs) == len(places)  # no view is drawn twice


def test_an_order_that_is_not_balanced_is_as_it_was() -> None:
    order = list(EpochOrder(5, seed=3))
    assert [draw.position for draw in order] == np.random.default_rng([3, 0, 0]).permutation(5).tolist()
    assert {draw.repeat for draw in order} == {0}


def test_a_repeated_photograph_has_another_view(quick: TrainConfig) -> None:
    views = TrainingViews(load_splits(quick.data).train, quick.transforms, seed=0)
    first, again = (views[Draw(0, 2, repeat)].images for repeat in range(2))
    assert not torch.equal(first, again)


def test_both_are_trained_with(quick: TrainConfig, tmp_path: Path) -> None:
    config = replace(quick, epochs=1, sampling=Sampling.BALANCED, logit_adjustment=1.0)
    run = train(config, tmp_path / "run", say=lambda line: None)
    assert run.config.sampling is Sampling.BALANCED
