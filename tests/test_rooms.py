"""The map of the code: its picture and its paragraphs are those of the rooms that there are."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def rooms() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rooms", ROOT / "docs" / "rooms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_that_of_the_code(rooms: ModuleType) -> None:
    assert rooms.PICTURE.read_text(encoding="utf-8") == rooms.picture(), "run `make tables`"


def test_every_room_has_a_paragraph_in_their_order(rooms: ModuleType) -> None:
    text = (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8")
    names = [f"{room}/" if (rooms.SOURCE / room).is_dir() else f"{room}.py" for row in rooms.layers() for room in row]
    assert [name for name in names if f"**{name}**" not in text] == []
    places = [text.index(f"**{name}**") for name in names if name.endswith("/") and name != "config/"]
    assert places == sorted(places)


def test_what_documents_name_is_there(rooms: ModuleType) -> None:
    """But for the log, whose entries keep the names of their day."""
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    named = {
        (document.name, path)
        for document in documents
        if document.name != "log.md"
        for path in re.findall(r"(?<![\w/.-])[a-z_0-9]+(?:/[a-z_0-9]+)*/[a-z_0-9]+\.py\b", document.read_text("utf-8"))
    }
    gone = [each for each in sorted(named) if not any((top / each[1]).exists() for top in (ROOT, rooms.SOURCE))]
    assert gone == []


def test_what_docstrings_and_documents_call_by_its_path_is_there(rooms: ModuleType) -> None:
    files = [*rooms.SOURCE.rglob("*.py"), *(path for path in (ROOT / "docs").glob("*.md") if path.name != "log.md")]
    paths = {path for file in files for path in re.findall(r"`(foveate(?:\.\w+){2,})`", file.read_text("utf-8"))}
    gone = []
    for path in sorted(paths):
        try:
            pkgutil.resolve_name(path)
        except (ImportError, AttributeError):
            gone.append(path)
    assert gone == []


def test_every_folder_and_module_is_a_room(rooms: ModuleType) -> None:
    there = {path.stem for path in rooms.SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__", "__main__", "_version"} == {room for row in rooms.layers() for room in row}
