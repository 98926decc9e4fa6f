"""How much of what a training began with is in the weights that it leaves: said anew, without training anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foveate.errors import UserError
from foveate.files.documents import write_json
from foveate.runs.run import Run
from foveate.training.first_weights import FIRST, mix_with_first_weights


def with_share(run: Run, share: float, out: Path) -> Run:
    """Return the run that the same training leaves with another `pretrained_share`; one that is there is used again.

    Of that run the weights: what a training writes beside them on its way (epochs, held-out answers) is not there.

    Args:
        run: Finished, with a share above 0: what it began with is kept in its folder.
        share: Of what it began with, in (0, 1).
        out: The folder of the other run.

    Raises:
        UserError: What the run began with is not kept, or damaged; or the folder holds something else.
    """
    description = replace(run.description, config=replace(run.config, pretrained_share=share))
    if (other := Run.finished_as(out, description)) is not None:
        return other
    if not (run.path / FIRST).exists():
        raise UserError(
            f"another share of the first weights needs these; {run.path} has no {FIRST}; train it with "
            f"--pretrained-share {share:g}"
        )
    network = run.load_network()
    mix_with_first_weights(network, run.path, share, run.config.pretrained_share)
    other = Run.start(out, description)
    write_json(out / "environment.json", run.environment())
    other.keep_photographs_of([run])
    other.finish(network, run.metrics())
    return other
