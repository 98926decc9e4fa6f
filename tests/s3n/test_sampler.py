"""Sampling maps to grids, views, and the way back (Eq. 7 and 8)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from foveate.s3n.attention import SparseAttention, dense_attention
from foveate.s3n.config import Partition, S3NConfig
from foveate.s3n.sampler import (
    Sampler,
    convolved_places,
    dense_grid,
    gaussian,
    invert,
    resample,
    resample_views,
    separable_places,
)
from oracles.s3n import Map, naive_interpolated, naive_kernel, naive_places

WIDTH = 13 / 31
SAMPLER = Sampler(S3NConfig())
LEARNED = S3NConfig(response_grid=7, regulariser_rate=0.5)


def random_map(cells: int, seed: int, power: float = 1.0) -> Map:
    """Random in (0.01, 1.01); the greater the power, the fewer cells stand out."""
    return np.asarray(np.random.default_rng(seed).random((cells, cells)) ** power + 0.01)


def tensor_of(values: Map) -> Tensor:
    return torch.from_numpy(values)[None]


def hill(cells: int, *peaks: tuple[float, float], floor: float = 0.09) -> Tensor:
    """A sampling map with peaks at (row, column) in [0, 1] over a floor."""
    line = torch.linspace(0, 1, cells)
    total = torch.full((cells, cells), floor)
    for row, column in peaks:
        total += torch.exp(-((line[:, None] - row) ** 2 + (line - column) ** 2) / (2 * 0.09**2))
    return total[None]


def identity(size: int) -> Tensor:
    line = torch.linspace(-1, 1, size)
    return torch.stack([line.expand(size, size), line[:, None].expand(size, size)], dim=-1)[None]


maps = st.builds(random_map, st.integers(2, 7), st.integers(0, 10_000), st.sampled_from([1.0, 4.0]))


@settings(deadline=None, max_examples=20)
@given(maps, st.sampled_from([0.1, WIDTH, 1.0]))
def test_separable_places_agree_with_plain_loops(sampling_map: Map, width: float) -> None:
    cells = len(sampling_map)
    found = separable_places(tensor_of(sampling_map), gaussian(cells, width).double())[0]
    assert_close(found, torch.from_numpy(naive_places(sampling_map, naive_kernel(cells, width))), rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(maps, st.integers(0, 10_000))
def test_convolved_places_agree_with_plain_loops_for_any_kernel(sampling_map: Map, seed: int) -> None:
    kernel = random_map(2 * len(sampling_map) - 1, seed)
    found = convolved_places(tensor_of(sampling_map), torch.from_numpy(kernel))[0]
    assert_close(found, torch.from_numpy(naive_places(sampling_map, kernel)), rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 31), st.sampled_from([0.1, WIDTH, 1.0]), st.integers(0, 10_000))
def test_both_ways_give_the_same_places(cells: int, width: float, seed: int) -> None:
    sampling_map, profile = tensor_of(random_map(cells, seed)), gaussian(cells, width).double()
    separable = separable_places(sampling_map, profile)
    assert_close(separable, convolved_places(sampling_map, profile[:, None] * profile), rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(maps, st.integers(2, 12))
def test_the_grid_agrees_with_plain_loops(sampling_map: Map, size: int) -> None:
    places = naive_places(sampling_map, naive_kernel(len(sampling_map), WIDTH)).clip(0, 1) * 2 - 1
    expected = np.stack([naive_interpolated(places[..., axis], size) for axis in (0, 1)], axis=-1)
    assert_close(SAMPLER(tensor_of(sampling_map), size)[0], torch.from_numpy(expected), rtol=0, atol=2e-5)


def test_a_row_of_three_by_hand() -> None:
    # Columns weigh 1, 3, 1 and k is 1, 1/2, 1/16 at distances 0, 1, 2, so a row is continued as 1 1 [1 3 1] 1 1.
    profile = torch.tensor([1 / 16, 1 / 2, 1.0, 1 / 2, 1 / 16])
    places = separable_places(torch.tensor([[[1.0, 3.0, 1.0]] * 3]), profile)
    first = (-1 / 16 * 1 - 1 / 2 * 1 / 2 + 1 / 2 * 3 / 2 + 1 / 16 * 1) / (1 / 16 + 1 / 2 + 1 + 3 / 2 + 1 / 16)
    assert_close(places[0, 1, :, 0], torch.tensor([first, 0.5, 1 - first]))
    assert_close(places[0, :, 1, 1], torch.tensor([0.0, 0.5, 1.0]))


def test_the_gaussian_is_half_as_high_at_half_its_width() -> None:
    profile = gaussian(31, WIDTH)
    assert len(profile) == 61
    assert profile[30].item() == 1
    middle = (profile[30 + 6] * profile[30 + 7]).sqrt()  # 6.5 cells, up to the curvature between
    assert middle.item() == pytest.approx(0.5, rel=0.01)
    assert_close(profile[:, None] * profile, torch.from_numpy(naive_kernel(31, WIDTH)).float())


@pytest.mark.parametrize("cells", [2, 5, 7, 14, 31])
@pytest.mark.parametrize("size", [2, 16, 33, 224])
@pytest.mark.parametrize("value", [1e-3, 1.0, 500.0])
def test_a_flat_map_gives_the_identity(cells: int, size: int, value: float) -> None:
    assert_close(SAMPLER(torch.full((1, cells, cells), value), size), identity(size), rtol=0, atol=1e-5)


def test_a_learned_regulariser_starts_as_the_fixed_one() -> None:
    sampling_map = tensor_of(random_map(7, seed=0)).float()
    assert_close(Sampler(LEARNED)(sampling_map, 20), SAMPLER(sampling_map, 20), rtol=0, atol=1e-5)


def test_a_learned_regulariser_keeps_flat_maps_flat_and_gets_a_gradient() -> None:
    sampler = Sampler(LEARNED)
    assert_close(sampler(torch.full((1, 7, 7), 0.3), 16), identity(16), rtol=0, atol=1e-5)
    assert sampler.kernel is not None
    grid = sampler(tensor_of(random_map(7, seed=1)).float(), 16)
    (gradient,) = torch.autograd.grad(grid.square().sum(), [sampler.kernel])
    assert gradient.isfinite().all()
    assert gradient.any()


def test_a_fixed_regulariser_has_no_parameters() -> None:
    assert not list(SAMPLER.parameters())
    assert not list(Sampler(replace(LEARNED, regulariser_rate=0.0)).parameters())


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 31), st.integers(0, 10_000), st.sampled_from([1.0, 8.0]), st.sampled_from([0.1, WIDTH, 1.0]))
def test_the_grid_never_turns_back_and_stays_in_the_image(cells: int, seed: int, power: float, width: float) -> None:
    grid = Sampler(S3NConfig(regulariser_width=width))(tensor_of(random_map(cells, seed, power)), 40)
    assert grid.abs().max() <= 1 + 1e-6
    assert (grid[:, :, 1:, 0] - grid[:, :, :-1, 0]).min() > -1e-6
    assert (grid[:, 1:, :, 1] - grid[:, :-1, :, 1]).min() > -1e-6


def test_flipping_the_map_flips_the_grid() -> None:
    sampling_map = tensor_of(random_map(9, seed=2))
    grid = SAMPLER(sampling_map, 21)
    mirrored = torch.tensor([-1.0, 1.0])
    assert_close(SAMPLER(sampling_map.flip(2), 21), (grid * mirrored).flip(2), rtol=0, atol=1e-6)
    assert_close(SAMPLER(sampling_map.flip(1), 21), (grid * mirrored.flip(0)).flip(1), rtol=0, atol=1e-6)
    assert_close(SAMPLER(sampling_map.mT, 21), grid.transpose(1, 2).flip(3), rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", [0.01, 1000.0])
def test_only_ratios_of_the_map_matter(factor: float) -> None:
    sampling_map = tensor_of(random_map(9, seed=3))
    assert_close(SAMPLER(sampling_map * factor, 21), SAMPLER(sampling_map, 21))


@pytest.mark.parametrize(("row", "column"), [(0.5, 0.5), (0.3, 0.6), (0.7, 0.25)])
def test_a_peak_enlarges_its_surroundings_and_shrinks_the_rest(row: float, column: float) -> None:
    size = 101
    grid = SAMPLER(hill(31, (row, column)), size)[0]
    y, x = divmod(int((grid - torch.tensor([2 * column - 1, 2 * row - 1])).norm(dim=-1).argmin()), size)
    even = 2 / (size - 1)
    along, down = grid[y, 1:, 0] - grid[y, :-1, 0], grid[1:, x, 1] - grid[:-1, x, 1]
    assert along[x - 3 : x + 3].max() < 0.8 * even
    assert down[y - 3 : y + 3].max() < 0.8 * even
    assert along.max() > 1.1 * even
    assert down.max() > 1.1 * even


def test_no_peak_gives_the_view_itself() -> None:
    images = torch.rand(2, 3, 24, 24)
    for config in (S3NConfig(), S3NConfig.paper()):
        attention = SparseAttention(config)(torch.zeros(2, 6, 6), Partition.EXPECTED)
        for each in (attention.discriminative, attention.complementary):
            assert_close(resample(images, Sampler(config)(each, 24)), images, rtol=0, atol=1e-4)


def test_a_view_by_hand() -> None:
    image = torch.tensor([[[[0.0, 10.0, 20.0], [30.0, 40.0, 50.0]]]])
    grid = torch.tensor([[[[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0], [-0.5, 1.0], [2.0, -1.0]]]])  # (x, y)
    assert_close(resample(image, grid)[0, 0, 0], torch.tensor([0.0, 50.0, 25.0, 35.0, 20.0]))


def test_the_source_may_be_larger_than_the_view() -> None:
    source = torch.rand(1, 3, 33, 33)
    assert_close(resample(source, identity(17)), source[:, :, ::2, ::2], rtol=0, atol=1e-5)


def test_places_outside_are_held_in() -> None:
    places = torch.tensor([[[[-0.2, 0.0], [1.3, 0.0]], [[0.0, 1.1], [0.75, 1.0]]]])
    assert_close(dense_grid(places, 2), torch.tensor([[[[-1.0, -1.0], [1.0, -1.0]], [[-1.0, 1.0], [0.5, 1.0]]]]))


# Where the places beyond the image are held in, as at a corner or border with a peak, the grid stands still.
INVERTED = {
    "centre": hill(31, (0.5, 0.5)),
    "two": hill(31, (0.2, 0.3), (0.7, 0.6)),
    "few cells": hill(9, (0.4, 0.0), (0.7, 0.5)),
    "low floor": hill(31, (0.5, 0.5), floor=1e-3),
    "corner": hill(31, (0.0, 0.0)),
    "border": hill(31, (0.3, 0.0), (0.8, 0.0)),
    "dense": dense_attention(hill(31, (0.4, 0.3), (0.6, 0.7), floor=0.0).clamp(max=1), 0.03).discriminative,
    "dense complement": dense_attention(hill(31, (0.4, 0.3), (0.6, 0.7), floor=0.0).clamp(max=1), 0.03).complementary,
    "random": tensor_of(random_map(31, seed=4, power=6)).float(),
}


def nearest_seen(grid: Tensor, size: int) -> tuple[Tensor, float]:
    """How close a view comes to each place of the image, by trying 257 x 257 places of the view; and their spacing."""
    shown = functional.interpolate(grid.permute(0, 3, 1, 2), (257, 257), mode="bilinear", align_corners=True)[0]
    steps = [shown.diff(dim=axis).abs().amax().item() for axis in (1, 2)]
    wanted = identity(size)[0].flatten(0, 1)
    distance = torch.cdist(wanted, shown.flatten(1).T.contiguous(), p=float("inf"))
    return distance.amin(1).view(size, size), max(steps)


@pytest.mark.parametrize("name", INVERTED)
@pytest.mark.parametrize("size", [29, 57])
def test_a_place_is_covered_where_the_view_shows_it(name: str, size: int) -> None:
    grid = SAMPLER(INVERTED[name], 33)
    covered = invert(grid, size).covered[0]
    distance, spacing = nearest_seen(grid, size)
    assert ((distance < 0.25 / size) & ~covered).nonzero().tolist() == []
    assert ((distance > 1 / size + spacing) & covered).nonzero().tolist() == []


def test_a_view_that_leaves_the_border_out_does_not_cover_it() -> None:
    covered = invert(SAMPLER(hill(31, (0.5, 0.5), floor=1e-3), 33), 29).covered[0]
    assert covered[14, 14]
    assert not covered[0].any()
    assert not covered[:, -1].any()


@pytest.mark.parametrize("name", INVERTED)
def test_the_inverse_undoes_the_grid_where_covered(name: str) -> None:
    size = 29
    grid = SAMPLER(INVERTED[name], 33)
    there, covered = invert(grid, size)
    back = functional.grid_sample(grid.permute(0, 3, 1, 2), there, align_corners=True).permute(0, 2, 3, 1)
    assert covered.any()
    assert (back - identity(size))[covered].abs().max() < 1 / size


@pytest.mark.parametrize("name", ["centre", "two", "few cells"])
def test_the_inverse_is_exact_away_from_the_border(name: str) -> None:
    grid = SAMPLER(INVERTED[name], 224)
    there, covered = invert(grid, 101)
    back = functional.grid_sample(grid.permute(0, 3, 1, 2), there, align_corners=True).permute(0, 2, 3, 1)
    inside = slice(20, 81)
    assert covered[:, inside, inside].all()
    error = (back - identity(101))[:, inside, inside].abs()
    assert error.max() < 1e-5


@pytest.mark.parametrize("size", [2, 9, 56, 101])
def test_the_identity_inverts_to_itself(size: int) -> None:
    inverse = invert(identity(33), size)
    assert inverse.covered.all()
    assert_close(inverse.grid, identity(size), rtol=0, atol=1e-4)


def test_each_view_of_a_batch_is_inverted_alone() -> None:
    grids = torch.cat([SAMPLER(INVERTED[name], 33) for name in ("centre", "two", "border")])
    together = invert(grids, 21)
    for index in range(3):
        alone = invert(grids[index : index + 1], 21)
        assert_close(together.grid[index], alone.grid[0])
        assert torch.equal(together.covered[index], alone.covered[0])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("count", [1, 5])
def test_views_drawn_image_by_image_are_those_of_the_batch(layout: torch.memory_format, count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, 20, 24, generator=generator).contiguous(memory_format=layout)
    grids = [2 * torch.rand(count, 8, 6, 2, generator=generator) - 1 for _ in range(2)]
    expected = torch.stack([resample(images, grid) for grid in grids])
    with torch.no_grad():
        views = resample_views(images, grids)
    assert torch.equal(views, expected)
    assert views[0].is_contiguous(memory_format=layout)  # what the network's first layer takes without a copy
    assert resample_views(images, []).shape[0] == 0
    leaf = images.clone().requires_grad_()
    assert torch.equal(resample_views(leaf, grids), expected)
    assert resample_views(leaf, grids).requires_grad
