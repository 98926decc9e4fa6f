"""Read every photograph once before long work starts, so that a broken one is named at once and not hours later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from foveate.config.data import LARGEST_MEGAPIXELS, OnError
from foveate.data.image_values import BLANK_SAMPLE
from foveate.data.images import ImageError, blank_warning, read_thumbnail
from foveate.data.records import ArchiveMember, ImageRecord, photograph_of
from foveate.engines.threads import Mapped, in_threads
from foveate.errors import UserError
from foveate.files.remote_path import RemotePath
from foveate.hardware import processors

_NAMED = 20  # how many photographs of a split a message lists
_FETCHED_TOGETHER = 24


class Checked(NamedTuple):
    """The photographs of a split that can be read, in their order, and what there is to say of them."""

    readable: Sequence[ImageRecord]
    problems: tuple[str, ...] = ()
    """A message about each of the others."""
    blank: tuple[str, ...] = ()
    """A message about each that can be read and is nearly blank."""


class _Verdict(NamedTuple):
    problem: str | None
    blank: str | None


def check_images(
    splits: Mapping[str, Sequence[ImageRecord]],
    on_error: OnError = OnError.STOP,
    progress: Callable[[int], None] | None = None,
    largest_megapixels: int | None = LARGEST_MEGAPIXELS,
    mapped: Mapped = in_threads,
) -> dict[str, Checked]:
    """Decode every photograph once, on all cores; of those that are fetched many at a time.

    Args:
        splits: The photographs of each split, by its name.
        on_error: Whether a broken one stops or is left out.
        progress: Called after each photograph with the number done.
        largest_megapixels: A photograph with more is a broken one; None: none is.
        mapped: Does that for each.

    Raises:
        UserError: Some cannot be read and `on_error` is `stop`, or none can be read. The message is about all splits.
    """
    checks, offset = {}, 0
    for name, records in splits.items():
        verdicts = mapped(partial(_verdict, largest=largest_megapixels), records, together=_together(records))
        checks[name] = _checked(records, _counted(verdicts, offset, progress))
        offset += len(records)
    if any(each.problems for each in checks.values()) and (
        on_error is OnError.STOP or not any(each.readable for each in checks.values())
    ):
        raise _unusable(splits, checks)
    return checks


def _together(records: Sequence[ImageRecord]) -> int:
    """Return one a core, or more where photographs are fetched: as the first one says."""
    if not records:
        return 1
    image = photograph_of(records[0].image)
    place = image.archive if isinstance(image, ArchiveMember) else image
    return _FETCHED_TOGETHER if isinstance(place, RemotePath) else processors()


def listed(lines: Sequence[str]) -> str:
    """Return the first lines for a message, each on its own, and count the rest."""
    more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
    return "".join(f"\n  {line}" for line in [*lines[:_NAMED], *more])


def _counted(verdicts: Iterator[_Verdict], offset: int, progress: Callable[[int], None] | None) -> Iterator[_Verdict]:
    for number, verdict in enumerate(verdicts, offset + 1):
        if progress is not None:
            progress(number)
        yield verdict


def _checked(records: Sequence[ImageRecord], verdicts: Iterator[_Verdict]) -> Checked:
    problems: dict[int, str] = {}
    blank = []
    for place, (problem, warning) in enumerate(verdicts):
        if problem is not None:
            problems[place] = problem
        if warning is not None:
            blank.append(warning)
    # The caller's own where it is whole: what makes its records when they are asked for goes on doing so.
    readable = tuple(each for place, each in enumerate(records) if place not in problems) if problems else records
    return Checked(readable, tuple(problems.values()), tuple(blank))


def _verdict(record: ImageRecord, *, largest: int | None) -> _Verdict:
    name = place_of(record)
    try:
        image = read_thumbnail(record.image, BLANK_SAMPLE, name, largest_megapixels=largest)
        return _Verdict(None, blank_warning(image, name))
    except ImageError as error:
        return _Verdict(str(error), None)


def place_of(record: ImageRecord) -> str:
    """Return what a message calls a photograph: its path, or where it lies in an archive."""
    image = photograph_of(record.image)
    if isinstance(image, bytes):
        return record.id
    return f"{record.id} in {image.archive}" if isinstance(image, ArchiveMember) else str(image)


def _unusable(splits: Mapping[str, Sequence[ImageRecord]], checks: Mapping[str, Checked]) -> UserError:
    broken = {name: each.problems for name, each in checks.items() if each.problems}
    shares = [f"{len(problems)} of {len(splits[name])} in {name}" for name, problems in broken.items()]
    counted = f" ({', '.join(shares)})" if len(splits) > 1 else ""
    problems, count = sum(map(len, broken.values())), sum(map(len, splits.values()))
    return UserError(
        f"{problems} of {count} photographs cannot be used{counted}; restore or remove them, or leave them out "
        f"(on_error skip):{''.join(map(listed, broken.values()))}"
    )
