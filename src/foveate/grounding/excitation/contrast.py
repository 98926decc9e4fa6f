"""The contrast of contrastive excitation backprop (cEB): what excites a class less what excites its opposite.

Zhang et al., Top-down Neural Attention by Excitation Backprop (ECCV 2016; IJCV 2018), "contrastive top-down attention";
Guided Zoom, section 3.
"""

from __future__ import annotations

from foveate.errors import UserError
from foveate.grounding.excitation.convolution import Linear
from foveate.grounding.excitation.relevance import Relevance


def contrast(last: Linear, relevance: Relevance) -> Relevance:
    """Return what the last weights W hand down less what -W, those of the class's dual unit, do.

    Each of the two adds up to the relevance of the class.
    """
    dual = last.signed(-last.weight.new_ones(len(last.weight)))
    (exciting,), (opposing,) = last.back(relevance), dual.back(relevance)
    return exciting.plus(opposing, sign=-1)


def no_contrast() -> UserError:
    """Return what is wrong where there are no last weights, or several beside each other."""
    return UserError(
        "the contrast is taken at one last linear layer between grounding layer and logits; the network has "
        "none there, or several beside each other; ground at an earlier layer or with contrast=False"
    )
