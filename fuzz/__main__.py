"""Try hostile input of every kind, say what held, and keep the counts: `make fuzz FUZZ="--only pictures"`.

The whole of it takes about half an hour on two cores. Without `--only` the counts become those of docs/robustness.md.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import tyro

from foveate.hardware import describe
from foveate.runs.environment import commit
from fuzz import commands, document, documents, files, kills, pictures
from fuzz.running import Say, Tally
from fuzz.subjects import Subjects, load_modules, make

Kind = Literal["pictures", "documents", "commands", "files", "kills"]
_PICTURES = 10_000
_SHOWN = 40  # kinds of fault of a tally


@dataclass(frozen=True)
class Options:
    """What to try, and how often."""

    only: tuple[Kind, ...] = ()
    """Kinds; none: all."""
    count: int | None = None
    """Pictures, whole commands, files or kills; None: 10,000, 600 (of documents) and 1,500 (of commands), all, 200."""
    seed: int = 0
    """Of all that is drawn."""
    out: Path | None = None
    """A file of JSON for the counts; None: fuzz/results.json where everything was tried as often as it should be."""
    keep: Path | None = None
    """A folder for the smallest picture of each kind of fault."""


def _parts(made: Subjects, options: Options) -> dict[Kind, Callable[[Say], dict[str, Tally]]]:
    count, seed = options.count, options.seed

    def of_documents(say: Say) -> dict[str, Tally]:
        read, given = documents.run(made, count, seed, say)
        return {"documents, read": read, "documents, commands": given}

    return {
        "pictures": lambda say: {"pictures": pictures.run(count or _PICTURES, seed, say)},
        "documents": of_documents,
        "files": lambda say: {"files": files.run(made, count, seed, say)},
        "commands": lambda say: {"commands": commands.run(made, count, seed, say)},
        "kills": lambda say: {f"kills, {name}": tally for name, tally in kills.run(made, count, seed, say).items()},
    }


def summary(tallies: Mapping[str, Tally], seed: int, minutes: float) -> dict[str, Any]:
    """Return the counts, and what every kind of fault is and how it is made."""
    return {
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": describe(),
        "python": platform.python_version(),
        "seed": seed,
        "minutes": round(minutes, 1),
        "tried": {
            name: {
                "cases": tally.tried,
                "outcomes": dict(sorted(tally.outcomes.items())),
                "faults": {kind: {"cases": many, "first": verdict.words} for kind, (many, verdict) in _worst(tally)},
            }
            for name, tally in tallies.items()
        },
    }


def _worst(tally: Tally) -> list[tuple[str, tuple[int, Any]]]:
    return sorted(tally.faults.items(), key=lambda item: -item[1][0])


def _show(name: str, tally: Tally, seconds: float, keep: Path | None) -> None:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.outcomes.items()))
    print(f"{name}: {tally.tried} tried in {seconds:.0f} s: {outcomes}", flush=True)
    for number, (kind, (count, verdict)) in enumerate(_worst(tally)[:_SHOWN]):
        print(f"  {count} x {kind}\n      {verdict.words[:300]}")
        if keep is not None and verdict.content:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{name}-{number}").write_bytes(verdict.content)


def main(options: Options) -> int:
    """Try what was asked for; return 0 where everything held."""
    began, tallies = time.monotonic(), dict[str, Tally]()
    load_modules()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        root, alone = Path(folder), options.only == ("pictures",)
        parts = _parts(Subjects.below(root) if alone else make(root), options)
        for kind in options.only or parts:
            print(kind, flush=True)
            since = time.monotonic()
            results = parts[kind](lambda line: print(line, flush=True))
            for name, tally in results.items():
                _show(name, tally, time.monotonic() - since, options.keep)
            tallies |= results
    counts = summary(tallies, options.seed, (time.monotonic() - began) / 60)
    print(json.dumps({name: each["outcomes"] for name, each in counts["tried"].items()}))
    out = options.out or (document.RESULTS if not options.only and options.count is None else None)
    if out is not None:
        out.write_text(json.dumps(counts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if out == document.RESULTS:
        document.main()
    return int(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
