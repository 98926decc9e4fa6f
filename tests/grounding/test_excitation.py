"""Excitation backprop and its contrast: what they compute, and what they leave alone."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18, resnet50

from foveate.errors import UserError
from foveate.grounding.excitation.backprop import ExcitationBackprop
from foveate.types import Grounded
from oracles.excitation import Concatenation, Sum, naive_map, random_network, set_parameters

KINDS = ("conv", "grouped", "strided", "norm", "relu", "max", "average", "residual", "branches", "dropout", "pad")


def block(kind: str, channels: int, inplace: bool) -> tuple[nn.Module, int]:
    """A layer on that many channels, and how many it gives; "residual" and "branches" are small networks."""
    if kind == "residual":
        body = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
        return Sum(body, nn.Sequential(), inplace=inplace), channels
    if kind == "branches":
        first = nn.Sequential(nn.Conv2d(channels, 2, 1), nn.BatchNorm2d(2), nn.ReLU(inplace))
        return Concatenation(first, nn.Sequential(nn.MaxPool2d(3, 1, 1)), nn.Sequential()), 2 + 2 * channels
    simple: dict[str, nn.Module] = {
        "conv": nn.Conv2d(channels, channels, 3, padding=1),
        "grouped": nn.Conv2d(channels, channels, 3, padding=2, dilation=2, groups=channels),
        "strided": nn.Conv2d(channels, channels, 2, stride=2, padding=1, bias=False),
        "norm": nn.BatchNorm2d(channels),
        "relu": nn.ReLU6(inplace) if inplace else nn.ReLU(),
        "max": nn.MaxPool2d(2, ceil_mode=True),
        "average": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        "dropout": nn.Dropout(),
        "pad": nn.ZeroPad2d((0, 1, 1, 0)),
    }
    return simple[kind], channels


@st.composite
def networks(draw: st.DrawFn) -> nn.Sequential:
    """A random small network; its grounding layer is the second one."""
    channels = 3
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 1), nn.ReLU()]
    for kind in draw(st.lists(st.sampled_from(KINDS), max_size=5)):
        layer, channels = block(kind, channels, draw(st.booleans()))
        layers.append(layer)
    hidden = [nn.Linear(channels, 5), nn.BatchNorm1d(5), nn.ReLU()] if draw(st.booleans()) else []
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *hidden, nn.Linear(5 if hidden else channels, 4)]
    return random_network(*layers, *head, seed=draw(st.integers(0, 1000)))


@settings(deadline=None, max_examples=25)
@given(networks(), st.booleans(), st.booleans(), st.integers(0, 1000))
def test_agrees_with_explicit_matrices(network: nn.Sequential, contrast: bool, raw: bool, seed: int) -> None:
    images = torch.randn(2, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    grounded = ExcitationBackprop(network, "1", contrast=contrast, raw=raw)(images, 2)
    assert_close(grounded.logits, network(images).detach())
    for image, classes, maps in zip(images, grounded.classes.tolist(), grounded.maps, strict=True):
        expected = np.stack([naive_map(network, 1, image, wanted, contrast=contrast, raw=raw) for wanted in classes])
        assert_close(maps, torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-6)


def two_layers() -> nn.Sequential:
    """A convolution of two channels, the mean, a linear layer; the biases of the last must not matter."""
    layers = [nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(2, 2))
    seen, mixed, head = [1.0, 0, 0, 0, 1, 0], [1.0, -1, 1, 3], [1.0, 1, 2, -1]
    set_parameters(network, {"0.weight": seen, "2.weight": mixed, "6.weight": head, "6.bias": [100.0, -100]})
    return network


@pytest.mark.parametrize(("contrast", "second"), [(False, [0.0, 1.0]), (True, [0.0, 0.7])])
def test_hand_computed_case(contrast: bool, second: list[float]) -> None:
    """Cells (1, 2) and (3, 0) become (-1, 7) and (3, 3), rectified (0, 7) and (3, 3); their mean is (1.5, 5).

    The first class takes 3/13 and 10/13 from the two channels, and nothing speaks against it. The second takes all
    from the first channel, which only the second cell has; what speaks against it is the second channel, of which the
    cells have 7/10 and 3/10: 0 - 0.7, held at 0, and 1 - 0.3.
    """
    images = torch.tensor([[1.0, 3.0], [2.0, 0.0], [9.0, 9.0]]).view(1, 3, 1, 2)
    grounded = ExcitationBackprop(two_layers(), "1", contrast=contrast)(images, torch.tensor([[0, 1]]))
    assert_close(grounded.maps[0, :, 0], torch.tensor([[7 / 13, 6 / 13], second]))
    assert_close(grounded.logits, torch.tensor([[106.5, -102.0]]))


def test_relevance_is_conserved_where_every_denominator_is_positive() -> None:
    residual = Sum(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()), nn.Sequential())
    network = random_network(
        nn.Conv2d(3, 4, 1), nn.ReLU(), residual, nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)
    )
    with torch.no_grad():
        for values in network.parameters():
            values.abs_()
    grounded = ExcitationBackprop(network, "1", contrast=False)(torch.rand(3, 3, 8, 8).double(), 5)
    assert_close(grounded.maps.sum(dim=(2, 3)), torch.ones(3, 5))


def test_relevance_goes_to_zero_where_nothing_excites() -> None:
    network = two_layers()
    set_parameters(network, {"2.weight": [-1.0, -1, -1, -1], "6.weight": [1.0, 1, 2, -1]})
    grounded = ExcitationBackprop(network, "1", contrast=False)(torch.rand(1, 3, 2, 2), 2)
    assert not grounded.maps.any()


def some_resnet(seed: int = 0) -> nn.Module:
    """A ResNet-18 whose batch norms flip signs."""
    torch.manual_seed(seed)
    network: nn.Module = resnet18(num_classes=7).eval()
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if ".bn" in name or name.startswith("bn") or "downsample.1" in name:
                if name.endswith("running_var"):
                    values.uniform_(0.5, 1.5)
                elif values.is_floating_point():
                    values.normal_()
    return network


def folded(network: nn.Module) -> nn.Module:
    """The same network without batch norms."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for names in (("conv1", "bn1"), ("conv2", "bn2"), ("0", "1")):
            conv, norm = (getattr(module, name, None) for name in names)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, names[0], fuse_conv_bn_eval(conv, norm))
                setattr(module, names[1], nn.Identity())
    assert not any(isinstance(each, nn.BatchNorm2d) for each in network.modules())
    return network


@pytest.mark.parametrize("contrast", [True, False])
def test_folding_batch_norms_into_convolutions_changes_nothing(contrast: bool) -> None:
    network = some_resnet().double()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    seen, expected = (
        ExcitationBackprop(each, "layer3.0", contrast=contrast)(images, 3) for each in (folded(network), network)
    )
    assert_close(seen.maps, expected.maps, rtol=1e-5, atol=1e-6)
    assert expected.maps.any()


def test_many_images_and_classes_at_once_equal_one_at_a_time() -> None:
    grounding = ExcitationBackprop(some_resnet().double(), "layer3.0")
    images, classes = torch.randn(3, 3, 64, 64).double(), torch.tensor([[0, 6], [3, 3], [5, 1]])
    together = grounding(images, classes)
    for index in range(3):
        for place in range(2):
            alone = grounding(images[index : index + 1], classes[index : index + 1, place : place + 1])
            assert_close(alone.maps[0, 0], together.maps[index, place], rtol=1e-5, atol=1e-7)


def test_large_batches_are_grounded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    grounding, images = ExcitationBackprop(some_resnet(), "layer3.0"), torch.randn(5, 3, 64, 64)
    expected = grounding(images, 2)
    monkeypatch.setattr("foveate.grounding.excitation.backprop._PIXELS_AT_ONCE", 2 * 2 * 64 * 64)
    for classes in (2, expected.classes):
        seen = grounding(images, classes)
        assert torch.equal(seen.classes, expected.classes)
        assert_close(seen.logits, expected.logits)
        assert_close(seen.maps, expected.maps, rtol=1e-3, atol=1e-6)
    with pytest.raises(UserError, match=r"must be int64 and \(4, k\)"):
        grounding(images[:4], expected.classes[:, :1].repeat(2, 1)[:6])


@settings(deadline=None, max_examples=25)
@given(networks(), st.booleans(), st.booleans(), st.integers(0, 1000), st.integers(1, 3))
def test_classes_of_a_held_pass_are_grounded_in_any_order(
    network: nn.Sequential, contrast: bool, raw: bool, seed: int, at_once: int
) -> None:
    """Each as if it were asked alone, whatever was asked before, and where the pass was held in parts."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(3, 3, 5, 4, dtype=torch.float64, generator=generator)
    grounding = ExcitationBackprop(network, "1", contrast=contrast, raw=raw)
    expected = grounding(images, torch.arange(4).expand(3, -1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foveate.grounding.excitation.backprop._PIXELS_AT_ONCE", at_once * 5 * 4)
        held = grounding.hold(images)
    assert_close(held.logits, expected.logits)
    for count in (3, 1, 5):
        which, classes = (torch.randint(limit, (count,), generator=generator) for limit in (3, 4))
        assert_close(held.maps(which, classes), expected.maps[which, classes], rtol=1e-5, atol=1e-7)


def test_a_held_pass_of_a_real_network() -> None:
    grounding, images = ExcitationBackprop(some_resnet(), "layer3.0"), torch.randn(4, 3, 64, 64)
    expected, held = grounding(images, 3), grounding.hold(images)
    for rank in (0, 2):
        maps = held.maps(torch.tensor([3, 0]), expected.classes[[3, 0], rank])
        assert_close(maps, expected.maps[[3, 0], rank], rtol=1e-3, atol=1e-6)
    with pytest.raises(UserError, match=r"classes must be in 0\.\.6; got 7\.\.7"):
        held.maps(torch.tensor([0]), torch.tensor([7]))


def test_no_images_have_no_maps() -> None:
    grounded = ExcitationBackprop(some_resnet(), "layer3.0")(torch.zeros(0, 3, 64, 64), 2)
    assert [tuple(each.shape) for each in grounded] == [(0, 7), (0, 2), (0, 2, 4, 4)]


def test_a_number_of_classes_means_the_best_by_the_logits() -> None:
    network, images = some_resnet(), torch.randn(2, 3, 64, 64)
    grounding = ExcitationBackprop(network, "layer3.0")
    best = grounding(images, 3)
    assert torch.equal(best.classes, network(images).topk(3).indices)
    assert_same(best, grounding(images, best.classes))


def assert_same(first: Grounded, second: Grounded) -> None:
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def snapshot(network: nn.Module) -> dict[str, object]:
    """What a caller could notice of a network."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_forward_hooks_with_kwargs")
    seen: dict[str, object] = {}
    for name, module in network.named_modules():
        seen[name] = [
            id(module),
            module.training,
            sorted(vars(module)),
            [list(getattr(module, each)) for each in hooks],
        ]
    for name, tensor in network.state_dict(keep_vars=True).items():
        written = (tensor._version, hash(tensor.detach().numpy().tobytes()))
        seen[f"{name} values"] = [id(tensor), tensor.requires_grad, tensor.grad is None, *written]
    return seen


@pytest.mark.parametrize("training", [True, False])
def test_the_callers_network_stays_as_it_was(training: bool) -> None:
    network = some_resnet().train(training)
    network.get_submodule("layer1").eval().requires_grad_(False)
    network.get_submodule("layer2").register_forward_hook(keep := lambda *_: None)
    before = snapshot(network)
    ExcitationBackprop(network, "layer3.0")(images := torch.randn(2, 3, 64, 64, requires_grad=True), 2)
    assert snapshot(network) == before
    assert images.grad is None
    assert list(network.get_submodule("layer2")._forward_hooks.values()) == [keep]


def test_a_network_in_training_mode_grounds_as_in_evaluation_and_stays_in_it() -> None:
    network, images = nn.Sequential(*two_layers(), nn.Dropout(0.9)), torch.randn(2, 3, 4, 4)
    expected = ExcitationBackprop(network.eval(), "1")(images, 2)
    assert_same(ExcitationBackprop(network.train(), "1")(images, 2), expected)
    assert all(module.training for module in network.modules())


def test_further_training_shows_in_the_maps() -> None:
    network, images = some_resnet(), torch.randn(2, 3, 64, 64)
    grounding = ExcitationBackprop(network, "layer3.0")
    before = grounding(images, 1)
    network.load_state_dict(some_resnet(seed=1).state_dict())
    assert not torch.equal(grounding(images, 1).maps, before.maps)
    assert_same(grounding(images, 1), ExcitationBackprop(network, "layer3.0")(images, 1))


def test_four_threads_at_once_agree_with_one_after_the_other() -> None:
    grounding = ExcitationBackprop(some_resnet(), "layer3.0")
    batches = [torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in range(12)]
    expected = [grounding(images, 2) for images in batches]
    with ThreadPoolExecutor(4) as pool:
        for seen, alone in zip(pool.map(lambda images: grounding(images, 2), batches), expected, strict=True):
            assert_close(seen.maps, alone.maps, rtol=1e-3, atol=1e-6)


def test_calls_agree_in_any_order() -> None:
    grounding = ExcitationBackprop(some_resnet(), "layer3.0")
    first, second = torch.randn(2, 2, 3, 64, 64)
    expected = grounding(first, 2), grounding(second, 2)
    assert_same(grounding(second, 2), expected[1])
    assert_same(grounding(first, 2), expected[0])


@pytest.mark.parametrize("device", ["cpu"])
def test_autocast_and_inference_mode_around_the_call_change_nothing(device: str) -> None:
    grounding, images = ExcitationBackprop(some_resnet(), "layer3.0"), torch.randn(2, 3, 64, 64)
    expected = grounding(images, 3)
    with torch.autocast(device, torch.bfloat16):
        assert_same(grounding(images, 3), expected)
    with torch.inference_mode():
        assert_same(grounding(images * 1, 3), expected)
    assert not expected.logits.requires_grad


@pytest.mark.parametrize("contrast", [True, False])
@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_constant_images_have_finite_maps(value: float, contrast: bool) -> None:
    grounded = ExcitationBackprop(some_resnet(), "layer3.0", contrast=contrast)(torch.full((1, 3, 64, 64), value), 3)
    assert grounded.maps.isfinite().all()


def test_channels_last_images_and_weights_change_nothing() -> None:
    network, images = some_resnet().double(), torch.randn(2, 3, 64, 64).double()
    expected = ExcitationBackprop(network, "layer3.0")(images, 3)
    images = images.contiguous(memory_format=torch.channels_last)
    seen = ExcitationBackprop(network.to(memory_format=torch.channels_last), "layer3.0")(images, 3)
    assert_close(seen.maps, expected.maps, rtol=1e-5, atol=1e-7)


def test_relevance_may_be_computed_in_another_type_than_the_network() -> None:
    network, images = some_resnet(), torch.randn(2, 3, 64, 64)
    coarse, usual, fine = (
        ExcitationBackprop(network, "layer3.0", contrast=False, dtype=dtype)(images, 2)
        for dtype in (torch.bfloat16, None, torch.float64)
    )
    assert {each.maps.dtype for each in (coarse, usual, fine)} == {torch.float32}
    assert_close(usual.maps, fine.maps, rtol=1e-4, atol=1e-6)
    assert_close(coarse.maps, fine.maps, rtol=0.1, atol=1e-2)
    assert not torch.equal(usual.maps, fine.maps)


def test_a_network_in_bfloat16_grounds_in_float32() -> None:
    network, images = some_resnet(), torch.randn(2, 3, 64, 64)
    grounded = ExcitationBackprop(network.bfloat16(), "layer3.0", contrast=False)(images.bfloat16(), 2)
    assert grounded.maps.dtype is torch.float32
    assert_close(grounded.maps.sum(dim=(2, 3)), torch.ones(2, 2), rtol=0.02, atol=0)


def test_the_cost_of_five_classes_is_below_four_forward_passes() -> None:
    network, images = resnet50().eval(), torch.randn(1, 3, 64, 64)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        network(images)
    with FlopCounterMode(display=False) as grounding:
        ExcitationBackprop(network, "layer3.0")(images, 5)
    assert grounding.get_total_flops() < 3.85 * forward.get_total_flops()


def wrong(images: Tensor, classes: Tensor | int, layer: str = "1") -> None:
    ExcitationBackprop(two_layers(), layer)(images, classes)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (3, "between 1 and the network's 2; got 3"),
        (0, "between 1 and the network's 2; got 0"),
        (torch.tensor([0]), r"must be int64 and \(1, k\).*got \(1,\)"),
        (torch.tensor([[0], [1]]), r"got \(2, 1\)"),
        (torch.tensor([[0.0]]), "of torch.float32"),
        (torch.tensor([[0, 2]]), r"in 0\.\.1; got 0\.\.2"),
        (torch.tensor([[-1]]), r"in 0\.\.1; got -1\.\.-1"),
    ],
)
def test_classes_that_the_network_has_not(classes: Tensor | int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        wrong(torch.rand(1, 3, 2, 2), classes)


@pytest.mark.parametrize(
    "images", [torch.rand(3, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.rand(1, 1, 3, 8, 8)]
)
def test_images_that_are_no_batch_of_normalised_numbers(images: Tensor) -> None:
    with pytest.raises(UserError, match=r"must be a batch \(b, 3, H, W\) of normalised numbers; got"):
        wrong(images, 1)


def test_logits_that_are_not_numbers() -> None:
    with pytest.raises(UserError, match=r"logits must be numbers.*NaN"):
        wrong(torch.full((1, 3, 2, 2), torch.nan), 1)


def test_an_unknown_layer_names_close_ones() -> None:
    with pytest.raises(UserError, match=r"got 'layer3.9'; close: .*layer3\.1"):
        ExcitationBackprop(some_resnet(), "layer3.9")


@pytest.mark.parametrize("layer", ["5", "6"])
def test_a_layer_without_a_feature_map(layer: str) -> None:
    with pytest.raises(UserError, match=rf"one feature map \(b, d, h, w\); '{layer}' gives \(1, \d+\); name another"):
        wrong(torch.rand(1, 3, 2, 2), 1, layer)


def test_a_layer_that_runs_twice() -> None:
    relu = nn.ReLU()
    network = nn.Sequential(nn.Conv2d(3, 2, 1), relu, nn.Conv2d(2, 2, 1), relu, nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(UserError, match="it runs twice"):
        ExcitationBackprop(network, "1")(torch.rand(1, 3, 2, 2), 1)


class Several(nn.Module):
    """A feature map, two heads beside each other, and a head that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.unused = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.first, self.second = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        self.unused(images)
        pooled = self.features(images).mean((2, 3))
        logits: Tensor = self.first(pooled) + self.second(pooled)
        return logits


def test_the_contrast_needs_one_last_linear_layer() -> None:
    images = torch.rand(1, 3, 4, 4)
    with pytest.raises(UserError, match=r"one last linear layer.*several beside each other"):
        ExcitationBackprop(Several(), "features")(images, 1)
    assert ExcitationBackprop(Several(), "features", contrast=False)(images, 1).maps.any()
    nothing = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UserError, match="has none there"):
        ExcitationBackprop(nothing, "1")(images, 1)


def test_logits_must_rest_on_the_layer_and_be_a_tensor() -> None:
    with pytest.raises(UserError, match=r"must answer with logits.*rest on layer 'unused'"):
        ExcitationBackprop(Several(), "unused")(torch.rand(1, 3, 4, 4), 1)

    class Named(Several):
        def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
            return {"logits": super().forward(images)}

    with pytest.raises(UserError, match="must answer with logits"):
        ExcitationBackprop(Named(), "features")(torch.rand(1, 3, 4, 4), 1)
