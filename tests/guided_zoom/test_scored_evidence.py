"""Evidence of a batch, cut out and scored by the Evidence CNN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from brightness import (
    BACKBONE,
    CLASSES,
    EVIDENCE,
    PATCHES,
    SLOW,
    Brightness,
    classifier,
    photographs,
    zoom,
)
from foveate.data.geometry import Geometry
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.evidence_table import EvidenceTable, evidence_rows, evidence_schema
from foveate.grounding.config import GroundingConfig
from foveate.guided_zoom.config import Scores
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.networks.plain import PlainNetwork
from foveate.s3n.config import S3NConfig
from foveate.s3n.network import S3N
from foveate.types import Size
from oracles.guided_zoom import naive_box, naive_elsewhere, naive_erased


def test_a_batch_is_as_good_as_one_after_the_other() -> None:
    made, images, source = zoom(), photographs(3, 48), photographs(3, 64)
    together = made.evidence(images, source, 4)
    for index in range(3):
        alone = made.evidence(images[index : index + 1], source[index : index + 1], 4)
        for one, other in zip(alone, together, strict=True):
            assert_close(one[0], other[index], rtol=1e-4, atol=1e-5)


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


def test_logits_that_are_not_finite_are_refused() -> None:
    grounding = Brightness()
    grounding.mixtures[0] = torch.nan
    with pytest.raises(UserError, match="a network's answer must be finite; that for 2 of 2 images is NaN"):
        zoom(grounding).evidence(photographs(2, 48), photographs(2, 64), 2)


@pytest.mark.parametrize("mirrored", [False, True])
def test_an_output_is_the_evidence_with_what_was_seen_on_the_way(mirrored: bool) -> None:
    grounding = Brightness()
    made = replace(zoom(grounding), batch_size=4, mirrored=mirrored)
    images, source = photographs(2, 48), photographs(2, 64)
    evidence, output = made.evidence(images, source, 3), made.output(images, source, 3)
    for ours, theirs in zip(output.evidence, evidence, strict=True):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert_close(output.probabilities, evidence.scores, rtol=1e-4, atol=1e-5)
    assert torch.equal(output.erased[:, :, 0], images[:, None].expand(-1, 3, -1, -1, -1))
    for index, rank, number in [(0, 0, 1), (1, 2, 2)]:
        erased = [
            naive_box(x * 48 / 64, y * 48 / 64, round(0.2 * 48), 48, 48)
            for x, y in evidence.places[index, rank, :number].tolist()
        ]
        expected = torch.from_numpy(naive_erased(images[index].numpy(), erased))
        assert torch.equal(output.erased[index, rank, number], expected)
        again = made.conventional.answer(expected[None], evidence.classes[index, rank][None, None]).maps[0, 0]
        left = naive_elsewhere(again.double().numpy(), erased, 48)
        assert_close(output.maps[index, rank, number].double(), torch.from_numpy(left), rtol=1e-4, atol=1e-5)


def test_the_features_of_an_output_are_what_the_evidence_cnn_decides_from() -> None:
    made = zoom()
    output = made.output(photographs(2, 48), photographs(2, 64), 2)
    network = made.evidence_cnn.network
    assert isinstance(network, PlainNetwork)
    answers = network.backbone.classifier(output.features).softmax(-1)
    chosen = output.evidence.classes[:, :, None, None].expand(-1, -1, 3, 1)
    assert_close(answers.gather(-1, chosen)[..., 0].detach(), output.probabilities, rtol=1e-4, atol=1e-5)
