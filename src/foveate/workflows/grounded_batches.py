"""Where a network sees its evidence in batches of photographs: by this process, or by an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import UInt8

from foveate.config.hardware import HardwareConfig
from foveate.data.loading import EvaluationViews, ViewsOf, evaluation_loader
from foveate.data.records import ImageRecord
from foveate.engines.ray_engine import Bulk, engine_of
from foveate.guided_zoom.config import PoolConfig
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.pool_rule import pool_rows
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.workflows.looker import loaded_looker

_Viewed = tuple[ImageRecord, UInt8[np.ndarray, "1 H W 3"]]


def grounded_batches(
    conventional: ConventionalCNN,
    run: Run,
    batches: Sequence[Sequence[ImageRecord]],
    config: PoolConfig,
    context: RunContext,
    looker: Run | None = None,
) -> Iterator[pa.Table]:
    """Return the evidence of each batch of photographs, as `pool_rows` does.

    Args:
        conventional: The run's network, placed and grounded as the context and the pool say.
        run: The same run: what an engine's workers load.
        batches: The photographs.
        config: What the pool holds.
        context: Says who does it.
        looker: Of the network that is grounded in its place, as `conventional` has it.

    Raises:
        UserError: A photograph cannot be read, or the network's logits are not finite; or the engine's own.
    """
    engine, views = engine_of(context.engine), ViewsOf(run.config.transforms)
    if engine is not None:
        place = None if looker is None else looker.path
        grounding, gpu = _Grounding(run.path, config, context.hardware, place), context.hardware.accelerator != "cpu"
        return engine.answers(Bulk(batches, _View(views), grounding, gpu=gpu))
    return _grounded(conventional, run, batches, config, context.hardware.workers)


def _grounded(
    conventional: ConventionalCNN,
    run: Run,
    batches: Sequence[Sequence[ImageRecord]],
    config: PoolConfig,
    workers: int | None,
) -> Iterator[pa.Table]:
    # One loader for all parts, so that its processes start once; photograph by photograph, since parts need not be
    # whole batches.
    shown = EvaluationViews([record for batch in batches for record in batch], run.config.transforms)
    loaded = iter(evaluation_loader(shown, 1, workers=workers))
    for batch in batches:
        images = torch.cat([next(loaded).images[:, 0] for _ in batch])
        yield pool_rows(conventional, images, batch, config)


@dataclass(frozen=True)
class _View:
    views: ViewsOf

    def __call__(self, record: ImageRecord) -> _Viewed:
        return record, self.views(record)


@dataclass(frozen=True)
class _Grounding:
    """Places and grounds the run's network in a worker."""

    run: Path
    config: PoolConfig
    hardware: HardwareConfig
    looker: Path | None

    def __call__(self) -> Callable[[Sequence[_Viewed]], pa.Table]:
        network = Run.open(self.run).load_network()
        looking = loaded_looker(None if self.looker is None else Run.open(self.looker))
        conventional = ConventionalCNN.place(network, self.config.grounding, self.hardware, looking)

        def rows(batch: Sequence[_Viewed]) -> pa.Table:
            records, views = zip(*batch, strict=True)
            return pool_rows(conventional, torch.from_numpy(np.concatenate(views)), records, self.config)

        return rows
