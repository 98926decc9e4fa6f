"""Lists in CSV as people's programs write it: commas, semicolons or tabs; UTF-8, UTF-16 or Windows-1252."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from foveate.data.datasets.checks import first_few
from foveate.data.datasets.columns import Columns, check_group_column, is_list, wanted_columns
from foveate.errors import UserError

_DELIMITERS = ",;\t|"
_START = 65536  # bytes; a header is not longer
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
_BOMS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # after UTF-32, whose mark begins alike
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # in Windows-1252
_HALF_CHARACTER = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")


def csv_header(path: Path) -> list[str]:
    """Return the names of a CSV's columns, in lower case and without blanks around them."""
    with path.open("rb") as stream:
        start = stream.read(_START)
    text = start.decode(_encoding(start) or "utf-8", "replace")
    return _header(next(csv.reader(io.StringIO(_first_line(text)), delimiter=_delimiter(text)), []))


def read_csv(path: Path, group: str | None = None) -> Columns:
    """Read the known columns of a list; what is empty is None.

    Args:
        path: The list.
        group: Its column of groups, if it has one.

    Raises:
        UserError: A column is missing or there twice, a row has more or fewer fields than the header, or the text is in
            no encoding that we know.
    """
    text, notes = _text(path)
    delimiter = _delimiter(text)
    rows = _rows(path, text, delimiter)
    header = _header(next(rows, (0, []))[1])
    group = None if group is None else group.strip().casefold()
    check_group_column(header, group, path)
    columns = wanted_columns(header, group)
    if columns is None:
        raise UserError(
            f"a list must have the columns image and label or class_name, each once; {path} has "
            f"{first_few(header, 12) or 'none'}. Rename its columns"
        )
    numbers, values = _values(path, rows, header, columns)
    return Columns(path, values, numbers, group=group, notes=notes)


def read_csv_columns(path: Path, names: Sequence[str]) -> list[list[str]]:
    """Return columns of a CSV, by names in lower case; an empty cell is refused.

    Raises:
        UserError: One is not there, or the file is no such table.
    """
    text, _ = _text(path)
    rows = _rows(path, text, _delimiter(text))
    header = _header(next(rows, (0, []))[1])
    if absent := [name for name in names if name not in header]:
        raise UserError(
            f"the list must have the columns {' and '.join(names)}; {path} has {first_few(header, 12) or 'none'}, and "
            f"no {absent[0]}. Rename its columns"
        )
    numbers, values = _values(path, rows, header, names)
    columns = [[value or "" for value in values[name]] for name in names]
    for name, column in zip(names, columns, strict=True):
        if "" in column:
            place = numbers[column.index("")]
            raise UserError(f"{name} must be given in every row of {path}; row {place} has none. Fill it in")
    return columns


def _values(
    path: Path, rows: Iterator[tuple[int, list[str]]], header: Sequence[str], columns: Sequence[str]
) -> tuple[list[int], dict[str, list[str | None]]]:
    """Return the number of each row and the values of some columns; what is empty is None."""
    places = [header.index(name) for name in columns]
    numbers: list[int] = []
    values: dict[str, list[str | None]] = {name: [] for name in columns}
    for number, row in rows:
        if len(row) < len(header) or any(row[len(header) :]):
            raise UserError(
                f"every row must have the fields of the header, {len(header)}; row {number} of {path} has {len(row)}. "
                "Correct it; a text with a delimiter in it stands in quotes"
            )
        numbers.append(number)
        for name, place in zip(columns, places, strict=True):
            values[name].append(row[place] or None)
    return numbers, values


def _rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each row that is not blank, and the line that it begins in."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    number = 1
    try:
        for row in lines:
            if row and not (number == 1 and row[0].startswith("sep=")):
                yield number, row
            number = lines.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{path} must be readable as a table; the row that begins in line {number} is not ({error}). Correct it"
        ) from error


def _header(row: list[str]) -> list[str]:
    return [name.strip().casefold() for name in row]


def _first_line(text: str) -> str:
    lines = text.lstrip("\ufeff\r\n").splitlines() or [""]
    return lines[1] if lines[0].startswith("sep=") and len(lines) > 1 else lines[0]


def _delimiter(text: str) -> str:
    """Return the delimiter by which the first line is the header of a list, else the most frequent one."""
    line = _first_line(text)
    headers = {each: _header(next(csv.reader([line], delimiter=each), [])) for each in _DELIMITERS}
    return next((each for each, header in headers.items() if is_list(header)), max(_DELIMITERS, key=line.count))


def _encoding(content: bytes) -> str | None:
    """Return the encoding that the first bytes tell of; None: they do not."""
    for mark, name in _BOMS.items():
        if content.startswith(mark):
            return name
    start = content[:1000]
    if 3 * start.count(0) > len(start):
        return "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"
    return None


def _text(path: Path) -> tuple[str, list[str]]:
    """Return the text of a file, and what is to be said of its encoding."""
    content = path.read_bytes()
    encoding = _encoding(content) or "utf-8"
    try:
        return content.decode(encoding), []
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and _is_windows(content):
            return content.decode("cp1252"), [f"{path.name} is not UTF-8: it was read as Windows-1252 (Latin-1)"]
        head = content[: error.start].decode(encoding, "replace")
        raise UserError(
            f"lists must be UTF-8, UTF-16 or Windows-1252 text; row {head.count(chr(10)) + 1} of {path} is none "
            f"({error.reason}). Save it as UTF-8"
        ) from error


def _is_windows(content: bytes) -> bool:
    """Whether bytes that are not UTF-8 may be Windows-1252: nothing else in them looks like UTF-8."""
    text = content.decode("utf-8", "surrogateescape")
    other = any(each > "\x7f" and not "\udc80" <= each <= "\udcff" for each in text)
    return not other and not _HALF_CHARACTER.search(content) and not _UNDEFINED.search(content)
