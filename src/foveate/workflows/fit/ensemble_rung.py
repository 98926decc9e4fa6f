"""Several rungs that answer together, as a rung: what is climbed already is weighed, and nothing more is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from foveate.config.branches import LARGEST_ENSEMBLE, MEMBERS, Branch
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable
from foveate.evaluation.temperature import least_log_loss
from foveate.evaluation.view_weights import log_answers
from foveate.files.documents import read_json, write_json
from foveate.networks.answers import decision
from foveate.runs.run import Run
from foveate.workflows.ensemble import fitted_shares, joined, unseen
from foveate.workflows.fit.climb import lateness
from foveate.workflows.fit.ladder import Answers, Ladder, Rung, is_answered, kept_answers
from foveate.workflows.fit.method_rungs import MethodRung, tested
from foveate.workflows.fit.split_accuracy import SplitAccuracy
from foveate.workflows.fit.time_model import RungTime

_GAIN = 0.01
"""By what share a further member must lessen the log loss; each makes the answer dearer."""
_SHARES = "shares.json"
_Tables = Mapping[str, PredictionTable]


class _Weighed(NamedTuple):
    """Members that answer together, the one that is right most often first."""

    members: tuple[MethodRung, ...]
    answers: PredictionTable
    """To each photograph by weights that were fitted to others; which members there are rests on all photographs."""
    loss: float
    """Mean log loss of these, at the temperature that suits them best."""


@dataclass(frozen=True)
class EnsembleRung(Rung):
    """The best rung, and those that lessen its log loss on held-out photographs; as many as there is time to refit.

    What held-out photographs say is of each member's own views. In the run that is left, members of smaller views see
    the largest one resampled (`EnsembleNetwork`), and may answer otherwise now and then.
    """

    name: str
    parts: tuple[MethodRung, ...]

    @property
    @override
    def needs(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    @override
    def time(self, ladder: Ladder) -> RungTime:
        # Its members are chosen by the time that is left: before that it asks for none.
        return RungTime(0.0, sum(member.time(ladder).refit for member in self._members(ladder)))

    @override
    def climb(self, ladder: Ladder) -> Answers:
        if is_answered(ladder.answered(self.name)):
            return kept_answers(ladder.answered(self.name))
        tables = self._tables(ladder)
        if len(tables) < 2:
            raise UserError("an ensemble needs two rungs whose trainings are whole; give more --minutes")
        chosen = self._chosen(ladder, tables)
        each = [tables[member.name] for member in chosen.members]
        shares = {member.name: share for member, share in zip(chosen.members, _shares(each), strict=True) if share > 0}
        write_json(ladder.answered(self.name) / _SHARES, shares)
        answers = dict(zip(MEMBERS, (tables[name] for name in shares), strict=False))
        return ladder.keep(self.name, [{**answers, Branch.JOINT: chosen.answers}])

    @override
    def passes(self, ladder: Ladder) -> dict[Branch, float]:
        members = self._members(ladder)
        return {Branch.JOINT: sum(_passes(member, ladder) for member in members)} if len(members) > 1 else {}

    @override
    def pass_gflop(self, ladder: Ladder) -> float:
        members = self._members(ladder)
        gflop = sum(_passes(member, ladder) * member.pass_gflop(ladder) for member in members)
        return gflop / sum(_passes(member, ladder) for member in members)

    @override
    def is_solved(self, ladder: Ladder) -> bool:
        return all(member.is_solved(ladder) for member in self._members(ladder))

    @override
    def rests_on(self, ladder: Ladder) -> str:
        return ", ".join(f"{name} {share:.2f}" for name, share in self._kept_shares(ladder).items())

    @override
    def refit(self, ladder: Ladder, out: Path) -> None:
        runs = []
        for member in self._members(ladder):
            folder = ladder.work(self.name, "refit", member.name)
            folder.mkdir(parents=True, exist_ok=True)
            ladder.step(f"{self.name}: {member.name}")
            member.refit(ladder, folder)
            runs.append(Run.open(folder))
        joined(runs, np.array([*self._kept_shares(ladder).values()]), None, out, ladder.detail)

    @override
    def evaluate(self, ladder: Ladder, branch: Branch) -> SplitAccuracy:
        return tested(ladder)

    def _tables(self, ladder: Ladder) -> _Tables:
        """Return the answers of what may be a member, by name.

        A training that is held back without a fold would count too little beside probes, which lose nothing: where
        those are shorter, none is a member.
        """
        named = [part.name for part in self.parts if is_answered(ladder.answered(part.name))]
        held_back = [part.name for part in self.parts if part.learns and ladder.fold_share < 1]
        return {name: decision(kept_answers(ladder.answered(name))) for name in named if name not in held_back}

    def _kept_shares(self, ladder: Ladder) -> Mapping[str, float]:
        """Return how much each member counts, by name; none before it is climbed."""
        file = ladder.answered(self.name) / _SHARES
        return read_json(file) if file.exists() else {}

    def _members(self, ladder: Ladder) -> tuple[MethodRung, ...]:
        named = {part.name: part for part in self.parts}
        return tuple(named[name] for name in self._kept_shares(ladder))

    def _chosen(self, ladder: Ladder, tables: _Tables) -> _Weighed:
        """Begin with the best rung and add, as long as that pays, the one that lessens the log loss most."""
        left = [part for part in self.parts if part.name in tables]
        best = max(left, key=lambda part: tables[part.name].right.mean())  # of equals the first, the cheapest to train
        chosen = _together(ladder, (best,), tables)
        for _ in range(LARGEST_ENSEMBLE - 1):
            left = [part for part in left if part not in chosen.members and _in_time(ladder, (*chosen.members, part))]
            further = [_together(ladder, (*chosen.members, part), tables) for part in left]
            better = min(further, key=lambda each: each.loss, default=chosen)
            if not better.loss < (1 - _GAIN) * chosen.loss:
                break
            chosen = better
        return chosen


def _passes(member: MethodRung, ladder: Ladder) -> float:
    return max(member.passes(ladder).values())


def _in_time(ladder: Ladder, members: Sequence[MethodRung]) -> bool:
    """Whether all of them can be trained on all photographs in the minutes that are left."""
    late, tested_on = lateness(ladder), len(ladder.splits.test)
    seconds = sum(late * member.time(ladder).refit + member.answering(ladder, tested_on) for member in members)
    return ladder.journal.spent + seconds <= 60 * ladder.config.minutes


def _shares(tables: Sequence[PredictionTable]) -> list[float]:
    return [float(share) for share in fitted_shares(tables, _alike(tables))]


def _alike(tables: Sequence[PredictionTable]) -> Float[np.ndarray, " m"]:
    return np.full(len(tables), 1 / len(tables))


def _together(ladder: Ladder, members: tuple[MethodRung, ...], tables: _Tables) -> _Weighed:
    """Weigh members by their answers."""
    each = [tables[member.name] for member in members]
    answers = unseen(each, _alike(each), ladder.config.seed)
    logs = log_answers([answers.probabilities])[:, 0]
    return _Weighed(members, answers, least_log_loss(logs, answers.labels))
