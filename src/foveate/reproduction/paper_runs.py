"""What the papers' tables and figures are made with: runs that are trained once, and what was measured of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from foveate.config.hardware import HardwareConfig
from foveate.errors import UserError
from foveate.files.documents import read_json, write_json
from foveate.guided_zoom.config import PatchConfig, PoolConfig, RefinementConfig
from foveate.reproduction.tables import Quantity, Training, named_alike
from foveate.reproduction.trainings import TRAININGS
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.analysis.analyse_attention import analyse_attention
from foveate.workflows.analysis.localise import localise
from foveate.workflows.build_guided_zoom import build_guided_zoom
from foveate.workflows.evaluate import evaluate
from foveate.workflows.evidence_training import BY_RECIPE, EvidenceTraining
from foveate.workflows.train import trained

_REFINED = {Quantity.REFINED_3: 3, Quantity.REFINED_5: 5}

_MEASURED: dict[Quantity, tuple[str, Callable[..., object]]] = {
    Quantity.LOCALISATION: ("test-localisation.json", localise),
    Quantity.HIT_RATE: ("test-attention.json", analyse_attention),
}
"""Which report has a number, and what writes it; the others are the evaluation's."""

_PAPER_LAYERS = {"resnet101.tv_in1k": "layer3.0", "vgg19.tv_in1k": "features.11"}
"""Where Guided Zoom's paper grounds its networks: res4a and conv3_1."""
_PAPER_POOL = replace(PoolConfig.paper(), patches=replace(PatchConfig.paper(), elsewhere=True))
"""The paper's grounding and rounds for other networks; each round looks elsewhere than those before, as ours do."""


@dataclass(frozen=True, kw_only=True)
class PaperRuns:
    """Where runs lie and what they are made with.

    ``runs`` holds a folder for each training and seed; several tables share it. ``archives`` holds the data sets'
    folders under their own names, such as `CUB_200_2011`. ``results`` is a file of JSON lines that gets a row for each
    evaluation.
    """

    runs: Path
    archives: Path
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    results: Path | None = None
    say: Callable[[str], None] = print

    @property
    def context(self) -> RunContext:
        """With what everything is measured."""
        return RunContext(hardware=self.hardware, results=self.results, say=self.say)

    def run(self, training: Training, seed: int) -> Run:
        """Return the finished run of a training; of two that differ in name only there is one.

        Raises:
            UserError: The data set is not there, or the folder holds another run.
        """
        training = named_alike(training, TRAININGS)
        config = training.config(TRAININGS)
        data = replace(config.data, root=self.archives / config.data.root.name)
        if not data.root.exists():
            raise UserError(
                f"{training.recipe} is trained on {data.root.name}; {self.archives} has no such folder; give the "
                "folder that holds the data sets under their own names with --archives"
            )
        config = replace(config, data=data, seed=seed, hardware=self.hardware)
        return trained(config, self.runs / f"{training.folder}-{seed}", say=self.say)

    def measured(self, quantity: Quantity, training: Training, seed: int) -> float:
        """Return a number of a run, in per cent; what an earlier call measured is read."""
        run = self.run(training, seed)
        if quantity in _REFINED:
            file = _refined(self.zoom(run).path, _REFINED[quantity])
            return 100 * _number(read_json(file), file, "top1")
        report, measure = _MEASURED.get(quantity, ("test-centre.json", evaluate))
        content, file = self.read(run, report, measure), run.path / "evaluation" / report
        if quantity is Quantity.LOCALISATION:
            branch = "joint" if "joint" in content.get("branches", ()) else "original"
            return 100 * _number(content, file, "branches", branch, "localised")
        if quantity is Quantity.HIT_RATE:
            return 100 * _number(content, file, "mean_hit_rate")
        of_all = {Quantity.TOP1: "top1", Quantity.TOP5: "top5"}
        where = ("accuracy", of_all[quantity]) if quantity in of_all else ("branches", quantity.value)
        return 100 * _number(content, file, *where, "value")

    def read(self, run: Run, name: str, measure: Callable[..., object]) -> dict[str, Any]:
        """Return what a measurement wrote into the run's folder; it is made if it is not there."""
        report = run.path / "evaluation" / name
        if not report.exists():
            context = self.context if measure is evaluate else replace(self.context, results=None)
            measure(run, context=context)
        return read_json(report)

    def zoom(self, run: Run) -> GuidedZoomRun:
        """Return a run's Guided Zoom by the paper's settings, judged with each k."""
        pool, evidence = _PAPER_POOL, BY_RECIPE
        if (layer := _PAPER_LAYERS.get(run.config.network.base)) is not None:
            pool = replace(PoolConfig.paper(), grounding=replace(_PAPER_POOL.grounding, layer=layer))
            recipe = TRAININGS["evidence-resnet101"]()
            evidence = EvidenceTraining(config=replace(recipe, seed=run.config.seed, hardware=self.hardware))
        out = self.runs / f"guided-zoom-{run.path.name}"
        if GuidedZoomRun.is_at(out):
            GuidedZoomRun.start(out, replace(GuidedZoomRun.open(out).description, pool=pool))  # refuses another pool
        # Most classes first: the evidence of five serves three, not the other way round.
        for top_k in sorted(_REFINED.values(), reverse=True):
            if not _refined(out, top_k).exists():
                rows = build_guided_zoom(
                    run,
                    out,
                    pool=pool,
                    evidence=evidence,
                    refinement=replace(RefinementConfig.paper(), top_k=top_k),
                    context=self.context,
                )
                write_json(_refined(out, top_k), {"top1": rows[0].change.after})
        return GuidedZoomRun.open(out)


def _number(content: object, file: Path, *names: str) -> float:
    for name in names:
        content = content.get(name) if isinstance(content, dict) else None
    if type(content) not in (int, float):
        raise UserError(f"{file} must say {'.'.join(names)}; it does not; remove it, and it is measured again")
    return float(cast(float, content))


def _refined(zoom: Path, top_k: int) -> Path:
    return zoom / "evaluation" / f"test-k{top_k}.json"
