"""Stanford Cars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from foveate.config.data import Split
from foveate.data.datasets.assembly import Row, assemble
from foveate.data.datasets.checks import require_files
from foveate.data.datasets.reading import inclusive_box, read_mat
from foveate.data.images import ImageError, upright_size
from foveate.data.records import ImageDataset
from foveate.errors import UserError

META, TRAIN, TEST = "devkit/cars_meta.mat", "devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat"
_LOOKED_AT = 20
_ROUNDING = 2  # pixels
_CUT = "photographs are cut to their boxes, which are therefore left out: they are of the whole photographs"
_FIELDS = ("fname", "class", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")


def load_cars(root: Path) -> ImageDataset:
    """Read the folder that holds ``devkit``, ``cars_train`` and ``cars_test``.

    The labels of the test division came later than the archive: ``cars_test_annos_withlabels.mat`` lies in
    the root or in ``devkit``.
    """
    test = TEST if (root / TEST).exists() or not (root / "devkit" / TEST).exists() else f"devkit/{TEST}"
    require_files(root, META, TRAIN, test)
    class_names = dict(enumerate(read_mat(root / META, "class_names").tolist(), start=1))
    rows = [
        *_rows(root, TRAIN, "cars_train", Split.TRAIN),
        *_rows(root, test, "cars_test", Split.TEST),
    ]
    if _are_cut(rows):
        rows = [row._replace(box=None) for row in rows]
        return assemble("Stanford Cars", rows, class_names, notes=[_CUT])
    return assemble("Stanford Cars", rows, class_names)


def _are_cut(rows: Sequence[Row]) -> bool:
    """Say whether photographs are cut to their boxes, of a few from the beginning to the end whose headers are read.

    A box then speaks of the photograph as it was: it reaches beyond what is left, and is as large.
    """
    fits = []
    for row in rows[:: max(1, len(rows) // _LOOKED_AT)]:
        try:
            size = upright_size(row.image, row.id)
        except ImageError:
            continue  # said when photographs are read
        assert row.box is not None
        beyond = row.box.right > size.width or row.box.bottom > size.height
        fits.append(beyond and max(abs(row.box.width - size.width), abs(row.box.height - size.height)) <= _ROUNDING)
    return bool(fits) and all(fits)


def _rows(root: Path, annotations: str, folder: str, split: Split) -> Iterator[Row]:
    table = read_mat(root / annotations, "annotations")
    absent = set(_FIELDS) - set(table.dtype.names or ())
    if absent:
        raise UserError(
            f"{root / annotations} must hold {', '.join(_FIELDS)}; missing: {', '.join(sorted(absent))}. "
            "Take the file with labels"
        )
    for name, label, *edges in zip(*(table[field].tolist() for field in _FIELDS), strict=True):
        box = inclusive_box([float(edge) for edge in edges], name)
        yield Row(f"{folder}/{name}", root / folder / name, int(label), split, box)
