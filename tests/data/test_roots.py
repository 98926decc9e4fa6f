"""What is said of a data set's path before anything else is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foveate.data.roots import existing_root, shown_path
from foveate.errors import UserError


def test_a_folder_and_a_list(tmp_path: Path) -> None:
    (tmp_path / "list.csv").touch()
    assert existing_root(tmp_path) == tmp_path
    assert existing_root(tmp_path / "list.csv") == tmp_path / "list.csv"


def test_paths_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "empty").mkdir()
    for name, message in {
        "nowhere": "must exist; got .*nowhere",
        "loop": "must (exist|be readable)",
        "empty": "must not be empty",
        "x" * 3000: "must be readable; .* is not .*File name too long",
        "caf\udce9": r"must be UTF-8; got .*caf\\xe9\. Rename",
    }.items():
        with pytest.raises(UserError, match=message):
            existing_root(tmp_path / name)
    with pytest.raises(UserError, match="the home folder of somebody"):
        existing_root(Path("~nobody-is-called-so/birds"))


def test_names_of_any_kind_can_be_shown() -> None:
    assert shown_path("Häher") == "Häher"
    assert shown_path("caf\udce9") == "caf\\xe9"
    assert shown_path("half \ud800") == "half \\ud800"


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, foveate.data.roots; sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
