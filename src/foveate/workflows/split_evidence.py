"""The evidence for the best classes of every photograph of a split, found once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from foveate.config.data import Split, TestViews, TransformConfig
from foveate.data.images import upright_size
from foveate.data.records import ImageRecord, groups_of, photograph_of
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.evaluation.evidence_table import EvidenceTable, evidence_schema
from foveate.evaluation.pointing_game import HitSummary, annotations_of, hits_of, summarise
from foveate.files.documents import read_json, write_json
from foveate.files.hashes import hash_of_file
from foveate.files.table_parts import TableInParts
from foveate.guided_zoom.config import RefinementConfig
from foveate.guided_zoom.pool import hash_of_photographs
from foveate.hardware import autocast_dtype, device_of
from foveate.progress import progress
from foveate.runs.context import HERE, RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.workflows.scored_batches import Scoring, scored_batches

_PART = 64


def evidence_of_split(
    zoom: GuidedZoomRun, split: Split | str, refinement: RefinementConfig, *, context: RunContext = HERE
) -> EvidenceTable:
    """Return the evidence of a split for the five best classes (more where more are asked for); keep it on disk.

    What is kept is used again; what was stopped goes on with the part it was at, in the precision that it was begun in.

    Raises:
        UserError: What is kept is of other networks or photographs, or is a part, found in another precision.
    """
    run, split = zoom.base_run(), Split(split)
    device_of(context.hardware)
    records = context.readable(run, context.photographs_of(run, split))
    top_k = min(max(5, refinement.top_k), len(run.class_names))
    rounds = zoom.description.pool.patches.rounds + 1
    mirrored = "-mirrored" if refinement.mirrored else ""
    folder = zoom.path / "splits" / f"{split}-top-{top_k}-{refinement.scores.value}{mirrored}"
    schema = evidence_schema(len(run.class_names), top_k, rounds)
    parts = TableInParts(folder, schema, len(records), _PART, "`foveate guided-zoom`")
    precision = _checked_precision(parts, zoom, records, context)
    if parts.missing():
        _score(Scoring(zoom, refinement, top_k, schema, context.hardware), parts, records, context)
    return EvidenceTable.of(parts.read(), rounds, precision, groups_of(records))


def hits_of_split(
    zoom: GuidedZoomRun, split: Split | str, table: EvidenceTable, *, context: RunContext = HERE
) -> HitSummary | None:
    """Say where the peaks of the network's own answers fall; None where the photographs have no boxes."""
    run = zoom.base_run()
    known = {record.id: record for record in context.photographs_of(run, split)}
    records = [known[each] for each in table.ids]
    annotations = annotations_of(records)
    if np.isnan(annotations.boxes).all():
        return None
    view = replace(run.config.transforms, source_size=zoom.description.pool.patches.source_size)
    own = table.evidence.places[:, 0].double().numpy(), table.evidence.found[:, 0].numpy()
    places = np.stack([_in_photograph(places, record, view) for places, record in zip(own[0], records, strict=True)])
    return summarise(hits_of(places, own[1], annotations), annotations)


def _in_photograph(
    places: Float[np.ndarray, "r 2"], record: ImageRecord, transforms: TransformConfig
) -> Float[np.ndarray, "r 2"]:
    photograph = photograph_of(record.image)
    (view,) = evaluation_geometries(
        upright_size(photograph, record.id, largest_megapixels=None), transforms, TestViews.CENTRE
    )
    return view.points_back(places)


def _checked_precision(
    parts: TableInParts, zoom_run: GuidedZoomRun, records: Sequence[ImageRecord], context: RunContext
) -> str:
    """Write down what evidence is of, or check what is kept; return the precision that it is found in."""
    origin = {
        "network_hash": zoom_run.description.network_hash,
        "evidence_hash": hash_of_file(zoom_run.evidence_run().weights),
        "data_hash": hash_of_photographs(records),
    }
    file, missing = parts.folder / "origin.json", len(parts.missing())
    precision = str(autocast_dtype(context.hardware)).removeprefix("torch.")
    if not file.exists():
        write_json(file, origin | {"precision": precision})
        return precision
    kept = dict(read_json(file))
    before = str(kept.pop("precision", "float32"))  # older ones do not say it: their first answers were in float32
    if kept != origin:
        raise UserError(
            f"kept evidence belongs to the networks and photographs that it was found with; {parts.folder} is of "
            "others; remove that folder, and it is found anew"
        )
    if before == precision:
        return precision
    if missing == len(parts):  # nothing was found yet
        write_json(file, origin | {"precision": precision})
        return precision
    if missing:
        raise UserError(
            f"the evidence of a split is found in one precision; {parts.folder} has {len(parts) - missing} of its "
            f"{len(parts)} parts, in {before}, and the others would be in {precision}; give --hardware.precision "
            f"{before.replace('bfloat16', 'bf16')}, or remove that folder, and it is found anew"
        )
    context.say(
        f"the evidence kept in {parts.folder} was found in {before}, answers are given here in {precision}: some "
        "probabilities differ in their third digit; remove that folder, and it is found anew"
    )
    return before


def _score(scoring: Scoring, parts: TableInParts, records: Sequence[ImageRecord], context: RunContext) -> None:
    missing = parts.missing()
    chunks, count = [records[parts.members(index)] for index in missing], 0
    scored = scored_batches(scoring, chunks, context)
    with progress("scoring", sum(map(len, chunks)), context.say) as advance:
        for index, chunk, rows in zip(missing, chunks, scored, strict=True):
            parts.write(index, rows)
            count += len(chunk)
            advance(count)
