"""The program of docs/extending.md: all its blocks run, in order, in one folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from PIL import Image

from foveate.data import loading
from foveate.data.datasets.formats import MARKS
from foveate.grounding.create import GROUNDINGS
from foveate.guided_zoom.pool import EvidencePool
from foveate.networks.network import Network
from foveate.recipes.datasets import LOADERS
from foveate.recipes.methods import METHODS
from foveate.runs.run import Run

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = list(re.finditer(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Run the page and yield its names, in its folder; what it adds to the package is gone afterwards."""
    module = ModuleType("extending")
    with pytest.MonkeyPatch.context() as patched, ExitStack() as restored:
        for entries in (METHODS, GROUNDINGS, LOADERS, MARKS):
            restored.enter_context(mock.patch.dict(entries))
        patched.chdir(tmp_path_factory.mktemp("extending"))
        patched.setattr(loading, "default_workers", lambda: 0)
        patched.setitem(sys.modules, module.__name__, module)
        for block in BLOCKS:
            lines = "\n" * TEXT.count("\n", 0, block.start(1))  # so that an error names the page's line
            exec(compile(lines + block[1], str(PAGE), "exec"), vars(module))
        yield vars(module)


def test_the_method_is_trained_refined_and_explained(program: dict[str, Any]) -> None:
    run = Run.open(Path("runs/middle"))
    assert run.finished
    assert type(run.load_network()) is program["ExplainedNetwork"]
    assert program["rows"][0].change.refined == 1
    (picture,) = Path("runs/middle/explanations").glob("*.png")
    with Image.open(picture) as image:
        assert image.size == (128, 64)


def test_the_grounding_is_measured_and_fills_a_pool(program: dict[str, Any]) -> None:
    pool = EvidencePool.open(Path("runs/middle-occlusion"))
    assert pool.description.config.grounding.method == program["occlusion"] == "occlusion"
    assert pool.parts.missing() == ()
    assert list(Path("runs/middle/evaluation").glob("test-grounding*.json"))


def test_the_format_is_recognised(program: dict[str, Any]) -> None:
    dataset = program["dataset"]
    assert (dataset.name, len(dataset.train), len(dataset.test)) == ("my birds", 33, 0)


def test_the_backbones_are_trained_and_adopted(program: dict[str, Any]) -> None:
    assert program["adopted"].finished
    assert program["small_run"].config.network.base == "test_resnet"
    network = Run.open(Path("runs/tiny")).load_network()
    assert type(network.backbone.network) is program["Tiny"]


def test_the_page_names_all_that_a_method_can_offer() -> None:
    offered = {name for name in vars(Network) if not name.startswith("_")}
    assert offered | {"backbone"} <= set(re.findall(r"`(\w+)`", TEXT))
