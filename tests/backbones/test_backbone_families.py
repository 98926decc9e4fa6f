"""CNNs, ConvNeXt, Swin, vision transformers and hybrids under one contract: a map, its mean, a linear head."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from foveate.backbones.backbone import Backbone, create_backbone, pool
from foveate.backbones.class_maps import class_maps
from foveate.backbones.tokens import ClassAndPatches
from foveate.backbones.weights import save_weights
from foveate.config.networks import BackboneConfig, PlainConfig, Tokens
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import create_grounding
from foveate.networks.network import TrainingStep
from foveate.networks.plain import PlainNetwork
from foveate.recipes.config import TrainConfig
from foveate.s3n.config import S3NConfig
from foveate.s3n.network import S3N
from foveate.training.frozen_layers import first_layers
from foveate.training.low_rank import check_low_rank, low_rank_updates
from foveate.workflows.train import train

CLASSES = 5
PYRAMID = {"depths": (1, 1, 1, 1)}
COLUMN = {"depth": 2, "embed_dim": 32, "num_heads": 2}
SWIN = {**PYRAMID, "embed_dim": 8, "num_heads": (1, 1, 2, 2)}
SMALLER: dict[str, dict[str, Any]] = {
    "convnext_atto": {**PYRAMID, "dims": (8, 16, 24, 32)},
    "convnext_tiny": {**PYRAMID, "dims": (8, 16, 24, 32)},
    "convnextv2_atto": {**PYRAMID, "dims": (8, 16, 24, 32)},
    "swin_tiny_patch4_window7_224": SWIN,
    "swinv2_tiny_window8_256": SWIN,
    "vit_tiny_patch16_224": COLUMN,
    "vit_small_patch14_reg4_dinov2": COLUMN,
    "vit_small_patch16_dinov3": COLUMN,
    "eva02_tiny_patch14_224": COLUMN,
    "vit_base_patch16_siglip_224": COLUMN,
    "vit_tiny_r_s16_p8_224": COLUMN,
    "maxvit_rmlp_pico_rw_256": {},
}
"""A member of each family, and what makes it small."""
FAMILIES = [name for name in SMALLER if name != "convnext_tiny"]
CELLS = dict.fromkeys(("vit_small_patch14_reg4_dinov2", "eva02_tiny_patch14_224"), 14) | {
    name: 16 for name in ("vit_tiny_patch16_224", "vit_small_patch16_dinov3", "vit_base_patch16_siglip_224")
}
"""Pixels of a cell where they are not 32."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Architectures of few and narrow layers."""
    whole: Callable[..., nn.Module] = timm.create_model

    def create(name: str, **settings: Any) -> nn.Module:
        return whole(name, **(settings | SMALLER.get(name, {})))

    monkeypatch.setattr(timm, "create_model", create)
    torch.manual_seed(0)


def side_of(architecture: str, cells: int = 4) -> int:
    return cells * CELLS.get(architecture, 32)


def config_of(architecture: str, tokens: Tokens | None = None, weights: str = "none") -> BackboneConfig:
    return BackboneConfig(architecture=architecture, weights=weights, tokens=tokens)


def backbone_of(architecture: str, tokens: Tokens | None = None, cells: int = 4) -> Backbone:
    """With weights whose norms and heads do something."""
    side = side_of(architecture, cells)
    backbone = create_backbone(config_of(architecture, tokens), CLASSES, input_size=side).eval()
    with torch.no_grad():
        for each in backbone.parameters():
            each.add_(0.1 * torch.randn_like(each))
    return backbone


def images_of(architecture: str, cells: int = 4) -> Tensor:
    return torch.randn(2, 3, side_of(architecture, cells), side_of(architecture, cells))


@pytest.mark.parametrize("architecture", FAMILIES)
@torch.no_grad()
def test_class_maps_add_up_to_the_logits_less_the_bias(architecture: str) -> None:
    backbone, images = backbone_of(architecture), images_of(architecture)
    features, everything = backbone(images), torch.arange(CLASSES).expand(2, -1)
    maps = class_maps(features, backbone.classifier.weight, everything)
    assert features.shape == (2, backbone.channels, 4, 4)
    assert backbone.contract.exact
    logits = cast(nn.Module, backbone.network)(images)
    torch.testing.assert_close(maps.mean(dim=(2, 3)) + backbone.classifier.bias, logits, rtol=1e-3, atol=1e-4)
    grounded = create_grounding(backbone, GroundingConfig(method=GroundingMethod.CLASS_MAPS))(images, everything)
    torch.testing.assert_close(grounded.maps, maps.clamp(min=0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "architecture", ["swin_tiny_patch4_window7_224", "vit_tiny_patch16_224", "vit_small_patch16_dinov3"]
)
@torch.no_grad()
def test_places_lie_as_timm_has_them(architecture: str) -> None:
    backbone, images = (
        backbone_of(architecture, Tokens.PATCH if "vit" in architecture else None),
        images_of(architecture),
    )
    _, (theirs,) = cast(Any, backbone.network).forward_intermediates(images, indices=1, norm=True)
    torch.testing.assert_close(backbone(images), theirs, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_norm_after_the_mean_is_that_of_each_place_with_the_statistics_of_the_mean() -> None:
    backbone, images = backbone_of("convnext_atto"), images_of("convnext_atto")
    raw = cast(Any, backbone.network).forward_features(images)
    norm = cast(Any, backbone.network).head.norm
    normed = functional.layer_norm(raw.mean(dim=(2, 3)), (32,), norm.weight, norm.bias, norm.eps)
    torch.testing.assert_close(pool(backbone(images)), normed, rtol=1e-4, atol=1e-4)
    mean = raw[0].mean(dim=(1, 2))
    by_hand = (raw[0, :, 1, 2] - mean.mean()) / (mean.var(correction=0) + norm.eps).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(backbone(images)[0, :, 1, 2], by_hand, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["test_vit2", "test_vit3", "test_vit4"])
@torch.no_grad()
def test_norms_and_pooling_of_other_vision_transformers(architecture: str) -> None:
    """A layer norm and an RMS norm after the mean, attention pooling that gives way to the mean."""
    for tokens in (Tokens.PATCH, None):
        backbone = create_backbone(config_of(architecture, tokens), CLASSES, input_size=64).eval()
        images = torch.randn(2, 3, 64, 64)
        logits = cast(nn.Module, backbone.network)(images)
        torch.testing.assert_close(backbone.logits(images), logits, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_a_head_on_both_has_the_class_token_at_every_place() -> None:
    architecture = "vit_small_patch14_reg4_dinov2"
    backbone, images = backbone_of(architecture), images_of(architecture)
    assert isinstance(backbone.network, ClassAndPatches)
    tokens = cast(Any, backbone.network.body).forward_features(images)
    features = backbone(images)
    torch.testing.assert_close(features[:, :32], tokens[:, 0, :, None, None].expand(-1, -1, 4, 4))
    torch.testing.assert_close(features[1, 32:, 2, 3], tokens[1, 5 + 2 * 4 + 3])  # a class token and four registers


@torch.no_grad()
def test_maps_of_a_class_token_are_approximate_and_say_so() -> None:
    backbone, images = backbone_of("vit_tiny_patch16_224", Tokens.CLASS), images_of("vit_tiny_patch16_224")
    assert not backbone.contract.exact
    assert "class token" in backbone.contract.reason
    network = cast(Any, backbone.network)
    torch.testing.assert_close(backbone.logits(images), network(images), rtol=1e-3, atol=1e-4)
    patches = network.forward_features(images)[:, 1:]
    ours = (backbone(images) - backbone(images)[:, :, :1, :1]).flatten(2)
    torch.testing.assert_close(ours, (patches - patches[:, :1]).transpose(1, 2), rtol=1e-3, atol=1e-4)


def test_tokens_that_there_are_not_are_refused() -> None:
    with pytest.raises(UserError, match=r"'resnet18' has a feature map; leave --network.backbone.tokens out"):
        create_backbone(config_of("resnet18", Tokens.PATCH), CLASSES)
    with pytest.raises(UserError, match=r"has no class token; got tokens both; give --network.backbone.tokens patch"):
        create_backbone(config_of("vit_base_patch16_siglip_224", Tokens.BOTH), CLASSES, input_size=32)


@pytest.mark.parametrize(
    ("architecture", "size", "mend"),
    [
        ("vit_small_patch14_reg4_dinov2", 226, "224 or 238"),
        ("vit_tiny_patch16_224", 5, "16"),
        ("swin_tiny_patch4_window7_224", 226, "224 or 256"),
        ("vit_tiny_r_s16_p8_224", 112, "96 or 128"),
        ("vit_tiny_r_s16_p8_224", 127, "96 or 128"),
    ],
)
def test_a_size_that_does_not_fit_names_the_next_that_do(architecture: str, size: int, mend: str) -> None:
    with pytest.raises(UserError, match=rf"{architecture} takes none of {size} pixels; give .*input-size {mend}$"):
        create_backbone(config_of(architecture), CLASSES, input_size=size)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_s3n_trains_and_explains(architecture: str) -> None:
    side = side_of(architecture)
    network = S3N.create(S3NConfig(backbone=config_of(architecture)), CLASSES, side)
    images = torch.randn(2, 3, side + 32, side + 32)
    answers = network(images, TrainingStep(0.0, torch.tensor([0, 1]))).present()
    sum(functional.cross_entropy(each, torch.tensor([3, 1])) for each in answers.values()).backward()  # type: ignore[union-attr]
    first = next(each for each in network.backbone.parameters() if each.ndim == 4)
    assert first.grad is not None
    assert 0 < float(first.grad.abs().max()) < torch.inf
    with torch.no_grad():
        explanation = network.eval().explanation(images[:1], [f"class {each}" for each in range(CLASSES)], "a bird")
    assert explanation.groups()


@pytest.mark.parametrize("named", ["bare", "another grid", "wrapped"])
def test_weights_of_self_supervised_networks_are_taken_whatever_their_grid(tmp_path: Path, named: str) -> None:
    """DINO has no head; its positions are those of larger images."""
    name = "vit_small_patch14_reg4_dinov2"
    theirs: Any = timm.create_model(name, img_size=112 if named == "another grid" else 56, num_classes=0)
    prefix = "teacher.backbone." if named == "wrapped" else ""
    save_file({f"{prefix}{key}": each for key, each in theirs.state_dict().items()}, tmp_path / "dino.safetensors")
    config = config_of(name, weights=str(tmp_path / "dino.safetensors"))
    ours = cast(Any, create_backbone(config, CLASSES, input_size=56).network).body
    assert torch.equal(ours.blocks[1].mlp.fc1.weight, theirs.blocks[1].mlp.fc1.weight)
    assert ours.pos_embed.shape[1] == 16
    images = torch.randn(1, 3, 56, 56)
    larger: Any = timm.create_model(name, img_size=56, num_classes=0)
    larger.load_state_dict(sys.modules[type(larger).__module__].checkpoint_filter_fn(theirs.state_dict(), larger))
    with torch.no_grad():
        torch.testing.assert_close(ours.eval().forward_features(images), larger.eval().forward_features(images))


def test_weights_of_another_family_are_refused(tmp_path: Path) -> None:
    save_file(timm.create_model("convnext_atto").state_dict(), tmp_path / "convnext.safetensors")
    config = config_of("vit_tiny_patch16_224", weights=str(tmp_path / "convnext.safetensors"))
    with pytest.raises(UserError, match=r"convnext.safetensors must be those of 'vit_tiny_patch16_224'; \d+ entries"):
        create_backbone(config, CLASSES, input_size=32)


@pytest.mark.parametrize("architecture", ["vit_small_patch16_dinov3", "swin_tiny_patch4_window7_224", "convnext_atto"])
def test_a_training_begins_where_another_of_its_family_ended(tmp_path: Path, architecture: str) -> None:
    before = PlainNetwork.create(PlainConfig(backbone=config_of(architecture)), CLASSES, input_size=64)
    save_weights(tmp_path / "model.safetensors", before.state_dict())
    after = create_backbone(config_of(architecture, weights=str(tmp_path)), 3, input_size=64)
    old, new = (dict(cast(nn.Module, each.network).named_parameters()) for each in (before.backbone, after))
    other = {name for name in old.keys() | new.keys() if not torch.equal(old[name], new[name])}
    assert {name.rpartition(".")[0] for name in other} == {cast(Any, after.network).pretrained_cfg["classifier"]}


def test_a_transformer_has_no_first_layers_of_a_small_stride() -> None:
    vit = cast(nn.Module, backbone_of("vit_tiny_patch16_224").network)
    assert first_layers(vit, 4) == []
    with pytest.raises(UserError, match=r"got 16, and all blocks of this backbone have stride 16; give 0"):
        first_layers(vit, 16)
    assert first_layers(cast(nn.Module, backbone_of("swin_tiny_patch4_window7_224").network), 4)


@pytest.mark.parametrize("architecture", ["vit_small_patch16_dinov3", "swin_tiny_patch4_window7_224", "convnext_tiny"])
def test_low_rank_updates_become_part_of_the_weights(architecture: str) -> None:
    pytest.importorskip("peft")
    network = PlainNetwork.create(PlainConfig(backbone=config_of(architecture)), CLASSES, input_size=64)
    images, names = torch.randn(4, 3, 64, 64), set(network.state_dict())
    before = {name: each.clone() for name, each in network.state_dict().items()}
    with low_rank_updates(network, 2):
        learning = [name for name, each in network.named_parameters() if each.requires_grad]
        assert all("lora_" in name or "head" in name or "classifier" in name for name in learning)
        optimiser = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], lr=1.0)
        for _ in range(2):  # the first moves one factor alone, which begins at zero
            optimiser.zero_grad()
            functional.cross_entropy(network(images).decision, torch.arange(4)).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            learned = network.eval()(images).decision
    assert set(network.state_dict()) == names
    assert all(each.requires_grad for each in network.parameters())
    with torch.no_grad():
        torch.testing.assert_close(network(images).decision, learned, rtol=1e-4, atol=1e-4)
    moved = {name for name, each in network.state_dict().items() if not torch.equal(each, before[name])}
    assert len(moved) > 4
    assert all(network.get_parameter(name).ndim == 2 or "head" in name or "classifier" in name for name in moved)


def test_low_rank_updates_that_cannot_be_learned_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = PlainNetwork.create(PlainConfig(backbone=config_of("test_resnet")), CLASSES)
    check_low_rank(network, 0)
    monkeypatch.setitem(sys.modules, "peft", cast(Any, partial))
    with pytest.raises(UserError, match=r"linear layers.*; test_resnet has none but its head; give --lora-rank 0"):
        check_low_rank(network, 4)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"lora_rank needs the package peft; .*pip install peft"):
        check_low_rank(network, 4)


def test_a_run_of_low_rank_updates_is_loaded_without_peft(
    quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    config = replace(quick, network=PlainConfig(backbone=config_of("test_vit")), epochs=1, lora_rank=2)
    run = train(config, tmp_path / "run", say=lambda line: None)
    monkeypatch.setitem(sys.modules, "peft", None)
    network = run.load_network().eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 64, 64)).decision.isfinite().all()
    for wrong in ({"frozen_stride": 4}, {"keep_epochs": (1,)}):
        with pytest.raises(UserError, match=r"lora_rank .* beside it"):
            replace(config, **wrong)
