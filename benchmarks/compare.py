"""Compare two result files case by case: `python benchmarks/compare.py A B`.

For each side the medians, how many times as long B takes as A, and whether the middle halves of the measurements
overlap; and the same side's ratio to its case's reference in either file, which is what different machines share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from foveate.files.documents import read_json_lines
from foveate.report.tables import markdown_table

HEADER = ("case", "side", "unit", "A", "B", "B takes, times A", "spreads overlap", "A to reference", "B to reference")


@dataclass(frozen=True)
class Files:
    """What to compare."""

    a: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="A")]
    b: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="B")]


def label_of(line: Mapping[str, Any]) -> str:
    """Return the label of a line's case."""
    return str(line["case"]) + "".join(f"@{axis}={value}" for axis, value in line["at"].items())


def latest(lines: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the last line of each case; lines of before the suite have no point and are left out."""
    kept = sorted((line for line in lines if "times_as_long" in line), key=lambda line: str(line["date"]))
    return {label_of(line): line for line in kept}


def compared(a: Mapping[str, Mapping[str, Any]], b: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each side that both files have."""
    for label in (each for each in a if each in b):
        one, other = a[label], b[label]
        for side in (each for each in one["sides"] if each in other["sides"]):
            first, second = one["sides"][side], other["sides"][side]
            times = second["median"] / first["median"]
            times = times if one["unit"] == "ms" else 1 / times
            overlap = first["lower"] <= second["upper"] and second["lower"] <= first["upper"]
            ratios = (each["times_as_long"].get(side, {}).get("median", "-") for each in (one, other))
            values = (f"{first['median']:g}", f"{second['median']:g}", f"{times:.3f}", "yes" if overlap else "no")
            yield (label, side, str(one["unit"]), *values, *map(str, ratios))


def main(files: Files) -> None:
    """Print the table, and the cases that only one file has."""
    a, b = latest(read_json_lines(files.a)), latest(read_json_lines(files.b))
    for name, lines in (("A", a), ("B", b)):
        machines = sorted({f"{line['commit']} on {line['hardware']}" for line in lines.values()})
        print(f"{name}: {'; '.join(machines) or 'no lines'}")
    print(markdown_table(HEADER, list(compared(a, b))))
    for name, only in (("A", a.keys() - b.keys()), ("B", b.keys() - a.keys())):
        if only:
            print(f"only in {name}: {', '.join(sorted(only))}")


if __name__ == "__main__":
    main(tyro.cli(Files))
