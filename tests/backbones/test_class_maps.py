"""Class maps (Eq. 1) and their interpolation."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from foveate.backbones.class_maps import at_places, class_maps
from foveate.networks.first_view import lattice
from foveate.s3n.config import CellPlacement
from foveate.s3n.response_grid import fall_off_edges, on_grid
from oracles.guided_zoom import naive_interpolated as naive_enlarged
from oracles.s3n import naive_class_maps, naive_interpolated


def test_hand_computed_case() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 5.0]]]])  # two channels of one row of two cells
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]])
    maps = class_maps(features, weight, torch.tensor([[2, 1]]))
    assert maps.tolist() == [[[[-1.0, -1.0]], [[3.0, 5.0]]]]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(0, 10_000))
def test_agrees_with_plain_loops(images: int, channels: int, height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, weight = rng.normal(size=(images, channels, height, width)), rng.normal(size=(6, channels))
    classes = rng.integers(6, size=(images, 3))
    maps = class_maps(torch.from_numpy(features), torch.from_numpy(weight), torch.from_numpy(classes))
    expected = [
        [naive_class_maps(each, weight)[c] for c in asked]
        for each, asked in zip(features, classes.tolist(), strict=True)
    ]
    assert_close(maps, torch.from_numpy(np.array(expected)))


def test_the_mean_of_a_map_and_the_bias_are_the_heads_logit() -> None:
    head = torch.nn.Linear(8, 5)
    features = torch.randn(3, 8, 7, 7)
    every = torch.arange(5).expand(3, -1)
    means = class_maps(features, head.weight, every).mean(dim=(2, 3))
    assert_close(means + head.bias, head(features.mean(dim=(2, 3))))


def test_the_cost_goes_with_the_classes_asked_for() -> None:
    features, weight = torch.randn(2, 64, 7, 7), torch.randn(20_000, 64)
    classes = torch.tensor([[19_999, 3, 0, 7, 8], [1, 1, 2, 12_345, 5]])
    with FlopCounterMode(display=False) as counter:
        maps = class_maps(features, weight, classes)
    assert maps.shape == (2, 5, 7, 7)
    assert 0 < counter.get_total_flops() <= 2 * maps.numel() * 64
    assert_close(maps[1, 3], (weight[12_345, :, None, None] * features[1]).sum(0))


def test_maps_carry_the_gradient_to_features_and_weight() -> None:
    features = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    classes = torch.tensor([[0, 3], [1, 1]])
    assert torch.autograd.gradcheck(lambda s, w: class_maps(s, w, classes), (features, weight))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(2, 9), st.integers(0, 10_000), st.sampled_from(CellPlacement))
def test_interpolation_agrees_with_plain_loops(
    height: int, width: int, cells: int, seed: int, placement: CellPlacement
) -> None:
    maps = np.random.default_rng(seed).normal(size=(2, 3, height, width))
    expected = np.array([[naive_interpolated(each, cells, placement) for each in image] for image in maps])
    assert_close(on_grid(torch.from_numpy(maps), cells, placement), torch.from_numpy(expected))


def test_interpolation_by_hand() -> None:
    maps = torch.tensor([[[[0.0, 4.0], [8.0, 12.0]]]])
    assert on_grid(maps, 3).tolist() == [[[[0.0, 2.0, 4.0], [4.0, 6.0, 8.0], [8.0, 10.0, 12.0]]]]


def test_without_a_grid_maps_stay_as_they_are() -> None:
    maps = torch.randn(2, 3, 4, 4)
    assert torch.equal(on_grid(maps, None), maps)


def test_cells_in_the_middle_of_their_pixels_by_hand() -> None:
    """Two cells lie at 1/4 and 3/4 of the side, and five places at 0, 1/4, 1/2, 3/4 and 1."""
    maps = torch.tensor([[[[0.0, 4.0], [0.0, 4.0]]]])
    torch.testing.assert_close(
        on_grid(maps, 5, CellPlacement.CENTRES)[0, 0, 2], torch.tensor([0.0, 0.0, 2.0, 4.0, 4.0])
    )
    torch.testing.assert_close(on_grid(maps, 5)[0, 0, 2], torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]))


def test_the_fall_off_the_edges_by_hand() -> None:
    """Of two cells, the outer places of five lie half a cell beyond the middles."""
    fallen = fall_off_edges(torch.tensor([[[0.0, 0.0, 0.0, 4.0, 4.0]] * 5]), (2, 2))
    assert_close(fallen[0, 2], torch.tensor([0.0, 0.0, 0.0, 4.0, 3.998]), rtol=0, atol=1e-6)
    assert_close(fallen[0, :, 3], torch.tensor([3.998, 4.0, 4.0, 4.0, 3.998]), rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(2, 12), st.integers(0, 10_000))
def test_at_every_pixels_middle_it_is_the_enlarged_map(height: int, width: int, size: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(height, width))
    maps = torch.from_numpy(values)[None, None]
    found = at_places(maps, lattice(size, maps)[None], size)[0, 0]
    assert_close(found, torch.from_numpy(naive_enlarged(values, size, size)))
