"""One temperature for all answers of a network (Guo et al., On Calibration of Modern Neural Networks, ICML 2017)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from foveate.evaluation.accuracy import truth_ranks

LOWEST, HIGHEST = 0.2, 5.0
"""The temperatures among which the best is looked for."""
LEAST_PHOTOGRAPHS = 20
"""A temperature is fitted to so many photographs or more: the best one for a handful of answers is mostly chance."""


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the temperature T of the smallest mean log loss of softmax(logits / T).

    Where every answer is right the loss falls for ever as T does, and nothing says how sure is too sure: that is 1. So
    it is of fewer than `LEAST_PHOTOGRAPHS`.

    Args:
        logits: (n, c); or log probabilities, which are logits too.
        labels: (n,), in 0..c-1.

    Raises:
        UserError: There is no photograph, shapes disagree, or a label is out of range.
    """
    if (truth_ranks(logits, labels) == 0).all() or len(labels) < LEAST_PHOTOGRAPHS:
        return 1.0
    return _best(logits, labels)[0]


def least_log_loss(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the least mean log loss at any temperature, in nats, by which networks are compared; arguments as above.

    Of answers that are all right, and of however few, too: each network is asked at the temperature that suits it.
    """
    return _best(logits, labels)[1]


def _best(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> tuple[float, float]:
    """Return the temperature of the least mean log loss, and that loss."""
    values = logits.astype(np.float64)
    bounds = (math.log(LOWEST), math.log(HIGHEST))
    found = minimize_scalar(lambda log_t: mean_log_loss(values / math.exp(log_t), labels), bounds=bounds)
    return float(math.exp(found.x)), float(found.fun)


def mean_log_loss(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean of -log p of the true classes, in nats; arguments as in `fit_temperature`."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())
