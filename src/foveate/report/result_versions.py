"""What rows of results measure, and how rows of older versions say what rows say now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from foveate.errors import UserError
from foveate.files.documents import Migration, read_json_lines, shortened
from foveate.files.migrating import add_fields
from foveate.guided_zoom.config import PAPER_PATCH

ROW_VERSION = 3
"""What is written now: `foveate.workflows.result_rows.result_row`."""


class Measured(StrEnum):
    """What a row of results is about."""

    ACCURACY = "accuracy"
    REFINEMENT = "refinement"
    """A Guided Zoom."""
    LOCALISATION = "localisation"
    ATTENTION = "attention"
    GROUNDING = "grounding"
    TRUST = "trust"


_PATCH = re.compile(r"--pool\.patches\.patch[ =]([\d.]+)")
_FORMER = ("paper", "reference")
_RAN = ("command", "commit", "hardware")
_BOTH = {f"{what}_{name}": None for what in ("trained", "measured") for name in _RAN}
_MIXED = {"command": "measured_command", "commit": "trained_commit", "hardware": "trained_hardware"}
_WHAT_RAN = {
    Measured.ACCURACY: "trained",
    Measured.LOCALISATION: "trained",
    Measured.ATTENTION: "trained",
    Measured.GROUNDING: "measured",
    Measured.TRUST: "measured",
}


def _with_two_processes(row: dict[str, Any]) -> dict[str, Any]:
    """Version 1 had one `command`, `commit` and `hardware`, of whichever process its writer meant.

    Those of an accuracy, a localisation and an attention were the training's (the latter two said at which commit they
    were measured), those of a grounding and a trust the measurement's. A Guided Zoom's row mixed them: the command
    measured, at a commit that it does not say; commit and hardware are of the Evidence CNN's training.
    S3N's presets of rows that do not say how the rate moved are not those of today.
    """
    zoomed = row.get("method") == "guided-zoom" and "measured" not in row
    add_fields(row, measured=(Measured.REFINEMENT if zoomed else Measured.ACCURACY).value)
    if row.get("preset") in _FORMER and "schedule" not in row and "s3n" in (row["method"], row.get("conventional")):
        row["preset"] = f"former {row['preset']}"
    names = _MIXED if zoomed else {name: f"{_WHAT_RAN[Measured(row['measured'])]}_{name}" for name in _RAN}
    renamed = {"zoom_above": "zoom_entropy_threshold"} | names
    return {**_BOTH, **{renamed.get(name, name): value for name, value in row.items()}}


def _with_a_patch(row: dict[str, Any]) -> dict[str, Any]:
    """Version 2 did not say how large a Guided Zoom's patches were: of the paper's side where no command says more."""
    if row["method"] == "guided-zoom":
        commands = " ".join(str(row.get(f"{what}_command")) for what in ("trained", "measured"))
        asked = _PATCH.search(commands)
        add_fields(row, patch=round(float(asked[1]) if asked else PAPER_PATCH, 3))
    return row


_MIGRATIONS: Mapping[int, Migration] = {1: _with_two_processes, 2: _with_a_patch}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; rows of older versions, or of none, as rows of this one.

    Raises:
        UserError: A row is of a version that is not known, or the file does not hold rows.
    """
    return [_present(row, path) for row in read_json_lines(path)]


def _present(row: dict[str, Any], path: Path) -> dict[str, Any]:
    version = row.pop("row_version", 1)
    if type(version) is not int or not (version == ROW_VERSION or version in _MIGRATIONS):
        raise UserError(
            f"this version of Foveate reads rows of version {ROW_VERSION} and before; {path} has one of {version!r}; "
            "use the version that wrote it"
        )
    named = row.get("measured", Measured.ACCURACY if version == 1 else None)
    if named not in list(Measured) or not isinstance(row.get("method"), str):
        raise UserError(
            f"a row of results says what it measured ({', '.join(Measured)}) and of which method; {path} has one of "
            f"{shortened(named)} of {shortened(row.get('method'))}; restore it from a copy"
        )
    while version < ROW_VERSION:
        row, version = _MIGRATIONS[version](row), version + 1
    return {"row_version": version, **row}
