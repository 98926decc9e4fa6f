"""Files that hold words: typed objects to JSON and back, JSON lines, text; each written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from cattrs import ClassValidationError, transform_error
from cattrs.preconf.json import make_converter
from cattrs.strategies import configure_tagged_union
from cattrs.v import format_exception
from filelock import FileLock, Timeout

from foveate.atomic import atomic_path, mend_of
from foveate.config import NetworkConfig
from foveate.errors import UserError

_converter = make_converter(forbid_extra_keys=True)
_converter.register_unstructure_hook(Path, str)
_converter.register_structure_hook(Path, lambda value, _: Path(value))
_converter.register_unstructure_hook(Enum, lambda member: member.value)
configure_tagged_union(NetworkConfig, _converter, tag_generator=attrgetter("method"), tag_name="method")


_Kind = TypeVar("_Kind")
_PATIENCE = 60.0
"""Seconds that a process waits for others that add to the same file."""


def unstructured(content: Any) -> dict[str, Any]:
    """Turn a typed object into what JSON can hold."""
    plain: dict[str, Any] = _converter.unstructure(content)
    return plain


def structured(content: Mapping[str, Any], kind: type[_Kind], file: Path, what: str) -> _Kind:
    """Turn what `unstructured` returned into the typed object again.

    Args:
        content: As it was read.
        kind: The object's class.
        file: Where it was read from, for the error.
        what: What the file should describe, for the error.

    Raises:
        UserError: A field is missing, unknown, of another type or breaks a rule; all of them are named.
    """
    try:
        return _converter.structure(content, kind)
    except ClassValidationError as error:
        problems = "; ".join(transform_error(error, format_exception=_problem))
        raise UserError(f"{file} does not describe {what}: {problems}; restore it from a copy") from error


def _problem(error: BaseException, kind: type | None) -> str:
    return str(error) if isinstance(error, UserError) else format_exception(error, kind)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UserError: The file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} must be JSON ({error}); restore it from a copy") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a JSON object; got {type(content).__name__}; restore it from a copy")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def append_json_line(path: Path, row: Mapping[str, Any], *, timed: str | None = None) -> None:
    """Add one row to a file of JSON lines, unless it is there already; the rows before it stay whatever happens.

    Rows that differ in the field `timed` alone are the same measurement, and the first one stays. Processes that add
    to one file wait for each other, by the hidden file `.NAME.lock` beside it, which stays.

    Raises:
        UserError: The file holds something else, cannot be written, or another process holds it for a minute; it stays
            as it is.
    """

    def measured(content: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in content.items() if name != timed}

    with _alone(path):
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        try:
            rows = [json.loads(line) for line in before.splitlines() if line.strip()]
        except ValueError as error:
            raise UserError(f"{path} must hold one JSON object a line ({error}); name another file") from error
        if not any(measured(each) == measured(row) for each in rows):
            write_text(path, f"{before}{json.dumps(row, ensure_ascii=False)}\n")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold off other processes that want to change a file."""
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=_PATIENCE)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"a file is changed by one process at a time; another holds {lock.lock_file}; wait for it, or remove that "
            "file if there is none"
        ) from error
    except OSError as error:
        mend = mend_of(error)
        if mend is None:
            raise
        raise UserError(f"cannot write {path}: {os.strerror(error.errno or 0)}; {mend}") from error
    try:
        yield
    finally:
        lock.release()
