"""Documents of older versions, brought to the present one: what their writer could not say is said as it did it.

A field that an older writer had and that is missing is damage, and stays missing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from foveate.documents import Migration


def _of_one_method(run: dict[str, Any]) -> dict[str, Any]:
    """Runs of schema 1 had one method, and no need to name it."""
    for network in _inside(run, "config", "network"):
        network["method"] = "plain"
    return run


def _with_every_choice_of_a_run(run: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 left out what came to be chosen while it lasted."""
    for config in _inside(run, "config"):
        _add(config, smoothing_over="all", keep_epochs=[], steps=None)
    for data in _inside(run, "config", "data"):
        _complete_data(data)
    for transforms in _inside(run, "config", "transforms"):
        _add(transforms, source_size=None)
    for hardware in _inside(run, "config", "hardware"):
        _add(hardware, runtime="torch")
    for backbone in _inside(run, "config", "network", "backbone"):
        _add(backbone, convolutions_only=False)
    for network in _inside(run, "config", "network"):
        if network.get("method") == "s3n":
            _add(network, attention="sparse", placement="corners", fusion="own", views_together=True)
    return run


def _with_every_choice_of_a_guided_zoom(zoom: dict[str, Any]) -> dict[str, Any]:
    _add(zoom, given=None)
    for name in ("refinement", "given"):
        for refinement in _inside(zoom, name):
            _add(refinement, mirrored=False, rule="sum")
    for pool in _inside(zoom, "pool"):
        _complete_pool_config(pool)
    return zoom


def _with_every_choice_of_a_pool(pool: dict[str, Any]) -> dict[str, Any]:
    for config in _inside(pool, "config"):
        _complete_pool_config(config)
    for data in _inside(pool, "data"):
        _complete_data(data)
    return pool


def _complete_data(data: dict[str, Any]) -> None:
    _add(data, exclude=[], largest_megapixels=200)


def _complete_pool_config(config: dict[str, Any]) -> None:
    _add(config, whole=False, batch_size=32)
    for patches in _inside(config, "patches"):
        _add(patches, elsewhere=False, stretch=False)


RUN: Mapping[int, Migration] = {1: _of_one_method, 2: _with_every_choice_of_a_run}
"""Of `run.json`."""
GUIDED_ZOOM: Mapping[int, Migration] = {1: _with_every_choice_of_a_guided_zoom}
"""Of `guided_zoom.json`."""
POOL: Mapping[int, Migration] = {1: _with_every_choice_of_a_pool}
"""Of `pool.json`."""


def _inside(content: dict[str, Any], *names: str) -> Iterator[dict[str, Any]]:
    """Yield what lies at the end of a path of names, where it is an object."""
    inner: Any = content
    for name in names:
        inner = inner.get(name) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        yield inner


def _add(content: dict[str, Any], **fields: object) -> None:
    """Add the fields that are not there."""
    for name, value in fields.items():
        content.setdefault(name, value)
