"""Spearman's rank correlation of maps: whether a network's weights matter to them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor


def rank_correlation(first: Float[Tensor, "n h w"], second: Float[Tensor, "n h w"]) -> Float[np.ndarray, " n"]:
    """Return Spearman's correlation of the cells of two maps; 0 where one of them is flat and ranks nothing."""
    ranks = [rankdata(each.flatten(1).double().cpu().numpy(), axis=1) for each in (first, second)]
    one, other = (each - each.mean(1, keepdims=True) for each in ranks)
    spread = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    correlation: Float[np.ndarray, " n"] = (one * other).sum(1) / np.where(spread == 0, 1, spread)
    return correlation
