"""Which evidence of its training photographs enters a network's pool (Guided Zoom, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from foveate.data.records import ImageRecord
from foveate.guided_zoom.config import Keep, PoolConfig
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.evidence_rounds import evidence_round
from foveate.guided_zoom.pool import SCHEMA


class Admission(NamedTuple):
    """What becomes of a round of some photographs."""

    enters: Bool[Tensor, " n"]
    """Its evidence enters the pool."""
    goes_on: Bool[Tensor, " n"]
    """There is another round."""


def admission(correct: Bool[Tensor, " n"], number: int, keep: Keep) -> Admission:
    """Say what becomes of round `number`, 0 being the first, of photographs that are classified correctly or not."""
    enters = correct | (number == 0 and keep is not Keep.CORRECT)
    return Admission(enters, enters if keep is Keep.ERASED_CORRECT else correct)


def pool_rows(
    conventional: ConventionalCNN,
    images: UInt8[Tensor, "b H W 3"],
    records: Sequence[ImageRecord],
    config: PoolConfig,
) -> pa.Table:
    """Return the evidence of a batch of photographs for their true classes, photograph by photograph.

    Raises:
        UserError: The network's logits are not finite.
    """
    images = images.to(conventional.classifier.device)
    labels = torch.tensor([record.label for record in records], device=images.device)
    live = torch.arange(len(images), device=images.device)
    squares = labels.new_zeros(len(images), 1, 0, 4)
    rows: list[tuple[int, dict[str, object]]] = []
    for number in range(config.patches.rounds + 1):
        if not len(live):
            break
        target = labels[live, None]
        latest_round = evidence_round(conventional, images[live], target, squares[live], config.patches)
        logits, evidence = latest_round.logits, latest_round.evidence
        enters, goes_on = admission(logits[:, 0].argmax(1) == target[:, 0], number, config.keep)
        probability = logits[:, 0].softmax(1).gather(1, target)
        columns = (live, evidence.places[:, 0], evidence.found[:, 0], evidence.boxes[:, 0], probability[:, 0])
        rows += [
            (position, _row(records[position], number, *values))
            for position, *values in zip(*(each[enters].tolist() for each in columns), strict=True)
        ]
        latest = squares.new_zeros(len(images), 1, 1, 4)
        latest[live, :, 0] = evidence.squares
        squares = torch.cat((squares, latest), dim=2)
        live = live[goes_on]
    rows.sort(key=lambda row: row[0])  # stable: the rounds of a photograph stay in their order
    return pa.Table.from_pylist([row for _, row in rows], schema=SCHEMA)


def _row(
    record: ImageRecord, number: int, place: Sequence[float], found: bool, box: Sequence[int], probability: float
) -> dict[str, object]:
    edges = dict(zip(("left", "top", "right", "bottom"), box, strict=True))
    where = {"x": place[0], "y": place[1], "found": found, "probability": probability}
    return {"id": record.id, "label": record.label, "round": number, **where, **edges}
