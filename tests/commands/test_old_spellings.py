"""What earlier versions said, or nobody ever did, is refused with what is said now."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import status
from foveate.commands.old_spellings import GROUPS, OLD_COMMANDS, OLD_OPTIONS, refuse_old_words
from foveate.errors import UserError


@pytest.mark.parametrize(("old", "new"), OLD_COMMANDS.items())
def test_an_old_command_is_refused_with_the_new_one(old: str, new: str) -> None:
    with pytest.raises(
        UserError, match=f"^`foveate {old}` is `foveate {new}` now, with the same options(; .*--data.root FOLDER)?$"
    ):
        refuse_old_words([*old.split(), "--out", "x"])
    refuse_old_words([*new.split(), "--out", "x"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train s3n-slice-paper", "`foveate reproduce training s3n-slice-paper`"),
        ("reproduce s3n-2 --archives x", "`foveate reproduce table s3n-2`"),
        ("reproduce gz-fig2 --archives x", "`foveate reproduce figure gz-fig2`"),
        ("predict run x.jpg --zoom-above 0.5", "--zoom-above is --zoom-entropy-threshold now"),
        ("evaluate run --zoom_above=0.5", "--zoom-above is --zoom-entropy-threshold now"),
        (
            "guided-zoom run --out x --refinement.entropy-above 1",
            "--refinement.entropy-above is --refinement.entropy-threshold now",
        ),
        ("guided-zoom run --out x --refinement.entropy_above 1", "--refinement.entropy-threshold now"),
    ],
)
def test_what_is_refused(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(*words.split()) == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("command", ["predict", "evaluate", "guided-zoom"])
def test_no_command_has_an_old_option_and_a_new_one_has_its_command(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert status(command, "--help") == 0
    line = capsys.readouterr().out
    assert not any(f"{old} " in line for old in OLD_OPTIONS)
    assert any(f"{new} " in line for new, _ in OLD_OPTIONS.values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "train plane birds --epochs 3",
            "`foveate train` is followed by plain, probe, s3n, macnn, evidence; got 'plane'",
        ),
        (
            f"train {Path(__file__).parent}",
            f"got '{Path(__file__).parent}'; to have the method chosen, write `foveate fit {Path(__file__).parent}`",
        ),
        ("pool make --out x", "`foveate pool` is followed by build, export; got 'make'"),
        ("reproduce s3n-9 --archives x", "`foveate reproduce` is followed by table, figure, training; got 's3n-9'"),
        (
            "reproduce training s3n-slice-off",
            "`foveate reproduce training` is followed by s3n-slice-o, s3n-slice-od, s3n-slice-oc; got 's3n-slice-off'; "
            "`foveate recipes` lists all",
        ),
        (f"train {'9' * 5000}", "got '999"),
    ],
)
def test_what_may_follow_is_said(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(*words.split()) == 2
    line = capsys.readouterr().err
    assert line.startswith("foveate: ")
    assert message in line
    assert line.count("\n") == 1
    assert len(line) < 400


def test_an_empty_word_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("reproduce", "training", "") == 2
    assert "knows no such name; got ''" in capsys.readouterr().err


@pytest.mark.parametrize("group", [group for group in GROUPS if " " not in group])
def test_what_may_follow_is_what_the_help_lists(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(group, "--help") == 0
    assert f"{{{','.join(GROUPS[group])}}}" in capsys.readouterr().out
