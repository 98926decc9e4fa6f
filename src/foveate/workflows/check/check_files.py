"""What a check leaves in its folder: a table of all findings, lists that a training takes, and a sheet of suspects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from foveate.data.images import ImageError, read_image
from foveate.data.records import ImageRecord
from foveate.data.roots import is_not_text, shown_path
from foveate.evaluation.data_report import DataReport, Finding, FindingKind
from foveate.files.atomic import atomic_path
from foveate.files.csv_cells import PlainCSV
from foveate.files.documents import write_text
from foveate.report.data_check import data_check_markdown
from foveate.report.suspected_labels import Suspect, suspect_sheet

FINDINGS, EXCLUDE, SUSPECTS, RELABEL, SHEET, SUMMARY = (
    *("findings.csv", "exclude.txt", "suspects.txt", "relabel.csv", "suspects.png", "check.md"),
)
_COLUMNS = (
    *("kind", "photograph", "split", "class_name", "suggested_class", "score", "other_photograph", "other_split"),
    *("other_class", "note"),
)
_SHOWN = 16  # suspects on the sheet
_SIDE = 600  # pixels that a photograph on the sheet has at most


def write_check(report: DataReport, records: Mapping[str, ImageRecord]) -> tuple[Path, ...]:
    """Write everything into the report's folder; return the files.

    Args:
        report: What was found.
        records: The photographs by their ids.
    """
    folder, suspects, plain = report.path, report.of(FindingKind.LABEL), printable(report)
    _write_csv(folder / FINDINGS, _COLUMNS, [_row(each) for each in plain.findings])
    relabelled = [
        (each.photograph, each.suggested or "", each.class_name, f"{each.score:.3f}")
        for each in suspects
        if is_listed(each.photograph)
    ]
    _write_csv(folder / RELABEL, ("image", "class_name", "label_now", "score"), relabelled)
    _write_list(folder / EXCLUDE, report.excluded)
    _write_list(folder / SUSPECTS, [each.photograph for each in suspects])
    write_text(folder / SUMMARY, f"# {' '.join(report.name.split())}\n\n{data_check_markdown(plain)}")
    files = [folder / each for each in (FINDINGS, EXCLUDE, SUSPECTS, RELABEL, SUMMARY)]
    if shown := _shown(report, suspects[:_SHOWN], records):
        suspect_sheet(shown, folder / SHEET, report.name)
        files.append(folder / SHEET)
    plain.write(folder)
    return tuple(files)


def is_listed(photograph: str) -> bool:
    """Whether a list can name a photograph: its id is UTF-8 and of one line."""
    return not is_not_text(photograph) and "\n" not in photograph and "\r" not in photograph


def printable(report: DataReport) -> DataReport:
    """Return a report whose texts can be printed and written: odd bytes of file names as shown_path has them."""
    return replace(
        report,
        findings=tuple(
            replace(
                each,
                photograph=shown_path(each.photograph),
                other=None if each.other is None else shown_path(each.other),
                words=shown_path(each.words),
            )
            for each in report.findings
        ),
        typical=tuple(replace(each, photograph=shown_path(each.photograph)) for each in report.typical),
    )


def _row(finding: Finding) -> tuple[str, ...]:
    score = "" if finding.score is None else f"{finding.score:.3f}"
    texts = (finding.kind.value, finding.photograph, finding.split, finding.class_name, finding.suggested, score)
    return (*(each or "" for each in texts), *(each or "" for each in _others(finding)))


def _others(finding: Finding) -> tuple[str | None, ...]:
    return finding.other, finding.other_split, finding.other_class, finding.words


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        PlainCSV(stream, header, quoted=True).write(dict(zip(header, row, strict=True)) for row in rows)


def _write_list(path: Path, names: Sequence[str]) -> None:
    write_text(path, "".join(f"{name}\n" for name in names if is_listed(name)))


def _shown(report: DataReport, suspects: Sequence[Finding], records: Mapping[str, ImageRecord]) -> list[Suspect]:
    typical = {each.class_name: each.photograph for each in report.typical}
    shown = []
    for each in suspects:
        image, suggested = _image(records, each.photograph), each.suggested
        if image is None or suggested is None or each.score is None:
            continue
        own, other = (_image(records, typical.get(name)) for name in (each.class_name, suggested))
        shown.append(Suspect(image, shown_path(each.photograph), each.class_name, suggested, each.score, own, other))
    return shown


def _image(records: Mapping[str, ImageRecord], name: str | None) -> Image.Image | None:
    """Return a photograph, small enough for a sheet; None: there is none, or it cannot be read any more."""
    if name is None or name not in records:
        return None
    try:
        image = read_image(records[name].image, name, largest_megapixels=None)
    except ImageError:
        return None
    image.thumbnail((_SIDE, _SIDE))
    return image
