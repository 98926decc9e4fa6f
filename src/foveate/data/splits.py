"""Cut a stratified, seeded share out of each class."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from foveate.data.records import ImageRecord
from foveate.errors import UserError


class Split(NamedTuple):
    """Two disjoint parts of a list of records, each in the list's order."""

    kept: tuple[ImageRecord, ...]
    held_out: tuple[ImageRecord, ...]


def hold_out(records: Sequence[ImageRecord], fraction: float, seed: int) -> Split:
    """Hold out `fraction` of each class, rounded, but at least one photograph and never all of them.

    Which ones depends on the seed and the class's ids only, not on the order of `records` or on other classes. They
    are ranked by a hash, so that photographs added later leave nearly all others where they were.

    Raises:
        UserError: A class has fewer than two photographs, so that it cannot be on both sides.
    """
    by_class: dict[int, list[ImageRecord]] = defaultdict(list)
    for record in records:
        by_class[record.label].append(record)
    held_out: set[str] = set()
    for members in by_class.values():
        if len(members) < 2:
            raise UserError(
                f"holding out {fraction:.0%} of each class needs at least two photographs in it; class "
                f"{members[0].class_name!r} has {len(members)}; add photographs, remove the class, or give the data "
                "set a division of its own"
            )
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        ranked = sorted(members, key=lambda record: _rank(record, seed))
        held_out.update(record.id for record in ranked[:count])
    return Split(
        tuple(record for record in records if record.id not in held_out),
        tuple(record for record in records if record.id in held_out),
    )


def _rank(record: ImageRecord, seed: int) -> bytes:
    # A name that is no UTF-8 is refused by the check of the photographs, with all others that are.
    return hashlib.sha256(f"{seed}/{record.id}".encode(errors="surrogatepass")).digest()
