"""What a model on the hub is called: hf://user/name, or hf://user/name@revision; light to import (no torch)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from foveate.errors import UserError

_SCHEME = re.compile(r"hf:/+")  # a Path makes one slash of two
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A model on the hub."""

    repository: str
    """user/name, or organisation/name."""
    revision: str | None = None
    """A branch, a tag or a commit; None: the newest commit of the main branch."""

    @classmethod
    def is_one(cls, path: Path | str) -> bool:
        """Say whether a path names a model on the hub."""
        return _SCHEME.match(str(path)) is not None

    @classmethod
    def read(cls, path: Path | str) -> HubAddress:
        """Return what an address names.

        Raises:
            UserError: It names no model.
        """
        name, at, revision = _SCHEME.sub("", str(path), count=1).partition("@")
        if not _is_name(name) or bool(at) != bool(revision):
            raise UserError(
                f"a model on the hub is hf://user/name, or hf://user/name@revision; got {str(path)[:200]}. Check it"
            )
        return cls(name, revision or None)

    def __str__(self) -> str:
        """Return it as a person writes it."""
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a model on the hub.

    Raises:
        UserError: It is not of the form user/name.
    """
    if not _is_name(name):
        raise UserError(
            f"the name of a model on the hub is user/name, of letters, digits, -, _ and .; got {name[:200]!r}; "
            "begin with your user name, or your organisation's"
        )


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and not re.search(r"--|\.\.|[.-]$|[.-]/", name)
