"""Guided Zoom: evidence found, erased, found again and judged, for a whole batch as for one image after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from foveate.config.branches import Branch
from foveate.config.data import TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.data.geometry import Geometry
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.evidence import EvidenceTable, evidence_rows, evidence_schema
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import create_grounding
from foveate.guided_zoom.config import PatchConfig, Scores
from foveate.guided_zoom.evidence import ConventionalCNN, GuidedZoom, centre_part, find_evidence
from foveate.inference.classifier import Classifier
from foveate.networks.plain import PlainNetwork
from foveate.s3n.config import S3NConfig
from foveate.s3n.network import S3N
from foveate.types import Grounded, Size
from oracles.guided_zoom import naive_box, naive_elsewhere, naive_erased, naive_rounds

SLOW = HardwareConfig(accelerator="cpu", precision="float32")
BACKBONE = BackboneConfig(architecture="test_resnet", weights="none")
CLASSES = 6
PATCHES = PatchConfig(patch=0.3, erased=0.2, source_size=64, rounds=2)
EVIDENCE = TransformConfig(input_size=32, resize_size=40)


class Brightness:
    """Grounds a class where a mixture of its own of the three colours is strongest."""

    def __init__(self, cells: int = 8) -> None:
        self.cells = cells
        self.mixtures = torch.rand(CLASSES, 3, generator=torch.Generator().manual_seed(3)).double()
        self.asked: list[tuple[int, int]] = []

    def maps(self, images: Tensor) -> Tensor:
        cells = functional.adaptive_avg_pool2d(images.double() + 3, self.cells)
        return torch.einsum("cd,nduv->ncuv", self.mixtures, cells)

    def __call__(self, images: Tensor, classes: Tensor | int) -> Grounded:
        maps = self.maps(images)
        logits = maps.amax((2, 3))
        if isinstance(classes, int):
            if classes > CLASSES:
                raise UserError("too many")
            classes = logits.topk(classes).indices
        self.asked.append((len(images), classes.shape[1]))
        chosen = maps.gather(1, classes[..., None, None].expand(-1, -1, self.cells, self.cells))
        return Grounded(logits.float(), classes, chosen.float())


def classifier(seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    network = PlainNetwork.create(PlainConfig(backbone=BACKBONE), CLASSES)
    torch.nn.init.normal_(network.backbone.classifier.weight, std=0.5)
    return Classifier.place(network, SLOW)


def photographs(count: int, size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 8, 8, generator=generator)
    large = functional.interpolate(small, size=(size, size), mode="bilinear")
    return (large * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def conventional(grounding: Brightness | None = None) -> ConventionalCNN:
    return ConventionalCNN(classifier(), grounding or Brightness())


def zoom(grounding: Brightness | None = None, patches: PatchConfig = PATCHES) -> GuidedZoom:
    return GuidedZoom(conventional(grounding), classifier(1), patches, EVIDENCE, mirrored=False)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, CLASSES), st.integers(0, 2), st.booleans())
def test_agrees_with_the_algorithm_class_by_class(
    seed: int, count: int, top_k: int, rounds: int, elsewhere: bool
) -> None:
    grounding, config = Brightness(), replace(PATCHES, rounds=rounds, elsewhere=elsewhere)
    base = conventional(grounding)
    images = photographs(count, 48, seed)
    found = find_evidence(base, images, config, top_k)
    assert found.places.shape == (count, top_k, rounds + 1, 2)

    def ground(image: np.ndarray, target: int) -> np.ndarray:
        inputs = base.classifier.inputs(torch.from_numpy(image)[None])
        return grounding(inputs, torch.tensor([[target]])).maps[0, 0].double().numpy()

    for image, classes, places, boxes in zip(images, found.classes, found.places, found.boxes, strict=True):
        for target, place, box in zip(classes.tolist(), places, boxes, strict=True):
            expected = naive_rounds(image.numpy(), target, ground, config)
            assert_close(place.double(), torch.tensor(expected.places).double(), rtol=0, atol=1e-4)
            assert [tuple(each) for each in box.tolist()] == expected.boxes


def test_a_black_square_is_not_evidence() -> None:
    """A class that sees darkness finds the square that its first evidence left; it must look elsewhere."""
    grounding = Brightness()
    grounding.mixtures = -torch.ones(CLASSES, 3).double()  # their maps are largest where the image is dark
    maps = grounding.maps
    grounding.maps = lambda images: maps(images) + 20  # type: ignore[method-assign]
    images = photographs(2, 48)
    again, new = (
        find_evidence(conventional(grounding), images, replace(PATCHES, elsewhere=e), 1) for e in (False, True)
    )
    assert_close(again.places[:, 0, 0], again.places[:, 0, 1])
    apart = (new.places[:, 0, 1:] - new.places[:, 0, :1]).abs().amax(-1)
    assert (apart >= PATCHES.erased * PATCHES.source_size / 2).all()


def test_a_batch_is_as_good_as_one_after_the_other() -> None:
    made, images, source = zoom(), photographs(3, 48), photographs(3, 64)
    together = made.evidence(images, source, 4)
    for index in range(3):
        alone = made.evidence(images[index : index + 1], source[index : index + 1], 4)
        for one, other in zip(alone, together, strict=True):
            assert_close(one[0], other[index], rtol=1e-4, atol=1e-5)


def test_classes_that_look_at_the_same_place_share_the_pass_and_the_patch() -> None:
    grounding = Brightness()
    grounding.mixtures = grounding.mixtures[:1] * torch.linspace(1, 2, CLASSES)[:, None]  # all see the same
    done = zoom(grounding).evidence(photographs(2, 48), photographs(2, 64), 3)
    assert done.forwards.tolist() == [1 + 2] * 2
    assert done.patches.tolist() == [3] * 2
    assert grounding.asked == [(2, 3), (2, 3), (2, 3)]


def test_nothing_is_shared_between_images_or_places() -> None:
    grounding = Brightness()
    grounding.mixtures = torch.eye(3).double().repeat(2, 1)
    grounding.mixtures[3:] /= 2  # the three best classes are those of the three colours
    images = torch.zeros(2, 48, 48, 3, dtype=torch.uint8)
    for channel in range(3):
        images[:, 12 * channel : 12 * channel + 6, :6, channel] = 255
        images[:, 12 * channel : 12 * channel + 6, -6:, channel] = 200 + channel
    done = zoom(grounding).evidence(images, photographs(2, 64), 3)
    assert done.classes.remainder(3).sort(dim=1).values.tolist() == [[0, 1, 2]] * 2
    assert done.forwards.tolist() == [1 + 3 * 2] * 2


def test_erased_in_another_order_is_the_same_image() -> None:
    """Two classes see the same two places, each the other first: the third round needs one image."""
    grounding = Brightness()
    grounding.mixtures = torch.tensor([[1.0, 0.6, 0.0], [0.6, 1.0, 0.0]]).double().repeat(3, 1)
    images = torch.zeros(1, 48, 48, 3, dtype=torch.uint8)
    images[0, 6:12, 6:12, 0] = 255
    images[0, 36:42, 36:42, 1] = 255
    done = zoom(grounding).evidence(images, photographs(1, 64), CLASSES)
    first, second = (done.places[0, done.classes[0] % 2 == each][0] for each in (0, 1))
    assert_close(first[:2], second[:2].flip(0))
    assert done.forwards.tolist() == [1 + 2 + 1]


@pytest.mark.parametrize("stretch", [False, True])
def test_scores_are_those_of_the_patch_that_pillow_cuts(stretch: bool) -> None:
    made = zoom(patches=replace(PATCHES, stretch=stretch))
    images, source = photographs(2, 48), photographs(2, 64, seed=5)
    evidence = made.evidence(images, source, 2)
    for index in range(2):
        for rank, target in enumerate(evidence.classes[index].tolist()):
            for number in range(3):
                left, top, right, bottom = evidence.boxes[index, rank, number].tolist()
                patch = Image.fromarray(source[index].numpy()).crop((left, top, right, bottom))
                if stretch:
                    patch = patch.resize((19, 19), Image.Resampling.BILINEAR)
                whole = Geometry.identity(Size(*patch.size)).resize(Size(40, 40)).centre_crop(Size(32, 32))
                pixels = torch.from_numpy(np.asarray(whole.pixels(patch)).copy())[None, None]
                expected = made.evidence_cnn.probabilities(pixels)[0, target]
                assert_close(evidence.scores[index, rank, number], expected, rtol=0, atol=0.01)


def test_logits_may_be_added_instead_of_probabilities() -> None:
    made, images, source = zoom(), photographs(2, 48), photographs(2, 64)
    scores = made.evidence(images, source, CLASSES).scores
    raw = replace(made, scores=Scores.LOGITS).evidence(images, source, CLASSES).scores
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert raw.min() < 0


@pytest.mark.parametrize("kind", Scores)
def test_a_mirrored_patch_counts_as_much_as_the_patch_itself(kind: Scores) -> None:
    made = replace(zoom(), scores=kind)
    images, source = photographs(2, 48), photographs(2, 64)
    once, twice = made.evidence(images, source, 3), replace(made, mirrored=True).evidence(images, source, 3)
    which = torch.arange(2).repeat_interleave(9)[:, None]
    views = made._views(source, torch.cat((which, once.boxes.flatten(0, 2)), dim=1)).flip(2)
    logits = made.evidence_cnn.logits(views).decision.float()
    scores = logits.softmax(1) if kind is Scores.PROBABILITIES else logits
    classes = once.classes[..., None].expand(-1, -1, 3).reshape(-1, 1)
    mirror = scores.gather(1, classes).view_as(once.scores)
    assert (mirror - once.scores).abs().max() > 0.01
    assert_close(twice.scores, (once.scores + mirror) / 2, rtol=1e-4, atol=1e-5)
    assert torch.equal(twice.patches, 2 * once.patches)
    assert torch.equal(twice.forwards, once.forwards)


def test_the_batch_of_patches_changes_nothing() -> None:
    made, images, source = zoom(), photographs(2, 48), photographs(2, 64)
    expected = made.evidence(images, source, 3).scores
    assert_close(replace(made, batch_size=2).evidence(images, source, 3).scores, expected, rtol=1e-4, atol=1e-5)


def test_an_image_without_evidence_looks_at_its_middle_and_says_so() -> None:
    done = zoom().evidence(torch.full((1, 48, 48, 3), 7, dtype=torch.uint8), photographs(1, 64), 2)
    assert done.found[0, :, 0].tolist() == [False, False]
    assert done.places[0, :, 0].tolist() == [[32.0, 32.0]] * 2


def test_a_patch_larger_than_the_view_is_the_view() -> None:
    made = zoom(patches=replace(PATCHES, patch=1.0))
    boxes = made.evidence(photographs(1, 48), photographs(1, 64), 1).boxes
    assert (boxes[..., 2:] - boxes[..., :2] <= 64).all()
    assert (boxes >= 0).all()


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


@pytest.mark.parametrize("method", list(GroundingMethod))
def test_what_is_grounded_is_the_copy_that_answers_and_was_placed(method: GroundingMethod) -> None:
    network = PlainNetwork.create(PlainConfig(backbone=BACKBONE), CLASSES)
    torch.nn.init.normal_(network.backbone.classifier.weight, std=0.5)
    config = GroundingConfig(method=method, layer="layer3", masks=2)
    base, images = ConventionalCNN.place(network, config, SLOW), photographs(2, 48)
    for each in network.modules():
        if isinstance(each, torch.nn.BatchNorm2d):  # folded away in the copy, which shares all other weights
            torch.nn.init.zeros_(each.weight)
    assert base.answer(images, 2).logits.std(0).max() > 0.01


def test_s3n_in_bfloat16_leaves_evidence_that_can_be_kept() -> None:
    torch.manual_seed(0)
    network = S3N.create(S3NConfig(backbone=BACKBONE), CLASSES, 96)
    config = GroundingConfig(layer="layer3")
    base = ConventionalCNN.place(network, config, replace(SLOW, precision="bf16"))
    zoomed = GuidedZoom(base, classifier(1), PATCHES, EVIDENCE)
    found = zoomed.evidence(photographs(2, 96), photographs(2, 64), 2)
    assert found.logits.dtype is torch.float32
    records = [ImageRecord(str(number), b"", 0, "finch") for number in range(2)]
    kept = evidence_rows(records, found, evidence_schema(CLASSES, 2, 3))
    assert_close(EvidenceTable.of(kept, 3).evidence.logits, found.logits)


def test_the_centre_of_a_patch_is_what_a_centre_crop_shows() -> None:
    part = centre_part(torch.tensor([[10, 20, 50, 60]]), EVIDENCE)
    crop = Geometry.identity(Size(40, 40)).resize(Size(40, 40)).centre_crop(Size(32, 32)).window
    assert part[0].tolist() == [10 + crop.left, 20 + crop.top, 10 + crop.right, 20 + crop.bottom]


def test_logits_that_are_not_finite_are_refused() -> None:
    grounding = Brightness()
    grounding.mixtures[0] = torch.nan
    with pytest.raises(UserError, match="a network's answer must be finite; that for 2 of 2 images is NaN"):
        zoom(grounding).evidence(photographs(2, 48), photographs(2, 64), 2)


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


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_look_is_the_evidence_with_what_was_seen_on_the_way(mirrored: bool) -> None:
    grounding = Brightness()
    made = replace(zoom(grounding), batch_size=4, mirrored=mirrored)
    images, source = photographs(2, 48), photographs(2, 64)
    evidence, look = made.evidence(images, source, 3), made.look(images, source, 3)
    for ours, theirs in zip(look.evidence, evidence, strict=True):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert_close(look.probabilities, evidence.scores, rtol=1e-4, atol=1e-5)
    assert torch.equal(look.seen[:, :, 0], images[:, None].expand(-1, 3, -1, -1, -1))
    for index, rank, number in [(0, 0, 1), (1, 2, 2)]:
        erased = [
            naive_box(x * 48 / 64, y * 48 / 64, round(0.2 * 48), 48, 48)
            for x, y in evidence.places[index, rank, :number].tolist()
        ]
        expected = torch.from_numpy(naive_erased(images[index].numpy(), erased))
        assert torch.equal(look.seen[index, rank, number], expected)
        again = made.conventional.answer(expected[None], evidence.classes[index, rank][None, None]).maps[0, 0]
        left = naive_elsewhere(again.double().numpy(), erased, 48)
        assert_close(look.maps[index, rank, number].double(), torch.from_numpy(left), rtol=1e-4, atol=1e-5)


def test_the_features_of_a_look_are_what_the_evidence_cnn_decides_from() -> None:
    made = zoom()
    look = made.look(photographs(2, 48), photographs(2, 64), 2)
    network = made.evidence_cnn.network
    assert isinstance(network, PlainNetwork)
    answers = network.backbone.classifier(look.features).softmax(-1)
    chosen = look.evidence.classes[:, :, None, None].expand(-1, -1, 3, 1)
    assert_close(answers.gather(-1, chosen)[..., 0].detach(), look.probabilities, rtol=1e-4, atol=1e-5)


def test_no_more_images_at_a_time_than_are_asked_for() -> None:
    """However many erased images a batch has: the memory of a pass goes with the images in it."""
    sizes: list[int] = []
    brightness = Brightness()

    def grounding(images: Tensor, classes: Tensor | int) -> Grounded:
        sizes.append(len(images))
        return brightness(images, classes)

    base = ConventionalCNN(classifier(), grounding, batch_size=4)
    images = photographs(6, 64)
    found = find_evidence(base, images, PATCHES, 3)
    assert max(sizes) == 4
    assert sum(sizes) == found.forwards.sum() > 6
    whole = find_evidence(ConventionalCNN(classifier(), Brightness()), images, PATCHES, 3)
    assert_close(found.logits, whole.logits)
    assert torch.equal(found.boxes, whole.boxes)
