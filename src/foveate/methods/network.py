"""What every method's network offers to training, evaluation and prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor, nn

from foveate.backbones import Backbone
from foveate.own_cnns import OwnCNN
from foveate.types import BranchLogits


class Moment(NamedTuple):
    """When in a training a batch is shown.

    ``progress`` is the share of the training that is done, in [0, 1). ``keys`` holds a number for each photograph and
    epoch; what is random in a network's view of the photograph comes from it, see `foveate.zoom.draws`. ``epoch`` is
    counted from 0.
    """

    progress: float
    keys: Int64[Tensor, " b"]
    epoch: int = 0


class Lesson(NamedTuple):
    """What a network learns from a batch.

    The cross entropies of every branch of ``answers`` and of each of ``further`` logits, which are no branch's, are
    summed, and so is ``own``, a loss of the method's own. What is ``measured`` is logged by its name.
    """

    answers: BranchLogits | None
    further: Sequence[Float[Tensor, "b c"]] = ()
    own: Float[Tensor, ""] | None = None
    measured: Mapping[str, Float[Tensor, ""]] = MappingProxyType({})


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

    def lesson(self, images: Float[Tensor, "b 3 H W"], moment: Moment) -> Lesson:
        """Return what a training step learns from: the answers, unless a method says otherwise."""
        return Lesson(self(images, moment))

    def prepare(self, batches: Iterable[Float[Tensor, "b 3 H W"]]) -> str | None:
        """Make ready for the first epoch with every training photograph's test view; say what was found."""
        return None

    @abstractmethod
    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the parameters that learn otherwise than the pretrained ones."""
