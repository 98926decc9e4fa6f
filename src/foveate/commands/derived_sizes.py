"""Sides of views that follow from the one that was given: `--transforms.input-size` alone means all in proportion."""

from __future__ import annotations

from collections.abc import Sequence

from foveate.commands.parsing import options_given
from foveate.config.data import TransformConfig
from foveate.errors import UserError
from foveate.recipes import RECIPES
from foveate.reproduction.trainings import TRAININGS

_OPTION = "--transforms."


def with_derived_sizes(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with the sides that they leave out, in proportion to the input size they give.

    Sides that are given stay. So does the whole line where it gives no input size, or one that is none.

    Args:
        words: Of `train`, `reproduce training`, `adopt`, `guided-zoom`, or of another command, which has no sides.
    """
    usual = _usual(words)
    given = {
        name: each.value
        for name, each in options_given(words).items()
        if each.option.replace("_", "-") == f"{_OPTION}{name.replace('_', '-')}"
    }
    if usual is None or "input_size" not in given:
        return list(words)
    try:
        derived = usual.at(int(given["input_size"]))
    except (ValueError, UserError):
        return list(words)  # what is wrong with it is said when it is read
    sides = {"resize_size": derived.resize_size, "source_size": derived.source_size}
    further = [
        word
        for name, side in sides.items()
        if name not in given and side is not None
        for word in (f"{_OPTION}{name.replace('_', '-')}", str(side))
    ]
    return [*words, *further]


def _usual(words: Sequence[str]) -> TransformConfig | None:
    """Return the views of a command where nothing of them is given; None: it has none."""
    if words[:1] in (["adopt"], ["guided-zoom"]):
        return TransformConfig()
    if words[:1] == ["train"] and len(words) > 1 and words[1] in RECIPES:
        presets, given = RECIPES[words[1]], options_given(words).get("preset")
        recipe = next(iter(presets.values())) if given is None else presets.get(given.value)
        return None if recipe is None else recipe().transforms
    if words[:2] == ["reproduce", "training"] and len(words) > 2 and words[2] in TRAININGS:
        return TRAININGS[words[2]]().transforms
    return None
