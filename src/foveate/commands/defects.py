"""What is done about an error that nobody foresaw: it is a defect of Foveate, and its traceback is kept."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import traceback
from datetime import datetime
from pathlib import Path

from foveate.config.addresses import shown_word, without_secrets

SWITCH = "FOVEATE_DEBUG"
"""An environment variable; where it is set and not 0, an unforeseen error is raised as it is."""

_LONGEST = 300  # characters of an error's own words that are shown


def raised_as_they_are() -> bool:
    """Say whether unforeseen errors are to be seen where they arise, as under test."""
    return os.environ.get(SWITCH, "") not in ("", "0")


def reported(error: BaseException) -> str:
    """Write the traceback into a file and return the line that says so.

    The file lies in the folder for temporary files, or where that cannot be written in the current one.
    """
    words = " ".join(without_secrets(str(error)).split())
    what = f"{type(error).__name__}: {words[:_LONGEST]}{'...' if len(words) > _LONGEST else ''}".rstrip(": ")
    file = _kept(
        without_secrets("".join([f"{shlex.join(map(shown_word, sys.argv))}\n\n", *traceback.format_exception(error)]))
    )
    where = "its traceback could not be written" if file is None else f"its traceback is in {file}"
    return f"defect: {what}; {where}; please report it, with that file (set {SWITCH}=1 to see it here)"


def _kept(text: str) -> Path | None:
    name = f"foveate-error-{datetime.now():%Y-%m-%d-%H%M%S}-{os.getpid()}.txt"
    for folder in (tempfile.gettempdir, Path.cwd):
        try:
            file = Path(folder()) / name
            file.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return file
    return None
