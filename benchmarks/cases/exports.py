"""Exported networks: every format and precision by its own runtime, against the run's network in torch.

And from the file of a photograph on: the loader without torch against Foveate, each decoding with one thread. The
packages of the extra `export` are needed.
"""

from __future__ import annotations

import tempfile
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cases.photographs import camera_photographs
from foveate.config.data import TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.images import LARGEST_ASPECT, SMALLEST_SIDE, read_views
from foveate.data.transforms import centres
from foveate.inference.classifier import Classifier
from foveate.types import Size
from foveate.workflows.export import foveate_loader
from foveate.workflows.export.artefacts import (
    Artefact,
    ONNXArtefact,
    OpenVINOArtefact,
    TorchArtefact,
    as_onnx,
    as_openvino,
)
from foveate.workflows.export.config import ExportFormat, ExportPrecision
from foveate.workflows.export.int8 import quantised
from foveate.workflows.export.traced import AnsweringNetwork, Bfloat16Pass, traced
from harness import Built, Case, Side
from networks import FAST, SLOW, Scale, bare, bare_inference, pixels, placed, plain, s3n, smoke

_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends
_CALIBRATING = 16  # images of noise: the speed of 8-bit numbers does not depend on their scales
MISSING = "needs onnx, onnxscript, onnxruntime (and openvino): pip install 'foveate[export]'"


def classifier_of(scale: Scale, method: str, hardware: HardwareConfig) -> Classifier:
    """Return a plain network or an S3N of Foveate's preset."""
    return placed(s3n(scale, "foveate") if method == "s3n" else plain(scale), hardware)


def artefacts(scale: Scale, method: str, quick: bool) -> dict[str, Artefact]:
    """Return every form that there is, by format and precision; quick: float32, of S3N torch's alone."""
    program = traced(AnsweringNetwork(classifier_of(scale, method, SLOW)), scale.size)
    forms: dict[str, Artefact] = {"torch-float32": TorchArtefact(program)}
    if not quick:
        halved = classifier_of(scale, method, SLOW)
        halved.network.backbone.runtime = Bfloat16Pass(halved.network.backbone)
        forms["torch-bf16"] = TorchArtefact(traced(AnsweringNetwork(halved), scale.size))
    if find_spec("onnxscript") is None or find_spec("onnxruntime") is None or (quick and method == "s3n"):
        return forms
    proto = as_onnx(program)
    forms["onnx-float32"] = ONNXArtefact(proto)
    if quick:
        return forms
    whole = {"openvino-float32": proto, "openvino-bf16": proto}
    if method == "plain" and scale.architecture.startswith(("tf_efficientnet", "convnext", "resnet")):
        shown = (each[None] for each in pixels(Scale(size=scale.size, batch=_CALIBRATING)))
        small = quantised(as_onnx(program), shown)
        forms["onnx-int8"], whole["openvino-int8"] = ONNXArtefact(small), small
    if find_spec("openvino") is not None:
        for name, each in whole.items():
            forms[name] = OpenVINOArtefact(as_openvino(each), halved=name.endswith("bf16"))
    return forms


def runtimes(forms: dict[str, Artefact]) -> dict[str, foveate_loader.Network]:
    """Return each form's network as the loader without torch runs it, with as many threads as torch has."""
    folder = tempfile.TemporaryDirectory()
    _FOLDERS.append(folder)
    networks: dict[str, foveate_loader.Network] = {}
    for name, artefact in forms.items():
        form, precision = name.split("-")
        place = Path(folder.name) / name
        place.mkdir()
        artefact.save(place, {})
        described = {
            "format": ExportFormat(form).value,
            "precision": ExportPrecision(precision).value,
            "model": artefact.model,
        }
        networks[name] = foveate_loader.runtime(place, described, torch.get_num_threads())
    return networks


def exported(method: str, scale: Scale, quick: bool) -> Built:
    """Return the run's network in float32, as it predicts here, and exported; of a plain one a bare loop."""
    scale = smoke(scale) if quick else scale
    images = pixels(scale)
    shown = images.numpy()
    eager, fast = classifier_of(scale, method, SLOW), classifier_of(scale, method, FAST)
    forms = runtimes(artefacts(scale, method, quick))
    sides: dict[str, Side] = {
        "eager_float32": lambda: eager.probabilities(images[:, None]),
        "foveate": lambda: fast.probabilities(images[:, None]),
        **{name: partial(network, shown) for name, network in forms.items()},
    }
    if method == "plain":
        sides["bare_float32"] = bare_inference(bare(scale), images, torch.float32, torch.contiguous_format)
    return Built(
        sides=sides,
        reference="bare_float32" if method == "plain" else "eager_float32",
        settings={**scale.settings(), "method": method},
        skipped={} if quick or "onnx-float32" in forms else {"onnx and openvino": MISSING},
        uncounted=tuple(forms),
    )


@cache
def described(size: int) -> dict[str, int]:
    """Return the views of an artefact's description."""
    sizes = {"resize_size": 8 * size // 7, "input_size": size, "source_size": size}
    limits = {"smallest_side": SMALLEST_SIDE, "largest_aspect": int(LARGEST_ASPECT), "largest_megapixels": 200}
    return sizes | limits


def from_files(quick: bool) -> Built:
    """Return what answers for files of 12 megapixels: the loader with onnxruntime, and Foveate, with and without it.

    The side `whole` decodes them as they are.
    """
    scale = smoke(Scale(batch=8)) if quick else Scale(batch=8)
    files = camera_photographs(scale.batch, (160, 120) if quick else (4000, 3000))
    classifier, config = placed(plain(scale)), TransformConfig(input_size=scale.size, resize_size=8 * scale.size // 7)
    views = partial(centres, transforms=(config,))
    wanted = "torch-float32" if quick else "onnx-float32"
    forms = runtimes({name: form for name, form in artefacts(scale, "plain", True).items() if name == wanted})

    def answered(shown: list[Image.Image]) -> None:
        classifier.probabilities(torch.from_numpy(np.stack([np.asarray(each) for each in shown]))[:, None])

    def foveate() -> None:
        answered([read_views(file, views).pictures()[0] for file in files])

    def whole() -> None:
        opened = [Image.open(file) for file in files]
        answered([view.pixels(each) for each in opened for view in views(Size(*each.size))])

    sides: dict[str, Side] = {"foveate": foveate, "whole": whole}
    for name, network in forms.items():
        artefact = foveate_loader.Artefact({"views": described(scale.size), "class_names": ()}, network)
        sides[f"loader_{name}"] = lambda artefact=artefact: list(artefact.predict_many(files))  # type: ignore[misc]
    return Built(
        sides=sides,
        reference="whole",
        images=len(files),
        settings=scale.settings() | {"megapixels": 12},
        skipped={} if forms else {"loader": MISSING},
        uncounted=tuple(sides),
    )


_EXPORTED = {"exported_plain": ("plain", Scale()), "exported_s3n": ("s3n", Scale(batch=8))}

CASES = (
    *(Case(name=name, build=partial(exported, method, scale)) for name, (method, scale) in _EXPORTED.items()),
    Case(name="exported_plain", at={"batch": 1}, build=partial(exported, "plain", Scale(batch=1))),
    Case(name="from_files", build=from_files),
)
