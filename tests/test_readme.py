"""What the README shows runs, and the names that the documents use are there."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision import models

import foveate

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)

TINY = foveate.BackboneConfig(architecture="test_efficientnet", weights="none")
QUICK: dict[str, Any] = {
    "transforms": foveate.TransformConfig(input_size=64, resize_size=72),
    "hardware": foveate.HardwareConfig(accelerator="cpu", workers=0),
    "epochs": 1,
}
SMALLER = {
    'foveate.recipes.s3n("photographs")': "SMALL_S3N",
    "S3N.create(S3NConfig(), classes=200, input_size=224)": "S3N.create(S3NConfig(backbone=TINY), 5, 64)",
    "torch.randn(2, 3, 224, 224)": "torch.randn(2, 3, 64, 64)",
}
"""What the README says, and what stands in for it here."""


def loader() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Two batches of two images each, their labels, and a number for each image."""
    return [(torch.randn(2, 3, 64, 64), torch.tensor([3, 1]), torch.tensor([index, 7])) for index in range(2)]


def given() -> dict[str, Any]:
    """What the README takes for the reader's own."""
    torch.manual_seed(0)
    return {
        "TINY": TINY,
        "SMALL_S3N": foveate.TrainConfig(
            data=foveate.DataConfig(root=Path("photographs")), network=foveate.S3NConfig(backbone=TINY), **QUICK
        ),
        "epochs": 1,
        "loader": loader(),
        "my_network": models.resnet18(num_classes=200),
        "my_evidence_cnn": models.resnet18(num_classes=200),
        "images": torch.randint(256, (1, 224, 224, 3), dtype=torch.uint8),
        "source": torch.randint(256, (1, 448, 448, 3), dtype=torch.uint8),
    }


def test_what_is_made_smaller_is_there() -> None:
    for text in SMALLER:
        assert sum(text in block for block in BLOCKS) == 1, text


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_block_runs(block: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(workplace)
    for text, smaller in SMALLER.items():
        block = block.replace(text, smaller)
    names = given()
    exec(compile(block, "README.md", "exec"), names)
    if "probabilities" in names:
        torch.testing.assert_close(names["probabilities"].sum(1), torch.ones(1))


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_names_in_documents_are_there(path: Path) -> None:
    """`foveate.NAME` is public, or one of the package's modules."""
    for name in set(re.findall(r"\bfoveate\.([A-Za-z_][\w.]*\w)", path.read_text(encoding="utf-8"))):
        first = name.partition(".")[0]
        assert first in dir(foveate) or find_spec(f"foveate.{first}") is not None, name
