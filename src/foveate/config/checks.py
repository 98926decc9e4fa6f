"""Rules that the fields of a configuration keep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from foveate.config.branches import Branch
from foveate.errors import UserError

LARGEST_SIDE = 4096
"""Pixels. A view of that side is 50 MB as bytes and 200 MB as floats, of every photograph of a batch."""
LARGEST_SEED = 2**63 - 1
"""What torch, numpy and our own draws take alike: 64 bits with a sign."""
LARGEST_COUNT = 10**9
"""Beyond any number of epochs, photographs or steps; larger ones overflow somewhere inside."""


def require(holds: bool, rule: str, value: object) -> None:
    """Refuse a value that breaks a rule.

    Raises:
        UserError: It does; the message is the rule and the value.
    """
    if not holds:
        raise UserError(f"{rule}; got {value}")


def require_fraction(name: str, value: float) -> None:
    """Refuse what is not in [0, 1)."""
    require(0 <= value < 1, f"{name} must be a fraction in [0, 1)", value)


def require_seed(name: str, value: int) -> None:
    """Refuse what is not a seed on every machine."""
    require(value >= 0, f"{name} must not be negative", shown(value))
    require(value <= LARGEST_SEED, f"{name} must be below 2 ** 63", shown(value))


def require_count(name: str, value: int, least: int = 1, most: int = LARGEST_COUNT) -> None:
    """Refuse a number that is too small, or larger than anything is made for."""
    rule = f"{name} must not be negative" if least == 0 else f"{name} must be at least {least}"
    require(least <= value, rule, shown(value))
    require(value <= most, f"{name} must be at most {most:,}", shown(value))


def require_side(name: str, value: int, least: int = 16) -> None:
    """Refuse the side of a view, in pixels, that no network or no memory is made for."""
    require(least <= value, f"{name} must be at least {least} pixels", shown(value))
    require(value <= LARGEST_SIDE, f"{name} must be at most {LARGEST_SIDE} pixels", shown(value))


def require_view_weights(weights: Mapping[str, float]) -> None:
    """Refuse weights of branches that there are not, or that say nothing."""
    unknown = weights.keys() - {branch.value for branch in Branch}
    require(not unknown, "view_weights must be of branches", sorted(unknown)[:1])
    holds = all(0 <= each < math.inf for each in weights.values()) and any(weights.values())
    require(holds, "view_weights must be finite, not negative and not all 0", weights)


def require_finite(config: Any) -> None:
    """Refuse NaN and infinity in any field of a configuration."""
    for each in fields(config):
        value = getattr(config, each.name)
        for number in value if isinstance(value, Iterable) else (value,):
            holds = not isinstance(number, float) or math.isfinite(number)
            require(holds, f"{each.name} must be finite", number)


def require_names(names: Sequence[str]) -> None:
    """Refuse classes of which there are none, or two of one name."""
    require(len(names) >= 1, "class_names must hold at least one", "none")
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    require(not twice, "class_names must be unique", f"{twice[:1]} twice")


def shown(value: int) -> str:
    """Return a number as a message has it: never a page of digits."""
    return str(value) if abs(value) < 10**30 else "a number of more than 30 digits"
