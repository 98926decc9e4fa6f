"""Measure what an S3N run's sparse attention falls on (S3N, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from foveate.config.data import OnError
from foveate.config.hardware import HardwareConfig
from foveate.errors import UserError
from foveate.evaluation.hit_rate import AttentionSummary, PeakList, joined, peaks_by_strength, summarise_attention
from foveate.evaluation.pointing_game import annotations_of
from foveate.files.documents import append_json_line, write_json, write_text
from foveate.report.attention import attention_chart, attention_markdown
from foveate.runs.run import Run, environment
from foveate.workflows.analysis.annotated import Analysis
from foveate.workflows.evaluate import records_of


@dataclass(frozen=True, slots=True)
class AttentionReport:
    """What was measured, and where it was written."""

    summary: AttentionSummary
    report: Path
    """The Markdown; the numbers lie beside it as JSON, the charts as PNG."""
    markdown: str


def analyse_attention(
    run: Run | Path | str,
    *,
    split: str = "test",
    root: Path | None = None,
    on_error: OnError | None = None,
    batch_size: int = 32,
    hardware: HardwareConfig | None = None,
    results: Path | None = None,
    say: Callable[[str], None] = print,
) -> AttentionReport:
    """Count hits and nearest parts; write `evaluation/<split>-attention` as Markdown, JSON and PNG.

    Args:
        run: A finished S3N run, or its folder.
        split: train, validation or test.
        root: Where the data set lies now, if it has moved since the training.
        on_error: What to do about photographs that cannot be read; None: as the training did.
        batch_size: Photographs at a time.
        hardware: Where to compute; None: the fast choice of this machine.
        results: A file of JSON lines to which one row is added.
        say: Receives lines of progress.

    Raises:
        UserError: The run is not one of S3N, the photographs have no boxes, no photograph has a peak, or as
            `foveate.evaluate` does.
    """
    analysis = Analysis.of(run, root=root, on_error=on_error, batch_size=batch_size, hardware=hardware, say=say)
    analysis.classifier.network.check_response_peaks()
    records = analysis.boxed(records_of(analysis.run, analysis.data, split), "the attention")
    say(f"looking at {len(records)} photographs")
    lists = []
    for batch, views in analysis.batches(records, "looking"):
        observed = analysis.classifier.response_peaks(batch.images[:, 0])
        listed = peaks_by_strength(observed.response.cpu().numpy(), observed.peaks.cpu().numpy(), analysis.size)
        places = [view.points_back(each) for view, each in zip(views, listed.places, strict=True)]
        lists.append(PeakList(np.stack(places), listed.found))
    summary = summarise_attention(joined(lists), annotations_of(records))
    if summary is None:
        raise UserError(
            f"sparse attention is analysed by its peaks; that of {analysis.run.path} has none in {len(records)} "
            "photographs: its response is flat or its attention dense; analyse a trained run with sparse attention"
        )
    if not summary.parts:
        say("no part is annotated in these photographs: strong and weak attention are not counted by part")
    title = f"{analysis.run.path.name}, {split} split"
    report = analysis.report(f"{split}-attention", "attention")
    done = AttentionReport(summary, report, attention_markdown(summary, title))
    if results is not None:
        append_json_line(results, _row(analysis, split, summary))
    _write(analysis, done, split, title)
    return done


def _write(analysis: Analysis, done: AttentionReport, split: str, title: str) -> None:
    write_text(done.report, done.markdown)
    content = {
        "run": str(analysis.run.path),
        "dataset": analysis.run.description.dataset,
        "root": str(analysis.data.root),
        "split": split,
        **asdict(done.summary),
        "settings": analysis.settings,
        "environment": environment(),
    }
    attention_chart(done.summary, done.report.with_suffix(".png"), title)
    write_json(done.report.with_suffix(".json"), content)  # last: `reproduce` takes it for the sign that all is there


def _row(analysis: Analysis, split: str, summary: AttentionSummary) -> dict[str, object]:
    """Return one row of a results file, shares in per cent."""
    return {
        "measured": "attention",
        **analysis.row(split, summary.photographs),
        "mean_hit_rate": round(100 * summary.mean_hit_rate, 2),
        "strongest_hit_rate": round(100 * summary.strongest_hit_rate, 2),
        "without_peaks": summary.without_peaks,
        "peaks": summary.peaks,
        "hits": summary.hits,
        "parts": {name: asdict(counts) for name, counts in summary.parts.items()},
    }
