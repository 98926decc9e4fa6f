"""Show how a run or a Guided Zoom comes to its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from foveate.config.data import TestViews
from foveate.data.images import upright_raster
from foveate.data.paths import find_photographs
from foveate.data.raster import Raster
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.inference.classifier import Classifier
from foveate.networks.explanation import Explanation
from foveate.runs.context import HERE, RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.explain_zoom import explain_zoom
from foveate.workflows.explanation_pictures import Draw, draw_photographs, shown_name
from foveate.workflows.true_classes import true_classes


@dataclass(frozen=True)
class Explainer:
    """A run's network, at the end of its training or after one of the epochs it kept, ready to show its way."""

    run: Run
    classifier: Classifier

    @classmethod
    def of(
        cls, run: Run, context: RunContext = HERE, epoch: int | None = None, *, over_training: bool = False
    ) -> Explainer:
        """Load the weights; arguments and errors as in `Run.load_network`, or the method shows no stages."""
        classifier = context.classifier_of(run, epoch=epoch)
        classifier.network.check_explains(over_training=over_training)
        return cls(run, classifier)

    def explain(self, image: Image.Image | Raster, title: str, truth: str | None = None) -> Explanation:
        """Return what the network saw in a photograph."""
        raster = upright_raster(image, title)
        (view,) = evaluation_geometries(raster.source, self.run.config.transforms, TestViews.CENTRE)
        pixels = torch.from_numpy(np.array(raster.view(view)))[None]
        return self.classifier.explanation(pixels, self.run.class_names, title, truth)


def explain(
    run: Run | GuidedZoomRun | Path | str,
    patterns: Sequence[str],
    *,
    epochs: Sequence[int] | None = None,
    out: Path | None = None,
    context: RunContext = HERE,
) -> tuple[Path, ...]:
    """Write one picture for each photograph: where the network looked, what it saw there, what it answered.

    Args:
        run: A finished run, or its folder; a run that kept epochs may be unfinished. A method without a picture of its
            own, such as plain, is shown by maps of its best classes. A Guided Zoom is shown as `explain_zoom` does.
        patterns: Photographs, folders, globs.
        epochs: Show the evidence over training instead, at these of the S3N run's kept epochs; empty: at all of them.
        out: Folder for the pictures, named after the photographs (`picture_paths`); None: `explanations/` in the run
            folder.
        context: As `RunContext` says.

    Returns:
        The pictures.

    Raises:
        UserError: An epoch was not kept, or its method shows no stages, or a photograph cannot be read.
    """
    if isinstance(run, GuidedZoomRun) or (not isinstance(run, Run) and GuidedZoomRun.is_at(Path(run).expanduser())):
        if epochs is not None:
            raise UserError("evidence over training is shown of S3N runs; a Guided Zoom keeps no epochs; leave it out")
        return explain_zoom(run, patterns, out=out, context=context)
    run, photographs = Run.of(run), find_photographs(patterns, context.say)
    truths = true_classes(run, photographs, context)
    draw = _drawing(run, truths, context) if epochs is None else _drawing_over_training(run, epochs, truths, context)
    ending = "explained" if epochs is None else "epochs"
    shown = (run.config.transforms,)
    return draw_photographs(photographs, run, shown, out or run.path / "explanations", ending, draw, context)


def _drawing(run: Run, truths: Mapping[Path, str], context: RunContext) -> Draw:
    explainer = Explainer.of(run, context)

    def draw(image: Raster, photograph: Path, picture: Path) -> None:
        explainer.explain(image, shown_name(photograph), truths.get(photograph)).draw(picture)

    return draw


def _drawing_over_training(run: Run, epochs: Sequence[int], truths: Mapping[Path, str], context: RunContext) -> Draw:
    if not run.kept_epochs():
        raise UserError(
            f"evidence over training needs the weights of several epochs; {run.path} kept none; "
            "train with --keep-epochs, such as 1 5 20"
        )
    shown = epochs or run.kept_epochs()
    explainers = {epoch: Explainer.of(run, context, epoch, over_training=True) for epoch in shown}

    def draw(image: Raster, photograph: Path, picture: Path) -> None:
        title, truth = shown_name(photograph), truths.get(photograph)
        stages = [(f"epoch {epoch}", each.explain(image, title, truth)) for epoch, each in explainers.items()]
        stages[0][1].draw_stages(stages, picture)

    return draw
