"""Every method of grounding behind one call."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from foveate.backbones.backbone import Backbone, create_backbone
from foveate.config.networks import BackboneConfig
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import ClassMaps, create_grounding
from foveate.grounding.grad_cam import GradCAM
from foveate.grounding.gradients import InputGradients
from foveate.grounding.rise import RISE, Masks

CLASSES = 5
FEW = GroundingConfig(masks=12)
OF_CNNS = [each for each in GroundingMethod if each is not GroundingMethod.ROLLOUT]  # which needs attention


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    made = create_backbone(BackboneConfig(architecture="test_resnet", weights="none"), CLASSES).eval()
    nn.init.normal_(made.classifier.weight, std=0.5)
    return made


def photographs(count: int = 3, size: int = 64) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def of(method: GroundingMethod) -> GroundingConfig:
    return replace(FEW, method=method)


@pytest.mark.parametrize("method", OF_CNNS)
def test_one_map_for_each_class_of_each_image(backbone: Backbone, method: GroundingMethod) -> None:
    images = photographs()
    grounded = create_grounding(backbone, of(method))(images, 2)
    with torch.no_grad():
        logits = backbone.network(images)
    assert_close(grounded.logits, logits, rtol=1e-4, atol=1e-5)
    assert torch.equal(grounded.classes, logits.topk(2).indices)
    assert grounded.maps.shape[:2] == (3, 2)
    assert grounded.maps.dtype is torch.float32
    assert grounded.maps.min() >= 0
    assert grounded.maps.any()
    assert not grounded.maps.requires_grad


@pytest.mark.parametrize("method", OF_CNNS)
def test_a_batch_is_as_good_as_one_after_the_other(backbone: Backbone, method: GroundingMethod) -> None:
    grounding, images = create_grounding(backbone, of(method)), photographs()
    classes = torch.tensor([[0, 1], [2, 3], [4, 0]])
    together = grounding(images, classes).maps
    for index in range(3):
        for rank in range(2):
            alone = grounding(images[index : index + 1], classes[index : index + 1, rank : rank + 1]).maps
            assert_close(alone[0, 0], together[index, rank], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", OF_CNNS)
def test_the_network_stays_as_it_is(backbone: Backbone, method: GroundingMethod) -> None:
    network = cast(nn.Module, backbone.network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    try:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            create_grounding(backbone, of(method))(photographs(), 2)
        assert network.training
    finally:
        network.eval()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("method", OF_CNNS)
def test_a_class_that_there_is_not_is_refused(backbone: Backbone, method: GroundingMethod) -> None:
    grounding = create_grounding(backbone, of(method))
    with pytest.raises(UserError, match="classes must be between 1 and the network's 5; got 6"):
        grounding(photographs(), 6)
    with pytest.raises(UserError, match=r"classes must be in 0\.\.4"):
        grounding(photographs(), torch.tensor([[5]] * 3))


@pytest.mark.parametrize("method", [GroundingMethod.CEB, GroundingMethod.EB, GroundingMethod.GRAD_CAM])
def test_the_layer_is_a_field(backbone: Backbone, method: GroundingMethod) -> None:
    images = photographs()
    usual = create_grounding(backbone, of(method))(images, 1).maps
    deeper = create_grounding(backbone, replace(of(method), layer="layer4"))(images, 1).maps
    assert usual.shape[2:] == (4, 4)
    assert deeper.shape[2:] == (2, 2)
    with pytest.raises(UserError, match="layer must be a module of the network; got 'layer9'"):
        create_grounding(backbone, replace(of(method), layer="layer9"))


WITH_LAYER = [GroundingMethod.CEB, GroundingMethod.EB, GroundingMethod.GRAD_CAM]


@pytest.mark.parametrize("method", WITH_LAYER)
@pytest.mark.parametrize(("layer", "shape"), [("global_pool.flatten", r"\(3, 96\)"), ("fc", r"\(3, 5\)")])
def test_a_layer_without_a_map_names_its_shape_and_those_that_have_one(
    backbone: Backbone, method: GroundingMethod, layer: str, shape: str
) -> None:
    message = (
        f"one feature map .*; '{layer}' gives {shape}; name another, such as act1, layer1, layer2, layer3, layer4$"
    )
    grounding = create_grounding(backbone, replace(of(method), layer=layer))
    with pytest.raises(UserError, match=message):
        grounding(photographs(), 2)


@pytest.mark.parametrize("method", OF_CNNS)
def test_only_layers_with_a_map_are_proposed(backbone: Backbone, method: GroundingMethod) -> None:
    """Also by a method that needs no layer: what is mistyped is said."""
    for typed in ("global_pool.flaten", "fc2", "layer3.conv", ""):
        with pytest.raises(UserError, match=r"layer must be a module of the network; got .*; close: ") as raised:
            create_grounding(backbone, replace(of(method), layer=typed))
        proposed = str(raised.value).rpartition("close: ")[2].split(", ")
        for layer in proposed:
            maps = create_grounding(backbone, replace(FEW, method=GroundingMethod.GRAD_CAM, layer=layer))
            assert min(maps(photographs(), 1).maps.shape[2:]) > 1


class Branched(nn.Module):
    """Its feature map has the channels last; one module is for training only, one like attention inside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.attn = nn.Identity()
        self.last = nn.Identity()
        self.unused = nn.Linear(1, 1)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.last(self.attn(self.convolution(images)).permute(0, 2, 3, 1)).mean(dim=(1, 2)))  # type: ignore[no-any-return]


def test_a_map_may_have_its_channels_last_but_must_be_computed() -> None:
    last, convolution = (GradCAM(Branched().eval(), each) for each in ("last", "convolution"))
    assert last(photographs(2), 1).maps.shape == convolution(photographs(2), 1).maps.shape
    with pytest.raises(UserError, match=r"'unused' gives nothing, it does not run; name another, such as convolution$"):
        GradCAM(Branched().eval(), "unused")(photographs(2), 1)


@pytest.mark.usefixtures("without_noise")
def test_the_mean_of_class_maps_is_the_logit_without_its_bias(backbone: Backbone) -> None:
    images = photographs()
    grounded = ClassMaps(backbone)(images, CLASSES)
    with torch.no_grad():
        features = backbone(images)
    weight = backbone.classifier.weight[grounded.classes].detach()
    expected = torch.einsum("bkd,bdhw->bkhw", weight, features).clamp(min=0)
    assert_close(grounded.maps, expected)


class Linear(nn.Module):
    """Logits that are linear in the pixels of 4x4 images, so that every gradient is a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Identity()
        self.head = nn.Linear(3 * 16, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.same(images).flatten(1))  # type: ignore[no-any-return]


def test_gradients_of_a_linear_network_are_its_weights() -> None:
    network, images = Linear(), photographs(2, 4)
    weights = network.head.weight.detach().view(2, 3, 4, 4)
    classes = torch.tensor([[0, 1], [1, 0]])
    maps = InputGradients(network)(images, classes).maps
    assert_close(maps, weights.abs().amax(1)[classes])


def test_grad_cam_by_hand() -> None:
    """Each channel's weight is its mean gradient; what is negative in the sum is left out."""
    network, images = Linear(), photographs(2, 4)
    weights = network.head.weight.detach().view(2, 3, 4, 4).mean(dim=(2, 3))
    maps = GradCAM(network, "same")(images, torch.tensor([[0], [1]])).maps
    expected = torch.einsum("bd,bdhw->bhw", weights, images).clamp(min=0)
    assert_close(maps[:, 0], expected)


class Corner(nn.Module):
    """Sees class 1 where the top left corner is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, images: Tensor) -> Tensor:
        seen = images[:, :, :16, :16].mean(dim=(1, 2, 3)) * self.scale
        return torch.stack((torch.zeros_like(seen), seen), dim=1)


def test_rise_finds_what_the_answer_rests_on() -> None:
    grounded = RISE(Corner(), masks=200, seed=0)(torch.ones(1, 3, 64, 64), torch.tensor([[1]]))
    row, column = divmod(int(grounded.maps[0, 0].argmax()), 8)
    assert grounded.maps.shape == (1, 1, 8, 8)
    assert row < 2
    assert column < 2


def test_rise_is_the_weighted_mean_of_its_masks() -> None:
    network, images = Corner(), photographs(2)
    maps = RISE(network, masks=7, cells=3, keep=0.4, seed=5, batch_size=4)(images, torch.tensor([[1], [0]])).maps
    masks = Masks(5, 7, 3, 0.4, 64, 64)[:]
    expected = torch.zeros(2, 8, 8)
    for image, label, total in zip(images, (1, 0), expected, strict=True):
        for mask in masks:
            probability = network((image * mask)[None]).softmax(1)[0, label]
            total += probability.detach() * mask.view(8, 8, 8, 8).mean(dim=(1, 3)) / (7 * 0.4)
    assert masks.shape == (7, 64, 64)
    assert len({tuple(each.flatten().tolist()) for each in masks}) == 7
    assert_close(maps[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_masks_are_seeded_and_keep_their_share() -> None:
    masks = Masks(0, 400, 7, 0.3, 40, 50)[:]
    assert masks.shape == (400, 40, 50)
    assert masks.min() >= 0
    assert masks.max() <= 1 + 1e-6
    assert abs(float(masks.mean()) - 0.3) < 0.03
    network, images = Corner(), photographs()
    one, same, other = (RISE(network, masks=8, seed=seed)(images, 1).maps for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
