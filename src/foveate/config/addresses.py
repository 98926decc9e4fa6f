"""Addresses of files elsewhere, such as s3://bucket/birds: what is one, and what of it may be written down."""

from __future__ import annotations

import os
import re
from pathlib import Path

from foveate.errors import UserError

_SCHEME = re.compile(r"(?!hf:)([A-Za-z][A-Za-z0-9+.-]+):/+", re.ASCII)  # a Path makes one slash of two; C:/ is a drive
_CHAIN = re.compile(r"::[A-Za-z][A-Za-z0-9+.-]+:/", re.ASCII)
_SEVERAL = re.compile(r"\+(?=[A-Za-z][A-Za-z0-9.-]+:/)", re.ASCII)  # an ensemble
_HARMLESS = re.compile(
    r"(id|page|size|width|height|w|h|format|version|versionId|generation|alt|index|number|start|offset|limit|date|year)"
    r"=[\w.-]{0,64}",
    re.IGNORECASE | re.ASCII,
)
"""Parameters of a query that may be written down; of all others nobody knows."""
_PASSWORD_WITH_SLASHES = re.compile(r"(?:\[[^\]]*\]|[^:/?#@\[]*):(?!\d*(?:[/?#]|$)).*@", re.DOTALL)
_CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")
"""Protocols that name a container before the @."""
_WEB = ("http", "https")
_SIGNATURE = re.compile(
    r"sig(nature)?|.*(token|secret|password|credential|auth|signature).*|(api|access)?[_-]?key(-pair-id|id)?|policy|"
    r"awsaccesskeyid|googleaccessid|x-(amz|goog)-.*|expires|jwt|code|pass|pwd|s[tepvr]|spr|sip|sk(oid|tid|[tesv])",
    re.IGNORECASE,
)
"""Parameters that change while the file is the same."""
_USER_IN_TEXT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:/+)[^\s/'\"]*@", re.ASCII)
_WEB_IN_TEXT = re.compile(r"(https?:/[^\s'\"?]*)\?([^\s'\"#;]*)", re.ASCII | re.IGNORECASE)
_QUERY_IN_TEXT = re.compile(r"()\?([^\s'\"#;]*=[^\s'\"#;]*)")
_PARAMETER_IN_TEXT = re.compile(r"[#;][\w.%-]+=[^\s'\"&#;]*")


def is_address(path: Path | str) -> bool:
    """Say whether a path is an address of a storage, such as ``s3://bucket/birds``; models on the hub are none."""
    return _SCHEME.match(os.fspath(path)) is not None


def address_of(path: Path | str) -> str:
    """Return an address as a person writes it: a `Path` has lost one of its slashes."""
    text = os.fspath(path)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return text
    return f"{scheme.group(1).lower()}://{'/' if scheme.group(1).lower() == 'file' else ''}{text[scheme.end() :]}"


def user_of(address: str) -> str:
    """Return what a whole address says of its user, up to the @: ``ada:pw@``; that may be nothing."""
    scheme, _, rest = address.partition("://")
    user, at, _ = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")
    if not at and (long := _PASSWORD_WITH_SLASHES.match(rest)) is not None:
        return long.group()
    return "" if scheme in _CONTAINERS and not set(user) & set(":@") else user + at


def without_signature(address: str) -> str:
    """Return what of a whole address says which file it is: two of one file may differ in their signatures."""
    place, _, query = address.partition("?")
    parts = [each for each in query.split("&") if not _SIGNATURE.fullmatch(each.partition("=")[0])]
    return f"{place}?{'&'.join(parts)}"


def shown_address(path: Path | str) -> str:
    """Return what of one address may be written down: no user, no password, and of a query what is harmless.

    >>> shown_address("https://ada:pw@host/a list.csv?id=3&jwt=0f#token=1")
    'https://host/a list.csv?id=3'

    Raises:
        UserError: It is a chain of addresses.
    """
    text = address_of(path)
    if not is_address(text):
        return text
    if len(several := _SEVERAL.split(text)) > 1:
        return "+".join(map(shown_address, several))
    scheme, mark, rest = text.partition("://")
    if _CHAIN.search(rest):
        raise UserError(
            f"an address is that of one storage; one that begins with {scheme}:// is a chain of several (::); unpack "
            "the archive there, and name its files"
        )
    rest = rest[len(user_of(text)) :]
    if scheme in _WEB or re.search("#.*=", rest):
        rest = rest.partition("#")[0]
    place, question, query = rest.partition("?")
    place = re.sub(r";[^/]*=[^/]*", "", place)
    if scheme not in _WEB and "=" not in query:  # a pattern, of which it is any one letter
        return scheme + mark + place + question + query
    return scheme + mark + place + _harmless(query)


def shown_word(word: str) -> str:
    """Return a word of a command line without the secrets of its addresses: it is one, an option with one, or several.

    >>> shown_word("--root=https://ada:pw@host/my birds?code=1")
    '--root=https://host/my birds'
    """
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    if not is_address(value) or _CHAIN.search(value):
        return without_secrets(word)
    return option + equals + shown_address(value)


def without_secrets(text: str) -> str:
    """Return a text whose addresses have no user, no password, and of their queries what is harmless.

    Where an address ends in a text can only be guessed; one alone is for `shown_address`.

    >>> without_secrets("got https://ada:pw@host/list.csv?id=3&X-Amz-Signature=0f")
    'got https://host/list.csv?id=3'
    """
    first = _SCHEME.search(text)
    if first is None:
        return text
    tail = _USER_IN_TEXT.sub(r"\1", text[first.start() :])
    for query in (_WEB_IN_TEXT, _QUERY_IN_TEXT):
        tail = query.sub(lambda found: found.group(1) + _harmless(found.group(2)), tail)
    return text[: first.start()] + _PARAMETER_IN_TEXT.sub("", tail)


def _harmless(query: str) -> str:
    parameters = [each for each in query.split("&") if _HARMLESS.fullmatch(each)]
    return "?" + "&".join(parameters) if parameters else ""
