"""Another network looks for S3N: whose views these are, in whose size and normalisation, and what stays as it is."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from foveate.backbones.backbone import Backbone, Normalisation, create_backbone, pool
from foveate.backbones.class_maps import class_maps
from foveate.backbones.own_cnns import seen_as_cnn
from foveate.config.branches import Branch
from foveate.config.networks import BackboneConfig
from foveate.errors import UserError
from foveate.networks.looker import Looker
from foveate.networks.network import TrainingStep
from foveate.networks.plain import PlainNetwork
from foveate.s3n.config import AttentionKind, Branches, S3NConfig
from foveate.s3n.network import S3N

BACKBONE = BackboneConfig(architecture="test_resnet", weights="none")
CONFIG = S3NConfig(backbone=BACKBONE)
SIZE, SOURCE, CLASSES = 96, 128, 5
GREY = Normalisation((0.5, 0.4, 0.3), (0.2, 0.25, 0.5))


def photographs(count: int = 2, size: int = SOURCE) -> Tensor:
    small = torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return functional.interpolate(small, size=(size, size), mode="bilinear")


def backbone(seed: int = 0, architecture: str = "test_resnet") -> Backbone:
    torch.manual_seed(seed)
    made = create_backbone(BackboneConfig(architecture=architecture, weights="none"), CLASSES, input_size=SIZE)
    nn.init.normal_(made.classifier.weight, std=0.3)  # as trained: responses that differ
    return made


def network(config: S3NConfig = CONFIG, seed: int = 0) -> S3N:
    return S3N(backbone(seed), config, SIZE).eval()


def looking(looker: Looker, config: S3NConfig = CONFIG) -> S3N:
    made = network(replace(config, looker="a run"))
    made.look_by(looker)
    return made


@torch.no_grad()
def test_a_looker_that_is_the_recogniser_changes_nothing() -> None:
    alone, images = network(), photographs()
    other = looking(Looker(copy.deepcopy(alone.backbone), SIZE))
    expected, output = alone.output(images), other.output(images)
    assert torch.equal(output.response, expected.response)
    for branch, view in expected.views.items():
        assert torch.equal(output.views[branch], view)
    assert torch.equal(output.logits.decision, expected.logits.decision)


@torch.no_grad()
def test_what_it_sees_is_normalised_and_sized_for_it() -> None:
    """By hand: a pixel of 0.7 is (0.7 - m) / s for either, and a flat image stays flat in any size."""
    looker = Looker(backbone(), 64)
    looker.backbone.normalisation = GREY
    theirs = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    images = torch.stack([(torch.full((SOURCE, SOURCE), 0.7) - m) / s for m, s in zip(*theirs, strict=True)])[None]
    inputs = looker.inputs(images, theirs)
    assert inputs.shape == (1, 3, 64, 64)
    assert_close(inputs[0, :, 5, 5], torch.tensor([(0.7 - 0.5) / 0.2, (0.7 - 0.4) / 0.25, (0.7 - 0.3) / 0.5]))
    assert_close(inputs, inputs[:, :, :1, :1].expand_as(inputs))
    assert looker.inputs(images, GREY) is not images
    assert Looker(backbone(), SOURCE).inputs(images, looker.backbone.normalisation).shape == images.shape


@torch.no_grad()
def test_its_class_maps_draw_the_views_and_the_recogniser_answers() -> None:
    """Another architecture, size and normalisation: the response is that of its own best classes, on its own cells."""
    looker = Looker(backbone(3, "test_vit"), SIZE)
    looker.backbone.normalisation = GREY
    config = replace(CONFIG, response_grid=None, entropy_threshold=10.0)  # sure of everything: one class's map
    images, alone = photographs(), network(config)
    output, answers = looking(looker, config).output(images), alone.output(images).logits
    features, logits = looker(images, alone.backbone.normalisation)
    assert_close(logits, looker.head(pool(features)))
    best = logits.argmax(1, keepdim=True)
    maps = class_maps(features, looker.head.weight, best)[:, 0]
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    assert_close(output.response, (maps - low) / (high - low))
    assert output.response.shape[-1] == 6
    assert torch.equal(output.logits.original, answers.original)
    assert not torch.equal(output.logits.decision, answers.decision)


def test_it_stays_as_it_is() -> None:
    looker = Looker(backbone(3), SIZE)
    made = looking(looker).train()
    before = {name: each.clone() for name, each in looker.state_dict().items()}
    assert before.keys() <= {name.removeprefix("looker.") for name in made.state_dict()}
    assert not any(each.training for each in looker.modules())
    answers = made(photographs(), TrainingStep(0.5, torch.arange(2))).present()
    torch.autograd.backward([logits.square().sum() for logits in answers.values()])
    assert all(each.grad is None and not each.requires_grad for each in looker.parameters())
    assert made.backbone.classifier.weight.grad is not None
    assert all(torch.equal(each, before[name]) for name, each in looker.state_dict().items())


@torch.no_grad()
def test_it_looks_only_where_there_is_a_closer_view() -> None:
    looker, images = Looker(backbone(3), SIZE), photographs()
    made = looking(looker)
    sizes: list[int] = []
    looker.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    assert made.passes(made.branches) == 1 + made.skippable_views == 4
    assert made.passes([Branch.ORIGINAL]) == 1
    made.branch_logits(images, [Branch.ORIGINAL])
    assert sizes == []
    made.look_where_unsure(images, entropy_threshold=0.0)
    assert sizes == [2]
    assert network(replace(CONFIG, branches=Branches.O)).passes([Branch.ORIGINAL]) == 1


def test_what_cannot_look_is_refused() -> None:
    with pytest.raises(UserError, match=r"an S3N whose looker is a run looks by that .* got looker 'a run'"):
        network(replace(CONFIG, looker="a run"))(photographs())
    resnet = seen_as_cnn(torchvision.models.resnet18(num_classes=CLASSES), "resnet18", classes=CLASSES)
    with pytest.raises(UserError, match=r"class maps rest on a linear head .* got resnet18"):
        looking(Looker(resnet, SIZE))
    with pytest.raises(UserError, match=r"at least 2x2 cells .*; test_resnet makes 1x1 of 32 pixels"):
        looking(Looker(backbone(), 32))
    with pytest.raises(UserError, match="looker must be None where a saliency network says where to look"):
        S3NConfig(backbone=BACKBONE, looker="a run", attention=AttentionKind.SALIENCY)
    plain = PlainNetwork(backbone())
    with pytest.raises(UserError, match=r"looker says which network draws .* a PlainNetwork, draws none"):
        plain.look_by(Looker(backbone(), SIZE))
