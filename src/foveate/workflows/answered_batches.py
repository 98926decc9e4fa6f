"""What a run's network answers for the photographs of a split, batch by batch: by this process, or by an engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from foveate.config.branches import Branch
from foveate.config.data import TestViews
from foveate.data.loading import EvaluationViews, ViewsOf, evaluation_loader
from foveate.data.records import ImageRecord
from foveate.engines.ray_engine import Bulk, engine_of
from foveate.inference.classifier import Classifier
from foveate.runs.context import RunContext
from foveate.runs.run import Run


class AnsweredBatch(NamedTuple):
    """Every branch's probabilities for a batch of photographs, and how long the network took."""

    answers: Mapping[Branch, Float[np.ndarray, "b c"]]
    seconds: float
    photographs: int


def answered_batches(
    classifier: Classifier, run: Run, records: Sequence[ImageRecord], views: TestViews, context: RunContext
) -> Iterator[AnsweredBatch]:
    """Return the answers for photographs, in their order.

    Args:
        classifier: The run's network, placed as the context says.
        run: The same run: what an engine's workers load.
        records: The photographs.
        views: Which views of each are averaged.
        context: Says who answers, and for how many photographs at a time.

    Raises:
        UserError: A photograph cannot be read, or an answer is not finite; or the engine's own.
    """
    engine, transforms, size = engine_of(context.engine), run.config.transforms, context.batch_size
    if engine is None:
        loader = evaluation_loader(EvaluationViews(records, transforms, views), size, workers=context.hardware.workers)
        return (_answered(classifier, batch.images) for batch in loader)
    answering = _Answering(run.path, _for_workers(context), classifier.zoom_entropy_threshold, classifier.branch)
    batches = [records[start : start + size] for start in range(0, len(records), size)]
    gpu = context.hardware.accelerator != "cpu"
    return engine.answers(Bulk(batches, ViewsOf(transforms, views), answering, gpu=gpu))


@dataclass(frozen=True)
class _Answering:
    """Loads the run's network in a worker."""

    run: Path
    context: RunContext
    zoom_entropy_threshold: float | None
    branch: Branch | None

    def __call__(self) -> Callable[[Sequence[UInt8[np.ndarray, "v H W 3"]]], AnsweredBatch]:
        classifier = self.context.classifier_of(
            Run.open(self.run), zoom_entropy_threshold=self.zoom_entropy_threshold, branch=self.branch
        )
        return lambda views: _answered(classifier, torch.from_numpy(np.stack(views)))


def _for_workers(context: RunContext) -> RunContext:
    return replace(context, say=print, results=None)


def _answered(classifier: Classifier, images: UInt8[Tensor, "b v H W 3"]) -> AnsweredBatch:
    began = time.perf_counter()
    answers = classifier.branch_probabilities(images)
    seconds = time.perf_counter() - began
    return AnsweredBatch({branch: each.numpy() for branch, each in answers.items()}, seconds, len(images))
