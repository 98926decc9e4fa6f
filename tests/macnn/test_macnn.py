"""MA-CNN as a whole: what it sees, what each phase teaches, and that every choice has its effect."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from foveate.backbones.weights import save_weights
from foveate.config.branches import Branch
from foveate.config.networks import BackboneConfig
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.errors import UserError
from foveate.inference.classifier import network_input
from foveate.macnn.config import AttentionForm, MACNNConfig
from foveate.macnn.grouping import part_attention
from foveate.macnn.losses import distance_loss, diversity_loss
from foveate.macnn.network import MACNN, Phase
from foveate.networks.network import Losses, TrainingStep
from foveate.recipes.config import TrainConfig
from foveate.recipes.datasets import load_splits
from foveate.recipes.methods import create_network
from foveate.training.losses import total_loss

BACKBONE = BackboneConfig(architecture="test_resnet", weights="none")
SHARED = MACNNConfig(backbone=BACKBONE, parts=3, hidden=8, part_size=64, projection=10)
OWN = replace(SHARED, shared=False, object_stream=True, dropout=0.0)
PRESETS = {"shared": SHARED, "own": OWN}
SIZE = 128
GROUPING, CLASSIFYING = 0, 1  # epochs


def network(config: MACNNConfig = SHARED, classes: int = 7) -> MACNN:
    torch.manual_seed(0)
    return MACNN.create(config, classes, SIZE).eval()


def photographs(count: int = 2, size: int = SIZE) -> Tensor:
    small = torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return functional.interpolate(small, size=(size, size), mode="bilinear")


@pytest.mark.parametrize("name", PRESETS)
@torch.no_grad()
def test_the_whole_image_answers_alone_for_one_pass(name: str) -> None:
    made, images, seen = network(PRESETS[name]), photographs(2), list[int]()
    whole = made(images)
    assert set(made.branches) == whole.present().keys()
    made.backbone.register_forward_hook(lambda _, taken, given: seen.append(len(taken[0])))
    alone = made.branch_logits(images, [Branch.ORIGINAL])
    assert (seen, list(alone.present())) == ([2], [Branch.ORIGINAL])
    assert_close(alone.original, whole.original)
    assert_close(made.branch_logits(images, [Branch.PART_1]).parts[0], whole.parts[0])
    streams = 1 + PRESETS[name].parts + PRESETS[name].object_stream
    assert [made.passes([each]) for each in (Branch.ORIGINAL, Branch.PART_1, Branch.JOINT)] == [1, streams, streams]


def losses(made: MACNN, images: Tensor, epoch: int) -> Losses:
    return made.losses(images, TrainingStep(0.0, torch.arange(len(images)), epoch))


def learned(made: MACNN, found: Losses, config: TrainConfig) -> set[str]:
    """Return the parameters that losses teach; their gradients are finite."""
    images = next(len(each) for each in (*found.further, torch.zeros(2)))
    torch.autograd.backward(total_loss(found, torch.zeros(images, dtype=torch.int64), config))
    taught = {name: each.grad for name, each in made.named_parameters() if each.grad is not None}
    assert all(torch.isfinite(gradient).all() for gradient in taught.values())
    return set(taught)


def calls_of(module: nn.Module) -> list[int]:
    """Record the batch size of each call of a module."""
    sizes: list[int] = []
    module.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    return sizes


@pytest.mark.parametrize("preset", PRESETS)
def test_every_stream_answers(preset: str) -> None:
    config = PRESETS[preset]
    with torch.no_grad():
        output = network(config).output(photographs())
    parts = [Branch.PART_1, Branch.PART_2, Branch.PART_3]
    objects = [Branch.OBJECT] if config.object_stream else []
    assert list(output.logits.present()) == [Branch.ORIGINAL, *objects, *parts, Branch.JOINT]
    assert all(logits.shape == (2, 7) for logits in output.logits.present().values())
    assert list(output.views) == [*objects, *parts]
    assert all(output.views[part].shape == (2, 3, 64, 64) for part in parts)
    assert all(output.views[each].shape == (2, 3, SIZE, SIZE) for each in objects)
    assert output.attention.maps.shape == (2, 3, 4, 4)


def test_parts_share_a_pass_or_have_networks_of_their_own() -> None:
    made, apart = network(), network(OWN)
    sizes, alone = calls_of(made.backbone), calls_of(apart.backbone)
    with torch.no_grad():
        made(photographs())
        apart(photographs())
    assert sizes == [2, 6]
    assert alone == [2]
    assert set(apart.streams) == {"object", "part-1", "part-2", "part-3"}
    first, other = (next(each.parameters()) for each in (apart.backbone, apart.streams["part-2"]))
    assert torch.equal(first, other)
    assert first is not other


def test_the_whole_image_is_a_plain_networks() -> None:
    made, images = network(), photographs()
    with torch.no_grad():
        assert_close(made(images).original, made.backbone.logits(images), rtol=1e-4, atol=1e-5)


def test_a_crop_is_around_its_peak_in_the_source() -> None:
    made, source = network(OWN), photographs(size=2 * SIZE)
    with torch.no_grad():
        output = made.output(source)
    for number, part in enumerate((Branch.PART_1, Branch.PART_2, Branch.PART_3)):
        box, peak = output.boxes[part], output.attention.peaks[:, number]
        assert_close(box[:, 2:] - box[:, :2], torch.full((2, 2), OWN.crop))
        assert ((box[:, :2] <= peak) & (peak <= box[:, 2:])).all()
    left, top, right, bottom = (output.boxes[Branch.OBJECT][0] * 2 * SIZE).round().int().tolist()
    seen, there = output.views[Branch.OBJECT][0], source[0, :, top:bottom, left:right]
    assert seen.mean().item() == pytest.approx(there.mean().item(), abs=0.1)


def test_the_lessons_losses_are_those_of_the_attention() -> None:
    made, images = network(), photographs()
    found = losses(made, images, GROUPING)
    with torch.no_grad():
        features = made.backbone(images)
        weights = made.grouping(features.mean((2, 3)))
        attention = part_attention(features, weights, SHARED.attention)
    distance, diversity = distance_loss(attention), diversity_loss(attention, SHARED.diversity_margin)
    assert found.own is not None
    assert found.own.item() == pytest.approx((distance + 2 * diversity).item(), rel=1e-5)
    assert found.measured["distance"].item() == pytest.approx(distance.item(), rel=1e-5)
    assert losses(made, images, CLASSIFYING).measured["diversity"].item() == pytest.approx(diversity.item(), rel=1e-5)


def test_attended_features_are_weighted_sums_over_positions() -> None:
    made, images = network(), photographs()
    with torch.no_grad():
        found, output = losses(made, images, CLASSIFYING), made.output(images)
        for number, logits in enumerate(found.further):
            part = (output.features * output.attention.maps[:, number, None]).sum((2, 3))
            assert_close(logits, made.attended[number](part), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_each_phase_teaches_its_own_and_nothing_else(preset: str, quick: TrainConfig) -> None:
    made = network(PRESETS[preset]).train()
    every = {name for name, _ in made.named_parameters()}
    grouping = {name for name in every if name.startswith("grouping.")}
    before = {name: each.clone() for name, each in made.state_dict().items()}
    assert learned(made, losses(made, photographs(), GROUPING), quick) == grouping
    after = made.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)  # batch norms learn nothing
    assert made.backbone.network.training
    made.zero_grad()
    assert learned(made, losses(made, photographs(), CLASSIFYING), quick) == every - grouping
    assert any(not torch.equal(before[name], after[name]) for name in before if "running" in name)


def test_a_fixed_grouping_does_not_decay(quick: TrainConfig) -> None:
    made = network().train()
    optimiser = torch.optim.SGD(made.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for epoch in (GROUPING, CLASSIFYING, GROUPING):
        before = {name: each.clone() for name, each in made.named_parameters()}
        optimiser.zero_grad()
        learned(made, losses(made, photographs(), epoch), quick)
        optimiser.step()
        moved = {name for name, each in made.named_parameters() if not torch.equal(each, before[name])}
        assert all(name.startswith("grouping.") == (epoch == GROUPING) for name in moved)
        assert moved


@pytest.mark.parametrize(("grouping", "classifying", "phases"), [(1, 2, "gccgcc"), (2, 1, "ggcggc"), (0, 3, "cccccc")])
def test_phases_alternate(grouping: int, classifying: int, phases: str) -> None:
    made = network(replace(SHARED, grouping_epochs=grouping, classifying_epochs=classifying))
    assert "".join(made.phase(epoch).value[0] for epoch in range(6)) == phases
    assert {each.value[0] for each in Phase} == {"g", "c"}


def test_what_learns_at_which_rate() -> None:
    made = network(OWN)
    heads, grouping = made.parameter_groups()
    new = (made.backbone.classifier, made.attended, made.decision)
    assert set(heads.parameters) == {each for module in new for each in module.parameters()}
    assert set(grouping.parameters) == set(made.grouping.parameters())
    assert (grouping.factor, grouping.decays) == (OWN.grouping_rate, False)


def birds(config: TrainConfig, made: MACNN) -> Tensor:
    views = EvaluationViews(load_splits(config.data).train, config.transforms)
    batch = next(iter(evaluation_loader(views, 24, workers=0)))
    return network_input(batch.images[:, 0], made.backbone.normalisation)


@pytest.fixture
def prepared(quick: TrainConfig) -> tuple[MACNN, Tensor]:
    """A network with ImageNet weights, its grouping begun on drawn birds."""
    torch.manual_seed(0)
    config = MACNNConfig(hidden=32, parts=3, part_size=64, start_steps=60)
    made = create_network(config, replace(quick.transforms, input_size=96, resize_size=96), 4)
    assert isinstance(made, MACNN)
    images = functional.interpolate(birds(quick, made)[::2], size=(96, 96), mode="bilinear")
    said = made.prepare(iter(torch.split(images, 10)))
    assert said is not None
    assert said.startswith("channel groups of ")
    return made, images


def test_alternation_lowers_both_losses_and_groups_differ(prepared: tuple[MACNN, Tensor], quick: TrainConfig) -> None:
    """As a recipe alternates, on the drawn birds; classifying in between must not undo what the grouping learned."""
    made, images = prepared
    made.train()
    groups = made.parameter_groups()
    grouping = {id(each) for each in groups[1].parameters}
    others = [each for each in made.parameters() if id(each) not in grouping]
    rates = [{"params": others, "lr": 0.001}, {"params": groups[1].parameters, "lr": 0.1 * groups[1].factor}]
    optimiser = torch.optim.SGD(rates, momentum=0.9)
    labels = torch.arange(len(images)) % 4
    measured = []
    with torch.no_grad():
        start = (made.eval().grouping(made.backbone(images).mean((2, 3))) > 0.5).float()
    made.train()
    for phase in (GROUPING, CLASSIFYING, GROUPING):
        for _ in range(8 if phase == GROUPING else 1):
            optimiser.zero_grad()
            found = losses(made, images, phase)
            torch.autograd.backward(total_loss(found, labels, quick))
            optimiser.step()
            if phase == GROUPING:
                measured.append({name: float(value) for name, value in found.measured.items()})
    assert measured[-1]["distance"] < measured[0]["distance"]
    assert measured[-1]["diversity"] < measured[0]["diversity"]
    assert (start.sum(1) == 1).float().mean() > 0.99  # each channel begins in one group
    with torch.no_grad():
        weights = made.eval().grouping(made.backbone(images).mean((2, 3)))
    apart = functional.normalize(weights - weights.mean(1, keepdim=True), dim=2)
    assert ((apart @ apart.transpose(1, 2)).triu(1) < 0.5).all()


def test_the_start_is_the_same_each_time_and_can_be_left_out(quick: TrainConfig) -> None:
    made, again = network(), network()
    for each in (made, again):
        torch.manual_seed(3)
        each.prepare([photographs(3)])
    assert all(torch.equal(one, other) for one, other in zip(made.parameters(), again.parameters(), strict=True))
    untouched = network(replace(SHARED, start_steps=0))
    assert untouched.prepare(iter(())) is None


@pytest.mark.parametrize("form", AttentionForm)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("epoch", [GROUPING, CLASSIFYING])
def test_a_constant_photograph_gives_numbers(
    form: AttentionForm, precision: str, epoch: int, quick: TrainConfig
) -> None:
    made = network(replace(OWN, attention=form)).train()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        found = losses(made, torch.full((2, 3, SIZE, SIZE), 0.5), epoch)
    assert learned(made, found, quick)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("classes", [1, 200])
@pytest.mark.parametrize("epoch", [GROUPING, CLASSIFYING])
def test_any_number_of_classes_and_a_batch_of_one(preset: str, classes: int, epoch: int, quick: TrainConfig) -> None:
    made = network(PRESETS[preset], classes).train()
    images = photographs(1, 2 * SIZE).contiguous(memory_format=torch.channels_last)
    found = losses(made, images, epoch)
    torch.autograd.backward(total_loss(found, torch.tensor([classes - 1]), quick))
    gradients = [each.grad for each in made.parameters() if each.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_single_part() -> None:
    with torch.no_grad():
        answers = network(replace(SHARED, parts=1, projection=None))(photographs())
    assert list(answers.present()) == [Branch.ORIGINAL, Branch.PART_1, Branch.JOINT]


def test_bf16_sees_what_float32_sees() -> None:
    made, images = network(), photographs()
    with torch.no_grad():
        exact = made.output(images)
        with torch.autocast("cpu", torch.bfloat16):
            rough = made.output(images)
    assert rough.attention.maps.dtype is torch.float32
    assert_close(rough.attention.maps, exact.attention.maps, atol=0.02, rtol=0)


@pytest.mark.parametrize("preset", PRESETS)
def test_weights_come_back_from_a_file(preset: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    made, path = network(PRESETS[preset]), tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_weights(path, made.state_dict())
    torch.manual_seed(9)
    other = MACNN.create(PRESETS[preset], 7, SIZE).eval()
    other.load_state_dict(load_file(path))
    with torch.no_grad():
        assert_close(other(photographs()).joint, made(photographs()).joint)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"at least 2x2 cells.*makes 1x1 of 32 pixels; give a larger input_size or part"
    ):
        MACNN.create(replace(SHARED, part_size=32), 3, SIZE)


def test_vgg_to_its_last_convolution() -> None:
    """At 128 pixels 8 x 8 cells, stride 16; conv5_4 in VGG-19."""
    config = replace(SHARED, backbone=BackboneConfig(architecture="vgg11", weights="none", convolutions_only=True))
    made = network(config, 3)
    with torch.no_grad():
        output = made.output(photographs(1))
    assert output.features.shape == (1, 512, 8, 8)
    assert made.backbone.stride16 == "features.19"
    with pytest.raises(UserError, match=r"convolutions_only cuts a VGG.*got 'resnet18'; set it to False"):
        MACNN.create(replace(SHARED, backbone=replace(config.backbone, architecture="resnet18")), 3, SIZE)
