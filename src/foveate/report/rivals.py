"""Rows of results as the rivals of a table of accuracy against compute: which method, what it costs, how good it is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any, NamedTuple

from foveate.config.branches import Branch
from foveate.config.data import Split, TestViews
from foveate.grounding.usual import USUAL, Family
from foveate.guided_zoom.config import PAPER_PATCH, PoolConfig, RefinementConfig
from foveate.recipes.plain import plain
from foveate.report.result_versions import Measured

PROBE, PLAIN, SEVERAL = "probe (logistic regression on frozen features)", "plain (fine-tuned)", ", mean of {} networks"
ZOOM_FREE, THREE_LOOKS, CONTINUED = "zoom without training", "S3N", "S3N, continued"
TOGETHER = "ensemble: "
_ALONE = ", first look alone"
FIRST_LOOK = THREE_LOOKS + _ALONE
ON_PLAIN, ON_S3N = "Guided Zoom on plain", "Guided Zoom on S3N"
LONGER, TUNED, WEIGHED = ", {} times the steps", ", tuned", ", views weighed"
REMEMBERED = "{:.0f}% of its first weights"
_VIEWS = {TestViews.CENTRE: "", TestViews.FLIP: ", mirrored", TestViews.TEN_CROP: ", ten-crop"}

Row = Mapping[str, Any]
PassGflop = Callable[[str, int], float]
"""From a backbone's name in timm and the side of its input, in pixels, to the GFLOP of one pass."""


@dataclass(frozen=True, slots=True)
class Rival:
    """One line: a method on a backbone at a size, and its runs."""

    name: str
    base: str
    input_size: int
    source_size: int
    passes: float
    """Of a CNN over one photograph, or over a part of it, for one answer; the mean over the runs."""
    gflop: float
    """Of these passes, or of an ensemble's answer what its rows say; a multiply-add counts as two operations."""
    minutes: float | None
    """Of training on a processor, the median of the runs; None where no row says it."""
    top1: tuple[float, ...]
    """Of each run, in per cent."""
    former: bool
    """Whether the recipe that trained it, or a Guided Zoom's settings, are no longer the default."""

    @property
    def mean(self) -> float:
        """Top-1 in per cent, the mean over the runs."""
        return mean(self.top1)

    @property
    def method(self) -> str:
        """The name, whether or not held-out photographs chose how it decides."""
        return self.name.replace(TUNED, "").replace(WEIGHED, "")


class Answer(NamedTuple):
    """What one row says of one rival."""

    name: str
    row: Row
    top1: float
    passes: float


_WHOLE_S3N: Row = {"method": "s3n", "decides_from": "o+d+c"}
_RUNS: Mapping[str, Row] = {
    PROBE: {"method": "probe"},
    PLAIN: {"method": "plain", "preset": None},
    ZOOM_FREE: {**_WHOLE_S3N, "preset": "frozen"},
    THREE_LOOKS: {**_WHOLE_S3N, "preset": "foveate"},
    CONTINUED: {**_WHOLE_S3N, "preset": "continued"},
    TOGETHER: {"method": "ensemble"},
}
_ZOOMS: Mapping[str, Row] = {
    ON_PLAIN: {"conventional": "plain", "preset": None},
    ON_S3N: {"conventional": "s3n", "decides_from": "o+d+c", "preset": "foveate"},
}
_FORMER_WEIGHTS = (0.4, 0.3)
"""Of a Guided Zoom, with patches of the papers' side: the default until 2026-11-28."""
USUAL_SHARE = plain().pretrained_share
"""Of the first weights, in the networks that are trained here."""
_VARIED = ("attention", "partition", "zoom_entropy_threshold")
"""What makes a row one of an experiment and not of its method's default, where it is not None."""


def rivals(rows: Sequence[Row], former: Sequence[Sequence[Row]], pass_gflop: PassGflop) -> list[Rival]:
    """Return the lines of one data set, the cheapest first; rows of other methods and settings are left out.

    Args:
        rows: Of test splits, as `read_rows` returns them, of one data set.
        former: Such rows of each former recipe, the latest first: of what is not known yet.
        pass_gflop: What one pass costs; rows of ensembles say themselves what an answer does.
    """
    lines = _lines(rows, pass_gflop, former=False)
    for older in (rows, *former):  # a Guided Zoom of its former settings may be that of a network of today's
        known = {(line.method, line.base, line.input_size) for line in lines}
        told = _lines(older, pass_gflop, former=True)
        lines += [line for line in told if (line.method, line.base, line.input_size) not in known]
    return sorted(lines, key=lambda line: (line.gflop, line.mean, line.name))


def front(lines: Sequence[Rival]) -> list[Rival]:
    """Return the Pareto front, the cheapest first: lines than which no other is as good for less, or better for it."""
    best: list[Rival] = []
    for line in sorted(lines, key=lambda line: (line.gflop, -line.mean)):
        if not best or line.mean > best[-1].mean:
            best.append(line)
    return best


def not_measured(lines: Sequence[Rival], input_size: int = 224) -> list[str]:
    """Return the names of the rivals that a full table has and this one has not.

    Args:
        lines: Of the table.
        input_size: In pixels, of the usual networks.
    """
    bases = Counter(line.base for line in lines)
    usual = bases.most_common(1)[0][0] if bases else ""
    here = {(line.method, line.input_size) for line in lines if line.base == usual}
    several = PLAIN + SEVERAL.format(3)
    names = (PROBE, PLAIN, *(PLAIN + _VIEWS[each] for each in (TestViews.FLIP, TestViews.TEN_CROP)))
    names += (PLAIN + LONGER.format(3), several, ZOOM_FREE, THREE_LOOKS, FIRST_LOOK, CONTINUED, ON_PLAIN, ON_S3N)
    missing = [name for name in names if (name, input_size) not in here]
    if (PLAIN, 2 * input_size) not in here:
        missing.append(f"{PLAIN} at {2 * input_size} pixels")
    if not any(line.name == PLAIN and line.base != usual for line in lines):
        missing.append(f"{PLAIN} with the next larger backbone")
    return missing


def _lines(rows: Sequence[Row], pass_gflop: PassGflop, *, former: bool) -> list[Rival]:
    groups: dict[tuple[Any, ...], list[Answer]] = defaultdict(list)
    for answer in _named(
        [answer for row in rows if row["split"] == Split.TEST for answer in _answers(row, former=former)]
    ):
        row = answer.row
        # Members of an ensemble may have backbones of their own, so that its rows say what an answer costs.
        said = row["gflop"] if answer.name.startswith(TOGETHER) else None
        groups[answer.name, row["base"], row["input_size"], row["source_size"], said].append(answer)
    lines = []
    for (name, base, size, source, said), answers in groups.items():
        passes = mean(answer.passes for answer in answers)
        gflop = passes * pass_gflop(base, size) if said is None else said
        minutes, top1 = _minutes([answer.row for answer in answers]), tuple(answer.top1 for answer in answers)
        lines.append(Rival(name, base, size, source, passes, gflop, minutes, top1, former))
    return lines


def _named(answers: Sequence[Answer]) -> list[Answer]:
    """Name trainings of other lengths after them, leave out those of odd ones, and count each run once.

    The usual length is that of most runs of a name, the shortest of several.
    """
    epochs: dict[str, Counter[int]] = defaultdict(Counter)
    for answer in answers:
        epochs[answer.name][answer.row["epochs"]] += 1
    usual = {name: min(counts, key=lambda each: (-counts[each], each)) for name, counts in epochs.items()}
    named: dict[tuple[Any, ...], Answer] = {}
    for answer in answers:
        trained, usually = answer.row["epochs"], usual[answer.name]
        times = 1 if trained == usually else trained / usually if usually else 0
        if times == int(times) and times >= 1:
            longer = "" if times == 1 else LONGER.format(int(times))
            named.setdefault(_run_of(answer), answer._replace(name=answer.name + longer))
    return list(named.values())


def _run_of(answer: Answer) -> tuple[Any, ...]:
    """Return what is the same for two rows on one answer of one run."""
    settings = ("run", "base", "input_size", "source_size", "seed", "epochs", "top_k", "weights", "patch", "members")
    ran = [f"{what}_{name}" for what in ("trained", "conventional") for name in ("command", "commit", "hardware")]
    if answer.row["measured"] == Measured.REFINEMENT:  # an older one says what measured it alone
        ran.append("measured_command")
    return (answer.name, *(str(answer.row.get(name)) for name in (*settings, *ran)))


def _answers(row: Row, *, former: bool) -> Iterator[Answer]:
    """Return what a row says of rivals; of an S3N, also what its first look says alone."""
    if any(row.get(name) is not None for name in _VARIED):
        return
    if row["measured"] == Measured.REFINEMENT and _usual_zoom(row, former=former):
        tuned = TUNED if row.get("tuned_on") else ""
        whose = tuned + _ending(remembered(row))
        yield from (Answer(name + whose, row, row["top1"], _zoom_passes(row)) for name in _matching(row, _ZOOMS))
    if row["measured"] != Measured.ACCURACY:
        return
    views = TestViews(row.get("views") or TestViews.CENTRE)
    alone = row.get("branch")
    for name in _matching(row, _RUNS):
        whose = row["preset"] if name == TOGETHER else ""
        ending = _VIEWS[views] + (SEVERAL.format(row["members"]) if row.get("members") else "")
        weighed = WEIGHED if row.get("view_weights") else ""
        whose += _ending(remembered(row))
        if alone is None and (name != TOGETHER or "gflop" in row):  # without it nothing says what it costs
            passes = row.get("passes", views.number * _looks(row))
            yield Answer(name + whose + weighed + ending, row, row["top1"], passes)
        first = row["top1"] if alone == Branch.ORIGINAL else row.get("branches", {}).get(Branch.ORIGINAL.value)
        if name in (THREE_LOOKS, CONTINUED) and first is not None and alone in (None, Branch.ORIGINAL):
            yield Answer(name + _ALONE + whose + ending, row, first, views.number)


def remembered(row: Row) -> str:
    """Say how much a trained network keeps of its first weights, where that is not the usual share; or nothing."""
    share = row.get("pretrained_share")  # rows of other methods say none, and older ones are of the usual one
    return "" if share in (None, USUAL_SHARE) else REMEMBERED.format(100 * share)


def _ending(words: str) -> str:
    return f", {words}" if words else ""


def _matching(row: Row, kinds: Mapping[str, Row]) -> list[str]:
    return [name for name, entries in kinds.items() if all(row.get(each) == entries[each] for each in entries)]


def _looks(row: Row) -> int:
    """Return how often a network looks at one view of a photograph; rows of before 2026-11-27 do not say it."""
    return len(row["decides_from"].split("+")) if row.get("decides_from") else 1


def _zoom_passes(row: Row) -> float:
    """Return the passes of both networks; what looks closer is grounded in a pass of its own."""
    looks = _looks(row)
    forwards = row["forwards"] * (looks + (looks > 1))
    return float(forwards + row["patches"] * (2 if row["mirrored"] else 1))


def _usual_zoom(row: Row, *, former: bool) -> bool:
    """Whether a Guided Zoom is the default one, or the default one tuned; of a former recipe, that of its time."""
    pool, refinement = PoolConfig(), RefinementConfig()
    usual = {
        "grounding": USUAL[Family.MAP].method,
        "keep": pool.keep,
        "stretch": pool.patches.stretch,
        "whole": pool.whole,
        "rounds": refinement.rounds,
        "scores": refinement.scores,
        "mirrored": refinement.mirrored,
    }
    usual["patch"] = round(PAPER_PATCH if former else pool.patches.patch, 3)
    weights = _FORMER_WEIGHTS if former else refinement.weights
    decision = {"top_k": refinement.top_k, "weights": list(weights)}
    asked = usual if row.get("tuned_on") else usual | decision
    older = {"keep": pool.keep, "stretch": pool.patches.stretch, "scores": refinement.scores}  # these never differed
    return all(row.get(name, older.get(name)) == value for name, value in asked.items())


def _minutes(rows: Sequence[Row]) -> float | None:
    """Return the median of those rows of which every network is known to be trained on a processor."""
    on_processors = [
        row["minutes"]
        for row in rows
        if row.get("minutes") is not None
        and str(row["trained_hardware"]).endswith("threads")
        and (row["measured"] != Measured.REFINEMENT or str(row.get("conventional_hardware")).endswith("threads"))
    ]
    return median(on_processors) if on_processors else None
