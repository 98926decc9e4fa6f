"""The answers of a network."""

from __future__ import annotations

from enum import StrEnum


class Branch(StrEnum):
    """One of the answers of a network; a network without zoom gives the original one alone."""

    ORIGINAL = "original"
    """Of the whole image."""
    DISCRIMINATIVE = "discriminative"
    """Of S3N's view that enlarges what decides (D)."""
    COMPLEMENTARY = "complementary"
    """Of S3N's view that enlarges the rest (C)."""
    JOINT = "joint"
    """Of all views together: it decides where there is one."""
    OBJECT = "object"
    """Of MA-CNN's crop around all parts."""
    PART_1 = "part-1"
    """Of MA-CNN's first part crop, and so on."""
    PART_2 = "part-2"
    PART_3 = "part-3"
    PART_4 = "part-4"
    PART_5 = "part-5"
    PART_6 = "part-6"
    PART_7 = "part-7"
    PART_8 = "part-8"
    MEMBER_2 = "member-2"
    """Of an ensemble's second member, and so on; the first one's is the original one."""
    MEMBER_3 = "member-3"
    MEMBER_4 = "member-4"
    MEMBER_5 = "member-5"
    MEMBER_6 = "member-6"
    MEMBER_7 = "member-7"
    MEMBER_8 = "member-8"


LARGEST_PARTS = 8
"""So many parts a network can answer for."""


PARTS = tuple(Branch(f"part-{number}") for number in range(1, LARGEST_PARTS + 1))
"""MA-CNN's part streams, in the order of its groups."""

LARGEST_ENSEMBLE = 8
"""So many members an ensemble can have."""


MEMBERS = (Branch.ORIGINAL, *(Branch(f"member-{number}") for number in range(2, LARGEST_ENSEMBLE + 1)))
"""The answers of an ensemble's members, in their order."""
