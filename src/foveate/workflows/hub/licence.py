"""What others may do with a shared model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from foveate.errors import UserError

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Licence:
    """A licence, as the metadata of a model card names it.

    Raises:
        UserError: There is none, its identifier is none of the hub's form, or `other` is not named.
    """

    identifier: str
    """The hub's: apache-2.0, mit, cc-by-4.0, cc-by-nc-4.0 and so on, or other."""
    name: str | None = None
    """Of a licence that the hub has no identifier for."""
    link: str | None = None
    """Where that one stands: https://... ."""

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.identifier):
            raise UserError(
                "a model card needs a licence, or nobody may use the model; got "
                f"{self.identifier[:80]!r}; give one of the hub's identifiers, such as --licence apache-2.0, cc-by-4.0 "
                "or cc-by-nc-4.0, or --licence other with --licence-name and --licence-link; mind the terms of your "
                "photographs"
            )
        if (self.identifier == _OTHER) != (self.name is not None and self.link is not None):
            raise UserError(
                "the licence other is said by --licence-name and --licence-link, and only that one; got "
                f"{self.identifier} with name {self.name!r} and link {self.link!r}; give both, or leave them out"
            )
        if self.link is not None and not re.fullmatch(r"https?://[^\s()<>]+", self.link):
            raise UserError(f"licence_link must be an address, https://...; got {self.link[:200]!r}")

    @classmethod
    def given(cls, identifier: str | None, name: str | None = None, link: str | None = None) -> Licence:
        """Return the licence that a person gave.

        Raises:
            UserError: None was given, or as above.
        """
        return cls(identifier=(identifier or "").strip().lower(), name=name, link=link)
