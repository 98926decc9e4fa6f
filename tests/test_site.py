"""What the site adds to MkDocs: equations, the index of the log, docstrings, and a look at what pages fetch."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from markdown import Markdown

ROOT = Path(__file__).parents[1]


def module_of(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    return module_of("hooks")


def test_an_equation_is_mathml_line_by_line(hooks: ModuleType) -> None:
    shown = hooks.formula("a = b^2\n\nc\n")
    assert shown.count("<math ") == 2
    assert "<msup><mi>b</mi><mn>2</mn></msup>" in shown


def test_no_page_has_latex_that_is_not_understood(hooks: ModuleType) -> None:
    for path in (ROOT / "docs").glob("*.md"):
        for found in re.finditer(r"^```math\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            assert "\\" not in re.sub(r"<[^>]+>", "", hooks.formula(found[1])), found[1]


def test_the_index_leads_to_every_entry_of_the_log(hooks: ModuleType) -> None:
    log = (ROOT / "docs" / "log.md").read_text(encoding="utf-8")
    markdown = Markdown(extensions=["toc", "tables"])
    page = markdown.convert(hooks.with_index(log))
    targets = re.findall(r'<a href="#([^"]+)"', page)
    assert len(targets) >= len(re.findall(r"^## \d", log, re.MULTILINE))
    assert set(targets) <= set(re.findall(r'id="([^"]+)"', page))


def test_equal_titles_of_a_day_have_anchors_of_their_own(hooks: ModuleType) -> None:
    text = hooks.with_index("# Log\n\n## 2026-01-02: one\n\na\n\n## 2026-01-02: one\n\nb\n\n## 2026-01-01: two\n")
    assert re.findall(r"\(#(.*?)\)", text) == ["2026-01-02-one", "2026-01-02-one_1", "2026-01-01-two"]
    assert text.count("**2026-01-02**") == 1
    assert hooks.with_index("no entries") == "no entries"


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://cdn.example/a.js"></script>',
        "<img alt='x' src=//cdn.example/a.png>",
        '<link href="https://fonts.example/f.css" rel="stylesheet">',
        '<link rel="preconnect" href="https://fonts.example" crossorigin>',
        "<style>@import url(https://fonts.example/f.css)</style>",
        '<iframe src="http://example.org"></iframe>',
    ],
)
def test_what_a_browser_would_fetch_from_elsewhere_is_found(hooks: ModuleType, tag: str) -> None:
    assert len(hooks.fetched_from_elsewhere(f"<p>{tag}</p>")) == 1


def test_links_to_click_and_files_of_the_site_are_not_fetched(hooks: ModuleType) -> None:
    page = '<a href="https://example.org">x</a><script src="assets/a.js"></script><img src="data:image/png;base64,//x">'
    page += '<link rel="canonical" href="https://example.org"><link rel="stylesheet" href="style.css">'
    assert hooks.fetched_from_elsewhere(page) == []


def test_examples_of_docstrings_are_fenced() -> None:
    shown = module_of("docstrings").in_markdown("What it is.\n\n>>> one\n>>> two\n2\n\nArgs:\n    x: As a folder::\n")
    assert shown == "What it is.\n\n```pycon\n>>> one\n>>> two\n2\n```\n\nArgs:\n    x: As a folder:\n"


def test_the_figures_are_those_of_the_script() -> None:
    figures = module_of("figures")
    for name, draw in figures.FIGURES.items():
        assert (figures.IMAGES / name).read_text(encoding="utf-8") == draw(), "run `make tables`"


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", ["quickstart", "why", "improve"])
def test_a_notebook_is_its_page_executed(page: str) -> None:
    notebooks = module_of("notebooks")
    assert page in notebooks.SETUP
    path = notebooks.NOTEBOOKS / f"{page}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    shown = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    assert shown == notebooks.cells_of(page), "run `make notebooks`"
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert path.stat().st_size < 1_000_000
    assert not re.search(r"/(tmp|home|root|work)/", json.dumps(outputs))
