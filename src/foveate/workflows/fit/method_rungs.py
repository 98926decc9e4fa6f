"""Methods as rungs: trained on every fold, or solved for on features that are computed once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from typing_extensions import override

from foveate.config.branches import Branch
from foveate.data.records import labels_of
from foveate.errors import UserError
from foveate.evaluation.temperature import LEAST_PHOTOGRAPHS, least_log_loss
from foveate.evaluation.view_weights import log_answers
from foveate.files.documents import read_json, write_json
from foveate.files.locks import interruption_behind
from foveate.inference.classifier import Classifier
from foveate.networks.answers import decision
from foveate.networks.network import FrozenFeatures, Network
from foveate.recipes.config import TrainConfig
from foveate.recipes.methods import create_network
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.training.frozen_features import MADE_ANEW, MADE_BEFORE, KeptFeatures
from foveate.training.solve import group_numbers
from foveate.workflows.evaluate import evaluate
from foveate.workflows.fit.ladder import Answers, Ladder, Rung, configured, is_answered, kept_answers
from foveate.workflows.fit.split_accuracy import SplitAccuracy
from foveate.workflows.fit.time_model import RungTime, Speed
from foveate.workflows.pretrained_shares import with_share
from foveate.workflows.train import train, trained

_FEATURE_VIEWS = 2
"""Of each photograph, of which a probe keeps features."""
_SOLVING, _SOLVING_OF_FEW = 6 / (832 * 39), 2 / 384
"""Seconds in which a probe is fitted, for each photograph and class, and at least for each photograph up to `_FEW`;
measured on a core with 832 photographs of 39 classes and 600 of 20."""
_FEW = 384
_PRETRAINED_SHARES = 0.1, 0.25, 0.4
"""Of the weights that a training began with, in those that it leaves."""
_CHOSEN = "pretrained_share.json"


@dataclass(frozen=True)
class MethodRung(Rung):
    """A method with its recipe."""

    name: str
    recipe: Callable[[Path], TrainConfig]

    @override
    def passes(self, ladder: Ladder) -> dict[Branch, float]:
        passes = ladder.speeds[self.name].passes
        return {Branch.ORIGINAL: 1.0} | ({Branch.JOINT: passes} if passes > 1 else {})

    @override
    def pass_gflop(self, ladder: Ladder) -> float:
        return ladder.speeds[self.name].pass_gflop

    def answering(self, ladder: Ladder, photographs: int) -> float:
        """Return the seconds that its answers for so many photographs take."""
        return ladder.machine.answers(ladder.speeds[self.name], photographs)

    @override
    def refit(self, ladder: Ladder, out: Path) -> None:
        train(ladder.training(self.recipe), out, say=but_calibration(ladder.detail))

    @override
    def evaluate(self, ladder: Ladder, branch: Branch) -> SplitAccuracy:
        return tested(ladder)


def tested(ladder: Ladder) -> SplitAccuracy:
    """Return what the test split says of the run in a ladder's folder; its calibration decides."""
    context = RunContext(hardware=ladder.config.hardware, say=ladder.detail)
    return SplitAccuracy.of(evaluate(ladder.out, context=context).accuracy)


@dataclass(frozen=True)
class TrainedRung(MethodRung):
    """A method that is trained.

    Where its weights are averaged with those that it began with, held-out photographs say how much these count, in no
    further training: ImageNet knows much of birds and little of cars.
    """

    @property
    @override
    def learns(self) -> bool:
        return True

    @override
    def time(self, ladder: Ladder) -> RungTime:
        machine, speed = ladder.machine, ladder.speeds[self.name]
        config = configured(self.recipe, ladder.config, ladder.config.data)
        photographs, folds = len(ladder.splits.train), ladder.folds
        learned = photographs - ladder.held_out // folds
        answers = (1 + len(_further_shares(ladder, config))) * machine.answers(speed, ladder.held_out)

        def seconds(shown: TrainConfig, count: int) -> float:
            watched = len(ladder.splits.validation)
            return _heads(ladder, config, speed, count) + machine.training(shown, speed, count, watched)

        without, refit = seconds(ladder.of_fold(config), learned), seconds(ladder.on_all(config), photographs)
        return RungTime(folds * without + answers, refit)

    @override
    def climb(self, ladder: Ladder) -> Answers:
        if is_answered(ladder.answered(self.name)):
            return kept_answers(ladder.answered(self.name))
        config = ladder.training(self.recipe)
        own = ladder.of_each_fold(self.name, lambda fold: _placed(self._own(ladder, fold)))
        parts = {config.pretrained_share: own, **self._of_further_shares(ladder, config)}
        # What is chosen by a fold says nothing about it: its answers are those of the share that the others choose.
        others = [
            best_share(parts, [each for each in range(ladder.folds) if each != fold]) for fold in range(ladder.folds)
        ]
        best = best_share(parts, range(ladder.folds))
        write_json(ladder.work(self.name, _CHOSEN), {"pretrained_share": best, "by_other_folds": others})
        answers = ladder.keep(self.name, [parts[share][fold] for fold, share in enumerate(others)])
        for fold, chosen in enumerate(others):
            for share in parts.keys() - {chosen}:
                shutil.rmtree(self._mixed_folder(ladder, fold, share), ignore_errors=True)
        return answers

    @override
    def rests_on(self, ladder: Ladder) -> str | None:
        share = self._chosen_share(ladder)
        return None if share is None else f"{100 * share:.0f}% of the weights that it began with"

    @override
    def refit(self, ladder: Ladder, out: Path) -> None:
        config, share = ladder.training(self.recipe), self._chosen_share(ladder)
        train(
            config if share is None else replace(config, pretrained_share=share),
            out,
            say=but_calibration(ladder.detail),
        )

    def fold_run(self, ladder: Ladder, fold: int) -> Run:
        """Return the run of what is trained without a fold, as the other folds chose it."""
        share = self._chosen_share(ladder, fold)
        return self._own(ladder, fold) if share is None else self._mixed(ladder, fold, share)

    def _own(self, ladder: Ladder, fold: int) -> Run:
        folder = ladder.work(self.name, f"fold-{fold + 1}", "run")
        return trained(ladder.training(self.recipe, fold), folder, say=ladder.detail_in_time)

    def _mixed(self, ladder: Ladder, fold: int, share: float) -> Run:
        return with_share(self._own(ladder, fold), share, self._mixed_folder(ladder, fold, share))

    def _mixed_folder(self, ladder: Ladder, fold: int, share: float) -> Path:
        return ladder.work(self.name, f"fold-{fold + 1}", _share_folder(share), "run")

    def _of_further_shares(self, ladder: Ladder, config: TrainConfig) -> dict[float, list[Answers]]:
        """Return the answers of each fold by share, of as many as there is time and room for."""
        answers: dict[float, list[Answers]] = {}
        for share in _further_shares(ladder, config):
            try:
                ladder.check_time()
                answers[share] = self._answers_with(ladder, share)
            except UserError as error:
                if interruption_behind(error) is not None:
                    raise
                ladder.detail(f"{100 * share:.0f}% of the weights that it began with were not tried: {error}")
        return answers

    def _answers_with(self, ladder: Ladder, share: float) -> list[Answers]:
        def without(fold: int) -> tuple[Classifier, TrainConfig]:
            return _placed(self._mixed(ladder, fold, share))

        ladder.detail(f"with {100 * share:.0f}% of the weights that it began with")
        return ladder.of_each_fold(self.name, without, again=_share_folder(share))

    def _chosen_share(self, ladder: Ladder, fold: int | None = None) -> float | None:
        """Return the share that held-out photographs chose in place of the recipe's; None: they chose none.

        Of a fold it is what the other folds chose.
        """
        file = ladder.work(self.name, _CHOSEN)
        if not file.exists():
            return None
        chosen = read_json(file)
        share = chosen["pretrained_share"]
        if fold is not None and "by_other_folds" in chosen:  # earlier versions wrote one for all
            share = chosen["by_other_folds"][fold]
        return None if share == ladder.training(self.recipe).pretrained_share else float(share)


def _further_shares(ladder: Ladder, config: TrainConfig) -> list[float]:
    """Return the shares of the first weights that are tried beside a recipe's own, where it has one.

    None where trainings are held back without a fold: what they began with would count too much.
    """
    if not config.pretrained_share or ladder.fold_share < 1:
        return []
    return [each for each in _PRETRAINED_SHARES if each != config.pretrained_share]


def _share_folder(share: float) -> str:
    return f"share-{share:g}"


def _placed(run: Run) -> tuple[Classifier, TrainConfig]:
    return Classifier.place(run.load_network(), run.config.hardware), run.config


def best_share(parts: Mapping[float, Sequence[Answers]], folds: Sequence[int]) -> float:
    """Return the share with the least log loss in some folds; of equals, and of few photographs, the first.

    Args:
        parts: By share, the recipe's own first, the answers of each fold.
        folds: Which of them count.
    """
    first, *_ = parts
    if sum(len(decision(parts[first][fold]).ids) for fold in folds) < LEAST_PHOTOGRAPHS:
        return first

    def loss(share: float) -> float:
        tables = [decision(parts[share][fold]) for fold in folds]
        logs = np.concatenate([log_answers([table.probabilities])[:, 0] for table in tables])
        return least_log_loss(logs, np.concatenate([table.labels for table in tables]))

    return min(parts, key=loss)


@dataclass(frozen=True)
class SolvedRung(MethodRung):
    """A method whose heads are solved for: without each fold, on features that are computed once."""

    @override
    def is_solved(self, ladder: Ladder) -> bool:
        return True

    @override
    def time(self, ladder: Ladder) -> RungTime:
        machine, speed, config = ladder.machine, ladder.speeds[self.name], ladder.training(self.recipe)
        photographs = len(ladder.splits.train)
        first = replace(speed, answer=speed.answer / speed.passes)
        # Later looks rest on the first head, so that each fold and the end have their own; the first look is kept.
        later = _FEATURE_VIEWS * photographs if speed.passes > 1 else 0
        features, looks = machine.answers(first, _FEATURE_VIEWS * photographs), machine.answers(speed, later)
        solving = solving_seconds(photographs, len(ladder.splits.class_names), speed)
        folds = features + ladder.folds * (looks + solving) + machine.answers(speed, ladder.held_out)
        read = machine.answers(replace(speed, answer=0.0), photographs)
        return RungTime(folds, machine.training(config, speed, 0) + read + looks + solving)

    @override
    def passes(self, ladder: Ladder) -> dict[Branch, float]:
        offered = super().passes(ladder)
        return dict([max(offered.items(), key=lambda item: item[1])])  # its first look alone is a probe, a lower rung

    @override
    def climb(self, ladder: Ladder) -> Answers:
        return ladder.over_folds(self.name, lambda fold: self._without(ladder, fold))

    @override
    def refit(self, ladder: Ladder, out: Path) -> None:
        if (folder := self._features(ladder)).exists():
            folder.rename(out / MADE_BEFORE)
        super().refit(ladder, out)
        shutil.rmtree(out / MADE_BEFORE, ignore_errors=True)

    def _features(self, ladder: Ladder) -> Path:
        return ladder.work(self.name, "features")

    def _without(self, ladder: Ladder, fold: int) -> tuple[Classifier, TrainConfig]:
        config, records, folder = ladder.training(self.recipe), ladder.splits.train, self._features(ladder)
        rows = torch.tensor([row for row, at in enumerate(ladder.fold_of) if at != fold])
        labels = torch.tensor(labels_of(records))[rows]
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)  # as its training does: what is kept rests on the weights it begins with
            network = create_network(config.network, config.transforms, len(ladder.splits.class_names))
            say = _but_anew(ladder.detail)  # that later looks are made anew for each fold's first head is no news
            frozen = KeptFeatures(network, records, config.transforms, config.hardware, folder, say)
            groups = group_numbers([records[row] for row in rows.tolist()])
            network.solve(PartOfFeatures(frozen, rows, len(records)), labels, config.seed, groups)
        return Classifier.place(network, config.hardware), config


def solving_seconds(photographs: int, classes: int, speed: Speed) -> float:
    """Return the seconds in which the heads of a method are solved for, one for each of its passes."""
    return max(_SOLVING * photographs * classes, _SOLVING_OF_FEW * min(photographs, _FEW)) * speed.passes


def _heads(ladder: Ladder, config: TrainConfig, speed: Speed, photographs: int) -> float:
    """Return the seconds in which the heads are solved for that a training begins with."""
    if not config.network.begins_with_probe:
        return 0.0
    solving = solving_seconds(photographs, len(ladder.splits.class_names), speed)
    return solving + ladder.machine.answers(speed, _FEATURE_VIEWS * photographs)


@dataclass(frozen=True)
class PartOfFeatures:
    """Of frozen features those of some photographs, which are counted anew; of the others nothing is asked."""

    frozen: FrozenFeatures
    rows: Int64[Tensor, " m"]
    photographs: int

    def __call__(
        self,
        name: str,
        part: Callable[[Network, Float[Tensor, "b 3 Hs Ws"], Int64[Tensor, " b"]], Float[Tensor, "b d"]],
    ) -> Float[Tensor, "m v d"]:
        """Return their features; arguments as in `FrozenFeatures`."""
        place = torch.zeros(self.photographs, dtype=torch.int64)
        place[self.rows] = torch.arange(len(self.rows))

        def counted(
            network: Network, images: Float[Tensor, "b 3 Hs Ws"], which: Int64[Tensor, " b"]
        ) -> Float[Tensor, "b d"]:
            return part(network, images, place[which.cpu()].to(which.device))

        return self.frozen(name, counted)[self.rows]


def but_calibration(say: Callable[[str], None]) -> Callable[[str], None]:
    """Say no temperature that a training fits by itself; what is kept is that of the answers that a fit holds out."""
    return lambda line: None if line.startswith("temperature ") else say(line)


def _but_anew(say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: None if line.endswith(MADE_ANEW) else say(line)
