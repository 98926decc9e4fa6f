"""Places of tokens and of maps with their channels last; the layer that is found; methods that look there."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.models import VisionTransformer

import foveate
from foveate.backbones.backbone import create_backbone
from foveate.backbones.own_cnns import OwnCNN, seen_as_cnn
from foveate.config.networks import BackboneConfig
from foveate.errors import UserError
from foveate.grounding.attn_lrp import AttnLRP
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import create_grounding, grounding_layer
from foveate.grounding.grad_cam import FinerCAM, GradCAM, GradientTimesActivation
from foveate.grounding.gradients import Rivals, alone
from foveate.grounding.layer_gradients import LayerGradients
from foveate.grounding.places import Places, last_places, places_of
from foveate.grounding.randomisation import randomised, weighted_layers
from foveate.grounding.rollout import AttentionRollout
from foveate.guided_zoom.config import PoolConfig

CLASSES = 5
EXCITATION = (GroundingMethod.EB, GroundingMethod.CEB)


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = timm.create_model("test_vit", num_classes=CLASSES, img_size=48).eval()
    for name, each in made.named_parameters():
        if name.endswith(("weight", "embed")) and each.ndim > 1:
            nn.init.normal_(each, std=0.3)
    return made


def swin() -> nn.Module:
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "img_size": 32,
        "patch_size": 4,
        "window_size": 4,
        "embed_dim": 8,
        "depths": (2, 1),
        "num_heads": (2, 2),
    }
    made: nn.Module = timm.models.SwinTransformer(**shape, num_classes=CLASSES).eval()
    return made


def photographs(count: int = 2, height: int = 48, width: int = 48) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


class Prefixed(nn.Module):
    num_prefix_tokens = 5


class Last(nn.Module):
    output_fmt = "NHWC"


@pytest.mark.parametrize(
    ("shape", "sides", "network", "places"),
    [
        ((2, 8, 4, 4), (64, 64), nn.Module(), Places(4, 4, channels_last=False)),
        ((2, 4, 4, 8), (64, 64), nn.Module(), Places(4, 4)),
        ((2, 4, 4, 4), (64, 64), nn.Module(), Places(4, 4, channels_last=False)),
        ((2, 4, 4, 4), (64, 64), Last(), Places(4, 4)),
        ((2, 2, 6, 8), (32, 96), nn.Module(), Places(2, 6)),
        ((2, 8, 2, 6), (32, 96), nn.Module(), Places(2, 6, channels_last=False)),
        ((2, 16, 8), (64, 64), nn.Module(), Places(4, 4)),
        ((2, 17, 8), (64, 64), nn.Module(), Places(4, 4, prefix=1)),
        ((2, 21, 8), (64, 64), Prefixed(), Places(4, 4, prefix=5)),
        ((2, 16, 8), (64, 64), Prefixed(), Places(4, 4)),
        ((2, 17, 8), (32, 128), Prefixed(), Places(2, 6, prefix=5)),
        ((2, 12, 8), (48, 64), nn.Module(), Places(3, 4)),
        ((2, 5, 7, 8), (64, 64), nn.Module(), None),
        ((2, 8), (64, 64), nn.Module(), None),
        ((3, 8, 4, 4), (64, 64), nn.Module(), None),
    ],
)
def test_where_places_lie(
    shape: tuple[int, ...], sides: tuple[int, int], network: nn.Module, places: Places | None
) -> None:
    assert places_of(torch.zeros(shape), photographs(2, *sides), network) == places


def test_a_map_is_in_reading_order() -> None:
    tokens = torch.arange(2 * 7 * 3).view(2, 7, 3).float()
    maps = Places(2, 3, prefix=1).map(tokens)
    assert maps.shape == (2, 3, 2, 3)
    assert_close(maps[1, 2], tokens[1, 1:, 2].view(2, 3))
    last = torch.arange(2 * 2 * 3 * 4).view(2, 2, 3, 4).float()
    assert_close(Places(2, 3).map(last), last.permute(0, 3, 1, 2))
    assert Places(3, 4, channels_last=False).map(last) is last


@pytest.mark.parametrize(
    ("architecture", "options", "layer"),
    [
        ("test_vit", {"img_size": 48}, "blocks.5.norm1"),  # read at its class token
        ("test_vit2", {"img_size": 48}, "norm"),  # read at the mean of all
        ("test_convnext", {}, "stages.2"),
        ("test_resnet", {}, "layer3"),
        ("test_efficientnet", {}, "blocks.3"),
    ],
)
def test_the_layer_that_is_found(architecture: str, options: dict[str, Any], layer: str) -> None:
    network = timm.create_model(architecture, num_classes=CLASSES, **options).eval()
    assert last_places(network, 16) == layer
    assert grounding_layer(seen_as_cnn(network, architecture, classes=CLASSES), GroundingConfig()) == layer


def test_torchs_vit_is_read_before_its_last_attention_and_a_swin_at_its_last_map() -> None:
    torch.manual_seed(0)
    vit = VisionTransformer(16, 8, 2, 2, 16, 24, num_classes=CLASSES).eval()
    with pytest.raises(UserError, match="none was found with an image of 16 pixels; name a layer"):
        last_places(vit)  # its head is zero
    nn.init.normal_(vit.heads.head.weight)
    assert last_places(vit) == "encoder.layers.encoder_layer_1.ln_1"
    assert last_places(swin()) == "norm"
    assert last_places(swin(), 4) == "layers.0"


def test_what_has_no_places_names_a_method_that_needs_none() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 224 * 224, CLASSES))
    with pytest.raises(UserError, match="take the method rise"):
        last_places(network)


OF_TOKENS = [each for each in GroundingMethod if each not in ("eb", "ceb", "class-maps")]


@pytest.mark.parametrize("method", OF_TOKENS)
def test_every_method_of_transformers_gives_a_map_and_leaves_the_network(
    vit: nn.Module, method: GroundingMethod
) -> None:
    before = {name: each.clone() for name, each in vit.state_dict().items()}
    grounding = create_grounding(seen_as_cnn(vit, "test_vit", classes=CLASSES), GroundingConfig(method=method, masks=9))
    classes = torch.tensor([[0, 1], [4, 2]])
    grounded = grounding(photographs(), classes)
    assert_close(grounded.logits, vit(photographs()).detach(), rtol=1e-3, atol=1e-5)
    assert grounded.maps.shape[:2] == (2, 2)
    assert grounded.maps.min() >= 0
    assert grounded.maps.any()
    assert not grounded.maps.requires_grad
    alone_second = grounding(photographs()[1:], classes[1:, :1]).maps[0, 0]
    assert_close(alone_second, grounded.maps[1, 0], rtol=1e-3, atol=1e-5)
    assert torch.equal(grounded.maps[:, 0], grounded.maps[:, 1]) != method.knows_classes
    assert not any(each._forward_hooks for each in vit.modules())
    assert all(torch.equal(each, before[name]) for name, each in vit.state_dict().items())


@pytest.mark.parametrize("method", [GradCAM, FinerCAM, GradientTimesActivation, AttnLRP])
def test_maps_with_channels_last_and_a_pair_turned_round(method: type[LayerGradients]) -> None:
    network, images, pairs = swin(), photographs(2, 32, 32), torch.tensor([[0, 1], [3, 2]])
    seen = method(network, "layers.1")
    assert seen(images, 2).maps.shape == (2, 2, 4, 4)
    maps = seen.between(images, pairs).maps
    assert maps.any()
    assert_close(maps, -seen.between(images, pairs.flip(1)).maps, rtol=1e-3, atol=1e-6)


def test_gradient_times_activation_adds_up_where_the_logit_is_linear() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.Flatten(), nn.Linear(4 * 4, CLASSES)).eval()
    images, classes = photographs(2, 8, 8), torch.tensor([[0, 1], [2, 3]])
    pairs = GradientTimesActivation(network, "0").between(images, classes).maps.sum((1, 2))
    logits = network(images).detach() - network.get_parameter("2.bias").detach()
    assert_close(pairs, logits.gather(1, classes) @ torch.tensor([1.0, -1.0]))


def test_rivals_by_hand() -> None:
    logits = torch.tensor([[5.0, 1.0, 4.0, 4.5], [0.0, 0.0, 0.0, 0.0]])
    weights = Rivals(count=2, strength=0.5)(logits, torch.tensor([[0, 1], [3, 0]]))
    expected = [[[1, 0, -0.25, -0.25], [0, 1, -0.25, -0.25]], [[-0.25, -0.25, 0, 1], [1, -0.25, -0.25, 0]]]
    assert_close(weights, torch.tensor(expected))
    assert_close(Rivals(count=9)(logits, torch.tensor([[0], [1]]))[:, 0].sum(1), torch.full((2,), 0.4))
    one = torch.zeros(2, 1)
    assert_close(Rivals()(one, torch.tensor([[0], [0]])), alone(one, torch.tensor([[0], [0]])))
    for wrong in ({"count": 0}, {"strength": 1.5}, {"strength": -0.1}):
        with pytest.raises(UserError, match="rivals must be one class or more"):
            Rivals(**wrong)


def test_finer_cam_is_grad_cam_of_the_difference(vit: nn.Module) -> None:
    """Against its one nearest rival, in full, it is the map of the difference of both logits."""
    images = photographs()
    two = vit(images).detach().topk(2).indices
    finer = FinerCAM(vit, "blocks.3", rivals=Rivals(count=1, strength=1.0))(images, 1).maps[:, 0]
    assert_close(finer, GradCAM(vit, "blocks.3").between(images, two).maps.clamp(min=0))
    plain = FinerCAM(vit, "blocks.3", rivals=Rivals(strength=0.0))(images, 2).maps
    assert_close(plain, GradCAM(vit, "blocks.3")(images, 2).maps)


def test_rollout_multiplies_attention_by_hand(vit: nn.Module) -> None:
    images, inputs = photographs(), []
    blocks: list[Any] = list(vit.get_submodule("blocks").children())
    handles = [block.attn.register_forward_pre_hook(lambda _, given: inputs.append(given[0])) for block in blocks]
    vit(images)
    for handle in handles:
        handle.remove()
    flow = torch.eye(10).expand(2, -1, -1)
    for block, tokens in zip(blocks, inputs, strict=True):
        heads = block.attn.num_heads
        query, key, _ = block.attn.qkv(tokens).view(2, 10, 3, heads, -1).permute(2, 0, 3, 1, 4)
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1).mean(1)
        flow = (0.5 * weights + 0.5 * torch.eye(10)) @ flow
    maps = AttentionRollout(vit)(images, 3).maps
    assert maps.shape == (2, 3, 3, 3)
    assert_close(maps[:, 2], flow[:, 0, 1:].view(2, 3, 3).detach())
    averaged: Any = copy.deepcopy(vit)
    averaged.global_pool = "avg"  # its head reads the patches, and not the class token
    assert_close(AttentionRollout(averaged)(images, 1).maps[:, 0], flow[:, 1:, 1:].mean(1).view(2, 3, 3).detach())


def test_rollout_refuses_what_has_no_attention_among_all_tokens() -> None:
    windows = r"the network's is \(sequences, from, to\) \(2, 16, 16\), \(8, 16, 16\); take grad-cam"
    with pytest.raises(UserError, match=windows):
        AttentionRollout(swin())(photographs(2, 32, 32), 1)
    with pytest.raises(UserError, match=r"\(sequences, from, to\) none; take"):
        AttentionRollout(timm.create_model("test_resnet").eval())(photographs(), 1)
    hidden = VisionTransformer(16, 8, 1, 2, 16, 24, num_classes=CLASSES).eval()
    with pytest.raises(UserError, match="torch's own MultiheadAttention hides them"):
        AttentionRollout(hidden)(photographs(2, 16, 16), 1)
    with pytest.raises(UserError, match="the maps of rollout are the same for every class"):
        PoolConfig(grounding=GroundingConfig(method=GroundingMethod.ROLLOUT))


class Beside(nn.Module):
    """Of its two maps the logits rest on one."""

    def __init__(self) -> None:
        super().__init__()
        self.beside, self.used = nn.Conv2d(3, 4, 3), nn.Conv2d(3, CLASSES, 3)

    def forward(self, images: Tensor) -> Tensor:
        self.beside(images)
        return self.used(images).mean((2, 3))  # type: ignore[no-any-return]


def test_a_layer_after_the_places_or_beside_them_is_refused(vit: nn.Module) -> None:
    with pytest.raises(UserError, match=r"'head' gives \(2, 5\); name another, such as"):
        GradCAM(vit, "head")(photographs(), 1)
    with pytest.raises(UserError, match="the layer is not between the images and the logits; name another"):
        GradCAM(Beside().eval(), "beside")(photographs(), 1)


def test_parameters_of_a_network_itself_become_random_too(vit: nn.Module) -> None:
    backbone = OwnCNN(vit, "test_vit", foveate.Normalisation((0.5,) * 3, (0.5,) * 3), CLASSES)
    layers = weighted_layers(backbone)
    assert layers[0] == "network"
    other = randomised(backbone, layers, photographs(), 0)
    assert not torch.equal(other.network.get_parameter("pos_embed"), vit.get_parameter("pos_embed"))


def test_one_line_grounds_a_transformer(vit: nn.Module) -> None:
    for method in ("attn-lrp", "finer-cam", "rollout"):
        assert foveate.ground(vit, photographs(), 2, method=method).maps.shape == (2, 2, 3, 3)
    configured = replace(GroundingConfig(), method=GroundingMethod.ATTN_LRP, layer="blocks.0")
    assert configured.layer == "blocks.0"


@pytest.mark.parametrize("architecture", ["test_vit", "test_convnext"])
@pytest.mark.parametrize("method", [each for each in GroundingMethod if each not in EXCITATION])
def test_a_backbone_of_tokens_is_grounded_by_every_other_method(architecture: str, method: GroundingMethod) -> None:
    config = BackboneConfig(architecture=architecture, weights="none")
    backbone = create_backbone(config, CLASSES, input_size=64).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def maps() -> Tensor:
        return create_grounding(backbone, GroundingConfig(method=method, masks=4))(images, 2).maps

    if (architecture, method) == ("test_convnext", GroundingMethod.ROLLOUT):
        with pytest.raises(UserError, match="rollout"):
            maps()
    else:
        assert maps().isfinite().all()
        assert maps().shape[:2] == (2, 2)
