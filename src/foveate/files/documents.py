"""Files that hold words: typed objects to JSON and back, JSON lines, text; each written whole or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from enum import Enum, StrEnum
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast, get_origin

from cattrs import AttributeValidationNote, ClassValidationError, transform_error
from cattrs.gen import make_dict_structure_fn
from cattrs.preconf.json import JsonConverter, make_converter
from cattrs.v import format_exception
from filelock import FileLock, Timeout

from foveate.config.networks import NetworkConfig
from foveate.errors import UserError
from foveate.files.atomic import atomic_path, check_no_pipe, mend_of
from foveate.files.remote_path import located

_Kind = TypeVar("_Kind")
Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""From the content of a document of one version to that of the next."""
VERSION = "schema_version"
_PATIENCE = 60.0
"""Seconds that a process waits for others that add to the same file."""
_LONGEST_PROBLEM = 300
"""Characters of what a message says of one field."""
_LONGEST_NUMBER = 400
"""Digits; beyond any number that we write."""


@cache
def _strict(of_methods: tuple[tuple[str, type[NetworkConfig]], ...]) -> JsonConverter:
    """Return what turns typed objects to JSON and back; nothing is coerced and nothing left out is made up."""
    methods = dict(of_methods)
    converter = make_converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(Path, lambda path: str(located(path)))
    converter.register_unstructure_hook(Enum, lambda member: member.value)
    for exact in (bool, int, str):
        converter.register_structure_hook(exact, partial(_exactly, exact))
    converter.register_structure_hook(StrEnum, lambda value, kind: kind(value))  # which are text, but not any
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(Path, _path)
    converter.register_structure_hook_func(lambda kind: kind == dict[str, str], _texts)
    unchecked = converter.get_structure_hook(tuple[int, ...])
    converter.register_structure_hook_factory(
        _is_tuple, lambda _: lambda value, kind: unchecked(_exactly(list, value), kind)
    )
    converter.register_structure_hook_factory(is_dataclass, partial(_every_field, converter))
    converter.register_structure_hook_func(
        lambda kind: kind is NetworkConfig, partial(_of_its_method, converter, methods)
    )
    converter.register_unstructure_hook_func(
        lambda kind: kind is NetworkConfig,
        lambda config: {**converter.unstructure(config, type(config)), "method": config.method},
    )
    return converter


def _of_its_method(
    converter: JsonConverter, methods: Mapping[str, type[NetworkConfig]], value: Any, _: Any
) -> NetworkConfig:
    content = dict(_exactly(dict, value))
    method = content.pop("method", None)
    if method not in methods:
        raise ValueError(f"expected one of the methods {', '.join(methods)}, got {shortened(method)}")
    return converter.structure(content, methods[method])


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _every_field(converter: JsonConverter, kind: type[_Kind]) -> Callable[[Any, Any], _Kind]:
    """Of a field that is missing nobody knows what it was: a default is for who writes, not for who reads."""
    names = [each.name for each in fields(cast(Any, kind))]
    structure = make_dict_structure_fn(kind, converter)

    def hook(value: Any, _: Any) -> _Kind:
        missing = [_missing(name) for name in names if name not in _exactly(dict, value)]
        if missing:
            raise ClassValidationError("fields are missing", missing, kind)
        return structure(value, kind)

    return hook


def _missing(name: str) -> KeyError:
    error = KeyError(name)
    error.add_note(AttributeValidationNote(name, name, None))
    return error


def _exactly(kind: type[_Kind], value: Any, _: Any = None) -> _Kind:
    if type(value) is not kind:
        raise ValueError(f"expected {_NAMES[kind]}, got {_NAMES.get(type(value), 'null')}")
    return value


def _number(value: Any, _: Any = None) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"expected a number, got {_NAMES.get(type(value), 'null')}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("expected a finite number")
    return number


def _path(value: Any, _: Any) -> Path:
    if not _exactly(str, value) or "\0" in value:
        raise ValueError(f"expected a path, got {'one with a NUL in it' if value else 'no letter'}")
    return located(value)


def _texts(value: Any, _: Any) -> dict[str, str]:
    return {name: _exactly(str, each) for name, each in _exactly(dict, value).items()}


_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}
_converter = _strict(())


def unstructured(content: Any) -> dict[str, Any]:
    """Turn a typed object into what JSON can hold."""
    plain: dict[str, Any] = _converter.unstructure(content)
    return plain


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return what lies at the ends of a tree, each under its names from the root, such as `patches.rounds`."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= flattened(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def structured(
    content: Mapping[str, Any],
    kind: type[_Kind],
    file: Path,
    what: str,
    methods: Mapping[str, type[NetworkConfig]] | None = None,
) -> _Kind:
    """Turn what `unstructured` returned into the typed object again.

    Args:
        content: As it was read.
        kind: The object's class.
        file: Where it was read from, for the error.
        what: What the file should describe, for the error.
        methods: The class of a network's configuration, by the name of its method; None: there is none in the document.

    Raises:
        UserError: A field is missing, unknown, of another type or breaks a rule; all of them are named.
    """
    try:
        return (_converter if methods is None else _strict(tuple(methods.items()))).structure(content, kind)
    except ClassValidationError as error:
        problems = "; ".join(transform_error(error, format_exception=_problem))
        raise UserError(f"{file} does not describe {what}: {problems}; restore it from a copy") from error


def _problem(error: BaseException, kind: type | None) -> str:
    if isinstance(error, KeyError):
        return "required field missing"
    words = str(error) if isinstance(error, ValueError) else format_exception(error, kind)
    return words if len(words) <= _LONGEST_PROBLEM else f"{words[: _LONGEST_PROBLEM - 3]}..."


def check_fields(content: Mapping[str, Any], kinds: Mapping[str, Any], file: Path) -> None:
    """Refuse a document, of which only some fields are used, where one of these is missing or of another type.

    Raises:
        UserError: One is; all of them are named.
    """
    problems = []
    for name, kind in kinds.items():
        try:
            _converter.structure(content[name], kind)
        except (KeyError, ValueError) as error:
            problems.append(f"{_problem(error, None)} @ $.{name}")
    if problems:
        raise UserError(f"{file} is damaged: {'; '.join(problems)}; restore it from a copy")


def shortened(value: object) -> str:
    """Return what a message shows of a value that was read: never a page of it."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_UNVERSIONED: Mapping[int, Migration] = {0: lambda content: content}
"""Documents of what was measured had no version before, and are the same otherwise."""


def read_json(path: Path, version: int = 1, migrations: Mapping[int, Migration] = _UNVERSIONED) -> dict[str, Any]:
    """Read a JSON object that `write_json` wrote, brought to the present version, which is not among its fields.

    Args:
        path: The file.
        version: The present one of its kind.
        migrations: From an older version, 0 where a document has none, to the next.

    Raises:
        UserError: The file is missing or damaged, or its version is another.
    """
    content = _object(path)
    written = content.pop(VERSION, None)
    number = 0 if written is None else written
    if type(number) is not int or not (number == version or number in migrations):
        raise UserError(
            f"this version of Foveate reads {path.name} of schema {version}; {path} has {shortened(written)}; use the "
            "version that wrote it, or restore it from a copy"
        )
    while number < version:
        content, number = migrations[number](content), number + 1
    return content


def _object(path: Path) -> dict[str, Any]:
    check_no_pipe(path)
    try:
        content = parsed_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} must be a file that can be read ({os.strerror(error.errno or 0)}); restore it from a copy"
        ) from error
    except ValueError as error:
        raise UserError(f"{path} must be JSON ({error}); restore it from a copy") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a JSON object; got {type(content).__name__}; restore it from a copy")
    return content


def parsed_json(text: str) -> Any:
    """Parse JSON of which everything can be used: names once, numbers of a sensible length, text that can be written.

    Raises:
        ValueError: It is none.
    """
    try:
        content = json.loads(text, object_pairs_hook=_without_repetition, parse_int=_whole_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if "\\u" in text:
        json.dumps(content, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    return content


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"a field occurs twice, {shortened(next(each for each in names if names.count(each) > 1))}")
    return content


def _whole_number(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def write_json(path: Path, content: Mapping[str, Any], version: int = 1) -> None:
    """Write a JSON object that says which version of its kind it is, whole or not at all."""
    write_text(path, json.dumps({VERSION: version, **content}, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"{path} is text in UTF-8; it cannot name {shortened(text[max(error.start - 20, 0) : error.end + 20])}; "
            "rename what has a name that is not UTF-8"
        ) from error


def append_json_line(path: Path, row: Mapping[str, Any], *, apart: Collection[str] = ()) -> None:
    """Add one row to a file of JSON lines, unless it is there already; the rows before it stay whatever happens.

    Rows that differ in the fields `apart` alone are the same measurement, and the first one stays. Processes that add
    to one file wait for each other, by the hidden file `.NAME.lock` beside it, which stays.

    Raises:
        UserError: The file holds something else, cannot be written, or another process holds it for a minute; it stays
            as it is.
    """

    def measured(content: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in content.items() if name not in apart}

    with _alone(path):
        text, rows = _rows(path)
        if not any(measured(each) == measured(row) for each in rows):
            write_text(path, f"{text}{json.dumps(row, ensure_ascii=False)}\n")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON lines, as they stand there; none where there is no file.

    Raises:
        UserError: The file holds something else, or cannot be read.
    """
    _, rows = _rows(path)
    return rows


def _rows(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return a file of JSON lines as text that another line can follow, and its rows."""
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        rows = [_exactly(dict, parsed_json(line)) for line in text.split("\n") if line.strip()]
    except OSError as error:
        raise UserError(
            f"{path} must be a file that can be read ({os.strerror(error.errno or 0)}); name another file"
        ) from error
    except ValueError as error:
        raise UserError(f"{path} must hold one JSON object a line ({error}); name another file") from error
    return text if text.endswith("\n") or not text else f"{text}\n", rows


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
        mend = mend_of(error, new=True)
        if mend is None:
            raise
        raise UserError(f"cannot write {path}: {os.strerror(error.errno or 0)}; {mend}") from error
    try:
        yield
    finally:
        lock.release()
