"""The proof of an artefact: every test photograph through float32 eager and through the file, compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from foveate.data.loading import Batch
from foveate.data.records import ImageRecord
from foveate.inference.classifier import Classifier
from foveate.workflows.export.config import ExportPrecision
from foveate.workflows.export.foveate_loader import Network
from foveate.workflows.export.traced import AnsweringNetwork

LARGEST_DIFFERENCE = 1e-3
"""Of a logit in float32."""
TIES = 0.005
"""Share of photographs in which a peak may fall otherwise: in one of two equal cells, as rounding has it."""
LOST = 0.005
"""Share of photographs that bf16 or int8 may get wrong more than float32."""
_MEGABYTE = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What an artefact answers, compared with the run's own network in float32."""

    precision: ExportPrecision
    split: str
    """Whose photographs both answered for."""
    photographs: int
    of: int
    """How many the split has."""
    logit_difference: float
    """The largest, over all classes and photographs, ties left out."""
    probability_difference: float
    """The same of calibrated probabilities; the run's are those of `foveate predict`."""
    other_top1: int
    """Photographs whose best class is another."""
    ties: tuple[str, ...]
    """Photographs where a network that looks closer looked elsewhere: their logits differ by more than 0.001, or their
    best classes."""
    looks_closer: bool
    """Whether peaks say where the network looks again: then ties are possible."""
    top1: float
    """Of the run's network, in [0, 1]."""
    exported_top1: float
    milliseconds: float
    """Of the run's network for one photograph, in batches, decoding left out: the median batch's."""
    exported_milliseconds: float
    batch_size: int
    threads: int
    megabytes: float
    """Of the run's weights."""
    exported_megabytes: float

    @property
    def problem(self) -> str | None:
        """What does not hold; None: it is proved."""
        if self.precision is not ExportPrecision.FLOAT32:
            lost = round((self.top1 - self.exported_top1) * self.photographs)  # a whole number, but for rounding
            if lost <= LOST * self.photographs:
                return None
            return f"it is right on {lost} photographs fewer; at most {100 * LOST:g}% of them may be lost"
        if len(self.ties) > (TIES * self.photographs if self.looks_closer else 0):
            allowed = f"at most {100 * TIES:g}% may, where peaks tie" if self.looks_closer else "none may"
            return (
                f"the logits of {len(self.ties)} differ by more than {LARGEST_DIFFERENCE:g}, or their best classes "
                f"({self.ties[0]!r} first); "
                f"{allowed}"
            )
        return None

    def lines(self) -> list[str]:
        """Return it in words, as it is printed."""
        shown = f"{self.photographs} {self.split} photographs"
        shown += "" if self.photographs == self.of else f" of {self.of}"
        tied = f"; a peak falls otherwise in {len(self.ties)} of them" if self.ties else ""
        other = f"another top-1 in {self.other_top1}" if self.other_top1 else "the same top-1 in all"
        return [
            f"proof on {shown}: logits within {self.logit_difference:.1e}, probabilities within "
            f"{self.probability_difference:.1e}, {other}{tied}",
            f"top-1 {100 * self.exported_top1:.2f}%, in float32 eager {100 * self.top1:.2f}%",
            f"{self.exported_milliseconds:.1f} ms a photograph, eager {self.milliseconds:.1f} (batches of "
            f"{self.batch_size}, {self.threads} threads); {self.exported_megabytes:.1f} MB, the run's weights "
            f"{self.megabytes:.1f}",
        ]


@dataclass(frozen=True, slots=True)
class Compared:
    """The answers of both to the same photographs, and how long a photograph took in each batch, in milliseconds."""

    logits: tuple[Float[np.ndarray, "n c"], Float[np.ndarray, "n c"]]
    probabilities: tuple[Float[np.ndarray, "n c"], Float[np.ndarray, "n c"]]
    labels: Int64[np.ndarray, " n"]
    milliseconds: tuple[float, float]


def compare(classifier: Classifier, eager: AnsweringNetwork, exported: Network, batches: Iterable[Batch]) -> Compared:
    """Ask both about the same photographs, a batch at a time, in turn.

    Args:
        classifier: The run's network in float32, as `foveate predict` asks it.
        eager: What makes its answers to logits.
        exported: The artefact's.
        batches: One view of each photograph.
    """
    answers: list[tuple[NDArray[np.float32], ...]] = []
    times: list[tuple[float, float]] = []
    labels = []
    for batch in batches:
        images = batch.images[:, 0]
        began = time.perf_counter()
        logits, probabilities = _eager(classifier, eager, images)
        between = time.perf_counter()
        exported_probabilities, exported_logits = exported(images.numpy())
        ended = time.perf_counter()
        answers.append((logits.numpy(), exported_logits, probabilities.numpy(), exported_probabilities))
        times.append((1e3 * (between - began) / len(images), 1e3 * (ended - between) / len(images)))
        labels.append(batch.labels.numpy())
    own, theirs, own_probabilities, their_probabilities = (np.concatenate(each) for each in zip(*answers, strict=True))
    each = [statistics.median(side) for side in zip(*times, strict=True)]
    return Compared((own, theirs), (own_probabilities, their_probabilities), np.concatenate(labels), (each[0], each[1]))


def _eager(
    classifier: Classifier, eager: AnsweringNetwork, images: Tensor
) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    branches = None if eager.weights is None else eager.deciding
    answers = classifier.logits(images, branches).present()
    probabilities = {branch: logits.float().softmax(-1) for branch, logits in answers.items()}
    return eager.decided(answers), classifier.calibration.decided(probabilities)


def proof_of(
    compared: Compared,
    records: Sequence[ImageRecord],
    *,
    precision: ExportPrecision,
    split: str,
    of: int,
    looks_closer: bool,
    batch_size: int,
    megabytes: tuple[float, float],
) -> Proof:
    """Return what a comparison proves; `megabytes` are those of the run's weights and of the artefact."""
    difference = np.abs(np.subtract(*compared.logits)).max(axis=1)
    # Written so that what is no number is a difference.
    best = [each.argmax(axis=1) for each in compared.logits]
    other = ~(difference <= LARGEST_DIFFERENCE) | (best[0] != best[1])
    tied = other if precision is ExportPrecision.FLOAT32 else np.zeros(len(records), bool)
    same = ~tied if (~tied).any() else slice(None)
    return Proof(
        precision=precision,
        split=split,
        photographs=len(records),
        of=of,
        logit_difference=float(difference[same].max()),
        probability_difference=float(np.abs(np.subtract(*compared.probabilities))[same].max()),
        other_top1=int((best[0] != best[1]).sum()),
        ties=tuple(record.id for record, tie in zip(records, tied, strict=True) if tie),
        looks_closer=looks_closer,
        top1=float((best[0] == compared.labels).mean()),
        exported_top1=float((best[1] == compared.labels).mean()),
        milliseconds=round(compared.milliseconds[0], 2),
        exported_milliseconds=round(compared.milliseconds[1], 2),
        batch_size=batch_size,
        threads=torch.get_num_threads(),
        megabytes=round(megabytes[0] / _MEGABYTE, 2),
        exported_megabytes=round(megabytes[1] / _MEGABYTE, 2),
    )
