"""All cases, by label."""

from cases import classes, exports, grounding, head, inference, machine, photographs, pools, training, zooms
from harness import Case

_MODULES = (machine, training, inference, zooms, grounding, head, photographs, pools, classes, exports)
CASES: dict[str, Case] = {case.label: case for module in _MODULES for case in module.CASES}
