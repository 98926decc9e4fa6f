"""The twin view looks into the layer that a Guided Zoom's evidence was collected in."""

from __future__ import annotations

from unittest import mock

import pytest

from foveate.config.data import Split
from foveate.report.html.pictures import PictureStore
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.workflows.compared_models import ComparedZoom
from foveate.workflows.html_report.subject import Subject
from foveate.workflows.html_report.twins import TwinView
from zooms import QUIET


def test_the_pools_layer_is_looked_into(made: GuidedZoomRun, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ComparedZoom(Split.TEST, QUIET, made)
    assert model.grounding_layer == made.description.pool.grounding.layer
    monkeypatch.setattr(ComparedZoom, "grounding_layer", "a layer")
    layers = []
    monkeypatch.setattr(
        "foveate.workflows.html_report.twins.TwinContrast", lambda network, layer=None: layers.append(layer)
    )
    view = TwinView(Subject(model, None, {}, (), (), []), mock.Mock(spec=PictureStore))
    assert view.contrast is None
    assert layers == ["a layer"]
