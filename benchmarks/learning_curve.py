"""How accuracy grows with the photographs of a class: methods trained on the first few of each, tested on all.

    PYTHONPATH=benchmarks python -m learning_curve CUB_200_2011 --counts 5 10 20 --out results/learning_curve.jsonl

A training that was interrupted goes on, and what has a row is not measured again.
"""

from __future__ import annotations

import argparse
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from foveate.config.data import DataConfig, Split
from foveate.config.hardware import HardwareConfig
from foveate.data.preparation import Splits
from foveate.data.records import ImageRecord
from foveate.data.splits import rank_of
from foveate.errors import UserError
from foveate.files.documents import append_json_line, read_json_lines
from foveate.files.file_names import safe_name
from foveate.recipes import RECIPES
from foveate.recipes.datasets import load_splits
from foveate.runs.environment import environment
from foveate.workflows.evaluate import evaluate
from foveate.workflows.train import train

METHODS = {"probe": ("probe", "foveate"), "plain": ("plain", "foveate"), "s3n": ("s3n", "foveate")}
"""Method and preset by the name in a row."""


def few_of_each(splits: Splits, count: int, seed: int) -> dict[Split, list[ImageRecord]]:
    """Return so many training photographs of each class, drawn by the seed, and all of the test split.

    The photographs of a smaller count are among those of a larger one.
    """
    classes: dict[int, list[ImageRecord]] = defaultdict(list)
    for record in splits.train:
        classes[record.label].append(record)
    drawn = [
        each for records in classes.values() for each in sorted(records, key=lambda each: rank_of(each, seed))[:count]
    ]
    return {Split.TRAIN: drawn, Split.TEST: list(splits.test)}


def as_folders(parts: dict[Split, list[ImageRecord]], root: Path) -> Path:
    """Make class folders of links to the photographs, whatever was there, and return their root.

    Raises:
        UserError: Photographs are no files: they lie in shards or in a table.
    """
    shutil.rmtree(root, ignore_errors=True)
    for split, records in parts.items():
        for record in records:
            if not isinstance(record.image, Path):
                raise UserError(f"a learning curve needs photographs that are files; {record.id} is none")
            link = root / split.value / safe_name(record.class_name) / f"{safe_name(record.id)}{record.image.suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(record.image.resolve())
    return root


def main() -> None:
    """Measure what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the data set")
    parser.add_argument("--counts", type=int, nargs="+", default=[5, 10, 20], help="photographs of each class")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["probe", "plain"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/learning-curve"), help="where the trainings lie")
    parser.add_argument("--out", type=Path, required=True, help="the file of rows")
    given = parser.parse_args()
    splits = load_splits(DataConfig(root=given.root), print)
    known = read_json_lines(given.out) if given.out.exists() else []
    for count in given.counts:
        place = given.work / f"{given.root.name}-{count}-{given.seed}"
        folders = as_folders(few_of_each(splits, count, given.seed), place / "photographs")
        for name in given.methods:
            asked = {"dataset": splits.name, "photographs": len(splits.test), "method": name}
            asked |= {"per_class": count, "seed": given.seed}
            if any(asked.items() <= row.items() for row in known):
                continue
            method, preset = METHODS[name]
            config = RECIPES[method][preset](folders)
            config = replace(config, seed=given.seed, hardware=HardwareConfig(workers=given.workers))
            run = train(config, place / name)
            accuracy = evaluate(run).accuracy
            where = {each: environment()[each] for each in ("command", "commit", "hardware")}
            append_json_line(given.out, asked | {"top1": round(100 * accuracy.top1.value, 2)} | where)


if __name__ == "__main__":
    main()
