"""Errors of a command name its options as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import status
from foveate.commands.check import Check
from foveate.commands.predict import Predict
from foveate.commands.spelling import with_options
from foveate.commands.train import Train

CHECK, PREDICT = Check(folder=Path("x")), Predict(run_folder=Path("x"), paths=(Path("y"),))


@pytest.mark.parametrize(
    ("command", "message", "spelt"),
    [
        (CHECK, "leave it out (on_error skip)", "leave it out (--data.on-error skip)"),
        (PREDICT, "leave it out (on_error skip)", "leave it out (--on-error skip)"),
        (Train.of("s3n", "foveate"), "leave it out (on_error skip)", "leave it out (--data.on-error skip)"),
        (CHECK, "set data.validation_fraction to 0", "set --data.validation-fraction to 0"),
        (CHECK, "group_column must be a column", "--data.group-column must be a column"),
        (PREDICT, "group_column must be a column", "group_column must be a column"),
        (CHECK, "run_folder /a/on_error 'on_error' on_error.csv on_error=3", None),
        (CHECK, "image must be labels of data, out", None),
        (CHECK, "--data.on_error skip", None),
    ],
)
def test_a_field_is_spelt_as_the_commands_option(command: object, message: str, spelt: str | None) -> None:
    assert with_options(message, command) == (message if spelt is None else spelt)


@pytest.mark.parametrize(
    ("words", "option"), [("train plain", "--data.on-error"), ("fit", "--data.on-error"), ("data", "--on-error")]
)
def test_a_broken_photograph_names_the_option(
    words: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("owl", "wren"):
        (tmp_path / "birds" / name).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "birds" / name / f"{number}.jpg").write_text("no picture")
    assert status(*words.split(), "birds") == 2
    assert f"({option} skip)" in capsys.readouterr().err
