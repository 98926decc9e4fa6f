"""Which photographs, and which views of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from foveate.config.addresses import is_address, shown_address
from foveate.config.checks import require, require_count, require_finite, require_fraction, require_seed, require_side
from foveate.errors import UserError

LARGEST_MEGAPIXELS = 200
"""A photograph with more is refused unless that is asked for: a small file may be made to fill the memory."""


LIST_SUFFIXES = (".txt", ".csv")
"""By which a list of photographs is told from the name of a folder."""


class DatasetFormat(StrEnum):
    """How photographs and labels are kept; AUTO looks at what lies in the folder."""

    AUTO = "auto"
    CUB = "cub"
    """CUB-200-2011."""
    DOGS = "dogs"
    """Stanford Dogs."""
    AIRCRAFT = "aircraft"
    """FGVC-Aircraft."""
    CARS = "cars"
    """Stanford Cars."""
    FLOWERS = "flowers"
    """Oxford Flowers-102."""
    PETS = "pets"
    """Oxford-IIIT Pets."""
    FOLDER = "folder"
    """A folder for each class."""
    TABLE = "table"
    """A CSV or Parquet list."""
    SHARDS = "shards"
    """Tar files, as WebDataset writes them."""
    POOL = "pool"
    """An evidence pool of Guided Zoom: patches of photographs."""
    FOLD = "fold"
    """A fold of another data set's training photographs, as `foveate fit` cuts it."""


class Split(StrEnum):
    """A part of a data set; `Split("test")` is the one of a name."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise UserError(f"a split is one of {', '.join(cls)}; got {value!r}; give the name of one of them")


class OnError(StrEnum):
    """What to do about a photograph that is missing or cannot be read."""

    STOP = "stop"
    """Name them in an error, before anything is computed."""
    SKIP = "skip"
    """Leave them out, and say so."""


class TrainCrop(StrEnum):
    """Which window of the photograph a training view shows."""

    AREA = "area"
    """A window of random area, place and (slightly) aspect, resized to the input (S3N's reference code)."""
    OFFSET = "offset"
    """Resize the whole photograph to `resize_size`, then cut the input size at a random offset (Guided Zoom)."""


class TestViews(StrEnum):
    """Which views of a test photograph are averaged (their probabilities)."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    CENTRE = "centre"
    """The centre crop alone."""
    FLIP = "flip"
    """The centre crop and its mirror image."""
    TEN_CROP = "ten-crop"
    """The four corners and the centre, and their mirror images."""

    @property
    def number(self) -> int:
        """How many views they are."""
        return {TestViews.CENTRE: 1, TestViews.FLIP: 2, TestViews.TEN_CROP: 10}[self]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which photographs, and how they are divided."""

    root: Path
    """Folder of the archive or of the class folders, or a CSV or Parquet list."""
    format: DatasetFormat = DatasetFormat.AUTO
    """How the data set is laid out; auto: recognised by what lies there."""
    exclude: tuple[str, ...] = ()
    """What is left out: lists of photographs (.txt, one id a line, or .csv with a column image, as `foveate check`
    writes them); of class folders also names of folders, at any depth, or their paths below the root; * is any text."""
    relabel: Path | None = None
    """A list of photographs that have another class than their place says: a CSV with the columns image and
    class_name, as `foveate check` writes it."""
    group_column: str | None = None
    """Of lists: the column that says what a photograph is of (an individual, a video, a place); photographs of one
    group stay together wherever a test or validation split or folds are cut, and count as one in intervals, p-values
    and promises. None: each stands for itself."""
    group_level: int = 0
    """Of class folders, in place of a column: how many folders below that of the class name a group
    (1: class/GROUP/photograph.jpg); 0: each photograph stands for itself."""
    validation_fraction: float = 0.0
    """Share of each class's training photographs held out to choose the epoch (stratified, seeded); 0: none. Where the
    data set has a validation split of its own, that one is taken."""
    test_fraction: float = 0.2
    """Share of each class held out as the test split where the data set has no division of its own."""
    split_seed: int = 0
    """Seed of both cuts; kept apart from the training's seed so that seeds are compared on the same photographs."""
    on_error: OnError = OnError.STOP
    """What to do about photographs that are missing or cannot be read, found before training starts."""
    largest_megapixels: int = LARGEST_MEGAPIXELS
    """Photographs with more million pixels count as those that cannot be read; each needs four times as many bytes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", _as_path(self.root))
        if self.relabel is not None:
            object.__setattr__(self, "relabel", _as_path(self.relabel))
        require_fraction("validation_fraction", self.validation_fraction)
        require_fraction("test_fraction", self.test_fraction)
        require(all(self.exclude), "names in exclude must not be empty", self.exclude)
        open_names = tuple(map(shown_address, self.exclude))
        require(open_names == self.exclude, "addresses in exclude must have no credentials", open_names)
        require(self.group_column != "", "group_column must be the name of a column, or None", self.group_column)
        require_count("group_level", self.group_level, least=0)
        require(
            self.group_column is None or not self.group_level,
            "groups are named by a column or by folders, so group_level must be 0 beside group_column",
            self.group_level,
        )
        require_seed("split_seed", self.split_seed)
        require_count("largest_megapixels", self.largest_megapixels)

    @property
    def excluded_folders(self) -> tuple[str, ...]:
        """Of `exclude` the folders."""
        return tuple(each for each in self.exclude if not _is_list(each))

    @property
    def excluded_lists(self) -> tuple[Path, ...]:
        """Of `exclude` the lists of photographs."""
        return tuple(Path(each) for each in self.exclude if _is_list(each))

    def resolved(self) -> DataConfig:
        """Return the same with whole paths: of the photographs, and of the lists that say something of them."""
        return replace(
            self,
            root=_whole(self.root),
            exclude=tuple(str(_whole(Path(each))) if _is_list(each) else each for each in self.exclude),
            relabel=None if self.relabel is None else _whole(self.relabel),
        )


def _is_list(name: str) -> bool:
    return name.lower().endswith(LIST_SUFFIXES)


def _as_path(path: Path | str) -> Path:
    """Return a path that may be given as text, in a script; one that is read elsewhere stays what it is."""
    return path if isinstance(path, Path) else Path(path)


def _whole(path: Path) -> Path:
    return path if is_address(path) else path.expanduser().resolve()


@dataclass(frozen=True, kw_only=True)
class TransformConfig:
    """Geometry of the views, in pixels. Both papers squash the whole photograph to a square first."""

    input_size: int = 224
    """Side of the view that the network sees."""
    resize_size: int = 256
    """Side to which the whole photograph is squashed before the centre (and `offset`) crop of `input_size`. On the
    command line it follows input_size, and so does source_size, where that alone is given."""
    source_size: int | None = None
    """Side of the pixels that S3N's zoom reads from, for the same part of the photograph as the view; the larger they
    are the more detail a zoom can show, at no more cost to the network. None: `input_size`, the paper's case."""
    train_crop: TrainCrop = TrainCrop.AREA
    smallest_area: float = 0.5
    """Smallest share of the photograph's area that an `area` crop shows, before a side that the jitter makes longer
    than the photograph's is cut to it."""
    aspect_jitter: float = 4 / 3
    """Largest factor by which an `area` crop changes the photograph's aspect ratio, either way; 1: none."""
    flip: float = 0.5
    """Probability that a training view is mirrored."""

    def __post_init__(self) -> None:
        require_side("input_size", self.input_size)
        require_side("resize_size", self.resize_size)
        require_side("source_size", self.source)
        require(
            self.resize_size >= self.input_size,
            f"resize_size must be at least input_size ({self.input_size})",
            self.resize_size,
        )
        require(
            self.source_size is None or self.source_size >= self.input_size,
            f"source_size must be at least input_size ({self.input_size}), or None",
            self.source_size,
        )
        require(0 < self.smallest_area <= 1, "smallest_area must be in (0, 1]", self.smallest_area)
        require(1 <= self.aspect_jitter <= 10, "aspect_jitter must be in [1, 10]", self.aspect_jitter)
        require(0 <= self.flip <= 1, "flip must be a probability", self.flip)
        require_finite(self)

    def at(self, side: int) -> TransformConfig:
        """Return the same views with another `input_size`: the other sides stay in proportion to it.

        Raises:
            UserError: A side is out of range.
        """
        scale = side / self.input_size
        source = None if self.source_size is None else round(scale * self.source_size)
        return replace(self, input_size=side, resize_size=round(scale * self.resize_size), source_size=source)

    @property
    def source(self) -> int:
        """Side of the pixels that are read from the photograph."""
        return self.source_size or self.input_size
