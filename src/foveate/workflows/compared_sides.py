"""The sides of a comparison: a model each, or several seeds of one configuration, and their aligned answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Int64

from foveate.data.records import ImageRecord, groups_of
from foveate.errors import UserError
from foveate.evaluation.accuracy import measure_accuracy
from foveate.evaluation.bootstrap import Estimate
from foveate.evaluation.paired_difference import mean_accuracy
from foveate.evaluation.predictions import PredictionTable, aligned
from foveate.workflows.compared_models import ComparedModel


@dataclass(frozen=True)
class ComparedSide:
    """One model, or one for each seed of a configuration, and what each answers: in one order for all sides."""

    name: str
    models: tuple[ComparedModel, ...]
    names: tuple[str, ...]
    tables: tuple[PredictionTable, ...]
    groups: Int64[np.ndarray, " n"] | None = None
    """The number of each photograph's group; None: each stands for itself."""

    @cached_property
    def answers(self) -> Int[np.ndarray, "s n"]:
        """The class that each seed gives each photograph."""
        return np.stack([table.probabilities.argmax(1) for table in self.tables])

    @cached_property
    def right(self) -> Bool[np.ndarray, "s n"]:
        """Whether each seed answers each photograph rightly."""
        return np.asarray(self.answers == self.tables[0].labels)

    @property
    def accuracy(self) -> Estimate:
        """The mean over the seeds; of one seed as `foveate evaluate` says it."""
        if len(self.tables) > 1:
            return mean_accuracy(self.right, self.groups)
        table = self.tables[0]
        return measure_accuracy(table.probabilities, table.labels, self.groups).top1


def compared_sides(models: Sequence[ComparedModel]) -> tuple[ComparedSide, ...]:
    """Put the seeds of one configuration together, in the place of the first; the same seed again is another side.

    Raises:
        UserError: Two models answer for other photographs, labels or classes.
    """
    names = model_names(models)
    tables = [models[0].table, *(_aligned(names, models, index) for index in range(1, len(models)))]
    sides = _in_sides(models)
    titles = [_common([names[index] for index in side]) for side in sides]
    return tuple(
        ComparedSide(
            name=title if titles.count(title) == 1 else ", ".join(names[index] for index in side),
            models=tuple(models[index] for index in side),
            names=tuple(names[index] for index in side),
            tables=tuple(tables[index] for index in side),
        )
        for title, side in zip(titles, sides, strict=True)
    )


def grouped_alike(sides: Sequence[ComparedSide], records: Sequence[ImageRecord]) -> tuple[ComparedSide, ...]:
    """Return all sides with the same groups of photographs, which answers that were kept before do not know.

    Args:
        sides: As `compared_sides` returns them.
        records: The photographs, in the order of the answers.
    """
    known = (table.groups for side in sides for table in side.tables)
    groups = next((each for each in known if each is not None), groups_of(records))
    return tuple(replace(side, groups=groups) for side in sides)


def model_names(models: Sequence[ComparedModel]) -> list[str]:
    """Name models after their folders, as much of the path as tells them apart."""
    paths = sorted({folder.resolve() for model in models for folder in model.folders})
    shortest = dict(zip(paths, _distinct(paths), strict=True))
    members = ([shortest[folder.resolve()] for folder in each.folders] for each in models)
    return [each[0] if len(each) == 1 else f"mean of {', '.join(each)}" for each in members]


def _in_sides(models: Sequence[ComparedModel]) -> list[list[int]]:
    """Return the places of the models of each side."""
    sides: list[list[int]] = []
    for index, model in enumerate(models):
        for side in sides:
            seeds = {models[each].seeds for each in side}
            if model.seeds not in seeds and models[side[0]].alike_but_for_seeds(model):
                side.append(index)
                break
        else:
            sides.append([index])
    return sides


def _aligned(names: Sequence[str], models: Sequence[ComparedModel], index: int) -> PredictionTable:
    """Return a model's answers in the order of the first one's."""
    try:
        return aligned(models[0].table, models[index].table)
    except UserError as error:
        raise UserError(f"{names[0]} and {names[index]} are not comparable: {error}") from error


def _distinct(paths: Sequence[Path]) -> list[str]:
    """Return as many last parts of each path as tell all of them apart."""
    for count in range(1, max(len(path.parts) for path in paths)):
        names = [Path(*path.parts[-count:]).as_posix() for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _common(names: Sequence[str]) -> str:
    """Return what the names of seeds begin with, without a word or a mark for the seed."""
    if len(names) == 1:
        return names[0]
    letters = takewhile(lambda column: len(set(column)) == 1, zip(*names, strict=False))
    begun = "".join(column[0] for column in letters)
    return re.sub(r"[-_. ]*(seed)?[-_. ]*\d*$", "", begun) or names[0]
