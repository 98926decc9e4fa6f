"""Read every photograph once before long work starts, so that a broken one is named at once and not hours later."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from foveate.config import OnError
from foveate.data.images import ImageError, read_image
from foveate.data.records import ImageRecord
from foveate.errors import UserError

_NAMED = 5  # how many broken photographs an error lists


class Checked(NamedTuple):
    """The photographs that can be read, in their order, and the message about each of the others."""

    readable: tuple[ImageRecord, ...]
    problems: tuple[str, ...]


def check_images(
    records: Sequence[ImageRecord],
    on_error: OnError = OnError.STOP,
    progress: Callable[[int], None] | None = None,
) -> Checked:
    """Decode every photograph once, on all cores.

    Args:
        records: The photographs.
        on_error: Whether a broken one stops or is left out.
        progress: Called after each photograph with the number done.

    Raises:
        UserError: Some cannot be read and `on_error` is `stop`, or none can be read.
    """
    readable: list[ImageRecord] = []
    problems: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (record, problem) in enumerate(zip(records, pool.map(_problem, records), strict=True), 1):
            if problem is None:
                readable.append(record)
            else:
                problems.append(problem)
            if progress is not None:
                progress(done)
    if problems and (on_error is OnError.STOP or not readable):
        listed = "\n  ".join(problems[:_NAMED])
        more = f"\n  and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise UserError(f"{len(problems)} of {len(records)} photographs cannot be used:\n  {listed}{more}")
    return Checked(tuple(readable), tuple(problems))


def _problem(record: ImageRecord) -> str | None:
    try:
        read_image(record.image, record.id)
    except ImageError as error:
        return str(error)
    return None
