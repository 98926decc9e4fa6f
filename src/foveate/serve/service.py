"""What the server knows: a model, its evidence, its training photographs. Nothing here speaks HTTP."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from PIL import Image

from foveate.data.images import read_thumbnail, read_views
from foveate.data.raster import Raster
from foveate.data.transforms import centres
from foveate.errors import UserError
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.serve.config import ServeConfig
from foveate.serve.pictures import LONGEST
from foveate.serve.twin_choice import kept_confusions
from foveate.types import Prediction
from foveate.workflows.decoded_batches import Decoded
from foveate.workflows.explain_zoom import ZoomExplainer
from foveate.workflows.model import Model, load
from foveate.workflows.pool_features import pool_features
from foveate.workflows.twins import TwinExplainer
from foveate.workflows.typical_photographs import TypicalPhotographs


class Received(NamedTuple):
    """A photograph that was sent, decoded."""

    name: str
    raster: Raster
    """Upright, as fine as the networks need it."""
    decoded: Decoded
    shown: Image.Image | None
    """The photograph as a person sees it, where that is asked for."""


@dataclass
class Service:
    """A model that answers, and what is known of its evidence."""

    model: Model
    unrefined: Model
    """Of a Guided Zoom: its network alone; of a run: the same."""
    zoom: ZoomExplainer | None
    """Of a Guided Zoom."""
    typical: TypicalPhotographs | None
    """None where training photographs are gone, or not to be shown."""
    twins: TwinExplainer | None
    """None where nothing sees through the network."""
    confusions: Int[np.ndarray, "c c"] | None
    """Of its network in the test, as `kept_confusions`."""
    largest_megapixels: int
    say: Callable[[str], None]

    @classmethod
    def load(cls, path: Path, config: ServeConfig, context: RunContext) -> Service:
        """Load a run or a Guided Zoom; what of its training photographs is gone is said, and not shown.

        Raises:
            UserError: As `foveate.workflows.model.load`.
        """
        model = load(path, hardware=context.hardware)
        unrefined = model.unrefined()
        return cls(
            model=model,
            unrefined=unrefined,
            zoom=_zoom_explainer(model, config, context),
            typical=_typical(unrefined, config, context),
            twins=_twin_explainer(model, context),
            confusions=kept_confusions(unrefined.run),
            largest_megapixels=min(config.largest_megapixels, context.largest_of(model.run)),
            say=context.say,
        )

    def read(self, name: str, data: bytes, *, shown: bool = False) -> Received:
        """Decode a photograph, `shown` also for a person; from any thread.

        Raises:
            ImageError: It is none, damaged or too large.
        """
        views, largest = partial(centres, transforms=self.model.transforms), self.largest_megapixels
        raster = read_views(data, views, name, largest_megapixels=largest).raster
        picture = read_thumbnail(data, LONGEST, name, largest_megapixels=largest) if shown else None
        return Received(name, raster, self.model.decoded(raster), picture)

    def answers(self, refined: Hashable, photographs: Sequence[tuple[str, Decoded]]) -> list[Prediction]:
        """Answer for photographs in one pass, ranking all classes.

        Raises:
            UserError: The network's answer is not finite.
        """
        names, decoded = zip(*photographs, strict=True)
        model = self.model if refined else self.unrefined
        return model.predict_decoded(decoded, names, top=len(model.class_names))

    @property
    def name(self) -> str:
        """What the model is called: its folder."""
        return (self.model.zoom or self.model.run.path).resolve().name

    @property
    def method(self) -> str:
        """How it answers, in a few words."""
        network = self.model.run.config.network
        return f"{'Guided Zoom on ' * (self.zoom is not None)}{network.method}, {network.base}"

    def warm_up(self) -> None:
        """Answer once, so that the first person does not wait for what is done once."""
        grey = Image.new("RGB", (256, 256), (128, 128, 128))
        self.answers(True, [("warm-up", self.model.decoded(grey))])


def _zoom_explainer(model: Model, config: ServeConfig, context: RunContext) -> ZoomExplainer | None:
    if model.zoom is None or model.refiner is None:
        return None
    bare = ZoomExplainer.without_pool(model.run, model.refiner, model.calibration)
    if not config.training_photographs:
        return bare
    try:
        cnn, workers = model.refiner.zoom.evidence_cnn, context.hardware.workers
        pool = pool_features(GuidedZoomRun.open(model.zoom), cnn, root=context.root, workers=workers, say=context.say)
        return replace(bare, pool=pool)
    except UserError as error:
        context.say(f"the nearest training evidence is not shown: {error}")
        return bare


def _twin_explainer(model: Model, context: RunContext) -> TwinExplainer | None:
    layer = None if model.zoom is None else GuidedZoomRun.open(model.zoom).description.grounded_layer
    try:
        return TwinExplainer.of(model.unrefined().classifier, model.class_names, layer)
    except UserError as error:
        context.say(f"where two classes differ is not shown: {error}")
        return None


def _typical(model: Model, config: ServeConfig, context: RunContext) -> TypicalPhotographs | None:
    if not config.training_photographs:
        return None
    try:
        return TypicalPhotographs.of(model.run, model.classifier, context)
    except UserError as error:
        context.say(f"typical training photographs are not shown: {error}")
        return None
