"""A graph as the file of each format, with what it says of itself inside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch.export import ExportedProgram

from foveate.errors import UserError
from foveate.workflows.export.config import ExportFormat
from foveate.workflows.export.traced import first_words, quiet

METADATA = "foveate"
"""Under which name, and beginning of names, a file says of itself what it is and how it was proved."""
_MOST_BYTES = 2**31 - 2**24
"""Of the weights in an ONNX file: protobuf's limit, less room for the graph."""
_OPERATION = re.compile(r"OpOverload\(op='([\w.]+)'")


class Artefact(Protocol):
    """An exported network, in memory."""

    @property
    def model(self) -> str:
        """The name of its file."""

    def save(self, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write its file, with texts about it inside, and whatever lies beside it."""


@dataclass(frozen=True)
class TorchArtefact:
    """For `torch.export.load`."""

    program: ExportedProgram
    model: str = "model.pt2"

    def save(self, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write it; the texts are extra files in it."""
        torch.export.save(self.program, folder / self.model, extra_files=_named(metadata))


@dataclass(frozen=True)
class ONNXArtefact:
    """For onnxruntime, and what else reads ONNX."""

    proto: Any
    """An `onnx.ModelProto`."""
    model: str = "model.onnx"

    def save(self, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write it; the texts are its metadata."""
        onnx = import_module("onnx")
        onnx.helper.set_model_props(self.proto, _named(metadata))
        onnx.save(self.proto, folder / self.model)


@dataclass(frozen=True)
class OpenVINOArtefact:
    """For OpenVINO."""

    graph: Any
    """An `openvino.Model`."""
    halved: bool
    """Whether weights are kept in 16 bits."""
    model: str = "model.xml"

    def save(self, folder: Path, metadata: Mapping[str, str]) -> None:
        """Write it and its weights; the texts are its runtime information."""
        for name, text in metadata.items():
            self.graph.set_rt_info(text, [METADATA, name])
        import_module("openvino").save_model(self.graph, folder / self.model, compress_to_fp16=self.halved)


def _named(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"{METADATA}.{name}": text for name, text in metadata.items()}


def as_onnx(program: ExportedProgram) -> Any:
    """Return a graph as an `onnx.ModelProto` from `pixels` to `probabilities` and `logits`.

    Raises:
        UserError: One of its operations has no form in ONNX, or its weights are too large for one file.
    """
    held = (*program.state_dict.values(), *program.constants.values())
    count = sum(each.nbytes for each in held if isinstance(each, torch.Tensor))
    if count > _MOST_BYTES:
        raise UserError(
            "an ONNX graph, of which OpenVINO's is made too, is one file of less than 2 GiB; the network's weights are "
            f"{count / 2**30:.2f} GiB; export it as --format {ExportFormat.TORCH}, or take a smaller network"
        )
    with quiet("torch.onnx"):
        try:
            exported = torch.onnx.export(
                program,
                dynamo=True,
                input_names=["pixels"],
                output_names=["probabilities", "logits"],
                verbose=False,
                external_data=False,
            )
        except Exception as error:  # the exporter raises its own, changing, errors, one in another
            raise UserError(
                f"an operation of the network has no form in ONNX: {_operation_in(error)}; export it as "
                f"--format {ExportFormat.TORCH}, or take a network without it"
            ) from error
    assert exported is not None
    proto = exported.model_proto
    for node in proto.graph.node:  # each would name the lines of code that it comes from, and where they lie
        node.ClearField("metadata_props")
    return proto


def as_openvino(proto: Any) -> Any:
    """Return an `openvino.Model` of an ONNX graph; where that shrinks without aliasing, so does this."""
    openvino, operations = import_module("openvino"), import_module("openvino.opset11")
    graph = openvino.Core().read_model(proto.SerializeToString())
    for node in graph.get_ops():
        if node.get_type_name() != "Interpolate" or not node.get_attributes()["antialias"]:
            continue
        # Read from ONNX it would pass for one that aliases.
        shape = node.output(0).get_partial_shape()
        sizes = np.array([shape[axis].get_length() for axis in (2, 3)])
        shrunk = operations.interpolate(node.input_value(0), sizes, "bilinear_pillow", "sizes", axes=np.array([2, 3]))
        node.output(0).replace(shrunk.output(0))
    return graph


def _operation_in(error: BaseException) -> str:
    """Return the name of the operation that an error of the exporter is about, or its words where it names none."""
    while error.__cause__ is not None:
        error = error.__cause__
    match = _OPERATION.search(str(error))
    return first_words(error) if match is None else match[1]
