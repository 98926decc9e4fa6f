"""Measure what an S3N run's sparse attention falls on (S3N, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from foveate.config.data import Split
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.hit_rate import AttentionSummary, PeakList, joined, peaks_by_strength, summarise_attention
from foveate.evaluation.pointing_game import annotations_of
from foveate.files.documents import write_json, write_text
from foveate.report.attention import attention_chart, attention_markdown
from foveate.report.result_versions import Measured
from foveate.runs.context import HERE, RunContext
from foveate.runs.environment import environment
from foveate.runs.run import Run
from foveate.workflows.analysis.analysed_run import Analysis
from foveate.workflows.result_rows import add_row, result_row


@dataclass(frozen=True, slots=True)
class AttentionReport:
    """What was measured, and where it was written."""

    summary: AttentionSummary
    report: Path
    """The Markdown; the numbers lie beside it as JSON, the charts as PNG."""
    markdown: str


def analyse_attention(
    run: Run | Path | str, *, split: Split | str = Split.TEST, context: RunContext = HERE
) -> AttentionReport:
    """Count hits and nearest parts; write `evaluation/<split>-attention` as Markdown, JSON and PNG.

    Args:
        run: A finished S3N run, or its folder.
        split: Whose photographs are looked at.
        context: As `RunContext` says.

    Raises:
        UserError: The run is not one of S3N, the photographs have no boxes, no photograph has a peak, or as
            `foveate.evaluate` does.
    """
    analysis, split = Analysis.of(run, context), Split(split)
    analysis.classifier.network.check_response_peaks()
    records = analysis.boxed(context.photographs_of(analysis.run, split), "the attention")
    context.say(f"looking at {len(records)} photographs")
    summary = summarise_attention(_peaks(analysis, records), annotations_of(records))
    if summary is None:
        raise UserError(
            f"sparse attention is analysed by its peaks; that of {analysis.run.path} has none in {len(records)} "
            "photographs: its response is flat or its attention dense; analyse a trained run with sparse attention"
        )
    if not summary.parts:
        context.say("no part is annotated in these photographs: strong and weak attention are not counted by part")
    title = f"{analysis.run.path.name}, {split} split"
    path = analysis.report(f"{split}-attention", "attention")
    report = AttentionReport(summary, path, attention_markdown(summary, title))
    if context.results is not None:
        add_row(context.results, _row(analysis, split, summary))
    _write(analysis, report, split, title)
    return report


def _peaks(analysis: Analysis, records: Sequence[ImageRecord]) -> PeakList:
    """Return the peaks of every photograph, in its own pixels."""
    lists = []
    for batch, views in analysis.batches(records, "looking"):
        observed = analysis.classifier.response_peaks(batch.images[:, 0])
        listed = peaks_by_strength(observed.response.cpu().numpy(), observed.peaks.cpu().numpy(), analysis.size)
        places = [view.points_back(each) for view, each in zip(views, listed.places, strict=True)]
        lists.append(PeakList(np.stack(places), listed.found))
    return joined(lists)


def _write(analysis: Analysis, report: AttentionReport, split: Split, title: str) -> None:
    """Write everything; the JSON last, which `reproduce` takes for the sign that all is there."""
    write_text(report.report, report.markdown)
    content = {
        **analysis.document(split),
        **asdict(report.summary),
        "settings": analysis.settings,
        "environment": environment(),
    }
    attention_chart(report.summary, report.report.with_suffix(".png"), title)
    write_json(report.report.with_suffix(".json"), content)


def _row(analysis: Analysis, split: Split, summary: AttentionSummary) -> dict[str, object]:
    """Return one row of a results file, shares in per cent."""
    return {
        **result_row(Measured.ATTENTION, analysis.run, split, summary.photographs),
        "mean_hit_rate": round(100 * summary.mean_hit_rate, 2),
        "strongest_hit_rate": round(100 * summary.strongest_hit_rate, 2),
        "without_peaks": summary.without_peaks,
        "peaks": summary.peaks,
        "hits": summary.hits,
        "parts": {name: asdict(counts) for name, counts in summary.parts.items()},
    }
