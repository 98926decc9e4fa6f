"""The list of a shared model's files with their hashes: `foveate.json`, by which a damaged one is known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from foveate._version import __version__
from foveate.errors import UserError
from foveate.files.documents import read_json, structured, unstructured, write_json
from foveate.files.hashes import hash_of_file
from foveate.runs.guided_zoom_run import MANIFEST

SCHEMA_VERSION = 1
FILE = MANIFEST
CARD = "README.md"
"""The model card; its owner may edit it on the hub, so that it has no hash."""
_RUN = (
    r"(?:run|environment|metrics|calibration)\.json|model\.safetensors|photographs\.parquet|"
    r"held_out/(?:origin\.json|[a-z0-9-]+\.parquet)"
)
_NAMES = re.compile(rf"guided_zoom\.json|(?:(?:network|looker|evidence)/)?(?:{_RUN})")
_HASH = re.compile(r"[0-9a-f]{64}")


def is_of_a_model(name: str) -> bool:
    """Say whether a file on the hub is one that `foveate push` writes; others are its owner's."""
    return name in (FILE, CARD) or _NAMES.fullmatch(name) is not None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `foveate.json` holds.

    Raises:
        UserError: It lists a file that no shared model has, such as a pickle, or a hash that is none.
    """

    foveate: str
    """Version of what wrote it."""
    files: dict[str, str]
    """SHA-256 of each file, by its path in the model's folder."""

    def __post_init__(self) -> None:
        for name, value in self.files.items():
            if not _NAMES.fullmatch(name):
                raise UserError(
                    "a shared model is of safetensors, JSON and Parquet files of known names, and never of pickles, "
                    f"which may run anything; got {ascii(name)[:200]}; use it only after asking whoever shared it"
                )
            if not _HASH.fullmatch(value):
                raise UserError(f"the hash of a file is 64 hexadecimal digits; {name} has {ascii(value)[:80]}")

    @classmethod
    def of(cls, folder: Path) -> Manifest:
        """Return that of a folder as it is."""
        files = sorted(each for each in folder.rglob("*") if each.is_file())
        names = {each.relative_to(folder).as_posix(): each for each in files}
        return cls(
            foveate=__version__,
            files={name: hash_of_file(file) for name, file in names.items() if name not in (FILE, CARD)},
        )

    def write(self, folder: Path) -> None:
        """Write it."""
        write_json(folder / FILE, unstructured(self), SCHEMA_VERSION)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read that of a folder.

        Raises:
            UserError: It is damaged, of another version, or lists what no shared model has.
        """
        file = folder / FILE
        return structured(read_json(file, SCHEMA_VERSION), cls, file, "a shared model")

    def damaged(self, folder: Path) -> tuple[str, ...]:
        """Name the files of a folder that are not those that are listed; of a missing one, that it is."""
        return tuple(
            name
            for name, value in self.files.items()
            if not (folder / name).is_file() or hash_of_file(folder / name) != value
        )
