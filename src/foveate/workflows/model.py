"""A trained network that answers for photographs: `foveate.load`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from foveate.config.branches import Branch
from foveate.config.checks import require
from foveate.config.data import TestViews, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.images import upright_raster
from foveate.data.photographs import Photograph
from foveate.data.raster import Raster
from foveate.errors import UserError
from foveate.evaluation.predictions import PredictionTable
from foveate.files.remote_path import RemotePath, located
from foveate.guided_zoom.refiner import Refiner
from foveate.inference.classifier import Calibration, Classifier
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import calibration_of_first, read_calibration
from foveate.runs.run import Run
from foveate.types import Prediction
from foveate.workflows.answer_rules import AnswerRule, Doubt, held_out_of
from foveate.workflows.decoded_batches import Decoded, Pixels, Remarks, decoded_batches, stacked
from foveate.workflows.decoding import Decoding
from foveate.workflows.hub.address import HubAddress
from foveate.workflows.hub.download import downloaded
from foveate.workflows.load_guided_zoom import load_guided_zoom
from foveate.workflows.storage.download import fetched
from foveate.workflows.together import joint_answers


class Named(NamedTuple):
    """A photograph, and the name of its class."""

    image: str
    class_name: str


@dataclass(frozen=True)
class Model:
    """A trained run, or a Guided Zoom of one, ready to answer; `foveate.load` makes it."""

    run: Run
    classifier: Classifier
    refiner: Refiner | None = None
    """Of a Guided Zoom: what decides by the evidence for the run's best classes."""
    zoom: Path | None = None
    """Of a Guided Zoom: its folder."""
    calibration: Calibration = field(default_factory=Calibration)
    """Of a Guided Zoom's refined answers; a run's is its classifier's."""
    first_calibration: Calibration = field(default_factory=Calibration)
    """Of what the network of a Guided Zoom answers before the evidence (`calibration_of_first`)."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes it can tell apart."""
        return self.run.class_names

    def predict(
        self,
        photograph: Photograph,
        *,
        top: int = 5,
        entropy_threshold: float | None = None,
        error_rate: float | None = None,
        coverage: float | None = None,
        views: TestViews = TestViews.CENTRE,
        largest_megapixels: int | None = None,
    ) -> Prediction:
        """Answer for one photograph, in any of the forms of `read_photograph`. See `predict_many`."""
        answers = self.predict_many(
            [photograph],
            top=top,
            entropy_threshold=entropy_threshold,
            error_rate=error_rate,
            coverage=coverage,
            views=views,
            largest_megapixels=largest_megapixels,
        )
        return next(answers)

    def predict_many(
        self,
        photographs: Iterable[Photograph],
        *,
        top: int = 5,
        entropy_threshold: float | None = None,
        error_rate: float | None = None,
        coverage: float | None = None,
        views: TestViews = TestViews.CENTRE,
        batch_size: int = 16,
        largest_megapixels: int | None = None,
        unreadable: Callable[[str], None] | None = None,
        doubtful: Callable[[str], None] | None = None,
    ) -> Iterator[Prediction]:
        """Answer for many photographs, in their order, a batch at a time.

        Args:
            photographs: Each in any of the forms of `read_photograph`, such as a path; also without end: two batches
                are held at a time.
            top: How many classes each answer ranks; at most all.
            entropy_threshold: Nats; an answer whose entropy is above it is marked not sure. None: all are sure.
            error_rate: In place of it: answers are marked sure that are wrong at most so often, 0.02 for 2%, with 90%
                confidence by the held-out answers of the run.
            coverage: Each answer has a `prediction_set`, which holds the true class so often, 0.95 for 95%, by the
                held-out answers of the run.
            views: Which views of a photograph are averaged. Held-out answers are to one.
            batch_size: Photographs at a time.
            largest_megapixels: A photograph with more million pixels cannot be read; None: as in the training.
            unreadable: Receives what is wrong with each photograph that cannot be read, which is then left out.
                None: that is an error.
            doubtful: Receives a warning of each photograph that is nearly blank.

        Raises:
            UserError: A photograph is missing or cannot be read, an argument is out of range, the network's answer is
                not finite, several views are asked of a Guided Zoom or of a network that looks closer at some
                photographs only, or there are no held-out answers, or too few, for `error_rate` or `coverage`.
        """
        rule = self.rule(
            top, Doubt(entropy_threshold=entropy_threshold, error_rate=error_rate, coverage=coverage), views
        )
        remarks, largest = Remarks(unreadable, doubtful), self._largest(largest_megapixels)
        for names, pixels in decoded_batches(photographs, batch_size, self.decoding(views, largest), remarks):
            yield from self.answers(rule, names, pixels)

    def predict_together(
        self,
        photographs: Iterable[Photograph],
        *,
        name: str = "object",
        top: int = 5,
        entropy_threshold: float | None = None,
        views: TestViews = TestViews.CENTRE,
        largest_megapixels: int | None = None,
    ) -> Prediction:
        """Answer once for several photographs of one object, by the mean of their log probabilities (`JointAnswer`).

        Args:
            photographs: Each in any of the forms of `read_photograph`, such as a path; at least one.
            name: What the answer calls the object.
            top: As in `predict_many`.
            entropy_threshold: As there, of the joint answer.
            views: As there.
            largest_megapixels: As there.

        Raises:
            UserError: As in `predict_many`, or there is no photograph.
        """
        Doubt(entropy_threshold=entropy_threshold)
        require(top >= 1, "top must be at least 1", top)
        answers = self.predict_many(
            photographs, top=len(self.class_names), views=views, largest_megapixels=largest_megapixels
        )
        joint = next(joint_answers(answers, lambda _: name, self.class_names, top, entropy_threshold), None)
        if joint is None:
            raise UserError("an object is answered for by its photographs; got none; give at least one")
        return joint

    def decoded(self, image: Image.Image | Raster) -> Decoded:
        """Return what it looks at of a photograph, whole or as fine as its `transforms` need it; from any thread."""
        return self.decoding().viewed(upright_raster(image, "the photograph"), "the photograph")

    def predict_decoded(self, photographs: Sequence[Decoded], names: Sequence[str], *, top: int) -> list[Prediction]:
        """Answer for photographs in one pass, each by its name.

        Raises:
            UserError: The network's answer is not finite.
        """
        return list(self.answers(self.rule(top, Doubt()), names, [each.pixels for each in photographs]))

    def unrefined(self) -> Model:
        """Return what answers as the run alone does, without the evidence of a Guided Zoom; of a run, itself."""
        if self.refiner is None:
            return self
        classifier = replace(self.classifier, calibration=read_calibration(self.run.path))
        return Model(self.run, classifier)

    def classify_many(
        self,
        photographs: Iterable[Photograph],
        *,
        batch_size: int = 16,
        largest_megapixels: int | None = None,
        unreadable: Callable[[str], None] | None = None,
        doubtful: Callable[[str], None] | None = None,
    ) -> Iterator[Named]:
        """Name each photograph and its class, the best one of `predict_many`, and nothing else.

        A Guided Zoom then looks at a class's evidence only while the class can still win, which with several rounds
        takes fewer passes (docs/performance.md), and with one as many.

        Args:
            photographs: Each in any of the forms of `read_photograph`, such as a path; also without end: two batches
                are held at a time.
            batch_size: Photographs at a time.
            largest_megapixels: As in `predict_many`.
            unreadable: As in `predict_many`.
            doubtful: As in `predict_many`.

        Raises:
            UserError: A photograph is missing or cannot be read, or the network's answer is not finite.
        """
        remarks, largest = Remarks(unreadable, doubtful), self._largest(largest_megapixels)
        decode = self.decoding(TestViews.CENTRE, largest)
        for names, pixels in decoded_batches(photographs, batch_size, decode, remarks):
            yield from self.named(names, pixels)

    def decoding(self, views: TestViews = TestViews.CENTRE, largest_megapixels: int | None = None) -> Decoding:
        """Return what turns a photograph into what it looks at; it holds no network."""
        return Decoding(self.transforms, views, largest_megapixels)

    def named(self, names: Sequence[str], pixels: Sequence[Pixels]) -> Iterator[Named]:
        """Name the class of each photograph of a batch, as `classify_many` does.

        Args:
            names: Of the photographs.
            pixels: Of each, as `decoding` makes them.

        Raises:
            UserError: The network's answer is not finite.
        """
        sizes = stacked(pixels)
        if self.refiner is None:
            best = self.classifier.probabilities(sizes[0]).argmax(1)
        else:
            best = self.refiner.classes(*(each[:, 0] for each in sizes))
        return map(Named, names, (self.class_names[label] for label in best.tolist()))

    def answers(self, rule: AnswerRule, names: Sequence[str], pixels: Sequence[Pixels]) -> Iterator[Prediction]:
        """Answer for each photograph of a batch, as `predict_many` does.

        Args:
            rule: As `rule` returns it.
            names: Of the photographs.
            pixels: Of each, as `decoding` makes them.

        Raises:
            UserError: The network's answer is not finite.
        """
        first, probabilities = self._probabilities(*stacked(pixels))
        before = [None] * len(names) if first is None else first.numpy()
        return map(rule.prediction, names, probabilities.numpy(), before)

    def _probabilities(
        self, images: UInt8[Tensor, "b v H W 3"], source: UInt8[Tensor, "b 1 Hs Ws 3"] | None = None
    ) -> tuple[Float[Tensor, "b c"] | None, Float[Tensor, "b c"]]:
        """Return what a Guided Zoom's network says first, where it is one, and what is answered."""
        if self.refiner is None or source is None:
            return None, self.classifier.probabilities(images)
        answers = self.refiner.answers(images[:, 0], source[:, 0])
        return self.first_calibration.tempered(answers.first), self.calibration.tempered(answers.refined)

    def rule(self, top: int, doubt: Doubt, views: TestViews = TestViews.CENTRE) -> AnswerRule:
        """Return what makes answers of probabilities.

        Args:
            top: As in `predict_many`.
            doubt: How doubts are told.
            views: As there.

        Raises:
            UserError: As there.
        """
        if top < 1:
            raise UserError(f"top must be at least 1; got {top}")
        closer, entropy_threshold = self.classifier.zoom_entropy_threshold, doubt.entropy_threshold
        if closer is not None and entropy_threshold is not None and entropy_threshold < closer:
            raise UserError(
                f"what is not looked at closer must count as sure: zoom_entropy_threshold, {closer}, must not be above "
                f"entropy_threshold, {entropy_threshold}; lower the one or raise the other"
            )
        if closer is not None and entropy_threshold is not None and self.calibration.temperature != 1:
            raise UserError(
                "zoom_entropy_threshold is of the first look's own entropy, entropy_threshold of that of calibrated "
                f"answers (temperature {self.calibration.temperature:.3g}), so they cannot be given together; give "
                "error_rate in place of entropy_threshold"
            )
        if self.refiner is not None and views is not TestViews.CENTRE:
            raise UserError(
                f"a Guided Zoom looks for evidence in one view of a photograph, views {TestViews.CENTRE}; got {views}; "
                "leave it out"
            )
        held_out = self._held_out() if doubt.rests_on_held_out else None
        return AnswerRule.of(doubt, top, self.class_names, held_out)

    def _held_out(self) -> PredictionTable:
        """Return the held-out answers that count, calibrated as its own are."""
        if self.zoom is not None:
            return held_out_of(self.zoom, self.class_names).decided(self.calibration)
        gated = held_out_of(self.run.path, self.class_names).gated(self.classifier.zoom_entropy_threshold)
        return gated.decided(self.classifier.calibration)

    @property
    def transforms(self) -> tuple[TransformConfig, ...]:
        """What a photograph is turned into: what the network sees, and what patches are cut from."""
        transforms = self.run.config.transforms
        return (transforms,) if self.refiner is None else (transforms, self.refiner.source_of(transforms))

    def _largest(self, megapixels: int | None) -> int:
        return RunContext(largest_megapixels=megapixels).largest_of(self.run)


def load(
    path: Path | str,
    *,
    hardware: HardwareConfig | None = None,
    zoom_entropy_threshold: float | None = None,
    branch: Branch | str | None = None,
) -> Model:
    """Load a finished run's network, or a Guided Zoom with both of its networks, ready to predict.

    Args:
        path: The run folder, or the Guided Zoom's; or what `foveate push` put on the hub, as hf://user/name or
            hf://user/name@revision, or what --out wrote to an address such as s3://bucket/run; that is fetched once
            and checked by its hashes.
        hardware: Where to compute; none: the fast choice of this machine.
        zoom_entropy_threshold: Of an S3N run: look closer only where the entropy of the first look, in nats, is above
            this; None: always. `foveate evaluate --split validation` shows what each threshold saves.
        branch: Of a run: the one branch that answers, such as `original`, the first look of an S3N, which then costs
            one pass, as a plain network does; None: all decide together.

    Raises:
        UserError: The hardware is not there; the folder is neither, or not finished, its weights are missing or not its
            own; or `zoom_entropy_threshold` is negative, or given for what is no S3N that looks closer; or the network
            has no such branch, or is a Guided Zoom's; or the hub or the storage does not have it, or not undamaged.
    """
    if HubAddress.is_one(path):
        path = downloaded(HubAddress.read(path))
    elif isinstance(place := located(path), RemotePath):
        path = fetched(place)
    path, context = Path(path).expanduser(), RunContext(hardware=hardware or HardwareConfig())
    if GuidedZoomRun.is_at(path):
        if zoom_entropy_threshold is not None:
            raise UserError(
                "zoom_entropy_threshold says where an S3N run looks closer; got a Guided Zoom; leave it out"
            )
        if branch is not None:
            raise UserError(
                f"branch says which branch of a run answers alone; got a Guided Zoom and {branch}; leave it out, or "
                "give the run that it questions"
            )
        zoom = GuidedZoomRun.open(path)
        networks = load_guided_zoom(zoom, context.hardware)
        refiner = Refiner.of(networks, zoom.description.refinement)
        run = zoom.base_run()
        calibrations = read_calibration(path), calibration_of_first(run)
        return Model(run, networks.conventional.classifier, refiner, path, *calibrations)
    run = Run.open(path)
    return Model(run, context.classifier_of(run, zoom_entropy_threshold=zoom_entropy_threshold, branch=branch))
