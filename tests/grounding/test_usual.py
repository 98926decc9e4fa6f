"""Which family a network is of, by how its features lie, and what it is grounded by where nothing is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torchvision
from torch import nn

from foveate.backbones.backbone import Backbone, create_backbone
from foveate.backbones.own_cnns import OwnCNN, seen_as_cnn
from foveate.config.networks import BackboneConfig, Tokens
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import ClassMaps, create_grounding
from foveate.grounding.usual import OTHERWISE, USUAL, Family, Usual, family_of, usual_groundings


def backbone(architecture: str, tokens: Tokens | None = None, side: int = 96) -> Backbone:
    config = BackboneConfig(architecture=architecture, weights="none", tokens=tokens)
    return create_backbone(config, 4, input_size=side)


def own(network: nn.Module) -> Backbone | OwnCNN:
    return seen_as_cnn(network, "mine", classes=4)


def vit(tokens: Tokens | None = None) -> Backbone:
    return backbone("test_vit", tokens)


FAMILIES: dict[str, tuple[Callable[[], Backbone | OwnCNN], Family, str | None]] = {
    "resnet": (lambda: backbone("test_resnet"), Family.MAP, None),
    "convnext": (lambda: backbone("test_convnext2"), Family.NORMED_MAP, None),
    "swin": (lambda: backbone("swin_tiny_patch4_window7_224", side=224), Family.CHANNELS_LAST, None),
    "vit, both": (vit, Family.TOKENS, "body.blocks.0"),
    "vit, patches": (lambda: vit(Tokens.PATCH), Family.TOKENS, "blocks.0"),
    "vit, class token": (lambda: vit(Tokens.CLASS), Family.TOKENS, "blocks.0"),
    "a vit as it is": (lambda: own(timm.create_model("test_vit", img_size=96)), Family.TOKENS, "blocks.0"),
    "torchvision": (lambda: own(torchvision.models.resnet18(num_classes=4)), Family.MAP, None),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_known_by_its_features(name: str) -> None:
    make, family, layer = FAMILIES[name]
    made = make()
    assert family_of(made) is family
    first, *others = usual_groundings(made, GroundingConfig(seed=3))
    assert first == GroundingConfig(method=USUAL[family].method, layer=layer, seed=3)
    assert {first.method, *(each.method for each in others)} >= {each.method for each in OTHERWISE}
    if layer is not None:
        assert made.network.get_submodule(layer) is not None  # type: ignore[union-attr]


def test_what_is_said_holds() -> None:
    made, said = vit(), GroundingConfig(method=GroundingMethod.EB)
    assert list(usual_groundings(made, said)) == [said]
    layers = [each.layer for each in usual_groundings(made, GroundingConfig(layer="body.norm"))]
    assert set(layers) == {"body.norm"}


def test_one_line_changes_a_family(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {**USUAL, Family.MAP: Usual(GroundingMethod.CLASS_MAPS)}
    monkeypatch.setattr("foveate.grounding.usual.USUAL", changed)
    assert isinstance(create_grounding(backbone("test_resnet").eval(), GroundingConfig()), ClassMaps)
