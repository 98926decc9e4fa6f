"""Best first decides as looking at everything does, and looks at less."""

from __future__ import annotations

import weakref
from dataclasses import replace
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from foveate.config.data import TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.errors import UserError
from foveate.grounding.config import GroundingConfig
from foveate.grounding.excitation.backprop import ExcitationBackprop, HeldExcitation
from foveate.grounding.excitation.tape import Tape
from foveate.guided_zoom.algorithm_1 import decide
from foveate.guided_zoom.best_first import decide_best_first
from foveate.guided_zoom.config import PatchConfig, RefinementConfig, Rule
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.inference.classifier import Classifier
from foveate.networks.plain import PlainNetwork
from foveate.types import Grounded, HeldPass

CLASSES = 6
SLOW = HardwareConfig(accelerator="cpu", precision="float32")


class Drawn:
    """Maps and logits that are a function of the image's pixels alone, whatever batch it is in."""

    def __init__(self, sharpness: float) -> None:
        self.sharpness = sharpness

    def __call__(self, images: Tensor, classes: Tensor | int) -> Grounded:
        logits, maps = [], []
        for image in images:
            generator = torch.Generator().manual_seed(int(image.double().mul(100).round().sum()))
            logits.append(torch.randn(CLASSES, generator=generator) * self.sharpness)
            maps.append(torch.rand(CLASSES, 6, 6, generator=generator))
        scores, every = torch.stack(logits), torch.stack(maps)
        if isinstance(classes, int):
            classes = scores.topk(classes).indices
        return Grounded(scores, classes, every.gather(1, classes[..., None, None].expand(-1, -1, 6, 6)))


class DrawnPass:
    """One over some images, which is held."""

    def __init__(self, drawn: Drawn, images: Tensor) -> None:
        self.drawn, self.images = drawn, images
        self.logits = drawn(images, 1).logits

    def maps(self, images: Tensor, classes: Tensor) -> Tensor:
        return self.drawn(self.images[images], classes[:, None]).maps[:, 0]


class Holding(Drawn):
    """The same, and it holds on to its passes."""

    def hold(self, images: Tensor) -> DrawnPass:
        return DrawnPass(self, images)


def zoom(sharpness: float, rounds: int = 2, kind: type[Drawn] = Holding) -> GuidedZoom:
    torch.manual_seed(0)
    backbone = BackboneConfig(architecture="test_resnet", weights="none")
    network = PlainNetwork.create(PlainConfig(backbone=backbone), CLASSES)
    torch.nn.init.normal_(network.backbone.classifier.weight, std=sharpness)
    torch.nn.init.zeros_(network.backbone.classifier.bias)
    classifier = Classifier.place(network, SLOW)
    patches = PatchConfig(patch=0.3, erased=0.2, source_size=64, rounds=rounds)
    transforms = TransformConfig(input_size=32, resize_size=40)
    return GuidedZoom(ConventionalCNN(classifier, kind(sharpness)), classifier, patches, transforms, batch_size=3)


def noise(count: int, side: int, seed: int) -> Tensor:
    return torch.randint(
        0, 256, (count, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.5, 2.0, 5.0]),
    st.integers(1, CLASSES),
    st.lists(st.floats(0, 1), min_size=2, max_size=4).filter(lambda weights: sum(weights) > 0),
    st.sampled_from(Rule),
    st.sampled_from([None, 0.5, 1.2]),
    st.booleans(),
    st.sampled_from([Drawn, Holding]),
)
def test_it_decides_as_looking_at_everything_does(
    seed: int,
    sharpness: float,
    top_k: int,
    weights: list[float],
    rule: Rule,
    gate: float | None,
    mirrored: bool,
    kind: type[Drawn],
) -> None:
    config = RefinementConfig(top_k=top_k, weights=tuple(weights), rule=rule, entropy_threshold=gate, mirrored=mirrored)
    made = replace(zoom(sharpness, config.rounds, kind), mirrored=mirrored)
    images, source = noise(4, 48, seed), noise(4, 64, seed + 1)
    everything = made.evidence(images, source, top_k)
    refined = decide(everything, config)
    done = decide_best_first(made, images, source, config)
    assert torch.equal(done.classes, refined.classes)
    assert ((done.lower - 1e-5 <= refined.scores) & (refined.scores <= done.upper + 1e-5)).all()
    assert (done.forwards <= (everything.forwards if kind is Holding else 1 + top_k * config.rounds)).all()
    assert (done.patches <= everything.patches).all()
    assert not mirrored or (done.patches % 2 == 0).all()


@pytest.mark.parametrize("at_once", [1, 3, 99])
def test_excitation_backprop_grounds_only_what_is_looked_at(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held pass: the decisions of everything, in parts of a batch, and fewer classes grounded than there are."""
    monkeypatch.setattr("foveate.guided_zoom.best_first._HELD_PIXELS", at_once * 48 * 48)
    config = RefinementConfig(top_k=4, weights=(0.5, 0.3, 0.2))
    made = zoom(2.0, config.rounds)
    base = ConventionalCNN.place(made.conventional.classifier.network, GroundingConfig(layer="layer3"), SLOW)
    made = replace(made, conventional=base)
    images, source = noise(7, 48, 0), noise(7, 64, 1)
    with mock.patch.object(HeldExcitation, "maps", autospec=True, side_effect=HeldExcitation.maps) as maps:
        done = decide_best_first(made, images, source, config)
    assert torch.equal(done.classes, decide(made.evidence(images, source, 4), config).classes)
    assert 7 <= sum(len(call.args[1]) for call in maps.call_args_list) < 4 * 7


def test_a_class_that_cannot_be_overtaken_needs_no_evidence() -> None:
    config = RefinementConfig(top_k=3, weights=(0.9, 0.1))
    done = decide_best_first(zoom(50.0, 0), noise(2, 48, 0), noise(2, 64, 1), config)
    assert done.forwards.tolist() == [1, 1]
    assert done.patches.tolist() == [0, 0]
    assert torch.equal(done.classes, done.candidates[:, 0])


def test_equal_weights_of_equal_classes_need_all_evidence() -> None:
    """Where nothing tells the classes apart, every one is looked at, and the network's own order decides."""
    made, config = zoom(0.0), RefinementConfig(top_k=3)
    done = decide_best_first(made, noise(1, 48, 0), noise(1, 64, 1), config)
    assert torch.equal(done.lower, done.upper)
    assert torch.equal(done.classes, done.candidates[:, 0])


def test_each_erased_image_is_a_pass() -> None:
    """Where nothing tells the classes apart, each is grounded in all rounds; the same squares share a pass."""
    made, images, source = zoom(0.0), noise(6, 48, 0), noise(6, 64, 1)
    config = RefinementConfig(top_k=3, weights=(0.4, 0.3, 0.2, 0.1))
    decision = decide_best_first(made, images, source, config)
    assert torch.equal(decision.lower, decision.upper)
    assert decision.maps.tolist() == [3 * 3] * 6
    everything = made.evidence(images, source, 3)
    assert torch.equal(decision.forwards, everything.forwards)
    assert everything.forwards.min() < 1 + 3 * 2 == everything.forwards.max()


def test_what_cannot_hold_on_to_a_pass_makes_one_for_each_class() -> None:
    config = RefinementConfig(top_k=3, weights=(0.4, 0.3, 0.2, 0.1))
    decision = decide_best_first(zoom(0.0, kind=Drawn), noise(2, 48, 0), noise(2, 64, 1), config)
    assert decision.maps.tolist() == [3 * 3] * 2
    assert decision.forwards.tolist() == [1 + 3 * 2] * 2


@pytest.mark.parametrize("hardware", [SLOW, replace(SLOW, precision="bf16")])
def test_the_backbone_runs_as_often_as_is_said(hardware: HardwareConfig) -> None:
    """In bf16 once more for the answer; and what is held of an image goes when it is decided."""
    config = RefinementConfig(top_k=4, weights=(0.4, 0.3, 0.2, 0.1), mirrored=False)
    made = zoom(0.2)
    base = ConventionalCNN.place(made.conventional.classifier.network, GroundingConfig(layer="layer3"), hardware)
    made = replace(made, conventional=base, patches=replace(made.patches, elsewhere=False))
    images, source = noise(6, 48, 0), noise(6, 64, 1)
    everything, seen, held = made.evidence(images, source, 4), [0], []
    forward, hold = ExcitationBackprop._forward, ExcitationBackprop.hold

    def counted(self: ExcitationBackprop, each: Tensor, tape: Tape) -> Tensor:
        seen[0] += len(each)
        return forward(self, each, tape)

    def kept(self: ExcitationBackprop, each: Tensor) -> HeldPass:
        made_now = hold(self, each)
        held.append(weakref.ref(made_now))
        return made_now

    with (
        mock.patch.object(ExcitationBackprop, "_forward", counted),
        mock.patch.object(ExcitationBackprop, "hold", kept),
    ):
        done = decide_best_first(made, images, source, config)
    assert torch.equal(done.classes, decide(everything, config).classes)
    assert int(done.forwards.sum()) == seen[0] > 6
    assert all(each() is None for each in held)


def test_the_evidence_that_costs_no_pass_comes_first() -> None:
    """After one look the best class could still score more; its rival's first evidence decides before that."""
    made, config, images = zoom(1.0), RefinementConfig(top_k=2, weights=(0.4, 0.5, 0.05, 0.05)), noise(8, 48, 0)
    best = made.conventional.answer(images, 1).classes[:, 0]
    with mock.patch.object(GuidedZoom, "patch_scores", lambda _, __, patches: torch.eye(CLASSES)[best[patches[:, 0]]]):
        done = decide_best_first(made, images, noise(8, 64, 1), config)
    assert torch.equal(done.classes, best)
    assert done.maps.max() == 2
    assert done.forwards.tolist() == [1] * 8


def test_a_damaged_evidence_cnn_is_refused() -> None:
    made = zoom(0.5)
    damaged = mock.Mock(return_value=torch.full((1, CLASSES), torch.nan))
    with (
        mock.patch.object(GuidedZoom, "patch_scores", damaged),
        pytest.raises(UserError, match="scores must be finite; those of 1 of 1 images are not"),
    ):
        decide_best_first(made, noise(1, 48, 0), noise(1, 64, 1), RefinementConfig(top_k=3))


def test_logits_have_no_bound() -> None:
    config = RefinementConfig.reference()
    with pytest.raises(UserError, match="best first needs scores with a bound; got logits"):
        decide_best_first(zoom(1.0), noise(1, 48, 0), noise(1, 64, 1), config)
