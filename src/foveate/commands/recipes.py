"""`foveate recipes`: what can be trained."""

from dataclasses import dataclass

from foveate.reproduction.listing import listing


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """List what can be trained: the methods with their presets, then the papers' rows by table."""

    def run(self) -> None:
        """Do it."""
        print(listing())
