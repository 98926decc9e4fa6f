"""The networks of a trained Guided Zoom, ready to be asked."""

from __future__ import annotations

from foveate.config.hardware import HardwareConfig
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.hardware import device_of
from foveate.inference.classifier import Classifier
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.workflows.looker import loaded_looker


def load_guided_zoom(zoom_run: GuidedZoomRun, hardware: HardwareConfig) -> GuidedZoom:
    """Load both networks of a Guided Zoom, and its looker where it has one, and put them together.

    Raises:
        UserError: The hardware is not there, the Evidence CNN is not trained, or the conventional network is not the
            pool's.
    """
    device_of(hardware)  # what is not there is said before the weights are read
    pool, evidence = zoom_run.description.pool, zoom_run.evidence_run()
    network, looker = zoom_run.base_run().load_network(), loaded_looker(zoom_run.looker_run())
    return GuidedZoom(
        conventional=ConventionalCNN.place(network, pool.grounding, hardware, looker),
        evidence_cnn=Classifier.place(evidence.load_network(), hardware),
        patches=pool.patches,
        transforms=evidence.config.transforms,
        scores=zoom_run.description.refinement.scores,
        mirrored=zoom_run.description.refinement.mirrored,
    )
