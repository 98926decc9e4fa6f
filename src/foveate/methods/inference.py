"""A trained network and the device it runs on: pixels in, probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from foveate.backbones import Backbone, Normalisation, pool
from foveate.config import Branch, HardwareConfig
from foveate.config.checks import require
from foveate.errors import UserError
from foveate.hardware import autocast_dtype, device_of
from foveate.methods.branch_maps import BranchMaps, branch_maps
from foveate.methods.folding import folded
from foveate.methods.macnn import MACNN, PartsLook
from foveate.methods.network import Network
from foveate.methods.s3n import S3N, Look
from foveate.runtimes import run_by
from foveate.types import BranchLogits

_Answer = TypeVar("_Answer")


def network_input(
    images: UInt8[Tensor, "n H W 3"], normalisation: Normalisation, *, channels_last: bool = True
) -> Float[Tensor, "n 3 H W"]:
    """Turn decoded pixels into what the network takes; `channels_last` is about the memory layout only."""
    pixels = images.permute(0, 3, 1, 2)
    return normalisation(pixels if channels_last else pixels.contiguous())


def decision(answers: Mapping[Branch, _Answer]) -> _Answer:
    """Return the answer that counts of those of a network's branches: the joint one where there is one."""
    return answers[Branch.JOINT if Branch.JOINT in answers else Branch.ORIGINAL]


def check_answers(answers: BranchLogits) -> None:
    """Refuse logits that are not finite: their probabilities would be none, or those of chance.

    Raises:
        UserError: Some are NaN or infinite, in any branch.
    """
    finite = torch.stack([logits.isfinite().all(-1) for logits in answers.present().values()]).all(0)
    if not finite.all():
        raise UserError(
            f"a network's answer must be finite; that for {int((~finite).sum())} of {len(finite)} images is NaN or "
            "infinite: its weights are damaged or too large; restore them from a copy, or try --hardware.precision "
            "float32"
        )


@dataclass(frozen=True)
class Classifier:
    """A network in evaluation mode on its device; `probabilities` may be called from several threads."""

    network: Network
    device: torch.device
    dtype: torch.dtype
    channels_last: bool
    zoom_above: float | None = None
    """Of an S3N: it looks closer only where the entropy of its first look, in nats, is above this; None: always."""

    @classmethod
    def place(cls, network: Network, hardware: HardwareConfig, *, zoom_above: float | None = None) -> Classifier:
        """Put a copy of the network, its batch norms folded, where `hardware` asks for it.

        Args:
            network: It stays as it is.
            hardware: Where to compute, and by what.
            zoom_above: Of an S3N: it looks closer only where the entropy of its first look, in nats, is above this;
                None: always.

        Raises:
            UserError: As in `run_by`; or `zoom_above` is negative, or the network is no S3N that looks closer.
        """
        if zoom_above is not None:
            _check_zooms(network, zoom_above)
        device = device_of(hardware)
        layout = torch.channels_last if hardware.channels_last else torch.contiguous_format
        placed, dtype = folded(network.eval()).to(device).to(memory_format=layout), autocast_dtype(hardware)
        run_by(placed, hardware.runtime, device, dtype)
        return cls(placed, device, dtype, hardware.channels_last, zoom_above)

    def inputs(self, images: UInt8[Tensor, "n H W 3"]) -> Float[Tensor, "n 3 H W"]:
        """Return what the network takes, on its device."""
        pixels = images.to(self.device, non_blocking=True)
        return network_input(pixels, self.network.backbone.normalisation, channels_last=self.channels_last)

    def probabilities(self, images: UInt8[Tensor, "b v H W 3"]) -> Float[Tensor, "b c"]:
        """Return each photograph's class probabilities in float32 on the CPU, averaged over its views."""
        return decision(self.branch_probabilities(images))

    def branch_probabilities(self, images: UInt8[Tensor, "b v H W 3"]) -> dict[Branch, Float[Tensor, "b c"]]:
        """Return each branch's class probabilities in float32 on the CPU, averaged over a photograph's views.

        Raises:
            UserError: There are several views, and it is said where to look closer.
        """
        count, views = images.shape[:2]
        if views > 1 and self.zoom_above is not None:
            raise UserError(
                f"with zoom_above one view of a photograph is looked at, and then closer; got {views}; leave "
                "zoom_above or the views out"
            )
        answers = self.logits(images.flatten(0, 1))
        return {
            branch: logits.float().softmax(-1).view(count, views, -1).mean(1).cpu()
            for branch, logits in answers.present().items()
        }

    def logits(self, images: UInt8[Tensor, "n H W 3"]) -> BranchLogits:
        """Return every branch's logits, on the network's device.

        Raises:
            UserError: They are not finite, as in `check_answers`.
        """
        network: Callable[[Tensor], Any] = self.network
        if self.zoom_above is not None:
            network = partial(self._looking().look_where_unsure, zoom_above=self.zoom_above)
        answers: BranchLogits = self._called(network, images)
        check_answers(answers)
        return answers

    def features(self, images: UInt8[Tensor, "n H W 3"]) -> Float[Tensor, "n d"]:
        """Return the backbone's globally averaged features, the input of its classifier, in float32 on the CPU.

        Raises:
            UserError: Where the network's features end and its head begins is not known.
        """
        backbone = self.network.backbone
        if not isinstance(backbone, Backbone):
            raise UserError(
                f"features are those of a linear head on a globally averaged map; {backbone.architecture} is taken as "
                "it is; train an Evidence CNN of another architecture"
            )
        pooled: Tensor = self._called(lambda inputs: pool(backbone(inputs)), images)
        return pooled.float().cpu()

    def look(self, images: UInt8[Tensor, "b H W 3"]) -> Look:
        """Return all that an S3N network sees on its way to its answers.

        Raises:
            UserError: The network is of another method, or its answer is not finite.
        """
        look: Look = self._called(self._looking().look, images)
        check_answers(look.logits)
        return look

    def check_looks(self) -> None:
        """Refuse at once what `look` refuses."""
        self._looking()

    def _looking(self) -> S3N:
        if not isinstance(self.network, S3N):
            raise UserError(
                "only an S3N network can show where it looked closer; this run is of another method; "
                "train one of the s3n recipes"
            )
        return self.network

    def branch_maps(self, images: UInt8[Tensor, "b H W 3"], classes: Int64[Tensor, " b"], places: int) -> BranchMaps:
        """Return each branch's answers and its map of one class for each image, as `branch_maps` does."""
        asked = classes.to(self.device)
        maps: BranchMaps = self._called(lambda inputs: branch_maps(self.network, inputs, asked, places), images)
        check_answers(maps.logits)
        return maps

    def look_at_parts(self, images: UInt8[Tensor, "b H W 3"]) -> PartsLook:
        """Return all that an MA-CNN network sees on its way to its answers.

        Raises:
            UserError: The network is of another method, or its answer is not finite.
        """
        if not isinstance(self.network, MACNN):
            raise UserError("only an MA-CNN network finds parts; this run is of another method; train macnn-slice")
        look: PartsLook = self._called(self.network.look, images)
        check_answers(look.logits)
        return look

    @torch.inference_mode()
    def _called(self, part: Callable[[Tensor], Any], images: UInt8[Tensor, "n H W 3"]) -> Any:
        inputs = self.inputs(images)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32):
            return part(inputs)


def _check_zooms(network: Network, zoom_above: float) -> None:
    if not (isinstance(network, S3N) and network.fusion.heads):
        what = "an S3N of the first look alone" if isinstance(network, S3N) else f"a {type(network).__name__}"
        raise UserError(f"zoom_above says where an S3N looks closer; this network is {what}; leave it out")
    require(zoom_above >= 0, "zoom_above must not be negative, in nats", zoom_above)
