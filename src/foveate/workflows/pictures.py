"""Pictures that are made of photographs: their names, and the pixels of what a network saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from foveate.backbones import Normalisation
from foveate.errors import UserError


def picture_paths(photographs: Sequence[Path], folder: Path, ending: str) -> tuple[Path, ...]:
    """Name a picture after each photograph; photographs of one name in several folders are numbered.

    Raises:
        UserError: A picture would take the place of one of the photographs.
    """
    targets: dict[Path, None] = {}
    for photograph in photographs:
        numbers = ("", *(f"-{number}" for number in range(2, len(photographs) + 1)))
        names = (folder / f"{photograph.stem}{number}-{ending}.png" for number in numbers)
        targets[next(name for name in names if name not in targets)] = None
    taken = {path.resolve() for path in targets} & {path.resolve() for path in photographs}
    if taken:
        raise UserError(f"a picture never replaces a photograph; {min(taken)} is one; name another folder with --out")
    return tuple(targets)


def picture_of(images: Float[Tensor, "1 3 H W"], normalisation: Normalisation) -> Image.Image:
    """Undo the normalisation of a network's input, a batch of one."""
    mean, std = (np.array(each) * 255 for each in normalisation)
    pixels = images[0].float().permute(1, 2, 0).cpu().numpy() * std + mean
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
