"""The entropy and the response (Eq. 2 and 3)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from foveate.backbones.class_maps import class_maps
from foveate.s3n.config import Aggregation, CellPlacement, EntropySource, S3NConfig
from foveate.s3n.entropy import mean_of_class_maps, top_entropy
from foveate.s3n.peaks import find_peaks
from foveate.s3n.response import response_map
from foveate.s3n.response_grid import on_grid
from oracles.s3n import naive_response, naive_top_entropy

OWN_GRID = S3NConfig(response_grid=None)


def case(seed: int, classes: int, cells: int, sharpness: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Features of two images with 3 channels, a head's weight and logits; the sharper, the surer."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 3, cells, cells, generator=generator)
    weight = torch.randn(classes, 3, generator=generator) * sharpness
    return features, weight, torch.randn(2, classes, generator=generator) * sharpness


configs = st.builds(
    S3NConfig,
    entropy_from=st.sampled_from(EntropySource),
    aggregation=st.sampled_from(Aggregation),
    entropy_threshold=st.sampled_from([0.05, 0.2, 0.8]),
    response_grid=st.sampled_from([None, 7, 31]),
    placement=st.sampled_from(CellPlacement),
)


@settings(deadline=None, max_examples=30)
@given(configs, st.integers(0, 10_000), st.integers(1, 7), st.integers(2, 5), st.sampled_from([0.3, 3.0, 10.0]))
def test_agrees_with_plain_loops(config: S3NConfig, seed: int, classes: int, cells: int, sharpness: float) -> None:
    features, weight, logits = case(seed, classes, cells, sharpness)
    bias = 3 * torch.randn(classes, generator=torch.Generator().manual_seed(seed))
    expected = [
        naive_response(each.double().numpy(), weight.double().numpy(), scores.tolist(), config, bias.tolist())
        for each, scores in zip(features, logits, strict=True)
    ]
    assert_close(
        response_map(features, weight, logits, config, bias),
        torch.tensor(np.array(expected)).float(),
        rtol=0,
        atol=1e-4,
    )


def test_a_sure_image_takes_its_first_class_and_an_unsure_one_all_but_the_last() -> None:
    features = torch.tensor([[[[4.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 8.0]], [[0.0, 9.0], [0.0, 0.0]]]] * 2)
    logits = torch.tensor([[20.0, 0.0, 0.0], [0.0, 0.0, -1.0]])  # entropies of about 0 and of 1.0
    seen = response_map(features, torch.eye(3), logits, OWN_GRID)
    assert seen[0].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert seen[1].tolist() == [[0.5, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_few_classes_respond_where_all_their_maps_add_up_to_nothing(classes: int) -> None:
    """The weights of a logistic regression add up to 0 over the classes."""
    features, weight, _ = case(4, classes, 4)
    seen = response_map(features, weight - weight.mean(0), torch.zeros(2, classes), S3NConfig())
    assert_close(seen.amax(dim=(1, 2)), torch.ones(2))


def test_an_entropy_at_the_threshold_is_sure() -> None:
    features, weight, _ = case(0, 2, 3)
    logits = torch.tensor([[500.0, 0.0]] * 2)  # the second probability is 0 in float32: no entropy at all
    config = replace(OWN_GRID, entropy_threshold=0.0)
    assert_close(
        response_map(features, weight, logits, config), response_map(features, weight[:1], logits[:, :1], config)
    )


@pytest.mark.parametrize(("source", "first"), [(EntropySource.CLASS_MAPS, 1), (EntropySource.CLASS_MAPS_AND_BIAS, 0)])
def test_the_heads_bias_may_choose_another_class(source: EntropySource, first: int) -> None:
    """The maps' means are 10 and 20, and the gate is sure of the second class; the bias makes them 40 and 20."""
    features = torch.tensor([[[[40.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 80.0]]]])
    config = replace(OWN_GRID, entropy_from=source)
    seen = response_map(features, torch.eye(2), torch.zeros(1, 2), config, torch.tensor([30.0, 0.0]))
    assert seen[0].tolist() == [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]][first]


def test_the_heads_bias_counts_in_the_entropy() -> None:
    """Without it the first class is sure (means 10 and 0); a bias of 10 for the second makes it ln 2 = 0.69 nats.

    The third class is the least likely one, which does not respond.
    """
    features = torch.tensor([[[[40.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [-20.0, 20.0]]]])
    config = replace(OWN_GRID, entropy_from=EntropySource.CLASS_MAPS_AND_BIAS)
    sure, unsure = (
        response_map(features, torch.eye(3, 2), torch.zeros(1, 3), config, torch.tensor([0.0, bias, -100.0]))
        for bias in (0.0, 10.0)
    )
    assert sure[0].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert_close(unsure[0], torch.tensor([[1.0, 1 / 3], [0.0, 2 / 3]]))


def test_only_the_five_best_classes_respond() -> None:
    features = torch.eye(6).view(1, 6, 6, 1).expand(-1, -1, -1, 6)  # class i responds in row i
    logits = torch.tensor([[1.0, 1.0, 0.9, 1.0, 1.0, 1.0]])
    seen = response_map(features, torch.eye(6), logits, OWN_GRID)
    assert seen[0, :, 0].tolist() == [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("probabilities", "nats"),
    [
        ([0.5, 0.25, 0.125, 0.125], 1.75 * math.log(2)),
        ([0.2, 0.2, 0.2, 0.2, 0.2], math.log(5)),
        ([1 / 6] * 6, 5 / 6 * math.log(6)),  # the sixth is left out and the five are not scaled up
        ([1.0], 0.0),
        ([1.0, 0.0], 0.0),
    ],
)
def test_entropy_by_hand(probabilities: list[float], nats: float) -> None:
    assert top_entropy(torch.tensor([probabilities]).log()).item() == pytest.approx(nats, abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(-30, 30), min_size=1, max_size=9))
def test_entropy_agrees_with_plain_loops(logits: list[float]) -> None:
    entropy = top_entropy(torch.tensor([logits], dtype=torch.float64)).item()
    assert entropy == pytest.approx(naive_top_entropy(logits), abs=1e-9)


@pytest.mark.parametrize("cells", [None, 5, 31])
def test_mean_of_class_maps_is_the_mean_of_the_interpolated_maps(cells: int | None) -> None:
    features, weight, _ = case(3, 9, 4)
    every = torch.arange(9).expand(2, -1)
    expected = on_grid(class_maps(features, weight, every), cells).mean(dim=(2, 3))
    assert_close(mean_of_class_maps(features, weight, cells), expected)


@pytest.mark.parametrize("sharpness", [0.3, 10.0])
def test_scaling_and_shifting_the_class_maps_changes_nothing(sharpness: float) -> None:
    features, weight, logits = case(5, 6, 5, sharpness)
    shifted_features = torch.cat([features, torch.ones(2, 1, 5, 5)], dim=1)
    shifted_weight = torch.cat([3 * weight, torch.full((6, 1), 4.0)], dim=1)
    expected = response_map(features, weight, logits, S3NConfig())
    assert_close(response_map(shifted_features, shifted_weight, logits, S3NConfig()), expected, rtol=0, atol=1e-5)


def test_sum_and_mean_give_the_same_response() -> None:
    inputs = case(6, 8, 4)
    seen = [response_map(*inputs, replace(OWN_GRID, aggregation=each)) for each in Aggregation]
    assert_close(seen[0], seen[1])


@settings(deadline=None, max_examples=20)
@given(configs, st.integers(0, 10_000))
def test_it_spans_0_to_1(config: S3NConfig, seed: int) -> None:
    seen = response_map(*case(seed, 6, 4), config)
    assert_close(seen.amin(dim=(1, 2)), torch.zeros(2))
    assert_close(seen.amax(dim=(1, 2)), torch.ones(2))


@pytest.mark.parametrize("config", [S3NConfig(), S3NConfig.paper(), S3NConfig.reference()])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e-8, 1e6])
def test_constant_features_respond_nowhere(config: S3NConfig, value: float) -> None:
    _, weight, logits = case(7, 6, 4)
    assert not response_map(torch.full((2, 3, 4, 4), value), weight, logits, config).any()


@pytest.mark.parametrize("channels", [3, 64, 1280])
@pytest.mark.parametrize("config", [S3NConfig(), S3NConfig.paper(), S3NConfig.reference()])
def test_the_rounding_of_constant_features_is_no_response(channels: int, config: S3NConfig) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(40, channels, 1, 1, generator=generator).expand(-1, -1, 7, 7).contiguous()
    weight = torch.randn(20, channels, generator=generator)
    logits = torch.randn(40, 20, generator=generator)
    assert not response_map(features, weight, logits, config).any()


@pytest.mark.parametrize("cells", [None, 31])
def test_a_faint_response_is_seen_as_a_strong_one_is(cells: int | None) -> None:
    features, weight, logits = case(8, 6, 4)
    config = S3NConfig(response_grid=cells)
    assert_close(response_map(features * 1e-6, weight, logits, config), response_map(features, weight, logits, config))


@pytest.mark.parametrize("source", EntropySource)
@pytest.mark.parametrize("classes", [1, 2, 4])
def test_fewer_than_five_classes_and_one_image_suffice(source: EntropySource, classes: int) -> None:
    features, weight, logits = case(9, classes, 4)
    seen = response_map(features[:1], weight, logits[:1], S3NConfig(entropy_from=source))
    assert seen.shape == (1, 31, 31)
    assert seen.isfinite().all()


def test_bf16_is_computed_in_float32() -> None:
    features, weight, logits = (each.bfloat16() for each in case(10, 6, 4))
    seen = response_map(features, weight, logits, S3NConfig())
    assert seen.dtype is torch.float32
    assert torch.equal(seen, response_map(features.float(), weight.float(), logits.float(), S3NConfig()))


@pytest.mark.parametrize("detach", [True, False])
def test_the_gradient_reaches_the_class_maps_unless_detached(detach: bool) -> None:
    features, weight, logits = case(11, 6, 4)
    seen = response_map(features.requires_grad_(), weight.requires_grad_(), logits, S3NConfig(detach_response=detach))
    assert seen.requires_grad is not detach
    if not detach:
        for gradient in torch.autograd.grad(seen.square().sum(), [features, weight]):
            assert gradient.isfinite().all()
            assert gradient.any()


def test_constant_features_have_a_finite_gradient() -> None:
    _, weight, logits = case(12, 6, 4)
    features = torch.ones(2, 3, 4, 4, requires_grad=True)
    total = response_map(features, weight, logits, S3NConfig.paper()).sum()
    (gradient,) = torch.autograd.grad(total, [features])
    assert gradient.isfinite().all()


@pytest.mark.parametrize("cells", [2, 4, 7])
@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_the_peak_of_an_outermost_cell_is_at_its_middle(cells: int, corner: tuple[int, int]) -> None:
    """The response is flat from the middle to the photograph's edge, and the first of equals is not its peak."""
    features = torch.zeros(1, 1, cells, cells)
    features[(0, 0, *corner)] = 1.0
    seen = response_map(features, torch.ones(1, 1), torch.zeros(1, 1), S3NConfig(placement=CellPlacement.CENTRES))
    places = find_peaks(seen)[0].nonzero().tolist()
    assert len(places) == 1
    for place, end in zip(places[0], corner, strict=True):
        middle = 0.5 / cells if end == 0 else 1 - 0.5 / cells
        assert abs(place / 30 - middle) <= 1 / 30  # a step of the grid
