"""Which grounding sees best through which family of networks: small ones, trained on drawn birds, and all methods.

    PYTHONPATH=benchmarks python -m grounding_families --work runs/families --out results/grounding_families.jsonl

Networks are trained from random weights, for so many minutes of the processor each, and adopted as runs; `foveate
grounding` measures them. What was drawn, trained or measured before is not done again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from jaxtyping import Float, Int64, UInt8
from safetensors.torch import save_file
from timm.models import register_model
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn
from torch.nn import functional

from foveate.config.data import DataConfig, Split, TransformConfig
from foveate.config.hardware import HardwareConfig
from foveate.data.datasets import DatasetFormat
from foveate.data.loading import EvaluationViews, evaluation_loader
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.evaluation.config import CurveConfig, GroundingStudy
from foveate.files.documents import append_json_line, read_json_lines
from foveate.grounding.config import GroundingMethod
from foveate.plumage import PlumageConfig, draw_plumage
from foveate.recipes.datasets import load_splits
from foveate.runs.environment import environment
from foveate.runs.run import Run
from foveate.workflows.adopt import adopt
from foveate.workflows.analysis.measure_grounding import measure_grounding

SIDE = 112
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BIRDS = PlumageConfig(species=8, train_per_species=60, test_per_species=15, size=160, bird=1.1, marks=2.0)
METHODS = tuple(each for each in GroundingMethod if each is not GroundingMethod.RISE)

AT_A_LAYER = tuple(
    each
    for each in METHODS
    if each not in {GroundingMethod.CLASS_MAPS, GroundingMethod.GRADIENTS, GroundingMethod.ROLLOUT}
)


@register_model
def small_swin(pretrained: bool = False, **options: Any) -> SwinTransformer:
    """Three stages of windows of 7 cells, the last of stride 16."""
    shape: dict[str, Any] = {"img_size": SIDE, "embed_dim": 48, "depths": (1, 1, 3), "num_heads": (2, 4, 8)}
    network = SwinTransformer(num_classes=options["num_classes"], window_size=7, **shape)
    sizes = {"input_size": (3, SIDE, SIDE), "fixed_input_size": True, "classifier": "head.fc"}
    described: dict[str, Any] = {"mean": MEAN, "std": SPREAD, **sizes}
    network.pretrained_cfg = described  # type: ignore[assignment]  # as timm sets it
    return network


class Family(NamedTuple):
    """An architecture, and where it is grounded beside the default."""

    architecture: str
    layers: tuple[str | None, ...] = (None,)


FAMILIES = {
    "cnn": Family("test_resnet", (None, "layer4")),
    "convnext": Family("test_convnext2", (None, "stages.3")),
    "swin": Family("small_swin", (None, "layers.1")),
    "vit": Family("test_vit", (None, "blocks.0")),
}


def created(family: Family, classes: int) -> nn.Module:
    """Return a network of random weights that takes images of `SIDE` pixels."""
    size: dict[str, Any] = {"img_size": SIDE} if "vit" in family.architecture else {}
    return timm.create_model(family.architecture, num_classes=classes, **size)


def loaded(
    records: Sequence[ImageRecord], transforms: TransformConfig
) -> tuple[UInt8[Tensor, "n S S 3"], Int64[Tensor, " n"]]:
    """Return the centred views of all photographs and their labels."""
    batches = list(evaluation_loader(EvaluationViews(records, transforms), 64, workers=0))
    return torch.cat([each.images[:, 0] for each in batches]), torch.cat([each.labels for each in batches])


def drawn(images: UInt8[Tensor, "n S S 3"]) -> Float[Tensor, "n 3 H W"]:
    """Return normalised windows of the images, drawn at random and mirrored half of the time."""
    across, down = (int(torch.randint(images.shape[1] - SIDE + 1, ())) for _ in range(2))
    cut = images[:, down : down + SIDE, across : across + SIDE].permute(0, 3, 1, 2)
    return normalised(cut.flip(3) if torch.rand(()) < 0.5 else cut)


def normalised(images: UInt8[Tensor, "n 3 H W"]) -> Float[Tensor, "n 3 H W"]:
    """Return pixels as ImageNet's networks take them."""
    mean, spread = (torch.tensor(each).view(3, 1, 1) * 255 for each in (MEAN, SPREAD))
    return (images - mean) / spread


def trained(network: nn.Module, images: UInt8[Tensor, "n S S 3"], labels: Int64[Tensor, " n"], minutes: float) -> int:
    """Train a network for some minutes of the processor; return how many epochs that were."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)
    began, epochs, share = time.process_time(), 0, 0.0
    while share < 1:
        network.train()
        for chosen in torch.split(torch.randperm(len(images)), 24):
            share = (time.process_time() - began) / (60 * minutes)
            optimiser.param_groups[0]["lr"] = 2e-3 * min(1.0, 20 * share) * max(0.0, 1 - share)
            loss = functional.cross_entropy(network(drawn(images[chosen])), labels[chosen], label_smoothing=0.1)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        epochs += 1
        print(f"epoch {epochs}, {share:.0%} of the time: loss {loss.item():.2f}", flush=True)
    return epochs


def run_of(name: str, data: DataConfig, work: Path, minutes: float) -> Run:
    """Return the run of a family: trained before, or now."""
    torch.manual_seed(0)
    family, checkpoint = FAMILIES[name], work / f"{name}.safetensors"
    if not checkpoint.exists():
        splits = load_splits(data, print)
        larger = TransformConfig(input_size=SIDE + 16, resize_size=SIDE + 16)
        network = created(family, len(splits.class_names))
        epochs = trained(network, *loaded(splits.train, larger), minutes)
        print(f"{name}: {epochs} epochs", flush=True)
        save_file(network.state_dict(), checkpoint)
    transforms = TransformConfig(input_size=SIDE, resize_size=SIDE + 16)
    return adopt(
        checkpoint,
        work / name,
        architecture=family.architecture,
        data=data,
        transforms=transforms,
        hardware=HardwareConfig(accelerator="cpu", workers=0),
        mean=MEAN,
        std=SPREAD,
    )


def rows_of(name: str, run: Run, known: Sequence[dict[str, Any]], photographs: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each layer and method that has none; a refusal is a row too."""
    for layer in FAMILIES[name].layers:
        for method in METHODS if layer is None else AT_A_LAYER:
            which = {
                "family": name,
                "architecture": FAMILIES[name].architecture,
                "layer": layer,
                "method": method.value,
            }
            if any(which.items() <= each.items() for each in known):
                continue
            study = GroundingStudy(methods=(method,), layer=layer, photographs=photographs, sanity_photographs=6)
            study = replace(study, curves=CurveConfig(steps=12), stages=4, examples=2)
            try:
                report = measure_grounding(run, study, split=Split.TEST)
            except UserError as refusal:
                yield {**which, "refused": str(refusal)}
                continue
            first = layer is None and method is GroundingMethod.GRAD_CAM  # which no network refuses
            for measured in (method.value, "chance") if first else (method.value,):
                each = report.measures[measured]
                values = {
                    key: None if (value := getattr(each, key)) is None else round(100 * value.value, 2)
                    for key in ("in_box", "near_part", "energy", "deletion", "insertion")
                }
                row = {**which, "method": measured, **values, "correlations": each.correlations}
                yield {**row, "milliseconds": each.milliseconds}


def accuracy_of(run: Run, data: DataConfig) -> float:
    """Return the accuracy on the test photographs, in per cent."""
    network = run.load_network().eval()
    images, labels = loaded(load_splits(data, print).test, run.config.transforms)
    with torch.no_grad():
        answers = network.backbone.logits(normalised(images.permute(0, 3, 1, 2)))
    return round(100 * float((answers.argmax(1) == labels).float().mean()), 2)


def main() -> None:
    """Draw, train and measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/families"), help="where birds and networks lie")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--minutes", type=float, default=3.0, help="of the processor to train, each")
    parser.add_argument("--photographs", type=int, default=60, help="that are grounded")
    parser.add_argument("--train-per-species", type=int, default=BIRDS.train_per_species)
    parser.add_argument("--out", type=Path, required=True, help="the file of rows")
    given = parser.parse_args()
    birds = replace(BIRDS, train_per_species=given.train_per_species)
    given.work.mkdir(parents=True, exist_ok=True)
    root = given.work / f"birds-{given.train_per_species}"
    draw_plumage(root, birds, workers=1)  # what is there is not drawn again
    data = DataConfig(root=root, format=DatasetFormat.CUB)
    for name in given.families:
        run = run_of(name, data, given.work, given.minutes)
        about = {"accuracy": accuracy_of(run, data), "species": birds.species, "minutes": given.minutes}
        known = read_json_lines(given.out) if given.out.exists() else []
        for row in rows_of(name, run, known, given.photographs):
            append_json_line(given.out, {**row, **about, "photographs": given.photographs, **environment()})


if __name__ == "__main__":
    main()
