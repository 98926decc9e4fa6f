"""The pictures that explain answers: of which photographs, and what they are called."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from foveate.config.data import OnError, TransformConfig
from foveate.data.image_values import BLANK_SAMPLE
from foveate.data.images import ImageError, blank_warning, read_thumbnail, read_views
from foveate.data.raster import Raster
from foveate.data.roots import shown_path
from foveate.data.transforms import centres
from foveate.errors import UserError
from foveate.files.file_names import safe_name
from foveate.hardware import processors
from foveate.runs.context import RunContext
from foveate.runs.run import Run

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


Draw = Callable[[Raster, Path, Path], None]
"""Draws a photograph, which lies at the first path, into the file of the second."""


def draw_photographs(
    photographs: Sequence[Path],
    run: Run,
    transforms: Sequence[TransformConfig],
    folder: Path,
    ending: str,
    draw: Draw,
    context: RunContext,
) -> tuple[Path, ...]:
    """Draw every photograph that can be read into a picture that is named after it (`picture_paths`); say its path.

    ``transforms`` say which views of it are looked at: it is decoded as finely as they need.

    Raises:
        UserError: Some photographs cannot be read and that stops, before anything is drawn; or none can.
    """
    largest, views = context.largest_of(run), partial(centres, transforms=transforms)
    readable_ones = readable(photographs, context.on_error_of_named, context.say, largest)
    pictures = picture_paths(readable_ones, folder, ending)
    for photograph, picture in zip(readable_ones, pictures, strict=True):
        draw(read_views(photograph, views, largest_megapixels=largest).raster, photograph, picture)
        context.say(shown_path(picture))
    return pictures


def readable(
    photographs: Sequence[Path], on_error: OnError, say: Callable[[str], None], largest_megapixels: int
) -> list[Path]:
    """Decode every photograph once, and return those that can be read; say what is wrong with the others.

    Those that are nearly blank are returned, and warned of.

    Raises:
        UserError: Some cannot be read and that stops, or none can; all of them are named.
    """
    with ThreadPoolExecutor(processors()) as pool:
        verdicts = list(pool.map(lambda each: _verdict(each, largest_megapixels), photographs))
    good = [path for path, (problem, _) in zip(photographs, verdicts, strict=True) if problem is None]
    bad = [problem for problem, _ in verdicts if problem is not None]
    if bad and (on_error is OnError.STOP or not good):
        listed = "\n  ".join(bad)
        raise UserError(f"{len(bad)} of {len(verdicts)} photographs cannot be read:\n  {listed}")
    for problem, warning in verdicts:
        if problem is not None:
            say(problem)
        if warning is not None:
            say(f"warning: {warning}")
    return good


def _verdict(photograph: Path, largest_megapixels: int) -> tuple[str | None, str | None]:
    """Return why a photograph cannot be read, and that it is nearly blank."""
    try:
        image = read_thumbnail(photograph, BLANK_SAMPLE, largest_megapixels=largest_megapixels)
    except ImageError as error:
        return str(error), None
    return None, blank_warning(image, shown_path(photograph))
