"""The probabilities of a refined answer (ours: the paper gives a class only)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from foveate.guided_zoom.algorithm_1 import Refined
from foveate.guided_zoom.config import Scores


def refined_probabilities(
    probabilities: Float[Tensor, "b c"], classes: Int64[Tensor, "b k"], refined: Refined, scores: Scores
) -> Float[Tensor, "b c"]:
    """Return a distribution whose most probable class is the refined one (ours: the paper gives a class only).

    The classes that were considered share what the network gave them together, in proportion to their scores; the
    others, and the images that the gate left alone, keep theirs. Where the refined class is not the only highest or
    comes out below by rounding, it is put the smallest step above, so that ranking agrees with `refine`.

    Args:
        probabilities: The network's own.
        classes: Its best classes by falling probability, at least as many as were considered.
        refined: What `refine` decided about them.
        scores: Of which kind its scores are: logits go through a softmax first.
    """
    considered = classes[:, : refined.scores.shape[1]]
    tot = refined.scores.softmax(1) if scores is Scores.LOGITS else refined.scores
    shares = tot / tot.sum(1, keepdim=True)
    shares = torch.where(shares.isfinite().all(1, keepdim=True), shares, 1 / shares.shape[1])  # every score is 0
    mass = probabilities.gather(1, considered).sum(1, keepdim=True)
    shared = probabilities.scatter(1, considered, (mass * shares).to(probabilities))
    gated = torch.where(refined.considered[:, None], shared, probabilities)
    best = refined.classes[:, None]
    above = gated.amax(1, keepdim=True)
    above = above.nextafter(torch.full_like(above, torch.inf))
    first = gated.argmax(1, keepdim=True) == best
    return gated.scatter(1, best, torch.where(first, gated.gather(1, best), above))
