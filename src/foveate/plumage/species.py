"""Who is who: species come in groups of four near-twins that differ in one or two small parts.

The two forms of a part are drawn with the same amount of the same colours (one broad bar or two narrow ones, a
whole eye ring or a broken one), so what tells twins apart is fine structure, which a small picture does not hold.
With `Difference.WING` they come in pairs, and it is always the bars of the wing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import Enum

from foveate.errors import UserError
from foveate.plumage.config import Difference, PlumageConfig

_GROUP_SIZE = 4
PART_NAMES = ("back", "beak", "belly", "breast", "crown", "eye", "leg", "nape", "tail", "throat", "wing")
"""The parts that are annotated."""


class Beak(Enum):
    """The end of the upper mandible."""

    STRAIGHT = "straight"
    HOOKED = "hooked"


class Crest(Enum):
    """The tuft at the back of the crown."""

    NONE = "none"
    POINTED = "pointed"
    FORKED = "forked"


class EyeRing(Enum):
    """The pale ring around the eye; a broken one is open before and behind."""

    NONE = "none"
    WHOLE = "whole"
    BROKEN = "broken"


class ThroatPatch(Enum):
    """The dark patch under the beak: one tone, or dark streaks on the pale ground."""

    NONE = "none"
    SOLID = "solid"
    STREAKED = "streaked"


class Bars(Enum):
    """Pale bars across the wing coverts or the tail."""

    NONE = "none"
    ONE_BROAD = "one broad"
    TWO_NARROW = "two narrow"


class LegColour(Enum):
    """Plain legs, or two colours: which of them the shank has and which the toes."""

    PLAIN = "plain"
    DARK_TOES = "pale shank, dark toes"
    PALE_TOES = "dark shank, pale toes"


@dataclass(frozen=True, slots=True)
class Traits:
    """The form of each small part; a field is named after the part (see `PART_NAMES`) where it shows."""

    beak: Beak = Beak.STRAIGHT
    crown: Crest = Crest.NONE
    eye: EyeRing = EyeRing.NONE
    throat: ThroatPatch = ThroatPatch.NONE
    wing: Bars = Bars.NONE
    tail: Bars = Bars.NONE
    leg: LegColour = LegColour.PLAIN


@dataclass(frozen=True, slots=True)
class Species:
    """One kind of bird: its name (unique), the group whose shape and colours it wears, and its small parts."""

    name: str
    group: int
    traits: Traits


_FORMS: dict[str, tuple[Traits, Traits]] = {
    "beak": (Traits(beak=Beak.STRAIGHT), Traits(beak=Beak.HOOKED)),
    "crown": (Traits(crown=Crest.POINTED), Traits(crown=Crest.FORKED)),
    "eye": (Traits(eye=EyeRing.WHOLE), Traits(eye=EyeRing.BROKEN)),
    "throat": (Traits(throat=ThroatPatch.SOLID), Traits(throat=ThroatPatch.STREAKED)),
    "wing": (Traits(wing=Bars.ONE_BROAD), Traits(wing=Bars.TWO_NARROW)),
    "tail": (Traits(tail=Bars.ONE_BROAD), Traits(tail=Bars.TWO_NARROW)),
    "leg": (Traits(leg=LegColour.DARK_TOES), Traits(leg=LegColour.PALE_TOES)),
}
_FREE_PARTS = (
    ("beak", "wing"),
    ("eye", "tail"),
    ("throat", "leg"),
    ("crown", "wing"),
    ("eye", "throat"),
    ("beak", "tail"),
    ("crown", "leg"),
    ("wing", "eye"),
    ("throat", "tail"),
    ("beak", "leg"),
    ("crown", "tail"),
)
_NOUNS = (
    "Finch",
    "Warbler",
    "Thrush",
    "Flycatcher",
    "Wagtail",
    "Bunting",
    "Starling",
    "Redstart",
    "Tit",
    "Chat",
    "Shrike",
)
_ADJECTIVES = (
    *(
        "Amber",
        "Bracken",
        "Cinder",
        "Dune",
        "Elder",
        "Fallow",
        "Gorse",
        "Hazel",
        "Indigo",
        "Juniper",
        "Kestle",
    ),
    *("Linden", "Marsh", "Northern", "Osier", "Pale", "Quarry", "Rowan", "Sallow", "Tarn", "Umber", "Vesper"),
    *("Willow", "Yarrow", "Alder", "Birch", "Copper", "Dusky", "Ember", "Fen", "Glade", "Heather", "Ivory"),
    *(
        "Jasper",
        "Kelp",
        "Laurel",
        "Meadow",
        "Nettle",
        "Orchard",
        "Plain",
        "Russet",
        "Sedge",
        "Thicket",
        "Upland",
    ),
)


def species_at(index: int, difference: Difference = Difference.PARTS) -> Species:
    """The species of this index, counted from 0; it is the same in every data set of a difference, for every seed."""
    parts = ("wing",) if difference is Difference.WING else None
    group, member = divmod(index, _GROUP_SIZE if parts is None else 2)
    traits = Traits()
    for bit, part in enumerate(parts or _FREE_PARTS[group % len(_FREE_PARTS)]):
        form = _FORMS[part][(member >> bit) & 1]
        traits = replace(traits, **{part: getattr(form, part)})
    # 11 nouns and 11 runs of four adjectives: the shift keeps the 121 first groups' names apart.
    run = group + group // len(_NOUNS)
    adjective = _ADJECTIVES[(_GROUP_SIZE * run + member) % len(_ADJECTIVES)]
    return Species(f"{adjective} {_NOUNS[group % len(_NOUNS)]}", group, traits)


def distinguishing_parts(config: PlumageConfig, a: int, b: int) -> frozenset[str]:
    """Names of the parts in which species ``a`` and ``b`` (indices from 0) differ.

    Empty for a species and itself, one or two names for near-twins, and every part for birds of two groups: their
    shape and colours differ all over.

    Raises:
        UserError: An index is not a species of this data set.
    """
    for index in (a, b):
        check_species(config, index)
    first, second = (species_at(index, config.difference) for index in (a, b))
    if first.group != second.group:
        return frozenset(PART_NAMES)
    names = (field.name for field in fields(Traits))
    return frozenset(name for name in names if getattr(first.traits, name) is not getattr(second.traits, name))


def check_species(config: PlumageConfig, index: int) -> None:
    """Raise `UserError` unless ``index`` is a species of this data set."""
    if not 0 <= index < config.species:
        raise UserError(f"a species index must be from 0 to {config.species - 1}; got {index}")
