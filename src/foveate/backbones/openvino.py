"""What passes images through a network when nothing is learned: torch itself, or OpenVINO in its place.

OpenVINO is an extra (`openvino`) and computes on the processor. Only whole passes go through it:
what looks into a network, as excitation backprop does, has torch's modules before it as ever.

OpenVINO tells its makers of its use, at its import and by `openvino.convert_model`, unless its package for that is
missing. Here it is imported as if it were, and its front end is called directly.
"""

from __future__ import annotations

import copy
import importlib
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone
from foveate.backbones.own_cnns import OwnCNN
from foveate.config.hardware import Runtime
from foveate.errors import UserError

_LOCK = threading.Lock()
"""Held while OpenVINO is imported and while a model is made: both change what all threads share."""
_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVINOPass:
    """What a module makes of images, without gradients; may be called from several threads.

    For each size of image a model is compiled when it is first seen, which takes seconds; the number of images is free.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        """Keep the module for later.

        Args:
            module: In evaluation mode, from one tensor to one tensor; later changes to its weights are not seen.
            dtype: What convolutions are computed in: float32, or bfloat16 where the processor has it.
        """
        self._module = module
        self._dtype = dtype
        self._models: dict[torch.Size, Any] = {}

    def __call__(self, images: Float[Tensor, "b 3 H W"]) -> Tensor:
        """Return what the module makes of normalised images, in float32."""
        size = images.shape[2:]
        with _LOCK:
            if size not in self._models:
                self._models[size] = self._compiled(images)
        (output,) = self._models[size].infer_new_request([images.float().contiguous().numpy()]).values()
        return torch.from_numpy(output)

    def __deepcopy__(self, memo: dict[int, object]) -> OpenVINOPass:
        """Return a pass through a copy of the module, nothing being compiled yet."""
        return OpenVINOPass(copy.deepcopy(self._module, memo), self._dtype)

    def _compiled(self, images: Float[Tensor, "b 3 H W"]) -> Any:
        openvino, decoder = _openvino(""), _openvino(".frontend.pytorch.ts_decoder")
        front_end = _openvino(".frontend").FrontEndManager().load_by_framework("pytorch")
        with torch.inference_mode(False), torch.no_grad(), _undisturbed():
            example = torch.zeros(2, *images.shape[1:])
            traced = decoder.TorchScriptPythonDecoder(self._module, example_input=example)
            model = front_end.convert(front_end.load(traced))
            model.reshape({model.inputs[0]: openvino.PartialShape([-1, *images.shape[1:]])})
            settings = {
                "INFERENCE_PRECISION_HINT": _PRECISIONS[self._dtype],
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "ENABLE_CPU_PINNING": False,  # several processes would hold on to the same cores
            }
            return openvino.compile_model(model, "CPU", settings)


def run_by(backbone: Backbone | OwnCNN, runtime: Runtime, device: torch.device, dtype: torch.dtype) -> None:
    """Have a backbone pass its images through a runtime.

    What is no backbone stays torch's: heads, S3N's saliency network, the part networks of an MA-CNN that has several.
    A looker has a backbone of its own.

    Raises:
        UserError: The runtime is not installed, or does not compute on this device.
    """
    if runtime is Runtime.TORCH:
        return
    if device.type != "cpu":
        raise UserError(
            f"OpenVINO computes on the processor; got the device {device.type}; give --hardware.accelerator cpu, or "
            "--hardware.runtime torch"
        )
    with _LOCK:
        _openvino("")
    # The copy shares all modules, and is what torch runs of them.
    backbone.runtime = OpenVINOPass(copy.copy(backbone), dtype)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold off the caller's autocast, and warnings: the decoder still uses what torch deprecates."""
    with torch.autocast("cpu", enabled=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _openvino(part: str) -> Any:
    reporter = "openvino_telemetry"
    known = sys.modules.get(reporter)
    if "openvino" not in sys.modules:
        sys.modules[reporter] = None  # type: ignore[assignment]  # Python's way to say that it cannot be imported
    try:
        return importlib.import_module(f"openvino{part}")
    except ImportError as error:
        raise UserError(
            "the runtime openvino needs the package openvino; it is not installed; "
            "pip install openvino, or give --hardware.runtime torch"
        ) from error
    finally:
        if sys.modules.get(reporter) is None:
            sys.modules.pop(reporter, None)
        if known is not None:
            sys.modules[reporter] = known
