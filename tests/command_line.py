"""Call the command line in this process."""

from __future__ import annotations

from foveate.commands.main import main


def status(*arguments: object) -> int:
    """Return what the command ends with, whether it returns or exits."""
    try:
        return main(list(map(str, arguments)))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
