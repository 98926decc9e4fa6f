"""Tables from a file of result rows, as `foveate evaluate --results` adds them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from foveate.guided_zoom.config import PAPER_PATCH, RefinementConfig
from foveate.report.result_versions import Measured
from foveate.report.rivals import remembered
from foveate.report.tables import markdown_table

BEGIN, END = "<!-- results: made by `make tables` -->", "<!-- end of results -->"

# A row without "views" is of a centre crop.
_ONE_METHOD = (
    *("method", "decides_from", "attention", "partition", "base", "dataset", "split", "views"),
    *("input_size", "source_size", "epochs", "schedule", "zoom_entropy_threshold", "branch", "members"),
)
_WHERE = {"data set": "dataset", "views": "views"}
"""Columns of a summary in which more than one of them is."""
_BRANCHES = ("original", "discriminative", "complementary", "joint", "mean")


def summary_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for each method and setting: mean over seeds and spread; on whatever machine they were run."""
    several = [head for head, name in _WHERE.items() if len({row.get(name, "centre") for row in rows}) > 1]
    header = ("method", *several, "base", "input", "source", "epochs", "seeds", "top-1", "top-5")
    return markdown_table(header, [_line(group, several) for group in _groups(rows).values()])


def _groups(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        settings = (row.get(name, "centre" if name == "views" else None) for name in _ONE_METHOD)
        groups[*settings, _preset(row), remembered(row), row.get("view_weights") is None].append(row)
    return groups


def _line(group: Sequence[Mapping[str, Any]], several: Sequence[str]) -> tuple[str, ...]:
    first = group[0]
    where = [first.get(_WHERE[head], "centre") for head in several]
    settings = (*where, first["base"], first["input_size"], first["source_size"], first["epochs"])
    shown = ("-" if each is None else str(each) for each in settings)
    return (_name(first), *shown, _seeds(group), *(_spread(group, name) for name in ("top1", "top5")))


def _seeds(group: Sequence[Mapping[str, Any]]) -> str:
    """Return the seeds; how many runs there are where a seed has several."""
    seeds = sorted({int(row["seed"]) for row in group})
    named = ", ".join(map(str, seeds))
    return named if len(seeds) == len(group) else f"{named} ({len(group)} runs)"


def _name(row: Mapping[str, Any]) -> str:
    settings = (_preset(row), *(row.get(name) for name in ("decides_from", "attention", "partition", "schedule")))
    named = [str(each) for each in settings if each]
    if row.get("zoom_entropy_threshold") is not None:
        named.append(f"closer above {row['zoom_entropy_threshold']:g} nats")
    if row.get("branch") is not None:
        named.append(f"{row['branch']} view alone")
    if row.get("members") is not None:
        named.append(f"mean of {row['members']} networks")
    if row.get("view_weights") is not None:
        named.append("views weighed on held-out photographs")
    if words := remembered(row):
        named.append(words)
    return f"{row['method']} ({', '.join(named)})" if named else str(row["method"])


def _preset(row: Mapping[str, Any]) -> str | None:
    """Return the preset's name; with the options that it was made with where it is nobody's."""
    preset: str | None = row.get("preset")
    command = row.get("conventional_command") or row["trained_command"]
    options = re.findall(r"--network\.\S+ \S+", str(command)) if preset == "own" else ()
    return " ".join(["own", *options]) if options else preset


def _spread(group: Sequence[Mapping[str, Any]], name: str) -> str:
    return _mean_and_spread([float(row[name]) for row in group])


def _mean_and_spread(values: Sequence[float]) -> str:
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def _branch(group: Sequence[Mapping[str, Any]], name: str) -> str:
    values = [row["branches"][name] for row in group if name in row["branches"]]
    return _mean_and_spread(values) if values else "-"


def branch_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the top-1 of each branch, and of the mean of all, of the methods that have several; mean over seeds."""
    several = [row for row in rows if len(row.get("branches", ())) > 1]
    lines = [
        (
            *(_name(group[0]), str(group[0]["input_size"]), str(group[0]["source_size"]), str(len(group))),
            *(_branch(group, name) for name in _BRANCHES),
        )
        for group in _groups(several).values()
    ]
    header = ("method", "input", "source", "seeds", *_BRANCHES)
    return markdown_table(header, lines)


_COLUMNS = {
    "seed": "seed",
    "top-1": "top1",
    "top-5": "top5",
    "minutes": "minutes",
    "trained at": "trained_commit",
    "trained on": "trained_hardware",
    "measured at": "measured_commit",
    "measured on": "measured_hardware",
}


def row_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return every row: seed, result and cost; below, by number, the commands that trained and that measured.

    What trained and what measured are two processes, each `at` a commit and `on` hardware. A column that no row knows
    is left out.
    """
    numbers: dict[str, int] = {}
    for row in rows:
        numbers.setdefault(_commands(row), len(numbers) + 1)
    columns = {head: name for head, name in _COLUMNS.items() if any(row.get(name) is not None for row in rows)}
    cells = [
        (str(numbers[_commands(row)]), *("-" if row.get(name) is None else str(row[name]) for name in columns.values()))
        for row in rows
    ]
    lines = "".join(f"{number}. {commands}\n" for commands, number in numbers.items())
    return f"{markdown_table(('command', *columns), cells)}\n{lines}"


def _commands(row: Mapping[str, Any]) -> str:
    """Return what trained and what measured, as far as the row says so."""
    made = {name: row.get(f"{name}_command") for name in ("trained", "measured")}
    told = [f"{name} by `{_shown(command)}`" for name, command in made.items() if command is not None]
    above = row.get("zoom_entropy_threshold")
    if above is not None and made["measured"] is None:
        told.append(f"evaluated with `--zoom-entropy-threshold {above:g}`")
    return ", ".join(told)


def _shown(command: str) -> str:
    """Return a command as one would type it."""
    return re.sub(r"^__main__\.py\b", "foveate", command)


_ONE_ZOOM = (
    *("conventional", "decides_from", "attention", "partition", "schedule", "base", "dataset", "split"),
    *("input_size", "base_source_size", "grounding", "patch", "top_k", "rounds", "tuned_on"),
)
_USUAL_ZOOM = {"keep": "correct", "stretch": False, "scores": "probabilities"}
"""What rows without these entries have; their pools were built by the defaults."""


def refinement_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for each Guided Zoom and setting: mean over seeds before and after, and what was changed."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        weights = () if _freely_fitted(row) else tuple(row["weights"])  # what is fitted differs from seed to seed
        groups[*(row.get(name) for name in _ONE_ZOOM), _preset(row), remembered(row), _evidence(row), weights].append(
            row
        )
    several = len({row.get("dataset") for row in rows}) > 1
    where = ("data set",) if several else ()
    header = (
        *(
            "network",
            *where,
            "source",
            "grounding",
            "evidence",
            "k",
            "L",
            "weights",
            "seeds",
            "before",
            "after",
            "gain",
        ),
        *("changed", "mended", "spoiled", "p", "peaks in the box", "near a part", "passes"),
    )
    return markdown_table(header, [_refinement_line(group, several) for group in groups.values()])


def _refinement_line(group: Sequence[Mapping[str, Any]], several: bool) -> tuple[str, ...]:
    first = group[0]
    named = _name({**first, "method": first["conventional"]})
    weights = " ".join(f"{weight:g}" for weight in first["weights"])
    if first["tuned_on"]:
        weights = f"fitted to {first['tuned_on']}" if _freely_fitted(first) else f"{weights}, k fitted"
    settings = (first["base_source_size"], first["grounding"], _evidence(first), first["top_k"], first["rounds"])
    return (
        *(named, *([str(first["dataset"])] if several else []), *map(str, settings), weights),
        _seeds(group),
        *(_spread(group, name) for name in ("before", "top1")),
        f"{mean(row['top1'] - row['before'] for row in group):+.1f}",
        *(f"{mean(row[name] for row in group):.0f}" for name in ("changed", "mended", "spoiled")),
        ", ".join(f"{row['p_value']:.1g}" for row in group),
        *(_first_round(group, name) for name in ("in_box", "near_part")),
        _spread(group, "forwards"),
    )


def _freely_fitted(row: Mapping[str, Any]) -> bool:
    """Say whether weights were fitted, and not k alone at the usual weights, or at the paper's."""
    weights = tuple(row["weights"])
    given = (RefinementConfig().weights, RefinementConfig.paper().weights[: len(weights)])
    return bool(row["tuned_on"]) and weights not in given


def _evidence(row: Mapping[str, Any]) -> str:
    """Return how the Evidence CNN was trained and what it is shown; rows that do not say are older than the choice."""
    named = [f"{row.get('evidence_start', 'pretrained')}, {row['epochs']} epochs"]
    named += [name for name in ("whole", "mirrored") if row.get(name)]
    named += [f"{name} {row[name]}" for name, usual in _USUAL_ZOOM.items() if row.get(name, usual) != usual]
    named += [f"patches of {row['patch']:.0%}"] if row["patch"] != round(PAPER_PATCH, 3) else []
    return ", ".join(named)


def _first_round(group: Sequence[Mapping[str, Any]], name: str) -> str:
    values = [float(row[name][0]) for row in group if row[name]]
    return _mean_and_spread(values) if values else "-"


def with_results(document: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the document with the block between its two markers made anew from the rows."""
    return with_block(document, BEGIN, END, results_markdown(rows))


def results_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of networks, of their branches, of Guided Zooms, and of every row; as far as there are such."""
    refined = [row for row in rows if row["measured"] == Measured.REFINEMENT]
    rows = [row for row in rows if row["measured"] == Measured.ACCURACY]
    tables = [summary_table(rows)] if rows else []
    if any(len(row.get("branches", ())) > 1 for row in rows):
        tables.append(branch_table(rows))
    if refined:
        tables.append(refinement_table(refined))
    tables += [row_table(each) for each in (rows, refined) if each]
    return "\n".join(tables)


def with_block(document: str, begin: str, end: str, block: str) -> str:
    """Return the document with another block between two markers."""
    before, opened, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise ValueError(f"a document of results must hold the markers {begin!r} and {end!r}")
    return f"{before}{begin}\n\n{block}\n{end}{after}"
