"""Photographs to batches: every draw is a function of (seed, epoch, index) and of nothing else.

So the batches are the same whatever the number of worker processes, in one process or several, and after a resume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from foveate.config.data import TestViews, TransformConfig
from foveate.data.images import read_image
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
    """Which photograph to show, and in which epoch."""

    epoch: int
    position: int


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
        image = read_image(record.image, record.id, largest_megapixels=None)
        generator = np.random.default_rng([self.seed, _VIEW, draw.epoch, draw.position])
        view = train_geometry(Size(*image.size), self.transforms, generator).pixels(image)
        return _example([np.asarray(view)], record.label, draw.position)


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
        image = read_image(record.image, record.id, largest_megapixels=None)
        geometries = evaluation_geometries(Size(*image.size), self.transforms, self.views)
        pixels = [np.asarray(geometry.pixels(image)) for geometry in geometries]
        return _example(pixels, record.label, index)


def _example(views: Sequence[np.ndarray], label: int, index: int) -> Batch:
    return Batch(torch.from_numpy(np.stack(views)), torch.tensor(label), torch.tensor(index))


class EpochOrder(Sampler[Draw]):
    """The order of one epoch, shared out between processes; Lightning calls `set_epoch` before each.

    With several processes the order is padded from its start so that each has the same number of photographs.
    """

    def __init__(self, count: int, seed: int, *, rank: int = 0, processes: int = 1) -> None:
        self.count = count
        self.seed = seed
        self.rank = rank
        self.processes = processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration draws."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Draw]:
        """Yield this process's share of the epoch's order."""
        order = np.random.default_rng([self.seed, _ORDER, self.epoch]).permutation(self.count)
        padded = np.resize(order, len(self) * self.processes)
        return (Draw(self.epoch, int(index)) for index in padded[self.rank :: self.processes])

    def __len__(self) -> int:
        """Return how many photographs this process sees in an epoch."""
        return -(-self.count // self.processes)


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
    """
    order = EpochOrder(len(views), views.seed, rank=rank, processes=processes)
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
