"""What earlier versions said is refused with what is said now."""

from __future__ import annotations

import pytest

from command_line import status
from foveate.commands.old_words import OLD_COMMANDS, OLD_OPTIONS, refuse_old_words
from foveate.errors import UserError


@pytest.mark.parametrize(("old", "new"), OLD_COMMANDS.items())
def test_an_old_command_is_refused_with_the_new_one(old: str, new: str) -> None:
    with pytest.raises(UserError, match=f"^`foveate {old}` is `foveate {new}` now, with the same options$"):
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
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("command", ["predict", "evaluate", "guided-zoom"])
def test_no_command_has_an_old_option_and_a_new_one_has_its_command(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert status(command, "--help") == 0
    told = capsys.readouterr().out
    assert not any(f"{old} " in told for old in OLD_OPTIONS)
    assert any(f"{new} " in told for new in OLD_OPTIONS.values())
