"""`foveate data`: what a data set holds."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from foveate.commands import existence
from foveate.config.data import LARGEST_MEGAPIXELS, DataConfig, DatasetFormat, OnError


@dataclass(frozen=True, kw_only=True)
class Data:
    """Say what a data set holds and read every photograph once; or draw plumage, the embedded one."""

    root: tyro.conf.Positional[Path]
    """Folder of the archive or of the class folders, or a CSV or Parquet list; with --draw a new folder."""
    format: DatasetFormat = DatasetFormat.AUTO
    """How it is laid out; auto: recognised by what lies there."""
    exclude: tuple[str, ...] = ()
    """Lists of photographs to leave out (.txt or .csv); of class folders also names of folders, at any depth, or their
    paths below the root; * is any text."""
    relabel: Path | None = None
    """A CSV of photographs that have another class: image, class_name."""
    group_column: str | None = None
    """Of lists: the column that names what stays together where a split is cut."""
    group_level: int = 0
    """Of class folders: how many folders below that of the class name it; 0: none do."""
    validation_fraction: float = 0.0
    """Share of each class's training photographs to hold out for validation, as `train` would."""
    test_fraction: float = 0.2
    """Share of each class to hold out as the test split where there is none, as `train` would; 0: none."""
    split_seed: int = 0
    """Chooses the photographs that are held out, as `train` would."""
    draw: bool = False
    """Draw the plumage data set into the folder first."""
    species: int = 20
    """With --draw: how many species."""
    train_per_species: int = 30
    """With --draw: training pictures of each."""
    test_per_species: int = 30
    """With --draw: test pictures of each."""
    size: int = 512
    """With --draw: side of the pictures, in pixels."""
    seed: int = 0
    """With --draw: seed of everything in the pictures."""
    on_error: OnError = OnError.STOP
    """What to do about photographs that cannot be read."""
    largest_megapixels: int = LARGEST_MEGAPIXELS
    """Photographs with more million pixels count as those that cannot be read."""

    def run(self) -> None:
        """Do it."""
        config = DataConfig(
            root=self.root,
            format=self.format,
            exclude=self.exclude,
            relabel=self.relabel,
            group_column=self.group_column,
            group_level=self.group_level,
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
            split_seed=self.split_seed,
            on_error=self.on_error,
            largest_megapixels=self.largest_megapixels,
        )
        if not self.draw:
            existence.check_data(self.root)
        existence.check_lists(config)
        from foveate.plumage import PlumageConfig, draw_plumage
        from foveate.workflows.demo import every
        from foveate.workflows.describe import describe_dataset

        if self.draw:
            birds = PlumageConfig(self.species, self.train_per_species, self.test_per_species, self.size, self.seed)
            draw_plumage(self.root, birds, progress=every(100, print))
        describe_dataset(config)
