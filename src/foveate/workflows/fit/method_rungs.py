"""Methods as rungs: trained on every fold, or solved for on features that are computed once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from typing_extensions import override

from foveate.config.branches import Branch
from foveate.data.records import labels_of
from foveate.inference.classifier import Classifier
from foveate.networks.network import FrozenFeatures, Network
from foveate.recipes.config import TrainConfig
from foveate.recipes.methods import create_network
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.training.frozen_features import KeptFeatures
from foveate.training.solve import group_numbers
from foveate.workflows.evaluate import evaluate
from foveate.workflows.fit.ladder import Answers, Ladder, Rung, configured
from foveate.workflows.fit.time_model import RungTime, Speed
from foveate.workflows.train import train, trained

_FEATURE_VIEWS = 2
"""Of each photograph, of which a probe keeps features."""
_SOLVING, _SOLVING_OF_FEW = 6 / (832 * 39), 2 / 384
"""Seconds in which a probe is fitted, for each photograph and class, and at least for each photograph up to `_FEW`;
measured on a core with 832 photographs of 39 classes and 600 of 20."""
_FEW = 384


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

    @override
    def evaluate(self, ladder: Ladder, branch: Branch) -> float:
        # Which branch decides is written in the run's calibration.
        context = RunContext(hardware=ladder.config.hardware, say=ladder.detail)
        return evaluate(ladder.out, context=context).accuracy.top1.value


@dataclass(frozen=True)
class TrainedRung(MethodRung):
    """A method that is trained."""

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
        answers = machine.answers(speed, ladder.held_out)
        without = _heads(ladder, config, speed, learned) + machine.training(ladder.of_fold(config), speed, learned)
        refit = _heads(ladder, config, speed, photographs) + machine.training(ladder.on_all(config), speed, photographs)
        return RungTime(folds * without + answers, refit)

    @override
    def climb(self, ladder: Ladder) -> Answers:
        return ladder.over_folds(self.name, lambda fold: self._without(ladder, fold))

    def fold_run(self, ladder: Ladder, fold: int) -> Run:
        """Return the run of what is trained without a fold."""
        folder = ladder.work(self.name, f"fold-{fold + 1}", "run")
        return trained(ladder.training(self.recipe, fold), folder, say=ladder.detail_in_time)

    def _without(self, ladder: Ladder, fold: int) -> tuple[Classifier, TrainConfig]:
        run = self.fold_run(ladder, fold)
        return Classifier.place(run.load_network(), run.config.hardware), run.config

    @override
    def refit(self, ladder: Ladder, out: Path) -> None:
        train(ladder.training(self.recipe), out, say=ladder.detail)


@dataclass(frozen=True)
class SolvedRung(MethodRung):
    """A method whose heads are solved for: first on all photographs, then without each fold, on the same features."""

    @override
    def time(self, ladder: Ladder) -> RungTime:
        machine, speed, config = ladder.machine, ladder.speeds[self.name], ladder.training(self.recipe)
        photographs, solutions = len(ladder.splits.train), 1 + ladder.folds
        # Later looks rest on the first one's head, so that each fold has its own.
        later = ladder.folds * (1 - 1 / speed.passes)
        looks = _FEATURE_VIEWS * photographs * (1 + later) + ladder.held_out
        solving = solving_seconds(photographs, len(ladder.splits.class_names), speed) * solutions
        return RungTime(machine.training(config, speed, 0) + machine.answers(speed, round(looks)) + solving, 0.0)

    @override
    def passes(self, ladder: Ladder) -> dict[Branch, float]:
        offered = super().passes(ladder)
        return dict([max(offered.items(), key=lambda item: item[1])])  # its first look alone is a probe, a lower rung

    @override
    def climb(self, ladder: Ladder) -> Answers:
        run = self._run(ladder)
        features = ladder.work(self.name, "features")
        if not features.exists():  # a copy: looks that rest on a fold's first head are kept there in its place
            with _whole(features) as folder:
                shutil.copytree(run.path / "features", folder)
        return ladder.over_folds(self.name, lambda fold: self._without(ladder, run.config, features, fold))

    def _run(self, ladder: Ladder) -> Run:
        return trained(ladder.training(self.recipe), ladder.work(self.name, "run"), say=ladder.detail)

    def _without(
        self, ladder: Ladder, config: TrainConfig, features: Path, fold: int
    ) -> tuple[Classifier, TrainConfig]:
        records = ladder.splits.train
        rows = torch.tensor([row for row, at in enumerate(ladder.fold_of) if at != fold])
        labels = torch.tensor(labels_of(records))[rows]
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)  # as its training does: what is kept rests on the weights it begins with
            network = create_network(config.network, config.transforms, len(ladder.splits.class_names))
            # That those of another fold's first head are made anew is no news.
            frozen = KeptFeatures(network, records, config.transforms, config.hardware, features, lambda line: None)
            groups = group_numbers([records[row] for row in rows.tolist()])
            network.solve(PartOfFeatures(frozen, rows, len(records)), labels, config.seed, groups)
        return Classifier.place(network, config.hardware), config

    @override
    def refit(self, ladder: Ladder, out: Path) -> None:
        if not (out / "run.json").exists():
            self._run(ladder)
        move_run(ladder.work(self.name, "run"), out)


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


def move_run(run: Path, out: Path) -> None:
    """Move a finished run into a folder; what was interrupted is moved on.

    What makes the folder a run comes first, and what says that it is finished last.
    """
    out.mkdir(parents=True, exist_ok=True)
    order = {"run.json": 0, "metrics.json": 2}
    for entry in sorted(run.iterdir(), key=lambda each: order.get(each.name, 1)):
        if not entry.name.startswith("."):
            entry.replace(out / entry.name)


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Yield the folder to fill, which is called so once it is full."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    yield part
    part.replace(folder)
