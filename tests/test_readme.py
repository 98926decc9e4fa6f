"""What the README and the site's pages show runs, and the names that they use are there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import tyro
from torch import Tensor
from torchvision import models

import foveate
from foveate.commands.main import commands
from foveate.commands.old_spellings import refuse_old_words, refuse_unknown_words
from foveate.commands.parsing import parsed

ROOT = Path(__file__).parents[1]
APART = {"log.md", "extending.md", "results-rows.md", "reproduction-rows.md"}
"""The log and the rows keep the words of their day; docs/extending.md has a test of its own."""
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if path.name not in APART
}
BLOCKS = {name: re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for name, text in PAGES.items()}
PROGRAMS = {name: "\n".join(blocks) for name, blocks in BLOCKS.items() if blocks}
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
    "species=4, train_per_species=20, test_per_species=10, size=256": (
        "species=2, train_per_species=6, test_per_species=2, size=64"
    ),
    'RECIPES["probe"]["foveate"](birds)': 'smaller(RECIPES["probe"]["foveate"](birds))',
    'RECIPES["s3n"]["frozen"](birds)': 'smaller(RECIPES["s3n"]["frozen"](birds))',
    'architecture="tf_efficientnet_lite0"': 'architecture="test_resnet", transforms=TRANSFORMS',
    "evidence=cheap": "evidence=EVIDENCE, pool=POOL",
}
"""What pages say, and what stands in for it here."""


def loader() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Two batches of two images each, their labels, and a number for each image."""
    return [(torch.randn(2, 3, 64, 64), torch.tensor([3, 1]), torch.tensor([index, 7])) for index in range(2)]


def smaller(config: foveate.TrainConfig) -> foveate.TrainConfig:
    """The same method with a tiny backbone at 64 pixels."""
    assert isinstance(config.network, foveate.BackboneNetworkConfig)
    quick = {name: value for name, value in QUICK.items() if name != "epochs"}
    return replace(config, network=replace(config.network, backbone=TINY), **quick)


def given() -> dict[str, Any]:
    """What the pages take for the reader's own."""
    torch.manual_seed(0)
    return {
        "TINY": TINY,
        "TRANSFORMS": QUICK["transforms"],
        "EVIDENCE": foveate.EvidenceTraining(config=smaller(foveate.recipes.evidence())),
        "POOL": foveate.PoolConfig(patches=foveate.PatchConfig(source_size=64), keep=foveate.Keep.ERASED_CORRECT),
        "smaller": smaller,
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
        assert any(text in program for program in PROGRAMS.values()), text


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_page_runs(name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is one program; what it takes for the reader's own is there again for each of its blocks."""
    monkeypatch.chdir(workplace)
    classes = len({path.parent.name for path in Path("photographs").rglob("*.jpg")})
    torch.save(timm.create_model("test_resnet", num_classes=classes).state_dict(), "weights.pth")
    names: dict[str, Any] = {}
    for block in BLOCKS[name]:
        assert len([line for line in block.splitlines() if line.strip()]) <= 10
        for text, short in SMALLER.items():
            block = block.replace(text, short)
        names |= given()
        exec(compile(block, name, "exec"), names)
    if "probabilities" in names:
        torch.testing.assert_close(names["probabilities"].sum(1), torch.ones(1))


def command_lines() -> Iterator[tuple[str, str]]:
    """Each line of each page's shell blocks, and each whole command in its prose."""
    for name, text in PAGES.items():
        for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            yield from ((name, line) for line in block.splitlines() if shlex.split(line, comments=True))
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for code in re.findall(r"`(foveate [^`]+ [^`]+)`", prose):
            yield name, " ".join(code.split())


@pytest.mark.parametrize(("name", "line"), list(dict.fromkeys(command_lines())))
def test_every_command_is_one(name: str, line: str) -> None:
    """Its words are understood; nothing is done, and no path need be there."""
    program, *words = shlex.split(line, comments=True)
    if program == "make":
        assert words[0] in re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    elif program == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert words[0] == "install"
        assert words[1:] in (["."], *([f".[{extra}]"] for extra in project["optional-dependencies"]))
    else:
        assert program == "foveate", name
        parse(words)


def parse(words: list[str]) -> None:
    """Do what the command line does, up to the point where it would begin to work."""
    refuse_old_words(words)
    refuse_unknown_words(words)
    known = commands(words)
    if words[0].startswith("--") or words[-1] == "--help":
        return
    config = (tyro.conf.EnumChoicesFromValues, tyro.conf.AvoidSubcommands)
    parsed({words[0]: known[words[0]]}, words, prog="foveate", config=config)


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_names_in_documents_are_there(path: Path) -> None:
    """`foveate.NAME` is public, or one of the package's modules."""
    for name in set(re.findall(r"\bfoveate\.([A-Za-z_][\w.]*\w)", path.read_text(encoding="utf-8"))):
        first = name.partition(".")[0]
        assert first in dir(foveate) or find_spec(f"foveate.{first}") is not None, name


def test_the_api_shows_every_public_name_once() -> None:
    shown = re.findall(r"^::: foveate\.(\w+)$", PAGES["api.md"] + PAGES["api-settings.md"], re.MULTILINE)
    assert sorted([*shown, "__version__"]) == dir(foveate), "add a line to docs/api.md"


def test_the_readme_fits_on_two_screens() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 110
