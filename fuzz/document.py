"""Make the table of docs/robustness.md anew from `fuzz/results.json`; the whole fuzz does it, and `make tables`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foveate.report.results import with_block
from foveate.report.tables import markdown_table

RESULTS = Path(__file__).parent / "results.json"
DOCUMENT = Path(__file__).parents[1] / "docs/robustness.md"
BEGIN, END = "<!-- fuzz: made by `make tables` -->", "<!-- end of fuzz -->"


def table(counts: Mapping[str, Any]) -> str:
    """Return a row for each kind of what was tried, and where and when it was."""
    rows = []
    for name, each in counts["tried"].items():
        outcomes = {outcome: count for outcome, count in each["outcomes"].items() if outcome != "fault"}
        became = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items())
        rows.append((name, f"{each['cases']:,}", f"{each['cases'] - each['outcomes'].get('fault', 0):,}", became))
    when = f"Commit {counts['commit']}, {counts['date']}, {counts['hardware']}, seed {counts['seed']}, "
    return f"{markdown_table(('tried', 'cases', 'held', 'of these'), rows)}\n{when}{counts['minutes']:.0f} minutes.\n"


def faults(counts: Mapping[str, Any]) -> str:
    """Return a line for each kind of fault; nothing where everything held."""
    lines = [
        f"- {name}, {each['cases']}: {_one_line(kind)} (`{_one_line(each['first'])[:200]}`)\n"
        for name, part in counts["tried"].items()
        for kind, each in part["faults"].items()
    ]
    return f"\nWhat did not hold:\n\n{''.join(lines)}" if lines else ""


def _one_line(text: str) -> str:
    """Return a message without line breaks, frames and what Markdown would take for marks."""
    return " ".join(re.sub(r"[\u2500-\u257f`]", " ", text).split())


def with_counts(text: str, counts: Mapping[str, Any] | None) -> str:
    """Return the document with the block between its markers made anew."""
    content = "No counts are kept yet.\n" if counts is None else table(counts) + faults(counts)
    return with_block(text, BEGIN, END, content)


def kept() -> Mapping[str, Any] | None:
    """Return the counts of the last whole fuzz, if there was one."""
    content: Mapping[str, Any] | None = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else None
    return content


def main() -> None:
    """Write the document."""
    DOCUMENT.write_text(with_counts(DOCUMENT.read_text(encoding="utf-8"), kept()), encoding="utf-8")


if __name__ == "__main__":
    main()
