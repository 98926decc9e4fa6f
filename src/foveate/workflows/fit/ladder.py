"""What all rungs of the ladder share: the photographs and their folds, the machine, the folder, the time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from foveate.config.branches import Branch
from foveate.config.data import DataConfig, DatasetFormat, TransformConfig
from foveate.data.folds import Fold, write_fold
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.data.preparation import Splits
from foveate.data.records import ImageRecord, groups_of, labels_of
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable
from foveate.inference.classifier import Classifier
from foveate.recipes.config import TrainConfig
from foveate.runs.held_out import HeldOutSource, read_held_out, write_held_out
from foveate.workflows.fit.config import FitConfig
from foveate.workflows.fit.journal import Journal
from foveate.workflows.fit.split_accuracy import SplitAccuracy
from foveate.workflows.fit.time_model import Machine, RungTime, Speed

WORK = ".fit"
"""Where in the folder of a fit everything lies that is removed at its end."""
LOWEST = "probe"
"""The rung that is climbed whatever it takes."""
_BATCH = 32
OVER = 1.1
"""By what share of its minutes a fit may be late before a training that was announced is left out or given up."""
Answers = Mapping[Branch, PredictionTable]


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """What all rungs share."""

    config: FitConfig
    out: Path
    splits: Splits
    """Training photographs that cannot be read are left out."""
    folds: int
    """How many there are; 0: no photograph can be held out."""
    fold_of: tuple[int | None, ...]
    """In which fold each training photograph is held out."""
    share: float
    """Of the epochs of its recipe, which a training on all photographs takes: below 1 where the minutes are few."""
    machine: Machine
    speeds: Mapping[str, Speed]
    """Of each method that is a rung."""
    journal: Journal
    say: Callable[[str], None]
    complete: bool = False
    """Whether what needs no training answers for every fold, after a single one was held out."""

    @property
    def held_out(self) -> int:
        """How many photographs are held out once."""
        return sum(each is not None for each in self.fold_of)

    @property
    def held_out_groups(self) -> Int64[np.ndarray, " n"] | None:
        """The number of the group of each photograph that is held out; None: each stands for itself."""
        return groups_of([each for each, at in zip(self.splits.train, self.fold_of, strict=True) if at is not None])

    def work(self, rung: str, *names: str) -> Path:
        """Return a folder of a rung's own."""
        return self.out / WORK / "rungs" / Path(rung, *names)

    def answered(self, rung: str) -> Path:
        """Return where the answers of a rung lie, those of all folds together."""
        return self.work(rung, *(["complete"] if self.complete else []))

    @property
    def whole_folds(self) -> int:
        """For how many folds trainings are whole; 1 where they are shortened, or where there are none."""
        return self.folds if self.folds and self.share == 1 else 1

    @property
    def fold_share(self) -> float:
        """Of the epochs of its recipe, which a training without a fold takes: half as many where time is short.

        Beside probes, which lose nothing, such a training is held back; the choice is the more cautious for it.
        """
        return self.share / 2 if self.folds == 1 or self.share < 1 else self.share

    def training(self, recipe: Callable[[Path], TrainConfig], fold: int | None = None) -> TrainConfig:
        """Return how a recipe trains on the photographs of the user, or on all but a fold of them."""
        if fold is None:
            return self.on_all(configured(recipe, self.config, self.config.data))
        return self.of_fold(configured(recipe, self.config, self._fold_data(fold)))

    def on_all(self, config: TrainConfig) -> TrainConfig:
        """Return how it is trained on all photographs; the epochs are counted where the time is short."""
        return _shortened(config, self.share, len(self.splits.train))

    def of_fold(self, config: TrainConfig) -> TrainConfig:
        """Return how it is trained without a fold."""
        return _shortened(config, self.fold_share, len(self.splits.train) - self.held_out // max(1, self.folds))

    def _fold_data(self, fold: int) -> DataConfig:
        """Make a fold a data set of its own."""
        inside, outside = self.divided(fold)
        root = self.out.resolve() / WORK / "folds" / f"fold-{fold + 1}"
        ids = (tuple(each.id for each in part) for part in (inside, outside))
        write_fold(root, Fold(data=self.config.data, train=next(ids), held_out=next(ids)))
        # What cannot be read is left out of the folds already, and what is said of photographs is said in the fold.
        plain = DataConfig(root=root, format=DatasetFormat.FOLD, test_fraction=0.0)
        data = self.config.data
        return replace(
            plain, split_seed=data.split_seed, on_error=data.on_error, largest_megapixels=data.largest_megapixels
        )

    def divided(self, fold: int) -> tuple[list[ImageRecord], list[ImageRecord]]:
        """Return the training photographs that a fold learns from, and those that it holds out."""
        pairs = list(zip(self.splits.train, self.fold_of, strict=True))
        return [each for each, at in pairs if at != fold], [each for each, at in pairs if at == fold]

    def over_folds(self, rung: str, without: Callable[[int], tuple[Classifier, TrainConfig]]) -> Answers:
        """Return the answers of all folds together, in the order of the training photographs; each is given once.

        Args:
            rung: Whose answers these are.
            without: Makes ready a network that did not learn from a fold, and says how it was trained.
        """
        if is_answered(self.answered(rung)):
            return kept_answers(self.answered(rung))
        return self.keep(rung, self.of_each_fold(rung, without))

    def of_each_fold(
        self, rung: str, without: Callable[[int], tuple[Classifier, TrainConfig]], *, again: str | None = None
    ) -> list[Answers]:
        """Return the answers of each fold.

        Args:
            rung: As in `over_folds`.
            without: As there.
            again: The name of what answers beside the rung itself, in little time and without a word; None: the rung.
        """
        names = () if again is None else (again,)
        for fold in range(self.folds):
            folder = self.work(rung, f"fold-{fold + 1}", *names)
            if not is_answered(folder):
                if fold and rung != LOWEST and again is None:
                    self.check_time()
                if again is None:
                    self.step(f"{rung}: fold {fold + 1} of {self.folds}")
                classifier, config = without(fold)
                answers = answers_of(classifier, self.divided(fold)[1], config, self.splits.class_names)
                write_held_out(folder, answers, HeldOutSource.OUT_OF_FOLD)
                self.journal.write()
        return [kept_answers(self.work(rung, f"fold-{fold + 1}", *names)) for fold in range(self.folds)]

    def keep(self, rung: str, parts: Sequence[Answers]) -> Answers:
        """Put the answers of all folds together and keep them."""
        order = [each.id for each, at in zip(self.splits.train, self.fold_of, strict=True) if at is not None]
        groups = self.held_out_groups
        answers = {each: replace(_joined([part[each] for part in parts], order), groups=groups) for each in parts[0]}
        write_held_out(self.answered(rung), answers, HeldOutSource.OUT_OF_FOLD, self.folds)
        return answers

    def step(self, what: str) -> None:
        """Say what is done now, and how long it may take yet."""
        self.say(self.journal.status(what))

    def detail(self, line: str) -> None:
        """Say a line of a training, below that of its step; and write down the time, which a stop would lose."""
        self.journal.write()
        self.say("\n".join(f"    {each}" for each in line.splitlines()))

    def detail_in_time(self, line: str) -> None:
        """Say a line of a training that is given up once the time is over; errors as in `check_time`."""
        self.detail(line)
        self.check_time()

    def check_time(self) -> None:
        """Refuse to go on once the time is over.

        Raises:
            UserError: It is: the machine is slower than it was when it was measured.
        """
        if self.journal.spent > OVER * 60 * self.config.minutes:
            raise UserError("it takes longer than was measured, and the minutes are over; give more --minutes")


class Rung(ABC):
    """A way to answer, as a rung of the ladder."""

    name: str

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of rungs of which one must be climbed before; none: it stands alone."""
        return ()

    @property
    def least_folds(self) -> int:
        """With how many folds it can be climbed; 1: with a single one too, that is held out once."""
        return 1

    @property
    def learns(self) -> bool:
        """Whether it is trained in steps."""
        return False

    def is_solved(self, ladder: Ladder) -> bool:
        """Say whether it needs no training in steps, once it is climbed."""
        return False

    def rests_on(self, ladder: Ladder) -> str | None:
        """Say what it rests on, once it is climbed; None: on itself."""
        return None

    @abstractmethod
    def time(self, ladder: Ladder) -> RungTime:
        """Return how long it takes."""

    @abstractmethod
    def climb(self, ladder: Ladder) -> Answers:
        """Answer for the photographs that are held out by networks that did not learn from them."""

    @abstractmethod
    def passes(self, ladder: Ladder) -> dict[Branch, float]:
        """Return the ways to answer that are offered, once it is climbed: by branch, with passes for one answer.

        There are none where what was climbed for changes no answer.
        """

    @abstractmethod
    def pass_gflop(self, ladder: Ladder) -> float:
        """Return what one of these passes takes, in thousand millions of floating point operations."""

    @abstractmethod
    def refit(self, ladder: Ladder, out: Path) -> None:
        """Train on all photographs, and leave the result in a folder."""

    @abstractmethod
    def evaluate(self, ladder: Ladder, branch: Branch) -> SplitAccuracy:
        """Return what the test split says, once it is refitted into the ladder's own folder."""


def configured(recipe: Callable[[Path], TrainConfig], fit: FitConfig, data: DataConfig) -> TrainConfig:
    """Return a recipe with what a fit says: photographs, size, seed, hardware."""
    config = replace(recipe(data.root), data=data, seed=fit.seed, hardware=fit.hardware)
    return replace(config, transforms=of_size(config.transforms, fit.size))


def _shortened(config: TrainConfig, share: float, photographs: int) -> TrainConfig:
    if share == 1 or config.network.solved:
        return config
    counted = config.counted(photographs)
    return replace(counted, epochs=max(1, int(share * counted.epochs)))


def of_size(transforms: TransformConfig, size: int | None) -> TransformConfig:
    """Return the same views with another side, all other sides in proportion; None: as they are."""
    return transforms if size is None else transforms.at(size)


def answers_of(
    classifier: Classifier, records: Sequence[ImageRecord], config: TrainConfig, class_names: tuple[str, ...]
) -> Answers:
    """Return the answers of each branch to the centre views of photographs."""
    views = EvaluationViews(records, config.transforms)
    batches = [
        classifier.branch_probabilities(batch.images)
        for batch in evaluation_loader(views, _BATCH, workers=config.hardware.workers)
    ]
    ids, labels = tuple(record.id for record in records), np.array(labels_of(records))
    return {
        branch: PredictionTable(ids, labels, torch.cat([each[branch] for each in batches]).numpy(), class_names)
        for branch in batches[0]
    }


def is_answered(folder: Path) -> bool:
    """Say whether held-out answers were written to their end."""
    return (folder / "held_out" / "origin.json").exists()


def kept_answers(folder: Path) -> Answers:
    """Read held-out answers that are there.

    Raises:
        UserError: They are not.
    """
    if not is_answered(folder) or (held_out := read_held_out(folder)) is None:
        raise UserError(f"the answers of a fold are kept until a fit ends; {folder} has none; begin the fit anew")
    return held_out.answers


def _joined(tables: Sequence[PredictionTable], order: Sequence[str]) -> PredictionTable:
    place = {image: row for row, image in enumerate(image for table in tables for image in table.ids)}
    rows = np.array([place[image] for image in order], dtype=np.int64)
    labels, probabilities = (
        np.concatenate([getattr(table, name) for table in tables])[rows] for name in ("labels", "probabilities")
    )
    return PredictionTable(tuple(order), labels, probabilities, tables[0].class_names)
