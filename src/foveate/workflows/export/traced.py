"""A trained network from 8-bit pixels to calibrated probabilities, as one graph for a batch of any size."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from foveate.config.branches import Branch
from foveate.errors import UserError
from foveate.inference.classifier import Classifier, network_input
from foveate.networks.answers import decision

_EXAMPLES = 2  # photographs that the graph is traced with; one would be taken for a size that never changes
_LONGEST_REASON = 300


class AnsweringNetwork(nn.Module):
    """All that lies between decoded pixels and the answer: normalisation, network, decision, temperature."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network = classifier.network
        self.normalisation = classifier.network.backbone.normalisation
        self.weights = classifier.calibration.weights
        self.temperature = classifier.calibration.temperature
        self.deciding = classifier.deciding

    def forward(self, pixels: UInt8[Tensor, "b H W 3"]) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
        """Return the calibrated probabilities of the answer that counts, and the logits that they are the softmax of.

        Args:
            pixels: Of the source size.
        """
        images = network_input(pixels, self.normalisation, channels_last=False)
        answers = self.network(images) if self.weights is None else self.network.branch_logits(images, self.deciding)
        logits = self.decided(answers.present())
        return logits.softmax(-1), logits

    def decided(self, answers: Mapping[Branch, Float[Tensor, "b c"]]) -> Float[Tensor, "b c"]:
        """Return the calibrated logits of the answer that counts, of those of the network's branches."""
        if self.weights is None:
            logits = decision(answers)
        else:
            weighted = [self.weights[branch] * answers[branch].float().log_softmax(-1) for branch in self.deciding]
            logits = torch.stack(weighted).sum(0)
        return logits.float() / self.temperature


class Bfloat16Pass:
    """A backbone whose passes are computed in bf16 and given back in float32, in torch's place (`Backbone.runtime`).

    It is no module: a network whose attribute it is made would take it for a layer, and pass by it.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self.backbone = copy.deepcopy(backbone).to(torch.bfloat16)

    def __call__(self, images: Float[Tensor, "b 3 H W"]) -> Tensor:
        """Return what the backbone makes of normalised images, in float32."""
        features: Tensor = self.backbone(images.to(torch.bfloat16))
        return features.float()


def traced(network: AnsweringNetwork, side: int) -> ExportedProgram:
    """Return the graph of a network; the number of photographs stays free.

    Args:
        network: In evaluation mode.
        side: Of the photographs, in pixels: the source size.

    Raises:
        UserError: It has a step whose size, or whether it is done at all, depends on what is in a photograph.
    """
    example = torch.zeros(_EXAMPLES, side, side, 3, dtype=torch.uint8)
    with quiet("torch"), torch.no_grad():
        try:
            program = torch.export.export(network.eval(), (example,), dynamic_shapes=({0: Dim("photographs")},))
        except Exception as error:  # torch raises its own, changing, errors
            raise UserError(
                f"what is exported is one graph for every photograph, which a {type(network.network).__name__} does "
                f"not have ({first_words(error)}); export a run of plain, probe or s3n"
            ) from error
    for node in program.graph.nodes:  # each would name the lines of code that it comes from, and where they lie
        node.meta.pop("stack_trace", None)
    return program


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Hold off warnings, and the log of a library: what exporters say to those who write exporters."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def first_words(error: BaseException) -> str:
    """Return what another library says is wrong, on one line."""
    words = " ".join(str(error).split())
    return words if len(words) <= _LONGEST_REASON else f"{words[:_LONGEST_REASON]} ..."
