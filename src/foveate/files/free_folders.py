"""Whether a folder is there to be written into."""

from pathlib import Path


def is_free(path: Path) -> bool:
    """Say whether a path is new, or an empty folder; hidden files, such as locks, do not count."""
    return not path.exists() or (path.is_dir() and all(entry.name.startswith(".") for entry in path.iterdir()))
