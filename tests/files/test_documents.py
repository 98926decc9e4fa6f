"""What is written on disk is read as it was written, or refused by name; older documents are migrated."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foveate.config.data import DataConfig, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import BackboneConfig, NetworkConfig, OwnConfig, PlainConfig, ProbeConfig
from foveate.config.optimiser import OptimiserConfig
from foveate.errors import UserError
from foveate.evaluation.config import GroundingStudy
from foveate.files.documents import append_json_line, read_json, write_json
from foveate.grounding.config import GroundingConfig, GroundingMethod
from foveate.guided_zoom.config import PatchConfig, PoolConfig, RefinementConfig
from foveate.guided_zoom.pool import EvidencePool, PoolDescription
from foveate.macnn.config import MACNNConfig
from foveate.recipes.config import TrainConfig
from foveate.runs.guided_zoom_run import GuidedZoomDescription, GuidedZoomRun
from foveate.runs.run import Run, RunDescription
from foveate.s3n.config import CellPlacement, Fusion, S3NConfig

OLD = Path(__file__).parent / "old_documents"
CLASSES = ("wren", "owl")
BACKBONE = BackboneConfig(architecture="test_resnet", weights="none")
DATA = DataConfig(root=Path("/data/birds"), relabel=Path("/lists/new.csv"), group_column="nest")
POOL = PoolConfig(grounding=GroundingConfig(method=GroundingMethod.EB, layer="layer3"))
REFINEMENT = RefinementConfig(weights=(0.4, 0.3), entropy_threshold=0.5)
WRONG: tuple[object, ...] = (None, True, 1.5, "5", [1], {"a": 1}, 10**30, float("nan"))
"""Each is refused wherever something of another type is due."""
OPTIONAL = {
    *("source_size", "gradient_clip", "workers", "ema_decay", "response_grid", "part_size", "projection", "mean"),
    *("std", "layer", "entropy_threshold", "tuned_on", "given", "relabel"),
    *("group_column", "tokens", "looker", "looker_hash", "method"),
}
"""Fields that may be null."""


def trained(network: NetworkConfig) -> TrainConfig:
    return TrainConfig(
        data=DATA,
        transforms=TransformConfig(source_size=224),
        network=network,
        optimiser=OptimiserConfig(gradient_clip=1.0),
        hardware=HardwareConfig(workers=0),
        ema_decay=0.9,
        keep_epochs=(1, 2),
    )


def write_run(network: NetworkConfig) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        Run.start(path, RunDescription(trained(network), CLASSES, "birds"))
        return path / "run.json"

    return write


def write_guided_zoom(path: Path) -> Path:
    description = GuidedZoomDescription(
        base=Path("/runs/base"),
        network_hash="ab" * 32,
        looker_hash="ef" * 32,
        pool=POOL,
        refinement=REFINEMENT,
        tuned_on="validation",
        given=replace(REFINEMENT, top_k=3),
    )
    return GuidedZoomRun.start(path, description).path / "guided_zoom.json"


def write_pool(path: Path) -> Path:
    description = PoolDescription(
        config=POOL,
        data=DATA,
        transforms=TransformConfig(source_size=448),
        dataset="birds",
        class_names=CLASSES,
        photographs=7,
        data_hash="cd" * 32,
        network_hash="ab" * 32,
        looker_hash="ef" * 32,
    )
    return EvidencePool.start(path, description).path / "pool.json"


OWN = OwnConfig(architecture="resnet50", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
DOCUMENTS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "plain": (write_run(PlainConfig(backbone=BACKBONE)), Run.open),
    "s3n": (write_run(S3NConfig(backbone=BACKBONE)), Run.open),
    "macnn": (write_run(MACNNConfig(backbone=BACKBONE, part_size=64)), Run.open),
    "probe": (write_run(ProbeConfig(backbone=BACKBONE)), Run.open),
    "own": (write_run(OWN), Run.open),
    "guided zoom": (write_guided_zoom, GuidedZoomRun.open),
    "pool": (write_pool, EvidencePool.open),
}


def places(content: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    """Yield the path of every field of a document."""
    for name, value in content.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from places(value, *above, name)


def parent_of(content: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    for name in place[:-1]:
        content = content[name]
    return content


def fits(value: object, wrong: object, name: str) -> bool:
    """Say whether something else may stand in a field's place."""
    if wrong is None:
        return name in OPTIONAL
    if isinstance(wrong, float) and not math.isfinite(wrong):
        return False
    if type(value) is type(wrong):
        return isinstance(value, bool | float | str) or (isinstance(value, list) and name != "class_names")
    return type(value) is float and type(wrong) is int


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_every_field_is_needed(tmp_path: Path, kind: str) -> None:
    write, read = DOCUMENTS[kind]
    file = write(tmp_path / "folder")
    before = read(file.parent)
    whole = json.loads(file.read_text())
    for place in places(whole):
        content = deepcopy(whole)
        del parent_of(content, place)[place[-1]]
        file.write_text(json.dumps(content))
        with pytest.raises(UserError, match=file.name) as caught:
            read(file.parent)
        assert "restore it from a copy" in str(caught.value)
    file.write_text(json.dumps(whole))
    assert read(file.parent) == before


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_nothing_is_coerced(tmp_path: Path, kind: str) -> None:
    write, read = DOCUMENTS[kind]
    file = write(tmp_path / "folder")
    whole = json.loads(file.read_text())
    tried = 0
    for place in places(whole):
        value = parent_of(whole, place)[place[-1]]
        for wrong in WRONG:
            if wrong == value or fits(value, wrong, place[-1]):
                continue
            content = deepcopy(whole)
            parent_of(content, place)[place[-1]] = wrong
            file.write_text(json.dumps(content))
            with pytest.raises(UserError, match=file.name) as caught:
                read(file.parent)
            assert len(str(caught.value)) < 1500
            tried += 1
    assert tried > 100


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        ("abcd", "expected a list, got text"),
        (["wren", "wren"], r"class_names must be unique; got \['wren'\] twice"),
        ([], "class_names must hold at least one"),
        (["wren", 5], "expected text, got a whole number"),
        (["wren", None], "expected text, got null"),
    ],
)
def test_class_names_are_a_list_of_different_names(tmp_path: Path, names: object, rule: str) -> None:
    file = DOCUMENTS["plain"][0](tmp_path / "run")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"class_names": names}))
    with pytest.raises(UserError, match=rule):
        Run.open(tmp_path / "run")


@pytest.mark.parametrize("name", [file.name for file in sorted(OLD.glob("run-*.json"))])
def test_an_old_run_opens(tmp_path: Path, name: str) -> None:
    """What its writer had no choice about is as it was then, not as it is now by default."""
    (tmp_path / "run.json").write_bytes((OLD / name).read_bytes())
    run = Run.open(tmp_path)
    old = json.loads((OLD / name).read_text())
    assert run.class_names == CLASSES
    assert run.config.network.method == old["config"]["network"].get("method", "plain")
    assert run.config.data == DataConfig(root=Path("/data/birds"))
    assert run.config.transforms.source_size is None
    assert run.config.keep_epochs == ()


def test_an_old_run_is_what_it_was(tmp_path: Path) -> None:
    content = json.loads((OLD / "run-2-s3n.json").read_text())
    for name in ("placement", "fusion", "attention"):
        del content["config"]["network"][name]
    (tmp_path / "run.json").write_text(json.dumps(content))
    network = Run.open(tmp_path).config.network
    assert isinstance(network, S3NConfig)
    assert (network.placement, network.fusion) == (CellPlacement.CORNERS, Fusion.OWN)
    del content["config"]["transforms"]
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"required field missing @ \$\.config\.transforms; restore"):
        Run.open(tmp_path)


@pytest.mark.parametrize("method", ["plain", "s3n"])
def test_a_run_of_before_heads_could_be_chosen_began_with_new_ones(tmp_path: Path, method: str) -> None:
    (tmp_path / "run.json").write_bytes((OLD / f"run-3-{method}.json").read_bytes())
    network = Run.open(tmp_path).config.network
    assert not network.begins_with_probe
    assert not network.solved
    assert network == {"plain": PlainConfig(), "s3n": S3NConfig()}[method]


@pytest.mark.parametrize("name", [file.name for file in sorted(OLD.glob("guided_zoom-*.json"))])
def test_an_old_guided_zoom_opens(tmp_path: Path, name: str) -> None:
    (tmp_path / "guided_zoom.json").write_bytes((OLD / name).read_bytes())
    description = GuidedZoomRun.open(tmp_path).description
    first = "first" in name
    assert description.refinement.mirrored is not first
    assert description.pool.whole is not first
    assert description.pool.patches.elsewhere is not first


def test_the_gate_of_an_old_guided_zoom_has_its_present_name(tmp_path: Path) -> None:
    """Schema 2 called it `entropy_above`; one that is missing is damage."""
    content = json.loads((OLD / "guided_zoom-2.json").read_text())
    (tmp_path / "guided_zoom.json").write_text(json.dumps(content))
    description = GuidedZoomRun.open(tmp_path).description
    assert description.refinement == REFINEMENT
    assert description.given == replace(REFINEMENT, top_k=3)
    del content["refinement"]["entropy_above"]
    (tmp_path / "guided_zoom.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"required field missing @ \$\.refinement\.entropy_threshold"):
        GuidedZoomRun.open(tmp_path)


@pytest.mark.parametrize("name", ["pool-1.json", "pool-1-first.json", "pool-2.json", "pool-3.json"])
def test_an_old_pool_opens(tmp_path: Path, name: str) -> None:
    (tmp_path / "pool.json").write_bytes((OLD / name).read_bytes())
    description = EvidencePool.open(tmp_path).description
    config = description.config
    assert description.data == DataConfig(root=Path("/data/birds"))
    assert description.looker_hash is None
    if name in ("pool-2.json", "pool-3.json"):
        return
    assert config.patches.stretch is False
    assert config.whole is ("first" not in name)


def test_documents_of_what_was_measured_say_their_version(tmp_path: Path) -> None:
    """Older ones, which do not, are read all the same."""
    file = tmp_path / "metrics.json"
    write_json(file, {"minutes": 1.5})
    assert json.loads(file.read_text()) == {"schema_version": 1, "minutes": 1.5}
    for content in ('{"schema_version": 1, "minutes": 1.5}', '{"minutes": 1.5}'):
        file.write_text(content)
        assert read_json(file) == {"minutes": 1.5}
    for version in ("2", "true", '"1"', "-1", "[1]"):
        file.write_text(f'{{"schema_version": {version}}}')
        with pytest.raises(UserError, match=r"reads metrics\.json of schema 1; .* use the version that wrote it"):
            read_json(file)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe{}", "codec can't decode"),
        (b'{"a": 1', "delimiter"),
        (b"[1]", "must hold a JSON object; got list"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "a number of 5000 digits"),
        (b'{"name": "\\ud800"}', "surrogates not allowed"),
        (b'{"\\udcff": 1}', "surrogates not allowed"),
        (b'{"seed": 1, "seed": 2}', "a field occurs twice, 'seed'"),
    ],
    ids=["empty", "binary", "cut", "list", "deep", "long number", "half a pair", "half a name", "twice"],
)
def test_a_damaged_document_is_named(tmp_path: Path, text: bytes, reason: str) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(text)
    with pytest.raises(UserError, match=reason) as caught:
        Run.open(tmp_path)
    assert str(file) in str(caught.value)
    assert "restore it from a copy" in str(caught.value)
    assert len(str(caught.value)) < 400
    str(caught.value).encode()


def test_a_folder_in_a_documents_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").mkdir()
    with pytest.raises(UserError, match=r"metrics\.json must be a file that can be read \(Is a directory\)"):
        read_json(tmp_path / "metrics.json")


def test_a_name_that_is_no_text_cannot_be_written(tmp_path: Path) -> None:
    for write in (write_json, append_json_line):
        with pytest.raises(UserError, match=r"it cannot name .*\\udcff.*; rename what has a name that is not UTF-8"):
            write(tmp_path / "x.json", {"root": "/data/\udcff"})
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize("text", ["[1]\n", "1\n", "\udc80", '{"a": 1}\n["b"]\n', "[" * 100_000])
def test_rows_are_only_added_to_rows(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match="must hold one JSON object a line"):
        append_json_line(file, {"top1": 1})


def test_a_row_begins_its_own_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"name": "a\N{LINE SEPARATOR}b"}', encoding="utf-8")
    append_json_line(file, {"top1": 1})
    assert file.read_text(encoding="utf-8") == '{"name": "a\N{LINE SEPARATOR}b"}\n{"top1": 1}\n'


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        (lambda: TransformConfig(input_size=10**5, resize_size=10**5), "input_size must be at most 4096 pixels"),
        (lambda: TransformConfig(resize_size=10**5), "resize_size must be at most 4096"),
        (lambda: TransformConfig(source_size=10**5), "source_size must be at most 4096"),
        (lambda: PatchConfig(source_size=10**5), "source_size must be at most 4096"),
        (lambda: PatchConfig(rounds=10**3), "rounds must be at most 100"),
        (lambda: replace(trained(PlainConfig()), seed=2**63), r"seed must be below 2 \*\* 63"),
        (lambda: replace(trained(PlainConfig()), seed=-1), "seed must not be negative"),
        (lambda: replace(trained(PlainConfig()), batch_size=0), "batch_size must be at least 1; got 0"),
        (lambda: replace(trained(PlainConfig()), epochs=10**30), "epochs must be at most 1,000,000,000"),
        (lambda: DataConfig(root=Path(), split_seed=2**64), "split_seed must be below"),
        (lambda: GroundingConfig(seed=2**63), "seed must be below"),
        (lambda: GroundingConfig(mask_cells=10**6), "mask_cells must be at most"),
        (lambda: GroundingStudy(seed=10**5000), "got a number of more than 30 digits"),
        (lambda: HardwareConfig(workers=-1), "workers must not be negative; got -1"),
        (lambda: HardwareConfig(workers=10**6), "workers must be at most 1,024"),
        (lambda: HardwareConfig(devices=10**6), "devices must be at most 1,024"),
        (lambda: OptimiserConfig(learning_rate=float("inf")), "learning_rate must be finite"),
        (lambda: OptimiserConfig(milestones=(0.5, float("nan"))), "milestones must be shares"),
        (lambda: RefinementConfig(weights=(0.4, float("inf"))), "weights must be finite"),
        (lambda: S3NConfig(radius_rate=float("inf")), "radius_rate must be finite"),
        (lambda: MACNNConfig(hidden=10**9), "hidden must be at most"),
        (lambda: OwnConfig(architecture="resnet18", mean=(0.0, 0.0, float("nan"))), "mean must be finite"),
    ],
)
def test_what_nothing_is_made_for_is_refused(build: Callable[[], object], rule: str) -> None:
    with pytest.raises(UserError, match=rule):
        build()
