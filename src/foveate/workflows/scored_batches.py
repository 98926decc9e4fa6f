"""What a Guided Zoom finds and scores in batches of photographs: by this process, or by an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import UInt8
from torch import Tensor

from foveate.config.data import TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.loading import EvaluationViews, ViewsOf, evaluation_loader
from foveate.data.records import ImageRecord
from foveate.engines.ray_engine import Bulk, engine_of
from foveate.evaluation.evidence_table import evidence_rows
from foveate.guided_zoom.config import RefinementConfig
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.hardware import with_precision_said
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.workflows.load_guided_zoom import load_guided_zoom

_Viewed = tuple[ImageRecord, UInt8[np.ndarray, "1 H W 3"], UInt8[np.ndarray, "1 Hs Ws 3"]]


@dataclass(frozen=True)
class Scoring:
    """How evidence is found and scored: all that a worker needs."""

    zoom: GuidedZoomRun
    refinement: RefinementConfig
    """Of which the scores count, and whether patches are mirrored."""
    top_k: int
    schema: pa.Schema
    """Of a row of evidence."""
    hardware: HardwareConfig

    def __call__(self) -> Callable[[Sequence[_Viewed]], pa.Table]:
        """Load both networks; return what finds and scores the evidence of a batch."""
        networks = self.networks()

        def rows(batch: Sequence[_Viewed]) -> pa.Table:
            records, images, source = zip(*batch, strict=True)
            return self.rows(networks, records, *(torch.from_numpy(np.concatenate(each)) for each in (images, source)))

        return rows

    def networks(self) -> GuidedZoom:
        """Load both networks; errors as in `load_guided_zoom`."""
        loaded = load_guided_zoom(self.zoom, self.hardware)
        return replace(loaded, scores=self.refinement.scores, mirrored=self.refinement.mirrored)

    def rows(
        self,
        networks: GuidedZoom,
        records: Sequence[ImageRecord],
        images: UInt8[Tensor, "b H W 3"],
        source: UInt8[Tensor, "b Hs Ws 3"],
    ) -> pa.Table:
        """Return a row for each photograph."""
        return evidence_rows(records, networks.evidence(images, source, self.top_k), self.schema)

    def views(self) -> tuple[TransformConfig, TransformConfig]:
        """Return how the network sees a photograph, and how patches are cut from it."""
        seen = self.zoom.base_run().config.transforms
        return seen, replace(seen, source_size=self.zoom.description.pool.patches.source_size)


def scored_batches(
    scoring: Scoring, batches: Sequence[Sequence[ImageRecord]], context: RunContext
) -> Iterator[pa.Table]:
    """Return the rows of each batch of photographs, in their order.

    Args:
        scoring: How.
        batches: The photographs, equally many in all but the last.
        context: Says who does it.

    Raises:
        UserError: A photograph cannot be read, or the network's logits are not finite; or the engine's own.
    """
    engine, views = engine_of(context.engine), scoring.views()
    if engine is not None:
        decode, gpu = _View(*map(ViewsOf, views)), scoring.hardware.accelerator != "cpu"
        # In the precision that is written down with the evidence, whatever a worker's processor would take.
        fixed = replace(scoring, hardware=with_precision_said(scoring.hardware))
        return engine.answers(Bulk(batches, decode, fixed, gpu=gpu))
    return _scored(scoring, batches, context.hardware.workers)


def _scored(scoring: Scoring, batches: Sequence[Sequence[ImageRecord]], workers: int | None) -> Iterator[pa.Table]:
    networks, records = scoring.networks(), [record for batch in batches for record in batch]
    # One loader for all batches, so that its processes start once.
    loaded = [
        iter(evaluation_loader(EvaluationViews(records, each), len(batches[0]), workers=workers))
        for each in scoring.views()
    ]
    for batch in batches:
        small, large = (next(each).images[:, 0] for each in loaded)
        yield scoring.rows(networks, batch, small, large)


@dataclass(frozen=True)
class _View:
    seen: ViewsOf
    source: ViewsOf

    def __call__(self, record: ImageRecord) -> _Viewed:
        return record, self.seen(record), self.source(record)
