"""The run folder: everything that a training leaves behind, and all that is needed to use its network.

run.json             schema version, typed config, class names, data set
environment.json     command, commit, versions, hardware
metrics.json         what the finished training measured; its presence means that the run is finished
model.safetensors    the network's weights
checkpoints/         what a resumed training continues from
features/            of a probe, or of heads that began as one: what the backbone made of the training photographs
epochs/              the weights after the epochs of `keep_epochs`
logs/                CSV and TensorBoard, one folder for each start
held_out/            answers to photographs that the training did not learn from
calibration.json     what was fitted to them
evaluation/          written by `foveate evaluate`, `localise` and `attention`
exported/            written by `foveate export`
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64
from torch import nn

from foveate.backbones.weights import check_finite, load_weights, save_weights
from foveate.config.checks import require_names
from foveate.config.hardware import Runtime
from foveate.config.networks import NAMED_WEIGHTS
from foveate.data.records import ImageRecord
from foveate.errors import UserError
from foveate.files.documents import check_fields, flattened, read_json, shortened, structured, unstructured, write_json
from foveate.files.hashes import hash_of_file
from foveate.files.parquet import read_parquet, write_parquet
from foveate.networks.network import Network
from foveate.recipes.config import TrainConfig
from foveate.recipes.methods import METHODS, configurations, create_network
from foveate.runs import migrations
from foveate.runs.environment import commit, environment
from foveate.runs.looker_description import LookerDescription
from foveate.runs.no_run import no_run

SCHEMA_VERSION = 8
_ENVIRONMENT = {
    **dict.fromkeys(("command", "foveate", "python", "hardware"), str),
    **dict.fromkeys(("commit", "cuda"), str | None),
    "packages": dict[str, str],
}
_HASHED = "sha256:"
"""Before the hash that stands for the id of a photograph, where a run is shared."""
_PHOTOGRAPHS = pa.schema(
    [("id", pa.string()), ("label", pa.int64()), ("split", pa.string())], metadata={"foveate.schema_version": "1"}
)


@dataclass(frozen=True, slots=True)
class RunDescription:
    """What `run.json` holds."""

    config: TrainConfig
    class_names: tuple[str, ...]
    dataset: str
    looker: LookerDescription | None = None
    """The network that looks in the place of its own (`NetworkConfig.looks_by`); None: there is none."""

    def __post_init__(self) -> None:
        require_names(self.class_names)


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder on disk."""

    path: Path
    description: RunDescription

    @property
    def config(self) -> TrainConfig:
        """The configuration that it was, or is being, trained with."""
        return self.description.config

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of the network's logits."""
        return self.description.class_names

    @property
    def checkpoints(self) -> Path:
        """The folder that a resumed training continues from."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        """The file of the trained network's weights."""
        return self.path / "model.safetensors"

    @property
    def finished(self) -> bool:
        """Whether the training ran to its end."""
        return (self.path / "metrics.json").exists()

    @classmethod
    def of(cls, run: Run | Path | str) -> Run:
        """Return a run as it is, or open its folder; errors as in `open`."""
        return run if isinstance(run, Run) else cls.open(Path(run).expanduser())

    @classmethod
    def start(cls, path: Path, description: RunDescription) -> Run:
        """Make a new run folder, or return to an unfinished one of the same configuration.

        Raises:
            UserError: As `check_start` does.
        """
        cls.check_start(path, description)
        if not (path / "run.json").exists():
            write_json(path / "run.json", unstructured(description), SCHEMA_VERSION)
        if not (path / "environment.json").exists():
            write_json(path / "environment.json", environment())
        return cls(path, description)

    @classmethod
    def finished_as(cls, path: Path, description: RunDescription) -> Run | None:
        """Return the finished run of a description, where a folder holds it; None where it holds no finished run.

        Raises:
            UserError: It holds a finished run of another description.
        """
        if not (path / "run.json").exists() or not (run := cls.open(path)).finished:
            return None
        if differing := run._differing(description):
            raise finished_otherwise(path, differing)
        return run

    @classmethod
    def check_start(cls, path: Path, description: RunDescription) -> None:
        """Refuse a folder that `start` cannot use; nothing is written.

        Raises:
            UserError: The folder holds something else: a finished run, another configuration, foreign files.
        """
        if (path / "run.json").exists():
            if cls.finished_as(path, description) is not None:
                raise finished_otherwise(path, ())
            if differing := cls.open(path)._differing(description):
                raise UserError(
                    f"an unfinished run resumes with its own configuration; {path} differs in {', '.join(differing)}; "
                    "give the same command, or name another folder with --out"
                )
        elif path.exists() and (not path.is_dir() or any(not entry.name.startswith(".") for entry in path.iterdir())):
            raise UserError(f"a new run needs an empty folder; {path} holds other files; name another with --out")

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open an existing run folder.

        Raises:
            UserError: It is not one, or another version of Foveate wrote it.
        """
        file = path / "run.json"
        if not file.is_file():
            raise no_run(path)
        content = read_json(file, SCHEMA_VERSION, migrations.RUN)
        _check_method(content, file)
        description = structured(content, RunDescription, file, "a run", configurations())
        _check_looker(description, file)
        return cls(path, description)

    def differences(self, config: TrainConfig) -> list[str]:
        """Name the fields in which another configuration differs, but for what does not change what is trained."""
        looker, folder = self.description.looker, config.network.looks_by
        differing = self._differing(replace(self.description, config=config))
        if looker is None or folder is None:
            return differing
        weights = Run(Path(folder).expanduser(), self.description).weights
        other = weights.exists() and hash_of_file(weights) != looker.weights_hash
        return [*differing, "config.network.looker"] if other else differing

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of its one training."""
        return (self.config.seed,)

    def alike_but_for_seeds(self, other: Run) -> bool:
        """Whether another run is the same training, from whatever seed."""
        config = replace(other.config, seed=self.config.seed)
        own, looker = self.description.looker, other.description.looker
        if own is not None and looker is not None:  # each has its own, from whatever seed
            looker = replace(looker, weights_hash=own.weights_hash)
        return not self._differing(replace(other.description, config=config, looker=looker))

    def _differing(self, description: RunDescription) -> list[str]:
        new = _start_moved(description, self.description)
        return _differences(_identity(self.description), _identity(new))

    def keep_photographs(self, train: Sequence[ImageRecord], validation: Sequence[ImageRecord]) -> None:
        """Write down the photographs of the training, or check that a resumed one has the same.

        Raises:
            UserError: They differ from those that the training began with.
        """
        path = self.path / "photographs.parquet"
        splits = ["train"] * len(train) + ["validation"] * len(validation)
        ids, labels = zip(*((each.id, each.label) for part in (train, validation) for each in part), strict=True)
        table = pa.table({"id": ids, "label": labels, "split": splits}, schema=_PHOTOGRAPHS)
        if not path.exists():
            write_parquet(path, table)
            return
        photographs = self._photographs()
        if not photographs.equals(table):
            raise UserError(
                f"a training resumes with the photographs it began with, {len(photographs)} of them; there are "
                f"{len(table)} now, or others; restore them, or name another folder than {self.path} with --out"
            )

    def keep_photographs_of(self, runs: Sequence[Run]) -> None:
        """Write down the photographs of several trainings: what one of them learned from counts as learned from."""
        rows = [row for run in runs for row in run._photographs().to_pylist()]
        rows.sort(key=lambda row: row["split"] != "train")
        once: dict[str, dict[str, Any]] = {}
        for row in rows:  # a shared run names its photographs by their hashes
            once.setdefault(row["id"] if row["id"].startswith(_HASHED) else _hashed(row["id"]), row)
        write_parquet(self.path / "photographs.parquet", pa.Table.from_pylist([*once.values()], schema=_PHOTOGRAPHS))

    def trained_ids(self) -> frozenset[str]:
        """Return the ids of the photographs that it was trained with; of a shared run, hashes of them."""
        table = self._photographs()
        return frozenset(table.filter(pc.equal(table["split"], "train")).column("id").to_pylist())

    def training_counts(self) -> Int64[np.ndarray, " c"]:
        """Return how many photographs of each class it was trained with."""
        table = self._photographs()
        labels = table.filter(pc.equal(table["split"], "train")).column("label").to_numpy()
        return np.bincount(labels, minlength=len(self.class_names))

    def trained_among(self, ids: Iterable[str]) -> frozenset[str]:
        """Return those ids that are of photographs that it was trained with, also of a run that others shared."""
        trained = self.trained_ids()
        return frozenset(each for each in ids if each in trained or _hashed(each) in trained)

    def write_hashed_photographs(self, folder: Path) -> None:
        """Write down the photographs of the training in another folder, by hashes of their ids."""
        table = self._photographs()
        ids = [each if each.startswith(_HASHED) else _hashed(each) for each in table.column("id").to_pylist()]
        write_parquet(folder / "photographs.parquet", table.set_column(0, _PHOTOGRAPHS.field("id"), [ids]))

    def _photographs(self) -> pa.Table:
        mend = "restore it from a copy, or train anew: without it a test might be on photographs of the training"
        return read_parquet(self.path / "photographs.parquet", "the photographs of a training", mend, _PHOTOGRAPHS)

    def metrics(self) -> dict[str, Any]:
        """Return what the finished training measured."""
        file = self.path / "metrics.json"
        if not file.exists():
            raise UserError(f"the training in {self.path} is not finished; resume it with the command that began it")
        content = read_json(file)
        check_fields(content, {"minutes": float}, file)
        return content

    def environment(self) -> dict[str, Any]:
        """Return the command, code and machine of the training, as `environment()` gave them."""
        file = self.path / "environment.json"
        content = read_json(file)
        check_fields(content, _ENVIRONMENT, file)
        return content

    def finish(self, network: nn.Module, metrics: Mapping[str, Any]) -> None:
        """Save the trained weights, then what was measured."""
        save_weights(self.weights, network.state_dict())
        write_json(self.path / "metrics.json", dict(metrics))

    def kept_epochs(self) -> tuple[int, ...]:
        """Return the epochs after which the weights were kept."""
        names = (re.fullmatch(r"epoch-(\d+)", file.stem) for file in self.path.glob("epochs/*.safetensors"))
        return tuple(sorted(int(name.group(1)) for name in names if name))

    def load_network(self, epoch: int | None = None) -> Network:
        """Build the network and load its trained weights, or those that it had after one of its `kept_epochs`.

        Raises:
            UserError: The weights are missing, damaged, not numbers, or those of another architecture or number of
                classes.
        """
        if epoch is not None and epoch not in (epochs := self.kept_epochs()):
            names = ", ".join(map(str, epochs)) or "none"
            raise UserError(
                f"a run shows the epochs it kept; {self.path} kept {names}, not {epoch}; train with --keep-epochs"
            )
        file = self.weights if epoch is None else self.path / f"epochs/epoch-{epoch:03d}.safetensors"
        if not file.exists():
            raise UserError(
                f"a run is used by its model.safetensors; {self.path} has none; "
                "finish its training with the command that began it"
            )
        commit()  # of the code that is at work now: a checkout may change while it is measured
        config = self.config
        network = create_network(config.network, config.transforms, len(self.class_names), pretrained=False)
        if self.description.looker is not None:
            network.look_by(self.description.looker.create(len(self.class_names)))
        try:
            weights = load_weights(file)
            network.load_state_dict(weights)
        except (UserError, MemoryError):
            raise
        except Exception as error:
            # safetensors and torch raise several unrelated errors for damaged and for foreign weights.
            first = str(error).splitlines()[:3]
            raise UserError(
                f"{file} must hold the weights of {self.config.network.base} with "
                f"{len(self.class_names)} classes ({' '.join(line.strip() for line in first)}); restore it from a copy"
            ) from error
        check_finite(weights, file)
        return network


def _hashed(photograph: str) -> str:
    """Return by what a shared run knows the id of a photograph."""
    return _HASHED + hashlib.sha256(photograph.encode(errors="surrogatepass")).hexdigest()


def finished_otherwise(path: Path, differing: Sequence[str]) -> UserError:
    """Return the error that a finished run is in the way, and in which fields it is another."""
    other = f", which differs in {', '.join(differing)}" if differing else ""
    return UserError(
        f"a finished run is never overwritten; {path} holds one{other}; name another folder with --out, or remove that "
        "one"
    )


def _check_method(content: dict[str, Any], file: Path) -> None:
    config = content.get("config")
    network = config.get("network") if isinstance(config, dict) else None
    known = list(METHODS)
    if isinstance(network, dict) and network.get("method") not in known:
        raise UserError(
            f"the method of a run must be one of {', '.join(known)}; {file} has {shortened(network.get('method'))}; "
            "restore it from a copy, or use the version that wrote it"
        )


def _check_looker(description: RunDescription, file: Path) -> None:
    folder = description.config.network.looks_by
    if (folder is None) is not (description.looker is None):
        raise UserError(
            f"a run describes the network that looks for it (looker) where config.network.looker names one; {file} has "
            f"config.network.looker {folder!r} and {'no' if description.looker is None else 'a'} description; restore "
            "it from a copy"
        )


def _identity(description: RunDescription) -> RunDescription:
    """Leave out what may change between two starts: where data and looker lie, who decodes them, what predicts."""
    config = description.config
    data, hardware = replace(config.data, root=Path()), replace(config.hardware, workers=None, runtime=Runtime.TORCH)
    network = config.network if config.network.looks_by is None else config.network.with_looker("")
    return replace(description, config=replace(config, data=data, hardware=hardware, network=network))


def _start_moved(new: RunDescription, old: RunDescription) -> RunDescription:
    """Take the weights that a run began with under their old name, where that is gone: they were moved."""
    begun, beginning = (each.config.network.trained_backbone for each in (old, new))
    if begun is None or beginning is None:
        return new
    named = {begun.weights, beginning.weights} & set(NAMED_WEIGHTS)
    if named or Path(begun.weights).expanduser().exists():
        return new
    network = new.config.network.with_weights(begun.weights)
    return replace(new, config=replace(new.config, network=network))


def _differences(old: RunDescription, new: RunDescription) -> list[str]:
    begun = flattened(unstructured(old))
    return [name for name, value in flattened(unstructured(new)).items() if begun.get(name) != value]
