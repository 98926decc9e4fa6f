"""Which method a network or a configuration is of, and of which kind a backbone is, is asked by the factory alone.

Whatever else wants to know something of them asks the object: the class has a method or a property that says it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import foveate
import foveate.macnn.explanation
import foveate.s3n.explanation
from foveate.backbones.backbone import Backbone
from foveate.backbones.own_cnns import OwnCNN
from foveate.config.networks import NetworkConfig
from foveate.networks.explanation import Explanation
from foveate.networks.network import Network
from foveate.recipes.methods import METHODS

HOUSE = Path(foveate.__file__).parent
FACTORY = "recipes/methods.py"
ROOMS = ("s3n", "macnn")
"""A method's own, where its classes may be told apart."""
ALLOWED = {
    ("runs/migrations.py", "network.get('method') == 's3n'"): "documents of schema 2, from when there were two methods",
    ("report/result_versions.py", "'s3n' in (row['method'], row.get('conventional'))"): "rows of version 1",
    ("report/results.py", "preset == 'own'"): "the name of a preset, not of a method",
    ("grounding/create.py", "GROUNDINGS[config.method]"): "the factory of groundings",
    **dict.fromkeys(
        (
            ("files/storage.py", "hasattr(error, 'response')"),
            ("files/storage.py", "getattr(error, 'response', None)"),
            ("files/storage.py", "getattr(error.__cause__, 'response', None)"),
        ),
        "the response of a server",
    ),
}
"""What stays, and of what it asks."""


def derived(kind: type[Any]) -> Iterator[type[Any]]:
    """Yield the classes of the package that derive from one."""
    for each in kind.__subclasses__():
        if each.__module__.startswith("foveate."):
            yield each
            yield from derived(each)


KINDS = {Backbone, OwnCNN, *derived(Network), *derived(NetworkConfig), *derived(Explanation)}
HOMES = {each.__name__: each.__module__.removeprefix("foveate.").replace(".", "/") + ".py" for each in KINDS}
MEMBERS = {name for each in KINDS for name in (*vars(each), *each.__annotations__)} - set(dir(nn.Module))


def names_in(node: ast.AST) -> set[str]:
    """Return the classes of ours that an expression names."""
    identifiers = (each.id for each in ast.walk(node) if isinstance(each, ast.Name))
    attributes = (each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute))
    return HOMES.keys() & {*identifiers, *attributes}


def kinds_in(node: ast.AST) -> set[str]:
    """Return the methods whose names stand in an expression as text."""
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and each.value in METHODS}


def asks(node: ast.AST) -> bool:
    """Say whether a piece of code asks of which method something is."""
    match node:
        case ast.Call(func=ast.Name("isinstance" | "issubclass"), args=[_, kinds]):
            return bool(names_in(kinds))
        case ast.Call(func=ast.Name("hasattr"), args=[_, ast.Constant(str(name)), *_]):
            return name in MEMBERS
        case ast.Call(func=ast.Name("getattr"), args=[_, ast.Constant(str(name)), _]):
            return name in MEMBERS
        case ast.Compare(left=left, comparators=others):
            each = (left, *others)
            return any(names_in(side) or kinds_in(side) or is_method(side) for side in each)
        case ast.match_case(pattern=pattern):
            return bool(names_in(pattern) or kinds_in(pattern))
        case ast.Subscript(slice=index, ctx=ast.Load()):
            return is_method(index)
        case ast.Dict(keys=keys):
            return any(names_in(key) for key in keys if key is not None)
        case ast.FunctionDef(decorator_list=decorators):
            return any("register" in ast.unparse(each) or "dispatch" in ast.unparse(each) for each in decorators)
    return False


def is_method(node: ast.AST) -> bool:
    """Say whether an expression is what `NetworkConfig.method` holds, as a key or a side of a comparison."""
    return isinstance(node, ast.Attribute) and node.attr == "method"


def at_home(name: str, module: str) -> bool:
    """Say whether a module is a class's own, or in its method's room."""
    room = module.split("/")[0]
    return HOMES[name] == module or (room in ROOMS and HOMES[name].startswith(f"{room}/"))


def questions(source: str, module: str) -> list[str]:
    """Return the pieces of a module's code that ask."""
    nodes = [node for node in ast.walk(ast.parse(source)) if asks(node)]
    strange = [
        node for node in nodes if not (named := names_in(node)) or not all(at_home(each, module) for each in named)
    ]
    return [ast.unparse(node) for node in strange if (module, ast.unparse(node)) not in ALLOWED]


@pytest.mark.parametrize("module", [str(path.relative_to(HOUSE).as_posix()) for path in sorted(HOUSE.rglob("*.py"))])
def test_a_module_asks_the_object_and_not_its_type(module: str) -> None:
    if module == FACTORY:
        return
    assert questions((HOUSE / module).read_text(encoding="utf-8"), module) == []


def test_what_is_allowed_is_still_there() -> None:
    for module, question in ALLOWED:
        code = ast.parse((HOUSE / module).read_text(encoding="utf-8"))
        assert question in {ast.unparse(node) for node in ast.walk(code) if asks(node)}, module


@pytest.mark.parametrize(
    "source",
    [
        "if isinstance(network, S3N): pass",
        "if isinstance(network, (PlainNetwork, macnn.network.MACNN)): pass",
        "closer = issubclass(type(network), S3N)",
        "if type(run.config.network) is MACNNConfig: pass",
        "if network.__class__ == OwnNetwork: pass",
        "if type(module) in (Backbone, OwnCNN): pass",
        "if hasattr(network, 'fusion_of') or hasattr(config, 'preset_of') or hasattr(network, 'branch_maps'): pass",
        "floor = getattr(config, 'sampling_floor', None)",
        "if config.method == 's3n': pass",
        "if row['method'] in ('plain', 'own'): pass",
        "if config.method != name: pass",
        "match network:\n    case S3N(): pass",
        "match config.method:\n    case 'macnn': pass",
        "draw = {S3N: first, MACNN: second}[type(network)]",
        "draw = DRAWINGS[config.network.method]",
        "@drawn.register\ndef _(network: S3N): pass",
        "if isinstance(explanation, S3NExplanation): pass",
    ],
)
def test_a_question_is_noticed(source: str) -> None:
    assert questions(source, "workflows/explain.py") != []


@pytest.mark.parametrize(
    "source",
    [
        "network = PlainNetwork(backbone)",
        "row = {'method': config.network.method, 'own': 1}",
        "if network.decides_by_backbone: pass",
        "if isinstance(run, Run): pass",
        "if not isinstance(layers, nn.Linear): pass",
        "if hasattr(module, '_orig_mod'): pass",
        "known = METHODS.keys()",
    ],
)
def test_what_asks_something_else_is_not(source: str) -> None:
    assert questions(source, "workflows/explain.py") == []


def test_a_method_may_ask_in_its_own_room() -> None:
    assert questions("if isinstance(each, S3NExplanation): pass", "s3n/explanation.py") == []
    assert questions("if isinstance(each, MACNN): pass", "s3n/explanation.py") != []
