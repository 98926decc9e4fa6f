"""The public names: what `import foveate` promises."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib.metadata
import inspect
import subprocess
import sys
import typing
from importlib import import_module
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import foveate

STUB = Path(foveate.__file__).with_suffix(".pyi")


def promised() -> dict[str, str]:
    """The names of the stub, and the module that it takes each from."""
    imports = [node for node in ast.parse(STUB.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"foveate.{node.module or ''}" for node in imports for alias in node.names}


def public() -> dict[str, object]:
    """The names that are of the package's own making, and what they stand for."""
    return {name: getattr(foveate, name) for name in promised() if not name.startswith("_")}


def examples() -> list[doctest.DocTest]:
    """The examples in the docstrings of the package, of its public names and of their methods."""
    tests = doctest.DocTestFinder(recurse=False).find(foveate, "foveate", globs={})
    for name, each in public().items():
        if callable(each):
            tests += doctest.DocTestFinder().find(each, name, module=False, globs={})
    return [test for test in tests if test.examples]


def test_the_names_shown_are_those_of_the_stub_and_each_is_there() -> None:
    assert dir(foveate) == sorted(promised())
    for name, module in promised().items():
        if module != "foveate.":
            assert getattr(foveate, name) is getattr(import_module(module), name), name
    assert foveate.recipes is import_module("foveate.recipes")


def test_every_public_name_says_what_it_is() -> None:
    """In words of its own: neither its base's, nor the signature that a dataclass is given."""
    for name, each in public().items():
        own = vars(each).get("__doc__") if isinstance(each, type) else each.__doc__
        assert own, name
        assert not own.startswith(f"{name}("), name
        if isinstance(each, dict | list | tuple):
            continue
        for inner, member in inspect.getmembers_static(each, _is_written) if isinstance(each, type) else []:
            assert inner.startswith("_") or inspect.getdoc(getattr(each, inner)), f"{name}.{inner}: {member}"


def _is_written(member: object) -> bool:
    return inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod)


def test_a_star_brings_the_public_names_alone() -> None:
    names: dict[str, object] = {}
    exec("from foveate import *", names)  # where a user's session would have it
    del names["__builtins__"]
    assert sorted(names) == dir(foveate)


def test_whatever_public_names_are_made_of_take_and_return_is_public() -> None:
    """Who is offered a configuration or a function can write down each of its fields and arguments."""
    for name, each in public().items():
        is_config = isinstance(each, type) and dataclasses.is_dataclass(each) and name.endswith(("Config", "Study"))
        if is_config or inspect.isfunction(each):
            for part, hint in typing.get_type_hints(each).items():
                for kind in _classes(hint):
                    ours = kind.__module__.startswith("foveate")
                    assert not ours or kind.__name__ in promised(), f"{name}.{part}: {kind}"


def _classes(hint: object) -> set[type]:
    """Return the classes that a type hint names."""
    inner = typing.get_args(hint)
    return set().union(*map(_classes, inner)) if inner else {hint} if isinstance(hint, type) else set()


def test_no_module_takes_a_public_name() -> None:
    """Importing `foveate.train`, were there one, would put the module where the function is promised."""
    modules = {each.stem for each in STUB.parent.iterdir()}
    assert modules & promised().keys() == {"recipes"}


def test_modules_that_are_imported_first_change_nothing() -> None:
    code = (
        "import foveate.workflows.train, foveate.grounding.ground, foveate.guided_zoom.config\n"
        "import foveate.recipes.methods\n"
        "names = (foveate.train, foveate.ground, foveate.evaluate, foveate.build_guided_zoom)\n"
        "sys.exit(not all(map(callable, names)) or foveate.recipes is not sys.modules['foveate.recipes'])"
    )
    subprocess.run([sys.executable, "-c", f"import sys\n{code}"], check=True)


def test_the_package_is_imported_without_torch() -> None:
    code = "import sys, foveate; dir(foveate); foveate.UserError, foveate.S3NConfig; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("example", examples(), ids=lambda example: str(example.name))
def test_the_examples_are_true(example: doctest.DocTest, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    torch.manual_seed(0)
    said: list[str] = []
    assert doctest.DocTestRunner().run(example, out=said.append).failed == 0, "".join(said)


def test_building_blocks_have_short_examples() -> None:
    blocks = {"S3N", "MACNN", "GuidedZoom", "ExcitationBackprop", "GradCAM", "RISE", "ClassMaps", "InputGradients"}
    lengths = {example.name: len(example.examples) for example in examples()}
    assert blocks | {"ground", "foveate"} <= lengths.keys()
    assert max(lengths.values()) <= 10


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="zoom_in"):
        getattr(foveate, "zoom_in")  # noqa: B009  # a type checker knows that it is not there
    assert not hasattr(foveate, "zoom_in")


def test_the_version_is_the_packages() -> None:
    assert foveate.__version__ == importlib.metadata.version("foveate")


def test_a_user_error_is_a_value_error() -> None:
    """So that whoever wraps the package need not know its own error."""
    assert issubclass(foveate.UserError, ValueError)


def test_whatever_the_package_imports_it_depends_on() -> None:
    """The wheel is tried out beside the packages of this environment, which holds more than a user's."""
    declared = {
        canonicalize_name(Requirement(line).name)
        for line in importlib.metadata.requires("foveate") or []
        if "extra ==" not in line
    }
    distributions = importlib.metadata.packages_distributions()
    for path in Path(foveate.__file__).parent.rglob("*.py"):
        for name in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            if name != "foveate" and name not in sys.stdlib_module_names:
                owners = {canonicalize_name(owner) for owner in distributions[name]}
                assert owners & declared, f"{path.name} imports {name}, of {owners}, which pyproject.toml does not name"


def _imported(tree: ast.Module) -> set[str]:
    """Return the packages that a module imports anywhere."""
    names = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names
