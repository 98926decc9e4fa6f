"""The base class: what a method must offer is written down, and what it lacks is refused in words."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone, create_backbone
from foveate.config.networks import BackboneConfig
from foveate.errors import UserError
from foveate.networks.network import Network, ParameterGroup, TrainingStep
from foveate.types import BranchLogits

REQUIRED = {"forward", "parameter_groups"}


class Least(Network):
    """As little as a method can be."""

    backbone: Backbone

    def __init__(self) -> None:
        super().__init__()
        self.backbone = create_backbone(BackboneConfig(architecture="test_resnet", weights="none"), 3)
        self.joint = nn.Linear(self.backbone.channels, 3)

    def forward(self, images: Tensor, step: TrainingStep | None = None) -> BranchLogits:
        return BranchLogits(self.backbone.logits(images), joint=self.joint(self.backbone.pooled(images)))

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup([*self.backbone.classifier.parameters(), *self.joint.parameters()])]


def test_its_docstring_names_all_that_a_method_can_offer() -> None:
    members = {name for name in vars(Network) if not name.startswith("_")}
    assert Network.__abstractmethods__ == REQUIRED
    named = set(re.findall(r"`(\w+)`", Network.__doc__ or ""))
    assert members | {"backbone"} <= named
    assert named <= members | {"backbone"}


@pytest.mark.parametrize("left_out", sorted(REQUIRED))
def test_what_a_method_must_have_it_cannot_be_made_without(left_out: str) -> None:
    members = {name: getattr(Least, name) for name in ("__init__", *REQUIRED) if name != left_out}
    with pytest.raises(TypeError, match=left_out):
        type("TooLittle", (Network,), members)()


def test_the_least_method_looks_once_and_is_grounded_by_its_joint_head() -> None:
    network, images = Least(), torch.rand(2, 3, 64, 64)
    assert not network.decides_by_backbone
    assert network.skippable_views == 0
    assert network.first_view(images) is images
    assert network.prepare(iter([])) is None
    losses = network.losses(images, TrainingStep(0.0, torch.zeros(2, dtype=torch.int64)))
    assert losses.answers is not None
    assert losses.answers.joint is not None
    assert (losses.further, losses.own) == ((), None)


@pytest.mark.parametrize(
    ("ability", "arguments", "message"),
    [
        ("look_where_unsure", (0.2,), "this one, a Least, looks once"),
        ("branch_maps", (torch.zeros(1, dtype=torch.int64), 4), "got a Least; localise a run of"),
        ("response_peaks", (), "this run is of another method"),
    ],
)
def test_what_it_lacks_is_refused_in_words(ability: str, arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        getattr(Least(), ability)(torch.rand(1, 3, 64, 64), *arguments)


def test_it_is_explained_by_maps_and_not_over_a_training() -> None:
    assert Least().explanation(torch.rand(1, 3, 64, 64), ("a", "b", "c"), "a photograph") is None
    Least().check_explains()
    with pytest.raises(UserError, match="this run is of another method; leave --epochs out"):
        Least().check_explains(over_training=True)
