"""Answers: the plain network against a user's loop, S3N against its three backbone passes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from foveate.config.hardware import Runtime
from foveate.s3n.network import S3N
from harness import Built, Case, Side
from networks import (
    FAST,
    PRESETS,
    Scale,
    bare,
    bare_inference,
    cast,
    dtype_of,
    pixels,
    placed,
    plain,
    ready_views,
    s3n,
    smoke,
    three_passes,
)


def plain_inference(scale: Scale, quick: bool) -> Built:
    """The classifier as it predicts, by torch and by OpenVINO, and a user's loop, fast and as it comes."""
    scale = smoke(scale) if quick else scale
    images, classifier = pixels(scale), placed(plain(scale))
    sides: dict[str, Side] = {
        "foveate": lambda: classifier.probabilities(images[:, None]),
        "bare": bare_inference(bare(scale), images, dtype_of(), torch.channels_last),
        "bare_float32": bare_inference(bare(scale), images, torch.float32, torch.contiguous_format),
    }
    if not quick:  # a test shares no process with OpenVINO (tests/test_runtimes.py)
        openvino = placed(plain(scale), replace(FAST, accelerator="cpu", runtime=Runtime.OPENVINO))
        sides["openvino"] = lambda: openvino.probabilities(images[:, None])
    return Built(
        sides=sides,
        reference="bare_float32",
        settings=scale.settings(),
        uncounted=("openvino",),
    )


def s3n_inference(preset: str, scale: Scale, quick: bool) -> Built:
    """S3N, its three passes over views that are ready, and the pass of a plain network."""
    scale = smoke(scale) if quick else scale
    images, classifier = pixels(scale), placed(s3n(scale, preset))
    network, single = classifier.network, placed(plain(scale))
    assert isinstance(network, S3N)
    original, views = ready_views(network, classifier.inputs(images))

    def passes() -> None:
        with torch.inference_mode(), cast(classifier.dtype):
            classifier.inputs(images)
            three_passes(network, original, views)

    return Built(
        sides={"s3n": lambda: classifier.logits(images), "passes": passes, "plain": lambda: single.logits(images)},
        reference="passes",
        settings={**scale.settings(), "preset": preset},
    )


TRANSFORMERS = {
    "convnext_tiny": "convnext_tiny",
    "swin_tiny": "swin_tiny_patch4_window7_224",
    "vit_small": "vit_small_patch16_224",
}
"""Architectures of timm by their short names; Swin and ViT at the one size that their positions are of."""
LARGE = Scale(architecture="resnet50", size=448, batch=4)

CASES = (
    Case(name="inference_plain", build=partial(plain_inference, Scale())),
    *(
        Case(name="inference_plain", at={"batch": batch}, build=partial(plain_inference, Scale(batch=batch)))
        for batch in (1, 4, 64)
    ),
    *(
        Case(name=f"inference_{name}", build=partial(plain_inference, Scale(architecture=architecture, batch=4)))
        for name, architecture in TRANSFORMERS.items()
    ),
    *(Case(name=f"inference_s3n_{preset}", build=partial(s3n_inference, preset, Scale())) for preset in PRESETS),
    Case(name="inference_s3n_resnet50", build=partial(s3n_inference, "foveate", LARGE)),
    *(
        Case(name="inference_s3n", at={axis: value}, build=partial(s3n_inference, "foveate", scale))
        for axis, values in {"batch": (1, 4, 16, 64), "size": (160, 224, 320, 448)}.items()
        for value in values
        for scale in (Scale(batch=value) if axis == "batch" else Scale(batch=8, size=value),)
    ),
)
