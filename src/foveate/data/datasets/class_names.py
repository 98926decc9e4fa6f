"""What a class may be called: text that can be written down, and that no other class is called too."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from foveate.data.datasets.checks import first_few, shown
from foveate.data.roots import is_not_text
from foveate.errors import UserError

_LONGEST = 300
_UNSEEN = [("\u034f", "\u034f"), ("\u115f", "\u1160"), ("\u17b4", "\u17b5"), ("\u180b", "\u180f")]
_UNSEEN += [("\u3164", "\u3164"), ("\ufe00", "\ufe0f"), ("\uffa0", "\uffa0"), ("\U000e0100", "\U000e01ef")]
"""Joiners, fillers and variation selectors, besides those that Unicode calls format characters."""


def check_class_name(name: str, where: str) -> None:
    """Refuse a class name that is no text: nothing to see in it, control characters, a page.

    What a file system forbids (``F/A-18``) is allowed: an export gives it a name of its own.

    Raises:
        UserError: It is; the message says where it stands.
    """
    if is_not_text(name):
        rule = "UTF-8 text"
    elif any(unicodedata.category(each) in ("Cc", "Zl", "Zp") for each in name):
        rule = "one line of text without control characters"
    elif not _folded(name):
        rule = "text that can be seen"
    elif len(name) > _LONGEST:
        rule = f"at most {_LONGEST} characters"
    else:
        return
    raise UserError(f"a class name must be {rule}; got {shown(name)} in {where}. Rename it")


def check_names_differ(names: Iterable[str], where: str) -> None:
    """Refuse class names that a reader or a file system takes for the same.

    Raises:
        UserError: Some differ by case, spaces, Unicode form or characters that nobody sees alone.
    """
    spellings: dict[str, list[str]] = {}
    for name in names:
        spellings.setdefault(_folded(name), []).append(name)
    alike = [_listed(same) for same in spellings.values() if len(same) > 1]
    if alike:
        raise UserError(
            "class names must differ by more than case, spaces and Unicode form; "
            f"{where} has {first_few(alike)}. Rename or merge them"
        )


def _listed(same: list[str]) -> str:
    """Show what differs: names that look alike by their characters' numbers."""
    alike = len({unicodedata.normalize("NFKC", name) for name in same}) < len(same)
    unseen = any(_is_unseen(each) or (each.isspace() and each != " ") for name in same for each in name)
    return " = ".join(ascii(name) if alike or unseen else repr(name) for name in same)


def _folded(name: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(each for each in folded if not _is_unseen(each)).split())


def _is_unseen(character: str) -> bool:
    """Whether it only says how its neighbours are drawn, or fills a place."""
    return unicodedata.category(character) == "Cf" or any(first <= character <= last for first, last in _UNSEEN)
