"""Numbers as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from foveate.evaluation.accuracy import Accuracy
from foveate.evaluation.bootstrap import FEWEST_GROUPS, Estimate
from foveate.evaluation.calibration_check import CalibrationCheck
from foveate.evaluation.frequency_groups import FrequencyGroup
from foveate.evaluation.gating import Gated

TOO_FEW = f"; fewer than {FEWEST_GROUPS} say nothing of others"
"""What is said beside an interval over so few groups, which holds all that is possible."""


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, padded so that its source reads well; the first column is left-aligned.

    Pipes are escaped and line breaks become spaces.

    Raises:
        ValueError: A row has more or fewer cells than the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"each row must have the header's {len(header)} cells; got {list(row)}")
    cells = [[_escaped(cell) for cell in row] for row in (header, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * width if index == 0 else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
    return "".join(f"| {' | '.join(line)} |\n" for line in _padded([cells[0], rule, *cells[1:]], widths))


def accuracy_markdown(accuracy: Accuracy, title: str, branches: Mapping[str, Estimate] | None = None) -> str:
    """Return a heading, a table of the accuracies in per cent, and a line on what they rest.

    Of top-1, 2, 3 and 5 those stand that say something of so many classes (`Accuracy.telling`).

    `branches` adds the top-1 of each answer of a network that gives several.
    """
    rows = [(name, *percentages(each)) for name, each in _measures(accuracy).items()]
    if branches is not None and len(branches) > 1:
        rows += [(f"top-1, {name}", *percentages(top1)) for name, top1 in branches.items()]
    table = markdown_table(("accuracy", "%", "95% interval"), rows)
    return f"### {' '.join(title.split())}\n\n{table}\n{_basis(accuracy)}\n"


def accuracies_markdown(columns: Mapping[str, Accuracy]) -> str:
    """Return a table of several answers' accuracies to the same photographs, in per cent, a pair of columns for each.

    Args:
        columns: The accuracies by their names.
    """
    measures = {name: _measures(accuracy) for name, accuracy in columns.items()}
    header = ("accuracy, %", *(cell for name in columns for cell in (name, "95% interval")))
    rows = [
        (measure, *(cell for each in measures.values() for cell in percentages(each[measure])))
        for measure in next(iter(measures.values()))
    ]
    return f"{markdown_table(header, rows)}\n{_basis(next(iter(columns.values())))}\n"


def _measures(accuracy: Accuracy) -> dict[str, Estimate]:
    return {**accuracy.telling, "mean per class": accuracy.mean_per_class}


def _basis(accuracy: Accuracy) -> str:
    drawn = "images"
    if accuracy.groups is not None:
        drawn = f"{accuracy.groups:,} groups of images{TOO_FEW if accuracy.groups < FEWEST_GROUPS else ''}"
    return f"{accuracy.images:,} images, {accuracy.classes:,} classes; percentile bootstrap over {drawn}."


def frequency_markdown(groups: Sequence[FrequencyGroup]) -> str:
    """Return how often frequent and rare classes are answered rightly, in per cent, one line for each third of them."""
    rows = [
        (
            each.name,
            *(f"{each.classes:,}", f"{each.fewest:,} to {each.most:,}", f"{each.images:,}"),
            *percentages(each.mean_per_class),
        )
        for each in groups
    ]
    header = ("by frequency", "classes", "training photographs of each", "images", "mean per class, %", "95% interval")
    return markdown_table(header, rows)


def gate_markdown(curve: Sequence[Gated]) -> str:
    """Return what looking closer only where the first look is unsure costs and does, one line for each threshold.

    The last column counts answers unlike those of looking at every photograph again, where that was done.
    """
    rows = [
        (
            "every photograph" if each.above is None else f"{each.above:.4f}",
            *(f"{100 * each.share:.1f}", f"{each.passes:.2f}", f"{100 * each.top1:.1f}"),
            "-" if each.changed is None else str(each.changed),
        )
        for each in curve
    ]
    header = ("--zoom-entropy-threshold, nats", "looked at again, %", "passes", "top-1, %", "answers changed")
    table = markdown_table(header, rows)
    return (
        f"#### Looking closer only where the first look is unsure\n\n{table}\n"
        "A threshold is chosen on a validation split, not on the photographs that are then reported.\n"
    )


def calibration_markdown(check: CalibrationCheck, temperature: float) -> str:
    """Return how sure the answers are, and how well coverages and error rates are kept, as Markdown."""
    error = f"Calibration error {100 * check.calibrated_error:.1f}%"
    if temperature != 1:
        error += f" at temperature {temperature:.2f}; {100 * check.uncalibrated_error:.1f}% without it"
    lines = [f"#### How sure the answers are\n\n{error}.\n"]
    if check.sets:
        rows = [(f"{100 * each.asked:g}", f"{100 * each.covered:.1f}", f"{each.mean_size:.2f}") for each in check.sets]
        lines.append(markdown_table(("--coverage, %", "true class in the set, %", "classes in a set"), rows))
    if check.error_rates:
        rates = [
            (
                f"{100 * each.asked:g}",
                f"{100 * each.kept:.1f}",
                "-" if each.error is None else f"{100 * each.error:.1f}",
            )
            for each in check.error_rates
        ]
        lines.append(markdown_table(("--error-rate, %", "answered, %", "of these wrong, %"), rates))
    if check.held_out is not None:
        lines.append(f"By {check.held_out:,} held-out {check.counted}.\n")
    lines += [f"Not offered: {each}.\n" for each in check.refused]
    return "\n".join(lines)


def percentages(estimate: Estimate) -> tuple[str, str]:
    """Return a share and its interval in per cent."""
    return f"{estimate.value:.1%}"[:-1], f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", r"\|")


def _padded(lines: Sequence[Sequence[str]], widths: Sequence[int]) -> list[list[str]]:
    return [
        [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
