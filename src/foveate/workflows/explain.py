"""Show how a run of S3N or MA-CNN, or a Guided Zoom, comes to its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from foveate.config.data import OnError, TestViews
from foveate.config.hardware import HardwareConfig
from foveate.data.images import read_image, upright_rgb
from foveate.data.paths import find_photographs
from foveate.data.roots import shown_path
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.hardware import device_of
from foveate.inference.classifier import Classifier
from foveate.networks.explanation import Explanation
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.types import Size
from foveate.workflows.explain_zoom import explain_zoom
from foveate.workflows.pictures import largest_of, picture_paths, readable, shown_name

_Draw = Callable[[Image.Image, str, Path], None]


@dataclass(frozen=True)
class Explainer:
    """A run's network, at the end of its training or after one of the epochs it kept, ready to show its way."""

    run: Run
    classifier: Classifier

    @classmethod
    def of(
        cls, run: Run, hardware: HardwareConfig | None = None, epoch: int | None = None, *, over_training: bool = False
    ) -> Explainer:
        """Load the weights; arguments and errors as in `Run.load_network`, or the run's method explains nothing."""
        hardware = hardware or HardwareConfig()
        device_of(hardware)  # what is not there is said before the weights are read
        classifier = Classifier.place(run.load_network(epoch), hardware)
        classifier.network.check_explains(over_training=over_training)
        return cls(run, classifier)

    def explain(self, image: Image.Image, title: str, truth: str | None = None) -> Explanation:
        """Return what the network saw in a photograph."""
        image = upright_rgb(image, title, largest_megapixels=None)
        (view,) = evaluation_geometries(Size(*image.size), self.run.config.transforms, TestViews.CENTRE)
        pixels = torch.from_numpy(np.array(view.pixels(image)))[None]
        return self.classifier.explanation(pixels, self.run.class_names, title, truth)


def explain(
    run: Run | GuidedZoomRun | Path | str,
    patterns: Sequence[str],
    *,
    epochs: Sequence[int] | None = None,
    out: Path | None = None,
    on_error: OnError = OnError.STOP,
    largest_megapixels: int | None = None,
    hardware: HardwareConfig | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Path, ...]:
    """Write one picture for each photograph: where the network looked, what it saw there, what it answered.

    Args:
        run: A finished run of S3N or MA-CNN, or its folder; a run that kept epochs may be unfinished. A Guided Zoom
            is shown as `explain_zoom` does.
        patterns: Photographs, folders, globs.
        epochs: Show the evidence over training instead, at these of the S3N run's kept epochs; empty: at all of them.
        out: Folder for the pictures, named after the photographs (`picture_paths`); None: `explanations/` in the run
            folder.
        on_error: Whether photographs that cannot be read stop it, before anything is drawn, or are left out.
        largest_megapixels: A photograph with more million pixels cannot be read; None: as in the training.
        hardware: Where to compute; None: the fast choice of this machine.
        say: Receives the path of each picture.

    Raises:
        UserError: The run is of another method, an epoch was not kept, or a photograph cannot be read.
    """
    if isinstance(run, GuidedZoomRun) or (not isinstance(run, Run) and GuidedZoomRun.is_at(Path(run).expanduser())):
        if epochs is not None:
            raise UserError("evidence over training is shown of S3N runs; a Guided Zoom keeps no epochs; leave it out")
        return explain_zoom(
            run,
            patterns,
            out=out,
            on_error=on_error,
            largest_megapixels=largest_megapixels,
            hardware=hardware,
            say=say,
        )
    run, photographs = (
        run if isinstance(run, Run) else Run.open(Path(run).expanduser()),
        find_photographs(patterns, say),
    )
    largest = largest_of(largest_megapixels, run.config.data.largest_megapixels)
    draw = _drawing(run, hardware) if epochs is None else _drawing_over_training(run, _kept(run, epochs), hardware)
    shown = readable(photographs, on_error, say, largest)
    targets = picture_paths(shown, out or run.path / "explanations", "explained" if epochs is None else "epochs")
    for photograph, target in zip(shown, targets, strict=True):
        draw(read_image(photograph, largest_megapixels=largest), shown_name(photograph), target)
        say(shown_path(target))
    return targets


def _drawing(run: Run, hardware: HardwareConfig | None) -> _Draw:
    """Return what draws a photograph, by its title, into a file."""
    explainer = Explainer.of(run, hardware)
    return lambda image, title, target: explainer.explain(image, title).draw(target)


def _drawing_over_training(run: Run, epochs: Sequence[int], hardware: HardwareConfig | None) -> _Draw:
    explainers = {epoch: Explainer.of(run, hardware, epoch, over_training=True) for epoch in epochs}

    def draw(image: Image.Image, title: str, target: Path) -> None:
        stages = [(f"epoch {epoch}", each.explain(image, title)) for epoch, each in explainers.items()]
        stages[0][1].draw_stages(stages, target)

    return draw


def _kept(run: Run, epochs: Sequence[int]) -> Sequence[int]:
    kept = run.kept_epochs()
    if not kept:
        raise UserError(
            f"evidence over training needs the weights of several epochs; {run.path} kept none; "
            "train with --keep-epochs, such as 1 5 20"
        )
    return epochs or kept
