"""The folder of a Guided Zoom: which network it questions, its pool, its Evidence CNN, how it decides.

::

    guided_zoom.json   the description
    network/           the run of the conventional network, where it was adopted for this Guided Zoom
    looker/            a copy of the run of the network that is grounded in its place, where there is one
    pool/              the evidence pool
    evidence/          the run of the Evidence CNN
    held_out/          written by `foveate tune`: refined answers to the validation split
    calibration.json   what was fitted to them
    splits/            the evidence of whole splits, kept so that it can be weighed again
    evaluation/        what was measured
    foveate.json       of a shared one: the hashes of its files; then there is no pool
    explanations/      written by `foveate explain`, and with it pool_features.safetensors
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

from foveate.config.networks import NAMED_WEIGHTS
from foveate.errors import UserError
from foveate.files.documents import flattened, read_json, structured, unstructured, write_json
from foveate.files.hashes import hash_of_file
from foveate.guided_zoom.config import PoolConfig, RefinementConfig
from foveate.guided_zoom.pool import EvidencePool
from foveate.recipes.config import TrainConfig
from foveate.runs import migrations
from foveate.runs.held_out import remove_held_out
from foveate.runs.run import Run

SCHEMA_VERSION = 4
_FILE = "guided_zoom.json"
NETWORK = "network"
"""The folder of the conventional network, where it lies inside."""
LOOKER = "looker"
"""The folder of the network that is grounded in its place."""
MANIFEST = "foveate.json"
"""Of a shared one, the list of its files (`foveate push`)."""


_OF_A_LOOKER = ("run.json", "environment.json", "metrics.json", "photographs.parquet", "model.safetensors")
"""What is copied of its run: what it needs to be loaded, and to be shared."""


@dataclass(frozen=True, kw_only=True)
class GuidedZoomDescription:
    """What `guided_zoom.json` holds."""

    base: Path
    """The run folder of the conventional network; relative to the Guided Zoom's where it lies inside."""
    network_hash: str
    """Of its weights."""
    pool: PoolConfig
    refinement: RefinementConfig
    tuned_on: str | None = None
    """The split that the refinement was fitted to; None: it was given."""
    given: RefinementConfig | None = None
    """Where it was fitted, what had been given before: what the next fit begins with."""
    looker_hash: str | None = None
    """Of the weights of the network that is grounded in the conventional one's place; None: there is none."""

    @property
    def grounded_layer(self) -> str | None:
        """The layer of the conventional network whose feature map was asked for; None: none, or another one's."""
        return self.pool.grounding.map_layer if self.looker_hash is None else None


@dataclass(frozen=True, slots=True)
class GuidedZoomRun:
    """A Guided Zoom on disk."""

    path: Path
    description: GuidedZoomDescription

    @staticmethod
    def is_at(path: Path) -> bool:
        """Say whether a folder is one."""
        return (path / _FILE).is_file()

    @classmethod
    def of(cls, zoom: GuidedZoomRun | Path | str) -> GuidedZoomRun:
        """Return a Guided Zoom as it is, or open its folder; errors as in `open`."""
        return zoom if isinstance(zoom, GuidedZoomRun) else cls.open(Path(zoom).expanduser())

    @classmethod
    def start(cls, path: Path, description: GuidedZoomDescription) -> GuidedZoomRun:
        """Begin one, or return to one that was begun in the same way; errors as in `check_start`."""
        run = cls.check_start(path, description)
        if run is None:
            run = cls(path, description)
            run.write()
        return run

    @classmethod
    def check_start(cls, path: Path, description: GuidedZoomDescription) -> GuidedZoomRun | None:
        """Return what was begun in the same way; None where nothing was, or nothing has been computed since.

        Raises:
            UserError: The folder holds something else, or a Guided Zoom of another network or pool.
        """
        if not cls.is_at(path):
            cls.network_folder(path)
            return None
        run = cls.open(path)
        parts = {"network_hash": "another network", "looker_hash": "another looker, or none", "pool": "another pool"}
        for name, what in parts.items():
            if getattr(run.description, name) != getattr(description, name):
                if not run._begun:
                    return None
                raise UserError(
                    f"a Guided Zoom goes on with the network and pool that it began with; {path} began with "
                    f"{what}{_named(run.description, description)}; ask for what it began with, or name "
                    "another folder with --out"
                )
        return run

    @classmethod
    def network_folder(cls, path: Path) -> Path:
        """Return where in a Guided Zoom, begun or not, a network lies that was adopted for it.

        Raises:
            UserError: The folder holds something else.
        """
        foreign = path.exists() and (
            not path.is_dir() or any(each.name != NETWORK and not each.name.startswith(".") for each in path.iterdir())
        )
        if foreign and not cls.is_at(path):
            raise UserError(
                f"a new Guided Zoom needs an empty folder; {path} holds other files; name another with --out"
            )
        return path / NETWORK

    @classmethod
    def open(cls, path: Path) -> GuidedZoomRun:
        """Open an existing one.

        Raises:
            UserError: It is not one, or another version of Foveate wrote it.
        """
        file = path / _FILE
        if not cls.is_at(path):
            raise UserError(
                f"a Guided Zoom is a folder with a {_FILE}, as `foveate guided-zoom` makes it; {path} is not one"
            )
        content = read_json(file, SCHEMA_VERSION, migrations.GUIDED_ZOOM)
        return cls(path, structured(content, GuidedZoomDescription, file, "a Guided Zoom"))

    def write(self) -> None:
        """Write down its description."""
        write_json(self.path / _FILE, unstructured(self.description), SCHEMA_VERSION)

    @property
    def pool(self) -> Path:
        """The evidence pool's folder."""
        return self.path / "pool"

    @property
    def evidence(self) -> Path:
        """The run folder of the Evidence CNN."""
        return self.path / "evidence"

    @property
    def shared(self) -> bool:
        """Whether it came from others, who keep the pool and its photographs."""
        return (self.path / MANIFEST).is_file() and not self.pool.exists()

    @property
    def finished(self) -> bool:
        """Whether it can decide: the Evidence CNN is trained."""
        return (self.evidence / "metrics.json").exists()

    @property
    def _begun(self) -> bool:
        """Whether anything has been computed in it."""
        computed = (self.evidence, self.path / "splits", self.path / "evaluation")
        return EvidencePool.begun(self.pool) or any(each.exists() for each in computed)

    def base_run(self) -> Run:
        """Open the run of the conventional network.

        Raises:
            UserError: It is gone, or its weights are others than those that the pool was built with.
        """
        run = Run.open(self.path / self.description.base)
        if hash_of_file(run.weights) != self.description.network_hash:
            raise UserError(
                f"a Guided Zoom questions the network that its pool was built with; the weights in {run.path} have "
                "changed since; restore them, or make a new Guided Zoom"
            )
        return run

    def keep_looker(self, looker: Run | None) -> None:
        """Copy the run of the network that is grounded, so that the Guided Zoom needs no other folder for it.

        A copy of another, from before anything was computed, is replaced.
        """
        folder = self.path / LOOKER
        if looker is None:
            return
        weights = folder / looker.weights.name
        if weights.is_file() and hash_of_file(weights) == self.description.looker_hash:
            return
        temporary = Path(mkdtemp(prefix=".partial-", dir=self.path))
        try:
            for name in _OF_A_LOOKER:
                shutil.copyfile(looker.path / name, temporary / name)
            temporary.chmod(0o755)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def looker_run(self) -> Run | None:
        """Open the run of the network that is grounded in the conventional one's place; None: there is none.

        Raises:
            UserError: It is gone, or its weights are others than those that the pool was built with.
        """
        if self.description.looker_hash is None:
            return None
        run = Run.open(self.path / LOOKER)
        if hash_of_file(run.weights) != self.description.looker_hash:
            raise UserError(
                f"a Guided Zoom grounds the network that its pool was built with; the weights in {run.path} have "
                "changed since; restore them, or make a new Guided Zoom"
            )
        return run

    def open_pool(self) -> EvidencePool:
        """Open the evidence pool."""
        return EvidencePool.open(self.pool)

    def evidence_run(self) -> Run:
        """Open the run of the Evidence CNN.

        Raises:
            UserError: It is not trained yet.
        """
        if not self.finished:
            raise UserError(
                f"a Guided Zoom is used when its Evidence CNN is trained; that of {self.path} is not; give `foveate "
                "guided-zoom` again: it goes on where it was stopped"
            )
        return Run.open(self.evidence)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the trainings of its conventional network and of its Evidence CNN."""
        return (*self.base_run().seeds, *self.evidence_run().seeds)

    def alike_but_for_seeds(self, other: GuidedZoomRun) -> bool:
        """Whether another is the same Guided Zoom, its two networks trained from whatever seeds.

        Decisions that were fitted to the same split count as the same, and so do Evidence CNNs whose trainings began
        with the weights of a run, each its own.
        """
        evidence, others = self.evidence_run(), other.evidence_run()
        begun = replace(others.description, config=_begun_alike(evidence.config, others.config))
        lookers = [each for each in (self.looker_run(), other.looker_run()) if each is not None]
        return (
            _but_for_trainings(self.description) == _but_for_trainings(other.description)
            and all(each.alike_but_for_seeds(lookers[-1]) for each in lookers)
            and self.base_run().alike_but_for_seeds(other.base_run())
            and evidence.alike_but_for_seeds(replace(others, description=begun))
        )

    def with_refinement(self, refinement: RefinementConfig, tuned_on: str | None) -> GuidedZoomRun:
        """Write down another way to decide; of a fitted one, what was given before is kept.

        Held-out answers of the former way are removed.
        """
        if refinement != self.description.refinement:
            remove_held_out(self.path)
        given = None if tuned_on is None else self.description.given or self.description.refinement
        description = replace(self.description, refinement=refinement, tuned_on=tuned_on, given=given)
        run = replace(self, description=description)
        run.write()
        return run


def _but_for_trainings(description: GuidedZoomDescription) -> GuidedZoomDescription:
    """Leave out which network it is of, and what was fitted."""
    given = description.given or description.refinement
    looker = None if description.looker_hash is None else ""
    return replace(description, base=Path(), network_hash="", looker_hash=looker, refinement=given, given=None)


def _begun_alike(config: TrainConfig, other: TrainConfig) -> TrainConfig:
    """Return the other configuration with the first one's initial weights, where both began with those of a run."""
    begun, others = config.network.trained_backbone, other.network.trained_backbone
    if begun is None or others is None or {begun.weights, others.weights} & set(NAMED_WEIGHTS):
        return other
    return replace(other, network=other.network.with_weights(begun.weights))


def _named(old: GuidedZoomDescription, new: GuidedZoomDescription) -> str:
    """Name the fields of the pool that differ, and what each began with; nothing where the network does."""
    if old.network_hash != new.network_hash or old.looker_hash != new.looker_hash:
        return ""
    begun, asked = (flattened(unstructured(each.pool)) for each in (old, new))
    differing = [f"{name} {value}, not {asked.get(name)}" for name, value in begun.items() if asked.get(name) != value]
    return f" ({'; '.join(differing)})"
