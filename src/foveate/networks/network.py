"""What every method's network offers to training, evaluation and prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from foveate.backbones.backbone import Backbone
from foveate.backbones.own_cnns import OwnCNN
from foveate.config.branches import Branch
from foveate.errors import UserError
from foveate.networks.branch_maps import BranchMaps
from foveate.networks.explanation import Explanation
from foveate.networks.looker import Looker
from foveate.types import BranchLogits


class TrainingStep(NamedTuple):
    """When in a training a batch is shown.

    ``progress`` is the share of the training that is done, in [0, 1). ``keys`` holds a number for each photograph and
    epoch; what is random in a network's view of the photograph comes from it, see `foveate.networks.draws`. ``epoch``
    is counted from 0.
    """

    progress: float
    keys: Int64[Tensor, " b"]
    epoch: int = 0


class Losses(NamedTuple):
    """What a network learns from a batch.

    The cross entropies of every branch of ``answers`` and of each of ``further`` logits, which are no branch's, are
    summed, and so is ``own``, a loss of the method's own. What is ``measured`` is logged by its name.
    """

    answers: BranchLogits | None
    further: Sequence[Float[Tensor, "b c"]] = ()
    own: Float[Tensor, ""] | None = None
    measured: Mapping[str, Float[Tensor, ""]] = MappingProxyType({})


@runtime_checkable
class FrozenFeatures(Protocol):
    """What a part of the network, as it is now, makes of every training photograph."""

    def __call__(
        self,
        name: str,
        part: Callable[[Network, Float[Tensor, "b 3 Hs Ws"], Int64[Tensor, " b"]], Float[Tensor, "b d"]],
    ) -> Float[Tensor, "n v d"]:
        """Return the features of n photographs in v views each, the centre view first.

        Args:
            name: Under which they are kept.
            part: From the network, normalised images of the source size, and which of the photographs each shows, to
                features.
        """
        ...


class Solved(NamedTuple):
    """What solving for a network's heads left behind: numbers by their names, and answers out of fold.

    ``held_out`` holds each branch's probabilities for every training photograph, in its centre view, by heads that were
    fitted to the other ``folds``; NaN for what is held out nowhere, such as the only photograph of a class. It is
    empty where there is nothing else.
    """

    measured: Mapping[str, float]
    held_out: Mapping[Branch, Float[Tensor, "n c"]]
    folds: int


class ResponsePeaks(NamedTuple):
    """The response of a batch's predicted classes, its peaks, and the answers, on a grid over the first view."""

    response: Float[Tensor, "b g g"]
    peaks: Bool[Tensor, "b g g"]
    logits: BranchLogits


class ParameterGroup(NamedTuple):
    """Parameters that learn otherwise than the pretrained ones.

    ``new``: at the rate of new layers; ``factor`` multiplies the rate; ``decays``: whether weight decay applies.
    """

    parameters: Sequence[nn.Parameter]
    new: bool = True
    factor: float = 1.0
    decays: bool = True


class Network(nn.Module, ABC):
    """A backbone and what a method builds around it: all that the package asks of a method, whichever it is.

    A method must have

    - ``backbone``: what begins pretrained, is grounded, and is shared with an Evidence CNN;
    - `forward`: from images to the logits of its branches, of which the joint one decides;
    - `parameter_groups`: what learns otherwise than the pretrained parameters.

    The rest has a default: a network looks once, at the images as they are, learns from the cross entropy of each
    branch, and is explained by the maps of its best classes. A method that differs overrides

    - to be trained: `losses`, `prepare`; or `solve`, where its heads are solved for at once (`NetworkConfig.solved`),
      or before the first epoch (`NetworkConfig.begins_with_probe`);
    - to be grounded, by Guided Zoom too: `first_view`, where its backbone sees another size than the network is given,
      and `decides_by_backbone`, where its decision is the backbone's own;
    - to have several branches, of which one can answer alone: `branches`, `passes`, `branch_logits`;
    - to look by another network than its own: `look_by`, `backbones`;
    - to leave views out where it is sure: `skippable_views`, `check_looks_closer`, `look_where_unsure`;
    - to be localised: `check_class_maps`, `branch_maps`;
    - to have its attention measured: `check_response_peaks`, `response_peaks`;
    - to be explained by a picture of its own: `explanation`, and `check_explains` where it shows stages of a training.

    A `check_...` raises the error of what stands beside it before photographs are read: a method that offers the one
    overrides both.
    """

    backbone: Backbone | OwnCNN

    @abstractmethod
    def forward(self, images: Float[Tensor, "b 3 H W"], step: TrainingStep | None = None) -> BranchLogits:
        """Return the logits of each branch.

        Args:
            images: Normalised, of the source size (`TransformConfig.source`).
            step: When in the training it is; None outside.
        """

    def losses(self, images: Float[Tensor, "b 3 H W"], step: TrainingStep) -> Losses:
        """Return what a training step learns from: the cross entropy of every branch; arguments as in `forward`."""
        return Losses(self(images, step))

    def solve(
        self,
        frozen: FrozenFeatures,
        labels: Int64[Tensor, " n"],
        seed: int = 0,
        groups: Int64[Tensor, " n"] | None = None,
    ) -> Solved:
        """Fit the heads at once, where the configuration says so (`solved`, `begins_with_probe`).

        Args:
            frozen: What parts of the network make of the training photographs.
            labels: The classes of these.
            seed: Of whatever is random.
            groups: Of each photograph the group that is held out as a whole; None: each stands for itself.
        """
        raise NotImplementedError

    def prepare(self, batches: Iterable[Float[Tensor, "b 3 H W"]]) -> str | None:
        """Get ready for the first epoch.

        Args:
            batches: The test view of every training photograph, normalised; those who read none cost nothing.

        Returns:
            A line for the user of what was found; None: nothing is to be said.
        """
        return None

    @property
    def decides_by_backbone(self) -> bool:
        """Whether its decision is the backbone's own answer to the images: grounding the backbone then gives both.

        Where it is not, Guided Zoom asks the network which classes it decides between, and grounds the backbone for
        these, which costs one more pass.
        """
        return False

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The branches that `forward` answers with: the original one first, the joint one, if there is one, last."""
        return (Branch.ORIGINAL,)

    def passes(self, branches: Collection[Branch]) -> int:
        """Return how many passes of a backbone the answers of some of its branches cost."""
        return 1

    def branch_logits(self, images: Float[Tensor, "b 3 Hs Ws"], branches: Collection[Branch]) -> BranchLogits:
        """Return the logits of some of its branches, and of others that cost no pass more.

        Args:
            images: Normalised and of the source size.
            branches: Some of `branches`; views that these do not rest on are not looked at.
        """
        return self(images)  # type: ignore[no-any-return]

    @property
    def backbones(self) -> tuple[Backbone | OwnCNN, ...]:
        """What images pass through: its backbone, and that of a network which looks for it."""
        return (self.backbone,)

    def look_by(self, looker: Looker) -> None:
        """Let another network say where to look (`NetworkConfig.looks_by`); its weights become part of this one's.

        Raises:
            UserError: The method looks nowhere else, or the other network has no class maps to look by.
        """
        raise UserError(
            "looker says which network draws the views of a network such as S3N; this one, a "
            f"{type(self).__name__}, draws none; leave it out"
        )

    @property
    def skippable_views(self) -> int:
        """How many views it looks at after the first one; each costs a pass of the backbone."""
        return 0

    def first_view(self, images: Float[Tensor, "b 3 Hs Ws"]) -> Float[Tensor, "b 3 H W"]:
        """Return what the backbone sees of images of the source size, and is grounded in."""
        return images

    def check_looks_closer(self) -> None:
        """Refuse where `look_where_unsure` has nothing to leave out.

        Raises:
            UserError: The network looks once.
        """
        raise UserError(
            "zoom_entropy_threshold says where a network such as S3N looks closer; this one, a "
            f"{type(self).__name__}, looks once; leave it out"
        )

    def look_where_unsure(self, images: Float[Tensor, "b 3 Hs Ws"], entropy_threshold: float) -> BranchLogits:
        """Return the first view's answers, and joint ones that are the same where it is sure.

        Args:
            images: Normalised and of the source size.
            entropy_threshold: Entropy of the first view's probabilities, in nats, above which further views are seen.

        Raises:
            UserError: As `check_looks_closer`.
        """
        self.check_looks_closer()
        raise NotImplementedError

    def check_class_maps(self) -> None:
        """Refuse where `branch_maps` has no class maps.

        Raises:
            UserError: The method has none.
        """
        raise UserError(
            "an object is localised by class maps, which rest on a linear head on averaged features; got a "
            f"{type(self).__name__}; localise a run of a plain network or of S3N"
        )

    def branch_maps(self, images: Float[Tensor, "b 3 Hs Ws"], classes: Int64[Tensor, " b"], places: int) -> BranchMaps:
        """Return what each branch answers, and where it sees a class.

        A zoomed view's map is carried to the first view through the inverse of its sampling grid.

        Args:
            images: Normalised, of the source size.
            classes: The class of each image whose maps are asked for.
            places: y, along each side of the first view.

        Raises:
            UserError: As `check_class_maps`.
        """
        self.check_class_maps()
        raise NotImplementedError

    def check_response_peaks(self) -> None:
        """Refuse where `response_peaks` has nothing to return.

        Raises:
            UserError: The method has no peaks.
        """
        raise UserError(
            "sparse attention is analysed by the peaks that draw the zoom, such as S3N's; this run is of another "
            "method; train one with `foveate train s3n`"
        )

    def response_peaks(self, images: Float[Tensor, "b 3 Hs Ws"]) -> ResponsePeaks:
        """Return where its attention rests; `images` are normalised and of the source size.

        Raises:
            UserError: As `check_response_peaks`.
        """
        self.check_response_peaks()
        raise NotImplementedError

    def check_explains(self, *, over_training: bool = False) -> None:
        """Refuse where the stages of a training cannot be shown together.

        Raises:
            UserError: They cannot.
        """
        if over_training:
            raise UserError(
                "evidence over training is shown of networks that look closer, such as S3N's; this run is of another "
                "method; leave --epochs out"
            )

    def explanation(
        self, images: Float[Tensor, "1 3 Hs Ws"], class_names: Sequence[str], title: str, truth: str | None = None
    ) -> Explanation | None:
        """Return how it comes to its answer for one image, ready to be drawn; None: it has no picture of its own.

        Maps of its best classes are shown then (`foveate.grounding.explanation`).

        Args:
            images: Normalised, of the source size.
            class_names: In the order of the logits.
            title: What the image is called.
            truth: Its true class, where that is known.

        Raises:
            UserError: The answer is not finite.
        """
        return None

    @abstractmethod
    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the parameters that learn otherwise than the pretrained ones."""
