"""The true classes of photographs that belong to a run's data set, whoever names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from foveate.errors import UserError
from foveate.recipes.datasets import load_splits
from foveate.runs.context import RunContext
from foveate.runs.run import Run


def true_classes(run: Run, photographs: Sequence[Path], context: RunContext) -> Mapping[Path, str]:
    """Return the true class of each of the photographs that lie in the run's data set and are of one of its splits.

    A data set that has moved, or has other classes by now, says nothing.
    """
    data = context.data_of(run)
    roots = {each if data.root.is_dir() else each.parent for each in (data.root.absolute(), data.root.resolve())}
    # A photograph of the data set may be a link to a file outside its folder.
    places = {each: each.resolve() for each in photographs}
    inside = {each: place for each, place in places.items() if roots & {*each.absolute().parents, *place.parents}}
    if not inside:
        return {}
    try:
        splits = load_splits(data)
    except UserError:
        return {}
    if splits.class_names != run.class_names:
        return {}
    names = {path.name for each in inside.items() for path in each}
    records = [record for split in (splits.train, splits.validation, splits.test) for record in split]
    named = [record for record in records if isinstance(record.image, Path) and record.image.name in names]
    known = {record.image.resolve(): record.class_name for record in named if isinstance(record.image, Path)}
    return {photograph: known[path] for photograph, path in inside.items() if path in known}
