"""The contrast of contrastive excitation backprop (cEB): what excites a class less what excites its opposite.

Zhang et al., Top-down Neural Attention by Excitation Backprop (ECCV 2016; IJCV 2018), "contrastive top-down attention";
Guided Zoom, section 3.
"""

from __future__ import annotations

from jaxtyping import Int64
from torch import Tensor

from foveate.errors import UserError
from foveate.grounding.excitation.convolution import Dense, Linear
from foveate.grounding.excitation.relevance import Relevance, inverse


def contrast(last: Linear, relevance: Relevance) -> Relevance:
    """Return what the last weights W hand down less what -W, those of the class's dual unit, do.

    Each of the two adds up to the relevance of the class.
    """
    dual = last.signed(-last.weight.new_ones(len(last.weight)))
    (exciting,), (opposing,) = last.back(relevance), dual.back(relevance)
    return exciting.plus(opposing, sign=-1)


def contrast_of_pairs(last: Linear, relevance: Relevance, pairs: Int64[Tensor, "b 2"]) -> Relevance:
    """Return what raises the first logit of each image's pair above the second, less what raises the second above it.

    That is `contrast` for a unit of the weights W_a - W_b, the difference of both logits; its dual unit has W_b - W_a.
    Each of the two adds up to 1, unless nothing speaks for its class. Ours: the contrast of Zhang et al. is a class
    against all that is not, and of two look-alike classes that gives nearly equal maps.

    Args:
        last: What gives the logits.
        relevance: Of the logits; its values do not matter.
        pairs: Two classes of each image.

    Raises:
        UserError: The logits are no dense layer's own.
    """
    if (
        not isinstance(last.weighting, Dense)
        or relevance.signal.shape[2:] != last.weight.shape[:1]
        or last.sign is not None
    ):
        raise no_contrast()
    values = last.input.read(relevance.signal.dtype)
    difference = last.weight[pairs[:, 0]].to(values) - last.weight[pairs[:, 1]].to(values)
    first, second = (values * difference).clamp(min=0), (values * difference).clamp(max=0)
    signed = first * inverse(first.sum(1, keepdim=True)) - second * inverse(second.sum(1, keepdim=True))
    return Relevance(signed[:, None])


def no_contrast() -> UserError:
    """Return what is wrong where there are no last weights, or several beside each other."""
    return UserError(
        "the contrast is taken at one last linear layer between grounding layer and logits; the network has "
        "none there, or several beside each other; ground at an earlier layer or with contrast=False"
    )
