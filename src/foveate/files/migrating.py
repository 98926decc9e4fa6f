"""What migrations of documents are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def inside(content: dict[str, Any], *names: str) -> Iterator[dict[str, Any]]:
    """Yield what lies at the end of a path of names, where it is an object."""
    inner: Any = content
    for name in names:
        inner = inner.get(name) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        yield inner


def add_fields(content: dict[str, Any], **fields: object) -> None:
    """Add the fields that are not there."""
    for name, value in fields.items():
        content.setdefault(name, value)


def rename_field(content: dict[str, Any], old: str, new: str) -> None:
    """Give a field that is there its present name."""
    if old in content:
        content[new] = content.pop(old)
