"""Make the tables and plots of docs/performance-lines.md anew from benchmarks/results: `make tables`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from compare import label_of, latest
from foveate.files.documents import read_json_lines
from foveate.report.tables import markdown_table

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- benchmarks: made by `make tables` -->", "<!-- end of benchmarks -->"
HEADER = ("case", "side", "median", "middle half", "unit", "times as long as", "MB", "GFLOP/s", "of the best")
Lines = Mapping[str, Mapping[str, Any]]


def table(lines: Lines) -> str:
    """Return a row for each side of each case, and what share of the best the machine was seen to do."""
    most = max(_rates(lines["machine"]).values()) if "machine" in lines else None
    return markdown_table(HEADER, [row for line in lines.values() for row in _rows(line, most)])


def _rates(line: Mapping[str, Any]) -> dict[str, float]:
    """Return how many GFLOP a second each side does, of those whose operations were counted."""
    counted = {side: count for side, count in line.get("gflop", {}).items() if count and line["unit"] == "ms"}
    return {side: 1e3 * count / line["sides"][side]["median"] for side, count in counted.items()}


def _rows(line: Mapping[str, Any], most: float | None) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    rates = _rates(line)
    for side, values in line["sides"].items():
        ratio = line["times_as_long"].get(side)
        against = f"{ratio['median']:.3g} {line['reference']}" if ratio else "-"
        memory = line["memory_mb"][side]
        middle = f"{values['lower']:g} to {values['upper']:g}"
        rate = rates.get(side)
        arithmetic = ("-" if rate is None else f"{rate:.3g}", f"{rate / most:.0%}" if rate and most else "-")
        rest = (against, "-" if memory is None else f"{memory:g}", *arithmetic)
        rows.append((label_of(line), side, f"{values['median']:g}", middle, line["unit"], *rest))
    return rows


def by_machine(kept: Sequence[Mapping[str, Any]]) -> list[Lines]:
    """Return the last line of each case on each machine: what two machines measured has no place in one table.

    First comes the machine with most of them.
    """
    names = dict.fromkeys(str(line["hardware"]) for line in kept)
    found = (latest([line for line in kept if line["hardware"] == name]) for name in names)
    return sorted((lines for lines in found if lines), key=len, reverse=True)


def made_by(lines: Lines) -> str:
    """Return which commits and machines the lines are of, and what was not measured."""
    origins = sorted({f"commit {line['commit']}, {line['hardware']}" for line in lines.values()})
    skipped = sorted({f"{side} ({why})" for line in lines.values() for side, why in line["skipped"].items()})
    left_out = f" Not measured: {'; '.join(skipped)}." if skipped else ""
    return (
        f"{'; '.join(origins)}.{left_out} MB: by how much one call raised the resident memory at most. GFLOP/s: of "
        "convolutions and matrix products; beside it the share of the best that the case `machine` reached in any "
        "precision.\n"
    )


def growth(lines: Lines) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Return the cases with several points, each in the order of its axis."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines.values():
        for axis in line["at"]:
            found[line["case"], axis].append(line)
    return {key: sorted(points, key=lambda line: line["at"][key[1]]) for key, points in found.items()}


def plot(axis: str, points: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw time and memory along an axis, both on logarithmic scales."""
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        time, memory = figure.subplots(1, 2)
        at = [line["at"][axis] for line in points]
        for side in points[0]["sides"]:
            values = [line["sides"][side] for line in points]
            time.plot(at, [each["median"] for each in values], marker="o", label=side)
            time.fill_between(at, [v["lower"] for v in values], [v["upper"] for v in values], alpha=0.2)
            memory.plot(at, [max(line["memory_mb"][side] or 0, 0.1) for line in points], marker="o")
        time.set(xlabel=axis, ylabel=points[0]["unit"], xscale="symlog", yscale="log")
        memory.set(xlabel=axis, ylabel="MB", xscale="symlog", yscale="log")
        for each in (time, memory):
            each.set_xticks(at, [f"{place:,}" for place in at])
            each.xaxis.minorticks_off()
        time.legend(frameon=False)
    return figure


def with_benchmarks(document: str, machines: Sequence[Lines], pictures: Sequence[str] = ()) -> str:
    """Return the document with the block between its markers made anew, a table for each machine.

    Raises:
        ValueError: The markers are not there.
    """
    before, found, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not found or not end:
        raise ValueError(f"a document of benchmarks must hold the markers {BEGIN!r} and {END!r}")
    shown = "".join(f"![{Path(each).stem}]({each})\n\n" for each in pictures)
    tables = "".join(f"{made_by(lines)}\n{table(lines)}\n" for lines in machines)
    content = f"{tables}{shown}" if machines else "No lines of the suite are kept yet.\n\n"
    return f"{before}{BEGIN}\n\n{content}{END}{after}"


def main() -> None:
    """Read every kept line, write the document and its plots."""
    kept = [line for file in sorted((ROOT / "benchmarks/results").glob("*.jsonl")) for line in read_json_lines(file)]
    machines = by_machine(kept)
    pictures: dict[str, None] = {}
    for lines in machines:
        for (name, axis), points in growth(lines).items():
            picture = f"images/performance-{name}-{axis}.svg"
            if picture not in pictures:  # of several machines the one with most lines
                with mpl.rc_context({"svg.hashsalt": "foveate"}):  # the same numbers give the same bytes
                    plot(axis, points).savefig(ROOT / "docs" / picture, metadata={"Date": None})
            pictures[picture] = None
    document = ROOT / "docs/performance-lines.md"
    document.write_text(with_benchmarks(document.read_text(), machines, list(pictures)))


if __name__ == "__main__":
    main()
