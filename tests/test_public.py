"""The public names: what `import foveate` promises."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import foveate


def test_every_public_name_is_there_and_explained() -> None:
    for name in foveate.__all__:
        assert (getattr(foveate, name).__doc__ or "").strip(), name


def test_what_type_checkers_see_is_what_users_get() -> None:
    """The names imported under TYPE_CHECKING are those of `__all__`, from the same modules."""
    tree = ast.parse(Path(foveate.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module or "" for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sorted(seen) == sorted(foveate.__all__)
    for name, module in seen.items():
        assert getattr(foveate, name) is getattr(import_module(module), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'foveate' has no attribute 'zoom_in'"):
        _ = foveate.zoom_in
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
