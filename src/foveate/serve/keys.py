"""API keys: who may ask, where that is limited."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from foveate.errors import UserError

VARIABLE = "FOVEATE_API_KEY"
"""An environment variable that holds a key."""

_SHORTEST = 16


class Keys:
    """The hashes of the keys that are let in; none: everybody is.

    Args:
        keys: As they are sent.
    """

    def __init__(self, keys: list[str]) -> None:
        self._hashes = [_hash(key) for key in keys]

    @classmethod
    def read(cls, file: Path | None) -> Keys:
        """Read the keys of a file, one a line, and that of the environment (`VARIABLE`).

        Raises:
            UserError: The file cannot be read, it or the variable is empty, or a key is short.
        """
        keys = [os.environ[VARIABLE].strip()] if VARIABLE in os.environ else []
        if keys == [""]:
            raise UserError(f"{VARIABLE} must hold an API key; it is set and empty; unset it to let everybody in")
        if file is not None:
            try:
                lines = [line.strip() for line in file.expanduser().read_text(encoding="utf-8").splitlines()]
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"an API key file must be a text; {file} is not ({error}); check the path") from error
            lines = [line for line in lines if line and not line.startswith("#")]
            if not lines:
                raise UserError(f"an API key file must hold a key on each line; {file} has none; write one into it")
            keys += lines
        for key in keys:
            if len(key) < _SHORTEST or not key.isascii():
                raise UserError(
                    f"an API key must have at least {_SHORTEST} ASCII characters; one has {len(key)}; make one with "
                    '`python -c "import secrets; print(secrets.token_urlsafe())"`'
                )
        return cls(keys)

    @property
    def asked_for(self) -> bool:
        """Whether a key must be sent."""
        return bool(self._hashes)

    def holder(self, key: str | None) -> str | None:
        """Return a name for the holder of a key, which tells nothing of the key; None: it is none of them.

        Every key is compared, each in a time that does not depend on it.
        """
        sent, holder = _hash(key or ""), None
        for known in self._hashes:
            if hmac.compare_digest(sent, known):
                holder = f"key {known.hex()[:8]}"
        return holder


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
