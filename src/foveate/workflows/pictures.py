"""Pictures that are made of photographs: their names, and the pixels of what a network saw."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from foveate.backbones import Normalisation
from foveate.config import OnError
from foveate.data.images import ImageError, read_image
from foveate.data.roots import shown_path
from foveate.errors import UserError
from foveate.file_names import safe_name
from foveate.hardware import processors

_HASHED = 8  # hexadecimal digits of the hash of a photograph's whole path


def shown_name(photograph: Path) -> str:
    """Return what a photograph is called in titles: its folder's name and its own."""
    folder = photograph.parent.name
    folder = photograph.parent.resolve().name if folder in ("", "..") else folder
    return shown_path(f"{folder}/{photograph.name}" if folder else photograph.name)


def picture_paths(photographs: Sequence[Path], folder: Path, ending: str) -> tuple[Path, ...]:
    """Name a picture after each photograph: its folder, its name, a hash of its whole path, and what it shows.

    So a photograph always gets the same picture, and no other one's: not that of a photograph of the same name
    elsewhere, nor of another kind.

    Raises:
        UserError: A picture would take the place of one of the photographs.
    """
    targets = [folder / f"{_picture_name(photograph)}-{ending}.png" for photograph in photographs]
    taken = {path.resolve() for path in targets} & {path.resolve() for path in photographs}
    if taken:
        raise UserError(f"a picture never replaces a photograph; {min(taken)} is one; name another folder with --out")
    return tuple(targets)


def _picture_name(photograph: Path) -> str:
    whole = hashlib.sha256(os.fsencode(photograph.resolve())).hexdigest()[:_HASHED]
    return f"{safe_name(shown_name(photograph).replace('/', '-'))}-{whole}"


def readable(photographs: Sequence[Path], on_error: OnError, say: Callable[[str], None]) -> list[Path]:
    """Decode every photograph once, and return those that can be read; say what is wrong with the others.

    Raises:
        UserError: Some cannot be read and that stops, or none can; all of them are named.
    """
    with ThreadPoolExecutor(processors()) as pool:
        problems = dict(zip(photographs, pool.map(_problem, photographs), strict=True))
    good = [path for path, problem in problems.items() if problem is None]
    bad = [problem for problem in problems.values() if problem is not None]
    if bad and (on_error is OnError.STOP or not good):
        listed = "\n  ".join(bad)
        raise UserError(f"{len(bad)} of {len(problems)} photographs cannot be read:\n  {listed}")
    for problem in bad:
        say(problem)
    return good


def _problem(photograph: Path) -> str | None:
    try:
        read_image(photograph)
    except ImageError as error:
        return str(error)
    return None


def picture_of(images: Float[Tensor, "1 3 H W"], normalisation: Normalisation) -> Image.Image:
    """Undo the normalisation of a network's input, a batch of one."""
    mean, std = (np.array(each) * 255 for each in normalisation)
    pixels = images[0].float().permute(1, 2, 0).cpu().numpy() * std + mean
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
