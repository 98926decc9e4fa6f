"""`foveate guided-zoom`, `tune` and `pool`: questioning a trained network by its evidence."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from foveate.commands import existence
from foveate.commands.adopt import Checkpoint
from foveate.commands.contexts import MeasurementOptions, RunOptions, context_of
from foveate.config.data import Split
from foveate.config.engine import EngineConfig
from foveate.errors import UserError
from foveate.guided_zoom.config import EvidenceStart, PoolConfig, RefinementConfig, Rule, Scores


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Algorithm 1: how much the first answer and the evidence of each round count.

    What is not given is as the folder says (`foveate tune` writes it down), else the default.
    """

    top_k: int | None = None
    """How many of the network's best classes are considered; the paper takes 3 and 5. The default: 5, or all classes
    where there are fewer."""
    weights: tuple[float, ...] | None = None
    """w of the network's own answer, then w_0 to w_L of the evidence of each round. The default: 0.4 0.2 for one look,
    without erasing; for more the paper's, 0.4 0.3 0.2 0.1, as far as there are rounds."""
    rule: Rule | None = None
    """How the weighted scores of a class become one. The default: sum."""
    scores: Scores | None = None
    """What of the two networks is added up. The default: probabilities."""
    mirrored: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """The Evidence CNN's score of a patch is the mean of that and of its mirror image's: two passes a patch. This is
    the default."""
    no_mirrored: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """It is that of the patch alone."""
    entropy_threshold: float | Literal["as-written"] | None = "as-written"
    """Refine only where the entropy of the network's probabilities, in nats, is above this; None: always. The default:
    None."""

    def __post_init__(self) -> None:
        self.over(RefinementConfig())

    def over(self, usual: RefinementConfig) -> RefinementConfig:
        """Return what decides where everything that is not given is as usual."""
        if self.mirrored and self.no_mirrored:
            raise UserError("--refinement.mirrored and --refinement.no-mirrored exclude each other; leave one out")
        given: dict[str, Any] = {name: getattr(self, name) for name in ("top_k", "weights", "rule", "scores")}
        given = {name: value for name, value in given.items() if value is not None}
        if self.mirrored or self.no_mirrored:
            given["mirrored"] = self.mirrored
        if self.entropy_threshold != "as-written":
            given["entropy_threshold"] = self.entropy_threshold
        return replace(usual, **given)


@dataclass(frozen=True, kw_only=True)
class GuidedZoom(MeasurementOptions):
    """Refine the answers of a trained network by the evidence for its best classes: pool, Evidence CNN, decisions."""

    network: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN_OR_CHECKPOINT")]
    """The run folder of the network; or a file of its weights, which --architecture, --library, --data and --transforms
    describe."""
    out: Path
    """The Guided Zoom's folder; what an earlier call finished there is used again."""
    checkpoint: Annotated[Checkpoint, tyro.conf.arg(name="")] = field(default_factory=Checkpoint)
    looker: Annotated[Path | None, tyro.conf.arg(metavar="{None}|RUN")] = None
    """Folder of a finished run of the same classes, whose network is grounded in the place of the one that answers; it
    is copied. None: that one is grounded itself."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    refinement: Decision = field(default_factory=Decision)
    tuned: bool = False
    """Decide as `foveate tune` fitted it to the validation split, whatever --refinement says; fit it if it is not."""
    tuned_by: Path | None = None
    """Decide as another Guided Zoom was fitted, whatever --refinement says: its folder."""
    epochs: int | None = None
    """Of the Evidence CNN, which has the network's seed; None: 4 from the network's own weights, else 8."""
    evidence_architecture: str | None = None
    """timm's name of the Evidence CNN's; None: the network's own, or the default where that cannot be trained here."""
    evidence_start: EvidenceStart = EvidenceStart.CONVENTIONAL
    """What the Evidence CNN's training begins with."""
    evidence_probe: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Train no Evidence CNN: its backbone stays as it begins, and its head is a probe's, on features of the patches."""
    evidence_thorough: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Train the Evidence CNN as `train plain` trains: its head begins as a probe's, it takes five to eight times as
    many steps, and its gradients are clipped."""
    split: Split = Split.TEST
    """Which photographs to answer for."""

    def run(self) -> None:
        """Do it."""
        existence.check_network(self.network)
        existence.check_data(self.root)
        existence.check_there(self.tuned_by, "the Guided Zoom of --tuned-by")
        if self.looker is not None and not (self.out / "looker").is_dir():
            existence.check_run(self.looker)
        from foveate.runs.guided_zoom_run import GuidedZoomRun
        from foveate.runs.run import Run
        from foveate.workflows.build_guided_zoom import build_guided_zoom, usual_refinement
        from foveate.workflows.evidence_training import EvidenceTraining

        if self.tuned and self.tuned_by is not None:
            raise UserError(
                "one decision counts: one that is fitted here (--tuned), or that of another Guided Zoom (--tuned-by); "
                "leave one of them out"
            )
        GuidedZoomRun.network_folder(self.out)  # before a checkpoint is taken in
        run, refinement = Run.open(self._run_folder()), None
        if self.refinement != Decision() and not self.tuned and self.tuned_by is None:
            refinement = self.refinement.over(usual_refinement(run, self.out, self.pool))
        build_guided_zoom(
            run,
            self.out,
            pool=self.pool,
            evidence=EvidenceTraining(
                architecture=self.evidence_architecture,
                start=self.evidence_start,
                epochs=self.epochs,
                probe=self.evidence_probe,
                thorough=self.evidence_thorough,
            ),
            refinement=refinement,
            tuned=self.tuned if self.tuned_by is None else self.tuned_by,
            looker=self.looker,
            split=self.split,
            context=context_of(self),
        )

    def _run_folder(self) -> Path:
        """Return the network's run folder, made first where a file of weights was given."""
        from foveate.runs.guided_zoom_run import GuidedZoomRun

        if self.network.is_file():
            folder = GuidedZoomRun.network_folder(self.out)
            self.checkpoint.adopt(self.network, folder, self.hardware)
            return folder
        if self.checkpoint != Checkpoint():
            raise UserError(
                "--architecture, --library, --mean, --std, --weights-key, --data and --transforms describe a file of "
                f"weights; {self.network} is none; give the file, or leave them out: a run folder holds its own"
            )
        return self.network


@dataclass(frozen=True, kw_only=True)
class Tune(RunOptions):
    """Fit how the answer is decided to held-out photographs.

    Of a Guided Zoom: k, and where that pays weights and entropy gate; accuracy is plotted against cost. Of a run: how
    much each of its views counts, and a temperature.
    """

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN_OR_ZOOM")]
    """The run folder, or the Guided Zoom's: a fit, a probe, or trained with --data.validation-fraction above 0."""
    split: Split = Split.VALIDATION
    """Of a Guided Zoom: what to fit to; the test split is refused."""

    def run(self) -> None:
        """Do it.

        Raises:
            UserError: Something the user can mend: see its message.
        """
        existence.check_run_or_zoom(self.folder)
        existence.check_data(self.root)
        from foveate.runs.guided_zoom_run import GuidedZoomRun
        from foveate.workflows.tune import tune
        from foveate.workflows.tune_views import tune_views

        if GuidedZoomRun.is_at(self.folder.expanduser()):
            tune(self.folder, split=self.split, context=context_of(self))
            return
        if self.split is not Split.VALIDATION:
            raise UserError(
                "the views of a run are weighed on photographs that its training did not learn from, split validation; "
                f"got {self.split}; leave it out"
            )
        tune_views(self.folder, context=context_of(self))


@dataclass(frozen=True, kw_only=True)
class PoolBuild(RunOptions):
    """Build the evidence pool of a trained network; a stopped build goes on where it was."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder of the network."""
    out: Path
    """The pool's folder."""
    looker: Annotated[Path | None, tyro.conf.arg(metavar="{None}|RUN")] = None
    """Folder of a finished run of the same classes, whose network is grounded in the place of the one that answers.
    None: that one is grounded itself."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    share: Annotated[str, tyro.conf.arg(metavar="I/N")] = "0/1"
    """Build every N-th part, beginning with part I: for several processes that see the same folder."""
    engine: Annotated[EngineConfig, tyro.conf.arg(name="")] = field(default_factory=EngineConfig)

    def run(self) -> None:
        """Do it."""
        existence.check_run(self.run_folder)
        existence.check_data(self.root)
        if self.looker is not None:
            existence.check_run(self.looker)
        from foveate.workflows.build_pool import build_pool, parsed_share

        build_pool(
            self.run_folder,
            self.out,
            self.pool,
            looker=self.looker,
            share=parsed_share(self.share),
            context=context_of(self),
        )


@dataclass(frozen=True, kw_only=True)
class PoolExport:
    """Write the patches of an evidence pool as pictures, to be looked at."""

    pool_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="POOL")]
    """The pool's folder."""
    out: Path
    """An empty folder; it gets one folder for each class."""

    def run(self) -> None:
        """Do it."""
        existence.check_there(self.pool_folder, "the pool's folder")
        from foveate.guided_zoom.pool import EvidencePool
        from foveate.workflows.build_pool import export_patches

        export_patches(EvidencePool.open(self.pool_folder), self.out)


_Pool = Annotated[PoolBuild, tyro.conf.subcommand("build")] | Annotated[PoolExport, tyro.conf.subcommand("export")]


def pool_command(command: Annotated[_Pool, tyro.conf.arg(name="")]) -> PoolBuild | PoolExport:
    """The evidence pool of Guided Zoom: where a trained network saw its evidence."""
    return command
