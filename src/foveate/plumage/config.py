"""The size of a drawn data set, checked at construction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from foveate.errors import UserError


class Difference(StrEnum):
    """In what twins differ."""

    PARTS = "parts"
    """Four twins a group, in one or two parts; which, that depends on the group."""
    WING = "wing"
    """Two twins a group: one broad bar across the wing, or two narrow ones."""


@dataclass(frozen=True, slots=True)
class PlumageConfig:
    """How many birds to draw, how large, and from which seed.

    Pictures 0 .. train_per_species-1 of a species are for training, the next test_per_species for testing. A
    picture does not depend on how many there are, so a larger set contains a smaller one of the same
    ``train_per_species`` that is otherwise alike.

    Raises:
        UserError: A value is outside the range written beside its field.
    """

    species: int = 20  # 2 to 200; near-twins come in fours, so a multiple of 4 leaves no small group
    train_per_species: int = 30  # 1 to 9999
    test_per_species: int = 30  # 1 to 9999
    size: int = 512  # side of the square picture in pixels, 64 to 2048
    seed: int = 0  # 0 to 2**32 - 1
    bird: float = 1.0  # 0.4 to 1.2, of the usual length of a bird: 0.40 to 0.68 of the picture's side
    marks: float = 1.0  # 0.5 to 3, of the usual size of a mark: bars, ring, patch, crest and hook
    difference: Difference = Difference.PARTS

    def __post_init__(self) -> None:
        _check("species", self.species, 2, 200)
        _check("train_per_species", self.train_per_species, 1, 9999)
        _check("test_per_species", self.test_per_species, 1, 9999)
        _check("size", self.size, 64, 2048)
        _check("seed", self.seed, 0, 2**32 - 1)
        _check_factor("bird", self.bird, 0.4, 1.2)
        _check_factor("marks", self.marks, 0.5, 3.0)

    @property
    def per_species(self) -> int:
        """Pictures of one species, training and test together."""
        return self.train_per_species + self.test_per_species


def _check(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"{name} must be a whole number from {low} to {high}; got {value!r}")


def _check_factor(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UserError(f"{name} must be a number from {low:g} to {high:g}; got {value!r}")
