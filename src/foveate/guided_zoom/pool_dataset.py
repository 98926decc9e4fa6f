"""An evidence pool as a data set: every patch a photograph of its class, all for training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foveate.config.data import DataConfig
from foveate.data.records import ImageDataset
from foveate.guided_zoom.pool import EvidencePool


def load_pool(root: Path, load: Callable[[DataConfig], ImageDataset]) -> ImageDataset:
    """Read the pool in a folder; `load` reads the data set that it was built from.

    Raises:
        UserError: The pool is unfinished, empty, without evidence of some class, or its photographs are gone.
    """
    pool = EvidencePool.open(root)
    photographs = load(pool.description.data)
    return pool.dataset([*photographs.train, *photographs.validation, *photographs.test])
