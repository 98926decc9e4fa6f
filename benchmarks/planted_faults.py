"""How many planted faults `foveate check` finds: labels swapped among twins, and copies of test photographs.

    PYTHONPATH=benchmarks python -m planted_faults CUB_200_2011_20 --seeds 0 1 2 --out results/planted_faults.jsonl

Labels: 5% of the training photographs are given the class that a probe takes theirs for most often. Of as many suspects
as were planted, the precision is the share that was: by the check's joint evidence, and by cleanlab on one probe alone.
Copies: of test photographs, put into the training split as they are, encoded anew, resized and mirrored. What has a row
is not measured again.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64
from PIL import Image, ImageOps

from foveate.config.data import DataConfig, Split
from foveate.config.hardware import HardwareConfig
from foveate.data.images import read_image
from foveate.data.preparation import Splits
from foveate.data.records import ImageRecord, labels_of
from foveate.evaluation.data_report import FindingKind
from foveate.files.documents import append_json_line, read_json_lines
from foveate.recipes import RECIPES
from foveate.recipes.datasets import load_splits
from foveate.runs.environment import environment
from foveate.workflows.check.check import check
from foveate.workflows.check.label_evidence import LabelEvidence, evidence_by_probe, usual_method
from foveate.workflows.check.suspects import suspicion
from learning_curve import as_folders

SHARE = 0.05
"""Of the training labels that are swapped."""
COPIES: Mapping[str, Callable[[Image.Image, Path], None]] = {
    "re-encoded": lambda image, path: image.save(path, quality=70),
    "resized": lambda image, path: image.resize((_part(image.width), _part(image.height))).save(path, quality=90),
    "mirrored": lambda image, path: ImageOps.mirror(image).save(path, quality=90),
}
"""How a copy is made, besides the file itself."""
EXACT = "exact"


def twins(evidence: LabelEvidence) -> Int64[np.ndarray, " c"]:
    """Return of each class the one that it is confused with most, either way."""
    classes = len(evidence.classes)
    confusion = np.stack([evidence.answers[evidence.labels == number].sum(0) for number in range(classes)])
    confusion = confusion + confusion.T
    np.fill_diagonal(confusion, -1)
    return np.asarray(confusion.argmax(1))


def swapped(
    records: Sequence[ImageRecord], twin: Int64[np.ndarray, " c"], seed: int
) -> tuple[list[ImageRecord], Bool[np.ndarray, " n"]]:
    """Return the photographs with a share of their labels swapped, and which were."""
    count = round(SHARE * len(records))
    planted = np.zeros(len(records), bool)
    planted[np.random.default_rng(seed).choice(len(records), count, replace=False)] = True
    names = {record.label: record.class_name for record in records}
    return [
        replace(record, label=int(twin[record.label]), class_name=names[int(twin[record.label])]) if wrong else record
        for record, wrong in zip(records, planted, strict=True)
    ], planted


def precision(scores: Float[np.ndarray, " n"], planted: Bool[np.ndarray, " n"]) -> float:
    """Return the share of planted ones among as many of the most suspected."""
    worst = np.argsort(-scores, kind="stable")[: planted.sum()]
    return float(planted[worst].mean())


def plant_copies(splits: Splits, seed: int, each: int, root: Path) -> dict[str, str]:
    """Make class folders of the data set with copies of test photographs in training; return their kinds by id."""
    shutil.rmtree(root, ignore_errors=True)
    as_folders({Split.TRAIN: list(splits.train), Split.TEST: list(splits.test)}, root)
    files = sorted((root / Split.TEST).rglob("*.*"))
    drawn = np.random.default_rng(seed).choice(len(files), each * (1 + len(COPIES)), replace=False)
    kinds = {}
    for number, place in enumerate(drawn):
        kind = [EXACT, *COPIES][number % (1 + len(COPIES))]
        source, folder = files[place], root / Split.TRAIN / files[place].parent.name
        path = folder / f"copy-{number}.jpg"
        if kind == EXACT:
            shutil.copyfile(source, path)
        else:
            COPIES[kind](read_image(source), path)
        kinds[path.relative_to(root).as_posix()] = kind
    return kinds


def copies_row(splits: Splits, seed: int, each: int, work: Path) -> dict[str, Any]:
    """Plant copies and count those that are found as leaks, and what else is called equal."""
    kinds = plant_copies(splits, seed, each, work / "copies")
    report = check(work / "copies", labels=False, out=work / "check", say=lambda line: None)
    equal = [*report.of(FindingKind.LEAK), *report.of(FindingKind.CLASSES), *report.of(FindingKind.COPY)]
    found = {finding.photograph for finding in report.of(FindingKind.LEAK)} & kinds.keys()
    others = [f"{one.photograph} = {one.other}" for one in equal if one.photograph not in kinds]
    counts = {kind: f"{sum(kinds[name] == kind for name in found)} of {each}" for kind in (EXACT, *COPIES)}
    return {"faults": "copies", "planted": len(kinds), "found": len(found), "by_kind": counts, "others": others}


def labels_row(splits: Splits, twin: Int64[np.ndarray, " c"], seed: int, root: Path, work: Path) -> dict[str, Any]:
    """Swap labels and measure how many of the suspects were swapped."""
    records, planted = swapped(splits.train, twin, seed)
    method = replace(usual_method(root), hardware=HardwareConfig(workers=0))
    evidence = evidence_by_probe(records, np.arange(len(records)), method, work, lambda line: None)
    labels = np.array(labels_of(records))
    return {
        "faults": "labels",
        "planted": int(planted.sum()),
        "precision": round(precision(suspicion(labels, evidence.joined), planted), 3),
        "cleanlab_alone": round(precision(suspicion(labels, evidence.answers), planted), 3),
        "agreement": round(float((evidence.joined.argmax(1) == np.array(labels_of(splits.train))).mean()), 3),
    }


def _part(side: int) -> int:
    return max(8, round(0.8 * side))


def main() -> None:
    """Measure what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the data set")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--faults", nargs="+", choices=["copies", "labels"], default=["copies", "labels"])
    parser.add_argument("--copies", type=int, default=10, help="of each kind")
    parser.add_argument("--out", type=Path, required=True, help="the file of rows")
    given = parser.parse_args()
    splits = load_splits(DataConfig(root=given.root), print)
    known = read_json_lines(given.out) if given.out.exists() else []
    twin = None
    for faults, seed in ((faults, seed) for faults in given.faults for seed in given.seeds):
        asked = {"dataset": splits.name, "photographs": len(splits.train), "faults": faults, "seed": seed}
        if any(asked.items() <= row.items() for row in known):
            continue
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as work:
            if faults == "copies":
                row = copies_row(splits, seed, given.copies, Path(work))
            else:
                twin = clean_twins(splits, given.root, Path(work) / "clean") if twin is None else twin
                row = labels_row(splits, twin, seed, given.root, Path(work) / "swapped")
        where = {each: environment()[each] for each in ("command", "commit", "hardware")}
        minutes = {"minutes": round((time.perf_counter() - began) / 60, 2)}
        print(asked | row)
        append_json_line(given.out, asked | row | minutes | where)


def clean_twins(splits: Splits, root: Path, work: Path) -> Int64[np.ndarray, " c"]:
    """Return each class's twin, by a probe on the labels as they are."""
    method = replace(RECIPES["probe"]["foveate"](root), hardware=HardwareConfig(workers=0))
    return twins(evidence_by_probe(splits.train, np.arange(len(splits.train)), method, work, print))


if __name__ == "__main__":
    main()
