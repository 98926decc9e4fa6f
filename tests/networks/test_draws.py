"""Uniform numbers from keys."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from foveate.networks.draws import draw_keys, uniform_draw
from oracles.s3n import naive_draw, naive_key


def keys_of(*words: int) -> Tensor:
    """Unsigned words as the signed ones that hold the same bits."""
    return torch.tensor([word - 2**64 if word >= 2**63 else word for word in words])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3), st.integers(1, 5))
def test_agrees_with_splitmix64_in_plain_python(keys: list[int], cells: int) -> None:
    drawn = uniform_draw(keys_of(*keys), cells)
    assert drawn.dtype is torch.float32
    assert drawn.flatten(1).tolist() == [naive_draw(key, cells * cells) for key in keys]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(0, 1000), st.lists(st.integers(0, 10**9), min_size=1, max_size=4))
def test_keys_agree_with_plain_python(seed: int, epoch: int, positions: list[int]) -> None:
    expected = keys_of(*(naive_key(seed, epoch, position) for position in positions))
    assert torch.equal(draw_keys(seed, epoch, torch.tensor(positions)), expected)


def test_published_outputs() -> None:
    # SplitMix64 from state 1234567, as its reference implementation prints them.
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert uniform_draw(torch.tensor([1234567]), 2).flatten().tolist() == [(word >> 40) / 2**24 for word in outputs]


def test_draws_are_uniform_in_0_to_1() -> None:
    drawn = uniform_draw(draw_keys(0, 0, torch.arange(400)), 31).double()  # 384,400 numbers
    assert drawn.min() >= 0
    assert drawn.max() < 1
    # Standard errors are 0.0005 and 0.0001: five of them.
    assert drawn.mean().item() == pytest.approx(1 / 2, abs=0.0024)
    assert drawn.var().item() == pytest.approx(1 / 12, abs=0.0006)
    tenths = torch.histc(drawn, 10, 0.0, 1.0) / drawn.numel()
    assert torch.allclose(tenths, torch.full_like(tenths, 0.1), atol=0.0025)


def test_neighbouring_cells_keys_and_epochs_are_uncorrelated() -> None:
    drawn = torch.stack([uniform_draw(draw_keys(3, epoch, torch.arange(200)), 16) for epoch in (0, 1)]).double() - 0.5
    pairs = [(drawn[..., 1:], drawn[..., :-1]), (drawn[:, 1:], drawn[:, :-1]), (drawn[0], drawn[1])]
    for one, other in pairs:
        assert abs((one * other).mean().item() * 12) < 5 / one.numel() ** 0.5


def test_a_draw_depends_on_its_key_and_not_on_the_batch() -> None:
    positions = torch.tensor([7, 3, 900, 12])
    together = uniform_draw(draw_keys(1, 2, positions), 9)
    for index in range(len(positions)):
        alone = uniform_draw(draw_keys(1, 2, positions[index : index + 1]), 9)
        assert torch.equal(together[index], alone[0])
    assert torch.equal(uniform_draw(draw_keys(1, 2, positions.flip(0)), 9), together.flip(0))


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_every_seed_epoch_and_position_has_a_key_of_its_own(seed: int) -> None:
    positions = torch.arange(3000)
    seeds = (seed, seed + 1, seed + 2)
    keys = torch.cat([draw_keys(each, epoch, positions) for each in seeds for epoch in range(4)])
    assert len(set(keys.tolist())) == len(keys)
