"""Why a run's network says one class and not another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from foveate.errors import UserError
from foveate.grounding.twins import twin_maps
from foveate.runs.context import RunContext
from foveate.runs.run import Run
from foveate.workflows.twins import TwinExplainer


@pytest.mark.parametrize("name", ["quick_run", "s3n_run", "macnn_run"])
def test_every_method_says_why_one_and_not_the_other(name: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(name)
    explainer = TwinExplainer.of(RunContext().classifier_of(run), run.class_names)
    side, (first, second) = run.config.transforms.source, run.class_names[1:3]
    pixels = np.random.default_rng(0).integers(256, size=(side, side, 3), dtype=np.uint8)
    view = Image.fromarray(pixels)
    seen, turned = explainer.evidence(view, first, second), explainer.evidence(view, second, first)
    assert (seen.first_class, seen.second_class) == (first, second)
    assert_close(seen.first, turned.second)
    assert_close(seen.second, turned.first)
    assert max(seen.first.max(), seen.second.max()) == 1
    classifier = explainer.classifier
    inputs = classifier.inputs(torch.from_numpy(pixels)[None])
    assert_close(seen.first, twin_maps(classifier.network, inputs, 1, 2).first[0].numpy())


def test_a_class_that_the_run_has_not(quick_run: Run) -> None:
    explainer = TwinExplainer.of(RunContext().classifier_of(quick_run), quick_run.class_names)
    with pytest.raises(UserError, match="got 'wrn'; close: "):
        explainer.evidence(Image.new("RGB", (64, 64)), quick_run.class_names[0], "wrn")
