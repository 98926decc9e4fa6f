"""Names of classes and photographs as names of files: never outside the folder, no two alike."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

LONGEST = 200
"""Bytes of a safe name: file systems take 255, and a number and a suffix may follow."""
_FORBIDDEN = frozenset('/\\:*?"<>|%')  # by POSIX or Windows; and our own escape
_DEVICES = {"CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"}  # Windows's, whatever suffix follows
_DEVICES |= {f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"}
_EMPTY = "%"
_HASHED = "%-"  # before a hash; no escape looks like it


def safe_name(name: str) -> str:
    """Return the name of a file or folder for any text, such as that of a class; an ordinary one stays as it is.

    What a file system forbids is percent-encoded, as are ends of a name that would hide it, mean another folder or look
    like an option, and the first letter of Windows's device names. What is then longer than `LONGEST` is cut and gets a
    hash. Two texts give two names.
    """
    parts = _parts(name)
    whole = "".join(parts) or _EMPTY
    return whole if len(whole.encode()) <= LONGEST else _hashed(parts, name)


def original_name(name: str) -> str | None:
    """Return the text that `safe_name` made a name of; None where that has a hash."""
    if _HASHED in name:
        return None
    return "" if name == _EMPTY else unquote(name, errors="surrogatepass")


def unique_names(wanted: Mapping[str, str]) -> dict[str, str]:
    """Return a safe name for each key, near to the one that is wanted.

    Names that are equal, or that some file system takes for equal (case, Unicode composition), get a hash of their key.
    """
    names = {key: safe_name(name) for key, name in wanted.items()}
    counts = Counter(map(_folded, names.values()))
    return {
        key: name if counts[_folded(name)] == 1 else _hashed(_parts(wanted[key]), key) for key, name in names.items()
    }


def _parts(name: str) -> list[str]:
    """Return the characters, encoded where they must be."""
    device = name.partition(".")[0].rstrip(" ").upper() in _DEVICES
    ends = {0: " .-", len(name) - 1: " ."}
    return [
        _encoded(each)
        if each in _FORBIDDEN
        or unicodedata.category(each) in ("Cc", "Cs")
        or each in ends.get(place, "")
        or (device and place == 0)
        else each
        for place, each in enumerate(name)
    ]


def _encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))


def _hashed(parts: Sequence[str], key: str) -> str:
    """Return as much of a name as fits, and a hash of the key."""
    mark = _HASHED + hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:12]
    room, pieces = LONGEST - len(mark), []
    for part in parts:
        room -= len(part.encode())
        if room < 0:
            break
        pieces.append(part)
    return "".join(pieces) + mark


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
