"""`foveate recipes`: the methods, then the papers' rows by table."""

from __future__ import annotations

import re

import pytest

from command_line import status
from foveate.recipes import RECIPES
from foveate.reproduction.listing import listing
from foveate.reproduction.tables import FIGURES, TABLES, Scale
from foveate.reproduction.trainings import TRAININGS


def test_the_methods_come_first_with_their_presets() -> None:
    lines = listing().splitlines()
    commands = [
        f"foveate train {method} FOLDER{f' --preset {preset}' if place else ''}"
        for method, presets in RECIPES.items()
        for place, preset in enumerate(presets)
    ]
    assert [line.split("  ")[1] for line in lines[1 : len(commands) + 1]] == commands
    assert "The released code's settings" in next(line for line in lines if "--preset reference" in line)


def test_a_row_has_its_published_number_and_its_trainings() -> None:
    """By table; of a row that is refined, its network."""
    blocks = {block.split()[1]: block.splitlines() for block in listing().split("\n\n") if block.startswith("table ")}
    assert list(blocks) == list(TABLES)
    for table, row in (
        ("s3n-1", "FGVC-Aircraft, hit rate | 97.22 | s3n-resnet50-aircraft | -"),
        ("s3n-2", "S3N O, top-1 | 86.0 | s3n-resnet50-cub-o | s3n-slice-o"),
        ("s3n-5", "FT ResNet, CUB-200-2011 | 86.0 | ft-resnet50-cub | plain-slice"),
        ("s3n-4", "Expected (ours), CUB-200-2011 | - | s3n-resnet50-cub-expected | s3n-slice-expected"),
        (
            "s3n-delta",
            "threshold 0.1, CUB-200-2011 | - | s3n-resnet50-cub --network.entropy-threshold 0.1 "
            "| s3n-slice --network.entropy-threshold 0.1",
        ),
        (
            "gz-1",
            "Guided Zoom (MA-CNN, k=5), CUB-200-2011 | 87.7 | macnn-vgg19-cub, then Guided Zoom "
            "| macnn-slice, then Guided Zoom",
        ),
        ("gz-2", "ResNet-101, top-5, Stanford Dogs | 98.9 | ft-resnet101-dogs | -"),
    ):
        assert row in [re.sub(r" {2,}", " | ", line.strip()) for line in blocks[table]]
    assert len(blocks["s3n-2"]) == 2 + 5  # a line a row, though it has several numbers


def test_everything_that_can_be_trained_is_listed() -> None:
    words = listing().replace(",", " ").split()
    assert set(TRAININGS) <= set(words)
    assert {*TABLES, *FIGURES} <= set(words)
    options = {
        training.options
        for table in TABLES.values()
        for row in table.rows
        for cell in row.cells
        for scale in Scale
        if (training := cell.training(scale)) is not None
    }
    assert all(each in listing() for each in options)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("recipes") == 0
    assert capsys.readouterr().out == f"{listing()}\n"
