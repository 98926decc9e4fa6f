"""How far answers can be trusted: tables, reliability diagrams, risk by coverage, the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from foveate.drawing.charts import COLOURS, bare, new_chart, save_chart
from foveate.evaluation.alarms import Alarm
from foveate.evaluation.calibration import Reliability
from foveate.evaluation.risk_coverage import RiskCoverage
from foveate.report.tables import markdown_table

_NAMED = 40  # classes; the names of more cannot be read


@dataclass(frozen=True, slots=True)
class TrustMeasures:
    """What was measured of one kind of answers."""

    accuracy: float
    confidence: float
    """Mean probability of the answers."""
    reliability: Reliability
    risk: RiskCoverage


def trust_markdown(measures: Mapping[str, TrustMeasures], title: str, photographs: int, bins: int) -> str:
    """Return a heading and a row for each kind of answers, in per cent."""
    header = ("answers", "accuracy", "confidence", "ECE", "AURC", "excess AURC")
    rows = [
        (
            name,
            *(
                f"{100 * value:.2f}"
                for value in (each.accuracy, each.confidence, each.reliability.error, each.risk.area, each.risk.excess)
            ),
        )
        for name, each in measures.items()
    ]
    basis = (
        f"{photographs} photographs, in per cent. ECE: the calibration error, over {bins} bins of equal width. AURC: "
        "the share of wrong answers where only the surest are given, averaged over how many are; excess AURC: how far "
        "that is above the least that this accuracy allows."
    )
    return f"### {title}\n\n{markdown_table(header, rows)}\n{basis}\n"


def alarms_markdown(alarms: Mapping[str, Mapping[str, Alarm]]) -> str:
    """Return how well each alarm tells which of each kind of answers are wrong, in per cent."""
    header = ("answers, alarm", "raised", "precision", "recall", "accuracy where raised", "where silent")
    rows = [
        (
            f"{answers}, {name}",
            str(each.raised),
            *map(_percentage, (each.precision, each.recall, each.accuracy_raised, each.accuracy_silent)),
        )
        for answers, every in alarms.items()
        for name, each in every.items()
    ]
    return f"#### Alarms for wrong answers\n\n{markdown_table(header, rows)}"


def _percentage(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


@dataclass(frozen=True, slots=True)
class NamedPair:
    """Two classes that are taken for each other, and the id of the surest such photograph."""

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    example: str


def pairs_markdown(pairs: Sequence[NamedPair], answers: str) -> str:
    """Return which classes are most often taken for each other, and the surest such photograph of each pair."""
    heading = f"#### Most confused, {answers}\n\n"
    if not pairs:
        return f"{heading}No answer is wrong.\n"
    rows = [
        (f"{each.first} / {each.second}", str(each.first_as_second), str(each.second_as_first), each.example)
        for each in pairs
    ]
    header = ("classes", "first as second", "second as first", "surest of them")
    return f"{heading}{markdown_table(header, rows)}"


def plot_reliability(measures: Mapping[str, TrustMeasures], path: Path) -> None:
    """Plot accuracy against confidence, a diagram for each kind of answers, and below how many answers a bin holds."""
    figure = new_chart(max(6, 4.6 * len(measures)), 5)  # narrower ones would clip the legend
    grid = figure.subplots(2, len(measures), sharex=True, squeeze=False, height_ratios=(4, 1))
    for column, (name, each) in enumerate(measures.items()):
        above, below = grid[:, column]
        counts, confidence, accuracy = each.reliability
        width = 1 / len(counts)
        middles = (np.arange(len(counts)) + 0.5) * width
        above.bar(middles, np.nan_to_num(accuracy), width, color=COLOURS[0], edgecolor="white", label="accuracy")
        above.plot(confidence, accuracy, "o", color=COLOURS[4], label="at the mean confidence")
        above.plot([0, 1], [0, 1], color=COLOURS[6], linestyle="--", label="calibrated")
        above.set(title=f"{name}: ECE {100 * each.reliability.error:.1f}%", xlim=(0, 1), ylim=(0, 1))
        below.bar(middles, counts, width, color=COLOURS[6], edgecolor="white")
        below.set(xlabel="confidence")
        if column == 0:
            above.set(ylabel="accuracy")
            below.set(ylabel="answers")
            figure.legend(*above.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=3)
        for axes in (above, below):
            bare(axes)
    save_chart(figure, path)


def plot_risk(measures: Mapping[str, TrustMeasures], path: Path) -> None:
    """Plot the share of wrong answers against that of the photographs that are answered, the surest first."""
    figure = new_chart(6.5, 4.2)
    axes = figure.subplots()
    for number, (name, each) in enumerate(measures.items()):
        words = f"{name}: AURC {100 * each.risk.area:.2f}%"
        axes.plot(100 * each.risk.coverage, 100 * each.risk.risk, color=COLOURS[number], label=words)
    axes.set(xlabel="photographs answered, the surest first, %", ylabel="wrong answers among them, %", xlim=(0, 100))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, loc="upper left")
    bare(axes)
    save_chart(figure, path)


def plot_confusion(matrix: Int[np.ndarray, "c c"], class_names: Sequence[str], title: str, path: Path) -> None:
    """Plot what each class is taken for, as shares of its photographs; names and counts where they can be read."""
    classes = len(class_names)
    named = classes <= _NAMED
    side = max(4.5, 0.36 * min(classes, _NAMED) + 2.5)
    figure = new_chart(side + 0.6, side)
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set(title=title, xlabel="answer", ylabel="true class")
    if named:
        axes.set_xticks(range(classes), class_names, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(range(classes), class_names, fontsize=7, parse_math=False)
        for row, column in np.argwhere(matrix > 0).tolist():
            ink = "white" if shares[row, column] > 0.5 else "#1B1F24"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=6, color=ink)
    figure.colorbar(image, ax=axes, shrink=0.6, label="share of the true class")
    save_chart(figure, path)
