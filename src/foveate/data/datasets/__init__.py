"""Data sets of photographs, each read as its authors packed it."""

from foveate.config.data import DatasetFormat
from foveate.data.datasets.checks import first_few
from foveate.data.datasets.formats import LOADERS, load_dataset
from foveate.data.image_kinds import IMAGE_SUFFIXES

__all__ = ["IMAGE_SUFFIXES", "LOADERS", "DatasetFormat", "first_few", "load_dataset"]
