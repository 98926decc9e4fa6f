"""Make an executed notebook of each tutorial, from its page: `make notebooks`, minutes on two cores.

What a page takes for the reader's own is drawn in the first cell. Python is run; commands of the shell are text.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

DOCS = Path(__file__).parent
NOTEBOOKS = DOCS / "notebooks"
_BIRDS = """# What this page takes for yours: drawn birds of four species, and a photograph
import shutil
from pathlib import Path

import foveate
from foveate.plumage import PlumageConfig, draw_plumage
from foveate.recipes import RECIPES

species = PlumageConfig(species=4, train_per_species=20, test_per_species=10, size=256)
photographs = draw_plumage(Path("photographs"), species, workers=1)
shutil.copy(next(photographs.glob("images/*/*.jpg")), "bird.jpg")
"""
SETUP = {
    "quickstart": "",
    "why": f'{_BIRDS}run = foveate.train(RECIPES["s3n"]["frozen"](photographs), "runs/mine")\n',
    "improve": f"""{_BIRDS}
# ... and a checkpoint of timm: here a network whose head is a probe
import torch

trained = foveate.train(RECIPES["probe"]["foveate"](photographs), "runs/elsewhere")
torch.save(trained.load_network().backbone.network.state_dict(), "weights.pth")
""",
}
"""Each tutorial's page, and the first cell of its notebook."""


def cells_of(page: str) -> list[tuple[str, str]]:
    """Return the cells of a page, each its kind, markdown or code, and its source."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    parts = re.split(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    kinds = ("markdown", "code")
    cells = [(kinds[index % 2], _moved(part) if index % 2 == 0 else part) for index, part in enumerate(parts)]
    cells = [(kind, source.strip()) for kind, source in cells if source.strip()]
    return [cells[0], ("code", SETUP[page].strip()), *cells[1:]] if SETUP[page] else cells


def _moved(text: str) -> str:
    """Return Markdown whose links lead one folder up, to where the pages lie."""
    return re.sub(r"\]\((?!https?:|#)(?:notebooks/)?([^)]+\.(?:md|jpg|svg|ipynb))", r"](../\1", text)


def execute(page: str) -> None:
    """Run a page's cells in an empty folder and write the notebook."""
    import nbformat
    from nbclient import NotebookClient

    made = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    notebook = nbformat.v4.new_notebook(cells=[made[kind](source) for kind, source in cells_of(page)])
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{page}-{number}"
    with TemporaryDirectory() as outer:
        folder = Path(outer) / "tutorial"
        folder.mkdir()
        settings = {"timeout": 3600, "coalesce_streams": True, "resources": {"metadata": {"path": str(folder)}}}
        NotebookClient(notebook, **settings).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the moments at which it ran
        if cell.cell_type == "code":
            cell.outputs = _kept(cell.outputs, f"{folder}/")
    NOTEBOOKS.mkdir(exist_ok=True)
    (NOTEBOOKS / f"{page}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")


def _kept(outputs: list[Any], folder: str) -> list[Any]:
    """Return what a cell gave out, without warnings of the notebook's own making; of a picture the smaller form."""
    kept = [each for each in outputs if each.get("name") != "stderr"]
    for each in kept:
        if "text" in each:
            each["text"] = each["text"].replace(folder, "")
        if "image/jpeg" in each.get("data", {}):
            each["data"].pop("image/png", None)
    return kept


if __name__ == "__main__":
    for name in sys.argv[1:] or SETUP:
        execute(name)
