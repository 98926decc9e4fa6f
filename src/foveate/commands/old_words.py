"""Words of the command line that are others now: each is refused with the one to give."""

from __future__ import annotations

from collections.abc import Sequence

from foveate.errors import UserError
from foveate.reproduction.tables import FIGURES, TABLES
from foveate.reproduction.trainings import TRAININGS

OLD_COMMANDS = {
    **{f"train {name}": f"reproduce training {name}" for name in TRAININGS},
    **{f"reproduce {name}": f"reproduce table {name}" for name in TABLES},
    **{f"reproduce {name}": f"reproduce figure {name}" for name in FIGURES},
}
OLD_OPTIONS = {
    "--zoom-above": "--zoom-entropy-threshold",
    "--refinement.entropy-above": "--refinement.entropy-threshold",
}


def refuse_old_words(words: Sequence[str]) -> None:
    """Refuse a command line of an earlier version.

    Raises:
        UserError: A word of it is another now; the message names both.
    """
    if (command := " ".join(words[:2])) in OLD_COMMANDS:
        raise UserError(f"`foveate {command}` is `foveate {OLD_COMMANDS[command]}` now, with the same options")
    for word in words:
        option = word.partition("=")[0].replace("_", "-")
        if option in OLD_OPTIONS:
            raise UserError(f"{option} is {OLD_OPTIONS[option]} now, with the same value")
