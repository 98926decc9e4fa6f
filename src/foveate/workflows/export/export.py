"""Export a run's network as one file for a runtime, proved on photographs: `foveate.export`."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from foveate._version import __version__
from foveate.config.checks import require_count
from foveate.config.data import Split
from foveate.config.hardware import HardwareConfig, Runtime
from foveate.data.images import LARGEST_ASPECT, SMALLEST_SIDE
from foveate.data.loading import Batch, EvaluationViews, evaluation_loader
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.files.atomic import mend_of
from foveate.files.documents import unstructured, write_json
from foveate.files.hashes import hash_of_file
from foveate.progress import progress
from foveate.runs.context import HERE, RunContext
from foveate.runs.environment import environment
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.workflows.export import foveate_loader
from foveate.workflows.export.artefacts import (
    Artefact,
    ONNXArtefact,
    OpenVINOArtefact,
    TorchArtefact,
    as_onnx,
    as_openvino,
)
from foveate.workflows.export.config import PACKAGES, ExportFormat, ExportPrecision, check_exports
from foveate.workflows.export.int8 import CALIBRATED_ON, quantised
from foveate.workflows.export.proof import Proof, compare, proof_of
from foveate.workflows.export.traced import AnsweringNetwork, Bfloat16Pass, traced

_PROOF = "proof.json"


@dataclass(frozen=True, slots=True)
class Exported:
    """A proved artefact on disk."""

    path: Path
    """Its folder: the model, `foveate.json`, `proof.json` and `foveate_loader.py`, which answers without Foveate."""
    proof: Proof


def export(
    run: Run | Path | str,
    *,
    format: ExportFormat | str = ExportFormat.ONNX,
    precision: ExportPrecision | str = ExportPrecision.FLOAT32,
    out: Path | str | None = None,
    split: Split | str = Split.TEST,
    photographs: int | None = None,
    context: RunContext = HERE,
) -> Exported:
    """Write a run's network as one file for a runtime, from 8-bit pixels to calibrated probabilities, and prove it.

    The photographs of a split pass through the run's network, in float32, and through the file. In float32 their logits
    must agree to 0.001; where a network looks closer, peaks may tie otherwise for at most 0.5% of them. In bf16 and
    int8 at most 0.5 points of top-1 may be lost. Else nothing is written.

    Args:
        run: A finished run, or its folder.
        format: Whose file.
        precision: In which numbers the backbone computes.
        out: The new folder; None: ``exported/FORMAT-PRECISION`` in the run's.
        split: Whose photographs prove it.
        photographs: How many of them, evenly spread; None: all.
        context: As `RunContext` says; of its hardware, the processor computes, whatever it says.

    Raises:
        UserError: The folder is there, a package is missing, the format does not have the precision, the network is no
            single graph (a Guided Zoom, an MA-CNN) or has an operation that ONNX has not; the split is empty, or the
            proof failed.
    """
    form, precision, split = ExportFormat(format), ExportPrecision(precision), Split(split)
    check_exports(form, precision)
    run = _single(run)
    target = Path(out).expanduser() if out is not None else run.path / "exported" / f"{form}-{precision}"
    _check_new(target)
    if photographs is not None:
        require_count("photographs", photographs)
    context = replace(context, hardware=_float32(context.hardware))
    of_split = context.photographs_of(run, split, announced=True)
    records = context.readable(run, _spread(of_split, photographs))
    context.say(f"exporting {run.path.name} as {form}, {precision}")
    with _new_folder(target) as folder:
        artefact = _artefact(run, form, precision, context)
        artefact.save(folder, {})
        proof = _proved(run, artefact, folder, records, _Asked(form, precision, split, len(of_split)), context)
        _check_holds(proof, context.say)
        _finish(folder, run, artefact, proof, form)
    context.say(f"{artefact.model}, its proof and foveate_loader.py are in {target}")
    return Exported(target, proof)


def _single(run: Run | Path | str) -> Run:
    """Open a run; of a Guided Zoom, say which artefacts stand in its place."""
    if isinstance(run, Run) or not GuidedZoomRun.is_at(Path(run).expanduser()):
        return Run.of(run)
    zoom = GuidedZoomRun.open(Path(run).expanduser())
    raise UserError(
        f"what is exported is one graph; a Guided Zoom, such as {zoom.path}, asks two networks in turn, as often as a "
        f"photograph needs it; export these, each alone: `foveate export {zoom.base_run().path}`, whose answers are "
        f"those before the evidence, and `foveate export {zoom.evidence} --split train`, which answers for patches"
    )


def _check_holds(proof: Proof, say: Callable[[str], None]) -> None:
    """Say what was found; refuse an artefact that is not proved."""
    for line in proof.lines():
        say(line)
    if proof.problem is not None:
        raise UserError(
            f"the proof failed, and nothing is written: {proof.problem}; "
            f"take another --format, or --precision {ExportPrecision.FLOAT32}"
        )


def _check_new(target: Path) -> None:
    if target.exists():
        raise UserError(f"what was exported is never overwritten; {target} is there; name another folder with --out")


def _float32(hardware: HardwareConfig) -> HardwareConfig:
    return replace(hardware, accelerator="cpu", precision="float32", runtime=Runtime.TORCH)


def _spread(records: Sequence[ImageRecord], number: int | None) -> Sequence[ImageRecord]:
    """Return so many records, evenly spread over them; None: all."""
    if number is None or number >= len(records):
        return records
    return [records[place] for place in np.linspace(0, len(records) - 1, number).astype(int)]


def _artefact(run: Run, form: ExportFormat, precision: ExportPrecision, context: RunContext) -> Artefact:
    """Return the exported network."""
    # An artefact's images lie in memory as they are decoded, whatever is fast here.
    placed = replace(context, hardware=replace(context.hardware, channels_last=False)).classifier_of(run)
    if form is ExportFormat.TORCH and precision is ExportPrecision.BF16:
        for backbone in placed.network.backbones:
            backbone.runtime = Bfloat16Pass(backbone)
    program = traced(AnsweringNetwork(placed), run.config.transforms.source)
    if form is ExportFormat.TORCH:
        return TorchArtefact(program)
    proto = as_onnx(program)
    if precision is ExportPrecision.INT8:
        proto = quantised(proto, _calibrating(run, context))
    if form is ExportFormat.ONNX:
        return ONNXArtefact(proto)
    return OpenVINOArtefact(as_openvino(proto), halved=precision is ExportPrecision.BF16)


def _calibrating(run: Run, context: RunContext) -> Iterator[UInt8[Tensor, "b H W 3"]]:
    """Yield training photographs, each as it is shown to the network."""
    records = context.readable(run, _spread(context.photographs_of(run, Split.TRAIN), CALIBRATED_ON))
    with progress("calibrating", len(records), context.say) as advance:
        for number, batch in enumerate(_batches(run, records, 1, context), 1):
            yield batch.images[:, 0]
            advance(number)


def _batches(run: Run, records: Sequence[ImageRecord], size: int, context: RunContext) -> Iterator[Batch]:
    views = EvaluationViews(records, run.config.transforms)
    yield from evaluation_loader(views, size, workers=context.hardware.workers)


class _Asked(NamedTuple):
    """What was asked for."""

    form: ExportFormat
    precision: ExportPrecision
    split: Split
    photographs: int
    """How many the split has."""


def _proved(
    run: Run, artefact: Artefact, folder: Path, records: Sequence[ImageRecord], asked: _Asked, context: RunContext
) -> Proof:
    """Return what the saved artefact proves to be."""
    classifier = context.classifier_of(run)
    described = {"format": asked.form.value, "precision": asked.precision.value, "model": artefact.model}
    exported = foveate_loader.runtime(folder, described, torch.get_num_threads())

    def shown() -> Iterator[Batch]:
        with progress("proving", len(records), context.say) as advance:
            for number, batch in enumerate(_batches(run, records, context.batch_size, context), 1):
                yield batch
                advance(min(number * context.batch_size, len(records)))

    return proof_of(
        compare(classifier, AnsweringNetwork(classifier), exported, shown()),
        records,
        precision=asked.precision,
        split=asked.split.value,
        of=asked.photographs,
        looks_closer=classifier.passes > 1,
        batch_size=context.batch_size,
        megabytes=(run.weights.stat().st_size, sum(each.stat().st_size for each in folder.iterdir())),
    )


def _finish(folder: Path, run: Run, artefact: Artefact, proof: Proof, form: ExportFormat) -> None:
    """Write what it says of itself, inside the model and beside it, and the loader."""
    transforms = run.config.transforms
    # What goes to others names no photograph.
    proved = unstructured(proof) | {"ties": len(proof.ties), "environment": _environment(form)}
    description = {
        "foveate": __version__,
        "run": run.path.name,
        "format": form.value,
        "precision": proof.precision.value,
        "model": artefact.model,
        "class_names": list(run.class_names),
        "views": {
            "resize_size": transforms.resize_size,
            "input_size": transforms.input_size,
            "source_size": transforms.source,
            "smallest_side": SMALLEST_SIDE,
            "largest_aspect": LARGEST_ASPECT,
            "largest_megapixels": run.config.data.largest_megapixels,
        },
    }
    artefact.save(folder, {"description": json.dumps(description), "proof": json.dumps(proved)})
    files = {each.name: hash_of_file(each) for each in sorted(folder.iterdir())}
    write_json(folder / _PROOF, proved)
    write_json(folder / foveate_loader.DESCRIPTION, description | {"files": files}, foveate_loader.SCHEMA_VERSION)
    shutil.copyfile(foveate_loader.__file__, folder / "foveate_loader.py")


def _environment(form: ExportFormat) -> dict[str, Any]:
    """Return the code and machine, with the packages of the format."""
    here = environment()
    del here["command"]  # which names folders of this machine, where the artefact goes to others
    return here | {"packages": here["packages"] | {name: version(name) for name in PACKAGES[form]}}


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target` that becomes it when the block succeeds, and is removed when not."""
    folder = target.with_name(f".exporting-{secrets.token_hex(6)}")
    try:
        folder.mkdir(parents=True)
        yield folder
        folder.rename(target)
    except OSError as error:
        mend = mend_of(error, new=not folder.exists())
        if mend is None:
            raise
        raise UserError(
            f"cannot write {target}: {os.strerror(error.errno or 0)}; nothing is written; {mend}"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
