"""Rules that the fields of a configuration keep."""

from __future__ import annotations

from foveate.errors import UserError


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
