"""Partition of the peaks and sparse attention (Eq. 4 to 6)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call
from torch.testing import assert_close

from foveate.networks.draws import draw_keys, uniform_draw
from foveate.s3n.attention import Attention, SparseAttention, dense_attention, gaussians
from foveate.s3n.config import AttentionKernel, Partition, S3NConfig
from foveate.s3n.partition import divide
from foveate.s3n.peaks import find_peaks
from foveate.s3n.sampler import gaussian, separable_places, sum_attention
from oracles.s3n import naive_dense_maps, naive_sampling_maps

EVERY_PEAK = S3NConfig(peaks_above_mean=False)


def responses(images: int, cells: int, seed: int) -> Tensor:
    """Random maps in [0, 1] that reach both ends; they rise to the right, so that some peaks are below the mean."""
    values = torch.rand(images, cells, cells, generator=torch.Generator().manual_seed(seed))
    values = values * torch.linspace(0.05, 1, cells)
    low, high = values.amin(dim=(1, 2), keepdim=True), values.amax(dim=(1, 2), keepdim=True)
    return (values - low) / (high - low)


def draws(images: int, cells: int, seed: int = 0) -> Tensor:
    return uniform_draw(draw_keys(seed, 0, torch.arange(images)), cells)


def one_peak(cells: int, row: int, column: int, value: float = 1.0) -> Tensor:
    response = torch.zeros(1, cells, cells)
    response[0, row, column] = value
    return response


configs = st.builds(
    S3NConfig,
    kernel=st.sampled_from(AttentionKernel),
    radius=st.floats(0.02, 0.5),
    radius_complementary=st.floats(0.02, 0.9),
    sampling_floor=st.sampled_from([0.0, 0.09]),
    peak_window=st.sampled_from([3, 5]),
    peaks_above_mean=st.booleans(),
)


@settings(deadline=None, max_examples=30)
@given(configs, st.sampled_from(Partition), st.integers(2, 9), st.integers(0, 10_000))
def test_agrees_with_plain_loops(config: S3NConfig, partition: Partition, cells: int, seed: int) -> None:
    response, draw = responses(2, cells, seed), draws(2, cells, seed)
    attention = SparseAttention(config)(response, partition, draw)
    wanted = [
        naive_sampling_maps(each.double().numpy(), partition, zeta.double().numpy(), config)
        for each, zeta in zip(response, draw, strict=True)
    ]
    for index, found in enumerate((attention.discriminative, attention.complementary)):
        expected = torch.tensor(np.array([maps[index] for maps in wanted])).float()
        assert_close(found, expected, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel", "divisor"), [(AttentionKernel.PAPER, 1), (AttentionKernel.HALF, 2)])
def test_one_peak_by_hand(kernel: AttentionKernel, divisor: int) -> None:
    config = S3NConfig(kernel=kernel, radius=0.5, radius_complementary=0.25, sampling_floor=0.0)
    attention = SparseAttention(config)(one_peak(4, 1, 2, 0.25), Partition.ALL)
    # Two cells left of the peak and one below it, on a grid of four: 4/16 + 1/16.
    squared = 5 / 16
    near = 0.25 * math.exp(-squared / (divisor * 0.25 * 0.5**2))
    wide = 4 * math.exp(-squared / (divisor * 0.25 * 0.25**2))
    assert attention.discriminative[0, 1, 2].item() == pytest.approx(0.25)
    assert attention.complementary[0, 1, 2].item() == pytest.approx(4.0)
    assert attention.discriminative[0, 2, 0].item() == pytest.approx(max(near, 1e-3), rel=1e-4)
    assert attention.complementary[0, 2, 0].item() == pytest.approx(max(wide, 1e-3), rel=1e-4)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([0.0, 0.03, 0.5]), st.integers(2, 9), st.integers(0, 10_000))
def test_dense_attention_agrees_with_plain_loops(floor: float, cells: int, seed: int) -> None:
    drawing = responses(2, cells, seed)
    attention = dense_attention(drawing, floor)
    wanted = [naive_dense_maps(each.double().numpy(), floor) for each in drawing]
    for index, found in enumerate((attention.discriminative, attention.complementary)):
        assert_close(found, torch.tensor(np.array([maps[index] for maps in wanted])).float())
    assert not attention.peaks.any()
    assert_close(attention.weights.discriminative + attention.weights.complementary, torch.ones_like(drawing))


def test_dense_attention_by_hand() -> None:
    attention = dense_attention(torch.tensor([[[0.0, 0.25], [0.5, 1.0]]]), 0.0)
    assert_close(attention.discriminative, torch.tensor([[[0.001, 0.25], [0.5, 1.0]]]))
    assert_close(attention.complementary, torch.tensor([[[1.0, 0.75], [0.5, 0.001]]]))


@pytest.mark.parametrize("value", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("floor", [0.0, 0.03])
def test_a_flat_map_draws_flat_maps(value: float, floor: float) -> None:
    for each in dense_attention(torch.full((1, 6, 6), value), floor)[2:]:
        assert isinstance(each, Tensor)
        assert each.min() == each.max() > 0


def test_attentions_of_several_peaks_add_up_over_the_floor() -> None:
    attend = SparseAttention(S3NConfig(sampling_floor=0.2))
    apart = [one_peak(7, 1, 1), one_peak(7, 5, 4)]
    seen = [attend(each, Partition.ALL) for each in (*apart, apart[0] + apart[1])]
    assert_close(seen[2].discriminative - 0.2, seen[0].discriminative + seen[1].discriminative - 0.4)
    assert_close(seen[2].complementary - 0.2, seen[0].complementary + seen[1].complementary - 0.4)


def test_a_faint_peaks_inverse_is_held_at_a_thousand() -> None:
    response = one_peak(5, 0, 0) + one_peak(5, 4, 4, 1e-5)
    attention = SparseAttention(replace(EVERY_PEAK, sampling_floor=0.0))(response, Partition.EXTREMES)
    assert attention.complementary[0, 4, 4].item() == pytest.approx(1000.0)
    assert attention.complementary[0, 0, 0].item() == pytest.approx(1e-3)


@pytest.mark.parametrize("config", [S3NConfig(), S3NConfig.paper()])
@pytest.mark.parametrize("partition", Partition)
@pytest.mark.parametrize("value", [0.0, 0.7])
def test_without_a_peak_the_maps_are_flat(config: S3NConfig, partition: Partition, value: float) -> None:
    response = torch.full((1, 6, 6), value)
    attention = SparseAttention(config)(response, partition, draws(1, 6))
    floor = max(config.sampling_floor, 1e-3)
    assert not attention.peaks.any()
    assert_close(attention.discriminative, torch.full((1, 6, 6), floor))
    assert_close(attention.complementary, torch.full((1, 6, 6), floor))


def test_flipping_the_response_flips_the_attention() -> None:
    response = responses(3, 9, seed=1)
    attend = SparseAttention(S3NConfig())
    for axis in (1, 2):
        straight, flipped = attend(response), attend(response.flip(axis))
        assert torch.equal(flipped.peaks, straight.peaks.flip(axis))
        assert_close(flipped.discriminative, straight.discriminative.flip(axis))
        assert_close(flipped.complementary, straight.complementary.flip(axis))


def test_a_batch_is_its_images() -> None:
    response, draw = responses(3, 8, seed=2), draws(3, 8)
    attend = SparseAttention(S3NConfig())
    together = attend(response, Partition.PROBABILITY, draw)
    for index in range(3):
        alone = attend(response[index : index + 1], Partition.PROBABILITY, draw[index : index + 1])
        assert_close(together.discriminative[index], alone.discriminative[0])
        assert_close(together.complementary[index], alone.complementary[0])


def test_all_cells_are_as_good_as_the_peaks() -> None:
    """Elsewhere than on a processor all cells take part."""
    response = responses(3, 8, seed=2).requires_grad_()
    peaks = find_peaks(response.detach())
    amplitude = peaks * response
    radius, everywhere = torch.tensor(0.2, requires_grad=True), torch.arange(64).expand(3, -1)
    most = int(peaks.sum((1, 2)).max())
    few = peaks.flatten(1).int().argsort(dim=1, descending=True)[:, :most]
    assert most < 64
    maps = [
        sum_attention(*gaussians(amplitude, response, each, radius, AttentionKernel.HALF)) for each in (few, everywhere)
    ]
    assert_close(*maps)
    gradients = [torch.autograd.grad(each.square().sum(), [response, radius], retain_graph=True) for each in maps]
    for one, other in zip(*gradients, strict=True):
        assert_close(one, other)


def test_it_says_which_peaks_it_used_and_how() -> None:
    response = responses(2, 9, seed=3)
    attention = SparseAttention(S3NConfig())(response, Partition.EXPECTED)
    assert torch.equal(attention.peaks, find_peaks(response, above_mean=True))
    assert not torch.equal(attention.peaks, find_peaks(response))
    assert torch.equal(attention.weights.discriminative > 0, attention.peaks)


def test_probability_by_hand() -> None:
    response = torch.tensor([[[0.3, 0.0, 0.6], [0.0, 0.0, 0.0], [1.0, 0.0, 0.9]]])
    draw = torch.tensor([[[0.5, 0.9, 0.5], [0.0, 0.0, 0.0], [0.999, 0.0, 0.95]]])
    weights = divide(response, response > 0, Partition.PROBABILITY, draw)
    assert weights.discriminative.tolist() == [[[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]]
    assert weights.complementary.tolist() == [[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]]


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([Partition.PROBABILITY, Partition.RANDOM, Partition.EXPECTED]), st.integers(0, 10_000))
def test_each_peak_counts_once_over_both_views(partition: Partition, seed: int) -> None:
    response = responses(4, 8, seed)
    peaks = find_peaks(response)
    weights = divide(response, peaks, partition, draws(4, 8, seed))
    assert_close(weights.discriminative + weights.complementary, peaks.float())


def test_all_puts_every_peak_in_both() -> None:
    response = responses(2, 8, seed=4)
    peaks = find_peaks(response)
    weights = divide(response, peaks, Partition.ALL)
    assert torch.equal(weights.discriminative, peaks.float())
    assert torch.equal(weights.complementary, peaks.float())


def test_extremes_picks_exactly_one_peak_for_each_view() -> None:
    response = responses(20, 8, seed=5)
    peaks = find_peaks(response)
    weights = divide(response, peaks, Partition.EXTREMES)
    for each, best in ((weights.discriminative, max), (weights.complementary, min)):
        assert each.sum(dim=(1, 2)).tolist() == [1.0] * 20
        for image in range(20):
            assert response[image][each[image] > 0].item() == best(response[image][peaks[image]].tolist())


def test_of_equal_extremes_the_first_counts() -> None:
    response = one_peak(5, 0, 4, 0.5) + one_peak(5, 2, 0, 0.5) + one_peak(5, 4, 4, 0.5)
    weights = divide(response, response > 0, Partition.EXTREMES)
    assert weights.discriminative[0].nonzero().tolist() == [[0, 4]]
    assert weights.complementary[0].nonzero().tolist() == [[0, 4]]


def test_random_is_a_fair_coin_whatever_the_response() -> None:
    response = (one_peak(7, 1, 1) + one_peak(7, 5, 5, 0.05)).expand(4000, -1, -1)
    weights = divide(response, response > 0, Partition.RANDOM, draws(4000, 7))
    for cell in ((1, 1), (5, 5)):
        share = weights.discriminative[:, cell[0], cell[1]].mean().item()
        assert share == pytest.approx(0.5, abs=0.04)  # five standard errors


@pytest.mark.parametrize("view", ["discriminative", "complementary"])
def test_expected_is_the_mean_of_many_random_draws(view: str) -> None:
    count = 4000
    response = responses(1, 7, seed=6)
    attend = SparseAttention(EVERY_PEAK)
    with torch.no_grad():
        drawn = getattr(attend(response.expand(count, -1, -1), Partition.PROBABILITY, draws(count, 7)), view)
        expected = getattr(attend(response, Partition.EXPECTED), view)[0]
    allowed = 5 * drawn.std(0) / count**0.5 + 1e-4 * expected
    assert ((drawn.mean(0) - expected).abs() <= allowed).all()
    assert (drawn.std(0) > 0.01).any()  # they are draws


@pytest.mark.parametrize("partition", [Partition.PROBABILITY, Partition.RANDOM])
def test_a_random_partition_needs_a_draw(partition: Partition) -> None:
    with pytest.raises(ValueError, match=f"partition '{partition.value}' is random and needs a draw; got None"):
        SparseAttention(S3NConfig())(responses(1, 5, seed=0), partition)


def test_the_response_has_the_right_gradient() -> None:
    attend = SparseAttention(EVERY_PEAK).double()
    draw = draws(1, 5).double()
    response = (0.1 + 0.9 * responses(1, 5, seed=7)).double().requires_grad_()

    def maps(values: Tensor, partition: Partition) -> tuple[Tensor, Tensor]:
        attention = attend(values, partition, draw)
        return attention.discriminative, attention.complementary

    for partition in Partition:
        assert torch.autograd.gradcheck(lambda values, kind=partition: maps(values, kind), (response,))


@pytest.mark.parametrize("partition", [Partition.EXPECTED, Partition.ALL])
def test_both_radii_have_the_right_gradient_through_the_places(partition: Partition) -> None:
    attend = SparseAttention(EVERY_PEAK).double()
    response = responses(1, 6, seed=8).double()
    profile = gaussian(6, 13 / 31).double()

    def places(log_radius: Tensor) -> Tensor:
        attention: Attention = functional_call(attend, {"log_radius": log_radius}, (response, partition))
        return torch.cat([separable_places(each, profile) for each in attention[2:]])

    log_radius = attend.log_radius.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(places, (log_radius,))
    (gradient,) = torch.autograd.grad(places(log_radius).square().sum(), [log_radius])
    assert (gradient.abs() > 1e-6).all()


def test_a_response_without_spread_has_finite_gradients() -> None:
    attend = SparseAttention(S3NConfig.paper())
    response = torch.zeros(2, 5, 5, requires_grad=True)
    attention = attend(response)
    total = (attention.discriminative + attention.complementary).sum()
    for gradient in torch.autograd.grad(total, [response, attend.log_radius]):
        assert gradient.isfinite().all()


def test_the_radii_start_where_the_configuration_says() -> None:
    attend = SparseAttention(S3NConfig(radius=0.08, radius_complementary=0.2))
    assert_close(attend.log_radius.exp(), torch.tensor([0.08, 0.2]))
