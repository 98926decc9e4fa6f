"""Photographs to batches: every draw is a function of (seed, epoch, index) and of nothing else.

So the batches are the same whatever the number of worker processes, in one process or several, and after a resume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from foveate.config.data import TestViews, TransformConfig
from foveate.data.geometry import Geometry
from foveate.data.images import read_views
from foveate.data.raster import Views
from foveate.data.records import ImageRecord
from foveate.data.transforms import evaluation_geometries, train_geometry
from foveate.hardware import processors
from foveate.types import Size

_ORDER, _VIEW = 0, 1  # streams of random numbers that must not coincide


class Batch(NamedTuple):
    """``v`` views of each of some photographs (one in training), RGB in 0..255, channels last as they are decoded.

    ``position`` is the photograph's place in the list of records.
    """

    images: UInt8[Tensor, "b v H W 3"]
    labels: Int64[Tensor, " b"]
    position: Int64[Tensor, " b"]


class Draw(NamedTuple):
    """Which photograph to show, in which epoch, and how often it was shown in it before."""

    epoch: int
    position: int
    repeat: int = 0


class TrainingViews(Dataset[Batch]):
    """One random view of each photograph, drawn anew in each epoch."""

    def __init__(self, records: Sequence[ImageRecord], transforms: TransformConfig, seed: int) -> None:
        self.records = records
        self.transforms = transforms
        self.seed = seed

    def __len__(self) -> int:
        """Return the number of photographs."""
        return len(self.records)

    def __getitem__(self, draw: Draw) -> Batch:
        """Return the view of one photograph in one epoch, without the batch dimension."""
        record = self.records[draw.position]
        again = [draw.repeat] if draw.repeat else []

        def drawn(size: Size) -> tuple[Geometry, ...]:
            generator = np.random.default_rng([self.seed, _VIEW, draw.epoch, draw.position, *again])
            return (train_geometry(size, self.transforms, generator),)

        return _example(
            read_views(record.image, drawn, record.id, largest_megapixels=None), record.label, draw.position
        )


class EvaluationViews(Dataset[Batch]):
    """The fixed views of each photograph."""

    def __init__(
        self,
        records: Sequence[ImageRecord],
        transforms: TransformConfig,
        views: TestViews = TestViews.CENTRE,
    ) -> None:
        self.records = records
        self.transforms = transforms
        self.views = views

    def __len__(self) -> int:
        """Return the number of photographs."""
        return len(self.records)

    def __getitem__(self, index: int) -> Batch:
        """Return the views of one photograph, without the batch dimension."""
        record = self.records[index]
        views = partial(evaluation_geometries, config=self.transforms, views=self.views)
        return _example(read_views(record.image, views, record.id, largest_megapixels=None), record.label, index)


@dataclass(frozen=True)
class ViewsOf:
    """Decodes the fixed views of one photograph, as `EvaluationViews` does; in any process."""

    transforms: TransformConfig
    views: TestViews = TestViews.CENTRE

    def __call__(self, record: ImageRecord) -> UInt8[np.ndarray, "v H W 3"]:
        """Return them.

        Raises:
            ImageError: The photograph cannot be read.
        """
        return EvaluationViews((record,), self.transforms, self.views)[0].images.numpy()


def _example(views: Views, label: int, index: int) -> Batch:
    pixels = np.stack([np.asarray(picture) for picture in views.pictures()])
    return Batch(torch.from_numpy(pixels), torch.tensor(label), torch.tensor(index))


class EpochOrder(Sampler[Draw]):
    """The order of one epoch, shared out between processes; Lightning calls `set_epoch` before each.

    With several processes the order is padded from its start so that each has the same number of photographs.

    Args:
        count: Of the photographs.
        seed: Of the order.
        rank: Which of the processes this is.
        processes: How many there are.
        balanced: The label of each photograph, where as many of each class are shown; None: each is shown once.
    """

    def __init__(
        self, count: int, seed: int, *, rank: int = 0, processes: int = 1, balanced: Sequence[int] | None = None
    ) -> None:
        self.count = count
        self.balanced = balanced
        self.seed = seed
        self.rank = rank
        self.processes = processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration draws."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Draw]:
        """Yield this process's share of the epoch's order."""
        generator = np.random.default_rng([self.seed, _ORDER, self.epoch])
        if self.balanced is None:
            order, repeats = generator.permutation(self.count), np.zeros(self.count, np.int64)
        else:
            order, repeats = balanced_order(np.asarray(self.balanced), generator)
        length, share = len(self) * self.processes, slice(self.rank, None, self.processes)
        drawn = zip(np.resize(order, length)[share], np.resize(repeats, length)[share], strict=True)
        return (Draw(self.epoch, int(index), int(repeat)) for index, repeat in drawn)

    def __len__(self) -> int:
        """Return how many photographs this process sees in an epoch."""
        return -(-self.count // self.processes)


def balanced_order(
    labels: Int64[np.ndarray, " n"], generator: np.random.Generator
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Return n places in which each class is as often as every other, but for one, and how often each came before.

    Within a class every photograph is drawn once before one is drawn again.

    Args:
        labels: Of the photographs.
        generator: Draws the order.
    """
    classes = generator.permutation(np.unique(labels))
    shares = np.full(len(classes), len(labels) // len(classes)) + (np.arange(len(classes)) < len(labels) % len(classes))
    places, repeats = [], []
    for label, share in zip(classes, shares, strict=True):
        own = np.flatnonzero(labels == label)
        rounds = -(-share // len(own))
        places.append(np.concatenate([generator.permutation(own) for _ in range(rounds)])[:share])
        repeats.append(np.repeat(np.arange(rounds), len(own))[:share])
    shuffled = generator.permutation(len(labels))
    return np.concatenate(places)[shuffled], np.concatenate(repeats)[shuffled]


def default_workers() -> int:
    """One decoding process per core but one, at least one and at most eight."""
    return min(max(processors() - 1, 1), 8)


def training_loader(
    views: TrainingViews,
    batch_size: int,
    *,
    workers: int | None = None,
    rank: int = 0,
    processes: int = 1,
    epoch: int = 0,
    balanced: Sequence[int] | None = None,
) -> DataLoader[Batch]:
    """Return the loader of training batches; `batch_size` is that of one process.

    Args:
        views: What is shown.
        batch_size: Photographs of one process at a time.
        workers: Processes that decode; None: as `default_workers` says.
        rank: Which of the training processes this is.
        processes: How many train together.
        epoch: The first epoch that is drawn, counted from 0. Lightning starts the workers before it first calls
            `set_epoch`, so that a resumed training would show them the photographs of epoch 0.
        balanced: As in `EpochOrder`.
    """
    order = EpochOrder(len(views), views.seed, rank=rank, processes=processes, balanced=balanced)
    order.set_epoch(epoch)
    return _loader(views, batch_size, workers, order)


def evaluation_loader(views: EvaluationViews, batch_size: int, *, workers: int | None = None) -> DataLoader[Batch]:
    """Return the loader of test batches, in the order of the records."""
    return _loader(views, batch_size, workers, None)


def _loader(
    views: Dataset[Batch], batch_size: int, workers: int | None, order: Sampler[Draw] | None
) -> DataLoader[Batch]:
    workers = default_workers() if workers is None else workers
    return DataLoader(
        views,
        batch_size=batch_size,
        sampler=order,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # Its own, so that making an iterator draws nothing from the stream that dropout uses.
        generator=torch.Generator(),
    )
