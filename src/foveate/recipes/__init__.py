"""Named training configurations: the papers' own, and small ones for a laptop."""

from foveate.recipes.laptop import plain, plain_plumage, plain_slice, plain_slice_448, plain_slice_long
from foveate.recipes.papers import (
    ft_resnet50_aircraft,
    ft_resnet50_cars,
    ft_resnet50_cub,
    ft_resnet101_aircraft,
    ft_resnet101_cub,
    ft_resnet101_dogs,
)

RECIPES = {
    "plain": plain,
    "plain-plumage": plain_plumage,
    "plain-slice": plain_slice,
    "plain-slice-448": plain_slice_448,
    "plain-slice-long": plain_slice_long,
    "ft-resnet50-cub": ft_resnet50_cub,
    "ft-resnet50-aircraft": ft_resnet50_aircraft,
    "ft-resnet50-cars": ft_resnet50_cars,
    "ft-resnet101-cub": ft_resnet101_cub,
    "ft-resnet101-dogs": ft_resnet101_dogs,
    "ft-resnet101-aircraft": ft_resnet101_aircraft,
}

__all__ = [
    "RECIPES",
    "ft_resnet50_aircraft",
    "ft_resnet50_cars",
    "ft_resnet50_cub",
    "ft_resnet101_aircraft",
    "ft_resnet101_cub",
    "ft_resnet101_dogs",
    "plain",
    "plain_plumage",
    "plain_slice",
    "plain_slice_448",
    "plain_slice_long",
]
