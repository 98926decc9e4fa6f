"""Settings that an error names as fields, spelt as the options of the command that was given."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import fields, is_dataclass
from typing import Annotated, get_args, get_origin, get_type_hints

import tyro

_NO_OPTIONS = {
    marker
    for marked in (tyro.conf.Positional[int], tyro.conf.Fixed[int], tyro.conf.Suppress[int])
    for marker in get_args(marked)[1:]
}


def with_options(message: str, command: object) -> str:
    """Return a message in which `on_error` is ``--data.on-error``, or what else that option is called in the command.

    Only names with an underscore are taken for a field's, since others are words too. Of several options that end in
    a name the shortest is meant.

    Args:
        message: An error's.
        command: A dataclass, whose fields are its options, and of whose fields that are dataclasses the same holds.
    """
    options = sorted(_options(command), key=lambda each: each.count("."))

    def spelt(found: re.Match[str]) -> str:
        name = found.group()
        path = next((each for each in options if f".{each}".endswith(f".{name}")), None)
        return name if path is None else f"--{path.replace('_', '-')}"

    return re.sub(r"(?<![\w.`'\"/-])(?:[a-z][a-z_0-9]*\.)*[a-z0-9]+_[a-z_0-9]+(?![\w.]*[/(=]|\.\w)", spelt, message)


def _options(command: object, prefix: str = "") -> Iterator[str]:
    """Yield the paths of a command's options, such as ``data.on_error``."""
    if not is_dataclass(command) or isinstance(command, type):
        return
    hints = get_type_hints(type(command), include_extras=True)
    for field in fields(command):
        markers = get_args(hints[field.name])[1:] if get_origin(hints[field.name]) is Annotated else ()
        if _NO_OPTIONS & {each for each in markers if isinstance(each, Hashable)}:
            continue
        name = next((each.name for each in markers if getattr(each, "name", None) is not None), field.name)
        if name:
            yield f"{prefix}{name}"
        yield from _options(getattr(command, field.name), f"{prefix}{name}." if name else prefix)
