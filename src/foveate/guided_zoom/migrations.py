"""The description of an evidence pool in older versions, brought to the present one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foveate.data.migrations import with_groups_and_labels
from foveate.files.documents import Migration
from foveate.files.migrating import add_fields, inside


def _with_every_choice_of_a_pool(pool: dict[str, Any]) -> dict[str, Any]:
    for config in inside(pool, "config"):
        complete_pool_config(config)
    for data in inside(pool, "data"):
        complete_data(data)
    return pool


def complete_data(data: dict[str, Any]) -> None:
    """Add what schema 1 left out of where photographs lie."""
    add_fields(data, exclude=[], largest_megapixels=200)


def complete_pool_config(config: dict[str, Any]) -> None:
    """Add what schema 1 left out of what a pool holds."""
    add_fields(config, whole=False, batch_size=32)
    for patches in inside(config, "patches"):
        add_fields(patches, elsewhere=False, stretch=False)


def looking_for_itself(description: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 had networks that are grounded themselves."""
    add_fields(description, looker_hash=None)
    return description


POOL: Mapping[int, Migration] = {
    1: _with_every_choice_of_a_pool,
    2: with_groups_and_labels("data"),
    3: looking_for_itself,
}
"""Of `pool.json`."""
