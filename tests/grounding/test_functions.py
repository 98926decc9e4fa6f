"""Each kind of operation by itself: what it hands down, in which ways it may be written, and what has no rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close
from torchvision.ops import StochasticDepth

from foveate.errors import UserError
from foveate.grounding.excitation.backprop import ExcitationBackprop
from oracles.excitation import naive_map, random_network, set_parameters


class Called(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, given: Tensor) -> Tensor:
        return self.function(given)


def around(*middle: nn.Module, height: int = 6, width: int = 5, negative: bool = False) -> tuple[nn.Sequential, Tensor]:
    """A network around operations on four channels, and two images; its grounding layer is the second one."""
    images = torch.randn(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    stem = [nn.Conv2d(3, 4, 1), nn.Identity() if negative else nn.ReLU()]
    with torch.no_grad():
        features = nn.Sequential(*stem, *middle, nn.Flatten()).double().eval()(images)
    return random_network(*stem, *middle, nn.ReLU(), nn.Flatten(), nn.Linear(features.shape[1], 3)), images


def assert_agrees(network: nn.Sequential, images: Tensor) -> None:
    for contrast in (True, False):
        grounded = ExcitationBackprop(network, "1", contrast=contrast)(images, torch.tensor([[0, 2]] * len(images)))
        for image, maps in zip(images, grounded.maps, strict=True):
            expected = np.stack([naive_map(network, 1, image, wanted, contrast=contrast) for wanted in (0, 2)])
            assert_close(maps, torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-6)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw: st.DrawFn) -> nn.Conv2d:
    stride, same = draw(pairs), draw(st.sampled_from(["same", "valid", None]))
    padding = same or draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    groups, bias = draw(st.sampled_from([1, 2, 4])), draw(st.booleans())
    size, dilation = draw(pairs), draw(pairs)
    if same == "same":
        stride = (1, 1)
    return nn.Conv2d(4, 8, size, stride, padding, dilation, groups, bias)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@settings(deadline=None, max_examples=25)
@given(convolutions(), st.booleans(), st.booleans())
def test_convolutions_agree_with_explicit_matrices(layer: nn.Conv2d, norm: bool, negative: bool) -> None:
    reach = [step * (size - 1) + 1 for step, size in zip(layer.dilation, layer.kernel_size, strict=True)]
    sides = (0, 0) if isinstance(layer.padding, str) else layer.padding
    assume(layer.padding == "same" or (reach[0] <= 7 + 2 * sides[0] and reach[1] <= 6 + 2 * sides[1]))
    assert_agrees(*around(layer, *[nn.BatchNorm2d(8)] * norm, height=7, width=6, negative=negative))


@st.composite
def poolings(draw: st.DrawFn) -> nn.Module:
    size, stride, ceil = draw(pairs), draw(pairs), draw(st.booleans())
    padding = (draw(st.integers(0, size[0] // 2)), draw(st.integers(0, size[1] // 2)))
    kinds: tuple[Callable[[], nn.Module], ...] = (
        lambda: nn.MaxPool2d(size, stride, padding, ceil_mode=ceil),
        lambda: nn.AvgPool2d(size, stride, padding, ceil, draw(st.booleans())),
        lambda: nn.AvgPool2d(size, stride, padding, divisor_override=5),
        lambda: nn.AdaptiveAvgPool2d((size[0], None if ceil else size[1])),
    )
    return draw(st.sampled_from(kinds))()


@settings(deadline=None, max_examples=25)
@given(poolings(), st.booleans())
def test_poolings_agree_with_explicit_matrices(layer: nn.Module, negative: bool) -> None:
    assert_agrees(*around(layer, negative=negative))


def test_negative_contributions_by_hand() -> None:
    """Inputs 2 and -1 excite by 2 x 3 and -1 x -4, that is by 0.6 and 0.4; -1 x 5 and 2 x -1 do not."""
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Identity(), nn.Conv2d(3, 1, 1), nn.Flatten(), nn.Linear(2, 1))
    seen, mixed = [1.0, 0, 0, 0, 1, 0, 0, 0, 1], [3.0, -4, 0]
    set_parameters(network, {"0.weight": seen, "2.weight": mixed, "4.weight": [1.0, 1.0]})
    images = torch.tensor([[2.0, -5], [-1.0, 0.0], [7.0, 7.0]]).view(1, 3, 1, 2)
    grounding = ExcitationBackprop(network, "1", contrast=False)
    assert_close(grounding(images, 1).maps.flatten(), torch.tensor([1.0, 0.0]))


EQUAL = {
    "global mean": (nn.AdaptiveAvgPool2d(1), lambda x: x.mean([2, 3], keepdim=True)),
    "mean without its dimensions": (nn.AdaptiveAvgPool2d(1), lambda x: torch.mean(x, dim=(-1, -2))),
    "relu": (nn.ReLU(), lambda x: x.clamp(min=0)),
    "relu in place": (nn.ReLU(), lambda x: torch.relu_(x)),
    "relu6": (nn.ReLU6(), functional.relu6),
    "relu6 by its bounds": (nn.ReLU6(), lambda x: x.clamp_(0, 6)),
    "one-sided": (nn.ReLU(), lambda x: torch.clamp_min(x, 0)),
    "flatten": (nn.Flatten(), lambda x: x.flatten(1)),
    "view": (nn.Flatten(), lambda x: x.view(x.size(0), -1)),
    "reshape": (nn.Flatten(), lambda x: torch.reshape(x, (x.shape[0], -1))),
    "squeezed": (nn.Identity(), lambda x: x.unsqueeze(4).squeeze(-1)),
    "sum": (nn.Identity(), lambda x: x + x),
    "sum in place": (nn.Identity(), lambda x: x.add_(x.clone())),
    "torch.add": (nn.Identity(), lambda x: torch.add(x, other=x)),
    "identity": (nn.Identity(), lambda x: x.contiguous().clone().detach().to(x.dtype)),
    "dropout": (nn.Identity(), lambda x: functional.dropout(x, 0.5, training=False)),
    "stochastic depth": (nn.Identity(), StochasticDepth(0.5, "row").eval()),
    "padding": (nn.ZeroPad2d((1, 0, 2, 1)), lambda x: functional.pad(x, [1, 0, 2, 1], value=0.0)),
    "padding for a maximum": (
        nn.MaxPool2d(3, 1, 1),
        lambda x: functional.max_pool2d(functional.pad(x, (1, 1, 1, 1), value=-torch.inf), 3, 1),
    ),
    "max pooling": (nn.MaxPool2d(3, 2), lambda x: torch.max_pool2d(x, 3, 2)),
    "global maximum": (nn.AdaptiveMaxPool2d(1), lambda x: x.amax((2, 3))),
    "concatenation": (nn.Identity(), lambda x: torch.cat([x], -3)),
    "convolution": (
        nn.Conv2d(4, 4, 2, stride=2, padding=1, bias=False),
        lambda x: functional.conv2d(
            input=x, weight=torch.ones(4, 4, 2, 2, dtype=torch.float64), stride=(2, 2), padding=[1]
        ),
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_ways_to_write_the_same(name: str) -> None:
    module, function = EQUAL[name]
    one, images = around(module, nn.ReLU())
    other = nn.Sequential(*one[:2], Called(function), *one[3:])
    if isinstance(module, nn.Conv2d):
        nn.init.ones_(module.weight)
    seen, expected = (ExcitationBackprop(each, "1")(images, 3) for each in (other, one))
    assert_close(seen.maps, expected.maps, rtol=1e-6, atol=1e-7)
    assert expected.maps.any()


def test_dilated_max_pooling_and_cells_that_win_twice() -> None:
    """Cell 2 wins the windows (0, 2) and (2, 4), cell 3 the window (1, 3)."""
    pool = nn.MaxPool2d((1, 2), stride=1, dilation=(1, 2))
    network = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU(), pool, nn.Flatten(), nn.Linear(3, 1))
    set_parameters(network, {"0.weight": [1.0, 1.0, 1.0], "4.weight": [1.0, 2.0, 3.0]})
    images = torch.tensor([1.0, 2, 6, 3, 4]).view(1, 1, 1, 5).expand(1, 3, 1, 5) / 3
    maps = ExcitationBackprop(network, "1", contrast=False)(images, 1).maps
    assert_close(maps.flatten(), torch.tensor([0, 0, 6 + 18, 6, 0]) / 30)


def test_a_sum_splits_by_positive_parts_and_raw_by_the_ratio() -> None:
    """Summands (3, 3) and (1, -2), so that the sums 4 and 1 have relevance 0.8 and 0.2; shares 3/4 and 1, raw 3."""
    other = torch.tensor([1.0, -2.0]).view(1, 1, 1, 2)
    network = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU(), Called(lambda x: x + other), nn.Flatten(), nn.Linear(2, 1))
    set_parameters(network, {"0.weight": [1.0, 1.0, 1.0], "4.weight": [1.0, 1.0]})
    for raw, second in ((False, 0.2), (True, 0.6)):
        maps = ExcitationBackprop(network, "1", contrast=False, raw=raw)(torch.ones(1, 3, 1, 2), 1).maps
        assert_close(maps.flatten(), torch.tensor([0.6, second]))


def conv(given: Tensor) -> Tensor:
    return functional.conv2d(given, torch.ones(4, 4, 1, 1))


def overwritten(given: Tensor) -> Tensor:
    output = conv(given)
    given.relu_()
    return output


def overwritten_through_a_view(given: Tensor) -> Tensor:
    given.view(-1, 4, 30).relu_()
    return given


def assigned(given: Tensor) -> Tensor:
    given[:, 0] = 0.0
    return given


def attended(given: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(given, given, given)


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "silu": (functional.silu, "torch.nn.functional.silu"),
    "hardswish": (functional.hardswish, "torch.nn.functional.hardswish"),
    "gelu": (functional.gelu, "gelu"),
    "leaky relu": (functional.leaky_relu, "torch.nn.functional.leaky_relu"),
    "gate": (lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(), "torch.Tensor.sigmoid"),
    "product": (lambda x: x * 2, "torch.Tensor.mul"),
    "product in place": (lambda x: x.mul_(0.5), "torch.Tensor.mul_"),
    "layer norm": (lambda x: functional.layer_norm(x, [5]), "torch.nn.functional.layer_norm"),
    "group norm": (lambda x: functional.group_norm(x, 2), "torch.nn.functional.group_norm"),
    "softmax": (lambda x: x.softmax(1), "torch.Tensor.softmax"),
    "attention": (attended, "scaled_dot_product_attention"),
    "slice": (lambda x: x[:, :2], "torch.Tensor.__getitem__"),
    "assignment": (assigned, "torch.Tensor.__setitem__"),
    "transposed": (lambda x: x.transpose(2, 3), "torch.Tensor.transpose"),
    "custom": (lambda x: torch.from_numpy(x.numpy() * 2), "those of '2' \\(Called\\) are hidden"),
    "statistics": (lambda x: functional.batch_norm(x, None, None, training=True), "with the statistics of the batch"),
    "dropout": (lambda x: functional.dropout(x, 0.5), "torch.nn.functional.dropout that drops values"),
    "bounds": (lambda x: x.clamp(-1, 1), "torch.Tensor.clamp that does not cut off at zero"),
    "hardtanh": (functional.hardtanh, "hardtanh that does not cut off at zero"),
    "constant": (lambda x: x + 1, "torch.Tensor.add of a number"),
    "multiple": (lambda x: x.add(x, alpha=2), "or of a multiple"),
    "broadcast": (lambda x: x + x.mean((2, 3), keepdim=True), "of another shape"),
    "images": (lambda x: torch.cat([x, x]), "torch.cat of images"),
    "reflection": (lambda x: functional.pad(x, (1, 1, 1, 1), mode="reflect"), "with other values than a constant"),
    "padded images": (lambda x: functional.pad(x, [0, 0, 0, 0, 0, 0, 0, 1]), "torch.nn.functional.pad of images"),
    "mixed": (lambda x: x.view(1, 8, 6, 5), "torch.Tensor.view that mixes images"),
    "indices": (lambda x: functional.max_pool2d(x, 2, return_indices=True)[0], "max_pool2d_with_indices"),
    "channels": (lambda x: x.mean(1, keepdim=True), "torch.Tensor.mean over anything else"),
    "everything": (lambda x: x.amax(1, keepdim=True), "torch.Tensor.amax over anything else"),
    "arguments": (lambda x: torch.add(x, x, out=torch.empty(0)), "torch.add with such arguments"),
    "weights": (lambda x: functional.conv2d(x, x.view(2, 4, 6, 5)), "with weights that depend on the image"),
    "overwritten": (overwritten, "input of '2' \\(Called\\) was changed in place after it"),
    "overwritten view": (overwritten_through_a_view, "on an activation that something else changed in place"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_named(name: str) -> None:
    function, message = REFUSED[name]
    head = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3)]
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), Called(function), *head).eval()
    images = torch.rand(2, 3, 6, 5)
    with torch.no_grad():
        network(images)
    with pytest.raises(UserError, match=message) as caught:
        ExcitationBackprop(network, "1")(images, 1)
    assert "'2' (Called)" in str(caught.value) or name == "overwritten view"


def test_below_the_grounding_layer_anything_may_happen() -> None:
    network, images = around()
    free = nn.Sequential(Called(lambda x: (x * 2).softmax(1)), *network).double()
    assert ExcitationBackprop(free, "2")(images, 2).maps.any()
