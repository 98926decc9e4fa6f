"""Batches are a function of seed, epoch and position: not of workers, processes or what came before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from foveate.config.data import TestViews, TrainCrop, TransformConfig
from foveate.data.datasets import DatasetFormat, load_dataset
from foveate.data.images import ImageError
from foveate.data.loading import (
    Batch,
    EpochOrder,
    EvaluationViews,
    TrainingViews,
    default_workers,
    evaluation_loader,
    training_loader,
)
from foveate.data.records import ImageDataset, ImageRecord

SMALL = TransformConfig(input_size=32, resize_size=40)


class Shown(NamedTuple):
    """One example of a batch."""

    position: int
    label: int
    views: Tensor


@pytest.fixture(scope="module")
def birds(plumage: Path) -> ImageDataset:
    return load_dataset(plumage, DatasetFormat.CUB)


@pytest.fixture(scope="module")
def training(birds: ImageDataset) -> TrainingViews:
    return TrainingViews(birds.train, SMALL, seed=3)


def examples(batches: Iterable[Batch]) -> list[Shown]:
    return [
        Shown(int(position), int(label), views)
        for batch in batches
        for views, label, position in zip(batch.images, batch.labels, batch.position, strict=True)
    ]


def epoch(views: TrainingViews, number: int, batch_size: int = 8, rank: int = 0, processes: int = 1) -> list[Shown]:
    """One epoch of a loader made for it alone."""
    loader = training_loader(views, batch_size, workers=0, rank=rank, processes=processes)
    loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
    return examples(loader)


def order(shown: Iterable[Shown]) -> list[int]:
    return [example.position for example in shown]


def same(left: list[Shown], right: list[Shown]) -> bool:
    return len(left) == len(right) and all(
        a[:2] == b[:2] and torch.equal(a.views, b.views) for a, b in zip(left, right, strict=True)
    )


def test_workers_change_nothing(training: TrainingViews) -> None:
    """Two epochs of one loader whose workers live on, against loaders that decode in this process."""
    loader = training_loader(training, 8, workers=2)
    for number in (0, 1):
        loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
        assert same(examples(loader), epoch(training, number))


def test_a_view_is_a_function_of_seed_epoch_and_position(birds: ImageDataset, training: TrainingViews) -> None:
    torch.manual_seed(1)
    first = epoch(training, 2, batch_size=8)
    torch.manual_seed(2)
    np.random.seed(2)
    resumed = TrainingViews(birds.train, SMALL, seed=3)
    assert same(first, epoch(resumed, 2, batch_size=5))
    by_position = {example.position: example.views for example in first}
    for other in (epoch(training, 1), epoch(TrainingViews(birds.train, SMALL, seed=4), 2)):
        assert not any(torch.equal(example.views, by_position[example.position]) for example in other)


def test_photographs_of_one_epoch_do_not_share_a_draw(birds: ImageDataset) -> None:
    one = TrainingViews([birds.train[0]] * 12, SMALL, seed=0)
    shown = epoch(one, 0)
    assert len({example.views.numpy().tobytes() for example in shown}) == 12


@pytest.mark.parametrize("count", [24, 23])
def test_processes_share_the_epoch_out(birds: ImageDataset, count: int) -> None:
    views = TrainingViews(birds.train[:count], SMALL, seed=3)
    alone = epoch(views, 1)
    left, right = (epoch(views, 1, batch_size=4, rank=rank, processes=2) for rank in (0, 1))
    padded = [*alone, *alone[: count % 2]]
    assert same([example for pair in zip(left, right, strict=True) for example in pair], padded)
    assert len(EpochOrder(count, 3, rank=1, processes=2)) == len(right) == 12


def test_more_processes_than_photographs() -> None:
    shares = [list(EpochOrder(3, 0, rank=rank, processes=7)) for rank in range(7)]
    assert [len(share) for share in shares] == [1] * 7
    assert {share[0].position for share in shares} == {0, 1, 2}


def test_an_epochs_order_is_a_permutation_of_its_own(training: TrainingViews) -> None:
    orders = {}
    for seed in (0, 1):
        sampler = EpochOrder(50, seed)
        for number in (0, 1, 2):
            sampler.set_epoch(number)
            drawn = list(sampler)
            assert list(sampler) == drawn
            assert {draw.epoch for draw in drawn} == {number}
            orders[seed, number] = tuple(draw.position for draw in drawn)
    assert all(sorted(drawn) == list(range(50)) for drawn in orders.values())
    assert len({*orders.values(), tuple(range(50))}) == 7
    assert order(epoch(training, 1)) == [draw.position for draw in _order_of(training, 1)]


def _order_of(views: TrainingViews, number: int) -> EpochOrder:
    sampler = EpochOrder(len(views), views.seed)
    sampler.set_epoch(number)
    return sampler


def test_every_place_of_the_order_is_equally_likely() -> None:
    sampler = EpochOrder(4, 0)
    firsts: Counter[int] = Counter()
    for number in range(400):
        sampler.set_epoch(number)
        firsts[next(iter(sampler)).position] += 1
    assert sorted(firsts.values()) == pytest.approx([100] * 4, abs=30)  # three standard deviations


def test_a_training_batch(birds: ImageDataset, training: TrainingViews) -> None:
    loader = training_loader(training, 9, workers=0)
    batches = list(loader)
    assert [tuple(batch.images.shape) for batch in batches] == [(9, 1, 32, 32, 3)] * 2 + [(6, 1, 32, 32, 3)]
    assert {batch.images.dtype for batch in batches} == {torch.uint8}
    for example in examples(batches):
        assert example.label == birds.train[example.position].label


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_keeps_the_records_order(birds: ImageDataset, workers: int) -> None:
    views = EvaluationViews(birds.test, SMALL)
    shown = examples(evaluation_loader(views, 5, workers=workers))
    assert order(shown) == list(range(12))
    assert [example.label for example in shown] == [record.label for record in birds.test]
    for example, record in zip(shown, birds.test, strict=True):
        assert isinstance(record.image, Path)
        squashed = Image.open(record.image).convert("RGB").resize((40, 40), Image.Resampling.BILINEAR)
        expected = np.asarray(squashed.crop((4, 4, 36, 36)), dtype=int)
        assert np.abs(example.views[0].numpy() - expected).max() <= 1  # a grey level of rounding


def test_ten_crops_of_each_photograph(birds: ImageDataset) -> None:
    views = EvaluationViews(birds.test[:3], SMALL, TestViews.TEN_CROP)
    (batch,) = evaluation_loader(views, 5, workers=0)
    assert batch.images.shape == (3, 10, 32, 32, 3)
    assert batch.images.dtype == torch.uint8
    for plain, mirrored in pairwise(range(10)):
        if plain % 2 == 0:
            assert torch.equal(batch.images[:, plain], batch.images[:, mirrored].flip(2))
    (centre,) = evaluation_loader(EvaluationViews(birds.test[:3], SMALL), 5, workers=0)
    assert torch.equal(batch.images[:, :1], centre.images)


def test_training_follows_the_transforms(birds: ImageDataset) -> None:
    """Offset crops of one size in pixels, unmirrored: each view is a slice of the squashed photograph."""
    exact = TransformConfig(input_size=90, resize_size=96, train_crop=TrainCrop.OFFSET, flip=0.0)
    record = birds.train[0]
    assert isinstance(record.image, Path)
    photograph = np.asarray(Image.open(record.image).convert("RGB"))
    slices = {photograph[top : top + 90, left : left + 90].tobytes() for top in range(7) for left in range(7)}
    shown = epoch(TrainingViews([record] * 6, exact, seed=0), 0)
    assert photograph.shape == (96, 96, 3)
    assert all(example.views.numpy().tobytes() in slices for example in shown)


def test_a_photograph_that_vanished_is_named(tmp_path: Path) -> None:
    gone = ImageRecord("gone", tmp_path / "gone.jpg", 0, "wren")
    with pytest.raises(ImageError, match=r"image not found: .*gone\.jpg"):
        list(evaluation_loader(EvaluationViews([gone], SMALL), 1, workers=0))


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (4, 3), (64, 8)])
def test_default_workers(cores: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveate.data.loading.processors", lambda: cores)
    assert default_workers() == expected
