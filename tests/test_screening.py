"""The screening of fine-tuning: windows and folds by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from foveate.config.networks import BackboneConfig, PlainConfig
from foveate.networks.plain import PlainNetwork
from screening.mixing import patched
from screening.photographs import FOLDS, Photographs
from screening.plan import PLAN
from screening.settings import Settings
from screening.teachers import reading
from screening.views import test_boxes as centre_boxes
from screening.views import training_boxes, trivial_augment, windows


def _photographs() -> Photographs:
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 0, 1])
    splits = torch.tensor([0] * 6 + [1] * 2)
    return Photographs("some", torch.zeros(8, 3, 8, 8, dtype=torch.uint8), torch.ones(8), labels, splits)


def test_each_training_photograph_is_held_out_once_and_no_test_photograph_before_the_last_fold() -> None:
    folds = [_photographs().fold(number) for number in range(FOLDS)]
    assert sorted(torch.cat([held for _, held in folds]).tolist()) == list(range(6))
    assert all(set(learned.tolist()) | set(held.tolist()) == set(range(6)) for learned, held in folds)
    learned, held = _photographs().fold(FOLDS)
    assert (learned.tolist(), held.tolist()) == (list(range(6)), [6, 7])


def test_a_window_is_cut_resized_and_mirrored() -> None:
    columns = torch.arange(8.0).repeat(8, 1)
    images = columns.expand(2, 3, 8, 8)
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 1.0, 0.5]])
    views = windows(images, boxes, 4, torch.tensor([False, True]))
    assert views.shape == (2, 3, 4, 4)
    # Four of the eight columns, two samples in each cell, the last beyond the middle of the last column is that column.
    assert views[0, 0, 0].tolist() == pytest.approx([0.125, 1.0, 2.0, 3.0], abs=0.13)
    assert views[1, 0, 0].tolist() == pytest.approx([7.0, 6.0, 5.0, 4.0], abs=0.13)


def test_a_square_centre_view_has_the_same_pixels_either_way() -> None:
    (box,) = centre_boxes(torch.tensor([2.0]), 0.5, square=True)
    assert box.tolist() == [0.375, 0.25, 0.625, 0.75]  # a quarter of the width is half of the height
    (box,) = centre_boxes(torch.tensor([2.0]), 0.5, square=False)
    assert box.tolist() == [0.25, 0.25, 0.75, 0.75]


def test_training_windows_lie_inside_and_are_as_large_as_was_asked() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = training_boxes(torch.ones(500), 0.5, 4 / 3, generator, square=False)
    assert bool(((boxes >= 0) & (boxes <= 1 + 1e-6)).all())
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert 0.4 < float(areas.min()) < 0.56 < 0.9 < float(areas.max()) <= 1


def test_an_augmented_view_is_still_an_image() -> None:
    images = torch.rand(64, 3, 16, 16) * 255
    changed = trivial_augment(images, torch.Generator().manual_seed(0))
    assert changed.shape == images.shape
    assert bool(changed.isfinite().all())
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 255
    unchanged = (changed == images).flatten(1).all(1)
    assert bool(unchanged.any())
    assert not bool(unchanged.all())


def test_a_box_of_the_next_photograph_counts_by_its_area_or_by_its_evidence() -> None:
    network = PlainNetwork.create(PlainConfig(backbone=BackboneConfig(architecture="resnet18", weights="none")), 2)
    views = torch.cat([torch.zeros(1, 3, 64, 64), torch.full((1, 3, 64, 64), 200.0)])
    labels, targets = torch.tensor([0, 1]), torch.eye(2)
    cut, shares = patched(network, Settings(patched="cutmix"), views, labels, targets, 0)
    inside = (cut[0] > 100).all(0)
    assert float(shares[0, 1]) == pytest.approx(float(inside.float().mean()), abs=0.04)  # whole pixels
    assert shares.sum(1).tolist() == pytest.approx([1, 1])
    assert bool((cut[0][:, ~inside] == 0).all())
    _, evidence = patched(network, Settings(patched="snapmix"), views, labels, targets, 0)
    assert float(evidence.min()) > 0
    assert float(evidence.max()) < 1
    assert network.training
    same, _ = patched(network, Settings(patched="cutmix", share_patched=0.0), views, labels, targets, 0)
    assert same is views


def test_the_plan_begins_with_what_is_the_default() -> None:
    assert next(iter(PLAN.values())) == Settings()
    assert len(set(PLAN.values())) == len(PLAN)
    assert Path(__file__).parents[1].joinpath("results", "screening.jsonl").is_file()


def test_a_teachers_features_are_read_off_the_networks_own() -> None:
    """Ridge regression on a line: slope 2 shrinks by the tenth that is added to the diagonal, the mean is kept."""
    first = torch.tensor([[0.0], [1.0], [2.0]])
    layer = reading(first, 2 * first - 2)
    assert layer.weight.item() == pytest.approx(2 / 1.1)
    assert layer(torch.tensor([[1.0]])).item() == pytest.approx(0.0, abs=1e-6)
