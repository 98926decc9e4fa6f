"""What is said of a folder that is no run; light to import (no torch)."""

from __future__ import annotations

import os
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from foveate.errors import UserError

_FILES = 500  # that are looked at
_RUNS = "runs"
_MARKS = "run.json", "guided_zoom.json"


def no_run(path: Path) -> UserError:
    """Return the error; of a folder of photographs it says how to come from them to a run."""
    shown = str(path)[:200]
    if _has_photographs(path):
        return UserError(
            f"a run is a folder that a training made; {shown} holds photographs: run `foveate fit {shown}` first, and "
            "give the folder that it names"
        )
    if not _is_there(path):
        runs = {each.name: each for each in _neighbours(path)}
        near = get_close_matches(path.name, runs, n=1)
        mend = f"did you mean {runs[near[0]]}?" if near else "`foveate fit` and `foveate train` make one"
        return UserError(f"a run is a folder that a training made; {shown} does not exist; {mend}")
    return UserError(
        f"a run is a folder with a run.json, as `foveate fit` and `foveate train` make it; {shown} is not one"
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False


def _neighbours(path: Path) -> list[Path]:
    """Return the runs that may have been meant: beside the path, and in `runs`."""
    found = list[Path]()
    for folder in (path.parent, Path(_RUNS)):
        try:
            near = sorted(islice(folder.iterdir(), _FILES))
            found += [each for each in near if any((each / mark).exists() for mark in _MARKS)]
        except (OSError, ValueError):
            continue
    return found


def _has_photographs(path: Path) -> bool:
    from foveate.data.image_kinds import IMAGE_SUFFIXES

    names = (name for _, _, files in os.walk(path) for name in files)
    return any(name.lower().endswith(IMAGE_SUFFIXES) for name in islice(names, _FILES))
