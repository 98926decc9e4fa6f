"""Findings that rest on the photographs alone: equal ones, leaks, and what cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from foveate.data.fingerprints import Fingerprint
from foveate.data.near_duplicates import Pair, same_pixels
from foveate.data.records import ImageRecord
from foveate.evaluation.data_report import Finding, FindingKind

TINY = 64
"""Pixels; a photograph with a shorter side shows little of anything."""
FEW = 5
"""A class with fewer training photographs is hard to learn."""
_PRECEDENCE = ("test", "validation", "train")
"""Of equal photographs the one of the first of these splits is the other one, that stays."""


class Looked(NamedTuple):
    """A photograph, its split, and what is remembered of it."""

    record: ImageRecord
    split: str
    print: Fingerprint | str
    """Or why it cannot be read."""


def unusable(photographs: Sequence[Looked]) -> Iterator[Finding]:
    """Yield what cannot be read, what is nearly blank, and what is tiny."""
    for each in photographs:
        seen = each.print
        if isinstance(seen, str):
            yield _alone(FindingKind.UNREADABLE, each, seen)
        elif seen.blank is not None:
            yield _alone(FindingKind.BLANK, each, seen.blank)
        elif min(seen.size) < TINY:
            yield _alone(FindingKind.TINY, each, f"{seen.size.width} x {seen.size.height} pixels")


def equal(photographs: Sequence[Looked], pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Yield a finding for each photograph that is equal to one that goes before it: of a test split, or listed first.

    Args:
        photographs: All of them can be read.
        pairs: Of their places, as `equal_pairs` returns them.
    """
    partners = _partners(photographs, pairs)
    for late, before in sorted(partners.items()):
        early, pair = min(before, key=lambda each: _rank(photographs, each[0]))
        record, split, _ = photographs[late]
        other, other_split, _ = photographs[early]
        leaks, torn = split != other_split, record.label != other.label
        kind = FindingKind.LEAK if leaks else FindingKind.CLASSES if torn else FindingKind.COPY
        yield Finding(
            kind=kind,
            photograph=record.id,
            split=split,
            class_name=record.class_name,
            score=round(min(max(pair.correlation, 0.0), 1.0), 4),
            other=other.id,
            other_split=other_split,
            other_class=other.class_name,
            words=f"{pair.words}{', and of another class' if leaks and torn else ''}",
        )


def _partners(photographs: Sequence[Looked], pairs: Sequence[Pair]) -> dict[int, list[tuple[int, Pair]]]:
    """Return what goes before each photograph that is equal to it: of photographs with the same pixels the best."""
    prints = [each.print for each in photographs if isinstance(each.print, Fingerprint)]
    groups = {group[0]: group for group in same_pixels(prints)}
    best = {first: min(group, key=lambda place: _rank(photographs, place)) for first, group in groups.items()}
    partners: dict[int, list[tuple[int, Pair]]] = {}
    for pair in pairs:
        if pair.second not in groups:  # of the same pixels as pair.first
            continue
        for own, other in ((pair.first, pair.second), (pair.second, pair.first)):
            for late in groups[own]:
                if _rank(photographs, best[other]) < _rank(photographs, late):
                    partners.setdefault(late, []).append((best[other], pair))
    for first, group in groups.items():
        for late in group:
            if late != best[first]:
                alike = Pair(min(best[first], late), max(best[first], late), 1.0, "the same pixels")
                partners.setdefault(late, []).append((best[first], alike))
    return partners


def torn_groups(photographs: Sequence[Looked]) -> Iterator[Finding]:
    """Yield a finding for each group that has photographs in two splits."""
    members: dict[str, list[Looked]] = {}
    for each in photographs:
        if each.record.group is not None:
            members.setdefault(each.record.group, []).append(each)
    for group, inside in members.items():
        by_split: Mapping[str, list[Looked]] = {
            name: [each for each in inside if each.split == name] for name in _PRECEDENCE
        }
        present = [own for own in by_split.values() if own]
        if len(present) > 1:
            late, early = present[-1], present[0]
            yield Finding(
                kind=FindingKind.GROUP,
                photograph=late[0].record.id,
                split=late[0].split,
                class_name=late[0].record.class_name,
                other=early[0].record.id,
                other_split=early[0].split,
                other_class=early[0].record.class_name,
                words=f"group {group}: " + ", ".join(f"{len(own)} in {own[0].split}" for own in present),
            )


def small_classes(photographs: Sequence[Looked]) -> Iterator[Finding]:
    """Yield a finding for each class with fewer than `FEW` training photographs, of which it has one."""
    classes: dict[int, list[Looked]] = {}
    for each in photographs:
        if each.split == _PRECEDENCE[-1]:
            classes.setdefault(each.record.label, []).append(each)
    for _, inside in sorted(classes.items()):
        if len(inside) < FEW:
            yield _alone(FindingKind.FEW, inside[0], f"training photographs of its class: {len(inside)}")


def _alone(kind: FindingKind, photograph: Looked, words: str) -> Finding:
    record, split, _ = photograph
    return Finding(kind=kind, photograph=record.id, split=split, class_name=record.class_name, words=words)


def _rank(photographs: Sequence[Looked], place: int) -> tuple[int, int]:
    return _PRECEDENCE.index(photographs[place].split), place
