"""What every method's network offers to training, evaluation and prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.backbones import Backbone
from foveate.own_cnns import OwnCNN
from foveate.types import BranchLogits


class Moment(NamedTuple):
    """When in a training a batch is shown.

    ``progress`` is the share of the training that is done, in [0, 1). ``keys`` holds a number for each photograph and
    epoch; what is random in a network's view of the photograph comes from it, see `foveate.zoom.draws`.
    """

    progress: float
    keys: Int64[Tensor, " b"]


class ParameterGroup(NamedTuple):
    """Parameters that learn otherwise than the pretrained ones.

    ``new``: at the rate of new layers; ``factor`` multiplies the rate; ``decays``: whether weight decay applies.
    """

    parameters: Sequence[nn.Parameter]
    new: bool = True
    factor: float = 1.0
    decays: bool = True


class Network(nn.Module, ABC):
    """A backbone, what a method builds around it, and its answers."""

    backbone: Backbone | OwnCNN

    @abstractmethod
    def forward(self, images: Float[Tensor, "b 3 H W"], moment: Moment | None = None) -> BranchLogits:
        """Return the logits of normalised images of the source size; `moment` is None outside training."""

    @abstractmethod
    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the parameters that learn otherwise than the pretrained ones."""
