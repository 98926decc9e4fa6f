"""The hold-out split: a stratified, seeded share of each class."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
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
    are ranked by a hash, so that photographs added later leave nearly all others where they were. Photographs of one
    group stay on one side: groups are taken in the order of their ranks while that brings a class nearer to its share.

    Args:
        records: The photographs.
        fraction: In (0, 1).
        seed: Of the draw.
        option: What sets the fraction on the command line, for the error.

    Raises:
        UserError: A class has fewer than two photographs, or is in fewer than two groups, so that it cannot be on both
            sides.
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
    sizes = {label: len(members) for label, members in by_class.items()}
    wanted = {label: min(max(round(fraction * size), 1), size - 1) for label, size in sizes.items()}
    held_out, lacking = _held_out(grouped(records, seed), sizes, wanted)
    if lacking:
        names = [by_class[label][0].class_name for label in lacking]
        raise UserError(
            f"holding out {fraction:.0%} of each class in whole groups needs at least two groups of it; there are none "
            f"to divide in {len(names)} of {len(by_class)} classes: {first_few(names)}. Add photographs of other "
            "groups, or give no groups"
        )
    return HoldOut(
        tuple(record for record in records if record.id not in held_out),
        tuple(record for record in records if record.id in held_out),
    )


def grouped(records: Sequence[ImageRecord], seed: int) -> list[list[ImageRecord]]:
    """Return the photographs of each group, one that stands for itself alone, in an order that the seed draws."""
    groups: dict[tuple[str | None, str], list[ImageRecord]] = defaultdict(list)
    for record in records:
        groups[record.group, "" if record.group is not None else record.id].append(record)
    return sorted(groups.values(), key=lambda members: _hash(members[0].group or members[0].id, seed))


def _held_out(
    groups: Sequence[Sequence[ImageRecord]], sizes: Mapping[int, int], wanted: Mapping[int, int]
) -> tuple[set[str], list[int]]:
    """Return the ids of those held out, by classes about as many as wanted, and the classes of which there are none."""
    left, held, chosen = dict(sizes), dict.fromkeys(sizes, 0), set[str]()
    counted = [(members, Counter(record.label for record in members)) for members in groups]

    def take(members: Sequence[ImageRecord], counts: Mapping[int, int]) -> None:
        chosen.update(record.id for record in members)
        for label, count in counts.items():
            left[label] -= count
            held[label] += count

    for members, counts in counted:
        gain = sum(
            abs(wanted[label] - held[label]) - abs(wanted[label] - held[label] - count)
            for label, count in counts.items()
        )
        if gain > 0 and all(left[label] > count for label, count in counts.items()):
            take(members, counts)
    for members, counts in sorted(counted, key=lambda each: len(each[0])):  # where the nearest number was none
        if any(not held[label] for label in counts) and all(left[label] > count for label, count in counts.items()):
            take(members, counts)
    return chosen, [label for label, count in held.items() if not count]


def rank_of(record: ImageRecord, seed: int) -> bytes:
    """Return what photographs are ordered by to draw among them: a function of the seed and the id only."""
    return _hash(record.id, seed)


def _hash(name: str, seed: int) -> bytes:
    # Names of files that are not UTF-8 come as half characters; reading them says so, not drawing them.
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogatepass")).digest()
