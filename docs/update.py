"""Make the tables of docs/results.md, docs/reproduction.md and their appendices anew from results/: `make tables`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image, ImageDraw, ImageFont
from torch.utils.flop_counter import FlopCounterMode

from foveate.files.documents import read_json_lines
from foveate.plumage import Drawing, PlumageConfig, distinguishing_parts, render, species_at
from foveate.report import accuracy_against_compute as compute
from foveate.report import learning_curve
from foveate.report.result_versions import read_rows
from foveate.report.results import with_block, with_results
from foveate.reproduction import report as reproduction

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "results"
CONFIG = PlumageConfig(species=20, size=512)
SPAN, CLOSE, EDGE = 340, 124, 10  # pixels of a bird's picture, of its close-up, and between pictures
PAIRS = ((0, 1), (8, 10), (12, 13), (16, 18))


def picture() -> Image.Image:
    """Show pairs of near-twins in the same scene, one above the other, with the part that tells them apart."""
    sheet = Image.new("RGB", (len(PAIRS) * (SPAN + EDGE) + EDGE, 2 * (SPAN + 34) + EDGE), "white")
    for column, (one, other) in enumerate(PAIRS):
        part = min(distinguishing_parts(CONFIG, one, other))
        for row, species in enumerate((one, other)):
            place = (EDGE + column * (SPAN + EDGE), EDGE + row * (SPAN + 34))
            _bird(sheet, place, one, species, part)
    return sheet


_CORNERS = tuple((x, y) for y in (0, SPAN - CLOSE) for x in (0, SPAN - CLOSE))


def _hidden(corner: tuple[int, int], drawing: Drawing) -> tuple[int, float]:
    """Return how many parts, and how many pixels of the bird's box, a close-up in that corner would hide."""
    scale, box = SPAN / CONFIG.size, drawing.box
    width = min(corner[0] + CLOSE, box.right * scale) - max(corner[0], box.left * scale)
    height = min(corner[1] + CLOSE, box.bottom * scale) - max(corner[1], box.top * scale)
    near = [abs(p.x * scale - corner[0] - CLOSE / 2) + abs(p.y * scale - corner[1] - CLOSE / 2) for p in drawing.parts]
    return sum(distance < CLOSE for distance in near), max(width, 0.0) * max(height, 0.0)


def _bird(sheet: Image.Image, place: tuple[int, int], scene: int, species: int, part: str) -> None:
    index = next(i for i in range(200) if _shows(scene, i, part))
    drawing = render(CONFIG, scene, index, dressed_as=species)
    x, y = next((point.x, point.y) for point in drawing.parts if point.name == part)
    left, top = (min(max(at - 32, 0), CONFIG.size - 64) for at in (x, y))
    close = drawing.image.crop((round(left), round(top), round(left) + 64, round(top) + 64))
    bird = drawing.image.resize((SPAN, SPAN), Image.Resampling.LANCZOS)
    corner = min(_CORNERS, key=lambda at: _hidden(at, drawing))
    bird.paste(close.resize((CLOSE, CLOSE), Image.Resampling.LANCZOS), corner)
    frame = (*corner, corner[0] + CLOSE, corner[1] + CLOSE)
    ImageDraw.Draw(bird).rectangle(frame, outline="white", width=3)
    sheet.paste(bird, place)
    caption = f"{species_at(species).name} · {part}"
    font = ImageFont.load_default(16)
    ImageDraw.Draw(sheet).text((place[0] + 2, place[1] + SPAN + 5), caption, fill="#333333", font=font)


def _shows(scene: int, index: int, part: str) -> bool:
    """Whether the bird is large and its part is in plain view."""
    drawing = render(CONFIG, scene, index)
    return drawing.box.width > 0.55 * CONFIG.size and any(point.name == part for point in drawing.parts)


@cache
def pass_gflop(base: str, size: int) -> float:
    """Count the operations of one pass of a timm network, in thousand millions; nothing is computed."""
    with torch.device("meta"):
        network = timm.create_model(base).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, size, size, device="meta"))
    return float(counter.get_total_flops() / 1e9)


def measured_sets() -> list[compute.Measured]:
    """Read the rows of today's recipes, and those of the former ones.

    On the slice of birds the latter do not say that they are of its 585 test photographs.
    """
    former = [{"photographs": 585, **row} for row in read_rows(RESULTS / "slice.jsonl")]
    return compute.measured_sets(_floor(), [read_rows(RESULTS / "former.jsonl"), former], pass_gflop)


def results_document(document: str, measured: list[compute.Measured]) -> str:
    """Return docs/results.md with its tables made anew."""
    tables = "\n".join(compute.compute_markdown(each) for each in measured)
    text = with_block(document, compute.BEGIN, compute.END, tables)
    curve = RESULTS / "learning_curve.jsonl"
    table = learning_curve.learning_curve_markdown(read_json_lines(curve)) if curve.exists() else "There is none yet.\n"
    return with_block(text, learning_curve.BEGIN, learning_curve.END, table)


def rows_document(document: str) -> str:
    """Return docs/results-rows.md with every row of today's recipes."""
    return with_results(document, _floor())


def reproduction_document(document: str) -> str:
    """Return docs/reproduction.md with the papers' tables made anew."""
    for table in reproduction.kept_tables(RESULTS / "tables"):
        document = with_block(document, *table.markers, reproduction.short_table(table.cells))
    return document


def reproduction_rows_document(document: str) -> str:
    """Return docs/reproduction-rows.md with every number of the papers' tables and every row of the slice."""
    text = with_results(document, read_rows(RESULTS / "slice.jsonl"))
    tables = reproduction.tables_markdown(reproduction.kept_tables(RESULTS / "tables"))
    return with_block(text, reproduction.BEGIN, reproduction.END, tables)


def _floor() -> list[dict[str, Any]]:
    file = RESULTS / "floor.jsonl"
    return read_rows(file) if file.exists() else []


def main() -> None:
    """Write the documents and the pictures."""
    measured = measured_sets()
    documents: dict[str, Callable[[str], str]] = {
        "results": lambda text: results_document(text, measured),
        "results-rows": rows_document,
        "reproduction": reproduction_document,
        "reproduction-rows": reproduction_rows_document,
    }
    for name, made_anew in documents.items():
        document = DOCS / f"{name}.md"
        document.write_text(made_anew(document.read_text(encoding="utf-8")), encoding="utf-8")
    for each in measured:
        compute.save_picture(each, DOCS / "images" / each.picture_name)
    picture().save(DOCS / "images" / "plumage.jpg", quality=90)


if __name__ == "__main__":
    main()
