"""Guided Zoom as a rung: it questions the best network that was trained below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from typing_extensions import override

from foveate.config.branches import Branch
from foveate.config.data import Split
from foveate.evaluation.accuracy import Accuracy
from foveate.evaluation.evidence_table import EvidenceTable
from foveate.evaluation.predictions import PredictionTable
from foveate.evaluation.refinement_cost import refinement_passes
from foveate.files.documents import read_json, structured
from foveate.guided_zoom.config import PoolConfig, RefinementConfig
from foveate.guided_zoom.refined_probabilities import refined_probabilities
from foveate.guided_zoom.weight_tuning import CachedScores, choose_setting, fit
from foveate.networks.answers import decision
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import HeldOutSource
from foveate.runs.run import Run
from foveate.workflows.build_guided_zoom import build_guided_zoom, usual_refinement
from foveate.workflows.evidence_training import EvidenceTraining
from foveate.workflows.fit.ladder import Answers, Ladder, Rung, is_answered, kept_answers, of_size
from foveate.workflows.fit.method_rungs import TrainedRung
from foveate.workflows.fit.split_accuracy import SplitAccuracy
from foveate.workflows.fit.time_model import RungTime
from foveate.workflows.split_evidence import evidence_of_split
from foveate.workflows.tune import scored_of

_POOL_PASSES, _DECISION_PASSES = 5.0, 20.0
"""Forward passes that the time of a photograph comes to in the pool and in a decision, grounding included."""
_EPOCHS = 4


@dataclass(frozen=True)
class GuidedZoomRung(Rung):
    """Guided Zoom of the best of several networks; how it decides is fitted to answers out of fold."""

    name: str
    bases: tuple[TrainedRung, ...]
    pool: PoolConfig = field(default_factory=PoolConfig)

    @property
    @override
    def least_folds(self) -> int:
        return 2

    @property
    @override
    def needs(self) -> tuple[str, ...]:
        return tuple(base.name for base in self.bases)

    @override
    def time(self, ladder: Ladder) -> RungTime:
        base = self._base(ladder) or next(each for each in self.bases if each.name in ladder.speeds)
        machine, speed = ladder.machine, ladder.speeds[base.name]
        alone = replace(speed, step=speed.step / speed.passes, answer=speed.answer / speed.passes)
        config = replace(ladder.training(base.recipe), steps=None, epochs=_EPOCHS)
        photographs, folds = len(ladder.splits.train), ladder.folds
        grounded = replace(alone, answer=_POOL_PASSES * alone.answer)
        decided = replace(alone, answer=_DECISION_PASSES * alone.answer)

        def built(count: int) -> float:
            # Of each photograph the Evidence CNN learns the whole and a patch.
            return machine.answers(grounded, count) + machine.training(config, alone, 2 * count)

        learned, refit = photographs - ladder.held_out // folds, base.time(ladder).refit + built(photographs)
        return RungTime(folds * built(learned) + machine.answers(decided, ladder.held_out), refit)

    @override
    def climb(self, ladder: Ladder) -> Answers:
        if is_answered(ladder.answered(self.name)):
            return kept_answers(ladder.answered(self.name))
        tables = self._tables(ladder)
        scored = [scored_of(table, raw=False) for table in tables]
        parts = []
        for fold, table in enumerate(tables):
            # What is fitted to a fold says nothing about it: its decision is fitted to the others.
            others = [each for place, each in enumerate(scored) if place != fold]
            config = chosen_setting(others, self._usual(ladder))
            parts.append(_answers(table, config, ladder.splits.class_names))
        return ladder.keep(self.name, parts)

    @override
    def passes(self, ladder: Ladder) -> dict[Branch, float]:
        base, config = self._climbed_base(ladder), self.refinement(ladder)
        if config.top_k == 1:  # decided by the network alone
            return {}
        tables, network = self._tables(ladder), base.fold_run(ladder, 0).load_network()
        passes = sum(refinement_passes(table, config, network) * len(table.ids) for table in tables)
        return {Branch.JOINT: passes / sum(len(table.ids) for table in tables)}

    @override
    def pass_gflop(self, ladder: Ladder) -> float:
        return self._climbed_base(ladder).pass_gflop(ladder)

    @override
    def refit(self, ladder: Ladder, out: Path) -> None:
        base = self._climbed_base(ladder)
        base.refit(ladder, out / "network")
        run = Run.open(out / "network")
        self._build(ladder, run, out, split=None)
        zoom = GuidedZoomRun.open(out)
        if zoom.description.tuned_on is None:
            zoom.with_refinement(self.refinement(ladder), HeldOutSource.OUT_OF_FOLD.value)

    @override
    def evaluate(self, ladder: Ladder, branch: Branch) -> SplitAccuracy:
        run = Run.open(ladder.out / "network")
        build_guided_zoom(run, ladder.out, pool=self._pool(ladder), context=_context(ladder))
        file = ladder.out / "evaluation" / f"{Split.TEST}.json"
        return SplitAccuracy.of(structured(read_json(file)["after"], Accuracy, file, "an evaluation"))

    def refinement(self, ladder: Ladder) -> RefinementConfig:
        """Return the decision that is fitted to the answers out of every fold."""
        scored = [scored_of(table, raw=False) for table in self._tables(ladder)]
        return chosen_setting(scored, self._usual(ladder))

    def _pool(self, ladder: Ladder) -> PoolConfig:
        """Return what pools hold: what the first fold's does where that is begun, by whatever defaults."""
        first = self._folder(ladder, 0)
        return GuidedZoomRun.open(first).description.pool if GuidedZoomRun.is_at(first) else self.pool

    def _usual(self, ladder: Ladder) -> RefinementConfig:
        run = self._climbed_base(ladder).fold_run(ladder, 0)
        return usual_refinement(run, self._folder(ladder, 0), self._pool(ladder))

    def _base(self, ladder: Ladder) -> TrainedRung | None:
        """Return the best network that is trained, by its answers out of fold; of equals the first."""
        right = {}
        for base in self.bases:
            if is_answered(folder := ladder.answered(base.name)):
                right[base] = decision(kept_answers(folder)).right.mean()
        return max(right, key=lambda each: right[each]) if right else None

    def _climbed_base(self, ladder: Ladder) -> TrainedRung:
        base = self._base(ladder)
        assert base is not None  # or it would not be climbed
        return base

    def _folder(self, ladder: Ladder, fold: int) -> Path:
        return ladder.work(self.name, f"fold-{fold + 1}", "zoom")

    def _tables(self, ladder: Ladder) -> list[EvidenceTable]:
        """Return the evidence for what each fold holds out; what is there is read."""
        base, context, tables = self._climbed_base(ladder), _context(ladder), []
        for fold in range(ladder.folds):
            folder = self._folder(ladder, fold)
            if not (GuidedZoomRun.is_at(folder) and (folder / "evaluation" / f"{Split.TEST}.json").exists()):
                ladder.step(f"{self.name} of {base.name}: fold {fold + 1} of {ladder.folds}")
                run = base.fold_run(ladder, fold)
                self._build(ladder, run, folder, split=Split.TEST)
                ladder.journal.write()
            zoom = GuidedZoomRun.open(folder)
            tables.append(evidence_of_split(zoom, Split.TEST, zoom.description.refinement, context=context))
        return tables

    def _build(self, ladder: Ladder, run: Run, folder: Path, split: Split | None) -> None:
        """Build one; its Evidence CNN is trained as usual, on patches of the size that the fit says."""
        config = EvidenceTraining().config_for(run, folder / "pool", ladder.config.hardware)
        config = replace(config, transforms=of_size(config.transforms, ladder.config.size))
        training = EvidenceTraining(config=config)
        pool, context = self._pool(ladder), _context(ladder)
        build_guided_zoom(run, folder, pool=pool, evidence=training, split=split, context=context)


def chosen_setting(parts: Sequence[CachedScores], usual: RefinementConfig) -> RefinementConfig:
    """Return the decision that is fitted to the scores of several folds together, as `foveate tune` fits it."""
    most = max(int(part.group.max()) for part in parts) + 1  # each fold numbers its groups from 0
    apart = [part._replace(group=part.group + most * place) for place, part in enumerate(parts)]
    scored = CachedScores(*(torch.cat(field) for field in zip(*apart, strict=True)))
    return choose_setting(scored, usual, fit(scored, usual)).best.config


def _answers(table: EvidenceTable, config: RefinementConfig, class_names: tuple[str, ...]) -> Answers:
    refined = refined_probabilities(table.probabilities, table.evidence.classes, table.refined(config), config.scores)
    return {
        branch: PredictionTable(table.ids, table.labels, probabilities.float().numpy(), class_names)
        for branch, probabilities in ((Branch.ORIGINAL, table.probabilities), (Branch.JOINT, refined))
    }


def _context(ladder: Ladder) -> RunContext:
    # Of a fold it would say tables that are called those of a test.
    return RunContext(hardware=ladder.config.hardware, say=lambda line: None)
