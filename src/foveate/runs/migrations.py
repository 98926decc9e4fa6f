"""Documents of older versions, brought to the present one: what their writer could not say is said as it did it.

A field that an older writer had and that is missing is damage, and stays missing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from foveate.data.migrations import with_groups_and_labels
from foveate.files.documents import Migration
from foveate.files.migrating import add_fields, inside, rename_field
from foveate.guided_zoom.migrations import complete_data, complete_pool_config, looking_for_itself


def _of_one_method(run: dict[str, Any]) -> dict[str, Any]:
    """Runs of schema 1 had one method, and no need to name it."""
    for network in inside(run, "config", "network"):
        network["method"] = "plain"
    return run


def _with_every_choice_of_a_run(run: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 left out what came to be chosen while it lasted."""
    for config in inside(run, "config"):
        add_fields(config, smoothing_over="all", keep_epochs=[], steps=None)
    for data in inside(run, "config", "data"):
        complete_data(data)
    for transforms in inside(run, "config", "transforms"):
        add_fields(transforms, source_size=None)
    for hardware in inside(run, "config", "hardware"):
        add_fields(hardware, runtime="torch")
    for backbone in inside(run, "config", "network", "backbone"):
        add_fields(backbone, convolutions_only=False)
    for network in inside(run, "config", "network"):
        if network.get("method") == "s3n":
            add_fields(network, attention="sparse", placement="corners", fusion="own", views_together=True)
    return run


def _with_new_heads(run: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 had no heads but random ones to begin with, except a probe's, and an S3N was always trained."""
    for config in inside(run, "config"):
        add_fields(config, pretrained_share=0.0)
    for network in inside(run, "config", "network"):
        add_fields(network, **_NEW_HEADS.get(str(network.get("method")), {}))
    return run


def _with_all_layers_learning(run: dict[str, Any]) -> dict[str, Any]:
    """Schema 4 kept no layer as it was pretrained, unless none was trained."""
    for config in inside(run, "config"):
        add_fields(config, frozen_stride=0)
    return run


def with_every_device(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what adds to a `HardwareConfig` inside a document how several devices and machines share a training.

    Args:
        names: The path to it.
    """

    def migrate(content: dict[str, Any]) -> dict[str, Any]:
        for hardware in inside(content, *names):
            add_fields(hardware, nodes=1, strategy="auto", accumulate=1, checkpointing=False, compile=False)
            add_fields(hardware, synchronised=False)
        return content

    return migrate


def _of_cnns_on_one_machine(run: dict[str, Any]) -> dict[str, Any]:
    """Schema 6 had backbones with a feature map alone, learned their weights themselves, each photograph as often."""
    for config in inside(run, "config"):
        add_fields(config, lora_rank=0, sampling="uniform", logit_adjustment=0.0)
    for backbone in inside(run, "config", "network", "backbone"):
        add_fields(backbone, tokens=None)
    return with_every_device("config", "hardware")(run)


def _looking_for_itself(run: dict[str, Any]) -> dict[str, Any]:
    """Schema 7 had networks that look for themselves."""
    add_fields(run, looker=None)
    for network in inside(run, "config", "network"):
        if network.get("method") == "s3n":
            add_fields(network, looker=None)
    return run


_NEW_HEADS: Mapping[str, dict[str, object]] = {"plain": {"head": "new"}, "s3n": {"head": "new", "frozen": False}}


def _with_every_choice_of_a_guided_zoom(zoom: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 left out what came to be chosen while it lasted."""
    add_fields(zoom, given=None)
    for name in ("refinement", "given"):
        for refinement in inside(zoom, name):
            add_fields(refinement, mirrored=False, rule="sum")
    for pool in inside(zoom, "pool"):
        complete_pool_config(pool)
    return zoom


def _with_entropy_thresholds(zoom: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 called the gate's threshold `entropy_above`."""
    for name in ("refinement", "given"):
        for refinement in inside(zoom, name):
            rename_field(refinement, "entropy_above", "entropy_threshold")
    return zoom


RUN: Mapping[int, Migration] = {
    1: _of_one_method,
    2: _with_every_choice_of_a_run,
    3: _with_new_heads,
    4: _with_all_layers_learning,
    5: with_groups_and_labels("config", "data"),
    6: _of_cnns_on_one_machine,
    7: _looking_for_itself,
}
"""Of `run.json`."""
GUIDED_ZOOM: Mapping[int, Migration] = {
    1: _with_every_choice_of_a_guided_zoom,
    2: _with_entropy_thresholds,
    3: looking_for_itself,
}
"""Of `guided_zoom.json`."""
