"""Names of classes and photographs as names of files."""

from pathlib import Path

import pytest

from foveate.files.file_names import LONGEST, original_name, safe_name, unique_names

ORDINARY = ["Groove_billed_Ani", "Häher", "three words", "a-b", "v1.2", "鳥", "x" * LONGEST, "conifer", "100° (left)"]
HOSTILE = [
    *("", ".", "..", "...", "/", "../../etc", "a/b", "/etc/passwd", "a\\b", "C:", "\0", "a\0b", "\n", "\x7f", "-rf"),
    *(
        ".hidden",
        "dot.",
        "space ",
        " space",
        "con",
        "NUL",
        "com1.txt",
        "LPT³",
        "aux .x",
        "50%",
        "%2F",
        "%",
        "%-",
        "\udcff",
    ),
    *("\ud800", "x" * 300, "é" * 150, "/" * 99, "." * 400),
]


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_name_stays(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize("name", HOSTILE)
def test_any_text_becomes_one_file_inside_the_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    path = folder / f"{safe_name(name)}-round-0.png"
    path.parent.mkdir(parents=True)
    path.touch()
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
    assert list(folder.iterdir()) == [path]
    assert len(safe_name(name).encode()) <= LONGEST
    assert safe_name(name).strip(" .-")
    assert safe_name(name).partition(".")[0].upper() not in ("CON", "NUL", "COM1")


def test_two_texts_give_two_names_and_what_is_not_cut_is_read_back() -> None:
    names = [safe_name(each) for each in ORDINARY + HOSTILE]
    assert len({*names}) == len(names)
    for text, name in zip(ORDINARY + HOSTILE, names, strict=True):
        assert original_name(name) in (text, None)
        assert original_name(name) == text or len(text) > 66


def test_names_that_a_file_system_takes_for_one_differ() -> None:
    names = unique_names({"a.jpg": "a", "A.jpg": "A", "é.jpg": "é", "é.png": "e\u0301", "b.jpg": "b", "c": "b/"})
    assert names["b.jpg"] == "b"
    assert names["c"] == "b%2F"
    folded = [names[key].casefold() for key in ("a.jpg", "A.jpg", "é.jpg", "é.png")]
    assert len({*folded}) == 4
    assert all("%-" in each for each in folded)
