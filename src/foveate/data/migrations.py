"""Where photographs lie and how they are divided, as older documents say it, brought to the present version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from foveate.files.documents import Migration
from foveate.files.migrating import add_fields, inside


def with_groups_and_labels(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what adds groups and corrected labels, of which there were none, to a `DataConfig` inside a document.

    Args:
        names: The path to it.
    """

    def migrate(content: dict[str, Any]) -> dict[str, Any]:
        for data in inside(content, *names):
            add_fields(data, relabel=None, group_column=None, group_level=0)
        return content

    return migrate


FOLD: Mapping[int, Migration] = {1: with_groups_and_labels("data")}
"""Of `fold.json`."""
