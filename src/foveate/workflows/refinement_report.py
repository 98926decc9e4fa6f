"""What a Guided Zoom does to a split: as Markdown and JSON in its folder, and as a row of results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate.config.data import Split
from foveate.config.networks import NAMED_WEIGHTS
from foveate.evaluation.accuracy import Accuracy
from foveate.evaluation.bootstrap import Estimate
from foveate.evaluation.evidence_table import EvidenceTable
from foveate.evaluation.pointing_game import HitSummary
from foveate.evaluation.refinement_change import RefinementChange
from foveate.files.documents import unstructured, write_json, write_text
from foveate.guided_zoom.config import EvidenceStart, RefinementConfig
from foveate.report.result_versions import Measured
from foveate.report.tables import accuracies_markdown, markdown_table, percentages
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.result_rows import add_row, zoom_row

_OTHERS = "Other decisions, of the papers' tables; choose one by photographs held out (`foveate tune`), not by these"


@dataclass(frozen=True, slots=True)
class RefinementRow:
    """One way to decide, and what it does to a split."""

    config: RefinementConfig
    change: RefinementChange
    p_value: float
    """Exact test against the network's own answers (`foveate.evaluation.mcnemar`)."""


@dataclass(frozen=True, slots=True)
class RefinementReport:
    """What was measured of a Guided Zoom on a split."""

    zoom: GuidedZoomRun
    split: Split
    table: EvidenceTable
    rows: tuple[RefinementRow, ...]
    """The decision that was asked for first, then those of the papers' tables."""
    before: Accuracy
    """Of the network's own answers."""
    after: Accuracy
    """Of the decision that was asked for."""
    difference: Estimate
    """After minus before, in top-1, with its paired interval."""
    hits: HitSummary | None
    """Where the peaks of the network's own answers fall; None: no photograph has a box."""
    tuned_on: str | None
    """The split that the decision was fitted to; None: it was given."""

    def written(self, context: RunContext) -> RefinementReport:
        """Write `evaluation/<split>` as Markdown and JSON, say the former, and add the row where that is asked for."""
        file, markdown = self.file, self.markdown
        write_text(file, markdown)
        content: dict[str, Any] = {"cost": self._cost, "rows": [unstructured(row) for row in self.rows]}
        content |= {name: unstructured(getattr(self, name)) for name in ("before", "after", "difference")}
        content["hits"] = None if self.hits is None else unstructured(self.hits)
        write_json(file.with_suffix(".json"), content)
        if context.results is not None:
            add_row(context.results, self.row())
        context.say(markdown)
        return self

    @property
    def file(self) -> Path:
        """Where the Markdown is written."""
        return self.zoom.path / "evaluation" / f"{self.split}.md"

    @property
    def markdown(self) -> str:
        """A sentence, the accuracies before and after, the papers' other decisions, the cost and the peaks."""
        others = [row for row in self.rows[1:] if row.config != self.rows[0].config]
        blocks = [
            f"### {' '.join(self.zoom.path.name.split())}, {self.split} split\n\n{self._sentence()}\n",
            accuracies_markdown({"its network alone": self.before, "with the evidence": self.after}),
            refinement_markdown(self.rows[:1], "The decision"),
            *([refinement_markdown(others, _OTHERS)] if others else []),
            self._cost_markdown(),
            *([] if self.hits is None else [hits_markdown(self.hits)]),
        ]
        return "\n".join(blocks)

    def _sentence(self) -> str:
        (after, interval), (before, own) = percentages(self.after.top1), percentages(self.before.top1)
        row, points = self.rows[0], 100 * self.difference.value
        change, low, high = row.change, 100 * self.difference.low, 100 * self.difference.high
        stayed = change.changed - change.mended - change.spoiled
        more = f"{abs(points):.1f} points {'less' if points < 0 else 'more'}" if change.changed else "the same"
        return (
            f"{after}% of {self.after.images:,} photographs are right ({interval}), {before}% by its network alone "
            f"({own}): {more}, 95% interval {low:+.1f} to {high:+.1f}, p = {row.p_value:.2g}. The evidence changed "
            f"{change.changed} answers: {change.mended} wrong ones became right, {change.spoiled} right ones wrong, "
            f"{stayed} stayed wrong."
        )

    @property
    def _cost(self) -> dict[str, float]:
        """Passes a photograph of the two networks."""
        evidence = self.table.evidence
        return {name: float(getattr(evidence, name).float().mean()) for name in ("forwards", "patches")}

    def _cost_markdown(self) -> str:
        rounds, k = self.zoom.description.pool.patches.rounds, self.table.evidence.classes.shape[1]
        patches = k * (rounds + 1) * (2 if self.rows[0].config.mirrored else 1)
        return (
            f"Evidence of {k} classes in {rounds + 1} rounds: {self._cost['forwards']:.1f} passes of the network a "
            f"photograph ({1 + k * rounds} if none were shared), {self._cost['patches']:.1f} of the Evidence CNN "
            f"({patches}).\n"
        )

    def row(self) -> dict[str, object]:
        """Return one row of a results file, in per cent."""
        zoom, row, hits = self.zoom, self.rows[0], self.hits
        run, evidence, pool = zoom.base_run(), zoom.evidence_run(), zoom.description.pool
        looker = zoom.looker_run()
        return {
            **zoom_row(Measured.REFINEMENT, zoom, self.split, len(self.table.ids)),
            "source_size": pool.patches.source_size,
            "base_source_size": run.config.transforms.source,
            "grounding": f"{pool.grounding.method}{'' if looker is None else f' of {looker.config.network.base}'}",
            "top_k": row.config.top_k,
            "rounds": row.config.rounds,
            "weights": list(row.config.weights),
            "tuned_on": self.tuned_on,
            "keep": pool.keep.value,
            "stretch": pool.patches.stretch,
            "scores": row.config.scores.value,
            "whole": pool.whole,
            "mirrored": row.config.mirrored,
            "before": round(100 * row.change.before, 2),
            "top1": round(100 * row.change.after, 2),
            "p_value": row.p_value,
            "changed": row.change.changed,
            "mended": row.change.mended,
            "spoiled": row.change.spoiled,
            "in_box": None if hits is None else [round(100 * share, 2) for share in hits.in_box],
            "near_part": None
            if hits is None or not hits.parts
            else [round(100 * share, 2) for share in hits.near_part],
            "evidence_start": _start_of(evidence, run),
            "minutes": round(run.metrics()["minutes"] + evidence.metrics()["minutes"], 2),
            **self._cost,
        }


def refinement_markdown(rows: Sequence[RefinementRow], title: str) -> str:
    """Return what each way to decide does, as Markdown."""
    header = ("k", "L", "rule", "weights", "before", "after", "changed", "mended", "spoiled", "p")
    lines = [
        (
            *(str(row.config.top_k), str(row.config.rounds), row.config.rule.value),
            " ".join(f"{weight:g}" for weight in row.config.weights),
            *(f"{100 * share:.1f}" for share in (row.change.before, row.change.after)),
            *(str(count) for count in (row.change.changed, row.change.mended, row.change.spoiled)),
            f"{row.p_value:.2g}",
        )
        for row in rows
    ]
    return f"#### {title}\n\n{markdown_table(header, lines)}"


def hits_markdown(hits: HitSummary) -> str:
    """Return where the peaks of the network's own answers fall, round by round, as Markdown."""
    rounds = [f"round {number}" for number in range(len(hits.in_box))]
    shares = {"inside the box": hits.in_box} | ({"near an annotated part": hits.near_part} if hits.parts else {})
    lines = [(name, *(f"{100 * share:.1f}%" for share in each)) for name, each in shares.items()]
    lines += [(name, *map(str, counts)) for name, counts in hits.parts.items()]
    return f"#### Where the peaks fall ({hits.photographs} photographs)\n\n{markdown_table(('', *rounds), lines)}"


def _start_of(evidence: Run, run: Run) -> str:
    """Say what the Evidence CNN's training began with: a path that the network's own training did not have is a run."""
    networks = (evidence.config.network, run.config.network)
    weights, own = (each.trained_backbone and each.trained_backbone.weights for each in networks)
    conventional = weights not in (*NAMED_WEIGHTS, own)
    return (EvidenceStart.CONVENTIONAL if conventional else EvidenceStart.PRETRAINED).value
