"""The table of a data set."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from command_line import status
from foveate.config.data import DataConfig, OnError
from foveate.data.datasets import DatasetFormat
from foveate.errors import UserError
from foveate.workflows.describe import describe_dataset


def cells(markdown: str) -> dict[str, list[str]]:
    """Return the cells of each row of a table by its first."""
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()[2:])
    return {name: values for name, *values in rows}


@pytest.fixture
def flock(tmp_path: Path) -> Path:
    """Class folders: five owls, two wrens, one of them broken."""
    for name in ("owl/1", "owl/2", "owl/3", "owl/4", "owl/5", "wren/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), "teal").save(tmp_path / f"{name}.png")
    (tmp_path / "wren" / "2.png").write_bytes(b"no picture")
    return tmp_path


def test_the_drawn_birds_are_counted(plumage: Path) -> None:
    said: list[str] = []
    config = DataConfig(root=plumage, format=DatasetFormat.CUB, validation_fraction=0.5)
    summary = describe_dataset(config, say=said.append)
    # photographs, classes, fewest and most per class, with box, with parts
    assert cells(summary.markdown) == {
        "train": ["12", "4", "3", "3", "12", "12"],
        "validation": ["12", "4", "3", "3", "12", "12"],
        "test": ["12", "4", "3", "3", "12", "12"],
    }
    names = "Amber Finch, Bracken Finch, Cinder Finch, Dune Finch"
    assert said[-2].strip() == f"plumage in {plumage}: 4 classes: {names}"
    assert said[-1] == summary.markdown


def test_a_broken_photograph_stops(flock: Path) -> None:
    with pytest.raises(UserError, match=r"1 of 7 photographs cannot be used;.*\n.*2\.png"):
        describe_dataset(DataConfig(root=flock, test_fraction=0), say=lambda line: None)


def test_a_broken_photograph_that_is_left_out_is_not_counted(flock: Path) -> None:
    said: list[str] = []
    summary = describe_dataset(DataConfig(root=flock, test_fraction=0, on_error=OnError.SKIP), say=said.append)
    assert cells(summary.markdown) == {"train": ["6", "2", "1", "5", "0", "0"]}
    assert said[1] == "left out 1 of 7 photographs that cannot be read:"
    assert "2.png" in said[2]


def test_options_of_the_command(flock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (flock / "wren" / "2.png").unlink()
    assert status("data", flock) == 2
    assert "1 of 2 classes have one: wren. Add photographs" in capsys.readouterr().err
    assert status("data", flock, "--test-fraction", 0) == 0
    assert "2 classes: owl, wren" in capsys.readouterr().out
    (flock / "kite").mkdir()
    (flock / "owl" / "1.png").rename(flock / "kite" / "1.png")
    (flock / "owl" / "2.png").rename(flock / "kite" / "2.png")
    options = ["--exclude", "wren", "--test-fraction", 0, "--validation-fraction", 0.5]
    assert status("data", flock, *options) == 0
    told = capsys.readouterr().out
    assert "passed over: wren (1)" in told
    assert cells(told[told.index("| split") :])["validation"][0] == "3"


def test_a_mistyped_folder_is_named_before_anything_heavy_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("foveate.workflows.describe", "foveate.plumage"):
        monkeypatch.setitem(sys.modules, module, None)
    assert status("data", "nowhere") == 2
    assert "the data set's folder must exist; got nowhere" in capsys.readouterr().err
