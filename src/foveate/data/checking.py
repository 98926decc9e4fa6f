"""Read every photograph once before long work starts, so that a broken one is named at once and not hours later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from foveate.config import OnError
from foveate.data.datasets import missing_files
from foveate.data.images import ImageError, read_image
from foveate.data.records import ArchiveMember, ImageRecord, photograph_of
from foveate.errors import UserError
from foveate.hardware import processors

_NAMED = 5  # how many broken photographs an error lists
_AT_A_TIME = 1024  # photographs that wait for a thread; each that waits takes memory


class Checked(NamedTuple):
    """The photographs that can be read, in their order, and the message about each of the others."""

    readable: Sequence[ImageRecord]
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
    if on_error is OnError.STOP and (absent := missing_files(records)):
        raise _unusable([f"image not found: {_place(record)}" for record in absent], len(records))
    problems: dict[int, str] = {}
    with ThreadPoolExecutor(processors()) as pool:
        for start in range(0, len(records), _AT_A_TIME):
            answers = pool.map(_problem, records[start : start + _AT_A_TIME])
            for position, problem in enumerate(answers, start):
                if problem is not None:
                    problems[position] = problem
                if progress is not None:
                    progress(position + 1)
    if problems and (on_error is OnError.STOP or len(problems) == len(records)):
        raise _unusable(list(problems.values()), len(records))
    # The caller's own where it is whole: what makes its records when they are asked for goes on doing so.
    readable = tuple(each for place, each in enumerate(records) if place not in problems) if problems else records
    return Checked(readable, tuple(problems.values()))


def _unusable(problems: Sequence[str], count: int) -> UserError:
    listed = "\n  ".join(problems[:_NAMED])
    more = f"\n  and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    return UserError(
        f"{len(problems)} of {count} photographs cannot be used; restore or remove them, or leave them out (on-error "
        f"skip):\n  {listed}{more}"
    )


def _place(record: ImageRecord) -> str:
    image = photograph_of(record.image)
    return f"{record.id} in {image.archive}" if isinstance(image, ArchiveMember) else str(image or record.id)


def _problem(record: ImageRecord) -> str | None:
    try:
        read_image(record.image, record.id)
    except ImageError as error:
        return str(error)
    return None
