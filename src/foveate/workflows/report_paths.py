"""Where the reports of a run lie: one for each way of measuring, and none in the place of another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from foveate.data.roots import shown_path
from foveate.errors import UserError
from foveate.files.documents import read_json
from foveate.files.file_names import safe_name
from foveate.inference.classifier import Classifier
from foveate.runs.context import RunContext
from foveate.runs.run import Run

_WORDS = 60  # characters of a name that say what differs; beyond, a hash does
_RENAMED = {"entropy_above": "entropy_threshold"}  # settings of older reports


def measured_with(context: RunContext, run: Run, classifier: Classifier | None = None) -> dict[str, Any]:
    """Return what a measurement depends on beside the run and the name of its report, as JSON holds it."""
    root = context.data_of(run).root.expanduser().resolve()
    settings = {"root": shown_path(root), "on_error": context.on_error_of(run).value}
    if classifier is None:
        return settings
    return settings | {
        "accelerator": classifier.device.type,
        "precision": str(classifier.dtype).removeprefix("torch."),
        "runtime": context.hardware.runtime.value,
    }


def report_path(
    folder: Path, name: str, settings: Mapping[str, Any], what: str, say: Callable[[str], None] = print
) -> Path:
    """Return where the Markdown of a report is to be written; say what it replaces, or what stays beside it.

    Args:
        folder: The run's folder of reports.
        name: Of the report, without an ending.
        settings: What it was measured with; its JSON must hold them as ``settings``.
        what: Of which kind it is, for what is said.
        say: Receives it.
    """
    plain = folder / f"{name}.md"
    differing = _differing(plain, settings)
    if differing:
        path = _beside(plain, {key: settings[key] for key in differing}, settings)
        say(f"{plain.name} was measured with another {', '.join(differing)} and stays; this is {path.name}")
    else:
        path = plain
    file = path.with_suffix(".json")
    if file.exists():
        say(f"replaces the {what} of {datetime.fromtimestamp(file.stat().st_mtime):%Y-%m-%d %H:%M}: {path}")
    return path


def kept_report(folder: Path, name: str, root: Path | None, say: Callable[[str], None] = print) -> Path:
    """Return the report of a name; where a root is given, the newest that was measured there, if there is one.

    Args:
        folder: The run's folder of reports.
        name: Of the report, without an ending; its JSON holds it as ``report``.
        root: Where the data set lies; None: it does not matter.
        say: Receives which is taken where several were measured there.
    """
    plain = folder / f"{name}.md"
    if root is None:
        return plain
    wanted = shown_path(root.expanduser().resolve())
    reports = [plain, *(file.with_suffix(".md") for file in sorted(folder.glob(f"{name}-*.json")))]
    measured = [each for each in reports if each.with_suffix(".parquet").exists() and _is_of(each, name, wanted)]
    newest = max(measured, key=lambda each: each.with_suffix(".json").stat().st_mtime_ns, default=plain)
    if len(measured) > 1:
        say(f"{len(measured)} reports were measured with this root; the newest is taken: {newest.stem}")
    return newest


def _is_of(report: Path, name: str, root: str) -> bool:
    """Whether a report is that of a name and a root; one of an older version says its name in the file's alone."""
    content = _content(report) or {}
    older = name if not report.stem.startswith(f"{name}-above-") else None
    return content.get("report", older) == name and (_settings(report) or {}).get("root") == root


def _beside(plain: Path, differing: Mapping[str, Any], settings: Mapping[str, Any]) -> Path:
    """Name a report after what differs from the plain one; with a hash where that alone is not enough."""
    words = safe_name("-".join(f"{key}-{_word(key, value)}".replace("_", "-") for key, value in differing.items()))
    path = plain.with_name(f"{plain.stem}-{words}.md")
    if len(words) <= _WORDS and not _differing(path, settings):
        return path
    whole = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()[:8]
    return plain.with_name(f"{plain.stem}-{safe_name('-'.join(differing).replace('_', '-'))[:_WORDS]}-{whole}.md")


def _word(key: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(str, value))
    return Path(value).name if key == "root" else "other" if isinstance(value, dict) else str(value)


def _differing(report: Path, settings: Mapping[str, Any]) -> list[str]:
    """Name the settings in which a report that is there differs; one of an older version says not all of them."""
    before = _settings(report)
    return [] if before is None else [key for key, value in settings.items() if before.get(key, value) != value]


def _settings(report: Path) -> Mapping[str, Any] | None:
    """Return what a report was measured with, nothing where it does not say; None: there is none."""
    content = _content(report)
    if content is None:
        return None
    settings = content.get("settings", {})
    if not isinstance(settings, dict):
        return {}
    return {_RENAMED.get(str(key), str(key)): value for key, value in settings.items()}


def _content(report: Path) -> Mapping[str, Any] | None:
    """Return a report's numbers; nothing where they are damaged, for there is nothing to keep. None: there is none."""
    file = report.with_suffix(".json")
    try:
        return read_json(file) if file.exists() else None
    except UserError:
        return {}
