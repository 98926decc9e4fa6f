"""Plumage: drawn birds whose near-twins differ in one or two small parts; the embedded default data set.

`draw_plumage` writes a data set in the layout of CUB-200-2011, `render` draws one picture, and
`distinguishing_parts` says what tells two species apart.
"""

from foveate.plumage.config import Difference, PlumageConfig
from foveate.plumage.rendering import Drawing, render
from foveate.plumage.species import PART_NAMES, Species, Traits, distinguishing_parts, species_at
from foveate.plumage.writing import draw_plumage

__all__ = [
    "PART_NAMES",
    "Difference",
    "Drawing",
    "PlumageConfig",
    "Species",
    "Traits",
    "distinguishing_parts",
    "draw_plumage",
    "render",
    "species_at",
]
