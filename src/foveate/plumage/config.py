"""The size of a drawn data set, checked at construction."""

from __future__ import annotations

from dataclasses import dataclass

from foveate.errors import UserError


@dataclass(frozen=True, slots=True)
class PlumageConfig:
    """How many birds to draw, how large, and from which seed.

    Pictures 0 .. train_per_species-1 of a species are for training, the next test_per_species for testing. A
    picture depends on the seed, its size, its species and its index only, so a larger set contains a smaller one
    of the same seed, size and ``train_per_species``.

    Raises:
        UserError: A value is outside the range written beside its field.
    """

    species: int = 20  # 2 to 200; near-twins come in fours, so a multiple of 4 leaves no small group
    train_per_species: int = 30  # 1 to 9999
    test_per_species: int = 30  # 1 to 9999
    size: int = 512  # side of the square picture in pixels, 64 to 2048
    seed: int = 0  # 0 to 2**32 - 1

    def __post_init__(self) -> None:
        _check("species", self.species, 2, 200)
        _check("train_per_species", self.train_per_species, 1, 9999)
        _check("test_per_species", self.test_per_species, 1, 9999)
        _check("size", self.size, 64, 2048)
        _check("seed", self.seed, 0, 2**32 - 1)

    @property
    def per_species(self) -> int:
        """Pictures of one species, training and test together."""
        return self.train_per_species + self.test_per_species


def _check(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"{name} must be a whole number from {low} to {high}; got {value!r}")
