"""An exported network answers as the run does, or is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import foveate
from command_line import status
from exports import FAMILIES, batches, eager, exported_family, pixels, small
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.macnn.config import MACNNConfig
from foveate.macnn.network import MACNN
from foveate.networks.own import OwnNetwork
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.export import foveate_loader, proof
from foveate.workflows.export.artefacts import Artefact, ONNXArtefact, TorchArtefact, as_onnx
from foveate.workflows.export.config import ExportPrecision
from foveate.workflows.export.export import Exported
from foveate.workflows.export.int8 import quantised
from foveate.workflows.export.proof import Compared, Proof, proof_of
from foveate.workflows.export.traced import Bfloat16Pass, traced

pytestmark = pytest.mark.usefixtures("without_noise")  # an artefact is compared with what has no noise in it

QUIET = RunContext(say=lambda line: None)


@pytest.fixture
def unmade(exported: Exported) -> Iterator[None]:
    """What is exported meanwhile is that network again: tracing takes seconds."""
    artefact = ONNXArtefact(import_module("onnx").load(exported.path / "model.onnx"))
    with mock.patch("foveate.workflows.export.export._artefact", return_value=artefact):
        yield


def answers_of(folder: Path, format: str, shown: Tensor) -> tuple[np.ndarray, np.ndarray]:
    (model,) = (each.name for each in folder.iterdir() if each.suffix in (".onnx", ".pt2"))
    described = {"format": format, "precision": "float32", "model": model}
    return foveate_loader.runtime(folder, described, 1)(shown.numpy())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_format_answers_as_eager_for_any_number_of_photographs(name: str, tmp_path: Path) -> None:
    network, side, program, proto = exported_family(name)
    artefacts: dict[str, Artefact] = {"torch": TorchArtefact(program), "onnx": ONNXArtefact(proto)}
    for format, artefact in artefacts.items():
        (tmp_path / format).mkdir()
        artefact.save(tmp_path / format, {})
        for count in (1, 3):
            expected = eager(network, pixels(count, side))
            for answer, own in zip(answers_of(tmp_path / format, format, pixels(count, side)), expected, strict=True):
                np.testing.assert_allclose(answer, own, rtol=0, atol=1e-4)


def test_the_proof_is_kept_and_in_the_artefact(exported: Exported, tiny_run: Run) -> None:
    kept = json.loads((exported.path / "proof.json").read_text(encoding="utf-8"))
    onnx = import_module("onnx").load(exported.path / "model.onnx")
    inside = {each.key: json.loads(each.value) for each in onnx.metadata_props}
    assert {name: kept[name] for name in inside["foveate.proof"]} == inside["foveate.proof"]
    assert (kept["photographs"], kept["of"], kept["split"]) == (12, 12, "test")
    assert kept["logit_difference"] <= 1e-3
    assert kept["top1"] == kept["exported_top1"] == foveate.evaluate(tiny_run, context=QUIET).accuracy.top1.value
    assert inside["foveate.description"]["class_names"] == list(tiny_run.class_names)
    assert exported.proof.problem is None
    assert sorted(each.name for each in exported.path.iterdir()) == [
        "foveate.json",
        "foveate_loader.py",
        "model.onnx",
        "proof.json",
    ]


def test_nothing_in_it_names_this_machine(exported: Exported) -> None:
    here = str(Path(foveate.__file__).parents[2]).encode()
    assert [each.name for each in exported.path.iterdir() if here in each.read_bytes()] == []


@pytest.mark.usefixtures("unmade")
def test_a_failed_proof_writes_nothing(tiny_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    with mock.patch.object(proof, "LARGEST_DIFFERENCE", -1.0):
        assert status("export", tiny_run.path, "--out", out, "--photographs", 5) == 2
    told = capsys.readouterr()
    assert "proof on 5 test photographs of 12" in told.out
    assert "the proof failed, and nothing is written: the logits of 5 differ by more than" in told.err
    assert list(tmp_path.iterdir()) == []


def test_int8_computes_convolutions_in_8_bits(tmp_path: Path) -> None:
    network, side, _, proto = exported_family("plain")
    before = proto.SerializeToString()
    ONNXArtefact(quantised(proto, batches(4, side))).save(tmp_path, {})
    assert proto.SerializeToString() == before, "the graph that is given stays as it is"
    kinds = [node.op_type for node in import_module("onnx").load(tmp_path / "model.onnx").graph.node]
    assert kinds.count("DequantizeLinear") > 0
    _, logits = answers_of(tmp_path, "onnx", pixels(3, side))
    expected = eager(network, pixels(3, side))[1]
    assert 0 < np.abs(logits - expected).max() < 0.5 * np.ptp(expected)


def test_int8_of_a_network_without_convolutions_is_refused() -> None:
    _, side, _, proto = exported_family("plain on a ViT")
    with pytest.raises(
        UserError, match="int8 is of convolutions, but for the first 2 and the last; this network has no"
    ):
        quantised(proto, batches(1, side))


def test_a_pass_in_bf16_is_one() -> None:
    network, side, _, _ = exported_family("plain")
    expected = eager(network, pixels(3, side))[1]
    backbone = network.network.backbone
    backbone.runtime = Bfloat16Pass(backbone)
    try:
        halved = eager(network, pixels(3, side))[1]
    finally:
        backbone.runtime = None
    assert 1e-4 < np.abs(halved - expected).max() < 0.2 * np.ptp(expected)


@pytest.mark.parametrize(
    ("format", "precision", "reason"),
    [
        ("torch", "int8", "precision int8 is not to be had of the format torch: .*; give --format onnx or openvino"),
        ("tflite", "int8", "a format is one of torch, onnx, openvino; got 'tflite'"),
        ("onnx", "int4", "a precision is one of float32, bf16, int8; got 'int4'"),
        ("onnx", "bf16", "precision bf16 is not to be had of the format onnx: .*; give --format torch or openvino"),
    ],
)
def test_what_a_format_does_not_have_is_refused(tiny_run: Run, format: str, precision: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        foveate.export(tiny_run, format=format, precision=precision)


def test_missing_packages_are_named(tiny_run: Run) -> None:
    with (
        mock.patch("foveate.workflows.export.config.find_spec", side_effect=lambda name: name != "onnxscript" or None),
        pytest.raises(UserError, match=r"not installed: onnxscript; pip install 'foveate\[export\]'"),
    ):
        foveate.export(tiny_run)


def test_a_folder_that_is_there_is_not_overwritten(tiny_run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"never overwritten; .* is there; name another folder with --out"):
        foveate.export(tiny_run, out=tmp_path)


def test_a_place_that_takes_no_folder_is_named(tiny_run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*; nothing is written; choose a path"):
        foveate.export(tiny_run, out=tmp_path / "file" / "out", photographs=1, context=QUIET)


def test_an_empty_split_is_named(tiny_run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the validation split must hold photographs"):
        foveate.export(tiny_run, out=tmp_path / "out", split="validation", context=QUIET)
    assert list(tmp_path.iterdir()) == []


def test_of_a_guided_zoom_its_networks_are_exported(made: GuidedZoomRun) -> None:
    with pytest.raises(UserError) as refusal:
        foveate.export(made.path)
    assert f"`foveate export {made.base_run().path}`" in str(refusal.value)
    assert f"`foveate export {made.evidence} --split train`" in str(refusal.value)


def test_a_network_that_is_no_single_graph_is_refused() -> None:
    network = small(lambda backbone: MACNN.create(MACNNConfig(backbone=backbone, parts=2, part_size=64), 5, 64))
    with pytest.raises(UserError, match=r"one graph for every photograph, which a MACNN does not have \(.*plain"):
        traced(network, 96)


def test_an_operation_without_a_form_in_onnx_is_named() -> None:
    class Bessel(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            values: Tensor = torch.special.bessel_j0(images)
            return values.mean((2, 3))

    network = small(lambda _: OwnNetwork.of(Bessel(), classes=3))
    program = traced(network, 64)
    with pytest.raises(UserError, match=r"no form in ONNX: prims.bessel_j0; export it as --format torch"):
        as_onnx(program)


def test_weights_that_no_onnx_file_holds_are_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 GiB, which a network of a few kilobytes stands in for here."""
    monkeypatch.setattr("foveate.workflows.export.artefacts._MOST_BYTES", 100)
    monkeypatch.setattr(torch.onnx, "export", mock.Mock(side_effect=AssertionError("it was begun")))
    network = small(
        lambda _: OwnNetwork.of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3)
    )
    with pytest.raises(UserError, match=r"one file of less than 2 GiB; .* are 0.00 GiB; export it as --format torch"):
        as_onnx(traced(network, 64))


def test_openvino_answers_as_eager_in_a_process_of_its_own(tmp_path: Path) -> None:
    """As `test_runtimes.py` says; the S3N shrinks its first view without aliasing, which ONNX says otherwise."""
    network, side, _, proto = exported_family("s3n")
    ONNXArtefact(proto).save(tmp_path, {})
    shown = pixels(3, side)
    np.save(tmp_path / "shown.npy", shown.numpy())
    code = (
        "import numpy, onnx\n"
        "from foveate.workflows.export.artefacts import OpenVINOArtefact, as_openvino\n"
        "from foveate.workflows.export.foveate_loader import runtime\n"
        "graph = as_openvino(onnx.load('model.onnx'))\n"
        "OpenVINOArtefact(graph, halved=False).save(Path(), {'proof': 'kept'})\n"
        "described = {'format': 'openvino', 'precision': 'float32', 'model': 'model.xml'}\n"
        "numpy.save('answers.npy', runtime(Path(), described, 1)(numpy.load('shown.npy'))[1])\n"
        "import openvino\n"
        "told = openvino.Core().read_model('model.xml').get_rt_info(['foveate', 'proof'])\n"
        "assert told.astype(str) == 'kept', told"
    )
    subprocess.run([sys.executable, "-c", f"from pathlib import Path\n{code}"], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), eager(network, shown)[1], rtol=0, atol=1e-4)


def proof_by(
    logits: list[list[float]], exported: list[list[float]], precision: str = "float32", *, looks_closer: bool = False
) -> Proof:
    """The proof of answers to photographs that are all of class 0."""
    own, theirs = np.array(logits), np.array(exported)
    compared = Compared((own, theirs), (own, theirs), np.zeros(len(own), dtype=np.int64), (2.0, 1.0))
    records = [ImageRecord(str(number), Path(), 0, "owl") for number in range(len(own))]
    asked = {"split": "test", "of": len(own), "batch_size": 8, "megabytes": (2e6, 1e6)}
    return proof_of(compared, records, precision=ExportPrecision(precision), looks_closer=looks_closer, **asked)  # type: ignore[arg-type]


SURE = [[2.0, 1.0]]


def test_a_proof_by_hand() -> None:
    made = proof_by(SURE * 4, [[2.0, 1.0], [2.0, 1.0005], [1.9995, 1.0], [2.0, 1.0]])
    assert made.problem is None
    assert made.logit_difference == pytest.approx(5e-4)
    assert not made.ties
    assert made.other_top1 == 0
    assert (made.top1, made.exported_top1, made.megabytes, made.exported_megabytes) == (1, 1, 2, 1)
    assert "the same top-1 in all" in made.lines()[0]


@pytest.mark.parametrize("other", [[1.0, 2.0], [2.0, 1.002], [float("nan"), 1.0]], ids=["other", "near", "none"])
def test_a_network_that_looks_once_has_no_ties(other: list[float]) -> None:
    problem = proof_by(SURE * 400, [*SURE * 399, other]).problem
    assert problem == "the logits of 1 differ by more than 0.001, or their best classes ('399' first); none may"


@pytest.mark.parametrize(("ties", "proved"), [(2, True), (3, False)])
def test_where_peaks_tie_a_half_per_cent_may_differ(ties: int, proved: bool) -> None:
    made = proof_by(SURE * 400, [*SURE * (400 - ties), *[[1.0, 2.0]] * ties], looks_closer=True)
    assert (made.problem is None) is proved
    assert f"another top-1 in {ties}; a peak falls otherwise in {ties} of them" in made.lines()[0]
    assert made.logit_difference == 0


@pytest.mark.parametrize(("lost", "proved"), [(2, True), (3, False)])
def test_int8_may_lose_half_a_point(lost: int, proved: bool) -> None:
    made = proof_by(SURE * 400, [*[[3.0, 1.0]] * (400 - lost), *[[1.0, 2.0]] * lost], "int8")
    assert (made.problem is None) is proved
    assert (made.ties, made.other_top1) == ((), lost)
