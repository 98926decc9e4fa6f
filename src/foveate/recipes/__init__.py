"""How each method is trained on photographs of your own: named configurations and their presets."""

from collections.abc import Callable

from foveate.recipes.config import TrainConfig
from foveate.recipes.evidence_cnn import evidence
from foveate.recipes.lite import plain_lite1, plain_lite2, probe_lite1, probe_lite2
from foveate.recipes.macnn import macnn, macnn_paper
from foveate.recipes.plain import plain, plain_plumage
from foveate.recipes.probe import probe
from foveate.recipes.s3n import s3n, s3n_continued, s3n_frozen, s3n_paper, s3n_plumage, s3n_reference

RECIPES: dict[str, dict[str, Callable[..., TrainConfig]]] = {
    "plain": {"foveate": plain, "lite1": plain_lite1, "lite2": plain_lite2},
    "probe": {"foveate": probe, "lite1": probe_lite1, "lite2": probe_lite2},
    "s3n": {
        "foveate": s3n,
        "continued": s3n_continued,
        "frozen": s3n_frozen,
        "paper": s3n_paper,
        "reference": s3n_reference,
    },
    "macnn": {"foveate": macnn, "paper": macnn_paper},
    "evidence": {"foveate": evidence},
}
"""By method and preset, the default one first; each takes the folder of the photographs, or the pool's."""

__all__ = [
    "RECIPES",
    "evidence",
    "macnn",
    "macnn_paper",
    "plain",
    "plain_lite1",
    "plain_lite2",
    "plain_plumage",
    "probe",
    "probe_lite1",
    "probe_lite2",
    "s3n",
    "s3n_continued",
    "s3n_frozen",
    "s3n_paper",
    "s3n_plumage",
    "s3n_reference",
]
