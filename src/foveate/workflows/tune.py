"""Fit how a Guided Zoom decides to a validation split, on evidence that is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from foveate.config.data import Split
from foveate.drawing.charts import bare, new_chart, save_chart
from foveate.errors import UserError
from foveate.evaluation.evidence_table import EvidenceTable
from foveate.files.documents import unstructured, write_json
from foveate.files.locks import working_in
from foveate.guided_zoom.config import Scores
from foveate.guided_zoom.weight_tuning import CachedScores, TriedSetting, choose_setting, fit
from foveate.runs.context import HERE, RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.workflows.held_out_answers import keep_refined_answers
from foveate.workflows.nothing_held_out import check_fits_decision
from foveate.workflows.split_evidence import evidence_of_split


def tune(
    zoom: GuidedZoomRun | Path | str, *, split: Split | str = Split.VALIDATION, context: RunContext = HERE
) -> TriedSetting:
    """Try every k, number of rounds, weights in tenths and entropy gate; write down the best, and plot all.

    Where held-out parts of the split say that the photographs are too few for that, k alone is fitted (`tuned`).

    Args:
        zoom: A Guided Zoom whose network was trained with a validation split, or its folder.
        split: What to fit to: validation, or train, which flatters. The test split is refused.
        context: As `RunContext` says.

    Returns:
        The chosen setting.

    Raises:
        UserError: The split is the test split, or empty.
    """
    zoom, split = GuidedZoomRun.of(zoom), Split(split)
    if split is Split.TEST:
        raise UserError(
            "what is fitted to the test split says nothing about other photographs; give --split validation, and "
            "train the network with --data.validation-fraction above 0"
        )
    if split is Split.VALIDATION:
        check_fits_decision(zoom, context)
    with working_in(zoom.path, lambda: any(zoom.path.glob("splits/*/*.parquet"))):
        refinement = zoom.description.given or zoom.description.refinement
        table = evidence_of_split(zoom, split, refinement, context=context)
        scored = scored_of(table, raw=refinement.scores is Scores.LOGITS)
        every = fit(scored, refinement)
        best, held_out = choose_setting(scored, refinement, every)
        fitted = zoom.with_refinement(best.config, split.value)
        if split is Split.VALIDATION:
            keep_refined_answers(fitted, table, context.say)
        _write(zoom.path / "tuning", split, len(table.ids), best, held_out, every)
        for line in _summary(zoom, split, table, best, held_out):
            context.say(line)
        return best


def _write(
    folder: Path,
    split: Split,
    count: int,
    best: TriedSetting,
    held_out: Mapping[str, float],
    every: Sequence[TriedSetting],
) -> None:
    write_json(
        folder / f"{split}.json",
        {"photographs": count, "chosen": unstructured(best.config), "held_out": held_out}
        | {"fitted": [each._asdict() | {"config": unstructured(each.config)} for each in every]},
    )
    plot_costs(every, count, folder / f"{split}.png")


def _summary(
    zoom: GuidedZoomRun, split: Split, table: EvidenceTable, best: TriedSetting, held_out: Mapping[str, float]
) -> Iterator[str]:
    """Say in lines what the fit gained."""
    count, before = len(table.ids), 100 * float(table.right_before.mean())
    if held_out:
        yield (
            f"on held-out fifths of them: {100 * held_out['k']:.1f} with k alone fitted, {100 * held_out['all']:.1f} "
            "with weights and gate too"
        )
    yield (
        f"{split}, {count} photographs: {before:.1f} before, {100 * best.right / count:.1f} with k = "
        f"{best.config.top_k}, weights {best.config.weights}, {_gate_words(best.config.entropy_threshold)}: "
        f"{best.passes:.1f} passes a photograph; written to {zoom.path}, all that was tried to {zoom.path / 'tuning'}"
    )
    if best.config.top_k == 1:
        yield "with k = 1 the evidence changes no answer: on these photographs nothing was gained by it"


def _gate_words(threshold: float | None) -> str:
    return "no gate" if threshold is None else f"entropy above {threshold:g} nats"


def scored_of(table: EvidenceTable, *, raw: bool) -> CachedScores:
    """Return what is fitted of kept evidence; `raw` as in `Scores.LOGITS`."""
    classes = table.evidence.classes
    own = (table.evidence.logits if raw else table.probabilities).gather(1, classes)
    right = classes == torch.from_numpy(table.labels)[:, None]
    truth = torch.where(right.any(1), right.int().argmax(1), -1)
    group = torch.arange(len(truth)) if table.groups is None else torch.from_numpy(table.groups)
    return CachedScores(own, table.evidence.scores, truth, torch.special.entr(table.probabilities).sum(1), group)


def plot_costs(fitted: Sequence[TriedSetting], photographs: int, path: Path) -> None:
    """Plot accuracy against passes a photograph, and the line of the best at most so expensive, as a PNG."""
    figure = new_chart(7, 4.5)
    axes = figure.add_subplot()
    passes = [each.passes for each in fitted]
    top1 = [100 * each.right / photographs for each in fitted]
    axes.scatter(passes, top1, s=12, color="#9BA3AF", label="every k, rounds and gate, at its best weights")
    front: list[tuple[float, float]] = []
    for cost, value in sorted(zip(passes, top1, strict=True), key=lambda point: (point[0], -point[1])):
        if not front or value > front[-1][1]:
            front.append((cost, value))
    axes.plot(*zip(*front, strict=True), color="#0072B2", marker="o", drawstyle="steps-post", label="best so cheap")
    axes.set(xlabel="passes of the network a photograph, nothing shared", ylabel="top-1 of the split, %")
    bare(axes)
    axes.legend(frameon=False, loc="lower right")
    save_chart(figure, path)
