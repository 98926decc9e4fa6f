"""Measure every method of grounding on the same photographs of a run: to compare methods, not networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone
from foveate.backbones.own_cnns import OwnCNN
from foveate.config.data import Split, TestViews
from foveate.data.geometry import Geometry
from foveate.data.images import upright_size
from foveate.data.loading import Batch, EvaluationViews, evaluation_loader
from foveate.data.records import ImageRecord
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.evaluation.bootstrap import mean_of
from foveate.evaluation.config import GroundingStudy
from foveate.evaluation.deletion_insertion import area, deletion_and_insertion
from foveate.evaluation.pointing_game import annotations_of, energy_inside, hits_of
from foveate.evaluation.rank_correlation import rank_correlation
from foveate.files.documents import unstructured, write_json, write_text
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.grounding.create import create_grounding
from foveate.grounding.layers import chosen_classes
from foveate.grounding.randomisation import cascade, randomised, weighted_layers
from foveate.guided_zoom.evidence_peak import strongest
from foveate.inference.classifier import Classifier
from foveate.networks.answers import check_answers
from foveate.progress import progress
from foveate.report.grounding import GroundingMeasures, MapExample, grounding_markdown, map_sheet, plot_grounding
from foveate.report.result_versions import Measured
from foveate.runs.context import HERE, RunContext
from foveate.runs.environment import environment
from foveate.runs.run import Run
from foveate.types import Box, BranchLogits, Grounded, Grounding, Size
from foveate.workflows.analysis.analysed_run import boxes_in_view
from foveate.workflows.analysis.grounding_time import said_before, seconds_of
from foveate.workflows.report_paths import measured_with, report_path
from foveate.workflows.result_rows import add_row, result_row

CHANCE = "chance"
"""Name of the maps that ask no network: random cells, as many as EB's at 224 pixels."""
_CHANCE_CELLS = 14
_Maps = dict[str, list[Float[np.ndarray, "h w"]]]
"""Of each method, those that the picture shows."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """A network, and the photographs on which its maps are measured."""

    run: Run
    classifier: Classifier
    records: Sequence[ImageRecord]
    geometries: Sequence[Geometry]
    """From each photograph to the view of it that is grounded."""
    views: EvaluationViews
    study: GroundingStudy
    context: RunContext

    @property
    def backbone(self) -> Backbone | OwnCNN:
        """What is grounded."""
        return self.classifier.network.backbone

    @torch.inference_mode()
    def answer(self, inputs: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c"]:
        """Return the backbone's logits."""
        device, dtype = self.classifier.device, self.classifier.dtype
        with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
            logits: Tensor = cast(nn.Module, self.backbone.network)(inputs)
        check_answers(BranchLogits(logits))
        return logits.float()

    def grounded_classes(self, inputs: Float[Tensor, "b 3 H W"], labels: Int64[Tensor, " b"]) -> Int64[Tensor, " b"]:
        """Return the class that is grounded in each image."""
        if self.study.truth:
            return labels.to(inputs.device)
        return chosen_classes(self.answer(inputs), 1)[:, 0].clone()

    def batches(self, count: int | None = None) -> Iterator[Batch]:
        """Yield the views of the first photographs, or of all."""
        views = self.views if count is None else EvaluationViews(self.records[:count], self.views.transforms)
        yield from evaluation_loader(views, self.study.batch_size, workers=self.context.hardware.workers)


class _Values(NamedTuple):
    """What one method gives for each photograph."""

    found: list[Tensor]
    places: list[Tensor]
    energy: list[Tensor]
    deletion: list[Tensor]
    insertion: list[Tensor]


@dataclass(slots=True)
class _ChanceMaps:
    generator: np.random.Generator

    def __call__(self, images: Float[Tensor, "b 3 H W"], classes: Int64[Tensor, "b k"] | int) -> Grounded:
        assert isinstance(classes, Tensor)
        shape = (*classes.shape, _CHANCE_CELLS, _CHANCE_CELLS)
        maps = torch.from_numpy(self.generator.random(shape, np.float32)).to(images.device)
        return Grounded(maps.new_zeros(len(images), 0), classes, maps)


@dataclass(frozen=True, slots=True)
class GroundingReport:
    """What was measured of each method, by its name, and the report's file (with other endings too)."""

    measures: Mapping[str, GroundingMeasures]
    report: Path
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why the network does not allow a method."""


def measure_grounding(
    run: Run | Path | str,
    study: GroundingStudy | None = None,
    *,
    split: Split | str = Split.TEST,
    context: RunContext = HERE,
) -> GroundingReport:
    """Measure pointing, energy, deletion, insertion and what random weights do to the maps, of every method.

    The backbone's own logits and maps are measured, in the view that the run's network first sees: an S3N's first look.
    Writes `evaluation/<split>-grounding` as Markdown and JSON, its curves and some maps as PNG.

    Args:
        run: A finished run, or its folder.
        study: Which methods, on how many photographs, and how; None: all of both.
        split: Whose photographs are grounded.
        context: As `RunContext` says; its results get one row for each method.

    Raises:
        UserError: A method that was named is not possible with this network, or the split is not the run's.
    """
    run, split, study = Run.of(run), Split(split), study or GroundingStudy()
    classifier = context.classifier_of(run)
    records = context.readable(run, _drawn(context.photographs_of(run, split), study))
    subject = _subject(run, classifier, records, study, context)
    if (expected := _expected(subject)) is not None:
        context.say(expected)
    measures, examples, left_out = _by_method(subject, context.say)
    chance = _ChanceMaps(np.random.default_rng(study.seed))
    measures[CHANCE] = _summary(subject, _per_photograph(subject, chance, CHANCE)[0], (), None)
    settings = measured_with(context, run, classifier) | _settings_of(study)
    path = report_path(run.path / "evaluation", f"{split}-grounding", settings, "grounding", context.say)
    report = GroundingReport(measures, path, left_out)
    context.say(_written(subject, report, split, examples, settings))
    if context.results is not None:
        for row in _rows(subject, report, split):
            add_row(context.results, row)
    return report


def _expected(subject: _Subject) -> str | None:
    """Return a line of how long it takes, where that is worth a word."""
    count = min(subject.study.batch_size, len(subject.records))
    inputs = subject.classifier.inputs(next(iter(subject.batches(count))).images[:, 0])
    return said_before(subject.study, len(subject.records), seconds_of(lambda: subject.answer(inputs), len(inputs)))


def _by_method(
    subject: _Subject, say: Callable[[str], None]
) -> tuple[dict[str, GroundingMeasures], _Maps, dict[str, str]]:
    """Measure the study's methods; return also some maps of each, and why methods that were not named are left out."""
    measures: dict[str, GroundingMeasures] = {}
    examples: _Maps = {}
    left_out: dict[str, str] = {}
    for method in subject.study.methods or tuple(GroundingMethod):
        try:
            measures[method.value], examples[method.value] = _method(subject, method)
        except UserError as error:
            if subject.study.methods is not None:
                raise
            say(f"{method.value} is left out: {error}")
            left_out[method.value] = str(error)
        else:
            say(f"{method.value} is measured")
    return measures, examples, left_out


def _settings_of(study: GroundingStudy) -> dict[str, object]:
    """Return what of a study changes what is measured."""
    settings = unstructured(study)
    del settings["batch_size"]
    return settings


def _drawn(records: Sequence[ImageRecord], study: GroundingStudy) -> Sequence[ImageRecord]:
    """Draw the photographs; the first of them are a draw themselves."""
    order = np.random.default_rng(study.seed).permutation(len(records))
    return [records[index] for index in order[: study.photographs].tolist()]


def _subject(
    run: Run,
    classifier: Classifier,
    records: Sequence[ImageRecord],
    study: GroundingStudy,
    context: RunContext,
) -> _Subject:
    transforms = replace(run.config.transforms, source_size=None)
    sizes = (upright_size(record.image, record.id, largest_megapixels=None) for record in records)
    geometries = [evaluation_geometries(size, transforms, TestViews.CENTRE)[0] for size in sizes]
    views = EvaluationViews(records, transforms)
    return _Subject(run, classifier, records, geometries, views, study, context)


def _config(subject: _Subject, method: GroundingMethod) -> GroundingConfig:
    study = subject.study
    return GroundingConfig(method=method, layer=study.layer, masks=study.masks, seed=study.seed)


def _method(subject: _Subject, method: GroundingMethod) -> tuple[GroundingMeasures, list[Float[np.ndarray, "h w"]]]:
    config = _config(subject, method)
    grounding = create_grounding(subject.backbone, config, dtype=subject.classifier.dtype)
    measured, maps, seconds = _per_photograph(subject, grounding, method.value)
    correlations = _correlations(subject, config)
    milliseconds = round(1e3 * seconds / len(subject.records), 2)
    return _summary(subject, measured, correlations, milliseconds), maps


def _per_photograph(
    subject: _Subject, grounding: Grounding, name: str
) -> tuple[_Values, list[Float[np.ndarray, "h w"]], float]:
    """Measure one method; return also the first maps, and the seconds that all took."""
    measured, maps, seconds, count = _Values([], [], [], [], []), [], 0.0, 0
    size = Size(*[subject.views.transforms.input_size] * 2)
    boxes = torch.from_numpy(boxes_in_view(subject.records, subject.geometries))
    with progress(f"grounding by {name}", len(subject.records), subject.context.say) as advance:
        for batch in subject.batches():
            inputs = subject.classifier.inputs(batch.images[:, 0])
            classes = subject.grounded_classes(inputs, batch.labels)
            began = time.perf_counter()
            relevance = grounding(inputs, classes[:, None]).maps[:, 0]
            seconds += time.perf_counter() - began
            peak = strongest(relevance, size)
            curves = deletion_and_insertion(
                subject.answer, inputs, relevance, classes, subject.backbone.normalisation, subject.study.curves
            )
            rows = boxes[count : count + len(inputs)].to(inputs.device)
            values = (peak.found, peak.places, energy_inside(relevance, rows, size), *curves[1:])
            for column, value in zip(measured, values, strict=True):
                column.append(value.cpu())
            maps += list(relevance[: max(0, subject.study.examples - count)].cpu().numpy())
            count += len(inputs)
            advance(count)
    return measured, maps, seconds


def _correlations(subject: _Subject, config: GroundingConfig) -> tuple[float, ...]:
    """Return how much maps of ever more random networks rank the cells as the trained one's do."""
    count = min(subject.study.sanity_photographs, len(subject.records))
    if not count:
        return ()
    network = subject.run.load_network().eval().to(subject.classifier.device)  # its batch norms not folded away
    batches = [(subject.classifier.inputs(batch.images[:, 0]), batch.labels) for batch in subject.batches(count)]
    questions = [(inputs, subject.grounded_classes(inputs, labels)[:, None]) for inputs, labels in batches]

    def maps_of(backbone: Backbone | OwnCNN) -> Tensor:
        grounding = create_grounding(backbone, config, dtype=subject.classifier.dtype)
        return torch.cat([grounding(inputs, classes).maps[:, 0] for inputs, classes in questions])

    trained, everyone = maps_of(network.backbone), torch.cat([inputs for inputs, _ in questions])
    correlations = []
    stages = cascade(weighted_layers(network.backbone), subject.study.stages)
    with progress(f"random weights, {config.method}", len(stages), subject.context.say) as advance:
        for number, layers in enumerate(stages, start=1):
            backbone = randomised(network.backbone, layers, everyone, config.seed)
            correlations.append(float(rank_correlation(trained, maps_of(backbone)).mean()))
            advance(number)
    return tuple(correlations)


def _summary(
    subject: _Subject, measured: _Values, correlations: tuple[float, ...], milliseconds: float | None
) -> GroundingMeasures:
    has_peak, places, energy, deletion, insertion = (torch.cat(each) for each in measured)
    annotations = annotations_of(subject.records)
    in_photograph = np.stack(
        [
            geometry.points_back(place[None].double().numpy())
            for geometry, place in zip(subject.geometries, places, strict=True)
        ]
    )
    hits = hits_of(in_photograph, has_peak[:, None].numpy(), annotations)
    boxed = ~np.isnan(annotations.boxes).any(1)
    parted = boxed & ~np.isnan(annotations.parts).all((1, 2)) if annotations.part_names else np.zeros_like(boxed)
    shares = torch.linspace(0, 1, deletion.shape[1])
    deleted, inserted = (mean_of(area(shares, each).numpy()) for each in (deletion, insertion))
    assert deleted is not None
    assert inserted is not None  # there is a photograph
    return GroundingMeasures(
        in_box=mean_of(np.where(boxed, hits.in_box[:, 0], np.nan)),
        near_part=mean_of(np.where(parted, hits.part[:, 0] >= 0, np.nan)),
        energy=mean_of(energy.numpy()),
        deletion=deleted,
        insertion=inserted,
        deletion_curve=tuple(deletion.mean(0).tolist()),
        insertion_curve=tuple(insertion.mean(0).tolist()),
        correlations=correlations,
        found=int(has_peak.sum()),
        milliseconds=milliseconds,
    )


def _written(
    subject: _Subject,
    report: GroundingReport,
    split: Split,
    examples: _Maps,
    settings: Mapping[str, object],
) -> str:
    """Write everything that was measured, and return it as Markdown."""
    study, path = subject.study, report.report
    title = f"{subject.run.path.name}, {split} split, grounding"
    markdown = grounding_markdown(report.measures, title, _basis(subject, report.measures))
    write_text(path, markdown)
    layers = weighted_layers(cast(nn.Module, subject.run.load_network().backbone.network))
    random = [len(each) / len(layers) for each in cascade(layers, study.stages)] if study.sanity_photographs else []
    shares = np.linspace(0, 1, study.curves.steps + 1).tolist()
    content = {
        "study": unstructured(study),
        "photographs": [record.id for record in subject.records],
        "shares": shares,
        "random_layers": random,
        "methods": {name: unstructured(each) for name, each in report.measures.items()},
        "left_out": dict(report.left_out),
        "settings": dict(settings),
        "environment": environment(),
    }
    write_json(path.with_suffix(".json"), content)
    plot_grounding(report.measures, shares, random, path.with_name(f"{path.stem}-curves.png"))
    if shown := _examples(subject, examples):
        map_sheet(shown, path.with_name(f"{path.stem}-maps.png"), title)
    return f"{markdown}\nwritten to {path} (also .json, -curves.png, -maps.png)"


def _basis(subject: _Subject, methods: Collection[str]) -> str:
    study, count = subject.study, len(subject.records)
    which = "the true class" if study.truth else "the network's own answer"
    draw = "all of the split" if study.photographs is None else f"drawn with seed {study.seed}"
    boxed, parted = (sum(bool(getattr(record, name)) for record in subject.records) for name in ("box", "parts"))
    annotated = f"Boxes in {boxed}, parts in {parted} of them." if boxed else "No box is annotated in them."
    sanity = min(study.sanity_photographs, count)
    rise = f" RISE with {study.masks} masks." if GroundingMethod.RISE in methods else ""
    rise += " Rollout shows the same for every class." if GroundingMethod.ROLLOUT in methods else ""
    return (
        f"{count} photographs ({draw}), {which}; per cent with 95% intervals (bootstrap over photographs). "
        f"{annotated} Deletion to {study.curves.deletion}, insertion into "
        f"{study.curves.insertion}, {study.curves.steps} steps.{rise} Rank correlation on {sanity} photographs."
    )


def _examples(subject: _Subject, maps: _Maps) -> list[MapExample]:
    count = min(subject.study.examples, len(subject.records))
    batches = list(subject.batches(count)) if count and maps else []
    shown: list[MapExample] = []
    for batch in batches:
        classes = subject.grounded_classes(subject.classifier.inputs(batch.images[:, 0]), batch.labels).tolist()
        for pixels, label in zip(batch.images[:, 0].numpy(), classes, strict=True):
            index = len(shown)
            record, geometry = subject.records[index], subject.geometries[index]
            box = None if record.box is None else _within(geometry.box(record.box), geometry.output)
            of_methods = {method: each[index] for method, each in maps.items()}
            name = subject.run.class_names[label]
            shown.append(MapExample(Image.fromarray(pixels), name, record.class_name, box, of_methods))
    return shown


def _within(box: Box, size: Size) -> Box:
    right, bottom = map(float, size)
    return Box(max(box.left, 0.0), max(box.top, 0.0), min(box.right, right), min(box.bottom, bottom))


def _rows(subject: _Subject, report: GroundingReport, split: Split) -> Iterator[dict[str, object]]:
    """Yield one row of a results file for each method, in per cent."""
    for name, each in report.measures.items():
        values = {key: getattr(each, key) for key in ("in_box", "near_part", "energy", "deletion", "insertion")}
        yield {
            **result_row(Measured.GROUNDING, subject.run, split, len(subject.records)),
            "grounding": name,
            "masks": subject.study.masks if name == GroundingMethod.RISE.value else None,
            **{key: None if value is None else round(100 * value.value, 2) for key, value in values.items()},
            "correlations": [round(value, 4) for value in each.correlations],
            "milliseconds": each.milliseconds,
        }
