"""The hold-out split: a stratified, seeded share of each class."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from foveate.data.datasets.checks import first_few
from foveate.data.records import ImageRecord
from foveate.errors import UserError


class HoldOut(NamedTuple):
    """Two disjoint parts of a list of records, each in the list's order."""

    kept: tuple[ImageRecord, ...]
    held_out: tuple[ImageRecord, ...]


def hold_out(records: Sequence[ImageRecord], fraction: float, seed: int, *, option: str | None = None) -> HoldOut:
    """Hold out `fraction` of each class, rounded, but at least one photograph and never all of them.

    Which ones depends on the seed and the class's ids only, not on the order of `records` or on other classes. They
    are ranked by a hash, so that photographs added later leave nearly all others where they were.

    Args:
        records: The photographs.
        fraction: In (0, 1).
        seed: Of the draw.
        option: What sets the fraction on the command line, for the error.

    Raises:
        UserError: A class has fewer than two photographs, so that it cannot be on both sides.
    """
    by_class: dict[int, list[ImageRecord]] = defaultdict(list)
    for record in records:
        by_class[record.label].append(record)
    singles = [members[0].class_name for members in by_class.values() if len(members) < 2]
    if singles:
        mend = f", hold none out (--data.{option} 0; with `foveate data` --{option} 0)" if option else ""
        raise UserError(
            f"holding out {fraction:.0%} of each class needs at least two photographs in it; {len(singles)} of "
            f"{len(by_class)} classes have one: {first_few(singles)}. Add photographs, remove the classes{mend}, or "
            "give the data set a division of its own"
        )
    held_out: set[str] = set()
    for members in by_class.values():
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        ranked = sorted(members, key=lambda record: rank_of(record, seed))
        held_out.update(record.id for record in ranked[:count])
    return HoldOut(
        tuple(record for record in records if record.id not in held_out),
        tuple(record for record in records if record.id in held_out),
    )


def rank_of(record: ImageRecord, seed: int) -> bytes:
    """Return what photographs are ordered by to draw among them: a function of the seed and the id only."""
    # Names of files that are not UTF-8 come as half characters; reading them says so, not drawing them.
    return hashlib.sha256(f"{seed}/{record.id}".encode("utf-8", "surrogatepass")).digest()
