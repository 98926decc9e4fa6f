"""What is said of a folder that is no run; light to import (no torch)."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from foveate.errors import UserError

_FILES = 500  # that are looked at


def no_run(path: Path) -> UserError:
    """Return the error; of a folder of photographs it says how to come from them to a run."""
    shown = str(path)[:200]
    if _has_photographs(path):
        return UserError(
            f"a run is a folder that a training made; {shown} holds photographs: run `foveate fit {shown}` first, and "
            "give the folder that it names"
        )
    return UserError(f"a run is a folder with a run.json, as `foveate train` makes it; {shown} is not one")


def _has_photographs(path: Path) -> bool:
    from foveate.data.image_kinds import IMAGE_SUFFIXES

    names = (name for _, _, files in os.walk(path) for name in files)
    return any(name.lower().endswith(IMAGE_SUFFIXES) for name in islice(names, _FILES))
