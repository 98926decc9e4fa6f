"""A trained network and the device it runs on: pixels in, probabilities out."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from foveate.backbones.backbone import Normalisation
from foveate.backbones.folding import folded
from foveate.backbones.openvino import run_by
from foveate.config.branches import Branch
from foveate.config.checks import require, require_view_weights
from foveate.config.hardware import HardwareConfig
from foveate.errors import UserError
from foveate.grounding.explanation import explained_by_maps
from foveate.hardware import autocast_dtype, device_of
from foveate.networks.answers import check_answers, decision, ranked_classes, weighted_decision
from foveate.networks.branch_maps import BranchMaps
from foveate.networks.explanation import Explanation
from foveate.networks.network import Network, ResponsePeaks
from foveate.types import BranchLogits

_SHOWN = 5  # classes of an explained decision


def network_input(
    images: UInt8[Tensor, "n H W 3"], normalisation: Normalisation, *, channels_last: bool = True
) -> Float[Tensor, "n 3 H W"]:
    """Turn decoded pixels into what the network takes; `channels_last` is about the memory layout only."""
    pixels = images.permute(0, 3, 1, 2)
    return normalisation(pixels if channels_last else pixels.contiguous())


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What photographs that the training did not learn from say of a network's answers; as it is, it changes none.

    Raises:
        UserError: A temperature is not above 0, or weights are negative, all 0, or of branches that there are not.
    """

    temperature: float = 1.0
    """The decision's log probabilities are divided by it (Guo et al., On Calibration of Modern Neural Networks, ICML
    2017, section 4.2): above 1 the network was too sure. The order of the classes stays."""
    view_weights: dict[str, float] | None = None
    """How much each branch counts in the decision, by its name as in `Branch`; None: the network decides."""

    def __post_init__(self) -> None:
        holds = math.isfinite(self.temperature) and self.temperature > 0
        require(holds, "temperature must be a finite number above 0", self.temperature)
        if self.view_weights is not None:
            require_view_weights(self.view_weights)

    @property
    def weights(self) -> dict[Branch, float] | None:
        """The weights by branch; None: the network decides."""
        weights = self.view_weights
        return None if weights is None else {Branch(name): weight for name, weight in weights.items()}

    def alone(self, branch: Branch, network: Network) -> Calibration:
        """Return that of one branch alone, whose answers stay as they are unless they are the network's decision."""
        decides = self.view_weights is None and branch is network.branches[-1]
        return Calibration(temperature=self.temperature if decides else 1.0, view_weights={branch.value: 1.0})

    def decided(self, answers: Mapping[Branch, Float[Tensor, "b c"]]) -> Float[Tensor, "b c"]:
        """Return the calibrated probabilities of the answer that counts, of those of a network's branches.

        Raises:
            UserError: A branch has a weight and no answer.
        """
        weights = self.weights
        return self.tempered(decision(answers) if weights is None else weighted_decision(answers, weights))

    def tempered(self, probabilities: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """Return softmax(log p / temperature); the most probable class stays the most probable one.

        At a temperature of 1 they come back as they are, to the last bit.
        """
        if self.temperature == 1:
            return probabilities
        values = probabilities.double()
        logarithms = values.clamp(min=torch.finfo(torch.float32).tiny).log()  # rounding makes zeros
        scaled = (logarithms / self.temperature).softmax(-1).to(probabilities)
        best, highest = values.argmax(-1, keepdim=True), scaled.amax(-1, keepdim=True)
        above = torch.where(scaled.argmax(-1, keepdim=True) == best, highest, highest.nextafter(highest + 1))
        return scaled.scatter(-1, best, above)


@dataclass(frozen=True)
class Classifier:
    """A network in evaluation mode on its device; `probabilities` may be called from several threads."""

    network: Network
    device: torch.device
    dtype: torch.dtype
    channels_last: bool
    zoom_entropy_threshold: float | None = None
    """Of an S3N: it looks closer only where the entropy of its first look, in nats, is above this; None: always."""
    calibration: Calibration = field(default_factory=Calibration)
    """Of its decision; what the branches say stays as it is."""
    branch: Branch | None = None
    """Which branch alone answers; None: the decision does."""

    @classmethod
    def place(
        cls,
        network: Network,
        hardware: HardwareConfig,
        *,
        zoom_entropy_threshold: float | None = None,
        calibration: Calibration | None = None,
        branch: Branch | str | None = None,
    ) -> Classifier:
        """Put a copy of the network, its batch norms folded, where `hardware` asks for it.

        Args:
            network: It stays as it is.
            hardware: Where to compute, and by what.
            zoom_entropy_threshold: Of a network that looks closer: only where the entropy of its first look, in
                nats, is above this; None: always.
            calibration: Of its decision, and of nothing else; None: there is none.
            branch: The one branch that is to answer, without looking at what it does not rest on; None: all decide.

        Raises:
            UserError: As in `run_by`; or `zoom_entropy_threshold` is negative, or the network looks once; or it has no
                such branch, or one alone is to answer and it is said where to look closer.
        """
        branch = None if branch is None else _branch_of(network, branch, zoom_entropy_threshold)
        if zoom_entropy_threshold is not None:
            network.check_looks_closer()
            require(
                zoom_entropy_threshold >= 0,
                "zoom_entropy_threshold must not be negative, in nats",
                zoom_entropy_threshold,
            )
        device = device_of(hardware)
        layout = torch.channels_last if hardware.channels_last else torch.contiguous_format
        placed, dtype = folded(network.eval()).to(device).to(memory_format=layout), autocast_dtype(hardware)
        for backbone in placed.backbones:
            run_by(backbone, hardware.runtime, device, dtype)
        calibration = calibration or Calibration()
        if branch is not None:
            calibration = calibration.alone(branch, network)
        return cls(placed, device, dtype, hardware.channels_last, zoom_entropy_threshold, calibration, branch)

    @property
    def deciding(self) -> tuple[Branch, ...]:
        """The branches that the answer rests on."""
        weights = self.calibration.weights
        if weights is None:
            return self.network.branches[-1:]
        return tuple(branch for branch, weight in weights.items() if weight > 0)

    @property
    def passes(self) -> int:
        """Passes of a backbone for the answer to one view of a photograph, wherever it looks closer."""
        return self.network.passes(self.deciding)

    def inputs(self, images: UInt8[Tensor, "n H W 3"]) -> Float[Tensor, "n 3 H W"]:
        """Return what the network takes, on its device."""
        pixels = images.to(self.device, non_blocking=True)
        return network_input(pixels, self.network.backbone.normalisation, channels_last=self.channels_last)

    def probabilities(self, images: UInt8[Tensor, "b v H W 3"]) -> Float[Tensor, "b c"]:
        """Return each photograph's class probabilities in float32 on the CPU, averaged over its views, calibrated.

        Views that the answer does not rest on are not looked at.
        """
        branches = None if self.calibration.view_weights is None else self.deciding
        return self.calibration.decided(self._branch_probabilities(images, branches))

    def branch_probabilities(self, images: UInt8[Tensor, "b v H W 3"]) -> dict[Branch, Float[Tensor, "b c"]]:
        """Return each branch's probabilities in float32 on the CPU, averaged over a photograph's views, not calibrated.

        Of a branch that is to answer alone: those, and of branches that cost no pass more.

        Raises:
            UserError: There are several views, and it is said where to look closer.
        """
        return self._branch_probabilities(images, None if self.branch is None else self.deciding)

    def _branch_probabilities(
        self, images: UInt8[Tensor, "b v H W 3"], branches: Collection[Branch] | None
    ) -> dict[Branch, Float[Tensor, "b c"]]:
        count, views = images.shape[:2]
        if views > 1 and self.zoom_entropy_threshold is not None:
            raise UserError(
                f"with zoom_entropy_threshold one view of a photograph is looked at, and then closer; got {views}; "
                "leave zoom_entropy_threshold or the views out"
            )
        answers = self.logits(images.flatten(0, 1), branches)
        return {
            branch: logits.float().softmax(-1).view(count, views, -1).mean(1).cpu()
            for branch, logits in answers.present().items()
        }

    def logits(self, images: UInt8[Tensor, "n H W 3"], branches: Collection[Branch] | None = None) -> BranchLogits:
        """Return every branch's logits, on the network's device.

        Args:
            images: Pixels of the source size.
            branches: The answers of these are enough; None: all.

        Raises:
            UserError: They are not finite, as in `check_answers`.
        """
        network: Callable[[Tensor], Any] = self.network
        if self.zoom_entropy_threshold is not None:
            network = partial(self.network.look_where_unsure, entropy_threshold=self.zoom_entropy_threshold)
        elif branches is not None:
            network = partial(self.network.branch_logits, branches=branches)
        answers: BranchLogits = self._called(network, images)
        check_answers(answers)
        return answers

    def part(
        self,
        part: Callable[[Network, Float[Tensor, "n 3 Hs Ws"], Int64[Tensor, " n"]], Float[Tensor, "n d"]],
        images: UInt8[Tensor, "n H W 3"],
        positions: Int64[Tensor, " n"],
    ) -> Float[Tensor, "n d"]:
        """Return what a part of the network makes of images, in float32 on the CPU.

        Args:
            part: From the network, what it takes, and `positions`, to features.
            images: Decoded pixels.
            positions: Which of the photographs each shows.
        """
        features: Tensor = self._called(lambda inputs: part(self.network, inputs, positions), images)
        return features.float().cpu()

    def features(self, images: UInt8[Tensor, "n H W 3"]) -> Float[Tensor, "n d"]:
        """Return the backbone's globally averaged features, the input of its classifier, in float32 on the CPU.

        Raises:
            UserError: Where the network's features end and its head begins is not known.
        """
        pooled: Tensor = self._called(self.network.backbone.pooled, images)
        return pooled.float().cpu()

    def response_peaks(self, images: UInt8[Tensor, "b H W 3"]) -> ResponsePeaks:
        """Return where the network's attention rests.

        Raises:
            UserError: The method has no peaks, or the answer is not finite.
        """
        attended: ResponsePeaks = self._called(self.network.response_peaks, images)
        check_answers(attended.logits)
        return attended

    def explanation(
        self, image: UInt8[Tensor, "1 H W 3"], class_names: Sequence[str], title: str, truth: str | None = None
    ) -> Explanation:
        """Return how the network comes to its answer for one photograph; arguments as in `Network.explanation`.

        The decision that it shows is that of `probabilities`. A network that has no picture of its own is shown by the
        maps of its best classes.

        Raises:
            UserError: The answer is not finite, or nothing sees through the network.
        """
        explain = partial(self.network.explanation, class_names=class_names, title=title, truth=truth)
        explanation: Explanation | None = self._called(explain, image)
        if explanation is not None and self.calibration == Calibration():
            return explanation
        probabilities = self.probabilities(image[:, None])
        if explanation is None:
            return explained_by_maps(self.network, self.inputs(image), probabilities, class_names, title, truth)
        return explanation.decided(ranked_classes(probabilities[0].numpy(), class_names, _SHOWN))

    def branch_maps(self, images: UInt8[Tensor, "b H W 3"], classes: Int64[Tensor, " b"], places: int) -> BranchMaps:
        """Return each branch's answers and its map of one class for each image, as `Network.branch_maps` does."""
        labels = classes.to(self.device)
        maps: BranchMaps = self._called(lambda inputs: self.network.branch_maps(inputs, labels, places), images)
        check_answers(maps.logits)
        return maps

    @torch.inference_mode()
    def _called(self, part: Callable[[Tensor], Any], images: UInt8[Tensor, "n H W 3"]) -> Any:
        inputs = self.inputs(images)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32):
            return part(inputs)


def _branch_of(network: Network, branch: Branch | str, zoom_entropy_threshold: float | None) -> Branch:
    known = network.branches
    if branch not in known:
        raise UserError(
            f"branch must be one of the network's, {', '.join(known)}, as it is a {type(network).__name__}; got "
            f"{branch}; name one of these, or leave it out"
        )
    if zoom_entropy_threshold is not None:
        raise UserError(
            f"a branch alone looks at the same views of every photograph; got branch {branch} and "
            f"zoom_entropy_threshold {zoom_entropy_threshold}; leave one of them out"
        )
    return Branch(branch)
