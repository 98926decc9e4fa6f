"""What can be exported: formats, precisions, and which of them go together; light to import (no torch)."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from typing import NoReturn

from foveate.errors import UserError


class ExportFormat(StrEnum):
    """Whose file an exported network is."""

    TORCH = "torch"
    """`model.pt2`, for `torch.export.load`."""
    ONNX = "onnx"
    """`model.onnx`, for onnxruntime and whatever else reads ONNX."""
    OPENVINO = "openvino"
    """`model.xml` and `model.bin`, for OpenVINO."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise UserError(f"a format is one of {', '.join(cls)}; got {value!r}; give one of them")


class ExportPrecision(StrEnum):
    """In which numbers an exported backbone computes.

    What decides where to look stays float32; but of OpenVINO's bf16, which leaves no choice.
    """

    FLOAT32 = "float32"
    BF16 = "bf16"
    """Half the bits, the range of float32; fast where the processor multiplies it."""
    INT8 = "int8"
    """A quarter of the bits: convolutions of 8-bit numbers, whose scales are found on training photographs."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise UserError(f"a precision is one of {', '.join(cls)}; got {value!r}; give one of them")


PACKAGES: dict[ExportFormat, tuple[str, ...]] = {
    ExportFormat.TORCH: (),
    ExportFormat.ONNX: ("onnx", "onnxscript", "onnxruntime"),
    ExportFormat.OPENVINO: ("onnx", "onnxscript", "onnxruntime", "openvino"),
}
"""What writes and proves each format: OpenVINO's is made of ONNX."""

_REFUSED = {
    (ExportFormat.TORCH, ExportPrecision.INT8): "torch has no quantised convolutions of its own any more",
    (ExportFormat.ONNX, ExportPrecision.BF16): "onnxruntime computes no convolution in bf16 on a processor",
}


def check_exports(form: ExportFormat, precision: ExportPrecision) -> None:
    """Refuse a precision that a format does not have, and a format whose packages are missing.

    Raises:
        UserError: It says what to take in their place, or to install.
    """
    if (reason := _REFUSED.get((form, precision))) is not None:
        others = [other for other in ExportFormat if (other, precision) not in _REFUSED]
        raise UserError(
            f"precision {precision} is not to be had of the format {form}: {reason}; "
            f"give --format {' or '.join(others)}, or --precision {ExportPrecision.FLOAT32}"
        )
    missing = [name for name in PACKAGES[form] if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the format {form} needs the packages {', '.join(PACKAGES[form])}; not installed: {', '.join(missing)}; "
            "pip install 'foveate[export]'"
        )
