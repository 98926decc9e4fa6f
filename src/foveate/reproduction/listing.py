"""What can be trained, as `foveate recipes` lists it: the methods, then the papers' rows by table; light to import."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from foveate.recipes import RECIPES
from foveate.reproduction.tables import FIGURES, TABLES, Cell, PaperTable, Quantity, Scale
from foveate.reproduction.trainings import TRAININGS


def summary(recipe: Callable[..., object]) -> str:
    """Return the first line of what a recipe says of itself."""
    return (recipe.__doc__ or "").partition("\n")[0]


def listing() -> str:
    """Return the methods with their presets, each table's rows with what is published and trained, and the rest."""
    tabled = {
        training.recipe
        for table in TABLES.values()
        for row in table.rows
        for cell in row.cells
        for _, training in cell.trainings
    }
    others = [(name, summary(recipe)) for name, recipe in TRAININGS.items() if name not in tabled]
    return "\n\n".join(
        (
            _block("On photographs of your own:", _methods()),
            "The papers' rows. One of them: foveate reproduce training NAME --data.root FOLDER.\n"
            "A whole table or figure: foveate reproduce table NAME --archives FOLDER, or figure in place of table.",
            *(_block(f"table {name} = {table.title}", _rows(table)) for name, table in TABLES.items()),
            _block("In no table:", others),
            _block("Figures:", FIGURES.items()),
        )
    )


def _methods() -> Iterator[tuple[str, str]]:
    for method, presets in RECIPES.items():
        for place, (preset, recipe) in enumerate(presets.items()):
            yield f"foveate train {method} FOLDER{f' --preset {preset}' if place else ''}", summary(recipe)


def _rows(table: PaperTable) -> Iterator[tuple[str, ...]]:
    """Yield what is published, and the names of what is trained for it; of a row that has a top-1 this alone."""
    yield "", "published", "at full size", "on the slice of CUB"
    for row in table.rows:
        cells = [cell for cell in row.cells if cell.trainings]
        for cell in [cell for cell in cells if cell.quantity is Quantity.TOP1] or cells:
            published = "-" if cell.published is None else str(cell.published)
            yield f"{row.name}, {cell.column}", published, _name(cell, Scale.FULL), _name(cell, Scale.SLICE)


def _name(cell: Cell, scale: Scale) -> str:
    training = cell.training(scale)
    if training is None:
        return "-"
    refined = cell.quantity in (Quantity.REFINED_3, Quantity.REFINED_5)
    return f"{training.options}{', then Guided Zoom' if refined else ''}"


def _block(title: str, rows: Iterable[Sequence[str]]) -> str:
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join([title, *("  " + "  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)])
