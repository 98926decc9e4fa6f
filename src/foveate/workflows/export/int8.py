"""Convolutions of 8-bit numbers, whose scales are found on training photographs: onnxruntime's static quantisation."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from foveate.errors import UserError
from foveate.workflows.export.traced import quiet

CALIBRATED_ON = 128
"""Training photographs, evenly spread over the list of them."""
_CONVOLUTION = "Conv"
"""What is quantised. Heads, response, peaks, attention, grid and resampling stay float32: they cost little, and a
response of 256 steps has ties for peaks."""
_FIRST, _LAST = 2, 1
"""Convolutions that stay float32: of a backbone's some 50 they change the answers most."""


def quantised(proto: Any, images: Iterable[UInt8[Tensor, "b H W 3"]]) -> Any:
    """Return an ONNX graph whose convolutions take 8-bit numbers.

    Weights have a scale for each channel, what flows between convolutions one for each tensor, from its smallest to
    its largest value.

    Args:
        proto: An `onnx.ModelProto` of `as_onnx`.
        images: Training photographs as the network is shown them.

    Raises:
        UserError: It has no convolution beside those that stay float32, as a vision transformer.
    """
    exact = _exact(proto)
    if not any(node.op_type == _CONVOLUTION and node.name not in exact for node in proto.graph.node):
        raise UserError(
            f"int8 is of convolutions, but for the first {_FIRST} and the last; this network has none beside them, as "
            "a vision transformer; give --precision float32, or bf16 with --format openvino or torch"
        )
    onnx, quantisation = import_module("onnx"), import_module("onnxruntime.quantization")

    class Reader(quantisation.CalibrationDataReader):  # type: ignore[misc, name-defined]  # an extra's class
        def __init__(self) -> None:
            self.batches = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"pixels": batch.numpy()}

    with TemporaryDirectory() as folder, quiet(""):
        file = Path(folder) / "quantised.onnx"
        quantisation.quantize_static(
            deepcopy(proto),  # it moves the weights of what it is given into files of its own
            file,
            Reader(),
            quant_format=quantisation.QuantFormat.QDQ,
            op_types_to_quantize=[_CONVOLUTION],
            nodes_to_exclude=exact,
            per_channel=True,
            activation_type=quantisation.QuantType.QUInt8,
            weight_type=quantisation.QuantType.QInt8,
        )
        return onnx.load(file)


def _exact(proto: Any) -> list[str]:
    """Return the names of the convolutions that stay float32; one that several views pass through is one."""
    convolutions = [node for node in proto.graph.node if node.op_type == _CONVOLUTION]
    weights = list(dict.fromkeys(node.input[1] for node in convolutions))
    exact = {*weights[:_FIRST], *weights[-_LAST:]}
    return [node.name for node in convolutions if node.input[1] in exact]
