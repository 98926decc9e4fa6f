"""S3N as a whole: what it sees, what it learns from, and that every choice of its configuration has its effect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from foveate.backbones.class_maps import class_maps
from foveate.config.branches import Branch
from foveate.config.networks import BackboneConfig
from foveate.errors import UserError
from foveate.networks.first_view import shrink
from foveate.networks.network import TrainingStep
from foveate.s3n.config import (
    Aggregation,
    AttentionKernel,
    AttentionKind,
    Branches,
    CellPlacement,
    EntropySource,
    Partition,
    S3NConfig,
)
from foveate.s3n.network import S3N
from foveate.s3n.output import S3NOutput
from foveate.s3n.response_grid import on_grid

BACKBONE = BackboneConfig(architecture="test_resnet", weights="none")
FOVEATE = S3NConfig(backbone=BACKBONE)
SPARSE = {"foveate": FOVEATE, "paper": S3NConfig.paper(BACKBONE), "reference": S3NConfig.reference(BACKBONE)}
DENSE = {
    f"{name}, {kind.value}": replace(SPARSE[name], attention=kind)
    for name in ("foveate", "paper")
    for kind in (AttentionKind.CLASS_RESPONSE, AttentionKind.SALIENCY)
}
PRESETS = {**SPARSE, **DENSE}
SIZE = 160
LATE = 0.9  # of a training: the partition that was asked for holds


def network(config: S3NConfig = FOVEATE, classes: int = 7) -> S3N:
    torch.manual_seed(0)
    made = S3N.create(config, classes, SIZE).eval()
    nn.init.normal_(made.backbone.classifier.weight, std=0.3)  # as trained: responses and answers that differ
    nn.init.normal_(made.backbone.classifier.bias, std=3.0)
    return made


def photographs(count: int = 2, size: int = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    small = torch.randn(count, 3, 20, 20, generator=generator)
    return functional.interpolate(small, size=(size, size), mode="bilinear")


def step(progress: float = LATE, key: int = 0, count: int = 2) -> TrainingStep:
    return TrainingStep(progress, torch.arange(count) + key)


@torch.no_grad()
def seen(config: S3NConfig, progress: float | None = None) -> S3NOutput:
    return network(config).output(photographs(), None if progress is None else step(progress))


def calls_of(module: nn.Module) -> list[int]:
    """Record the batch size of each call of a module."""
    sizes: list[int] = []
    module.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    return sizes


@pytest.mark.parametrize("preset", PRESETS)
def test_three_views_in_two_passes(preset: str) -> None:
    made = network(PRESETS[preset])
    sizes = calls_of(made.backbone)
    with torch.no_grad():
        output = made.output(photographs(3))
    assert sizes == [3, 6]
    assert set(output.views) == {Branch.DISCRIMINATIVE, Branch.COMPLEMENTARY}
    assert all(view.shape == (3, 3, SIZE, SIZE) for view in (output.original, *output.views.values()))
    assert all(logits.shape == (3, 7) for logits in output.logits.present().values())


@pytest.mark.parametrize(
    ("branches", "views", "calls"),
    [
        ("o", "", [2]),
        ("d", "d", [2, 2]),
        ("o+d", "d", [2, 2]),
        ("o+c", "c", [2, 2]),
        ("d+c", "dc", [2, 4]),
        ("o+d+c", "dc", [2, 4]),
    ],
)
def test_the_ablation_makes_only_the_views_it_decides_from(branches: str, views: str, calls: list[int]) -> None:
    made = network(replace(FOVEATE, branches=Branches(branches)))
    sizes = calls_of(made.backbone)
    with torch.no_grad():
        output = made.output(photographs())
    assert sizes == calls
    assert "".join(branch[0] for branch in output.views) == views
    assert (output.logits.joint is None) == (branches == "o")


@pytest.mark.parametrize("branches", Branches)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_parameter_that_learns_gets_a_gradient(preset: str, branches: Branches) -> None:
    """Several processes that train together wait for the gradient of every one of them."""
    made = network(replace(PRESETS[preset], branches=branches, train_partition=Partition.ALL)).train()
    torch.autograd.backward(sum(logits.square().sum() for logits in made(photographs(), step()).present().values()))
    learning = {name: parameter.grad for name, parameter in made.named_parameters() if parameter.requires_grad}
    assert [name for name, gradient in learning.items() if gradient is None] == []


def test_the_first_view_is_a_plain_networks() -> None:
    """At a source of the input's size it is the photograph itself, and its answer the backbone's own."""
    made, images = network(), photographs()
    with torch.no_grad():
        output = made.output(images)
        assert torch.equal(output.original, images)
        torch.testing.assert_close(output.logits.original, made.backbone.logits(images), rtol=1e-4, atol=1e-5)


def test_a_larger_source_shows_detail_that_the_input_has_lost() -> None:
    """Lines one source pixel wide are grey at half the size; a zoomed view shows them, the first view does not."""
    fine = torch.zeros(1, 3, 2 * SIZE, 2 * SIZE)
    fine[..., ::2] = 1.0
    with torch.no_grad():
        output = network().output(fine)
    middle = slice(SIZE // 4, -SIZE // 4)
    assert output.original[..., middle].std() < 0.01
    lines = network()
    with torch.no_grad():
        places = torch.full((1, 31, 31), 0.01)
        places[:, 13:18, 13:18] = 1.0
        grid = lines.sampler(places, SIZE)
        zoomed = functional.grid_sample(fine, grid, align_corners=True)[..., middle, middle]
    assert zoomed.std() > 0.2


def test_the_views_are_read_from_the_source() -> None:
    source = photographs(size=2 * SIZE)
    with torch.no_grad():
        output = network().output(source)
    for branch, grid in output.grids.items():
        expected = functional.grid_sample(source, grid, padding_mode="border", align_corners=True)
        torch.testing.assert_close(output.views[branch], expected)


@pytest.mark.parametrize("side", [4, 6, 32, 448])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_shrinking_to_half_is_torchs_resize(side: int, layout: torch.memory_format) -> None:
    images = torch.randn(2, 3, side, side).contiguous(memory_format=layout)
    expected = functional.interpolate(images, size=(side // 2, side // 2), mode="bilinear", antialias=True)
    with torch.autocast("cpu", torch.bfloat16):
        halved = shrink(images, side // 2)
    torch.testing.assert_close(halved, expected, rtol=1e-6, atol=1e-6)
    assert halved.stride() == expected.stride()


def test_shrinking_is_area_true() -> None:
    """Halving a checkerboard of single pixels leaves grey; without antialiasing it leaves black or white."""
    board = torch.zeros(1, 3, 32, 32)
    board[..., ::2, ::2] = board[..., 1::2, 1::2] = 1.0
    torch.testing.assert_close(shrink(board, 16)[..., 2:-2, 2:-2], torch.full((1, 3, 12, 12), 0.5))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_features_that_are_everywhere_the_same_zoom_nothing(
    preset: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, images = network(PRESETS[preset]).train(), photographs()
    cell = torch.rand(made.backbone.channels, generator=torch.Generator().manual_seed(0))
    same = cell.view(1, -1, 1, 1).expand(2, -1, 5, 5)
    monkeypatch.setattr(made.backbone, "forward", lambda each: same.repeat(len(each) // 2, 1, 1, 1))
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        output = made.output(images, step())
    assert not output.attention.peaks.any()
    assert all(torch.isfinite(logits).all() for logits in output.logits.present().values())
    identity = torch.linspace(-1, 1, SIZE)
    for branch, grid in output.grids.items():
        torch.testing.assert_close(grid[0, 0, :, 0], identity, atol=1e-5, rtol=0)
        torch.testing.assert_close(output.views[branch], output.original, atol=1e-3, rtol=0)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_constant_photograph_gives_numbers(preset: str) -> None:
    made = network(PRESETS[preset]).train()
    answers = made(torch.full((2, 3, SIZE, SIZE), 0.5), step())
    torch.autograd.backward(sum(logits.square().sum() for logits in answers.present().values()))
    gradients = [parameter.grad for parameter in made.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(each).all() for each in (*answers.present().values(), *gradients))


@pytest.mark.parametrize("classes", [1, 2, 4, 20_000])
@pytest.mark.parametrize("preset", PRESETS)
def test_any_number_of_classes_and_a_batch_of_one(preset: str, classes: int) -> None:
    config = PRESETS[preset]
    made = network(config, classes).train()
    images = photographs(1, 2 * SIZE)
    answers = made(images, step(count=1))
    labels = torch.tensor([classes - 1])
    loss = sum(functional.cross_entropy(logits, labels) for logits in answers.present().values())
    assert isinstance(loss, Tensor)
    torch.autograd.backward(loss)
    gradients = [parameter.grad for parameter in made.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("branch", ["discriminative", "complementary"])
@pytest.mark.parametrize("preset", SPARSE)
def test_each_zoomed_view_teaches_its_radius_and_the_backbone(preset: str, branch: str) -> None:
    made = network(replace(PRESETS[preset], train_partition=Partition.ALL))
    torch.autograd.backward(getattr(made(photographs(), step()), branch).square().sum())
    radii = made.attention.log_radius.grad
    assert radii is not None
    own = 0 if branch == "discriminative" else 1
    assert radii[own] != 0
    assert radii[1 - own] == 0
    stem = next(made.backbone.parameters()).grad
    assert stem is not None
    assert stem.abs().sum() > 0


def test_bf16_sees_what_float32_sees() -> None:
    made, images = network(), photographs()
    with torch.no_grad():
        exact = made.output(images)
        with torch.autocast("cpu", torch.bfloat16):
            rough = made.output(images)
    assert rough.response.dtype is torch.float32
    torch.testing.assert_close(rough.response, exact.response, atol=0.1, rtol=0)
    assert rough.views[Branch.DISCRIMINATIVE].dtype is torch.float32


def test_every_peak_is_in_both_sets_at_first() -> None:
    config = replace(FOVEATE, both_until=0.5, train_partition=Partition.PROBABILITY)
    early = seen(config, 0.49).attention
    assert torch.equal(early.weights.discriminative, early.peaks.float())
    assert torch.equal(early.weights.complementary, early.peaks.float())
    late = seen(config, 0.5).attention
    assert torch.equal(late.weights.discriminative + late.weights.complementary, late.peaks.float())


def test_a_training_draw_is_its_keys() -> None:
    made, images = network(replace(FOVEATE, train_partition=Partition.RANDOM)), photographs()
    with torch.no_grad():
        one, again, other = (made.output(images, step(key=key)).attention.weights for key in (0, 0, 9))
        alone = made.output(images[1:], TrainingStep(LATE, torch.tensor([1]))).attention.weights
    assert torch.equal(one.discriminative, again.discriminative)
    assert torch.equal(one.discriminative[1:], alone.discriminative)
    assert not torch.equal(one.discriminative, other.discriminative)


def test_a_random_test_draw_belongs_to_the_photograph() -> None:
    made, images = network(replace(FOVEATE, test_partition=Partition.RANDOM)), photographs()
    with torch.no_grad():
        both, alone = made.output(images), made.output(images[1:])
    assert torch.equal(both.attention.weights.discriminative[1:], alone.attention.weights.discriminative)


def salient(config: S3NConfig) -> S3N:
    """As trained: a saliency that differs from place to place."""
    made = network(replace(config, attention=AttentionKind.SALIENCY))
    assert made.saliency is not None
    nn.init.normal_(made.saliency.head.weight, std=0.5)
    return made


@pytest.mark.parametrize("preset", SPARSE)
def test_the_whole_response_may_draw_the_zoom(preset: str) -> None:
    """Nothing else changes: the response is that of the sparse network."""
    config = SPARSE[preset]
    output = seen(replace(config, attention=AttentionKind.CLASS_RESPONSE))
    assert torch.equal(output.response, seen(config).response)
    for view, drawing in ((Branch.DISCRIMINATIVE, output.response), (Branch.COMPLEMENTARY, 1 - output.response)):
        sampling_map = (drawing + config.sampling_floor).clamp(min=1e-3)
        assert torch.equal(getattr(output.attention, view.value), sampling_map)
        torch.testing.assert_close(output.grids[view], network(config).sampler(sampling_map, SIZE))


@pytest.mark.parametrize("preset", SPARSE)
def test_a_saliency_may_draw_the_zoom(preset: str) -> None:
    made = salient(SPARSE[preset])
    assert made.saliency is not None
    with torch.no_grad():
        output = made.output(photographs())
        drawing = made.saliency(photographs(), output.response.shape[1])
    assert torch.equal(output.attention.weights.discriminative, drawing)
    assert different(drawing, output.response)
    assert not output.attention.peaks.any()


def test_a_flat_saliency_gives_the_view_itself() -> None:
    output = seen(replace(FOVEATE, attention=AttentionKind.SALIENCY))
    assert len(output.views) == 2
    for view in output.views.values():
        torch.testing.assert_close(view, output.original, atol=1e-3, rtol=0)


@pytest.mark.parametrize("branch", ["discriminative", "complementary"])
@pytest.mark.parametrize("preset", SPARSE)
def test_each_zoomed_view_teaches_the_saliency_network(preset: str, branch: str) -> None:
    made = salient(SPARSE[preset])
    torch.autograd.backward(getattr(made(photographs(), step()), branch).square().sum())
    assert made.saliency is not None
    for gradient in (next(made.saliency.parameters()).grad, made.saliency.head.weight.grad):
        assert gradient is not None
        assert torch.isfinite(gradient).all()
        assert gradient.any()


def test_a_saliency_moves_to_what_tells_the_classes_apart() -> None:
    """A few steps of its own on one batch lower the loss: what its gradient says is true."""
    made, images, labels = salient(replace(FOVEATE, branches=Branches.D)), photographs(), torch.arange(2)
    assert made.saliency is not None
    optimiser = torch.optim.SGD(made.saliency.parameters(), lr=0.02)
    losses = []
    for _ in range(4):
        loss = functional.cross_entropy(made(images).decision, labels)
        losses.append(loss.item())
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    assert losses[-1] < losses[0]


def test_a_saliencys_layers_are_pretrained_and_its_head_is_new() -> None:
    made = salient(FOVEATE)
    assert made.saliency is not None
    new = {id(parameter) for group in made.parameter_groups() for parameter in group.parameters}
    assert {name for name, each in made.saliency.named_parameters() if id(each) in new} == {"head.weight"}


@pytest.mark.parametrize("kind", [AttentionKind.CLASS_RESPONSE, AttentionKind.SALIENCY])
def test_a_dense_attention_knows_no_partition(kind: AttentionKind) -> None:
    config = replace(FOVEATE, attention=kind)
    one, other = (seen(replace(config, test_partition=each)).grids for each in (Partition.ALL, Partition.RANDOM))
    assert all(torch.equal(one[branch], other[branch]) for branch in one)


def different(one: Any, other: Any) -> bool:
    return one.shape != other.shape or not torch.allclose(one, other, atol=1e-4)


RESPONSE_CHOICES = {
    "entropy_from": EntropySource.CLASS_MAPS,
    "entropy_threshold": 9.0,
    "response_grid": 15,
    "placement": CellPlacement.CORNERS,
}
ATTENTION_CHOICES = {
    "peak_window": 9,
    "peaks_above_mean": False,
    "kernel": AttentionKernel.PAPER,
    "radius": 0.2,
    "radius_complementary": 0.1,
    "sampling_floor": 0.5,
    "test_partition": Partition.EXTREMES,
}


@pytest.mark.parametrize(("field", "value"), RESPONSE_CHOICES.items())
def test_the_choice_moves_the_response(field: str, value: object) -> None:
    assert different(seen(replace(FOVEATE, **{field: value})).response, seen(FOVEATE).response)  # type: ignore[arg-type]


@pytest.mark.parametrize(("field", "value"), ATTENTION_CHOICES.items())
def test_the_choice_moves_the_attention(field: str, value: object) -> None:
    changed, before = network(replace(FOVEATE, **{field: value})), network()  # type: ignore[arg-type]
    where = functional.interpolate(torch.rand(2, 1, 8, 8), size=(31, 31), mode="bilinear")[:, 0]
    made, kept = (each.attention(where, each.config.test_partition) for each in (changed, before))
    assert any(different(getattr(made, each), getattr(kept, each)) for each in ("discriminative", "complementary"))


def test_a_sum_of_five_maps_is_their_mean_once_it_is_scaled() -> None:
    changed = replace(FOVEATE, aggregation=Aggregation.SUM, entropy_threshold=0.0)
    before = replace(changed, aggregation=Aggregation.MEAN)
    torch.testing.assert_close(seen(changed).response, seen(before).response)


def test_the_regularisers_width_moves_the_grid_and_not_the_attention() -> None:
    changed, before = seen(replace(FOVEATE, regulariser_width=0.2)), seen(FOVEATE)
    assert torch.equal(changed.attention.discriminative, before.attention.discriminative)
    assert different(changed.grids[Branch.DISCRIMINATIVE], before.grids[Branch.DISCRIMINATIVE])


def test_the_training_partition_and_its_start() -> None:
    expected = replace(FOVEATE, train_partition=Partition.EXPECTED)
    maps = [seen(each, LATE).attention.complementary for each in (FOVEATE, expected, replace(expected, both_until=1.0))]
    assert different(maps[0], maps[1])
    assert torch.equal(maps[0], maps[2])  # every peak is still in both


@pytest.mark.parametrize("detached", [True, False])
def test_the_response_may_pass_on_what_the_zoom_learns(detached: bool) -> None:
    """What the discriminative view teaches the head that weighs the class maps: nothing when detached."""
    made = network(replace(FOVEATE, detach_response=detached))
    answers = made(photographs(), step())
    torch.autograd.backward(answers.discriminative.square().sum())
    taught = made.backbone.classifier.weight.grad
    assert (taught is None or not taught.any()) == detached


def test_a_branch_block_stands_before_the_zoomed_heads() -> None:
    plain, blocked = network(), network(replace(FOVEATE, branch_block=True))
    more = {name for name, _ in blocked.named_parameters()} - {name for name, _ in plain.named_parameters()}
    assert {name.split(".")[1] for name in more} == {"discriminative", "complementary"}
    sizes = calls_of(blocked.blocks["discriminative"])
    with torch.no_grad():
        blocked(photographs())
    assert sizes == [2]


@pytest.mark.parametrize("together", [True, False])
def test_batch_norms_see_both_zoomed_views_or_each_by_itself(together: bool) -> None:
    made, twin = (network(replace(FOVEATE, views_together=together)).train() for _ in range(2))
    sizes = calls_of(made.backbone)
    with torch.no_grad():
        output = made.output(photographs(3), step(count=3))
        twin.backbone(output.original)
        if together:
            expected = twin.backbone(torch.cat(list(output.views.values()))).chunk(2)
        else:
            expected = tuple(map(twin.backbone, output.views.values()))
    assert sizes == ([3, 6] if together else [3, 3, 3])
    for branch, features in zip(output.views, expected, strict=True):
        assert_close(output.features[branch], features)
    for one, other in zip(made.backbone.buffers(), twin.backbone.buffers(), strict=True):
        assert_close(one, other)  # running statistics, and how often they were updated


def test_views_together_or_not_differ_in_training_alone() -> None:
    both = [network(replace(FOVEATE, views_together=each)) for each in (True, False)]
    with torch.no_grad():
        tested, trained = ([made.train(mode).output(photographs(), step()) for made in both] for mode in (False, True))
    for branch in tested[0].views:
        assert_close(*(output.features[branch] for output in tested))
        assert different(*(output.features[branch] for output in trained))


def test_the_released_preset_chooses_classes_by_the_heads_bias() -> None:
    """With a bias that outweighs every map the first class alone responds."""
    made = network(replace(SPARSE["reference"], branch_block=False))
    head = made.backbone.classifier
    with torch.no_grad():
        head.bias.copy_(torch.tensor([1e4, *[0.0] * 6]))
        output = made.output(photographs())
        first = on_grid(class_maps(output.features[Branch.ORIGINAL], head.weight, torch.zeros(2, 1).long()), 31)[:, 0]
    low, high = first.amin(dim=(1, 2), keepdim=True), first.amax(dim=(1, 2), keepdim=True)
    assert_close(output.response, (first - low) / (high - low), rtol=0, atol=1e-4)


def test_what_learns_at_which_rate() -> None:
    made = network(replace(FOVEATE, radius_rate=0.5, regulariser_rate=0.25, branch_block=True))
    heads, radii, regulariser = made.parameter_groups()
    expected = {*made.backbone.classifier.parameters(), *made.fusion.parameters()}
    assert set(heads.parameters) == expected
    assert (heads.new, heads.factor, heads.decays) == (True, 1.0, True)
    assert (list(radii.parameters), radii.new, radii.factor, radii.decays) == (
        [made.attention.log_radius],
        False,
        0.5,
        False,
    )
    assert (list(regulariser.parameters), regulariser.factor) == ([made.sampler.kernel], 0.25)


def test_dropout_is_before_every_head() -> None:
    made = network(replace(FOVEATE, dropout=0.5)).train()
    made.backbone.eval()
    with torch.no_grad():
        one, other = made(photographs(), step()).present(), made(photographs(), step()).present()
    assert all(different(one[branch], other[branch]) for branch in one)


def test_a_feature_map_of_one_cell_is_refused() -> None:
    with pytest.raises(UserError, match=r"at least 2x2 cells.*makes 1x1 of 16 pixels; give a larger input_size"):
        S3N.create(FOVEATE, 3, 16)
    with pytest.raises(UserError, match=r"at least 3x3 cells.*makes 2x2 of 64 pixels"):
        S3N.create(PRESETS["reference"], 3, 64)


@pytest.mark.parametrize("name", ["foveate", "paper", "reference", "foveate, saliency"])
@torch.no_grad()
def test_it_looks_closer_where_it_is_unsure_and_nowhere_else(name: str) -> None:
    """Image by image: the whole network's answer above the threshold, the first look's at or below it."""
    made, images = network(PRESETS[name]), photographs(4, 2 * SIZE)
    first = made(images).original
    entropy = torch.special.entr(first.softmax(1)).sum(1)
    middle = float(entropy.sort().values[1:3].mean())
    seen: list[int] = []
    made.backbone.register_forward_hook(lambda _, taken, given: seen.append(len(taken[0])))
    answers = made.look_where_unsure(images, middle)
    assert seen == [4, 4]  # four first looks, two closer looks at each of the two unsure ones
    assert_close(answers.original, first)
    for index in range(4):
        alone = made(images[index : index + 1]).present()
        for branch, given in answers.present().items():
            asked = alone[branch if entropy[index] > middle else Branch.ORIGINAL]
            assert_close(given[index : index + 1], asked, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["foveate", "paper", "reference", "foveate, saliency"])
@pytest.mark.parametrize("asked", [["original"], ["discriminative"], ["original", "complementary"], ["joint"]])
@torch.no_grad()
def test_some_branches_answer_as_all_do_and_cost_their_own_views_alone(name: str, asked: list[str]) -> None:
    made, images, wanted = network(PRESETS[name]), photographs(3, 2 * SIZE), [Branch(each) for each in asked]
    whole, seen = made(images).present(), list[int]()
    made.backbone.register_forward_hook(lambda _, taken, given: seen.append(len(taken[0])))
    answers = made.branch_logits(images, wanted).present()
    assert sum(seen) == 3 * made.passes(wanted)
    assert made.passes(wanted) == {"joint": 3, "original": 1}.get(asked[-1], 2)
    assert {*wanted, Branch.ORIGINAL} <= answers.keys()
    for branch, logits in answers.items():
        assert_close(logits, whole[branch], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("branches", list(Branches))
def test_the_branches_it_names_are_those_it_answers_with(branches: Branches) -> None:
    made = network(replace(FOVEATE, branches=branches))
    answers = made(photographs(2)).present()
    assert (set(made.branches), made.branches[0]) == (answers.keys(), Branch.ORIGINAL)
    assert answers[made.branches[-1]] is list(answers.values())[-1]
    assert made.passes(made.branches) == 1 + made.skippable_views


@torch.no_grad()
def test_sure_of_all_or_of_none() -> None:
    made, images = network(), photographs(3)
    whole = made(images)
    assert_close(made.look_where_unsure(images, 0.0).decision, whole.decision)
    answers = made.look_where_unsure(images, 100.0)
    assert torch.equal(answers.decision, answers.original)
    assert_close(answers.original, whole.original)


@torch.no_grad()
def test_looking_closer_here_and_there_in_bf16() -> None:
    made, images = network(), photographs(4)
    entropy = torch.special.entr(made(images).original.softmax(1)).sum(1)
    with torch.autocast("cpu", torch.bfloat16):
        answers = made.look_where_unsure(images, float(entropy.sort().values[1:3].mean()))
        whole = made(images).present()
    closer = (answers.decision != answers.original).any(1)
    assert 0 < closer.sum() < 4
    assert_close(answers.decision[closer].float(), whole[Branch.JOINT][closer].float(), rtol=0.05, atol=0.05)
