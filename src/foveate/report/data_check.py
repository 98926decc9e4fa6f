"""What was found in a data set, as a few tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from foveate.evaluation.data_report import DataReport, Finding, FindingKind
from foveate.report.tables import markdown_table

_SHOWN = 10
_LONGEST = 48  # characters of a cell
_IMBALANCE = 5.0


def data_check_markdown(report: DataReport) -> str:
    """Return the splits, how many findings there are of each kind, and the first of them."""
    header = ("split", "photographs", "classes", "fewest per class", "most per class")
    rows = []
    for split in report.splits:
        present = [count for count in split.photographs if count]
        counts = (sum(present), len(present), min(present, default=0), max(present, default=0))
        rows.append((split.name, *map(str, counts)))
    kinds = [(kind.value, str(len(report.of(kind)))) for kind in FindingKind if report.of(kind)]
    smallest, median, largest = (f"{w} x {h}" for w, h in (report.smallest, report.median, report.largest))
    parts = [
        markdown_table(header, rows),
        f"Sizes in pixels: smallest {smallest}, median {median}, largest {largest}.\n",
        *_imbalance(report),
        markdown_table(("finding", "number"), kinds) if kinds else "Nothing was found.\n",
    ]
    if report.findings:
        shown = _first(report)
        more = len(report.findings) - len(shown)
        parts.append(_table(shown))
        parts.append(f"{len(shown)} shown; {more} more in findings.csv.\n" if more else "")
    return "\n".join(part for part in parts if part)


def _first(report: DataReport) -> list[Finding]:
    """Return the findings to show: the first of each kind in turn, in the order of their kinds."""
    waiting = [list(report.of(kind)) for kind in FindingKind]
    taken: list[int] = [0] * len(waiting)
    while sum(taken) < min(_SHOWN, len(report.findings)):
        for place, findings in enumerate(waiting):
            if taken[place] < len(findings) and sum(taken) < _SHOWN:
                taken[place] += 1
    return [each for number, findings in zip(taken, waiting, strict=True) for each in findings[:number]]


def _table(findings: Sequence[Finding]) -> str:
    rows = [
        (
            each.kind.value,
            _cut(each.photograph),
            _cut(f"{each.class_name}, {each.split}"),
            _cut(_rest(each)),
            "" if each.score is None else f"{each.score:.2f}",
        )
        for each in findings
    ]
    return markdown_table(("finding", "photograph", "class, split", "other", "score"), rows)


def _rest(finding: Finding) -> str:
    if finding.kind is FindingKind.LABEL:
        return f"rather {finding.suggested}"
    if finding.other is None:
        return finding.words
    where = "" if finding.other_split == finding.split else f" in {finding.other_split}"
    named = "" if finding.other_class == finding.class_name else f" ({finding.other_class})"
    return f"{finding.words.partition(',')[0].partition(':')[0]}: {finding.other}{where}{named}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"…{text[1 - _LONGEST :]}"


def _imbalance(report: DataReport) -> list[str]:
    return [
        f"The largest class of the {split.name} split has {split.imbalance:.0f} times the photographs of the smallest; "
        "--class-weights of `foveate train` weighs them alike.\n"
        for split in report.splits
        if split.name == "train" and split.imbalance >= _IMBALANCE
    ]
