"""The conventional CNN answers as its network does, and is grounded where that sees."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from brightness import (
    BACKBONE,
    CLASSES,
    SLOW,
    Brightness,
    photographs,
)
from foveate.backbones.backbone import Normalisation
from foveate.config.branches import Branch
from foveate.config.data import TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import create_grounding
from foveate.grounding.ground import ground
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.inference.classifier import Classifier
from foveate.networks.first_view import shrink
from foveate.networks.looker import Looker
from foveate.networks.network import TrainingStep
from foveate.networks.plain import PlainNetwork
from foveate.recipes.methods import create_network
from foveate.s3n.config import S3NConfig
from foveate.s3n.network import S3N
from foveate.types import BranchLogits


def test_s3n_answers_with_its_joint_head_and_is_grounded_in_its_first_look() -> None:
    torch.manual_seed(0)
    network = S3N.create(S3NConfig(backbone=BACKBONE), CLASSES, 96)
    grounding = Brightness()
    base = ConventionalCNN(Classifier.place(network, SLOW), grounding)
    images = photographs(2, 128)
    grounded = base.answer(images, 3)
    logits = base.classifier.logits(images).decision
    assert_close(grounded.logits, logits)
    assert torch.equal(grounded.classes, logits.topk(3).indices)
    sizes: list[torch.Size] = []
    seen = ConventionalCNN(base.classifier, lambda each, asked: sizes.append(each.shape) or grounding(each, asked))  # type: ignore[func-returns-value]
    seen.answer(images, 3)
    assert sizes == [torch.Size((2, 3, 96, 96))]


class Shrunk(PlainNetwork):
    """Decides by its backbone, which sees less than it is given."""

    def first_view(self, images: Tensor) -> Tensor:
        return shrink(images, 48)

    def forward(self, images: Tensor, step: TrainingStep | None = None) -> BranchLogits:
        return super().forward(self.first_view(images), step)


def test_a_first_view_is_grounded_where_the_backbone_decides_too() -> None:
    network = Shrunk.create(PlainConfig(backbone=BACKBONE), CLASSES)
    torch.nn.init.normal_(network.backbone.classifier.weight, std=0.5)
    config = GroundingConfig(method=GroundingMethod.CLASS_MAPS)
    base, images = ConventionalCNN.place(network, config, SLOW), photographs(2, 128)
    assert_close(base.answer(images, 2).logits, base.logits(images), rtol=1e-3, atol=1e-4)
    pixels = base.classifier.inputs(images)
    assert_close(
        ground(network.eval(), pixels, 2, method="class-maps").logits, base.logits(images), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("network", [PlainConfig(backbone=BACKBONE), S3NConfig(backbone=BACKBONE)])
def test_more_classes_than_there_are_cannot_be_asked_for(network: PlainConfig | S3NConfig) -> None:
    placed = create_network(network, TransformConfig(input_size=96, resize_size=96), CLASSES)
    base = ConventionalCNN.place(placed, GroundingConfig(method=GroundingMethod.CLASS_MAPS), SLOW)
    with pytest.raises(UserError, match="classes must be between 1 and the network's"):
        base.answer(photographs(2, 128), CLASSES + 1)


@pytest.mark.parametrize("method", [each for each in GroundingMethod if each.knows_classes])
def test_what_is_grounded_is_the_copy_that_answers_and_was_placed(method: GroundingMethod) -> None:
    network = PlainNetwork.create(PlainConfig(backbone=BACKBONE), CLASSES)
    torch.nn.init.normal_(network.backbone.classifier.weight, std=0.5)
    config = GroundingConfig(method=method, layer="layer3", masks=2)
    base, images = ConventionalCNN.place(network, config, SLOW), photographs(2, 48)
    for each in network.modules():
        if isinstance(each, torch.nn.BatchNorm2d):  # folded away in the copy, which shares all other weights
            torch.nn.init.zeros_(each.weight)
    assert base.answer(images, 2).logits.std(0).max() > 0.01


def test_a_joint_answer_that_is_not_finite_is_refused() -> None:
    """The first look, which is grounded, is sound."""
    network = S3N.create(S3NConfig(backbone=BACKBONE), CLASSES, 96)
    torch.nn.init.constant_(network.head_weight(Branch.DISCRIMINATIVE), torch.nan)
    base = ConventionalCNN(Classifier.place(network, SLOW), Brightness())
    for ask in (lambda: base.answer(photographs(2, 96), 1), lambda: base.logits(photographs(2, 96))):
        with pytest.raises(UserError, match="a network's answer must be finite; that for 2 of 2 images is NaN"):
            ask()


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize("network", [PlainConfig(backbone=BACKBONE), S3NConfig(backbone=BACKBONE)])
def test_logits_alone_are_those_of_the_answer(network: PlainConfig | S3NConfig) -> None:
    torch.manual_seed(0)
    if isinstance(network, PlainConfig):
        placed = Classifier.place(PlainNetwork.create(network, CLASSES), SLOW)
    else:
        placed = Classifier.place(S3N.create(network, CLASSES, 96), SLOW)
    grounding = create_grounding(placed.network.backbone, GroundingConfig(layer="layer3"))
    base, images = ConventionalCNN(placed, grounding, batch_size=2), photographs(5, 96)
    assert_close(base.logits(images), base.answer(images, 1).logits)


def test_its_answers_have_the_precision_of_the_run() -> None:
    """Maps are computed in float32; of the two answers that of the network's own precision counts."""
    torch.manual_seed(0)
    network = PlainNetwork.create(PlainConfig(backbone=BACKBONE), CLASSES)
    hardware, grounding = replace(SLOW, precision="bf16"), GroundingConfig(method=GroundingMethod.CLASS_MAPS)
    base, images = ConventionalCNN.place(network, grounding, hardware), photographs(2, 64)
    classes = torch.tensor([[0, 1], [2, 3]])
    grounded, exact = (each.answer(images, classes) for each in (base, ConventionalCNN.place(network, grounding, SLOW)))
    assert torch.equal(grounded.logits, base.logits(images))
    assert not torch.equal(grounded.logits, exact.logits)
    assert_close(grounded.maps, exact.maps)


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize("looks_for_another", [False, True])
@pytest.mark.parametrize("hardware", [SLOW, replace(SLOW, precision="bf16")])
@pytest.mark.parametrize("method", [GroundingMethod.CEB, GroundingMethod.CLASS_MAPS])
@pytest.mark.parametrize("network", [PlainConfig(backbone=BACKBONE), S3NConfig(backbone=BACKBONE)])
def test_held_answers_are_those_that_are_grounded_at_once(
    network: PlainConfig | S3NConfig, method: GroundingMethod, hardware: HardwareConfig, looks_for_another: bool
) -> None:
    torch.manual_seed(0)
    placed = create_network(network, TransformConfig(input_size=96, resize_size=96), CLASSES)
    torch.nn.init.normal_(placed.backbone.with_linear_head().classifier.weight, std=0.5)
    config, images = GroundingConfig(method=method, layer="layer3"), photographs(3, 96)
    looker = Looker(copy.deepcopy(placed.backbone), 64) if looks_for_another else None
    base = ConventionalCNN.place(placed, config, hardware, looker)
    expected, held = base.answer(images, 3), base.hold(images, 3)
    assert_close(held.logits, expected.logits)
    assert torch.equal(held.classes, expected.classes)
    which, rank = torch.tensor([2, 0, 2]), torch.tensor([1, 0, 2])
    assert_close(held.maps(which, rank), expected.maps[which, rank], rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize("network", [PlainConfig(backbone=BACKBONE), S3NConfig(backbone=BACKBONE)])
def test_a_looker_that_is_the_network_itself_changes_nothing(network: PlainConfig | S3NConfig) -> None:
    torch.manual_seed(0)
    placed = create_network(network, TransformConfig(input_size=96, resize_size=96), CLASSES)
    torch.nn.init.normal_(placed.backbone.with_linear_head().classifier.weight, std=0.5)
    config, images = GroundingConfig(method=GroundingMethod.EB, layer="layer3"), photographs(3, 96)
    looker = Looker(copy.deepcopy(placed.backbone), 96)
    alone, looked = (ConventionalCNN.place(placed, config, SLOW, each).answer(images, 2) for each in (None, looker))
    assert torch.equal(looked.classes, alone.classes)
    assert_close(looked.logits, alone.logits)
    assert_close(looked.maps, alone.maps)


def test_a_looker_is_grounded_for_the_classes_of_the_network_that_answers() -> None:
    """In its own size and normalisation: a map of class c is what it gives for images that are made for it."""
    torch.manual_seed(0)
    network = PlainNetwork.create(PlainConfig(backbone=BACKBONE), CLASSES)
    other = PlainNetwork.create(PlainConfig(backbone=BackboneConfig(architecture="test_vit", weights="none")), CLASSES)
    for each in (network, other):
        torch.nn.init.normal_(each.backbone.classifier.weight, std=0.5)
    other.backbone.normalisation = Normalisation((0.1, 0.2, 0.3), (0.5, 0.4, 0.3))
    looker, config = Looker(other.backbone, 160), GroundingConfig(method=GroundingMethod.CLASS_MAPS)
    base, images = ConventionalCNN.place(network, config, SLOW, looker), photographs(2, 96)
    grounded = base.answer(images, 3)
    assert_close(grounded.logits, base.logits(images))
    assert torch.equal(grounded.classes, grounded.logits.topk(3).indices)
    own = shrink(other.backbone.normalisation(images.permute(0, 3, 1, 2)), 160)
    expected = create_grounding(other.backbone.eval(), config)(own, grounded.classes)
    assert_close(grounded.maps, expected.maps, rtol=1e-3, atol=1e-4)
    assert grounded.maps.shape == (2, 3, 10, 10)
    asked = torch.tensor([[4], [0]])
    assert torch.equal(base.answer(images, asked).classes, asked)
