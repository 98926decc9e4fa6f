"""Which command, code and machine are at work: what a run and a row of results keep of it."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from foveate._version import __version__
from foveate.config.addresses import shown_word
from foveate.hardware import describe


def environment() -> dict[str, Any]:
    """Describe the command, the code and the machine."""
    packages = ("torch", "torchvision", "timm", "lightning", "numpy", "pillow")
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *map(shown_word, sys.argv[1:])]),
        "commit": commit(),
        "foveate": __version__,
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "cuda": torch.version.cuda,
        "hardware": describe(),
    }


@functools.cache
def commit() -> str | None:
    """Return the git commit of the Foveate that ran when this was first asked; none outside git.

    With ``+`` where files differ from it.
    """
    here = Path(__file__).parents[1]

    def git(*words: str) -> str:
        answer = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True)
        return answer.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", __file__)  # an installed Foveate may lie inside a stranger's repository
        changed = git("status", "--porcelain", "--untracked-files=no", "--", str(here))
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
