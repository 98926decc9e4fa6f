"""Guided Zoom: Algorithm 1 in full, shared, gated and best first, against one pass of its conventional network.

How many passes are shared or spared depends on the photographs and on what was learned. Without a trained Guided Zoom
(`ZOOM` in the environment, a folder of `foveate guided-zoom`) drawn birds and ImageNet's features with random heads
stand in: the costs of a pass are right, their number is not a trained network's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from foveate.config.data import TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.config.networks import PlainConfig
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.grounding.create import create_grounding, grounding_layer
from foveate.grounding.excitation.backprop import ExcitationBackprop
from foveate.guided_zoom.algorithm_1 import decide
from foveate.guided_zoom.best_first import decide_best_first
from foveate.guided_zoom.config import PatchConfig, PoolConfig, RefinementConfig
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.evidence_rounds import evidence_round, first_round
from foveate.guided_zoom.guided_zoom import GuidedZoom
from foveate.guided_zoom.refiner import Refiner
from foveate.networks.network import Network
from foveate.networks.plain import PlainNetwork
from foveate.plumage import PlumageConfig, render
from foveate.runs.context import HERE
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.types import Grounding, HoldingGrounding
from foveate.workflows.load_guided_zoom import load_guided_zoom
from harness import Built, Case, Side
from networks import FAST, SLOW, Scale, bare, bare_inference, pixels, placed, plain, smoke


def drawn(count: int, side: int) -> Tensor:
    """Return drawn birds as decoded pixels."""
    config = PlumageConfig(species=20, size=64 if side < 128 else 256)
    pictures = [render(config, index % 20, index).image.resize((side, side)) for index in range(count)]
    return torch.from_numpy(np.stack([np.asarray(each) for each in pictures]))


def network_of(scale: Scale, seed: int) -> PlainNetwork:
    """Return ImageNet's features where they come without a download, and a random head that is of some opinion."""
    network = plain(scale)
    if scale.architecture == Scale().architecture:
        network = PlainNetwork.create(PlainConfig(), scale.classes)
    nn.init.normal_(network.backbone.classifier.weight, std=0.15, generator=torch.Generator().manual_seed(seed))
    return network


def conventional(scale: Scale, hardware: HardwareConfig) -> ConventionalCNN:
    """Return the network whose answers are questioned, grounded by contrastive excitation backprop."""
    return ConventionalCNN.place(network_of(scale, 0), PoolConfig.paper().grounding, hardware)


@dataclass(frozen=True)
class Shown:
    """A Guided Zoom and a batch of photographs, as its network sees them and as patches are cut from them."""

    zoom: GuidedZoom
    config: RefinementConfig
    images: Tensor
    source: Tensor


def random_zoom(rounds: int, quick: bool, top_k: int = 5) -> Shown:
    """Return one of random heads."""
    scale = Scale(architecture="test_resnet", size=64, batch=2) if quick else Scale(batch=6)
    patches = PatchConfig(source_size=96 if quick else 448, rounds=rounds)
    transforms = TransformConfig(input_size=32, resize_size=40) if quick else TransformConfig()
    base, evidence = conventional(scale, SLOW if quick else FAST), placed(network_of(scale, 1))
    source = drawn(scale.batch, patches.source_size)
    images = nn.functional.interpolate(source.permute(0, 3, 1, 2).float(), size=scale.size, mode="area")
    seen = images.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    config = RefinementConfig(top_k=top_k, weights=(0.4, *(0.6 / (rounds + 1),) * (rounds + 1)))
    return Shown(GuidedZoom(base, evidence, patches, transforms), config, seen, source)


def trained_zoom(path: Path, batch: int = 16, every: int = 7) -> Shown:
    """Return a trained one with a batch of its test photographs."""
    made = GuidedZoomRun.open(path)
    run = made.base_run()
    records = HERE.photographs_of(run, "test")[::every][:batch]
    seen = run.config.transforms
    source = replace(seen, source_size=made.description.pool.patches.source_size)
    loaders = (evaluation_loader(EvaluationViews(records, each), batch, workers=0) for each in (seen, source))
    small, large = (next(iter(each)).images[:, 0] for each in loaders)
    return Shown(load_guided_zoom(made, HardwareConfig()), made.description.refinement, small, large)


def unshared(shown: Shown) -> dict[str, int]:
    """Look for all evidence as Algorithm 1 is written: each class and round by itself; return the passes."""
    zoom, images, rounds = shown.zoom, shown.images, shown.zoom.patches.rounds
    first = first_round(zoom.conventional, images, shown.config.top_k, zoom.patches)
    owner = torch.arange(len(images))[:, None]
    for rank in range(shown.config.top_k):
        boxes, squares = first.evidence.boxes[:, rank], first.evidence.squares[:, rank, None, None]
        zoom.patch_scores(shown.source, torch.cat((owner, boxes), dim=1))
        for _ in range(rounds):
            latest = evidence_round(zoom.conventional, images, first.classes[:, rank, None], squares, zoom.patches)
            squares = torch.cat((squares, latest.evidence.squares[:, :, None]), dim=2)
            zoom.patch_scores(shown.source, torch.cat((owner, latest.evidence.boxes[:, 0]), dim=1))
    forwards, patches = 1 + shown.config.top_k * rounds, zoom.passes * shown.config.top_k * (rounds + 1)
    return {"forwards": len(images) * forwards, "patches": len(images) * patches}


def counted(results: Sequence[object]) -> dict[str, float]:
    """Return the mean passes of both networks a photograph."""
    return {
        name: round(float(torch.cat([getattr(each, name) for each in results]).float().mean()), 2)
        for name in ("forwards", "patches")
    }


def guided(rounds: int | None, quick: bool, top_k: int = 5) -> Built:
    """Return every way to decide; with `rounds`, only the shared and the best-first one, with random heads."""
    trained = os.environ.get("ZOOM") if rounds is None and not quick else None
    shown = trained_zoom(Path(trained)) if trained else random_zoom(2 if rounds is None else rounds, quick, top_k)
    zoom, config, seen = shown.zoom, shown.config, (shown.images, shown.source)
    probabilities = zoom.conventional.answer(shown.images, 1).logits.softmax(1)
    entropy = torch.special.entr(probabilities).sum(1)
    gated = replace(config, entropy_threshold=float(entropy.median()))
    sides: dict[str, Callable[[], object]] = {
        "forward": lambda: zoom.conventional.classifier.logits(shown.images),
        "shared": lambda: zoom.evidence(*seen, config.top_k),
        "best_first": lambda: decide_best_first(zoom, *seen, config),
    }
    if rounds is None:
        sides["unshared"] = lambda: unshared(shown)
        sides["shared_gated"] = lambda: Refiner.of(zoom, gated).probabilities(*seen)
        sides["best_first_gated"] = lambda: decide_best_first(zoom, *seen, gated)

    def notes() -> Mapping[str, object]:
        found, decided = zoom.evidence(*seen, config.top_k), decide_best_first(zoom, *seen, config)
        return {
            "shared": counted([found]),
            "best_first": {**counted([decided]), "maps": round(float(decided.maps.float().mean()), 2)},
            "best_first_gated": counted([decide_best_first(zoom, *seen, gated)]),
            "unshared": {
                "forwards": 1 + config.top_k * config.rounds,
                "patches": zoom.passes * config.top_k * (config.rounds + 1),
            },
            "differing": int((decide(found, config).classes != decided.classes).sum()),
            "entropy_threshold": gated.entropy_threshold,
        }

    settings = {"photographs": len(shown.images), "top_k": config.top_k, "rounds": config.rounds}
    return Built(sides=sides, reference="forward", settings={**settings, "trained": bool(trained)}, notes=notes)


def in_passes(quick: bool) -> Built:
    """Return what Guided Zoom is made of, at the papers' size: its passes with their grounding, and a patch.

    How many of each a photograph takes is said by the networks (`foveate guided-zoom` counts them): with f passes and
    p patches at k = 5 all evidence costs `first` + (f - 1) `erased` + p `patch`. Best first grounds a class when its
    turn comes: with g classes looked at, `held_1` + (g - 1) (`held_2` - `held_1`) in place of `first`.
    """
    scale = Scale(architecture="resnet50", size=448, batch=2)
    scale = smoke(scale) if quick else scale
    classifier = placed(plain(scale), replace(FAST, precision="float32"))
    # res4a, as the papers have it; timm's last of stride 16, the default, is cheaper.
    layers = {"": None} if quick else {"_at_res4a": "layer3.0", "": None}
    images = classifier.inputs(pixels(scale))
    patches = images[:, :, : scale.size // 2, : scale.size // 2].contiguous(memory_format=torch.channels_last)
    sides: dict[str, Side] = {
        "forward": bare_inference(bare(scale), pixels(scale), torch.float32, torch.contiguous_format)
    }
    for words, layer in layers.items():
        grounding = create_grounding(classifier.network.backbone, replace(PoolConfig.paper().grounding, layer=layer))
        sides[f"first{words}"] = partial(grounding, images, 5)
        sides[f"erased{words}"] = partial(grounding, images, 1)
        for classes in (1, 2):
            sides[f"held_{classes}{words}"] = partial(in_turn, grounding, images, classes)
    sides["patch"] = torch.inference_mode()(partial(classifier.network, patches))
    return Built(sides=sides, reference="forward", settings=scale.settings())


def in_turn(grounding: Grounding, images: Tensor, classes: int) -> None:
    """Hold on to a pass, and ground the best classes of each image one after the other."""
    assert isinstance(grounding, HoldingGrounding)
    held, everyone = grounding.hold(images), torch.arange(len(images))
    for best in held.logits.topk(classes).indices.unbind(1):
        held.maps(everyone, best)


def fast_ceb(quick: bool) -> Built:
    """Return a forward pass in float32, and five classes' cEB at the default layer: relevance in float32 and in bf16.

    The forward pass stays float32 in both: bf16 there moves peaks. `notes` says how many peaks the other relevance
    leaves where they are, on drawn birds and ImageNet's features.
    """
    scale = Scale(architecture="resnet50", size=448, batch=2)
    scale = smoke(scale) if quick else scale
    network = placed(plain(scale), replace(FAST, precision="float32"))
    images = network.inputs(pixels(scale))
    sides: dict[str, Side] = {
        "forward": bare_inference(bare(scale), pixels(scale), torch.float32, torch.contiguous_format)
    }
    for name, grounding in _by_precision(network.network).items():
        sides[name] = partial(grounding, images, 5)

    def notes() -> Mapping[str, object]:
        shown = smoke(scale) if quick else Scale()
        seen = placed(network_of(shown, 0), replace(FAST, precision="float32"))
        inputs = seen.inputs(drawn(2 if quick else 40, shown.size))
        exact, fast = (each(inputs, 5) for each in _by_precision(seen.network).values())
        width = exact.maps.shape[-1]
        one, other = (each.maps.flatten(2).argmax(-1) for each in (exact, fast))
        apart = torch.maximum((one // width - other // width).abs(), (one % width - other % width).abs())
        return {"same_cell": float((apart == 0).float().mean()), "within_one": float((apart <= 1).float().mean())}

    return Built(sides=sides, reference="forward", settings=scale.settings(), notes=notes)


def _by_precision(network: Network) -> dict[str, ExcitationBackprop]:
    """Return cEB at the default layer with its relevance in float32, and in bf16."""
    layer = grounding_layer(network.backbone, PoolConfig.paper().grounding)
    types = {"ceb": torch.float32, "ceb_bf16": torch.bfloat16}
    return {
        name: ExcitationBackprop(cast(nn.Module, network.backbone.network), layer, dtype=dtype)
        for name, dtype in types.items()
    }


CASES = (
    Case(name="ceb_fast", build=fast_ceb),
    Case(name="guided_zoom", build=partial(guided, None)),
    Case(name="guided_zoom_in_passes", build=in_passes),
    *(Case(name="guided_zoom", at={"rounds": rounds}, build=partial(guided, rounds)) for rounds in (0, 1, 2, 3)),
    *(Case(name="guided_zoom", at={"k": k}, build=partial(guided, 2, top_k=k)) for k in (2, 3, 5)),
)
