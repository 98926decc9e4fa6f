"""Words of the command line that are others now, or none of those that may follow: refused with what to give."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from foveate.commands.overview import names
from foveate.data.paths import holds
from foveate.errors import UserError
from foveate.recipes import RECIPES
from foveate.reproduction.tables import FIGURES, TABLES
from foveate.reproduction.trainings import TRAININGS

GROUPS: Mapping[str, Collection[str]] = {
    "train": RECIPES,
    "pool": ("build", "export"),
    "reproduce": ("table", "figure", "training"),
    "reproduce training": TRAININGS,
}
"""What may follow the first words of a command."""
_FEW = 5
OLD_COMMANDS = {
    **{f"train {name}": f"reproduce training {name}" for name in TRAININGS},
    **{f"reproduce {name}": f"reproduce table {name}" for name in TABLES},
    **{f"reproduce {name}": f"reproduce figure {name}" for name in FIGURES},
}
OLD_OPTIONS = {
    "--zoom-above": ("--zoom-entropy-threshold", ("evaluate", "predict")),
    "--refinement.entropy-above": ("--refinement.entropy-threshold", ("guided-zoom",)),
}
"""The new spelling, and the commands that have the option."""


def refuse_old_words(words: Sequence[str]) -> None:
    """Refuse a command line of an earlier version.

    Raises:
        UserError: A word of it is another now; the message names both.
    """
    if (command := " ".join(words[:2])) in OLD_COMMANDS:
        place = "; it takes its photographs by --data.root FOLDER" if "training" in OLD_COMMANDS[command] else ""
        raise UserError(f"`foveate {command}` is `foveate {OLD_COMMANDS[command]}` now, with the same options{place}")
    for word in words:
        option = word.partition("=")[0].replace("_", "-")
        if option in OLD_OPTIONS:
            new, having = OLD_OPTIONS[option]
            place = "" if words[0] in having else f"; it is an option of {' and '.join(having)}"
            raise UserError(f"{option} is {new} now, with the same value{place}")


def refuse_unknown_words(words: Sequence[str]) -> None:
    """Refuse a command of which there is none, or none in its group.

    Raises:
        UserError: The message names those that there are, or those nearest to it.
    """
    if words and not words[0].startswith("-") and words[0] not in names():
        near = " or ".join(get_close_matches(words[0][:50], names()))
        hint = f"; did you mean {near}?" if near else ";"
        raise UserError(f"there is no command {words[0][:200]!r}{hint} `foveate` alone lists all")
    for length, word in enumerate(words[1:3], 1):
        group = " ".join(words[:length])
        known = list(GROUPS.get(group, ()))
        if known and word not in known and not word.startswith("-"):
            few = known if len(known) <= _FEW else get_close_matches(word[:50], known)
            near = f"is followed by {', '.join(few)}" if few else "knows no such name"
            more = "" if len(known) <= _FEW else "; `foveate recipes` lists all"
            if group == "train" and holds(Path(word).is_dir):
                more = f"; to have the method chosen, write `foveate fit {word[:200]}`"
            raise UserError(f"`foveate {group}` {near}; got {word[:200]!r}{more}")
