"""What a comparison compares: runs, Guided Zooms and ensembles; their answers, and what an answer costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from foveate.config.data import Split, TestViews, TransformConfig
from foveate.data.loading import Batch, EvaluationViews, evaluation_loader
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.accuracy import measure_accuracy
from foveate.evaluation.evidence_table import EvidenceTable
from foveate.evaluation.predictions import PredictionTable, mean_answers, read_predictions
from foveate.evaluation.refinement_cost import refinement_passes
from foveate.guided_zoom.refiner import Refiner
from foveate.networks.explanation import PanelGroup
from foveate.report.comparison import Cost
from foveate.report.result_versions import Measured
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import calibration_of_first, read_calibration
from foveate.runs.run import Run
from foveate.workflows.evaluate import evaluate
from foveate.workflows.evaluate_zoom import refined_table
from foveate.workflows.explain import Explainer
from foveate.workflows.explain_zoom import ZoomExplainer
from foveate.workflows.load_guided_zoom import load_guided_zoom
from foveate.workflows.report_paths import kept_report
from foveate.workflows.result_rows import result_row
from foveate.workflows.split_evidence import evidence_of_split


class Prepared(NamedTuple):
    """A model on its device, with some photographs."""

    answer: Callable[[], object]
    """Answers for them once, and waits for the answers."""
    passes: float
    """How often a CNN looks, for one photograph on average of the whole split."""


Explain = Callable[[Image.Image, str, str, Path | None], tuple[PanelGroup, ...]]
"""From a photograph, its name, its true class and where it lies, to pictures of how an answer came about."""


@dataclass(frozen=True)
class ComparedModel(ABC):
    """A trained model whose answers to a split are compared with another's."""

    split: Split
    context: RunContext

    @property
    @abstractmethod
    def runs(self) -> tuple[Run, ...]:
        """Of its networks; the first is whose data set is answered for."""

    @property
    @abstractmethod
    def folders(self) -> tuple[Path, ...]:
        """Of the run or Guided Zoom; of an ensemble, its members'."""

    @abstractmethod
    def check(self) -> None:
        """Refuse what cannot answer.

        Raises:
            UserError: A training is not finished.
        """

    @cached_property
    @abstractmethod
    def table(self) -> PredictionTable:
        """Its answers: those that are kept, else found now and kept."""

    @abstractmethod
    def prepared(self, records: Sequence[ImageRecord]) -> Prepared:
        """Load its networks, and read photographs."""

    @property
    def prefix(self) -> str:
        """What stands before its network's method where it is named; nothing for a run."""
        return ""

    @property
    def first_answers(self) -> PredictionTable | None:
        """What it answered before the evidence was weighed; None where no evidence is."""
        return None

    @property
    def grounding_layer(self) -> str | None:
        """The layer of its network that evidence was collected in; None: none was, and the usual one will do."""
        return None

    def explainer(self) -> Explain | None:
        """Return what shows the way to its answer for a photograph; None where it cannot be shown.

        Raises:
            UserError: Its weights, or what it was made of, cannot be read.
        """
        return None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of its trainings."""
        return ()

    def alike_but_for_seeds(self, other: ComparedModel) -> bool:
        """Whether another is the same configuration, trained from whatever seeds."""
        return False

    def row(self, cost: Cost) -> dict[str, Any] | None:
        """Return its row of results; None where another command writes it, or no row says what it is."""
        return None

    @property
    def megabytes(self) -> float:
        """Of the weights of its networks on disk; a million bytes each."""
        return sum(run.weights.stat().st_size for run in self.runs) / 1e6


@dataclass(frozen=True)
class ComparedRun(ComparedModel):
    """A run, answering for one view of a photograph."""

    run: Run

    @property
    def runs(self) -> tuple[Run, ...]:
        """The one."""
        return (self.run,)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The run's."""
        return (self.run.path,)

    def check(self) -> None:
        """Refuse a training that is not finished."""
        self.run.metrics()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training's."""
        return self.run.seeds

    def alike_but_for_seeds(self, other: ComparedModel) -> bool:
        """Whether another run is the same training, and its views are weighed, or not, as this one's."""
        if not isinstance(other, ComparedRun) or not self.run.alike_but_for_seeds(other.run):
            return False
        own, others = (read_calibration(each.run.path).view_weights for each in (self, other))
        return (own is None) == (others is None)

    @cached_property
    def table(self) -> PredictionTable:
        """What `foveate evaluate` keeps, or does now."""
        name, root = f"{self.split}-{TestViews.CENTRE}", self.context.root
        file = kept_report(self.run.path / "evaluation", name, root, self.context.say).with_suffix(".parquet")
        if file.exists() and self._is_current(kept := read_predictions(file)):
            return kept
        self.context.say(f"evaluates {self.run.path} on the {self.split} split: no answers are kept as it decides now")
        return evaluate(self.run, split=self.split, context=self.context).table

    def _is_current(self, kept: PredictionTable) -> bool:
        """Whether kept answers were given with the calibration that the run has now."""
        now = read_calibration(self.run.path)
        answering = {"view_weights": now.view_weights, "temperature": None if now.temperature == 1 else now.temperature}
        return all(
            kept.metadata.get(name) == (None if value is None else str(value)) for name, value in answering.items()
        )

    def explainer(self) -> Explain | None:
        """Return what shows where it looked."""
        explainer = Explainer.of(self.run, self.context)
        return lambda image, name, truth, _: explainer.explain(image, name, truth).groups()

    def prepared(self, records: Sequence[ImageRecord]) -> Prepared:
        """Load the network."""
        classifier = self.context.classifier_of(self.run)
        images = _views(records, self.run.config.transforms, self.context)
        return Prepared(partial(classifier.probabilities, images), classifier.passes)


@dataclass(frozen=True)
class ComparedZoom(ComparedModel):
    """A Guided Zoom, deciding as its folder says."""

    zoom: GuidedZoomRun

    @property
    def runs(self) -> tuple[Run, ...]:
        """Of the conventional network and of the Evidence CNN."""
        return (self.zoom.base_run(), self.zoom.evidence_run())

    @property
    def folders(self) -> tuple[Path, ...]:
        """The Guided Zoom's."""
        return (self.zoom.path,)

    def check(self) -> None:
        """Refuse one of which a training is not finished, or whose network is another now."""
        for run in self.runs:
            run.metrics()

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of both trainings."""
        return self.zoom.seeds

    def alike_but_for_seeds(self, other: ComparedModel) -> bool:
        """Whether another Guided Zoom has the same pool, decision and trainings."""
        return isinstance(other, ComparedZoom) and self.zoom.alike_but_for_seeds(other.zoom)

    @cached_property
    def evidence(self) -> EvidenceTable:
        """What is kept of the split, or found now."""
        return evidence_of_split(self.zoom, self.split, self.zoom.description.refinement, context=self.context)

    @cached_property
    def table(self) -> PredictionTable:
        """What the evidence decides."""
        return refined_table(self.zoom, self.evidence, self.zoom.description.refinement, self.split)

    @property
    def grounding_layer(self) -> str | None:
        """That of the pool's grounding."""
        return self.zoom.description.grounded_layer

    @property
    def prefix(self) -> str:
        """A Guided Zoom is one of something."""
        return "Guided Zoom of "

    @property
    def first_answers(self) -> PredictionTable | None:
        """The conventional network's."""
        found = self.evidence
        origin = {"run": str(self.runs[0].path), "split": str(self.split)}
        answers = calibration_of_first(self.runs[0]).tempered(found.probabilities).numpy()
        return PredictionTable(found.ids, found.labels, answers, self.runs[0].class_names, origin, found.groups)

    def explainer(self) -> Explain | None:
        """Return what shows the evidence for the best classes."""
        explainer = ZoomExplainer.of(self.zoom, self.context)
        return lambda image, name, truth, path: explainer.explain(image, name, truth, path).groups()

    def prepared(self, records: Sequence[ImageRecord]) -> Prepared:
        """Load both networks."""
        config, transforms = self.zoom.description.refinement, self.runs[0].config.transforms
        networks = load_guided_zoom(self.zoom, self.context.hardware)
        refiner = Refiner.of(networks, config)
        images, source = (
            _views(records, each, self.context)[:, 0] for each in (transforms, refiner.source_of(transforms))
        )
        conventional = networks.conventional
        passes = refinement_passes(
            self.evidence, config, conventional.classifier.network, looker=conventional.looker is not None
        )
        return Prepared(partial(refiner.probabilities, images, source), passes)


@dataclass(frozen=True)
class Ensemble(ComparedModel):
    """Several models as one: the mean of their probabilities, at the cost of all."""

    members: tuple[ComparedModel, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Of all networks."""
        return tuple(run for each in self.members for run in each.runs)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The members'."""
        return tuple(folder for each in self.members for folder in each.folders)

    def check(self) -> None:
        """Refuse members that cannot answer."""
        for each in self.members:
            each.check()

    @cached_property
    def table(self) -> PredictionTable:
        """The mean of the members' probabilities."""
        tables = [each.table for each in self.members]
        return mean_answers(tables, {"ensemble": " ".join(map(str, self.folders)), "split": str(self.split)})

    def row(self, cost: Cost) -> dict[str, Any] | None:
        """Return that of a configuration's runs from several seeds, as of one run but for `members`, their number."""
        first, *others = self.members
        if len(self.runs) > len(self.members) or not all(first.alike_but_for_seeds(each) for each in others):
            return None
        accuracy = measure_accuracy(self.table.probabilities, self.table.labels, self.table.groups)
        return {
            **result_row(Measured.ACCURACY, self.runs[0], self.split, len(self.table.ids)),
            "run": " + ".join(run.path.name for run in self.runs),
            "members": len(self.members),
            "seeds": [run.config.seed for run in self.runs],
            "views": TestViews.CENTRE.value,
            "passes": cost.passes,
            "top1": round(100 * accuracy.top1.value, 2),
            "top5": round(100 * accuracy.top5.value, 2),
            "branches": {},
            "milliseconds": round(cost.milliseconds, 2),
            "minutes": round(sum(run.metrics()["minutes"] for run in self.runs), 2),
        }

    def prepared(self, records: Sequence[ImageRecord]) -> Prepared:
        """Load all."""
        every = [each.prepared(records) for each in self.members]
        return Prepared(lambda: [each.answer() for each in every], sum(each.passes for each in every))


ComparedEntry = Run | GuidedZoomRun | Path | str
"""A run or a Guided Zoom, or the folder of one."""


def compared_model(entry: ComparedEntry | Sequence[ComparedEntry], split: Split, context: RunContext) -> ComparedModel:
    """Open what is to be compared; several together are an ensemble.

    Raises:
        UserError: A folder is neither a run nor a Guided Zoom, a training is not finished, or an ensemble has fewer
            than two members, or one twice.
    """
    model = _opened(entry, split, context)
    model.check()
    return model


def _opened(entry: ComparedEntry | Sequence[ComparedEntry], split: Split, context: RunContext) -> ComparedModel:
    if isinstance(entry, Path | str):
        path = Path(entry).expanduser()
        entry = GuidedZoomRun.open(path) if GuidedZoomRun.is_at(path) else Run.open(path)
    if isinstance(entry, Run):
        return ComparedRun(split, context, entry)
    if isinstance(entry, GuidedZoomRun):
        return ComparedZoom(split, context, entry)
    members = tuple(_opened(each, split, context) for each in entry)
    folders = [each.resolve() for member in members for each in member.folders]
    if len(members) < 2 or len(set(folders)) < len(folders):
        names = ", ".join(map(str, folders)) or "none"
        raise UserError(f"an ensemble has two members or more, each once; got {names}; name others")
    return Ensemble(split, context, members)


def _views(
    records: Sequence[ImageRecord], transforms: TransformConfig, context: RunContext
) -> UInt8[Tensor, "n 1 H W 3"]:
    """Return the centre view of each photograph, all together."""
    loader = evaluation_loader(EvaluationViews(records, transforms), len(records), workers=0)
    batch: Batch = next(iter(loader))
    return batch.images
